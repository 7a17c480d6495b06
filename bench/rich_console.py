"""Tables and a live progress bar by rich."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table as RichTable

from bench.console import WIDTH, Terminal, Tick
from bench.tables import Table


class RichTerminal(Terminal):
    def __init__(self) -> None:
        terminal = Console(highlight=False)
        self.console = terminal if terminal.is_terminal else Console(width=WIDTH, highlight=False)

    def line(self, text: str = "") -> None:
        self.console.print(text, markup=False)

    def table(self, table: Table) -> None:
        self.line()
        self.console.print(table.title, style="italic", markup=False)
        self.console.print(_rich(table))
        for note in table.notes:
            self.line(note)

    @contextmanager
    def progress(self, total: int, title: str) -> Iterator[Tick]:
        """A live bar with the time left, on a terminal."""
        if not self.console.is_terminal:
            with super().progress(total, title) as log:
                yield log
            return
        columns = (
            TextColumn(title),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
        )
        with Progress(*columns, console=self.console, transient=True) as bar:
            yield _Bar(bar, bar.add_task("", total=total))


class _Bar(Tick):
    def __init__(self, bar: Progress, task: TaskID) -> None:
        self.bar, self.task = bar, task

    def now(self, text: str) -> None:
        self.bar.update(self.task, description=text)

    def done(self) -> None:
        self.bar.advance(self.task)


def _rich(table: Table) -> RichTable:
    rich = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for number, column in enumerate(table.columns):
        style = "bold" if column == "cyconv" else None
        rich.add_column(column, justify="right" if number else "left", style=style, no_wrap=number == 0)
    for row in table.rows:
        rich.add_row(*row)
    return rich
