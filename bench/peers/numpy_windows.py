"""sliding_window_view and tensordot: vectorised NumPy in as few lines as possible."""

from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from bench.peers import Contender
from bench.peers.numpy_im2col import check_columns
from bench.suites import Conv, Pool
from bench.work import Array, Arrays, Prepared, UnsupportedError, Work


def contenders() -> list[Contender]:
    return [Contender("windows", "NumPy windows", np.__version__, "NHWC, HWIO", prepare)]


def prepare(work: Work) -> Prepared:
    call = _conv(work) if isinstance(work.layer, Conv) else _pool(work)
    return Prepared(call, lambda result: result)


def _conv(work: Work) -> Callable[[], Arrays]:
    layer, x, w, b, dy = work.conv, work.x, work.w, work.b, work.dy
    if layer.groups > 1:
        raise UnsupportedError("no groups")
    check_columns(work)
    return {
        "forward": lambda: (forward(x, w, b, layer),),
        "input_grad": lambda: (input_grad(dy, w, layer),),
        "weight_grad": lambda: (weight_grad(dy, x, layer),),
        "backward": lambda: (input_grad(dy, w, layer), weight_grad(dy, x, layer), dy.sum((0, 1, 2))),
    }[work.direction]


def _pool(work: Work) -> Callable[[], Arrays]:
    layer, x, dy = work.pool, work.x, work.dy
    return {
        "forward": lambda: (pool(x, layer),),
        "backward": lambda: (pool_grad(dy, x, layer),),
    }[work.direction]


def _windows(x: Array, R: int, S: int, stride: int, padding: int, value: float = 0) -> Array:
    """(N, OH, OW, C, R, S), a view of the padded input."""
    p = padding
    padded = np.pad(x, ((0, 0), (p, p), (p, p), (0, 0)), constant_values=value) if p else x
    return sliding_window_view(padded, (R, S), axis=(1, 2))[:, ::stride, ::stride]


def forward(x: Array, w: Array, b: Array, layer: Conv) -> Array:
    windows = _windows(x, layer.R, layer.S, layer.stride, layer.padding)
    return np.tensordot(windows, w.transpose(2, 0, 1, 3), 3) + b


def weight_grad(dy: Array, x: Array, layer: Conv) -> Array:
    windows = _windows(x, layer.R, layer.S, layer.stride, layer.padding)
    return np.tensordot(windows, dy, ((0, 1, 2), (0, 1, 2))).transpose(1, 2, 0, 3)


def input_grad(dy: Array, w: Array, layer: Conv) -> Array:
    """The convolution of dy, zeros between its rows, with the rotated window."""
    N, H, W, _ = layer.x_shape
    R, S, p, stride = layer.R, layer.S, layer.padding, layer.stride
    spread = np.zeros((N, H + 2 * p + R - 1, W + 2 * p + S - 1, layer.K), dy.dtype)
    rows = slice(R - 1, R - 1 + (dy.shape[1] - 1) * stride + 1, stride)
    columns = slice(S - 1, S - 1 + (dy.shape[2] - 1) * stride + 1, stride)
    spread[:, rows, columns] = dy
    windows = _windows(spread[:, p : p + H + R - 1, p : p + W + S - 1], R, S, 1, 0)
    return np.tensordot(windows, w[::-1, ::-1].transpose(3, 0, 1, 2), 3)


def pool(x: Array, layer: Pool) -> Array:
    y: Array
    if layer.mode == "max":
        y = _windows(x, layer.R, layer.R, layer.stride, layer.padding, -np.inf).max((4, 5))
    else:
        y = _windows(x, layer.R, layer.R, layer.stride, layer.padding).sum((4, 5)) / _counts(x, layer)
    return y


def pool_grad(dy: Array, x: Array, layer: Pool) -> Array:
    p, R, (N, H, W, C) = layer.padding, layer.R, x.shape
    dx = np.zeros((N, H + 2 * p, W + 2 * p, C), dy.dtype)
    target = sliding_window_view(dx, (R, R), axis=(1, 2), writeable=True)
    target = target[:, :: layer.stride, :: layer.stride]
    if layer.mode == "max":
        windows = _windows(x, R, R, layer.stride, p, -np.inf)
        top = windows.max((4, 5))
    share = dy if layer.mode == "max" else dy / _counts(x, layer)
    for r in range(R):  # the windows overlap: one position at a time
        for s in range(R):
            chosen = windows[..., r, s] == top if layer.mode == "max" else True
            target[..., r, s] += share * chosen
    return dx[:, p : p + H, p : p + W]


def _counts(x: Array, layer: Pool) -> Array:
    """How many inputs each average is over."""
    ones = np.ones_like(x[:1, :, :, :1])
    counts: Array = _windows(ones, layer.R, layer.R, layer.stride, layer.padding).sum((4, 5))
    return counts
