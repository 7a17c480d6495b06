"""A table as data, and its two appearances: in a terminal (console.py) and as Markdown (here)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Table:
    title: str
    columns: list[str]
    rows: list[list[str]]
    notes: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        """As GitHub renders it; the first column is text, the others are numbers."""
        rule = ["---", *["---:"] * (len(self.columns) - 1)]
        columns = [column.replace("\n", " ") for column in self.columns]
        rows = [[cell.replace("\n", "<br>") for cell in row] for row in self.rows]
        lines = [columns, rule, *rows]
        body = "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)
        notes = "".join(f"\n\n{note}" for note in self.notes)
        return f"**{self.title}**\n\n{body}{notes}\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def seconds(value: float) -> str:
    """Three digits and a unit: 12.3 us."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if value >= scale:
            return f"{significant(value / scale)} {unit}"
    return f"{value / 1e-6:.2f} us"


def significant(value: float) -> str:
    """Three significant digits without an exponent: 0.25, 3.14, 27.2, 1523."""
    if value == 0 or not math.isfinite(value):
        return f"{value:.0f}"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(places, 4)}f}"


def plural(count: int, noun: str) -> str:
    """1 thread, 2 threads."""
    return f"{count} {noun}{'s' if count != 1 else ''}"


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def small(value: float) -> str:
    """An error: 2e-16."""
    return f"{value:.0e}".replace("e-0", "e-") if value else "0"


def geometric_mean(values: Iterable[float]) -> float:
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs)) if logs else float("nan")
