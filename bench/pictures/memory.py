"""Memory of one call as the batch grows."""

from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from bench.pictures.style import GREY, colour, marker
from bench.results import Run

PROMISE = 8e6  # bytes for each thread, whatever the batch


def height(run: Run) -> float:
    return 3.9


def draw(run: Run, figure: SubFigure) -> None:
    directions = list(dict.fromkeys(row["direction"] for row in run.rows))
    grid = figure.subplots(1, len(directions), sharey=True, squeeze=False)[0]
    for direction, axes in zip(directions, grid, strict=True):
        _curves(run, direction, axes)
    handles, labels = grid[0].get_legend_handles_labels()
    figure.suptitle(run.where(), fontsize=8, color="#555555", x=0.01, ha="left")
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8)
    grid[0].set_ylabel("MB beyond inputs and outputs, logarithmic")


def _curves(run: Run, direction: str, axes: Axes) -> None:
    rows = [row for row in run.rows if row["direction"] == direction]
    for key in run.contenders:
        points = [(row["N"], row["extra"][key] / 1e6) for row in rows if key in row["extra"]]
        if points:
            x, y = zip(*points, strict=True)
            shown = [max(value, 0.01) for value in y]  # a logarithmic axis has no zero
            axes.plot(x, shown, color=colour(key), marker=marker(key), linewidth=1.2,
                      label=run.name(key))  # fmt: skip
    batches = [row["N"] for row in rows]
    axes.plot(batches, [row["input"] / 1e6 for row in rows], color=GREY, linestyle=":",
              label="the input itself")  # fmt: skip
    promise = PROMISE * rows[0]["threads"] / 1e6
    axes.axhline(promise, color=GREY, linestyle="--", linewidth=0.8,
                 label=f"cyconv's promise, {promise:.0f} MB")  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(batches, [str(batch) for batch in batches])
    axes.minorticks_off()
    axes.set_xlabel("images in the batch, logarithmic")
    axes.set_title(f"{rows[0]['layer']}, {direction}, {rows[0]['dtype']}")
