"""The types of the public functions, said more exactly than where they are written: arrays of one dtype, float32 or
float64, give results of that dtype (first overload); of anything else is known that it gives real arrays (second).

Sources, defaults and docstrings are in the modules; .ci/run compares this file with them (stubtest).
"""

# One parameter a line would make this twice as long.
# fmt: off

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cyconv.algorithm import get_algorithm as get_algorithm
from cyconv.algorithm import set_algorithm as set_algorithm
from cyconv.arrays import Real
from cyconv.config import show_config as show_config
from cyconv.explanation import explain as explain
from cyconv.geometry import Padding
from cyconv.notebook import ConvCache, PoolCache
from cyconv.notebook import conv_backward as conv_backward
from cyconv.notebook import create_mask_from_window as create_mask_from_window
from cyconv.notebook import distribute_value as distribute_value
from cyconv.notebook import pool_backward as pool_backward
from cyconv.one_d import Padding1d
from cyconv.prepared import PreparedConv2d as PreparedConv2d
from cyconv.subnormals import get_flush_subnormals as get_flush_subnormals
from cyconv.subnormals import set_flush_subnormals as set_flush_subnormals
from cyconv.threads import get_num_threads as get_num_threads
from cyconv.threads import num_threads as num_threads
from cyconv.threads import set_num_threads as set_num_threads
from cyconv.version import __version__ as __version__

_F = TypeVar("_F", np.float32, np.float64)
_Pair = int | tuple[int, int]
_Activation = Literal["relu"] | None
_Ties = Literal["first", "all"]

@overload
def zero_pad(X: NDArray[_F], pad: _Pair) -> NDArray[_F]: ...
@overload
def zero_pad(X: ArrayLike, pad: _Pair) -> Real: ...

@overload
def conv_single_step(a_slice_prev: NDArray[_F], W: NDArray[_F], b: NDArray[_F]) -> _F: ...
@overload
def conv_single_step(a_slice_prev: ArrayLike, W: ArrayLike, b: ArrayLike) -> np.floating[Any]: ...

@overload
def conv_forward(
    A_prev: NDArray[_F], W: NDArray[_F], b: NDArray[_F], hparameters: Mapping[str, Any],
) -> tuple[NDArray[_F], ConvCache]: ...
@overload
def conv_forward(
    A_prev: ArrayLike, W: ArrayLike, b: ArrayLike, hparameters: Mapping[str, Any],
) -> tuple[Real, ConvCache]: ...

@overload
def pool_forward(
    A_prev: NDArray[_F], hparameters: Mapping[str, Any], mode: str = "max",
) -> tuple[NDArray[_F], PoolCache]: ...
@overload
def pool_forward(A_prev: ArrayLike, hparameters: Mapping[str, Any], mode: str = "max") -> tuple[Real, PoolCache]: ...

@overload
def conv2d(
    x: NDArray[_F], w: NDArray[_F], b: NDArray[_F] | None = None, *, stride: _Pair = 1, padding: Padding = 0,
    dilation: _Pair = 1, groups: int = 1, activation: _Activation = None, algorithm: str = "auto",
    out: NDArray[_F] | None = None,
) -> NDArray[_F]: ...
@overload
def conv2d(
    x: ArrayLike, w: ArrayLike, b: ArrayLike | None = None, *, stride: _Pair = 1, padding: Padding = 0,
    dilation: _Pair = 1, groups: int = 1, activation: _Activation = None, algorithm: str = "auto",
    out: Real | None = None,
) -> Real: ...

@overload
def conv2d_input_grad(
    dy: NDArray[_F], w: NDArray[_F], input_shape: Sequence[int], *, stride: _Pair = 1, padding: Padding = 0,
    dilation: _Pair = 1, groups: int = 1, algorithm: str = "auto", out: NDArray[_F] | None = None,
) -> NDArray[_F]: ...
@overload
def conv2d_input_grad(
    dy: ArrayLike, w: ArrayLike, input_shape: Sequence[int], *, stride: _Pair = 1, padding: Padding = 0,
    dilation: _Pair = 1, groups: int = 1, algorithm: str = "auto", out: Real | None = None,
) -> Real: ...

