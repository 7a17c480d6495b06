"""Subnormal numbers: exact unless they are switched off, and the floating-point mode of the process is left alone."""

import ctypes
import ctypes.util
import platform
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from compare import assert_same_bits

import cyconv
from cyconv.kernels import tasks

needs_flush = pytest.mark.skipif(not tasks.can_flush(), reason="this build cannot flush subnormal numbers")


@pytest.fixture
def flushing():
    cyconv.set_flush_subnormals(True)
    yield
    cyconv.set_flush_subnormals(False)


def results(rng, dtype, scale):
    """What the functions that multiply or divide make of data of this magnitude."""
    x = (rng.standard_normal((3, 12, 13, 20)) * scale).astype(dtype)
    w = rng.standard_normal((3, 3, 20, 24)).astype(dtype)
    v = rng.standard_normal((3, 3, 1, 20)).astype(dtype)
    for algorithm in ("direct", "winograd"):
        y = cyconv.conv2d(x, w, padding=1, algorithm=algorithm)
        yield y
        dy = rng.standard_normal(y.shape).astype(dtype)
        yield cyconv.conv2d_input_grad((dy * scale).astype(dtype), w, x.shape, padding=1, algorithm=algorithm)
        yield cyconv.conv2d_weight_grad(dy, x, 3, padding=1, algorithm=algorithm)
    yield cyconv.conv2d(x, v, padding=1, groups=20)
    yield cyconv.conv2d_weight_grad(x, cyconv.conv2d(np.ones_like(x), v, groups=20, padding=1), 3, padding=1, groups=20)
    yield cyconv.conv2d_input_grad(x, rng.standard_normal((3, 3, 3, 20)).astype(dtype), (3, 12, 13, 3), padding=1)
    yield cyconv.avg_pool2d(x, 3)
    yield cyconv.avg_pool2d_backward(x[:, :4, :4], x.shape, 3)


def subnormal(dtype):
    """A scale at which the numbers and their sums are subnormal."""
    return float(np.finfo(dtype).smallest_normal) / 4096


@pytest.mark.usefixtures("isa", "threads")
def test_subnormal_numbers_are_exact(dtype):
    """As near to the results on normal numbers, scaled, as a subnormal number can be."""
    scale = subnormal(dtype)
    step = float(np.finfo(dtype).smallest_subnormal)
    normal = results(np.random.default_rng(3), dtype, 1.0)
    tiny = results(np.random.default_rng(3), dtype, scale)
    for i, (got, wanted) in enumerate(zip(tiny, normal, strict=True)):
        assert np.any(got), i
        error = np.abs(got.astype(np.longdouble) - wanted.astype(np.longdouble) * scale).max()
        assert error < 2000 * step, i  # one rounding of each of some hundred products and sums


@needs_flush
@pytest.mark.usefixtures("isa", "threads", "flushing")
def test_flushed_numbers_are_zero(dtype):
    for i, got in enumerate(results(np.random.default_rng(3), dtype, subnormal(dtype))):
        assert not np.any(got), i


@needs_flush
@pytest.mark.usefixtures("isa", "threads", "flushing")
def test_normal_numbers_keep_their_bits(dtype):
    flushed = list(results(np.random.default_rng(3), dtype, 1.0))
    cyconv.set_flush_subnormals(False)
    for got, wanted in zip(flushed, results(np.random.default_rng(3), dtype, 1.0), strict=True):
        assert_same_bits(got, wanted)


def keeps_subnormals():
    """Whether NumPy does, in this thread."""
    return all(
        np.all(np.full(100, np.finfo(dtype).smallest_subnormal) * dtype(1) > 0) for dtype in (np.float32, np.float64)
    )


@needs_flush
@pytest.mark.usefixtures("flushing")
def test_the_mode_of_the_caller_is_left_alone(rng, team):
    with team(3):
        list(results(rng, np.float32, 1.0))
        assert keeps_subnormals()
        with ThreadPoolExecutor(3) as pool:
            for _ in pool.map(lambda _: list(results(np.random.default_rng(1), np.float32, 1.0)), range(6)):
                pass
            assert all(pool.map(lambda _: keeps_subnormals(), range(6)))


@needs_flush
def test_the_mode_of_the_workers_is_left_alone(dtype, team):
    """OpenMP's threads are shared, with torch for one: the next to use them must find them as they were."""
    scale = subnormal(dtype)
    with team(5):
        expected = list(results(np.random.default_rng(3), dtype, scale))
        cyconv.set_flush_subnormals(True)
        list(results(np.random.default_rng(3), dtype, scale))
        cyconv.set_flush_subnormals(False)
        for got, wanted in zip(results(np.random.default_rng(3), dtype, scale), expected, strict=True):
            assert_same_bits(got, wanted)


@needs_flush
def test_a_shared_pool_keeps_its_mode():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    cyconv.set_flush_subnormals(True)
    try:
        x = np.ones((8, 64, 64, 32), np.float32)
        cyconv.conv2d(x, np.ones((3, 3, 32, 32), np.float32))
    finally:
        cyconv.set_flush_subnormals(False)
    tiny = torch.full((1 << 20,), 1e-40)
    assert bool((tiny * 1.0 > 0).all())


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "aarch64") or platform.system() != "Linux", reason="knows FE_UPWARD of Linux"
)
def test_all_threads_compute_in_the_mode_of_the_caller(dtype, team):
    """Rounding upwards, to see it; flushing set by another library works the same."""
    libm = ctypes.CDLL(ctypes.util.find_library("m"))
    upward = 0x800 if platform.machine() == "x86_64" else 0x400000
    with team(3):
        nearest = list(results(np.random.default_rng(3), dtype, 1.0))
    arguments = np.random.default_rng(3)
    assert libm.fesetround(upward) == 0
    try:
        with team(1):
            alone = list(results(arguments, dtype, 1.0))
        with team(3):
            together = list(results(np.random.default_rng(3), dtype, 1.0))
    finally:
        libm.fesetround(0)
    for got, wanted in zip(together, alone, strict=True):
        assert_same_bits(got, wanted)
    assert any(np.any(a != b) for a, b in zip(alone, nearest, strict=True))


def test_the_switch(flushing):
    assert cyconv.get_flush_subnormals() is tasks.can_flush()
    cyconv.set_flush_subnormals(False)
    assert cyconv.get_flush_subnormals() is False


@pytest.mark.parametrize("flag", [1, None, "yes", np.True_])
def test_what_is_no_flag(flag):
    with pytest.raises(TypeError, match="`flag` must be True or False"):
        cyconv.set_flush_subnormals(flag)
