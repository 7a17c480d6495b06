# The weight gradient of a convolution from many channels to few (slim.pxd).
#
#     dw[t, e, k] = sum_i x(t, i)[e] * dy[i, k]       i: output pixel of the batch, e: number of run t, K <= MOST
#
# Rows of the product are the K numbers of a pixel of dy, columns the numbers of a run of x, which are read in place.
# Loops in a task, a split of the pixels: chunk of CHUNK pixels, run, columns, pixel.  The sums [t][k][e] wait in memory
# between chunks, and are turned round at the end.  Splits are as in outer.pxd: the same bits for any number of threads.

from libc.string cimport memset

from cyconv.kernels.fetch cimport Next, fetch, share_fetch
from cyconv.kernels.outer cimport Outer
from cyconv.kernels.scratch cimport lines, take
from cyconv.kernels.simd cimport HOLD, NV, VL, VLOAD, VSTORE, VZERO, load_lanes, load_upto, real, vec
from cyconv.kernels.slim cimport MOST, width_of
from cyconv.kernels.tasks cimport Call, stopped
from cyconv.kernels.windows cimport Source, copies_runs, find_runs

cdef enum:
    CHUNK = 64          # pixels whose runs stay in the first-level cache, from tap to tap
    WIDTH = 4           # vectors of a tile, if there are registers for so many sums


cdef inline size_t slim_weight_bytes(const Outer* k) noexcept nogil:
    cdef const Source* s = &k.source
    cdef Py_ssize_t runs = CHUNK*s.segments
    return (
        lines(runs, sizeof(void*)) + lines(s.segments*k.K*width_of(s), sizeof(real)) + lines(s.readable, sizeof(real))
        + lines(runs*s.readable if copies_runs(s) else 0, sizeof(real))
    )


cdef inline void slim_products(
    int K, int nv, const real** at, Py_ssize_t e, int lanes, Py_ssize_t pixels, const real* dy, real* sums,
    Py_ssize_t pitch,
) noexcept nogil:
    """sums[k, :] += products of nv vectors of the runs, the last cut to `lanes`."""
    cdef vec acc[MOST][WIDTH]
    cdef vec value[WIDTH]
    cdef real scalar
    cdef Py_ssize_t i
    cdef int h, j
    for h in range(K):
        for j in range(nv):
            acc[h][j] = VLOAD(sums + h*pitch + j*VL)
    for i in range(pixels):
        for j in range(nv):
            value[j] = load_lanes(at[i] + e, lanes) if nv == 1 else VLOAD(at[i] + e + j*VL)
            HOLD(value[j])
        for h in range(K):
            scalar = dy[h]
            for j in range(nv):
                acc[h][j] = acc[h][j] + scalar*value[j]
        dy += K
    for h in range(K):
        for j in range(nv):
            VSTORE(sums + h*pitch + j*VL, acc[h][j])


cdef inline void slim_chunk(
    int K, const Source* s, const real** at, Py_ssize_t pixels, const real* dy, real* sums, Next* next
) noexcept nogil:
    cdef Py_ssize_t _, e
    for _ in range(s.segments):
        e = 0
        while e < s.length:
            fetch(next, 1)
            if WIDTH*(K + 1) < 8*NV and s.length - e >= WIDTH*VL:
                slim_products(K, WIDTH, at, e, VL, pixels, dy, sums + e, width_of(s))
                e += WIDTH*VL
            elif s.length - e >= 2*VL:
                slim_products(K, 2, at, e, VL, pixels, dy, sums + e, width_of(s))
                e += 2*VL
            else:
                slim_products(K, 1, at, e, <int>min(VL, s.length - e), pixels, dy, sums + e, width_of(s))
                e += VL
        at += CHUNK
        sums += K*width_of(s)


cdef inline void slim_chunks(
    const Outer* k, const real** at, Py_ssize_t pixels, const real* dy, real* sums, Next* next
) noexcept nogil:
    cdef const Source* s = &k.source
    if k.K == 1:
        slim_chunk(1, s, at, pixels, dy, sums, next)
    elif VL >= 4 and k.K == 2:
        slim_chunk(2, s, at, pixels, dy, sums, next)
    elif VL >= 6 and k.K == 3:
        slim_chunk(3, s, at, pixels, dy, sums, next)
    elif VL >= 8 and k.K == 4:
        slim_chunk(4, s, at, pixels, dy, sums, next)
    elif VL >= 10 and k.K == 5:
        slim_chunk(5, s, at, pixels, dy, sums, next)
    elif VL >= 12 and k.K == 6:
        slim_chunk(6, s, at, pixels, dy, sums, next)
    elif VL >= 14 and k.K == 7:
        slim_chunk(7, s, at, pixels, dy, sums, next)
    elif VL >= 16:
        slim_chunk(8, s, at, pixels, dy, sums, next)


cdef inline void add_dy(const real* dy, Py_ssize_t pixels, Py_ssize_t K, double* db) noexcept nogil:
    """db += the sum of a chunk, in vectors of VL // K pixels."""
    cdef Py_ssize_t group = VL//K*K, numbers = pixels*K, i = 0
    cdef vec sums = VZERO
    while i < numbers:
        sums = sums + load_upto(dy + i, min(group, numbers - i))
        i += group
    for i in range(group):
        db[i % K] += (<real*>&sums)[i]


cdef inline void slim_weight_task(const void* problem, Py_ssize_t index, char* scratch, Call* call) noexcept nogil:
    """Split `index` of the pixels."""
    cdef const Outer* k = <const Outer*>problem
    cdef const Source* s = &k.source
    cdef Py_ssize_t chunks = (k.pixels + CHUNK - 1) // CHUNK, chunk, first, pixels, t, h, e
    cdef const real** at = <const real**>take(&scratch, CHUNK*s.segments, sizeof(void*))
    cdef real* sums = <real*>take(&scratch, s.segments*k.K*width_of(s), sizeof(real))
    cdef real* zeros = <real*>take(&scratch, s.readable, sizeof(real))
    cdef real* dw = k.dw if k.splits == 1 else k.partial + index*k.partial_size
    cdef double* db = NULL if k.db == NULL else k.partial_db + index*k.K
    cdef Next next
    memset(zeros, 0, s.readable*sizeof(real))
    memset(sums, 0, s.segments*k.K*width_of(s)*sizeof(real))
    if db != NULL:
        memset(db, 0, k.K*sizeof(double))
    for chunk in range(index*chunks // k.splits, (index + 1)*chunks // k.splits):
        first = chunk*CHUNK
        pixels = min(CHUNK, k.pixels - first)
        if stopped(call, pixels*k.K*s.segments*s.length):
            return
        find_runs(s, first, pixels, CHUNK, 0, s.segments, at, <real*>scratch, zeros)
        if db != NULL:
            add_dy(k.dy + first*k.K, pixels, k.K, db)
        # What the last tap will see is new.
        next.at, next.start = at + (s.segments - 1)*CHUNK, CHUNK*s.w.step*s.C
        next.rows, next.run = pixels, s.length
        share_fetch(&next, 1, s.segments*(width_of(s)//VL + WIDTH - 1)//WIDTH)
        slim_chunks(k, at, pixels, k.dy + first*k.K, sums, &next)
    for t in range(s.segments):
        for h in range(k.K):
            for e in range(s.length):
                dw[(t*s.length + e)*k.K + h] = sums[(t*k.K + h)*width_of(s) + e]
