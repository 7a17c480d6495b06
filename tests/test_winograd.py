"""Winograd F(4x4, 3x3), F(3x3, 4x4) and F(2x2, 5x5), forward and gradients: near the oracle, the same in any split."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import draw
import numpy as np
import pytest
from answers import conv_data
from cases import Conv, Transposed
from compare import assert_adjoint, assert_exact, assert_same_bits
from layers import normal, results

import cyconv

EVERYWHERE = pytest.mark.usefixtures("isa", "threads")
SIZES = pytest.mark.parametrize("R", [3, 4, 5])
LARGEST_ERROR = {"float32": 5e-6, "float64": 2e-14}


def winograd(integer):
    """A random geometry that Winograd takes, often with padding wider than the window."""
    pad, total = draw.padding(integer, (4, 4))
    R = integer(3, 5)
    H, W = (max(1, R - t) + integer(0, 14) for t in total)
    groups = max(1, integer(-2, 5))
    least, most = (1, 40) if groups == 1 else (2, 20)
    C, K = groups * integer(least, most), groups * integer(1, most)
    return Conv((integer(1, 3), H, W, C), (R, R), K, padding=pad, groups=groups)


CHANNELS = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 65, 130)
BASE = Conv((2, 5, 6, 3), (3, 3), 5, padding=1)
CASES = (
    *(replace(BASE, x=(2, 5, 6, C)) for C in CHANNELS),
    *(replace(BASE, K=K) for K in CHANNELS),
    *(replace(BASE, x=(2, 5, 6, C), K=K) for C, K in ((1, 1), (17, 33), (65, 31), (130, 65), (64, 128))),
    # Tiles cut off at the right and at the bottom.
    *(replace(BASE, x=(2, 3, OW, 4), K=9) for OW in range(1, 15)),
    *(replace(BASE, x=(1, OH + 2, 7, 4), K=9, padding=0) for OH in range(1, 15)),
    replace(BASE, x=(1, 1, 1, 3)),
    replace(BASE, x=(1, 3, 3, 3), padding=0),
    # Four tiles, one of each size.
    *(replace(BASE, x=(1, 7, 7, C), K=K) for C, K in ((1, 1), (3, 5), (16, 64), (65, 31), (130, 70), (64, 200))),
    *(replace(BASE, x=(1, 7, 7, 20), K=17, padding=padding) for padding in (((2, 0), (0, 2)), ((0, 2), (1, 1)))),
    replace(BASE, x=(1, 9, 9, 20), K=17, padding=0),
    # Padding in every form.
    *(replace(BASE, padding=padding) for padding in (0, 2, "valid", "same", "same_lower", (0, 3), (2, 1))),
    *(replace(BASE, padding=padding) for padding in (((0, 1), (2, 0)), ((2, 0), (0, 1)), ((1, 3), (0, 2)))),
    # Wider than the window, and than the input: tiles of nothing but zeros.
    *(replace(BASE, x=(1, 3, 4, 3), padding=padding) for padding in (4, 7, ((9, 0), (0, 8)), ((0, 6), (11, 3)))),
    replace(BASE, x=(1, 1, 1, 3), padding=((5, 2), (3, 6))),
    # Groups: of few channels, of whole vectors, of more than a panel, of four tiles.
    *(
        replace(BASE, x=(2, 5, 6, groups * C), K=groups * K, groups=groups)
        for groups, C, K in (
            (2, 2, 3),
            (9, 2, 1),
            (5, 3, 8),
            (3, 16, 16),
            (4, 8, 32),
            (2, 17, 33),
            (2, 65, 31),
            (2, 3, 130),
        )
    ),
    *(replace(BASE, x=(1, 7, 7, 3 * C), K=3 * K, groups=3) for C, K in ((2, 5), (16, 16), (65, 31))),
    *draw.many(winograd, 80),
)
# Filters of 4 and 5 taps: their own transforms of each dimension, what is left of a tile, and whole panels.
CASES += tuple(
    replace(case, kernel_size=(R, R), padding=2)
    for R in (4, 5)
    for case in (
        *(replace(BASE, x=(2, 5, 6, C)) for C in CHANNELS[::2]),
        *(replace(BASE, K=K) for K in CHANNELS[::2]),
        *(replace(BASE, x=(2, 5, 6, C), K=K) for C, K in ((17, 33), (130, 65), (64, 128))),
        *(replace(BASE, x=(2, size, 13 - size, 4), K=9) for size in range(1, 13)),
        replace(BASE, x=(2, 5, 6, 48), K=51, groups=3),
    )
)
LARGE = (
    Conv((3, 26, 29, 5), (3, 3), 7, padding=1),  # 168 tiles: two blocks
    Conv((2, 45, 66, 3), (3, 3), 5, padding=1),  # 408: the weight gradient in three splits
    Conv((9, 43, 45, 3), (3, 3), 5, padding=1),  # 1188: in as many as there may be
    Conv((3, 26, 29, 32), (3, 3), 40, padding=1, groups=8),  # filters of all groups, kept for the blocks
    Conv((2, 45, 66, 6), (3, 3), 4, padding=1, groups=2),  # splits of two groups
    Conv((3, 26, 29, 4), (3, 3), 800, padding=1, groups=2),  # too many to be kept
    Conv((2, 25, 26, 400), (3, 3), 3),  # many channels: smaller blocks, several chunks
    Conv((1, 6, 7, 3), (3, 3), 400, padding=1),  # one block, its panels shared out
    Conv((1, 9, 10, 130), (3, 3), 140, padding=1),
    Conv((2, 25, 26, 300), (4, 4), 3),
    Conv((1, 8, 7, 3), (4, 4), 300, padding=2),
    Conv((5, 43, 45, 3), (4, 4), 5, padding=1),
    Conv((2, 15, 16, 300), (5, 5), 3),
    Conv((1, 6, 7, 3), (5, 5), 300, padding=2),
    Conv((5, 31, 33, 3), (5, 5), 5, padding=2),
    Conv((1, 9, 10, 130), (5, 5), 140, padding=2),
)
TRANSPOSED = (
    *(Transposed((2, 4, 5, C), (3, 3), 5) for C in CHANNELS[::3]),
    *(Transposed((2, 4, 5, 3), (3, 3), K) for K in CHANNELS[::3]),
    *(Transposed((2, 5, 6, 3), (3, 3), 4, padding=padding) for padding in (1, 2, "same", ((0, 2), (1, 0)))),
    Transposed((3, 26, 29, 5), (3, 3), 7, padding=1),
    *(Transposed((2, 5, 6, 9), (R, R), 17, padding=padding) for R in (4, 5) for padding in (0, 2, ((0, 2), (1, 0)))),
)


def assert_near(actual, expected, dtype, times=1):
    """A tile mixes its numbers, so its error is relative to the largest, not to each sum's own terms."""
    assert actual.dtype == dtype
    assert actual.shape == expected.shape
    error = np.abs(actual - expected).max(initial=0)
    assert error <= times * LARGEST_ERROR[dtype.name] * np.abs(expected).max(initial=0)


