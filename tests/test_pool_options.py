"""Pooling with dilation, ceil_mode, divisors and indices, alone and together."""

from dataclasses import replace
from itertools import product

import draw
import numpy as np
import pytest
import reference
from answers import average_data, pool_data
from cases import CHANNELS, Pool
from compare import assert_adjoint, assert_exact, assert_rounded
from reference.geometry import pair

import cyconv

EVERYWHERE = pytest.mark.usefixtures("isa", "threads")

BASE = Pool((2, 8, 9, 5), 3)
CASES = (
    # Dilation.
    replace(BASE, dilation=2),
    replace(BASE, dilation=(1, 3)),
    replace(BASE, kernel_size=(2, 3), dilation=(5, 2), stride=1),
    replace(BASE, kernel_size=2, dilation=3, stride=(2, 1), padding=1),
    replace(BASE, kernel_size=3, dilation=2, stride=2, padding=2),
    replace(BASE, kernel_size=3, dilation=2, stride=1, padding=((0, 2), (1, 0))),
    replace(BASE, kernel_size=3, dilation=(3, 2), padding="same", stride=2),
    # ceil_mode: a partial last window, one that would start in the padding behind and is dropped, none.
    replace(BASE, ceil_mode=True),
    replace(BASE, kernel_size=2, stride=2, ceil_mode=True),
    replace(BASE, kernel_size=2, stride=3, ceil_mode=True),
    replace(BASE, kernel_size=3, stride=2, padding=1, ceil_mode=True),
    replace(BASE, kernel_size=2, stride=4, padding=1, ceil_mode=True),
    replace(BASE, kernel_size=(2, 5), stride=(5, 4), padding=(1, 2), ceil_mode=True),
    replace(BASE, kernel_size=3, stride=1, ceil_mode=True),
    replace(BASE, kernel_size=4, stride=3, padding=((0, 2), (2, 1)), ceil_mode=True),
    replace(BASE, kernel_size=2, stride=3, dilation=2, padding=1, ceil_mode=True),
    replace(BASE, kernel_size=3, stride=2, dilation=(3, 2), ceil_mode=True),
    replace(BASE, x=(2, 5, 5, 5), kernel_size=1, stride=3, ceil_mode=True),
    *(Pool((1, 5, 7, C), 3, stride=2, padding=1, dilation=(1, 2), ceil_mode=True) for C in CHANNELS),
    *(Pool((1, 4, W, 3), 2, stride=2, padding=(0, 1), ceil_mode=True) for W in range(1, 15)),
    # Whole vectors of channels.
    *(Pool((2, 9, 8, C), 2, stride=2, padding=1) for C in (16, 48)),
    *(Pool((2, 9, 8, C), 3, stride=2, padding=1, ceil_mode=True) for C in (16, 48)),
    *(Pool((1, 9, 11, 32), R, dilation=dilation) for R in (2, 3, (2, 3)) for dilation in (1, (2, 3))),
    *draw.many(draw.pool_with_options, 80),
)


@EVERYWHERE
@pytest.mark.parametrize("case", CASES, ids=str)
def test_maximum(case, dtype):
    data = pool_data(case)
    x, dy = data.x.astype(dtype), data.dy.astype(dtype)
    assert_exact(cyconv.max_pool2d(x, **case.geometry), data.y_max)
    assert_exact(cyconv.max_pool2d_backward(dy, x, **case.geometry), data.dx_first)
    assert_exact(cyconv.max_pool2d_backward(dy, x, **case.geometry, ties="all"), data.dx_all)


@EVERYWHERE
@pytest.mark.parametrize("case", CASES, ids=str)
def test_average(case, dtype):
    data = pool_data(case)
    x, dy = data.x.astype(dtype), data.dy.astype(dtype)
    taps = np.prod(pair(case.kernel_size))
    for count_include_pad in (False, True):
        options = case.geometry | {"count_include_pad": count_include_pad}
        expected = average_data(case, count_include_pad=count_include_pad)
        assert_rounded(cyconv.avg_pool2d(x, **options), expected.y, abs(expected.y), terms=1 / 16)
        dx = cyconv.avg_pool2d_backward(dy, case.x, **options)
        assert_rounded(dx, expected.dx, expected.dx_magnitude, terms=taps)


