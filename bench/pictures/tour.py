"""The tour: the time of each cell on every backend, and the network learning."""

from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from bench.pictures import digits
from bench.pictures.style import colour, marker
from bench.results import Run
from bench.tables import significant
from bench.tour import OURS, cells


def height(run: Run) -> float:
    return 5.4


def draw(run: Run, figure: SubFigure) -> None:
    figure.suptitle(run.where(), fontsize=8, color="#555555", x=0.01, ha="left")
    left, right = figure.subfigures(1, 2, width_ratios=(3, 2), squeeze=False)[0]
    _cells(run, left.subplots())
    digits.draw(run, right)


def _cells(run: Run, axes: Axes) -> None:
    rows = cells(run)
    places = range(len(rows))
    for key in run.contenders:
        points = [
            (row["timings"][key]["best"], place)
            for place, row in zip(places, rows, strict=True)
            if key in row["timings"]
        ]
        if points:
            times, at = zip(*points, strict=True)
            front = 3 if key == OURS else 2
            axes.scatter(
                times, at, s=45, color=colour(key), marker=marker(key), zorder=front,
                label=run.name(key),
            )  # fmt: skip
    for place, row in zip(places, rows, strict=True):
        timings = row["timings"]
        if OURS in timings and "loops" in timings:
            ours, loops = timings[OURS]["best"], timings["loops"]["best"]
            last = max(timing["best"] for timing in timings.values())
            axes.annotate(
                f"{significant(loops / ours)}x", (last, place), xytext=(8, 0),
                textcoords="offset points", va="center", fontsize=8,
            )  # fmt: skip
            axes.plot((ours, loops), (place, place), color="#dddddd", zorder=1)
    axes.set_xscale("log")
    axes.margins(x=0.12)
    axes.set_yticks(places, [f"{row['N']}x{row['layer']}\n{row['direction']}" for row in rows])
    axes.invert_yaxis()
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"seconds for one call, logarithmic; {rows[0]['dtype']} (the number: the loops over cyconv)")
    axes.set_title("cyconv against the notebook's loops, and the others")
    axes.legend(loc="upper center", bbox_to_anchor=(0.4, -0.1), ncols=3, fontsize=8)
