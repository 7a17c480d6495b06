"""A whole network: how long its convolutions take everyone."""

from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from bench.peers import OURS
from bench.pictures.style import GREY, VERMILION
from bench.results import Row, Run


def height(run: Run) -> float:
    most = max(len(row["timings"]) for row in run.rows)
    return 1.1 + 0.32 * most * -(-len(run.rows) // 2)


def draw(run: Run, figure: SubFigure) -> None:
    figure.suptitle(run.where(), fontsize=8, color="#555555", x=0.01, ha="left")
    columns = min(2, len(run.rows))
    grid = figure.subplots(-(-len(run.rows) // columns), columns, squeeze=False)
    for row, axes in zip(run.rows, grid.flat, strict=False):
        _bars(run, row, axes)
    for axes in list(grid.flat)[len(run.rows) :]:
        axes.set_axis_off()


def _bars(run: Run, row: Row, axes: Axes) -> None:
    timings = row["timings"]
    keys = sorted(timings, key=lambda key: timings[key]["best"])
    times = [1e3 * timings[key]["best"] / row["N"] for key in keys]
    places = range(len(keys))
    axes.barh(places, times, color=[VERMILION if key == OURS else GREY for key in keys])
    for place, key, time in zip(places, keys, times, strict=True):
        text = f"{time:.0f}" if time >= 10 else f"{time:.1f}"
        if key != OURS and OURS in timings:
            text += f"  ({timings[key]['best'] / timings[OURS]['best']:.1f}x)"
        axes.annotate(text, (time, place), xytext=(3, 0), textcoords="offset points",
                      va="center", fontsize=8)  # fmt: skip
    axes.set_yticks(places, [run.name(key) for key in keys])
    axes.set_ylim(len(keys) - 0.4, -0.6)
    axes.set_xlim(0, 1.2 * max(times, default=1))
    axes.tick_params(axis="y", length=0)
    plural = "s" if row["threads"] > 1 else ""
    what = {"forward": "forward", "backward": "all gradients"}.get(row["direction"], row["direction"])
    axes.set_title(f"The {row['layers']} convolutions of {row['network']}, {what}")
    axes.set_xlabel(f"milliseconds an image; {row['dtype']}, {row['threads']} thread{plural}, N = {row['N']}")
