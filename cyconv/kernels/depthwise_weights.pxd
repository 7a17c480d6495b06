# The weight gradient of a depthwise convolution: what a tile or a strip of outputs gives, added to sums in memory.

from cyconv.kernels.depthwise_rows cimport (
    ANYWHERE, TILE, WIDEST, multiply_row, multiply_tap, rows_inside, whole_end,
)
from cyconv.kernels.depthwise_strips cimport STEEPEST, sees, step_of, strip_of
from cyconv.kernels.depthwise_tiles cimport window_kind
from cyconv.kernels.fetch cimport fetch_pixels
from cyconv.kernels.simd cimport VL, VLOAD, VSTORE, VZERO, load_upto, real, store_upto, vec
from cyconv.kernels.strips cimport SIDE, SPAN, TALLEST, WEIGHTS, Strip, strip, tallest
from cyconv.kernels.windows cimport Axis

cdef struct Weights:
    Axis h
    Axis w
    Py_ssize_t C
    Py_ssize_t lead     # see `lead_of`
    bint far            # see `fetch_pixels`
    bint biased         # db is asked for


cdef inline void add_to(real* total, vec value, Py_ssize_t lanes) noexcept nogil:
    store_upto(total, load_upto(total, lanes) + value, lanes)


cdef inline void product_vector(
    int taps, int step, int left, int right, const Weights* k, const real* x_q, const real* dy_qp, Py_ssize_t iw,
    real* dw, real* db, Py_ssize_t c, Py_ssize_t first, Py_ssize_t last, Py_ssize_t lanes,
) noexcept nogil:
    """dw, db += what a tile gives to channels c .. c + lanes - 1: row after row of the window, dy in registers."""
    cdef vec dy[TILE]
    cdef vec acc[WIDEST]
    cdef vec value = VZERO
    cdef Py_ssize_t i, x_row = k.h.slope*k.w.size*k.C
    cdef int j, s
    x_q, dy_qp, dw = x_q + c, dy_qp + c, dw + c
    if k.far:
        fetch_pixels(x_q + last*x_row, k.h.step, x_row, TILE*step, k.C)
        fetch_pixels(dy_qp + k.w.count*k.C, 1, 0, TILE, k.C)
    for j in range(TILE):
        dy[j] = load_upto(dy_qp + j*k.C, lanes)
    if k.biased:
        for j in range(TILE):
            value = value + dy[j]
        add_to(db + c, value, lanes)
    for i in range(first, last):
        for s in range(taps):
            acc[s] = VZERO
        multiply_row(taps, step, left, right, True, acc, dy, x_q + i*x_row, iw, k.w.size, k.C, lanes)
        for s in range(taps):
            add_to(dw + (i*taps + s)*k.C, acc[s], lanes)


cdef inline Py_ssize_t product_full(
    int taps, int step, int left, int right, const Weights* k, const real* x_q, const real* dy_qp, Py_ssize_t iw,
    real* dw, real* db, Py_ssize_t first, Py_ssize_t last,
) noexcept nogil:
    """All the whole vectors of channels from `lead` on; returns the channel behind them."""
    cdef Py_ssize_t c = k.lead
    while c + VL <= k.C:
        product_vector(taps, step, left, right, k, x_q, dy_qp, iw, dw, db, c, first, last, VL)
        c += VL
    return c


