"""``memory``: the peak memory of one call beyond inputs and outputs, each in a fresh process.

``python -m bench.memory`` is that process: it reads one question as JSON from standard input, makes the
arrays, warms the contender up on a tiny layer so that libraries are loaded and threads started, and
then watches the high-water mark of its resident memory through a single call.  Packed weights are part of it: as much
as the weights, or 36/9 of them where Winograd transforms them.
"""

from __future__ import annotations

import ctypes
import gc
import json
import math
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
from bench.layers import chosen
from bench.peers import OURS, load
from bench.results import Row, Run, UsageError
from bench.suites import Conv, Layer, layer_of
from bench.tables import Table, plural, significant
from bench.work import UnsupportedError, Work

LAYER = Conv(1, 56, 56, 64, 64, 3, 3, 1, 1)  # measured unless --suite says otherwise
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def measure(options: Namespace, run: Run, terminal: Terminal) -> None:
    if not RESET.exists():
        raise UsageError("memory is measured through /proc, which only Linux has")
    layers = chosen(options) if options.suite else [replace(LAYER, N=N) for N in options.batches]
    tasks = [
        (layer, direction) for direction in options.directions for layer in layers if direction in layer.directions
    ]
    with terminal.progress(len(tasks) * len(options.contenders), "memory") as tick:
        for layer, direction in tasks:
            row: Row = {
                "suite": options.suite,
                "layer": layer.name,
                "N": layer.N,
                "direction": direction,
                "dtype": options.dtype,
                "threads": options.threads,
                "algorithm": options.algorithm,
                "input": math.prod(layer.x_shape) * np.dtype(options.dtype).itemsize,
                "weights": math.prod(layer.w_shape) * np.dtype(options.dtype).itemsize,
                "extra": {},
                "notes": {},
            }
            run.rows.append(row)
            for contender in options.contenders:
                tick.now(f"{layer.name} {direction}: {contender.name}")
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
            layer = _layer(question)
            for size in (replace(layer, N=1, H=layer.R + 5, W=layer.R + 5), layer):
                prepared = contender.prepare(Work.of(size, direction, dtype, count, algorithm))
                if size is not layer:
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


def _layer(question: dict[str, Any]) -> Layer:
    if question["suite"]:
        return layer_of(question["suite"], question["layer"], question["N"])
    return replace(LAYER, N=question["N"])


def _give_back() -> None:
    """Return freed memory to the system, so that the call cannot hide in what the warm-up left."""
    gc.collect()
    with suppress(AttributeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)


def _resident(field: str) -> int:
    (line,) = [line for line in STATUS.read_text().splitlines() if line.startswith(field)]
    return int(line.split()[1]) << 10


def tables(run: Run) -> list[Table]:
    directions = dict.fromkeys(row["direction"] for row in run.rows)
    return [_table(run, [row for row in run.rows if row["direction"] == d]) for d in directions]


def _table(run: Run, rows: list[Row]) -> Table:
    keys = [key for key in run.contenders if any(key in row["extra"] for row in rows)]
    lines = [
        [
            f"{row['N']}x{row['layer']}",
            _megabytes(row["input"]),
            _megabytes(row["weights"]),
            *(_megabytes(row["extra"][key]) if key in row["extra"] else "-" for key in keys),
        ]
        for row in rows
    ]
    row = rows[0]
    columns = ["layer", "input", "weights", *map(run.name, keys)]
    return Table(
        f"Memory beyond inputs and outputs at the peak of one call: {row['direction']}, {row['dtype']}, "
        f"{plural(row['threads'], 'thread')}, MB",
        [column.replace(" ", "\n") for column in columns],
        lines,
        ["each in a fresh process, after a call on a tiny layer", *_most(rows)],
    )


def _most(rows: list[Row]) -> list[str]:
    """The row in which cyconv takes the most beyond a packed copy of the weights."""
    sizes = [(row["extra"][OURS] - row["weights"], row) for row in rows if OURS in row["extra"]]
    if not sizes:
        return []
    size, row = max(sizes, key=lambda pair: pair[0])
    name = f"{row['N']}x{row['layer']}"
    return [f"cyconv's most, without a copy of the weights: {_megabytes(max(size, 0))} MB at {name}"]


def _megabytes(size: int) -> str:
    return significant(size / 1e6)


if __name__ == "__main__":
    print(json.dumps(extra_bytes(json.load(sys.stdin))))
