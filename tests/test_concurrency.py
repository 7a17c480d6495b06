"""Many Python threads at once: no call disturbs another, and settings change between calls, not inside them.

.ci/tsan runs this file under ThreadSanitizer; with a free-threaded Python the calls here truly overlap.
"""

import os
import sys
import sysconfig
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from compare import assert_same_bits
from process import run

import cyconv
from cyconv import kernels

THREADS = 8


@pytest.fixture(autouse=True)
def restless():
    """Threads change places as often as can be."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def together(function, *others):
    """`function(i)` in THREADS threads, begun at the same moment, while `others` run again and again."""
    over = threading.Event()
    gate = threading.Barrier(THREADS)

    def first(i):
        gate.wait(30)
        return function(i)

    def again(other):
        while not over.is_set():
            other()

    with ThreadPoolExecutor(THREADS + len(others)) as pool:
        disturbing = [pool.submit(again, other) for other in others]
        try:
            return list(pool.map(first, range(THREADS)))
        finally:
            over.set()
            for each in disturbing:
                each.result()


def calls(i):
    """One result of every kernel, of shapes that only thread i has."""
    rng = np.random.default_rng(i)
    for dtype in (np.float32, np.float64):
        x = rng.standard_normal((2, 9 + i, 11, 6)).astype(dtype)
        w = rng.standard_normal((3, 3, 6, 5)).astype(dtype)
        v = rng.standard_normal((3, 3, 1, 6)).astype(dtype)
        for algorithm in ("direct", "winograd"):
            y = cyconv.conv2d(x, w, padding=1, algorithm=algorithm)
            yield y
            yield from cyconv.conv2d_backward(y, x, w, padding=1, algorithm=algorithm)
        y = cyconv.conv2d(x, v, padding=1, groups=6)
        yield y
        yield from cyconv.conv2d_backward(y, x, v, padding=1, groups=6)
        y, indices = cyconv.max_pool2d(x, 2, return_indices=True)
        yield from (y, indices, cyconv.max_unpool2d(y, indices, x.shape))
        yield cyconv.max_pool2d_backward(y, x, 2)
        y = cyconv.avg_pool2d(x, 3, stride=2)
        yield y
        yield cyconv.avg_pool2d_backward(y, x.shape, 3, stride=2)


@pytest.mark.usefixtures("isa", "threads")
def test_every_function_in_every_thread():
    alone = [list(calls(i)) for i in range(THREADS)]
    for got, wanted in zip(together(lambda i: [list(calls(i)) for _ in range(5)]), alone, strict=True):
        for results in got:
            for a, b in zip(results, wanted, strict=True):
                assert_same_bits(a, b)


def test_calls_long_enough_to_be_interrupted(team):
    """In the builds that are slow: a caller looks for signals, and finds that it is not the main thread."""
    x, w = np.ones((8, 56, 56, 64), np.float32), np.ones((3, 3, 64, 64), np.float32)
    expected = cyconv.conv2d(x, w, padding=1, algorithm="direct")
    with team(3):
        for y in together(lambda _: cyconv.conv2d(x, w, padding=1, algorithm="direct")):
            assert_same_bits(y, expected)


def test_one_array_read_by_all(team):
    x, w = np.ones((2, 16, 16, 8), np.float32), np.ones((3, 3, 8, 8), np.float32)
    expected = cyconv.conv2d(x, w, padding=1)
    with team(2):
        for got in together(lambda _: [cyconv.conv2d(x, w, padding=1) for _ in range(50)]):
            for y in got:
                assert_same_bits(y, expected)


def test_the_cache_of_geometries_is_shared():
    """More geometries than it holds, so that entries come and go."""

    def sizes(i):
        return [
            cyconv.max_pool2d(np.ones((1, 4 + (n + 97 * i) % 700, 2 + n % 3, 1), np.float32), 2).shape[1]
            for n in range(1500)
        ]

    for i, got in enumerate(together(sizes)):
        assert got == [(4 + (n + 97 * i) % 700) // 2 for n in range(1500)]


@pytest.fixture
def many_cpus(monkeypatch):
    """A machine on which limits of threads differ."""
    monkeypatch.setattr(cyconv.threads, "openmp_limit", lambda: 64)
    monkeypatch.setattr(cyconv.threads, "_QUOTA", None)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(64), raising=False)


@pytest.mark.usefixtures("many_cpus")
def test_setting_the_threads_meanwhile():
    def change():
        cyconv.set_num_threads(2)
        cyconv.set_num_threads(None)

    for got in together(lambda _: {cyconv.get_num_threads() for _ in range(3000)}, change):
        assert got <= {64, 2}
    assert cyconv.get_num_threads() == 64


@pytest.mark.usefixtures("many_cpus")
def test_blocks_of_num_threads_do_not_reach_other_threads():
    """Whatever the order in which they begin and end."""
    inside, outside = threading.Event(), threading.Event()

    def other():
        with cyconv.num_threads(1):
            inside.set()
            assert outside.wait(30)
            return cyconv.get_num_threads()

    with ThreadPoolExecutor(1) as pool:
        with cyconv.num_threads(32):
            result = pool.submit(other)
            assert inside.wait(30)
            assert cyconv.get_num_threads() == 32
        outside.set()
        assert result.result(30) == 1
        assert cyconv.get_num_threads() == pool.submit(cyconv.get_num_threads).result(30) == 64


@pytest.mark.usefixtures("many_cpus")
def test_calls_share_the_limit_of_the_process(monkeypatch):
    """And each keeps to its own: two blocks of two threads have four."""
    work = 1 << 40
    assert cyconv.threads.team(work) == 64
    monkeypatch.setattr(cyconv.threads, "left", lambda most: most - 60)
    assert cyconv.threads.team(work) == 4
    with cyconv.num_threads(2):
        assert cyconv.threads.team(work) == 2
    cyconv.set_num_threads(61)
    try:
        assert cyconv.threads.team(work) == 1
    finally:
        cyconv.set_num_threads(None)
    monkeypatch.setattr(cyconv.threads, "left", lambda most: most - 100)
    assert cyconv.threads.team(work) == 1


def test_setting_the_algorithm_meanwhile(rng):
    """To windows that Winograd's algorithm does not know it does not matter."""
    x, w = np.ones((1, 5, 5, 2), np.float32), np.ones((2, 2, 2, 3), np.float32)

    def change():
        cyconv.set_algorithm("winograd")
        cyconv.set_algorithm("auto")

    def work(_):
        for _ in range(3000):
            assert cyconv.conv2d(x, w)[0, 0, 0, 0] == 8

    try:
        together(work, change)
    finally:
        cyconv.set_algorithm("auto")


