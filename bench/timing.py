"""Fair timing: contenders take turns in one process until their medians are known.

A turn is a pause, an untimed call, then timed calls for some milliseconds.  The pause, where there are several
threads, is there because those of OpenMP and ONNX Runtime spin for a while after their work and would slow the next
contender.  The untimed call finds the caches and the heap as another contender left them; a long one would hardly
notice, and is timed at once.  The order of the turns is drawn anew in each round, so that nobody always comes after the
same one.
"""

from __future__ import annotations

import gc
import math
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter, sleep
from typing import Any

SAMPLE = 50e-6  # seconds; shorter calls are timed several at a time
TURN = 20e-3  # seconds of timed calls before the next contender's turn
LONG = 0.2  # seconds of a call; filling caches and heap again takes it some milliseconds
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
) -> list[Timing]:
    """Time the calls by turns, at least ``repeats`` samples of each, then while ``budget`` lasts.

    ``budget`` is in seconds for each call; a call stops taking turns once its median is known.
    """
    samples: list[list[float]] = [[] for _ in calls]
    numbers = [_calls_per_sample(call) for call in calls]
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
                spent[i] += _turn(calls[i], numbers[i], samples[i], pause)
            waiting = [
                i
                for i in waiting
                if len(samples[i]) < repeats or (spent[i] < budget and (rounds < ROUNDS or not _known(samples[i])))
            ]
    finally:
        if enabled:
            gc.enable()
    return [_summary(values) for values in samples]


def _turn(call: Callable[[], Any], number: int, samples: list[float], pause: bool) -> float:
    """One turn of a contender; returns how long it took."""
    start = perf_counter()
    if pause:
        sleep(PAUSE)
    if not samples or samples[-1] < LONG:
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


def _calls_per_sample(call: Callable[[], Any]) -> int:
    """Warm the call up and see how many of it fill one sample."""
    start = now = perf_counter()
    calls = 0
    while calls < 2 or (now - start < TURN and calls < 1000):
        call()
        calls += 1
        now = perf_counter()
        if now - start > 1:  # a slow call is warm after one
            break
    return max(1, round(SAMPLE * calls / (now - start)))


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
