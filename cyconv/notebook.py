"""The eight functions of the notebook "Convolutional Neural Networks: Step by Step", with its names, arguments, shapes
and caches.  Where it is wrong, the differences are listed in the README."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cyconv import geometry
from cyconv.arrays import Real, real_arrays
from cyconv.conv import conv2d, conv2d_backward
from cyconv.geometry import Pair
from cyconv.messages import renamed, shown
from cyconv.pool import average_backward, avg_pool2d, max_pool2d, max_pool2d_backward

ConvCache = tuple[ArrayLike, ArrayLike, ArrayLike, Mapping[str, Any]]
PoolCache = tuple[ArrayLike, Mapping[str, Any]]
MODES = ("max", "average")
CONV_NAMES = {"x": "A_prev", "w": "W", "dy": "dZ", "padding": "pad"}
POOL_NAMES = {"x": "A_prev", "dy": "dA", "kernel_size": "f"}
"""What the notebook calls the arguments of the functions underneath, for error messages."""


def zero_pad(X: ArrayLike, pad: int | tuple[int, int]) -> Real:
    """Surround every image with zeros.

    Parameters
    ----------
    X : array_like, (m, n_H, n_W, n_C)
        Images.
    pad : int or (int, int)
        Rows and columns of zeros on each side.

    Returns
    -------
    ndarray, (m, n_H + 2*pad, n_W + 2*pad, n_C)

    Raises
    ------
    ValueError, TypeError
        If X is not a batch of images of real numbers, or pad is negative or no integer.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> cyconv.zero_pad(np.ones((4, 3, 3, 2)), 2).shape
    (4, 7, 7, 2)
    """
    (X,) = real_arrays(("X",), (X,))
    if X.ndim != 4:
        raise ValueError(f"`X` must have 4 dimensions (m, n_H, n_W, n_C), got shape {X.shape}")
    h, w = geometry.pair(pad, "pad", 0)
    m, H, W, C = X.shape
    shape = (m, H + 2 * h, W + 2 * w, C)
    geometry.check_size("the result", shape)
    padded = np.zeros(shape, X.dtype)
    padded[:, h : h + H, w : w + W] = X
    return padded


def conv_single_step(a_slice_prev: ArrayLike, W: ArrayLike, b: ArrayLike) -> np.floating[Any]:
    """One window times one filter, plus its bias.

    Parameters
    ----------
    a_slice_prev, W : array_like, (f, f, n_C_prev)
        Slice of the input, and a filter of the same shape.
    b : array_like, (1, 1, 1)
        Bias.

    Returns
    -------
    scalar of the inputs' common dtype

    Raises
    ------
    ValueError, TypeError
        If the shapes differ or b is not one number.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> float(cyconv.conv_single_step(np.ones((4, 4, 3)), np.ones((4, 4, 3)), np.ones((1, 1, 1))))
    49.0
    """
    a_slice_prev, W, b = real_arrays(("a_slice_prev", "W", "b"), (a_slice_prev, W, b))
    if a_slice_prev.shape != W.shape:
        raise ValueError(f"`a_slice_prev` and `W` must have the same shape, got {a_slice_prev.shape} and {W.shape}")
    if b.size != 1:
        raise ValueError(f"`b` must be one number, got shape {b.shape}")
    return np.sum(a_slice_prev * W, initial=b.item())


def conv_forward(
    A_prev: ArrayLike, W: ArrayLike, b: ArrayLike, hparameters: Mapping[str, Any]
) -> tuple[Real, ConvCache]:
    """Convolution of the previous layer's activations.

    Parameters
    ----------
    A_prev : array_like, (m, n_H_prev, n_W_prev, n_C_prev)
        Activations.
    W : array_like, (f, f, n_C_prev, n_C)
        Filters.
    b : array_like, (1, 1, 1, n_C)
        Biases.
    hparameters : dict
        "stride" and "pad", each an integer or a pair (height, width).

    Returns
    -------
    Z : ndarray, (m, n_H, n_W, n_C)
    cache : tuple (A_prev, W, b, hparameters)
        The very objects given, for `conv_backward`.

    Raises
    ------
    KeyError
        If "stride" or "pad" is missing.
    ValueError, TypeError
        As `conv2d`.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> Z, cache = cyconv.conv_forward(
    ...     np.ones((10, 4, 4, 3)), np.ones((2, 2, 3, 8)), np.zeros((1, 1, 1, 8)), {"pad": 2, "stride": 2})
    >>> Z.shape
    (10, 4, 4, 8)
    """
    try:
        stride, pad = hparameters["stride"], hparameters["pad"]
    except (TypeError, IndexError):
        raise _no_dictionary(hparameters) from None
    if b is None:
        raise TypeError("`b` must be an array, got None")
    try:
        Z = conv2d(A_prev, W, b, stride=stride, padding=pad if type(pad) is int else _pair(pad))
    except (ValueError, TypeError) as error:
        raise renamed(error, **CONV_NAMES) from None
    return Z, (A_prev, W, b, hparameters)


def _no_dictionary(hparameters: Any) -> TypeError:
    return TypeError(f"`hparameters` must be a dictionary, got {type(hparameters).__name__}")


def _pair(pad: Any) -> Pair:
    """The notebook pads both sides alike, and knows no names of paddings."""
    return geometry.pair(pad, "pad", 0)


def _no_cache(cache: Any, contents: str) -> ValueError:
    given = f"a tuple of {len(cache)}" if isinstance(cache, tuple) else f"an object of type {type(cache).__name__}"
    return ValueError(f"`cache` must be the tuple {contents} that the forward function returned, got {given}")


def conv_backward(dZ: ArrayLike, cache: ConvCache) -> tuple[Real, Real, Real]:
    """Gradients of `conv_forward`.

    Parameters
    ----------
    dZ : array_like, (m, n_H, n_W, n_C)
        Gradient of the cost with respect to Z.
    cache : tuple
        As returned by `conv_forward`.

    Returns
    -------
    dA_prev, dW, db : ndarray
        Of the shapes of A_prev, of W, and (1, 1, 1, n_C).

    Raises
    ------
    ValueError, TypeError, KeyError
        If cache is not one, or dZ does not have the shape of Z.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> Z, cache = cyconv.conv_forward(
    ...     np.ones((10, 4, 4, 3)), np.ones((2, 2, 3, 8)), np.zeros((1, 1, 1, 8)), {"pad": 2, "stride": 2})
    >>> dA_prev, dW, db = cyconv.conv_backward(Z, cache)
    >>> dA_prev.shape, dW.shape, db.shape
    ((10, 4, 4, 3), (2, 2, 3, 8), (1, 1, 1, 8))
    """
    if not isinstance(cache, tuple) or len(cache) != 4:
        raise _no_cache(cache, "(A_prev, W, b, hparameters)")
    A_prev, W, _, hparameters = cache
    try:
        stride, pad = hparameters["stride"], hparameters["pad"]
    except (TypeError, IndexError):
        raise _no_dictionary(hparameters) from None
    try:
        dA_prev, dW, db = conv2d_backward(dZ, A_prev, W, stride=stride, padding=pad if type(pad) is int else _pair(pad))
    except (ValueError, TypeError) as error:
        raise renamed(error, **CONV_NAMES) from None
    return dA_prev, dW, db[None, None, None]


def pool_forward(A_prev: ArrayLike, hparameters: Mapping[str, Any], mode: str = "max") -> tuple[Real, PoolCache]:
    """Pooling of the previous layer's activations.

    Parameters
    ----------
    A_prev : array_like, (m, n_H_prev, n_W_prev, n_C)
        Activations.
    hparameters : dict
        "f" and "stride", each an integer or a pair (height, width).
    mode : "max" or "average"

    Returns
    -------
    A : ndarray, (m, n_H, n_W, n_C)
    cache : tuple (A_prev, hparameters)
        The very objects given, for `pool_backward`.

    Raises
    ------
    KeyError
        If "f" or "stride" is missing.
    ValueError, TypeError
        As `max_pool2d`, and for an unknown mode.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> A, cache = cyconv.pool_forward(np.ones((2, 4, 4, 3)), {"stride": 2, "f": 3})
    >>> A.shape
    (2, 1, 1, 3)
    """
    geometry.choice(mode, "mode", MODES)
    try:
        f, stride = hparameters["f"], hparameters["stride"]
    except (TypeError, IndexError):
        raise _no_dictionary(hparameters) from None
    try:
        A = (max_pool2d if mode == "max" else avg_pool2d)(A_prev, f, stride=stride)
    except (ValueError, TypeError) as error:
        raise renamed(error, **POOL_NAMES) from None
    return A, (A_prev, hparameters)


def pool_backward(dA: ArrayLike, cache: PoolCache, mode: str = "max") -> Real:
    """Gradient of `pool_forward`.

    Parameters
    ----------
    dA : array_like, (m, n_H, n_W, n_C)
        Gradient of the cost with respect to A.
    cache : tuple
        As returned by `pool_forward`.
    mode : "max" or "average"
        As given to `pool_forward`.  With "max" every position that equals the maximum of its window gets the gradient.

    Returns
    -------
    ndarray of the shape of A_prev

    Raises
    ------
    ValueError, TypeError, KeyError
        If cache is not one, dA does not have the shape of A, or the mode is unknown.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> A, cache = cyconv.pool_forward(np.ones((5, 5, 3, 2)), {"stride": 1, "f": 2}, mode="average")
    >>> cyconv.pool_backward(A, cache, mode="average").shape
    (5, 5, 3, 2)
    """
    geometry.choice(mode, "mode", MODES)
    if not isinstance(cache, tuple) or len(cache) != 2:
        raise _no_cache(cache, "(A_prev, hparameters)")
    A_prev, hparameters = cache
    try:
        f, stride = hparameters["f"], hparameters["stride"]
    except (TypeError, IndexError):
        raise _no_dictionary(hparameters) from None
    try:
        if mode == "max":
            return max_pool2d_backward(dA, A_prev, f, stride=stride, ties="all")
        dA, A_prev = real_arrays(("dA", "A_prev"), (dA, A_prev))
        g = geometry.pool(A_prev.shape, f, stride, 0, 1, False, False)
        return average_backward(dA, g, A_prev.shape, 0)
    except (ValueError, TypeError) as error:
        raise renamed(error, **POOL_NAMES) from None


def create_mask_from_window(x: ArrayLike) -> NDArray[np.bool_]:
    """Where a window holds its maximum.

    Parameters
    ----------
    x : array_like
        Window, of any shape but empty.

    Returns
    -------
    ndarray of bool, of the shape of x
        True at every maximum; all False if x holds a NaN.

    Raises
    ------
    ValueError, TypeError
        If x is empty or not of real numbers.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> cyconv.create_mask_from_window(np.array([[1.0, 3.0], [3.0, 2.0]]))
    array([[False,  True],
           [ True, False]])
    """
    (x,) = real_arrays(("x",), (x,))
    if x.size == 0:
        raise ValueError(f"`x` must hold at least one number, got shape {x.shape}")
    return np.asarray(x == np.max(x))


def distribute_value(dz: ArrayLike, shape: tuple[int, int]) -> Real:
    """One number shared out evenly over a window.

    Parameters
    ----------
    dz : scalar
        Value.
    shape : (int, int)
        Window (n_H, n_W).

    Returns
    -------
    ndarray of `shape`, each dz / (n_H * n_W)

    Raises
    ------
    ValueError, TypeError
        If dz is not one number or shape is not a pair of positive integers.

    Examples
    --------
    >>> import cyconv
    >>> cyconv.distribute_value(2, (2, 2))
    array([[0.5, 0.5],
           [0.5, 0.5]])
    """
    (dz,) = real_arrays(("dz",), (dz,))
    if dz.size != 1:
        raise ValueError(f"`dz` must be one number, got shape {dz.shape}")
    if not geometry.is_sequence(shape):
        raise TypeError(f"`shape` must be a pair (n_H, n_W), got {shown(shape)}")
    n_H, n_W = geometry.pair(shape, "shape")
    geometry.check_size("the result", (n_H, n_W))
    return np.full((n_H, n_W), dz.item() / (n_H * n_W), dz.dtype)
