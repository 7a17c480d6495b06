"""Every test that asks for `isa`, `dtype` and `threads` runs in each build, dtype and thread count."""

import os
from contextlib import contextmanager

# Teams larger than the machine: those who wait must not burn the CPUs that the others need.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import pytest

import cyconv
from cyconv import kernels


def pytest_addoption(parser):
    parser.addoption("--geometries", type=int, default=700, help="random geometries to try, in test_random.py")
    parser.addoption("--calls", type=int, default=100_000, help="calls to make in search of leaks, in test_memory.py")
    parser.addoption("--large", action="store_true", help="run test_large.py: 10 GB of memory, minutes")


@pytest.fixture
def geometries(request):
    return request.config.getoption("--geometries")


@pytest.fixture
def calls(request):
    return request.config.getoption("--calls")


@pytest.fixture(params=kernels.available())
def isa(request):
    """The build of the kernels in use during the test."""
    before = kernels.active()
    kernels.select(request.param)
    yield request.param
    kernels.select(before)


@pytest.fixture(params=(np.float32, np.float64), ids=("float32", "float64"))
def dtype(request):
    return np.dtype(request.param)


@pytest.fixture
def team(monkeypatch):
    """`with team(n)`: calls run on n threads, however small the work and whatever the machine has."""

    @contextmanager
    def exactly(n):
        with monkeypatch.context() as patch:
            patch.setattr(cyconv.threads, "team", lambda work: n)
            yield

    return exactly


@pytest.fixture(params=(1, 3), ids=("1thread", "3threads"))
def threads(request, team):
    with team(request.param):
        yield request.param


@pytest.fixture
def rng():
    return np.random.default_rng(20260901)
