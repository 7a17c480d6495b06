"""Maximum and average pooling on NHWC arrays, with their gradients."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cyconv import geometry, kernels, threads
from cyconv.arrays import Real, deliver, output, real_arrays
from cyconv.messages import renamed

WORK = 8
"""A pooled number costs about as much as 8 multiply-adds: it is bound by memory."""


def _batch(x: Real) -> Real:
    return x if x.ndim == 4 else x[None]


def _unbatched(shape: tuple[int, ...], x: Real) -> tuple[int, ...]:
    return shape if x.ndim == 4 else shape[1:]


def max_pool2d(
    x: Any,
    kernel_size: Any,
    *,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    out: Any = None,
) -> Real | tuple[Real, NDArray[np.int64]]:
    """The maximum of each window, channel by channel.

    Parameters
    ----------
    x : array_like, (N, H, W, C) or (H, W, C)
        Images, channels last; dtypes as in `conv2d`.
    kernel_size : int or (int, int)
        Window (R, S).
    stride : int or (int, int), optional
        Distance of neighbouring windows; by default the window's size.
    padding : int, (int, int), ((top, bottom), (left, right)), "valid", "same" or "same_lower"
        Rows and columns around x that no maximum is taken from; at most half the window.
    dilation : int or (int, int)
        Distance of the taps of a window.
    ceil_mode : bool
        Let a last window hang over the edge, unless it would begin beyond the input and its padding before.
    return_indices : bool
        Also return where the maxima are: int64, into the H*W plane of each image and channel.
    out : ndarray, optional
        Where to put y.

    Returns
    -------
    y : ndarray, (N, OH, OW, C), or (OH, OW, C) for one image
        NaN where the window holds one, as `numpy.max`.
    indices : ndarray of int64, the shape of y, if `return_indices`
        Of the first maximum in row-major order.

    Raises
    ------
    ValueError, TypeError
        For shapes that do not fit together, parameters out of range, and dtypes that are not accepted.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> x = np.arange(16.0).reshape(1, 4, 4, 1)
    >>> cyconv.max_pool2d(x, 2)[0, :, :, 0]
    array([[ 5.,  7.],
           [13., 15.]])
    """
    (x,) = real_arrays(("x",), (x,))
    g = geometry.pool(_batch(x).shape, kernel_size, stride, padding, dilation, ceil_mode, False)
    return maximum(x, g, out, return_indices)


def maximum(x: Real, g: geometry.Pool, out: Any, return_indices: bool) -> Real | tuple[Real, NDArray[np.int64]]:
    """Maxima over the windows of g."""
    y, overlapping = output(out, _unbatched(g.y, x), x.dtype, (x,))
    indices = np.empty(y.shape, np.intp) if return_indices else None
    if g.work:
        where = None if indices is None else indices.reshape(g.y)
        kernels.modules["pool", x.dtype].max_forward(
            _batch(x), g.windows, *g.dilation, y.reshape(g.y), where, threads.team(g.work * WORK)
        )
    y = deliver(y, overlapping)
    return y if indices is None else (y, indices.astype(np.int64, copy=False))


def max_pool2d_backward(
    dy: Any,
    x: Any,
    kernel_size: Any,
    *,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    ties: str = "first",
    indices: Any = None,
) -> Real:
    """Gradient of `max_pool2d` with respect to x.

    Parameters
    ----------
    dy : array_like, (N, OH, OW, C) or (OH, OW, C)
        Gradient of the result.
    x : array_like
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
    g = geometry.pool(_batch(x).shape, kernel_size, stride, padding, dilation, ceil_mode, False)
    if indices is None:
        return maximum_backward(dy, x, g, ties)
    _check_ties(ties)
    geometry.check_gradient("dy", dy.shape, _unbatched(g.y, x))
    return _scatter(dy, indices, g.x, add=True).reshape(x.shape)


def _check_ties(ties: Any) -> None:
    if ties not in ("first", "all"):
        raise ValueError(f"ties must be 'first' or 'all', got {ties!r}")


def maximum_backward(dy: Real, x: Real, g: geometry.Pool, ties: str) -> Real:
    """Gradient of the maxima over the windows of g."""
    _check_ties(ties)
    geometry.check_gradient("dy", dy.shape, _unbatched(g.y, x))
    dx = np.empty(x.shape, x.dtype)
    if g.work:
        kernels.modules["pool", x.dtype].max_backward(
            dy.reshape(g.y),
            _batch(x),
            g.windows,
            *g.dilation,
            ties == "all",
            dx.reshape(g.x),
            threads.team(2 * g.work * WORK),
        )
    return dx


