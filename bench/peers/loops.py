"""The notebook's own loops, on as many images as take about a fifth of a second."""

import math

import numpy as np

from bench.peers import Contender, eight, notebook
from bench.work import Prepared, Work

OUTPUTS = 20_000  # of one call; an output takes the loops about 10 microseconds


def contenders() -> list[Contender]:
    return [Contender("loops", "notebook loops", np.__version__, "NHWC, HWIO", prepare)]


def prepare(work: Work) -> Prepared:
    outputs = math.prod(work.layer.y_shape[1:])
    return eight.prepare(notebook, work, max(1, OUTPUTS // outputs))
