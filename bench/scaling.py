"""``scaling``: one 3x3 layer while threads, batch, image or channels grow and the rest stays."""

from __future__ import annotations

from argparse import Namespace

import cyconv
from bench import threads
from bench.console import Terminal
from bench.contest import advantage, contest
from bench.peers import OURS
from bench.results import Row, Run
from bench.suites import Conv
from bench.tables import Table, percent, plural, significant
from bench.work import Work

SIZE, CHANNELS = 28, 64  # of the layer where they do not grow
EVEN_FROM = {"threads": 1, "batch": 1, "size": SIZE, "channels": CHANNELS}  # where the cost should stay the same
AXES = {
    "threads": "threads",
    "batch": "images in the batch",
    "size": "rows and columns of the image",
    "channels": "channels in and out",
}


def layers(axis: str, most: int) -> list[tuple[int, Conv]]:
    """The layers along an axis, each with its place on it."""
    values = {
        "threads": [*range(1, most + 1)] if most <= 8 else [1, 2, 4, *range(8, most + 1, 8)],
        "batch": [1, 2, 4, 8, 16, 32, 64, 128, 256],
        "size": [7, 14, 28, 56, 112, 224, 448],
        "channels": [4, 8, 16, 32, 64, 128, 256, 512],
    }[axis]
    return [(value, _layer(axis, value)) for value in values]


def _layer(axis: str, value: int) -> Conv:
    N = {"threads": 16, "batch": value, "size": 1, "channels": 4}[axis]
    H = value if axis == "size" else SIZE
    C = value if axis == "channels" else CHANNELS
    return Conv(N, H, H, C, C, 3, 3, 1, 1)


def measure(options: Namespace, run: Run, terminal: Terminal) -> None:
    tasks = [
        (axis, value, layer, direction, count)
        for direction in options.directions
        for axis in options.axes
        for value, layer in layers(axis, cyconv.get_num_threads())
        for count in ([value] if axis == "threads" else options.threads)
    ]
    run.remarks += threads.remarks()
    with terminal.progress(len(tasks), "scaling") as tick:
        for axis, value, layer, direction, count in tasks:
            tick.now(f"{axis} {value} {direction}")
            work = Work.of(layer, direction, options.dtype, count, options.algorithm)
            row = contest(work, options.contenders, budget=options.seconds, repeats=options.repeats)
            run.rows.append({"axis": axis, "value": value} | row)
            tick.done()


def groups(run: Run) -> dict[tuple[str, str, int], list[Row]]:
    """The rows of each curve: by axis, direction and, except along it, the number of threads."""
    found: dict[tuple[str, str, int], list[Row]] = {}
    for row in run.rows:
        count = 0 if row["axis"] == "threads" else row["threads"]
        found.setdefault((row["axis"], row["direction"], count), []).append(row)
    return found


def tables(run: Run) -> list[Table]:
    return [_table(run, *key, rows) for key, rows in groups(run).items()]


def _table(run: Run, axis: str, direction: str, count: int, rows: list[Row]) -> Table:
    keys = [key for key in run.contenders if any(key in row["timings"] for row in rows)]
    lines = []
    for row in rows:
        speeds = [
            significant(row["flops"] / row["timings"][key]["best"] / 1e9) if key in row["timings"] else "-"
            for key in keys
        ]
        ratio = advantage(row)
        name = f"{row['N']}x{row['layer']}"
        lines.append([str(row["value"]), name, *speeds, f"{ratio:.2f}x" if ratio else "-"])
    threaded = f", {plural(count, 'thread')}" if count else ""
    columns = [axis, "layer", *map(run.name, keys), "of best peer"]
    return Table(
        f"{AXES[axis]}: {direction}, {rows[0]['dtype']}{threaded}, GFLOP/s",
        [column.replace(" ", "\n") for column in columns],
        lines,
        _evenness(run, rows),
    )


def _evenness(run: Run, rows: list[Row]) -> list[str]:
    """How much cyconv's time for an operation varies along the axis; small images and few channels apart."""
    axis = rows[0]["axis"]
    lines = []
    for key in (key for key in run.contenders if key.startswith(OURS)):
        some = [row for row in rows if key in row["timings"] and row["value"] >= EVEN_FROM[axis]]
        costs = [row["timings"][key]["best"] / row["flops"] * 1e12 for row in some]
        if costs:
            lines.append(
                f"{run.name(key)}, {axis} {some[0]['value']} to {some[-1]['value']}: {significant(min(costs))} to "
                f"{significant(max(costs))} ns per 1000 operations, {percent(max(costs) / min(costs) - 1)} apart"
            )
    return lines
