"""One layer as something grows: one small picture for each axis, speed from zero."""

from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from bench.pictures.style import BLACK, colour, marker
from bench.results import Row, Run
from bench.scaling import AXES, groups
from bench.tables import plural


def height(run: Run) -> float:
    return 3.3 * -(-len(groups(run)) // 2) + 0.5


def draw(run: Run, figure: SubFigure) -> None:
    curves = groups(run)
    columns = min(2, len(curves))
    grid = figure.subplots(-(-len(curves) // columns), columns, squeeze=False)
    for (key, rows), axes in zip(curves.items(), grid.flat, strict=False):
        _curves(run, *key, rows, axes)
    for axes in list(grid.flat)[len(curves) :]:
        axes.set_axis_off()
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.suptitle(run.where(), fontsize=8, color="#555555", x=0.01, ha="left")
    figure.legend(handles, labels, loc="outside lower center", ncols=min(6, len(labels)), fontsize=8)


def _curves(run: Run, axis: str, direction: str, count: int, rows: list[Row], axes: Axes) -> None:
    for key in run.contenders:
        points = [
            (row["value"], row["flops"] / row["timings"][key]["best"] / 1e9) for row in rows if key in row["timings"]
        ]
        if points:
            x, y = zip(*points, strict=True)
            axes.plot(x, y, color=colour(key), marker=marker(key), markersize=4, linewidth=1.2,
                      label=run.name(key))  # fmt: skip
    values = [row["value"] for row in rows]
    if axis != "threads":
        axes.set_xscale("log", base=2)
    axes.set_xticks(values, [str(value) for value in values])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.grid(axis="y")
    axes.set_xlabel(AXES[axis] + ("" if axis == "threads" else ", logarithmic"))
    axes.set_ylabel("GFLOP/s", color=BLACK)
    threads = f", {plural(count, 'thread')}" if count else ""
    layer = rows[len(rows) // 2]
    axes.set_title(f"{axis}: {direction}, {layer['dtype']}{threads}")
