"""Arrays of every layout and dtype, results into `out`, and inputs that stay as they were."""

import inspect

import numpy as np
import pytest
from compare import assert_exact, assert_same_bits
from functions import CALLS as FUNCTIONS
from functions import draw, results, shape
from layouts import LAYOUTS, byte_swapped, every_second, fortran, read_only, reversed_axes, unaligned

import cyconv

NOTEBOOK = {
    "conv_forward": (
        ("x", "w", "b"),
        lambda N, x, w, b: cyconv.conv_forward(x, w, b, {"stride": 1, "pad": 0})[0],
    ),
    "conv_backward": (
        ("dy", "x", "w", "b"),
        lambda N, dZ, x, w, b: cyconv.conv_backward(dZ, (x, w, b, {"stride": 1, "pad": 0})),
    ),
    "pool_forward": (("x",), lambda N, x: cyconv.pool_forward(x, {"stride": 2, "f": 2})[0]),
    "pool_backward": (
        ("pooled", "x"),
        lambda N, dA, x: cyconv.pool_backward(dA, (x, {"stride": 2, "f": 2}), "average"),
    ),
    "zero_pad": (("x",), lambda N, x: cyconv.zero_pad(x, 1)),
}
CALLS = FUNCTIONS | NOTEBOOK
N = 2


def test_no_function_is_forgotten():
    """Whatever is added to the package goes through the tests of this file."""
    threads = {"get_num_threads", "num_threads", "set_num_threads"}
    settings = threads | {"get_algorithm", "set_algorithm", "explain", "get_flush_subnormals", "set_flush_subnormals"}
    windows = {"conv_single_step", "create_mask_from_window", "distribute_value"}
    tested = {name.partition(",")[0] for name in CALLS}
    assert tested == set(cyconv.__all__) - settings - windows - {"__version__", "show_config"}


class Wrapped:
    """An object of another library that knows how to become an array."""

    def __init__(self, a):
        self.a = a

    def __array__(self, dtype=None, copy=None):
        return np.array(self.a, dtype=dtype, copy=copy)


FORMS = [*LAYOUTS, memoryview, Wrapped, np.ndarray.tolist]


@pytest.mark.parametrize("layout", FORMS, ids=lambda layout: layout.__name__)
@pytest.mark.parametrize("name", CALLS)
def test_layout_does_not_matter(name, layout, dtype, rng):
    if layout is np.ndarray.tolist:
        dtype = np.dtype("float64")
    names, call = CALLS[name]
    plain = draw(rng, dtype, names, N)
    expected = results(call, N, plain)
    for position in range(len(plain)):
        arrays = list(plain)
        arrays[position] = layout(plain[position])
        for got, wanted in zip(results(call, N, arrays), expected, strict=True):
            assert_same_bits(got, wanted)


@pytest.mark.parametrize("name", CALLS)
def test_broadcast_arrays(name, dtype, rng):
    names, call = CALLS[name]
    shapes = [shape(name, N) for name in names]
    broadcast = [np.broadcast_to(rng.standard_normal(s[-1:]).astype(dtype), s) for s in shapes]
    expected = results(call, N, [a.copy() for a in broadcast])
    for got, wanted in zip(results(call, N, broadcast), expected, strict=True):
        assert_same_bits(got, wanted)


@pytest.mark.parametrize("layout", [np.ascontiguousarray, fortran, every_second, byte_swapped])
@pytest.mark.parametrize("name", CALLS)
def test_inputs_are_never_modified(name, layout, dtype, rng):
    names, call = CALLS[name]
    arrays = [layout(a) for a in draw(rng, dtype, names, N)]
    before = [a.tobytes() for a in arrays]
    outcome = results(call, N, arrays)
    assert [a.tobytes() for a in arrays] == before
    for got in outcome:
        assert got.flags.c_contiguous
        assert got.flags.writeable
        assert not any(np.may_share_memory(got, a) for a in arrays)


# dtypes

FLOAT32 = np.dtype("float32")
FLOAT64 = np.dtype("float64")
PROMOTED = (
    ("f4", "f4", FLOAT32),
    ("f8", "f8", FLOAT64),
    ("f4", "f8", FLOAT64),
    ("f2", "f2", FLOAT32),
    ("f2", "f4", FLOAT32),
    ("f2", "f8", FLOAT64),
    ("i1", "f4", FLOAT32),
    ("u2", "f4", FLOAT32),
    ("i4", "f4", FLOAT64),
    ("?", "f4", FLOAT32),
    ("i1", "f2", FLOAT32),
    ("?", "?", FLOAT64),
    ("i8", "i8", FLOAT64),
    ("u1", "u1", FLOAT64),
    ("i4", "?", FLOAT64),
    (">f4", "<f4", FLOAT32),
    (">f8", ">f8", FLOAT64),
    (">f2", "f2", FLOAT32),
    (">i4", "i4", FLOAT64),
)