@overload
def conv2d_weight_grad(
    dy: NDArray[_F], x: NDArray[_F], kernel_size: _Pair, *, stride: _Pair = 1, padding: Padding = 0,
    dilation: _Pair = 1, groups: int = 1, algorithm: str = "auto", out: NDArray[_F] | None = None,
) -> NDArray[_F]: ...
@overload
def conv2d_weight_grad(
    dy: ArrayLike, x: ArrayLike, kernel_size: _Pair, *, stride: _Pair = 1, padding: Padding = 0, dilation: _Pair = 1,
    groups: int = 1, algorithm: str = "auto", out: Real | None = None,
) -> Real: ...

@overload
def conv2d_backward(
    dy: NDArray[_F], x: NDArray[_F], w: NDArray[_F], *, stride: _Pair = 1, padding: Padding = 0, dilation: _Pair = 1,
    groups: int = 1, activation: _Activation = None, y: NDArray[_F] | None = None, algorithm: str = "auto",
) -> tuple[NDArray[_F], NDArray[_F], NDArray[_F]]: ...
@overload
def conv2d_backward(
    dy: ArrayLike, x: ArrayLike, w: ArrayLike, *, stride: _Pair = 1, padding: Padding = 0, dilation: _Pair = 1,
    groups: int = 1, activation: _Activation = None, y: ArrayLike | None = None, algorithm: str = "auto",
) -> tuple[Real, Real, Real]: ...

@overload
def conv_transpose2d(
    x: NDArray[_F], w: NDArray[_F], b: NDArray[_F] | None = None, *, stride: _Pair = 1, padding: Padding = 0,
    output_padding: _Pair = 0, output_size: _Pair | None = None, dilation: _Pair = 1, groups: int = 1,
    activation: _Activation = None, algorithm: str = "auto", out: NDArray[_F] | None = None,
) -> NDArray[_F]: ...
@overload
def conv_transpose2d(
    x: ArrayLike, w: ArrayLike, b: ArrayLike | None = None, *, stride: _Pair = 1, padding: Padding = 0,
    output_padding: _Pair = 0, output_size: _Pair | None = None, dilation: _Pair = 1, groups: int = 1,
    activation: _Activation = None, algorithm: str = "auto", out: Real | None = None,
) -> Real: ...

@overload
def conv_transpose2d_backward(
    dy: NDArray[_F], x: NDArray[_F], w: NDArray[_F], *, stride: _Pair = 1, padding: Padding = 0, dilation: _Pair = 1,
    groups: int = 1, activation: _Activation = None, y: NDArray[_F] | None = None, algorithm: str = "auto",
) -> tuple[NDArray[_F], NDArray[_F], NDArray[_F]]: ...
@overload
def conv_transpose2d_backward(
    dy: ArrayLike, x: ArrayLike, w: ArrayLike, *, stride: _Pair = 1, padding: Padding = 0, dilation: _Pair = 1,
    groups: int = 1, activation: _Activation = None, y: ArrayLike | None = None, algorithm: str = "auto",
) -> tuple[Real, Real, Real]: ...

@overload
def conv1d(
    x: NDArray[_F], w: NDArray[_F], b: NDArray[_F] | None = None, *, stride: int = 1, padding: Padding1d = 0,
    dilation: int = 1, groups: int = 1, activation: _Activation = None, algorithm: str = "auto",
) -> NDArray[_F]: ...
@overload
def conv1d(
    x: ArrayLike, w: ArrayLike, b: ArrayLike | None = None, *, stride: int = 1, padding: Padding1d = 0,
    dilation: int = 1, groups: int = 1, activation: _Activation = None, algorithm: str = "auto",
) -> Real: ...

