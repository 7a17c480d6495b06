"""Pooling of the whole image, and over windows that share it out, with gradients."""

import numpy as np
import pytest
import reference
from answers import integers
from cases import CHANNELS
from compare import assert_adjoint, assert_exact, assert_rounded
from reference.geometry import pair

import cyconv

EVERYWHERE = pytest.mark.usefixtures("isa", "threads")

# Fewer windows than pixels, as many, more; one; thin images.
CASES = [
    *(((2, 6, 7, C), (2, 3)) for C in CHANNELS),
    *(((1, 7, W, 3), (3, 4)) for W in range(1, 15)),
    ((2, 8, 8, 5), 1),
    ((2, 8, 8, 5), 2),
    ((2, 8, 8, 5), (8, 8)),
    ((2, 8, 9, 5), (5, 7)),
    ((2, 8, 9, 5), (7, 2)),
    ((2, 3, 4, 5), (6, 9)),
    ((1, 1, 1, 1), (3, 2)),
    ((0, 8, 9, 5), (2, 3)),
    ((1, 23, 31, 40), (7, 6)),
]


@EVERYWHERE
@pytest.mark.parametrize(("shape", "output_size"), CASES, ids=str)
def test_adaptive_average(shape, output_size, dtype, rng):
    x = integers(rng, *shape)
    y = cyconv.adaptive_avg_pool2d(x.astype(dtype), output_size)
    expected = reference.adaptive_avg_pool2d(x, output_size)
    assert y.dtype == dtype
    assert_rounded(y, expected, abs(expected), terms=1 / 16)
    dy = integers(rng, *y.shape)
    dx = cyconv.adaptive_avg_pool2d_backward(dy.astype(dtype), shape)
    expected = reference.adaptive_avg_pool2d_backward(dy, shape)
    size = reference.adaptive_avg_pool2d_backward(abs(dy), shape)
    assert dx.dtype == dtype
    assert_rounded(dx, expected, size, terms=np.prod(pair(output_size)))


@EVERYWHERE
@pytest.mark.parametrize("C", [2, 4, 8, 16])
@pytest.mark.parametrize("W", range(3, 13))
def test_gradients_of_windows_at_any_distances(W, C, dtype, rng):
    """Pixels of one vector, whose windows of few pixels are kept in registers."""
    for columns in range(1, W + 1):
        x, dy = integers(rng, 1, 7, W, C), integers(rng, 1, 4, columns, C)
        dx = cyconv.adaptive_max_pool2d_backward(dy.astype(dtype), x.astype(dtype))
        assert_exact(dx, reference.adaptive_max_pool2d_backward(dy, x))
        dx = cyconv.adaptive_avg_pool2d_backward(dy.astype(dtype), x.shape)
        size = reference.adaptive_avg_pool2d_backward(abs(dy), x.shape)
        assert_rounded(dx, reference.adaptive_avg_pool2d_backward(dy, x.shape), size, terms=9)


@EVERYWHERE
@pytest.mark.parametrize(("shape", "output_size"), CASES, ids=str)
def test_adaptive_maximum(shape, output_size, dtype, rng):
    x = integers(rng, *shape)
    y, indices = cyconv.adaptive_max_pool2d(x.astype(dtype), output_size, return_indices=True)
    expected = reference.adaptive_max_pool2d(x, output_size, return_indices=True)
    assert y.dtype == dtype
    assert indices.dtype == np.int64
    assert_exact(y, expected[0])
    assert_exact(indices, expected[1])
    assert_exact(cyconv.adaptive_max_pool2d(x.astype(dtype), output_size), y)
    dy = integers(rng, *y.shape)
    for ties in ("first", "all"):
        dx = cyconv.adaptive_max_pool2d_backward(dy.astype(dtype), x.astype(dtype), ties=ties)
        assert dx.dtype == dtype
        assert_exact(dx, reference.adaptive_max_pool2d_backward(dy, x, ties=ties))


@EVERYWHERE
@pytest.mark.parametrize("shape", [(2, 6, 7, 5), (1, 1, 1, 1), (3, 20, 21, 33), (0, 4, 5, 2)], ids=str)
def test_the_whole_image(shape, dtype, rng):
    x = integers(rng, *shape)
    y = cyconv.global_max_pool2d(x.astype(dtype))
    assert y.dtype == dtype
    assert_exact(y, reference.global_max_pool2d(x))
    dy = integers(rng, *y.shape)
    for ties in ("first", "all"):
        dx = cyconv.global_max_pool2d_backward(dy.astype(dtype), x.astype(dtype), ties=ties)
        assert_exact(dx, reference.adaptive_max_pool2d_backward(dy, x, ties=ties))
    y = cyconv.global_avg_pool2d(x.astype(dtype))
    expected = reference.global_avg_pool2d(x)
    assert y.dtype == dtype
    assert_rounded(y, expected, abs(expected), terms=1 / 16)
    dx = cyconv.global_avg_pool2d_backward(dy.astype(dtype), shape)
    expected = reference.adaptive_avg_pool2d_backward(dy, shape)
    assert_rounded(dx, expected, abs(expected), terms=1 / 16)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize(("shape", "output_size"), CASES[::4], ids=str)
