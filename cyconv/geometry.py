"""Stride, padding, dilation and groups -> sizes.  The one place that rejects shapes.

Everything is computed in Python integers, so nothing overflows before it is refused.  The geometries of repeated calls
are cached: a call with plain integers costs one look-up.
"""

import sys
from collections.abc import Sequence
from functools import lru_cache
from operator import index
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Pair = tuple[int, int]
Padding = str | tuple[Pair, Pair]
LARGEST = 2**31 - 1
SAME = ("valid", "same", "same_lower")


def integer(value: Any, name: str, least: int) -> int:
    """One integer parameter, checked."""
    if isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    try:
        number = index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer or a pair of integers, got {value!r}") from None
    if not least <= number <= LARGEST:
        raise ValueError(f"{name} must be between {least} and {LARGEST}, got {number}")
    return number


def pair(value: Any, name: str, least: int = 1) -> Pair:
    """An integer for both axes, or one for each: (height, width)."""
    if isinstance(value, str) or value is None:
        raise TypeError(f"{name} must be an integer or a pair of integers, got {value!r}")
    if hasattr(value, "__len__") and not (hasattr(value, "shape") and value.shape == ()):
        if len(value) != 2:
            raise ValueError(f"{name} must be an integer or a pair (height, width), got {value!r}")
        return integer(value[0], name, least), integer(value[1], name, least)
    number = integer(value, name, least)
    return number, number


def _padding(value: Any) -> Padding:
    """A name, or ((top, bottom), (left, right))."""
    if isinstance(value, str):
        if value not in SAME:
            raise ValueError(f"padding must be one of {', '.join(map(repr, SAME))} or integers, got {value!r}")
        return value
    if hasattr(value, "__len__") and len(value) == 2 and all(hasattr(side, "__len__") for side in value):
        return pair(value[0], "padding", 0), pair(value[1], "padding", 0)
    height, width = pair(value, "padding", 0)
    return (height, height), (width, width)


def shape4(value: Any, name: str) -> tuple[int, ...]:
    """A shape argument (N, H, W, C), or (H, W, C) of one image."""
    if isinstance(value, str) or not hasattr(value, "__len__"):
        raise TypeError(f"{name} must be a tuple (N, H, W, C), got {value!r}")
    if len(value) not in (3, 4):
        raise ValueError(f"{name} must have 4 numbers (N, H, W, C), or 3 for one image, got {tuple(value)}")
    return tuple(integer(size, name, 0) for size in value)


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
        raise ValueError(f"{name} has shape {given}; the forward result has shape {expected}")


class Axis(NamedTuple):
    """One spatial axis: input size, window, stride, dilation, padding before and after, output size."""

    size: int
    kernel: int
    stride: int
    dilation: int
    before: int
    after: int
    output: int


