"""Pictures of results: each kind of run has one, and a report puts several on one page."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.results import Run, UsageError

KINDS = ("tour", "digits", "layers", "stack", "scaling", "memory", "accuracy")
WIDTH = 11.0  # inches
DPI = 130


def save(runs: Sequence[Run], path: str | Path) -> None:
    """One picture with a part for each run, from top to bottom, as PNG or SVG."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise UsageError("pictures need matplotlib: pip install matplotlib") from None
    from bench.pictures.style import RC

    drawers = [importlib.import_module(f"bench.pictures.{_kind(run)}") for run in runs]
    heights = [drawer.height(run) for drawer, run in zip(drawers, runs, strict=True)]
    with matplotlib.rc_context(RC):  # type: ignore[arg-type]
        figure = Figure(figsize=(WIDTH, sum(heights)), dpi=DPI, layout="constrained")
        parts = figure.subfigures(len(runs), 1, height_ratios=heights, squeeze=False)[:, 0]
        for drawer, run, part in zip(drawers, runs, parts, strict=True):
            drawer.draw(run, part)
        figure.savefig(path, metadata=_metadata(path, runs))


def source(runs: Sequence[Run]) -> str:
    """What a picture is made from, as a digest that the picture carries."""
    return hashlib.sha256(repr([asdict(run) for run in runs]).encode()).hexdigest()


def drawn_from(path: str | Path) -> str | None:
    """The digest a PNG carries; None if there is no such picture."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            digest: str | None = image.info.get("Source")
            return digest
    except OSError:
        return None


def _metadata(path: str | Path, runs: Sequence[Run]) -> dict[str, Any]:
    key = "Source" if Path(path).suffix == ".png" else "Description"
    return {key: source(runs)}


def _kind(run: Run) -> str:
    if run.command not in KINDS:
        raise UsageError(f"{run.command}: no picture of this command's results")
    return run.command
