"""Every public function that takes arrays, on small ones: for tests that go through them all."""

import cyconv

# Shapes of one image, and of what has no batch axis.
IMAGES = {
    "x": (6, 7, 4),
    "dy": (4, 6, 5),
    "painted": (8, 8, 5),
    "pooled": (3, 3, 4),
    "pixel": (1, 1, 4),
    "sequence": (7, 4),
    "dsequence": (5, 5),
    "pooled_sequence": (3, 4),
}
OTHERS = {"w": (3, 2, 4, 5), "wt": (3, 2, 5, 4), "w1": (3, 4, 5), "b": (5,)}


def shape(name, N):
    """The shape of an array, for one image if N is None, else for a batch of N."""
    return OTHERS[name] if name in OTHERS else IMAGES[name] if N is None else (N, *IMAGES[name])


def indices(x):
    return cyconv.max_pool2d(x, 2, return_indices=True)[1]


# The arrays that a function takes, and a call with them for a batch of N or one image.
CALLS = {
    "conv2d": (("x", "w", "b"), lambda N, x, w, b: cyconv.conv2d(x, w, b)),
    "conv2d, relu": (("x", "w", "b"), lambda N, x, w, b: cyconv.conv2d(x, w, b, activation="relu")),
    "PreparedConv2d": (("x", "w", "b"), lambda N, x, w, b: cyconv.PreparedConv2d(w, b)(x)),
    "conv2d_input_grad": (("dy", "w"), lambda N, dy, w: cyconv.conv2d_input_grad(dy, w, shape("x", N))),
    "conv2d_weight_grad": (("dy", "x"), lambda N, dy, x: cyconv.conv2d_weight_grad(dy, x, (3, 2))),
    "conv2d_backward": (("dy", "x", "w"), lambda N, dy, x, w: cyconv.conv2d_backward(dy, x, w)),
    "conv2d_backward, relu": (
        ("dy", "x", "w", "dy"),
        lambda N, dy, x, w, y: cyconv.conv2d_backward(dy, x, w, activation="relu", y=y),
    ),
    "conv_transpose2d": (("x", "wt", "b"), lambda N, x, w, b: cyconv.conv_transpose2d(x, w, b)),
    "conv_transpose2d_backward": (
        ("painted", "x", "wt"),
        lambda N, dy, x, w: cyconv.conv_transpose2d_backward(dy, x, w),
    ),
    "max_pool2d": (("x",), lambda N, x: cyconv.max_pool2d(x, 2)),
    "max_pool2d, indices": (("x",), lambda N, x: cyconv.max_pool2d(x, 2, return_indices=True)),
    "max_pool2d_backward": (("pooled", "x"), lambda N, dy, x: cyconv.max_pool2d_backward(dy, x, 2)),
    "max_pool2d_backward, indices": (
        ("pooled", "x"),
        lambda N, dy, x: cyconv.max_pool2d_backward(dy, x, 2, indices=indices(x)),
    ),
    "max_unpool2d": (("pooled", "x"), lambda N, y, x: cyconv.max_unpool2d(y, indices(x), shape("x", N))),
    "avg_pool2d": (("x",), lambda N, x: cyconv.avg_pool2d(x, 2)),
    "avg_pool2d_backward": (("pooled",), lambda N, dy: cyconv.avg_pool2d_backward(dy, shape("x", N), 2)),
    "lp_pool2d": (("x",), lambda N, x: cyconv.lp_pool2d(x, 2, 2)),
    "lp_pool2d_backward": (("pooled", "x"), lambda N, dy, x: cyconv.lp_pool2d_backward(dy, x, 2, 2)),
    "adaptive_avg_pool2d": (("x",), lambda N, x: cyconv.adaptive_avg_pool2d(x, (2, 3))),
    "adaptive_avg_pool2d_backward": (
        ("pooled",),
        lambda N, dy: cyconv.adaptive_avg_pool2d_backward(dy, shape("x", N)),
    ),
    "adaptive_max_pool2d": (("x",), lambda N, x: cyconv.adaptive_max_pool2d(x, (2, 3), return_indices=True)),
    "adaptive_max_pool2d_backward": (
        ("pooled", "x"),
        lambda N, dy, x: cyconv.adaptive_max_pool2d_backward(dy, x),
    ),
    "global_avg_pool2d": (("x",), lambda N, x: cyconv.global_avg_pool2d(x)),
    "global_avg_pool2d_backward": (
        ("pixel",),
        lambda N, dy: cyconv.global_avg_pool2d_backward(dy, shape("x", N)),
    ),
    "global_max_pool2d": (("x",), lambda N, x: cyconv.global_max_pool2d(x)),
    "global_max_pool2d_backward": (("pixel", "x"), lambda N, dy, x: cyconv.global_max_pool2d_backward(dy, x)),
    "conv1d": (("sequence", "w1", "b"), lambda N, x, w, b: cyconv.conv1d(x, w, b)),
    "conv1d_input_grad": (
        ("dsequence", "w1"),
        lambda N, dy, w: cyconv.conv1d_input_grad(dy, w, shape("sequence", N)),
    ),
    "conv1d_weight_grad": (("dsequence", "sequence"), lambda N, dy, x: cyconv.conv1d_weight_grad(dy, x, 3)),
    "conv1d_backward": (
        ("dsequence", "sequence", "w1"),
        lambda N, dy, x, w: cyconv.conv1d_backward(dy, x, w),
    ),
    "max_pool1d": (("sequence",), lambda N, x: cyconv.max_pool1d(x, 2)),
    "max_pool1d_backward": (
        ("pooled_sequence", "sequence"),
        lambda N, dy, x: cyconv.max_pool1d_backward(dy, x, 2),
    ),
    "avg_pool1d": (("sequence",), lambda N, x: cyconv.avg_pool1d(x, 2)),
    "avg_pool1d_backward": (
        ("pooled_sequence",),
        lambda N, dy: cyconv.avg_pool1d_backward(dy, shape("sequence", N), 2),
    ),
}


def draw(rng, dtype, names, N):
    return [rng.standard_normal(shape(name, N)).astype(dtype) for name in names]


def results(call, N, arrays):
    """The results of a call as a tuple, whether it has one or several."""
    result = call(N, *arrays)
    return result if isinstance(result, tuple) else (result,)
