"""One row of results: every contender does the same work, is checked, and only then timed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import NamedTuple

from bench import threads
from bench.peers import OURS, Contender
from bench.reference import reference
from bench.results import Row, Run
from bench.tables import geometric_mean
from bench.timing import alternate
from bench.work import Arrays, Prepared, UnsupportedError, Work, error, tolerance


def contest(work: Work, contenders: Sequence[Contender], *, budget: float, repeats: int) -> Row:
    """The row of ``work``: a timing for each contender, or the reason why it has none."""
    layer = work.layer
    row: Row = {
        "layer": layer.name,
        "kind": type(layer).__name__.lower(),
        "N": layer.N,
        "count": layer.count,
        "direction": work.direction,
        "dtype": str(work.x.dtype),
        "threads": work.threads,
        "algorithm": work.algorithm,
        "flops": layer.flops(work.direction),
        "bytes": layer.numbers(work.direction) * work.x.itemsize,
        "timings": {},
        "notes": {},
    }
    with threads.limited(work.threads):
        ready = prepare(work, contenders, row["notes"])
        timings = alternate(
            [prepared.run for prepared, _ in ready.values()],
            budget=budget,
            repeats=repeats,
            pause=work.threads > 1,
            rivals=[i for i, key in enumerate(ready) if not key.startswith(OURS)],
        )
    for (key, (prepared, difference)), timing in zip(ready.items(), timings, strict=True):
        entry = asdict(timing)
        if prepared.images:
            entry["images"] = prepared.images
            entry["best"] *= layer.N / prepared.images
            entry["median"] *= layer.N / prepared.images
        row["timings"][key] = entry | {"error": difference}
    return row


def prepare(work: Work, contenders: Sequence[Contender], notes: dict[str, str]) -> dict[str, tuple[Prepared, float]]:
    """The contenders that give the right result, and how far from float64 it is; others get a note."""
    ready = {}
    expected: dict[int | None, Arrays] = {None: reference(work)}
    for contender in contenders:
        try:
            prepared = contender.prepare(work)
            result = prepared.read(prepared.run())
        except (UnsupportedError, MemoryError) as reason:
            notes[contender.key] = str(reason)
            continue
        part = work.first(prepared.images) if prepared.images else work
        if prepared.images not in expected:
            expected[prepared.images] = reference(part)
        difference = error(result, expected[prepared.images])
        if difference <= tolerance(part):
            ready[contender.key] = prepared, difference
        else:
            notes[contender.key] = f"wrong: differs from float64 by {difference:.0e}"
    return ready


def best_peer(row: Row) -> str | None:
    """The fastest contender that is not ourselves."""
    peers = [key for key in row["timings"] if not key.startswith(OURS)]
    return min(peers, key=lambda key: float(row["timings"][key]["best"]), default=None)


def advantage(row: Row) -> float | None:
    """How many times faster than the best peer we are."""
    peer = best_peer(row)
    if peer is None or OURS not in row["timings"]:
        return None
    return float(row["timings"][peer]["best"] / row["timings"][OURS]["best"])


class Standing(NamedTuple):
    """Where we stand over several rows."""

    rows: int
    mean: float  # geometric
    least: float
    where: str  # the layer of the least, and the peer that is faster or nearest there


def standing(rows: Sequence[Row], run: Run) -> Standing | None:
    """Our advantage over the rows that have one; None if none has."""
    compared = [(ratio, row) for row in rows if (ratio := advantage(row))]
    if not compared:
        return None
    least, row = min(compared, key=lambda pair: pair[0])
    name = run.name(best_peer(row) or OURS)
    mean = geometric_mean(ratio for ratio, _ in compared)
    return Standing(len(compared), mean, least, f"{row['N']}x{row['layer']} ({name})")