def test_averages_are_adjoint_to_their_gradients(shape, output_size, rng):
    x = rng.standard_normal(shape)
    y = cyconv.adaptive_avg_pool2d(x, output_size)
    dy = rng.standard_normal(y.shape)
    assert_adjoint((y, dy), (x, cyconv.adaptive_avg_pool2d_backward(dy, shape)))


def test_one_window_is_the_whole_image(dtype, rng):
    x = rng.standard_normal((2, 9, 8, 5)).astype(dtype)
    assert_exact(cyconv.adaptive_max_pool2d(x, 1), cyconv.global_max_pool2d(x))
    assert_exact(cyconv.adaptive_max_pool2d(x, (9, 8)), x)
    assert_exact(cyconv.adaptive_avg_pool2d(x, (9, 8)), x)
    mean = x.astype(np.float64).mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(cyconv.global_avg_pool2d(x), mean, atol=1e-6)


@EVERYWHERE
def test_nan_is_the_maximum(dtype):
    x = np.arange(36, dtype=dtype).reshape(1, 6, 6, 1)
    x[0, 2, 1] = x[0, 4, 4] = np.nan
    y, indices = cyconv.adaptive_max_pool2d(x, 2, return_indices=True)
    assert_exact(y.ravel(), np.array([np.nan, 17, 32, np.nan]))
    assert_exact(indices.ravel(), np.array([13, 17, 32, 28]))
    assert np.isnan(cyconv.global_max_pool2d(x)).all()
    assert np.isnan(cyconv.global_avg_pool2d(x)).all()


def test_a_large_image_is_averaged_accurately(dtype):
    x = np.full((1, 512, 512, 3), 0.1, dtype)
    y = cyconv.global_avg_pool2d(x)
    assert_rounded(y, np.full((1, 1, 1, 3), np.float64(x.flat[0])), 0.1, terms=512)


X, DY = np.ones((2, 6, 7, 4)), np.ones((2, 2, 3, 4))
CALLS = {
    "adaptive_avg_pool2d": {"x": X, "output_size": 2},
    "adaptive_max_pool2d": {"x": X, "output_size": 2},
    "adaptive_avg_pool2d_backward": {"dy": DY, "input_shape": X.shape},
    "adaptive_max_pool2d_backward": {"dy": DY, "x": X},
    "global_avg_pool2d": {"x": X},
    "global_max_pool2d": {"x": X},
    "global_avg_pool2d_backward": {"dy": DY[:, :1, :1], "input_shape": X.shape},
    "global_max_pool2d_backward": {"dy": DY[:, :1, :1], "x": X},
}
BAD = {
    "x": (None, X[0, 0], X[:, :0], X[:, :, :0], X.astype(complex), np.ma.array(X), "x"),
    "output_size": (0, (1, -1), 1.5, "2", (1, 2, 3), 2**63),
    "dy": (None, DY[:1], DY[..., :3], DY[:, :0], DY[:, :, :0], DY.astype(object)),
    "input_shape": (None, 7, (6, 7), (2, 0, 7, 4), (2, 6, -7, 4), (2, 6.0, 7, 4), (2, 2**63, 7, 4)),
}


@pytest.mark.parametrize("function", CALLS)
def test_bad_arguments(function):
    call, good = getattr(cyconv, function), CALLS[function]
    call(**good)
    for argument in good:
        for bad in BAD[argument]:
            with pytest.raises((ValueError, TypeError), match=rf"\b{argument}\b"):
                call(**good | {argument: bad})


@pytest.mark.parametrize("ties", ["last", "", None])
def test_unknown_ties(ties):
    with pytest.raises((ValueError, TypeError), match=r"\bties\b"):
        cyconv.adaptive_max_pool2d_backward(DY, X, ties=ties)
    with pytest.raises((ValueError, TypeError), match=r"\bties\b"):
        cyconv.global_max_pool2d_backward(DY[:, :1, :1], X, ties=ties)


@pytest.mark.parametrize("function", ["global_avg_pool2d_backward", "global_max_pool2d_backward"])
def test_the_gradient_of_the_whole_image_is_one_pixel(function):
    with pytest.raises(ValueError, match=r"\bdy\b"):
        getattr(cyconv, function)(**CALLS[function] | {"dy": DY})
