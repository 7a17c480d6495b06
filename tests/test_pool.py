"""max_pool2d and avg_pool2d against the oracle, in every build, dtype and thread count."""

import draw
import numpy as np
import pytest
from answers import average_data, pool_data
from cases import CHANNELS, POOLS, Pool
from compare import assert_exact, assert_rounded, assert_same_bits

import cyconv

pytestmark = pytest.mark.usefixtures("isa", "threads")

# 3x3 with channels enough to go in strips: every number of rows and columns, paddings that differ, cut last windows.
STRIPS = (
    *(Pool((2, H, 6, 20), 3, stride=step, padding=1) for H in range(1, 11) for step in (1, 2)),
    *(
        Pool((1, 7, W, 35), 3, stride=step, padding=pad)
        for W in range(2, 12)
        for pad in (0, 1, ((1, 0), (0, 1)))
        for step in (1, 2)
        if W > 2 or pad == 1
    ),
    *(Pool((1, 5, W, 32), 3, stride=step, padding=1, ceil_mode=True) for W in (8, 9, 113, 228) for step in (1, 2)),
    *(Pool((1, 9, 8, 16), 3, stride=stride, padding=1) for stride in ((1, 2), (2, 1), 3)),
)

CASES = [*POOLS, *STRIPS, *draw.many(draw.pool, 60)]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_maximum(case, dtype):
    data = pool_data(case)
    y = cyconv.max_pool2d(data.x.astype(dtype), **case.geometry)
    assert y.dtype == dtype
    assert y.flags.c_contiguous
    assert_exact(y, data.y_max)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_average(case, dtype):
    data = pool_data(case)
    x = data.x.astype(dtype)
    # The sums are exact; dividing by the count, or multiplying by its inverse, rounds once or twice.
    for count_include_pad in (False, True):
        expected = average_data(case, count_include_pad=count_include_pad).y
        y = cyconv.avg_pool2d(x, **case.geometry, count_include_pad=count_include_pad)
        assert y.dtype == dtype
        assert y.flags.c_contiguous
        assert_rounded(y, expected, abs(expected), terms=1 / 16)


@pytest.mark.parametrize("kernel_size", [2, 3])
def test_arrays_larger_than_the_caches_have_the_same_bits(kernel_size, rng):
    """They are fetched ahead; an image alone is not."""
    x = rng.standard_normal((12, 90, 90, 32), dtype=np.float32)
    for pool in cyconv.max_pool2d, cyconv.avg_pool2d:
        y = pool(x, kernel_size, stride=1)
        for n in (0, 11):
            assert_same_bits(pool(x[n : n + 1], kernel_size, stride=1), y[n : n + 1])


def test_average_leaves_padding_out_unless_told_otherwise(dtype):
    x = np.ones((1, 3, 3, 1), dtype)
    arguments = {"kernel_size": 3, "stride": 1, "padding": 1}
    assert_exact(cyconv.avg_pool2d(x, **arguments), np.ones((1, 3, 3, 1)))
    corner = cyconv.avg_pool2d(x, **arguments, count_include_pad=True)[0, 0, 0, 0]
    assert corner == pytest.approx(4 / 9, rel=1e-6)


@pytest.mark.parametrize("pool", [cyconv.max_pool2d, cyconv.avg_pool2d])
def test_stride_is_the_window_unless_given(pool, dtype, rng):
    x = rng.standard_normal((2, 9, 8, 3)).astype(dtype)
    assert_exact(pool(x, (3, 2)), pool(x, (3, 2), stride=(3, 2)))
    assert pool(x, (3, 2)).shape == (2, 3, 4, 3)


def test_maximum_of_negative_numbers_ignores_padding(dtype):
    x = np.full((1, 4, 4, 3), -5, dtype)
    assert_exact(cyconv.max_pool2d(x, 3, stride=2, padding=1), np.full((1, 2, 2, 3), -5.0))


