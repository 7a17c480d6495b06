"""The command line: which commands there are, and what happens with their results."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import NamedTuple, NoReturn

import cyconv
from bench import pictures
from bench.console import Terminal, open_terminal
from bench.options import OPTIONS
from bench.peers import OURS, PEERS, Contender, installed
from bench.results import Run, UsageError

DESCRIPTION = """\
usage: python -m bench [command] [options]

Where cyconv stands: its speed, memory and accuracy beside every other library installed here.
Without a command: the tour, in under two minutes on two cores.
"""


class Command(NamedTuple):
    """What a module of this package offers on the command line."""

    help: str
    options: str
    defaults: Mapping[str, object] = MappingProxyType({})
    peers: tuple[str, ...] = PEERS  # where --peers does not say


_LIMITED = "dtype threads algorithm peers seconds repeats json picture"

COMMANDS = {
    "tour": Command(
        "the notebook's cells on every backend, then a network that learns real digits",
        "dtype team algorithms epochs seeds json picture",
        {"dtype": "float64", "picture": "bench-report.svg"},
    ),
    "digits": Command(
        "train a small network on 1,797 real digits, and again on the notebook's loops",
        "dtype team algorithms epochs seeds json picture",
        {"dtype": "float64"},
    ),
    "layers": Command(
        "each layer of a suite against every peer, with its share of the machine's limit",
        f"suite batches k direction {_LIMITED}",
    ),
    "stack": Command(
        "every convolution of a whole network, one after the other",
        f"network batch direction {_LIMITED}",
    ),
    "train": Command(
        "a training step of a whole network in PyTorch, plain and accelerated by cyconv",
        "trained batch size dtype threads peers seconds repeats json",
        peers=("torch-nhwc", "torch-nchw"),
    ),
    "scaling": Command(
        "one layer as threads, batch, image or channels grow",
        f"axes direction {_LIMITED}",
        {"directions": "forward"},
    ),
    "memory": Command(
        "the peak memory of one call beyond its inputs and outputs, in fresh processes",
        "suite batches k direction dtype team algorithm peers json picture",
        {"suite": None, "batches": [1, 4, 16]},
    ),
    "accuracy": Command(
        "errors against a higher precision, for each algorithm; of the 3x3 layers, one image, unless told otherwise",
        "suite batches k direction dtype peers json picture",
        {"batches": [1], "k": "3x3"},
        ("torch-nhwc",),
    ),
    "choice": Command(
        "whether algorithm=auto is the faster one, wherever there are two",
        "suite batches k direction dtype threads seconds repeats json",
        {"suite": None, "directions": "all"},
    ),
    "overhead": Command(
        "microseconds of one small call, all checks included",
        "k dtype threads peers seconds repeats json",
        {"dtype": "float64"},
    ),
    "compare": Command("what became slower between two runs", "old new threshold"),
    "report": Command("one page of pictures from several runs", "files output"),
    "record": Command("measure again what bench/results holds", "k list"),
    "readme": Command("README.md's tables and pictures from the committed runs", "check write"),
}

INTERRUPTED = 130  # what a shell makes of Ctrl-C


class Parser(argparse.ArgumentParser):
    """A mistake is one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    try:
        options = _parse(list(sys.argv[1:] if arguments is None else arguments))
        module = importlib.import_module(f"bench.{options.command}")
        terminal = open_terminal()
        if hasattr(module, "measure"):
            return _measure(module, options, terminal)
        status: int = module.run(options, terminal)
        return status
    except UsageError as mistake:
        print(f"bench: {mistake}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED


def _parse(arguments: list[str]) -> argparse.Namespace:
    if arguments[:1] in (["-h"], ["--help"]):
        print("\n".join([DESCRIPTION, *(_parser(name).format_help() for name in COMMANDS)]))
        raise SystemExit(0)
    named = bool(arguments) and not arguments[0].startswith("-")
    command = arguments.pop(0) if named else "tour"
    if command not in COMMANDS:
        raise UsageError(f"{command}: no such command; there are {', '.join(COMMANDS)}")
    options = _parser(command).parse_args(arguments)
    options.command = command
    return options


def _parser(name: str) -> Parser:
    command = COMMANDS[name]
    parser = Parser(f"python -m bench {name}", description=command.help)
    for option in command.options.split():
        flags, settings = OPTIONS[option]
        parser.add_argument(*flags, **settings)
    parser.set_defaults(**command.defaults)
    return parser


def _measure(module: ModuleType, options: argparse.Namespace, terminal: Terminal) -> int:
    """Measure until done or interrupted, then show and keep what there is."""
    _check_threads(options)
    _check_files(options, terminal)
    run = Run.start(options.command, _plain(options))
    if hasattr(options, "peers"):
        options.contenders = _contenders(options, run)
    try:
        module.measure(options, run, terminal)
    except KeyboardInterrupt:
        run.interrupted = True
        terminal.line("interrupted: this is what was measured so far")
    run.finish()
    for table in module.tables(run):
        terminal.table(table)
    terminal.line()
    for line in [run.where(), *run.who(), *run.remarks]:
        terminal.line(line)
    if run.rows:
        _keep(run, options, terminal)
    if run.interrupted:
        return INTERRUPTED
    return 1 if run.wrong() else 0


def _plain(options: argparse.Namespace) -> dict[str, object]:
    files = ("command", "json", "picture")
    return {key: value for key, value in vars(options).items() if key not in files}


def _contenders(options: argparse.Namespace, run: Run) -> list[Contender]:
    """cyconv and the peers that were asked for, or all that are installed."""
    asked = options.peers is not None
    found, missing = installed((OURS, *(options.peers if asked else COMMANDS[options.command].peers)))
    if missing and asked:
        raise UsageError("; ".join(f"--peers {key}: {why}" for key, why in missing.items()))
    run.meet(found, missing)
    return found


def _check_threads(options: argparse.Namespace) -> None:
    """Refuse more threads than cyconv would use: the others would use them, and be slower for it."""
    asked = getattr(options, "threads", None) or []
    most = cyconv.get_num_threads()
    for count in [asked] if isinstance(asked, int) else asked:
        if count > most:
            raise UsageError(f"--threads {count}: this process may use {most}")


def _check_files(options: argparse.Namespace, terminal: Terminal) -> None:
    """Refuse before the work what could not be written after it."""
    picture = getattr(options, "picture", None)
    for flag, path in (("--json", options.json), ("--picture", picture)):
        if path and not Path(path).absolute().parent.is_dir():
            raise UsageError(f"{flag} {path}: there is no such directory")
    if picture and Path(picture).suffix not in (".png", ".svg"):
        raise UsageError(f"--picture {picture}: the name must end in .png or .svg")
    if picture and not importlib.util.find_spec("matplotlib"):
        if picture != COMMANDS[options.command].defaults.get("picture"):
            raise UsageError("--picture needs matplotlib: pip install matplotlib")
        terminal.line("no picture without matplotlib")
        options.picture = None


def _keep(run: Run, options: argparse.Namespace, terminal: Terminal) -> None:
    if options.json:
        run.save(options.json)
        terminal.line(f"results: {options.json}")
    if getattr(options, "picture", None):
        pictures.save([run], options.picture)
        terminal.line(f"picture: {options.picture}")
