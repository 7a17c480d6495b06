"""Convolution on NHWC arrays, with its gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from cyconv import geometry, kernels, threads
from cyconv.algorithm import check_algorithm, kernel_for
from cyconv.arrays import Real, deliver, empty, output, real_arrays
from cyconv.geometry import Padding
from cyconv.messages import renamed

ACTIVATIONS = (None, "relu")


def check_names(algorithm: Any, activation: Any = None) -> None:
    """Refuse what is no algorithm or no activation."""
    if algorithm != "auto":
        check_algorithm(algorithm)
    if activation is not None:
        geometry.choice(activation, "activation", ACTIVATIONS)


def bias_vector(b: Real, K: int) -> Real:
    """A bias as the kernels take it."""
    shape = b.shape
    if shape == (1, 1, 1, K):
        return b.ravel()
    if shape != (K,):
        raise ValueError(f"`b` must have shape ({K},) or (1, 1, 1, {K}), as many as output channels; got {shape}")
    return b


def conv2d(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None = None,
    *,
    stride: int | tuple[int, int] = 1,
    padding: Padding = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    activation: Literal["relu"] | None = None,
    algorithm: str = "auto",
    out: Real | None = None,
) -> Real:
    """Convolve images with filters (cross-correlation, as in every neural network library).

    ``y[n, i, j, k] = b[k] + sum(x[n, i*stride + r*dilation - top, j*stride + s*dilation - left, c] * w[r, s, c, k])``

    Parameters
    ----------
    x : array_like, (N, H, W, C) or (H, W, C)
        Images, channels last.  float32 stays float32; float16 becomes float32; integers, bool and float64 become
        float64.  Mixed dtypes follow `numpy.result_type`.  Any memory layout; never modified.
    w : array_like, (R, S, C // groups, K)
        Filters.
    b : array_like, (K,) or (1, 1, 1, K), optional
        Added to every pixel.
    stride : int or (int, int)
        Distance of neighbouring windows: in both directions, or (height, width).
    dilation : int or (int, int)
        Distance of neighbouring taps of a window.
    padding : int, (int, int), ((top, bottom), (left, right)), "valid", "same" or "same_lower"
        Rows and columns of zeros around x; "valid" is none.  "same" makes y as large as x, or ``ceil(H / stride)``
        rows, with the odd row of padding at the bottom and the right, as TensorFlow; "same_lower" puts it at the top
        and the left.
    groups : int
        Cut the channels of x and of y into so many parts, and compute each part of y from its part of x.  It must
        divide C and K; with ``groups=C`` the convolution is depthwise.
    activation : None or "relu"
        Applied to y before it leaves the registers.
    algorithm : "auto", "direct" or "winograd"
        How to compute it.  "auto" takes Winograd's algorithm for large convolutions with filters of 3 by 3, 4 by 4 or
        5 by 5, stride 1 and dilation 1, if they are not depthwise and it is faster; its rounding errors are a few times
        as large.  `explain` says which it takes, and `set_algorithm` what "auto" stands for.
    out : ndarray, optional
        Where to put y: of the right shape and dtype, in C order.  May overlap the inputs.

    Returns
    -------
    ndarray, (N, OH, OW, K), or (OH, OW, K) for one image
        ``OH = (H + top + bottom - dilation*(R - 1) - 1) // stride + 1``, and OW likewise.

    Raises
    ------
    ValueError
        For shapes that do not fit together and parameters out of range.
    TypeError
        For complex, longdouble, object and string dtypes, masked arrays, and arguments of a wrong kind.

    See Also
    --------
    conv2d_backward : the gradients with respect to x, w and b.
    conv_transpose2d : the way back from y to the shape of x.
    conv1d : the same for sequences.
    PreparedConv2d : the same with fixed filters, made ready once.

    Notes
    -----
    Direct convolution is an implicit matrix product [1]_ with a table of pointers to pixels [2]_: no matrix of windows
    is built.  Winograd's F(4x4, 3x3) and F(3x3, 4x4) [3]_ have a quarter of the multiplications, F(2x2, 5x5) has 36 of
    100; the points are chosen after [4]_.
    The result has the same bits for any number of threads, and for any split of the batch over calls of the same
    algorithm ("auto" looks at the size of the batch).

    References
    ----------
    .. [1] Zhang, Franchetti and Low, "High performance zero-memory overhead direct convolutions", 2018.
    .. [2] Dukhan, "The indirect convolution algorithm", 2019.
    .. [3] Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016.
    .. [4] Barabasz et al., "Error analysis and improving the accuracy of Winograd convolution", 2020.

    Examples
    --------
    Sums of 3 by 3 windows:

    >>> import numpy as np, cyconv
    >>> x = np.arange(16.0).reshape(1, 4, 4, 1)
    >>> w = np.ones((3, 3, 1, 1))
    >>> cyconv.conv2d(x, w)[0, :, :, 0]
    array([[45., 54.],
           [81., 90.]])

    A network's first layer, and a depthwise one on its result:

    >>> images = np.ones((8, 224, 224, 3), np.float32)
    >>> y = cyconv.conv2d(images, np.ones((3, 3, 3, 32), np.float32), stride=2, padding="same", activation="relu")
    >>> y.shape, y.dtype
    ((8, 112, 112, 32), dtype('float32'))
    >>> cyconv.conv2d(y, np.ones((3, 3, 1, 32), np.float32), padding="same", groups=32).shape
    (8, 112, 112, 32)

    What does not fit is refused before anything is computed:

    >>> cyconv.conv2d(x, np.ones((3, 3, 2, 1)))
    Traceback (most recent call last):
        ...
    ValueError: `w` takes 2 channels in each of 1 `groups`, but `x` has 1: shapes (3, 3, 2, 1) and (1, 4, 4, 1)
    """
    check_names(algorithm, activation)
    if b is None:
        x, w = arrays = real_arrays(("x", "w"), (x, w))
    else:
        x, w, b = arrays = real_arrays(("x", "w", "b"), (x, w, b))
    batched = x.ndim == 4
    g = geometry.conv(x.shape, w.shape, stride, padding, dilation, groups)
    if b is not None:
        b = bias_vector(b, g.y[3])
    shape = g.y if batched else g.y[1:]
    y = empty(shape, x.dtype, x) if out is None else output(out, shape, x.dtype, arrays)
    kernel = kernel_for(g, algorithm)
    if g.work:
        kernels.modules[kernel, x.dtype].forward(
            x if batched else x[None],
            w,
            b,
            y if batched else y[None],
            *g.parameters,
            activation is not None,
            threads.team(g.work),
        )
    return y if out is None else deliver(y, out)


def conv2d_input_grad(
    dy: ArrayLike,
    w: ArrayLike,
    input_shape: Sequence[int],
    *,
    stride: int | tuple[int, int] = 1,
    padding: Padding = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    algorithm: str = "auto",
    out: Real | None = None,
) -> Real:
    """Gradient of `conv2d` with respect to x.

    Parameters
    ----------
    dy : array_like, (N, OH, OW, K) or (OH, OW, K)
        Gradient of the result.
    w : array_like, (R, S, C // groups, K)
        Filters of the convolution.
    input_shape : tuple of int
        Shape of x, (N, H, W, C) or (H, W, C).
    stride, padding, dilation, groups, algorithm
        As given to `conv2d`.
    out : ndarray, optional
        Where to put the gradient: of the right shape and dtype, in C order.

    Returns
    -------
    ndarray of shape `input_shape`

    Raises
    ------
    ValueError, TypeError
        As `conv2d`, and if dy does not have the shape of the convolution's result.

    Notes
    -----
    The kernel of `conv2d` on rotated filters; a stride s is at most s*s dense convolutions, one for each phase.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> dy, w = np.ones((1, 2, 2, 1)), np.ones((3, 3, 1, 1))
    >>> cyconv.conv2d_input_grad(dy, w, (1, 4, 4, 1))[0, :, :, 0]
    array([[1., 2., 2., 1.],
           [2., 4., 4., 2.],
           [2., 4., 4., 2.],
           [1., 2., 2., 1.]])
    """
    check_names(algorithm)
    dy, w = arrays = real_arrays(("dy", "w"), (dy, w))
    shape = geometry.shape(input_shape, "input_shape")
    try:
        g = geometry.conv(shape, w.shape, stride, padding, dilation, groups)
    except ValueError as error:
        raise renamed(error, x="input_shape") from None
    geometry.check_gradient("dy", dy.shape, g.y if len(shape) == 4 else g.y[1:])
    geometry.check_size("the gradient", shape)
    dx = empty(shape, dy.dtype, dy) if out is None else output(out, shape, dy.dtype, arrays)
    _input_grad(dy, w, dx, g, algorithm)
    return deliver(dx, out)


def _input_grad(dy: Real, w: Real, dx: Real, g: geometry.Conv, algorithm: str) -> None:
    kernel = kernel_for(g, algorithm, "input_grad")
    if g.work:
        kernels.modules[kernel, dy.dtype].input_grad(
            dy if dy.ndim == 4 else dy[None],
            w,
            None,
            dx if dx.ndim == 4 else dx[None],
            *g.parameters,
            False,
            threads.team(g.work),
        )


def conv2d_weight_grad(
    dy: ArrayLike,
    x: ArrayLike,
    kernel_size: int | tuple[int, int],
    *,
    stride: int | tuple[int, int] = 1,
    padding: Padding = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    algorithm: str = "auto",
    out: Real | None = None,
) -> Real:
    """Gradient of `conv2d` with respect to w.

    Parameters
    ----------
    dy : array_like, (N, OH, OW, K) or (OH, OW, K)
        Gradient of the result.
    x : array_like, (N, H, W, C) or (H, W, C)
        Input of the convolution.
    kernel_size : int or (int, int)
        (R, S) of the filters.
    stride, padding, dilation, groups, algorithm
        As given to `conv2d`.
    out : ndarray, optional
        Where to put the gradient: of the right shape and dtype, in C order.

    Returns
    -------
    ndarray, (R, S, C // groups, K)

    Raises
    ------
    ValueError, TypeError
        As `conv2d`, and if dy does not have the shape of the convolution's result.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> dy, x = np.ones((1, 2, 2, 1)), np.arange(9.0).reshape(1, 3, 3, 1)
    >>> cyconv.conv2d_weight_grad(dy, x, 2)[:, :, 0, 0]
    array([[ 8., 12.],
           [20., 24.]])
    """
    check_names(algorithm)
    dy, x = arrays = real_arrays(("dy", "x"), (dy, x))
    R, S = geometry.pair(kernel_size, "kernel_size")
    C, K = geometry.images(x.shape)[3], geometry.images(dy.shape, "dy")[3]
    w = R, S, C // geometry.integer(groups, "groups", 1), K
    try:
        g = geometry.conv(x.shape, w, stride, padding, dilation, groups)
    except ValueError as error:
        raise renamed(error, w="kernel_size") from None
    geometry.check_gradient("dy", dy.shape, g.y if x.ndim == 4 else g.y[1:])
    dw = empty(g.w, dy.dtype) if out is None else output(out, g.w, dy.dtype, arrays)
    _weight_grad(dy, x, dw, None, g, algorithm)
    return deliver(dw, out)


def _weight_grad(dy: Real, x: Real, dw: Real, db: Real | None, g: geometry.Conv, algorithm: str) -> None:
    kernel = kernel_for(g, algorithm, "weight_grad")
    if g.work:
        kernels.modules[kernel, dy.dtype].weight_grad(
            dy if dy.ndim == 4 else dy[None],
            x if x.ndim == 4 else x[None],
            dw,
            db,
            *g.parameters,
            threads.team(g.work),
        )
    else:
        dw[...] = 0


def conv2d_backward(
    dy: ArrayLike,
    x: ArrayLike,
    w: ArrayLike,
    *,
    stride: int | tuple[int, int] = 1,
    padding: Padding = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    activation: Literal["relu"] | None = None,
    y: ArrayLike | None = None,
    algorithm: str = "auto",
) -> tuple[Real, Real, Real]:
    """All three gradients of `conv2d`.

    Parameters
    ----------
    dy : array_like, (N, OH, OW, K) or (OH, OW, K)
        Gradient of the result.
    x : array_like, (N, H, W, C) or (H, W, C)
        Input of the convolution.
    w : array_like, (R, S, C // groups, K)
        Filters of the convolution.
    stride, padding, dilation, groups, activation, algorithm
        As given to `conv2d`.
    y : array_like, optional
        The result of `conv2d`: needed with ``activation="relu"``, which lets dy pass where y is positive.

    Returns
    -------
    dx, dw, db : ndarray
        Of the shapes of x, of w and (K,).  db is summed in float64.

    Raises
    ------
    ValueError, TypeError
        As `conv2d`, and if dy does not have the shape of the convolution's result.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> x, w = np.ones((2, 5, 5, 3)), np.ones((3, 3, 3, 8))
    >>> dx, dw, db = cyconv.conv2d_backward(np.ones((2, 3, 3, 8)), x, w)
    >>> dx.shape, dw.shape, db
    ((2, 5, 5, 3), (3, 3, 3, 8), array([18., 18., 18., 18., 18., 18., 18., 18.]))
    """
    check_names(algorithm, activation)
    if activation is None:
        dy, x, w = real_arrays(("dy", "x", "w"), (dy, x, w))
    else:
        dy, x, w, y = real_arrays(("dy", "x", "w", "y"), (dy, x, w, y))
        geometry.check_gradient("y", y.shape, dy.shape)
        dy = np.where(y > 0, dy, dy.dtype.type(0))
    g = geometry.conv(x.shape, w.shape, stride, padding, dilation, groups)
    geometry.check_gradient("dy", dy.shape, g.y if x.ndim == 4 else g.y[1:])
    dx, dw, db = empty(x.shape, x.dtype, dy), empty(g.w, x.dtype), np.zeros(g.y[3])
    _input_grad(dy, w, dx, g, algorithm)
    _weight_grad(dy, x, dw, db, g, algorithm)
    return dx, dw, db.astype(x.dtype, copy=False)
