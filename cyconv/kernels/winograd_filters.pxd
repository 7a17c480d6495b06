# The filters of Winograd convolution in its domain:
#
#     u[e, c, k] = (G g G^T)[e],  g = w(., ., c, k) R x R,  e = 0 .. 35
#
# for a chunk of the channels and a panel of the columns at a time, [36][c][columns]: what one round of products needs.
# Weights that lie transposed, as those of an input gradient, are turned in squares of VL x VL on the way.

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
    KEPT = 3 << 20      # bytes of filters kept transformed: what comes from memory is faster transformed than read


cdef inline void transform_filters(
    int R, const real** taps, Py_ssize_t pitch, Py_ssize_t channels, Py_ssize_t columns, int nv, real* u,
    Py_ssize_t row, Py_ssize_t step,
) noexcept nogil:
    """u[e*step + c*row + q*VL ...] = G g G^T of the filters at taps[i][c*pitch + q*VL ...], q < nv."""
    cdef vec g[5]
    cdef vec t[30]
    cdef vec v[6]
    cdef Py_ssize_t c
    cdef int i, j, q
    for c in range(channels):
        for q in range(nv):
            for j in range(R):
                for i in range(R):
                    PREFETCH(taps[i*R + j] + (c + 1)*pitch + q*VL)      # 7x7x512, N=4: 1.1 times the speed
                    g[i] = load_upto(taps[i*R + j] + c*pitch + q*VL, columns - q*VL)
                transform_filter(R, g, t + j, R)
            for i in range(6):
                transform_filter(R, t + i*R, v, 1)
                for j in range(6):
                    VSTORE(u + (i*6 + j)*step + c*row + q*VL, v[j])


cdef inline void filter_chunk(
    int R, const Work* k, Py_ssize_t c, Py_ssize_t length, Py_ssize_t column, Py_ssize_t columns, int nv, real* u,
    Py_ssize_t step,
) noexcept nogil:
    """Transformed filters of channels c .. c + length - 1 and a panel; transposed weights by squares of VL x VL."""
    cdef vec squares[25*VL]
    cdef vec* square
    cdef const real* turned[25]
    cdef const real* taps[25]
    cdef const real** tap
    cdef const real* w_k
    cdef Py_ssize_t first, j
    cdef int i, q
    for i in range(R*R):
        turned[i] = <real*>(squares + i*VL)
        taps[i] = k.weights.w + c*k.weights.row + column*k.weights.column + k.weights.tap*(
            (k.source.h.tap + i // R*k.source.h.tap_step)*R + k.source.w.tap + i % R*k.source.w.tap_step
        )
    if k.weights.column == 1:
        transform_filters(R, taps, k.weights.row, length, columns, nv, u, nv*VL, step)
        return
    for q in range(nv):
        first = 0
        while first < length:
            tap, square = taps, squares
            OPAQUE(tap)         # else GCC unrolls this loop too: 32 KiB of instructions
            while tap < taps + R*R:
                w_k = tap[0] + q*VL*k.weights.column + first
                for j in range(VL):
                    square[j] = VZERO
                    PREFETCH(w_k + j*k.weights.column + VL)
                    if q*VL + j < columns:
                        square[j] = load_upto(w_k + j*k.weights.column, length - first)
                transpose(square)
                tap += 1
                square += VL
            transform_filters(R, turned, VL, min(VL, length - first), VL, 1, u + (first*nv + q)*VL, nv*VL, step)
            first += VL


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
