"""More than 2**31 numbers, looked at where the last of them are: `pytest tests/test_large.py --large`.

Inputs are sparse files, so that only what is read takes memory; results of this size take 8.6 GB.
"""

from itertools import pairwise

import numpy as np
import pytest
from compare import assert_exact

import cyconv

GIGABYTE = 1 << 30
PLANE = 1, 65537, 32769, 1  # one channel of one image
IMAGE = 1, 16385, 16385, 8
BATCH = 65537, 181, 182, 1


def available():
    with open("/proc/meminfo") as meminfo:
        sizes = dict(line.split(":") for line in meminfo)
    return int(sizes["MemAvailable"].split()[0]) * 1024


@pytest.fixture(autouse=True)
def room(request):
    if not request.config.getoption("--large"):
        pytest.skip("takes 10 GB and minutes: run with --large")
    if available() < 12 * GIGABYTE:
        pytest.skip(f"needs 12 GB of memory, {available() / GIGABYTE:.1f} GB are available")


@pytest.fixture
def sparse(tmp_path):
    """Zeros of a shape beyond 2**31, and `value` in the last place."""

    def make(shape, value=0):
        assert np.prod(shape) > 2**31
        array = np.memmap(tmp_path / "sparse", np.float32, "w+", shape=shape)
        array.reshape(-1)[-1] = value
        return array

    yield make
    for file in tmp_path.iterdir():
        file.unlink()


def window(*shape):
    """Small whole numbers, no two of which are the same."""
    return np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape)


@pytest.mark.parametrize(
    ("shape", "stride", "last"),
    [(PLANE, (32768, 16384), (0, 2, 2)), (IMAGE, 512, (0, 32, 32)), (BATCH, (181, 181), (65536, 0, 1))],
)
def test_convolution_of_a_large_input(sparse, shape, stride, last):
    x, w = sparse(shape, 5), window(1, 1, shape[3], 3)
    if shape is BATCH:
        x[-1, 0, -1, 0] = 5
    y = cyconv.conv2d(x, w, stride=stride)
    expected = np.zeros_like(y)
    expected[last] = 5 * w[0, 0, -1]
    assert_exact(y, expected)
    dy = np.zeros_like(y)
    dy[last] = 7
    dw = cyconv.conv2d_weight_grad(dy, x, 1, stride=stride)
    expected = np.zeros_like(dw)
    expected[0, 0, -1] = 35
    assert_exact(dw, expected)


@pytest.mark.parametrize("algorithm", ["direct", "winograd"])
def test_dense_convolution_of_a_large_input(sparse, algorithm):
    x, w = sparse(IMAGE), window(3, 3, 8, 1)
    x[0, -9:, -9:] = window(9, 9, 8)
    y = cyconv.conv2d(x, w, padding=1, algorithm=algorithm)
    corner = cyconv.conv2d(x[:, -10:, -10:], w, padding=1, algorithm="direct")[0, 1:, 1:]
    np.testing.assert_allclose(y[0, -9:, -9:], corner, rtol=0 if algorithm == "direct" else 1e-4)
    assert not y[0, :-10].any()


def test_depthwise_convolution_of_a_large_input(sparse):
    x, w = sparse(IMAGE, 5), window(1, 1, 1, 8)
    y = cyconv.conv2d(x, w, stride=512, groups=8)
    assert y[0, -1, -1, -1] == 40
    assert np.count_nonzero(y) == 1
    dw = cyconv.conv2d_weight_grad(y, x, 1, stride=512, groups=8)
    assert_exact(dw.ravel(), np.array([0, 0, 0, 0, 0, 0, 0, 200], np.float32))


def test_a_large_result():
    x, w = window(1, 65537, 1, 1), window(1, 1, 1, 32768)
    y = cyconv.conv2d(x, w)
    for i in (0, 32767, 65535, 65536):
        assert_exact(y[0, i, 0], x[0, i, 0] * w[0, 0, 0])


def test_large_weights():
    x, dy = window(1, 1, 1, 65537), window(1, 1, 1, 32768)
    dw = cyconv.conv2d_weight_grad(dy, x, 1)
    for c in (0, 32767, 65535, 65536):
        assert_exact(dw[0, 0, c], x[0, 0, 0, c] * dy[0, 0, 0])
    dw[0, 0, :-1] = 0
    assert_exact(cyconv.conv2d(np.ones_like(x), dw)[0, 0, 0], x[0, 0, 0, -1] * dy[0, 0, 0])


@pytest.mark.parametrize("groups", [1, 8])
def test_a_large_gradient(groups):
    w, dy = window(1, 1, 8 // groups, 8), np.zeros((1, 2049, 2049, 8), np.float32)
    dy[0, -1, -1] = 1
    dx = cyconv.conv2d_input_grad(dy, w, IMAGE, stride=8, groups=groups)
    assert_exact(dx[0, -1, -1], w[0, 0].sum(axis=1) if groups == 1 else w.ravel())
    assert not dx[0, -1, :-1].any()
    assert not dx[0, :-1:128].any()


def test_pooling_of_a_large_plane(sparse):
    x = sparse(PLANE, 5)
    y, indices = cyconv.max_pool2d(x, 1, stride=(32768, 16384), return_indices=True)
    assert_exact(indices[0, :, :, 0], np.add.outer(np.arange(3) * 32768 * PLANE[2], np.arange(3) * 16384))
    assert y[0, -1, -1, 0] == 5
    assert cyconv.avg_pool2d(x, 1, stride=(32768, 16384))[0, -1, -1, 0] == 5
    assert cyconv.global_max_pool2d(x).item() == 5
    assert cyconv.global_avg_pool2d(x).item() == np.float32(5) / np.float32(np.prod(PLANE))


def test_the_place_of_the_maximum_of_a_large_plane(sparse):
    assert cyconv.adaptive_max_pool2d(sparse(PLANE, 5), 1, return_indices=True)[1].item() == np.prod(PLANE) - 1


def test_the_gradient_of_the_maximum_of_a_large_plane(sparse):
    dx = cyconv.global_max_pool2d_backward(np.full((1, 1, 1, 1), 7, np.float32), sparse(PLANE, 5))
    assert dx[0, -1, -1, 0] == 7
    assert all(np.count_nonzero(dx[0, a:b]) == (b == PLANE[1]) for a, b in pairwise((0, 32768, 65536, PLANE[1])))


def test_the_gradient_of_the_mean_of_a_large_plane():
    dx = cyconv.global_avg_pool2d_backward(np.full((1, 1, 1, 1), np.prod(PLANE), np.float32), PLANE)
    assert dx.min() == dx.max() == 1


def test_unpooling_into_a_large_plane():
    y = cyconv.max_unpool2d(np.full((1, 1, 1, 1), 7, np.float32), np.full((1, 1, 1, 1), np.prod(PLANE) - 1), PLANE)
    assert y[0, -1, -1, 0] == 7
    assert not y[0, :-1:512].any()