# Close to the oracle.


@EVERYWHERE
@pytest.mark.parametrize("case", [*CASES, *LARGE], ids=str)
def test_rounding_error(case, dtype):
    data = conv_data(case, dtype.name)
    x, w, b, dy = (a.astype(dtype) for a in (data.x, data.w, data.b, data.dy))
    assert_near(cyconv.conv2d(x, w, b, padding=case.padding, groups=case.groups, algorithm="winograd"), data.y, dtype)
    dx = cyconv.conv2d_input_grad(dy, w, case.x, padding=case.padding, groups=case.groups, algorithm="winograd")
    dw = cyconv.conv2d_weight_grad(
        dy, x, case.kernel_size, padding=case.padding, groups=case.groups, algorithm="winograd"
    )
    assert_near(dx, data.dx, dtype)
    assert_near(dw, data.dw, dtype)
    all_three = cyconv.conv2d_backward(dy, x, w, padding=case.padding, groups=case.groups, algorithm="winograd")
    assert_same_bits(all_three[0], dx)
    assert_same_bits(all_three[1], dw)
    assert_near(all_three[2], data.db, dtype)


@EVERYWHERE
@pytest.mark.parametrize("case", TRANSPOSED, ids=str)
def test_rounding_error_of_the_transposed_convolution(case, dtype):
    data = conv_data(case, dtype.name)
    x, w, b, dy = (a.astype(dtype) for a in (data.x, data.w, data.b, data.dy))
    y = cyconv.conv_transpose2d(x, w, b, padding=case.padding, groups=case.groups, algorithm="winograd")
    assert_near(y, data.y, dtype)
    gradients = cyconv.conv_transpose2d_backward(
        dy, x, w, padding=case.padding, groups=case.groups, algorithm="winograd"
    )
    for got, expected in zip(gradients, (data.dx, data.dw, data.db), strict=True):
        assert_near(got, expected, dtype)


