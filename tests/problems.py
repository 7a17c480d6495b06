"""Every kernel on arrays of any number of channels: for tests of bits and of memory, which need no right answers.

The images are 9 by 10: wide enough for every tile of the kernels, and neither a multiple of one.
"""

from dataclasses import dataclass

import numpy as np

import cyconv

H, W = 9, 10
WINDOWS = {
    "3x3": ((3, 3), {"padding": 1}),
    "3x3/2": ((3, 3), {"stride": 2, "padding": 1}),
    "5x5": ((5, 5), {"padding": 2}),
    "5x5/2": ((5, 5), {"stride": 2, "padding": "same"}),
    "1x1": ((1, 1), {}),
    "1x1/2": ((1, 1), {"stride": 2}),
    "3x2, uneven": ((3, 2), {"stride": (1, 3), "padding": ((0, 2), (1, 0))}),
    "2x3, dilated": ((2, 3), {"dilation": (2, 3), "padding": 3}),
}


@dataclass(frozen=True)
class Problem:
    """A call with arrays of these shapes; `batch` says which of its results follow the images one by one."""

    name: str
    shapes: tuple
    call: object
    batch: tuple = (0,)

    def __str__(self):
        return self.name

    def arrays(self, rng, dtype):
        return [rng.standard_normal(shape).astype(dtype) for shape in self.shapes]

    def results(self, arrays):
        """The results as a tuple, whether there is one or several."""
        result = self.call(*arrays)
        return result if isinstance(result, tuple) else (result,)


def convolution(label, x, w, algorithm, **options):
    """Forward with all its options, and each gradient."""
    options["algorithm"] = algorithm
    y = cyconv.conv2d(np.empty(x), np.empty(w), **options).shape
    b, size = w[3:], w[:2]

    def relu(x, w, b):
        return cyconv.conv2d(x, w, b, **options, activation="relu")

    def input_grad(dy, w):
        return cyconv.conv2d_input_grad(dy, w, (len(dy), *x[1:]), **options)

    label = f"{label}, {x[3]} to {w[3]} channels, {algorithm}"
    yield Problem(f"conv2d {label}", (x, w, b), relu)
    yield Problem(f"conv2d_input_grad {label}", (y, w), input_grad)
    yield Problem(
        f"conv2d_weight_grad {label}", (y, x), lambda dy, x: cyconv.conv2d_weight_grad(dy, x, size, **options), ()
    )
    yield Problem(
        f"conv2d_backward {label}", (y, x, w), lambda dy, x, w: cyconv.conv2d_backward(dy, x, w, **options), (0,)
    )


def transposed(label, x, w, b, **options):
    y = cyconv.conv_transpose2d(np.empty(x), np.empty(w), **options).shape
    yield Problem(f"conv_transpose2d {label}", (x, w, b), lambda x, w, b: cyconv.conv_transpose2d(x, w, b, **options))
    yield Problem(
        f"conv_transpose2d_backward {label}",
        (y, x, w),
        lambda dy, x, w: cyconv.conv_transpose2d_backward(dy, x, w, **options),
    )


def convolutions(N, C, K):
    """Direct, grouped, depthwise, Winograd's and transposed convolution."""
    for label, (size, options) in WINDOWS.items():
        yield from convolution(label, (N, H, W, C), (*size, C, K), "direct", **options)
        yield from convolution(label, (N, H, W, C), (*size, 1, C), "direct", groups=C, **options)
    yield from convolution("grouped", (N, H, W, 2 * C), (3, 3, C, 2 * K), "direct", groups=2, padding=1)
    yield from convolution("with a multiplier", (N, H, W, C), (3, 3, 1, 2 * C), "direct", groups=C)
    yield from convolution("3x3", (N, H, W, C), (3, 3, C, K), "winograd", padding=1)
    yield from convolution("3x3, valid", (N, H, W, C), (3, 3, C, K), "winograd")
    if C > 1:
        yield from convolution("3x3, grouped", (N, H, W, 2 * C), (3, 3, C, 2 * K), "winograd", groups=2, padding=1)
    yield from convolution("4x4", (N, H, W, C), (4, 4, C, K), "winograd", padding=1)
    yield from convolution("5x5", (N, H, W, C), (5, 5, C, K), "winograd", padding=2)
    for label in ("3x3", "3x3/2", "3x2, uneven", "2x3, dilated"):
        size, options = WINDOWS[label]
        yield from transposed(f"{label}, {C} to {K}", (N, H, W, C), (*size, K, C), (K,), algorithm="direct", **options)


