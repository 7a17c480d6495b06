"""Depthwise convolution: every channel has its own filter and sees nothing else.

    y[n, i, j, c]  = act(b[c] + sum_{r, s} x[n, row(i, r), col(j, s), c] * w[r, s, c])
    dw[r, s, c]    = sum_{n, i, j} x[n, row(i, r), col(j, s), c] * dy[n, i, j, c]

Channels are the vector axis, and there is nothing to reduce over but the window: the work is bound by loads.  So
neighbouring outputs of a row are computed together, and a source vector is loaded once for all of them that use it:
(TILE - 1)*stride + S loads for TILE*S multiply-adds.  The input gradient is the same loop over gradient axes
(windows.pxd).

Loop order: output row, tile of outputs, vector of channels, window row.  Tasks: forward, output rows; weight gradient,
SPLITS ranges of output rows, as many whatever the threads, added up in order: the same bits for any number of threads.
"""

from cython.parallel cimport prange
from libc.stdlib cimport free
from libc.string cimport memset

from cyconv.kernels.scratch cimport align, allocate, lines
from cyconv.kernels.simd cimport (
    VGREATER, VL, VSELECT, VZERO, describe_build, load_upto, real, store_upto, vec,
)
from cyconv.kernels.windows cimport Axis, forward_axis, gradient_axis

cdef enum:
    TILE = 7            # outputs of a row computed together; with 5 taps and a source vector they fit 16 registers
    WIDEST = 5          # taps of a row that are held in registers
    SPLITS = 16
    NEAR = 64

cdef struct Depthwise:
    const real* x       # source (N, h.size, w.size, C)
    const real* w       # (R, S, C)
    real* y             # target (N, H, W, C)
    const real* bias    # C values, or NULL
    bint relu
    Axis* rows          # one for each phase of the target's rows, in their order
    Axis* columns
    Py_ssize_t phases_h
    Py_ssize_t phases_w
    Axis h              # those of the row and the columns at hand
    Axis w_axis
    Py_ssize_t N
    Py_ssize_t C
    Py_ssize_t S
    Py_ssize_t H
    Py_ssize_t W


def describe():
    """What this module was compiled for."""
    return describe_build()


cdef inline vec finish(vec value, const Depthwise* k, Py_ssize_t c, Py_ssize_t lanes) noexcept nogil:
    if k.bias != NULL:
        value = value + load_upto(k.bias + c, lanes)
    return VSELECT(VGREATER(VZERO, value), VZERO, value) if k.relu else value


