# The filters of Winograd convolution in its domain:
#
#     u[e, c, k] = (G g G^T)[e],  g = w(., ., c, k) R x R,  e = 0 .. 35
#
# for a chunk of the channels and a panel of the columns at a time, [36][c][columns]: what one round of products needs.
# They are staged first, tap by tap: in layers of powers of two all taps of a filter lie in one set of each cache, which
# has fewer ways than there are taps (7x7x512, one image: 1.05 to 1.2 times the speed).  Weights that lie transposed, as
# those of an input gradient, are turned in squares of VL x VL on the way.

from cyconv.kernels.correlate cimport Weights, Work
from cyconv.kernels.scratch cimport LINE
from cyconv.kernels.simd cimport (
    KC, NR, NV, OPAQUE, PREFETCH, VL, VSTORE, VZERO, WILL_READ, load_upto, real, transpose, vec,
)
from cyconv.kernels.tile cimport panels_of
from cyconv.kernels.transform cimport transform_filter
from cyconv.kernels.winograd_tiles cimport apart

cdef enum:
    CHUNK = KC // NV    # channels of a chunk: its 36 transformed filters are 576 KiB with AVX-512, less elsewhere
    STAGED = 16         # vectors of each tap, VL or more
    AHEAD = 2           # taps from the rows that are staged to those that are fetched
    KEPT = 3 << 20      # bytes of filters kept transformed: what comes from memory is faster transformed than read


cdef inline void transform_filters(
    int R, const vec* staged, Py_ssize_t vectors, real* u, Py_ssize_t pitch, Py_ssize_t step
) noexcept nogil:
    """u[e*step + i*pitch ...] = G g G^T of the filters whose taps are STAGED vectors apart in staged[i ...]."""
    cdef vec g[5]
    cdef vec t[30]
    cdef vec v[6]
    cdef Py_ssize_t _
    cdef int i, j
    for _ in range(vectors):
        for j in range(R):
            for i in range(R):
                g[i] = staged[(i*R + j)*STAGED]
            transform_filter(R, g, t + j, R)
        for i in range(6):
            transform_filter(R, t + i*R, v, 1)
            for j in range(6):
                VSTORE(u + (i*6 + j)*step, v[j])
        staged += 1
        u += pitch


cdef inline void stage_rows(
    const real* w, const real* next, Py_ssize_t pitch, Py_ssize_t channels, Py_ssize_t columns, int nv, vec* staged
) noexcept nogil:
    cdef Py_ssize_t c
    cdef int q
    for c in range(channels):
        for q in range(nv):
            PREFETCH(next + c*pitch + q*VL)
            staged[c*nv + q] = load_upto(w + c*pitch + q*VL, columns - q*VL)


cdef inline void stage_square(
    const real* w, const real* next, Py_ssize_t pitch, Py_ssize_t channels, Py_ssize_t columns, vec* staged
) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(VL):
        PREFETCH(next + j*pitch)
        staged[j] = VZERO
        if j < columns:
            staged[j] = load_upto(w + j*pitch, channels)
    transpose(staged)


cdef inline void filter_chunk(
    int R, const Work* k, Py_ssize_t c, Py_ssize_t length, Py_ssize_t column, Py_ssize_t columns, int nv, real* u,
    Py_ssize_t step,
) noexcept nogil:
    """Transformed filters of channels c .. c + length - 1 and a panel, some of each tap at a time."""
    cdef vec staged[25*STAGED]
    cdef vec* to
    cdef const real* taps[2*25]         # of a block, and of the next
    cdef const real** tap
    cdef bint turned = k.weights.column != 1
    cdef int together = 1 if turned else nv, i, q = 0
    cdef Py_ssize_t block = VL if turned else STAGED // nv, first, at
    for i in range(R*R):
        taps[i] = k.weights.w + c*k.weights.row + column*k.weights.column + k.weights.tap*(
            (k.source.h.tap + i // R*k.source.h.tap_step)*R + k.source.w.tap + i % R*k.source.w.tap_step
        )
    for i in range(R*R):
        taps[R*R + i] = taps[i] + block*k.weights.row
    while q < nv:
        first = 0
        while first < length:
            tap, to, at = taps, staged, first*k.weights.row + q*VL*k.weights.column
            OPAQUE(tap)         # else GCC unrolls this loop too: 32 KiB of instructions
            while tap < taps + R*R:
                if turned:
                    stage_square(tap[0] + at, tap[R*R] + at, k.weights.column, length - first, columns - q*VL, to)
                else:
                    stage_rows(
                        tap[0] + at, tap[AHEAD] + at, k.weights.row, min(block, length - first), columns, nv, to
                    )
                tap += 1
                to += STAGED
            transform_filters(
                R, staged, min(block, length - first)*together, u + (first*nv + q)*VL, nv*VL // together, step
            )
            first += block
        q += together


cdef inline void expect_filters(
    int R, const Work* k, int e, Py_ssize_t c, Py_ssize_t length, Py_ssize_t column, Py_ssize_t columns
) noexcept nogil:
    """Ask for a 36th of the weights of a chunk: on their way from memory while the chunk before is multiplied."""
    cdef const Weights* w = &k.weights
    cdef const real* w_t
    cdef Py_ssize_t rows = length if w.column == 1 else columns, run = columns if w.column == 1 else length
    cdef Py_ssize_t pitch = max(w.row, w.column), i, j
    cdef int part, taps = R*R
    for part in range(e*4*taps // 36, (e + 1)*4*taps // 36):     # a quarter of the rows of all taps, then the next
        w_t = w.w + part % taps*w.tap + c*w.row + column*w.column
        for i in range(rows*(part // taps) // 4, rows*(part // taps + 1) // 4):
            j = 0
            while j < run:
                WILL_READ(w_t + i*pitch + j)
                j += LINE // <Py_ssize_t>sizeof(real)


cdef inline Py_ssize_t filter_numbers(Py_ssize_t C, Py_ssize_t K) noexcept nogil:
    """Numbers that all transformed filters take."""
    return panels_of(K)*((C + CHUNK - 1) // CHUNK)*36*apart(CHUNK*NR)


cdef inline bint may_be_kept(Py_ssize_t C, Py_ssize_t K) noexcept nogil:
    return filter_numbers(C, K)*<Py_ssize_t>sizeof(real) <= KEPT
