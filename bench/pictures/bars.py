"""Speeds as bars from zero: the longer the better, ours on top of nobody but the slower."""

from collections.abc import Mapping

from matplotlib.axes import Axes

from bench.pictures.style import GREY, VERMILION
from bench.tables import significant


def bars(axes: Axes, speeds: Mapping[str, float], ours: str) -> None:
    """One bar for each name, the fastest first, labelled with its speed and with how many times that is ours."""
    names = sorted(speeds, key=lambda name: -speeds[name])
    places = range(len(names))
    axes.barh(places, [speeds[name] for name in names], color=[VERMILION if name == ours else GREY for name in names])
    for place, name in zip(places, names, strict=True):
        ratio = f" ({significant(speeds[ours] / speeds[name])}x)" if ours in speeds and name != ours else ""
        axes.annotate(f"{significant(speeds[name])}{ratio}", (speeds[name], place), (3, 0),
                      textcoords="offset points", va="center", fontsize=8)  # fmt: skip
    axes.set_yticks(places, names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 1.3 * max(speeds.values(), default=1))
    axes.tick_params(axis="y", length=0)