@EVERYWHERE
@pytest.mark.parametrize("divisor", [1, 2, 7, 1000])
@pytest.mark.parametrize("case", CASES[::9], ids=str)
def test_divisor_override(case, divisor, dtype):
    data = pool_data(case)
    x, dy = data.x.astype(dtype), data.dy.astype(dtype)
    options = case.geometry | {"divisor_override": divisor}
    expected = average_data(case, divisor_override=divisor)
    assert_rounded(cyconv.avg_pool2d(x, **options), expected.y, abs(expected.y), terms=1 / 16)
    dx = cyconv.avg_pool2d_backward(dy, case.x, **options)
    assert_rounded(dx, expected.dx, expected.dx_magnitude, terms=25)
    with_padding = cyconv.avg_pool2d(x, **options, count_include_pad=True)
    assert_exact(with_padding, cyconv.avg_pool2d(x, **options))


def test_a_divisor_of_one_sums(dtype):
    x = np.ones((1, 3, 3, 2), dtype)
    y = cyconv.avg_pool2d(x, 2, stride=1, padding=1, divisor_override=1)[0, :, :, 0]
    assert_exact(y, np.array([[1.0, 2, 2, 1], [2, 4, 4, 2], [2, 4, 4, 2], [1, 2, 2, 1]]))


@pytest.mark.parametrize("divisor", [0, -1, 2.0, "2", 2**63], ids=repr)
def test_a_divisor_that_is_none(divisor):
    with pytest.raises((ValueError, TypeError), match=r"\bdivisor_override\b"):
        cyconv.avg_pool2d(np.ones((1, 4, 4, 1)), 2, divisor_override=divisor)
    with pytest.raises((ValueError, TypeError), match=r"\bdivisor_override\b"):
        cyconv.avg_pool2d_backward(np.ones((1, 2, 2, 1)), (1, 4, 4, 1), 2, divisor_override=divisor)


def test_ceil_mode_by_hand(dtype):
    """As PyTorch: an overhanging part of a window is nowhere counted, and padding only if asked for."""
    x = np.arange(1, 6, dtype=dtype).reshape(1, 1, 5, 1)

    def row(pool, **options):
        return pool(x, (1, 2), ceil_mode=True, **options).ravel().tolist()

    assert row(cyconv.max_pool2d) == [2, 4, 5]
    assert row(cyconv.avg_pool2d) == [1.5, 3.5, 5]
    assert row(cyconv.avg_pool2d, count_include_pad=True) == [1.5, 3.5, 5]
    # A third window would start at 6, behind the input and its padding.
    assert row(cyconv.max_pool2d, stride=(1, 3)) == [2, 5]
    assert row(cyconv.avg_pool2d, padding=(0, 1), stride=(1, 3), count_include_pad=True) == [0.5, 3.5]
    assert row(cyconv.avg_pool2d, padding=(0, 1), count_include_pad=True) == [0.5, 2.5, 4.5]


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("seed", range(40))
def test_average_is_adjoint_to_its_gradient(seed, rng):
    case = draw.pool_with_options(draw.chooser(seed))
    x = rng.standard_normal(case.x)
    for include, divisor in product((False, True), (None, 3)):
        options = case.geometry | {"count_include_pad": include, "divisor_override": divisor}
        y = cyconv.avg_pool2d(x, **options)
        dy = rng.standard_normal(y.shape)
        assert_adjoint((y, dy), (x, cyconv.avg_pool2d_backward(dy, case.x, **options)))


# Indices.


