# The filters of Winograd convolution in its domain:
#
#     u[e, c, k] = (G g G^T)[e],  g = w(., ., c, k) 3 x 3,  e = 0 .. 35
#
# for a chunk of the channels and a panel of the columns at a time, [36][c][columns]: what one round of products needs.
# Weights that lie transposed, as those of an input gradient, are turned in squares of VL x VL on the way.

from cyconv.kernels.correlate cimport Weights, Work
from cyconv.kernels.scratch cimport LINE
from cyconv.kernels.simd cimport KC, NR, NV, PREFETCH, VL, VSTORE, VZERO, WILL_READ, load_upto, real, transpose, vec
from cyconv.kernels.tile cimport panels_of
from cyconv.kernels.transform cimport transform_filter3
from cyconv.kernels.winograd_tiles cimport apart

cdef enum:
    CHUNK = KC // NV    # channels of a chunk: its 36 transformed filters are 576 KiB with AVX-512, less elsewhere
    KEPT = 3 << 20      # bytes of filters kept transformed: what comes from memory is faster transformed than read


cdef inline void transform_filters(
    const real** taps, Py_ssize_t pitch, Py_ssize_t channels, Py_ssize_t columns, int nv, real* u, Py_ssize_t row,
    Py_ssize_t step,
) noexcept nogil:
    """u[e*step + c*row + q*VL ...] = G g G^T of the filters at taps[i][c*pitch + q*VL ...], q < nv."""
    cdef vec g[3]
    cdef vec t[18]
    cdef vec v[6]
    cdef Py_ssize_t c
    cdef int i, j, q
    for c in range(channels):
        for q in range(nv):
            for j in range(3):
                for i in range(3):
                    PREFETCH(taps[i*3 + j] + (c + 1)*pitch + q*VL)      # 7x7x512, N=4: 1.1 times the speed
                    g[i] = load_upto(taps[i*3 + j] + c*pitch + q*VL, columns - q*VL)
                transform_filter3(g, t + j, 3)
            for i in range(6):
                transform_filter3(t + i*3, v, 1)
                for j in range(6):
                    VSTORE(u + (i*6 + j)*step + c*row + q*VL, v[j])


cdef inline void filter_chunk(
    const Work* k, Py_ssize_t c, Py_ssize_t length, Py_ssize_t column, Py_ssize_t columns, int nv, real* u,
    Py_ssize_t step,
) noexcept nogil:
    """Transformed filters of channels c .. c + length - 1 and a panel; transposed weights by squares of VL x VL."""
    cdef vec squares[9*VL]
    cdef const real* taps[9]
    cdef const real* from_c[9]
    cdef Py_ssize_t first, j
    cdef int i, q
    for i in range(9):
        from_c[i] = taps[i] = k.weights.w + c*k.weights.row + column*k.weights.column + k.weights.tap*(
            (k.source.h.tap + i // 3*k.source.h.tap_step)*3 + k.source.w.tap + i % 3*k.source.w.tap_step
        )
    if k.weights.column == 1:
        transform_filters(taps, k.weights.row, length, columns, nv, u, nv*VL, step)
        return
    for q in range(nv):
        first = 0
        while first < length:
            for i in range(9):
                taps[i] = <real*>(squares + i*VL)
                for j in range(VL):
                    squares[i*VL + j] = VZERO
                    PREFETCH(from_c[i] + (q*VL + j)*k.weights.column + first + VL)
                    if q*VL + j < columns:
                        squares[i*VL + j] = load_upto(
                            from_c[i] + (q*VL + j)*k.weights.column + first, length - first
                        )
                transpose(squares + i*VL)
            transform_filters(taps, VL, min(VL, length - first), VL, 1, u + (first*nv + q)*VL, nv*VL, step)
            first += VL


cdef inline void expect_filters(
    const Work* k, int e, Py_ssize_t c, Py_ssize_t length, Py_ssize_t column, Py_ssize_t columns
) noexcept nogil:
    """Ask for a 36th of the weights of a chunk: on their way from memory while the chunk before is multiplied."""
    cdef const Weights* w = &k.weights
    cdef const real* w_t = w.w + e % 9*w.tap + c*w.row + column*w.column
    cdef Py_ssize_t rows = length if w.column == 1 else columns, run = columns if w.column == 1 else length
    cdef Py_ssize_t pitch = max(w.row, w.column), i, j
    for i in range(rows*(e // 9) // 4, rows*(e // 9 + 1) // 4):
        j = 0
        while j < run:
            WILL_READ(w_t + i*pitch + j)
            j += LINE // <Py_ssize_t>sizeof(real)


cdef inline Py_ssize_t filter_numbers(Py_ssize_t C, Py_ssize_t K) noexcept nogil:
    """Numbers that all transformed filters take."""
    return panels_of(K)*((C + CHUNK - 1) // CHUNK)*36*apart(CHUNK*NR)


cdef inline bint may_be_kept(Py_ssize_t C, Py_ssize_t K) noexcept nogil:
    return filter_numbers(C, K)*<Py_ssize_t>sizeof(real) <= KEPT
