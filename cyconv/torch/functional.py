"""PyTorch's functions under their names and with their arguments, computed by cyconv where it can.

What it cannot goes to PyTorch, silently: tensors on other devices, dtypes but float32 and float64, other layouts than
strided, convolutions under autocast, derivatives in forward mode, the transforms of torch.func, geometries that cyconv
refuses, and what nobody can compute, for PyTorch's own error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812, the name all of PyTorch uses
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual

from cyconv.torch import conv_operators, layout, pool_operators

Size = int | Sequence[int]

DTYPES = (torch.float32, torch.float64)
REFUSED = (ValueError, TypeError, RuntimeError)
"""Errors of cyconv's, and of operators that a transform of torch.func has no rule for."""


def _takes(x: Tensor, *others: Tensor | None) -> bool:
    """Whether a kernel can read them all."""
    for t in (x, *others):
        if t is None:
            continue
        if t.device.type != "cpu" or t.dtype != x.dtype or t.layout is not torch.strided:
            return False
        if unpack_dual(t).tangent is not None:  # an operator would drop it
            return False
    return x.dtype in DTYPES and x.ndim in (3, 4)


def _convolves(x: Tensor, w: Tensor, b: Tensor | None) -> bool:
    return _takes(x, w, b) and w.ndim == 4 and not torch.is_autocast_enabled("cpu")


def _pair(value: Size) -> Sequence[int]:
    """(height, width) of what PyTorch takes: one number, a sequence of one, or two."""
    if isinstance(value, int):
        return value, value
    if isinstance(value, str) or len(value) not in (1, 2):
        raise TypeError(f"{value!r} is neither an integer nor a pair of integers")
    return value[0], value[-1]


def _sides(padding: Size) -> Sequence[int]:
    """(top, bottom, left, right)."""
    height, width = _pair(padding)
    return height, height, width, width


def _named(padding: str, w: Tensor, stride: Sequence[int], dilation: Sequence[int]) -> Sequence[int]:
    if padding == "valid":
        return 0, 0, 0, 0
    if padding != "same" or tuple(stride) != (1, 1):
        raise ValueError(f"`padding` {padding!r} with `stride` {stride}")
    height, width = (step * (size - 1) for step, size in zip(dilation, w.shape[2:], strict=True))
    return height // 2, height - height // 2, width // 2, width - width // 2


def _batch(x: Tensor) -> Tensor:
    """(N, C, H, W) in channels_last: a copy, if there is one, that serves the gradients too."""
    return (x if x.ndim == 4 else x[None]).contiguous(memory_format=torch.channels_last)


