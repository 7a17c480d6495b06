"""``stack``: every convolution of a network, one call after the other, as often as it contains them."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from bench import threads
from bench.console import Terminal, Tick
from bench.contest import prepare
from bench.peers import OURS
from bench.results import Row, Run
from bench.suites import SUITES, Conv
from bench.tables import Table, percent, plural, seconds, significant
from bench.timing import alternate
from bench.work import Work

Call = Callable[[], Any]

NAMES = {"resnet50": "ResNet-50", "vgg16": "VGG-16"}
STEP = "forward and backward"


def measure(options: Namespace, run: Run, terminal: Terminal) -> None:
    layers = [
        replace(layer, N=options.batch or layer.N) for layer in SUITES[options.network] if isinstance(layer, Conv)
    ]
    tasks = [(count, direction) for count in options.threads for direction in options.directions]
    run.remarks += threads.remarks()
    with terminal.progress(len(tasks) * (len(layers) + 1), options.network) as tick:
        for count, direction in tasks:
            tick.now("the machine's limits")
            run.measure_limits(options.dtype, count)
            with threads.limited(count):
                row = _contest(options, layers, direction, count, tick)
            run.rows.append({"network": options.network} | row)


def _contest(options: Namespace, layers: list[Conv], direction: str, count: int, tick: Tick) -> Row:
    """Check every layer of every contender, then time whole networks."""
    notes: dict[str, str] = {}
    contenders = list(options.contenders)
    calls: dict[str, list[Call]] = {contender.key: [] for contender in contenders}
    for layer in layers:
        tick.now(f"{direction} {layer.name}: check")
        work = Work.of(layer, direction, options.dtype, count, options.algorithm)
        why: dict[str, str] = {}
        ready = prepare(work, contenders, why)
        notes |= {key: f"{layer.name}: {reason}" for key, reason in why.items()}
        contenders = [contender for contender in contenders if contender.key in ready]
        for key, (prepared, _) in ready.items():
            calls[key] += [prepared.run] * layer.count
        tick.done()
    keys = [contender.key for contender in contenders]
    tick.now(f"{direction}: whole networks")
    networks = [_sequence(calls[key]) for key in keys]
    timings = alternate(networks, budget=10 * options.seconds, repeats=options.repeats, pause=count > 1)
    tick.done()
    return {
        "kind": "stack",
        "layers": sum(layer.count for layer in layers),
        "N": layers[0].N,
        "direction": direction,
        "dtype": options.dtype,
        "threads": count,
        "algorithm": options.algorithm,
        "flops": sum(layer.count * layer.flops(direction) for layer in layers),
        "timings": {key: asdict(timing) for key, timing in zip(keys, timings, strict=True)},
        "notes": notes,
    }


def _sequence(calls: list[Call]) -> Call:
    def run() -> None:
        for call in calls:
            call()

    return run


def steps(run: Run) -> list[Row]:
    """What forward and all gradients take together, of those who do both: a row for each number of threads."""
    directions = {(row["network"], row["threads"], row["direction"]): row for row in run.rows}
    rows = []
    for (network, count, direction), forward in directions.items():
        backward = directions.get((network, count, "backward"))
        if direction != "forward" or not backward:
            continue
        timings = {
            key: {
                "best": one["best"] + other["best"],
                "median": one["median"] + other["median"],
                "spread": max(one["spread"], other["spread"]),
            }
            for key, one in forward["timings"].items()
            if (other := backward["timings"].get(key))
        }
        flops = forward["flops"] + backward["flops"]
        rows.append(forward | {"direction": STEP, "flops": flops, "timings": timings, "notes": {}})
    return rows


def tables(run: Run) -> list[Table]:
    return [_table(run, row) for row in [*run.rows, *steps(run)]]


def _table(run: Run, row: Row) -> Table:
    limit = run.limits[f"{row['dtype']} {row['threads']}"]["flops"]
    ours = row["timings"].get(OURS)
    lines = []
    for key, timing in sorted(row["timings"].items(), key=lambda item: item[1]["best"]):
        rate = row["flops"] / timing["best"]
        lines.append(
            [
                run.name(key),
                seconds(timing["best"]),
                seconds(timing["median"]),
                percent(timing["spread"]),
                significant(row["N"] / timing["best"]),
                significant(rate / 1e9),
                percent(rate / limit),
                f"{timing['best'] / ours['best']:.2f}x" if ours else "-",
            ]
        )
    return Table(
        f"{NAMES[row['network']]}: its {row['layers']} convolutions, {row['direction']}, N = {row['N']}, "
        f"{row['dtype']}, {plural(row['threads'], 'thread')}",
        ["", "best", "median", "spread", "images/s", "GFLOP/s", "of limit", "times cyconv"],
        lines,
        [f"{run.name(key)}: not in it ({note})" for key, note in row["notes"].items()],
    )
