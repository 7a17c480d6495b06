"""Which kernel computes a convolution: what was asked for, what applies, and what is likely to be faster.

The cost model counts multiply-adds.  Winograd's F(4x4, 3x3) takes 36 a tile of 16 outputs instead of 144, and pays for
it with transforms: of every tile, in proportion to the channels, and of the filters, once for each block of tiles.  Its
constants were estimated from instruction counts and tried on AVX-512 in float32 only: in 9 of 96 cases the choice was
more than 5 % slower than the other.
"""

import os
from typing import Any

from cyconv.geometry import Conv

ALGORITHMS = ("auto", "direct", "winograd")
WORTH = 1 << 23
"""Below this many multiply-adds, some 100 microseconds, everything is direct: and exact on small integers."""

TILE = 36
BLOCK = 120  # tiles whose filters are transformed together (kernels/winograd.pyx)
PRODUCT = 1.15  # what a multiply-add of Winograd's products costs more than one of direct convolution
TILE_TRANSFORM = 8.0  # multiply-adds that transforming one number of a tile costs
FILTER_TRANSFORM = 5.5  # the same for a filter
MARGIN = 0.9  # Winograd must promise at least a tenth: it rounds more


def _named(value: Any, name: str) -> str:
    if not isinstance(value, str) or value not in ALGORITHMS:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, ALGORITHMS))}, got {value!r}")
    return value


_auto = _named(os.environ.get("CYCONV_ALGORITHM") or "auto", "CYCONV_ALGORITHM")


def get_algorithm() -> str:
    """What ``algorithm="auto"`` stands for: "auto", "direct" or "winograd".

    Examples
    --------
    >>> import cyconv
    >>> cyconv.get_algorithm()
    'auto'
    """
    return _auto


def set_algorithm(algorithm: str) -> None:
    """Say what ``algorithm="auto"`` stands for from now on, in the whole process.

    Parameters
    ----------
    algorithm : "auto", "direct" or "winograd"
        "auto" leaves the choice to the cost model; "winograd" means Winograd wherever it applies.

    Raises
    ------
    ValueError
        For any other name.

    Examples
    --------
    >>> import cyconv
    >>> cyconv.set_algorithm("direct")
    >>> cyconv.set_algorithm("auto")
    """
    global _auto
    _auto = _named(algorithm, "`algorithm`")


def check_algorithm(algorithm: Any) -> None:
    """Refuse what is no algorithm."""
    _named(algorithm, "`algorithm`")


def kernel_for(g: Conv, algorithm: str, *, of_weights: bool = False) -> str:
    """The kernel module that computes a product of g: forward, input gradient or, `of_weights`, weight gradient."""
    if algorithm == "auto":
        if _auto == "auto":
            return "winograd" if g.work >= WORTH and _applies(g) and _pays(g, of_weights) else g.kernel
        algorithm = _auto if _auto == "direct" or _applies(g) else "direct"
    if algorithm == "direct":
        return g.kernel
    if not _applies(g):
        raise ValueError(
            f"`algorithm` 'winograd' needs 3 by 3 filters, stride 1, dilation 1 and groups 1; got filters {g.w[:2]}, "
            f"stride {g.parameters[:2]}, dilation {g.parameters[4:6]}, groups {g.parameters[6]}"
        )
    return "winograd"


def _applies(g: Conv) -> bool:
    stride_h, stride_w, _, _, dilation_h, dilation_w, groups = g.parameters
    return g.w[:2] == (3, 3) and stride_h == stride_w == dilation_h == dilation_w == groups == 1


def _pays(g: Conv, of_weights: bool) -> bool:
    (N, OH, OW, K), C = g.y, g.x[3]
    tiles = N * -(-OH // 4) * -(-OW // 4)
    products = -(-tiles // 6) * 6 * C * K * PRODUCT
    if of_weights:
        transforms = tiles * (C * -(-K // 64) + K * -(-C // 64)) * TILE_TRANSFORM
    else:
        transforms = tiles * (C + K) * TILE_TRANSFORM + -(-tiles // BLOCK) * C * K * FILTER_TRANSFORM
    return TILE * (products + transforms) < MARGIN * g.work
