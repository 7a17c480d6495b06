"""ResNet-50 (He et al., "Deep residual learning for image recognition", 2016), v1.5, as a model of PyTorch."""

from __future__ import annotations

from torch import Tensor, nn

STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))  # width, blocks, stride of the first block
EXPANSION = 4
SCALE = 0.2
"""Of a block's last normalization at the start, as in the practice of starting it at 0 (Goyal et al., "Accurate, large
minibatch SGD", 2017), but with a gradient in every layer; at 1, rounding errors grow a hundredfold on the way."""


def _conv(C: int, K: int, R: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(C, K, R, stride, R // 2, bias=False), nn.BatchNorm2d(K))


class Bottleneck(nn.Module):
    """1x1 to `width` channels, 3x3 with the stride, 1x1 to four times as many; added to the input."""

    def __init__(self, C: int, width: int, stride: int) -> None:
        super().__init__()
        K = width * EXPANSION
        self.residual = nn.Sequential(
            _conv(C, width, 1),
            nn.ReLU(inplace=True),
            _conv(width, width, 3, stride),
            nn.ReLU(inplace=True),
            _conv(width, K, 1),
        )
        nn.init.constant_(self.residual[-1][-1].weight, SCALE)
        self.shortcut = nn.Identity() if C == K and stride == 1 else _conv(C, K, 1, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.residual(x) + self.shortcut(x))


def resnet50(classes: int = 1000) -> nn.Sequential:
    """Its 53 convolutions are those of the suite resnet50."""
    layers = [_conv(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    C = 64
    for width, blocks, stride in STAGES:
        for block in range(blocks):
            layers.append(Bottleneck(C, width, 1 if block else stride))
            C = width * EXPANSION
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(C, classes))
