"""Layers of square filters and random numbers, and all that can be computed of them."""

import cyconv


def results(x, w, **options):
    """y, dx, dw, db, and the transposed convolution of y."""
    y = cyconv.conv2d(x, w, padding=1, **options)
    back = cyconv.conv_transpose2d(y, w, padding=1, **options)
    return [y, *cyconv.conv2d_backward(y, x, w, padding=1, **options), back]


def normal(rng, dtype, x, K, R=3):
    return rng.standard_normal(x).astype(dtype), rng.standard_normal((R, R, x[3], K)).astype(dtype)
