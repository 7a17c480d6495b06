"""max_unpool2d: maxima put back where they came from."""

import draw
import numpy as np
import pytest
import reference
from answers import pool_data
from cases import CHANNELS, Pool, brief
from compare import assert_exact

import cyconv

EVERYWHERE = pytest.mark.usefixtures("isa", "threads")
CASES = (
    *(Pool((2, 6, 7, C), 2) for C in CHANNELS),
    Pool((2, 6, 7, 5), 3, stride=2, padding=1),
    Pool((2, 6, 7, 5), (2, 3), stride=4),
    Pool((0, 6, 7, 5), 2),
    *draw.many(draw.pool, 20),
)


@EVERYWHERE
@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_follows_the_oracle(case, dtype):
    """Windows that overlap may name one pixel twice: both then carry its value."""
    data = pool_data(case)
    y, indices = reference.max_pool2d(data.x, **case.geometry, return_indices=True)
    unpooled = cyconv.max_unpool2d(y.astype(dtype), indices, case.x)
    assert unpooled.dtype == dtype
    assert unpooled.flags.c_contiguous
    assert_exact(unpooled, reference.max_unpool2d(y, indices, case.x))


def test_unpooling_undoes_pooling_of_separate_windows(dtype, rng):
    x = rng.standard_normal((3, 8, 6, 7)).astype(dtype)
    y, indices = cyconv.max_pool2d(x, 2, return_indices=True)
    unpooled = cyconv.max_unpool2d(y, indices, x.shape)
    assert_exact(cyconv.max_pool2d(np.where(unpooled != 0, unpooled, -np.inf), 2), y)
    assert_exact(unpooled[unpooled != 0], x[unpooled != 0])
    assert np.count_nonzero(unpooled) == y.size


def test_the_output_may_be_larger_than_the_windows(dtype):
    x, indices = np.array([[5, 7]], dtype).reshape(1, 1, 2, 1), np.array([3, 11]).reshape(1, 1, 2, 1)
    expected = np.zeros(12)
    expected[[3, 11]] = 5, 7
    assert_exact(cyconv.max_unpool2d(x, indices, (1, 3, 4, 1)).ravel(), expected)


X, INDICES, SHAPE = np.ones((2, 3, 3, 4)), np.zeros((2, 3, 3, 4), int), (2, 6, 7, 4)
BAD = (
    ({"x": None}, "x"),
    ({"x": X[0, 0]}, "x"),
    ({"x": X.astype(complex)}, "x"),
    ({"indices": None}, "indices"),
    ({"indices": INDICES + 42}, "indices"),
    ({"indices": INDICES - 1}, "indices"),
    ({"indices": INDICES[:, :2]}, "indices"),
    ({"indices": INDICES[:1]}, "indices"),
    ({"indices": INDICES.reshape(3, 2, 3, 4)}, "indices"),
    ({"indices": INDICES.astype(float)}, "indices"),
    ({"indices": np.ma.array(INDICES)}, "indices"),
    ({"output_shape": None}, "output_shape"),
    ({"output_shape": 7}, "output_shape"),
    ({"output_shape": (6, 7)}, "output_shape"),
    ({"output_shape": (3, 6, 7, 4)}, "output_shape"),
    ({"output_shape": (2, 6, 7, 5)}, "output_shape"),
    ({"output_shape": (2, 0, 7, 4)}, "output_shape|indices"),
    ({"output_shape": (2, -6, 7, 4)}, "output_shape"),
    ({"output_shape": (2, 6.0, 7, 4)}, "output_shape"),
    ({"output_shape": (2, 2**40, 2**40, 4)}, "output_shape"),
)


@pytest.mark.parametrize(("arguments", "named"), BAD, ids=brief)
def test_bad_arguments(arguments, named):
    with pytest.raises((ValueError, TypeError), match=rf"\b({named})\b"):
        cyconv.max_unpool2d(**{"x": X, "indices": INDICES, "output_shape": SHAPE} | arguments)


def test_the_call_above_is_good():
    assert cyconv.max_unpool2d(X, INDICES, SHAPE).shape == SHAPE
