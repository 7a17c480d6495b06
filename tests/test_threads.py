"""Threads: the same bits for any number of them, and every limit respected."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from compare import assert_same_bits
from process import LARGE, run, start

import cyconv

CPUS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
OPENMP = cyconv.kernels.modules["conv", np.dtype("f4")].describe()["openmp"]
needs_team = pytest.mark.skipif(
    not (OPENMP and CPUS > 1 and sys.platform == "linux"),
    reason="counts the threads of a team: Linux, OpenMP and two CPUs",
)


def everything(dtype):
    """The results of every kernel on rounded data, with rows, channels and pixels left over."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal((3, 19, 23, 11)).astype(dtype)
    w = rng.standard_normal((3, 3, 11, 37)).astype(dtype)
    b = rng.standard_normal(37).astype(dtype)
    for geometry in ({"padding": 1}, {"stride": 2, "padding": "same"}, {"dilation": (2, 1)}):
        y = cyconv.conv2d(x, w, b, **geometry)
        yield y
        yield from cyconv.conv2d_backward(y, x, w, **geometry)
    for multiplier in (1, 3):
        w = rng.standard_normal((3, 3, 1, 11 * multiplier)).astype(dtype)
        y = cyconv.conv2d(x, w, padding=1, groups=11)
        yield y
        yield from cyconv.conv2d_backward(y, x, w, padding=1, groups=11)
    w = rng.standard_normal((3, 2, 7, 11)).astype(dtype)
    for geometry in ({"stride": 2}, {"padding": "same", "stride": (1, 3)}, {"dilation": 2, "padding": 1}):
        y = cyconv.conv_transpose2d(x, w, b[:7], **geometry)
        yield y
        yield from cyconv.conv_transpose2d_backward(y, x, w, **geometry)
    y, indices = cyconv.adaptive_max_pool2d(x, (5, 7), return_indices=True)
    yield from (y, indices, cyconv.max_unpool2d(y, indices, x.shape))
    yield cyconv.adaptive_max_pool2d_backward(y, x)
    yield cyconv.adaptive_avg_pool2d(x, (5, 7))
    yield cyconv.adaptive_avg_pool2d_backward(y, x.shape)
    y = cyconv.lp_pool2d(x, 3, 2, stride=1)
    yield y
    yield cyconv.lp_pool2d_backward(y, x, 3, 2, stride=1)
    for geometry in ({"kernel_size": 2}, {"kernel_size": 3, "stride": 2, "padding": 1}):
        y = cyconv.max_pool2d(x, **geometry)
        dy = rng.standard_normal(y.shape).astype(dtype)
        yield y
        yield cyconv.max_pool2d_backward(dy, x, **geometry)
        yield cyconv.max_pool2d_backward(dy, x, **geometry, ties="all")
        yield cyconv.avg_pool2d(x, **geometry)
        yield cyconv.avg_pool2d_backward(dy, x.shape, **geometry)


# The same bits.


@pytest.mark.skipif(not (OPENMP and sys.platform == "linux"), reason="counts the threads of a team: Linux and OpenMP")
def test_the_teams_below_are_real(team):
    """Seven threads on a small call, whatever the CPUs."""
    x = np.ones((3, 19, 23, 11), np.float32)
    with team(7):
        cyconv.conv2d(x, np.ones((3, 3, 11, 37), np.float32), algorithm="direct")
    assert len(os.listdir("/proc/self/task")) >= 7


@pytest.mark.usefixtures("isa")
def test_the_number_of_threads_does_not_change_a_bit(dtype, team):
    with team(1):
        alone = list(everything(dtype))
    for n in (2, 3, 5, 8, 17):
        with team(n):
            for got, wanted in zip(everything(dtype), alone, strict=True):
                assert_same_bits(got, wanted)


@pytest.mark.usefixtures("isa")
def test_every_run_gives_the_same_bits(dtype, team):
    with team(3):
        first = list(everything(dtype))
        for _ in range(5):
            for got, wanted in zip(everything(dtype), first, strict=True):
                assert_same_bits(got, wanted)


