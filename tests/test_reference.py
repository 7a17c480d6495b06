"""The oracle itself: against the notebook's loops, examples worked by hand, and differences."""

import draw
import numpy as np
import pytest
import reference
from compare import assert_exact
from reference import notebook
from reference.geometry import Windows


@pytest.mark.parametrize(("f", "stride", "pad"), [(1, 1, 0), (2, 1, 1), (3, 2, 0), (3, 1, 2), (2, 3, 1)])
def test_convolution_follows_the_notebook(f, stride, pad, rng):
    x, w = rng.integers(-9, 9, (2, 6, 5, 3)), rng.integers(-9, 9, (f, f, 3, 2))
    b = rng.integers(-9, 9, (1, 1, 1, 2))
    Z, cache = notebook.conv_forward(x, w, b, {"stride": stride, "pad": pad})
    assert_exact(reference.conv2d(x, w, b, stride=stride, padding=pad), Z)
    dx, dw, db = reference.conv2d_backward(Z, x, w, stride=stride, padding=pad)
    for ours, loops in zip((dx, dw, db.reshape(1, 1, 1, 2)), notebook.conv_backward(Z, cache), strict=True):
        assert_exact(ours, loops)


@pytest.mark.parametrize(("f", "stride"), [(1, 1), (2, 1), (2, 2), (3, 2), (2, 3)])
def test_pooling_follows_the_notebook(f, stride, rng):
    x = rng.integers(-3, 3, (2, 6, 5, 3)).astype(float)
    A, cache = notebook.pool_forward(x, {"f": f, "stride": stride})
    assert_exact(reference.max_pool2d(x, f, stride=stride), A)
    assert_exact(
        reference.max_pool2d_backward(A, x, f, stride=stride, ties="all"),
        notebook.pool_backward(A, cache),
    )
    A, cache = notebook.pool_forward(x, {"f": f, "stride": stride}, "average")
    np.testing.assert_allclose(reference.avg_pool2d(x, f, stride=stride), A, atol=1e-14)
    np.testing.assert_allclose(
        reference.avg_pool2d_backward(A, x.shape, f, stride=stride),
        notebook.pool_backward(A, cache, "average"),
        atol=1e-14,
    )


def test_same_padding_by_hand():
    """The output has ceil(H / stride) rows; an odd row of padding goes below, or above."""
    windows = Windows((5, 6), (4, 3), 1, "same")
    assert (windows.OH, windows.OW) == (5, 6)
    assert (windows.top, windows.bottom, windows.left, windows.right) == (1, 2, 1, 1)
    windows = Windows((5, 6), (4, 3), 2, "same_lower")
    assert (windows.OH, windows.OW) == (3, 3)
    assert (windows.top, windows.bottom, windows.left, windows.right) == (2, 1, 1, 0)
    windows = Windows((5, 6), (1, 1), 3, "same")
    assert (windows.OH, windows.OW) == (2, 2)
    assert (windows.top, windows.bottom, windows.left, windows.right) == (0, 0, 0, 0)


def test_a_row_by_hand():
    x = np.array([1.0, 2, 3, 4, 5]).reshape(1, 1, 5, 1)
    w = np.array([1.0, 10]).reshape(1, 2, 1, 1)

    def row(**geometry):
        return reference.conv2d(x, w, **geometry).ravel().tolist()

    assert row() == [21, 32, 43, 54]
    assert row(stride=(1, 2)) == [21, 43]
    assert row(dilation=(1, 3)) == [41, 52]
    assert row(padding=(0, 1)) == [10, 21, 32, 43, 54, 5]
    assert row(padding="same") == [21, 32, 43, 54, 5]
    assert row(padding=((0, 0), (2, 0)), stride=(1, 2)) == [0, 21, 43]
    pooled, indices = reference.max_pool2d(x, (1, 2), stride=(1, 2), return_indices=True)
    assert (pooled.ravel().tolist(), indices.ravel().tolist()) == ([2, 4], [1, 3])
    ceiled = reference.max_pool2d(x, (1, 2), ceil_mode=True)
    assert ceiled.ravel().tolist() == [2, 4, 5]
    averages = reference.avg_pool2d(x, (1, 2), padding=(0, 1))
    assert averages.ravel().tolist() == [1, 2.5, 4.5]
    averages = reference.avg_pool2d(x, (1, 2), padding=(0, 1), count_include_pad=True)
    assert averages.ravel().tolist() == [0.5, 2.5, 4.5]


@pytest.mark.parametrize("seed", range(20))
def test_gradients_are_differences(seed, rng):
    """Each function is linear in its argument here, so a difference is the derivative."""
    case = draw.conv(draw.chooser(seed))
    x, w = rng.standard_normal(case.x), rng.standard_normal(case.w)
    dx, dw = rng.standard_normal(case.x), rng.standard_normal(case.w)
    y = reference.conv2d(x, w, **case.geometry)
    dy = rng.standard_normal(y.shape)
    gx, gw, _ = reference.conv2d_backward(dy, x, w, **case.geometry)
    by_x = reference.conv2d(x + dx, w, **case.geometry) - y
    by_w = reference.conv2d(x, w + dw, **case.geometry) - y
    np.testing.assert_allclose(np.vdot(gx, dx), np.vdot(by_x, dy), atol=1e-9)
    np.testing.assert_allclose(np.vdot(gw, dw), np.vdot(by_w, dy), atol=1e-9)

    case = draw.pool(draw.chooser(seed))
    x, dx = rng.standard_normal(case.x), 1e-9 * rng.standard_normal(case.x)
    y = reference.max_pool2d(x, **case.geometry)
    dy = rng.standard_normal(y.shape)
    for forward, gradient in (
        (reference.max_pool2d, reference.max_pool2d_backward(dy, x, **case.geometry)),
        (reference.avg_pool2d, reference.avg_pool2d_backward(dy, x.shape, **case.geometry)),
    ):
        change = forward(x + dx, **case.geometry) - forward(x, **case.geometry)
        np.testing.assert_allclose(1e9 * np.vdot(gradient, dx), 1e9 * np.vdot(change, dy), atol=1e-4)
