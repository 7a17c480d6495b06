"""Chunks of Dask arrays as blocks of images: gathered with the pixels around them, and given to a function each."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from cyconv import threads
from cyconv.arrays import Real, real_arrays
from cyconv.blocks import Axis, Block
from cyconv.conv import bias_vector

try:
    import dask
    import dask.array as da
except ImportError as error:
    raise ImportError("cyconv.dask needs Dask: pip install 'cyconv[dask]'") from error

Axes = tuple[Axis, Axis]
Blocks = tuple[list[Block], list[Block]]

# Arguments.


def images(x: Any, name: str) -> Any:
    """A Dask array of images whose channels are in one chunk."""
    if not isinstance(x, da.Array):
        raise TypeError(f"`{name}` must be a Dask array, got {type(x).__name__}")
    if np.isnan(x.shape).any():
        raise ValueError(f"`{name}` has chunks of unknown size; call its compute_chunk_sizes first")
    if x.ndim != 4:
        raise ValueError(f"`{name}` must have 4 dimensions (N, H, W, C), got shape {x.shape}")
    return x.rechunk({3: -1})


def array(w: Any) -> Any:
    return w if isinstance(w, da.Array) else np.asarray(w)


def vector(b: Any, K: int) -> Any:
    return None if b is None else bias_vector(array(b), K)


def padded(x: Any, shape: tuple[int, ...]) -> Any:
    """x with zeros behind it."""
    return da.pad(x, [(0, n - m) for n, m in zip(shape, x.shape, strict=True)])


def common_dtype(**arrays: Any) -> np.dtype[Any]:
    """The dtype that a kernel gives for these, or its TypeError."""
    given = {name: a for name, a in arrays.items() if a is not None}
    return real_arrays(tuple(given), [np.empty(0, a.dtype) for a in given.values()])[0].dtype


# The graph.


def _gather(x: Any, rows: list[Any], columns: list[Any]) -> Any:
    """A chunk for each pair of ranges, which may overlap: x[:, low:high] for each range of rows, then of columns."""
    for axis, ranges in ((1, rows), (2, columns)):
        before = (slice(None),) * axis
        pieces = [x[(*before, slice(*bounds))].rechunk({axis: -1}) for bounds in ranges]
        x = da.concatenate(pieces, axis=axis)
    return x


def pixels_of(x: Any, blocks: Blocks) -> Any:
    return _gather(x, *([block.pixels for block in axis] for axis in blocks))


def windows_of(y: Any, blocks: Blocks) -> Any:
    return _gather(y, *([block.windows for block in axis] for axis in blocks))


def _whole(value: Any) -> Any:
    """What every block takes whole: in the graph once, under a key of its own."""
    if isinstance(value, da.Array):
        return value.rechunk(-1).to_delayed().item()
    return dask.delayed(value, pure=True, traverse=False)


def map_blocks(
    function: Any, blocks: Blocks, chunks: Any, dtype: Any, *arrays: Any, whole: Any = (), **options: Any
) -> Any:
    """`function` of the chunks of the arrays, the blocks that these belong to, what is `whole`, and the options."""
    return da.map_blocks(
        _run,
        *arrays,
        token=f"cyconv{function.__name__}",
        chunks=chunks,
        dtype=dtype,
        meta=np.empty((0,) * 4, dtype),
        function=function,
        blocks=_whole(blocks),
        whole=[_whole(value) for value in whole],
        options=options,
    )


def _run(*arrays: Any, function: Any, blocks: Blocks, whole: Any, options: Any, block_id: tuple[int, ...] = ()) -> Any:
    row, column = (axis[i] for axis, i in zip(blocks, block_id[1:3], strict=True))
    with threads.share(_threads()):
        return function(*arrays, row, column, *whole, **options)


def _threads() -> int:
    """Threads for one kernel: on a worker of dask.distributed the limit shared out over the worker's own, else one."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return 1
    try:
        worker = distributed.get_worker()
    except ValueError:  # one of Dask's own schedulers runs this
        return 1
    return max(1, threads.get_num_threads() // int(worker.state.nthreads))


def blocks_of_windows(x: Any, axes: Axes) -> Blocks:
    return axes[0].of_windows(x.chunks[1]), axes[1].of_windows(x.chunks[2])


def window_chunks(x: Any, blocks: Blocks, channels: int) -> Any:
    rows, columns = (tuple(b.windows[1] - b.windows[0] for b in axis) for axis in blocks)
    return x.chunks[0], rows, columns, (channels,)


def blocks_of_pixels(chunks: Any, axes: Axes) -> Blocks:
    return axes[0].of_pixels(chunks[1]), axes[1].of_pixels(chunks[2])


def pixel_chunks(y: Any, axes: Axes, channels: int) -> Any:
    """Chunks for the images that y was made from."""
    return y.chunks[0], axes[0].pixel_chunks(y.chunks[1]), axes[1].pixel_chunks(y.chunks[2]), (channels,)


def own_pixels(x: Real, row: Block, column: Block) -> Real:
    """The block's own pixels."""
    return np.ascontiguousarray(x[:, slice(*row.own), slice(*column.own)])
