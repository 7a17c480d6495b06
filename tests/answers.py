"""Data for a geometry, and what the oracle makes of them.

The oracle runs once per geometry; every build, dtype and thread count is compared with that one answer.
"""

from functools import cache
from types import SimpleNamespace
from zlib import crc32

import numpy as np
import reference


def seeded(*key):
    """A generator that depends on the key alone, not on the tests that ran before."""
    return np.random.default_rng(crc32(repr(key).encode()))


def integers(rng, *shape):
    """Whole numbers from -8 to 8 as float64.

    A product is at most 64, so float32 sums of a quarter of a million products are still exact.
    """
    return rng.integers(-8, 9, shape).astype(np.float64)


@cache
def conv_data(case, kind):
    """x, w, b, dy and y, dx, dw, db of a convolution, plain or transposed, in float64.

    `kind` is "integers", or a floating dtype whose values the data are rounded to.
    """
    rng = seeded(case, kind)

    def draw(*shape):
        if kind == "integers":
            return integers(rng, *shape)
        return rng.standard_normal(shape).astype(kind).astype(np.float64)

    x, w, b = draw(*case.x), draw(*case.w), draw(case.K)
    y = case.forward(x, w, b)
    dy = draw(*y.shape)
    dx, dw, db = case.backward(dy, x, w)
    return SimpleNamespace(x=x, w=w, b=b, dy=dy, y=y, dx=dx, dw=dw, db=db)


@cache
def conv_magnitude(case, kind):
    """The oracle's answers for the absolute values of the data: the scale of rounding errors."""
    data = conv_data(case, kind)
    x, w, b, dy = (np.abs(a) for a in (data.x, data.w, data.b, data.dy))
    dx, dw, db = case.backward(dy, x, w)
    return SimpleNamespace(y=case.forward(x, w, b), dx=dx, dw=dw, db=db)


@cache
def pool_data(case):
    """x, dy and the answers for both kinds of pooling; few distinct values, so many ties."""
    rng, geometry = seeded(case), case.geometry
    x = integers(rng, *case.x)
    y = reference.max_pool2d(x, **geometry)
    dy = integers(rng, *y.shape)
    return SimpleNamespace(
        x=x,
        dy=dy,
        y_max=y,
        dx_first=reference.max_pool2d_backward(dy, x, **geometry),
        dx_all=reference.max_pool2d_backward(dy, x, **geometry, ties="all"),
    )


@cache
def average_data(case, **options):
    """y and dx of average pooling for the data of `pool_data`, and dx for absolute values."""
    data, arguments = pool_data(case), case.geometry | options
    return SimpleNamespace(
        y=reference.avg_pool2d(data.x, **arguments),
        dx=reference.avg_pool2d_backward(data.dy, case.x, **arguments),
        dx_magnitude=reference.avg_pool2d_backward(abs(data.dy), case.x, **arguments),
    )