def test_selecting_kernels_meanwhile():
    """A call computes with one build or another, never with a mixture or none."""
    before = kernels.active()
    x, w = np.full((1, 5, 5, 2), 2.0), np.full((2, 2, 2, 3), 3.0)

    def change():
        for isa in kernels.available():
            kernels.select(isa)

    def work(_):
        for _ in range(500):
            dx, dw, db = cyconv.conv2d_backward(np.ones((1, 4, 4, 3)), x, w)
            assert (dx[0, 2, 2, 0], dw[0, 0, 0, 0], db[0]) == (36, 32, 16)

    try:
        together(work, change)
    finally:
        kernels.select(before)


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this Python has a GIL")
def test_a_free_threaded_python_stays_free():
    """One module that did not declare itself fit for it would bring the GIL back."""
    assert run("import numpy, cyconv, sys; print(sys._is_gil_enabled())") == "False"


def test_errors_stay_in_their_thread():
    def work(i):
        for _ in range(200):
            if i % 2:
                with pytest.raises(ValueError, match=f"{3 + i} channels"):
                    cyconv.conv2d(np.ones((1, 4, 4, 2)), np.ones((2, 2, 3 + i, 1)))
            else:
                assert cyconv.conv2d(np.ones((1, 4, 4, 2)), np.ones((2, 2, 2, 1)))[0, 0, 0, 0] == 8

    together(work)
