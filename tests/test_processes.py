"""Every process and thread that cyconv may land in: forks, pools, servers, other libraries, sub-interpreters."""

import importlib.util
import os
import sys

import numpy as np
import pytest
from process import LARGE, run

import cyconv

CPUS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
OPENMP = cyconv.kernels.modules["conv", np.dtype("f4")].describe()["openmp"]
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
needs_team = pytest.mark.skipif(
    not (OPENMP and CPUS > 1 and sys.platform == "linux"),
    reason="counts the threads of a team: Linux, OpenMP and two CPUs",
)


def needs(name):
    return pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"{name} is not installed")


# Forks: the team of the parent does not exist in the child, and waiting for it would last for ever.


@needs_fork
def test_a_forked_child_works():
    script = (
        LARGE
        + """
    import signal
    expected = work()
    for _ in range(3):
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            grandchild = os.fork()
            same = work() == expected
            if grandchild == 0:
                os._exit(0 if same else 3)
            os._exit(0 if same and os.waitpid(grandchild, 0)[1] == 0 else 4)
        assert os.waitpid(child, 0)[1] == 0
        assert work() == expected
    print("done")
    """
    )
    assert run(script) == "done"


@needs_fork
def test_a_preloaded_server_works():
    """As gunicorn --preload: the master computes, forks workers, replaces one, and all of them serve with threads."""
    script = (
        LARGE
        + """
    import signal
    from concurrent.futures import ThreadPoolExecutor
    expected = work()

    def serve():
        signal.alarm(30)
        with ThreadPoolExecutor(3) as pool:
            same = all(answer == expected for answer in pool.map(lambda _: work(), range(6)))
        os._exit(0 if same and work() == expected and cyconv.get_num_threads() == 1 else 3)

    def worker():
        return os.fork() or serve()

    workers = [worker(), worker()]
    assert work() == expected
    assert os.waitpid(workers[0], 0)[1] == 0
    workers[0] = worker()
    assert [os.waitpid(each, 0)[1] for each in workers] == [0, 0]
    print("done")
    """
    )
    assert run(script) == "done"


@needs_fork
def test_a_child_forked_while_another_thread_computes():
    script = (
        LARGE
        + """
    import signal, threading, warnings
    warnings.simplefilter("ignore", DeprecationWarning)     # Python 3.12 warns of what is tried here
    expected = work()
    busy = threading.Event()

    def compute():
        while not busy.is_set():
            assert work() == expected

    thread = threading.Thread(target=compute)
    thread.start()
    for _ in range(5):
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            os._exit(0 if work() == expected else 3)
        assert os.waitpid(child, 0)[1] == 0
    busy.set()
    thread.join()
    print("done")
    """
    )
    assert run(script) == "done"


def from_a_file(folder, main, **environment):
    """What a program prints that pools may import again in their processes."""
    path = folder / "program.py"
    body = "".join("    " + line + "\n" for line in main.strip().splitlines())
    path.write_text(
        "import os\n"
        "import numpy as np\n"
        "import cyconv\n"
        "def total(n):\n"
        "    x = np.ones((n, 64, 64, 32), np.float32)\n"
        "    return float(cyconv.conv2d(x, np.ones((3, 3, 32, 32), np.float32)).sum())\n"
        "def started(n):\n"
        "    before = len(os.listdir('/proc/self/task'))\n"
        "    total(n)\n"
        "    return len(os.listdir('/proc/self/task')) - before, cyconv.get_num_threads()\n"
        "if __name__ == '__main__':\n"
        "    numbers = [1, 2, 3, 4]\n"
        "    expected = [total(n) for n in numbers]\n" + body + "    print('done')\n"
    )
    return run(path, **environment)


@needs_fork
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_process_pools_work(method, tmp_path):
    program = f"""
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
context = multiprocessing.get_context({method!r})
with context.Pool(2) as pool:
    assert pool.map_async(total, numbers).get(30) == expected
with ProcessPoolExecutor(2, mp_context=context) as pool:
    assert list(pool.map(total, numbers, timeout=30)) == expected
"""
    assert from_a_file(tmp_path, program) == "done"


@needs("joblib")
@pytest.mark.parametrize("backend", ["loky", "multiprocessing", "threading"])
def test_joblib(backend, tmp_path):
    program = f"""
import joblib
got = joblib.Parallel(n_jobs=2, backend={backend!r}, timeout=50)(joblib.delayed(total)(n) for n in numbers * 3)
assert got == expected * 3
"""
    assert from_a_file(tmp_path, program) == "done"


@needs_team
@needs("joblib")
def test_joblib_processes_share_the_cpus(tmp_path):
    """Its workers are told how many threads are theirs."""
    program = """
import joblib
for jobs in (2, os.cpu_count()):
    teams = joblib.Parallel(n_jobs=jobs, timeout=50)(joblib.delayed(started)(n) for n in numbers * 3)
    mine = max(1, joblib.cpu_count() // jobs)
    assert all(new < mine and limit <= mine for new, limit in teams), teams
"""
    assert from_a_file(tmp_path, program) == "done"


@needs("dask")
@pytest.mark.parametrize("scheduler", ["threads", "processes", "synchronous"])
def test_dask(scheduler, tmp_path):
    program = f"""
import dask
assert list(dask.compute(*[dask.delayed(total)(n) for n in numbers * 3], scheduler={scheduler!r})) == expected * 3
"""
    assert from_a_file(tmp_path, program) == "done"


# Threads of Python.  `tasks.busy()` is how many threads compute at a moment: those that OpenMP keeps asleep for later
# calls do no harm, and cannot be told from others in /proc.


