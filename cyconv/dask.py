"""Convolution and pooling of Dask arrays: images larger than the memory, batches spread over processes and machines.

``pip install 'cyconv[dask]'``.  Images are Dask arrays (N, H, W, C), chunked over N, H and W in any way; filters are
arrays of either kind.  Arguments are those of the functions of the same names in `cyconv`, without `out` and
`activation`: write ``da.maximum(y, 0)``.  A chunk of the result is one call of a kernel on the pixels it needs, taken
from as many chunks as hold them, and padded as the whole image is.  So a result does not depend on the chunks, except
that ``algorithm="auto"`` looks at their size, and that dw and db are sums over chunks: of neighbours in pairs, of such
sums in pairs, in an order that depends on the chunks alone and not on who computes them.

On a worker of dask.distributed a kernel uses its share of the threads that the process may have (`get_num_threads`
divided by the threads of the worker); under Dask's own schedulers it uses one, as they run a task on every CPU.

DISTRIBUTED.md says how to choose chunks, what they cost, and how far this goes.

>>> import dask.array as da, numpy as np
>>> from cyconv.dask import conv2d, max_pool2d
>>> x = da.ones((2, 64, 64, 3), chunks=(1, 24, 64, 3))
>>> y = max_pool2d(conv2d(x, np.ones((5, 5, 3, 8)), padding="same"), 2)
>>> y.chunks
((1, 1), (12, 12, 8), (32,), (8,))
>>> y.compute().shape
(2, 32, 32, 8)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import cyconv
from cyconv import geometry
from cyconv.arrays import Real
from cyconv.blocks import Block, conv_axes
from cyconv.chunks import (
    Axes,
    array,
    blocks_of_pixels,
    blocks_of_windows,
    common_dtype,
    images,
    map_blocks,
    own_pixels,
    padded,
    pixel_chunks,
    pixels_of,
    vector,
    window_chunks,
    windows_of,
)
from cyconv.conv import check_names
from cyconv.dask_pool import avg_pool2d, avg_pool2d_backward, max_pool2d, max_pool2d_backward
from cyconv.geometry import Padding
from cyconv.messages import renamed

__all__ = [
    "avg_pool2d",
    "avg_pool2d_backward",
    "conv2d",
    "conv2d_backward",
    "conv2d_input_grad",
    "conv2d_weight_grad",
    "conv_transpose2d",
    "conv_transpose2d_backward",
    "max_pool2d",
    "max_pool2d_backward",
]

# Convolution.


def _axes(g: geometry.Conv, windows: tuple[int, int] | None = None) -> Axes:
    return conv_axes(g.x[1:3], windows or g.y[1:3], g.w[:2], g.parameters)


def _padding(row: Block, column: Block) -> Padding:
    return row.padding, column.padding


def _conv_block(x: Real, row: Block, column: Block, w: Any, b: Any, **options: Any) -> Real:
    return cyconv.conv2d(x, w, b, padding=_padding(row, column), **options)


def _transposed_block(y: Real, row: Block, column: Block, w: Any, b: Any, **options: Any) -> Real:
    size = row.size, column.size
    x = cyconv.conv_transpose2d(y, w, b, output_size=size, padding=_padding(row, column), **options)
    return own_pixels(x, row, column)


def _weight_grad_block(dy: Real, x: Real, row: Block, column: Block, **options: Any) -> Real:
    return cyconv.conv2d_weight_grad(dy, x, padding=_padding(row, column), **options).reshape(1, 1, 1, -1)


def _sum(partial: Any, dtype: Any) -> Any:
    """The sum over all axes but the channels, in float64 and pairwise: two chunks of an axis, then two such sums."""
    return partial.sum(axis=(0, 1, 2), dtype=np.float64, split_every=8).astype(dtype)


def conv2d(
    x: Any,
    w: Any,
    b: Any = None,
    *,
    stride: int | tuple[int, int] = 1,
    padding: Padding = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    algorithm: str = "auto",
) -> Any:
    """`cyconv.conv2d` of a Dask array x.

    A window belongs to the chunk that holds its centre: with ``padding="same"`` and a stride of 1 the chunks of the
    result are those of x.

    Examples
    --------
    >>> import dask.array as da, numpy as np
    >>> from cyconv.dask import conv2d
    >>> x = da.from_array(np.arange(16.0).reshape(1, 4, 4, 1), chunks=(1, 2, 2, 1))
    >>> conv2d(x, np.ones((3, 3, 1, 1)))[0, :, :, 0].compute()
    array([[45., 54.],
           [81., 90.]])
    """
    check_names(algorithm)
    x, w = images(x, "x"), array(w)
    g = geometry.conv(x.shape, w.shape, stride, padding, dilation, groups)
    b = vector(b, g.y[3])
    blocks = blocks_of_windows(x, _axes(g))
    chunks, dtype = window_chunks(x, blocks, g.y[3]), common_dtype(x=x, w=w, b=b)
    options = {"stride": stride, "dilation": dilation, "groups": groups, "algorithm": algorithm}
    return map_blocks(_conv_block, blocks, chunks, dtype, pixels_of(x, blocks), whole=(w, b), **options)


def _transposed(y: Any, w: Any, b: Any, axes: Axes, chunks: Any, dtype: Any, **options: Any) -> Any:
    """Images in the given chunks, each from the windows that see it."""
    blocks = blocks_of_pixels(chunks, axes)
    return map_blocks(_transposed_block, blocks, chunks, dtype, windows_of(y, blocks), whole=(w, b), **options)


def conv2d_input_grad(
    dy: Any,
    w: Any,
    input_shape: Sequence[int],
    *,
    stride: int | tuple[int, int] = 1,
    padding: Padding = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    algorithm: str = "auto",
) -> Any:
    """`cyconv.conv2d_input_grad` of a Dask array dy, in the chunks that give those of dy.

    Examples
    --------
    >>> import dask.array as da, numpy as np
    >>> from cyconv.dask import conv2d_input_grad
    >>> dy = da.ones((1, 2, 2, 1), chunks=(1, 1, 2, 1))
    >>> conv2d_input_grad(dy, np.ones((3, 3, 1, 1)), (1, 4, 4, 1))[0, :, :, 0].compute()
    array([[1., 2., 2., 1.],
           [2., 4., 4., 2.],
           [2., 4., 4., 2.],
           [1., 2., 2., 1.]])
    """
    check_names(algorithm)
    dy, w = images(dy, "dy"), array(w)
    dtype = common_dtype(dy=dy, w=w)
    shape = geometry.shape(input_shape, "input_shape")
    try:
        g = geometry.conv(shape, w.shape, stride, padding, dilation, groups)
    except ValueError as error:
        raise renamed(error, x="input_shape") from None
    geometry.check_gradient("dy", dy.shape, g.y)
    axes = _axes(g)
    options = {"stride": stride, "dilation": dilation, "groups": groups, "algorithm": algorithm}
    return _transposed(dy, w, None, axes, pixel_chunks(dy, axes, g.x[3]), dtype, **options)


def conv2d_weight_grad(
    dy: Any,
    x: Any,
    kernel_size: int | tuple[int, int],
    *,
    stride: int | tuple[int, int] = 1,
    padding: Padding = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    algorithm: str = "auto",
) -> Any:
    """`cyconv.conv2d_weight_grad` of Dask arrays dy and x: a sum over the chunks of x, which are added in pairs.

    Examples
    --------
    >>> import dask.array as da
    >>> from cyconv.dask import conv2d_weight_grad
    >>> dy, x = da.ones((4, 2, 2, 1), chunks=(1, 2, 1, 1)), da.ones((4, 3, 3, 1), chunks=(2, 3, 3, 1))
    >>> conv2d_weight_grad(dy, x, 2)[:, :, 0, 0].compute()
    array([[16., 16.],
           [16., 16.]])
    """
    check_names(algorithm)
    dy, x = images(dy, "dy"), images(x, "x")
    dtype = common_dtype(dy=dy, x=x)
    kernel_size = geometry.pair(kernel_size, "kernel_size")
    w = *kernel_size, x.shape[3] // geometry.integer(groups, "groups", 1), dy.shape[3]
    try:
        g = geometry.conv(x.shape, w, stride, padding, dilation, groups)
    except ValueError as error:
        raise renamed(error, w="kernel_size") from None
    geometry.check_gradient("dy", dy.shape, g.y)
    blocks = blocks_of_windows(x, _axes(g))
    options = {"stride": stride, "dilation": dilation, "groups": groups, "algorithm": algorithm}
    arrays = windows_of(dy.rechunk({0: x.chunks[0]}), blocks), pixels_of(x, blocks)
    ones = ((1,) * len(along) for along in (x.chunks[0], *blocks))
    chunks = *ones, (int(np.prod(w)),)
    partial = map_blocks(_weight_grad_block, blocks, chunks, dtype, *arrays, kernel_size=kernel_size, **options)
    return _sum(partial, dtype).reshape(w)


def conv2d_backward(
    dy: Any,
    x: Any,
    w: Any,
    *,
    stride: int | tuple[int, int] = 1,
    padding: Padding = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    algorithm: str = "auto",
) -> tuple[Any, Any, Any]:
    """`cyconv.conv2d_backward` of Dask arrays dy and x: dx in the chunks of x, dw and db as sums over chunks.

    Examples
    --------
    >>> import dask.array as da, numpy as np
    >>> from cyconv.dask import conv2d_backward
    >>> dy, x = da.ones((2, 3, 3, 8), chunks=(1, 3, 3, 8)), da.ones((2, 5, 5, 3), chunks=(1, 5, 3, 3))
    >>> dx, dw, db = conv2d_backward(dy, x, np.ones((3, 3, 3, 8)))
    >>> dx.chunks, dw.shape, db.compute()
    (((1, 1), (5,), (3, 2), (3,)), (3, 3, 3, 8), array([18., 18., 18., 18., 18., 18., 18., 18.]))
    """
    dy, x, w = images(dy, "dy"), images(x, "x"), array(w)
    dtype = common_dtype(dy=dy, x=x, w=w)
    dy, x = dy.astype(dtype), x.astype(dtype)
    g = geometry.conv(x.shape, w.shape, stride, padding, dilation, groups)
    options: dict[str, Any] = {"stride": stride, "dilation": dilation, "groups": groups, "algorithm": algorithm}
    dw = conv2d_weight_grad(dy, x, w.shape[:2], padding=padding, **options)
    dx = _transposed(dy.rechunk({0: x.chunks[0]}), w, None, _axes(g), x.chunks, dtype, **options)
    return dx, dw, _sum(dy, dtype)


def conv_transpose2d(
    x: Any,
    w: Any,
    b: Any = None,
    *,
    stride: int | tuple[int, int] = 1,
    padding: Padding = 0,
    output_padding: int | tuple[int, int] = 0,
    output_size: int | tuple[int, int] | None = None,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    algorithm: str = "auto",
) -> Any:
    """`cyconv.conv_transpose2d` of a Dask array x, in the chunks whose convolution has those of x.

    Examples
    --------
    >>> import dask.array as da, numpy as np
    >>> from cyconv.dask import conv_transpose2d
    >>> x = da.ones((1, 4, 4, 1), chunks=(1, 3, 4, 1))
    >>> conv_transpose2d(x, np.ones((2, 2, 1, 1)), stride=2).chunks
    ((1,), (6, 2), (8,), (1,))
    """
    check_names(algorithm)
    x, w = images(x, "x"), array(w)
    g = geometry.transposed(x.shape, w.shape, stride, padding, dilation, groups, output_padding, output_size)
    b = vector(b, g.x[3])
    axes = _axes(g, x.shape[1:3])
    options = {"stride": stride, "dilation": dilation, "groups": groups, "algorithm": algorithm}
    return _transposed(x, w, b, axes, pixel_chunks(x, axes, g.x[3]), common_dtype(x=x, w=w, b=b), **options)


def conv_transpose2d_backward(
    dy: Any,
    x: Any,
    w: Any,
    *,
    stride: int | tuple[int, int] = 1,
    padding: Padding = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    algorithm: str = "auto",
) -> tuple[Any, Any, Any]:
    """`cyconv.conv_transpose2d_backward` of Dask arrays dy and x: dw and db are sums over chunks.

    Examples
    --------
    >>> import dask.array as da, numpy as np
    >>> from cyconv.dask import conv_transpose2d_backward
    >>> dy, x = da.ones((2, 6, 6, 5), chunks=(1, 4, 6, 5)), da.ones((2, 3, 3, 4), chunks=(1, 3, 3, 4))
    >>> dx, dw, db = conv_transpose2d_backward(dy, x, np.ones((2, 2, 5, 4)), stride=2)
    >>> dx.shape, dw.shape, db.compute()
    ((2, 3, 3, 4), (2, 2, 5, 4), array([72., 72., 72., 72., 72.]))
    """
    dy, x, w = images(dy, "dy"), images(x, "x"), array(w)
    dtype = common_dtype(dy=dy, x=x, w=w)
    dy, x = dy.astype(dtype), x.astype(dtype)
    try:
        g = geometry.transposed(x.shape, w.shape, stride, padding, dilation, groups, 0, dy.shape[1:3])
    except ValueError as error:
        raise renamed(error, output_size="dy") from None
    geometry.check_gradient("dy", dy.shape, g.x)
    options: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    options["algorithm"] = algorithm
    dx = conv2d(dy, w, **options)[:, : x.shape[1], : x.shape[2]]
    if g.y != x.shape:  # zeros for the windows that a wide output_padding adds
        x = padded(x, g.y)
    dw = conv2d_weight_grad(x, dy, w.shape[:2], **options)
    return dx, dw, _sum(dy, dtype)
