"""Groups from 1 to C, depthwise with every multiplier: forward and gradients."""

from dataclasses import replace

import draw
import numpy as np
import pytest
from answers import conv_data, conv_magnitude
from cases import CHANNELS, Conv
from compare import assert_adjoint, assert_exact, assert_rounded, assert_same_bits

import cyconv

EVERYWHERE = pytest.mark.usefixtures("isa", "threads")

PLAIN = Conv((2, 5, 6, 12), (3, 3), 12, padding=1)
DEPTHWISE = Conv((2, 7, 9, 6), (3, 3), 6, padding=1, groups=6)
STRIPS = Conv((1, 9, 9, 37), (3, 3), 37, padding=1, groups=37)
GREY = Conv((1, 6, 53, 1), (3, 3), 1, padding=1)

CASES = (
    # Every number of groups, as many channels out as in, more, and fewer.
    *(replace(PLAIN, groups=groups) for groups in (1, 2, 3, 4, 6, 12)),
    *(replace(PLAIN, K=24, groups=groups) for groups in (2, 3, 4, 12)),
    *(replace(PLAIN, K=6, groups=groups) for groups in (2, 3, 6)),
    # Groups around the vector widths.
    *(Conv((1, 4, 5, 2 * C), (2, 2), 2 * C, groups=2) for C in CHANNELS),
    Conv((1, 4, 5, 33), (2, 2), 51, groups=3),
    Conv((1, 4, 5, 64), (3, 3), 96, padding=1, groups=32),
    # Pixels 4 KiB apart and more, which the weight gradient of small groups reads in place.
    Conv((1, 3, 4, 1024), (2, 2), 1024, groups=32),
    # Depthwise: channels around the vector widths, multipliers, rows of every length.
    *(replace(DEPTHWISE, x=(2, 7, 9, C), K=C, groups=C) for C in CHANNELS),
    *(replace(DEPTHWISE, K=6 * m) for m in (2, 3, 4, 8, 17)),
    *(
        replace(DEPTHWISE, x=(2, 5, step * W, 6), kernel_size=(f, f), stride=step, padding=f // 2)
        for f in (3, 5)
        for step in (1, 2)
        for W in range(1, 15)
    ),
    *(replace(DEPTHWISE, x=(1, 5, W, 9), K=9, groups=9, padding=0) for W in range(3, 15)),
    # Strips: every number of rows and columns, more columns than are taken together, dilation that interleaves them.
    *(replace(STRIPS, x=(1, H, 4, 37), stride=step) for H in range(1, 10) for step in (1, 2)),
    *(
        replace(STRIPS, x=(1, 5, W, 37), stride=step, padding=(1, pad))
        for W in range(1, 10)
        for pad in (0, 1, 2)
        for step in (1, 2)
        if W + 2 * pad >= 3
    ),
    *(replace(STRIPS, x=(1, 3, W, 37), stride=step) for W in (112, 115, 225) for step in (1, 2)),
    *(
        replace(STRIPS, x=(1, 13, 12, 37), stride=stride, dilation=dilation, padding=padding)
        for stride in (1, 2, (1, 2))
        for dilation in (2, 3, (1, 2), (4, 2))
        for padding in (0, 2, 4)
    ),
    *(replace(STRIPS, x=(1, 3, 2, 37), dilation=d, padding=d) for d in (2, 3, 5)),
    # Lines: every number of rows, columns around those of a vector and of several, channels that begin a vector
    # anywhere in a pixel, windows of all forms, with gaps, that see nothing but what is beyond the image.
    *(replace(GREY, x=(2, H, 53, 1)) for H in range(1, 12)),
    *(replace(GREY, x=(1, 5, W, 1)) for W in (1, 2, 3, 7, 15, 16, 17, 18, 31, 33, 66, 67, 130, 261)),
    *(replace(GREY, x=(1, 6, W, C), K=C, groups=C) for C in range(2, 9) for W in (12, 24, 49, 62)),
    *(replace(GREY, kernel_size=f, padding=0) for f in ((1, 1), (2, 5), (5, 2), (4, 3), (6, 1), (1, 9))),
    *(
        replace(GREY, x=(1, 8, 53, C), K=C, groups=C, kernel_size=f, padding=(f[0] // 2, f[1] // 2))
        for C in (1, 2, 3, 4)
        for f in ((5, 5), (7, 7), (2, 4), (9, 3))
    ),
    *(replace(GREY, dilation=d, padding=p) for d in (2, 3, (2, 1), (1, 4)) for p in (1, 3)),
    *(replace(GREY, x=(1, 6, 60, 3), K=3, groups=3, dilation=d, padding=3) for d in (2, (4, 1))),
    *(replace(GREY, padding=p) for p in (0, 5, (0, 40), ((2, 0), (0, 3)), ((0, 1), (17, 0)))),
    replace(GREY, stride=2),
    replace(GREY, stride=(1, 2)),
    # Windows of other heights than widths, steps down other than steps along.
    *(replace(DEPTHWISE, x=(1, 9, 15, 6), kernel_size=(f, 3)) for f in (1, 2, 4, 5)),
    *(replace(DEPTHWISE, x=(1, 9, 15, 6), stride=stride) for stride in ((1, 2), (2, 1), (3, 1), (2, 2))),
    Conv((9, 19, 21, 5), (3, 3), 5, padding=1, groups=5),
    replace(DEPTHWISE, stride=2),
    replace(DEPTHWISE, stride=(1, 3), padding=(0, 2)),
    replace(DEPTHWISE, padding="same", stride=2),
    replace(DEPTHWISE, padding=((0, 3), (2, 0))),
    replace(DEPTHWISE, padding=5),
    replace(DEPTHWISE, dilation=2),
    replace(DEPTHWISE, dilation=(1, 3), stride=2, padding=3),
    replace(DEPTHWISE, kernel_size=(1, 1), padding=0),
    replace(DEPTHWISE, kernel_size=(7, 9), padding=0),
    replace(DEPTHWISE, kernel_size=(5, 5), padding=2),
    *(replace(DEPTHWISE, x=(1, 8, W, 6), kernel_size=(7, 7), padding=3) for W in (6, 7, 8, 13, 14, 23)),
    *(
        replace(DEPTHWISE, x=(1, 6, 17, 20), K=20, groups=20, kernel_size=(3, f), padding=(1, f // 2))
        for f in (4, 6, 9)
    ),
    *(replace(DEPTHWISE, x=(1, 6, W, 6), kernel_size=(3, 3), dilation=2, padding=2) for W in (6, 7, 15)),
    replace(DEPTHWISE, x=(1, 7, 25, 6), kernel_size=(3, 7), stride=3, padding=3),
    replace(DEPTHWISE, kernel_size=(1, 4)),
    replace(DEPTHWISE, kernel_size=(4, 1), K=12),
    replace(DEPTHWISE, kernel_size=(2, 2), stride=3),
    replace(DEPTHWISE, x=(0, 7, 9, 6)),
    replace(DEPTHWISE, x=(1, 1, 1, 6)),
    Conv((2, 14, 14, 70), (3, 3), 70, padding=1, groups=70),
    Conv((2, 15, 14, 40), (3, 3), 80, stride=2, padding=1, groups=40),
    *draw.many(draw.grouped_conv, 40),
)

ROUNDED = (
    Conv((2, 9, 7, 36), (3, 3), 66, padding=1, groups=2),
    Conv((2, 14, 14, 35), (3, 3), 35, padding=1, groups=35),
    Conv((4, 20, 20, 5), (5, 5), 15, stride=2, padding=2, groups=5),
)


@EVERYWHERE
@pytest.mark.parametrize("case", CASES, ids=str)
def test_whole_numbers_are_exact(case, dtype):
    data = conv_data(case, "integers")
    x, w, b, dy = (a.astype(dtype) for a in (data.x, data.w, data.b, data.dy))
    assert_exact(cyconv.conv2d(x, w, b, **case.geometry, algorithm="direct"), data.y)
    dx = cyconv.conv2d_input_grad(dy, w, case.x, **case.geometry, algorithm="direct")
    assert_exact(dx, data.dx)
    dw = cyconv.conv2d_weight_grad(dy, x, case.kernel_size, **case.geometry, algorithm="direct")
    assert_exact(dw, data.dw)


@EVERYWHERE
@pytest.mark.parametrize("case", CASES[::4], ids=str)
def test_backward_gives_all_three(case, dtype):
    data = conv_data(case, "integers")
    dy, x, w = (a.astype(dtype) for a in (data.dy, data.x, data.w))
    dx, dw, db = cyconv.conv2d_backward(dy, x, w, **case.geometry, algorithm="direct")
    assert dx.dtype == dw.dtype == db.dtype == dtype
    for got, expected in ((dx, data.dx), (dw, data.dw), (db, data.db)):
        assert_exact(got, expected)


@EVERYWHERE
@pytest.mark.parametrize("case", ROUNDED, ids=str)
def test_rounding_error(case, dtype):
    data, magnitude = conv_data(case, dtype.name), conv_magnitude(case, dtype.name)
    x, w, b, dy = (a.astype(dtype) for a in (data.x, data.w, data.b, data.dy))
    y = cyconv.conv2d(x, w, b, **case.geometry)
    dx, dw, _ = cyconv.conv2d_backward(dy, x, w, **case.geometry)
    taps = np.prod(case.kernel_size)
    assert_rounded(y, data.y, magnitude.y, terms=taps * case.w[2] + 1)
    assert_rounded(dx, data.dx, magnitude.dx, terms=taps * case.K // case.groups)
    assert_rounded(dw, data.dw, magnitude.dw, terms=np.prod(dy.shape[:3]))


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("seed", range(40))
def test_gradients_are_adjoint_to_the_convolution(seed, rng):
    case = draw.grouped_conv(draw.chooser(seed))
    x, w = rng.standard_normal(case.x), rng.standard_normal(case.w)
    y = cyconv.conv2d(x, w, **case.geometry, algorithm="direct")
    dy = rng.standard_normal(y.shape)
    dx, dw, _ = cyconv.conv2d_backward(dy, x, w, **case.geometry, algorithm="direct")
    assert_adjoint((y, dy), (x, dx), (w, dw))


@EVERYWHERE
@pytest.mark.parametrize(
    ("groups", "C", "K"),
    [(2, 4, 6), (4, 4, 8), (17, 17, 17), (3, 51, 3), (12, 48, 36), (6, 18, 30), (32, 128, 128), (2, 200, 66)],
)
def test_groups_are_convolutions_side_by_side(groups, C, K, dtype, rng):
    """The definition, by calls of the ungrouped convolution on slices; the largest are cut up in every way."""
    x = rng.integers(-3, 4, (2, 18, 19, C)).astype(dtype)
    w = rng.integers(-3, 4, (2, 3, C // groups, K)).astype(dtype)
    y = cyconv.conv2d(x, w, groups=groups)
    dy = y % 4
    dx, dw, _ = cyconv.conv2d_backward(dy, x, w, groups=groups)
    for x_g, w_g, y_g, dy_g, dx_g, dw_g in zip(*(np.split(a, groups, 3) for a in (x, w, y, dy, dx, dw)), strict=True):
        assert_exact(y_g, cyconv.conv2d(x_g, w_g))
        gradients = cyconv.conv2d_backward(dy_g, x_g, w_g)
        assert_exact(dx_g, gradients[0])
        assert_exact(dw_g, gradients[1])


@EVERYWHERE
@pytest.mark.parametrize(("groups", "C", "K"), [(2, 4, 6), (5, 5, 5), (5, 5, 10), (17, 17, 17), (40, 40, 40)])
def test_a_nan_stays_in_its_group(groups, C, K, dtype):
    """In any lane: the channels of a group share vectors with those of its neighbours."""
    w = np.ones((3, 3, C // groups, K), dtype)
    for c in range(C):
        x = np.ones((1, 3, 4, C), dtype)
        x[0, 1, 3, c] = np.nan
        y = cyconv.conv2d(x, w, groups=groups)
        of_group = np.arange(K) // (K // groups) == c // (C // groups)
        assert_exact(np.isnan(y[0, 0]), np.stack([of_group & False, of_group]))
    for k in range(K):
        dy = np.ones((1, 1, 2, K), dtype)
        dy[0, 0, 1, k] = np.nan
        dx = cyconv.conv2d_input_grad(dy, w, (1, 3, 4, C), groups=groups)
        of_group = np.arange(C) // (C // groups) == k // (K // groups)
        assert_exact(np.isnan(dx).any(axis=(0, 1)), np.outer([False, True, True, True], of_group))
        dw = cyconv.conv2d_weight_grad(dy, np.ones((1, 3, 4, C), dtype), 3, groups=groups)
        assert_exact(np.isnan(dw), np.broadcast_to(np.arange(K) == k, dw.shape))


@EVERYWHERE
@pytest.mark.parametrize("K", [2, 4])
def test_sums_over_a_million_pixels_stay_accurate(K, dtype):
    """Added one by one in float32, they would lose a hundredth."""
    x = np.full((16, 256, 256, 2), 0.3, dtype)
    dy = np.full((16, 256, 256, K), 0.1, dtype)
    _, dw, db = cyconv.conv2d_backward(dy, x, np.ones((1, 1, 1, K), dtype), groups=2)
    one = np.float64(dy.flat[0])
    sum_dy, sum_product = 2**20 * one, 2**20 * one * np.float64(x.flat[0])
    assert_rounded(db, np.full(K, sum_dy), sum_dy, terms=1024)
    assert_rounded(dw, np.full((1, 1, 1, K), sum_product), sum_product, terms=2**20)


@EVERYWHERE
@pytest.mark.parametrize(("groups", "C", "K"), [(5, 15, 35), (7, 7, 7), (7, 7, 21)])
def test_one_image_at_a_time_gives_the_same_bits(groups, C, K, dtype, rng):
    x = rng.standard_normal((5, 9, 11, C)).astype(dtype)
    w = rng.standard_normal((3, 3, C // groups, K)).astype(dtype)
    together = cyconv.conv2d(x, w, padding=1, groups=groups)
    apart = [cyconv.conv2d(x[n : n + 1], w, padding=1, groups=groups) for n in range(5)]
    assert together.tobytes() == np.concatenate(apart).tobytes()
    dx = cyconv.conv2d_input_grad(together, w, x.shape, padding=1, groups=groups)
    apart = [cyconv.conv2d_input_grad(y, w, (1, 9, 11, C), padding=1, groups=groups) for y in apart]
    assert dx.tobytes() == np.concatenate(apart).tobytes()


def beginning(array, offset):
    """The array, `offset` bytes behind the beginning of a line of the cache."""
    block = np.empty(array.nbytes + 128, np.uint8)
    start = -block.ctypes.data % 64 + offset
    copy = block[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


@EVERYWHERE
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("C", [256, 257, 288])
def test_where_an_array_begins_changes_no_bit(C, stride, dtype, rng):
    x = rng.standard_normal((2, 5, 16, C)).astype(dtype)
    w = rng.standard_normal((3, 3, 1, C)).astype(dtype)
    y = cyconv.conv2d(x, w, stride=stride, padding=1, groups=C)
    dy = rng.standard_normal(y.shape).astype(dtype)
    expected = (y, *cyconv.conv2d_backward(dy, x, w, stride=stride, padding=1, groups=C))
    for offset in (0, 8, 16, 40, 48):
        x, w, dy = (beginning(array, offset) for array in (x, w, dy))
        got = (
            cyconv.conv2d(x, w, stride=stride, padding=1, groups=C, out=beginning(y, offset)),
            *cyconv.conv2d_backward(dy, x, w, stride=stride, padding=1, groups=C),
        )
        for result, wanted in zip(got, expected, strict=True):
            assert_same_bits(result, wanted)


@pytest.mark.parametrize("stride", [1, 2])
def test_arrays_larger_than_the_caches_have_the_same_bits(stride, rng):
    """They are fetched ahead; an image alone is not."""
    C = 32
    x = rng.standard_normal((9, 88, 92, C), dtype=np.float32)
    w = rng.standard_normal((3, 3, 1, C), dtype=np.float32)
    y = cyconv.conv2d(x, w, stride=stride, padding=1, groups=C)
    dx = cyconv.conv2d_input_grad(y, w, x.shape, stride=stride, padding=1, groups=C)
    for n in (0, 8):
        image = slice(n, n + 1)
        assert_same_bits(cyconv.conv2d(x[image], w, stride=stride, padding=1, groups=C), y[image])
        alone = cyconv.conv2d_input_grad(y[image], w, x[image].shape, stride=stride, padding=1, groups=C)
        assert_same_bits(alone, dx[image])


X, W, DY = np.ones((2, 5, 6, 6)), np.ones((3, 3, 3, 4)), np.ones((2, 3, 4, 4))


@pytest.mark.parametrize("groups", [0, -2, 2**63, 1.0, "2", None, (2, 2), True], ids=repr)
def test_groups_that_are_no_number_of_groups(groups):
    with pytest.raises((ValueError, TypeError), match=r"\bgroups\b"):
        cyconv.conv2d(X, W, groups=groups)
    with pytest.raises((ValueError, TypeError), match=r"\bgroups\b"):
        cyconv.conv2d_input_grad(DY, W, X.shape, groups=groups)
    with pytest.raises((ValueError, TypeError), match=r"\bgroups\b"):
        cyconv.conv2d_weight_grad(DY, X, 3, groups=groups)
    with pytest.raises((ValueError, TypeError), match=r"\bgroups\b"):
        cyconv.conv2d_backward(DY, X, W, groups=groups)


@pytest.mark.parametrize(
    ("groups", "c", "K"),
    [(1, 3, 4), (2, 6, 4), (2, 2, 4), (3, 3, 4), (4, 3, 4), (3, 2, 4), (6, 1, 4), (12, 1, 12)],
)
def test_groups_that_do_not_fit(groups, c, K):
    """They divide neither C = 6 nor K, or w has not C // groups channels."""
    w = np.ones((3, 3, c, K))
    with pytest.raises(ValueError, match=r"\bgroups\b|\bw\b"):
        cyconv.conv2d(X, w, groups=groups)
    with pytest.raises(ValueError, match=r"\bgroups\b|\bw\b"):
        cyconv.conv2d_input_grad(np.ones((2, 3, 4, K)), w, X.shape, groups=groups)
    with pytest.raises(ValueError, match=r"\bgroups\b|\bw\b"):
        cyconv.conv2d_backward(np.ones((2, 3, 4, K)), X, w, groups=groups)


@pytest.mark.parametrize(("groups", "K"), [(4, 4), (3, 4), (6, 4), (12, 12)])
def test_groups_that_do_not_divide_the_channels_of_the_gradient(groups, K):
    with pytest.raises(ValueError, match=r"\bgroups\b"):
        cyconv.conv2d_weight_grad(np.ones((2, 3, 4, K)), X, 3, groups=groups)
