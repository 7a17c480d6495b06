"""lp_pool2d: the p-norm of each window, and its gradient."""

import numpy as np
import pytest
import reference
from answers import seeded
from cases import CHANNELS, POOLS, Pool, brief
from compare import assert_rounded

import cyconv

EVERYWHERE = pytest.mark.usefixtures("isa", "threads")

CASES = (
    *(Pool((2, 4, 5, C), 2) for C in CHANNELS),
    *POOLS[27:44],
    Pool((2, 8, 9, 4), 3, dilation=2, stride=1),
    Pool((2, 8, 9, 4), 3, stride=2, ceil_mode=True),
    Pool((2, 8, 9, 4), 2, stride=3, dilation=2, padding=1, ceil_mode=True),
)


@EVERYWHERE
@pytest.mark.parametrize("p", [1, 2, 3, 4])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_norms_and_gradients(case, p, dtype):
    """Powers and roots round in libraries of their own: a dozen roundings on top of the sum's."""
    rng = seeded(case, p)
    x = rng.standard_normal(case.x).astype(np.float32).astype(np.float64)
    y = cyconv.lp_pool2d(x.astype(dtype), p, **case.geometry)
    expected = reference.lp_pool2d(x, p, **case.geometry)
    assert y.dtype == dtype
    assert_rounded(y, expected, expected, terms=50)
    dy = rng.standard_normal(y.shape).astype(np.float32).astype(np.float64)
    dx = cyconv.lp_pool2d_backward(dy.astype(dtype), x.astype(dtype), p, **case.geometry)
    expected = reference.lp_pool2d_backward(dy, x, p, **case.geometry)
    size = reference.lp_pool2d_backward(abs(dy), abs(x), p, **case.geometry)
    assert dx.dtype == dtype
    assert_rounded(dx, expected, size, terms=200)


def test_by_hand(dtype):
    x = np.array([3, -4, 0, 0, -12, 5], dtype).reshape(1, 1, 6, 1)
    dy = np.ones((1, 1, 3, 1), dtype)
    np.testing.assert_allclose(cyconv.lp_pool2d(x, 2, (1, 2)).ravel(), [5, 0, 13], rtol=1e-6)
    np.testing.assert_allclose(cyconv.lp_pool2d(x, 1, (1, 2)).ravel(), [7, 0, 17], rtol=1e-6)
    dx = cyconv.lp_pool2d_backward(dy, x, 2, (1, 2)).ravel()
    np.testing.assert_allclose(dx, [3 / 5, -4 / 5, 0, 0, -12 / 13, 5 / 13], rtol=1e-6)


@EVERYWHERE
def test_a_window_of_zeros_has_norm_and_gradient_zero(dtype):
    x, dy = np.zeros((1, 4, 4, 3), dtype), np.ones((1, 2, 2, 3), dtype)
    for p in (1, 2, 3):
        assert not cyconv.lp_pool2d(x, p, 2).any()
        assert not cyconv.lp_pool2d_backward(dy, x, p, 2).any()


def test_a_nan_reaches_its_own_window_only(dtype):
    x = np.ones((1, 4, 4, 3), dtype)
    x[0, 1, 2, 1] = np.nan
    expected = np.zeros((1, 2, 2, 3), bool)
    expected[0, 0, 1, 1] = True
    np.testing.assert_array_equal(np.isnan(cyconv.lp_pool2d(x, 2, 2)), expected)


@pytest.mark.parametrize("seed", range(10))
def test_the_gradient_is_the_difference(seed):
    rng = seeded("lp", seed)
    x, step = rng.standard_normal((2, 6, 7, 3)), 1e-6 * rng.standard_normal((2, 6, 7, 3))
    for p in (1, 2, 3):
        options = {"kernel_size": (2, 3), "stride": (2, 1), "padding": (1, 0)}
        dy = rng.standard_normal(cyconv.lp_pool2d(x, p, **options).shape)
        dx = cyconv.lp_pool2d_backward(dy, x, p, **options)
        change = cyconv.lp_pool2d(x + step, p, **options) - cyconv.lp_pool2d(x - step, p, **options)
        np.testing.assert_allclose(np.vdot(dx, step), np.vdot(dy, change) / 2, rtol=1e-5, atol=1e-11)


X, DY = np.ones((2, 6, 7, 4)), np.ones((2, 3, 3, 4))
BAD = (
    ({"x": None}, "x"),
    ({"x": X[0, 0]}, "x"),
    ({"x": X[:, :0]}, "x"),
    ({"p": 0}, "p"),
    ({"p": -1}, "p"),
    ({"p": None}, "p"),
    ({"p": "2"}, "p"),
    ({"p": float("nan")}, "p"),
    ({"kernel_size": 0}, "kernel_size"),
    ({"kernel_size": 7}, "kernel_size"),
    ({"stride": 0}, "stride"),
    ({"padding": 2}, "padding"),
    ({"padding": -1}, "padding"),
    ({"dilation": 0}, "dilation"),
)


@pytest.mark.parametrize(("bad", "named"), BAD, ids=brief)
def test_bad_arguments(bad, named):
    good = {"x": X, "p": 2, "kernel_size": 2}
    with pytest.raises((ValueError, TypeError), match=rf"\b{named}\b"):
        cyconv.lp_pool2d(**good | bad)
    with pytest.raises((ValueError, TypeError), match=rf"\b({named}|dy)\b"):
        cyconv.lp_pool2d_backward(**good | {"dy": DY} | bad)


@pytest.mark.parametrize("axis", range(4))
def test_every_axis_of_a_gradient_is_checked(axis):
    shape = list(DY.shape)
    shape[axis] += 1
    with pytest.raises(ValueError, match=r"\bdy\b"):
        cyconv.lp_pool2d_backward(np.ones(shape), X, 2, 2)