@pytest.mark.parametrize(("one", "other", "expected"), PROMOTED)
def test_dtypes_follow_numpy_with_float32_as_the_least(one, other, expected, rng):
    x, w = rng.integers(0, 2, shape("x", N)), rng.integers(0, 2, shape("w", N))
    dy = rng.integers(0, 2, shape("dy", N))
    exact = x.astype(float), w.astype(float), dy.astype(float)
    for first, second in ((one, other), (other, one)):
        y = cyconv.conv2d(x.astype(first), w.astype(second))
        assert y.dtype == expected
        assert_exact(y, cyconv.conv2d(*exact[:2]))
        gradients = cyconv.conv2d_backward(dy.astype(first), x.astype(second), w.astype(second))
        wanted = cyconv.conv2d_backward(exact[2], *exact[:2])
        for gradient, reference in zip(gradients, wanted, strict=True):
            assert gradient.dtype == expected
            assert_exact(gradient, reference)


@pytest.mark.parametrize(("dtype", "expected"), [(one, kept) for one, other, kept in PROMOTED if one == other])
def test_dtypes_of_pooling(dtype, expected, rng):
    x = rng.integers(0, 2, shape("x", N))
    for pool in (cyconv.max_pool2d, cyconv.avg_pool2d):
        y = pool(x.astype(dtype), 2)
        assert y.dtype == expected
        assert_exact(y, pool(x.astype(float), 2))


def test_the_bias_takes_part_in_the_promotion():
    x, w = np.ones(shape("x", N), np.float32), np.ones(shape("w", N), np.float32)
    assert cyconv.conv2d(x, w, np.ones(5, np.float32)).dtype == FLOAT32
    assert cyconv.conv2d(x, w, np.ones(5, np.float16)).dtype == FLOAT32
    assert cyconv.conv2d(x, w, np.full(5, 1e-12)).dtype == FLOAT64


def test_float16_is_computed_in_float32(rng):
    """1 + 2**-11 is no float16: the sum shows in which precision it was made."""
    x, w = np.ones((1, 1, 1, 2), np.float16), np.array([1, 2**-11], np.float16).reshape(1, 1, 2, 1)
    assert cyconv.conv2d(x, w).item() == 1 + 2**-11
    x = np.full((1, 64, 64, 1), 1000, np.float16)
    assert cyconv.avg_pool2d(x, 64).item() == 1000


# out=

OUT = {
    "conv2d": (("x", "w", "b"), cyconv.conv2d),
    "conv2d_input_grad": (
        ("dy", "w"),
        lambda dy, w, **out: cyconv.conv2d_input_grad(dy, w, shape("x", N), **out),
    ),
    "conv2d_weight_grad": (
        ("dy", "x"),
        lambda dy, x, **out: cyconv.conv2d_weight_grad(dy, x, (3, 2), **out),
    ),
    "conv_transpose2d": (("x", "wt", "b"), cyconv.conv_transpose2d),
    "max_pool2d": (("x",), lambda x, **out: cyconv.max_pool2d(x, 2, **out)),
    "avg_pool2d": (("x",), lambda x, **out: cyconv.avg_pool2d(x, 2, **out)),
}


def test_every_function_with_out_is_here():
    functions = {name: getattr(cyconv, name) for name in cyconv.__all__ if name != "__version__"}
    assert {name for name in functions if "out" in inspect.signature(functions[name]).parameters} == set(OUT)


@pytest.mark.parametrize("name", OUT)
def test_out_is_filled_and_returned(name, dtype, rng):
    names, function = OUT[name]
    arrays = draw(rng, dtype, names, N)
    expected = function(*arrays)
    # What stood there before, and what stands around it, does not matter.
    room = np.full(expected.size + 64, np.nan, dtype)
    out = room[32:-32].reshape(expected.shape)
    assert function(*arrays, out=out) is out
    assert_same_bits(out, expected)
    assert np.isnan(room[:32]).all()
    assert np.isnan(room[-32:]).all()


