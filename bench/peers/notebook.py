"""The eight functions of the "CNN step by step" notebook as loops over single outputs.

Behaviour and argument names are the notebook's, except where it computes something else than the
gradient: ``pool_backward`` here slides its window by ``stride`` (the notebook: by 1) and
``conv_backward`` works for ``pad=0`` (the notebook: an empty array).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def zero_pad(X: Array, pad: int) -> Array:
    return np.pad(X, ((0, 0), (pad, pad), (pad, pad), (0, 0)))


def conv_single_step(a_slice_prev: Array, W: Array, b: Array) -> Any:
    return np.sum(np.multiply(a_slice_prev, W)) + b.item()


def conv_forward(A_prev: Array, W: Array, b: Array, hparameters: dict[str, int]) -> tuple[Array, Any]:
    stride, pad = hparameters["stride"], hparameters["pad"]
    f, _, _, channels = W.shape
    images, height, width, _ = A_prev.shape
    rows = (height + 2 * pad - f) // stride + 1
    columns = (width + 2 * pad - f) // stride + 1
    A_prev_pad = zero_pad(A_prev, pad)
    Z = np.zeros((images, rows, columns, channels))
    for i in range(images):
        a_prev_pad = A_prev_pad[i]
        for h in range(rows):
            for w in range(columns):
                for c in range(channels):
                    a_slice_prev = a_prev_pad[_window(h, w, stride, f)]
                    Z[i, h, w, c] = conv_single_step(a_slice_prev, W[..., c], b[..., c])
    return Z, (A_prev, W, b, hparameters)


def conv_backward(dZ: Array, cache: Any) -> tuple[Array, Array, Array]:
    A_prev, W, b, hparameters = cache
    stride, pad = hparameters["stride"], hparameters["pad"]
    f = W.shape[0]
    images, rows, columns, channels = dZ.shape
    A_prev_pad = zero_pad(A_prev, pad)
    dA_prev_pad, dW, db = np.zeros(A_prev_pad.shape), np.zeros(W.shape), np.zeros(b.shape)
    for i in range(images):
        a_prev_pad, da_prev_pad = A_prev_pad[i], dA_prev_pad[i]
        for h in range(rows):
            for w in range(columns):
                for c in range(channels):
                    window = _window(h, w, stride, f)
                    da_prev_pad[window] += W[..., c] * dZ[i, h, w, c]
                    dW[..., c] += a_prev_pad[window] * dZ[i, h, w, c]
                    db[..., c] += dZ[i, h, w, c]
    height, width = A_prev.shape[1:3]
    return dA_prev_pad[:, pad : pad + height, pad : pad + width], dW, db


def create_mask_from_window(x: Array) -> Array:
    mask: Array = x == np.max(x)
    return mask


def distribute_value(dz: float, shape: tuple[int, int]) -> Array:
    height, width = shape
    return np.full(shape, dz / (height * width))


def pool_forward(A_prev: Array, hparameters: dict[str, int], mode: str = "max") -> tuple[Array, Any]:
    f, stride = hparameters["f"], hparameters["stride"]
    reduce: Any = {"max": np.max, "average": np.mean}[mode]
    images, height, width, channels = A_prev.shape
    rows, columns = (height - f) // stride + 1, (width - f) // stride + 1
    A = np.zeros((images, rows, columns, channels))
    for i in range(images):
        for h in range(rows):
            for w in range(columns):
                for c in range(channels):
                    A[i, h, w, c] = reduce(A_prev[i, *_window(h, w, stride, f), c])
    return A, (A_prev, hparameters)


def pool_backward(dA: Array, cache: Any, mode: str = "max") -> Array:
    A_prev, hparameters = cache
    f, stride = hparameters["f"], hparameters["stride"]
    images, rows, columns, channels = dA.shape
    dA_prev = np.zeros(A_prev.shape)
    for i in range(images):
        for h in range(rows):
            for w in range(columns):
                for c in range(channels):
                    window = i, *_window(h, w, stride, f), c
                    if mode == "max":
                        mask = create_mask_from_window(A_prev[window])
                        dA_prev[window] += mask * dA[i, h, w, c]
                    else:
                        dA_prev[window] += distribute_value(dA[i, h, w, c], (f, f))
    return dA_prev


def _window(h: int, w: int, stride: int, f: int) -> tuple[slice, slice]:
    """The rows and columns that output (h, w) looks at."""
    return slice(h * stride, h * stride + f), slice(w * stride, w * stride + f)
