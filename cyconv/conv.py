"""Convolution and transposed convolution on NHWC arrays, with their gradients."""

import os
from typing import Any

import numpy as np

from cyconv import geometry, kernels, threads
from cyconv.arrays import Real, deliver, output, real_arrays
from cyconv.messages import renamed

ALGORITHMS = ("auto", "direct")
ACTIVATIONS = (None, "relu")


def check_names(algorithm: Any, activation: Any = None) -> None:
    """Refuse what is no algorithm or no activation."""
    if algorithm not in ALGORITHMS:
        raise ValueError(f"algorithm must be one of {', '.join(map(repr, ALGORITHMS))}, got {algorithm!r}")
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be None or 'relu', got {activation!r}")


if os.environ.get("CYCONV_ALGORITHM", "auto") not in ALGORITHMS:
    raise ValueError(f"CYCONV_ALGORITHM must be one of {', '.join(ALGORITHMS)}, got {os.environ['CYCONV_ALGORITHM']!r}")


def bias_vector(b: Real | None, K: int) -> Real | None:
    """A bias as the kernels take it."""
    if b is None or b.shape == (K,):
        return b
    if b.shape == (1, 1, 1, K):
        return b.reshape(K)
    raise ValueError(f"b must have shape ({K},) or (1, 1, 1, {K}), one number an output channel; got {b.shape}")


