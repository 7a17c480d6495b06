"""Fair timing: contenders take turns in one process until their medians are known.

A turn is a pause, an untimed call, then timed calls for some milliseconds.  The pause, where there are several
threads, is there because those of OpenMP and ONNX Runtime spin for a while after their work and would slow the next
contender.  The untimed call finds the caches and the heap as another contender left them; a long one would hardly
notice, and is timed at once.  The order of the turns is drawn anew in each round, so that nobody always comes after the
same one.

Where only the fastest of some is asked for, a long call that cannot be it takes no second turn.
"""

from __future__ import annotations

import gc
import math
import random
import statistics
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from time import perf_counter, sleep
from typing import Any

SAMPLE = 50e-6  # seconds; shorter calls are timed several at a time
TURN = 20e-3  # seconds of timed calls before the next contender's turn
LONG = 0.2  # seconds of a call; filling caches and heap again takes it some milliseconds
HOPELESS = 1.5  # times as long as the fastest, warming up and in its first turn: no longer a rival
PAUSE = 20e-3  # seconds: libgomp's default spinning lasts about this long
WIDTH = 0.02  # the median counts as known when its 95 % interval is within +- this share of it
ROUNDS = 3  # turns that every contender gets at least, if the budget allows


@dataclass(frozen=True)
class Timing:
    """Seconds of one call."""

    best: float
    median: float
    spread: float  # from the first to the third quartile, over the median
    samples: int


def alternate(
    calls: Sequence[Callable[[], Any]],
    *,
    budget: float,
    repeats: int = 5,
    pause: bool = False,
    rivals: Collection[int] = (),
) -> list[Timing]:
    """Time the calls by turns, at least ``repeats`` samples of each, then while ``budget`` lasts.

    ``budget`` is in seconds for each call; a call stops taking turns once its median is known.  Of the calls whose
    indices are ``rivals`` only the fastest matters.
    """
    samples: list[list[float]] = [[] for _ in calls]
    warm = [_warm_up(call) for call in calls]
    spent = [0.0] * len(calls)
    enabled = gc.isenabled()
    gc.disable()
    try:
        rounds = 0
        waiting = list(range(len(calls)))
        draw = random.Random(0)
        while waiting:
            rounds += 1
            for i in draw.sample(waiting, len(waiting)):
                spent[i] += _turn(calls[i], warm[i], samples[i], pause)
            if rounds == 1:
                waiting = _hopeful(waiting, rivals, [min(w, *s) for w, s in zip(warm, samples, strict=True)])
            waiting = [
                i
                for i in waiting
                if len(samples[i]) < repeats or (spent[i] < budget and (rounds < ROUNDS or not _known(samples[i])))
            ]
    finally:
        if enabled:
            gc.enable()
    return [_summary(values) for values in samples]


def _hopeful(waiting: list[int], rivals: Collection[int], times: list[float]) -> list[int]:
    """Those that take a second turn."""
    fastest = min((times[i] for i in rivals), default=0.0)
    return [i for i in waiting if i not in rivals or times[i] < max(LONG, HOPELESS * fastest)]


def _turn(call: Callable[[], Any], seconds: float, samples: list[float], pause: bool) -> float:
    """One turn of a contender, whose call takes about so long; returns how long the turn took."""
    number = max(1, round(SAMPLE / seconds))
    start = perf_counter()
    if pause:
        sleep(PAUSE)
    if seconds < LONG:
        call()
    timed = perf_counter()
    now = timed
    while now - timed < TURN:
        began = now
        for _ in range(number):
            call()
        now = perf_counter()
        samples.append((now - began) / number)
    return now - start


def _warm_up(call: Callable[[], Any]) -> float:
    """Seconds of a call, once it is warm."""
    start = now = perf_counter()
    calls = 0
    while calls < 2 or (now - start < TURN and calls < 1000):
        call()
        calls += 1
        now = perf_counter()
        if now - start > LONG:  # it is warm after one
            break
    return (now - start) / calls


def _known(samples: list[float]) -> bool:
    """Whether the median's 95 % interval (by ranks, no distribution assumed) is narrow enough."""
    n = len(samples)
    rank = math.floor(n / 2 - 0.98 * math.sqrt(n))
    if rank < 0 or n < 6:
        return False
    ordered = sorted(samples)
    return ordered[n - 1 - rank] - ordered[rank] <= 2 * WIDTH * ordered[n // 2]


def _summary(samples: list[float]) -> Timing:
    median = statistics.median(samples)
    first, _, third = statistics.quantiles(samples, n=4) if len(samples) > 1 else (median,) * 3
    return Timing(min(samples), median, (third - first) / median, len(samples))
