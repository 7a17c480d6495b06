"""Which kernel computes a convolution: what was asked for, what applies, and what is likely to be faster.

The cost model counts multiply-adds.  Winograd's F(M x M, R x R), M + R = 7, takes 36 a tile of M*M outputs instead of
M*M*R*R, fewer where M does not divide the sides, and pays for it with transforms: of every tile, in proportion to the
channels, and of the filters, once for each block of tiles, once in all if they are small, or once for their gradient.
Its constants were fitted to the ratio of the two algorithms' times over the 3 by 3 layers of ResNet-50, VGG-16 and the
CIFAR networks and nine smaller ones, on AVX-512, one thread; those of the transforms once more on a Zen 4, since their
operands are fetched ahead; GROUPED and NARROWEST on an Intel core.
"""

import os
from functools import lru_cache
from typing import Any, NamedTuple

from cyconv.geometry import Conv
from cyconv.messages import shown

ALGORITHMS = ("auto", "direct", "winograd")
NEEDS = "filters of 3 by 3, 4 by 4 or 5 by 5, stride 1, dilation 1 and groups of several channels"
WORTH = 1 << 20
"""Below this many multiply-adds, some ten microseconds, everything is direct: and exact on small integers."""

TILE = 36
BLOCK = 120  # tiles whose filters are transformed together (kernels/winograd_product.pxd)
KEPT = 1 << 14  # filters that are transformed once for all blocks
SINGLE = 64  # tiles of a weight gradient in a single block: x is then transformed once (kernels/winograd_weights.pxd)
LANES = 8  # channels are computed in vectors of so many, or some such number
FEWEST = 3  # tiles: fewer cost as much
NARROWEST = 7  # channels of a weight gradient: of three it took 1.2 to 1.4 times as long as directly (AVX-512)
FEW = 0.85  # what a product with few channels costs directly, where no lanes are idle (kernels/planes.pxd, slim.pxd)
PRODUCT = 1.3  # what a multiply-add of Winograd's products costs more than one of direct convolution
TILE_TRANSFORM = 7.0  # multiply-adds that transforming one number of a tile costs, to Winograd's domain or back
GRADIENT_TRANSFORM = 5.0  # the same in the weight gradient, for each group of channels of the other operand
GROUPED = 2.0  # times a tile's transforms where there are groups: its numbers lie a pixel of all groups apart
TILE_SETUP = 72.0  # what a tile takes besides, at any number of channels: with 8 more than its products
FILTER_TRANSFORM = 3.6  # the same for a filter, in every block of tiles
FILTER_BACK = 5.8  # the same for a filter's gradient: its 36 sums pass through L2, its nine results go to memory
MARGIN = 0.95  # Winograd must promise a twentieth: it rounds more


def _named(value: Any, name: str) -> str:
    if not isinstance(value, str) or value not in ALGORITHMS:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, ALGORITHMS))}, got {shown(value)}")
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


class Choice(NamedTuple):
    """The kernel module that computes a product, and why."""

    kernel: str
    reason: str


def kernel_for(g: Conv, algorithm: str, direction: str = "forward") -> str:
    """The kernel module that computes a product of g: "forward", "input_grad" or "weight_grad"."""
    if algorithm == "direct" or (g.work < WORTH and algorithm == _auto == "auto"):  # without a look-up, for small calls
        return g.kernel
    return _choice(g, algorithm, _auto, direction).kernel


def choose(g: Conv, algorithm: str, direction: str = "forward") -> Choice:
    """`kernel_for` with the reason."""
    return _choice(g, algorithm, _auto, direction)


@lru_cache(maxsize=1024)
def _choice(g: Conv, algorithm: str, auto: str, direction: str) -> Choice:
    setting = "" if algorithm != "auto" else f' and "auto" is set to "{auto}"' if auto != "auto" else ""
    given = f'`algorithm` is "{algorithm}"{setting}'
    named = auto if algorithm == "auto" else algorithm
    if named == "direct":
        return Choice(g.kernel, given)
    obstacle = _obstacle(g)
    if obstacle:
        if algorithm == "winograd":
            raise ValueError(f"`algorithm` 'winograd' needs {NEEDS}; got {obstacle}")
        return Choice(g.kernel, f"Winograd needs {NEEDS}; here: {obstacle}")
    if named == "winograd":
        return Choice("winograd", given)
    if g.work < WORTH:
        return Choice(g.kernel, f"{g.work:,} multiply-adds; Winograd is considered from {WORTH:,}")
    cost = winograd_cost(g, direction)
    reason = f"Winograd is estimated to cost {cost:.2f} of direct; it is taken below {MARGIN}"
    return Choice("winograd" if cost < MARGIN else g.kernel, reason)


def winograd_applies(g: Conv) -> bool:
    """Whether Winograd's algorithm can compute g."""
    return not _obstacle(g)


def outputs_of_a_tile(g: Conv) -> int:
    """M of Winograd's F(M x M, R x R), whose tiles are 6 by 6 numbers."""
    return 7 - g.w[0]


def _obstacle(g: Conv) -> str:
    """What of g Winograd's algorithm cannot do, in words; empty if it can do all."""
    stride_h, stride_w, _, _, dilation_h, dilation_w, groups = g.parameters
    several = groups == 1 or g.w[2] > 1
    if g.w[0] == g.w[1] and 3 <= g.w[0] <= 5 and stride_h == stride_w == dilation_h == dilation_w == 1 and several:
        return ""
    return f"filters {g.w[:2]}, stride {stride_h, stride_w}, dilation {dilation_h, dilation_w}, groups {groups}"


def winograd_cost(g: Conv, direction: str) -> float:
    """What Winograd's algorithm costs, as a share of direct convolution: of one group, and so of all."""
    (N, H, W, K), C = (g.x, g.y[3]) if direction == "input_grad" else (g.y, g.x[3])
    groups = g.parameters[-1]
    C, K = C // groups, K // groups
    R, M = g.w[0], outputs_of_a_tile(g)
    pixels = H * W if g.y[1:3] != (1, 1) or g.x[1:3] != g.w[:2] else 1  # else see merge_window, kernels/shapes.pxd
    direct = R * R * N * pixels * C * (FEW * K + 0.5 if K <= LANES else _up(K, LANES))
    tiles = N * -(-H // M) * -(-W // M)
    points = N * _points(H, M) * _points(W, M) / TILE
    lanes, K = _up(C, LANES), _up(K, LANES)
    if direction == "weight_grad":
        products = points * max(C, NARROWEST) * K * PRODUCT
        passes = 1 if tiles <= SINGLE else -(-K // 128)
        tile = (lanes * passes + K * -(-C // 64)) * GRADIENT_TRANSFORM
        filters = C * K * FILTER_BACK
    else:
        products = max(points, FEWEST) * C * K * PRODUCT
        blocks = 1 if C * K <= KEPT else -(-tiles // BLOCK)
        tile = (lanes + K) * TILE_TRANSFORM * (GROUPED if groups > 1 else 1)
        filters = blocks * C * K * FILTER_TRANSFORM
    return TILE * (products + tiles * (tile + TILE_SETUP) + filters) / direct


def _points(size: int, M: int) -> int:
    """Products of one side: six for each tile of M outputs, five for one of M - 1 (kernels/winograd_grid.pxd)."""
    tiles = -(-size // M)
    return 5 * tiles + max(0, size - tiles * (M - 1))


def _up(count: int, step: int) -> int:
    return -(-count // step) * step