@EVERYWHERE
@pytest.mark.parametrize("case", CASES, ids=str)
def test_indices(case, dtype):
    data = pool_data(case)
    x, dy = data.x.astype(dtype), data.dy.astype(dtype)
    y, indices = cyconv.max_pool2d(x, **case.geometry, return_indices=True)
    expected = reference.max_pool2d(data.x, **case.geometry, return_indices=True)
    assert_exact(y, expected[0])
    assert indices.dtype == np.int64
    assert_exact(indices, expected[1])
    dx = cyconv.max_pool2d_backward(dy, x, **case.geometry, indices=indices)
    assert dx.dtype == dtype
    assert_exact(dx, data.dx_first)


@EVERYWHERE
@pytest.mark.parametrize("C", CHANNELS)
def test_the_index_of_a_nan_is_that_of_the_first(C, dtype):
    for tap in range(9):
        x = np.arange(9 * C, dtype=dtype).reshape(1, 3, 3, C)
        c = (tap * C) // 9
        x.reshape(9, C)[[tap, 8], c] = np.nan
        _, indices = cyconv.max_pool2d(x, 3, return_indices=True)
        assert_exact(indices[0, 0, 0], np.where(np.arange(C) == c, tap, 8))


@EVERYWHERE
@pytest.mark.parametrize("value", [-np.inf, np.inf, "lowest"], ids=str)
def test_the_index_in_a_window_of_one_extreme_number(value, dtype):
    x = np.full((1, 3, 4, 5), np.finfo(dtype).min if value == "lowest" else value, dtype)
    _, indices = cyconv.max_pool2d(x, 3, stride=1, padding=1, return_indices=True)
    expected = reference.max_pool2d(x, 3, stride=1, padding=1, return_indices=True)[1]
    assert_exact(indices, expected)


def test_indices_decide_and_not_the_values(dtype):
    indices = np.array([3, 0, 3, 1]).reshape(1, 2, 2, 1)
    x, dy = np.arange(16, dtype=dtype).reshape(1, 4, 4, 1), np.ones((1, 2, 2, 1), dtype)
    dx = cyconv.max_pool2d_backward(dy, x, 2, indices=indices)
    assert_exact(dx.ravel()[:4], np.array([1.0, 1.0, 0.0, 2.0]))
    assert dx.sum() == 4


@pytest.mark.parametrize("layout", [np.asfortranarray, np.ndarray.tolist, lambda a: a.astype(">i4"), np.uint8])
def test_indices_of_any_layout(layout, rng):
    x = rng.permutation(2 * 6 * 7 * 3.0 - np.arange(2 * 6 * 7 * 3)).reshape(2, 6, 7, 3)
    y, indices = cyconv.max_pool2d(x, 2, return_indices=True)
    expected = cyconv.max_pool2d_backward(y, x, 2)
    assert_exact(cyconv.max_pool2d_backward(y, x, 2, indices=layout(indices)), expected)


X, DY = np.ones((2, 6, 7, 3)), np.ones((2, 3, 3, 3))
BAD_INDICES = {
    "too large": np.full(DY.shape, 42),
    "much too large": np.full(DY.shape, 2**62),
    "negative": np.full(DY.shape, -1),
    "one of many": np.where(np.arange(DY.size).reshape(DY.shape) == 40, 42, 0),
    "floats": DY,
    "bool": DY > 0,
    "objects": np.zeros(DY.shape, object),
    "unsigned and large": np.full(DY.shape, 2**64 - 1, np.uint64),
    "shape": np.zeros((2, 3, 4, 3), int),
    "same size": np.zeros((2, 3, 9, 1), int),
    "order of axes": np.zeros((3, 2, 3, 3), int),
    "rank": np.zeros((3, 3, 3), int),
    "flat": np.zeros(DY.size, int),
    "masked": np.ma.zeros(DY.shape, int),
    "text": "indices",
}


@pytest.mark.parametrize("flaw", BAD_INDICES)
def test_bad_indices(flaw):
    with pytest.raises((ValueError, TypeError), match=r"\bindices\b"):
        cyconv.max_pool2d_backward(DY, X, 2, indices=BAD_INDICES[flaw])
