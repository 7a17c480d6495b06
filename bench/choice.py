"""``choice``: whether ``algorithm="auto"`` picks the faster kernel, over every layer where there are two.

What auto picked is seen in its result, which has the bits of one of the two; the two alone are timed.
"""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict, replace

import numpy as np

from bench import threads
from bench.accuracy import single
from bench.console import Terminal
from bench.peers import OURS, load
from bench.results import Row, Run, UsageError
from bench.suites import SUITES, Conv, Layer
from bench.tables import Table, percent, plural, seconds
from bench.timing import alternate
from bench.work import Arrays, Prepared, UnsupportedError, Work

ALGORITHMS = ("direct", "winograd")
CLOSE, NEAR = 0.05, 0.15  # how much slower than the faster one the choice may be


def measure(options: Namespace, run: Run, terminal: Terminal) -> None:
    run.remarks += threads.remarks()
    directions = single(options.directions)
    layers = candidates(options)
    tasks = [
        (layer, direction, count) for count in options.threads for layer in layers for direction in directions
    ]  # fmt: skip
    with terminal.progress(len(tasks), "choice") as tick:
        for layer, direction, count in tasks:
            tick.now(f"{layer.name} {direction}")
            work = Work.of(layer, direction, options.dtype, count)
            if row := _row(work, options):
                run.rows.append(row)
            tick.done()
    if not run.rows:
        raise UsageError("choice: none of these layers can be computed in two ways")


def candidates(options: Namespace) -> list[Layer]:
    """The convolutions of all suites, or of one, with --batch and -k applied."""
    names = [options.suite] if options.suite else list(SUITES)
    found: dict[Layer, None] = {}
    for layer in (layer for name in names for layer in SUITES[name] if isinstance(layer, Conv)):
        if (options.k or "").lower() in layer.name.lower():
            found |= {replace(layer, N=N, count=1): None for N in options.batches or [layer.N]}
    if not found:
        raise UsageError(f"no convolution of {', '.join(names)} has {options.k or ''!r} in its name")
    return list(found)


def _row(work: Work, options: Namespace) -> Row | None:
    """The time of each algorithm and which of them auto took; None where only one applies."""
    with threads.limited(work.threads):
        try:
            prepared = {name: _prepared(work, name) for name in ALGORITHMS}
        except UnsupportedError:
            return None
        chosen = _chosen(work, prepared)
        runs = [one.run for one in prepared.values()]
        timings = alternate(runs, budget=options.seconds, repeats=options.repeats, pause=work.threads > 1)
    layer = work.layer
    return {
        "layer": layer.name,
        "N": layer.N,
        "direction": work.direction,
        "dtype": str(work.x.dtype),
        "threads": work.threads,
        "chosen": chosen,
        "timings": {name: asdict(timing) for name, timing in zip(prepared, timings, strict=True)},
    }


def _prepared(work: Work, algorithm: str) -> Prepared:
    return load(OURS).prepare(replace(work, algorithm=algorithm))


def _chosen(work: Work, prepared: dict[str, Prepared]) -> str:
    result = _result(_prepared(work, "auto"))
    same = [name for name, one in prepared.items() if all(map(np.array_equal, _result(one), result))]
    return same[0] if same else "neither"


def _result(prepared: Prepared) -> Arrays:
    return prepared.read(prepared.run())


def loss(row: Row) -> float:
    """How much slower than the faster algorithm the chosen one is: 0 if it is the faster one."""
    times = {name: timing["best"] for name, timing in row["timings"].items()}
    return float(times[row["chosen"]] / min(times.values()) - 1) if row["chosen"] in times else float("inf")


def tables(run: Run) -> list[Table]:
    """The rows where the choice was not the best, the worst first."""
    if not run.rows:
        return []
    losses = sorted(((loss(row), row) for row in run.rows), key=lambda pair: -pair[0])
    lines = [
        [
            f"{row['N']}x{row['layer']}",
            row["direction"],
            str(row["threads"]),
            *(seconds(row["timings"][name]["best"]) for name in ALGORITHMS),
            row["chosen"],
            f"{100 * lost:.1f} %",
        ]
        for lost, row in losses
        if lost > 0
    ]
    columns = ["layer", "direction", "threads", *ALGORITHMS, "chosen", "lost"]
    return [
        Table(
            f"Where auto did not choose the faster algorithm: {len(lines)} of {plural(len(losses), 'row')}, "
            f"{run.rows[0]['dtype']}",
            columns,
            lines,
            [_share([lost for lost, _ in losses])],
        )
    ]


def _share(losses: list[float]) -> str:
    close, near = (sum(lost <= bound for lost in losses) / len(losses) for bound in (CLOSE, NEAR))
    return (
        f"the choice is within {percent(CLOSE)} of the faster one in {100 * close:.1f} % of {len(losses)} rows, "
        f"within {percent(NEAR)} in {100 * near:.1f} %; the most it loses is {100 * max(losses):.1f} %"
    )
