"""``readme``: README.md's tables and pictures, made from the runs in bench/results.

A block of README.md stands between ``<!-- bench: KIND NAME ... -->`` and ``<!-- bench end -->`` and is made of the
runs bench/results/NAME.json, those that are there.  KINDS says what it then holds; a picture is a file beside the runs.
"""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import accuracy, pictures, speedup, summary
from bench.console import Terminal
from bench.report import tables
from bench.results import Run, UsageError
from bench.tables import Table

ROOT = Path(__file__).resolve().parents[1]
README, RESULTS = ROOT / "README.md", ROOT / "bench" / "results"
BLOCK = re.compile(r"(<!-- bench: (\w+) ([^>]+?) -->\n)(.*?)(<!-- bench end -->)", re.DOTALL)


def run(options: Namespace, terminal: Terminal) -> int:
    if options.check == options.write:
        raise UsageError("readme: give either --check or --write")
    try:
        text = README.read_text(encoding="utf-8")
    except OSError as failure:
        raise UsageError(f"README.md: {failure.strerror}") from None
    stale: list[str] = []

    def block(match: re.Match[str]) -> str:
        opening, kind, names, old, closing = match.groups()
        new = _content(kind, names.split(), options.write, stale)
        if new != old:
            stale.append(f"{kind} {names}")
        return opening + new + closing

    fresh = BLOCK.sub(block, text)
    if options.write:
        README.write_text(fresh, encoding="utf-8")
    named = dict.fromkeys(name for _, _, names, _, _ in BLOCK.findall(text) for name in names.split())
    if missing := [name for name in named if not _path(name).exists()]:
        terminal.line(f"not in bench/results, and left out: {', '.join(missing)}")
    word = "brought up to date" if options.write else "stale"
    for name in stale:
        terminal.line(f"{word}: {name}")
    return 1 if stale and options.check else 0


def _content(kind: str, names: Sequence[str], write: bool, stale: list[str]) -> str:
    if kind not in KINDS:
        raise UsageError(f"README.md: bench: {kind}: allowed are {', '.join(KINDS)}")
    runs = [Run.load(_path(name)) for name in names if _path(name).exists()]
    if not runs:
        return ""
    made = KINDS[kind](runs)
    if isinstance(made, str):
        return f"\n{made}\n"
    path = RESULTS / f"{kind if kind == 'opening' else names[0]}.svg"
    if not path.exists() or not pictures.same(path.read_bytes(), made):
        stale.append(str(path.relative_to(ROOT)))
        if write:
            path.write_bytes(made)
    titles = ", ".join(run.title() for run in runs)
    return f"\n![{titles}]({path.relative_to(ROOT).as_posix()})\n\n{_places(runs)}\n"


def _path(name: str) -> Path:
    return RESULTS / f"{name}.json"


def _places(runs: Sequence[Run]) -> str:
    """Where and when they were measured."""
    return "\n\n".join(dict.fromkeys(run.where() for run in runs)) + "\n"


def _tables(runs: Sequence[Run], made: Callable[[Run], Sequence[Table]] = tables) -> str:
    """Every table of the runs, and where each was measured."""
    return "\n".join(text for run in runs for text in (*(t.markdown() for t in made(run)), f"{run.where()}\n"))


def _threads(runs: Sequence[Run]) -> str:
    """What more threads bring."""
    return _tables(runs, speedup.tables)


def _summary(runs: Sequence[Run]) -> str:
    """Rows that are judged together, whichever of the runs they come from."""
    return f"{summary.overview(runs).markdown()}\n{_places(runs)}"


def _errors(runs: Sequence[Run]) -> str:
    """The largest errors of each algorithm."""
    return f"{accuracy.largest(runs).markdown()}\n{_places(runs)}"


KINDS: dict[str, Callable[[Sequence[Run]], str | bytes]] = {
    "tables": _tables,
    "summary": _summary,
    "errors": _errors,
    "threads": _threads,
    "opening": pictures.draw_opening,
    "picture": pictures.draw_report,
}