@pytest.mark.parametrize("value", [-np.inf, np.inf, "lowest", "highest", "subnormal"], ids=str)
@pytest.mark.parametrize("C", [1, 4, 17])
def test_maximum_of_extreme_numbers(value, C, dtype):
    """No start value may leak: a window of the lowest number, or of -inf, has that maximum."""
    limits = np.finfo(dtype)
    named = {"lowest": limits.min, "highest": limits.max, "subnormal": -limits.smallest_subnormal}
    x = np.full((2, 4, 4, C), named.get(value, value), dtype)
    assert_exact(cyconv.max_pool2d(x, 3, stride=1, padding=1), x)


@pytest.mark.parametrize("C", CHANNELS)
@pytest.mark.parametrize("others", [1.0, np.inf, -np.inf], ids=str)
def test_maximum_propagates_a_nan_in_any_lane_and_at_any_tap(C, others, dtype):
    """As np.max does, whether it comes first, last or between."""
    for tap in range(9):
        x = np.full((1, 3, 3, C), others, dtype)
        c = (tap * C) // 9
        x[0, tap // 3, tap % 3, c] = np.nan
        expected = np.where(np.arange(C) == c, np.nan, others)
        assert_exact(cyconv.max_pool2d(x, 3)[0, 0, 0], expected)
    alone = np.full((1, 3, 3, C), np.nan, dtype)
    assert np.isnan(cyconv.max_pool2d(alone, 3)).all()


def test_nan_reaches_its_own_windows_only(dtype):
    x = np.ones((2, 6, 6, 5), dtype)
    x[1, 3, 2, 4] = np.nan
    expected = np.ones((2, 3, 3, 5))
    expected[1, 1, 1, 4] = np.nan
    assert_exact(cyconv.max_pool2d(x, 2), expected)
    assert_exact(cyconv.avg_pool2d(x, 2), expected)


@pytest.mark.parametrize("stride", [1, 2])
def test_special_numbers_in_strips(stride, dtype, rng):
    x = rng.integers(-3, 4, (1, 9, 10, 37)).astype(dtype)
    for value in (np.nan, np.inf, -np.inf, -0.0):
        x[rng.random(x.shape) < 0.05] = value
    x[0, 3:8, 2:7, :5] = -np.inf
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))[:, ::stride, ::stride]
    assert_exact(cyconv.max_pool2d(x, 3, stride=stride), windows.max(axis=(-2, -1)))
    with np.errstate(invalid="ignore"):
        expected = windows.sum(axis=(-2, -1), dtype=np.float64) / 9
    assert_exact(cyconv.avg_pool2d(x, 3, stride=stride), expected.astype(dtype))


def test_average_of_infinities(dtype):
    x = np.ones((1, 2, 4, 3), dtype)
    x[0, 0, 0, 0], x[0, 1, 1, 1], x[0, 0, 2, 2] = np.inf, -np.inf, np.inf
    x[0, 1, 2, 2] = -np.inf
    expected = np.array([[np.inf, -np.inf, 1], [1, 1, np.nan]])
    assert_exact(cyconv.avg_pool2d(x, 2)[0, 0], expected)


def test_average_of_a_large_window_stays_accurate(dtype):
    """A quarter of a million tenths: added one by one in float32 they would lose four digits."""
    x = np.full((1, 512, 512, 3), 0.1, dtype)
    y = cyconv.avg_pool2d(x, 512)
    assert_rounded(y, np.full((1, 1, 1, 3), np.float64(x.flat[0])), 0.1, terms=512)


@pytest.mark.parametrize("pool", [cyconv.max_pool2d, cyconv.avg_pool2d])
def test_one_image_at_a_time_gives_the_same_bits(pool, dtype, rng):
    x = rng.standard_normal((5, 9, 11, 7)).astype(dtype)
    apart = [pool(x[n : n + 1], 3, stride=2, padding=1) for n in range(5)]
    assert pool(x, 3, stride=2, padding=1).tobytes() == np.concatenate(apart).tobytes()
