"""What the benchmark runs on: the CPU as it calls itself, and its two limits as measured here."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import cyconv
from cyconv import kernels

ROUND_SECONDS = 0.01
ROUNDS = 7
COPY_BYTES = 1 << 28  # at most; as a rule four times the last-level cache


def describe() -> dict[str, Any]:
    """Names and versions; whatever this system does not tell is left out."""
    facts = {
        "cpu": _cpu_model(),
        "cores": _cores(),
        "caches": _caches(),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "cyconv": cyconv.__version__,
        "isa": kernels.active(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "environment": {key: value for key, value in os.environ.items() if key.startswith(("CYCONV_", "OMP_"))},
    }
    return {key: value for key, value in facts.items() if value}


def limits(dtype: str, threads: int) -> dict[str, float]:
    """FLOP/s of multiply-adds in registers, bytes/s of a copy beyond the caches, on all threads."""
    return {"flops": multiply_add_rate(dtype, threads), "bytes": copy_rate(threads)}


def multiply_add_rate(dtype: str, threads: int) -> float:
    """The best of several rounds of nothing but multiply-adds, on every thread at once."""
    multiply_add = kernels.modules["conv", np.dtype(dtype)].multiply_add
    rounds = 1000
    while _seconds(multiply_add, rounds) < ROUND_SECONDS:
        rounds *= 2
    operations = multiply_add(rounds)
    with ThreadPoolExecutor(threads) as pool:

        def together() -> None:
            list(pool.map(multiply_add, [rounds] * threads))

        return float(threads * operations / min(_seconds(together) for _ in range(ROUNDS)))


def copy_rate(threads: int) -> float:
    """Bytes read and written per second by np.copyto, split over the threads."""
    last_level = max((size for size in _cache_sizes().values()), default=1 << 25)
    size = min(COPY_BYTES, 4 * last_level) // 8 // threads
    sources = [np.ones(size) for _ in range(threads)]
    targets = [np.zeros(size) for _ in range(threads)]
    with ThreadPoolExecutor(threads) as pool:

        def together() -> None:
            list(pool.map(np.copyto, targets, sources))

        return 2 * 8 * size * threads / min(_seconds(together) for _ in range(ROUNDS))


def ticks() -> list[int]:
    """The kernel's account of all time since boot, stolen time in the eighth place; [] if unknown."""
    return [int(tick) for tick in _read("/proc/stat").split("\n")[0].split()[1:]]


def stolen_share(before: list[int]) -> float:
    """The share of the time since ``before`` that a hypervisor gave to others."""
    spent = [now - then for now, then in zip(ticks(), before, strict=True)]
    return spent[7] / sum(spent) if sum(spent) else 0.0


def _seconds(call: Callable[..., Any], *arguments: Any) -> float:
    start = perf_counter()
    call(*arguments)
    return perf_counter() - start


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _cpu_model() -> str:
    for line in _read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    if sys.platform == "darwin":
        import subprocess

        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    return platform.processor() or platform.machine()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cache_sizes() -> dict[str, int]:
    """Bytes by name, such as L1d; empty where the system does not say."""
    sizes = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        kind = _read(f"{index}/type")
        size = _read(f"{index}/size")
        if kind != "Instruction" and size.endswith("K"):
            suffix = "d" if kind == "Data" else ""
            sizes[f"L{_read(f'{index}/level')}{suffix}"] = int(size[:-1]) << 10
    return sizes


def _caches() -> str:
    def text(size: int) -> str:
        return f"{size >> 20} MB" if size >> 20 else f"{size >> 10} kB"

    return ", ".join(f"{name} {text(size)}" for name, size in _cache_sizes().items())
