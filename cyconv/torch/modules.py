"""PyTorch's modules under their names, and models whose modules are exchanged for them.

A module has the parameters, the state_dict and the arguments of its namesake in `torch.nn`, which it inherits from.
Weights in channels_last are kept hwio (`layout`): the kernels then read them and write their gradients in place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from cyconv.torch import layout
from cyconv.torch.functional import DTYPES, avg_pool2d, conv2d, conv_transpose2d, max_pool2d

for _function in (conv2d, conv_transpose2d, max_pool2d, avg_pool2d):
    torch.fx.wrap(_function.__name__)  # for torch.fx they are single steps


class _Weighted(nn.Module):
    """Keeps weights in channels_last hwio, whatever is done to the module."""

    weight: Tensor

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        super()._apply(fn, recurse)
        _lay_out(self.weight)
        return self


def _lay_out(w: Tensor) -> None:
    """Make weights in channels_last hwio, unless their memory is not theirs alone."""
    if _rearrangeable(w) and w.is_contiguous(memory_format=torch.channels_last):
        w.data = layout.hwio(w.data)


def _put_back(w: Tensor) -> None:
    if _rearrangeable(w) and layout.is_hwio(w):
        w.data = layout.channels_last(w.data)


def _rearrangeable(w: Tensor) -> bool:
    return (
        w.device.type == "cpu"
        and w.dtype in DTYPES
        and w.layout is torch.strided
        and not w.is_shared()
        and w.untyped_storage().nbytes() == w.numel() * w.element_size()
    )


class Conv2d(_Weighted, nn.Conv2d):
    """`torch.nn.Conv2d` on cyconv's kernels; `padding_mode` other than "zeros" is PyTorch's.

    Examples
    --------
    >>> import torch, cyconv.torch
    >>> conv = cyconv.torch.Conv2d(3, 8, 3, padding=1).to(memory_format=torch.channels_last)
    >>> conv(torch.ones(2, 3, 5, 5)).shape
    torch.Size([2, 8, 5, 5])
    """

    def forward(self, input: Tensor) -> Tensor:
        if self.padding_mode != "zeros":
            return super().forward(input)
        return conv2d(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class ConvTranspose2d(_Weighted, nn.ConvTranspose2d):
    """`torch.nn.ConvTranspose2d` on cyconv's kernels.

    Examples
    --------
    >>> import torch, cyconv.torch
    >>> conv = cyconv.torch.ConvTranspose2d(3, 8, 2, stride=2)
    >>> conv(torch.ones(2, 3, 5, 5)).shape
    torch.Size([2, 8, 10, 10])
    """

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        more = self.output_padding
        if output_size is not None:
            more = self._output_padding(
                input, output_size, self.stride, self.padding, self.kernel_size, 2, self.dilation
            )
        return conv_transpose2d(
            input, self.weight, self.bias, self.stride, self.padding, more, self.groups, self.dilation
        )


class MaxPool2d(nn.MaxPool2d):
    """`torch.nn.MaxPool2d` on cyconv's kernels.

    Examples
    --------
    >>> import torch, cyconv.torch
    >>> cyconv.torch.MaxPool2d(2)(torch.ones(2, 3, 6, 6)).shape
    torch.Size([2, 3, 3, 3])
    """

    def forward(self, input: Tensor) -> Any:
        return max_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )


class AvgPool2d(nn.AvgPool2d):
    """`torch.nn.AvgPool2d` on cyconv's kernels.

    Examples
    --------
    >>> import torch, cyconv.torch
    >>> cyconv.torch.AvgPool2d(2)(torch.ones(2, 3, 6, 6)).shape
    torch.Size([2, 3, 3, 3])
    """

    def forward(self, input: Tensor) -> Tensor:
        return avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


_OURS: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv2d: Conv2d,
    nn.ConvTranspose2d: ConvTranspose2d,
    nn.MaxPool2d: MaxPool2d,
    nn.AvgPool2d: AvgPool2d,
}
_THEIRS = {ours: theirs for theirs, ours in _OURS.items()}


def accelerate(model: nn.Module) -> nn.Module:
    """Compute a model's two-dimensional convolutions, transposed convolutions, maximum and average pools with cyconv.

    The modules stay the same objects, with their parameters, hooks and names: only their class is exchanged.  So are
    the parameters, but weights in channels_last move to new memory, in which cyconv reads them without a copy, unless
    they share theirs with other tensors or processes.  Subclasses and parametrized modules are left alone.

    Parameters
    ----------
    model : torch.nn.Module
        Changed in place.  It is fastest in channels_last: ``model.to(memory_format=torch.channels_last)``, before or
        after.  Make the optimizer, or load its state, afterwards.

    Returns
    -------
    torch.nn.Module
        The model.

    Examples
    --------
    >>> import torch, cyconv.torch
    >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.MaxPool2d(2))
    >>> cyconv.torch.accelerate(model)(torch.ones(2, 3, 6, 6)).shape
    torch.Size([2, 8, 2, 2])
    >>> type(model[0])
    <class 'cyconv.torch.modules.Conv2d'>
    """
    for module in model.modules():
        if type(module) in _OURS:
            module.__class__ = _OURS[type(module)]
            if isinstance(module, _Weighted):
                _lay_out(module.weight)
    return model


def restore(model: nn.Module) -> nn.Module:
    """Undo `accelerate`: the modules are PyTorch's again, with the weights they have now.

    Parameters
    ----------
    model : torch.nn.Module
        Changed in place.

    Returns
    -------
    torch.nn.Module
        The model.

    Examples
    --------
    >>> import torch, cyconv.torch
    >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3))
    >>> type(cyconv.torch.restore(cyconv.torch.accelerate(model))[0])
    <class 'torch.nn.modules.conv.Conv2d'>
    """
    for module in model.modules():
        if type(module) in _THEIRS:
            if isinstance(module, _Weighted):
                _put_back(module.weight)
            module.__class__ = _THEIRS[type(module)]
    return model
