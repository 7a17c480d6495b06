"""The layers that are measured, as data; the tests read them too.

``SUITES`` maps a name to its layers.  Each layer carries the batch it is measured with unless
``--batch`` says otherwise, and ``count``, how often its network contains it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

DIRECTIONS = ("forward", "input_grad", "weight_grad", "backward")


@dataclass(frozen=True, slots=True)
class Conv:
    """A convolution of x (N, H, W, C) to y (N, OH, OW, K) by an (R, S) window."""

    N: int
    H: int
    W: int
    C: int
    K: int
    R: int
    S: int
    stride: int = 1
    padding: int = 0
    groups: int = 1
    count: int = 1

    @property
    def name(self) -> str:
        stride = f"/{self.stride}" if self.stride > 1 else ""
        kind = "" if self.groups == 1 else " dw" if self.groups == self.C else f" {self.groups} groups"
        return f"{self.H}x{self.W}x{self.C}->{self.K} {self.R}x{self.S}{stride}{kind}"

    @property
    def directions(self) -> tuple[str, ...]:
        return DIRECTIONS

    @property
    def x_shape(self) -> tuple[int, int, int, int]:
        return self.N, self.H, self.W, self.C

    @property
    def w_shape(self) -> tuple[int, int, int, int]:
        return self.R, self.S, self.C // self.groups, self.K

    @property
    def y_shape(self) -> tuple[int, int, int, int]:
        return self.N, *_output(self.H, self.W, self.R, self.S, self.stride, self.padding), self.K

    def flops(self, direction: str) -> int:
        """Two per multiply-add, those that meet padding counted; ``backward`` is two gradients."""
        N, OH, OW, K = self.y_shape
        R, S, Cg, _ = self.w_shape
        return 2 * N * OH * OW * K * R * S * Cg * (2 if direction == "backward" else 1)

    def numbers(self, direction: str) -> int:
        """How many numbers must cross the memory bus: each operand and each result once."""
        x, w, y = (_size(shape) for shape in (self.x_shape, self.w_shape, self.y_shape))
        return 2 * x + 2 * w + y if direction == "backward" else x + w + y


@dataclass(frozen=True, slots=True)
class Pool:
    """Max or average pooling of x (N, H, W, C) over square windows of width R."""

    N: int
    H: int
    W: int
    C: int
    mode: str
    R: int
    stride: int
    padding: int = 0
    count: int = 1

    @property
    def name(self) -> str:
        padding = f" pad {self.padding}" if self.padding else ""
        return f"{self.H}x{self.W}x{self.C} {self.mode} {self.R}x{self.R}/{self.stride}{padding}"

    @property
    def directions(self) -> tuple[str, ...]:
        return ("forward", "backward")

    @property
    def x_shape(self) -> tuple[int, int, int, int]:
        return self.N, self.H, self.W, self.C

    @property
    def w_shape(self) -> tuple[int]:
        return (0,)

    @property
    def y_shape(self) -> tuple[int, int, int, int]:
        R, stride, padding = self.R, self.stride, self.padding
        return self.N, *_output(self.H, self.W, R, R, stride, padding), self.C

    def flops(self, direction: str) -> int:
        """Pooling is counted in bytes, not in operations."""
        return 0

    def numbers(self, direction: str) -> int:
        """How many numbers must cross the memory bus: each operand and each result once."""
        x, y = _size(self.x_shape), _size(self.y_shape)
        return 2 * x + y if direction == "backward" and self.mode == "max" else x + y


Layer = Conv | Pool


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for extent in shape:
        size *= extent
    return size


def _output(H: int, W: int, R: int, S: int, stride: int, padding: int) -> tuple[int, int]:
    return (H + 2 * padding - R) // stride + 1, (W + 2 * padding - S) // stride + 1


def _conv(N: int, H: int, C: int, K: int, R: int, stride: int = 1, count: int = 1) -> Conv:
    """A square layer with the padding that keeps its size at stride 1."""
    return Conv(N, H, H, C, K, R, R, stride, R // 2, count=count)


def _depthwise(N: int, H: int, C: int, stride: int, count: int = 1) -> Conv:
    return Conv(N, H, H, C, C, 3, 3, stride, 1, groups=C, count=count)


_RESNET50 = (  # v1.5, its stride in the 3x3 layers: 53 convolutions, 23 of them different
    _conv(4, 224, 3, 64, 7, 2),
    _conv(4, 56, 64, 64, 1),
    _conv(4, 56, 64, 64, 3, count=3),
    _conv(4, 56, 64, 256, 1, count=4),
    _conv(4, 56, 256, 64, 1, count=2),
    _conv(4, 56, 256, 128, 1),
    _conv(4, 56, 128, 128, 3, 2),
    _conv(4, 28, 128, 512, 1, count=4),
    _conv(4, 56, 256, 512, 1, 2),
    _conv(4, 28, 512, 128, 1, count=3),
    _conv(4, 28, 128, 128, 3, count=3),
    _conv(4, 28, 512, 256, 1),
    _conv(4, 28, 256, 256, 3, 2),
    _conv(4, 14, 256, 1024, 1, count=6),
    _conv(4, 28, 512, 1024, 1, 2),
    _conv(4, 14, 1024, 256, 1, count=5),
    _conv(4, 14, 256, 256, 3, count=5),
    _conv(4, 14, 1024, 512, 1),
    _conv(4, 14, 512, 512, 3, 2),
    _conv(4, 7, 512, 2048, 1, count=3),
    _conv(4, 14, 1024, 2048, 1, 2),
    _conv(4, 7, 2048, 512, 1, count=2),
    _conv(4, 7, 512, 512, 3, count=2),
)

_VGG16 = (
    _conv(4, 224, 3, 64, 3),
    _conv(4, 224, 64, 64, 3),
    _conv(4, 112, 64, 128, 3),
    _conv(4, 112, 128, 128, 3),
    _conv(4, 56, 128, 256, 3),
    _conv(4, 56, 256, 256, 3, count=2),
    _conv(4, 28, 256, 512, 3),
    _conv(4, 28, 512, 512, 3, count=2),
    _conv(4, 14, 512, 512, 3, count=3),
)

_MOBILENET_V1 = (
    _conv(4, 224, 3, 32, 3, 2),
    *(
        _depthwise(4, H, C, stride, count)
        for H, C, stride, count in (
            (112, 32, 1, 1), (112, 64, 2, 1), (56, 128, 1, 1), (56, 128, 2, 1), (28, 256, 1, 1),
            (28, 256, 2, 1), (14, 512, 1, 5), (14, 512, 2, 1), (7, 1024, 1, 1),
        )
    ),
    *(
        _conv(4, H, C, K, 1, count=count)
        for H, C, K, count in (
            (112, 32, 64, 1), (56, 64, 128, 1), (56, 128, 128, 1), (28, 128, 256, 1),
            (28, 256, 256, 1), (14, 256, 512, 1), (14, 512, 512, 5), (7, 512, 1024, 1),
            (7, 1024, 1024, 1),
        )
    ),
)  # fmt: skip

_MOBILENET_V2 = (
    *(
        _depthwise(4, H, C, stride, count)
        for H, C, stride, count in (
            (112, 32, 1, 1), (112, 96, 2, 1), (56, 144, 1, 1), (56, 144, 2, 1), (28, 192, 1, 2),
            (28, 192, 2, 1), (14, 384, 1, 4), (14, 576, 1, 2), (14, 576, 2, 1), (7, 960, 1, 3),
        )
    ),
    *(
        _conv(4, H, C, K, 1)
        for H, C, K in (
            (112, 32, 16), (112, 16, 96), (56, 96, 24), (56, 24, 144), (56, 144, 24), (28, 144, 32),
            (28, 32, 192), (28, 192, 32), (14, 192, 64), (14, 64, 384), (14, 384, 64),
            (14, 384, 96), (14, 96, 576), (14, 576, 96), (7, 576, 160), (7, 160, 960),
            (7, 960, 160), (7, 960, 320), (7, 320, 1280), (1, 1280, 1000),
        )
    ),
)  # fmt: skip

_LENET = (
    Conv(64, 32, 32, 1, 6, 5, 5),
    Pool(64, 28, 28, 6, "max", 2, 2),
    Conv(64, 14, 14, 6, 16, 5, 5),
    Pool(64, 10, 10, 16, "max", 2, 2),
    Conv(64, 5, 5, 16, 120, 5, 5),
    Conv(64, 28, 28, 6, 16, 5, 5),
)

_CIFAR = (  # the small networks of the CIFAR-10 tutorials, then ResNet-20
    _conv(32, 32, 3, 32, 5),
    _conv(32, 16, 32, 32, 5),
    _conv(32, 8, 32, 64, 5),
    _conv(32, 32, 3, 16, 3),
    _conv(32, 32, 16, 16, 3, count=6),
    _conv(32, 32, 16, 32, 3, 2),
    _conv(32, 16, 32, 32, 3, count=5),
    _conv(32, 16, 32, 64, 3, 2),
    _conv(32, 8, 64, 64, 3, count=5),
)

_POOL = tuple(
    Pool(N, H, H, C, mode, R, stride, padding)
    for mode in ("max", "avg")
    for R, stride, padding in ((2, 2, 0), (3, 2, 1), (3, 1, 1))
    for N, H, C in ((64, 28, 6), (32, 32, 64), (4, 112, 64), (4, 56, 256))
)

_FILTERS = (  # of images, each channel by itself
    *(Conv(1, 1024, 1024, 1, 1, R, R, 1, R // 2) for R in (3, 5, 9, 15)),
    *(Conv(1, 512, 512, 3, 3, R, R, 1, R // 2, groups=3) for R in (3, 5, 9)),
)

_FEW = (  # channels: how networks begin and end, and small groups
    Conv(32, 32, 32, 1, 6, 5, 5),  # LeNet
    Conv(32, 28, 28, 1, 32, 3, 3),  # the usual first network for MNIST
    _conv(32, 32, 3, 32, 3),  # and for CIFAR-10
    Conv(4, 64, 64, 3, 64, 4, 4, 2, 1),  # DCGAN's discriminator
    _conv(1, 512, 1, 4, 7),  # a bank of filters
    _conv(1, 256, 3, 3, 5),  # from colours to colours
    _conv(4, 64, 128, 3, 3),  # the end of a diffusion model,
    _conv(32, 28, 16, 1, 3),  # of an autoencoder,
    _conv(2, 128, 32, 1, 5),  # of SRCNN,
    Conv(4, 128, 128, 64, 1, 1, 1),  # of a U-Net for two classes,
    Conv(4, 64, 64, 32, 4, 1, 1),  # and for four
    Conv(4, 56, 56, 128, 128, 3, 3, 1, 1, groups=32),  # ResNeXt-50's groups of four
    Conv(4, 28, 28, 256, 256, 3, 3, 1, 1, groups=32),  # of eight,
    Conv(4, 14, 14, 512, 512, 3, 3, 1, 1, groups=32),  # of 16
    Conv(4, 7, 7, 1024, 1024, 3, 3, 1, 1, groups=32),  # and of 32
)

_NOTEBOOK = (  # the cells of "CNN step by step", then a layer the size of LeNet's second
    Conv(10, 4, 4, 3, 8, 2, 2, 2, 2),
    Conv(10, 5, 7, 4, 8, 3, 3, 2, 1),
    Pool(2, 4, 4, 3, "max", 3, 2),
    Pool(2, 4, 4, 3, "avg", 3, 2),
    Conv(64, 28, 28, 6, 16, 5, 5),
)

SUITES: dict[str, tuple[Layer, ...]] = {
    "resnet50": _RESNET50,
    "vgg16": _VGG16,
    "mobilenet": tuple(dict.fromkeys(_MOBILENET_V1 + _MOBILENET_V2)),
    "lenet": _LENET,
    "cifar": _CIFAR,
    "pool": _POOL,
    "filters": _FILTERS,
    "few": _FEW,
    "notebook": _NOTEBOOK,
}


def layer_of(suite: str, name: str, N: int) -> Layer:
    """The suite's layer of that name, with a batch of N."""
    (layer,) = {replace(layer, N=N) for layer in SUITES[suite] if layer.name == name}
    return layer
