"""Memory of one call: of one layer as the batch grows, or of each layer of a suite."""

from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from bench.pictures.style import GREY, colour, marker
from bench.results import Row, Run

PROMISE = 8.0  # MB for each thread, whatever the batch
LEAST = 0.01  # MB; a logarithmic axis has no zero


def height(run: Run) -> float:
    return 3.9 if not run.arguments["suite"] else 1.6 + 0.19 * len({(row["layer"], row["N"]) for row in run.rows})


def draw(run: Run, figure: SubFigure) -> None:
    directions = list(dict.fromkeys(row["direction"] for row in run.rows))
    grid = figure.subplots(1, len(directions), sharey=True, squeeze=False)[0]
    for direction, axes in zip(directions, grid, strict=True):
        rows = [row for row in run.rows if row["direction"] == direction]
        (_layers if run.arguments["suite"] else _batches)(run, rows, axes)
    handles, labels = grid[0].get_legend_handles_labels()
    figure.suptitle(run.where(), fontsize=8, color="#555555", x=0.01, ha="left")
    figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=8)


def _batches(run: Run, rows: list[Row], axes: Axes) -> None:
    for key in run.contenders:
        points = [(row["N"], _megabytes(row["extra"][key])) for row in rows if key in row["extra"]]
        if points:
            x, y = zip(*points, strict=True)
            axes.plot(x, y, color=colour(key), marker=marker(key), linewidth=1.2,
                      label=run.name(key))  # fmt: skip
    batches = [row["N"] for row in rows]
    axes.plot(batches, [_megabytes(row["input"]) for row in rows], color=GREY, linestyle=":", label="the input itself")
    promise = PROMISE * rows[0]["threads"]
    axes.axhline(promise, color=GREY, linestyle="--", linewidth=0.8, label=f"cyconv's promise, {promise:.0f} MB")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(batches, [str(batch) for batch in batches])
    axes.minorticks_off()
    axes.set_xlabel("images in the batch, logarithmic; memory beyond inputs and outputs")
    axes.set_ylabel("MB, logarithmic")
    axes.label_outer()
    axes.set_title(f"{rows[0]['layer']}, {rows[0]['direction']}, {rows[0]['dtype']}")


def _layers(run: Run, rows: list[Row], axes: Axes) -> None:
    for key in run.contenders:
        points = [(_megabytes(row["extra"][key]), at) for at, row in enumerate(rows) if key in row["extra"]]
        if points:
            x, y = zip(*points, strict=True)
            axes.scatter(x, y, color=colour(key), marker=marker(key), s=24, label=run.name(key))
    if any(row["weights"] for row in rows):
        axes.scatter([_megabytes(row["weights"]) for row in rows], range(len(rows)), marker="|", color=GREY, s=60,
                     label="the weights, which are packed")  # fmt: skip
    promise = PROMISE * rows[0]["threads"]
    axes.axvline(promise, color=GREY, linestyle="--", linewidth=0.8, label=f"cyconv's promise, {promise:.0f} MB")
    axes.set_xscale("log")
    axes.grid(axis="x")
    axes.set_yticks(range(len(rows)), [f"{row['N']}x{row['layer']}" for row in rows], fontsize=7.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("MB beyond inputs and outputs, logarithmic")
    axes.set_title(f"{rows[0]['direction']}, {rows[0]['dtype']}")


def _megabytes(size: int) -> float:
    return max(size / 1e6, LEAST)
