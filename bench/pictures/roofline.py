"""Every layer under the machine's two limits: arithmetic above, memory on the left."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.ticker import LogLocator, NullFormatter

from bench.contest import best_peer
from bench.peers import OURS
from bench.pictures.style import BLACK, GREY, VERMILION
from bench.results import Row, Run
from bench.tables import plural

MARKERS = {"forward": "o", "input_grad": "s", "weight_grad": "D", "backward": "^"}


def rows(run: Run) -> list[Row]:
    """The rows that have operations to count."""
    return [row for row in run.rows if row["flops"] and OURS in row["timings"]]


def draw(run: Run, count: int, figure: SubFigure) -> None:
    here = [row for row in rows(run) if row["threads"] == count]
    if not here:
        return
    axes = figure.subplots()
    limit = run.limits[f"{here[0]['dtype']} {count}"]
    intensity = [row["flops"] / row["bytes"] for row in here]
    span = np.geomspace(0.7 * min(intensity), 1.4 * max(intensity), 100)
    roof = np.minimum(limit["flops"], span * limit["bytes"])
    axes.plot(span, roof / 1e9, color=BLACK, linewidth=1.2, label="the machine's limits\n(Winograd may exceed them)")
    for direction in dict.fromkeys(row["direction"] for row in here):
        some = [row for row in here if row["direction"] == direction]
        _points(axes, some, direction)
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())
    axes.grid(which="both", linewidth=0.4)
    axes.set_xlabel("operations per byte that must move, logarithmic")
    axes.set_ylabel("GFLOP/s, logarithmic")
    axes.set_title(f"Roofline: every layer, {here[0]['dtype']}, {plural(count, 'thread')}")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)


def _points(axes: Axes, rows: list[Row], direction: str) -> None:
    shape = MARKERS[direction]
    x = [row["flops"] / row["bytes"] for row in rows]
    y = [row["flops"] / row["timings"][OURS]["best"] / 1e9 for row in rows]
    axes.scatter(x, y, marker=shape, s=26, color=VERMILION, zorder=3, label=f"cyconv {direction}")
    compared = [(row, peer) for row in rows if (peer := best_peer(row))]
    if compared:
        x = [row["flops"] / row["bytes"] for row, _ in compared]
        y = [row["flops"] / row["timings"][peer]["best"] / 1e9 for row, peer in compared]
        axes.scatter(x, y, marker=shape, s=26, facecolors="none", edgecolors=GREY, zorder=2,
                     label=f"best peer {direction}")  # fmt: skip
