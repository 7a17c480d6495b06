"""Errors of each algorithm, layer by layer."""

from matplotlib.figure import SubFigure

from bench.pictures.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION
from bench.results import Run

STYLES = (
    (VERMILION, "o"), (BLUE, "s"), (GREEN, "^"), (GREY, "X"), (SKY, "D"), (PURPLE, "v"), (ORANGE, "P"),
)  # fmt: skip


def height(run: Run) -> float:
    return 1.4 + 0.22 * len({row["layer"] for row in run.rows})


def draw(run: Run, figure: SubFigure) -> None:
    directions = list(dict.fromkeys(row["direction"] for row in run.rows))
    names = list(dict.fromkeys(name for row in run.rows for name in row["errors"]))
    grid = figure.subplots(1, len(directions), sharey=True, squeeze=False)[0]
    for direction, axes in zip(directions, grid, strict=True):
        rows = [row for row in run.rows if row["direction"] == direction]
        for name, (colour, marker) in zip(names, STYLES, strict=False):
            points = [(row["errors"][name], at) for at, row in enumerate(rows) if name in row["errors"]]
            if points:
                x, y = zip(*points, strict=True)
                label = name if name not in run.contenders else run.name(name)
                face = "none" if name.endswith("auto") else colour  # what it chose shows through
                size = 60 if name.endswith("auto") else 24
                axes.scatter(x, y, edgecolors=colour, facecolors=face, marker=marker, s=size, label=label)
        axes.set_xlim(left=0)
        axes.grid(axis="x")
        axes.set_yticks(range(len(rows)), [row["layer"] for row in rows], fontsize=7.5)
        axes.invert_yaxis()
        axes.set_title(f"{direction}, {rows[0]['dtype']}")
        axes.set_xlabel("largest error over largest value")
    handles, labels = grid[0].get_legend_handles_labels()
    figure.suptitle(run.where(), fontsize=8, color="#555555", x=0.01, ha="left")
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8)
