# Outputs of 7 x 7 of one image: four tiles, one of each class.
#
# To write 36 numbers of every filter and to read them back takes as long as to multiply four tiles by them.  Here they
# stay in registers:
#
#     m[e, t, k] = sum over c of  v[e, t, c] * u[e]      u = G g G^T,  g = w(., ., c, k)      e = 6*i + j
#
# for a vector of k and a row i of the points at a time, 22 sums, transforming as much of the filter as that needs: 1.15
# to 1.3 times the speed.
#
# Loops: chunks of the channels, panels, vectors, rows of points, channels.  A panel's weights of a chunk are staged
# before, and lie where those of the panel before stopped, which the machine expects.  (To ask for the next panel's
# meanwhile gains nothing: in powers of two of channels one set of L2 would have to hold all nine taps.)  The sums of
# all panels wait in L2, added up chunk by chunk: the same bits as with more tiles.

from cyconv.kernels.correlate cimport Work
from cyconv.kernels.scratch cimport lines, take
from cyconv.kernels.simd cimport HOLD, MR, NR, NV, OPAQUE, VL, VLOAD, VSTORE, VZERO, real, vec
from cyconv.kernels.tasks cimport Call, stopped
from cyconv.kernels.tile cimport panel_start, panels_of
from cyconv.kernels.transform cimport transform_filter
from cyconv.kernels.winograd_filters cimport CHUNK, stage_rows, stage_squares, tap_of
from cyconv.kernels.winograd_grid cimport CLASSES, Grid, in_need, one_of_each, tile_of
from cyconv.kernels.winograd_tiles cimport apart, source_tile

cdef enum:
    FEW = CLASSES           # tiles
    ROW = 6*FEW             # of numbers of a packed channel: a row of points of all tiles
    SPACING = CHUNK + 1     # vectors from one staged tap to the next
    AHEAD = 8               # rows of weights from those that are staged to those that are fetched
    L2 = 1 << 20
    IN_REGISTERS = MR*NV // ROW     # whether there are enough for a row's sums

ctypedef void (*Outputs)(const void*, const real*, Py_ssize_t, int, Py_ssize_t) noexcept nogil

cdef struct Few:
    const Work* work
    Py_ssize_t parts    # ranges of panels
    Outputs finish      # (tiling, products, tile, vectors, column), as with more tiles
    const void* tiling


