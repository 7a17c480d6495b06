"""``train``: a training step of a whole network in PyTorch, plain and accelerated by cyconv."""

from __future__ import annotations

import copy
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from bench import threads
from bench.console import Terminal
from bench.peers import OURS
from bench.results import Row, Run, UsageError
from bench.tables import Table, percent, seconds, significant, small
from bench.timing import alternate

TOLERANCE = {"float32": 1e-2, "float64": 1e-8}
"""Above this share of the gradient's length a difference is no rounding: fifty normalizations magnify it."""
PLAIN = "torch-nhwc"

Step = Callable[[], Any]


def measure(options: Namespace, run: Run, terminal: Terminal) -> None:
    keys = [contender.key for contender in options.contenders]
    for key in keys:
        if key != OURS and not key.startswith("torch"):
            raise UsageError(f"--peers {key}: train compares ways to run PyTorch: torch-nhwc, torch-nchw")
    run.remarks += threads.remarks()
    with terminal.progress(len(options.threads), options.network) as tick:
        for count in options.threads:
            tick.now(f"{options.dtype}, {count} threads")
            with threads.limited(count):
                run.rows.append(_contest(options, keys, count))
            tick.done()


def _contest(options: Namespace, keys: Sequence[str], count: int) -> Row:
    """One step of everyone from the same weights, compared; then the steps in turns."""
    steps, gradients = _prepare(options, keys, count)
    plain = gradients[PLAIN] if PLAIN in gradients else gradients[keys[-1]]
    notes, errors = {}, {}
    for key in keys:
        errors[key] = float((gradients[key] - plain).norm() / plain.norm())
        if not errors[key] <= TOLERANCE[options.dtype]:
            notes[key] = f"wrong: its gradient differs by {errors[key]:.0e}"
    gradients.clear()
    timed = [key for key in keys if key not in notes]
    timings = alternate([steps[key] for key in timed], budget=10 * options.seconds, repeats=options.repeats)
    return {
        "kind": "train",
        "network": options.network,
        "N": options.batch or 4,
        "size": options.size,
        "direction": "train",
        "dtype": options.dtype,
        "threads": count,
        "algorithm": "auto",
        "timings": {key: asdict(timing) | {"error": errors[key]} for key, timing in zip(timed, timings, strict=True)},
        "notes": notes,
    }


def _prepare(options: Namespace, keys: Sequence[str], count: int) -> tuple[dict[str, Step], dict[str, Any]]:
    """For each contender its training step, and the gradient of the first step."""
    try:
        import torch

        import cyconv.torch
        from bench.resnet import resnet50
    except ImportError as missing:
        raise UsageError(f"train needs PyTorch: {missing}") from None
    torch.set_num_threads(count)
    torch.manual_seed(0)
    dtype = getattr(torch, options.dtype)
    model = resnet50().to(dtype)
    N = options.batch or 4
    images = torch.randn(N, 3, options.size, options.size, dtype=dtype)
    labels = torch.randint(1000, (N,))
    loss = torch.nn.CrossEntropyLoss()
    steps: dict[str, Step] = {}
    gradients = {}
    for key in keys:
        memory_format = torch.contiguous_format if key == "torch-nchw" else torch.channels_last
        own = copy.deepcopy(model).to(memory_format=memory_format)
        if key == OURS:
            cyconv.torch.accelerate(own)
        x = images.to(memory_format=memory_format)
        descent = torch.optim.SGD(own.parameters(), lr=1e-3, momentum=0.9)

        def step(own: Any = own, x: Any = x, descent: Any = descent) -> None:
            descent.zero_grad()
            loss(own(x), labels).backward()
            descent.step()

        steps[key] = step
        step()
        gradients[key] = torch.cat([parameter.grad.flatten() for parameter in own.parameters()])
    return steps, gradients


def tables(run: Run) -> list[Table]:
    return [_table(run, row) for row in run.rows]


def _table(run: Run, row: Row) -> Table:
    ours = row["timings"].get(OURS)
    lines = []
    for key, timing in sorted(row["timings"].items(), key=lambda item: item[1]["best"]):
        lines.append(
            [
                "PyTorch + cyconv" if key == OURS else run.name(key),
                seconds(timing["best"]),
                seconds(timing["median"]),
                percent(timing["spread"]),
                significant(row["N"] / timing["best"]),
                small(timing["error"]),
                f"{timing['best'] / ours['best']:.2f}x" if ours else "-",
            ]
        )
    plural = "s" if row["threads"] > 1 else ""
    return Table(
        f"{row['network']}: a training step, N = {row['N']}, {row['size']}x{row['size']}, {row['dtype']}, "
        f"{row['threads']} thread{plural}",
        ["", "best", "median", "spread", "images/s", "gradient\ndiffers", "times cyconv"],
        lines,
        [f"{run.name(key)}: {note}" for key, note in row["notes"].items()],
    )
