"""Products of few channels, which have kernels of their own, against the same with more channels, which have not."""

import numpy as np
import pytest
from compare import assert_exact

import cyconv

pytestmark = pytest.mark.usefixtures("isa", "threads")

MANY = 40
"""Channels that leave planes.pxd and slim.pxd nothing to do, in any build."""

WINDOWS = (
    {"size": (3, 3), "padding": 1},
    {"size": (5, 2), "padding": ((0, 3), (2, 1))},
    {"size": (1, 4), "dilation": (1, 3)},
    {"size": (2, 3), "dilation": 2, "padding": ((2, 0), (5, 0))},
    {"size": (3, 2), "stride": (2, 1), "padding": 1},
    {"size": (4, 4), "stride": 2, "padding": 1},
    {"size": (1, 1)},
)


def _whole(rng, shape, dtype):
    return rng.integers(1, 4, shape).astype(dtype)


def _widened(a, axis):
    """With zeros for the channels from those of `a` up to MANY."""
    pads = [(0, MANY - a.shape[i] if i == axis else 0) for i in range(a.ndim)]
    return np.pad(a, pads)


def _check(x, w, b, options):
    y = cyconv.conv2d(x, w, b, **options, activation="relu")
    wide = cyconv.conv2d(x, _widened(w, 3), _widened(b, 0), **options, activation="relu")
    assert_exact(y, wide[..., : w.shape[3]])

    dy = (1 + np.arange(y.size) % 3).astype(x.dtype).reshape(y.shape)
    dx = cyconv.conv2d_input_grad(dy, w, x.shape, **options)
    wide = cyconv.conv2d_input_grad(dy, _widened(w, 2), (*x.shape[:3], MANY), **options)
    assert_exact(dx, wide[..., : x.shape[3]])

    dw, db = cyconv.conv2d_backward(dy, x, w, **options)[1:]
    wide = cyconv.conv2d_weight_grad(_widened(dy, 3), x, w.shape[:2], **options)
    assert_exact(dw, wide[..., : w.shape[3]])
    assert_exact(db, dy.sum((0, 1, 2), dtype=np.float64).astype(x.dtype))


@pytest.mark.parametrize("C", [1, 2, 3, 4, 5, 7, 8, 12, 16, 17, 33])
def test_every_number_of_channels(C, dtype, rng):
    for i, K in enumerate([*range(1, 10), 11, 13, 15, 16]):
        window = dict(WINDOWS[(i + C) % len(WINDOWS)])
        size = window.pop("size")
        x = _whole(rng, (2, 23 + K, 40 - K, C), dtype)
        _check(x, _whole(rng, (*size, C, K), dtype) - 2, _whole(rng, K, dtype), window | {"algorithm": "direct"})


@pytest.mark.parametrize(("C", "K"), [(1, 1), (1, 6), (3, 3), (3, 12), (12, 3), (24, 2)])
def test_images_of_several_blocks(C, K, dtype, rng):
    """Larger than `LARGEST` in kernels/planes.pxd."""
    x, w = _whole(rng, (1, 161, 333, C), dtype), _whole(rng, (5, 3, C, K), dtype)
    _check(x, w, _whole(rng, K, dtype), {"padding": (2, 1), "algorithm": "direct"})


@pytest.mark.parametrize(("C", "K"), [(1, 4), (4, 1), (5, 5)])
def test_rows_of_several_blocks(C, K, dtype, rng):
    """Signals, and the like."""
    x, w = _whole(rng, (1, 2, 30_001, C), dtype), _whole(rng, (2, 9, C, K), dtype)
    _check(x, w, _whole(rng, K, dtype), {"padding": ((1, 0), (8, 3)), "dilation": (1, 2), "algorithm": "direct"})


@pytest.mark.parametrize(("C", "K"), [(1, 3), (3, 1), (3, 7), (6, 16), (16, 4), (20, 2)])
def test_what_is_not_finite_reaches_its_own_windows_only(C, K, dtype, rng):
    """In planes a row follows the last one, and lanes are left over: none of that may be seen."""
    for where in [(0, 0, 0, 0), (0, 5, 20, C - 1), (1, 10, 0, C // 2), (1, 11, 20, 0)]:
        x = _whole(rng, (2, 12, 21, C), dtype)
        x[where] = np.inf
        _check(x, _whole(rng, (3, 3, C, K), dtype), _whole(rng, K, dtype), {"padding": 1, "algorithm": "direct"})
