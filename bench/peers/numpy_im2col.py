"""im2col and one matrix product per group, in NumPy: the textbook's vectorised convolution."""

from collections.abc import Callable

import numpy as np

from bench.peers import Contender
from bench.suites import Conv
from bench.work import Array, Arrays, Prepared, UnsupportedError, Work

MOST = 1 << 31  # bytes of columns; the way back takes several times that


def contenders() -> list[Contender]:
    return [Contender("im2col", "NumPy im2col", np.__version__, "NHWC, HWIO", prepare)]


def prepare(work: Work) -> Prepared:
    if not isinstance(work.layer, Conv):
        raise UnsupportedError("convolution only")
    layer, x, w, b, dy = work.conv, work.x, work.w, work.b, work.dy
    check_columns(work)
    call: Callable[[], Arrays] = {
        "forward": lambda: (forward(x, w, b, layer),),
        "input_grad": lambda: (input_grad(dy, w, layer),),
        "weight_grad": lambda: (weight_grad(dy, x, layer),),
        "backward": lambda: (input_grad(dy, w, layer), weight_grad(dy, x, layer), dy.sum((0, 1, 2))),
    }[work.direction]
    return Prepared(call, lambda result: result)


def check_columns(work: Work) -> None:
    """Refuse a batch whose columns would fill the memory."""
    N, OH, OW, _ = work.conv.y_shape
    R, S, _, _ = work.conv.w_shape
    size = N * OH * OW * R * S * work.conv.C * work.x.itemsize
    if size > MOST:
        raise UnsupportedError(f"columns of {size / 1e9:.1f} GB")


def forward(x: Array, w: Array, b: Array, layer: Conv) -> Array:
    y = _columns(x, layer) @ _matrices(w, layer)
    return y.swapaxes(0, 1).reshape(layer.y_shape) + b


def weight_grad(dy: Array, x: Array, layer: Conv) -> Array:
    R, S, Cg, K = layer.w_shape
    dw = _columns(x, layer).swapaxes(1, 2) @ _pixels(dy, layer)
    return dw.reshape(layer.groups, R, S, Cg, -1).transpose(1, 2, 3, 0, 4).reshape(R, S, Cg, K)


def input_grad(dy: Array, w: Array, layer: Conv) -> Array:
    """col2im: the columns' gradients, added where the columns came from."""
    N, H, W, C = layer.x_shape
    R, S, Cg, _ = layer.w_shape
    p = layer.padding
    columns = _pixels(dy, layer) @ _matrices(w, layer).swapaxes(1, 2)
    columns = columns.reshape(layer.groups, *dy.shape[:3], R, S, Cg)
    columns = columns.transpose(4, 5, 1, 2, 3, 0, 6).reshape(R, S, *dy.shape[:3], C)
    padded = np.zeros((N, H + 2 * p, W + 2 * p, C), dy.dtype)
    for r in range(R):
        for s in range(S):
            padded[_tap(layer, r, s)] += columns[r, s]
    return padded[:, p : p + H, p : p + W]


def _tap(layer: Conv, r: int, s: int) -> tuple[slice, ...]:
    _, OH, OW, _ = layer.y_shape
    stride = layer.stride
    rows = slice(r, r + (OH - 1) * stride + 1, stride)
    return slice(None), rows, slice(s, s + (OW - 1) * stride + 1, stride)


def _columns(x: Array, layer: Conv) -> Array:
    """Every window of x as a row: (groups, N * OH * OW, R * S * C // groups)."""
    R, S, Cg, _ = layer.w_shape
    N, OH, OW, _ = layer.y_shape
    p = layer.padding
    padded = np.pad(x, ((0, 0), (p, p), (p, p), (0, 0))) if p else x
    columns = np.empty((layer.groups, N, OH, OW, R, S, Cg), x.dtype)
    for r in range(R):
        for s in range(S):
            tap = padded[_tap(layer, r, s)].reshape(N, OH, OW, layer.groups, Cg)
            columns[..., r, s, :] = tap.transpose(3, 0, 1, 2, 4)
    return columns.reshape(layer.groups, N * OH * OW, R * S * Cg)


def _pixels(y: Array, layer: Conv) -> Array:
    return y.reshape(-1, layer.groups, y.shape[-1] // layer.groups).swapaxes(0, 1)


def _matrices(w: Array, layer: Conv) -> Array:
    return w.reshape(-1, layer.groups, w.shape[-1] // layer.groups).swapaxes(0, 1)