@overload
def conv1d_input_grad(
    dy: NDArray[_F], w: NDArray[_F], input_shape: Sequence[int], *, stride: int = 1, padding: Padding1d = 0,
    dilation: int = 1, groups: int = 1, algorithm: str = "auto",
) -> NDArray[_F]: ...
@overload
def conv1d_input_grad(
    dy: ArrayLike, w: ArrayLike, input_shape: Sequence[int], *, stride: int = 1, padding: Padding1d = 0,
    dilation: int = 1, groups: int = 1, algorithm: str = "auto",
) -> Real: ...

@overload
def conv1d_weight_grad(
    dy: NDArray[_F], x: NDArray[_F], kernel_size: int, *, stride: int = 1, padding: Padding1d = 0, dilation: int = 1,
    groups: int = 1, algorithm: str = "auto",
) -> NDArray[_F]: ...
@overload
def conv1d_weight_grad(
    dy: ArrayLike, x: ArrayLike, kernel_size: int, *, stride: int = 1, padding: Padding1d = 0, dilation: int = 1,
    groups: int = 1, algorithm: str = "auto",
) -> Real: ...

@overload
def conv1d_backward(
    dy: NDArray[_F], x: NDArray[_F], w: NDArray[_F], *, stride: int = 1, padding: Padding1d = 0, dilation: int = 1,
    groups: int = 1, activation: _Activation = None, y: NDArray[_F] | None = None, algorithm: str = "auto",
) -> tuple[NDArray[_F], NDArray[_F], NDArray[_F]]: ...
@overload
def conv1d_backward(
    dy: ArrayLike, x: ArrayLike, w: ArrayLike, *, stride: int = 1, padding: Padding1d = 0, dilation: int = 1,
    groups: int = 1, activation: _Activation = None, y: ArrayLike | None = None, algorithm: str = "auto",
) -> tuple[Real, Real, Real]: ...

@overload
def max_pool2d(
    x: NDArray[_F], kernel_size: _Pair, *, stride: _Pair | None = None, padding: Padding = 0, dilation: _Pair = 1,
    ceil_mode: bool = False, return_indices: Literal[False] = False, out: NDArray[_F] | None = None,
) -> NDArray[_F]: ...
@overload
def max_pool2d(
    x: NDArray[_F], kernel_size: _Pair, *, stride: _Pair | None = None, padding: Padding = 0, dilation: _Pair = 1,
    ceil_mode: bool = False, return_indices: Literal[True], out: NDArray[_F] | None = None,
) -> tuple[NDArray[_F], NDArray[np.int64]]: ...
@overload
def max_pool2d(
    x: ArrayLike, kernel_size: _Pair, *, stride: _Pair | None = None, padding: Padding = 0, dilation: _Pair = 1,
    ceil_mode: bool = False, return_indices: Literal[False] = False, out: Real | None = None,
) -> Real: ...
@overload
def max_pool2d(
    x: ArrayLike, kernel_size: _Pair, *, stride: _Pair | None = None, padding: Padding = 0, dilation: _Pair = 1,
    ceil_mode: bool = False, return_indices: Literal[True], out: Real | None = None,
) -> tuple[Real, NDArray[np.int64]]: ...

@overload
def max_pool2d_backward(
    dy: NDArray[_F], x: NDArray[_F], kernel_size: _Pair, *, stride: _Pair | None = None, padding: Padding = 0,
    dilation: _Pair = 1, ceil_mode: bool = False, ties: _Ties = "first", indices: ArrayLike | None = None,
) -> NDArray[_F]: ...
@overload
def max_pool2d_backward(
    dy: ArrayLike, x: ArrayLike, kernel_size: _Pair, *, stride: _Pair | None = None, padding: Padding = 0,
    dilation: _Pair = 1, ceil_mode: bool = False, ties: _Ties = "first", indices: ArrayLike | None = None,
) -> Real: ...

