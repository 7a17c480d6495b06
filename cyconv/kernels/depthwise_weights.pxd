# The weight gradient of a depthwise convolution: what a tile of outputs gives, added to sums in memory.

from cyconv.kernels.depthwise_rows cimport ANYWHERE, TILE, WIDEST, multiply_row, multiply_tap, rows_inside
from cyconv.kernels.depthwise_tiles cimport HEIGHT, rows_of_tile, window_kind
from cyconv.kernels.fetch cimport fetch_pixels
from cyconv.kernels.simd cimport VL, VZERO, load_upto, real, store_upto, vec
from cyconv.kernels.windows cimport Axis

cdef enum:
    TALL = 3            # taps of a column where two rows of outputs are taken together

cdef struct Weights:
    Axis h
    Axis w
    Py_ssize_t C
    Py_ssize_t lead     # see `lead_of`
    bint far            # see `fetch_pixels`
    bint biased         # db is asked for


cdef inline void add_to(real* total, vec value, Py_ssize_t lanes) noexcept nogil:
    store_upto(total, load_upto(total, lanes) + value, lanes)


cdef inline void add_each_row(
    int taps, int step, int left, int right, const Weights* k, const real* x_q, const vec* dy, real* dw, Py_ssize_t iw,
    Py_ssize_t first, Py_ssize_t last, Py_ssize_t lanes,
) noexcept nogil:
    """dw += what one row of dy meets in rows first .. last - 1 of the source: window row after window row."""
    cdef vec acc[WIDEST]
    cdef Py_ssize_t i
    cdef int s
    for i in range(first, last):
        for s in range(taps):
            acc[s] = VZERO
        multiply_row(
            taps, step, left, right, True, False, True, acc, NULL, dy, NULL, x_q + i*k.h.slope*k.w.size*k.C, iw,
            k.w.size, k.C, lanes,
        )
        for s in range(taps):
            add_to(dw + (i*taps + s)*k.C, acc[s], lanes)


cdef inline void add_window(
    int taps, int step, int left, int right, const Weights* k, const real* x_q, const vec* dy, real* dw, Py_ssize_t iw,
    Py_ssize_t first, Py_ssize_t last, Py_ssize_t lanes,
) noexcept nogil:
    """The same for two rows of dy, with the sums of the whole window in registers; rows count from the upper one's."""
    cdef vec acc[TALL*TALL]
    cdef int i, s
    for s in range(TALL*taps):
        acc[s] = VZERO
    for i in range(TALL + step):
        if first <= i < last:
            if i < step:
                multiply_row(
                    taps, step, left, right, True, False, True, acc + i*taps, NULL, dy, NULL, x_q, iw, k.w.size, k.C,
                    lanes,
                )
            elif i < TALL:
                multiply_row(
                    taps, step, left, right, True, True, True, acc + i*taps, acc + (i - step)*taps, dy, dy + TILE, x_q,
                    iw, k.w.size, k.C, lanes,
                )
            else:
                multiply_row(
                    taps, step, left, right, False, True, True, NULL, acc + (i - step)*taps, NULL, dy + TILE, x_q, iw,
                    k.w.size, k.C, lanes,
                )
        x_q += k.w.size*k.C
    for s in range(TALL*taps):
        add_to(dw + s*k.C, acc[s], lanes)


cdef inline void product_vectors(
    int taps, int step, int height, int left, int right, const Weights* k, const real* x_q, const real* dy_qp,
    Py_ssize_t iw, real* dw, real* db, Py_ssize_t c, Py_ssize_t first, Py_ssize_t last, Py_ssize_t lanes,
) noexcept nogil:
    """dw, db += what a tile of one row or two gives to channels c .. c + lanes - 1; its dy stay in registers."""
    cdef vec dy[HEIGHT*TILE]
    cdef vec value = VZERO
    cdef Py_ssize_t i, x_row = k.h.slope*k.w.size*k.C, dy_row = k.w.count*k.C
    cdef int j
    x_q, dy_qp, dw = x_q + c, dy_qp + c, dw + c
    if k.far:
        fetch_pixels(x_q + last*x_row, height*k.h.step, x_row, TILE*step, k.C)
        fetch_pixels(dy_qp + height*dy_row, height, dy_row, TILE, k.C)
    for i in range(height):
        for j in range(TILE):
            dy[i*TILE + j] = load_upto(dy_qp + i*dy_row + j*k.C, lanes)
    if k.biased:
        for j in range(height*TILE):
            value = value + dy[j]
        add_to(db + c, value, lanes)
    if height == 1:
        add_each_row(taps, step, left, right, k, x_q, dy, dw, iw, first, last, lanes)
    else:
        add_window(taps, step, left, right, k, x_q, dy, dw, iw, first, last, lanes)


