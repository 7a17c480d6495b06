"""``accuracy``: the error of each algorithm against a higher precision than its own.

float32 is compared with float64, float64 with longdouble.  Four channels of the result are compared: they
depend on a slice of the operands alone, so the truth is computed for that slice and nothing else.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bench.console import Terminal
from bench.layers import chosen
from bench.peers import OURS
from bench.reference import reference
from bench.results import Row, Run, UsageError
from bench.suites import Conv
from bench.tables import Table
from bench.work import Array, UnsupportedError, Work

CHANNELS = 4  # of the result that are compared
PART = slice(CHANNELS)
DATA = "data of unit variance, He-scaled weights"
ALGORITHMS = ("direct", "winograd", "auto")


def measure(options: Namespace, run: Run, terminal: Terminal) -> None:
    if options.dtype == "float64" and np.finfo(np.longdouble).eps == np.finfo(np.float64).eps:
        raise UsageError("--dtype float64: longdouble is no better than float64 on this system")
    layers = [layer for layer in chosen(options) if isinstance(layer, Conv) and layer.groups == 1]
    if not layers:
        raise UsageError("accuracy is measured of convolutions without groups: there is none in this choice")
    tasks = [(layer, direction) for direction in single(options.directions) for layer in layers]
    with terminal.progress(len(tasks), "accuracy") as tick:
        for layer, direction in tasks:
            tick.now(f"{layer.name} {direction}")
            run.rows.append(_row(layer, direction, options))
            tick.done()


def single(directions: list[str]) -> list[str]:
    """``backward`` is two errors to be seen apart."""
    parts = {"backward": ["input_grad", "weight_grad"]}
    singles = [part for direction in directions for part in parts.get(direction, [direction])]
    return list(dict.fromkeys(singles))


def _row(layer: Conv, direction: str, options: Namespace) -> Row:
    work = Work.of(layer, direction, options.dtype)
    truth = _truth(work, np.float64 if options.dtype == "float32" else np.longdouble)
    errors: dict[str, float] = {}
    for contender in options.contenders:
        for algorithm in ALGORITHMS if contender.key == OURS else ("auto",):
            try:
                prepared = contender.prepare(replace(work, algorithm=algorithm))
            except UnsupportedError:
                continue
            (result,) = prepared.read(prepared.run())
            name = f"{OURS} {algorithm}" if contender.key == OURS else contender.key
            errors[name] = float(np.abs(_part(result, direction) - truth).max() / np.abs(result).max())
    return {
        "layer": layer.name,
        "N": layer.N,
        "direction": direction,
        "dtype": options.dtype,
        "errors": errors,
    }


def _truth(work: Work, precision: type[np.floating[Any]]) -> Array:
    """The compared channels of the result."""
    K, C = min(CHANNELS, work.conv.K), min(CHANNELS, work.conv.C)
    if work.direction == "forward":
        layer = replace(work.conv, K=K)
        part = replace(work, layer=layer, w=work.w[..., PART], b=work.b[PART], dy=work.dy[..., PART])
    elif work.direction == "input_grad":
        part = replace(work, layer=replace(work.conv, C=C), x=work.x[..., PART], w=work.w[:, :, PART])
    else:
        part = replace(
            work,
            layer=replace(work.conv, C=C, K=K),
            x=work.x[..., PART],
            w=work.w[:, :, PART, PART],
            dy=work.dy[..., PART],
        )
    return reference(part, precision)[0]


def _part(result: Array, direction: str) -> Array:
    return result[..., PART, PART] if direction == "weight_grad" else result[..., PART]


def tables(run: Run) -> list[Table]:
    directions = dict.fromkeys(row["direction"] for row in run.rows)
    return [_table(run, [row for row in run.rows if row["direction"] == d]) for d in directions]


def _table(run: Run, rows: list[Row]) -> Table:
    names = [*(f"{OURS} {algorithm}" for algorithm in ALGORITHMS), *run.contenders]
    names = [name for name in names if any(name in row["errors"] for row in rows)]
    lines = [[row["layer"], *(_error(row["errors"].get(name)) for name in names)] for row in rows]
    lines.append(["largest", *(_error(max(row["errors"].get(name, 0) for row in rows)) for name in names)])
    row = rows[0]
    titles = [name if name.startswith(OURS) else run.name(name) for name in names]
    return Table(
        f"{row['direction']}, {row['dtype']}, N = {row['N']}: largest error over largest value",
        ["layer", *(title.replace(" ", "\n") for title in titles)],
        lines,
        [DATA],
    )


def largest(runs: Sequence[Run]) -> Table:
    """The largest error of each algorithm and peer over all layers of some runs."""
    worst: dict[tuple[str, str], dict[str, float]] = {}
    for run in runs:
        for row in run.rows:
            errors = worst.setdefault((row["direction"], row["dtype"]), {})
            for key, error in row["errors"].items():
                name = key if key.startswith(OURS) else run.name(key)
                errors[name] = max(error, errors.get(name, 0))
    names = list(dict.fromkeys(name for errors in worst.values() for name in errors))
    lines = [[" ".join(key), *(_error(errors.get(name)) for name in names)] for key, errors in worst.items()]
    suites = ", ".join(dict.fromkeys(run.arguments["suite"] for run in runs))
    title = f"Largest error over largest value, layers of {suites}"
    return Table(title, ["", *names], lines, [DATA])


def _error(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}".replace("e-0", "e-")
