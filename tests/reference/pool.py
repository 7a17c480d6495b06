"""Pooling and its gradients in float64: a loop over output position and window tap."""

import numpy as np

from .geometry import Windows


def max_pool2d(x, kernel_size, *, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    x = np.asarray(x, np.float64)
    N, H, W, C = x.shape
    windows = Windows((H, W), kernel_size, stride or kernel_size, padding, dilation, ceil_mode)
    y = np.empty((N, windows.OH, windows.OW, C))
    indices = np.empty(y.shape, np.int64)
    for oh, ow in windows:
        taps = [(h, w) for _, _, h, w in windows.inside(oh, ow)]
        values = np.stack([x[:, h, w] for h, w in taps])
        y[:, oh, ow] = values.max(axis=0)
        # argmax names the first of equals, and the first NaN where there is one.
        indices[:, oh, ow] = np.array([h * W + w for h, w in taps])[values.argmax(axis=0)]
    return (y, indices) if return_indices else y


def max_pool2d_backward(dy, x, kernel_size, *, stride=None, padding=0, dilation=1, ceil_mode=False, ties="first"):
    dy, x = np.asarray(dy, np.float64), np.asarray(x, np.float64)
    H, W = x.shape[1:3]
    windows = Windows((H, W), kernel_size, stride or kernel_size, padding, dilation, ceil_mode)
    dx = np.zeros(x.shape)
    for oh, ow in windows:
        taps = [(h, w) for _, _, h, w in windows.inside(oh, ow)]
        values = np.stack([x[:, h, w] for h, w in taps])
        chosen = values.argmax(axis=0)
        for tap, (h, w) in enumerate(taps):
            mask = chosen == tap if ties == "first" else values[tap] == values.max(axis=0)
            dx[:, h, w] += np.where(mask, dy[:, oh, ow], 0.0)
    return dx


def divisor(windows, oh, ow, count_include_pad, divisor_override):
    """What the sum of the window at (oh, ow) is divided by."""
    if divisor_override is not None:
        return divisor_override
    if count_include_pad:
        return windows.count_padded(oh, ow)
    return sum(1 for _ in windows.inside(oh, ow))


def avg_pool2d(
    x,
    kernel_size,
    *,
    stride=None,
    padding=0,
    dilation=1,
    ceil_mode=False,
    count_include_pad=False,
    divisor_override=None,
):
    x = np.asarray(x, np.float64)
    N, H, W, C = x.shape
    windows = Windows((H, W), kernel_size, stride or kernel_size, padding, dilation, ceil_mode)
    y = np.zeros((N, windows.OH, windows.OW, C))
    for oh, ow in windows:
        for _, _, h, w in windows.inside(oh, ow):
            y[:, oh, ow] += x[:, h, w]
        y[:, oh, ow] /= divisor(windows, oh, ow, count_include_pad, divisor_override)
    return y


def avg_pool2d_backward(
    dy,
    input_shape,
    kernel_size,
    *,
    stride=None,
    padding=0,
    dilation=1,
    ceil_mode=False,
    count_include_pad=False,
    divisor_override=None,
):
    dy = np.asarray(dy, np.float64)
    windows = Windows(input_shape[1:3], kernel_size, stride or kernel_size, padding, dilation, ceil_mode)
    dx = np.zeros(input_shape)
    for oh, ow in windows:
        share = dy[:, oh, ow] / divisor(windows, oh, ow, count_include_pad, divisor_override)
        for _, _, h, w in windows.inside(oh, ow):
            dx[:, h, w] += share
    return dx


def max_unpool2d(x, indices, output_shape):
    x, indices = np.asarray(x, np.float64), np.asarray(indices)
    N, H, W, C = output_shape
    y = np.zeros((N, H * W, C))
    for n, oh, ow, c in np.ndindex(x.shape):
        y[n, indices[n, oh, ow, c], c] = x[n, oh, ow, c]
    return y.reshape(output_shape)
