"""``overhead``: microseconds of one small call, where checks and dispatch are what is paid for."""

from __future__ import annotations

from argparse import Namespace

from bench import threads
from bench.console import Terminal
from bench.contest import advantage, contest, standing
from bench.layers import matching
from bench.peers import installed
from bench.results import Row, Run
from bench.suites import SUITES, Conv
from bench.tables import Table, plural, significant
from bench.work import Work

NOTEBOOK = "cyconv-notebook"
LAYERS = (
    *(layer for layer in SUITES["notebook"] if layer.flops("forward") < 1e6),
    Conv(1, 8, 8, 1, 8, 3, 3, 1, 1),
    Conv(1, 14, 14, 6, 16, 5, 5),
    Conv(1, 1, 1, 256, 10, 1, 1),
)


def measure(options: Namespace, run: Run, terminal: Terminal) -> None:
    through_notebook, _ = installed((NOTEBOOK,))
    contenders = [*options.contenders[:1], *through_notebook, *options.contenders[1:]]
    run.contenders.clear()
    run.meet(contenders, {})
    run.remarks += threads.remarks()
    tasks = [
        (layer, direction, count)
        for count in options.threads
        for layer in matching(LAYERS, options.k)
        for direction in ("forward", "backward")
    ]
    with terminal.progress(len(tasks), "overhead") as tick:
        for layer, direction, count in tasks:
            tick.now(f"{layer.name} {direction}")
            work = Work.of(layer, direction, options.dtype, count)
            row = contest(work, contenders, budget=options.seconds, repeats=options.repeats)
            run.rows.append(row)
            tick.done()


def tables(run: Run) -> list[Table]:
    """One table for each number of threads and direction."""
    groups: dict[tuple[int, str], list[Row]] = {}
    for row in run.rows:
        groups.setdefault((row["threads"], row["direction"]), []).append(row)
    return [_table(run, rows) for rows in groups.values()]


def _table(run: Run, rows: list[Row]) -> Table:
    keys = list(run.contenders)
    lines = []
    for row in rows:
        times = {key: timing["best"] * 1e6 for key, timing in row["timings"].items()}
        ratio = advantage(row)
        lines.append(
            [
                f"{row['N']}x{row['layer']}",
                *(significant(times[key]) if key in times else "-" for key in keys),
                f"{ratio:.2f}x" if ratio else "-",
            ]
        )
    row = rows[0]
    ours = standing(rows, run)
    columns = ["layer", *map(run.name, keys), "of best peer"]
    return Table(
        f"One small call: {row['direction']}, {row['dtype']}, {plural(row['threads'], 'thread')}, microseconds",
        [column.replace(" ", "\n") for column in columns],
        lines,
        [f"{ours.mean:.2f}x in the geometric mean, least {ours.least:.2f}x at {ours.where}"] if ours else [],
    )
