"""A small network for 8x8 digits, written with the notebook's functions and NumPy alone.

Which module the functions come from is an argument, so that cyconv and the notebook's loops run the
same text.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.work import Array

SAME = {"stride": 1, "pad": 1}
WHOLE = {"stride": 1, "pad": 0}
HALVE = {"f": 2, "stride": 2}

Parameters = list[Array]


def initial_parameters(seed: int, dtype: str) -> Parameters:
    """He-scaled weights and zero biases: 8x8x1 -> 16, halved -> 32, halved -> 10 scores."""
    rng = np.random.default_rng(seed)
    parameters = []
    for shape in ((3, 3, 1, 16), (3, 3, 16, 32), (2, 2, 32, 10)):
        scale = np.sqrt(2 / np.prod(shape[:3]))
        parameters.append((scale * rng.standard_normal(shape)).astype(dtype))
        parameters.append(np.zeros((1, 1, 1, shape[3]), dtype))
    return parameters


def scores(functions: Any, parameters: Parameters, images: Array) -> tuple[Array, list[Any]]:
    """The ten scores of each image, and what the way back needs."""
    caches = []
    a = images
    for W, b in zip(parameters[:4:2], parameters[1:4:2], strict=True):
        z, conv_cache = functions.conv_forward(a, W, b, SAME)
        a, pool_cache = functions.pool_forward(np.maximum(z, 0), HALVE, mode="max")
        caches.append((conv_cache, z > 0, pool_cache))
    z, last = functions.conv_forward(a, *parameters[4:], WHOLE)
    return z.reshape(len(images), -1), [*caches, last]


def loss_and_gradients(
    functions: Any, parameters: Parameters, images: Array, labels: Array
) -> tuple[float, Parameters]:
    """The mean cross-entropy and its gradient by every parameter."""
    z, (*caches, last) = scores(functions, parameters, images)
    z = z - z.max(axis=1, keepdims=True)
    log_probability = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    chosen = np.arange(len(labels)), labels
    dz = np.exp(log_probability)
    dz[chosen] -= 1
    dz = (dz / len(labels)).reshape(len(labels), 1, 1, -1)
    da, dW, db = functions.conv_backward(dz, last)
    gradients = [dW, db]
    for conv_cache, positive, pool_cache in reversed(caches):
        da = functions.pool_backward(da, pool_cache, mode="max") * positive
        da, dW, db = functions.conv_backward(da, conv_cache)
        gradients = [dW, db, *gradients]
    return float(-log_probability[chosen].mean()), gradients


class Momentum:
    """Stochastic gradient descent with momentum."""

    def __init__(self, parameters: Parameters, rate: float, momentum: float = 0.9) -> None:
        self.parameters, self.rate, self.momentum = parameters, rate, momentum
        self.velocities = [np.zeros_like(p) for p in parameters]

    def step(self, gradients: Parameters) -> None:
        for p, v, g in zip(self.parameters, self.velocities, gradients, strict=True):
            v *= self.momentum
            v -= self.rate * g
            p += v
