"""cyconv.dask: any geometry in any chunks gives what the whole image gives."""

from concurrent.futures import ThreadPoolExecutor

import draw
import numpy as np
import pytest
from answers import integers, seeded
from cases import CONVS, POOLS, Conv, Transposed
from compare import assert_exact, assert_same_bits

import cyconv
from cyconv import threads

pytest.importorskip("dask.array", reason="Dask is not installed")

import dask
import dask.array as da

from cyconv import dask as adapter

TALL = (
    Conv((3, 23, 17, 3), (4, 3), 5, padding="same"),
    Conv((2, 23, 17, 4), (2, 5), 6, stride=(2, 3), padding=((0, 3), (4, 1)), dilation=(3, 1), groups=2),
    Conv((1, 30, 9, 2), (2, 2), 3, stride=7),
    Conv((1, 30, 9, 2), (1, 1), 3, stride=8, padding=((0, 20), (21, 0))),
    Conv((1, 1, 3, 2), (2, 2), 3, stride=9, padding=4),
    Conv((0, 9, 9, 2), (3, 3), 3, padding=1),
)
WIDE = Transposed((1, 5, 4, 2), (2, 2), 2, stride=1, dilation=3, output_padding=2)
MANY = 25


@pytest.fixture(autouse=True)
def _alone():
    with dask.config.set(scheduler="synchronous"):
        yield


def cut(rng, size, most):
    """Chunks of one axis: at most so many, of all sizes, many of them one pixel long."""
    cuts = rng.choice(np.arange(1, size), min(size - 1, rng.integers(most)), replace=False) if size > 1 else []
    return tuple(np.diff([0, *sorted(cuts), size]).tolist())


def chunked(rng, a):
    return da.from_array(a, chunks=tuple(map(cut, [rng] * 4, a.shape, (2, 6, 6, 2))))


def exact(lazy, expected):
    """The values, and the shape and dtype that were promised; chunks of other sizes could not be put together."""
    result = lazy.compute()
    assert lazy.shape == result.shape
    assert lazy.dtype == result.dtype == expected.dtype
    assert_exact(result, expected)


@pytest.mark.parametrize("case", [*CONVS[::5], *TALL, *draw.many(draw.grouped_conv, MANY)], ids=str)
def test_convolution(case):
    rng = seeded("dask", case)
    x, w, b = integers(rng, *case.x), integers(rng, *case.w), integers(rng, case.K)
    options = case.geometry | {"algorithm": "direct"}
    y = cyconv.conv2d(x, w, b, **options)
    dy = integers(rng, *y.shape)
    dx, dw, db = cyconv.conv2d_backward(dy, x, w, **options)
    lazy_x, lazy_dy = chunked(rng, x), chunked(rng, dy)
    exact(adapter.conv2d(lazy_x, w, b, **options), y)
    exact(adapter.conv2d_input_grad(lazy_dy, w, x.shape, **options), dx)
    exact(adapter.conv2d_weight_grad(lazy_dy, lazy_x, case.kernel_size, **options), dw)
    results = adapter.conv2d_backward(lazy_dy, lazy_x, chunked(rng, w), **options)
    assert results[0].chunks[:3] == lazy_x.chunks[:3]
    for lazy, expected in zip(results, (dx, dw, db), strict=True):
        exact(lazy, expected)


@pytest.mark.parametrize("case", [WIDE, *draw.many(draw.transposed, MANY)], ids=str)
def test_transposed_convolution(case):
    rng = seeded("dask", case)
    x, w, b = integers(rng, *case.x), integers(rng, *case.w), integers(rng, case.K)
    options = case.geometry | {"algorithm": "direct"}
    y = cyconv.conv_transpose2d(x, w, b, **options, **case.size)
    dy = integers(rng, *y.shape)
    lazy_x, lazy_dy = chunked(rng, x), chunked(rng, dy)
    exact(adapter.conv_transpose2d(lazy_x, w, b, **options, **case.size), y)
    expected = cyconv.conv_transpose2d_backward(dy, x, w, **options)
    for lazy, wanted in zip(adapter.conv_transpose2d_backward(lazy_dy, lazy_x, w, **options), expected, strict=True):
        exact(lazy, wanted)