@overload
def avg_pool2d(
    x: NDArray[_F], kernel_size: _Pair, *, stride: _Pair | None = None, padding: Padding = 0, dilation: _Pair = 1,
    ceil_mode: bool = False, count_include_pad: bool = False, divisor_override: int | None = None,
    out: NDArray[_F] | None = None,
) -> NDArray[_F]: ...
@overload
def avg_pool2d(
    x: ArrayLike, kernel_size: _Pair, *, stride: _Pair | None = None, padding: Padding = 0, dilation: _Pair = 1,
    ceil_mode: bool = False, count_include_pad: bool = False, divisor_override: int | None = None,
    out: Real | None = None,
) -> Real: ...

@overload
def avg_pool2d_backward(
    dy: NDArray[_F], input_shape: Sequence[int], kernel_size: _Pair, *, stride: _Pair | None = None,
    padding: Padding = 0, dilation: _Pair = 1, ceil_mode: bool = False, count_include_pad: bool = False,
    divisor_override: int | None = None,
) -> NDArray[_F]: ...
@overload
def avg_pool2d_backward(
    dy: ArrayLike, input_shape: Sequence[int], kernel_size: _Pair, *, stride: _Pair | None = None, padding: Padding = 0,
    dilation: _Pair = 1, ceil_mode: bool = False, count_include_pad: bool = False, divisor_override: int | None = None,
) -> Real: ...

@overload
def max_unpool2d(x: NDArray[_F], indices: ArrayLike, output_shape: Sequence[int]) -> NDArray[_F]: ...
@overload
def max_unpool2d(x: ArrayLike, indices: ArrayLike, output_shape: Sequence[int]) -> Real: ...

@overload
def adaptive_avg_pool2d(x: NDArray[_F], output_size: _Pair) -> NDArray[_F]: ...
@overload
def adaptive_avg_pool2d(x: ArrayLike, output_size: _Pair) -> Real: ...

@overload
def adaptive_avg_pool2d_backward(dy: NDArray[_F], input_shape: Sequence[int]) -> NDArray[_F]: ...
@overload
def adaptive_avg_pool2d_backward(dy: ArrayLike, input_shape: Sequence[int]) -> Real: ...

@overload
def adaptive_max_pool2d(
    x: NDArray[_F], output_size: _Pair, *, return_indices: Literal[False] = False,
) -> NDArray[_F]: ...
@overload
def adaptive_max_pool2d(
    x: NDArray[_F], output_size: _Pair, *, return_indices: Literal[True],
) -> tuple[NDArray[_F], NDArray[np.int64]]: ...
@overload
def adaptive_max_pool2d(x: ArrayLike, output_size: _Pair, *, return_indices: Literal[False] = False) -> Real: ...
@overload
def adaptive_max_pool2d(
    x: ArrayLike, output_size: _Pair, *, return_indices: Literal[True],
) -> tuple[Real, NDArray[np.int64]]: ...

@overload
def adaptive_max_pool2d_backward(dy: NDArray[_F], x: NDArray[_F], *, ties: _Ties = "first") -> NDArray[_F]: ...
@overload
def adaptive_max_pool2d_backward(dy: ArrayLike, x: ArrayLike, *, ties: _Ties = "first") -> Real: ...

@overload
def global_avg_pool2d(x: NDArray[_F]) -> NDArray[_F]: ...
@overload
def global_avg_pool2d(x: ArrayLike) -> Real: ...

@overload
def global_avg_pool2d_backward(dy: NDArray[_F], input_shape: Sequence[int]) -> NDArray[_F]: ...
@overload
def global_avg_pool2d_backward(dy: ArrayLike, input_shape: Sequence[int]) -> Real: ...

@overload
def global_max_pool2d(x: NDArray[_F]) -> NDArray[_F]: ...
@overload
def global_max_pool2d(x: ArrayLike) -> Real: ...

@overload
def global_max_pool2d_backward(dy: NDArray[_F], x: NDArray[_F], *, ties: _Ties = "first") -> NDArray[_F]: ...
@overload
def global_max_pool2d_backward(dy: ArrayLike, x: ArrayLike, *, ties: _Ties = "first") -> Real: ...

