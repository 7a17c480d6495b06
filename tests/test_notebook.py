"""The notebook's eight functions: its own cells, its loops, and the deliberate differences."""

import numpy as np
import pytest
from compare import assert_exact
from reference import notebook

import cyconv

TOLERANCE = {"rtol": 1e-12, "atol": 1e-12}


@pytest.fixture
def cell():
    """The data of the notebook's cells, drawn as there."""
    return np.random.RandomState(1)


# What the notebook prints in its cells.


def test_cell_conv_single_step(cell):
    a_slice_prev, W, b = cell.randn(4, 4, 3), cell.randn(4, 4, 3), cell.randn(1, 1, 1)
    Z = cyconv.conv_single_step(a_slice_prev, W, b)
    assert np.ndim(Z) == 0
    np.testing.assert_allclose(Z, -6.999089450680221, rtol=1e-14)


def test_cell_conv(cell):
    A_prev, W, b = cell.randn(10, 4, 4, 3), cell.randn(2, 2, 3, 8), cell.randn(1, 1, 1, 8)
    Z, cache = cyconv.conv_forward(A_prev, W, b, {"pad": 2, "stride": 2})
    assert Z.shape == (10, 4, 4, 8)
    np.testing.assert_allclose(Z.mean(), 0.048995203528855794, rtol=1e-12)
    printed = [-0.61490741, -6.7439236, -2.55153897, 1.75698377]
    printed += [3.56208902, 0.53036437, 5.18531798, 8.75898442]
    np.testing.assert_allclose(Z[3, 2, 1], printed, atol=1e-8)
    np.testing.assert_allclose(cache[0][1][2][3], [-0.20075807, 0.18656139, 0.41005165], atol=1e-8)

    dA, dW, db = cyconv.conv_backward(Z, cache)
    np.testing.assert_allclose(dA.mean(), 1.4524377775388075, rtol=1e-12)
    np.testing.assert_allclose(dW.mean(), 1.7269914583139097, rtol=1e-12)
    np.testing.assert_allclose(db.mean(), 7.839232564616838, rtol=1e-12)


def test_cell_pool_forward(cell):
    A_prev, hparameters = cell.randn(2, 4, 4, 3), {"stride": 2, "f": 3}
    A, _ = cyconv.pool_forward(A_prev, hparameters)
    printed = [1.74481176, 0.86540763, 1.13376944, 1.13162939, 1.51981682, 2.18557541]
    np.testing.assert_allclose(A.ravel(), printed, atol=1e-8)
    A, _ = cyconv.pool_forward(A_prev, hparameters, mode="average")
    printed = [0.02105773, -0.20328806, -0.40389855, -0.22154621, 0.51716526, 0.48155844]
    np.testing.assert_allclose(A.ravel(), printed, atol=1e-8)


def test_cell_pool_backward(cell):
    _, cache = cyconv.pool_forward(cell.randn(5, 5, 3, 2), {"stride": 1, "f": 2})
    dA = cell.randn(5, 4, 2, 2)
    printed = [[0, 0], [5.05844394, -1.68282702], [0, 0]]
    np.testing.assert_allclose(cyconv.pool_backward(dA, cache)[1, 1], printed, atol=1e-8)
    printed = [[0.08485462, 0.2787552], [1.26461098, -0.25749373], [1.17975636, -0.53624893]]
    average = cyconv.pool_backward(dA, cache, mode="average")
    np.testing.assert_allclose(average[1, 1], printed, atol=1e-8)


# Against its loops.


@pytest.mark.parametrize("pad", [0, 1, 3])
def test_zero_pad(pad, dtype, rng):
    X = rng.standard_normal((4, 3, 5, 2)).astype(dtype)
    padded = cyconv.zero_pad(X, pad)
    assert padded.dtype == dtype
    assert_exact(padded, notebook.zero_pad(X, pad))
    assert not np.may_share_memory(padded, X)


@pytest.mark.usefixtures("isa", "threads")
@pytest.mark.parametrize(("f", "stride", "pad"), [(1, 1, 0), (3, 1, 1), (2, 2, 0), (3, 2, 2), (4, 3, 1)])
def test_convolution_follows_the_loops(f, stride, pad, rng):
    A_prev, W = rng.standard_normal((3, 7, 6, 2)), rng.standard_normal((f, f, 2, 5))
    b, hparameters = rng.standard_normal((1, 1, 1, 5)), {"stride": stride, "pad": pad}
    Z, cache = cyconv.conv_forward(A_prev, W, b, hparameters)
    expected, loops_cache = notebook.conv_forward(A_prev, W, b, hparameters)
    np.testing.assert_allclose(Z, expected, **TOLERANCE)
    dZ = rng.standard_normal(Z.shape)
    for gradient, loops in zip(cyconv.conv_backward(dZ, cache), notebook.conv_backward(dZ, loops_cache), strict=True):
        assert gradient.shape == loops.shape
        np.testing.assert_allclose(gradient, loops, **TOLERANCE)


