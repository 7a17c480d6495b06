"""The default command: the notebook's cells side by side, then a network that learns digits."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace

from bench import digits, threads
from bench.console import Terminal
from bench.contest import contest
from bench.peers import installed
from bench.results import Row, Run, UsageError
from bench.suites import SUITES
from bench.tables import Table, plural, seconds, significant, small
from bench.work import Work

OURS = "cyconv-notebook"  # the notebook's functions of cyconv: what its users would call
CONTENDERS = (OURS, "loops", "windows", "torch-nhwc", "torch-nchw", "onnxruntime")
SECONDS = 0.2  # for each contender and row


def measure(options: Namespace, run: Run, terminal: Terminal) -> None:
    (ours, *others), missing = installed(CONTENDERS)
    contenders = [replace(ours, name="cyconv"), *others]
    run.meet(contenders, missing)
    run.remarks += threads.remarks()
    tasks = [(layer, direction) for layer in SUITES["notebook"] for direction in ("forward", "backward")]
    with terminal.progress(len(tasks), "cells") as tick:
        for layer, direction in tasks:
            tick.now(f"{layer.name} {direction}")
            work = Work.of(layer, direction, options.dtype, options.threads)
            run.rows.append(contest(work, contenders, budget=SECONDS, repeats=5))
            tick.done()
    try:
        digits.measure(options, run, terminal)
    except UsageError as absence:
        run.remarks.append(f"no digits: {absence}")


def tables(run: Run) -> list[Table]:
    rows = cells(run)
    return ([_table(run, rows)] if rows else []) + digits.tables(run)


def cells(run: Run) -> list[Row]:
    return [row for row in run.rows if "timings" in row]


def _table(run: Run, rows: list[Row]) -> Table:
    keys = list(run.contenders)
    lines = []
    for row in rows:
        name = f"{row['N']}x{row['layer']}\n{row['direction']}"
        errors = [timing["error"] for timing in row["timings"].values()]
        lines.append([name, *(_cell(row, key) for key in keys), small(max(errors, default=0))])
    columns = ["layer", *map(run.name, keys), "largest difference"]
    row = rows[0]
    return Table(
        f"The notebook's cells and a layer the size of LeNet's: {row['dtype']}, {plural(row['threads'], 'thread')}",
        [column.replace(" ", "\n") for column in columns],
        lines,
        _notes(rows, run),
    )


def _cell(row: Row, key: str) -> str:
    """The time of one call, and below it how many times cyconv's that is."""
    timings = row["timings"]
    if key not in timings:
        return "wrong" if row["notes"].get(key, "").startswith("wrong") else "-"
    best = timings[key]["best"]
    ratio = f"{significant(best / timings[OURS]['best'])}x" if OURS in timings else ""
    return f"{seconds(best)}{'*' if 'images' in timings[key] else ''}\n{ratio}"


def _notes(rows: list[Row], run: Run) -> list[str]:
    lines = [
        "Below each time: how many times cyconv's it is. The largest difference is that of the "
        "worst backend from float64, over the largest value."
    ]
    images = {t["images"]: row["N"] for row in rows for t in row["timings"].values() if "images" in t}
    lines += [f"* timed on {part} of {whole} images and scaled up" for part, whole in images.items()]
    lines += [
        f"{run.name(key)}, {row['layer']} {row['direction']}: {note}"
        for row in rows
        for key, note in row["notes"].items()
        if note.startswith("wrong") or key == OURS
    ]
    return lines