FLAWS = {
    "shape": (lambda good: np.zeros((*good.shape[:3], good.shape[3] + 1), good.dtype), ValueError),
    "rank": (np.ravel, ValueError),
    "list": (np.ndarray.tolist, TypeError),
    "masked": (np.ma.array, TypeError),
    "dtype": (lambda good: good.astype("f8" if good.dtype == FLOAT32 else "f4"), TypeError),
    "order of bytes": (byte_swapped, TypeError),
    "read-only": (read_only, ValueError),
    "broadcast": (lambda good: np.broadcast_to(good[..., :1], good.shape), ValueError),
    "order of axes": (fortran, ValueError),
    "gaps": (every_second, ValueError),
    "direction": (reversed_axes, ValueError),
    "alignment": (unaligned, ValueError),
}


@pytest.mark.parametrize("name", OUT)
@pytest.mark.parametrize("flaw", FLAWS)
def test_an_out_that_is_no_place_for_the_result_is_refused(name, flaw, dtype, rng):
    names, function = OUT[name]
    arrays = draw(rng, dtype, names, N)
    spoil, error = FLAWS[flaw]
    out = spoil(np.zeros_like(function(*arrays)))
    with pytest.raises(error, match=r"\bout\b"):
        function(*arrays, out=out)
    assert not np.any(out)


@pytest.mark.parametrize("shift", [0, 1, 4, -3])
def test_out_may_overlap_an_input(shift, dtype, rng):
    """As if the result had been made elsewhere first."""
    size = 2 * 6 * 7 * 4
    room = rng.standard_normal(size + 8).astype(dtype)
    x = room[4 : 4 + size].reshape(2, 6, 7, 4)
    out = room[4 + shift : 4 + shift + size].reshape(2, 6, 7, 4)
    w = rng.standard_normal((3, 3, 4, 4)).astype(dtype)
    expected = cyconv.conv2d(x, w, padding=1)
    assert cyconv.conv2d(x, w, padding=1, out=out) is out
    assert_same_bits(out, expected)

    x[...] = rng.standard_normal(x.shape)
    for pool in (cyconv.max_pool2d, cyconv.avg_pool2d):
        expected = pool(x, 3, stride=1, padding=1)
        assert pool(x, 3, stride=1, padding=1, out=out) is out
        assert_same_bits(out, expected)


def test_out_may_be_the_weights_or_the_gradient(dtype, rng):
    x = rng.standard_normal((2, 6, 7, 3)).astype(dtype)
    dy = rng.standard_normal(x.shape).astype(dtype)
    w = rng.standard_normal((3, 3, 3, 3)).astype(dtype)
    expected = cyconv.conv2d_input_grad(dy, w, x.shape, padding=1)
    assert_same_bits(cyconv.conv2d_input_grad(dy, w, x.shape, padding=1, out=dy), expected)
    dw = cyconv.conv2d_weight_grad(dy, x, 3, padding=1)
    assert_same_bits(cyconv.conv2d_weight_grad(dy, x, 3, padding=1, out=w), dw)


@pytest.mark.parametrize("offset", [0, 16, 48, 1000 * 4])
def test_a_large_result_begins_on_a_cache_line_and_unlike_its_input(offset):
    """No store is to an address that ends like that of a load soon after it."""
    block = np.zeros((1 << 18) + 1024 + 16, np.float32)
    start = (-block.ctypes.data % 64 + offset) // 4
    x = block[start : start + (1 << 18)].reshape(1, 16, 16, 1024)
    w = np.zeros((3, 3, 1, 1024), np.float32)
    y = cyconv.conv2d(x, w, padding=1, groups=1024)
    results = [
        (y, x),
        (cyconv.conv2d_input_grad(y, w, x.shape, padding=1, groups=1024), y),
        (cyconv.conv2d_backward(y, x, w, padding=1, groups=1024)[0], y),
        (cyconv.conv_transpose2d(x, w, padding=1, groups=1024), x),
        (cyconv.max_pool2d(x, 3, stride=1, padding=1), x),
        (cyconv.avg_pool2d_backward(y, x.shape, 3, stride=1, padding=1), y),
    ]
    for result, source in results:
        assert result.ctypes.data % 64 == 0
        apart = result.ctypes.data - source.ctypes.data
        assert 192 < apart % 4096 < 4032
        assert all(64 <= apart % pixel <= pixel - 64 for pixel in (256, 512, 1024, 2048))
