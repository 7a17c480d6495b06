"""conv2d against the oracle, in every build, dtype and thread count."""

import draw
import numpy as np
import pytest
from answers import conv_data, conv_magnitude, integers
from cases import CONVS, Conv
from compare import assert_exact, assert_rounded

import cyconv

pytestmark = pytest.mark.usefixtures("isa", "threads")

# Sums short and long, channels in whole vectors and not, borders and none.
ROUNDED = (
    Conv((2, 5, 6, 3), (3, 3), 4, padding=1),
    Conv((2, 9, 7, 17), (3, 3), 33, padding=1),
    Conv((1, 8, 8, 64), (3, 3), 32, padding="same"),
    Conv((2, 14, 14, 6), (5, 5), 16),
    Conv((1, 21, 22, 3), (7, 7), 16, stride=2, padding=3),
    Conv((1, 6, 6, 500), (1, 1), 40),
    Conv((1, 5, 5, 150), (3, 3), 40, stride=2, padding=1, dilation=2),
)


@pytest.mark.parametrize("case", [*CONVS, *draw.many(draw.conv, 60)], ids=str)
def test_whole_numbers_are_exact(case, dtype):
    data = conv_data(case, "integers")
    x, w, b = (a.astype(dtype) for a in (data.x, data.w, data.b))
    y = cyconv.conv2d(x, w, b, **case.geometry, algorithm="direct")
    assert y.dtype == dtype
    assert y.flags.c_contiguous
    assert not np.may_share_memory(y, x)
    assert_exact(y, data.y)


@pytest.mark.parametrize("algorithm", ["auto", "direct"])
@pytest.mark.parametrize("case", ROUNDED, ids=str)
def test_rounding_error(case, dtype, algorithm):
    data, magnitude = conv_data(case, dtype.name), conv_magnitude(case, dtype.name)
    x, w, b = (a.astype(dtype) for a in (data.x, data.w, data.b))
    y = cyconv.conv2d(x, w, b, **case.geometry, algorithm=algorithm)
    assert_rounded(y, data.y, magnitude.y, terms=np.prod(case.w[:3]) + 1)


@pytest.mark.parametrize("shape", [(4,), (1, 1, 1, 4)], ids=str)
def test_bias_has_two_shapes(shape, dtype):
    data = conv_data(Conv((2, 5, 6, 3), (3, 3), 4), "integers")
    x, w, b = (a.astype(dtype) for a in (data.x, data.w, data.b))
    assert_exact(cyconv.conv2d(x, w, b.reshape(shape), algorithm="direct"), data.y)


def test_no_bias_is_a_bias_of_zero(dtype):
    data = conv_data(Conv((2, 5, 6, 3), (3, 3), 4), "integers")
    x, w, b = (a.astype(dtype) for a in (data.x, data.w, data.b))
    assert_exact(cyconv.conv2d(x, w, algorithm="direct"), data.y - b)
    assert_exact(cyconv.conv2d(x, w, np.zeros(4, dtype), algorithm="direct"), data.y - b)


def test_arguments_have_the_documented_defaults(dtype):
    data = conv_data(Conv((2, 5, 6, 3), (3, 3), 4), "integers")
    x, w, b = (a.astype(dtype) for a in (data.x, data.w, data.b))
    options = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1}
    assert_exact(cyconv.conv2d(x, w, b, **options, activation=None, algorithm="direct", out=None), data.y)
    written_out = cyconv.conv2d(x, w, b, **options, activation=None, algorithm="auto", out=None)
    assert written_out.tobytes() == cyconv.conv2d(x, w, b).tobytes()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf], ids=str)
@pytest.mark.parametrize(("C", "K"), [(1, 1), (3, 5), (16, 17), (9, 32)])
def test_one_input_that_is_not_finite_reaches_its_own_windows_only(bad, C, K, dtype, rng):
    x, w = rng.integers(1, 5, (2, 6, 7, C)), rng.integers(1, 5, (3, 2, C, K))
    x = x.astype(dtype)
    for where in [(0, 0, 0, 0), (1, 5, 6, C - 1), (1, 2, 3, C // 2)]:
        spoilt = x.copy()
        spoilt[where] = bad
        y = cyconv.conv2d(spoilt, w.astype(dtype), padding=1, algorithm="direct")
        sees = np.zeros(x.shape)
        sees[where] = 1
        sees = cyconv.conv2d(sees, np.ones(w.shape), padding=1, algorithm="direct") > 0
        clean = cyconv.conv2d(x, w.astype(dtype), padding=1, algorithm="direct")
        assert 0 < sees.sum() < sees.size
        assert_exact(y, np.where(sees, bad, clean))


@pytest.mark.parametrize("K", [1, 7, 16, 33])
def test_one_weight_that_is_not_finite_spoils_its_own_output_channel_only(K, dtype, rng):
    x, w = integers(rng, 2, 6, 7, 3).astype(dtype), integers(rng, 3, 2, 3, K).astype(dtype)
    clean = cyconv.conv2d(x, w, algorithm="direct")
    for k in (0, K // 2, K - 1):
        spoilt = w.copy()
        spoilt[1, 1, 2, k] = np.nan
        expected = clean.copy()
        expected[..., k] = np.nan
        assert_exact(cyconv.conv2d(x, spoilt, algorithm="direct"), expected)


def test_subnormal_numbers_are_kept(dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    x = np.full((1, 4, 5, 1), 3 * tiny, dtype)
    y = cyconv.conv2d(x, np.ones((2, 2, 1, 3), dtype), algorithm="direct")
    assert_exact(y, np.full((1, 3, 4, 3), 12 * tiny, dtype))


def test_one_image_at_a_time_gives_the_same_bits(dtype, rng):
    x = rng.standard_normal((5, 9, 11, 7)).astype(dtype)
    w = rng.standard_normal((3, 3, 7, 19)).astype(dtype)
    together = cyconv.conv2d(x, w, padding=1, algorithm="direct")
    apart = [cyconv.conv2d(x[n : n + 1], w, padding=1, algorithm="direct") for n in range(5)]
    assert together.tobytes() == np.concatenate(apart).tobytes()
