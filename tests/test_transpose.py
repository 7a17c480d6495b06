"""conv_transpose2d and its gradients: the input gradient of a convolution under its own name."""

import draw
import numpy as np
import pytest
from answers import conv_data, conv_magnitude, integers
from cases import CHANNELS, Transposed, brief
from compare import assert_adjoint, assert_exact, assert_rounded

import cyconv

EVERYWHERE = pytest.mark.usefixtures("isa", "threads")


BASE = (2, 4, 5, 3)
CASES = (
    *(Transposed((1, 3, 4, C), (3, 3), 5, stride=2) for C in CHANNELS),
    *(Transposed((1, 3, 4, 3), (3, 3), K, stride=2) for K in CHANNELS),
    *(Transposed((2, 3, W, 4), (3, 3), 9, stride=2, padding=1) for W in range(1, 15)),
    Transposed(BASE, (3, 2), 4),
    Transposed(BASE, (3, 2), 4, padding=1),
    Transposed(BASE, (3, 3), 4, stride=(1, 3)),
    Transposed(BASE, (2, 2), 4, stride=4),
    Transposed(BASE, (1, 1), 4),
    Transposed(BASE, (1, 1), 4, stride=2),
    Transposed(BASE, (4, 4), 4, stride=2, padding=1),
    Transposed(BASE, (5, 5), 4, stride=2, padding=2, output_padding=1),
    Transposed(BASE, (3, 3), 4, stride=(3, 2), output_padding=(2, 1)),
    Transposed(BASE, (3, 3), 4, stride=(3, 2), output_padding=(0, 1), padding=1),
    Transposed(BASE, (3, 3), 4, stride=2, padding=((0, 2), (1, 0))),
    Transposed(BASE, (3, 3), 4, stride=2, padding="valid"),
    Transposed(BASE, (3, 3), 4, stride=2, padding="same"),
    Transposed(BASE, (2, 5), 4, stride=3, padding="same"),
    Transposed(BASE, (3, 3), 4, stride=2, padding="same_lower"),
    Transposed(BASE, (3, 3), 4, stride=2, padding="same", output_size=(7, 9)),
    Transposed(BASE, (3, 3), 4, stride=2, output_size=(9, 12)),
    Transposed(BASE, (3, 3), 4, stride=2, padding=1, output_size=(8, 9)),
    Transposed((2, 4, 4, 3), (3, 3), 4, stride=2, padding=1, output_size=8),
    Transposed(BASE, (3, 3), 4, dilation=2),
    Transposed(BASE, (3, 2), 4, stride=2, dilation=(1, 3), padding=1, output_padding=1),
    Transposed(BASE, (2, 2), 4, stride=1, dilation=3, output_padding=2),
    Transposed((2, 4, 5, 6), (3, 3), 4, stride=2, groups=2),
    Transposed((2, 4, 5, 6), (3, 3), 6, stride=2, padding=1, output_padding=1, groups=6),
    Transposed((2, 4, 5, 6), (3, 3), 18, groups=6),
    *(Transposed((2, 2, 2, 6), (1, 1), 6, stride=2, padding=1, groups=groups) for groups in (1, 6)),
    *(Transposed((2, 4, 5, 20), (2, 2), 20, stride=(4, 3), output_padding=(3, 0), groups=groups) for groups in (1, 20)),
    Transposed((2, 1, 1, 3), (4, 4), 4),
    Transposed((0, 4, 5, 3), (3, 3), 4, stride=2),
    Transposed((1, 4, 4, 100), (4, 4), 60, stride=2, padding=1),
    *draw.many(draw.transposed, 60),
)
ROUNDED = (
    Transposed((2, 6, 7, 17), (4, 4), 33, stride=2, padding=1),
    Transposed((1, 8, 8, 64), (3, 3), 32, padding=1),
    Transposed((1, 5, 5, 36), (5, 5), 30, stride=(2, 3), padding=2, output_padding=1, groups=3),
)


@EVERYWHERE
@pytest.mark.parametrize("case", CASES, ids=str)
def test_whole_numbers_are_exact(case, dtype):
    data = conv_data(case, "integers")
    x, w, b, dy = (a.astype(dtype) for a in (data.x, data.w, data.b, data.dy))
    y = cyconv.conv_transpose2d(x, w, b, **case.geometry, **case.size, algorithm="direct")
    assert y.dtype == dtype
    assert y.flags.c_contiguous
    assert_exact(y, data.y)
    gradients = cyconv.conv_transpose2d_backward(dy, x, w, **case.geometry, algorithm="direct")
    for got, expected in zip(gradients, (data.dx, data.dw, data.db), strict=True):
        assert got.dtype == dtype
        assert_exact(got, expected)


