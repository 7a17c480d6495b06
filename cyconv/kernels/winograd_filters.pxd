# The filters of Winograd convolution in its domain:
#
#     u[e, c, k] = (G g G^T)[e],  g = w(., ., c, k) R x R,  e = 0 .. 35
#
# for a chunk of the channels and a panel of the columns at a time, [36][c][columns]: what one round of products needs.
# They are staged first, tap by tap: in layers of powers of two all taps of a filter lie in one set of each cache, which
# has fewer ways than there are taps (7x7x512, one image: 1.05 to 1.2 times the speed).  Weights that lie transposed, as
# those of an input gradient, are turned in squares of VL x VL on the way, several of a tap side by side, since one line
# of a row at a time is waited for (the same: 1.1 to 1.24 times).

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
    ROWS = 16           # vectors of each tap that are staged together,
    SQUARES = 9*64      # or, in squares, of all of them
    AHEAD = 2           # taps from the rows that are staged to those that are fetched
    KEPT = 3 << 20      # bytes of filters kept transformed: what comes from memory is faster transformed than read


cdef inline Py_ssize_t side_by_side(int R) noexcept nogil:
    """Channels of a tap that are turned together."""
    return SQUARES // (R*R) // VL*VL


cdef inline void transform_filters(
    int R, const vec* staged, Py_ssize_t vectors, real* u, Py_ssize_t pitch, Py_ssize_t step
) noexcept nogil:
    """u[e*step + i*pitch ...] = G g G^T of the filters whose tap t is in staged[t*(side_by_side(R) + 1) + i]."""
    cdef vec g[5]
    cdef vec t[30]
    cdef vec v[6]
    cdef real* u_e
    cdef Py_ssize_t _
    cdef int i, j
    for _ in range(vectors):
        for j in range(R):
            for i in range(R):
                g[i] = staged[(i*R + j)*(side_by_side(R) + 1)]
            transform_filter(R, g, t + j, R)
        u_e = u
        for i in range(6):
            transform_filter(R, t + i*R, v, 1)
            for j in range(6):
                VSTORE(u_e, v[j])
                u_e += step
                OPAQUE(u_e)     # else GCC computes all addresses: 1 KB of instructions
        staged += 1
        u += pitch


cdef inline const real* tap_of(int R, const Work* k, int i) noexcept nogil:
    """Where the weights of tap i begin."""
    return k.weights.w + k.weights.tap*(
        (k.source.h.tap + i // R*k.source.h.tap_step)*R + k.source.w.tap + i % R*k.source.w.tap_step
    )


cdef inline void stage_rows(
    const real* w, const real* next, Py_ssize_t pitch, Py_ssize_t channels, Py_ssize_t columns, int nv,
    vec* staged, Py_ssize_t down, Py_ssize_t across,
) noexcept nogil:
    """To staged[c*down + q*across]."""
    cdef Py_ssize_t c
    cdef int q
    for c in range(channels):
        for q in range(nv):
            PREFETCH(next + c*pitch + q*VL)
            staged[c*down + q*across] = load_upto(w + c*pitch + q*VL, columns - q*VL)


cdef inline void stage_squares(
    const real* w, const real* next, Py_ssize_t pitch, Py_ssize_t channels, Py_ssize_t columns, vec* staged
) noexcept nogil:
    cdef Py_ssize_t c = 0, j
    while c < channels:
        for j in range(min(columns, VL)):
            WILL_READ(next + c + j*pitch)
            staged[c + j] = load_upto(w + c + j*pitch, channels - c)
        for j in range(columns, VL):
            staged[c + j] = VZERO
        transpose(staged + c)
        c += VL


cdef inline void filter_chunk(
    int R, const Work* k, Py_ssize_t group, Py_ssize_t c, Py_ssize_t length, Py_ssize_t column, Py_ssize_t columns,
    int nv, real* u, Py_ssize_t step,
) noexcept nogil:
    """Transformed filters of channels c .. c + length - 1 and a panel of a group, some of each tap at a time."""
    cdef vec staged[SQUARES + 25]
    cdef vec* to
    cdef const real* taps[2*25]         # of a block, and of the next
    cdef const real** tap
    cdef bint turned = k.weights.column != 1
    cdef int together = 1 if turned else nv, i, q = 0
    cdef Py_ssize_t corner = group*k.weights.group + c*k.weights.row + column*k.weights.column
    cdef Py_ssize_t block = side_by_side(R) if turned else ROWS // nv, first, rows, at
    for i in range(R*R):
        taps[i] = tap_of(R, k, i) + corner
    for i in range(R*R):
        taps[R*R + i] = taps[i] + block*k.weights.row
    while q < nv:
        first = 0
        while first < length:
            tap, to, at = taps, staged, first*k.weights.row + q*VL*k.weights.column
            rows = min(block, length - first)
            OPAQUE(tap)         # else GCC unrolls this loop too: 32 KiB of instructions
            while tap < taps + R*R:
                if turned:
                    stage_squares(tap[0] + at, tap[1] + at, k.weights.column, rows, columns - q*VL, to)
                else:
                    stage_rows(tap[0] + at, tap[AHEAD] + at, k.weights.row, rows, columns, nv, to, nv, 1)
                tap += 1
                to += side_by_side(R) + 1
            transform_filters(R, staged, rows*together, u + (first*nv + q)*VL, nv*VL // together, step)
            first += block
        q += together


cdef inline void expect_filters(
    int R, const Work* k, int e, Py_ssize_t group, Py_ssize_t c, Py_ssize_t length, Py_ssize_t column,
    Py_ssize_t columns,
) noexcept nogil:
    """Ask for a 36th of the weights of a chunk: on their way from memory while the chunk before is multiplied."""
    cdef const Weights* w = &k.weights
    cdef const real* w_t
    cdef Py_ssize_t rows = length if w.column == 1 else columns, run = columns if w.column == 1 else length
    cdef Py_ssize_t pitch = max(w.row, w.column), i, j
    cdef int part, taps = R*R
    for part in range(e*4*taps // 36, (e + 1)*4*taps // 36):     # a quarter of the rows of all taps, then the next
        w_t = w.w + part % taps*w.tap + group*w.group + c*w.row + column*w.column
        for i in range(rows*(part // taps) // 4, rows*(part // taps + 1) // 4):
            j = 0
            while j < run:
                WILL_READ(w_t + i*pitch + j)
                j += LINE // <Py_ssize_t>sizeof(real)


cdef inline Py_ssize_t filter_step(Py_ssize_t C, Py_ssize_t K) noexcept nogil:
    """Distance of the 36 parts of a chunk's filters, for C channels to K."""
    return apart(min(CHUNK, C)*min(NR, (K + VL - 1) // VL*VL))


cdef inline Py_ssize_t filter_numbers(Py_ssize_t C, Py_ssize_t K, Py_ssize_t groups) noexcept nogil:
    """Numbers that all transformed filters take, for C channels to K in each group."""
    return groups*panels_of(K)*((C + CHUNK - 1) // CHUNK)*36*filter_step(C, K)


cdef inline bint may_be_kept(Py_ssize_t C, Py_ssize_t K, Py_ssize_t groups) noexcept nogil:
    return filter_numbers(C, K, groups)*<Py_ssize_t>sizeof(real) <= KEPT
