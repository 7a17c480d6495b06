"""What more threads bring cyconv, row by row, in a run of ``layers`` that had several."""

from __future__ import annotations

from typing import NamedTuple

from bench.peers import OURS
from bench.results import Row, Run
from bench.tables import Table, geometric_mean, plural, seconds

LONG = 2e-3  # seconds on one thread; below that starting the others is a part of the time
SHOWN = 10  # rows to be named


class Speedup(NamedTuple):
    value: float
    row: Row  # with the most threads
    alone: float  # seconds with the fewest


def speedups(run: Run) -> list[Speedup]:
    """For each row above LONG the time with the fewest threads over that with the most, the least first."""
    counts = sorted({row["threads"] for row in run.rows})
    fewest = {_identity(row): _time(row) for row in run.rows if row["threads"] == counts[0] and _time(row)}
    pairs = [(row, fewest.get(_identity(row)), _time(row)) for row in run.rows if row["threads"] == counts[-1]]
    found = [Speedup(alone / time, row, alone) for row, alone, time in pairs if alone and time and alone >= LONG]
    return sorted(found, key=lambda speedup: speedup.value)


def tables(run: Run) -> list[Table]:
    counts = sorted({row["threads"] for row in run.rows})
    if len(counts) < 2 or not (found := speedups(run)):
        return []
    few, most = (plural(count, "thread") for count in (counts[0], counts[-1]))
    lines = [
        [
            f"{row['N']}x{row['layer']}",
            row["direction"],
            seconds(alone),
            seconds(alone / value),
            f"{value:.2f}x",
        ]
        for value, row, alone in found[:SHOWN]
    ]
    mean = geometric_mean(speedup.value for speedup in found)
    return [
        Table(
            f"cyconv with {most} over {few}, {run.rows[0]['dtype']}: the least",
            ["layer", "direction", few, most, "speed"],
            lines,
            [f"{mean:.2f}x (geometric mean of {len(found)} rows above {seconds(LONG)}), least {found[0].value:.2f}x"],
        )
    ]


def _identity(row: Row) -> tuple[object, ...]:
    return tuple(row[name] for name in ("layer", "N", "direction", "algorithm"))


def _time(row: Row) -> float | None:
    return float(row["timings"][OURS]["best"]) if OURS in row["timings"] else None