@EVERYWHERE
@pytest.mark.parametrize("case", ROUNDED, ids=str)
def test_rounding_error(case, dtype):
    data, magnitude = conv_data(case, dtype.name), conv_magnitude(case, dtype.name)
    x, w, b, dy = (a.astype(dtype) for a in (data.x, data.w, data.b, data.dy))
    taps = np.prod(case.kernel_size)
    y = cyconv.conv_transpose2d(x, w, b, **case.geometry, **case.size)
    assert_rounded(y, data.y, magnitude.y, terms=taps * case.x[3] // case.groups + 1)
    dx, dw, db = cyconv.conv_transpose2d_backward(dy, x, w, **case.geometry)
    assert_rounded(dx, data.dx, magnitude.dx, terms=taps * case.K // case.groups)
    assert_rounded(dw, data.dw, magnitude.dw, terms=np.prod(case.x[:3]))
    assert_rounded(db, data.db, magnitude.db, terms=np.prod(dy.shape[:3]))


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("seed", range(30))
def test_gradients_are_adjoint(seed, rng):
    case = draw.transposed(draw.chooser(seed))
    x, w = rng.standard_normal(case.x), rng.standard_normal(case.w)
    y = cyconv.conv_transpose2d(x, w, **case.geometry, **case.size)
    dy = rng.standard_normal(y.shape)
    dx, dw, _ = cyconv.conv_transpose2d_backward(dy, x, w, **case.geometry)
    assert_adjoint((y, dy), (x, dx), (w, dw))


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("padding", [0, 1, "same", "same_lower", "valid"])
@pytest.mark.parametrize("stride", [1, 2, (3, 2)])
def test_it_is_the_input_gradient_of_the_convolution_with_its_weights(stride, padding, dtype, rng):
    x, w = rng.standard_normal((2, 7, 9, 5)).astype(dtype), rng.standard_normal((3, 2, 5, 4)).astype(dtype)
    y = cyconv.conv2d(x, w, stride=stride, padding=padding)
    back = cyconv.conv_transpose2d(y, w, stride=stride, padding=padding, output_size=(7, 9))
    gradient = cyconv.conv2d_input_grad(y, w, x.shape, stride=stride, padding=padding)
    assert back.tobytes() == gradient.tobytes()


def test_the_output_size_by_hand():
    x, w = np.ones((1, 3, 4, 2)), np.ones((3, 5, 7, 2))

    def size(**geometry):
        return cyconv.conv_transpose2d(x, w, **geometry).shape

    assert size() == (1, 5, 8, 7)
    assert size(stride=2) == (1, 7, 11, 7)
    assert size(stride=2, padding=1) == (1, 5, 9, 7)
    assert size(stride=2, padding=1, output_padding=1) == (1, 6, 10, 7)
    assert size(stride=2, padding="same") == (1, 6, 8, 7)
    assert size(stride=2, output_size=(8, 12)) == (1, 8, 12, 7)
    assert size(dilation=2) == (1, 7, 12, 7)


def test_the_bias_has_two_shapes(rng):
    x, w, b = integers(rng, *BASE), integers(rng, 3, 3, 4, 3), integers(rng, 4)
    plain = cyconv.conv_transpose2d(x, w, algorithm="direct")
    assert_exact(cyconv.conv_transpose2d(x, w, b, algorithm="direct"), plain + b)
    assert_exact(cyconv.conv_transpose2d(x, w, b.reshape(1, 1, 1, 4), algorithm="direct"), plain + b)


def test_pixels_that_no_window_paints_are_the_bias(dtype):
    x, w = np.ones((1, 2, 2, 1), dtype), np.ones((1, 1, 2, 1), dtype)
    y = cyconv.conv_transpose2d(x, w, np.array([5, 7], dtype), stride=3, output_padding=2)
    expected = np.broadcast_to(np.array([5.0, 7.0]), (1, 6, 6, 2)).copy()
    expected[:, ::3, ::3] += 1
    assert_exact(y, expected)


def test_out_is_filled_and_returned(dtype, rng):
    x, w = rng.standard_normal(BASE).astype(dtype), rng.standard_normal((3, 3, 4, 3)).astype(dtype)
    expected = cyconv.conv_transpose2d(x, w, stride=2)
    out = np.full_like(expected, np.nan)
    assert cyconv.conv_transpose2d(x, w, stride=2, out=out) is out
    assert out.tobytes() == expected.tobytes()


@EVERYWHERE
@pytest.mark.parametrize("case", CASES[::7], ids=str)
def test_relu(case, dtype):
    data = conv_data(case, "integers")
    x, w, b, dy = (a.astype(dtype) for a in (data.x, data.w, data.b, data.dy))
    y = cyconv.conv_transpose2d(x, w, b, **case.geometry, **case.size, activation="relu", algorithm="direct")
    assert_exact(y, np.maximum(data.y, 0))
    fused = cyconv.conv_transpose2d_backward(dy, x, w, **case.geometry, activation="relu", y=y, algorithm="direct")
    apart = cyconv.conv_transpose2d_backward(np.where(data.y > 0, dy, 0), x, w, **case.geometry, algorithm="direct")
    for got, expected in zip(fused, apart, strict=True):
        assert_exact(got, expected)


def test_the_bias_gradient_of_a_million_pixels_stays_accurate(dtype):
    dy = np.full((16, 256, 256, 2), 0.1, dtype)
    _, _, db = cyconv.conv_transpose2d_backward(dy, np.ones((16, 256, 256, 1), dtype), np.ones((1, 1, 2, 1), dtype))
    total = 2**20 * np.float64(dy.flat[0])
    assert_rounded(db, np.full(2, total), total, terms=1024)


X, W, B = np.ones((2, 4, 5, 6)), np.ones((3, 3, 4, 6)), np.ones(4)
DY = np.ones((2, 6, 7, 4))

BAD = (
    ({"x": None}, "x"),
    ({"x": X[0, 0]}, "x"),
    ({"x": X[:, :0]}, "x"),
    ({"x": X[..., :5]}, "x|w"),
    ({"x": X.astype(complex)}, "x"),
    ({"w": None}, "w"),
    ({"w": W[0]}, "w"),
    ({"w": W[:0]}, "w"),
    ({"w": W[:, :, :0]}, "w"),
    ({"w": W[..., :5]}, "x|w"),
    ({"b": np.ones(6)}, "b"),
    ({"b": np.ones((4, 1))}, "b"),
    ({"stride": 0}, "stride"),
    ({"stride": (1, -1)}, "stride"),
    ({"stride": 2**63}, "stride"),
    ({"dilation": 0}, "dilation"),
    ({"padding": -1}, "padding"),
    ({"padding": "full"}, "padding"),
    ({"padding": 3}, "padding|x"),
    ({"output_padding": -1}, "output_padding"),
    ({"output_padding": 1}, "output_padding"),
    ({"output_padding": (0, 2), "stride": 2}, "output_padding"),
    ({"output_padding": "1"}, "output_padding"),
    ({"output_padding": None}, "output_padding"),
    ({"output_size": (7, 7)}, "output_size"),
    ({"output_size": (5, 7)}, "output_size"),
    ({"output_size": (6,)}, "output_size"),
    ({"output_size": (6.0, 7.0)}, "output_size"),
    ({"output_size": (6, 7), "output_padding": 1, "stride": 2}, "output_size|output_padding"),
    ({"groups": 0}, "groups"),
    ({"groups": 4}, "groups"),
    ({"algorithm": "fast"}, "algorithm"),
)


@pytest.mark.parametrize(("arguments", "named"), BAD, ids=brief)
def test_bad_arguments(arguments, named):
    with pytest.raises((ValueError, TypeError), match=rf"\b({named})\b"):
        cyconv.conv_transpose2d(**{"x": X, "w": W, "b": B} | arguments)
    if "b" not in arguments:
        with pytest.raises((ValueError, TypeError), match=rf"\b({named}|dy)\b"):
            cyconv.conv_transpose2d_backward(**{"dy": DY, "x": X, "w": W} | arguments)


@pytest.mark.parametrize("axis", range(4))
@pytest.mark.parametrize("more", [-1, 1])
def test_every_axis_of_a_gradient_is_checked(axis, more):
    shape = list(DY.shape)
    shape[axis] += more
    with pytest.raises(ValueError, match=r"\bdy\b"):
        cyconv.conv_transpose2d_backward(np.ones(shape), X, W)


def test_the_calls_above_are_good():
    assert cyconv.conv_transpose2d(X, W, B).shape == DY.shape
    assert len(cyconv.conv_transpose2d_backward(DY, X, W)) == 3
