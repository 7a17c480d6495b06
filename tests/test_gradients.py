"""Gradients of conv2d: exact on whole numbers, adjoint to the convolution, long sums kept accurate."""

import draw
import numpy as np
import pytest
from answers import conv_data, conv_magnitude
from cases import CONVS, Conv
from compare import assert_adjoint, assert_exact, assert_rounded

import cyconv

EVERYWHERE = pytest.mark.usefixtures("isa", "threads")
CASES = [*CONVS, *draw.many(draw.conv, 60)]

ROUNDED = (
    Conv((2, 5, 6, 3), (3, 3), 4, padding=1),
    Conv((2, 9, 7, 17), (3, 3), 33, padding=1),
    Conv((1, 8, 8, 64), (3, 3), 32, padding="same"),
    Conv((1, 21, 22, 3), (7, 7), 16, stride=2, padding=3),
    Conv((1, 6, 6, 40), (1, 1), 500),
    Conv((1, 5, 5, 40), (3, 3), 150, stride=2, padding=1, dilation=2),
    Conv((4, 30, 30, 2), (2, 2), 3, stride=(1, 2)),
)


@EVERYWHERE
@pytest.mark.parametrize("case", CASES, ids=str)
def test_input_gradient_of_whole_numbers_is_exact(case, dtype):
    data = conv_data(case, "integers")
    dy, w = data.dy.astype(dtype), data.w.astype(dtype)
    dx = cyconv.conv2d_input_grad(dy, w, case.x, **case.geometry, algorithm="direct")
    assert dx.dtype == dtype
    assert dx.flags.c_contiguous
    assert_exact(dx, data.dx)


@EVERYWHERE
@pytest.mark.parametrize("case", CASES, ids=str)
def test_weight_gradient_of_whole_numbers_is_exact(case, dtype):
    data = conv_data(case, "integers")
    dy, x = data.dy.astype(dtype), data.x.astype(dtype)
    dw = cyconv.conv2d_weight_grad(dy, x, case.kernel_size, **case.geometry, algorithm="direct")
    assert dw.dtype == dtype
    assert dw.flags.c_contiguous
    assert_exact(dw, data.dw)


@EVERYWHERE
@pytest.mark.parametrize("case", CASES[::5], ids=str)
def test_backward_gives_all_three(case, dtype):
    data = conv_data(case, "integers")
    dy, x, w = (a.astype(dtype) for a in (data.dy, data.x, data.w))
    dx, dw, db = cyconv.conv2d_backward(dy, x, w, **case.geometry, algorithm="direct")
    assert dx.dtype == dw.dtype == db.dtype == dtype
    assert_exact(dx, data.dx)
    assert_exact(dw, data.dw)
    assert_exact(db, data.db)


@EVERYWHERE
@pytest.mark.parametrize("algorithm", ["auto", "direct"])
@pytest.mark.parametrize("case", ROUNDED, ids=str)
def test_rounding_error(case, dtype, algorithm):
    data, magnitude = conv_data(case, dtype.name), conv_magnitude(case, dtype.name)
    dy, x, w = (a.astype(dtype) for a in (data.dy, data.x, data.w))
    dx, dw, db = cyconv.conv2d_backward(dy, x, w, **case.geometry, algorithm=algorithm)
    pixels = np.prod(dy.shape[:3])
    assert_rounded(dx, data.dx, magnitude.dx, terms=np.prod(case.kernel_size) * case.K)
    assert_rounded(dw, data.dw, magnitude.dw, terms=pixels)
    assert_rounded(db, data.db, magnitude.db, terms=pixels)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("seed", range(40))
def test_gradients_are_adjoint_to_the_convolution(seed, rng):
    """<conv(x, w), dy> = <x, dx> = <w, dw>: convolution is linear in x and in w."""
    case = draw.conv(draw.chooser(seed))
    x, w = rng.standard_normal(case.x), rng.standard_normal(case.w)
    y = cyconv.conv2d(x, w, **case.geometry, algorithm="direct")
    dy = rng.standard_normal(y.shape)
    dx, dw, db = cyconv.conv2d_backward(dy, x, w, **case.geometry, algorithm="direct")
    assert_adjoint((y, dy), (x, dx), (w, dw))
    assert_adjoint((np.ones(case.K), db), (np.ones(dy.shape), dy))


