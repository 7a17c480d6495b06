"""``memory``: the peak memory of one call beyond inputs and outputs, each in a fresh process.

``python -m bench.memory`` is that process: it reads one question as JSON from standard input, makes the
arrays, warms the contender up on a tiny layer so that libraries are loaded and threads started, and
then watches the high-water mark of its resident memory through a single call.
"""

from __future__ import annotations

import ctypes
import gc
import json
import subprocess
import sys
from argparse import Namespace
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench import threads
from bench.console import Terminal
from bench.peers import load
from bench.results import Row, Run, UsageError
from bench.suites import Conv
from bench.tables import Table, significant
from bench.work import UnsupportedError, Work

LAYER = Conv(1, 56, 56, 64, 64, 3, 3, 1, 1)
TINY = replace(LAYER, H=8, W=8)
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def measure(options: Namespace, run: Run, terminal: Terminal) -> None:
    if not RESET.exists():
        raise UsageError("memory is measured through /proc, which only Linux has")
    tasks = [(direction, N) for direction in options.directions for N in options.batches]
    with terminal.progress(len(tasks) * len(options.contenders), "memory") as tick:
        for direction, N in tasks:
            layer = replace(LAYER, N=N)
            row: Row = {
                "layer": layer.name,
                "N": N,
                "direction": direction,
                "dtype": options.dtype,
                "threads": options.threads,
                "algorithm": options.algorithm,
                "input": int(np.prod(layer.x_shape)) * np.dtype(options.dtype).itemsize,
                "extra": {},
                "notes": {},
            }
            run.rows.append(row)
            for contender in options.contenders:
                tick.now(f"N = {N} {direction}: {contender.name}")
                answer = _ask(row | {"key": contender.key})
                into = "extra" if isinstance(answer, int) else "notes"
                row[into][contender.key] = answer
                tick.done()


def _ask(question: dict[str, Any]) -> int | str:
    """Bytes, or the reason why there are none."""
    command = [sys.executable, "-m", "bench.memory"]
    root = Path(__file__).resolve().parents[1]
    child = subprocess.run(command, input=json.dumps(question), capture_output=True, text=True, cwd=root)
    if child.returncode:
        return (child.stderr.strip().splitlines() or ["no answer"])[-1]
    answer: int | str = json.loads(child.stdout.splitlines()[-1])
    return answer


def extra_bytes(question: dict[str, Any]) -> int | str:
    """What one call of the contender takes at its peak, without what it returns."""
    contender = load(question["key"])
    direction, dtype = question["direction"], question["dtype"]
    count, algorithm = question["threads"], question["algorithm"]
    with threads.limited(count):
        try:
            for layer in (TINY, replace(LAYER, N=question["N"])):
                work = Work.of(layer, direction, dtype, count, algorithm)
                prepared = contender.prepare(work)
                if layer is TINY:
                    prepared.run()
        except UnsupportedError as reason:
            return str(reason)
        _give_back()
        RESET.write_text("5")  # the high-water mark starts anew
        before = _resident("VmRSS")
        result = prepared.run()
        peak = _resident("VmHWM")
        returned = sum(array.nbytes for array in prepared.read(result))
    return max(0, peak - before - returned)


def _give_back() -> None:
    """Return freed memory to the system, so that the call cannot hide in what the warm-up left."""
    gc.collect()
    with suppress(AttributeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)


def _resident(field: str) -> int:
    (line,) = [line for line in STATUS.read_text().splitlines() if line.startswith(field)]
    return int(line.split()[1]) << 10


def tables(run: Run) -> list[Table]:
    if not run.rows:
        return []
    keys = list(run.contenders)
    lines = [
        [
            f"{row['N']}x{row['layer']}",
            row["direction"],
            _megabytes(row["input"]),
            *(_megabytes(row["extra"][key]) if key in row["extra"] else "-" for key in keys),
        ]
        for row in run.rows
    ]
    row = run.rows[0]
    plural = "s" if row["threads"] > 1 else ""
    columns = ["layer", "direction", "input", *map(run.name, keys)]
    return [
        Table(
            f"Peak memory of one call beyond inputs and outputs: {row['dtype']}, {row['threads']} thread{plural}, MB",
            [column.replace(" ", "\n") for column in columns],
            lines,
            ["each in a fresh process, after a call on a tiny layer"],
        )
    ]


def _megabytes(size: int) -> str:
    return significant(size / 1e6)


if __name__ == "__main__":
    print(json.dumps(extra_bytes(json.load(sys.stdin))))
