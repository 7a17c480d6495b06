"""Convolution and its gradients in float64: a loop over output position and window tap.

Sums of small integers are exact in float64, so integer data give the exact answer.
"""

import numpy as np

from .geometry import Windows


def blocks(groups, C, K):
    """The input and output channels of each group, as an index of the last two axes of dense weights."""
    for g in range(groups):
        c = slice(g * C // groups, (g + 1) * C // groups)
        k = slice(g * K // groups, (g + 1) * K // groups)
        yield ..., c, k


def dense(w, groups):
    """The weights of the convolution in one group that does the same: zero between the groups."""
    w = np.asarray(w, np.float64)
    R, S, c, K = w.shape
    full = np.zeros((R, S, c * groups, K))
    for block in blocks(groups, c * groups, K):
        full[block] = w[..., block[2]]
    return full


def grouped(full, groups):
    """The part of dense weights that lies in the groups."""
    return np.concatenate([full[block] for block in blocks(groups, *full.shape[2:])], axis=3)


def conv2d(x, w, b=None, *, stride=1, padding=0, dilation=1, groups=1, activation=None):
    x, w = np.asarray(x, np.float64), dense(w, groups)
    (N, H, W, _), (R, S, _, K) = x.shape, w.shape
    windows = Windows((H, W), (R, S), stride, padding, dilation)
    y = np.zeros((N, windows.OH, windows.OW, K))
    for oh, ow in windows:
        for r, s, i, j in windows.inside(oh, ow):
            y[:, oh, ow] += x[:, i, j] @ w[r, s]
    if b is not None:
        y += np.asarray(b, np.float64).reshape(K)
    return np.where(y > 0, y, 0.0) if activation == "relu" else y


def conv2d_input_grad(dy, w, input_shape, *, stride=1, padding=0, dilation=1, groups=1):
    dy, w = np.asarray(dy, np.float64), dense(w, groups)
    windows = Windows(input_shape[1:3], w.shape[:2], stride, padding, dilation)
    dx = np.zeros(input_shape)
    for oh, ow in windows:
        for r, s, i, j in windows.inside(oh, ow):
            dx[:, i, j] += dy[:, oh, ow] @ w[r, s].T
    return dx


def conv2d_weight_grad(dy, x, kernel_size, *, stride=1, padding=0, dilation=1, groups=1):
    dy, x = np.asarray(dy, np.float64), np.asarray(x, np.float64)
    windows = Windows(x.shape[1:3], kernel_size, stride, padding, dilation)
    dw = np.zeros((windows.R, windows.S, x.shape[3], dy.shape[3]))
    for oh, ow in windows:
        for r, s, i, j in windows.inside(oh, ow):
            dw[r, s] += x[:, i, j].T @ dy[:, oh, ow]
    return grouped(dw, groups)


def conv2d_backward(dy, x, w, *, stride=1, padding=0, dilation=1, groups=1, activation=None, y=None):
    geometry = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    dy = np.asarray(dy, np.float64)
    if activation == "relu":
        dy = np.where(np.asarray(y) > 0, dy, 0.0)
    dx = conv2d_input_grad(dy, w, np.shape(x), **geometry)
    dw = conv2d_weight_grad(dy, x, np.shape(w)[:2], **geometry)
    return dx, dw, dy.sum(axis=(0, 1, 2))