@needs_team
def test_a_call_beside_another_starts_no_threads():
    """The first has them all."""
    script = (
        LARGE
        + """
    import threading, time
    from cyconv.kernels.tasks import busy
    cyconv.set_num_threads(2)
    xs, ws = np.ones((100, 64, 64, 32), np.float32), np.ones((9, 9, 32, 32), np.float32)    # some tenths of a second
    alone = tasks()
    other = threading.Thread(target=lambda: cyconv.conv2d(xs, ws, padding=4))
    other.start()
    while busy() < 2 or tasks() < alone + 2:
        time.sleep(0.001)
    cyconv.conv2d(x, w, padding=1)
    assert busy() == 2, "the other call was too short"
    beside = tasks() - (alone + 2)
    other.join()
    while tasks() > alone:
        time.sleep(0.001)
    cyconv.conv2d(x, w, padding=1)
    print(beside, tasks() - alone)
    """
    )
    assert run(script) == "0 1"


POOLS = {
    "ThreadPoolExecutor": """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(4) as pool:
    got = list(pool.map(total, numbers * 10))
""",
    "joblib": """
import joblib
got = joblib.Parallel(n_jobs=4, backend='threading')(joblib.delayed(total)(n) for n in numbers * 10)
""",
    "dask": """
import dask
got = list(dask.compute(*[dask.delayed(total)(n) for n in numbers * 10], scheduler='threads', num_workers=4))
""",
}


@needs_team
@pytest.mark.parametrize("pool", [pytest.param(name, marks=() if name[0] == "T" else needs(name)) for name in POOLS])
def test_pools_of_threads_share_the_cpus(pool, tmp_path):
    """Four Python threads: each call has a thread, and teams of more have no more than the limit together."""
    program = f"""
import threading, time
from cyconv.kernels.tasks import busy
limit = cyconv.get_num_threads()
seen, over = [], threading.Event()
def watch():
    while not over.is_set():
        seen.append(busy())
        time.sleep(0.0002)
watcher = threading.Thread(target=watch)
watcher.start()
{POOLS[pool]}
over.set()
watcher.join()
assert got == expected * 10
assert busy() == 0
assert 1 < max(seen) <= limit, (max(seen), limit)
"""
    assert from_a_file(tmp_path, program) == "done"


# Other libraries, and other interpreters.

PARALLEL = {
    "torch": """
    import torch
    def other():
        return torch.ones(1 << 20).mul(2).sum().item() == 1 << 21
    """,
    "sklearn": """
    import sklearn.cluster
    def other():
        data = np.random.default_rng(0).standard_normal((2000, 8))
        return len(sklearn.cluster.KMeans(3, n_init=1, max_iter=3).fit(data).labels_) == 2000
    """,
    "numba": """
    import numba
    @numba.njit(parallel=True)
    def twice(a):
        for i in numba.prange(len(a)):
            a[i] *= 2
    def other():
        a = np.ones(100000)
        twice(a)
        return a.sum() == 200000
    """,
}


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name)) for name in PARALLEL])
def test_import_beside_another_library(name, order):
    """Both compute on several threads, whichever came first, whoever's OpenMP it is."""
    imports = [LARGE, PARALLEL[name]] if order == "after" else ["\n    import numpy as np" + PARALLEL[name], LARGE]
    script = (
        "".join(imports)
        + """
    expected = work()
    for _ in range(3):
        assert other()
        assert work() == expected
    print("done")
    """
    )
    assert run(script) == "done"


INTERPRETERS = """
    try:
        import _interpreters as interpreters
    except ImportError:
        import _xxsubinterpreters as interpreters
    code = '''if True:
        import warnings
        warnings.simplefilter("ignore")     # NumPy warns of what is tried here
        try:
            import cyconv, numpy
        except ImportError:
            print("refused", flush=True)
        else:
            x, w = numpy.ones((1, 56, 56, 256)), numpy.ones((3, 3, 256, 64))
            assert (cyconv.conv2d(x, w, algorithm="direct") == 9 * 256).all()
            print("computed", flush=True)
    '''
    def elsewhere(isolated):
        '''Isolated, an interpreter has a GIL of its own from Python 3.12 on.'''
        if interpreters.__name__ == "_interpreters":
            one = interpreters.create("isolated" if isolated else "legacy")
        else:
            one = interpreters.create(isolated=isolated)
        assert interpreters.run_string(one, code) is None
        interpreters.destroy(one)
"""
isolated = pytest.mark.parametrize("isolated", [False, True], ids=["legacy", "isolated"])


@isolated
def test_a_sub_interpreter_beside_the_main_one(isolated):
    """It works or is refused with an ImportError, never a crash; and the main interpreter computes as before."""
    script = (
        INTERPRETERS
        + LARGE
        + f"""
    expected = work()
    for _ in range(2):
        elsewhere({isolated})
        assert work() == expected
    print("done")
    """
    )
    *outcomes, last = run(script).split()
    assert {*outcomes} <= {"computed", "refused"}
    assert (len(outcomes), last) == (2, "done")


@isolated
def test_a_sub_interpreter_alone(isolated):
    """The first to import NumPy has it, unless NumPy wants the main interpreter's GIL and there is another."""
    first, second, last = run(f"{INTERPRETERS}    elsewhere({isolated}); elsewhere({isolated}); print('done')").split()
    assert first == "computed" or (isolated and sys.version_info >= (3, 12) and first == "refused")
    assert second in ("computed", "refused")
    assert last == "done"