@pytest.mark.usefixtures("isa")
def test_python_threads_may_call_at_the_same_time(dtype, team):
    with team(2):
        alone = list(everything(dtype))
        with ThreadPoolExecutor(6) as pool:
            for together in pool.map(lambda _: list(everything(dtype)), range(18)):
                for got, wanted in zip(together, alone, strict=True):
                    assert_same_bits(got, wanted)


def test_dynamic_teams_do_not_change_a_bit():
    script = LARGE + "    import hashlib; print(hashlib.sha256(work()).hexdigest())"
    assert run(script) == run(script, OMP_DYNAMIC="true") == run(script, CYCONV_NUM_THREADS="1")


# Limits.


def threads_with(preamble="", **environment):
    script = f"{preamble}\nimport cyconv\nprint(cyconv.get_num_threads())"
    return int(run(script, **environment))


def test_the_default_is_at_most_the_cpus_of_the_process():
    assert 1 <= threads_with() <= (CPUS if OPENMP else 1)


@pytest.mark.parametrize("variable", ["CYCONV_NUM_THREADS", "OMP_NUM_THREADS"])
def test_environment_limits(variable):
    assert threads_with(**{variable: "1"}) == 1
    assert threads_with(**{variable: str(CPUS + 100)}) == threads_with()


@needs_team
def test_the_environment_sets_more_than_one():
    assert threads_with(CYCONV_NUM_THREADS="2") == threads_with(OMP_NUM_THREADS="2") == 2
    assert threads_with(OMP_NUM_THREADS="2,1") == 2


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5"])
def test_an_environment_limit_that_is_no_number_of_threads(text):
    done = start("import cyconv", CYCONV_NUM_THREADS=text)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert "CYCONV_NUM_THREADS" in last
    assert text in last


def test_an_empty_environment_limit_is_none():
    assert threads_with(CYCONV_NUM_THREADS="") == threads_with()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this platform sets no affinity")
def test_affinity_limits():
    one_cpu = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})"
    assert threads_with(one_cpu) == 1


def test_threadpoolctl_limits():
    threadpoolctl = pytest.importorskip("threadpoolctl", reason="threadpoolctl is not installed")
    before = cyconv.get_num_threads()
    with threadpoolctl.threadpool_limits(1):
        assert cyconv.get_num_threads() == 1
    assert cyconv.get_num_threads() == before


def test_num_threads_is_restored():
    before = cyconv.get_num_threads()
    with cyconv.num_threads(1):
        assert cyconv.get_num_threads() == 1
        with cyconv.num_threads(2):
            assert cyconv.get_num_threads() == min(2, before)
        assert cyconv.get_num_threads() == 1
    assert cyconv.get_num_threads() == before
    with pytest.raises(RuntimeError, match="inside"), cyconv.num_threads(1):
        raise RuntimeError("inside")
    assert cyconv.get_num_threads() == before


def test_set_num_threads_lasts():
    script = """
        import cyconv
        cyconv.set_num_threads(1)
        assert cyconv.get_num_threads() == 1
        cyconv.set_num_threads(1000)
        print(cyconv.get_num_threads())
        cyconv.set_num_threads(None)
        print(cyconv.get_num_threads())
    """
    assert run(script).split() == 2 * [str(threads_with())]


@needs_team
def test_teams_are_as_large_as_asked_for():
    """Seen from outside, by the number of threads that the process has."""
    script = (
        LARGE
        + """
    before = tasks()
    with cyconv.num_threads(1):
        work()
    alone = tasks() - before
    with cyconv.num_threads(2):
        work()
    print(alone, tasks() - before)
    """
    )
    assert run(script) == "0 1"


@needs_team
def test_small_work_starts_no_threads():
    script = (
        LARGE
        + """
    before = tasks()
    for _ in range(10):
        cyconv.conv2d(np.ones((10, 4, 4, 3)), np.ones((2, 2, 3, 8)), stride=2, padding=2)
        cyconv.max_pool2d(np.ones((2, 4, 4, 3)), 2)
    print(tasks() - before)
    """
    )
    assert run(script) == "0"
