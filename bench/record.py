"""``record``: measure again what bench/results holds, each run of campaign.py in a fresh process."""

from __future__ import annotations

import subprocess
import sys
from argparse import Namespace
from time import perf_counter

from bench.campaign import RUNS
from bench.console import Terminal
from bench.readme import RESULTS, ROOT
from bench.results import UsageError
from bench.tables import seconds


def run(options: Namespace, terminal: Terminal) -> int:
    chosen = {name: line for name, line in RUNS.items() if (options.k or "") in name}
    if not chosen:
        raise UsageError(f"-k {options.k}: no run's name contains that; the runs are {', '.join(RUNS)}")
    if options.list:
        for name, line in chosen.items():
            print(f"{name}: python -m bench {line}")
        return 0
    failed = [name for name, line in chosen.items() if not _measure(name, line, terminal)]
    if failed:
        terminal.line(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


def _measure(name: str, line: str, terminal: Terminal) -> bool:
    """One run; what there was before stays if it fails."""
    terminal.line(f"{name}: python -m bench {line}")
    start = perf_counter()
    new = RESULTS / f"{name}.json.new"
    child = subprocess.run([sys.executable, "-m", "bench", *line.split(), "--json", str(new)], cwd=ROOT)
    if child.returncode == 0:
        new.replace(RESULTS / f"{name}.json")
    new.unlink(missing_ok=True)
    terminal.line(f"{name}: {seconds(perf_counter() - start)}, exit status {child.returncode}")
    return child.returncode == 0
