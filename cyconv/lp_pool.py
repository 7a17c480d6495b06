"""Power-mean pooling: sums of powers, on the kernel of average pooling."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cyconv import geometry
from cyconv.arrays import Real, real_arrays
from cyconv.geometry import Padding
from cyconv.messages import shown
from cyconv.pool import average, average_backward


def _power(p: Any) -> float:
    if isinstance(p, bool) or not isinstance(p, int | float | np.integer | np.floating):
        raise TypeError(f"`p` must be a number, got {shown(p)}")
    if not 0 < p <= sys.float_info.max:
        raise ValueError(f"`p` must be positive and finite, got {shown(p)}; for the maximum use max_pool2d")
    return float(p)


def lp_pool2d(
    x: ArrayLike,
    p: float,
    kernel_size: int | tuple[int, int],
    *,
    stride: int | tuple[int, int] | None = None,
    padding: Padding = 0,
    dilation: int | tuple[int, int] = 1,
    ceil_mode: bool = False,
) -> Real:
    """The p-norm of each window, channel by channel: ``sum(abs(x)**p)**(1/p)``.

    Parameters
    ----------
    x : array_like, (N, H, W, C) or (H, W, C)
        Images, channels last; dtypes as in `conv2d`.
    p : float
        Positive and finite: 1 sums absolute values, 2 is the Euclidean norm.
    kernel_size, stride, dilation, ceil_mode
        As in `max_pool2d`.
    padding : int, (int, int), ((top, bottom), (left, right)), "valid", "same" or "same_lower"
        Rows and columns of zeros around x; at most half the window.

    Returns
    -------
    ndarray, (N, OH, OW, C), or (OH, OW, C) for one image

    Raises
    ------
    ValueError, TypeError
        As `max_pool2d`, and for a p that is not positive and finite.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> cyconv.lp_pool2d(np.array([3.0, 4.0]).reshape(1, 1, 2, 1), 2, (1, 2))
    array([[[[5.]]]])
    """
    p = _power(p)
    (x,) = real_arrays(("x",), (x,))
    g = geometry.pool(x.shape, kernel_size, stride, padding, dilation, ceil_mode, False)
    return _norm(x, p, g)


@np.errstate(all="ignore")  # overflow is the data's business, as in the kernels
def _norm(x: Real, p: float, g: geometry.Pool) -> Real:
    return average(np.abs(x) ** p, g, 1, None) ** (1 / p)


def lp_pool2d_backward(
    dy: ArrayLike,
    x: ArrayLike,
    p: float,
    kernel_size: int | tuple[int, int],
    *,
    stride: int | tuple[int, int] | None = None,
    padding: Padding = 0,
    dilation: int | tuple[int, int] = 1,
    ceil_mode: bool = False,
) -> Real:
    """Gradient of `lp_pool2d` with respect to x, taken as zero where x is zero.

    Parameters
    ----------
    dy : array_like, (N, OH, OW, C) or (OH, OW, C)
        Gradient of the result.
    x : array_like, (N, H, W, C) or (H, W, C)
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
    g = geometry.pool(x.shape, kernel_size, stride, padding, dilation, ceil_mode, False)
    geometry.check_gradient("dy", dy.shape, g.y if x.ndim == 4 else g.y[1:])
    y = _norm(x, p, g)
    with np.errstate(all="ignore"):
        share = np.divide(dy, y ** (p - 1), out=np.zeros_like(y), where=y != 0)
        slope = np.power(np.abs(x), p - 1, out=np.zeros_like(x), where=x != 0)
        return average_backward(share, g, x.shape, 1) * np.sign(x) * slope
