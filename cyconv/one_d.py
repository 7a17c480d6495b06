"""What the one-dimensional functions share: a sequence (N, W, C) or (W, C) is an image one row high."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from numpy.typing import ArrayLike, NDArray

from cyconv import geometry
from cyconv.arrays import as_array
from cyconv.messages import shown

Padding1d = int | tuple[int, int] | Literal["valid", "same", "same_lower"]


def row(x: ArrayLike, name: str) -> NDArray[Any]:
    """Sequences as images."""
    x = as_array(x, name)
    if x.ndim not in (2, 3):
        raise ValueError(f"`{name}` must have 3 dimensions (N, W, C), or 2 for one sequence, got shape {x.shape}")
    return x[..., None, :, :]


def row_filters(w: ArrayLike) -> NDArray[Any]:
    """Filters (S, C // groups, K) as those of images."""
    w = as_array(w, "w")
    if w.ndim != 3:
        raise ValueError(f"`w` must have 3 dimensions (S, C // groups, K), got shape {w.shape}")
    return w[None]


def row_shape(shape: Sequence[int], name: str) -> tuple[int, ...]:
    """The shape of sequences as that of images."""
    if not geometry.is_sequence(shape):
        raise TypeError(f"`{name}` must be a tuple (N, W, C), got {shown(shape)}")
    if len(shape) not in (2, 3):
        raise ValueError(f"`{name}` must have 3 numbers (N, W, C), or 2 for one sequence, got {shown(shape)}")
    return (*shape[:-2], 1, *shape[-2:])


def row_size(kernel_size: int) -> geometry.Pair:
    """A window one row high."""
    return 1, geometry.integer(kernel_size, "kernel_size", 1)


def row_options(stride: int | None, padding: Padding1d, dilation: int) -> dict[str, Any]:
    """Options of one axis as those of two: no padding above and below."""
    return {
        "stride": None if stride is None else (1, geometry.integer(stride, "stride", 1)),
        "padding": padding if isinstance(padding, str) else ((0, 0), geometry.pair(padding, "padding", 0)),
        "dilation": (1, geometry.integer(dilation, "dilation", 1)),
    }


def sequence(y: NDArray[Any]) -> NDArray[Any]:
    """Images one row high as sequences."""
    return y.reshape(*y.shape[:-3], *y.shape[-2:])
