"""Memory: nothing outside the arrays is touched, nothing leaks, and what cannot be had is a MemoryError."""

import os
import sys
from pathlib import Path

import pytest
from process import run, start

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, limits the address space")
posix = pytest.mark.skipif(sys.platform == "win32", reason="needs mprotect")
unsanitized = pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""), reason="the sanitizer's own memory grows")


@posix
def test_no_kernel_touches_what_is_next_to_an_array(isa):
    """Odd and even numbers of channels, up to one more than two vectors."""
    done = start(Path(__file__).with_name("guarded.py"), isa)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, f"{lines[-1]}\n{done.stderr}"
    assert int(lines[-1]) > 1000


@posix
def test_the_guard_is_one():
    done = start(Path(__file__).with_name("guarded.py"), "fault")
    assert done.returncode != 0
    assert "touch_the_guard" in done.stderr or "AddressSanitizer" in done.stderr


LEAKS = """
    import os
    import sys
    import numpy as np
    import cyconv
    from cyconv import kernels
    sys.path.insert(0, {tests!r})
    from problems import problems

    def resident():
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
"""


def assert_flat(script, calls):
    """It prints how many bytes the process grew by; 2 MiB is a leak of 20 a call in 100,000 calls."""
    grown = int(run(script, timeout=300 + calls // 200))
    print(f"{calls:,} calls: {grown:+,} bytes")
    assert grown < 2 << 20


@linux
@unsanitized
@pytest.mark.parametrize("threads", [1, 3])
def test_nothing_leaks(threads, calls):
    """Calls of all functions by turns."""
    script = """
    cyconv.threads.team = lambda work: {threads}
    rng = np.random.default_rng(3)
    calls = [(p, p.arrays(rng, t)) for p in problems(1, 3, 5) for t in ("f4", "f8")]

    def rounds(n):
        for _ in range(n):
            for problem, arrays in calls:
                problem.call(*arrays)

    rounds(20)
    before = resident()
    rounds({calls} // len(calls))
    print(resident() - before)
    """
    calls //= threads
    script = (LEAKS + script).format(tests=str(Path(__file__).parent), threads=threads, calls=calls)
    assert_flat(script, calls)


@linux
@unsanitized
def test_nothing_leaks_where_calls_are_refused(calls):
    script = """
    x, w, x1 = np.ones((2, 6, 7, 4)), np.ones((3, 2, 4, 5)), np.ones((2, 6, 7, 4), np.float32)

    class Reshapes:
        def __init__(self, array):
            self.array, self.shape = array, array.shape

        def __index__(self):
            self.array.resize((1, 1, 1, self.array.size), refcheck=False)
            return 1

    refused = [
        lambda: cyconv.conv2d(x, w, np.ones(4)),
        lambda: cyconv.conv2d(x, w.astype(complex)),
        lambda: cyconv.conv2d(x, w, padding=2**27),
        lambda: cyconv.conv2d_backward(x, x, w),
        lambda: cyconv.max_pool2d(x, 9),
        lambda: cyconv.max_pool2d(x1, 2, out=x1),
        lambda: cyconv.max_unpool2d(x, np.full(x.shape, -1), x.shape),
        lambda: cyconv.conv2d(*(arrays := (x.copy(), w))[:2], stride=Reshapes(arrays[0])),
        lambda: cyconv.avg_pool2d(arrays := x.copy(), 2, stride=Reshapes(arrays)),
    ]

    def rounds(n):
        for _ in range(n):
            for call in refused:
                try:
                    call()
                except (ValueError, TypeError, MemoryError):
                    continue
                raise AssertionError("a call was not refused")

    rounds(200)
    before = resident()
    rounds({calls} // len(refused))
    print(resident() - before)
    """
    assert_flat((LEAKS + script).format(tests=str(Path(__file__).parent), calls=calls), calls)


@linux
@unsanitized
def test_geometries_are_not_hoarded():
    """Sequences of ever other lengths: a table of windows for each would be 50 MB by the end."""
    script = """
    def rounds(first, last):
        for length in range(first, last):
            x = np.empty((1, length, 1), np.float32)
            cyconv.avg_pool1d_backward(cyconv.max_pool1d(x, 1), x.shape, 1)
            cyconv.adaptive_avg_pool2d(x[None], (1, length))

    rounds(3000, 4200)
    before = resident()
    rounds(20_000, 20_100)
    rounds(5000, 5100)
    print(resident() - before)
    """
    assert int(run((LEAKS + script).format(tests=str(Path(__file__).parent)))) < 4 << 20


@linux
@unsanitized
@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("cyconv.conv2d(np.ones((1, 1, 1, 1)), np.ones((1, 1, 1, 1)), padding=20_000)", "GiB"),
        ("cyconv.avg_pool2d_backward(np.ones((1, 1, 1, 1)), (1, 40_000, 40_000, 1), 1, stride=40_000)", "GiB"),
        ("cyconv.conv2d(np.ones((1, 1501, 1500, 1)), np.ones((1500, 1500, 1, 1)))", "[0-9],[0-9]+ bytes"),
        ("cyconv.conv2d_weight_grad(np.ones((1, 2, 1, 1)), np.ones((1, 701, 700, 1)), 700)", "[0-9],[0-9]+ bytes"),
    ],
)
def test_memory_that_cannot_be_had_is_a_memory_error_with_its_size(call, message):
    """Of a result, and of a kernel's working memory; and the next call works."""
    script = """
    import re
    import resource
    cyconv.conv2d(np.ones((1, 3, 3, 1)), np.ones((3, 3, 1, 1)))
    with open("/proc/self/statm") as statm:
        size = int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (size + (200 << 20),) * 2)
    try:
        {call}
    except MemoryError as error:
        assert re.search({message!r}, str(error)), error
        print(cyconv.conv2d(np.ones((1, 3, 3, 1)), np.ones((3, 3, 1, 1))).item())
    """
    script = (LEAKS + script).format(tests=str(Path(__file__).parent), call=call, message=message)
    assert run(script) == "9.0"
