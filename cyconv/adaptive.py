"""Pooling to a given output size, down to one pixel, with gradients."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cyconv import geometry
from cyconv.arrays import Real, real_arrays
from cyconv.pool import average, average_backward, maximum, maximum_backward


def _windows(shape: tuple[int, ...], output_size: Any) -> geometry.Pool:
    batched = shape if len(shape) == 4 else (1, *shape)
    return geometry.adaptive_pool(batched, geometry.pair(output_size, "output_size"))


def adaptive_avg_pool2d(x: Any, output_size: Any) -> Real:
    """Means of windows that share an image out evenly.

    Parameters
    ----------
    x : array_like, (N, H, W, C) or (H, W, C)
        Images, channels last; dtypes as in `conv2d`.
    output_size : int or (int, int)
        (OH, OW).  Window i runs from ``floor(i*H / OH)`` up to ``ceil((i + 1)*H / OH)``.

    Returns
    -------
    ndarray, (N, OH, OW, C), or (OH, OW, C) for one image

    Raises
    ------
    ValueError, TypeError
        For shapes and sizes out of range and dtypes that are not accepted.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> cyconv.adaptive_avg_pool2d(np.arange(9.0).reshape(1, 3, 3, 1), 2)[0, :, :, 0]
    array([[2., 3.],
           [5., 6.]])
    """
    (x,) = real_arrays(("x",), (x,))
    return average(x, _windows(x.shape, output_size), 0, None)


def adaptive_avg_pool2d_backward(dy: Any, input_shape: Any) -> Real:
    """Gradient of `adaptive_avg_pool2d` with respect to x.

    Parameters
    ----------
    dy : array_like, (N, OH, OW, C) or (OH, OW, C)
        Gradient of the result; its shape says what output_size was.
    input_shape : tuple of int
        Shape of x.

    Returns
    -------
    ndarray of shape `input_shape`

    Raises
    ------
    ValueError, TypeError
        As `adaptive_avg_pool2d`, and if dy does not have the shape of a result.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> cyconv.adaptive_avg_pool2d_backward(np.ones((1, 1, 1, 1)), (1, 2, 2, 1))[0, :, :, 0]
    array([[0.25, 0.25],
           [0.25, 0.25]])
    """
    (dy,) = real_arrays(("dy",), (dy,))
    shape = geometry.shape4(input_shape, "input_shape")
    return average_backward(dy, _windows(shape, dy.shape[-3:-1]), shape, 0)


def adaptive_max_pool2d(
    x: Any, output_size: Any, *, return_indices: bool = False
) -> Real | tuple[Real, NDArray[np.int64]]:
    """Maxima of windows that share an image out evenly.

    Parameters
    ----------
    x, output_size
        As in `adaptive_avg_pool2d`.
    return_indices : bool
        Also return where the maxima are, as `max_pool2d`.

    Returns
    -------
    y : ndarray, (N, OH, OW, C), or (OH, OW, C) for one image
    indices : ndarray of int64, the shape of y, if `return_indices`

    Raises
    ------
    ValueError, TypeError
        As `adaptive_avg_pool2d`.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> cyconv.adaptive_max_pool2d(np.arange(9.0).reshape(1, 3, 3, 1), 2)[0, :, :, 0]
    array([[4., 5.],
           [7., 8.]])
    """
    (x,) = real_arrays(("x",), (x,))
    return maximum(x, _windows(x.shape, output_size), None, return_indices)


def adaptive_max_pool2d_backward(dy: Any, x: Any, *, ties: str = "first") -> Real:
    """Gradient of `adaptive_max_pool2d` with respect to x.

    Parameters
    ----------
    dy : array_like, (N, OH, OW, C) or (OH, OW, C)
        Gradient of the result; its shape says what output_size was.
    x : array_like
        Input of the pooling.
    ties : "first" or "all"
        As in `max_pool2d_backward`.

    Returns
    -------
    ndarray of the shape of x

    Raises
    ------
    ValueError, TypeError
        As `adaptive_avg_pool2d`, and if dy does not have the shape of a result.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> x = np.arange(4.0).reshape(1, 2, 2, 1)
    >>> cyconv.adaptive_max_pool2d_backward(np.ones((1, 1, 1, 1)), x)[0, :, :, 0]
    array([[0., 0.],
           [0., 1.]])
    """
    dy, x = real_arrays(("dy", "x"), (dy, x))
    return maximum_backward(dy, x, _windows(x.shape, dy.shape[-3:-1]), ties)


def global_avg_pool2d(x: Any) -> Real:
    """Mean of every channel of an image: `adaptive_avg_pool2d` to (1, 1).

    Parameters
    ----------
    x : array_like, (N, H, W, C) or (H, W, C)
        Images, channels last.

    Returns
    -------
    ndarray, (N, 1, 1, C), or (1, 1, C) for one image

    Raises
    ------
    ValueError, TypeError
        As `adaptive_avg_pool2d`.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> cyconv.global_avg_pool2d(np.arange(4.0).reshape(1, 2, 2, 1))
    array([[[[1.5]]]])
    """
    return adaptive_avg_pool2d(x, 1)


def global_avg_pool2d_backward(dy: Any, input_shape: Any) -> Real:
    """Gradient of `global_avg_pool2d`: `adaptive_avg_pool2d_backward` of a dy (N, 1, 1, C).

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> cyconv.global_avg_pool2d_backward(np.ones((1, 1, 1, 1)), (1, 1, 2, 1))[0, 0, :, 0]
    array([0.5, 0.5])
    """
    return adaptive_avg_pool2d_backward(_one_pixel(dy), input_shape)


def _one_pixel(dy: Any) -> Real:
    (dy,) = real_arrays(("dy",), (dy,))
    if dy.shape[-3:-1] != (1, 1):
        raise ValueError(f"dy must have shape (N, 1, 1, C), or (1, 1, C) for one image, got {dy.shape}")
    result: Real = dy
    return result


def global_max_pool2d(x: Any) -> Real:
    """Maximum of every channel of an image: `adaptive_max_pool2d` to (1, 1).

    Parameters
    ----------
    x : array_like, (N, H, W, C) or (H, W, C)
        Images, channels last.

    Returns
    -------
    ndarray, (N, 1, 1, C), or (1, 1, C) for one image

    Raises
    ------
    ValueError, TypeError
        As `adaptive_avg_pool2d`.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> cyconv.global_max_pool2d(np.arange(4.0).reshape(1, 2, 2, 1))
    array([[[[3.]]]])
    """
    y = adaptive_max_pool2d(x, 1)
    assert not isinstance(y, tuple)
    return y


def global_max_pool2d_backward(dy: Any, x: Any, *, ties: str = "first") -> Real:
    """Gradient of `global_max_pool2d`: `adaptive_max_pool2d_backward` of a dy (N, 1, 1, C).

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> x = np.array([1.0, 2.0]).reshape(1, 1, 2, 1)
    >>> cyconv.global_max_pool2d_backward(np.ones((1, 1, 1, 1)), x)[0, 0, :, 0]
    array([0., 1.])
    """
    return adaptive_max_pool2d_backward(_one_pixel(dy), x, ties=ties)