cdef inline void output_vectors(
    int taps, int step, bint inside, bint full, const Depthwise* k, const real* x_n, Py_ssize_t q, Py_ssize_t p,
    real* y_q, Py_ssize_t c,
) noexcept nogil:
    """Channels c .. c + VL - 1 of a tile, all of them there (`full`) or as many as are left."""
    cdef vec acc[TILE]
    cdef vec w[WIDEST]
    cdef vec value
    cdef const real* x_r
    cdef const real* w_r
    cdef Py_ssize_t r, ih, iw = k.w_axis.base + p*step, lanes = VL if full else k.C - c
    cdef int j, s, column
    for j in range(TILE):
        acc[j] = VZERO
    for r in range(k.h.taps):
        ih = k.h.base + q*k.h.step + r*k.h.slope
        if ih < 0 or ih >= k.h.size:
            continue
        x_r = x_n + (ih*k.w_axis.size + iw)*k.C + c
        w_r = k.w + ((k.h.tap + r*k.h.tap_step)*k.S + k.w_axis.tap)*k.C + c
        for s in range(taps):
            w[s] = load_upto(w_r + s*k.w_axis.tap_step*k.C, lanes)
        for column in range((TILE - 1)*step + taps):
            if inside or 0 <= iw + column < k.w_axis.size:
                value = load_upto(x_r + column*k.C, lanes)
                for s in range(taps):
                    if s <= column < s + TILE*step and (column - s) % step == 0:
                        acc[(column - s)//step] = acc[(column - s)//step] + value*w[s]
    for j in range(TILE):
        store_upto(y_q + (p + j)*k.w_axis.out_step*k.C + c, finish(acc[j], k, c, lanes), lanes)


cdef inline void output_tile(
    int taps, int step, bint inside, const Depthwise* k, const real* x_n, Py_ssize_t q, Py_ssize_t p, real* y_q
) noexcept nogil:
    """Outputs p .. p + TILE - 1 of row q; their windows are `taps` neighbouring columns, all `inside` or not."""
    cdef Py_ssize_t c = 0
    while c + VL <= k.C:
        output_vectors(taps, step, inside, True, k, x_n, q, p, y_q, c)
        c += VL
    if c < k.C:
        output_vectors(taps, step, inside, False, k, x_n, q, p, y_q, c)


cdef inline void output_one(const Depthwise* k, const real* x_n, Py_ssize_t q, Py_ssize_t p, real* y_q) noexcept nogil:
    """Output p of row q, for any window, wherever it lies."""
    cdef vec acc
    cdef Py_ssize_t r, s, ih, iw, c = 0, lanes
    while c < k.C:
        lanes = k.C - c
        acc = VZERO
        for r in range(k.h.taps):
            ih = k.h.base + q*k.h.step + r*k.h.slope
            if ih < 0 or ih >= k.h.size:
                continue
            for s in range(k.w_axis.taps):
                iw = k.w_axis.base + p*k.w_axis.step + s*k.w_axis.slope
                if 0 <= iw < k.w_axis.size:
                    acc = acc + load_upto(x_n + (ih*k.w_axis.size + iw)*k.C + c, lanes)*load_upto(
                        k.w + ((k.h.tap + r*k.h.tap_step)*k.S + k.w_axis.tap + s*k.w_axis.tap_step)*k.C + c, lanes
                    )
        store_upto(y_q + p*k.w_axis.out_step*k.C + c, finish(acc, k, c, lanes), lanes)
        c += VL


cdef inline void any_tile(
    int kind, bint inside, const Depthwise* k, const real* x_n, Py_ssize_t q, Py_ssize_t p, real* y_q
) noexcept nogil:
    if kind == 31:
        output_tile(3, 1, inside, k, x_n, q, p, y_q)
    elif kind == 32:
        output_tile(3, 2, inside, k, x_n, q, p, y_q)
    elif kind == 51:
        output_tile(5, 1, inside, k, x_n, q, p, y_q)
    elif kind == 52:
        output_tile(5, 2, inside, k, x_n, q, p, y_q)
    elif kind == 21:
        output_tile(2, 1, inside, k, x_n, q, p, y_q)
    else:
        output_tile(1, 1, inside, k, x_n, q, p, y_q)


cdef inline int window_kind(const Axis* a) noexcept nogil:
    """10*taps + step of the windows that tiles are compiled for, else 0; the gradient of stride 2 has 2 and 1 taps."""
    if a.count < TILE:
        return 0
    if a.slope == 1 and a.step <= 2 and (a.taps == 3 or a.taps == 5):
        return <int>(10*a.taps + a.step)
    if a.step == 1 and (a.taps == 1 or (a.taps == 2 and a.slope == 1)):
        return <int>(10*a.taps + 1)
    return 0


cdef inline bint is_inside(const Axis* a, Py_ssize_t p) noexcept nogil:
    """Whether the windows of the tile at p end inside the source on both sides."""
    cdef Py_ssize_t left = a.base + p*a.step
    return left >= 0 and left + (TILE - 1)*a.step + a.taps <= a.size


cdef void output_row(const Depthwise* problem, Py_ssize_t row) noexcept nogil:
    """Row `row` of the target rows of all images; the last tile may compute again what the one before it did."""
    cdef Depthwise k = problem[0]
    cdef Py_ssize_t n = row // k.H, h = row % k.H, q = h // k.phases_h, p, start, phase
    cdef const real* x_n
    cdef real* y_q
    cdef int kind
    k.h = k.rows[h % k.phases_h]
    for phase in range(min(k.phases_w, k.W)):
        k.w_axis = k.columns[phase]
        kind = window_kind(&k.w_axis)
        x_n = k.x + n*k.h.size*k.w_axis.size*k.C
        y_q = k.y + (row*k.W + k.w_axis.out)*k.C
        p = 0
        while p < k.w_axis.count:
            if kind:
                start = min(p, k.w_axis.count - TILE)
                if is_inside(&k.w_axis, start):
                    any_tile(kind, True, &k, x_n, q, start, y_q)
                else:
                    any_tile(kind, False, &k, x_n, q, start, y_q)
                p = start + TILE
            else:
                output_one(&k, x_n, q, p, y_q)
                p += 1


cdef void run(const Depthwise* k, int threads) noexcept:
    cdef Py_ssize_t row
    if threads == 1:
        with nogil:
            for row in range(k.N*k.H):
                output_row(k, row)
    else:
        for row in prange(k.N*k.H, nogil=True, num_threads=threads, schedule="static"):
            output_row(k, row)


def forward(
    const real[:, :, :, ::1] x not None, const real[:, :, :, ::1] w not None, const real[::1] b,
    real[:, :, :, ::1] y not None, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t pad_h, Py_ssize_t pad_w,
    Py_ssize_t dilation_h, Py_ssize_t dilation_w, Py_ssize_t groups, bint relu, int threads,
):
    """x (N, H, W, C), w (R, S, 1, C), b (C,) or None, y (N, OH, OW, C); nothing is empty, groups is C."""
    cdef Depthwise k
    cdef Axis rows = forward_axis(x.shape[1], y.shape[1], w.shape[0], stride_h, pad_h, dilation_h)
    cdef Axis columns = forward_axis(x.shape[2], y.shape[2], w.shape[1], stride_w, pad_w, dilation_w)
    k.x, k.w, k.y, k.bias = &x[0, 0, 0, 0], &w[0, 0, 0, 0], &y[0, 0, 0, 0], NULL if b is None else &b[0]
    k.relu, k.N, k.C, k.S, k.H, k.W = relu, x.shape[0], groups, w.shape[1], y.shape[1], y.shape[2]
    k.rows, k.columns, k.phases_h, k.phases_w = &rows, &columns, 1, 1
    run(&k, threads)


def input_grad(
    const real[:, :, :, ::1] dy not None, const real[:, :, :, ::1] w not None, const real[::1] b,
    real[:, :, :, ::1] dx not None, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t pad_h, Py_ssize_t pad_w,
    Py_ssize_t dilation_h, Py_ssize_t dilation_w, Py_ssize_t groups, bint relu, int threads,
):
    """dy (N, OH, OW, C), w (R, S, 1, C), b (C,) or None, dx (N, H, W, C); nothing is empty, groups is C."""
    cdef Depthwise k
    cdef Py_ssize_t a
    k.x, k.w, k.y, k.bias = &dy[0, 0, 0, 0], &w[0, 0, 0, 0], &dx[0, 0, 0, 0], NULL if b is None else &b[0]
    k.relu, k.N, k.C, k.S, k.H, k.W = relu, dy.shape[0], groups, w.shape[1], dx.shape[1], dx.shape[2]
    k.phases_h, k.phases_w = stride_h, stride_w
    k.rows = <Axis*>allocate((min(stride_h, k.H) + min(stride_w, k.W))*sizeof(Axis))
    k.columns = k.rows + min(stride_h, k.H)
    for a in range(min(stride_h, k.H)):
        k.rows[a] = gradient_axis(dy.shape[1], k.H, w.shape[0], stride_h, pad_h, dilation_h, (a + pad_h) % stride_h)
    for a in range(min(stride_w, k.W)):
        k.columns[a] = gradient_axis(dy.shape[2], k.W, w.shape[1], stride_w, pad_w, dilation_w, (a + pad_w) % stride_w)
    run(&k, threads)
    free(k.rows)


cdef struct Weights:
    const real* x       # (N, h.size, w.size, C)
    const real* dy      # (N, h.count, w.count, C)
    real* partial       # [split][far, near][R*S + 1][C]: dw and, behind it, db
    Axis h
    Axis w
    Py_ssize_t N
    Py_ssize_t C
    Py_ssize_t splits


cdef inline void add_to(real* total, vec value, Py_ssize_t lanes) noexcept nogil:
    store_upto(total, load_upto(total, lanes) + value, lanes)


cdef inline void product_vectors(
    int taps, int step, bint inside, bint full, const Weights* k, const real* x_n, const real* dy_p, Py_ssize_t q,
    Py_ssize_t p, real* dw, Py_ssize_t c,
) noexcept nogil:
    """dw, db += what TILE outputs give to channels c .. c + VL - 1; their dy stay in registers for all window rows."""
    cdef vec acc[WIDEST]
    cdef vec dy[TILE]
    cdef vec value = VZERO
    cdef const real* x_r
    cdef Py_ssize_t r, ih, iw = k.w.base + p*step, lanes = VL if full else k.C - c
    cdef int j, s, column
    for j in range(TILE):
        dy[j] = load_upto(dy_p + j*k.C + c, lanes)
        value = value + dy[j]
    add_to(dw + k.h.taps*taps*k.C + c, value, lanes)
    for r in range(k.h.taps):
        ih = k.h.base + q*k.h.step + r*k.h.slope
        if ih < 0 or ih >= k.h.size:
            continue
        x_r = x_n + (ih*k.w.size + iw)*k.C + c
        for s in range(taps):
            acc[s] = VZERO
        for column in range((TILE - 1)*step + taps):
            if inside or 0 <= iw + column < k.w.size:
                value = load_upto(x_r + column*k.C, lanes)
                for s in range(taps):
                    if s <= column < s + TILE*step and (column - s) % step == 0:
                        acc[s] = acc[s] + value*dy[(column - s)//step]
        for s in range(taps):
            add_to(dw + (r*taps + s)*k.C + c, acc[s], lanes)


cdef inline void product_tile(
    int taps, int step, bint inside, const Weights* k, const real* x_n, const real* dy_p, Py_ssize_t q, Py_ssize_t p,
    real* dw,
) noexcept nogil:
    cdef Py_ssize_t c = 0
    while c + VL <= k.C:
        product_vectors(taps, step, inside, True, k, x_n, dy_p, q, p, dw, c)
        c += VL
    if c < k.C:
        product_vectors(taps, step, inside, False, k, x_n, dy_p, q, p, dw, c)


cdef inline void product_one(
    const Weights* k, const real* x_n, const real* dy_p, Py_ssize_t q, Py_ssize_t p, real* dw
) noexcept nogil:
    """dw, db += what output p of row q gives."""
    cdef Py_ssize_t r, s, ih, iw, c = 0, lanes
    cdef vec dy
    while c < k.C:
        lanes = k.C - c
        dy = load_upto(dy_p + c, lanes)
        add_to(dw + k.h.taps*k.w.taps*k.C + c, dy, lanes)
        for r in range(k.h.taps):
            ih = k.h.base + q*k.h.step + r*k.h.slope
            if ih < 0 or ih >= k.h.size:
                continue
            for s in range(k.w.taps):
                iw = k.w.base + p*k.w.step + s*k.w.slope
                if 0 <= iw < k.w.size:
                    add_to(
                        dw + (r*k.w.taps + s)*k.C + c, dy*load_upto(x_n + (ih*k.w.size + iw)*k.C + c, lanes), lanes
                    )
        c += VL


cdef inline void any_product(
    int kind, bint inside, const Weights* k, const real* x_n, const real* dy_p, Py_ssize_t q, Py_ssize_t p, real* dw
) noexcept nogil:
    if kind == 31:
        product_tile(3, 1, inside, k, x_n, dy_p, q, p, dw)
    elif kind == 32:
        product_tile(3, 2, inside, k, x_n, dy_p, q, p, dw)
    elif kind == 51:
        product_tile(5, 1, inside, k, x_n, dy_p, q, p, dw)
    else:
        product_tile(5, 2, inside, k, x_n, dy_p, q, p, dw)


cdef void empty_into(real* near, real* far, Py_ssize_t size) noexcept nogil:
    """far += near, near = 0."""
    cdef Py_ssize_t i
    for i in range(size):
        far[i] = far[i] + near[i]
        near[i] = 0


cdef void weight_task(const Weights* k, Py_ssize_t split) noexcept nogil:
    """One split of the output rows of all images; sums of NEAR tiles are kept apart, so that no chain gets long."""
    cdef Py_ssize_t rows = k.N*k.h.count, size = (k.h.taps*k.w.taps + 1)*k.C, row, q, p, tiles = 0
    cdef real* total = k.partial + 2*split*size
    cdef real* dw = total + size
    cdef const real* x_n
    cdef const real* dy_p
    cdef int kind = window_kind(&k.w)
    memset(total, 0, 2*size*sizeof(real))
    for row in range(split*rows // k.splits, (split + 1)*rows // k.splits):
        x_n = k.x + row // k.h.count*k.h.size*k.w.size*k.C
        q = row % k.h.count
        p = 0
        while p < k.w.count:
            dy_p = k.dy + (row*k.w.count + p)*k.C
            if kind >= 30 and p + TILE <= k.w.count:
                if is_inside(&k.w, p):
                    any_product(kind, True, k, x_n, dy_p, q, p, dw)
                else:
                    any_product(kind, False, k, x_n, dy_p, q, p, dw)
                p += TILE
            else:
                product_one(k, x_n, dy_p, q, p, dw)
                p += 1
            tiles += 1
            if tiles % NEAR == 0:
                empty_into(dw, total, size)
    empty_into(dw, total, size)


def weight_grad(
    const real[:, :, :, ::1] dy not None, const real[:, :, :, ::1] x not None, real[:, :, :, ::1] dw not None,
    double[::1] db, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t pad_h, Py_ssize_t pad_w,
    Py_ssize_t dilation_h, Py_ssize_t dilation_w, Py_ssize_t groups, int threads,
):
    """dy (N, OH, OW, C), x (N, H, W, C), dw (R, S, 1, C), db (C,) float64 or None; nothing is empty, groups is C."""
    cdef Weights k
    cdef Py_ssize_t split, part, i, size
    cdef double total
    cdef real* flat = &dw[0, 0, 0, 0]
    cdef void* block
    k.x, k.dy, k.N, k.C = &x[0, 0, 0, 0], &dy[0, 0, 0, 0], x.shape[0], groups
    k.h = forward_axis(x.shape[1], dy.shape[1], dw.shape[0], stride_h, pad_h, dilation_h)
    k.w = forward_axis(x.shape[2], dy.shape[2], dw.shape[1], stride_w, pad_w, dilation_w)
    k.splits = min(SPLITS, k.N*k.h.count)
    size = k.h.taps*k.w.taps*k.C
    block = allocate(lines(2*k.splits*(size + k.C), sizeof(real)))
    k.partial = <real*>align(block)
    if threads == 1:
        with nogil:
            for split in range(k.splits):
                weight_task(&k, split)
    else:
        for split in prange(k.splits, nogil=True, num_threads=threads, schedule="dynamic", chunksize=1):
            weight_task(&k, split)
    with nogil:
        for i in range(size + k.C):
            total = 0
            for part in range(k.splits):
                total = total + k.partial[2*part*(size + k.C) + i]
            if i < size:
                flat[i] = <real>total
            elif db is not None:
                db[i - size] = total
    free(block)