@overload
def lp_pool2d(
    x: NDArray[_F], p: float, kernel_size: _Pair, *, stride: _Pair | None = None, padding: Padding = 0,
    dilation: _Pair = 1, ceil_mode: bool = False,
) -> NDArray[_F]: ...
@overload
def lp_pool2d(
    x: ArrayLike, p: float, kernel_size: _Pair, *, stride: _Pair | None = None, padding: Padding = 0,
    dilation: _Pair = 1, ceil_mode: bool = False,
) -> Real: ...

@overload
def lp_pool2d_backward(
    dy: NDArray[_F], x: NDArray[_F], p: float, kernel_size: _Pair, *, stride: _Pair | None = None, padding: Padding = 0,
    dilation: _Pair = 1, ceil_mode: bool = False,
) -> NDArray[_F]: ...
@overload
def lp_pool2d_backward(
    dy: ArrayLike, x: ArrayLike, p: float, kernel_size: _Pair, *, stride: _Pair | None = None, padding: Padding = 0,
    dilation: _Pair = 1, ceil_mode: bool = False,
) -> Real: ...

@overload
def max_pool1d(
    x: NDArray[_F], kernel_size: int, *, stride: int | None = None, padding: Padding1d = 0, dilation: int = 1,
    ceil_mode: bool = False, return_indices: Literal[False] = False,
) -> NDArray[_F]: ...
@overload
def max_pool1d(
    x: NDArray[_F], kernel_size: int, *, stride: int | None = None, padding: Padding1d = 0, dilation: int = 1,
    ceil_mode: bool = False, return_indices: Literal[True],
) -> tuple[NDArray[_F], NDArray[np.int64]]: ...
@overload
def max_pool1d(
    x: ArrayLike, kernel_size: int, *, stride: int | None = None, padding: Padding1d = 0, dilation: int = 1,
    ceil_mode: bool = False, return_indices: Literal[False] = False,
) -> Real: ...
@overload
def max_pool1d(
    x: ArrayLike, kernel_size: int, *, stride: int | None = None, padding: Padding1d = 0, dilation: int = 1,
    ceil_mode: bool = False, return_indices: Literal[True],
) -> tuple[Real, NDArray[np.int64]]: ...

@overload
def max_pool1d_backward(
    dy: NDArray[_F], x: NDArray[_F], kernel_size: int, *, stride: int | None = None, padding: Padding1d = 0,
    dilation: int = 1, ceil_mode: bool = False, ties: _Ties = "first", indices: ArrayLike | None = None,
) -> NDArray[_F]: ...
@overload
def max_pool1d_backward(
    dy: ArrayLike, x: ArrayLike, kernel_size: int, *, stride: int | None = None, padding: Padding1d = 0,
    dilation: int = 1, ceil_mode: bool = False, ties: _Ties = "first", indices: ArrayLike | None = None,
) -> Real: ...

@overload
def avg_pool1d(
    x: NDArray[_F], kernel_size: int, *, stride: int | None = None, padding: Padding1d = 0, dilation: int = 1,
    ceil_mode: bool = False, count_include_pad: bool = False, divisor_override: int | None = None,
) -> NDArray[_F]: ...
@overload
def avg_pool1d(
    x: ArrayLike, kernel_size: int, *, stride: int | None = None, padding: Padding1d = 0, dilation: int = 1,
    ceil_mode: bool = False, count_include_pad: bool = False, divisor_override: int | None = None,
) -> Real: ...

@overload
def avg_pool1d_backward(
    dy: NDArray[_F], input_shape: Sequence[int], kernel_size: int, *, stride: int | None = None, padding: Padding1d = 0,
    dilation: int = 1, ceil_mode: bool = False, count_include_pad: bool = False, divisor_override: int | None = None,
) -> NDArray[_F]: ...
@overload
def avg_pool1d_backward(
    dy: ArrayLike, input_shape: Sequence[int], kernel_size: int, *, stride: int | None = None, padding: Padding1d = 0,
    dilation: int = 1, ceil_mode: bool = False, count_include_pad: bool = False, divisor_override: int | None = None,
) -> Real: ...
