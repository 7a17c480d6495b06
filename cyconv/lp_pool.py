"""Power-mean pooling: sums of powers, on the kernel of average pooling."""

from typing import Any

import numpy as np

from cyconv import geometry
from cyconv.arrays import Real, real_arrays
from cyconv.pool import average, average_backward


def _power(p: Any) -> float:
    if isinstance(p, bool) or not isinstance(p, int | float | np.integer | np.floating):
        raise TypeError(f"p must be a number, got {p!r}")
    if not 1 <= p < np.inf:
        raise ValueError(f"p must be at least 1 and finite, got {p}; for the maximum use max_pool2d")
    return float(p)


def lp_pool2d(
    x: Any,
    p: float,
    kernel_size: Any,
    *,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Real:
    """The p-norm of each window, channel by channel: ``sum(abs(x)**p)**(1/p)``.

    Parameters
    ----------
    x : array_like, (N, H, W, C) or (H, W, C)
        Images, channels last; dtypes as in `conv2d`.
    p : float
        At least 1.
    kernel_size, stride, padding, dilation, ceil_mode
        As in `max_pool2d`.

    Returns
    -------
    ndarray, (N, OH, OW, C), or (OH, OW, C) for one image

    Raises
    ------
    ValueError, TypeError
        As `max_pool2d`, and for a p below 1.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> cyconv.lp_pool2d(np.array([3.0, 4.0]).reshape(1, 1, 2, 1), 2, (1, 2))
    array([[[[5.]]]])
    """
    p = _power(p)
    (x,) = real_arrays(("x",), (x,))
    batched = x.shape if x.ndim == 4 else (1, *x.shape)
    g = geometry.pool(batched, kernel_size, stride, padding, dilation, ceil_mode, False)
    sums = average(np.abs(x) ** x.dtype.type(p), g, 1, None)
    sums **= sums.dtype.type(1 / p)
    return sums


def lp_pool2d_backward(
    dy: Any,
    x: Any,
    p: float,
    kernel_size: Any,
    *,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Real:
    """Gradient of `lp_pool2d` with respect to x: zero where the norm of the window is zero.

    Parameters
    ----------
    dy : array_like, (N, OH, OW, C) or (OH, OW, C)
        Gradient of the result.
    x : array_like
        Input of the pooling.
    p, kernel_size, stride, padding, dilation, ceil_mode
        As given to `lp_pool2d`.

    Returns
    -------
    ndarray of the shape of x

    Raises
    ------
    ValueError, TypeError
        As `lp_pool2d`, and if dy does not have the shape of the pooling's result.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> x = np.array([3.0, 4.0]).reshape(1, 1, 2, 1)
    >>> cyconv.lp_pool2d_backward(np.ones((1, 1, 1, 1)), x, 2, (1, 2))[0, 0, :, 0]
    array([0.6, 0.8])
    """
    p = _power(p)
    dy, x = real_arrays(("dy", "x"), (dy, x))
    batched = x.shape if x.ndim == 4 else (1, *x.shape)
    g = geometry.pool(batched, kernel_size, stride, padding, dilation, ceil_mode, False)
    geometry.check_gradient("dy", dy.shape, g.y if x.ndim == 4 else g.y[1:])
    one = x.dtype.type(1)
    y = average(np.abs(x) ** x.dtype.type(p), g, 1, None) ** (one / x.dtype.type(p))
    share = np.divide(dy, y ** (x.dtype.type(p) - one), out=np.zeros_like(y), where=y != 0)
    dx = average_backward(share, g, x.shape, 1)
    dx *= np.sign(x) * np.abs(x) ** (x.dtype.type(p) - one)
    return dx
