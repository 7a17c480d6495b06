"""Stride, padding, dilation and groups -> sizes.  The one place that rejects shapes.

Everything is computed in Python integers, so nothing overflows before it is refused.  The geometries of repeated calls
are cached: a call with plain integers costs one look-up.
"""

import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import index
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cyconv import windows
from cyconv.messages import shown
from cyconv.windows import Adaptive, Axis, Strided

Pair = tuple[int, int]
Pads = str | tuple[Pair, Pair]
Padding = int | Pair | tuple[Pair, Pair] | Literal["valid", "same", "same_lower"]
NAMED_PADS = ("valid", "same", "same_lower")
LARGEST = 2**31 - 1
POOLED = 8
"""Multiply-adds that a tap of a pooling window counts for when threads are shared out: a guess, not tuned yet."""


def integer(value: Any, name: str, least: int, kind: str = "an integer") -> int:
    """One integer parameter, checked."""
    try:
        number = index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise TypeError(f"`{name}` must be {kind}, got {shown(value)}")
    if not least <= number <= LARGEST:
        raise ValueError(f"`{name}` must be between {least} and {LARGEST}, got {shown(number)}")
    return number


def choice(value: Any, name: str, allowed: tuple[str | None, ...]) -> None:
    """Refuse what is not one of the allowed words."""
    try:
        if value in allowed:
            return
    except ValueError:  # an array does not compare as a whole
        pass
    raise ValueError(f"`{name}` must be one of {', '.join(map(repr, allowed))}, got {shown(value)}")


def is_sequence(value: Any) -> bool:
    """Whether it may hold one number for each axis: nothing unordered, no text."""
    return isinstance(value, (tuple, list)) or (isinstance(value, np.ndarray) and value.ndim > 0)


def pair(value: Any, name: str, least: int = 1) -> Pair:
    """An integer for both axes, or one for each: (height, width)."""
    kind = "an integer or a pair of integers"
    if not is_sequence(value):
        number = integer(value, name, least, kind)
        return number, number
    if len(value) != 2:
        raise ValueError(f"`{name}` must be {kind}, got {shown(value)}")
    return integer(value[0], name, least, kind), integer(value[1], name, least, kind)


def _padding(value: Any) -> Pads:
    """A name, or ((top, bottom), (left, right))."""
    if isinstance(value, str):
        choice(value, "padding", NAMED_PADS)
        return value
    if is_sequence(value) and len(value) == 2 and all(map(is_sequence, value)):
        return pair(value[0], "padding", 0), pair(value[1], "padding", 0)
    height, width = pair(value, "padding", 0)
    return (height, height), (width, width)


def shape(value: Any, name: str) -> tuple[int, ...]:
    """A shape argument (N, H, W, C), or (H, W, C) of one image."""
    if not is_sequence(value):
        raise TypeError(f"`{name}` must be a tuple (N, H, W, C), got {shown(value)}")
    if len(value) in (3, 4):
        value = tuple(integer(size, name, 0, "a tuple of integers") for size in value)
    images(value, name)
    return tuple(value)


def images(sizes: tuple[int, ...], name: str = "x") -> tuple[int, int, int, int]:
    """A shape (N, H, W, C) or (H, W, C) as (N, H, W, C)."""
    if len(sizes) not in (3, 4):
        raise ValueError(f"`{name}` must have 4 dimensions (N, H, W, C), or 3 for one image, got shape {shown(sizes)}")
    H, W, C = sizes[-3:]
    if min(H, W, C) < 1:
        raise ValueError(f"`{name}` has shape {sizes}; height, width and channels must be at least 1")
    return sizes[0] if len(sizes) == 4 else 1, H, W, C


def check_size(name: str, shape: tuple[int, ...], itemsize: int = 8) -> None:
    """Refuse a shape that no array can have."""
    total = itemsize
    for size in shape:
        total *= size
    if total > sys.maxsize:
        raise ValueError(f"{name} would have shape {shape}, more than this machine can address")