@pytest.mark.parametrize("case", [*POOLS[::4], *draw.many(draw.pool_with_options, MANY)], ids=str)
def test_pooling(case):
    """Few distinct values, so many ties; and averages of the same numbers in the same order, so the same bits."""
    rng = seeded("dask", case)
    x = integers(rng, *case.x)
    y = cyconv.max_pool2d(x, **case.geometry)
    dy = integers(rng, *y.shape)
    lazy_x, lazy_dy = chunked(rng, x), chunked(rng, dy)
    exact(adapter.max_pool2d(lazy_x, **case.geometry), y)
    for ties in ("first", "all"):
        dx = cyconv.max_pool2d_backward(dy, x, **case.geometry, ties=ties)
        exact(adapter.max_pool2d_backward(lazy_dy, lazy_x, **case.geometry, ties=ties), dx)
    for options in ({}, {"count_include_pad": True}, {"divisor_override": 3}):
        arguments = case.geometry | options
        exact(adapter.avg_pool2d(lazy_x, **arguments), cyconv.avg_pool2d(x, **arguments))
        dx = cyconv.avg_pool2d_backward(dy, x.shape, **arguments)
        result = adapter.avg_pool2d_backward(lazy_dy, x.shape, **arguments).compute()
        np.testing.assert_allclose(result, dx, rtol=1e-14, atol=1e-13)


def test_chunks_of_a_stack_of_layers_stay_put():
    x = da.zeros((4, 100, 90, 3), chunks=((1, 3), (33, 20, 47), (90,), (1, 2)))
    w = np.zeros((3, 3, 3, 8))
    y = adapter.conv2d(x, w, padding="same")
    assert y.chunks == ((1, 3), (33, 20, 47), (90,), (8,))
    assert adapter.conv2d(y, np.zeros((5, 4, 8, 8)), padding="same").chunks == y.chunks
    p = adapter.max_pool2d(y, 2)
    assert p.chunks == ((1, 3), (17, 10, 23), (45,), (8,))
    assert adapter.conv_transpose2d(p, np.zeros((2, 2, 3, 8)), stride=2).chunks == ((1, 3), (34, 20, 46), (90,), (3,))
    assert adapter.avg_pool2d(x, 50).chunks == ((1, 3), (1, 1), (1,), (3,))


