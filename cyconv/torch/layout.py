"""Where PyTorch's numbers lie, and how NumPy sees them: without a copy wherever that is possible.

Images (N, C, H, W) in channels_last are NHWC arrays as they stand.  Weights (K, C // groups, R, S) are (R, S, C //
groups, K) arrays where their strides say so; such weights, called hwio here, are a third memory format that PyTorch has
no name for, but computes with as with any other strides.
"""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray


def images(x: torch.Tensor) -> NDArray[Any]:
    """(N, C, H, W) as an array (N, H, W, C) in C order."""
    a: NDArray[Any] = x.numpy(force=True).transpose(0, 2, 3, 1)
    if not a.flags.c_contiguous:
        a = x.contiguous(memory_format=torch.channels_last).numpy(force=True).transpose(0, 2, 3, 1)
    return a


def filters(w: torch.Tensor) -> NDArray[Any]:
    """(K, C // groups, R, S) as an array (R, S, C // groups, K) in C order."""
    a: NDArray[Any] = w.numpy(force=True).transpose(2, 3, 1, 0)
    if not a.flags.c_contiguous:
        a = hwio(w).numpy(force=True).transpose(2, 3, 1, 0)
    return a


def tensor(y: NDArray[Any]) -> torch.Tensor:
    """(N, H, W, C) as a tensor (N, C, H, W) in channels_last."""
    return torch.from_numpy(y.transpose(0, 3, 1, 2))


def empty_images(like: torch.Tensor, N: int, C: int, H: int, W: int) -> torch.Tensor:
    """An empty tensor as `tensor` would give."""
    return like.new_empty((N, H, W, C)).permute(0, 3, 1, 2)


def is_hwio(w: torch.Tensor) -> bool:
    return bool(w.permute(2, 3, 1, 0).is_contiguous())


def hwio(w: torch.Tensor) -> torch.Tensor:
    """The same weights, hwio: a matrix of K rows transposed, which PyTorch copies faster than it permutes four axes."""
    if is_hwio(w):
        return w
    K, c, R, S = w.shape
    rows = w.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1).reshape(K, R * S * c)
    return rows.t().contiguous().view(R, S, c, K).permute(3, 2, 0, 1)


def channels_last(w: torch.Tensor) -> torch.Tensor:
    """Weights that are hwio, in channels_last: the transposition back."""
    K, c, R, S = w.shape
    columns = w.permute(2, 3, 1, 0).reshape(R * S * c, K)
    return columns.t().contiguous().view(K, R, S, c).permute(0, 3, 1, 2)


def is_channels_last(t: torch.Tensor) -> bool:
    """Whether PyTorch would lay a result out like that.  One channel or one pixel has no order to go by."""
    _, C, H, W = t.shape
    if C == 1 or H * W == 1:
        return False
    n, c, h, w = t.stride()
    return bool(0 < c <= w <= h <= n) or is_hwio(t)
