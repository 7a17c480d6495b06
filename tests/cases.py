"""Geometries of convolution and pooling: their classes, and the tables of those always tested."""

from dataclasses import asdict, dataclass, replace

import numpy as np
import reference

# Around the vector widths of every build: 2 to 16 elements, and tiles of two or three vectors.
CHANNELS = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 65)


def label(case):
    """A test id that holds everything but the defaults."""
    changed = {k: v for k, v in asdict(case).items() if v != getattr(type(case), k, None)}
    return "-".join(f"{k}={v}" for k, v in changed.items()).replace(" ", "")


def brief(value):
    """A test id for arguments: arrays by kind, dtype and shape."""
    if isinstance(value, tuple):
        return f"({','.join(map(brief, value))})"
    if isinstance(value, dict):
        return ",".join(f"{k}={brief(v)}" for k, v in value.items())
    if isinstance(value, np.ndarray):
        return f"{type(value).__name__}{value.shape}{value.dtype}".replace(" ", "")
    return str(value).replace(" ", "") or repr(value)


@dataclass(frozen=True)
class Conv:
    """x of shape (N, H, W, C), windows of kernel_size, K output channels; and what the oracle says."""

    x: tuple
    kernel_size: tuple
    K: int
    stride: object = 1
    padding: object = 0
    dilation: object = 1
    groups: int = 1

    __str__ = label

    @property
    def geometry(self):
        """The keyword arguments of the functions."""
        return {name: getattr(self, name) for name in ("stride", "padding", "dilation", "groups")}

    @property
    def w(self):
        return (*self.kernel_size, self.x[3] // self.groups, self.K)

    def forward(self, x, w, b):
        return reference.conv2d(x, w, b, **self.geometry)

    def backward(self, dy, x, w):
        return reference.conv2d_backward(dy, x, w, **self.geometry)


@dataclass(frozen=True)
class Transposed(Conv):
    """The same for a transposed convolution."""

    output_padding: object = 0
    output_size: object = None

    __str__ = label

    @property
    def size(self):
        """The arguments that the forward function has besides."""
        return {"output_padding": self.output_padding, "output_size": self.output_size}

    @property
    def w(self):
        return (*self.kernel_size, self.K // self.groups, self.x[3])

    def forward(self, x, w, b):
        return reference.conv_transpose2d(x, w, b, **self.geometry, **self.size)

    def backward(self, dy, x, w):
        return reference.conv_transpose2d_backward(dy, x, w, **self.geometry)


@dataclass(frozen=True)
class Pool:
    """x of shape (N, H, W, C); the rest are the arguments of the pooling functions."""

    x: tuple
    kernel_size: object
    stride: object = None
    padding: object = 0
    dilation: object = 1
    ceil_mode: bool = False

    __str__ = label

    @property
    def geometry(self):
        """The arguments that differ from their defaults."""
        arguments = asdict(self)
        return {k: v for k, v in arguments.items() if k != "x" and v != getattr(type(self), k, ...)}


def around_vector_widths():
    """Channel counts in and out, one at a time and together."""
    few = Conv((2, 4, 5, 3), (3, 3), 5, padding=1)
    yield from (replace(few, x=(2, 4, 5, C)) for C in CHANNELS)
    yield from (replace(few, K=K) for K in CHANNELS)
    yield from (replace(few, x=(2, 4, 5, C), K=K) for C, K in ((17, 33), (65, 31), (32, 65)))


def output_widths():
    """Rows of 1 to 14 output pixels, at stride 1 and 2."""
    yield from (Conv((2, 3, OW, 4), (3, 3), 9, padding=1) for OW in range(1, 15))
    yield from (Conv((2, 3, 2 * OW, 4), (1, 2), 9, stride=2) for OW in range(1, 15))


CONVS = (
    *around_vector_widths(),
    *output_widths(),
    # Stride: unequal, larger than the window, with rows or columns left over at the end.
    Conv((2, 7, 8, 3), (3, 3), 4, stride=2),
    Conv((2, 7, 8, 3), (3, 3), 4, stride=(1, 2), padding=1),
    Conv((2, 7, 8, 3), (3, 3), 4, stride=(3, 1), padding=1),
    Conv((2, 9, 10, 3), (2, 2), 4, stride=(3, 4)),
    Conv((2, 9, 10, 3), (2, 3), 4, stride=5, padding=2),
    Conv((1, 6, 6, 3), (3, 3), 4, stride=100),
    # Padding in every form.
    Conv((2, 5, 6, 3), (3, 3), 4, padding=(1, 2)),
    Conv((2, 5, 6, 3), (3, 3), 4, padding=((0, 1), (2, 0))),
    Conv((2, 5, 6, 3), (3, 3), 4, padding=((2, 0), (0, 1)), stride=2),
    Conv((2, 5, 6, 3), (3, 2), 4, padding="valid"),
    Conv((2, 5, 6, 3), (3, 2), 4, padding="same"),
    Conv((2, 5, 6, 3), (4, 3), 4, padding="same", stride=2),
    Conv((2, 7, 8, 3), (2, 5), 4, padding="same", stride=(3, 2)),
    Conv((2, 7, 8, 3), (1, 1), 4, padding="same", stride=3),
    Conv((2, 7, 8, 3), (3, 3), 4, padding="same", dilation=2),
    Conv((1, 3, 4, 3), (2, 3), 4, padding=((3, 4), (5, 3))),
    Conv((1, 3, 4, 3), (3, 3), 4, padding=7, stride=2),
    Conv((2, 1, 1, 3), (3, 3), 4, padding=1),
    # Dilation, some windows reaching from the padding on one side to that on the other.
    Conv((2, 8, 9, 3), (3, 3), 4, dilation=2),
    Conv((2, 8, 9, 3), (3, 2), 4, dilation=(1, 3)),
    Conv((2, 8, 9, 3), (3, 3), 4, dilation=(2, 3), stride=(2, 1), padding=(2, 3)),
    Conv((2, 8, 9, 3), (2, 2), 4, dilation=3, stride=2, padding=1),
    Conv((1, 2, 2, 3), (2, 3), 4, dilation=4, padding=4),
    # Windows: one pixel, the whole input, the whole padded input, long and thin.
    Conv((2, 5, 6, 3), (1, 1), 4),
    Conv((2, 5, 6, 3), (1, 1), 4, stride=2),
    Conv((2, 5, 6, 3), (1, 1), 4, padding=2),
    Conv((2, 5, 6, 3), (1, 1), 4, stride=3, padding=((1, 2), (0, 3))),
    Conv((2, 5, 6, 3), (5, 6), 4),
    Conv((9, 5, 6, 7), (5, 6), 20, stride=(3, 1)),
    Conv((2, 5, 6, 3), (5, 6), 4, padding=((0, 1), (0, 2)), stride=3),
    Conv((2, 5, 6, 3), (5, 6), 4, padding=((1, 0), (0, 0)), stride=3),
    Conv((2, 5, 6, 4), (5, 6), 6, groups=2),
    # As many pixels as taps, but not all of the same: a window that reaches past the image.
    Conv((2, 3, 2, 3), (3, 2), 4, padding=((0, 2), (0, 1)), dilation=2),
    Conv((2, 5, 6, 3), (5, 6), 4, padding=((0, 4), (0, 0)), dilation=(2, 1)),
    Conv((2, 1, 6, 3), (1, 6), 4, padding=((0, 0), (0, 5)), dilation=(3, 2), stride=(1, 9)),
    Conv((2, 3, 4, 3), (5, 6), 4, padding=1),
    Conv((1, 1, 1, 1), (1, 1), 1),
    Conv((2, 1, 9, 3), (1, 5), 4),
    Conv((2, 9, 1, 3), (5, 1), 4),
    Conv((2, 6, 7, 3), (1, 4), 4, padding=(0, 2)),
    Conv((2, 6, 7, 3), (5, 2), 4, padding=((2, 2), (1, 0)), stride=(2, 1)),
    Conv((2, 15, 14, 3), (7, 7), 9, stride=2, padding=3),
    Conv((1, 12, 13, 2), (11, 9), 3, padding=(5, 4)),
    # Batches.
    Conv((0, 5, 6, 3), (3, 3), 4, padding=1),
    Conv((1, 5, 6, 3), (3, 3), 4, padding=1),
    Conv((13, 2, 3, 3), (2, 2), 17),
    # The notebook's cell, LeNet and CIFAR sizes, and blocks of channels and pixels longer than one.
    Conv((10, 4, 4, 3), (2, 2), 8, stride=2, padding=2),
    Conv((2, 14, 14, 6), (5, 5), 16),
    Conv((2, 16, 16, 3), (3, 3), 32, padding=1),
    Conv((1, 7, 7, 300), (1, 1), 70),
    Conv((2, 7, 7, 70), (1, 1), 300, stride=2),
    Conv((1, 7, 7, 130), (3, 3), 140, padding=1),
    Conv((3, 23, 29, 5), (3, 3), 7, padding=1),
    Conv((2, 41, 43, 3), (3, 3), 5, stride=2, padding=1),
    Conv((2, 14, 14, 90), (3, 3), 90, padding=1),
)

POOLS = (
    *(Pool((2, 4, 6, C), 2) for C in CHANNELS),
    *(Pool((2, 3, OW, 5), 3, stride=1, padding=1) for OW in range(1, 15)),
    Pool((2, 8, 9, 4), 2),
    Pool((2, 8, 9, 4), 3, stride=2),
    Pool((2, 8, 9, 4), 3, stride=2, padding=1),
    Pool((2, 8, 9, 4), 3, stride=1),
    Pool((2, 8, 9, 4), (2, 3)),
    Pool((2, 8, 9, 4), (3, 1), stride=(1, 2)),
    Pool((2, 8, 9, 4), 2, stride=3),
    Pool((2, 8, 9, 4), (2, 3), stride=(5, 4), padding=1),
    Pool((2, 8, 9, 4), (4, 5), stride=(3, 1), padding=(2, 1)),
    Pool((2, 8, 9, 4), 4, stride=2, padding=((0, 2), (1, 0))),
    Pool((2, 8, 9, 4), 2, padding="valid"),
    Pool((2, 8, 9, 4), 3, stride=2, padding="same"),
    Pool((2, 8, 9, 4), (4, 2), stride=(3, 1), padding="same"),
    Pool((2, 8, 9, 4), 1),
    Pool((2, 8, 9, 4), 1, stride=2),
    Pool((2, 8, 9, 4), (8, 9)),
    Pool((2, 3, 4, 4), (5, 4), padding=(2, 1)),
    Pool((1, 1, 1, 1), 1),
    Pool((1, 1, 1, 3), 3, padding=1),
    Pool((0, 6, 6, 4), 2),
    Pool((1, 6, 6, 4), 2),
    Pool((7, 2, 2, 3), 2),
    Pool((1, 20, 22, 70), 3, stride=2, padding=1),
)
