# The weight gradient of a depthwise convolution: what a tile of outputs gives, added to sums in memory.

from cyconv.kernels.depthwise_tiles cimport ANYWHERE, TILE, WIDEST, taps_inside, window_kind
from cyconv.kernels.simd cimport HOLD, VL, VZERO, WILL_READ, load_upto, real, store_upto, vec
from cyconv.kernels.windows cimport Axis

cdef struct Weights:
    Axis h
    Axis w
    Py_ssize_t C


cdef inline void add_to(real* total, vec value, Py_ssize_t lanes) noexcept nogil:
    store_upto(total, load_upto(total, lanes) + value, lanes)


cdef inline void product_vectors(
    int taps, int step, int left, int right, bint full, const Weights* k, const real* x_q, const real* dy_qp,
    Py_ssize_t iw, real* dw_q, real* db, Py_ssize_t c, Py_ssize_t rows,
) noexcept nogil:
    """dw, db += what a tile gives to channels c .. c + VL - 1; its dy stay in registers for all window rows."""
    cdef vec acc[WIDEST]
    cdef vec dy[TILE]
    cdef vec value = VZERO
    cdef const real* x_r = x_q + c
    cdef real* dw_r = dw_q + c
    cdef Py_ssize_t _, lanes = VL if full else k.C - c
    cdef int j, s, column
    for column in range(TILE*step):
        WILL_READ(x_r + (((rows - 1)*k.h.slope + k.h.step)*k.w.size + column)*k.C)
    for j in range(TILE):
        dy[j] = load_upto(dy_qp + j*k.C + c, lanes)
        value = value + dy[j]
    add_to(db + c, value, lanes)
    for _ in range(rows):
        for s in range(taps):
            acc[s] = VZERO
        for column in range((TILE - 1)*step + taps):
            if left == ANYWHERE:
                if not 0 <= iw + column < k.w.size:
                    continue
            elif column < left or column >= (TILE - 1)*step + taps - right:
                continue
            value = load_upto(x_r + column*k.C, lanes)
            HOLD(value)
            for s in range(taps):
                if s <= column < s + TILE*step and (column - s) % step == 0:
                    acc[s] = acc[s] + value*dy[(column - s)//step]
        for s in range(taps):
            add_to(dw_r + s*k.C, acc[s], lanes)
        x_r += k.h.slope*k.w.size*k.C
        dw_r += taps*k.C


cdef inline Py_ssize_t product_full(
    int taps, int step, int left, int right, const Weights* k, const real* x_q, const real* dy_qp, Py_ssize_t iw,
    real* dw_q, real* db, Py_ssize_t rows,
) noexcept nogil:
    """All the whole vectors of channels; returns the channel behind them."""
    cdef Py_ssize_t c = 0
    while c + VL <= k.C:
        product_vectors(taps, step, left, right, True, k, x_q, dy_qp, iw, dw_q, db, c, rows)
        c += VL
    return c


cdef inline void product_tile(
    int taps, int step, const Weights* k, const real* x_n, const real* dy_q, Py_ssize_t q, Py_ssize_t p, real* dw
) noexcept nogil:
    """dw, db += what outputs p .. p + TILE - 1 of row q give, as `output_tile` computes them."""
    cdef Py_ssize_t c = 0, first, last, iw = k.w.base + p*step
    cdef Py_ssize_t left = max(0, -iw), right = max(0, iw + (TILE - 1)*step + taps - k.w.size)
    cdef const real* x_q
    cdef const real* dy_qp = dy_q + p*k.C
    cdef real* dw_q
    cdef real* db = dw + k.h.taps*taps*k.C
    first, last = taps_inside(&k.h, q)
    x_q = x_n + ((k.h.base + q*k.h.step + first*k.h.slope)*k.w.size + iw)*k.C
    dw_q = dw + first*taps*k.C
    if left == 0 and right == 0:
        c = product_full(taps, step, 0, 0, k, x_q, dy_qp, iw, dw_q, db, last - first)
    elif left == taps//2 and right == 0:
        c = product_full(taps, step, taps//2, 0, k, x_q, dy_qp, iw, dw_q, db, last - first)
    elif left == 0 and right == taps//2:
        c = product_full(taps, step, 0, taps//2, k, x_q, dy_qp, iw, dw_q, db, last - first)
    elif left == taps//2 and right == taps//2:
        c = product_full(taps, step, taps//2, taps//2, k, x_q, dy_qp, iw, dw_q, db, last - first)
    while c < k.C:
        product_vectors(taps, step, ANYWHERE, 0, False, k, x_q, dy_qp, iw, dw_q, db, c, last - first)
        c += VL


cdef inline void product_one(
    const Weights* k, const real* x_n, const real* dy_q, Py_ssize_t q, Py_ssize_t p, real* dw
) noexcept nogil:
    """dw, db += what output p of row q gives."""
    cdef Py_ssize_t r, s, ih, iw, c = 0, lanes, first, last
    cdef vec dy
    first, last = taps_inside(&k.h, q)
    while c < k.C:
        lanes = k.C - c
        dy = load_upto(dy_q + p*k.C + c, lanes)
        add_to(dw + k.h.taps*k.w.taps*k.C + c, dy, lanes)
        for r in range(first, last):
            ih = k.h.base + q*k.h.step + r*k.h.slope
            for s in range(k.w.taps):
                iw = k.w.base + p*k.w.step + s*k.w.slope
                if 0 <= iw < k.w.size:
                    add_to(
                        dw + (r*k.w.taps + s)*k.C + c, dy*load_upto(x_n + (ih*k.w.size + iw)*k.C + c, lanes), lanes
                    )
        c += VL


cdef inline void products_of_row(
    const Weights* k, const real* x_n, const real* dy_q, Py_ssize_t q, Py_ssize_t p, real* dw
) noexcept nogil:
    """dw, db += what outputs p .. p + TILE - 1 of row q give, as far as they are there; none may be added twice."""
    cdef int kind = window_kind(&k.w) if p + TILE <= k.w.count else 0
    cdef Py_ssize_t i
    if kind == 31:
        product_tile(3, 1, k, x_n, dy_q, q, p, dw)
    elif kind == 32:
        product_tile(3, 2, k, x_n, dy_q, q, p, dw)
    elif kind == 51:
        product_tile(5, 1, k, x_n, dy_q, q, p, dw)
    elif kind == 52:
        product_tile(5, 2, k, x_n, dy_q, q, p, dw)
    else:
        for i in range(p, min(p + TILE, k.w.count)):
            product_one(k, x_n, dy_q, q, i, dw)