def _like(y: Tensor, x: Tensor, *weights: Tensor) -> Tensor:
    """The result in the memory format and with the batch axis that PyTorch would give it."""
    if x.ndim == 3:
        return y[0].contiguous()
    return y if any(map(layout.is_channels_last, (x, *weights))) else y.contiguous()


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """`torch.nn.functional.conv2d` on cyconv's kernels.

    Parameters
    ----------
    input : Tensor, (N, C, H, W) or (C, H, W)
        Images; those in channels_last are read in place.
    weight : Tensor, (K, C // groups, R, S)
        Filters; those of an accelerated module in channels_last are read in place.
    bias, stride, padding, dilation, groups
        As PyTorch takes them.

    Returns
    -------
    Tensor, (N, K, OH, OW) or (K, OH, OW)
        In channels_last if the input or the weights are.  It has derivatives of any order.

    Raises
    ------
    RuntimeError, TypeError
        As PyTorch.

    Examples
    --------
    >>> import torch, cyconv.torch
    >>> x = torch.ones(1, 1, 3, 3).to(memory_format=torch.channels_last)
    >>> cyconv.torch.conv2d(x, torch.ones(1, 1, 3, 3), padding=1)[0, 0]
    tensor([[4., 6., 4.],
            [6., 9., 6.],
            [4., 6., 4.]])
    """
    if _convolves(input, weight, bias):
        try:
            steps, spread = _pair(stride), _pair(dilation)
            sides = _named(padding, weight, steps, spread) if isinstance(padding, str) else _sides(padding)
            y = conv_operators.conv2d(_batch(input), weight, bias, steps, sides, spread, groups)
        except REFUSED:
            pass
        else:
            return _like(y, input, weight)
    return F.conv2d(input, weight, bias, stride, padding, dilation, groups)


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Tensor:
    """`torch.nn.functional.conv_transpose2d` on cyconv's kernels.

    Parameters
    ----------
    input : Tensor, (N, C, H, W) or (C, H, W)
        Images; those in channels_last are read in place.
    weight : Tensor, (C, K // groups, R, S)
        Filters; those of an accelerated module in channels_last are read in place.
    bias, stride, padding, output_padding, groups, dilation
        As PyTorch takes them.

    Returns
    -------
    Tensor, (N, K, OH, OW) or (K, OH, OW)
        In channels_last if the input or the weights are.  It has derivatives of any order.

    Raises
    ------
    RuntimeError, TypeError
        As PyTorch.

    Examples
    --------
    >>> import torch, cyconv.torch
    >>> cyconv.torch.conv_transpose2d(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2))[0, 0]
    tensor([[1., 2., 1.],
            [2., 4., 2.],
            [1., 2., 1.]])
    """
    if _convolves(input, weight, bias):
        try:
            steps, spread, more = _pair(stride), _pair(dilation), _pair(output_padding)
            top, bottom, left, right = sides = _sides(padding)
            _check_output_padding(more, steps, spread)
            x = _batch(input)
            H, W = x.shape[2:]
            R, S = weight.shape[2:]
            size = (
                (H - 1) * steps[0] - top - bottom + spread[0] * (R - 1) + more[0] + 1,
                (W - 1) * steps[1] - left - right + spread[1] * (S - 1) + more[1] + 1,
            )
            if more[0] >= steps[0] or more[1] >= steps[1]:  # room for windows that no pixel of x paints
                x = F.pad(x, (0, more[1] // steps[1], 0, more[0] // steps[0]))
            y = conv_operators.conv2d_input_grad(x, weight, bias, size, steps, sides, spread, groups)
        except REFUSED:
            pass
        else:
            return _like(y, input, weight)
    return F.conv_transpose2d(input, weight, bias, stride, padding, output_padding, groups, dilation)


def _check_output_padding(more: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> None:
    if any(not 0 <= p < max(s, d) for p, s, d in zip(more, stride, dilation, strict=True)):
        raise ValueError(f"`output_padding` {more} must be less than `stride` {stride} or `dilation` {dilation}")


def max_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """`torch.nn.functional.max_pool2d` on cyconv's kernels.

    Parameters
    ----------
    input : Tensor, (N, C, H, W) or (C, H, W)
        Images; those in channels_last are read in place.
    kernel_size, stride, padding, dilation, ceil_mode, return_indices
        As PyTorch takes them.

    Returns
    -------
    Tensor, (N, C, OH, OW) or (C, OH, OW), or the pair of it and the indices
        In channels_last if the input is.  It has derivatives of any order.

    Raises
    ------
    RuntimeError, TypeError
        As PyTorch.

    Examples
    --------
    >>> import torch, cyconv.torch
    >>> cyconv.torch.max_pool2d(torch.arange(16.0).view(1, 1, 4, 4), 2)[0, 0]
    tensor([[ 5.,  7.],
            [13., 15.]])
    """
    if _takes(input):
        try:
            step = _pair(kernel_size if stride is None or stride == [] else stride)
            geometry = _pair(kernel_size), step, _pair(padding), _pair(dilation), ceil_mode
            if return_indices:
                y, indices = pool_operators.max_pool2d_with_indices(_batch(input), *geometry)
                return _like(y, input), _like(indices, input)
            y = pool_operators.max_pool2d(_batch(input), *geometry)
        except REFUSED:
            pass
        else:
            return _like(y, input)
    theirs: Any = F.max_pool2d  # its overloads do not take a return_indices that is not known
    return theirs(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def avg_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """`torch.nn.functional.avg_pool2d` on cyconv's kernels.

    Parameters
    ----------
    input : Tensor, (N, C, H, W) or (C, H, W)
        Images; those in channels_last are read in place.
    kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
        As PyTorch takes them.

    Returns
    -------
    Tensor, (N, C, OH, OW) or (C, OH, OW)
        In channels_last if the input is.  It has derivatives of any order.

    Raises
    ------
    RuntimeError, TypeError
        As PyTorch.

    Examples
    --------
    >>> import torch, cyconv.torch
    >>> cyconv.torch.avg_pool2d(torch.arange(16.0).view(1, 1, 4, 4), 2)[0, 0]
    tensor([[ 2.5000,  4.5000],
            [10.5000, 12.5000]])
    """
    if _takes(input):
        try:
            step = _pair(kernel_size if stride is None or stride == [] else stride)
            geometry = _pair(kernel_size), step, _pair(padding), ceil_mode, count_include_pad, divisor_override
            y = pool_operators.avg_pool2d(_batch(input), *geometry)
        except REFUSED:
            pass
        else:
            return _like(y, input)
    return F.avg_pool2d(input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