@EVERYWHERE
@pytest.mark.parametrize("case", [CASES[0], *CASES[13:26:3], *CASES[-30::9], LARGE[0], LARGE[4], LARGE[-1]], ids=str)
def test_bias_and_relu(case, dtype):
    data = conv_data(case, dtype.name)
    x, w, b, dy = (a.astype(dtype) for a in (data.x, data.w, data.b, data.dy))
    options = {"padding": case.padding, "groups": case.groups, "algorithm": "winograd"}
    y = cyconv.conv2d(x, w, b, **options)
    assert_near(cyconv.conv2d(x, w, **options), data.y - data.b, dtype)
    assert (y < 0).any()
    relu = cyconv.conv2d(x, w, b, activation="relu", **options)
    assert_exact(relu, np.maximum(y, 0))
    fused = cyconv.conv2d_backward(dy, x, w, activation="relu", y=relu, **options)
    apart = cyconv.conv2d_backward(np.where(relu > 0, dy, dtype.type(0)), x, w, **options)
    for got, expected in zip(fused, apart, strict=True):
        assert_same_bits(got, expected)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("seed", range(80))
def test_gradients_are_adjoint_to_the_convolution(seed, rng):
    case = winograd(draw.chooser(("adjoint", seed)))
    x, w = rng.standard_normal(case.x), rng.standard_normal(case.w)
    y = cyconv.conv2d(x, w, padding=case.padding, groups=case.groups, algorithm="winograd")
    dy = rng.standard_normal(y.shape)
    dx, dw, db = cyconv.conv2d_backward(dy, x, w, padding=case.padding, groups=case.groups, algorithm="winograd")
    assert_adjoint((y, dy), (x, dx), (w, dw))
    assert_adjoint((np.ones(case.K), db), (np.ones(dy.shape), dy))


@EVERYWHERE
@SIZES
def test_sums_over_a_million_pixels_stay_accurate(R, dtype):
    """Added one by one in float32, a million constants would lose a hundredth of db and dw."""
    x, dy = np.full((16, 253 + R, 253 + R, 2), 0.3, dtype), np.full((16, 254, 254, 3), 0.1, dtype)
    _, dw, db = cyconv.conv2d_backward(dy, x, np.ones((R, R, 2, 3), dtype), algorithm="winograd")
    pixels, (a, b) = 16 * 254**2, (np.float64(x.flat[0]), np.float64(dy.flat[0]))
    assert_near(db, np.full(3, pixels * b), dtype)
    # Four times the tiles for 5 by 5, all alike; direct convolution errs by 4e-5 and 4e-13 here.
    assert_near(dw, np.full((R, R, 2, 3), pixels * a * b), dtype, times=2 if R == 5 else 1)


@EVERYWHERE
@SIZES
def test_an_empty_batch(R, dtype):
    x, w = np.ones((0, 5, 6, 3), dtype), np.ones((R, R, 3, 4), dtype)
    y = cyconv.conv2d(x, w, padding=1, algorithm="winograd")
    assert (y.shape, y.dtype) == ((0, 8 - R, 9 - R, 4), dtype)
    dx, dw, db = cyconv.conv2d_backward(y, x, w, padding=1, algorithm="winograd")
    assert dx.shape == x.shape
    assert_exact(dw, np.zeros(w.shape))
    assert_exact(db, np.zeros(4))
    assert cyconv.conv_transpose2d(y, w, padding=1, algorithm="winograd").shape == x.shape


