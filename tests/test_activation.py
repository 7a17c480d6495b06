"""conv2d with a fused activation, and gradients through it."""

from dataclasses import replace

import numpy as np
import pytest
from answers import conv_data
from cases import CHANNELS, CONVS, Conv, brief
from compare import assert_exact

import cyconv

EVERYWHERE = pytest.mark.usefixtures("isa", "threads")

BASE = Conv((2, 5, 6, 3), (3, 3), 4, padding=1)
CASES = (
    *(replace(BASE, K=K) for K in CHANNELS),
    *CONVS[::4],
    replace(BASE, x=(2, 5, 6, 6), K=12, groups=3),
    replace(BASE, x=(2, 5, 6, 6), K=6, groups=6),
    replace(BASE, x=(2, 5, 6, 33), K=33, groups=33, stride=2),
    replace(BASE, x=(2, 5, 6, 6), K=12, groups=6),
)


@EVERYWHERE
@pytest.mark.parametrize("case", CASES, ids=str)
def test_relu(case, dtype):
    data = conv_data(case, "integers")
    x, w, b, dy = (a.astype(dtype) for a in (data.x, data.w, data.b, data.dy))
    y = cyconv.conv2d(x, w, b, **case.geometry, activation="relu", algorithm="direct")
    assert_exact(y, np.maximum(data.y, 0))
    assert not np.signbit(y).any()
    assert_exact(cyconv.conv2d(x, w, b, **case.geometry, activation=None, algorithm="direct"), data.y)

    fused = cyconv.conv2d_backward(dy, x, w, **case.geometry, activation="relu", y=y, algorithm="direct")
    masked = np.where(data.y > 0, dy, 0)
    apart = cyconv.conv2d_backward(masked, x, w, **case.geometry, algorithm="direct")
    for got, expected in zip(fused, apart, strict=True):
        assert got.dtype == dtype
        assert_exact(got, expected)


@EVERYWHERE
@pytest.mark.parametrize("K", CHANNELS)
def test_nan_passes_and_infinities_are_cut_below(K, dtype):
    """As numpy.maximum(y, 0), in every lane."""
    x = np.ones((1, 1, 4, 1), dtype)
    x[0, 0, :, 0] = np.nan, np.inf, -np.inf, -1
    w = np.ones((1, 1, 1, K), dtype)
    y = cyconv.conv2d(x, w, activation="relu")
    assert_exact(y[0, 0], np.repeat([[np.nan], [np.inf], [0.0], [0.0]], K, axis=1))


def test_the_gradient_is_zero_where_the_result_is(dtype):
    """At the kink the gradient is that of the left side, as everywhere."""
    x, w = np.array([-1, 0, 2], dtype).reshape(1, 1, 3, 1), np.ones((1, 1, 1, 1), dtype)
    y = cyconv.conv2d(x, w, activation="relu")
    dx, dw, db = cyconv.conv2d_backward(np.ones_like(y), x, w, activation="relu", y=y)
    assert_exact(dx.ravel(), np.array([0.0, 0.0, 1.0]))
    assert (dw.item(), db.item()) == (2, 1)


def test_the_gradient_is_not_changed(dtype):
    x, w = np.ones((1, 3, 3, 2), dtype), -np.ones((2, 2, 2, 3), dtype)
    y = cyconv.conv2d(x, w, activation="relu")
    dy = np.ones_like(y)
    cyconv.conv2d_backward(dy, x, w, activation="relu", y=y)
    assert (dy == 1).all()
    assert (y == 0).all()


X, W, Y = np.ones((2, 5, 6, 3)), np.ones((3, 3, 3, 4)), np.ones((2, 3, 4, 4))


@pytest.mark.parametrize("activation", ["ReLU", "tanh", "", 0, True], ids=repr)
def test_an_unknown_activation(activation):
    with pytest.raises((ValueError, TypeError), match=r"\bactivation\b.*relu"):
        cyconv.conv2d(X, W, activation=activation)
    with pytest.raises((ValueError, TypeError), match=r"\bactivation\b.*relu"):
        cyconv.conv2d_backward(Y, X, W, activation=activation, y=Y)


@pytest.mark.parametrize(
    "y",
    [None, Y[:, :2], Y[:1], Y[..., :3], Y[0], np.ma.array(Y), Y.astype(complex), "y"],
    ids=brief,
)
def test_a_result_that_is_none(y):
    with pytest.raises((ValueError, TypeError), match=r"\bd?y\b"):
        cyconv.conv2d_backward(Y, X, W, activation="relu", y=y)
