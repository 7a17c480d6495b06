"""``readme``: README.md's tables and pictures, made from the runs in bench/results.

A block of README.md between ``<!-- bench: tables NAME -->`` and ``<!-- bench end -->`` holds the tables of
bench/results/NAME.json; ``<!-- bench: summary NAME ... -->`` one line for each of several runs of ``layers``,
the least row named; ``<!-- bench: picture NAME ... -->`` the picture bench/results/NAME.png of those runs.
"""

from __future__ import annotations

import importlib
import re
from argparse import Namespace
from pathlib import Path
from typing import Any

from bench import pictures
from bench.console import Terminal
from bench.contest import standing
from bench.results import Row, Run, UsageError
from bench.tables import Table

ROOT = Path(__file__).resolve().parents[1]
README, RESULTS = ROOT / "README.md", ROOT / "bench" / "results"
BLOCK = re.compile(r"(<!-- bench: (\w+) ([^>]+?) -->\n)(.*?)(<!-- bench end -->)", re.DOTALL)


def run(options: Namespace, terminal: Terminal) -> int:
    if options.check == options.write:
        raise UsageError("readme: give either --check or --write")
    try:
        text = README.read_text(encoding="utf-8")
    except OSError as failure:
        raise UsageError(f"README.md: {failure.strerror}") from None
    stale: list[str] = []

    def block(match: re.Match[str]) -> str:
        opening, kind, names, old, closing = match.groups()
        new = _content(kind, names.split(), options.write, stale)
        if new != old:
            stale.append(f"{kind} {names}")
        return opening + new + closing

    fresh = BLOCK.sub(block, text)
    if options.write:
        README.write_text(fresh, encoding="utf-8")
    word = "brought up to date" if options.write else "stale"
    for name in stale:
        terminal.line(f"{word}: {name}")
    return 1 if stale and options.check else 0


def _content(kind: str, names: list[str], write: bool, stale: list[str]) -> str:
    runs = [Run.load(RESULTS / f"{name}.json") for name in names]
    if kind == "tables":
        return "".join(f"\n{text}" for run in runs for text in _tables(run)) + "\n"
    if kind == "summary":
        return f"\n{_summary(runs).markdown()}\n"
    if kind == "picture":
        return _picture(names[0], runs, write, stale)
    raise UsageError(f"README.md: bench: {kind}: allowed are tables, summary, picture")


def _tables(run: Run) -> list[str]:
    command: Any = importlib.import_module(f"bench.{run.command}")
    return [table.markdown() for table in command.tables(run)] + [f"{run.where()}\n"]


def _picture(name: str, runs: list[Run], write: bool, stale: list[str]) -> str:
    path = RESULTS / f"{name}.png"
    if pictures.drawn_from(path) != pictures.source(runs):
        stale.append(str(path.relative_to(ROOT)))
        if write:
            pictures.save(runs, path)
    return f"\n![{runs[0].command}: {name}]({path.relative_to(ROOT).as_posix()})\n\n"


def _summary(runs: list[Run]) -> Table:
    """One line for each suite, direction, dtype and number of threads; where we are slowest first."""
    lines = []
    for run in runs:
        groups: dict[tuple[Any, ...], list[Row]] = {}
        for row in run.rows:
            key = row["suite"], row["direction"], row["dtype"], row["threads"], row["algorithm"]
            groups.setdefault(key, []).append(row)
        for key, rows in groups.items():
            if ours := standing(rows, run):
                least = f"{ours.least:.2f}x at {ours.where}"
                lines.append((ours.least, [*map(str, key), str(ours.rows), f"{ours.mean:.2f}x", least]))
    columns = ["suite", "direction", "dtype", "threads", "algorithm", "rows", "geometric mean", "least"]
    return Table("Speed over the best peer of each row", columns, [line for _, line in sorted(lines)])
