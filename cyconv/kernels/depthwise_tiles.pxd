# The outputs of a depthwise convolution, or of its input gradient, in tiles of a row: TILE pixels, VL channels.

from cyconv.kernels.depthwise_rows cimport (
    ANYWHERE, TILE, WIDEST, multiply_row, multiply_tap, rows_inside, whole_end,
)
from cyconv.kernels.fetch cimport fetch_pixels
from cyconv.kernels.simd cimport VGREATER, VL, VSELECT, VZERO, load_upto, real, store_upto, vec
from cyconv.kernels.windows cimport Axis

cdef struct Depthwise:
    const real* w       # (R, S, C)
    const real* bias    # C values, or NULL
    bint relu
    bint far            # see `fetch_pixels`
    bint past           # strips of outputs are written past the caches
    Py_ssize_t C
    Py_ssize_t S
    Py_ssize_t W        # pixels in a row of the target
    Py_ssize_t lead     # see `lead_of`


cdef inline void finish(const Depthwise* k, int outputs, vec* acc, Py_ssize_t c, Py_ssize_t lanes) noexcept nogil:
    """Bias and activation."""
    cdef vec bias
    cdef int j
    if k.bias != NULL:
        bias = load_upto(k.bias + c, lanes)
        for j in range(outputs):
            acc[j] = acc[j] + bias
    if k.relu:
        for j in range(outputs):
            acc[j] = VSELECT(VGREATER(VZERO, acc[j]), VZERO, acc[j])


cdef inline void output_vector(
    int taps, int step, int left, int right, const Depthwise* k, const Axis* h, const Axis* w, const real* x_q,
    const real* w_q, real* y_qp, Py_ssize_t iw, Py_ssize_t c, Py_ssize_t first, Py_ssize_t last, Py_ssize_t lanes,
) noexcept nogil:
    """Channels c .. c + lanes - 1 of a tile.  Its windows see rows first .. last - 1 of the source, and miss `left` and
    `right` columns of it, or those that are not there."""
    cdef vec acc[TILE]
    cdef vec by[WIDEST]
    cdef Py_ssize_t r, x_row = h.slope*w.size*k.C
    cdef int j, s
    x_q, w_q, y_qp = x_q + c, w_q + c, y_qp + c
    if k.far:
        fetch_pixels(x_q + last*x_row, h.step, x_row, TILE*step, k.C)
        fetch_pixels(y_qp + h.out_step*k.W*k.C, 1, 0, TILE, w.out_step*k.C)
    for j in range(TILE):
        acc[j] = VZERO
    for r in range(first, last):
        for s in range(taps):
            by[s] = load_upto(w_q + (r*h.tap_step*k.S + s*w.tap_step)*k.C, lanes)
        multiply_row(taps, step, left, right, False, acc, by, x_q + r*x_row, iw, w.size, k.C, lanes)
    finish(k, TILE, acc, c, lanes)
    for j in range(TILE):
        store_upto(y_qp + j*w.out_step*k.C, acc[j], lanes)


cdef inline void output_full(
    int taps, int step, int left, int right, const Depthwise* k, const Axis* h, const Axis* w, const real* x_q,
    const real* w_q, real* y_qp, Py_ssize_t iw, Py_ssize_t q, Py_ssize_t end,
) noexcept nogil:
    """All the whole vectors of channels from `lead` on."""
    cdef Py_ssize_t c, first, last
    while q < end:
        first, last = rows_inside(h, q)
        c = k.lead
        while c + VL <= k.C:
            output_vector(taps, step, left, right, k, h, w, x_q, w_q, y_qp, iw, c, first, last, VL)
            c += VL
        x_q += h.step*w.size*k.C
        y_qp += h.out_step*k.W*k.C
        q += 1


cdef inline void output_rest(
    int taps, int step, const Depthwise* k, const Axis* h, const Axis* w, const real* x_q, const real* w_q, real* y_qp,
    Py_ssize_t iw, Py_ssize_t q, Py_ssize_t end, Py_ssize_t begin,
) noexcept nogil:
    """The channels before `lead`, and those from `begin` on."""
    cdef Py_ssize_t c, first, last, lanes
    while q < end:
        first, last = rows_inside(h, q)
        c = 0 if k.lead else begin
        while c < k.C:
            lanes = k.lead if c < k.lead else min(VL, k.C - c)
            output_vector(taps, step, ANYWHERE, 0, k, h, w, x_q, w_q, y_qp, iw, c, first, last, lanes)
            c = begin if c < k.lead else c + VL
        x_q += h.step*w.size*k.C
        y_qp += h.out_step*k.W*k.C
        q += 1


