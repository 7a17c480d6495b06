"""Transposed convolution: the input gradient of `conv2d` as an operation of its own."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from cyconv import geometry, kernels, threads
from cyconv.algorithm import kernel_for
from cyconv.arrays import Real, deliver, empty, output, real_arrays
from cyconv.conv import bias_vector, check_names, conv2d, conv2d_weight_grad
from cyconv.geometry import Padding
from cyconv.messages import renamed


def conv_transpose2d(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None = None,
    *,
    stride: int | tuple[int, int] = 1,
    padding: Padding = 0,
    output_padding: int | tuple[int, int] = 0,
    output_size: int | tuple[int, int] | None = None,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    activation: Literal["relu"] | None = None,
    algorithm: str = "auto",
    out: Real | None = None,
) -> Real:
    """Transposed convolution: every pixel of x paints a window of y.

    ``y[n, i*stride + r*dilation - top, j*stride + s*dilation - left, k] += x[n, i, j, c] * w[r, s, k, c]``

    Parameters
    ----------
    x : array_like, (N, H, W, C) or (H, W, C)
        Images, channels last; dtypes as in `conv2d`.
    w : array_like, (R, S, K // groups, C)
        Filters of the convolution from y to x whose input gradient this is.
    b : array_like, (K,) or (1, 1, 1, K), optional
        Added to every pixel of y.
    stride, padding, dilation, groups, activation, algorithm, out
        As in `conv2d`, of the convolution from y to x; "same" makes y ``stride`` times as large as x.
    output_padding : int or (int, int)
        Rows and columns that y has more at the bottom and the right; less than stride or dilation.  "same" needs none.
    output_size : int or (int, int), optional
        (OH, OW) of y, instead of `output_padding`.

    Returns
    -------
    ndarray, (N, OH, OW, K), or (OH, OW, K) for one image
        ``OH = (H - 1)*stride - top - bottom + dilation*(R - 1) + output_padding + 1``.

    Raises
    ------
    ValueError, TypeError
        As `conv2d`, and if output_padding or output_size does not fit.

    Notes
    -----
    Computed as at most stride*stride dense convolutions, one for each phase of y's pixels: no zeros are inserted and
    nothing is scattered.  After Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> x, w = np.ones((1, 2, 2, 1)), np.ones((2, 2, 1, 1))
    >>> cyconv.conv_transpose2d(x, w, stride=2).shape
    (1, 4, 4, 1)
    >>> cyconv.conv_transpose2d(x, w)[0, :, :, 0]
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    check_names(algorithm, activation)
    if b is None:
        x, w = arrays = real_arrays(("x", "w"), (x, w))
    else:
        x, w, b = arrays = real_arrays(("x", "w", "b"), (x, w, b))
    g = geometry.transposed(x.shape, w.shape, stride, padding, dilation, groups, output_padding, output_size)
    if b is not None:
        b = bias_vector(b, g.x[3])
    shape = g.x if x.ndim == 4 else g.x[1:]
    y = empty(shape, x.dtype, x) if out is None else output(out, shape, x.dtype, arrays)
    kernel = kernel_for(g, algorithm, "input_grad")
    if g.work:
        kernels.modules[kernel, x.dtype].input_grad(
            _one_pixel_a_window(x, g),
            w,
            b,
            y.reshape(g.x),
            *g.parameters,
            activation is not None,
            threads.team(g.work),
        )
    return deliver(y, out)


def _one_pixel_a_window(x: Real, g: geometry.Conv) -> Real:
    """x as the result of the convolution g: zeros for the windows that a wide output_padding adds."""
    batch = x if x.ndim == 4 else x[None]
    if batch.shape == g.y:
        return batch
    wider = np.zeros(g.y, x.dtype)
    wider[:, : batch.shape[1], : batch.shape[2]] = batch
    return wider


def conv_transpose2d_backward(
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
    """All three gradients of `conv_transpose2d`.

    Parameters
    ----------
    dy : array_like, (N, OH, OW, K) or (OH, OW, K)
        Gradient of the result; its shape says what output_padding or output_size was.
    x : array_like, (N, H, W, C) or (H, W, C)
        Input of the transposed convolution.
    w : array_like, (R, S, K // groups, C)
        Filters of the transposed convolution.
    stride, padding, dilation, groups, activation, algorithm
        As given to `conv_transpose2d`.
    y : array_like, optional
        The result of `conv_transpose2d`: needed with ``activation="relu"``, which lets dy pass where y is positive.

    Returns
    -------
    dx, dw, db : ndarray
        Of the shapes of x, of w and (K,).  db is summed in float64.

    Raises
    ------
    ValueError, TypeError
        As `conv_transpose2d`, and if dy does not have the shape of a result.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> x, w = np.ones((2, 3, 3, 4)), np.ones((2, 2, 5, 4))
    >>> dx, dw, db = cyconv.conv_transpose2d_backward(np.ones((2, 6, 6, 5)), x, w, stride=2)
    >>> dx.shape, dw.shape, db
    ((2, 3, 3, 4), (2, 2, 5, 4), array([72., 72., 72., 72., 72.]))
    """
    check_names(algorithm, activation)
    if activation is None:
        dy, x, w = real_arrays(("dy", "x", "w"), (dy, x, w))
    else:
        dy, x, w, y = real_arrays(("dy", "x", "w", "y"), (dy, x, w, y))
        geometry.check_gradient("y", y.shape, dy.shape)
        dy = np.where(y > 0, dy, dy.dtype.type(0))
    _, OH, OW, _ = geometry.images(dy.shape, "dy")
    try:
        g = geometry.transposed(x.shape, w.shape, stride, padding, dilation, groups, 0, (OH, OW))
    except ValueError as error:
        raise renamed(error, output_size="dy") from None
    geometry.check_gradient("dy", dy.shape, g.x if x.ndim == 4 else g.x[1:])
    batch = dy.reshape(g.x)
    options: dict[str, Any] = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "algorithm": algorithm,
    }
    dx = np.ascontiguousarray(conv2d(batch, w, **options)[:, : x.shape[-3], : x.shape[-2]])
    dw = conv2d_weight_grad(_one_pixel_a_window(x, g), batch, w.shape[:2], **options)
    # Rows, then images, then the batch: NumPy adds one after another, and short sums lose less than one long.
    db = batch.sum(axis=2, dtype=np.float64).sum(axis=1).sum(axis=0)
    return dx.reshape(x.shape), dw, db.astype(dy.dtype, copy=False)
