"""``digits``: a network learns real handwritten digits on cyconv, then again on the notebook's loops."""

from __future__ import annotations

import statistics
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import numpy as np

import cyconv
from bench import network, threads
from bench.console import Terminal, Tick
from bench.peers import OURS, notebook
from bench.results import Row, Run, UsageError
from bench.tables import Table, plural, seconds, significant, small
from bench.work import Array

BATCH = 32
RATE = 0.05
EPOCHS = 15
TEST = 360  # images kept for the test, a fifth
AGREE = 1e-10  # how closely the losses of the loops must follow, in float64
LOOP_BATCHES = 3


def measure(options: Namespace, run: Run, terminal: Terminal) -> None:
    images, labels = load(options.dtype)
    epochs = options.epochs
    batches = (len(labels) - TEST) // BATCH
    networks = [(seed, algorithm) for seed in range(options.seeds) for algorithm in options.algorithms]
    steps = len(networks) * (epochs * batches + LOOP_BATCHES)
    with threads.limited(options.threads), terminal.progress(steps, "digits") as tick:
        for seed, algorithm in networks:
            row = _row(seed, algorithm, options.dtype)
            run.rows.append(row)
            with _algorithm(algorithm):
                _train(row, images, labels, epochs, tick)
            _follow(row, images, labels, tick)


def _row(seed: int, algorithm: str, dtype: str) -> Row:
    lists = ("losses", "seconds", "accuracy", "loop_losses", "loop_seconds")
    row: Row = {"kind": "digits", "seed": seed, "algorithm": algorithm, "dtype": dtype, "notes": {}}
    return row | {name: [] for name in lists}


@contextmanager
def _algorithm(name: str) -> Iterator[None]:
    """What the notebook's functions, which take no algorithm, shall use."""
    before = cyconv.get_algorithm()
    cyconv.set_algorithm(name)
    try:
        yield
    finally:
        cyconv.set_algorithm(before)


def load(dtype: str) -> tuple[Array, Array]:
    """Images (1797, 8, 8, 1) in [0, 1] and their labels."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise UsageError("the digits come with scikit-learn: pip install scikit-learn") from None
    data = load_digits()
    return (data.images[..., None] / 16).astype(dtype), data.target


def _batches(seed: int, size: int, epoch: int) -> Array:
    """The training images' numbers, shuffled anew in each epoch, in equal batches."""
    order = np.random.default_rng([seed, epoch]).permutation(size)
    return order[: size // BATCH * BATCH].reshape(-1, BATCH)


def _split(seed: int, size: int) -> tuple[Array, Array]:
    order = np.random.default_rng(seed).permutation(size)
    return order[TEST:], order[:TEST]


def _train(row: Row, images: Array, labels: Array, epochs: int, tick: Tick) -> None:
    train, test = _split(row["seed"], len(labels))
    parameters = network.initial_parameters(row["seed"], row["dtype"])
    descent = network.Momentum(parameters, RATE)
    for epoch in range(epochs):
        for batch in _batches(row["seed"], len(train), epoch):
            chosen = train[batch]
            row["losses"].append(_step(cyconv, descent, images[chosen], labels[chosen], row["seconds"]))
            tick.now(_progress(row))
            tick.done()
        z, _ = network.scores(cyconv, parameters, images[test])
        row["accuracy"].append(float((z.argmax(1) == labels[test]).mean()))


def _follow(row: Row, images: Array, labels: Array, tick: Tick) -> None:
    """The first batches again, from the same weights, on the notebook's loops."""
    train, _ = _split(row["seed"], len(labels))
    descent = network.Momentum(network.initial_parameters(row["seed"], row["dtype"]), RATE)
    for batch in _batches(row["seed"], len(train), 0)[:LOOP_BATCHES]:
        tick.now("the first batches again, on the notebook's loops")
        chosen = train[batch]
        loss = _step(notebook, descent, images[chosen], labels[chosen], row["loop_seconds"])
        row["loop_losses"].append(loss)
        tick.done()
    if row["dtype"] == "float64" and not agreement(row) <= AGREE:
        row["notes"][OURS] = f"wrong: the losses differ by {agreement(row):.0e}, allowed are {AGREE:.0e}"


def _step(functions: Any, descent: network.Momentum, images: Array, labels: Array, times: list[float]) -> float:
    start = perf_counter()
    loss, gradients = network.loss_and_gradients(functions, descent.parameters, images, labels)
    descent.step(gradients)
    times.append(perf_counter() - start)
    return loss


def _progress(row: Row) -> str:
    accuracy = f", test accuracy {100 * row['accuracy'][-1]:.1f} %" if row["accuracy"] else ""
    return f"loss {row['losses'][-1]:.3f}{accuracy}"


def agreement(row: Row) -> float:
    """The largest difference between the losses of cyconv and of the loops, where there are both."""
    pairs = zip(row["losses"], row["loop_losses"], strict=False)
    return max((abs(a - b) for a, b in pairs), default=0.0)


def ratio(row: Row) -> float:
    """How many times longer the loops take for a batch; the best batch of each."""
    return float(min(row["loop_seconds"]) / min(row["seconds"]))


def learned(run: Run) -> list[Row]:
    """The rows of networks that have begun to learn."""
    return [row for row in run.rows if row.get("kind") == "digits" and row["losses"]]


def tables(run: Run) -> list[Table]:
    rows = learned(run)
    if not rows:
        return []
    several = len({row.get("algorithm") for row in rows}) > 1
    columns = ["seed", *(["algorithm"] if several else []), "batches", "last loss", "test accuracy", "training"]
    columns += ["cyconv a batch", "loops a batch", "ratio", "losses differ"]
    return [
        Table(
            f"digits: a network written with the notebook's eight functions, {rows[0]['dtype']}",
            [column.replace(" ", "\n", 1) for column in columns],
            [_line(row, several) for row in rows],
            [
                f"1,797 images of 8x8, {TEST} of them for the test, batches of {BATCH}; the fastest batch of each",
                *(_means(rows) if several else []),
                *(note for row in rows for note in row["notes"].values()),
            ],
        )
    ]


def _line(row: Row, several: bool) -> list[str]:
    trained = [
        str(row["seed"]),
        *([row["algorithm"]] if several else []),
        str(len(row["losses"])),
        f"{row['losses'][-1]:.4f}",
        f"{100 * row['accuracy'][-1]:.1f} %" if row["accuracy"] else "-",
        seconds(sum(row["seconds"])),
        seconds(min(row["seconds"])),
    ]
    if not row["loop_losses"]:
        return [*trained, "-", "-", "-"]
    return [*trained, seconds(min(row["loop_seconds"])), f"{significant(ratio(row))}x", small(agreement(row))]


def _means(rows: list[Row]) -> list[str]:
    """The mean accuracy with each algorithm."""
    accuracies: dict[str, list[float]] = {}
    for row in rows:
        if row["accuracy"]:
            accuracies.setdefault(row["algorithm"], []).append(100 * row["accuracy"][-1])
    return ["test accuracy: " + ", ".join(map(_mean, accuracies, accuracies.values()))]


def _mean(algorithm: str, accuracies: list[float]) -> str:
    low, high = min(accuracies), max(accuracies)
    return (
        f"{algorithm} {statistics.mean(accuracies):.2f} % ({low:.1f} to {high:.1f}, {plural(len(accuracies), 'seed')})"
    )
