"""Pooling and its gradients as operators of PyTorch, on images (N, C, H, W); results are in channels_last.

Average pooling and its gradient are each other's gradients, and the gradient of the maximum's gradient reads where the
maxima are: so every order of derivative exists.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

import cyconv
from cyconv.torch import layout
from cyconv.torch.operator import operator

_MAX = "int[2] kernel_size, int[2] stride, int[2] padding, int[2] dilation, bool ceil_mode"
_AVG = (
    "int[2] kernel_size, int[2] stride, int[2] padding, bool ceil_mode, bool count_include_pad, int? divisor_override"
)


def _pooled(x: Tensor, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> Tensor:
    """An empty result: the output size of geometry.py, of numbers that PyTorch may have left open."""
    size = []
    for H, R, step, pad, spread in zip(x.shape[2:], kernel_size, stride, padding, dilation, strict=True):
        room = H + 2 * pad - spread * (R - 1) - 1
        OH = (room + (step - 1 if ceil_mode else 0)) // step + 1
        size.append(OH - 1 if ceil_mode and (OH - 1) * step >= H + pad else OH)
    return layout.empty_images(x, *x.shape[:2], *size)


def _max_options(kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> dict[str, Any]:
    return {
        "kernel_size": kernel_size,
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "ceil_mode": ceil_mode,
    }


def _maximum(x: Tensor, *geometry: Any) -> Tensor:
    return layout.tensor(cyconv.max_pool2d(layout.images(x), **_max_options(*geometry)))


def _maximum_backward(ctx: Any, dy: Tensor) -> tuple[Any, ...]:
    return (max_pool2d_backward(dy, *ctx.saved_tensors, *ctx.geometry),)


max_pool2d = operator(
    f"max_pool2d(Tensor x, {_MAX}) -> Tensor",
    _maximum,
    _pooled,
    _maximum_backward,
    saved=1,
    geometry=5,
)


def _with_indices(x: Tensor, *geometry: Any) -> tuple[Tensor, Tensor]:
    y, indices = cyconv.max_pool2d(layout.images(x), return_indices=True, **_max_options(*geometry))
    return layout.tensor(y), layout.tensor(indices)


def _with_indices_fake(x: Tensor, *geometry: Any) -> tuple[Tensor, Tensor]:
    y = _pooled(x, *geometry)
    return y, torch.empty_like(y, dtype=torch.int64)


max_pool2d_with_indices = operator(
    f"max_pool2d_with_indices(Tensor x, {_MAX}) -> (Tensor, Tensor)",
    _with_indices,
    _with_indices_fake,
    _maximum_backward,
    saved=1,
    geometry=5,
)


def _max_grad(dy: Tensor, x: Tensor, *geometry: Any) -> Tensor:
    dx = cyconv.max_pool2d_backward(layout.images(dy), layout.images(x), **_max_options(*geometry))
    return layout.tensor(dx)


def _max_grad_backward(ctx: Any, u: Tensor) -> tuple[Any, ...]:
    """Of dy only: where the maxima are does not change with x."""
    _, x = ctx.saved_tensors
    _, indices = max_pool2d_with_indices(x, *ctx.geometry)
    return (u.flatten(2).gather(2, indices.flatten(2)).view(indices.shape),)


max_pool2d_backward = operator(
    f"max_pool2d_backward(Tensor dy, Tensor x, {_MAX}) -> Tensor",
    _max_grad,
    lambda dy, x, *geometry: layout.empty_images(x, *x.shape),
    _max_grad_backward,
    saved=2,
    geometry=5,
)


def _avg_options(
    kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool, count_include_pad: bool, divisor_override: int | None
) -> dict[str, Any]:
    return {
        "kernel_size": kernel_size,
        "stride": stride,
        "padding": padding,
        "ceil_mode": ceil_mode,
        "count_include_pad": count_include_pad,
        "divisor_override": divisor_override,
    }


def _average(x: Tensor, *geometry: Any) -> Tensor:
    return layout.tensor(cyconv.avg_pool2d(layout.images(x), **_avg_options(*geometry)))


def _average_fake(x: Tensor, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool, *divisor: Any) -> Tensor:
    return _pooled(x, kernel_size, stride, padding, (1, 1), ceil_mode)


def _average_backward(ctx: Any, dy: Tensor) -> tuple[Any, ...]:
    return (avg_pool2d_backward(dy, ctx.shape[2:], *ctx.geometry),)


avg_pool2d = operator(
    f"avg_pool2d(Tensor x, {_AVG}) -> Tensor",
    _average,
    _average_fake,
    _average_backward,
    saved=0,
    geometry=6,
)


def _avg_grad(dy: Tensor, size: Sequence[int], *geometry: Any) -> Tensor:
    N, C = dy.shape[:2]
    return layout.tensor(cyconv.avg_pool2d_backward(layout.images(dy), (N, *size, C), **_avg_options(*geometry)))


def _avg_grad_backward(ctx: Any, u: Tensor) -> tuple[Any, ...]:
    return (avg_pool2d(u, *ctx.geometry),)


avg_pool2d_backward = operator(
    f"avg_pool2d_backward(Tensor dy, SymInt[2] size, {_AVG}) -> Tensor",
    _avg_grad,
    lambda dy, size, *geometry: layout.empty_images(dy, *dy.shape[:2], *size),
    _avg_grad_backward,
    saved=0,
    geometry=6,
)
