"""``report``: the pictures and tables of several runs on one page, which needs no other file."""

from __future__ import annotations

import base64
import importlib
from argparse import Namespace
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

from bench import pictures
from bench.console import Terminal
from bench.results import Run, UsageError
from bench.tables import Table

FORMS = (".html", ".png", ".svg")
STYLE = """\
body { font: 15px sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em; color: #111; background: white }
table { border-collapse: collapse; margin: 1em 0; font-size: 13px; font-variant-numeric: tabular-nums }
th, td { padding: 2px 10px; text-align: right; border-bottom: 1px solid #ddd; white-space: pre-line }
th:first-child, td:first-child { text-align: left }
caption { text-align: left; font-weight: bold; padding: 4px 0 }
img { width: 100% }
p { margin: 0.2em 0; font-size: 13px }
"""


def run(options: Namespace, terminal: Terminal) -> int:
    output = Path(options.output)
    if output.suffix not in FORMS:
        raise UsageError(f"--output {output}: the name must end in {', '.join(FORMS)}")
    if not output.absolute().parent.is_dir():
        raise UsageError(f"--output {output}: there is no such directory")
    runs = [Run.load(path) for path in options.files]
    if output.suffix == ".html":
        output.write_text(page(runs), encoding="utf-8")
    else:
        pictures.save(runs, output)
    terminal.line(f"report: {output}")
    return 0


def tables(run: Run) -> list[Table]:
    """The tables that the run's command printed."""
    command: Any = importlib.import_module(f"bench.{run.command}")
    found: list[Table] = command.tables(run)
    return found


def page(runs: Sequence[Run]) -> str:
    """HTML with each run's picture, if its kind has one, its tables, the machine and who took part."""
    body = "\n".join(line for run in runs for line in _section(run))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n<title>cyconv, measured</title>\n'
        f"<style>\n{STYLE}</style>\n<h1>cyconv, measured</h1>\n{body}\n</html>\n"
    )


def _section(run: Run) -> Iterator[str]:
    yield f"<h2>{escape(run.title())}</h2>"
    if run.command in pictures.KINDS:
        picture = base64.b64encode(pictures.draw_report([run])).decode()
        yield f'<img alt="{escape(run.title())}" src="data:image/svg+xml;base64,{picture}">'
    yield from (_html(table) for table in tables(run))
    yield from (f"<p>{escape(line)}</p>" for line in (run.where(), *run.who(), *run.remarks))


def _html(table: Table) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in table.columns)
    rows = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    notes = "\n".join(f"<p>{escape(note)}</p>" for note in table.notes)
    return f"<table>\n<caption>{escape(table.title)}</caption>\n<tr>{head}</tr>\n{rows}\n</table>\n{notes}"
