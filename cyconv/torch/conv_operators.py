"""Convolution and its gradients as operators of PyTorch.

Images are (N, C, H, W) and weights (K, C // groups, R, S) in any layout; padding is (top, bottom, left, right).
Results lie as `layout` says: images in channels_last, gradients of weights hwio.

    y = conv2d(x, w)      dx = conv2d_input_grad(dy, w)      dw = conv2d_weight_grad(dy, x)

Each is linear in either argument and has the two others as gradients, so every order of derivative exists.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

import cyconv
from cyconv.torch import layout
from cyconv.torch.operator import operator

_GEOMETRY = "int[2] stride, int[4] padding, int[2] dilation, int groups"


def _options(stride: Any, padding: Sequence[int], dilation: Any, groups: int) -> dict[str, Any]:
    top, bottom, left, right = padding
    return {"stride": stride, "padding": ((top, bottom), (left, right)), "dilation": dilation, "groups": groups}


def _vector(b: Tensor | None) -> NDArray[Any] | None:
    return None if b is None else b.numpy(force=True)


def _conv2d(x: Tensor, w: Tensor, b: Tensor | None, *geometry: Any) -> Tensor:
    return layout.tensor(cyconv.conv2d(layout.images(x), layout.filters(w), _vector(b), **_options(*geometry)))


def _conv2d_fake(
    x: Tensor, w: Tensor, b: Tensor | None, stride: Any, padding: Sequence[int], dilation: Any, groups: int
) -> Tensor:
    top, bottom, left, right = padding
    N, _, H, W = x.shape
    K, _, R, S = w.shape
    OH = (H + top + bottom - dilation[0] * (R - 1) - 1) // stride[0] + 1
    OW = (W + left + right - dilation[1] * (S - 1) - 1) // stride[1] + 1
    return layout.empty_images(x, N, K, OH, OW)


def _conv2d_backward(ctx: Any, dy: Tensor) -> tuple[Any, ...]:
    x, w = ctx.saved_tensors
    of_x, of_w, of_b = ctx.needs_input_grad[:3]
    dy = dy.contiguous(memory_format=torch.channels_last)
    dx = conv2d_input_grad(dy, w, None, x.shape[2:], *ctx.geometry) if of_x else None
    dw = _dw(dy, x, w, ctx.geometry) if of_w else None
    return dx, dw, _db(dy) if of_b else None


def _dw(dy: Tensor, x: Tensor, w: Tensor, geometry: Sequence[Any]) -> Tensor:
    """The gradient, laid out like w: PyTorch would do that with a slower copy."""
    dw = conv2d_weight_grad(dy, x, w.shape[2:], *geometry)
    return dw if layout.is_hwio(w) else layout.channels_last(dw)


def _db(dy: Tensor) -> Tensor:
    return dy.sum((0, 2, 3))


conv2d = operator(
    f"conv2d(Tensor x, Tensor w, Tensor? b, {_GEOMETRY}) -> Tensor",
    _conv2d,
    _conv2d_fake,
    _conv2d_backward,
    saved=2,
    geometry=4,
)


def _input_grad(dy: Tensor, w: Tensor, b: Tensor | None, size: Any, *geometry: Any) -> Tensor:
    """With a bias: the transposed convolution, which is the same sum."""
    dx = cyconv.conv_transpose2d(
        layout.images(dy), layout.filters(w), _vector(b), output_size=size, **_options(*geometry)
    )
    return layout.tensor(dx)


def _input_grad_fake(dy: Tensor, w: Tensor, b: Tensor | None, size: Any, *geometry: Any) -> Tensor:
    *_, groups = geometry
    return layout.empty_images(dy, dy.shape[0], w.shape[1] * groups, *size)


def _input_grad_backward(ctx: Any, u: Tensor) -> tuple[Any, ...]:
    dy, w = ctx.saved_tensors
    of_dy, of_w, of_b = ctx.needs_input_grad[:3]
    u = u.contiguous(memory_format=torch.channels_last)
    u_dy = conv2d(u, w, None, *ctx.geometry) if of_dy else None
    u_w = _dw(dy, u, w, ctx.geometry) if of_w else None
    return u_dy, u_w, _db(u) if of_b else None


conv2d_input_grad = operator(
    f"conv2d_input_grad(Tensor dy, Tensor w, Tensor? b, SymInt[2] size, {_GEOMETRY}) -> Tensor",
    _input_grad,
    _input_grad_fake,
    _input_grad_backward,
    saved=2,
    geometry=4,
)


def _weight_grad(dy: Tensor, x: Tensor, kernel_size: Any, *geometry: Any) -> Tensor:
    dw = cyconv.conv2d_weight_grad(layout.images(dy), layout.images(x), kernel_size, **_options(*geometry))
    return torch.from_numpy(dw.transpose(3, 2, 0, 1))


def _weight_grad_fake(dy: Tensor, x: Tensor, kernel_size: Any, *geometry: Any) -> Tensor:
    *_, groups = geometry
    return x.new_empty((*kernel_size, x.shape[1] // groups, dy.shape[1])).permute(3, 2, 0, 1)


def _weight_grad_backward(ctx: Any, u: Tensor) -> tuple[Any, ...]:
    dy, x = ctx.saved_tensors
    of_dy, of_x = ctx.needs_input_grad[:2]
    u_dy = conv2d(x, u, None, *ctx.geometry) if of_dy else None
    u_x = conv2d_input_grad(dy, u, None, x.shape[2:], *ctx.geometry) if of_x else None
    return u_dy, u_x


conv2d_weight_grad = operator(
    f"conv2d_weight_grad(Tensor dy, Tensor x, SymInt[2] kernel_size, {_GEOMETRY}) -> Tensor",
    _weight_grad,
    _weight_grad_fake,
    _weight_grad_backward,
    saved=2,
    geometry=4,
)
