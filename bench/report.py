"""``report``: the pictures of several runs on one page."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from bench import pictures
from bench.console import Terminal
from bench.results import Run, UsageError


def run(options: Namespace, terminal: Terminal) -> int:
    if Path(options.output).suffix not in (".png", ".svg"):
        raise UsageError(f"--output {options.output}: the name must end in .png or .svg")
    pictures.save([Run.load(path) for path in options.files], options.output)
    terminal.line(f"picture: {options.output}")
    return 0