cdef inline size_t few_bytes(int R, Py_ssize_t K, Py_ssize_t parts) noexcept nogil:
    return (
        lines(36*apart(FEW*CHUNK), sizeof(real)) + lines(6*CHUNK*ROW, sizeof(real))
        + lines(NV*R*R*SPACING, VL*sizeof(real))
        + lines((panels_of(K) + parts - 1) // parts*36*apart(FEW*NR), sizeof(real))
    )


cdef inline bint suits_few(int R, const Grid* g, Py_ssize_t tiles, Py_ssize_t K, Py_ssize_t parts) noexcept nogil:
    """Whether these are the tiles, and there is room in registers and in L2, for one group."""
    return R == 3 and IN_REGISTERS and tiles == FEW and one_of_each(g) and few_bytes(R, K, parts) <= L2


cdef inline void pack_tiles(
    int R, const Work* k, Py_ssize_t c, Py_ssize_t length, real* v, real* packed
) noexcept nogil:
    """packed[i, c, j, t] = V[6*i + j] of the tile of class t and channel c of a chunk, by way of v."""
    cdef Py_ssize_t i, t, n
    cdef real* to
    for t in range(FEW):
        source_tile(
            k.source.x, k.source.h.size, k.source.w.size, k.C, c, c + length, tile_of(t) // 2*(7 - R) + k.source.h.base,
            tile_of(t) % 2*(7 - R) + k.source.w.base, v + t*CHUNK, apart(FEW*CHUNK), CHUNK,
        )
    for i in range(36):
        to = packed + i // 6*CHUNK*ROW + i % 6*FEW
        for n in range(length):
            for t in range(FEW):
                to[t] = v[t*CHUNK + n]
            to += ROW
            OPAQUE(to)      # else GCC turns this into 7 KiB of shuffles
        v += apart(FEW*CHUNK)


cdef inline void multiply_row(
    int R, int i, const vec* staged, Py_ssize_t length, const real* packed, real* m, bint first
) noexcept nogil:
    cdef vec sums[ROW]
    cdef vec g[5]
    cdef vec h[5]
    cdef vec u[6]
    cdef real* to
    cdef Py_ssize_t _
    cdef int j, r, t
    for j in range(6):
        for t in range(FEW):
            if in_need(i, j, t):
                sums[j*FEW + t] = VZERO
                HOLD(sums[j*FEW + t])       # else GCC makes a call of it, and keeps the sums in memory
    for _ in range(length):
        for j in range(R):
            for r in range(R):
                g[r] = staged[(r*R + j)*SPACING]
            transform_filter(R, g, u, 1)
            h[j] = u[i]
        transform_filter(R, h, u, 1)
        for j in range(6):
            for t in range(FEW):
                if in_need(i, j, t):
                    sums[j*FEW + t] = sums[j*FEW + t] + packed[j*FEW + t]*u[j]
                    HOLD(sums[j*FEW + t])
        staged += 1
        packed += ROW
    for j in range(6):
        for t in range(FEW):
            if in_need(i, j, t):
                to = m + (6*i + j)*apart(FEW*NR) + t*NR
                VSTORE(to, sums[j*FEW + t] if first else VLOAD(to) + sums[j*FEW + t])


cdef inline void multiply_rows(
    int R, const vec* staged, Py_ssize_t length, const real* packed, real* m, bint first
) noexcept nogil:
    cdef int i
    for i in range(6):
        OPAQUE(packed)          # else the constants of all rows wait on the stack
        if i == 0:
            multiply_row(R, 0, staged, length, packed, m, first)
        elif i == 1:
            multiply_row(R, 1, staged, length, packed, m, first)
        elif i == 2:
            multiply_row(R, 2, staged, length, packed, m, first)
        elif i == 3:
            multiply_row(R, 3, staged, length, packed, m, first)
        elif i == 4:
            multiply_row(R, 4, staged, length, packed, m, first)
        else:
            multiply_row(R, 5, staged, length, packed, m, first)
        packed += CHUNK*ROW


cdef inline void stage_panel(
    int R, const Work* k, Py_ssize_t c, Py_ssize_t length, Py_ssize_t column, Py_ssize_t columns, int nv, vec* staged
) noexcept nogil:
    """staged[q, tap, c], q < nv."""
    cdef Py_ssize_t at = c*k.weights.row + column*k.weights.column, beside = VL*k.weights.column
    cdef const real* w
    cdef const real* next
    cdef int i, q
    for i in range(R*R):
        w = tap_of(R, k, i) + at
        if k.weights.column == 1:
            stage_rows(w, w + AHEAD*k.weights.row, k.weights.row, length, columns, nv, staged, 1, R*R*SPACING)
        else:
            next = tap_of(R, k, min(i + 1, R*R - 1)) + at
            for q in range(nv):
                stage_squares(
                    w + q*beside, next + q*beside, k.weights.column, length, columns - q*VL, staged + q*R*R*SPACING
                )
        staged += SPACING


cdef inline void few_part(int R, const Few* f, Py_ssize_t index, char* scratch, Call* call) noexcept nogil:
    """A range of panels."""
    cdef const Work* k = f.work
    cdef Py_ssize_t C = k.C, K = k.target.K, panels = panels_of(K), panel, vector, c = 0, length, t
    cdef Py_ssize_t panel0 = index*panels // f.parts, panel1 = (index + 1)*panels // f.parts
    cdef real* v = <real*>take(&scratch, 36*apart(FEW*CHUNK), sizeof(real))
    cdef real* packed = <real*>take(&scratch, 6*CHUNK*ROW, sizeof(real))
    cdef vec* staged = <vec*>take(&scratch, NV*R*R*SPACING, VL*sizeof(real))
    cdef real* m = <real*>take(&scratch, (panel1 - panel0)*36*apart(FEW*NR), sizeof(real))
    cdef real* m_p
    cdef int nv, q
    while c < C:
        length, m_p = min(CHUNK, C - c), m
        pack_tiles(R, k, c, length, v, packed)
        for panel in range(panel0, panel1):
            vector = panel_start(K, panels, panel)
            nv = <int>(panel_start(K, panels, panel + 1) - vector)
            if stopped(call, 36*FEW*length*NR):
                return
            stage_panel(R, k, c, length, vector*VL, min(nv*VL, K - vector*VL), nv, staged)
            for q in range(nv):
                multiply_rows(R, staged + q*R*R*SPACING, length, packed, m_p + q*VL, c == 0)
            if c + length == C:
                for t in range(FEW):
                    f.finish(f.tiling, m_p + t*NR, tile_of(t), nv, vector*VL)
            m_p += 36*apart(FEW*NR)
        c += length
