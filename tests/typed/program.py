"""A user's program, written to be checked: test_types.py asks mypy and pyright for their strictest opinion of it."""

from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import cyconv

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Real = NDArray[np.floating[Any]]


def float32_gives_float32(x: F32, w: F32, b: F32) -> F32:
    y = cyconv.conv2d(x, w, b, stride=(2, 1), padding="same", activation="relu")
    assert_type(y, F32)
    p, indices = cyconv.max_pool2d(y, 2, return_indices=True)
    assert_type(p, F32)
    assert_type(indices, NDArray[np.int64])
    dy = cyconv.max_pool2d_backward(p, y, 2, indices=indices)
    dx, dw, db = cyconv.conv2d_backward(dy, x, w, stride=(2, 1), padding="same", activation="relu", y=y)
    assert_type((dx, dw, db), tuple[F32, F32, F32])
    assert_type(cyconv.conv_transpose2d(y, w, stride=2), F32)
    assert_type(cyconv.max_pool2d(y, 2, padding=((0, 1), (0, 1))), F32)
    assert_type(cyconv.avg_pool2d_backward(p, y.shape, 2), F32)
    assert_type(cyconv.max_unpool2d(p, indices, y.shape), F32)
    return dx


def float64_gives_float64(x: F64, w: F64, b: F64) -> F64:
    Z, cache = cyconv.conv_forward(x, w, b, {"stride": 1, "pad": 2})
    assert_type(Z, F64)
    A, pool_cache = cyconv.pool_forward(Z, {"stride": 2, "f": 2}, mode="average")
    assert_type(A, F64)
    dA: Real = cyconv.pool_backward(A, pool_cache, mode="average")
    dA_prev, dW, db = cyconv.conv_backward(dA, cache)
    assert_type((dA_prev, dW, db), tuple[Real, Real, Real])
    return cyconv.conv1d(x.reshape(8, 4, 3), w.reshape(9, 3, 3), padding="same")


def other_numbers_give_real_arrays(x: F32, w: F64, images: NDArray[np.uint8]) -> Real:
    assert_type(cyconv.conv2d(x, w), Real)
    assert_type(cyconv.conv2d(images, w), Real)
    assert_type(cyconv.conv1d([[1], [2], [3]], [[[1.5]]]), Real)
    return cyconv.adaptive_avg_pool2d(images, (1, 1))


def settings() -> int:
    cyconv.set_algorithm(cyconv.get_algorithm())
    with cyconv.num_threads(2):
        return cyconv.get_num_threads()


if __name__ == "__main__":
    f32, f64 = np.ones((2, 4, 4, 3), np.float32), np.ones((2, 4, 4, 3))
    assert float32_gives_float32(f32, np.ones((3, 3, 3, 3), np.float32), np.zeros(3, np.float32)).dtype == np.float32
    assert float64_gives_float64(f64, np.ones((3, 3, 3, 3)), np.zeros((1, 1, 1, 3))).dtype == np.float64
    assert other_numbers_give_real_arrays(f32, np.ones((3, 3, 3, 3)), np.ones((2, 4, 4, 3), np.uint8)).shape[1] == 1
    assert settings() == 2 or cyconv.get_num_threads() == 1
