"""JAX: the forward and one vector-Jacobian product, each compiled once, in NHWC."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

os.environ.setdefault("JAX_PLATFORMS", "cpu")
import jax
import jax.numpy as jnp
from jax import lax

from bench.peers import Contender
from bench.suites import Conv, Pool
from bench.work import Arrays, Prepared, UnsupportedError, Work

_started_with: list[int] = []  # XLA's threads, which it fixes when it starts


def contenders() -> list[Contender]:
    return [Contender("jax", "JAX", jax.__version__, "NHWC, HWIO", prepare)]


def prepare(work: Work) -> Prepared:
    _start(work.threads)
    x, w, b, dy = (jnp.asarray(array) for array in (work.x, work.w, work.b, work.dy))
    if not isinstance(work.layer, Conv):
        pool = partial(_pool, layer=work.layer)
        if work.direction == "forward":
            return _compiled(pool, x)
        return _compiled(_gradient(pool), dy, x)
    conv = partial(_conv, layer=work.layer)
    if work.direction == "forward":
        return _compiled(conv, x, w, b)
    if work.direction == "input_grad":
        return _compiled(_gradient(lambda x: conv(x, w, b)), dy, x)
    if work.direction == "weight_grad":
        return _compiled(_gradient(lambda w: conv(x, w, b)), dy, w)
    return _compiled(_gradient(conv), dy, x, w, b)


def _start(threads: int) -> None:
    if not _started_with:
        os.environ["NPROC"] = str(threads)  # where XLA's CPU client reads its thread count
        jax.config.update("jax_enable_x64", True)
        jax.devices("cpu")
        _started_with.append(threads)
    (first,) = _started_with
    if first != threads:
        raise UnsupportedError(f"keeps the {first} thread(s) it started with: run --threads {threads} alone")


def _gradient(operation: Callable[..., Any]) -> Callable[..., Any]:
    return lambda dy, *operands: jax.vjp(operation, *operands)[1](dy)


def _compiled(function: Callable[..., Any], *operands: Any) -> Prepared:
    compiled = jax.jit(function)

    def run() -> Any:
        return jax.block_until_ready(compiled(*operands))

    run()
    return Prepared(run, _read)


def _read(result: Any) -> Arrays:
    results = result if isinstance(result, tuple) else (result,)
    return tuple(np.asarray(array) for array in results)


def _conv(x: Any, w: Any, b: Any, layer: Conv) -> Any:
    edges = [(layer.padding, layer.padding)] * 2
    layouts = ("NHWC", "HWIO", "NHWC")
    strides = (layer.stride, layer.stride)
    y = lax.conv_general_dilated(x, w, strides, edges, dimension_numbers=layouts, feature_group_count=layer.groups)
    return y + b


def _pool(x: Any, layer: Pool) -> Any:
    p = layer.padding
    windows = (1, layer.R, layer.R, 1), (1, layer.stride, layer.stride, 1), ((0, 0), (p, p), (p, p), (0, 0))
    if layer.mode == "max":
        return lax.reduce_window(x, np.array(-np.inf, x.dtype), lax.max, *windows)
    zero = np.array(0, x.dtype)
    counts = lax.reduce_window(jnp.ones_like(x[:1, :, :, :1]), zero, lax.add, *windows)
    return lax.reduce_window(x, zero, lax.add, *windows) / counts