def _pads(padding: Padding, axis: int, size: int, kernel: int, stride: int, dilation: int) -> Pair:
    if padding == "valid":
        return 0, 0
    if not isinstance(padding, str):
        return padding[axis]
    total = max((-(-size // stride) - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    small, large = total // 2, total - total // 2
    return (small, large) if padding == "same" else (large, small)


def _axes(
    window: str, size: Sequence[int], kernel: Pair, stride: Pair, padding: Padding, dilation: Pair, ceil_mode: bool
) -> tuple[Axis, Axis]:
    """Both spatial axes of an input of `size` (H, W); `window` names the argument that gives the kernel."""
    axes = []
    for i, name in enumerate(("height", "width")):
        before, after = _pads(padding, i, size[i], kernel[i], stride[i], dilation[i])
        extent = dilation[i] * (kernel[i] - 1) + 1
        padded = size[i] + before + after
        if size[i] < 1:
            raise ValueError(f"x has {name} {size[i]}; it must be at least 1")
        if extent > padded:
            raise ValueError(
                f"{window} has a window of {kernel[0]} by {kernel[1]}, which with dilation {dilation} covers {extent} "
                f"pixels of {name}, more than the {padded} of the input with its padding"
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
    if len(x) != 4:
        raise ValueError(f"x must have 4 dimensions (N, H, W, C), or 3 for one image, got shape {x}")
    if len(w) != 4:
        raise ValueError(f"w must have 4 dimensions (R, S, C // groups, K), got shape {w}")
    (N, H, W, C), (R, S, c, K) = x, w
    if min(R, S) < 1:
        raise ValueError(f"w has a window of {R} by {S}; both must be at least 1")
    if C < 1 or K < 1:
        raise ValueError(f"channels must be at least 1; x has {C} and w gives {K} output channels")
    if C % groups or K % groups:
        raise ValueError(f"groups={groups} must divide the channels of x, {C}, and the output channels of w, {K}")
    if c * groups != C:
        raise ValueError(
            f"w has {c} input channels a group, but x has {C} channels in groups={groups}: shapes {w}, {x}"
        )
    h, v = _axes("w", (H, W), (R, S), stride, padding, dilation, False)
    y = (N, h.output, v.output, K)
    check_size("the result", y)
    parameters = (*stride, h.before, v.before, *dilation, groups)
    kernel = "depthwise" if groups == C == K > 1 else "conv"
    return Conv((N, H, W, C), (R, S, c, K), y, parameters, kernel, N * h.output * v.output * K * R * S * c)


def transposed_size(
    x: tuple[int, ...],
    w: tuple[int, ...],
    stride: Any,
    padding: Any,
    dilation: Any,
    output_padding: Any,
    output_size: Any,
) -> tuple[int, int]:
    """(OH, OW) of a transposed convolution of x (N, H, W, C) with w (R, S, K // groups, C)."""
    stride, dilation, padding = pair(stride, "stride"), pair(dilation, "dilation"), _padding(padding)
    if len(x) != 4 or len(w) != 4:
        raise ValueError(f"x and w must have 4 dimensions (N, H, W, C) and (R, S, K // groups, C), got {x} and {w}")
    extra = pair(output_padding, "output_padding", 0)
    wanted = None if output_size is None else pair(output_size, "output_size")
    sizes = []
    for i in range(2):
        extent = dilation[i] * (w[i] - 1) + 1
        if isinstance(padding, str) and padding != "valid":
            least = (x[1 + i] - 1) * stride[i] + 1  # any size up to x*stride has this many windows
            size = x[1 + i] * stride[i]
        else:
            least = size = (x[1 + i] - 1) * stride[i] - sum(_pads(padding, i, 1, 1, 1, 1)) + extent
            size += extra[i]
        if extra[i] and extra[i] >= max(stride[i], dilation[i]):
            raise ValueError(f"output_padding {extra} must be smaller than stride {stride} or dilation {dilation}")
        if wanted is not None:
            if any(extra):
                raise ValueError("give output_size or output_padding, not both")
            if not least <= wanted[i] < least + stride[i]:
                raise ValueError(
                    f"output_size {wanted} must be between {least} and {least + stride[i] - 1} on axis {i}"
                )
            size = wanted[i]
        if size < 1:
            raise ValueError(f"the transposed convolution of shape {x} would have size {size} on axis {i}")
        sizes.append(size)
    return sizes[0], sizes[1]


class Pool(NamedTuple):
    """A pooling: the shapes of its arrays, and for each window row and column (first, count, size) as kernels/pool.pyx
    takes it: source coordinates first, first + dilation, ... of `count` taps inside the image, a divisor of `size`."""

    x: tuple[int, int, int, int]
    y: tuple[int, int, int, int]
    windows: NDArray[np.intp]
    dilation: Pair
    work: int


def pool(
    x: tuple[int, ...], kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: Any, include_pad: Any
) -> Pool:
    """Geometry of a pooling of input shape `x` (N, H, W, C)."""
    if not type(kernel_size) is type(stride) is type(padding) is type(dilation) is int:
        kernel_size = pair(kernel_size, "kernel_size")
        stride = kernel_size if stride is None else pair(stride, "stride")
        padding, dilation = _padding(padding), pair(dilation, "dilation")
    return _pool(x, kernel_size, stride, padding, dilation, bool(ceil_mode), bool(include_pad))


@lru_cache(maxsize=1024)
def _pool(
    x: tuple[int, ...], kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool, include_pad: bool
) -> Pool:
    kernel, stride, dilation = pair(kernel_size, "kernel_size"), pair(stride, "stride"), pair(dilation, "dilation")
    N, H, W, C = _images(x)
    axes = _axes("kernel_size", (H, W), kernel, stride, _padding(padding), dilation, ceil_mode)
    y = (N, axes[0].output, axes[1].output, C)
    check_size("the result", y)
    rows = []
    for a in axes:
        half = (a.dilation * (a.kernel - 1) + 1) // 2
        if max(a.before, a.after) > half:
            raise ValueError(f"padding {(a.before, a.after)} is more than half the window: at most {half} for {kernel}")
        for i in range(a.output):
            start = i * a.stride - a.before
            skipped = -(min(start, 0) // a.dilation)
            inside = min(a.kernel, (a.size - 1 - start) // a.dilation + 1) - skipped
            if inside < 1:
                raise ValueError(f"window {i} of size {kernel}, dilation {dilation} lies entirely in the padding")
            padded = min(a.kernel, (a.size + a.after - 1 - start) // a.dilation + 1)
            rows.append((start + skipped * a.dilation, inside, padded if include_pad else inside))
    return Pool((N, H, W, C), y, _table(rows), dilation, N * y[1] * y[2] * C * kernel[0] * kernel[1])


@lru_cache(maxsize=1024)
def adaptive_pool(x: tuple[int, ...], output_size: Pair) -> Pool:
    """Geometry of windows from floor(i*H / OH) up to ceil((i + 1)*H / OH), which cover an image for any OH."""
    N, H, W, C = _images(x)
    rows = []
    for size, outputs in zip((H, W), output_size, strict=True):
        for i in range(outputs):
            start, stop = i * size // outputs, -(-(i + 1) * size // outputs)
            rows.append((start, stop - start, stop - start))
    y = (N, *output_size, C)
    check_size("the result", y)
    return Pool((N, H, W, C), y, _table(rows), (1, 1), N * C * (H + output_size[0]) * (W + output_size[1]))


def _images(x: tuple[int, ...]) -> tuple[int, int, int, int]:
    if len(x) != 4:
        raise ValueError(f"x must have 4 dimensions (N, H, W, C), or 3 for one image, got shape {x}")
    if min(x[1:]) < 1:
        raise ValueError(f"x has shape {x}; height, width and channels must be at least 1")
    return x[0], x[1], x[2], x[3]


def _table(rows: list[tuple[int, int, int]]) -> NDArray[np.intp]:
    table = np.array(rows, dtype=np.intp)
    table.flags.writeable = False  # cached: shared by every call of this geometry
    return table
