"""A whole network: how many images a second go through its convolutions."""

from matplotlib.figure import SubFigure

from bench.peers import OURS
from bench.pictures.bars import bars
from bench.results import Run
from bench.stack import NAMES, steps
from bench.tables import plural


def height(run: Run) -> float:
    rows = [*run.rows, *steps(run)]
    most = max(len(row["timings"]) for row in rows)
    return (0.9 + 0.26 * most) * -(-len(rows) // 2)


def draw(run: Run, figure: SubFigure) -> None:
    figure.suptitle(run.where(), fontsize=8, color="#555555", x=0.01, ha="left")
    rows = [*run.rows, *steps(run)]
    columns = min(2, len(rows))
    grid = figure.subplots(-(-len(rows) // columns), columns, squeeze=False)
    for row, axes in zip(rows, grid.flat, strict=False):
        bars(axes, {run.name(key): row["N"] / timing["best"] for key, timing in row["timings"].items()}, OURS)
        axes.set_title(f"The {row['layers']} convolutions of {NAMES[row['network']]}, {row['direction']}")
        axes.set_xlabel(
            f"images a second (cyconv's speed over it); {row['dtype']}, {plural(row['threads'], 'thread')}, "
            f"N = {row['N']}"
        )
    for axes in list(grid.flat)[len(rows) :]:
        axes.set_axis_off()
