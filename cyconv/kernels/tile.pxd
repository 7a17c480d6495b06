# The register tile: the one multiply-add loop of cyconv.
#
#     out[i, j] (+)= sum_{t, c} a(t, i, c) * panel[t, c, j]        i < rows <= 2*MR, j < nv*VL
#
# The accumulators live in registers, a vector of the panel is loaded once per (t, c) and multiplied by `rows` scalars
# that broadcast from memory.  The scalars are found in one of two ways:
#
#   ACROSS  a(t, i, c) = at[t*pitch + i][start + c]    one pointer per row: convolution reduces over a window's channels
#   DOWN    a(t, i, c) = at[c][start + i]              one pointer per step: weight gradients reduce over pixels
#
# `rows`, `nv` and the way are compile-time constants at every call, so that the loops unroll and `acc` is never in
# memory: `CYTHON_INLINE` forces the inlining (setup.py), and a spilled accumulator halves the speed.

from cyconv.kernels.simd cimport (
    MR, NV, OPAQUE, VL, VLOAD, VSELECT, VSTORE, VGREATER, VZERO, load_lanes, real, store_lanes, vec,
)

cdef enum Way:
    ACROSS
    DOWN

cdef struct Finish:
    # Where the sums of a tile go: out[i] + column for i in [lo, hi), the last vector of a row cut to `lanes`.
    real** out
    Py_ssize_t column
    int lo
    int hi
    int lanes
    bint first          # nothing has been summed here yet: overwrite
    bint last           # nothing more will be: add the bias, apply the activation
    const real* bias    # nv*VL values, or NULL
    bint relu


cdef inline void finish_row(vec* acc, int nv, int i, const Finish* f) noexcept nogil:
    cdef real* out = f.out[i] + f.column
    cdef int j
    cdef bint cut
    for j in range(nv):
        cut = j == nv - 1 and f.lanes < VL
        if not f.first:
            acc[j] = (load_lanes(out + j*VL, f.lanes) if cut else VLOAD(out + j*VL)) + acc[j]
        if f.last:
            if f.bias != NULL:
                acc[j] = acc[j] + VLOAD(f.bias + j*VL)
            if f.relu:
                acc[j] = VSELECT(VGREATER(VZERO, acc[j]), VZERO, acc[j])
        if cut:
            store_lanes(out + j*VL, acc[j], f.lanes)
        else:
            VSTORE(out + j*VL, acc[j])


cdef inline void tile(
    Way way, int rows, int nv, const real** at, Py_ssize_t pitch, Py_ssize_t start,
    Py_ssize_t segments, Py_ssize_t length, const real* panel, const Finish* f,
) noexcept nogil:
    cdef vec acc[2*MR][NV]
    cdef vec w[NV]
    cdef const real* a[2*MR]
    cdef real scalar
    cdef Py_ssize_t t, c
    cdef int i, j
    for i in range(rows):
        for j in range(nv):
            acc[i][j] = VZERO
    for t in range(segments):
        if way == ACROSS:
            for i in range(rows):
                a[i] = at[t*pitch + i] + start
        for c in range(length):
            if way == DOWN:
                a[0] = at[c] + start
                OPAQUE(a[0])    # else GCC keeps start + i for every i, has no registers left and spills sums
            for j in range(nv):
                w[j] = VLOAD(panel + j*VL)
            panel += nv*VL
            for i in range(rows):
                scalar = a[i][c] if way == ACROSS else a[0][i]
                for j in range(nv):
                    acc[i][j] = acc[i][j] + scalar * w[j]
    for i in range(rows):
        if f.lo <= i < f.hi:
            finish_row(acc[i], nv, i, f)


cdef inline int tile_rows(int nv) noexcept nogil:
    """Rows of a tile of nv vectors: twice as many where a row has half the vectors or fewer."""
    return 2*MR if 2*nv <= NV else MR


cdef inline int panels_of(Py_ssize_t columns) noexcept nogil:
    """Panels of at most NV vectors that cover the columns; their vectors are shared out evenly."""
    return <int>((columns + NV*VL - 1) // (NV*VL))


cdef inline Py_ssize_t panel_start(Py_ssize_t columns, Py_ssize_t panels, Py_ssize_t index) noexcept nogil:
    """First vector of a panel."""
    return index*((columns + VL - 1) // VL) // panels