# The same bits.

# Blocks, splits of the sum, shared panels, chunks of channels: whatever a team could be given parts of.
SHAPES = (
    ((3, 19, 23, 11), 37),
    ((2, 45, 66, 3), 5),
    ((1, 6, 7, 130), 400),
    ((1, 7, 7, 130), 400),
    ((2, 9, 10, 300), 20),
)


@pytest.mark.usefixtures("isa")
@SIZES
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_number_of_threads_does_not_change_a_bit(shape, R, dtype, team, rng):
    x, w = normal(rng, dtype, *shape, R)
    with team(1):
        alone = results(x, w, algorithm="winograd")
    for n in (2, 3, 5, 8, 17):
        with team(n):
            for got, wanted in zip(results(x, w, algorithm="winograd"), alone, strict=True):
                assert_same_bits(got, wanted)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize(("x", "c", "k", "groups"), [((2, 29, 30, 6), 2, 90, 3), ((1, 14, 14, 80), 16, 8, 5)], ids=str)
def test_nor_does_it_with_groups(x, c, k, groups, dtype, team, rng):
    x, w = rng.standard_normal(x).astype(dtype), rng.standard_normal((3, 3, c, groups * k)).astype(dtype)
    with team(1):
        alone = results(x, w, groups=groups, algorithm="winograd")
    for n in (2, 3, 8, 17):
        with team(n):
            for got, wanted in zip(results(x, w, groups=groups, algorithm="winograd"), alone, strict=True):
                assert_same_bits(got, wanted)


@pytest.mark.usefixtures("isa")
@SIZES
def test_python_threads_may_call_at_the_same_time(R, dtype, team, rng):
    x, w = normal(rng, dtype, *SHAPES[0], R)
    with team(2), ThreadPoolExecutor(6) as pool:
        alone = results(x, w, algorithm="winograd")
        for together in pool.map(lambda _: results(x, w, algorithm="winograd"), range(18)):
            for got, wanted in zip(together, alone, strict=True):
                assert_same_bits(got, wanted)


@EVERYWHERE
@SIZES
@pytest.mark.parametrize(
    "shape", [((5, 9, 11, 7), 19), ((5, 26, 29, 3), 9), ((5, 6, 7, 130), 300), ((5, 7, 7, 130), 90)], ids=str
)
@pytest.mark.parametrize("cuts", [(1, 2, 3, 4), (2,), (4,)], ids=str)
def test_a_batch_may_be_split(shape, R, cuts, dtype, rng):
    """The images of other calls decide where tiles lie in a block, and how large blocks are: never the bits."""
    x, w = normal(rng, dtype, *shape, R)
    y = cyconv.conv2d(x, w, padding=1, algorithm="winograd")
    apart = [cyconv.conv2d(part, w, padding=1, algorithm="winograd") for part in np.split(x, cuts)]
    assert_same_bits(np.concatenate(apart), y)
    dx = cyconv.conv2d_input_grad(y, w, x.shape, padding=1, algorithm="winograd")
    parts = zip(apart, np.split(x, cuts), strict=True)
    apart = [cyconv.conv2d_input_grad(dy, w, part.shape, padding=1, algorithm="winograd") for dy, part in parts]
    assert_same_bits(np.concatenate(apart), dx)
    assert_same_bits(cyconv.conv2d(x[2], w, padding=1, algorithm="winograd"), y[2])
    assert_same_bits(cyconv.PreparedConv2d(w, padding=1, algorithm="winograd")(x[2]), y[2])


# What is not finite.

SOURCES = {
    "forward": lambda x, w, algorithm: cyconv.conv2d(x, w, padding=1, algorithm=algorithm),
    "input gradient": lambda dy, w, algorithm: cyconv.conv2d_input_grad(
        dy,
        w.swapaxes(2, 3),
        (dy.shape[0], *(s + len(w) - 3 for s in dy.shape[1:3]), w.shape[3]),
        padding=1,
        algorithm=algorithm,
    ),
}


