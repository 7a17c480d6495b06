# The weight gradient of a convolution from few channels to few, on planes (planes.pxd).
#
#     dw[r, s, c, k] = sum_{n, q, p} plane[c, q + r*slope, p + s*slope] * dy[n, q, p, k]          of each group
#
# Pixels are the lanes here as well; dy is laid out [row][vector][k][VL], with zeros after the last pixel of a row.  A
# tile is up to MOST channels of dy by as many taps as registers are left for.  Loops in a task, some of the blocks of
# rows of a chunk: block, some rows of it, group, part of its channels, taps, row, vector.  Sums of lanes wait in a
# table; what the lanes hold is added up after the last block.  Blocks are shared out over splits as in outer.pxd: the
# same bits for any number of threads.

from libc.string cimport memset

from cyconv.kernels.planes cimport (
    Area, MOST, Planes, WIDEST, area_of, lay_out, part, part_start, parts_of, spread, wide,
)
from cyconv.kernels.scratch cimport lines, take
from cyconv.kernels.simd cimport HOLD, VL, VLOAD, VSTORE, load_lanes, lvec, real, vec
from cyconv.kernels.tasks cimport Call, stopped

cdef enum:
    NEAR = 4096             # numbers of dy: see `some_rows`

cdef struct PlaneWeights:
    Planes planes
    Py_ssize_t blocks       # of all images
    const real* dy
    Py_ssize_t splits       # each with a dw and a db of its own
    real* partial           # [split][r][s][c][k of all groups]
    double* partial_db      # [split][k of all groups], or NULL


cdef inline Py_ssize_t vectors_of(const Planes* k) noexcept nogil:
    """Of a row of dy in a block."""
    return (k.columns + VL - 1) // VL


cdef inline Py_ssize_t targets_of(const Planes* k) noexcept nogil:
    """Channels of dy in a chunk."""
    return k.groups*k.K


cdef inline Py_ssize_t sums_of(const Planes* k) noexcept nogil:
    """For each of them; spare ones because a tile takes so many taps."""
    return k.h.taps*k.w.taps*k.C + WIDEST


cdef inline Py_ssize_t weights_of(const Planes* k) noexcept nogil:
    return k.h.taps*k.w.taps*k.C*k.K*k.groups*k.chunks


