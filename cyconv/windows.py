"""The windows of a pooling, in the table that kernels/pool.pyx takes.

It has a row (first, count, size) for each window row, and then for each window column: the taps inside the image are
first, first + dilation, ..., `count` of them, and a mean divides by `size`.  In the middle of an axis each window is
the one before it, a stride further on.  All but a few of those are left out: an axis of a million pixels takes as many
rows as one of ten.  The last three rows are (H, W, window rows in the table), and for each axis (cut, skipped, 0):
before its row `cut`, `skipped` windows are left out, and the axis is taken for shorter by as many strides.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.intp]

KEPT = 2048
"""Rows of a table that is kept with the geometry: 48 KiB of each of the 1024 last geometries."""
SLICE = 1 << 18
"""Rows that are made at a time: some milliseconds, between which Python hears signals."""


class Axis(NamedTuple):
    """One spatial axis: input size, window, stride, dilation, padding before and after, output size."""

    size: int
    kernel: int
    stride: int
    dilation: int
    before: int
    after: int
    output: int


class Strided(NamedTuple):
    """Windows `stride` apart; what is left of each inside the image."""

    axis: Axis
    include_pad: bool

    @property
    def middle(self) -> tuple[int, int]:
        """(cut, skipped).  There are enough windows that no border cuts on both sides of what is left out for pixels
        there to be in as many windows as any."""
        a = self.axis
        extent = a.dilation * (a.kernel - 1) + 1
        first, last = -(-a.before // a.stride), (a.size + a.before - extent) // a.stride + 1
        cut = first + -(-extent // a.stride)
        return (cut, last - cut - 2) if last > cut + 2 else (0, 0)

    @property
    def listed(self) -> int:
        return self.axis.output - self.middle[1]

    def rows(self, i: Ints) -> tuple[Ints, ...]:
        a, (cut, skipped) = self.axis, self.middle
        i = np.where(i < cut, i, i + skipped)
        start = i * a.stride - a.before
        cut_off = -(np.minimum(start, 0) // a.dilation)
        inside = np.minimum(a.kernel, (a.size - 1 - start) // a.dilation + 1) - cut_off
        if inside.min() < 1:
            raise ValueError(
                f"`padding` and `dilation` {a.dilation} leave no tap of window {i[inside.argmin()]} in `x`"
            )
        padded = np.minimum(a.kernel, (a.size + a.after - 1 - start) // a.dilation + 1)
        first = start + cut_off * a.dilation - np.where(i < cut, 0, skipped * a.stride)
        return first, inside, padded if self.include_pad else inside


class Adaptive(NamedTuple):
    """Windows from floor(i*size / output) up to ceil((i + 1)*size / output), all of them in the table."""

    size: int
    output: int

    @property
    def middle(self) -> tuple[int, int]:
        return 0, 0

    @property
    def listed(self) -> int:
        return self.output

    def rows(self, i: Ints) -> tuple[Ints, ...]:
        start, stop = i * self.size // self.output, -(-(i + 1) * self.size // self.output)
        return start, stop - start, stop - start


Windows = Strided | Adaptive


def table(size: tuple[int, int], rows: Windows, columns: Windows) -> Callable[[], Ints]:
    """A function that gives the table.  A large one is made when a kernel asks for it: not before a gradient that does
    not fit has been refused, and only the last is kept."""
    if rows.listed + columns.listed > KEPT:
        return partial(_large_table, size, rows, columns)
    return given(_table(size, rows, columns))


def given(array: Ints) -> Callable[[], Ints]:
    """A function that gives this table: unlike a lambda, it can be sent to another process."""
    return partial(_same, array)


def _same(array: Ints) -> Ints:
    return array


def _table(size: tuple[int, int], rows: Windows, columns: Windows) -> Ints:
    array = np.empty((rows.listed + columns.listed + 3, 3), np.intp)
    end = 0
    for windows in rows, columns:
        for first in range(0, windows.listed, SLICE):
            i = np.arange(first, min(first + SLICE, windows.listed), dtype=np.intp)
            array[end : end + i.size] = np.transpose(windows.rows(i))
            end += i.size
    array[end:] = (*size, rows.listed), (*rows.middle, 0), (*columns.middle, 0)
    array.flags.writeable = False  # cached: shared by every call of this geometry
    return array


_large_table = lru_cache(maxsize=1)(_table)


def window_rows(array: Ints, columns: bool, first: int, last: int) -> Ints:
    """(first, count, size) of windows first <= i < last of one axis of a table, none left out."""
    rows = array[-3, 2]
    own, (cut, skipped, _) = (array[rows:-3], array[-1]) if columns else (array[:rows], array[-2])
    i = np.arange(first, last)
    row = np.where(i < cut, i, np.maximum(cut, i - skipped))
    result = own[row]
    if skipped:
        result[:, 0] += (i - row) * (own[cut + 1, 0] - own[cut, 0])
    return result
