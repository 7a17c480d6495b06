"""Convolution as a form in three arrays: why every derivative of a convolution is a convolution again.

``sum(y * conv2d(x, w))`` is linear in each of x, w and y.  Its gradient by y is the convolution, by x the transposed
convolution, by w the weight gradient.  Each of these three is linear in the two arrays it takes, and its gradients by
them are the other two: with these rules automatic differentiation gives derivatives of any order.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from cyconv import geometry
from cyconv.arrays import Real
from cyconv.conv import check_names, conv2d, conv2d_weight_grad
from cyconv.geometry import Pair
from cyconv.transpose import conv_transpose2d


class Trilinear(NamedTuple):
    """The form of one geometry.  x is (N, *x_size, C), y is (N, *y_size, K) and w (*kernel_size, C // groups, K)."""

    x_size: Pair
    y_size: Pair
    windows: Pair
    """Those that fit into x: more than y_size where an output_padding beyond the stride makes room for them."""
    kernel_size: Pair
    groups: int
    stride: Any
    padding: Any
    dilation: Any
    algorithm: str

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments that all three functions share."""
        return {name: getattr(self, name) for name in ("stride", "padding", "dilation", "groups", "algorithm")}

    def conv(self, x: Real, w: Real) -> Real:
        """The gradient by y."""
        OH, OW = self.y_size
        return conv2d(x, w, **self.options)[..., :OH, :OW, :]

    def transposed(self, y: Real, w: Real) -> Real:
        """The gradient by x."""
        return conv_transpose2d(y, w, output_size=self.x_size, **self.options)

    def weight_grad(self, y: Real, x: Real) -> Real:
        """The gradient by w."""
        more = [(0, 0)] * (y.ndim - 3) + [(0, n - m) for n, m in zip(self.windows, self.y_size, strict=True)] + [(0, 0)]
        return conv2d_weight_grad(
            np.pad(y, more) if self.windows != self.y_size else y, x, self.kernel_size, **self.options
        )


def convolution(
    x: tuple[int, ...], w: tuple[int, ...], stride: Any, padding: Any, dilation: Any, groups: Any, algorithm: str
) -> Trilinear:
    """The form of ``conv2d(x, w)``, from the shapes of its arguments; refuses what `conv2d` refuses."""
    check_names(algorithm)
    g = geometry.conv(x, w, stride, padding, dilation, groups)
    return Trilinear(g.x[1:3], g.y[1:3], g.y[1:3], g.w[:2], groups, stride, padding, dilation, algorithm)


def transposition(
    y: tuple[int, ...],
    w: tuple[int, ...],
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    output_padding: Any,
    output_size: Any,
    algorithm: str,
) -> Trilinear:
    """The form of ``conv_transpose2d(y, w)``, from the shapes of its arguments; refuses what that refuses."""
    check_names(algorithm)
    g = geometry.transposed(y, w, stride, padding, dilation, groups, output_padding, output_size)
    H, W, _ = y[-3:]
    return Trilinear(g.x[1:3], (H, W), g.y[1:3], g.w[:2], groups, stride, padding, dilation, algorithm)
