"""The contenders: cyconv first, then every peer that is installed here.

Each peer is one module of this package with a function ``contenders() -> list[Contender]``; importing
it raises ImportError where the peer is missing.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from bench.work import Prepared, Work


@dataclass(frozen=True)
class Contender:
    key: str  # in --peers and in the JSON
    name: str  # in tables and pictures
    version: str
    layout: str  # what it is given, in its favourite layout: conversions are never timed
    prepare: Callable[[Work], Prepared]


OURS = "cyconv"

MODULES = {  # key -> module
    "cyconv": "own",
    "cyconv-direct": "own",
    "cyconv-out": "own",
    "cyconv-notebook": "own",
    "torch-nhwc": "pytorch",
    "torch-nchw": "pytorch",
    "onnxruntime": "onnx_runtime",
    "jax": "jax_xla",
    "im2col": "numpy_im2col",
    "windows": "numpy_windows",
    "loops": "loops",
}

PEERS = ("torch-nhwc", "torch-nchw", "onnxruntime", "jax", "im2col", "windows")


def load(key: str) -> Contender:
    """The contender of that name; ImportError says what is missing."""
    module = importlib.import_module(f"bench.peers.{MODULES[key]}")
    contenders: list[Contender] = module.contenders()
    return next(contender for contender in contenders if contender.key == key)


def installed(keys: tuple[str, ...]) -> tuple[list[Contender], dict[str, str]]:
    """Those of ``keys`` found here, and for the others what is missing."""
    found, missing = [], {}
    for key in keys:
        try:
            found.append(load(key))
        except ImportError as absence:
            missing[key] = str(absence)
    return found, missing
