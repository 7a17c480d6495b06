"""The result every contender is compared with: window position by window position, in float64.

Works in the precision of the arrays it is given, so that longdouble arrays give a longdouble truth.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from bench.suites import Conv, Layer, Pool
from bench.work import Array, Arrays, Work


def reference(work: Work, precision: type[np.floating[Any]] = np.float64) -> Arrays:
    """What ``work`` should give: (y,), (dx,), (dw,) or (dx, dw, db); (dx,) for a pooling's backward."""
    images = (_image(work.part(slice(n, n + 1)), precision) for n in range(work.layer.N))  # one at a time: memory
    if work.direction == "weight_grad":
        return (functools.reduce(np.add, (dw for (dw,) in images)),)
    if work.direction == "backward" and isinstance(work.layer, Conv):
        dxs = []
        dw = db = np.zeros((), precision)
        for dx, dw_image, db_image in images:
            dxs.append(dx)
            dw, db = dw + dw_image, db + db_image
        return np.concatenate(dxs), dw, db
    return (np.concatenate([y for (y,) in images]),)


def _image(work: Work, precision: type[np.floating[Any]]) -> Arrays:
    x, w, b, dy = (array.astype(precision) for array in (work.x, work.w, work.b, work.dy))
    layer, direction = work.layer, work.direction
    if not isinstance(layer, Conv):
        if direction == "forward":
            return (_pool(x, layer)[0],)
        return (_pool_grad(x, dy, layer),)
    if direction == "forward":
        return (_conv(x, w, b, layer),)
    gradients = _gradients(dy, x, w, layer, direction)
    return (*gradients, dy.sum((0, 1, 2))) if direction == "backward" else gradients


def _padded(x: Array, padding: int, value: float = 0.0) -> Array:
    edges = (padding, padding)
    return np.pad(x, ((0, 0), edges, edges, (0, 0)), constant_values=value) if padding else x


def _taps(layer: Layer, R: int, S: int) -> Iterator[tuple[int, int, tuple[slice, ...]]]:
    """For each window position, the padded inputs it meets as one slice."""
    _, OH, OW, _ = layer.y_shape
    stride = layer.stride
    for r in range(R):
        for s in range(S):
            rows = slice(r, r + (OH - 1) * stride + 1, stride)
            columns = slice(s, s + (OW - 1) * stride + 1, stride)
            yield r, s, (slice(None), rows, columns)


def _grouped(a: Array, groups: int) -> Array:
    """(..., C) as (groups, pixels, C // groups)."""
    return a.reshape(-1, groups, a.shape[-1] // groups).swapaxes(0, 1)


def _conv(x: Array, w: Array, b: Array, layer: Conv) -> Array:
    padded = _padded(x, layer.padding)
    N, OH, OW, K = layer.y_shape
    y = np.zeros((layer.groups, N * OH * OW, K // layer.groups), x.dtype)
    for r, s, taps in _taps(layer, layer.R, layer.S):
        y += _grouped(padded[taps], layer.groups) @ _grouped(w[r, s], layer.groups)
    return y.swapaxes(0, 1).reshape(layer.y_shape) + b


def _gradients(dy: Array, x: Array, w: Array, layer: Conv, direction: str) -> Arrays:
    padded = _padded(x, layer.padding)
    dx, dw = np.zeros_like(padded), np.zeros_like(w)
    dy_groups = _grouped(dy, layer.groups)
    for r, s, taps in _taps(layer, layer.R, layer.S):
        if direction != "weight_grad":
            tap = dy_groups @ _grouped(w[r, s], layer.groups).swapaxes(1, 2)
            dx[taps] += tap.swapaxes(0, 1).reshape(dx[taps].shape)
        if direction != "input_grad":
            tap = _grouped(padded[taps], layer.groups).swapaxes(1, 2) @ dy_groups
            dw[r, s] = tap.swapaxes(0, 1).reshape(w.shape[2:])
    p, (_, H, W, _) = layer.padding, x.shape
    dx = dx[:, p : p + H, p : p + W]
    return {"input_grad": (dx,), "weight_grad": (dw,), "backward": (dx, dw)}[direction]


def _pool(x: Array, layer: Pool) -> tuple[Array, Array]:
    """The pooled values; with them where the maximum is or how many inputs were averaged."""
    p, R = layer.padding, layer.R
    if layer.mode == "max":
        padded = _padded(x, p, -np.inf)
        y = np.full(layer.y_shape, -np.inf, x.dtype)
        where = np.zeros(layer.y_shape, np.intp)
        for position, (_, _, taps) in enumerate(_taps(layer, R, R)):
            where[padded[taps] > y] = position
            np.maximum(y, padded[taps], out=y)
        return y, where
    padded, ones = _padded(x, p), _padded(np.ones_like(x[:1, :, :, :1]), p)
    total = np.zeros(layer.y_shape, x.dtype)
    count = np.zeros_like(total[:1, :, :, :1])
    for _, _, taps in _taps(layer, R, R):
        total += padded[taps]
        count += ones[taps]
    return total / count, count


def _pool_grad(x: Array, dy: Array, layer: Pool) -> Array:
    padded = np.zeros_like(_padded(x, layer.padding))
    _, where = _pool(x, layer)
    for position, (_, _, taps) in enumerate(_taps(layer, layer.R, layer.R)):
        padded[taps] += dy * (where == position) if layer.mode == "max" else dy / where
    p, (_, H, W, _) = layer.padding, x.shape
    return padded[:, p : p + H, p : p + W]
