"""One piece of work: a layer, a direction and the arrays, made once for every contender."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.suites import Conv, Layer, Pool
from cyconv.arrays import empty

Array = npt.NDArray[Any]
Arrays = tuple[Array, ...]


class UnsupportedError(Exception):
    """A contender cannot do this work; the message says why in a few words."""


@dataclass(frozen=True)
class Prepared:
    """A contender's call, ready to be timed, and how to read its result as NHWC arrays.

    ``images`` is set where the call takes only the first images of the batch because all of them
    would last too long; its time is then scaled up.
    """

    run: Callable[[], Any]
    read: Callable[[Any], Arrays]
    images: int | None = None


@dataclass(frozen=True)
class Work:
    layer: Layer
    direction: str
    threads: int
    algorithm: str
    x: Array
    w: Array
    b: Array
    dy: Array

    @classmethod
    def of(
        cls,
        layer: Layer,
        direction: str = "forward",
        dtype: str = "float32",
        threads: int = 1,
        algorithm: str = "auto",
        seed: int = 0,
    ) -> Work:
        """Unit-variance data and He-scaled weights, so that outputs are of size 1."""
        rng = np.random.default_rng(seed)

        def normal(shape: int | tuple[int, ...]) -> Array:
            """Large ones begin on a cache line, as PyTorch's tensors and cyconv's results do, NumPy's do not."""
            array = empty(shape if isinstance(shape, tuple) else (shape,), np.dtype(dtype))
            return rng.standard_normal(out=array, dtype=np.dtype(dtype).type)

        x, dy = normal(layer.x_shape), normal(layer.y_shape)
        if isinstance(layer, Conv):
            R, S, Cg, K = layer.w_shape
            w = normal(layer.w_shape)
            w *= (2 / (R * S * Cg)) ** 0.5
            return cls(layer, direction, threads, algorithm, x, w, normal(K), dy)
        return cls(layer, direction, threads, algorithm, x, normal(0), normal(0), dy)

    @property
    def conv(self) -> Conv:
        """The layer where it is known to be a convolution."""
        assert isinstance(self.layer, Conv)
        return self.layer

    @property
    def pool(self) -> Pool:
        """The layer where it is known to be a pooling."""
        assert isinstance(self.layer, Pool)
        return self.layer

    def first(self, images: int) -> Work:
        """The same work on the first images only."""
        return self.part(slice(images))

    def part(self, images: slice) -> Work:
        """The same work on some of the images."""
        x, dy = self.x[images], self.dy[images]
        return replace(self, layer=replace(self.layer, N=len(x)), x=x, dy=dy)

    def sum_length(self) -> int:
        """The longest sum behind one number of the result: what rounding errors grow with."""
        N, OH, OW, _ = self.layer.y_shape
        if not isinstance(self.layer, Conv):
            return self.layer.R**2
        R, S, Cg, K = self.layer.w_shape
        lengths = {
            "forward": R * S * Cg,
            "input_grad": R * S * K // self.layer.groups,
            "weight_grad": N * OH * OW,
        }
        return lengths.get(self.direction) or max(lengths.values())


def error(results: Arrays, expected: Arrays) -> float:
    """The largest difference over the largest value, of the worst of several arrays; infinite if not comparable."""
    if [result.shape for result in results] != [truth.shape for truth in expected]:
        return float("inf")
    worst = 0.0
    for result, truth in zip(results, expected, strict=True):
        scale = max((_largest(part) for part in truth), default=0) or 1.0
        difference = max((_largest(part - exact) for part, exact in zip(result, truth, strict=True)), default=0)
        worst = max(worst, difference / scale)
    return worst


def _largest(part: Array) -> float:
    """The largest value of an image, so that no copy of the batch is made; infinite if one is not a number."""
    largest = float(np.abs(part).max(initial=0))
    return largest if np.isfinite(largest) else float("inf")


def tolerance(work: Work) -> float:
    """Above this a result is wrong, not just rounded: 16 ulps times the root of the sum's length."""
    return float(16 * np.finfo(work.x.dtype).eps * work.sum_length() ** 0.5)