cdef inline Py_ssize_t some_rows(const Planes* k) noexcept nogil:
    """Rows of dy that are laid out, and passed over by tile after tile of taps, while they are in the first cache."""
    return max(1, min(k.rows, NEAR // (min(k.K, MOST)*vectors_of(k)*VL)))


cdef inline size_t weight_bytes(const Planes* k) noexcept nogil:
    return (
        lines(k.groups*k.C*k.size, sizeof(real)) + lines(some_rows(k)*vectors_of(k)*targets_of(k)*VL, sizeof(real))
        + lines((sums_of(k) + 1)*targets_of(k)*VL, sizeof(real)) + lines(sums_of(k), sizeof(Py_ssize_t))
    )


cdef inline real sum_lanes(const real* sums) noexcept nogil:
    cdef real total = 0
    cdef int j
    for j in range(VL):
        total = total + sums[j]
    return total


cdef inline void lay_out_dy(
    const Planes* k, const real* dy_p, Py_ssize_t rows, Py_ssize_t columns, lvec order, real* laid, real* sums,
    double* db,
) noexcept nogil:
    """laid[row, vector, k, :] = dy of a chunk; db, unless it is NULL, += its sums, those of these rows in `sums`."""
    cdef Py_ssize_t K = targets_of(k), stride = K*k.chunks, vectors = (columns + VL - 1) // VL, _, i
    for _ in range(rows):
        part(dy_p, stride, K, columns, order, laid, VL, K*VL)
        dy_p += k.w.count*stride
        laid += vectors*K*VL
    if db != NULL:
        memset(sums, 0, K*VL*sizeof(real))
        for _ in range(rows*vectors):
            laid -= K*VL
            for i in range(K):
                VSTORE(sums + i*VL, VLOAD(sums + i*VL) + VLOAD(laid + i*VL))
        for i in range(K):
            db[i] += sum_lanes(sums + i*VL)


cdef inline void product_step(
    bint whole, int rows, const real* const* x, Py_ssize_t e, int lanes, const real* dy, vec* acc
) noexcept nogil:
    cdef vec value[WIDEST]
    cdef vec by
    cdef int i, j, columns = wide(rows)
    for j in range(columns):
        value[j] = VLOAD(x[j] + e) if whole else load_lanes(x[j] + e, lanes)
        HOLD(value[j])
    for i in range(rows):
        by = VLOAD(dy + i*VL)
        HOLD(by)
        for j in range(columns):
            acc[i*columns + j] = acc[i*columns + j] + value[j]*by


cdef inline void product_tile(
    int rows, const Planes* k, const real* planes, const Py_ssize_t* tap, Py_ssize_t height, Py_ssize_t width,
    const real* dy, real* sums,
) noexcept nogil:
    """sums[tap, channel, :] += products of `height` rows of `width` pixels."""
    cdef vec acc[WIDEST*MOST]
    cdef const real* x[WIDEST]
    cdef Py_ssize_t _, e
    cdef int i, j, columns = wide(rows)
    for j in range(columns):
        x[j] = planes + tap[j]
        for i in range(rows):
            acc[i*columns + j] = VLOAD(sums + (j*rows + i)*VL)
    for _ in range(height):
        e = 0
        while e + VL <= width:
            product_step(True, rows, x, e, VL, dy, acc)
            dy += targets_of(k)*VL
            e += VL
        if e < width:           # not to multiply by zero what is not finite
            product_step(False, rows, x, e, <int>(width - e), dy, acc)
            dy += targets_of(k)*VL
        for j in range(columns):
            x[j] += k.pitch
    for j in range(columns):
        for i in range(rows):
            VSTORE(sums + (j*rows + i)*VL, acc[i*columns + j])


cdef inline void product_tiles(
    int rows, const Planes* k, const real* planes, const Py_ssize_t* tap, Py_ssize_t height, Py_ssize_t width,
    const real* dy, real* sums,
) noexcept nogil:
    """Those of all taps."""
    cdef Py_ssize_t t = 0
    while t < sums_of(k) - WIDEST:
        product_tile(rows, k, planes, tap + t, height, width, dy, sums + t*rows*VL)
        t += wide(rows)


cdef inline void multiply_rows(
    const Planes* k, const real* planes, const Py_ssize_t* tap, Py_ssize_t height, Py_ssize_t width, const real* dy,
    real* sums,
) noexcept nogil:
    """Of all channels of a group of dy."""
    cdef Py_ssize_t section, rows
    for section in range(parts_of(k.K)):
        rows = part_start(k.K, section + 1) - part_start(k.K, section)
        if rows == 1:
            product_tiles(1, k, planes, tap, height, width, dy, sums)
        elif rows == 2:
            product_tiles(2, k, planes, tap, height, width, dy, sums)
        elif rows == 3:
            product_tiles(3, k, planes, tap, height, width, dy, sums)
        elif rows == 4:
            product_tiles(4, k, planes, tap, height, width, dy, sums)
        elif MOST > 4 and rows == 5:
            product_tiles(5, k, planes, tap, height, width, dy, sums)
        elif MOST > 4 and rows == 6:
            product_tiles(6, k, planes, tap, height, width, dy, sums)
        elif MOST > 4 and rows == 7:
            product_tiles(7, k, planes, tap, height, width, dy, sums)
        elif MOST > 4:
            product_tiles(8, k, planes, tap, height, width, dy, sums)
        dy += rows*VL
        sums += sums_of(k)*rows*VL


cdef inline void find_taps(const Planes* k, Py_ssize_t* tap) noexcept nogil:
    """Where each of (r, c, s) begins to see; the spare ones see what the last one does."""
    cdef Py_ssize_t i
    for i in range(sums_of(k)):
        tap[i] = tap[i - 1] if i >= sums_of(k) - WIDEST else (
            i // k.w.taps % k.C*k.size + i // (k.w.taps*k.C)*k.h.slope*k.pitch + i % k.w.taps*k.w.slope
        )


cdef inline void fold(const Planes* k, const real* sums, real* dw) noexcept nogil:
    """dw of a group = what the lanes of its table hold."""
    cdef Py_ssize_t section, t, r, c, s, i, K = k.chunks*targets_of(k)
    for section in range(parts_of(k.K)):
        for t in range(sums_of(k)):
            r, c, s = t // (k.w.taps*k.C), t // k.w.taps % k.C, t % k.w.taps
            for i in range(part_start(k.K, section), part_start(k.K, section + 1)):
                if r < k.h.taps:
                    dw[((r*k.w.taps + s)*k.C + c)*K + i] = sum_lanes(sums)
                sums += VL


cdef inline void plane_weight_task(const void* problem, Py_ssize_t index, char* scratch, Call* call) noexcept nogil:
    """Chunk index % k.chunks, split index // k.chunks of the blocks."""
    cdef const PlaneWeights* o = <const PlaneWeights*>problem
    cdef const Planes* k = &o.planes
    cdef Py_ssize_t K = targets_of(k), chunk = index % k.chunks, split = index // k.chunks
    cdef Py_ssize_t block, row, rows, some = some_rows(k), g
    cdef Area a
    cdef real* planes = <real*>take(&scratch, k.groups*k.C*k.size, sizeof(real))
    cdef real* dy = <real*>take(&scratch, some*vectors_of(k)*K*VL, sizeof(real))
    cdef real* sums = <real*>take(&scratch, (sums_of(k) + 1)*K*VL, sizeof(real))
    cdef real* sums_dy = sums + sums_of(k)*K*VL
    cdef Py_ssize_t* tap = <Py_ssize_t*>take(&scratch, sums_of(k), sizeof(Py_ssize_t))
    cdef double* db = NULL if o.partial_db == NULL else o.partial_db + (split*k.chunks + chunk)*K
    cdef const real* dy_p
    cdef lvec order = spread(k.chunks*K, K)
    find_taps(k, tap)
    memset(sums, 0, sums_of(k)*K*VL*sizeof(real))
    if db != NULL:
        memset(db, 0, K*sizeof(double))
    for block in range(split*o.blocks // o.splits, (split + 1)*o.blocks // o.splits):
        a = area_of(k, block)
        if stopped(call, a.rows*a.columns*k.h.taps*k.w.taps*k.C*K):
            return
        lay_out(k, &a, chunk, planes)
        row = 0
        while row < a.rows:
            rows = min(some, a.rows - row)
            dy_p = o.dy + (((a.n*k.h.count + a.q + row)*k.w.count + a.p)*k.chunks + chunk)*K
            lay_out_dy(k, dy_p, rows, a.columns, order, dy, sums_dy, db)
            for g in range(k.groups):
                multiply_rows(
                    k, planes + g*k.C*k.size + row*k.pitch, tap, rows, a.columns, dy + g*k.K*VL,
                    sums + g*sums_of(k)*k.K*VL,
                )
            row += rows
    for g in range(k.groups):
        fold(k, sums + g*sums_of(k)*k.K*VL, o.partial + split*weights_of(k) + (chunk*k.groups + g)*k.K)