def test_only_the_pixels_of_its_windows_are_computed():
    """A corner of the result asks for a corner of the image."""
    read = []

    def load(block_id=None):
        read.append(block_id[1:3])
        return np.ones((1, 10, 10, 1))

    x = da.map_blocks(load, chunks=((1,), (10,) * 5, (10,) * 5, (1,)), dtype=float, meta=np.empty((0,) * 4))
    adapter.conv2d(x, np.ones((3, 3, 1, 1)), padding=1)[:, :10, :10].compute()
    assert sorted(set(read)) == [(0, 0), (0, 1), (1, 0), (1, 1)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_same_bits_as_the_whole_and_in_every_run(dtype):
    """Each pixel sums in the order that it has without chunks; filters' gradients in that of the chunks."""
    rng = np.random.default_rng(1)
    x, w = rng.standard_normal((2, 40, 37, 5)).astype(dtype), rng.standard_normal((3, 4, 5, 7)).astype(dtype)
    lazy = da.from_array(x, chunks=(1, 13, 11, 5))
    options = {"padding": "same", "algorithm": "direct"}
    y = cyconv.conv2d(x, w, **options)
    assert_same_bits(adapter.conv2d(lazy, w, **options).compute(), y)
    lazy_y = da.from_array(y, chunks=(1, 40, 20, 7))
    one = adapter.conv2d_backward(lazy_y, lazy, w, **options)
    expected = dask.compute(*one)
    assert_same_bits(expected[0], cyconv.conv2d_backward(y, x, w, **options)[0])
    for a, b in zip(expected[1:], cyconv.conv2d_backward(y, x, w, **options)[1:], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4 if dtype == np.float32 else 1e-12, atol=1e-3)
    for _ in range(5):
        for a, b in zip(dask.compute(*one, scheduler="threads", num_workers=4), expected, strict=True):
            assert_same_bits(a, b)


def test_dtypes():
    x, w = np.ones((1, 6, 6, 2)), np.ones((3, 3, 2, 3))
    for given, other in ((np.float16, np.float32), (np.float32, np.float64), (np.int64, np.float32), (bool, bool)):
        lazy, filters = da.from_array(x.astype(given), chunks=3), w.astype(other)
        exact(adapter.conv2d(lazy, filters), cyconv.conv2d(x.astype(given), filters))
        exact(adapter.max_pool2d(lazy, 2), cyconv.max_pool2d(x.astype(given), 2))
    with pytest.raises(TypeError, match="`x` has dtype complex128"):
        adapter.conv2d(da.from_array(x * 1j), w)


def test_bad_input_is_refused_before_anything_is_computed():
    x, w = da.from_delayed(dask.delayed(None), (1, 6, 6, 2), float), np.ones((3, 3, 2, 3))
    with pytest.raises(TypeError, match="`x` must be a Dask array, got ndarray"):
        adapter.conv2d(np.ones((1, 6, 6, 2)), w)
    with pytest.raises(ValueError, match="4 dimensions"):
        adapter.max_pool2d(x[0], 2)
    with pytest.raises(ValueError, match="unknown size"):
        adapter.max_pool2d(x[x[:, 0, 0, 0] > 0], 2)
    with pytest.raises(ValueError, match="`w` takes 2 channels"):
        adapter.conv2d(x[..., :1], w)
    with pytest.raises(ValueError, match="`b` must have shape"):
        adapter.conv2d(x, w, np.ones(4))
    with pytest.raises(ValueError, match="`algorithm`"):
        adapter.conv2d(x, w, algorithm="fast")
    with pytest.raises(ValueError, match="`dy` has shape"):
        adapter.conv2d_backward(x, x, w)
    with pytest.raises(ValueError, match="`dy` has shape"):
        adapter.conv2d_input_grad(x, w.swapaxes(2, 3)[..., :2], (1, 6, 6, 3))
    with pytest.raises(ValueError, match="`kernel_size`"):
        adapter.conv2d_weight_grad(x, x, 9)
    with pytest.raises(ValueError, match="`ties`"):
        adapter.max_pool2d_backward(x[:, :3, :3], x, 2, ties="last")
    with pytest.raises(ValueError, match="`divisor_override`"):
        adapter.avg_pool2d(x, 2, divisor_override=0)
    with pytest.raises(ValueError, match="`input_shape`"):
        adapter.avg_pool2d_backward(x, (1, 0, 1, 2), 2)


# Threads.


def test_a_share_is_the_limit_of_one_python_thread():
    before = cyconv.get_num_threads()
    with ThreadPoolExecutor(1) as other, threads.share(1):
        assert cyconv.get_num_threads() == 1
        assert other.submit(cyconv.get_num_threads).result() == before
        with threads.share(5):
            assert cyconv.get_num_threads() == min(5, before)
        assert cyconv.get_num_threads() == 1
    assert cyconv.get_num_threads() == before


def limits_seen(x):
    """The limit that each block computes under, in place of its pixels."""

    def look(x, row, column):
        return np.full(x.shape, cyconv.get_num_threads())

    axes = cyconv.dask._axes(cyconv.geometry.conv(x.shape, (1, 1, 1, 1), 1, 0, 1, 1))
    blocks = cyconv.chunks.blocks_of_windows(x, axes)
    return cyconv.chunks.map_blocks(look, blocks, x.chunks, int, x)


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_one_thread_for_a_block_under_the_schedulers_of_dask(scheduler):
    x = da.ones((8, 4, 4, 1), chunks=(1, 4, 4, 1))
    assert limits_seen(x).max().compute(scheduler=scheduler) == 1


@pytest.mark.parametrize("workers_threads", [1, 2, 4])
def test_a_worker_shares_its_limit_out(workers_threads, monkeypatch):
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")
    monkeypatch.setattr(threads, "get_num_threads", lambda: min((3, threads._share.get() or 3)))
    monkeypatch.setattr(cyconv, "get_num_threads", threads.get_num_threads)
    cluster = {"processes": False, "n_workers": 1, "threads_per_worker": workers_threads, "dashboard_address": ":0"}
    with distributed.LocalCluster(**cluster) as cluster, distributed.Client(cluster):
        x = da.ones((8, 4, 4, 1), chunks=(1, 4, 4, 1))
        seen = limits_seen(x).max().compute(scheduler="distributed")
    assert seen == {1: 3, 2: 1, 4: 1}[workers_threads]
