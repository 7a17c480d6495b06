"""Maximum and average pooling of sequences, with their gradients: those of images one row high."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cyconv.arrays import Real
from cyconv.one_d import Padding1d, row, row_options, row_shape, row_size, sequence
from cyconv.pool import avg_pool2d, avg_pool2d_backward, max_pool2d, max_pool2d_backward


@overload
def max_pool1d(
    x: ArrayLike,
    kernel_size: int,
    *,
    stride: int | None = ...,
    padding: Padding1d = ...,
    dilation: int = ...,
    ceil_mode: bool = ...,
    return_indices: Literal[False] = ...,
) -> Real: ...


@overload
def max_pool1d(
    x: ArrayLike,
    kernel_size: int,
    *,
    stride: int | None = ...,
    padding: Padding1d = ...,
    dilation: int = ...,
    ceil_mode: bool = ...,
    return_indices: Literal[True],
) -> tuple[Real, NDArray[np.int64]]: ...


def max_pool1d(
    x: ArrayLike,
    kernel_size: int,
    *,
    stride: int | None = None,
    padding: Padding1d = 0,
    dilation: int = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Real | tuple[Real, NDArray[np.int64]]:
    """The maximum of each window of sequences, channel by channel.

    Parameters
    ----------
    x : array_like, (N, W, C) or (W, C)
        Sequences, channels last; dtypes as in `conv2d`.
    kernel_size : int
        Length of the window.
    stride : int, optional
        Distance of neighbouring windows; by default the window's length.
    padding : int, (left, right), "valid", "same" or "same_lower"
        Positions around x that no maximum is taken from; at most half the window.
    dilation : int
        Distance of the taps of a window.
    ceil_mode : bool
        Let a last window hang over the end, unless it would begin beyond the input and its padding before.
    return_indices : bool
        Also return where the maxima are: int64, into the W positions of each sequence and channel.

    Returns
    -------
    y : ndarray, (N, OW, C), or (OW, C) for one sequence
        NaN where the window holds one, as `numpy.max`.
    indices : ndarray of int64, the shape of y, if `return_indices`
        Of the first maximum.

    Raises
    ------
    ValueError, TypeError
        For shapes that do not fit together, parameters out of range, and dtypes that are not accepted.  Shapes in the
        message may be those of images one row high, (N, 1, W, C).

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> cyconv.max_pool1d(np.arange(4.0).reshape(1, 4, 1), 2)[0, :, 0]
    array([1., 3.])
    """
    images, size, options = row(x, "x"), row_size(kernel_size), row_options(stride, padding, dilation)
    if not return_indices:
        return sequence(max_pool2d(images, size, **options, ceil_mode=ceil_mode))
    y, indices = max_pool2d(images, size, **options, ceil_mode=ceil_mode, return_indices=True)
    return sequence(y), sequence(indices)


def max_pool1d_backward(
    dy: ArrayLike,
    x: ArrayLike,
    kernel_size: int,
    *,
    stride: int | None = None,
    padding: Padding1d = 0,
    dilation: int = 1,
    ceil_mode: bool = False,
    ties: Literal["first", "all"] = "first",
    indices: ArrayLike | None = None,
) -> Real:
    """Gradient of `max_pool1d` with respect to x.

    Parameters
    ----------
    dy : array_like, (N, OW, C) or (OW, C)
        Gradient of the result.
    x : array_like, (N, W, C) or (W, C)
        Input of the pooling.
    kernel_size, stride, padding, dilation, ceil_mode
        As given to `max_pool1d`.
    ties : "first" or "all"
        Which of several equal maxima gets the gradient.  A NaN equals nothing: with "all" its window has no gradient.
    indices : array_like of int, optional
        As returned by ``max_pool1d(..., return_indices=True)``; dy goes there, and the values of x are not looked at.

    Returns
    -------
    ndarray of the shape of x

    Raises
    ------
    ValueError, TypeError
        As `max_pool1d`, if dy does not have the shape of the pooling's result, or if an index is out of range.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> cyconv.max_pool1d_backward(np.ones((1, 2, 1)), np.arange(4.0).reshape(1, 4, 1), 2)[0, :, 0]
    array([0., 1., 0., 1.])
    """
    dx = max_pool2d_backward(
        row(dy, "dy"),
        row(x, "x"),
        row_size(kernel_size),
        **row_options(stride, padding, dilation),
        ceil_mode=ceil_mode,
        ties=ties,
        indices=None if indices is None else row(indices, "indices"),
    )
    return sequence(dx)


def avg_pool1d(
    x: ArrayLike,
    kernel_size: int,
    *,
    stride: int | None = None,
    padding: Padding1d = 0,
    dilation: int = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = False,
    divisor_override: int | None = None,
) -> Real:
    """The mean of each window of sequences, channel by channel.

    Parameters
    ----------
    x : array_like, (N, W, C) or (W, C)
        Sequences, channels last; dtypes as in `conv2d`.
    kernel_size : int
        Length of the window.
    stride : int, optional
        Distance of neighbouring windows; by default the window's length.
    padding : int, (left, right), "valid", "same" or "same_lower"
        Zeros around x; at most half the window.
    dilation : int
        Distance of the taps of a window.
    ceil_mode : bool
        Let a last window hang over the end, unless it would begin beyond the input and its padding before.
    count_include_pad : bool
        Divide by the taps in the input and its padding, instead of those in the input.
    divisor_override : int, optional
        Divide by this number instead.

    Returns
    -------
    ndarray, (N, OW, C), or (OW, C) for one sequence

    Raises
    ------
    ValueError, TypeError
        For shapes that do not fit together, parameters out of range, and dtypes that are not accepted.  Shapes in the
        message may be those of images one row high, (N, 1, W, C).

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> cyconv.avg_pool1d(np.arange(4.0).reshape(1, 4, 1), 2)[0, :, 0]
    array([0.5, 2.5])
    """
    y = avg_pool2d(
        row(x, "x"),
        row_size(kernel_size),
        **row_options(stride, padding, dilation),
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
        divisor_override=divisor_override,
    )
    return sequence(y)


def avg_pool1d_backward(
    dy: ArrayLike,
    input_shape: Sequence[int],
    kernel_size: int,
    *,
    stride: int | None = None,
    padding: Padding1d = 0,
    dilation: int = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = False,
    divisor_override: int | None = None,
) -> Real:
    """Gradient of `avg_pool1d` with respect to x.

    Parameters
    ----------
    dy : array_like, (N, OW, C) or (OW, C)
        Gradient of the result.
    input_shape : tuple of int
        Shape of x, (N, W, C) or (W, C).
    kernel_size, stride, padding, dilation, ceil_mode, count_include_pad, divisor_override
        As given to `avg_pool1d`.

    Returns
    -------
    ndarray of shape `input_shape`

    Raises
    ------
    ValueError, TypeError
        As `avg_pool1d`, and if dy does not have the shape of the pooling's result.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> cyconv.avg_pool1d_backward(np.ones((1, 2, 1)), (1, 4, 1), 2)[0, :, 0]
    array([0.5, 0.5, 0.5, 0.5])
    """
    dx = avg_pool2d_backward(
        row(dy, "dy"),
        row_shape(input_shape, "input_shape"),
        row_size(kernel_size),
        **row_options(stride, padding, dilation),
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
        divisor_override=divisor_override,
    )
    return sequence(dx)
