"""Pooling of Dask arrays, for `cyconv.dask`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from cyconv import geometry
from cyconv.arrays import Real, real_arrays
from cyconv.blocks import Block, pool_axes, pool_block
from cyconv.chunks import (
    blocks_of_pixels,
    blocks_of_windows,
    common_dtype,
    images,
    map_blocks,
    own_pixels,
    pixel_chunks,
    pixels_of,
    window_chunks,
    windows_of,
)
from cyconv.geometry import Padding
from cyconv.messages import renamed
from cyconv.pool import TIES, average, average_backward, maximum, maximum_backward


def _max_block(x: Real, row: Block, column: Block, g: geometry.Pool) -> Real:
    (x,) = real_arrays(("x",), (x,))
    return maximum(x, pool_block(g, len(x), row, column), None, None)


def _max_backward_block(dy: Real, x: Real, row: Block, column: Block, g: geometry.Pool, ties: str) -> Real:
    dy, x = real_arrays(("dy", "x"), (dy, x))
    return own_pixels(maximum_backward(dy, x, pool_block(g, len(x), row, column), ties), row, column)


def _avg_block(x: Real, row: Block, column: Block, g: geometry.Pool, divisor: int) -> Real:
    (x,) = real_arrays(("x",), (x,))
    return average(x, pool_block(g, len(x), row, column), divisor, None)


def _avg_backward_block(dy: Real, row: Block, column: Block, g: geometry.Pool, divisor: int) -> Real:
    (dy,) = real_arrays(("dy",), (dy,))
    block = pool_block(g, len(dy), row, column)
    return own_pixels(average_backward(dy, block, block.x, divisor), row, column)


def _divisor(override: int | None) -> int:
    return 0 if override is None else geometry.integer(override, "divisor_override", 1)


def max_pool2d(
    x: Any,
    kernel_size: int | tuple[int, int],
    *,
    stride: int | tuple[int, int] | None = None,
    padding: Padding = 0,
    dilation: int | tuple[int, int] = 1,
    ceil_mode: bool = False,
) -> Any:
    """`cyconv.max_pool2d` of a Dask array x.

    Examples
    --------
    >>> import dask.array as da, numpy as np
    >>> from cyconv.dask import max_pool2d
    >>> x = da.from_array(np.arange(16.0).reshape(1, 4, 4, 1), chunks=(1, 3, 4, 1))
    >>> max_pool2d(x, 2)[0, :, :, 0].compute()
    array([[ 5.,  7.],
           [13., 15.]])
    """
    x = images(x, "x")
    g = geometry.pool(x.shape, kernel_size, stride, padding, dilation, ceil_mode, False)
    blocks = blocks_of_windows(x, pool_axes(g))
    return map_blocks(
        _max_block, blocks, window_chunks(x, blocks, g.y[3]), common_dtype(x=x), pixels_of(x, blocks), whole=(g,)
    )


def max_pool2d_backward(
    dy: Any,
    x: Any,
    kernel_size: int | tuple[int, int],
    *,
    stride: int | tuple[int, int] | None = None,
    padding: Padding = 0,
    dilation: int | tuple[int, int] = 1,
    ceil_mode: bool = False,
    ties: Literal["first", "all"] = "first",
) -> Any:
    """`cyconv.max_pool2d_backward` of Dask arrays dy and x, in the chunks of x.

    Examples
    --------
    >>> import dask.array as da, numpy as np
    >>> from cyconv.dask import max_pool2d_backward
    >>> x = da.from_array(np.array([[1.0, 4.0], [4.0, 2.0]]).reshape(1, 2, 2, 1), chunks=(1, 1, 2, 1))
    >>> max_pool2d_backward(da.ones((1, 1, 1, 1)), x, 2)[0, :, :, 0].compute()
    array([[0., 1.],
           [0., 0.]])
    """
    dy, x = images(dy, "dy"), images(x, "x")
    dtype = common_dtype(dy=dy, x=x)
    geometry.choice(ties, "ties", TIES)
    g = geometry.pool(x.shape, kernel_size, stride, padding, dilation, ceil_mode, False)
    geometry.check_gradient("dy", dy.shape, g.y)
    blocks = blocks_of_pixels(x.chunks, pool_axes(g))
    arrays = windows_of(dy.rechunk({0: x.chunks[0]}), blocks), pixels_of(x, blocks)
    return map_blocks(_max_backward_block, blocks, x.chunks, dtype, *arrays, whole=(g,), ties=ties)


def avg_pool2d(
    x: Any,
    kernel_size: int | tuple[int, int],
    *,
    stride: int | tuple[int, int] | None = None,
    padding: Padding = 0,
    dilation: int | tuple[int, int] = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = False,
    divisor_override: int | None = None,
) -> Any:
    """`cyconv.avg_pool2d` of a Dask array x.

    Examples
    --------
    >>> import dask.array as da, numpy as np
    >>> from cyconv.dask import avg_pool2d
    >>> x = da.from_array(np.arange(16.0).reshape(1, 4, 4, 1), chunks=(1, 3, 4, 1))
    >>> avg_pool2d(x, 2)[0, :, :, 0].compute()
    array([[ 2.5,  4.5],
           [10.5, 12.5]])
    """
    x = images(x, "x")
    g = geometry.pool(x.shape, kernel_size, stride, padding, dilation, ceil_mode, count_include_pad)
    blocks = blocks_of_windows(x, pool_axes(g))
    chunks, divisor = window_chunks(x, blocks, g.y[3]), _divisor(divisor_override)
    return map_blocks(_avg_block, blocks, chunks, common_dtype(x=x), pixels_of(x, blocks), whole=(g,), divisor=divisor)


def avg_pool2d_backward(
    dy: Any,
    input_shape: Sequence[int],
    kernel_size: int | tuple[int, int],
    *,
    stride: int | tuple[int, int] | None = None,
    padding: Padding = 0,
    dilation: int | tuple[int, int] = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = False,
    divisor_override: int | None = None,
) -> Any:
    """`cyconv.avg_pool2d_backward` of a Dask array dy, in the chunks that give those of dy.

    Examples
    --------
    >>> import dask.array as da
    >>> from cyconv.dask import avg_pool2d_backward
    >>> avg_pool2d_backward(da.ones((1, 1, 1, 1)), (1, 2, 2, 1), 2)[0, :, :, 0].compute()
    array([[0.25, 0.25],
           [0.25, 0.25]])
    """
    dy = images(dy, "dy")
    shape = geometry.shape(input_shape, "input_shape")
    try:
        g = geometry.pool(shape, kernel_size, stride, padding, dilation, ceil_mode, count_include_pad)
    except ValueError as error:
        raise renamed(error, x="input_shape") from None
    geometry.check_gradient("dy", dy.shape, g.y)
    axes, divisor = pool_axes(g), _divisor(divisor_override)
    chunks = pixel_chunks(dy, axes, g.x[3])
    blocks = blocks_of_pixels(chunks, axes)
    return map_blocks(
        _avg_backward_block, blocks, chunks, common_dtype(dy=dy), windows_of(dy, blocks), whole=(g,), divisor=divisor
    )
