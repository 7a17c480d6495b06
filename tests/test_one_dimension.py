"""conv1d, max_pool1d and avg_pool1d: sequences (N, W, C) as images of one row."""

import numpy as np
import pytest
from answers import integers
from compare import assert_exact, assert_same_bits

import cyconv

pytestmark = pytest.mark.usefixtures("isa", "threads")

CONVS = ({}, {"stride": 2}, {"padding": 1}, {"padding": "same"}, {"padding": "same_lower"}, {"dilation": 3})
POOLS = ({}, {"stride": 1}, {"padding": 1}, {"padding": "same"}, {"dilation": 2}, {"ceil_mode": True})


def row(value):
    """The argument for a row of an image that means the same as `value` for a sequence."""
    return value if isinstance(value, str) else (0, value)


def of_rows(geometry):
    """Arguments of a 2-D function from those of a 1-D one."""
    changed = dict(geometry)
    for name in ("stride", "dilation"):
        if name in changed:
            changed[name] = (1, changed[name])
    if "padding" in changed:
        changed["padding"] = row(changed["padding"])
    return changed


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("geometry", CONVS, ids=str)
def test_convolution(geometry, groups, dtype, rng):
    x, w = integers(rng, 3, 11, 4).astype(dtype), integers(rng, 3, 4 // groups, 8).astype(dtype)
    b = integers(rng, 8).astype(dtype)
    y = cyconv.conv1d(x, w, b, **geometry, groups=groups)
    rows = of_rows(geometry) | {"groups": groups}
    assert_same_bits(y, cyconv.conv2d(x[:, None], w[None], b, **rows)[:, 0])
    dy = integers(rng, *y.shape).astype(dtype)
    dx, dw, db = cyconv.conv1d_backward(dy, x, w, **geometry, groups=groups)
    expected = cyconv.conv2d_backward(dy[:, None], x[:, None], w[None], **rows)
    assert_same_bits(dx, expected[0][:, 0])
    assert_same_bits(dw, expected[1][0])
    assert_same_bits(db, expected[2])
    assert_same_bits(cyconv.conv1d_input_grad(dy, w, x.shape, **geometry, groups=groups), dx)
    assert_same_bits(cyconv.conv1d_weight_grad(dy, x, 3, **geometry, groups=groups), dw)


def test_convolution_by_hand(dtype):
    x, w = np.arange(1, 6, dtype=dtype).reshape(1, 5, 1), np.array([1, 10], dtype).reshape(2, 1, 1)
    assert_exact(cyconv.conv1d(x, w).ravel(), np.array([21.0, 32, 43, 54]))
    assert_exact(cyconv.conv1d(x, w, stride=2).ravel(), np.array([21.0, 43]))
    assert_exact(cyconv.conv1d(x, w, padding="same").ravel(), np.array([21.0, 32, 43, 54, 5]))
    assert_exact(cyconv.conv1d(x, w, padding=(1, 0)).ravel(), np.array([10.0, 21, 32, 43, 54]))
    assert_exact(cyconv.conv1d(x, w, dilation=3).ravel(), np.array([41.0, 52]))


@pytest.mark.parametrize("geometry", POOLS, ids=str)
def test_maximum(geometry, dtype, rng):
    x = integers(rng, 3, 11, 5).astype(dtype)
    y = cyconv.max_pool1d(x, 3, **geometry)
    stride = {"stride": geometry.get("stride", 3)}
    rows = of_rows(stride | geometry)
    assert_same_bits(y, cyconv.max_pool2d(x[:, None], (1, 3), **rows)[:, 0])
    dy = integers(rng, *y.shape).astype(dtype)
    expected = cyconv.max_pool2d_backward(dy[:, None], x[:, None], (1, 3), **rows)
    assert_same_bits(cyconv.max_pool1d_backward(dy, x, 3, **geometry), expected[:, 0])


@pytest.mark.parametrize("geometry", POOLS, ids=str)
def test_average(geometry, dtype, rng):
    x = integers(rng, 3, 11, 5).astype(dtype)
    y = cyconv.avg_pool1d(x, 3, **geometry)
    stride = {"stride": geometry.get("stride", 3)}
    rows = of_rows(stride | geometry)
    assert_same_bits(y, cyconv.avg_pool2d(x[:, None], (1, 3), **rows)[:, 0])
    dy = integers(rng, *y.shape).astype(dtype)
    expected = cyconv.avg_pool2d_backward(dy[:, None], (3, 1, 11, 5), (1, 3), **rows)
    assert_same_bits(cyconv.avg_pool1d_backward(dy, x.shape, 3, **geometry), expected[:, 0])


def test_indices_and_activation(dtype, rng):
    x, w = integers(rng, 3, 11, 4).astype(dtype), integers(rng, 3, 4, 5).astype(dtype)
    y, indices = cyconv.max_pool1d(x, 3, return_indices=True)
    assert_exact(np.take_along_axis(x, indices, axis=1), y)
    expected = cyconv.max_pool1d_backward(y, x, 3)
    assert_same_bits(cyconv.max_pool1d_backward(y, x, 3, indices=indices), expected)
    y = cyconv.conv1d(x, w, activation="relu")
    assert_exact(y, np.maximum(cyconv.conv1d(x, w), 0))
    expected = cyconv.conv1d_backward(np.where(y > 0, y, 0), x, w)
    for got, wanted in zip(cyconv.conv1d_backward(y, x, w, activation="relu", y=y), expected, strict=True):
        assert_exact(got, wanted)


def test_one_sequence_is_a_batch_of_one(dtype, rng):
    x, w = rng.standard_normal((9, 4)).astype(dtype), rng.standard_normal((3, 4, 5)).astype(dtype)
    assert_same_bits(cyconv.conv1d(x, w), cyconv.conv1d(x[None], w)[0])
    assert_same_bits(cyconv.max_pool1d(x, 2), cyconv.max_pool1d(x[None], 2)[0])
    assert_same_bits(cyconv.avg_pool1d(x, 2), cyconv.avg_pool1d(x[None], 2)[0])


X, W = np.ones((2, 9, 4)), np.ones((3, 4, 5))


@pytest.mark.parametrize(
    ("function", "arguments", "named"),
    [
        ("conv1d", (None, W), "x"),
        ("conv1d", (X[0, 0], W), "x"),
        ("conv1d", (X[None], W), "x"),
        ("conv1d", (X, W[None]), "w"),
        ("conv1d", (X, W[:, :3]), "w|x"),
        ("conv1d", (X, W, np.ones(4)), "b"),
        ("conv1d_backward", (np.ones((2, 6, 5)), X, W), "dy"),
        ("conv1d_input_grad", (np.ones((2, 6, 5)), W, X.shape), "dy"),
        ("conv1d_input_grad", (np.ones((2, 7, 5)), W, (9,)), "input_shape"),
        ("conv1d_weight_grad", (np.ones((2, 6, 5)), X, 3), "dy"),
        ("conv1d_weight_grad", (np.ones((2, 7, 5)), X, (1, 3)), "kernel_size"),
        ("max_pool1d", (X, 0), "kernel_size"),
        ("max_pool1d", (X, 10), "kernel_size"),
        ("max_pool1d", (X, "3"), "kernel_size"),
        ("max_pool1d_backward", (np.ones((2, 3, 4)), X, 2), "dy"),
        ("avg_pool1d", (X[None], 2), "x"),
        ("avg_pool1d_backward", (np.ones((2, 3, 4)), X.shape, 2), "dy"),
        ("avg_pool1d_backward", (np.ones((2, 4, 4)), (2, 9), 2), "input_shape|dy"),
    ],
)
def test_bad_arguments(function, arguments, named):
    with pytest.raises((ValueError, TypeError), match=rf"\b({named})\b"):
        getattr(cyconv, function)(*arguments)
