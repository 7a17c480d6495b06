"""Pooling over windows that share out the image, over all of it, and by powers, in float64."""

import numpy as np

from .geometry import Windows, pair
from .pool import avg_pool2d, max_pool2d


def shares(length, count):
    """The windows of one axis: as even as they can be, each pixel in one or two."""
    return [slice(i * length // count, -(-(i + 1) * length // count)) for i in range(count)]


def windows(size, output_size):
    """(oh, ow, rows, columns) of every window."""
    OH, OW = pair(output_size)
    for oh, rows in enumerate(shares(size[0], OH)):
        for ow, columns in enumerate(shares(size[1], OW)):
            yield oh, ow, rows, columns


def adaptive_avg_pool2d(x, output_size):
    x = np.asarray(x, np.float64)
    y = np.empty((x.shape[0], *pair(output_size), x.shape[3]))
    for oh, ow, rows, columns in windows(x.shape[1:3], output_size):
        y[:, oh, ow] = x[:, rows, columns].mean(axis=(1, 2))
    return y


def adaptive_avg_pool2d_backward(dy, input_shape):
    dy, dx = np.asarray(dy, np.float64), np.zeros(input_shape)
    for oh, ow, rows, columns in windows(input_shape[1:3], dy.shape[1:3]):
        area = dx[0, rows, columns, 0].size if dx.size else 1
        dx[:, rows, columns] += dy[:, oh, ow][:, None, None] / area
    return dx


def first_maximum(window):
    """Row and column of the first maximum of (N, rows, columns, C), for each image and channel."""
    N, rows, columns, C = window.shape
    flat = window.reshape(N, rows * columns, C)
    return np.divmod(flat.argmax(axis=1), columns)


def adaptive_max_pool2d(x, output_size, *, return_indices=False):
    x = np.asarray(x, np.float64)
    y = np.empty((x.shape[0], *pair(output_size), x.shape[3]))
    indices = np.empty(y.shape, np.int64)
    for oh, ow, rows, columns in windows(x.shape[1:3], output_size):
        y[:, oh, ow] = x[:, rows, columns].max(axis=(1, 2))
        row, column = first_maximum(x[:, rows, columns])
        indices[:, oh, ow] = (rows.start + row) * x.shape[2] + columns.start + column
    return (y, indices) if return_indices else y


def adaptive_max_pool2d_backward(dy, x, *, ties="first"):
    dy, x = np.asarray(dy, np.float64), np.asarray(x, np.float64)
    dx = np.zeros(x.shape)
    for oh, ow, rows, columns in windows(x.shape[1:3], dy.shape[1:3]):
        window = x[:, rows, columns]
        flat = window.reshape(x.shape[0], window.shape[1] * window.shape[2], x.shape[3])
        chosen = flat == flat.max(axis=1, keepdims=True)
        if ties == "first":
            chosen = np.arange(flat.shape[1])[:, None] == flat.argmax(axis=1)[:, None]
        dx[:, rows, columns] += (chosen * dy[:, oh, ow][:, None]).reshape(window.shape)
    return dx


def global_avg_pool2d(x):
    return avg_pool2d(x, np.shape(x)[1:3])


def global_max_pool2d(x):
    return max_pool2d(x, np.shape(x)[1:3])


def lp_pool2d(x, p, kernel_size, *, stride=None, padding=0, dilation=1, ceil_mode=False):
    x = np.abs(np.asarray(x, np.float64))
    N, H, W, C = x.shape
    lattice = Windows((H, W), kernel_size, stride or kernel_size, padding, dilation, ceil_mode)
    y = np.zeros((N, lattice.OH, lattice.OW, C))
    for oh, ow in lattice:
        for _, _, h, w in lattice.inside(oh, ow):
            y[:, oh, ow] += x[:, h, w] ** p
    return y ** (1 / p)


def lp_pool2d_backward(dy, x, p, kernel_size, *, stride=None, padding=0, dilation=1, ceil_mode=False):
    """dy/dx = sign(x) |x|^(p-1) / y^(p-1); zero where a window is all zeros."""
    dy, x = np.asarray(dy, np.float64), np.asarray(x, np.float64)
    lattice = Windows(x.shape[1:3], kernel_size, stride or kernel_size, padding, dilation, ceil_mode)
    y = lp_pool2d(x, p, kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode)
    dx = np.zeros(x.shape)
    for oh, ow in lattice:
        scale = dy[:, oh, ow] / np.where(y[:, oh, ow] > 0, y[:, oh, ow], np.inf) ** (p - 1)
        scale = np.where(y[:, oh, ow] > 0, scale, 0.0)
        for _, _, h, w in lattice.inside(oh, ow):
            dx[:, h, w] += scale * np.sign(x[:, h, w]) * np.abs(x[:, h, w]) ** (p - 1)
    return dx
