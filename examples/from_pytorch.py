"""Run a PyTorch Conv2d's weights in cyconv, and compare the results.

    python examples/from_pytorch.py

PyTorch orders images as (N, C, H, W) and filters as (K, C // groups, R, S); cyconv (N, H, W, C) and
(R, S, C // groups, K).  So a filter's axes are permuted by (2, 3, 1, 0), an image's by (0, 2, 3, 1).
"""

import numpy as np
import torch

import cyconv


def from_conv2d(layer: torch.nn.Conv2d) -> dict:
    """The arguments of `cyconv.conv2d` that make it compute what `layer` does."""
    weight = layer.weight.detach().permute(2, 3, 1, 0).numpy()
    return {
        "w": np.ascontiguousarray(weight),
        "b": None if layer.bias is None else layer.bias.detach().numpy(),
        "stride": layer.stride,
        "padding": layer.padding,
        "dilation": layer.dilation,
        "groups": layer.groups,
    }


def largest_difference(layer: torch.nn.Conv2d, x: torch.Tensor) -> float:
    """Between cyconv's result and PyTorch's, as a share of the largest value."""
    with torch.no_grad():
        theirs = layer(x).permute(0, 2, 3, 1).numpy()
    ours = cyconv.conv2d(x.permute(0, 2, 3, 1).numpy(), **from_conv2d(layer))
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def layers() -> list[torch.nn.Conv2d]:
    return [
        torch.nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False),  # the first of ResNet-50
        torch.nn.Conv2d(64, 64, 3, padding="same"),
        torch.nn.Conv2d(64, 128, (3, 5), stride=(2, 1), padding=(1, 4), dilation=(1, 2)),
        torch.nn.Conv2d(96, 96, 5, padding=2, groups=96),  # depthwise
        torch.nn.Conv2d(32, 48, 3, groups=4, dtype=torch.float64),
    ]


if __name__ == "__main__":
    torch.manual_seed(0)
    for layer in layers():
        x = torch.randn(4, layer.in_channels, 56, 56, dtype=layer.weight.dtype)
        print(f"{largest_difference(layer, x):.1e}  {layer}")