def sides(size, M):
    """Slices of M results, the last of them shorter by one where M does not divide their number: 7 = 4 + 3."""
    tiles = -(-size // M)
    short = min(tiles, tiles * M - size)
    ends = np.cumsum([M] * (tiles - short) + [M - 1] * short)
    return [slice(end - length, end) for end, length in zip(ends, np.diff(ends, prepend=0), strict=True)]


def whole_tiles(spoilt, M):
    """Every tile of results that holds a spoilt one."""
    reached = spoilt.copy()
    for h in sides(spoilt.shape[1], M):
        for v in sides(spoilt.shape[2], M):
            reached[:, h, v] = spoilt[:, h, v].any(axis=(1, 2), keepdims=True)
    return reached


@EVERYWHERE
@SIZES
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf], ids=str)
@pytest.mark.parametrize(("C", "K"), [(1, 1), (3, 5), (16, 17), (9, 33)])
@pytest.mark.parametrize("source", SOURCES)
def test_one_input_that_is_not_finite_reaches_its_windows_and_at_most_their_tiles(source, bad, C, K, R, dtype, rng):
    call = SOURCES[source]
    x, w = normal(rng, dtype, (2, 9, 10, C), K, R)
    clean = call(x, w, "winograd")
    for where in [(0, 0, 0, 0), (1, 8, 9, C - 1), (1, 4, 3, C // 2), (0, 3, 4, C - 1)]:
        spoilt = x.copy()
        spoilt[where] = bad
        sees = ~np.isfinite(call(spoilt, w, "direct"))
        y = call(spoilt, w, "winograd")
        assert sees.any()
        assert not np.isfinite(y[sees]).any()
        elsewhere = ~whole_tiles(sees, 7 - R)
        assert elsewhere.any()
        assert_same_bits(y[elsewhere], clean[elsewhere])


@EVERYWHERE
@SIZES
@pytest.mark.parametrize("bad", [np.nan, np.inf], ids=str)
@pytest.mark.parametrize("K", [2, 7, 16, 33, 70])
def test_one_weight_that_is_not_finite_spoils_its_own_output_channel_only(K, bad, R, dtype, rng):
    x, w = normal(rng, dtype, (2, 6, 7, 3), K, R)
    clean = cyconv.conv2d(x, w, padding=1, algorithm="winograd")
    for k in (0, K // 2, K - 1):
        spoilt = w.copy()
        spoilt[1, 2, 1, k] = bad
        sees = ~np.isfinite(cyconv.conv2d(x, spoilt, padding=1, algorithm="direct"))
        y = cyconv.conv2d(x, spoilt, padding=1, algorithm="winograd")
        others = np.arange(K) != k
        assert sees.any()
        assert not np.isfinite(y[sees]).any()
        assert_same_bits(y[..., others], clean[..., others])


@EVERYWHERE
@SIZES
@pytest.mark.parametrize("bad", [np.nan, np.inf], ids=str)
@pytest.mark.parametrize(("C", "K"), [(2, 3), (9, 17), (70, 40)])
def test_in_the_weight_gradient_it_stays_in_its_channels(C, K, bad, R, dtype, rng):
    dy = rng.standard_normal((2, 9, 10, K)).astype(dtype)
    x = rng.standard_normal((2, 6 + R, 7 + R, C)).astype(dtype)

    def gradient(dy, x, algorithm="winograd"):
        return cyconv.conv2d_weight_grad(dy, x, R, padding=1, algorithm=algorithm)

    clean = gradient(dy, x)
    for pixel, c, k in [((0, 0, 0), 0, 0), ((1, 8, 9), C - 1, K - 1), ((1, 4, 3), C // 2, K // 2)]:
        spoilt_x, spoilt_dy = x.copy(), dy.copy()
        spoilt_x[(*pixel, c)] = spoilt_dy[(*pixel, k)] = bad
        for pair, others in [
            ((dy, spoilt_x), np.s_[:, :, np.arange(C) != c]),
            ((spoilt_dy, x), np.s_[..., np.arange(K) != k]),
        ]:
            sees = ~np.isfinite(gradient(*pair, "direct"))
            dw = gradient(*pair)
            assert sees.any()
            assert not np.isfinite(dw[sees]).any()
            assert_same_bits(dw[others], clean[others])
