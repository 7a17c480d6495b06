"""Pooling to a given output size, down to one pixel, with gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cyconv import geometry
from cyconv.arrays import INDEX, Real, empty, real_arrays
from cyconv.messages import renamed
from cyconv.pool import average, average_backward, maximum, maximum_backward


def _windows_of(dy: Real, shape: tuple[int, ...], name: str) -> geometry.Pool:
    """The windows that gave a result of the shape of dy; `name` is the argument that gives the input's `shape`."""
    _, OH, OW, _ = geometry.images(dy.shape, "dy")
    try:
        return geometry.adaptive_pool(shape, (OH, OW))
    except ValueError as error:
        raise renamed(error, x=name) from None


def adaptive_avg_pool2d(x: ArrayLike, output_size: int | tuple[int, int]) -> Real:
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
    return average(x, geometry.adaptive_pool(x.shape, geometry.pair(output_size, "output_size")), 0, None)


def adaptive_avg_pool2d_backward(dy: ArrayLike, input_shape: Sequence[int]) -> Real:
    """Gradient of `adaptive_avg_pool2d` with respect to x.

    Parameters
    ----------
    dy : array_like, (N, OH, OW, C) or (OH, OW, C)
        Gradient of the result; its shape says what output_size was.
    input_shape : tuple of int
        Shape of x, (N, H, W, C) or (H, W, C).

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
    shape = geometry.shape(input_shape, "input_shape")
    return average_backward(dy, _windows_of(dy, shape, "input_shape"), shape, 0)


@overload
def adaptive_max_pool2d(
    x: ArrayLike, output_size: int | tuple[int, int], *, return_indices: Literal[False] = ...
) -> Real: ...


@overload
def adaptive_max_pool2d(
    x: ArrayLike, output_size: int | tuple[int, int], *, return_indices: Literal[True]
) -> tuple[Real, NDArray[np.int64]]: ...


def adaptive_max_pool2d(
    x: ArrayLike, output_size: int | tuple[int, int], *, return_indices: bool = False
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
    g = geometry.adaptive_pool(x.shape, geometry.pair(output_size, "output_size"))
    if not return_indices:
        return maximum(x, g, None, None)
    indices = empty(g.y if x.ndim == 4 else g.y[1:], INDEX)
    return maximum(x, g, None, indices), indices.astype(np.int64, copy=False)


def adaptive_max_pool2d_backward(dy: ArrayLike, x: ArrayLike, *, ties: Literal["first", "all"] = "first") -> Real:
    """Gradient of `adaptive_max_pool2d` with respect to x.

    Parameters
    ----------
    dy : array_like, (N, OH, OW, C) or (OH, OW, C)
        Gradient of the result; its shape says what output_size was.
    x : array_like, (N, H, W, C) or (H, W, C)
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
    return maximum_backward(dy, x, _windows_of(dy, x.shape, "x"), ties)


def global_avg_pool2d(x: ArrayLike) -> Real:
    """Mean of every channel of an image: `adaptive_avg_pool2d` to one pixel.

    Parameters
    ----------
    x : array_like, (N, H, W, C) or (H, W, C)
        Images, channels last; dtypes as in `conv2d`.

    Returns
    -------
    ndarray, (N, 1, 1, C), or (1, 1, C) for one image

    Raises
    ------
    ValueError, TypeError
        For shapes and dtypes that are not accepted.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> cyconv.global_avg_pool2d(np.arange(4.0).reshape(1, 2, 2, 1))
    array([[[[1.5]]]])
    """
    return adaptive_avg_pool2d(x, 1)


def global_avg_pool2d_backward(dy: ArrayLike, input_shape: Sequence[int]) -> Real:
    """Gradient of `global_avg_pool2d` with respect to x.

    Parameters
    ----------
    dy : array_like, (N, 1, 1, C) or (1, 1, C)
        Gradient of the result.
    input_shape : tuple of int
        Shape of x, (N, H, W, C) or (H, W, C).

    Returns
    -------
    ndarray of shape `input_shape`
        Each pixel has dy / (H * W).

    Raises
    ------
    ValueError, TypeError
        As `global_avg_pool2d`, and if dy does not have the shape of the result.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> cyconv.global_avg_pool2d_backward(np.ones((1, 1, 1, 1)), (1, 1, 2, 1))[0, 0, :, 0]
    array([0.5, 0.5])
    """
    return adaptive_avg_pool2d_backward(_one_pixel(dy), input_shape)


def _one_pixel(dy: ArrayLike) -> Real:
    (dy,) = real_arrays(("dy",), (dy,))
    if dy.shape[-3:-1] != (1, 1):
        raise ValueError(f"`dy` must have shape (N, 1, 1, C), or (1, 1, C) for one image, got {dy.shape}")
    return dy


def global_max_pool2d(x: ArrayLike) -> Real:
    """Maximum of every channel of an image: `adaptive_max_pool2d` to one pixel.

    Parameters
    ----------
    x : array_like, (N, H, W, C) or (H, W, C)
        Images, channels last; dtypes as in `conv2d`.

    Returns
    -------
    ndarray, (N, 1, 1, C), or (1, 1, C) for one image
        NaN where the channel holds one, as `numpy.max`.

    Raises
    ------
    ValueError, TypeError
        For shapes and dtypes that are not accepted.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> cyconv.global_max_pool2d(np.arange(4.0).reshape(1, 2, 2, 1))
    array([[[[3.]]]])
    """
    return adaptive_max_pool2d(x, 1)


def global_max_pool2d_backward(dy: ArrayLike, x: ArrayLike, *, ties: Literal["first", "all"] = "first") -> Real:
    """Gradient of `global_max_pool2d` with respect to x.

    Parameters
    ----------
    dy : array_like, (N, 1, 1, C) or (1, 1, C)
        Gradient of the result.
    x : array_like, (N, H, W, C) or (H, W, C)
        Input of the pooling.
    ties : "first" or "all"
        Which of several equal maxima gets the gradient.

    Returns
    -------
    ndarray of the shape of x

    Raises
    ------
    ValueError, TypeError
        As `global_max_pool2d`, and if dy does not have the shape of the result.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> x = np.array([1.0, 2.0]).reshape(1, 1, 2, 1)
    >>> cyconv.global_max_pool2d_backward(np.ones((1, 1, 1, 1)), x)[0, 0, :, 0]
    array([0., 1.])
    """
    return adaptive_max_pool2d_backward(_one_pixel(dy), x, ties=ties)
