"""Gradients of pooling: where the maximum was, ties first or all, and shares of the average."""

from dataclasses import replace

import draw
import numpy as np
import pytest
import reference
from answers import average_data, integers, pool_data
from cases import CHANNELS, POOLS
from compare import assert_adjoint, assert_exact, assert_rounded
from reference.geometry import pair

import cyconv

EVERYWHERE = pytest.mark.usefixtures("isa", "threads")
CASES = [*POOLS, *draw.many(draw.pool, 60)]


@EVERYWHERE
@pytest.mark.parametrize("ties", ["first", "all"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_maximum(case, ties, dtype):
    """The data have 17 values and many ties; sums of whole numbers are exact."""
    data = pool_data(case)
    dx = cyconv.max_pool2d_backward(data.dy.astype(dtype), data.x.astype(dtype), **case.geometry, ties=ties)
    assert dx.dtype == dtype
    assert dx.flags.c_contiguous
    assert_exact(dx, {"first": data.dx_first, "all": data.dx_all}[ties])


@EVERYWHERE
@pytest.mark.parametrize("case", CASES, ids=str)
def test_average(case, dtype):
    dy, taps = pool_data(case).dy.astype(dtype), np.prod(pair(case.kernel_size))
    for count_include_pad in (False, True):
        expected = average_data(case, count_include_pad=count_include_pad)
        dx = cyconv.avg_pool2d_backward(dy, case.x, **case.geometry, count_include_pad=count_include_pad)
        assert dx.dtype == dtype
        assert dx.flags.c_contiguous
        assert_rounded(dx, expected.dx, expected.dx_magnitude, terms=taps)


@EVERYWHERE
@pytest.mark.parametrize("case", [replace(case, x=(*case.x[:3], 16)) for case in CASES], ids=str)
def test_full_vectors_into_used_memory(case, dtype, monkeypatch):
    """With full vectors of channels windows go one by one wherever few meet; what is left in memory is NaN here."""
    monkeypatch.setattr(cyconv.pool, "empty", lambda shape, dtype, beside: np.full(shape, np.nan, dtype))
    data, shares, taps = pool_data(case), average_data(case), np.prod(pair(case.kernel_size))
    x, dy = data.x.astype(dtype), data.dy.astype(dtype)
    assert_exact(cyconv.max_pool2d_backward(dy, x, **case.geometry), data.dx_first)
    assert_exact(cyconv.max_pool2d_backward(dy, x, **case.geometry, ties="all"), data.dx_all)
    assert_rounded(cyconv.avg_pool2d_backward(dy, case.x, **case.geometry), shares.dx, shares.dx_magnitude, terms=taps)


@EVERYWHERE
def test_ties_go_to_the_first_unless_told_otherwise(dtype):
    x, dy = np.zeros((1, 4, 4, 3), dtype), np.ones((1, 2, 2, 3), dtype)
    first = np.zeros(x.shape)
    first[:, ::2, ::2] = 1
    assert_exact(cyconv.max_pool2d_backward(dy, x, 2), first)
    assert_exact(cyconv.max_pool2d_backward(dy, x, 2, ties="first"), first)
    assert_exact(cyconv.max_pool2d_backward(dy, x, 2, ties="all"), np.ones(x.shape))


@EVERYWHERE
@pytest.mark.parametrize("C", CHANNELS)
def test_ties_between_two_taps_in_every_lane(C, dtype, rng):
    x = integers(rng, 2, 3, 3, C)
    one, two = rng.permuted(np.tile(np.arange(9), (2, C, 1)), axis=2)[..., :2].transpose(2, 0, 1)
    flat = x.reshape(2, 9, C)
    for tap in (one, two):
        np.put_along_axis(flat, tap[:, None, :], 9, axis=1)
    dy = rng.integers(1, 9, (2, 1, 1, C)).astype(dtype)
    for ties in ("first", "all"):
        dx = cyconv.max_pool2d_backward(dy, flat.reshape(x.shape).astype(dtype), 3, ties=ties)
        assert_exact(dx, reference.max_pool2d_backward(dy, x, 3, ties=ties))
        assert (np.count_nonzero(dx, axis=(1, 2)) == (1 if ties == "first" else 2)).all()


@EVERYWHERE
def test_zeros_of_either_sign_are_a_tie(dtype):
    dy = np.ones((1, 1, 2, 1), dtype)
    x = np.array([0.0, -0.0, -0.0, 0.0], dtype).reshape(1, 1, 4, 1)
    dx = cyconv.max_pool2d_backward(dy, x, (1, 2), ties="first")
    assert_exact(dx.ravel(), np.array([1.0, 0.0, 1.0, 0.0]))
    dx = cyconv.max_pool2d_backward(dy, x, (1, 2), ties="all")
    assert_exact(dx.ravel(), np.ones(4))


@EVERYWHERE
@pytest.mark.parametrize("C", CHANNELS)
def test_the_first_nan_takes_the_gradient(C, dtype):
    """Where the maximum is NaN, NaN is what was chosen; as a mask of equals, it has no equal."""
    for tap in range(9):
        x = np.arange(9 * C, dtype=dtype).reshape(1, 3, 3, C)
        c = (tap * C) // 9
        x.reshape(9, C)[[tap, 8], c] = np.nan
        dy = np.full((1, 1, 1, C), 3, dtype)
        for ties in ("first", "all"):
            dx = cyconv.max_pool2d_backward(dy, x, 3, ties=ties)
            assert_exact(dx, reference.max_pool2d_backward(dy, x, 3, ties=ties))
        assert cyconv.max_pool2d_backward(dy, x, 3).reshape(9, C)[tap, c] == 3


@EVERYWHERE
@pytest.mark.parametrize("value", [-np.inf, np.inf, "lowest"], ids=str)
def test_a_window_of_one_extreme_number(value, dtype):
    """A start value of the search would be mistaken for a maximum here."""
    x = np.full((2, 4, 4, 5), np.finfo(dtype).min if value == "lowest" else value, dtype)
    dy = np.ones((2, 4, 4, 5), dtype)
    for ties in ("first", "all"):
        dx = cyconv.max_pool2d_backward(dy, x, 3, stride=1, padding=1, ties=ties)
        assert_exact(dx, reference.max_pool2d_backward(dy, x, 3, stride=1, padding=1, ties=ties))


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("seed", range(40))
def test_average_is_adjoint_to_its_gradient(seed, rng):
    case = draw.pool(draw.chooser(seed))
    x = rng.standard_normal(case.x)
    for count_include_pad in (False, True):
        arguments = case.geometry | {"count_include_pad": count_include_pad}
        y = cyconv.avg_pool2d(x, **arguments)
        dy = rng.standard_normal(y.shape)
        assert_adjoint((y, dy), (x, cyconv.avg_pool2d_backward(dy, case.x, **arguments)))


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("seed", range(40))
def test_maximum_is_linear_where_nothing_ties(seed, rng):
    """<max(x), dy> = <x, dx>: between ties the maximum picks elements, and is linear."""
    case = draw.pool(draw.chooser(seed))
    x = rng.permutation(float(np.prod(case.x)) - np.arange(np.prod(case.x))).reshape(case.x)
    y = cyconv.max_pool2d(x, **case.geometry)
    dy = rng.standard_normal(y.shape)
    for ties in ("first", "all"):
        dx = cyconv.max_pool2d_backward(dy, x, **case.geometry, ties=ties)
        assert_adjoint((y, dy), (x, dx))


@EVERYWHERE
def test_input_that_no_window_sees_has_zero_gradient(dtype):
    x, dy = np.ones((1, 8, 7, 3), dtype), np.ones((1, 2, 2, 3), dtype)
    seen = np.zeros((8, 7), bool)
    seen[np.ix_([0, 1, 4, 5], [0, 1, 4, 5])] = True
    expected = np.where(seen[None, :, :, None], 1.0, 0.0) * np.ones(3)
    assert_exact(cyconv.max_pool2d_backward(dy, x, 2, stride=4, ties="all"), expected)
    assert_exact(cyconv.avg_pool2d_backward(4 * dy, x.shape, 2, stride=4), expected)