cdef inline void output_tile(
    int taps, int step, const Depthwise* k, const Axis* h, const Axis* w, const real* x_n, real* y_n, Py_ssize_t q,
    Py_ssize_t end, Py_ssize_t p,
) noexcept nogil:
    """Outputs p .. p + TILE - 1 of rows q .. end - 1; their windows are `taps` columns.

    A column that a window misses costs nothing if that is known when this is compiled.  Tiles at the edge of an image
    are half of them all at 28 columns, and take 2.5 times as long where each column is looked at.
    """
    cdef Py_ssize_t iw = w.base + p*step, rest = whole_end(k.C, k.lead)
    cdef Py_ssize_t left = max(0, -iw), right = max(0, iw + (TILE - 1)*step + taps - w.size)
    cdef const real* x_q = x_n + ((h.base + q*h.step)*w.size + iw)*k.C
    cdef const real* w_q = k.w + (h.tap*k.S + w.tap)*k.C
    cdef real* y_qp = y_n + ((h.out + q*h.out_step)*k.W + w.out + p*w.out_step)*k.C
    if left == 0 and right == 0:
        output_full(taps, step, 0, 0, k, h, w, x_q, w_q, y_qp, iw, q, end)
    elif left == taps//2 and right == 0:
        output_full(taps, step, taps//2, 0, k, h, w, x_q, w_q, y_qp, iw, q, end)
    elif left == 0 and right == taps//2:
        output_full(taps, step, 0, taps//2, k, h, w, x_q, w_q, y_qp, iw, q, end)
    elif left == taps//2 and right == taps//2:
        output_full(taps, step, taps//2, taps//2, k, h, w, x_q, w_q, y_qp, iw, q, end)
    else:
        rest = k.lead
    if k.lead or rest < k.C:
        output_rest(taps, step, k, h, w, x_q, w_q, y_qp, iw, q, end, rest)


cdef inline void any_vectors(
    const Depthwise* k, const Axis* h, const Axis* w, const real* x_q, const real* w_q, real* y_qp, Py_ssize_t iw,
    Py_ssize_t width, Py_ssize_t c, Py_ssize_t first, Py_ssize_t last, Py_ssize_t lanes,
) noexcept nogil:
    """Channels c .. c + lanes - 1 of `width` outputs, for any window."""
    cdef vec acc[TILE]
    cdef vec weight
    cdef Py_ssize_t r, s
    cdef int j
    for j in range(TILE):
        acc[j] = VZERO
    for r in range(first, last):
        for s in range(w.taps):
            weight = load_upto(w_q + (r*h.tap_step*k.S + s*w.tap_step)*k.C + c, lanes)
            multiply_tap(
                False, acc, &weight, x_q + (r*h.slope*w.size + s*w.slope)*k.C + c, iw + s*w.slope, w.step, w.size,
                width, k.C, lanes,
            )
    finish(k, TILE, acc, c, lanes)
    for j in range(TILE):
        if j < width:
            store_upto(y_qp + j*w.out_step*k.C + c, acc[j], lanes)


cdef inline void output_any(
    const Depthwise* k, const Axis* h, const Axis* w, const real* x_n, real* y_n, Py_ssize_t q, Py_ssize_t p
) noexcept nogil:
    """Outputs p .. p + TILE - 1 of row q, as far as they are there, for any window: tap by tap, a load for each of
    their products."""
    cdef Py_ssize_t iw = w.base + p*w.step, width = min(TILE, w.count - p), c = 0, first, last
    cdef const real* x_q = x_n + ((h.base + q*h.step)*w.size + iw)*k.C
    cdef const real* w_q = k.w + (h.tap*k.S + w.tap)*k.C
    cdef real* y_qp = y_n + ((h.out + q*h.out_step)*k.W + w.out + p*w.out_step)*k.C
    first, last = rows_inside(h, q)
    while c + VL <= k.C:
        any_vectors(k, h, w, x_q, w_q, y_qp, iw, width, c, first, last, VL)
        c += VL
    if c < k.C:
        any_vectors(k, h, w, x_q, w_q, y_qp, iw, width, c, first, last, k.C - c)


cdef inline int window_kind(const Axis* a) noexcept nogil:
    """10*taps + step of the windows that tiles are compiled for, else 0; the gradient of stride 2 has 2 and 1 taps."""
    if a.count < TILE:
        return 0
    if a.slope == 1 and a.step <= 2 and (a.taps == 3 or a.taps == 5):
        return <int>(10*a.taps + a.step)
    if a.step == 1 and (a.taps == 1 or (a.slope == 1 and (a.taps == 2 or a.taps == 7))):
        return <int>(10*a.taps + 1)
    return 0


cdef inline Py_ssize_t first_of_tile(const Axis* w, Py_ssize_t p) noexcept nogil:
    """Where the tile of output p begins: the last one may compute again what the one before it did."""
    return max(0, min(p, w.count - TILE))


cdef inline void tile_of_rows(
    const Depthwise* k, const Axis* h, const Axis* w, const real* x_n, real* y_n, Py_ssize_t q, Py_ssize_t end,
    Py_ssize_t p,
) noexcept nogil:
    """Outputs p .. p + TILE - 1 of rows q .. end - 1, as far as they are there."""
    cdef int kind = window_kind(w)
    if kind == 31:
        output_tile(3, 1, k, h, w, x_n, y_n, q, end, p)
    elif kind == 32:
        output_tile(3, 2, k, h, w, x_n, y_n, q, end, p)
    elif kind == 51:
        output_tile(5, 1, k, h, w, x_n, y_n, q, end, p)
    elif kind == 52:
        output_tile(5, 2, k, h, w, x_n, y_n, q, end, p)
    elif kind == 71:
        output_tile(7, 1, k, h, w, x_n, y_n, q, end, p)
    elif kind == 21:
        output_tile(2, 1, k, h, w, x_n, y_n, q, end, p)
    elif kind == 11:
        output_tile(1, 1, k, h, w, x_n, y_n, q, end, p)
    else:
        while q < end:
            output_any(k, h, w, x_n, y_n, q, p)
            q += 1