cdef inline void product_tile(
    int taps, int step, const Weights* k, const real* x_n, const real* dy_q, Py_ssize_t q, Py_ssize_t p, real* dw
) noexcept nogil:
    """dw, db += what outputs p .. p + TILE - 1 of row q give."""
    cdef Py_ssize_t c = k.lead, first, last, iw = k.w.base + p*step
    cdef Py_ssize_t left = max(0, -iw), right = max(0, iw + (TILE - 1)*step + taps - k.w.size)
    cdef const real* x_q = x_n + ((k.h.base + q*k.h.step)*k.w.size + iw)*k.C
    cdef const real* dy_qp = dy_q + p*k.C
    cdef real* db = dw + k.h.taps*taps*k.C
    first, last = rows_inside(&k.h, q)
    if left == 0 and right == 0:
        c = product_full(taps, step, 0, 0, k, x_q, dy_qp, iw, dw, db, first, last)
    elif left == taps//2 and right == 0:
        c = product_full(taps, step, taps//2, 0, k, x_q, dy_qp, iw, dw, db, first, last)
    elif left == 0 and right == taps//2:
        c = product_full(taps, step, 0, taps//2, k, x_q, dy_qp, iw, dw, db, first, last)
    elif left == taps//2 and right == taps//2:
        c = product_full(taps, step, taps//2, taps//2, k, x_q, dy_qp, iw, dw, db, first, last)
    while c < k.C:
        product_vector(taps, step, ANYWHERE, 0, k, x_q, dy_qp, iw, dw, db, c, first, last, min(VL, k.C - c))
        c += VL
    if k.lead:
        product_vector(taps, step, ANYWHERE, 0, k, x_q, dy_qp, iw, dw, db, 0, first, last, k.lead)


cdef inline void any_products(
    const Weights* k, const real* x_q, const real* dy_qp, Py_ssize_t iw, Py_ssize_t width, real* dw, real* db,
    Py_ssize_t c, Py_ssize_t first, Py_ssize_t last, Py_ssize_t lanes,
) noexcept nogil:
    """dw, db += what `width` outputs give to channels c .. c + lanes - 1, for any window."""
    cdef vec dy[TILE]
    cdef vec sum = VZERO
    cdef Py_ssize_t r, s
    cdef int j
    for j in range(TILE):
        dy[j] = VZERO
        if j < width:
            dy[j] = load_upto(dy_qp + j*k.C + c, lanes)
        sum = sum + dy[j]
    if k.biased:
        add_to(db + c, sum, lanes)
    for r in range(first, last):
        for s in range(k.w.taps):
            sum = VZERO
            multiply_tap(
                True, &sum, dy, x_q + (r*k.h.slope*k.w.size + s*k.w.slope)*k.C + c, iw + s*k.w.slope, k.w.step,
                k.w.size, width, k.C, lanes,
            )
            add_to(dw + (r*k.w.taps + s)*k.C + c, sum, lanes)


cdef inline void products_any(
    const Weights* k, const real* x_n, const real* dy_q, Py_ssize_t q, Py_ssize_t p, real* dw
) noexcept nogil:
    """dw, db += what outputs p .. p + TILE - 1 of row q give, as far as they are there, for any window."""
    cdef Py_ssize_t iw = k.w.base + p*k.w.step, width = min(TILE, k.w.count - p), c = 0, first, last
    cdef const real* x_q = x_n + ((k.h.base + q*k.h.step)*k.w.size + iw)*k.C
    cdef const real* dy_qp = dy_q + p*k.C
    cdef real* db = dw + k.h.taps*k.w.taps*k.C
    first, last = rows_inside(&k.h, q)
    while c + VL <= k.C:
        any_products(k, x_q, dy_qp, iw, width, dw, db, c, first, last, VL)
        c += VL
    if c < k.C:
        any_products(k, x_q, dy_qp, iw, width, dw, db, c, first, last, k.C - c)


cdef inline void tile_products(
    const Weights* k, const real* x_n, const real* dy_n, Py_ssize_t q, Py_ssize_t p, real* dw
) noexcept nogil:
    """dw, db += what outputs p .. p + TILE - 1 of row q give, as far as they are there; none may be added twice."""
    cdef int kind = window_kind(&k.w) if p + TILE <= k.w.count else 0
    cdef const real* dy_q = dy_n + q*k.w.count*k.C
    if kind == 31:
        product_tile(3, 1, k, x_n, dy_q, q, p, dw)
    elif kind == 32:
        product_tile(3, 2, k, x_n, dy_q, q, p, dw)
    elif kind == 51:
        product_tile(5, 1, k, x_n, dy_q, q, p, dw)
    elif kind == 52:
        product_tile(5, 2, k, x_n, dy_q, q, p, dw)
    elif kind == 71:
        product_tile(7, 1, k, x_n, dy_q, q, p, dw)
    else:
        products_any(k, x_n, dy_q, q, p, dw)


cdef inline void meet_strip(
    int step, int height, const Strip* s, const Weights* k, const real* x_n, const real* dy_n, Py_ssize_t q,
    Py_ssize_t p, vec* window, real* extra, Py_ssize_t c, Py_ssize_t lanes,
) noexcept nogil:
    strip(
        WEIGHTS, step, height, s, window, extra,
        x_n + ((k.h.base + q*k.h.step)*k.w.size + k.w.base + p*k.w.step)*k.C + c,
        <real*>dy_n + (q*k.w.count + p)*k.C + c, k.w.base + p*k.w.step, min(SPAN, k.w.count - p), sees(&k.h, q, 0),
        sees(&k.h, q + height - 1, SIDE - 1), lanes,
    )


cdef inline void add_strips(
    int step, const Strip* s, const Weights* k, const real* x_n, const real* dy_n, Py_ssize_t q, Py_ssize_t end,
    Py_ssize_t p, real* dw, Py_ssize_t c, Py_ssize_t lanes,
) noexcept nogil:
    """dw, db += what rows q .. end - 1, columns from p on, give to channels c .. c + lanes - 1."""
    cdef vec window[SIDE*SIDE]
    cdef real extra[VL]
    cdef int i, height
    for i in range(SIDE*SIDE):
        window[i] = VZERO
    VSTORE(extra, VZERO)
    while q < end:
        height = tallest(end - q)
        if height == TALLEST:
            meet_strip(step, TALLEST, s, k, x_n, dy_n, q, p, window, extra, c, lanes)
        elif TALLEST > 2 and height == 2:
            meet_strip(step, 2, s, k, x_n, dy_n, q, p, window, extra, c, lanes)
        else:
            meet_strip(step, 1, s, k, x_n, dy_n, q, p, window, extra, c, lanes)
        q += height
    for i in range(SIDE*SIDE):
        add_to(dw + i*k.C + c, window[i], lanes)
    if k.biased:
        add_to(dw + SIDE*SIDE*k.C + c, VLOAD(extra), lanes)


cdef inline void product_strips(
    int step, const Strip* s, const Weights* k, const real* x_n, const real* dy_n, Py_ssize_t q, Py_ssize_t end,
    Py_ssize_t p, real* dw,
) noexcept nogil:
    """All channels."""
    cdef Py_ssize_t c = k.lead, rest = whole_end(k.C, k.lead)
    while c < rest:
        add_strips(step, s, k, x_n, dy_n, q, end, p, dw, c, VL)
        c += VL
    c = 0 if k.lead else rest
    while c < k.C:
        add_strips(step, s, k, x_n, dy_n, q, end, p, dw, c, k.lead if c < k.lead else k.C - c)
        c = rest if c < k.lead else k.C


cdef inline void strip_products(
    const Weights* k, const real* x_n, const real* dy_n, Py_ssize_t q, Py_ssize_t end, Py_ssize_t p, real* dw
) noexcept nogil:
    """dw, db += what outputs p .. p + SPAN - 1 of rows q .. end - 1 give, as far as they are there, of windows that
    fit strips."""
    cdef Strip s = strip_of(&k.h, &k.w, k.C, k.w.count*k.C)
    s.biased, s.far = k.biased, k.far
    if STEEPEST == 1 or step_of(&k.h) == 1:
        product_strips(1, &s, k, x_n, dy_n, q, end, p, dw)
    else:
        product_strips(2, &s, k, x_n, dy_n, q, end, p, dw)
