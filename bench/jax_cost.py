"""``python -m bench.jax_cost``: a convolution through `cyconv.jax` beside XLA's own and beside the call it makes.

On one thread, which XLA's CPU client is given before it starts.
"""

import os

os.environ |= {"NPROC": "1", "JAX_PLATFORMS": "cpu"}

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import cyconv
import cyconv.jax
from bench.timing import alternate

LAYERS = (  # N, H, C, K, R, stride: ends of ResNet-50, LeNet's, and one that is all overhead
    (1, 8, 8, 16, 3, 1),
    (64, 28, 6, 16, 5, 1),
    (4, 224, 3, 64, 7, 2),
    (4, 56, 64, 64, 3, 1),
    (4, 7, 512, 512, 3, 1),
)
BUDGET = 0.5  # seconds for each call


def _xla(x: Any, w: Any, stride: int, padding: int) -> Any:
    pads = [(padding, padding)] * 2
    return lax.conv_general_dilated(x, w, (stride, stride), pads, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _ours(x: Any, w: Any, stride: int, padding: int) -> Any:
    return cyconv.jax.conv2d(x, w, stride=stride, padding=padding)


def _gradients(conv: Callable[..., Any], dy: Any, x: Any, w: Any) -> Any:
    return jax.vjp(conv, x, w)[1](dy)


def _waiting(function: Callable[..., Any], *operands: Any) -> Callable[[], Any]:
    compiled = jax.jit(function)
    return lambda: jax.block_until_ready(compiled(*operands))


def main() -> None:
    rng = np.random.default_rng(0)
    print("| N x H x W x C -> K, window/stride | direction | cyconv | cyconv.jax | XLA |\n|---|---|---:|---:|---:|")
    for N, H, C, K, R, stride in LAYERS:
        x, w = rng.standard_normal((N, H, H, C), np.float32), rng.standard_normal((R, R, C, K), np.float32)
        options: dict[str, Any] = {"stride": stride, "padding": R // 2}
        y = cyconv.conv2d(x, w, **options)
        operands = jnp.asarray(x), jnp.asarray(w)
        convs = [partial(conv, **options) for conv in (_ours, _xla)]
        dy = jnp.asarray(y)
        rows: dict[str, list[Callable[[], Any]]] = {
            "forward": [partial(cyconv.conv2d, x, w, **options), *(_waiting(conv, *operands) for conv in convs)],
            "gradients": [
                partial(cyconv.conv2d_backward, y, x, w, **options),
                *(_waiting(partial(_gradients, conv), dy, *operands) for conv in convs),
            ],
        }
        for direction, calls in rows.items():
            times = [timing.best * 1e3 for timing in alternate(calls, budget=BUDGET)]
            name = f"{N}x{H}x{H}x{C} -> {K}, {R}x{R}/{stride}"
            print(f"| {name} | {direction} | " + " | ".join(f"{ms:.3g} ms" for ms in times) + " |", flush=True)


if __name__ == "__main__":
    main()
