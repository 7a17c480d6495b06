"""Groups of layers that are judged together, each by one measure, as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.suites import Conv, Layer, Pool

BEST = "best peer"
LIMIT = "limit"


@dataclass(frozen=True, slots=True)
class Group:
    title: str
    measure: str  # how many times the speed of BEST or of a peer; or the share of the machine's LIMIT
    holds: Callable[[Layer], bool]
    directions: tuple[str, ...] = ("forward", "input_grad", "weight_grad", "backward")


def _winograd_of(*sizes: int) -> Callable[[Layer], bool]:
    """Square filters of these sizes, stride 1, and enough channels for Winograd's transforms to be cheap."""

    def holds(layer: Layer) -> bool:
        if not isinstance(layer, Conv) or (layer.stride, layer.groups) != (1, 1):
            return False
        return layer.R == layer.S and layer.R in sizes and layer.C >= 32

    return holds


def _wide(layer: Layer) -> bool:
    """Large enough for nothing but the multiply-adds to count."""
    return (
        isinstance(layer, Conv) and layer.groups == 1 and min(layer.C, layer.K) >= 64 and layer.flops("forward") >= 50e6
    )


def _filter(layer: Layer) -> bool:
    """Of an image of few channels, each by itself."""
    return isinstance(layer, Conv) and layer.groups == layer.C == layer.K <= 4


def _few(layer: Layer) -> bool:
    """From or to few channels, in all or in each of several groups."""
    if not isinstance(layer, Conv) or (layer.groups > 1 and layer.groups == layer.C):
        return False
    return min(layer.C, layer.K) // layer.groups <= 8


def _small(layer: Layer) -> bool:
    return isinstance(layer, Conv) and layer.flops("forward") < 1e6


GROUPS = (
    Group("every layer", BEST, lambda layer: True),
    Group("3x3, stride 1, C >= 32", BEST, _winograd_of(3)),
    Group("4x4 and 5x5, stride 1, C >= 32", BEST, _winograd_of(4, 5)),
    Group("below 1 MFLOP", BEST, _small),
    Group("depthwise", "torch-nhwc", lambda layer: isinstance(layer, Conv) and layer.groups == layer.C > 4),
    Group("filters of images", BEST, _filter),
    Group("from or to at most 8 channels", BEST, _few),
    Group("pooling", "torch-nhwc", lambda layer: isinstance(layer, Pool)),
    Group("C, K >= 64, >= 50 MFLOP", LIMIT, _wide),
    Group("3 channels in", LIMIT, lambda layer: isinstance(layer, Conv) and layer.C == 3 and layer.groups == 1),
    Group(
        "2x2/2 pooling",
        LIMIT,
        lambda layer: isinstance(layer, Pool) and (layer.R, layer.stride) == (2, 2),
        ("forward",),
    ),
)
