"""The compiled kernels: picks the build for this CPU once, at import.

A module of another ISA is never imported before the CPU was asked: compiled with wide vectors throughout, even its
initialisation may use them.
"""

import importlib
import importlib.util
import os
from threading import Lock
from typing import Any

import numpy as np

from cyconv.kernels import cpu

SOURCES = ("conv", "depthwise", "pool", "winograd")
DTYPES: dict[np.dtype[Any], str] = {np.dtype(np.float32): "f32", np.dtype(np.float64): "f64"}
ISAS = ("baseline", "v3", "v4") if importlib.util.find_spec(f"{__name__}.conv_f32_baseline") else ("native",)

modules: dict[tuple[str, np.dtype[Any]], Any] = {}
"""The kernels in use, by source and dtype."""

_active = ""
_selecting = Lock()


def available() -> tuple[str, ...]:
    """ISA builds that were compiled and that this CPU runs, from the plainest to the widest."""
    return tuple(
        isa
        for level, isa in enumerate(ISAS)
        if level <= cpu.level() and importlib.util.find_spec(f"{__name__}.conv_f32_{isa}")
    )


def active() -> str:
    """The ISA build in use."""
    return _active


def select(isa: str) -> None:
    """Use another ISA build from now on, in every thread: for tests and benchmarks.

    Raises ImportError if the CPU or this installation does not have it.
    """
    global _active
    if isa not in available():
        why = "this installation" if isa not in ISAS else "this CPU or this installation"
        raise ImportError(f"CYCONV_ISA={isa!r}: {why} has no such kernels; available here: {', '.join(available())}")
    found = {
        (source, dtype): importlib.import_module(f"{__name__}.{source}_{name}_{isa}")
        for source in SOURCES
        for dtype, name in DTYPES.items()
    }
    with _selecting:
        modules.update(found)
        _active = isa


select(os.environ.get("CYCONV_ISA") or available()[-1])
