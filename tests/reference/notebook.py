"""The notebook's eight functions as plain loops over single windows, in the corrected form.

Corrected: `pool_backward` moves its window by the stride, `conv_backward` gives the gradient without
padding too, and an unknown pooling mode is an error. Square windows and one stride, as there.
"""

import numpy as np


def zero_pad(X, pad):
    return np.pad(X, ((0, 0), (pad, pad), (pad, pad), (0, 0)))


def conv_single_step(a_slice_prev, W, b):
    return np.sum(a_slice_prev * W) + float(np.squeeze(b))


def conv_forward(A_prev, W, b, hparameters):
    stride, pad = hparameters["stride"], hparameters["pad"]
    m, n_H_prev, n_W_prev, _ = A_prev.shape
    f, _, _, n_C = W.shape
    n_H = (n_H_prev - f + 2 * pad) // stride + 1
    n_W = (n_W_prev - f + 2 * pad) // stride + 1
    padded = zero_pad(A_prev, pad)
    Z = np.zeros((m, n_H, n_W, n_C))
    for i, h, w, c in np.ndindex(Z.shape):
        window = padded[i, h * stride : h * stride + f, w * stride : w * stride + f]
        Z[i, h, w, c] = conv_single_step(window, W[..., c], b[..., c])
    return Z, (A_prev, W, b, hparameters)


def conv_backward(dZ, cache):
    A_prev, W, _, hparameters = cache
    stride, pad = hparameters["stride"], hparameters["pad"]
    f, n_C = W.shape[0], W.shape[3]
    padded = zero_pad(A_prev, pad)
    d_padded, dW, db = np.zeros(padded.shape), np.zeros(W.shape), np.zeros((1, 1, 1, n_C))
    for i, h, w, c in np.ndindex(dZ.shape):
        rows = slice(h * stride, h * stride + f)
        columns = slice(w * stride, w * stride + f)
        d_padded[i, rows, columns] += W[..., c] * dZ[i, h, w, c]
        dW[..., c] += padded[i, rows, columns] * dZ[i, h, w, c]
        db[..., c] += dZ[i, h, w, c]
    n_H_prev, n_W_prev = A_prev.shape[1:3]
    return d_padded[:, pad : pad + n_H_prev, pad : pad + n_W_prev], dW, db


def pool_forward(A_prev, hparameters, mode="max"):
    reduce = {"max": np.max, "average": np.mean}[mode]
    f, stride = hparameters["f"], hparameters["stride"]
    m, n_H_prev, n_W_prev, n_C = A_prev.shape
    A = np.zeros((m, (n_H_prev - f) // stride + 1, (n_W_prev - f) // stride + 1, n_C))
    for i, h, w, c in np.ndindex(A.shape):
        A[i, h, w, c] = reduce(A_prev[i, h * stride : h * stride + f, w * stride : w * stride + f, c])
    return A, (A_prev, hparameters)


def create_mask_from_window(x):
    return x == np.max(x)


def distribute_value(dz, shape):
    return np.full(shape, dz / (shape[0] * shape[1]))


def pool_backward(dA, cache, mode="max"):
    A_prev, hparameters = cache
    f, stride = hparameters["f"], hparameters["stride"]
    dA_prev = np.zeros(A_prev.shape)
    for i, h, w, c in np.ndindex(dA.shape):
        window = i, slice(h * stride, h * stride + f), slice(w * stride, w * stride + f), c
        if mode == "max":
            dA_prev[window] += create_mask_from_window(A_prev[window]) * dA[i, h, w, c]
        elif mode == "average":
            dA_prev[window] += distribute_value(dA[i, h, w, c], (f, f))
        else:
            raise ValueError(mode)
    return dA_prev
