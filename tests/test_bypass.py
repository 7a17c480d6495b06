"""Results that are written past the caches have the same bits as those of the images one by one, which are not."""

import numpy as np
import pytest

import cyconv

BYTES = 30 << 20
"""Of source and target: more than `LAST_CACHE` in kernels/bypass.pxd, and the target less than `REUSED`."""


def _images(dtype, written, side=112, channels=64):
    """Images of such a size that a result `written` times as large makes up the rest of BYTES."""
    count = int(BYTES / (1 + written) / (side * side * channels * dtype.itemsize)) + 1
    return np.random.default_rng(3).standard_normal((count, side, side, channels)).astype(dtype)


def _expect_the_same(call, *batches):
    expected = np.concatenate([call(*(batch[n : n + 1] for batch in batches)) for n in range(len(batches[0]))])
    np.testing.assert_array_equal(call(*batches), expected)


@pytest.mark.parametrize("pool", [cyconv.max_pool2d, cyconv.avg_pool2d])
@pytest.mark.parametrize(("window", "stride", "written"), [(2, 2, 0.25), (3, 1, 1), (5, 1, 1)])
def test_pooling(pool, window, stride, written, isa, dtype, threads):
    x = _images(dtype, written)
    _expect_the_same(lambda x: pool(x, window, stride=stride, padding=window // 2 if stride == 1 else 0), x)


@pytest.mark.parametrize("output", [0, 1], ids=["maxima", "indices"])
@pytest.mark.parametrize("window", [2, 3])
def test_maxima_with_indices(window, output, isa, dtype, threads):
    x = _images(dtype, 0.25)
    _expect_the_same(lambda x: cyconv.max_pool2d(x, window, stride=2, return_indices=True)[output], x)


@pytest.mark.parametrize(("window", "stride"), [(2, 2), (3, 1)])
def test_gradients_of_pooling(window, stride, isa, dtype, threads):
    options = {"stride": stride, "padding": window // 2 if stride == 1 else 0}
    x = _images(dtype, 1)
    dy = cyconv.avg_pool2d(x, window, **options)
    _expect_the_same(lambda dy, x: cyconv.max_pool2d_backward(dy, x, window, **options), dy, x)
    x = _images(dtype, 1 / stride**2)
    dy = cyconv.avg_pool2d(x, window, **options)
    _expect_the_same(lambda dy, x: cyconv.avg_pool2d_backward(dy, x.shape, window, **options), dy, x)


@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise(stride, isa, dtype, threads):
    x = _images(dtype, 1 / stride**2)
    w = np.random.default_rng(4).standard_normal((3, 3, 1, x.shape[3])).astype(dtype)
    _expect_the_same(lambda x: cyconv.conv2d(x, w, stride=stride, padding=1, groups=x.shape[3]), x)


def test_winograd(isa, dtype, threads):
    x = _images(dtype, 4, channels=16)
    w = np.random.default_rng(4).standard_normal((3, 3, 16, 64)).astype(dtype)
    _expect_the_same(lambda x: cyconv.conv2d(x, w, padding=1, algorithm="winograd"), x)


def test_where_a_vector_cannot_be_written_so(isa, dtype):
    """Pixels that are no whole vectors, and a result that begins between two lines."""
    x = _images(dtype, 0.25, channels=66)
    _expect_the_same(lambda x: cyconv.max_pool2d(x, 2), x)
    x = _images(dtype, 0.25)
    expected = cyconv.max_pool2d(x, 2)
    out = np.empty(expected.size + 1, dtype)[1:].reshape(expected.shape)
    np.testing.assert_array_equal(cyconv.max_pool2d(x, 2, out=out), expected)
