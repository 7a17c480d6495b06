"""Padding in all its forms: "same_lower", wider than the window, windows that miss the input."""

import numpy as np
import pytest
from answers import average_data, conv_data, pool_data
from cases import Conv, Pool
from compare import assert_exact, assert_rounded

import cyconv

pytestmark = pytest.mark.usefixtures("isa", "threads")

CONVS = (
    # The odd row above and to the left.
    Conv((2, 5, 6, 3), (2, 2), 4, padding="same_lower"),
    Conv((2, 5, 6, 3), (4, 3), 4, padding="same_lower", stride=2),
    Conv((2, 7, 8, 3), (2, 5), 4, padding="same_lower", stride=(3, 2)),
    Conv((2, 7, 8, 3), (3, 2), 4, padding="same_lower", dilation=(1, 3)),
    Conv((2, 7, 8, 3), (1, 1), 4, padding="same_lower", stride=3),
    Conv((2, 5, 6, 6), (4, 2), 6, padding="same_lower", groups=6),
    Conv((2, 5, 6, 6), (4, 2), 4, padding="same_lower", groups=2, stride=2),
    # Padding wider than the window: outputs that see nothing but zeros, on every side.
    *(
        Conv((2, 3, 4, C), (2, 3), K, padding=padding, stride=stride, groups=groups)
        for C, K, groups in ((3, 4, 1), (6, 4, 2), (5, 5, 5))
        for padding in (6, ((9, 0), (0, 7)), ((0, 5), (8, 1)))
        for stride in (1, (3, 2))
    ),
    Conv((1, 1, 1, 3), (1, 1), 4, padding=3),
    Conv((1, 1, 1, 3), (1, 1), 4, padding=3, stride=2),
    Conv((1, 2, 3, 3), (1, 1), 4, padding=((0, 4), (5, 0)), stride=(2, 3)),
    Conv((1, 2, 3, 4), (1, 1), 4, padding=2, groups=4),
    # Strides wider than the window, and wider than the input.
    Conv((2, 9, 10, 3), (2, 2), 4, stride=(3, 7)),
    Conv((2, 9, 10, 4), (2, 2), 4, stride=(3, 7), groups=4),
    Conv((2, 9, 10, 3), (3, 3), 4, stride=50, padding=1),
    Conv((2, 4, 4, 3), (1, 1), 4, stride=5, padding=((0, 9), (0, 9))),
    # Dilated windows whose taps fall on both sides of the input, and between its pixels.
    Conv((2, 2, 3, 3), (3, 3), 4, dilation=5, padding=5),
    Conv((2, 2, 3, 3), (2, 2), 4, dilation=7, padding=4, stride=2),
    Conv((2, 2, 3, 3), (2, 2), 4, dilation=(9, 2), padding=(8, 1)),
    Conv((1, 1, 2, 5), (3, 2), 5, dilation=(4, 3), padding=(5, 3), groups=5),
)

POOLS = (
    Pool((2, 7, 8, 5), 2, stride=1, padding="same_lower"),
    Pool((2, 7, 8, 5), (4, 3), stride=(3, 2), padding="same_lower"),
    Pool((2, 7, 8, 5), (2, 5), padding="same_lower"),
    Pool((2, 7, 8, 5), 3, stride=5, padding="same_lower"),
)


@pytest.mark.parametrize("case", CONVS, ids=str)
def test_convolution(case, dtype):
    data = conv_data(case, "integers")
    x, w, b, dy = (a.astype(dtype) for a in (data.x, data.w, data.b, data.dy))
    assert_exact(cyconv.conv2d(x, w, b, **case.geometry, algorithm="direct"), data.y)
    gradients = cyconv.conv2d_backward(dy, x, w, **case.geometry, algorithm="direct")
    for got, expected in zip(gradients, (data.dx, data.dw, data.db), strict=True):
        assert_exact(got, expected)


@pytest.mark.parametrize("case", POOLS, ids=str)
def test_pooling(case, dtype):
    data = pool_data(case)
    x, dy = data.x.astype(dtype), data.dy.astype(dtype)
    assert_exact(cyconv.max_pool2d(x, **case.geometry), data.y_max)
    assert_exact(cyconv.max_pool2d_backward(dy, x, **case.geometry), data.dx_first)
    average = average_data(case)
    assert_rounded(cyconv.avg_pool2d(x, **case.geometry), average.y, abs(average.y), terms=1 / 16)
    dx = cyconv.avg_pool2d_backward(dy, case.x, **case.geometry)
    assert_rounded(dx, average.dx, average.dx_magnitude, terms=10)


def test_same_and_same_lower_differ_by_the_side_of_the_odd_row(dtype):
    x = np.arange(1, 5, dtype=dtype).reshape(1, 1, 4, 1)
    w = np.array([10, 1], dtype).reshape(1, 2, 1, 1)
    assert_exact(cyconv.conv2d(x, w, padding="same").ravel(), np.array([12.0, 23.0, 34.0, 40.0]))
    assert_exact(cyconv.conv2d(x, w, padding="same_lower").ravel(), np.array([1.0, 12.0, 23.0, 34.0]))
    assert_exact(cyconv.max_pool2d(-x, (1, 2), stride=1, padding="same").ravel(), -np.array([1.0, 2.0, 3.0, 4.0]))
    lower = cyconv.max_pool2d(-x, (1, 2), stride=1, padding="same_lower")
    assert_exact(lower.ravel(), -np.array([1.0, 1.0, 2.0, 3.0]))


def test_windows_on_nothing_but_padding_give_the_bias(dtype):
    x, w = np.full((1, 2, 2, 3), 7, dtype), np.full((1, 1, 3, 2), 5, dtype)
    y = cyconv.conv2d(x, w, np.array([1, -2], dtype), padding=2)
    expected = np.broadcast_to(np.array([1.0, -2.0]), (1, 6, 6, 2)).copy()
    expected[:, 2:4, 2:4] += 105
    assert_exact(y, expected)


@pytest.mark.parametrize("pool", [cyconv.max_pool2d, cyconv.avg_pool2d], ids=["max_pool2d", "avg_pool2d"])
@pytest.mark.parametrize(
    "geometry",
    [
        {"kernel_size": 2, "padding": 2},
        {"kernel_size": 1, "padding": 1},
        {"kernel_size": (5, 2), "padding": (2, 2)},
        {"kernel_size": 3, "padding": ((0, 0), (0, 2))},
        {"kernel_size": 2, "dilation": 3, "padding": 3},
        {"kernel_size": 3, "padding": 100},
    ],
    ids=str,
)
def test_pooling_refuses_padding_wider_than_half_the_window(pool, geometry, dtype):
    """Otherwise a window could lie on nothing at all."""
    with pytest.raises(ValueError, match=r"\bpadding\b"):
        pool(np.ones((1, 8, 8, 2), dtype), **geometry)


@pytest.mark.parametrize("pool", [cyconv.max_pool2d, cyconv.avg_pool2d], ids=["max_pool2d", "avg_pool2d"])
def test_pooling_refuses_a_dilated_window_that_misses_the_input(pool, dtype):
    """Two taps, one pixel between them."""
    with pytest.raises(ValueError, match=r"\bpadding\b"):
        pool(np.ones((1, 1, 8, 2), dtype), (2, 1), dilation=(2, 1), padding=(1, 0))