def check_gradient(name: str, given: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """A gradient has the shape of what it is the gradient of."""
    if given != expected:
        raise ValueError(f"`{name}` has shape {given}; the forward result has shape {expected}")


def _pads(padding: Pads, axis: int, size: int, kernel: int, stride: int, dilation: int) -> Pair:
    if padding == "valid":
        return 0, 0
    if not isinstance(padding, str):
        return padding[axis]
    total = max((-(-size // stride) - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    small, large = total // 2, total - total // 2
    return (small, large) if padding == "same" else (large, small)


def _axes(
    window: str, size: Sequence[int], kernel: Pair, stride: Pair, padding: Pads, dilation: Pair, ceil_mode: bool
) -> tuple[Axis, Axis]:
    """Both spatial axes of an input of `size` (H, W); `window` names the argument that gives the kernel."""
    axes = []
    for i, name in enumerate(("height", "width")):
        before, after = _pads(padding, i, size[i], kernel[i], stride[i], dilation[i])
        extent = dilation[i] * (kernel[i] - 1) + 1
        padded = size[i] + before + after
        if extent > padded:
            raise ValueError(
                f"`{window}` gives a window of {kernel[0]} by {kernel[1]}, which with `dilation` {dilation} covers "
                f"{extent} pixels of {name}, more than the {padded} of the input with its `padding`"
            )
        output = (padded - extent + (stride[i] - 1 if ceil_mode else 0)) // stride[i] + 1
        if ceil_mode and (output - 1) * stride[i] >= size[i] + before:
            output -= 1
        axes.append(Axis(size[i], kernel[i], stride[i], dilation[i], before, after, output))
    return axes[0], axes[1]


class Conv(NamedTuple):
    """A convolution: the shapes of its arrays, its kernel and the parameters of that, and its multiply-adds."""

    x: tuple[int, int, int, int]
    w: tuple[int, int, int, int]
    y: tuple[int, int, int, int]
    parameters: tuple[int, ...]
    kernel: str
    work: int


def conv(x: tuple[int, ...], w: tuple[int, ...], stride: Any, padding: Any, dilation: Any, groups: Any) -> Conv:
    """Geometry of a convolution of input shape `x` with weights of shape `w`."""
    if not type(stride) is type(padding) is type(dilation) is type(groups) is int:
        stride, dilation = pair(stride, "stride"), pair(dilation, "dilation")
        padding, groups = _padding(padding), integer(groups, "groups", 1)
    return _conv(x, w, stride, padding, dilation, groups)


@lru_cache(maxsize=1024)
def _conv(x: tuple[int, ...], w: tuple[int, ...], stride: Any, padding: Any, dilation: Any, groups: int) -> Conv:
    stride, dilation = pair(stride, "stride"), pair(dilation, "dilation")
    padding, groups = _padding(padding), integer(groups, "groups", 1)
    N, H, W, C = images(x)
    if len(w) != 4:
        raise ValueError(f"`w` must have 4 dimensions (R, S, C // groups, K), got shape {w}")
    R, S, c, K = w
    if C % groups or K % groups:
        raise ValueError(f"`groups` must divide the channels of `x`, {C}, and of the result, {K}; got {groups}")
    if min(w) < 1:
        raise ValueError(f"`w` has shape {w}; its window and channels must be at least 1")
    if c * groups != C:
        raise ValueError(f"`w` takes {c} channels in each of {groups} `groups`, but `x` has {C}: shapes {w} and {x}")
    h, v = _axes("w", (H, W), (R, S), stride, padding, dilation, False)
    y = (N, h.output, v.output, K)
    check_size("the result", y)
    parameters = (*stride, h.before, v.before, *dilation, groups)
    kernel = "depthwise" if groups == C and _depthwise_fits((R, S, c, K), stride, dilation, C) else "conv"
    return Conv((N, H, W, C), (R, S, c, K), y, parameters, kernel, N * h.output * v.output * K * R * S * c)


def _depthwise_fits(w: tuple[int, ...], stride: tuple[int, int], dilation: tuple[int, int], C: int) -> bool:
    """With several filters to a channel, the depthwise kernel keeps the window of 8 by 7 outputs in K channels.

    One channel alone is for it where its rows can be taken as lines (kernels/depthwise_lines.pxd), with a vector for
    every weight.
    """
    R, S, _, K = w
    if C == 1:
        return K == 1 and stride == (1, 1) and R * S <= 1 << 11
    rows, columns = 7 * stride[0] + (R - 1) * dilation[0] + 1, 6 * stride[1] + (S - 1) * dilation[1] + 1
    return K == C or rows * columns * K <= 1 << 20


def transposed(
    x: tuple[int, ...],
    w: tuple[int, ...],
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    output_padding: Any,
    output_size: Any,
) -> Conv:
    """Geometry of the convolution from y to x whose input gradient is the transposed convolution of `x` with `w`.

    It has more windows than `x` has pixels where output_padding makes room for them, which a dilation above the stride
    allows.
    """
    stride, dilation, padding = pair(stride, "stride"), pair(dilation, "dilation"), _padding(padding)
    groups, extra = integer(groups, "groups", 1), pair(output_padding, "output_padding", 0)
    wanted = None if output_size is None else pair(output_size, "output_size")
    return _transposed(x, w, stride, padding, dilation, groups, extra, wanted)


@lru_cache(maxsize=1024)
def _transposed(
    x: tuple[int, ...],
    w: tuple[int, ...],
    stride: Pair,
    padding: Pads,
    dilation: Pair,
    groups: int,
    extra: Pair,
    wanted: Pair | None,
) -> Conv:
    N, H, W, C = images(x)
    if len(w) != 4:
        raise ValueError(f"`w` must have 4 dimensions (R, S, K // groups, C), got shape {w}")
    if min(w) < 1:
        raise ValueError(f"`w` has shape {w}; its window and channels must be at least 1")
    if w[3] != C or C % groups:
        raise ValueError(f"`w` takes {w[3]} channels, and `x` has {C}; they must be equal and divisible by `groups`")
    if wanted is not None and any(extra):
        raise ValueError("give `output_size` or `output_padding`, not both")
    size = []
    for i, (name, pixels) in enumerate((("height", H), ("width", W))):
        if padding in ("same", "same_lower"):
            least, most = (pixels - 1) * stride[i] + 1, pixels * stride[i]
            usual = most + extra[i]
        else:
            least = (pixels - 1) * stride[i] - sum(_pads(padding, i, 1, 1, 1, 1)) + dilation[i] * (w[i] - 1) + 1
            usual, most = least + extra[i], least + max(stride[i], dilation[i]) - 1
        if usual > most:
            raise ValueError(
                f"`output_padding` must be smaller than `stride` or `dilation`, 0 for `padding` 'same'; got {extra}"
            )
        if (usual if wanted is None else most) < 1:
            raise ValueError(f"`x` of shape {x} with `padding` {padding} would give a result of {name} {usual}")
        size.append(usual if wanted is None else wanted[i])
        if not least <= size[i] <= most:
            raise ValueError(f"`output_size` must have a {name} from {least} to {most} here, got {wanted}")
    check_size("the result", (N, *size, w[2] * groups))
    return conv((N, *size, w[2] * groups), w, stride, padding, dilation, groups)


class Pool(NamedTuple):
    """A pooling: the shapes of its arrays, and a function that gives the table of its windows."""

    x: tuple[int, int, int, int]
    y: tuple[int, int, int, int]
    windows: Callable[[], NDArray[np.intp]]
    dilation: Pair
    work: int


def pool(
    x: tuple[int, ...], kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any, include_pad: Any
) -> Pool:
    """Geometry of a pooling of input shape `x`."""
    if stride is None:
        stride = kernel_size
    if not type(kernel_size) is type(stride) is type(padding) is type(dilation) is int:
        kernel_size, stride = pair(kernel_size, "kernel_size"), pair(stride, "stride")
        padding, dilation = _padding(padding), pair(dilation, "dilation")
    return _pool(x, kernel_size, stride, padding, dilation, bool(ceil_mode), bool(include_pad))


@lru_cache(maxsize=1024)
def _pool(
    x: tuple[int, ...], kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool, include_pad: bool
) -> Pool:
    kernel, stride, dilation = pair(kernel_size, "kernel_size"), pair(stride, "stride"), pair(dilation, "dilation")
    N, H, W, C = images(x)
    axes = _axes("kernel_size", (H, W), kernel, stride, _padding(padding), dilation, ceil_mode)
    y = (N, axes[0].output, axes[1].output, C)
    check_size("the result", y)
    for a in axes:
        half = (a.dilation * (a.kernel - 1) + 1) // 2
        if max(a.before, a.after) > half:
            raise ValueError(
                f"`padding` must be at most half the window, {half} for {a.kernel} taps, got {(a.before, a.after)}"
            )
    work = N * y[1] * y[2] * C * kernel[0] * kernel[1] * POOLED
    table = windows.table((H, W), *(Strided(axis, include_pad) for axis in axes))
    return Pool((N, H, W, C), y, table, dilation, work)


@lru_cache(maxsize=1024)
def adaptive_pool(x: tuple[int, ...], output_size: Pair) -> Pool:
    """Geometry of windows from floor(i*H / OH) up to ceil((i + 1)*H / OH), which cover an image for any OH."""
    N, H, W, C = images(x)
    y = (N, *output_size, C)
    check_size("the result", y)
    work = N * C * (H + output_size[0]) * (W + output_size[1]) * POOLED
    table = windows.table((H, W), Adaptive(H, output_size[0]), Adaptive(W, output_size[1]))
    return Pool((N, H, W, C), y, table, (1, 1), work)
