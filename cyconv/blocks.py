"""Images in blocks: which pixels a block of windows is computed from, and which windows see a block of pixels.

For one axis at a time, in plain integers; what holds the blocks and moves them is not this module's business.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cyconv.geometry import Pool
from cyconv.windows import given, window_rows

Range = tuple[int, int]


class Block(NamedTuple):
    """Windows, the pixels they are computed from, and where among these the block's own pixels are."""

    windows: Range
    pixels: Range
    own: Range
    padding: Range
    """What the first and the last window reach beyond the pixels."""

    @property
    def size(self) -> int:
        return self.pixels[1] - self.pixels[0]


class Axis:
    """One axis of an image and its windows: the first pixel of each and the one after its last, neither decreasing."""

    def __init__(self, size: int, starts: NDArray[Any], stops: NDArray[Any]) -> None:
        self.size, self.starts, self.stops = size, starts, stops

    @property
    def _centres(self) -> Any:
        return (self.starts + self.stops - 1) // 2

    def _block(self, first: int, last: int, low: int, high: int) -> Block:
        """Of the windows from first to last and the pixels from low to high, and those that the windows see."""
        start, stop = int(self.starts[first]), int(self.stops[last - 1])
        pixels = min(low, max(0, start)), max(high, min(self.size, stop))
        padding = max(0, pixels[0] - start), max(0, stop - pixels[1])
        return Block((first, last), pixels, (low - pixels[0], high - pixels[0]), padding)

    def of_windows(self, chunks: tuple[int, ...]) -> list[Block]:
        """Blocks of windows, as pixels are in `chunks`: a window belongs where its centre lies.

        With "same" padding and stride 1 there are as many windows in a block as pixels in its chunk.  Windows that see
        nothing but padding go with a neighbour, and a chunk that has no window of its own gives no block.
        """
        seen = np.searchsorted(self.stops, 0, "right"), np.searchsorted(self.starts, self.size, "left")
        if seen[1] - seen[0] < 2:  # not enough for two blocks
            return [self._block(0, len(self.starts), 0, self.size)]
        cuts = np.searchsorted(self._centres, np.cumsum(chunks)[:-1])
        cuts = np.unique(np.clip(cuts, seen[0] + 1, seen[1] - 1))
        bounds = pairwise([0, *cuts.tolist(), len(self.starts)])
        return [self._block(*windows, *self._seen(windows)) for windows in bounds]

    def _seen(self, windows: Range) -> Range:
        return max(0, int(self.starts[windows[0]])), min(self.size, int(self.stops[windows[1] - 1]))

    def of_pixels(self, chunks: Iterable[int]) -> list[Block]:
        """Blocks of pixels in `chunks`, each with the windows that see any of them: at least one, if it sees none."""
        blocks = []
        for low, high in pairwise(np.cumsum([0, *chunks]).tolist()):
            before = np.searchsorted(self.starts, low, "right") - 1
            first = max(0, int(min(np.searchsorted(self.stops, low, "right"), before)))
            last = max(first + 1, int(np.searchsorted(self.starts, high, "left")))
            blocks.append(self._block(first, last, low, high))
        return blocks

    def pixel_chunks(self, chunks: tuple[int, ...]) -> tuple[int, ...]:
        """Chunks of pixels as windows are in `chunks`: the inverse of `of_windows`, as far as there is one."""
        centres = self._centres[np.cumsum(chunks)[:-1]] if self.size > 1 else ()
        cuts = np.unique(np.clip(centres, 1, self.size - 1)).astype(int).tolist()
        return tuple(high - low for low, high in pairwise([0, *cuts, self.size]))


def conv_axes(
    size: tuple[int, int], windows: tuple[int, int], kernel_size: tuple[int, int], parameters: tuple[int, ...]
) -> tuple[Axis, Axis]:
    """Both axes of a convolution of images of `size`, with the parameters of its `geometry.Conv`."""
    stride, before, dilation = parameters[:2], parameters[2:4], parameters[4:6]

    def axis(i: int) -> Axis:
        starts = np.arange(windows[i]) * stride[i] - before[i]
        return Axis(size[i], starts, starts + dilation[i] * (kernel_size[i] - 1) + 1)

    return axis(0), axis(1)


def pool_axes(g: Pool) -> tuple[Axis, Axis]:
    """Both axes of a pooling."""

    def axis(size: int, windows: NDArray[Any], dilation: int) -> Axis:
        first, count, _ = windows.T
        # With dilation a window may begin or end before its neighbour, where the edge cuts off a tap.
        starts = np.minimum.accumulate(first[::-1])[::-1]
        return Axis(size, starts, np.maximum.accumulate(first + (count - 1) * dilation + 1))

    table = g.windows()
    rows, columns = window_rows(table, False, 0, g.y[1]), window_rows(table, True, 0, g.y[2])
    return axis(g.x[1], rows, g.dilation[0]), axis(g.x[2], columns, g.dilation[1])


def pool_block(g: Pool, N: int, row: Block, column: Block) -> Pool:
    """The pooling of a block of N images alone."""
    C, table = g.y[3], g.windows()
    rows, columns = (
        window_rows(table, is_column, *block.windows) - [block.pixels[0], 0, 0]
        for is_column, block in ((False, row), (True, column))
    )
    y = N, len(rows), len(columns), C
    share = g.work // max(1, g.y[0] * g.y[1] * g.y[2])
    last = (row.size, column.size, len(rows)), (0, 0, 0), (0, 0, 0)
    part = np.concatenate([rows, columns, last], dtype=np.intp)
    return Pool((N, row.size, column.size, C), y, given(part), g.dilation, y[0] * y[1] * y[2] * share)
