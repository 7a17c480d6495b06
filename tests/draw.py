"""Small geometries drawn at random, each choice made by `integer(low, high)`: a seed's, or hypothesis'.

Nothing is drawn and thrown away, so hypothesis can shrink what it finds.
"""

from answers import seeded
from cases import Conv, Pool, Transposed


def chooser(seed):
    """The choices of a seed."""
    rng = seeded("draw", seed)
    return lambda low, high: int(rng.integers(low, high + 1))


def many(draw, count):
    """The geometries of the first seeds."""
    return [draw(chooser(seed)) for seed in range(count)]


def pair(integer, low, high):
    return integer(low, high), integer(low, high)


def padding(integer, most):
    """Padding in one of its forms, at most `most` on the sides of either axis; and its sum on each axis."""
    top, bottom, left, right = (integer(0, most[axis]) for axis in (0, 0, 1, 1))
    common = min(top, left)
    return (
        (0, (0, 0)),
        ("valid", (0, 0)),
        ("same", (0, 0)),
        ("same_lower", (0, 0)),
        (common, (2 * common, 2 * common)),
        ((top, left), (2 * top, 2 * left)),
        (((top, bottom), (left, right)), (top + bottom, left + right)),
    )[integer(0, 6)]


def extents(kernel_size, dilation):
    return tuple((k - 1) * d + 1 for k, d in zip(kernel_size, dilation, strict=True))


def conv(integer, most_groups=1):
    """A convolution, often with borders wider than the input."""
    kernel_size, dilation = pair(integer, 1, 5), pair(integer, 1, 2)
    pad, total = padding(integer, (4, 4))
    least = (max(1, extent - t) for extent, t in zip(extents(kernel_size, dilation), total, strict=True))
    H, W = (low + integer(0, 9) for low in least)
    groups = integer(1, most_groups)
    return Conv(
        x=(integer(1, 3), H, W, groups * integer(1, 20 if groups == 1 else 5)),
        kernel_size=kernel_size,
        K=groups * integer(1, 20 if groups == 1 else 5),
        stride=pair(integer, 1, 3),
        padding=pad,
        dilation=dilation,
        groups=groups,
    )


def grouped_conv(integer):
    return conv(integer, most_groups=9)


def depthwise_conv(integer):
    """One input channel to a group."""
    case = conv(integer)
    C = integer(1, 40)
    return Conv(**vars(case) | {"x": (*case.x[:3], C), "K": C * integer(1, 3), "groups": C})


def transposed(integer):
    """A transposed convolution whose output is not empty."""
    kernel_size, stride, dilation = pair(integer, 1, 4), pair(integer, 1, 3), pair(integer, 1, 3)
    pad, total = padding(integer, (2, 2))
    named = pad in ("same", "same_lower")
    H, W = (
        1 if named else max(1, -((extent - 1 - t) // step) + 1)
        for extent, t, step in zip(extents(kernel_size, dilation), total, stride, strict=True)
    )
    groups = integer(1, 3)
    return Transposed(
        x=(integer(1, 3), H + integer(0, 4), W + integer(0, 4), groups * integer(1, 6)),
        kernel_size=kernel_size,
        K=groups * integer(1, 6),
        stride=stride,
        padding=pad,
        output_padding=0 if named else tuple(integer(0, step - 1) for step in stride),
        dilation=dilation,
        groups=groups,
    )


def pool(integer, most_dilation=1, ceil_mode=False):
    """A pooling whose padding is at most half its window, no window of which misses the input."""
    kernel_size, dilation = pair(integer, 1, 5), pair(integer, 1, most_dilation)
    extent = extents(kernel_size, dilation)
    pad, total = padding(integer, [e // 2 for e in extent])
    least = (max(d, e - t) for d, e, t in zip(dilation, extent, total, strict=True))
    H, W = (low + integer(0, 9) for low in least)
    return Pool(
        x=(integer(1, 3), H, W, integer(1, 40)),
        kernel_size=kernel_size,
        stride=pair(integer, 1, 4) if integer(0, 1) else None,
        padding=pad,
        dilation=dilation,
        ceil_mode=ceil_mode and bool(integer(0, 1)),
    )


def pool_with_options(integer):
    return pool(integer, most_dilation=3, ceil_mode=True)
