"""Convolution of sequences, with its gradients: `conv2d` on images one row high."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from numpy.typing import ArrayLike

from cyconv.arrays import Real
from cyconv.conv import conv2d, conv2d_backward, conv2d_input_grad, conv2d_weight_grad
from cyconv.one_d import Padding1d, row, row_filters, row_options, row_shape, row_size, sequence


def conv1d(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None = None,
    *,
    stride: int = 1,
    padding: Padding1d = 0,
    dilation: int = 1,
    groups: int = 1,
    activation: Literal["relu"] | None = None,
    algorithm: str = "auto",
) -> Real:
    """Convolve sequences with filters (cross-correlation).

    ``y[n, j, k] = b[k] + sum(x[n, j*stride + s*dilation - left, c] * w[s, c, k])``

    Parameters
    ----------
    x : array_like, (N, W, C) or (W, C)
        Sequences, channels last; dtypes as in `conv2d`.
    w : array_like, (S, C // groups, K)
        Filters.
    b : array_like, (K,), optional
        Added at every position.
    stride, dilation : int
        Distance of neighbouring windows, and of neighbouring taps of a window.
    padding : int, (left, right), "valid", "same" or "same_lower"
        Zeros before and after x.  "same" gives ``ceil(W / stride)`` positions, with the odd zero at the end;
        "same_lower" puts it at the beginning.
    groups : int
        Output channel k sees the input channels of its group only; must divide C and K.
    activation : None or "relu"
        Applied to y before it leaves the registers.
    algorithm : "auto" or "direct"
        How to compute it.

    Returns
    -------
    ndarray, (N, OW, K), or (OW, K) for one sequence
        ``OW = (W + left + right - dilation*(S - 1) - 1) // stride + 1``.

    Raises
    ------
    ValueError, TypeError
        For shapes that do not fit together, parameters out of range, and dtypes that are not accepted.  Shapes in the
        message may be those of images one row high, (N, 1, W, C).

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> cyconv.conv1d(np.arange(4.0).reshape(1, 4, 1), np.ones((2, 1, 1)))[0, :, 0]
    array([1., 3., 5.])
    """
    y = conv2d(
        row(x, "x"),
        row_filters(w),
        b,
        **row_options(stride, padding, dilation),
        groups=groups,
        activation=activation,
        algorithm=algorithm,
    )
    return sequence(y)


def conv1d_input_grad(
    dy: ArrayLike,
    w: ArrayLike,
    input_shape: Sequence[int],
    *,
    stride: int = 1,
    padding: Padding1d = 0,
    dilation: int = 1,
    groups: int = 1,
    algorithm: str = "auto",
) -> Real:
    """Gradient of `conv1d` with respect to x.

    Parameters
    ----------
    dy : array_like, (N, OW, K) or (OW, K)
        Gradient of the result.
    w : array_like, (S, C // groups, K)
        Filters of the convolution.
    input_shape : tuple of int
        Shape of x, (N, W, C) or (W, C).
    stride, padding, dilation, groups, algorithm
        As given to `conv1d`.

    Returns
    -------
    ndarray of shape `input_shape`

    Raises
    ------
    ValueError, TypeError
        As `conv1d`, and if dy does not have the shape of the convolution's result.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> cyconv.conv1d_input_grad(np.ones((1, 3, 1)), np.ones((2, 1, 1)), (1, 4, 1))[0, :, 0]
    array([1., 2., 2., 1.])
    """
    dx = conv2d_input_grad(
        row(dy, "dy"),
        row_filters(w),
        row_shape(input_shape, "input_shape"),
        **row_options(stride, padding, dilation),
        groups=groups,
        algorithm=algorithm,
    )
    return sequence(dx)


def conv1d_weight_grad(
    dy: ArrayLike,
    x: ArrayLike,
    kernel_size: int,
    *,
    stride: int = 1,
    padding: Padding1d = 0,
    dilation: int = 1,
    groups: int = 1,
    algorithm: str = "auto",
) -> Real:
    """Gradient of `conv1d` with respect to w.

    Parameters
    ----------
    dy : array_like, (N, OW, K) or (OW, K)
        Gradient of the result.
    x : array_like, (N, W, C) or (W, C)
        Input of the convolution.
    kernel_size : int
        S, the length of the filters.
    stride, padding, dilation, groups, algorithm
        As given to `conv1d`.

    Returns
    -------
    ndarray, (S, C // groups, K)

    Raises
    ------
    ValueError, TypeError
        As `conv1d`, and if dy does not have the shape of the convolution's result.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> cyconv.conv1d_weight_grad(np.ones((1, 3, 1)), np.arange(4.0).reshape(1, 4, 1), 2)[:, 0, 0]
    array([3., 6.])
    """
    dw = conv2d_weight_grad(
        row(dy, "dy"),
        row(x, "x"),
        row_size(kernel_size),
        **row_options(stride, padding, dilation),
        groups=groups,
        algorithm=algorithm,
    )
    return dw.reshape(dw.shape[1:])


def conv1d_backward(
    dy: ArrayLike,
    x: ArrayLike,
    w: ArrayLike,
    *,
    stride: int = 1,
    padding: Padding1d = 0,
    dilation: int = 1,
    groups: int = 1,
    activation: Literal["relu"] | None = None,
    y: ArrayLike | None = None,
    algorithm: str = "auto",
) -> tuple[Real, Real, Real]:
    """All three gradients of `conv1d`.

    Parameters
    ----------
    dy : array_like, (N, OW, K) or (OW, K)
        Gradient of the result.
    x : array_like, (N, W, C) or (W, C)
        Input of the convolution.
    w : array_like, (S, C // groups, K)
        Filters of the convolution.
    stride, padding, dilation, groups, activation, algorithm
        As given to `conv1d`.
    y : array_like, optional
        The result of `conv1d`: needed with ``activation="relu"``, which lets dy pass where y is positive.

    Returns
    -------
    dx, dw, db : ndarray
        Of the shapes of x, of w and (K,).  db is summed in float64.

    Raises
    ------
    ValueError, TypeError
        As `conv1d`, and if dy does not have the shape of the convolution's result.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> dx, dw, db = cyconv.conv1d_backward(np.ones((1, 3, 1)), np.ones((1, 4, 1)), np.ones((2, 1, 1)))
    >>> dx.shape, dw.shape, db
    ((1, 4, 1), (2, 1, 1), array([3.]))
    """
    dx, dw, db = conv2d_backward(
        row(dy, "dy"),
        row(x, "x"),
        row_filters(w),
        **row_options(stride, padding, dilation),
        groups=groups,
        activation=activation,
        y=None if y is None else row(y, "y"),
        algorithm=algorithm,
    )
    return sequence(dx), dw[0], db
