"""The eight functions of the notebook "Convolutional Neural Networks: Step by Step", with its names, arguments, shapes
and caches.  Where it is wrong, the differences are listed in the README."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from cyconv import geometry
from cyconv.arrays import Real, real_arrays
from cyconv.conv import conv2d, conv2d_backward
from cyconv.messages import renamed
from cyconv.pool import avg_pool2d, avg_pool2d_backward, max_pool2d, max_pool2d_backward

ConvCache = tuple[Any, Any, Any, Mapping[str, Any]]
PoolCache = tuple[Any, Mapping[str, Any]]
NAMES = {
    "x": "A_prev",
    "w": "W",
    "dy": "dZ",
    "padding": "pad",
    "kernel_size": "f",
    "input_shape": "A_prev",
}
"""What the notebook calls the arguments of the functions underneath, for error messages."""


def zero_pad(X: Any, pad: Any) -> Real:
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
    _require_rank(X, "X", 4, "(m, n_H, n_W, n_C)")
    h, w = geometry.pair(pad, "pad", 0)
    m, H, W, C = X.shape
    geometry.check_size("the result", (m, H + 2 * h, W + 2 * w, C))
    padded = np.zeros((m, H + 2 * h, W + 2 * w, C), X.dtype)
    padded[:, h : h + H, w : w + W] = X
    return padded


def _require_rank(array: Real, name: str, rank: int, shape: str) -> None:
    if array.ndim != rank:
        raise ValueError(f"{name} must have {rank} dimensions {shape}, got shape {array.shape}")


def conv_single_step(a_slice_prev: Any, W: Any, b: Any) -> Any:
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
        raise ValueError(f"a_slice_prev and W must have the same shape, got {a_slice_prev.shape} and {W.shape}")
    if b.size != 1:
        raise ValueError(f"b must be one number, got shape {b.shape}")
    return np.sum(a_slice_prev * W) + b.reshape(())


def _parameter(hparameters: Any, key: str) -> Any:
    if not isinstance(hparameters, Mapping):
        raise TypeError(f"hparameters must be a dictionary, got {type(hparameters).__name__}")
    if key not in hparameters:
        raise KeyError(key)
    return hparameters[key]


def conv_forward(A_prev: Any, W: Any, b: Any, hparameters: Mapping[str, Any]) -> tuple[Real, ConvCache]:
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
    Z = conv2d(A_prev, W, b, stride=_parameter(hparameters, "stride"), padding=_pad(_parameter(hparameters, "pad")))
    return Z, (A_prev, W, b, hparameters)


def _pad(pad: Any) -> Any:
    return pad if type(pad) is int else geometry.pair(pad, "pad", 0)


def _unpack(cache: Any, length: int, contents: str) -> Any:
    if not isinstance(cache, tuple) or len(cache) != length:
        raise ValueError(f"cache must be the tuple {contents} that the forward function returned, got {_brief(cache)}")
    return cache


def _brief(value: Any) -> str:
    return f"a tuple of {len(value)}" if isinstance(value, tuple) else f"an object of type {type(value).__name__}"


def conv_backward(dZ: Any, cache: ConvCache) -> tuple[Real, Real, Real]:
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
    A_prev, W, _, hparameters = _unpack(cache, 4, "(A_prev, W, b, hparameters)")
    stride, pad = _parameter(hparameters, "stride"), _parameter(hparameters, "pad")
    try:
        dx, dw, db = conv2d_backward(
            dZ, A_prev, W, stride=stride, padding=pad if type(pad) is int else geometry.pair(pad, "pad", 0)
        )
    except (ValueError, TypeError) as error:
        raise renamed(error, **NAMES) from None
    return dx, dw, db.reshape(1, 1, 1, -1)


def _check_mode(mode: Any) -> None:
    if mode not in ("max", "average"):
        raise ValueError(f"mode must be 'max' or 'average', got {mode!r}")


def pool_forward(A_prev: Any, hparameters: Mapping[str, Any], mode: str = "max") -> tuple[Real, PoolCache]:
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
    _check_mode(mode)
    f, stride = _parameter(hparameters, "f"), _parameter(hparameters, "stride")
    pool = max_pool2d if mode == "max" else avg_pool2d
    try:
        return pool(A_prev, f, stride=stride), (A_prev, hparameters)  # type: ignore[return-value]
    except (ValueError, TypeError) as error:
        raise renamed(error, **NAMES) from None


def pool_backward(dA: Any, cache: PoolCache, mode: str = "max") -> Real:
    """Gradient of `pool_forward`.

    Parameters
    ----------
    dA : array_like, (m, n_H, n_W, n_C)
        Gradient of the cost with respect to A.
    cache : tuple
        As returned by `pool_forward`.
    mode : "max" or "average"
        Every position that equals the maximum of its window gets the gradient.

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
    _check_mode(mode)
    A_prev, hparameters = _unpack(cache, 2, "(A_prev, hparameters)")
    f, stride = _parameter(hparameters, "f"), _parameter(hparameters, "stride")
    try:
        if mode == "max":
            return max_pool2d_backward(dA, A_prev, f, stride=stride, ties="all")
        dA, A_prev = real_arrays(("dA", "A_prev"), (dA, A_prev))
        return avg_pool2d_backward(dA, A_prev.shape, f, stride=stride)
    except (ValueError, TypeError) as error:
        raise renamed(error, **{**NAMES, "dy": "dA"}) from None


def create_mask_from_window(x: Any) -> np.ndarray[Any, np.dtype[np.bool_]]:
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
        raise ValueError(f"x must hold at least one number, got shape {x.shape}")
    return np.asarray(x == np.max(x))


def distribute_value(dz: Any, shape: Any) -> Real:
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
        raise ValueError(f"dz must be one number, got shape {dz.shape}")
    if not hasattr(shape, "__len__"):
        raise TypeError(f"shape must be a pair (n_H, n_W), got {shape!r}")
    n_H, n_W = geometry.pair(shape, "shape")
    geometry.check_size("the result", (n_H, n_W))
    return np.full((n_H, n_W), dz.reshape(()) / (n_H * n_W), dz.dtype)
