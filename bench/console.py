"""Tables and progress in plain text; rich_console.py does the same in better style where rich is installed."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

from bench.tables import Table

WIDTH = 100  # columns, where there is no terminal to ask


class Tick:
    """What a command tells while it works."""

    def now(self, text: str) -> None:
        """Say what is being done."""

    def done(self) -> None:
        """Count one step."""


class Terminal:
    """Where a command's answer goes."""

    def line(self, text: str = "") -> None:
        print(textwrap.fill(text, WIDTH, break_long_words=False), flush=True)

    def table(self, table: Table) -> None:
        self.line()
        print(_text(table))
        for note in table.notes:
            self.line(note)

    @contextmanager
    def progress(self, total: int, title: str) -> Iterator[Tick]:
        """The tick that this yields counts steps and says what comes next."""
        yield _Log(total, title)


class _Log(Tick):
    """Ten lines on standard error, for files and for terminals without rich."""

    def __init__(self, total: int, title: str) -> None:
        self.total, self.title, self.count = total, title, 0
        self.step = max(1, total // 10)

    def done(self) -> None:
        self.count += 1
        if self.count % self.step == 0 or self.count == self.total:
            print(f"{self.title}: {self.count} of {self.total}", file=sys.stderr, flush=True)


def open_terminal() -> Terminal:
    """The best this installation has."""
    try:
        from bench.rich_console import RichTerminal
    except ImportError:
        return Terminal()
    return RichTerminal()


def _text(table: Table) -> str:
    lines: list[tuple[str, ...]] = []
    for row in (table.columns, *table.rows):
        cells = [cell.split("\n") for cell in row]
        height = max(map(len, cells))
        lines += zip(*(cell + [""] * (height - len(cell)) for cell in cells), strict=True)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in lines]
    return "\n".join([table.title, *text])
