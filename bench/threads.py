"""The same number of threads for everyone."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from typing import Any

import cyconv

try:
    from threadpoolctl import threadpool_limits
except ImportError:
    threadpool_limits = None


def limited(threads: int) -> AbstractContextManager[Any]:
    """cyconv and NumPy's BLAS on ``threads`` threads; the other peers' adapters tell them."""
    stack = ExitStack()
    stack.enter_context(cyconv.num_threads(threads))
    if threadpool_limits:
        stack.enter_context(threadpool_limits(threads, user_api="blas"))
    return stack


def remarks() -> list[str]:
    """What the reader of the results must know about threads."""
    if threadpool_limits:
        return []
    return ["threadpoolctl is not installed: NumPy's matrix products use as many threads as they like"]