@pytest.mark.usefixtures("isa", "threads")
@pytest.mark.parametrize("mode", ["max", "average"])
@pytest.mark.parametrize(("f", "stride"), [(1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (2, 3), (6, 1)])
def test_pooling_follows_the_loops(f, stride, mode, rng):
    A_prev, hparameters = rng.integers(0, 9, (3, 7, 6, 4)) / 2, {"f": f, "stride": stride}
    A, cache = cyconv.pool_forward(A_prev, hparameters, mode)
    expected, loops_cache = notebook.pool_forward(A_prev, hparameters, mode)
    np.testing.assert_allclose(A, expected, **TOLERANCE)
    dA = rng.standard_normal(A.shape)
    gradient = cyconv.pool_backward(dA, cache, mode)
    np.testing.assert_allclose(gradient, notebook.pool_backward(dA, loops_cache, mode), **TOLERANCE)


def test_create_mask_from_window(rng):
    x = rng.integers(0, 4, (3, 4))
    mask = cyconv.create_mask_from_window(x)
    assert mask.dtype == bool
    assert_exact(mask, notebook.create_mask_from_window(x))
    assert_exact(mask, x == x.max())


def test_distribute_value():
    assert_exact(cyconv.distribute_value(2, (2, 4)), np.full((2, 4), 0.25))
    assert_exact(cyconv.distribute_value(-3.0, (1, 3)), np.full((1, 3), -1.0))


def test_conv_single_step_accepts_every_bias_of_one_element(rng):
    a_slice_prev, W = rng.standard_normal((3, 2, 4)), rng.standard_normal((3, 2, 4))
    expected = np.sum(a_slice_prev * W) + 0.5
    for b in (np.full((1, 1, 1), 0.5), np.array([0.5]), np.array(0.5), 0.5):
        np.testing.assert_allclose(cyconv.conv_single_step(a_slice_prev, W, b), expected)


# The contract around them.


def test_caches_hold_the_very_objects(rng):
    A_prev, W = rng.standard_normal((2, 5, 5, 3)), rng.standard_normal((3, 3, 3, 4))
    b, hparameters = rng.standard_normal((1, 1, 1, 4)), {"stride": 1, "pad": 0, "f": 2}
    _, cache = cyconv.conv_forward(A_prev, W, b, hparameters)
    assert isinstance(cache, tuple)
    assert [id(part) for part in cache] == [id(part) for part in (A_prev, W, b, hparameters)]
    _, cache = cyconv.pool_forward(A_prev, hparameters)
    assert isinstance(cache, tuple)
    assert [id(part) for part in cache] == [id(part) for part in (A_prev, hparameters)]


def test_the_bias_gradient_has_the_shape_of_the_bias(dtype):
    A_prev, W = np.ones((2, 4, 4, 3), dtype), np.ones((2, 2, 3, 5), dtype)
    Z, cache = cyconv.conv_forward(A_prev, W, np.zeros((1, 1, 1, 5), dtype), {"stride": 1, "pad": 0})
    _, _, db = cyconv.conv_backward(np.ones_like(Z), cache)
    assert db.dtype == dtype
    assert_exact(db, np.full((1, 1, 1, 5), 18.0))


@pytest.mark.parametrize("missing", ["stride", "pad"])
def test_a_missing_key_of_conv_forward_is_named(missing):
    hparameters = {"stride": 1, "pad": 0}
    del hparameters[missing]
    with pytest.raises(KeyError, match=missing):
        cyconv.conv_forward(np.ones((1, 4, 4, 1)), np.ones((2, 2, 1, 1)), np.zeros(1), hparameters)
    cache = (np.ones((1, 4, 4, 1)), np.ones((2, 2, 1, 1)), np.zeros((1, 1, 1, 1)), hparameters)
    with pytest.raises(KeyError, match=missing):
        cyconv.conv_backward(np.ones((1, 3, 3, 1)), cache)


@pytest.mark.parametrize("missing", ["stride", "f"])
def test_a_missing_key_of_pool_forward_is_named(missing):
    hparameters = {"stride": 1, "f": 2}
    del hparameters[missing]
    with pytest.raises(KeyError, match=missing):
        cyconv.pool_forward(np.ones((1, 4, 4, 1)), hparameters)
    with pytest.raises(KeyError, match=missing):
        cyconv.pool_backward(np.ones((1, 3, 3, 1)), (np.ones((1, 4, 4, 1)), hparameters))


def test_other_keys_are_ignored():
    A_prev, W, b = np.ones((1, 4, 4, 1)), np.ones((2, 2, 1, 1)), np.zeros((1, 1, 1, 1))
    plain, _ = cyconv.conv_forward(A_prev, W, b, {"stride": 2, "pad": 0})
    extra, _ = cyconv.conv_forward(A_prev, W, b, {"stride": 2, "pad": 0, "f": -1, "name": None})
    assert_exact(extra, plain)
    extra, _ = cyconv.pool_forward(A_prev, {"stride": 2, "f": 2, "pad": 7, "name": None})
    assert_exact(extra, np.ones((1, 2, 2, 1)))


def test_stride_and_pad_may_be_pairs(rng):
    A_prev, W = rng.standard_normal((2, 7, 8, 3)), rng.standard_normal((3, 2, 3, 4))
    b, hparameters = rng.standard_normal((1, 1, 1, 4)), {"stride": (2, 1), "pad": (0, 2)}
    Z, cache = cyconv.conv_forward(A_prev, W, b, hparameters)
    assert_exact(Z, cyconv.conv2d(A_prev, W, b, stride=(2, 1), padding=(0, 2)))
    dA_prev, dW, db = cyconv.conv_backward(Z, cache)
    dx, dw, db_flat = cyconv.conv2d_backward(Z, A_prev, W, stride=(2, 1), padding=(0, 2))
    assert_exact(dA_prev, dx)
    assert_exact(dW, dw)
    assert_exact(db, db_flat.reshape(1, 1, 1, 4))
    assert_exact(cyconv.zero_pad(A_prev, (1, 2)), np.pad(A_prev, ((0, 0), (1, 1), (2, 2), (0, 0))))


@pytest.mark.parametrize("mode", ["max", "average"])
def test_pooling_windows_may_be_rectangular(mode, rng):
    A_prev = rng.standard_normal((2, 7, 8, 3))
    A, cache = cyconv.pool_forward(A_prev, {"f": (3, 2), "stride": (2, 1)}, mode)
    forward = {"max": cyconv.max_pool2d, "average": cyconv.avg_pool2d}[mode]
    assert_exact(A, forward(A_prev, (3, 2), stride=(2, 1)))
    gradient = cyconv.pool_backward(A, cache, mode)
    if mode == "max":
        expected = cyconv.max_pool2d_backward(A, A_prev, (3, 2), stride=(2, 1), ties="all")
    else:
        expected = cyconv.avg_pool2d_backward(A, A_prev.shape, (3, 2), stride=(2, 1))
    assert_exact(gradient, expected)


# Where cyconv differs from the notebook, on purpose.


def test_pool_backward_slides_by_the_stride():
    A_prev = np.arange(16.0).reshape(1, 4, 4, 1)
    A, cache = cyconv.pool_forward(A_prev, {"f": 2, "stride": 2})
    expected = np.where(np.isin(A_prev, A), 1.0, 0.0)
    assert_exact(cyconv.pool_backward(np.ones_like(A), cache), expected)
    average = cyconv.pool_backward(np.ones_like(A), cache, mode="average")
    assert_exact(average, np.full(A_prev.shape, 0.25))


def test_pool_backward_gives_every_tie_the_gradient():
    A_prev = np.ones((1, 2, 2, 1))
    A, cache = cyconv.pool_forward(A_prev, {"f": 2, "stride": 1})
    assert_exact(cyconv.pool_backward(3 * A, cache), np.full(A_prev.shape, 3.0))


def test_conv_backward_without_padding_gives_the_gradient(rng):
    A_prev, W = rng.standard_normal((2, 4, 4, 3)), rng.standard_normal((2, 2, 3, 5))
    Z, cache = cyconv.conv_forward(A_prev, W, np.zeros((1, 1, 1, 5)), {"stride": 1, "pad": 0})
    dA_prev, _, _ = cyconv.conv_backward(Z, cache)
    assert dA_prev.shape == A_prev.shape
    np.testing.assert_allclose(np.vdot(dA_prev, A_prev), np.vdot(Z, Z), rtol=1e-12)


@pytest.mark.parametrize("mode", ["Max", "avg", "", None, 0])
def test_an_unknown_mode_is_an_error(mode):
    A_prev = np.ones((1, 4, 4, 1))
    with pytest.raises((ValueError, TypeError), match="mode"):
        cyconv.pool_forward(A_prev, {"f": 2, "stride": 2}, mode)
    with pytest.raises((ValueError, TypeError), match="mode"):
        cyconv.pool_backward(A_prev[:, :2, :2], (A_prev, {"f": 2, "stride": 2}), mode)


def test_a_window_larger_than_the_input_is_an_error():
    A_prev, W = np.ones((1, 4, 4, 1)), np.ones((5, 5, 1, 1))
    with pytest.raises(ValueError, match=r"\bW\b"):
        cyconv.conv_forward(A_prev, W, np.zeros((1, 1, 1, 1)), {"stride": 1, "pad": 0})
    with pytest.raises(ValueError, match=r"\bf\b"):
        cyconv.pool_forward(A_prev, {"f": 5, "stride": 1})


def test_float32_stays_float32(rng):
    A_prev = rng.standard_normal((2, 5, 5, 3)).astype(np.float32)
    W, b = np.ones((2, 2, 3, 4), np.float32), np.ones((1, 1, 1, 4), np.float32)
    Z, cache = cyconv.conv_forward(A_prev, W, b, {"stride": 1, "pad": 1})
    assert {a.dtype for a in (Z, *cyconv.conv_backward(Z, cache))} == {np.dtype("float32")}
    for mode in ("max", "average"):
        A, cache = cyconv.pool_forward(A_prev, {"stride": 1, "f": 2}, mode)
        assert A.dtype == cyconv.pool_backward(A, cache, mode).dtype == np.float32
    assert cyconv.zero_pad(A_prev, 1).dtype == np.float32
