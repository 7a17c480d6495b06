"""A suite: how many times the best peer's speed each layer reaches, and a roofline of all of them."""

from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from bench.contest import advantage
from bench.pictures import roofline
from bench.pictures.style import BLACK, BLUE, ORANGE
from bench.results import Row, Run
from bench.tables import geometric_mean, plural


def height(run: Run) -> float:
    layers = {(row["layer"], row["N"]) for row in run.rows}
    rooflines = 3.6 * len(_threads(run)) if roofline.rows(run) else 0
    return len(_threads(run)) * (1.2 + 0.19 * len(layers)) + rooflines


def draw(run: Run, figure: SubFigure) -> None:
    counts = _threads(run)
    has_roofline = bool(roofline.rows(run))
    parts = figure.subfigures(len(counts) * (1 + has_roofline), 1, squeeze=False)[:, 0]
    figure.suptitle(run.where(), fontsize=8, color="#555555", x=0.01, ha="left")
    for number, count in enumerate(counts):
        rows = [row for row in run.rows if row["threads"] == count]
        directions = list(dict.fromkeys(row["direction"] for row in rows))
        axes = parts[number].subplots(1, len(directions), sharey=True, squeeze=False)[0]
        for place, direction in zip(axes, directions, strict=True):
            _bars([row for row in rows if row["direction"] == direction], place)
        if has_roofline:
            roofline.draw(run, count, parts[len(counts) + number])


def _threads(run: Run) -> list[int]:
    return list(dict.fromkeys(row["threads"] for row in run.rows))


def _bars(rows: list[Row], axes: Axes) -> None:
    ratios = [advantage(row) for row in rows]
    known = [ratio for ratio in ratios if ratio]
    places = range(len(rows))
    axes.barh(
        places,
        [ratio or 0 for ratio in ratios],
        color=[BLUE if ratio and ratio >= 1 else ORANGE for ratio in ratios],
    )
    for place, ratio in zip(places, ratios, strict=True):
        text = f"{ratio:.2f}" if ratio else "no peer"
        color = "white" if ratio and ratio >= 1 else BLACK
        axes.annotate(text, (0, place), (4, 0), textcoords="offset points", va="center", fontsize=7, color=color)
    axes.axvline(1, color=BLACK, linewidth=0.8)
    axes.set_yticks(places, [f"{row['N']}x{row['layer']}" for row in rows], fontsize=7.5)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, 1.05 * max([1, *known]))
    axes.tick_params(axis="y", length=0)
    row = rows[0]
    mean = f", {geometric_mean(known):.2f} in the mean" if known else ""
    axes.set_title(f"{row['suite']} {row['direction']}{mean}")
    axes.set_xlabel(f"speed over the best peer's; {row['dtype']}, {plural(row['threads'], 'thread')}")