def conv2d(
    x: Any,
    w: Any,
    b: Any = None,
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: Any = 1,
    activation: str | None = None,
    algorithm: str = "auto",
    out: Any = None,
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
    stride, dilation : int or (int, int)
        Distance of neighbouring windows, and of neighbouring taps of a window: (height, width).
    padding : int, (int, int), ((top, bottom), (left, right)), "valid", "same" or "same_lower"
        Rows and columns of zeros around x.  "same" gives ``ceil(H / stride)`` rows, with the odd row of padding at the
        bottom and the right, as TensorFlow; "same_lower" puts it at the top and the left.
    groups : int
        Output channel k sees the input channels of its group only; must divide C and K.
    activation : None or "relu"
        Applied to y before it leaves the registers.
    algorithm : "auto" or "direct"
        How to compute it.
    out : ndarray, optional
        Where to put y: of the right shape and dtype, in C order.  May overlap the inputs.

    Returns
    -------
    ndarray, (N, OH, OW, K), or (OH, OW, K) for one image
        ``OH = (H + top + bottom - dilation*(R - 1) - 1) // stride + 1``.

    Raises
    ------
    ValueError
        For shapes that do not fit together and parameters out of range.
    TypeError
        For dtypes and kinds of objects that are not accepted.

    Notes
    -----
    Direct convolution as an implicit matrix product, after Zhang, Franchetti and Low, "High performance zero-memory
    overhead direct convolutions", 2018, with the pointer table of Dukhan, "The indirect convolution algorithm", 2019.
    The result has the same bits for any number of threads and for any split of the batch.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> x = np.arange(16.0).reshape(1, 4, 4, 1)
    >>> w = np.ones((3, 3, 1, 1))
    >>> cyconv.conv2d(x, w)[0, :, :, 0]
    array([[45., 54.],
           [81., 90.]])
    >>> cyconv.conv2d(x, w, stride=2, padding="same").shape
    (1, 2, 2, 1)
    """
    check_names(algorithm, activation)
    x, w, b = arrays = real_arrays(("x", "w", "b?"), (x, w, b))
    batch = x if x.ndim == 4 else x[None]
    g = geometry.conv(batch.shape, w.shape, stride, padding, dilation, groups)
    b = bias_vector(b, g.y[3])
    y, overlapping = output(out, g.y if batch is x else g.y[1:], x.dtype, arrays)
    if g.work:
        kernels.modules[g.kernel, x.dtype].forward(
            batch, w, b, y if batch is x else y[None], *g.parameters, activation is not None, threads.team(g.work)
        )
    return deliver(y, overlapping)


def conv2d_input_grad(
    dy: Any,
    w: Any,
    input_shape: Any,
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: Any = 1,
    algorithm: str = "auto",
    out: Any = None,
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
    stride, padding, dilation, groups, algorithm, out
        As given to `conv2d`.

    Returns
    -------
    ndarray of shape `input_shape`

    Raises
    ------
    ValueError, TypeError
        As `conv2d`, and if dy does not have the shape of the convolution's result.

    Notes
    -----
    The kernel of `conv2d` on rotated filters; a stride s is s*s dense convolutions, one for each phase of the pixels.

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
    shape = geometry.shape4(input_shape, "input_shape")
    batched = shape if len(shape) == 4 else (1, *shape)
    try:
        g = geometry.conv(batched, w.shape, stride, padding, dilation, groups)
    except ValueError as error:
        raise renamed(error, x="input_shape") from None
    geometry.check_gradient("dy", dy.shape, g.y if len(shape) == 4 else g.y[1:])
    geometry.check_size("the gradient", shape)
    dx, overlapping = output(out, shape, dy.dtype, arrays)
    if g.work:
        kernels.modules[g.kernel, dy.dtype].input_grad(
            dy.reshape(g.y), w, None, dx.reshape(g.x), *g.parameters, False, threads.team(g.work)
        )
    return deliver(dx, overlapping)


def conv2d_weight_grad(
    dy: Any,
    x: Any,
    kernel_size: Any,
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: Any = 1,
    algorithm: str = "auto",
    out: Any = None,
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
    stride, padding, dilation, groups, algorithm, out
        As given to `conv2d`.

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
    g = _gradient_geometry(dy, x, geometry.pair(kernel_size, "kernel_size"), stride, padding, dilation, groups)
    dw, overlapping = output(out, g.w, dy.dtype, arrays)
    _weight_grad(dy, x, dw, None, g)
    return deliver(dw, overlapping)


def _gradient_geometry(
    dy: Real, x: Real, kernel_size: tuple[int, int], stride: Any, padding: Any, dilation: Any, groups: Any
) -> geometry.Conv:
    if x.ndim not in (3, 4):
        raise ValueError(f"x must have 4 dimensions (N, H, W, C), or 3 for one image, got shape {x.shape}")
    if dy.ndim != x.ndim:
        raise ValueError(
            f"dy has shape {dy.shape} and x {x.shape}; both must be batches (4 dimensions) or one image (3)"
        )
    shape = x.shape if x.ndim == 4 else (1, *x.shape)
    count = geometry.integer(groups, "groups", 1)
    g = geometry.conv(shape, (*kernel_size, shape[3] // count, dy.shape[-1]), stride, padding, dilation, groups)
    geometry.check_gradient("dy", dy.shape, g.y if x.ndim == 4 else g.y[1:])
    return g


def _weight_grad(dy: Real, x: Real, dw: Real, db: Real | None, g: geometry.Conv) -> None:
    if g.work:
        kernels.modules[g.kernel, dy.dtype].weight_grad(
            dy.reshape(g.y), x.reshape(g.x), dw, db, *g.parameters, threads.team(g.work)
        )
    else:
        dw[...] = 0


def conv2d_backward(
    dy: Any,
    x: Any,
    w: Any,
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: Any = 1,
    activation: str | None = None,
    y: Any = None,
    algorithm: str = "auto",
) -> tuple[Real, Real, Real]:
    """All three gradients of `conv2d`.

    Parameters
    ----------
    dy : array_like, (N, OH, OW, K) or (OH, OW, K)
        Gradient of the result.
    x, w : array_like
        Input and filters of the convolution.
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
        geometry.check_gradient("dy", dy.shape, y.shape)
        dy = np.where(y > 0, dy, dy.dtype.type(0))
    if w.ndim != 4:
        raise ValueError(f"w must have 4 dimensions (R, S, C // groups, K), got shape {w.shape}")
    g = _gradient_geometry(dy, x, w.shape[:2], stride, padding, dilation, groups)
    if w.shape != g.w:
        raise ValueError(f"w has shape {w.shape}; x {x.shape} and dy {dy.shape} need {g.w}")
    dx, dw, db = np.empty(x.shape, dy.dtype), np.empty(g.w, dy.dtype), np.zeros(g.y[3])
    if g.work:
        kernels.modules[g.kernel, dy.dtype].input_grad(
            dy.reshape(g.y), w, None, dx.reshape(g.x), *g.parameters, False, threads.team(g.work)
        )
    _weight_grad(dy, x, dw, db, g)
    return dx, dw, db.astype(dy.dtype, copy=False)