@EVERYWHERE
@pytest.mark.parametrize("values", ["constant", "normal"])
def test_sums_over_a_million_pixels_stay_accurate(values, dtype, rng):
    """Added one by one in float32, the constant would lose a hundredth of db and dw."""
    shape = (16, 256, 256, 2)
    dy = rng.standard_normal(shape, np.float32) if values == "normal" else np.full(shape, 0.1)
    x = rng.standard_normal(shape, np.float32) if values == "normal" else np.full(shape, 0.3)
    dy, x = dy.astype(dtype), x.astype(dtype)
    _, dw, db = cyconv.conv2d_backward(dy, x, np.ones((1, 1, 2, 2), dtype))
    # Contiguous rows: NumPy adds those pairwise.
    dy, x = (a.reshape(-1, 2).T.astype(np.float64, order="C") for a in (dy, x))
    assert_rounded(db, dy.sum(axis=1), np.abs(dy).sum(axis=1), terms=1024)
    assert_rounded(dw[0, 0], x @ dy.T, np.abs(x) @ np.abs(dy).T, terms=x.shape[1])


@EVERYWHERE
@pytest.mark.parametrize("geometry", [{}, {"stride": 2}, {"padding": "same"}, {"dilation": 2}], ids=str)
def test_an_empty_batch_has_zero_gradients(geometry, dtype):
    x, w = np.ones((0, 9, 9, 3), dtype), np.ones((3, 3, 3, 5), dtype)
    y = cyconv.conv2d(x, w, **geometry)
    dx, dw, db = cyconv.conv2d_backward(y, x, w, **geometry)
    assert dx.shape == x.shape
    assert_exact(dw, np.zeros(w.shape))
    assert_exact(db, np.zeros(5))


@EVERYWHERE
def test_input_that_no_window_sees_has_zero_gradient(dtype):
    """Pixels between windows, and rows left over behind the last one."""
    dy, w = np.ones((1, 2, 2, 4), dtype), np.ones((2, 2, 3, 4), dtype)
    dx = cyconv.conv2d_input_grad(dy, w, (1, 8, 7, 3), stride=4)
    seen = np.zeros((8, 7), bool)
    seen[np.ix_([0, 1, 4, 5], [0, 1, 4, 5])] = True
    assert_exact(dx, np.where(seen[None, :, :, None], 4.0, 0.0) * np.ones(3))


@EVERYWHERE
@pytest.mark.parametrize("groups", [1, 3])
def test_input_that_lies_beside_every_tap_has_zero_gradient(groups, dtype):
    """The only taps see padding."""
    dy, w = np.ones((2, 2, 2, 6), dtype), np.ones((1, 1, 6 // groups, 6), dtype)
    assert_exact(
        cyconv.conv2d_input_grad(dy, w, (2, 1, 1, 6), stride=2, padding=1, groups=groups), np.zeros((2, 1, 1, 6))
    )


@EVERYWHERE
@pytest.mark.parametrize(("C", "K"), [(3, 5), (17, 9)])
def test_a_nan_in_the_gradient_reaches_its_own_window_only(C, K, dtype, rng):
    dy, w = np.ones((2, 4, 5, K), dtype), np.ones((3, 2, C, K), dtype)
    clean = cyconv.conv2d_input_grad(dy, w, (2, 6, 6, C), algorithm="direct")
    dy[1, 2, 3, K - 1] = np.nan
    spoilt = cyconv.conv2d_input_grad(dy, w, (2, 6, 6, C), algorithm="direct")
    expected = clean.copy()
    expected[1, 2:5, 3:5] = np.nan
    assert_exact(spoilt, expected)

    x = np.ones((2, 6, 6, C), dtype)
    dw = cyconv.conv2d_weight_grad(dy, x, (3, 2), algorithm="direct")
    assert_exact(np.isnan(dw), np.broadcast_to(np.arange(K) == K - 1, dw.shape))
