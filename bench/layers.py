"""``layers``: every layer of a suite against every peer, with its share of the machine's limit."""

from __future__ import annotations

import statistics
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bench import speedup, summary, threads
from bench.console import Terminal
from bench.contest import advantage, contest, standing
from bench.peers import OURS
from bench.results import Row, Run, UsageError
from bench.suites import SUITES, Layer
from bench.tables import Table, percent, plural, significant
from bench.work import Work


def measure(options: Namespace, run: Run, terminal: Terminal) -> None:
    tasks = [
        (layer, direction, count)
        for count in options.threads
        for layer in chosen(options)
        for direction in options.directions
        if direction in layer.directions
    ]
    run.remarks += threads.remarks()
    with terminal.progress(len(tasks), "layers") as tick:
        for count in options.threads:
            tick.now("the machine's limits")
            run.measure_limits(options.dtype, count)
        for layer, direction, count in tasks:
            tick.now(f"{layer.name} {direction}")
            work = Work.of(layer, direction, options.dtype, count, options.algorithm)
            row = contest(work, options.contenders, budget=options.seconds, repeats=options.repeats)
            run.rows.append({"suite": options.suite} | row)
            tick.done()
        for count in options.threads:
            run.measure_limits(options.dtype, count)


def chosen(options: Namespace) -> list[Layer]:
    """The suite's layers, with --batch and -k applied."""
    layers = matching(SUITES[options.suite], options.k)
    return [replace(layer, N=N) for N in options.batches for layer in layers] if options.batches else layers


def matching(layers: Sequence[Layer], text: str | None) -> list[Layer]:
    """The layers whose name contains the text of -k."""
    found = [layer for layer in layers if (text or "").lower() in layer.name.lower()]
    if not found:
        names = ", ".join(layer.name for layer in layers)
        raise UsageError(f"-k {text}: no layer's name contains that; the layers are {names}")
    return found


def tables(run: Run) -> list[Table]:
    """One table for each kind of layer, direction and number of threads, and what they amount to."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in run.rows:
        groups.setdefault((row["threads"], row["direction"], row["kind"]), []).append(row)
    if not groups:
        return []
    return [*(_table(run, rows) for rows in groups.values()), summary.table([run]), *speedup.tables(run)]


def _table(run: Run, rows: list[Row]) -> Table:
    row = rows[0]
    work, unit = ("flops", "GFLOP/s") if row["kind"] == "conv" else ("bytes", "GB/s")
    limit = run.limits[f"{row['dtype']} {row['threads']}"][work]
    batches = {row["N"] for row in rows}
    batch = f", N = {row['N']}" if len(batches) == 1 else ""
    peers = [key for key in run.contenders if key != OURS and any(key in row["timings"] for row in rows)]

    def speed(row: Row, key: str) -> str:
        if key in row["timings"]:
            return significant(row[work] / row["timings"][key]["best"] / 1e9)
        return "wrong" if row["notes"].get(key, "").startswith("wrong") else "-"

    lines = []
    for row in rows:
        ours = row["timings"].get(OURS)
        ratio = advantage(row)
        lines.append(
            [
                row["layer"] if batch else f"{row['N']}x{row['layer']}",
                speed(row, OURS),
                percent(row[work] / ours["best"] / limit) if ours else "-",
                *(speed(row, key) for key in peers),
                f"{ratio:.2f}x" if ratio else "-",
            ]
        )
    columns = ["layer", OURS, "of limit", *map(run.name, peers), "of best peer"]
    return Table(
        f"{row['suite']}{batch}: {row['direction']}, {row['dtype']}, {plural(row['threads'], 'thread')}, {unit}",
        [column.replace(" ", "\n") for column in columns],
        lines,
        [*_summary(rows, run), f"limit: {significant(limit / 1e9)} {unit}, {LIMITS[work]}"],
    )


LIMITS = {
    "flops": "multiply-adds in registers, measured in this run; Winograd may exceed it",
    "bytes": "np.copyto of large arrays, read plus written, measured in this run; what fits in a cache may exceed it",
}


def _summary(rows: list[Row], run: Run) -> list[str]:
    """The geometric mean and the slowest row, named; then what went wrong."""
    lines = []
    if ours := standing(rows, run):
        lines.append(
            f"against the best peer of each row: {ours.mean:.2f}x (geometric mean), "
            f"least {ours.least:.2f}x at {ours.where}"
        )
    timings = [timing for row in rows for timing in row["timings"].values() if timing["samples"] > 1]
    if timings:
        above = statistics.median(timing["median"] / timing["best"] - 1 for timing in timings)
        spread = statistics.median(timing["spread"] for timing in timings)
        lines.append(f"best times; medians lie {above:.1%} above them, quartiles {spread:.1%} apart, in the median row")
    for row in rows:
        lines += [
            f"{run.name(key)}, {row['layer']}: {note}"
            for key, note in row["notes"].items()
            if note.startswith("wrong") or key == OURS
        ]
    timed = {key for row in rows for key in row["timings"]}
    absent = {key: note for row in rows for key, note in row["notes"].items() if key not in timed}
    return lines + [f"{run.name(key)}: {note}" for key, note in absent.items() if key != OURS]
