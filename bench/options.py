"""Every option of the command line, defined once; cli.py says which command takes which."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from bench.peers import MODULES, OURS
from bench.suites import DIRECTIONS, SUITES

RIVALS = tuple(key for key in MODULES if key != OURS)


def _whole(minimum: int) -> Callable[[str], int]:
    """A parser of integers from ``minimum`` on."""

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < minimum:
            raise argparse.ArgumentTypeError(f"{text!r}: allowed is an integer from {minimum} on")
        return int(text)

    return parse


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}: allowed is a number above 0")
    return value


def _one(*known: str) -> Callable[[str], str]:
    """A parser of one of a few words."""

    def parse(text: str) -> str:
        if text not in known:
            raise argparse.ArgumentTypeError(f"{text!r}: allowed are {', '.join(known)}")
        return text

    return parse


def _several(parse: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    """A parser of values separated by commas."""
    return lambda text: list(dict.fromkeys(parse(part) for part in text.split(",")))


def _directions(text: str) -> list[str]:
    groups = {"both": "forward,backward", "all": ",".join(DIRECTIONS)}
    return _several(_one(*DIRECTIONS))(groups.get(text, text))


def _peers(text: str) -> list[str]:
    return [] if text == "none" else _several(_one(*RIVALS))(text)


def _option(*flags: str, **arguments: Any) -> tuple[Sequence[str], dict[str, Any]]:
    return flags, arguments


OPTIONS = {
    "suite": _option(
        "--suite", type=_one(*SUITES), default="resnet50", metavar="NAME",
        help=f"which layers: {', '.join(SUITES)} (default: %(default)s)",
    ),
    "network": _option(
        "network", type=_one("resnet50", "vgg16"), nargs="?", default="resnet50",
        help="resnet50 (default) or vgg16",
    ),
    "trained": _option(
        "network", type=_one("resnet50"), nargs="?", default="resnet50", help="resnet50"
    ),
    "size": _option(
        "--size", type=_whole(32), default=224, metavar="N",
        help="height and width of the images (default: %(default)s)",
    ),
    "axes": _option(
        "axes", type=_several(_one("threads", "batch", "size", "channels")), nargs="?",
        default="threads,batch,size,channels", metavar="axes",
        help="what grows, of threads,batch,size,channels (default: %(default)s)",
    ),
    "batch": _option(
        "--batch", type=_whole(1), metavar="N", help="images in a batch (default: the suite's own)"
    ),
    "batches": _option(
        "--batch", type=_several(_whole(1)), metavar="N,...", dest="batches",
        help="images in a batch; several are measured in turn",
    ),
    "k": _option("-k", metavar="TEXT", help="only what has TEXT in its name, such as 3x3"),
    "direction": _option(
        "--direction", type=_directions, metavar="NAME,...", dest="directions", default="both",
        help=f"{', '.join(DIRECTIONS)} (all gradients together); both is forward and backward; all "
        "is each of them (default: %(default)s)",
    ),
    "dtype": _option(
        "--dtype", type=_one("float32", "float64"), default="float32", metavar="NAME",
        help="float32 or float64 (default: %(default)s)",
    ),
    "threads": _option(
        "--threads", type=_several(_whole(1)), default="1", metavar="N,...",
        help="threads for everyone; several counts are measured in turn (default: %(default)s)",
    ),
    "team": _option(
        "--threads", type=_whole(1), default=1, metavar="N",
        help="threads for everyone (default: %(default)s, as the notebook's loops have)",
    ),
    "algorithm": _option(
        "--algorithm", type=_one("auto", "direct", "winograd"), default="auto", metavar="NAME",
        help="what cyconv uses: auto, direct or winograd (default: %(default)s)",
    ),
    "algorithms": _option(
        "--algorithm", type=_several(_one("auto", "direct", "winograd")), default="auto", metavar="NAME,...",
        dest="algorithms", help="what cyconv uses; a network is trained with each (default: %(default)s)",
    ),
    "peers": _option(
        "--peers", type=_peers, metavar="NAME,...",
        help=f"whom to compare with: none, or some of {', '.join(RIVALS)} (default: those "
        "installed, without the loops)",
    ),
    "seconds": _option(
        "--seconds", type=_positive, default=0.3, metavar="S",
        help="time spent on one contender in one row, unless its median is known earlier "
        "(default: %(default)s)",
    ),
    "repeats": _option(
        "--repeats", type=_whole(1), default=5, metavar="N",
        help="timed samples of one contender in one row, at least (default: %(default)s)",
    ),
    "epochs": _option(
        "--epochs", type=_whole(1), default=15, metavar="N",
        help="how often the network sees the training images (default: %(default)s)",
    ),
    "seeds": _option(
        "--seeds", type=_whole(1), default=1, metavar="N",
        help="how many networks to train, each from its own seed (default: %(default)s)",
    ),
    "json": _option("--json", metavar="FILE", help="write the results, with the machine, to FILE"),
    "picture": _option(
        "--picture", metavar="FILE", help="draw the results to FILE, a .png or .svg"
    ),
    "old": _option("old", metavar="OLD.json", help="an earlier run"),
    "new": _option("new", metavar="NEW.json", help="a later run of the same command"),
    "threshold": _option(
        "--threshold", type=_positive, default=5.0, metavar="PERCENT",
        help="how much slower counts as slower (default: %(default)g)",
    ),
    "files": _option("files", nargs="+", metavar="RUN.json", help="results to put on one page"),
    "output": _option(
        "-o", "--output", default="bench-report.html", metavar="FILE",
        help="where to: an .html with the tables too, or a .png or .svg (default: %(default)s)",
    ),
    "check": _option(
        "--check", action="store_true", help="change nothing; exit status 1 if README.md is stale"
    ),
    "list": _option("--list", action="store_true", help="show the commands, measure nothing"),
    "write": _option("--write", action="store_true", help="bring README.md and its pictures up to date"),
}  # fmt: skip