cdef inline Py_ssize_t product_full(
    int taps, int step, int height, int left, int right, const Weights* k, const real* x_q, const real* dy_qp,
    Py_ssize_t iw, real* dw, real* db, Py_ssize_t first, Py_ssize_t last,
) noexcept nogil:
    """All the whole vectors of channels from `lead` on; returns the channel behind them."""
    cdef Py_ssize_t c = k.lead
    while c + VL <= k.C:
        product_vectors(taps, step, height, left, right, k, x_q, dy_qp, iw, dw, db, c, first, last, VL)
        c += VL
    return c


cdef inline void product_tile(
    int taps, int step, int height, const Weights* k, const real* x_n, const real* dy_q, Py_ssize_t q, Py_ssize_t p,
    real* dw,
) noexcept nogil:
    """dw, db += what outputs p .. p + TILE - 1 of row q, and of the next if `height` is 2, give."""
    cdef Py_ssize_t c = k.lead, first, last, iw = k.w.base + p*step
    cdef Py_ssize_t left = max(0, -iw), right = max(0, iw + (TILE - 1)*step + taps - k.w.size)
    cdef const real* x_q = x_n + ((k.h.base + q*k.h.step)*k.w.size + iw)*k.C
    cdef const real* dy_qp = dy_q + p*k.C
    cdef real* db = dw + k.h.taps*taps*k.C
    first, last = rows_inside(&k.h, q, height)
    if left == 0 and right == 0:
        c = product_full(taps, step, height, 0, 0, k, x_q, dy_qp, iw, dw, db, first, last)
    elif left == taps//2 and right == 0:
        c = product_full(taps, step, height, taps//2, 0, k, x_q, dy_qp, iw, dw, db, first, last)
    elif left == 0 and right == taps//2:
        c = product_full(taps, step, height, 0, taps//2, k, x_q, dy_qp, iw, dw, db, first, last)
    elif left == taps//2 and right == taps//2:
        c = product_full(taps, step, height, taps//2, taps//2, k, x_q, dy_qp, iw, dw, db, first, last)
    while c < k.C:
        product_vectors(
            taps, step, height, ANYWHERE, 0, k, x_q, dy_qp, iw, dw, db, c, first, last, min(VL, k.C - c)
        )
        c += VL
    if k.lead:
        product_vectors(taps, step, height, ANYWHERE, 0, k, x_q, dy_qp, iw, dw, db, 0, first, last, k.lead)


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
    first, last = rows_inside(&k.h, q, 1)
    while c + VL <= k.C:
        any_products(k, x_q, dy_qp, iw, width, dw, db, c, first, last, VL)
        c += VL
    if c < k.C:
        any_products(k, x_q, dy_qp, iw, width, dw, db, c, first, last, k.C - c)


cdef inline Py_ssize_t rows_of_products(const Weights* k, Py_ssize_t left) noexcept nogil:
    """Rows that are taken together, of those that are left."""
    return rows_of_tile(&k.h, &k.w, left) if k.h.taps == TALL and k.h.step == k.w.step else 1


cdef inline void products_of_rows(
    const Weights* k, const real* x_n, const real* dy_n, Py_ssize_t q, Py_ssize_t p, Py_ssize_t rows, real* dw
) noexcept nogil:
    """dw, db += what outputs p .. p + TILE - 1 of as many rows from q on as `rows_of_products` says give, as far as
    they are there; none may be added twice."""
    cdef int kind = window_kind(&k.w) if p + TILE <= k.w.count else 0
    cdef const real* dy_q = dy_n + q*k.w.count*k.C
    cdef Py_ssize_t i
    if HEIGHT > 1 and rows > 1 and kind == 31:
        product_tile(3, 1, HEIGHT, k, x_n, dy_q, q, p, dw)
    elif HEIGHT > 1 and rows > 1 and kind == 32:
        product_tile(3, 2, HEIGHT, k, x_n, dy_q, q, p, dw)
    elif kind == 31:
        product_tile(3, 1, 1, k, x_n, dy_q, q, p, dw)
    elif kind == 32:
        product_tile(3, 2, 1, k, x_n, dy_q, q, p, dw)
    elif kind == 51:
        product_tile(5, 1, 1, k, x_n, dy_q, q, p, dw)
    elif kind == 52:
        product_tile(5, 2, 1, k, x_n, dy_q, q, p, dw)
    elif kind == 71:
        product_tile(7, 1, 1, k, x_n, dy_q, q, p, dw)
    else:
        for i in range(rows):
            products_any(k, x_n, dy_q + i*k.w.count*k.C, q + i, p, dw)
