"""Maximum and average pooling on NHWC arrays, with their gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cyconv import geometry, kernels, threads
from cyconv.arrays import INDEX, Real, deliver, empty, output, real_arrays
from cyconv.geometry import Padding
from cyconv.messages import renamed
from cyconv.unpool import scatter

TIES = ("first", "all")


@overload
def max_pool2d(
    x: ArrayLike,
    kernel_size: int | tuple[int, int],
    *,
    stride: int | tuple[int, int] | None = ...,
    padding: Padding = ...,
    dilation: int | tuple[int, int] = ...,
    ceil_mode: bool = ...,
    return_indices: Literal[False] = ...,
    out: Real | None = ...,
) -> Real: ...


@overload
def max_pool2d(
    x: ArrayLike,
    kernel_size: int | tuple[int, int],
    *,
    stride: int | tuple[int, int] | None = ...,
    padding: Padding = ...,
    dilation: int | tuple[int, int] = ...,
    ceil_mode: bool = ...,
    return_indices: Literal[True],
    out: Real | None = ...,
) -> tuple[Real, NDArray[np.int64]]: ...


def max_pool2d(
    x: ArrayLike,
    kernel_size: int | tuple[int, int],
    *,
    stride: int | tuple[int, int] | None = None,
    padding: Padding = 0,
    dilation: int | tuple[int, int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    out: Real | None = None,
) -> Real | tuple[Real, NDArray[np.int64]]:
    """The maximum of each window, channel by channel.

    ``y[n, i, j, c] = max(x[n, i*stride + r*dilation - top, j*stride + s*dilation - left, c])`` over r and s

    Parameters
    ----------
    x : array_like, (N, H, W, C) or (H, W, C)
        Images, channels last; dtypes as in `conv2d`.
    kernel_size : int or (int, int)
        Window (R, S).
    stride : int or (int, int), optional
        Distance of neighbouring windows; by default the window's size.
    padding : int, (int, int), ((top, bottom), (left, right)), "valid", "same" or "same_lower"
        Rows and columns around x that no maximum is taken from; at most half the window.  "same" gives
        ``ceil(H / stride)`` rows, as in `conv2d`.
    dilation : int or (int, int)
        Distance of the taps of a window.
    ceil_mode : bool
        Round OH and OW up: a last window may hang over the bottom and the right, if it begins before the end of x.
    return_indices : bool
        Also return where the maxima are, for `max_unpool2d` and `max_pool2d_backward`.
    out : ndarray, optional
        Where to put y: of the right shape and dtype, in C order.

    Returns
    -------
    y : ndarray, (N, OH, OW, C), or (OH, OW, C) for one image
        NaN where the window holds one, as `numpy.max`.
        ``OH = (H + top + bottom - dilation*(R - 1) - 1) // stride + 1``, and OW likewise.
    indices : ndarray of int64, the shape of y, if `return_indices`
        ``h*W + w`` of the first maximum in row-major order.

    Raises
    ------
    ValueError
        For shapes that do not fit together and parameters out of range.
    TypeError
        For dtypes and kinds of objects that are not accepted.

    See Also
    --------
    max_pool2d_backward : the gradient.
    max_unpool2d : the maxima back where they were.
    avg_pool2d, lp_pool2d : other means of a window.
    adaptive_max_pool2d, global_max_pool2d : windows by the size of the result.
    max_pool1d : the same for sequences.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> x = np.arange(16.0).reshape(1, 4, 4, 1)
    >>> y, indices = cyconv.max_pool2d(x, 2, return_indices=True)
    >>> y[0, :, :, 0]
    array([[ 5.,  7.],
           [13., 15.]])
    >>> indices[0, :, :, 0]
    array([[ 5,  7],
           [13, 15]])

    ResNet's first pooling halves the rows and columns:

    >>> cyconv.max_pool2d(np.ones((8, 112, 112, 64), np.float32), 3, stride=2, padding=1).shape
    (8, 56, 56, 64)
    """
    (x,) = real_arrays(("x",), (x,))
    g = geometry.pool(x.shape, kernel_size, stride, padding, dilation, ceil_mode, False)
    if not return_indices:
        return maximum(x, g, out, None)
    indices = empty(g.y if x.ndim == 4 else g.y[1:], INDEX)
    return maximum(x, g, out, indices), indices.astype(np.int64, copy=False)


def maximum(x: Real, g: geometry.Pool, out: Real | None, indices: NDArray[np.intp] | None) -> Real:
    """Maxima over the windows of g, and where they are if there is an array for `indices`."""
    batched = x.ndim == 4
    shape = g.y if batched else g.y[1:]
    y = empty(shape, x.dtype, x) if out is None else output(out, shape, x.dtype, (x,))
    if g.work:
        kernels.modules["pool", x.dtype].max_forward(
            x if batched else x[None],
            g.windows(),
            *g.dilation,
            y if batched else y[None],
            indices if batched or indices is None else indices[None],
            threads.team(g.work),
        )
    return y if out is None else deliver(y, out)


def max_pool2d_backward(
    dy: ArrayLike,
    x: ArrayLike,
    kernel_size: int | tuple[int, int],
    *,
    stride: int | tuple[int, int] | None = None,
    padding: Padding = 0,
    dilation: int | tuple[int, int] = 1,
    ceil_mode: bool = False,
    ties: Literal["first", "all"] = "first",
    indices: ArrayLike | None = None,
) -> Real:
    """Gradient of `max_pool2d` with respect to x.

    Parameters
    ----------
    dy : array_like, (N, OH, OW, C) or (OH, OW, C)
        Gradient of the result.
    x : array_like, (N, H, W, C) or (H, W, C)
        Input of the pooling.
    kernel_size, stride, padding, dilation, ceil_mode
        As given to `max_pool2d`.
    ties : "first" or "all"
        Which of several equal maxima gets the gradient.  A NaN equals nothing: with "all" its window has no gradient.
    indices : array_like of int, optional
        As returned by ``max_pool2d(..., return_indices=True)``; dy goes there, and the values of x are not looked at.

    Returns
    -------
    ndarray of the shape of x

    Raises
    ------
    ValueError, TypeError
        As `max_pool2d`, if dy does not have the shape of the pooling's result, or if an index is out of range.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> x = np.array([[1.0, 4.0], [4.0, 2.0]]).reshape(1, 2, 2, 1)
    >>> dy = np.ones((1, 1, 1, 1))
    >>> cyconv.max_pool2d_backward(dy, x, 2)[0, :, :, 0]
    array([[0., 1.],
           [0., 0.]])
    >>> cyconv.max_pool2d_backward(dy, x, 2, ties="all")[0, :, :, 0]
    array([[0., 1.],
           [1., 0.]])
    """
    dy, x = real_arrays(("dy", "x"), (dy, x))
    g = geometry.pool(x.shape, kernel_size, stride, padding, dilation, ceil_mode, False)
    if indices is None:
        return maximum_backward(dy, x, g, ties)
    geometry.choice(ties, "ties", TIES)
    geometry.check_gradient("dy", dy.shape, g.y if x.ndim == 4 else g.y[1:])
    return scatter(dy, indices, x.shape, add=True)


def maximum_backward(dy: Real, x: Real, g: geometry.Pool, ties: str) -> Real:
    """Gradient of the maxima over the windows of g."""
    batched = x.ndim == 4
    geometry.choice(ties, "ties", TIES)
    geometry.check_gradient("dy", dy.shape, g.y if batched else g.y[1:])
    dx = empty(x.shape, x.dtype, x)
    if g.work:
        kernels.modules["pool", x.dtype].max_backward(
            dy if batched else dy[None],
            x if batched else x[None],
            g.windows(),
            *g.dilation,
            ties == "all",
            dx if batched else dx[None],
            threads.team(2 * g.work),
        )
    return dx


def avg_pool2d(
    x: ArrayLike,
    kernel_size: int | tuple[int, int],
    *,
    stride: int | tuple[int, int] | None = None,
    padding: Padding = 0,
    dilation: int | tuple[int, int] = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = False,
    divisor_override: int | None = None,
    out: Real | None = None,
) -> Real:
    """The mean of each window, channel by channel.

    Parameters
    ----------
    x : array_like, (N, H, W, C) or (H, W, C)
        Images, channels last; dtypes as in `conv2d`.
    kernel_size : int or (int, int)
        Window (R, S).
    stride : int or (int, int), optional
        Distance of neighbouring windows; by default the window's size.
    padding : int, (int, int), ((top, bottom), (left, right)), "valid", "same" or "same_lower"
        Rows and columns of zeros around x; at most half the window.
    dilation : int or (int, int)
        Distance of the taps of a window.
    ceil_mode : bool
        As in `max_pool2d`.
    count_include_pad : bool
        Divide by the taps in the input and its padding, instead of those in the input.  The part of a window that
        ceil_mode lets hang over the padding never counts.
    divisor_override : int, optional
        Divide by this number instead.
    out : ndarray, optional
        Where to put y: of the right shape and dtype, in C order.

    Returns
    -------
    ndarray, (N, OH, OW, C), or (OH, OW, C) for one image

    Raises
    ------
    ValueError, TypeError
        For shapes that do not fit together, parameters out of range, and dtypes that are not accepted.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> x = np.arange(16.0).reshape(1, 4, 4, 1)
    >>> cyconv.avg_pool2d(x, 2)[0, :, :, 0]
    array([[ 2.5,  4.5],
           [10.5, 12.5]])
    """
    (x,) = real_arrays(("x",), (x,))
    g = geometry.pool(x.shape, kernel_size, stride, padding, dilation, ceil_mode, count_include_pad)
    return average(x, g, _divisor(divisor_override), out)


def _divisor(override: Any) -> int:
    return 0 if override is None else geometry.integer(override, "divisor_override", 1)


def average(x: Real, g: geometry.Pool, divisor: int, out: Real | None) -> Real:
    """Sums over the windows of g, divided by `divisor` or, if that is 0, by what the windows hold."""
    batched = x.ndim == 4
    shape = g.y if batched else g.y[1:]
    y = empty(shape, x.dtype, x) if out is None else output(out, shape, x.dtype, (x,))
    if g.work:
        kernels.modules["pool", x.dtype].avg_forward(
            x if batched else x[None],
            g.windows(),
            *g.dilation,
            divisor,
            y if batched else y[None],
            threads.team(g.work),
        )
    return y if out is None else deliver(y, out)


def avg_pool2d_backward(
    dy: ArrayLike,
    input_shape: Sequence[int],
    kernel_size: int | tuple[int, int],
    *,
    stride: int | tuple[int, int] | None = None,
    padding: Padding = 0,
    dilation: int | tuple[int, int] = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = False,
    divisor_override: int | None = None,
) -> Real:
    """Gradient of `avg_pool2d` with respect to x.

    Parameters
    ----------
    dy : array_like, (N, OH, OW, C) or (OH, OW, C)
        Gradient of the result.
    input_shape : tuple of int
        Shape of x, (N, H, W, C) or (H, W, C).
    kernel_size, stride, padding, dilation, ceil_mode, count_include_pad, divisor_override
        As given to `avg_pool2d`.

    Returns
    -------
    ndarray of shape `input_shape`

    Raises
    ------
    ValueError, TypeError
        As `avg_pool2d`, and if dy does not have the shape of the pooling's result.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> cyconv.avg_pool2d_backward(np.ones((1, 1, 1, 1)), (1, 2, 2, 1), 2)[0, :, :, 0]
    array([[0.25, 0.25],
           [0.25, 0.25]])
    """
    (dy,) = real_arrays(("dy",), (dy,))
    shape = geometry.shape(input_shape, "input_shape")
    try:
        g = geometry.pool(shape, kernel_size, stride, padding, dilation, ceil_mode, count_include_pad)
    except ValueError as error:
        raise renamed(error, x="input_shape") from None
    return average_backward(dy, g, shape, _divisor(divisor_override))


def average_backward(dy: Real, g: geometry.Pool, shape: tuple[int, ...], divisor: int) -> Real:
    """Gradient of the averages over the windows of g, with respect to an input of `shape`."""
    batched = len(shape) == 4
    geometry.check_gradient("dy", dy.shape, g.y if batched else g.y[1:])
    geometry.check_size("the gradient", shape)
    dx = empty(shape, dy.dtype, dy)
    if g.work:
        kernels.modules["pool", dy.dtype].avg_backward(
            dy if batched else dy[None],
            g.windows(),
            *g.dilation,
            divisor,
            dx if batched else dx[None],
            threads.team(2 * g.work),
        )
    return dx
