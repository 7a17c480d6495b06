"""Transposed convolution and its gradients in float64: every input pixel paints its window."""

import numpy as np

from .conv import dense, grouped
from .geometry import Windows, pads, pair


def least_size(size, kernel_size, stride, padding, output_padding, dilation):
    """The input size of the convolution whose output has `size`: the least one, and more on request."""
    kernel_size, stride = pair(kernel_size), pair(stride)
    extent = [(k - 1) * d + 1 for k, d in zip(kernel_size, pair(dilation), strict=True)]
    if padding in ("same", "same_lower"):
        return tuple(length * step for length, step in zip(size, stride, strict=True))
    sides = pads(padding, size, extent, stride)
    return tuple(
        (size[axis] - 1) * stride[axis] + extent[axis] - sum(sides[axis]) + pair(output_padding)[axis]
        for axis in (0, 1)
    )


def windows_of(x, w, size, stride, padding, dilation):
    """The windows over y, one for each pixel of x; a wide output_padding leaves room for more."""
    windows = Windows(size, w.shape[:2], stride, padding, dilation)
    windows.OH, windows.OW = x.shape[1:3]
    return windows


def conv_transpose2d(
    x,
    w,
    b=None,
    *,
    stride=1,
    padding=0,
    output_padding=0,
    output_size=None,
    dilation=1,
    groups=1,
    activation=None,
):
    x, w = np.asarray(x, np.float64), dense(w, groups)
    size = output_size and pair(output_size)
    size = size or least_size(x.shape[1:3], w.shape[:2], stride, padding, output_padding, dilation)
    windows = windows_of(x, w, size, stride, padding, dilation)
    y = np.zeros((x.shape[0], windows.H, windows.W, w.shape[2]))
    for h, j in windows:
        for r, s, oh, ow in windows.inside(h, j):
            y[:, oh, ow] += x[:, h, j] @ w[r, s].T
    if b is not None:
        y += np.asarray(b, np.float64).reshape(w.shape[2])
    return np.where(y > 0, y, 0.0) if activation == "relu" else y


def conv_transpose2d_backward(dy, x, w, *, stride=1, padding=0, dilation=1, groups=1, activation=None, y=None):
    dy, x, w = np.asarray(dy, np.float64), np.asarray(x, np.float64), dense(w, groups)
    if activation == "relu":
        dy = np.where(np.asarray(y) > 0, dy, 0.0)
    windows = windows_of(x, w, dy.shape[1:3], stride, padding, dilation)
    dx, dw = np.zeros(x.shape), np.zeros(w.shape)
    for h, j in windows:
        for r, s, oh, ow in windows.inside(h, j):
            dx[:, h, j] += dy[:, oh, ow] @ w[r, s]
            dw[r, s] += dy[:, oh, ow].T @ x[:, h, j]
    return dx, grouped(dw, groups), dy.sum(axis=(0, 1, 2))
