"""``compare``: which rows of cyconv became slower from one run to the next."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from bench.console import Terminal
from bench.peers import OURS
from bench.results import Row, Run, UsageError
from bench.tables import Table, geometric_mean, seconds

IDENTITY = ("suite", "network", "axis", "value", "layer", "N", "direction", "dtype", "threads", "algorithm")


def run(options: Namespace, terminal: Terminal) -> int:
    """Print the comparison; exit status 1 if something became slower."""
    old, new = Run.load(options.old), Run.load(options.new)
    pairs = matched(old, new)
    if not pairs:
        raise UsageError(f"{options.old} and {options.new} have no timed row in common")
    if old.machine["cpu"] != new.machine["cpu"]:
        terminal.line(f"two machines: {old.machine['cpu']}, then {new.machine['cpu']}")
    allowed = 1 + options.threshold / 100
    slower = [pair for pair in pairs if pair[2] / pair[1] > allowed]
    faster = [pair for pair in pairs if pair[1] / pair[2] > allowed]
    for title, some in ((f"slower by more than {options.threshold:g} %", slower), ("faster", faster)):
        if some:
            terminal.table(_table(title, some))
    mean = geometric_mean(then / now for _, then, now in pairs)
    terminal.line(
        f"{len(pairs)} rows: {len(slower)} slower, {len(faster)} faster; "
        f"{mean:.3f} times the old speed (geometric mean)"
    )
    return 1 if slower else 0


def matched(old: Run, new: Run) -> list[tuple[dict[str, Any], float, float]]:
    """The rows that both runs timed: the new row, the old best time, the new best time."""
    before = {_identity(row): _best(row) for row in old.rows if _best(row)}
    pairs = [(row, before.get(_identity(row)), _best(row)) for row in new.rows]
    return [(row, then, now) for row, then, now in pairs if then and now]


def _identity(row: Row) -> tuple[Any, ...]:
    return tuple(row.get(field) for field in IDENTITY)


def _best(row: Row) -> float | None:
    timings = row.get("timings", {})
    ours = [key for key in timings if key.startswith(OURS)]
    return timings[ours[0]]["best"] if ours else None


def _table(title: str, pairs: list[tuple[dict[str, Any], float, float]]) -> Table:
    """The largest change first."""
    ordered = sorted(pairs, key=lambda pair: -abs(pair[2] / pair[1] - 1))
    lines = [
        [_name(row), seconds(then), seconds(now), f"{100 * (now / then - 1):+.1f} %"] for row, then, now in ordered
    ]
    return Table(title, ["row", "before", "now", "time"], lines)


def _name(row: Row) -> str:
    place = row.get("suite") or row.get("network") or row.get("axis") or ""
    what = row.get("layer", "all convolutions")
    count = row["threads"]
    return f"{place} {row['N']}x{what} {row['direction']} {row['dtype']} {count} thr. {row['algorithm']}"
