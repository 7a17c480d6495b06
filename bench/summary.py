"""What the rows of one or several runs of ``layers`` amount to: means, and where we are slowest, by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from bench.contest import best_peer
from bench.groups import BEST, GROUPS, LIMIT, Group
from bench.peers import OURS
from bench.results import Row, Run
from bench.suites import Pool, layer_of
from bench.tables import Table, geometric_mean, percent, plural

KEYS = ("direction", "dtype", "threads", "algorithm")
DIRECT = "cyconv-direct"  # among the contenders, if asked for
SLOWEST = 8  # rows to be named


class Score(NamedTuple):
    """A row by a group's measure."""

    value: float
    row: Row
    rival: str  # the name of whom it is measured by; empty for the machine's limit


class Line(NamedTuple):
    """A group, or what it has of one direction, dtype, number of threads and algorithm."""

    group: Group
    key: tuple[Any, ...]
    scores: list[Score]

    @property
    def aside(self) -> bool:
        """Whether these are times of a second cyconv, beside the one the run is about."""
        return bool(self.key[-1] != self.scores[0].row["algorithm"])

    @property
    def mean(self) -> float:
        return geometric_mean(score.value for score in self.scores)

    @property
    def least(self) -> Score:
        return min(self.scores, key=lambda score: score.value)


def table(runs: Sequence[Run]) -> Table:
    """A line for each group of layers, the one with the slowest row first; what is the same in all is in the title."""
    lines = sorted(_lines(runs), key=lambda line: (line.group.measure == LIMIT, line.least.value))
    varying = [place for place in range(len(KEYS)) if len({line.key[place] for line in lines}) > 1]
    fixed = [f"{KEYS[place]} {lines[0].key[place]}" for place in range(len(KEYS)) if lines and place not in varying]
    cells = [
        [
            f"{line.group.title}\nof {line.group.measure}",
            *(str(line.key[place]) for place in varying),
            str(len(line.scores)),
            _figure(line.group, line.mean),
            _figure(line.group, line.least.value),
            _name(line.least, "\n"),
        ]
        for line in lines
    ]
    columns = ["layers", *(KEYS[place] for place in varying), "rows", "geometric\nmean", "least", "at"]
    return Table(", ".join(["Summary", *fixed]), columns, cells, _slowest(lines, varying))


def overview(runs: Sequence[Run]) -> Table:
    """A line for each group and algorithm, a column for each direction, dtype and number of threads."""
    lines = _lines(runs)
    columns = list(dict.fromkeys(line.key[:-1] for line in lines))
    places = {(line.group, *line.key): line for line in lines}
    cells = [
        [
            f"{group.title}, {algorithm}\nof {group.measure}",
            *(_both(places.get((group, *c, algorithm))) for c in columns),
        ]
        for group in GROUPS
        for algorithm in dict.fromkeys(line.key[-1] for line in lines if line.group is group)
    ]
    titles = [f"{direction}\n{dtype}, {plural(threads, 'thread')}" for direction, dtype, threads in columns]
    varying = [place for place in range(len(KEYS)) if len({line.key[place] for line in lines}) > 1]
    notes = ["each cell: geometric mean, least, rows", *_slowest(lines, varying)]
    return Table("cyconv's speed, in times its rival's or as a share of the limit", ["layers", *titles], cells, notes)


def _both(line: Line | None) -> str:
    if line is None:
        return ""
    mean, least = (_figure(line.group, value) for value in (line.mean, line.least.value))
    return f"{mean}\nleast {least}, {len(line.scores)}"


def _lines(runs: Sequence[Run]) -> list[Line]:
    lines: dict[tuple[Any, ...], Line] = {}
    for run in runs:
        for row in run.rows:
            for ours, algorithm in ((OURS, row["algorithm"]), (DIRECT, "direct")):
                key = row["direction"], row["dtype"], row["threads"], algorithm
                for group, score in _scores(run, row, ours):
                    lines.setdefault((group.title, *key), Line(group, key, [])).scores.append(score)
    return list(lines.values())


def _scores(run: Run, row: Row, key: str) -> Iterator[tuple[Group, Score]]:
    """The row by the measure of each group it belongs to, with the time of cyconv under that key."""
    layer = layer_of(row["suite"], row["layer"], row["N"])
    timings = row["timings"]
    if key not in timings or (key == DIRECT and isinstance(layer, Pool)):  # pooling has no algorithms
        return
    ours = timings[key]["best"]
    for group in GROUPS:
        if row["direction"] not in group.directions or not group.holds(layer):
            continue
        if group.measure == LIMIT:
            work = "flops" if row["flops"] else "bytes"
            yield group, Score(row[work] / ours / run.limits[f"{row['dtype']} {row['threads']}"][work], row, "")
        elif (peer := best_peer(row) if group.measure == BEST else group.measure) in timings:
            yield group, Score(timings[peer]["best"] / ours, row, run.name(str(peer)))


def _figure(group: Group, value: float) -> str:
    return percent(value) if group.measure == LIMIT else f"{value:.2f}x"


def _name(score: Score, separator: str = " ") -> str:
    return f"{score.row['N']}x{score.row['layer']}" + (f"{separator}({score.rival})" if score.rival else "")


def _slowest(lines: Sequence[Line], varying: Sequence[int]) -> list[str]:
    """The rows that are slowest against the best peer."""
    scores = [(score, line.key) for line in lines if line.group is GROUPS[0] for score in line.scores if not line.aside]
    scores.sort(key=lambda pair: pair[0].value)
    named = [
        " ".join([f"{score.value:.2f}x", *(str(key[place]) for place in varying), _name(score)])
        for score, key in scores[:SLOWEST]
    ]
    return [f"slowest rows: {', '.join(named)}"] if named else []
