# The outputs of a depthwise convolution, or of its input gradient, in tiles of a row: TILE pixels, VL channels.

from cyconv.kernels.simd cimport (
    HOLD, NV, WILL_READ, VGREATER, VL, VSELECT, VZERO, load_upto, real, store_upto, vec,
)
from cyconv.kernels.windows cimport Axis

cdef enum:
    TILE = 7            # outputs of a row computed together; with 5 taps and a source vector they fit 16 registers
    WIDEST = 5          # taps of a row that are held in registers
    HEIGHT = NV // 2    # rows computed together: two where there are 32 registers
    ANYWHERE = -1       # a tile whose windows may leave the source: every column is looked at

cdef struct Depthwise:
    const real* w       # (R, S, C)
    const real* bias    # C values, or NULL
    bint relu
    Py_ssize_t C
    Py_ssize_t S
    Py_ssize_t W        # pixels in a row of the target


cdef inline (Py_ssize_t, Py_ssize_t) rows_inside(const Axis* a, Py_ssize_t i, int height) noexcept nogil:
    """Of the rows that outputs i .. i + height - 1 see, a slope apart, those first .. last - 1 inside the source."""
    cdef Py_ssize_t at = a.base + i*a.step, seen = a.taps + (height - 1)*a.step
    cdef Py_ssize_t first = 0 if at >= 0 else (a.slope - 1 - at) // a.slope
    cdef Py_ssize_t last = 0 if at >= a.size else min(seen, (a.size - 1 - at) // a.slope + 1)
    return first, last


cdef inline (Py_ssize_t, Py_ssize_t) taps_inside(const Axis* a, Py_ssize_t i) noexcept nogil:
    """The taps first .. last - 1 of output i that read inside the source."""
    return rows_inside(a, i, 1)


cdef inline void add_row(
    int taps, int step, int left, int right, bint upper, bint lower, const Depthwise* k, const Axis* w_axis, vec* acc,
    const real* x_i, const real* w_upper, const real* w_lower, Py_ssize_t iw, Py_ssize_t lanes,
) noexcept nogil:
    """What a row of the source gives to the `upper` row of a tile, by one row of weights, and to the `lower` one."""
    cdef vec w[2][WIDEST]
    cdef vec value
    cdef int s, j, column
    for s in range(taps):
        if upper:
            w[0][s] = load_upto(w_upper + s*w_axis.tap_step*k.C, lanes)
        if lower:
            w[1][s] = load_upto(w_lower + s*w_axis.tap_step*k.C, lanes)
    for column in range((TILE - 1)*step + taps):
        if left == ANYWHERE:
            if not 0 <= iw + column < w_axis.size:
                continue
        elif column < left or column >= (TILE - 1)*step + taps - right:
            continue
        value = load_upto(x_i + column*k.C, lanes)
        HOLD(value)
        for s in range(taps):
            if s <= column < s + TILE*step and (column - s) % step == 0:
                j = (column - s)//step
                if upper:
                    acc[j] = acc[j] + value*w[0][s]
                if lower:
                    acc[TILE + j] = acc[TILE + j] + value*w[1][s]


cdef inline void output_vectors(
    int taps, int step, int height, int left, int right, bint full, const Depthwise* k, const Axis* h,
    const Axis* w_axis, const real* x_q, const real* w_q, real* y_qp, Py_ssize_t iw, Py_ssize_t c, Py_ssize_t first,
    Py_ssize_t last,
) noexcept nogil:
    """Channels c .. c + VL - 1 of a tile of one row or two, all of them there (`full`) or as many as are left.  Its
    windows see rows first .. last - 1 of the source, and miss `left` and `right` columns of it, or those that are not
    there."""
    cdef vec acc[HEIGHT*TILE]
    cdef vec value
    cdef const real* x_i = x_q + first*h.slope*w_axis.size*k.C + c
    cdef const real* w_i = w_q + first*h.tap_step*k.S*k.C + c
    cdef Py_ssize_t row = h.tap_step*k.S*k.C, i, lanes = VL if full else k.C - c
    cdef int j, column
    for j in range(height*TILE):
        acc[j] = VZERO
    for i in range(height):                 # what the next rows of the tile will add
        for column in range(TILE*step):
            WILL_READ(x_q + (((last - 1)*h.slope + (i + 1)*h.step)*w_axis.size + column)*k.C + c)
    for i in range(first, last):
        if height == 1 or i < h.step:
            add_row(taps, step, left, right, True, False, k, w_axis, acc, x_i, w_i, NULL, iw, lanes)
        elif i < h.taps:
            add_row(taps, step, left, right, True, True, k, w_axis, acc, x_i, w_i, w_i - h.step*row, iw, lanes)
        else:
            add_row(taps, step, left, right, False, True, k, w_axis, acc, x_i, NULL, w_i - h.step*row, iw, lanes)
        x_i += h.slope*w_axis.size*k.C
        w_i += row
    if k.bias != NULL:
        value = load_upto(k.bias + c, lanes)
        for j in range(height*TILE):
            acc[j] = acc[j] + value
    if k.relu:
        for j in range(height*TILE):
            acc[j] = VSELECT(VGREATER(VZERO, acc[j]), VZERO, acc[j])
    for i in range(height):
        for j in range(TILE):
            store_upto(y_qp + (i*h.out_step*k.W + j*w_axis.out_step)*k.C + c, acc[i*TILE + j], lanes)


cdef inline Py_ssize_t output_full(
    int taps, int step, int height, int left, int right, const Depthwise* k, const Axis* h, const Axis* w,
    const real* x_q, const real* w_q, real* y_qp, Py_ssize_t iw, Py_ssize_t first, Py_ssize_t last,
) noexcept nogil:
    """All the whole vectors of channels; returns the channel behind them."""
    cdef Py_ssize_t c = 0
    while c + VL <= k.C:
        output_vectors(taps, step, height, left, right, True, k, h, w, x_q, w_q, y_qp, iw, c, first, last)
        c += VL
    return c


cdef inline void output_tile(
    int taps, int step, int height, const Depthwise* k, const Axis* h, const Axis* w, const real* x_n, real* y_n,
    Py_ssize_t q, Py_ssize_t p,
) noexcept nogil:
    """Outputs p .. p + TILE - 1 of row q, and of the next if `height` is 2; their windows are `taps` columns.

    A column that a window misses costs nothing if that is known when this is compiled.  Tiles at the edge of an image
    are half of them all at 28 columns, and take 2.5 times as long where each column is looked at.
    """
    cdef Py_ssize_t c = 0, first, last, iw = w.base + p*step
    cdef Py_ssize_t left = max(0, -iw), right = max(0, iw + (TILE - 1)*step + taps - w.size)
    cdef const real* x_q = x_n + ((h.base + q*h.step)*w.size + iw)*k.C
    cdef const real* w_q = k.w + (h.tap*k.S + w.tap)*k.C
    cdef real* y_qp = y_n + ((h.out + q*h.out_step)*k.W + w.out + p*w.out_step)*k.C
    first, last = rows_inside(h, q, height)
    if left == 0 and right == 0:
        c = output_full(taps, step, height, 0, 0, k, h, w, x_q, w_q, y_qp, iw, first, last)
    elif left == taps//2 and right == 0:
        c = output_full(taps, step, height, taps//2, 0, k, h, w, x_q, w_q, y_qp, iw, first, last)
    elif left == 0 and right == taps//2:
        c = output_full(taps, step, height, 0, taps//2, k, h, w, x_q, w_q, y_qp, iw, first, last)
    elif left == taps//2 and right == taps//2:
        c = output_full(taps, step, height, taps//2, taps//2, k, h, w, x_q, w_q, y_qp, iw, first, last)
    while c < k.C:
        output_vectors(taps, step, height, ANYWHERE, 0, False, k, h, w, x_q, w_q, y_qp, iw, c, first, last)
        c += VL


cdef inline void output_one(
    const Depthwise* k, const Axis* h, const Axis* w, const real* x_n, real* y_n, Py_ssize_t q, Py_ssize_t p
) noexcept nogil:
    """Output p of row q, for any window, wherever it lies."""
    cdef vec acc
    cdef Py_ssize_t r, s, ih, iw, c = 0, lanes, first, last
    cdef real* y_qp = y_n + ((h.out + q*h.out_step)*k.W + w.out + p*w.out_step)*k.C
    first, last = taps_inside(h, q)
    while c < k.C:
        lanes = k.C - c
        acc = VZERO
        for r in range(first, last):
            ih = h.base + q*h.step + r*h.slope
            for s in range(w.taps):
                iw = w.base + p*w.step + s*w.slope
                if 0 <= iw < w.size:
                    acc = acc + load_upto(x_n + (ih*w.size + iw)*k.C + c, lanes)*load_upto(
                        k.w + ((h.tap + r*h.tap_step)*k.S + w.tap + s*w.tap_step)*k.C + c, lanes
                    )
        if k.bias != NULL:
            acc = acc + load_upto(k.bias + c, lanes)
        if k.relu:
            acc = VSELECT(VGREATER(VZERO, acc), VZERO, acc)
        store_upto(y_qp + c, acc, lanes)
        c += VL


cdef inline int window_kind(const Axis* a) noexcept nogil:
    """10*taps + step of the windows that tiles are compiled for, else 0; the gradient of stride 2 has 2 and 1 taps."""
    if a.count < TILE:
        return 0
    if a.slope == 1 and a.step <= 2 and (a.taps == 3 or a.taps == 5):
        return <int>(10*a.taps + a.step)
    if a.step == 1 and (a.taps == 1 or (a.taps == 2 and a.slope == 1)):
        return <int>(10*a.taps + 1)
    return 0


cdef inline Py_ssize_t first_of_tile(const Axis* w, Py_ssize_t p) noexcept nogil:
    """Where the tile of output p begins: the last one may compute again what the one before it did."""
    return p if window_kind(w) == 0 else min(p, w.count - TILE)


cdef inline Py_ssize_t rows_of_tile(const Axis* h, const Axis* w, Py_ssize_t left) noexcept nogil:
    """Rows that are computed together, of those that are left: two see fewer rows of the source than one and one."""
    return HEIGHT if left >= HEIGHT and h.slope == 1 and h.step < h.taps and window_kind(w) // 10 == 3 else 1


cdef inline void tile_of_rows(
    const Depthwise* k, const Axis* h, const Axis* w, const real* x_n, real* y_n, Py_ssize_t q, Py_ssize_t p,
    Py_ssize_t rows,
) noexcept nogil:
    """Outputs p .. p + TILE - 1 of as many rows from q on as `rows_of_tile` says, as far as they are there."""
    cdef int kind = window_kind(w)
    cdef Py_ssize_t i
    if HEIGHT > 1 and rows > 1 and kind == 31:
        output_tile(3, 1, HEIGHT, k, h, w, x_n, y_n, q, p)
    elif HEIGHT > 1 and rows > 1 and kind == 32:
        output_tile(3, 2, HEIGHT, k, h, w, x_n, y_n, q, p)
    elif kind == 31:
        output_tile(3, 1, 1, k, h, w, x_n, y_n, q, p)
    elif kind == 32:
        output_tile(3, 2, 1, k, h, w, x_n, y_n, q, p)
    elif kind == 51:
        output_tile(5, 1, 1, k, h, w, x_n, y_n, q, p)
    elif kind == 52:
        output_tile(5, 2, 1, k, h, w, x_n, y_n, q, p)
    elif kind == 21:
        output_tile(2, 1, 1, k, h, w, x_n, y_n, q, p)
    elif kind == 11:
        output_tile(1, 1, 1, k, h, w, x_n, y_n, q, p)
    else:
        for i in range(p, min(p + TILE, w.count)):
            output_one(k, h, w, x_n, y_n, q, i)
