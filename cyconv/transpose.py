"""Transposed convolution: the input gradient of `conv2d` as an operation of its own."""

from typing import Any

import numpy as np

from cyconv import geometry, kernels, threads
from cyconv.arrays import Real, deliver, output, real_arrays
from cyconv.conv import bias_vector, check_names, conv2d, conv2d_weight_grad


def conv_transpose2d(
    x: Any,
    w: Any,
    b: Any = None,
    *,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    output_size: Any = None,
    dilation: Any = 1,
    groups: Any = 1,
    activation: str | None = None,
    algorithm: str = "auto",
    out: Any = None,
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
        Rows and columns that y has more at the bottom and the right; less than stride or dilation.
    output_size : (int, int), optional
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
    Computed as stride*stride dense convolutions, one for each phase of the pixels of y: no zeros are inserted and
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
    x, w, b = arrays = real_arrays(("x", "w", "b?"), (x, w, b))
    batch = x if x.ndim == 4 else x[None]
    size = geometry.transposed_size(batch.shape, w.shape, stride, padding, dilation, output_padding, output_size)
    K = w.shape[2] * geometry.integer(groups, "groups", 1)
    geometry.check_size("the result", (len(batch), *size, K))
    g = geometry.conv((len(batch), *size, K), w.shape, stride, padding, dilation, groups)
    if g.y != batch.shape:
        raise ValueError(f"w of shape {w.shape} takes {g.y[3]} channels, but x has shape {x.shape}")
    b = bias_vector(b, K)
    y, overlapping = output(out, g.x if batch is x else g.x[1:], x.dtype, arrays)
    if g.work:
        kernels.modules[g.kernel, x.dtype].input_grad(
            batch, w, b, y.reshape(g.x), *g.parameters, activation is not None, threads.team(g.work)
        )
    return deliver(y, overlapping)


def conv_transpose2d_backward(
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
    """All three gradients of `conv_transpose2d`.

    Parameters
    ----------
    dy : array_like, (N, OH, OW, K) or (OH, OW, K)
        Gradient of the result; its shape says what output_padding was.
    x, w : array_like
        Input and filters of the transposed convolution.
    stride, padding, dilation, groups, activation, algorithm
        As given to `conv_transpose2d`.
    y : array_like, optional
        The result of `conv_transpose2d`: needed with ``activation="relu"``.

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
        geometry.check_gradient("dy", dy.shape, y.shape)
        dy = np.where(y > 0, dy, dy.dtype.type(0))
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "algorithm": algorithm}
    if dy.ndim != x.ndim:
        raise ValueError(f"dy has shape {dy.shape} and x {x.shape}; both must be batches or single images")
    batched = dy.shape if dy.ndim == 4 else (1, *dy.shape)
    g = geometry.conv(batched, w.shape, stride, padding, dilation, groups)
    if x.shape != (g.y if x.ndim == 4 else g.y[1:]):
        raise ValueError(f"dy has shape {dy.shape}, which no result of x {x.shape} with w {w.shape} has")
    dx = conv2d(dy, w, **options)
    dw = conv2d_weight_grad(x, dy, w.shape[:2], **options)
    db = dy.sum(axis=tuple(range(dy.ndim - 1)), dtype=np.float64)
    return dx, dw, db.astype(dy.dtype, copy=False)