def max_unpool2d(x: Any, indices: Any, output_shape: Any) -> Real:
    """Undo `max_pool2d` as far as can be: every value goes back where it was found, zeros elsewhere.

    Parameters
    ----------
    x : array_like, (N, OH, OW, C) or (OH, OW, C)
        Maxima.
    indices : array_like of int, the shape of x
        As returned by ``max_pool2d(..., return_indices=True)``.  Of several values for one place the last stays.
    output_shape : tuple of int
        Shape of the images they came from, (N, H, W, C) or (H, W, C).

    Returns
    -------
    ndarray of shape `output_shape`

    Raises
    ------
    ValueError, TypeError
        For shapes that do not fit together and indices out of range.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> x = np.array([[1.0, 4.0], [3.0, 2.0]]).reshape(1, 2, 2, 1)
    >>> y, indices = cyconv.max_pool2d(x, 2, return_indices=True)
    >>> cyconv.max_unpool2d(y, indices, x.shape)[0, :, :, 0]
    array([[0., 4.],
           [0., 0.]])
    """
    (x,) = real_arrays(("x",), (x,))
    shape = geometry.shape4(output_shape, "output_shape")
    if len(shape) != x.ndim or shape[-1] != x.shape[-1] or (x.ndim == 4 and shape[0] != x.shape[0]):
        raise ValueError(f"output_shape {shape} and x {x.shape} must have the same images and channels")
    geometry.check_size("the result", shape)
    return _scatter(x, indices, (1, *shape)[-4:], add=False).reshape(shape)


def _scatter(values: Real, indices: Any, shape: tuple[int, ...], *, add: bool) -> Real:
    """Values put at their indices into images of `shape` (N, H, W, C), zeros elsewhere."""
    if isinstance(indices, np.ma.MaskedArray):
        raise TypeError("indices is a masked array; fill it first")
    where = np.asarray(indices)
    if where.dtype.kind not in "iu":
        raise TypeError(f"indices must be integers, got dtype {where.dtype}")
    if where.shape != values.shape:
        raise ValueError(f"indices has shape {where.shape}; the values have shape {values.shape}")
    N, H, W, C = shape
    if where.size and not (where.min() >= 0 and where.max() < H * W):
        raise ValueError(f"indices must be at least 0 and less than H * W = {H * W}")
    planes = np.zeros((N, H * W, C), values.dtype)
    if values.size:
        # A private copy: nobody can change it between the check and the kernel.
        where = np.array(where, np.intp, order="C").reshape(N, -1, C)
        kernels.modules["pool", values.dtype].scatter(
            values.reshape(N, -1, C), where, add, planes, min(N, threads.team(values.size * WORK))
        )
    return planes


def avg_pool2d(
    x: Any,
    kernel_size: Any,
    *,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = False,
    divisor_override: int | None = None,
    out: Any = None,
) -> Real:
    """The mean of each window, channel by channel.

    Parameters
    ----------
    x, kernel_size, stride, padding, dilation, ceil_mode, out
        As in `max_pool2d`.
    count_include_pad : bool
        Divide by the taps in the input and its padding, instead of those in the input.  The part of a window that
        ceil_mode lets hang over the padding never counts.
    divisor_override : int, optional
        Divide by this number instead.

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
    g = geometry.pool(_batch(x).shape, kernel_size, stride, padding, dilation, ceil_mode, count_include_pad)
    return average(x, g, _divisor(divisor_override), out)


def _divisor(override: Any) -> int:
    return 0 if override is None else geometry.integer(override, "divisor_override", 1)


def average(x: Real, g: geometry.Pool, divisor: int, out: Any) -> Real:
    """Sums over the windows of g, divided by `divisor` or, if that is 0, by what the windows hold."""
    y, overlapping = output(out, _unbatched(g.y, x), x.dtype, (x,))
    if g.work:
        kernels.modules["pool", x.dtype].avg_forward(
            _batch(x), g.windows, *g.dilation, divisor, y.reshape(g.y), threads.team(g.work * WORK)
        )
    return deliver(y, overlapping)


def avg_pool2d_backward(
    dy: Any,
    input_shape: Any,
    kernel_size: Any,
    *,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
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
        Shape of x.
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
    shape = geometry.shape4(input_shape, "input_shape")
    batched = shape if len(shape) == 4 else (1, *shape)
    try:
        g = geometry.pool(batched, kernel_size, stride, padding, dilation, ceil_mode, count_include_pad)
    except ValueError as error:
        raise renamed(error, x="input_shape") from None
    return average_backward(dy, g, shape, _divisor(divisor_override))


def average_backward(dy: Real, g: geometry.Pool, shape: tuple[int, ...], divisor: int) -> Real:
    """Gradient of the averages over the windows of g, with respect to an input of `shape`."""
    geometry.check_gradient("dy", dy.shape, g.y if len(shape) == 4 else g.y[1:])
    geometry.check_size("the gradient", shape)
    dx = np.empty(shape, dy.dtype)
    if g.work:
        kernels.modules["pool", dy.dtype].avg_backward(
            dy.reshape(g.y), g.windows, *g.dilation, divisor, dx.reshape(g.x), threads.team(2 * g.work * WORK)
        )
    return dx
