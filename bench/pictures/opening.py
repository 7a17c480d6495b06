"""README.md's opening: whole networks and the notebook's layer, at whose speed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from bench import stack, tour
from bench.peers import OURS
from bench.pictures.bars import bars
from bench.results import Run, UsageError
from bench.tables import plural

SIZE = (9.6, 2.5)  # inches: the width of a README


class Panel(NamedTuple):
    title: str
    unit: str
    speeds: dict[str, float]


def draw(runs: Sequence[Run], figure: Figure) -> None:
    panels = [panel for run in runs for panel in PANELS[_kind(run)](run)]
    if not panels:
        raise UsageError("these runs have nothing to open a README with")
    for panel, axes in zip(panels, figure.subplots(1, len(panels), squeeze=False)[0], strict=True):
        bars(axes, panel.speeds, OURS)
        axes.set_title(panel.title, fontsize=9)
        axes.set_xlabel(panel.unit, fontsize=8)
        axes.set_xticks([0])
    threads = {row["threads"] for run in runs for row in run.rows if "threads" in row}
    everyone = f", {plural(threads.pop(), 'thread')}" if len(threads) == 1 else ""
    figure.suptitle(
        f"Forward and all gradients on a CPU{everyone}. Longer is faster; in brackets, cyconv's speed over it.",
        x=0.005, ha="left", fontsize=9.5,
    )  # fmt: skip


def _networks(run: Run) -> Iterator[Panel]:
    for row in stack.steps(run):
        title = f"{stack.NAMES[row['network']]}'s {row['layers']} convolutions\n{row['dtype']}"
        speeds = {run.name(key): row["N"] / timing["best"] for key, timing in row["timings"].items()}
        yield Panel(title, f"images a second, N = {row['N']}", speeds)


def _notebook(run: Run) -> Iterator[Panel]:
    """The tour's largest layer, both ways."""
    ways = {(row["flops"], row["direction"]): row for row in tour.cells(run) if row["flops"]}
    forward = ways[max(key for key in ways if key[1] == "forward")]
    backward = ways[2 * forward["flops"], "backward"]
    times = {
        key: timing["best"] + backward["timings"][key]["best"]
        for key, timing in forward["timings"].items()
        if key in backward["timings"]
    }
    speeds = {run.name(key): 1 / time for key, time in times.items()}
    title = f"The notebook's functions\n{forward['layer']}, {forward['dtype']}"
    yield Panel(title, f"steps a second, N = {forward['N']}", speeds)


PANELS = {"stack": _networks, "tour": _notebook}


def _kind(run: Run) -> str:
    if run.command not in PANELS:
        raise UsageError(f"{run.command}: README.md opens with runs of {', '.join(PANELS)}")
    return run.command