def poolings(N, C):
    """Every kind, forward and backward."""
    x = N, H, W, C
    for label, options in {
        "2": {"kernel_size": 2},
        "3/2": {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
        "3x2, dilated": {"kernel_size": (3, 2), "stride": 1, "dilation": (2, 3), "padding": (2, 1)},
    }.items():
        yield from pooling(f"{label}, {C} channels", x, options)
    pooled = (N, 4, 3, C)
    yield Problem(
        f"adaptive_max_pool2d {C}", (x,), lambda x: cyconv.adaptive_max_pool2d(x, (4, 3), return_indices=True), (0, 1)
    )
    yield Problem(f"adaptive_max_pool2d_backward {C}", (pooled, x), cyconv.adaptive_max_pool2d_backward)
    yield Problem(f"adaptive_avg_pool2d {C}", (x,), lambda x: cyconv.adaptive_avg_pool2d(x, (4, 3)))
    yield Problem(
        f"adaptive_avg_pool2d_backward {C}",
        (pooled,),
        lambda dy: cyconv.adaptive_avg_pool2d_backward(dy, (len(dy), *x[1:])),
    )
    yield Problem(f"global_max_pool2d {C}", (x,), cyconv.global_max_pool2d)
    yield Problem(f"global_avg_pool2d {C}", (x,), cyconv.global_avg_pool2d)


def pooling(label, x, options):
    y = cyconv.max_pool2d(np.empty(x), **options).shape

    def unpool(dy, x):
        return cyconv.max_unpool2d(dy, cyconv.max_pool2d(x, **options, return_indices=True)[1], x.shape)

    def by_indices(dy, x):
        indices = cyconv.max_pool2d(x, **options, return_indices=True)[1]
        return cyconv.max_pool2d_backward(dy, x, **options, indices=indices)

    for name, shapes, call in (
        ("max_pool2d", (x,), lambda x: cyconv.max_pool2d(x, **options)),
        ("max_pool2d_backward", (y, x), lambda dy, x: cyconv.max_pool2d_backward(dy, x, **options)),
        ("max_pool2d_backward, ties", (y, x), lambda dy, x: cyconv.max_pool2d_backward(dy, x, **options, ties="all")),
        ("max_pool2d_backward, indices", (y, x), by_indices),
        ("max_unpool2d", (y, x), unpool),
        ("avg_pool2d", (x,), lambda x: cyconv.avg_pool2d(x, **options)),
        ("avg_pool2d_backward", (y,), lambda dy: cyconv.avg_pool2d_backward(dy, (len(dy), *x[1:]), **options)),
        ("lp_pool2d", (x,), lambda x: cyconv.lp_pool2d(x, 3, **options)),
        ("lp_pool2d_backward", (y, x), lambda dy, x: cyconv.lp_pool2d_backward(dy, x, 3, **options)),
    ):
        yield Problem(f"{name} {label}", shapes, call)
    yield Problem(
        f"max_pool2d, indices {label}", (x,), lambda x: cyconv.max_pool2d(x, **options, return_indices=True), (0, 1)
    )


def sequences(N, C, K):
    x, w, b, y = (N, 11, C), (3, C, K), (K,), (N, 9, K)
    yield Problem(f"conv1d {C} to {K}", (x, w, b), cyconv.conv1d)
    yield Problem(
        f"conv1d_input_grad {C} to {K}", (y, w), lambda dy, w: cyconv.conv1d_input_grad(dy, w, (len(dy), 11, C))
    )
    yield Problem(f"conv1d_weight_grad {C} to {K}", (y, x), lambda dy, x: cyconv.conv1d_weight_grad(dy, x, 3), ())
    yield Problem(f"conv1d_backward {C} to {K}", (y, x, w), cyconv.conv1d_backward)
    pooled = (N, 5, C)
    yield Problem(f"max_pool1d {C}", (x,), lambda x: cyconv.max_pool1d(x, 2))
    yield Problem(f"max_pool1d_backward {C}", (pooled, x), lambda dy, x: cyconv.max_pool1d_backward(dy, x, 2))
    yield Problem(f"avg_pool1d {C}", (x,), lambda x: cyconv.avg_pool1d(x, 2))
    yield Problem(f"avg_pool1d_backward {C}", (pooled,), lambda dy: cyconv.avg_pool1d_backward(dy, (len(dy), 11, C), 2))


def problems(N, C, K):
    """Every kernel, with C channels in and K out."""
    yield from convolutions(N, C, K)
    yield from poolings(N, C)
    yield from sequences(N, C, K)
