"""Pictures of results: each kind of run has one, a report puts several below each other, README.md opens with one."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from bench.results import Run, UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = ("tour", "digits", "layers", "stack", "scaling", "memory", "accuracy")
WIDTH = 11.0  # inches
SVG = "{http://www.w3.org/2000/svg}"


def save(runs: Sequence[Run], path: str | Path) -> None:
    """The report of some runs as a file, .png or .svg."""
    Path(path).write_bytes(draw_report(runs, Path(path).suffix.removeprefix(".")))


def draw_report(runs: Sequence[Run], form: str = "svg") -> bytes:
    """One picture with a part for each run, from top to bottom."""
    drawers = [_drawer(_kind(run)) for run in runs]
    heights = [drawer.height(run) for drawer, run in zip(drawers, runs, strict=True)]

    def draw(figure: Figure) -> None:
        parts = figure.subfigures(len(runs), 1, height_ratios=heights, squeeze=False)[:, 0]
        for drawer, run, part in zip(drawers, runs, parts, strict=True):
            drawer.draw(run, part)

    return _picture(draw, (WIDTH, sum(heights)), form)


def draw_opening(runs: Sequence[Run], form: str = "svg") -> bytes:
    """The picture README.md opens with."""
    drawer = _drawer("opening")
    return _picture(lambda figure: drawer.draw(runs, figure), drawer.SIZE, form)


def _drawer(name: str) -> ModuleType:
    if not importlib.util.find_spec("matplotlib"):
        raise UsageError("pictures need matplotlib: pip install matplotlib")
    return importlib.import_module(f"bench.pictures.{name}")


def _picture(draw: Callable[[Figure], None], size: tuple[float, float], form: str) -> bytes:
    """The same bytes for the same runs: no date, and identifiers that depend on the content alone."""
    import matplotlib
    from matplotlib.figure import Figure

    from bench.pictures.style import RC

    metadata: dict[str, Any] = {"Date": None} if form == "svg" else {}
    file = BytesIO()
    with matplotlib.rc_context(RC):  # type: ignore[arg-type]
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        figure.savefig(file, format=form, metadata=metadata)
    return file.getvalue()


def same(one: bytes, other: bytes) -> bool:
    """Whether two SVGs show the same: in each byte, or where two versions of matplotlib drew them, in each word.

    Every bar is labelled with its value, so that the words hold the numbers.
    """
    return one == other or (_drawn_by(one) != _drawn_by(other) and _words(one) == _words(other))


def _drawn_by(svg: bytes) -> str:
    """matplotlib's name and version, which it leaves in its files."""
    creators = (element.itertext() for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("creator"))
    return " ".join("".join(creator).strip() for creator in creators)


def _words(svg: bytes) -> list[str]:
    return ["".join(element.itertext()) for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def _kind(run: Run) -> str:
    if run.command not in KINDS:
        raise UsageError(f"{run.command}: no picture of this command's results")
    return run.command
