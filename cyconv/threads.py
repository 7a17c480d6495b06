"""How many threads a call uses: the limits in force, the work there is, and the fork rule."""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from operator import index
from pathlib import Path
from typing import Any

from cyconv.kernels.cpu import openmp_limit
from cyconv.kernels.tasks import left
from cyconv.messages import shown

GRAIN = 1 << 21
"""Multiply-adds a thread must have to be worth waking: about 25 microseconds with AVX-512; not tuned yet."""


def _cgroup_quota() -> float | None:
    """CPUs that the container's quota allows (cgroup v2, then v1), if there is one."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:
        folder = Path("/sys/fs/cgroup/cpu")
        quota_us = int((folder / "cpu.cfs_quota_us").read_text())
        return quota_us / int((folder / "cpu.cfs_period_us").read_text()) if quota_us > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _checked(n: Any, name: str) -> int:
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        raise TypeError(f"`{name}` must be an integer, got {shown(n)}")
    count = index(n)
    if not 1 <= count <= 1024:
        raise ValueError(f"`{name}` must be between 1 and 1024, got {shown(count)}")
    return count


def _from_environment() -> int | None:
    text = os.environ.get("CYCONV_NUM_THREADS")
    if not text:
        return None
    try:
        return _checked(int(text), "CYCONV_NUM_THREADS")
    except ValueError:
        raise ValueError(f"CYCONV_NUM_THREADS must be an integer between 1 and 1024, got {shown(text)}") from None


_QUOTA = _cgroup_quota()
# What was asked for, None for nothing, and by what: one object, so that no thread reads half of a change.
_requested: tuple[str, int | None] = ("CYCONV_NUM_THREADS", _from_environment())
_in_block: ContextVar[tuple[str, int | None] | None] = ContextVar("cyconv.num_threads", default=None)
_forked = False
_share: ContextVar[int | None] = ContextVar("cyconv_share", default=None)


OWN = ("num_threads", "task")
"""Limits of one Python thread; the others hold for the process, and its threads share what they allow."""


def limits() -> dict[str, int]:
    """Every limit on the number of threads that is in force here and now, by name."""
    found: dict[str, int] = {"OpenMP": openmp_limit()}
    if _forked:
        found["forked child"] = 1
    source, n = _in_block.get() or _requested
    if n is not None:
        found[source] = n
    found["CPU affinity"] = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if _QUOTA is not None:
        found["cgroup quota"] = max(1, math.ceil(_QUOTA))
    if (share := _share.get()) is not None:
        found["task"] = share
    return found


def get_num_threads() -> int:
    """The most threads a call may use from here: the least of all limits in force.

    These are `num_threads`, `set_num_threads` or the environment variable CYCONV_NUM_THREADS, the first that is given;
    the CPU affinity and the cgroup quota of this process; and OpenMP's own limit (OMP_NUM_THREADS, `threadpoolctl`).  A
    forked child is limited to one thread: its parent's do not exist in it.

    Examples
    --------
    >>> import cyconv
    >>> with cyconv.num_threads(1):
    ...     cyconv.get_num_threads()
    1
    """
    return min(limits().values())


def set_num_threads(n: int | None) -> None:
    """Limit the threads that a call may use, in the whole process except in `num_threads` blocks.

    Parameters
    ----------
    n : int or None
        From 1 to 1024; None takes the limit back.  The other limits still apply (`get_num_threads`).

    Raises
    ------
    TypeError, ValueError
        If `n` is not an integer, or out of range.

    Examples
    --------
    >>> import cyconv
    >>> cyconv.set_num_threads(1)
    >>> cyconv.get_num_threads()
    1
    >>> cyconv.set_num_threads(None)
    """
    global _requested
    _requested = "set_num_threads", None if n is None else _checked(n, "n")


@contextmanager
def num_threads(n: int | None) -> Iterator[None]:
    """Limit the threads that a call may use inside a `with` block, in this Python thread or asynchronous task only.

    Parameters
    ----------
    n : int or None
        As in `set_num_threads`, which the block overrides.

    Raises
    ------
    TypeError, ValueError
        If `n` is not an integer, or out of range.

    Examples
    --------
    >>> import cyconv
    >>> with cyconv.num_threads(1):
    ...     cyconv.get_num_threads()
    1
    """
    token = _in_block.set(("num_threads", None if n is None else _checked(n, "n")))
    try:
        yield
    finally:
        _in_block.reset(token)


@contextmanager
def share(n: int) -> Iterator[None]:
    """Limit the threads inside a `with` block for the Python thread that runs it, and for no other.

    For schedulers that run several tasks at a time in one process, where the limit of `num_threads` would be put back
    by whichever task ends last.
    """
    token = _share.set(_checked(n, "n"))
    try:
        yield
    finally:
        _share.reset(token)


def team(work: int) -> int:
    """Threads for a call of `work` multiply-adds: no more than other calls of the process leave of its threads."""
    if work < 2 * GRAIN:
        return 1
    found = limits()
    free = left(min(n for name, n in found.items() if name not in OWN))
    return max(1, min(free, work // GRAIN, *found.values()))


def _after_fork() -> None:
    global _forked
    _forked = True


# libgomp's threads are gone in a forked child, and its next parallel region would wait for them for ever.  The pool may
# be another library's, so every child is serial, whether or not cyconv has used threads in the parent.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
