"""Long axes: the table of windows leaves out their middle, and what is there is computed all the same."""

from itertools import product

import numpy as np
import pytest
import reference
from answers import average_data, pool_data
from cases import Pool
from compare import assert_exact, assert_rounded
from reference.geometry import pair

import cyconv
from cyconv import geometry
from cyconv.windows import window_rows

# Windows of one tap, that meet or do not, of more taps than a pass takes, with gaps and borders of all kinds; on the
# axis of columns, of rows, and on both.
LONG = (
    *(
        Pool(x, (size, 1) if x[2] == 1 else (1, size), stride, ((before, after), (0, 0))[:: 1 if x[2] == 1 else -1])
        for x in ((2, 1, 61, 2), (1, 50, 1, 3))
        for size, stride, before, after in (
            (1, 1, 0, 0),
            (1, 3, 0, 0),
            (2, 2, 0, 1),
            (2, 5, 1, 0),
            (3, 1, 1, 1),
            (3, 2, 1, 1),
            (4, 3, 2, 1),
            (7, 2, 3, 0),
            (9, 1, 4, 4),
            (9, 2, 0, 4),
        )
    ),
    *(Pool((1, 1, 60, C), 3, 2, 1) for C in (1, 5, 16, 33)),
    *(Pool((1, 37, 41, C), 3, 2, 1) for C in (2, 16)),
    *(Pool((1, 30, 41, 2), (3, 2), (1, 3), dilation=d) for d in (2, (3, 4))),
    Pool((1, 30, 40, 16), 2, dilation=3),
    Pool((1, 41, 30, 3), (5, 4), (2, 3), 2, ceil_mode=True),
    # More strips than one, whose borders fall anywhere.
    Pool((1, 2, 1500, 16), (1, 3), (1, 2), (0, 1)),
    Pool((1, 2, 1500, 17), (2, 7), (1, 3)),
)


@pytest.mark.usefixtures("isa", "threads")
@pytest.mark.parametrize("case", LONG, ids=str)
def test_all_windows(case, dtype):
    data, shares = pool_data(case), average_data(case)
    x, dy, taps = data.x.astype(dtype), data.dy.astype(dtype), np.prod(pair(case.kernel_size))
    y, indices = cyconv.max_pool2d(x, **case.geometry, return_indices=True)
    assert_exact(y, data.y_max)
    assert_exact(indices, reference.max_pool2d(data.x, **case.geometry, return_indices=True)[1])
    assert_exact(cyconv.max_pool2d(x, **case.geometry), data.y_max)
    assert_exact(cyconv.max_pool2d_backward(dy, x, **case.geometry), data.dx_first)
    assert_exact(cyconv.max_pool2d_backward(dy, x, **case.geometry, ties="all"), data.dx_all)
    assert_rounded(cyconv.avg_pool2d(x, **case.geometry), shares.y, abs(shares.y), terms=1 / 16)
    assert_rounded(cyconv.avg_pool2d_backward(dy, case.x, **case.geometry), shares.dx, shares.dx_magnitude, terms=taps)


AXES = [*product((1, 2, 3, 5), (1, 2, 3, 7), (1, 2, 4), (False, True), (False, True))]


@pytest.mark.parametrize(("kernel", "stride", "dilation", "ceil_mode", "include_pad"), AXES)
def test_what_is_left_out(kernel, stride, dilation, ceil_mode, include_pad):
    """The windows of a short table are those that the definition gives, and an axis a thousand times as long has as
    short a table."""
    size, before, after = 80, (dilation * (kernel - 1) + 1) // 2, (dilation * (kernel - 1) + 1) // 4
    arguments = (1, kernel), (1, stride), ((0, 0), (before, after)), (1, dilation), ceil_mode, include_pad
    g = geometry.pool((1, 1, size, 1), *arguments)
    expected = []
    for o in range(g.y[2]):
        taps = [o * stride - before + s * dilation for s in range(kernel)]
        inside = [v for v in taps if 0 <= v < size]
        padded = [v for v in taps if v < size + after]
        expected.append((inside[0], len(inside), len(padded if include_pad else inside)))
    assert window_rows(g.windows(), True, 0, g.y[2]).tolist() == [list(row) for row in expected]
    assert window_rows(g.windows(), True, 30 // stride, 31 // stride + 1).tolist() == [
        list(row) for row in expected[30 // stride : 31 // stride + 1]
    ]
    far = geometry.pool((1, 1, 1000 * size, 1), *arguments)
    assert len(far.windows()) <= len(g.windows()) + 3
    assert far.y[2] > 900 * g.y[2]
