# The engine of the weight gradient: a sum of outer products over the output pixels.
#
#     dw[r, s, c, g*K + k] = sum_{n, q, p} x[n, row(q, r), col(p, s), g*C + c] * dy[n, q, p, g*K + k]
#     db[g*K + k]          = sum_{n, q, p} dy[n, q, p, g*K + k]
#
# Rows of the product are the numbers of a window (runs of a tap's channels, or of a whole window row), columns are
# output channels, the reduction runs over pixels.  Loop order in a task: panel of dy, chunk of KC pixels, run, tile.
# A chunk of the panel is packed into L1 and meets every row of the window; x is read in place through one pointer per
# (run, pixel).  The sums between chunks wait in dw itself.
#
# Tasks own disjoint rows and columns of dw.  Where dw is too small to keep threads busy, the pixels are cut into
# `splits` as well, as many as the geometry says and never as the threads do, each with a dw of its own, and these are
# added up in order: the same bits for any number of threads.  db is summed in float64: over a million pixels
# one chain in float32 was off by 6e-4.

from libc.string cimport memset

from cyconv.kernels.scratch cimport lines, take
from cyconv.kernels.simd cimport KC, MR, NR, NV, VL, VLOAD, VSTORE, VZERO, load_lanes, real, vec
from cyconv.kernels.tile cimport Finish, multiply_down, panel_start, panels_of
from cyconv.kernels.windows cimport Source, copies_runs, find_runs, plan_segments

cdef enum:
    UNIT = 96               # rows of dw that go to one task at least, a multiple of 2*MR
    SMALL = 65536           # numbers in a dw that is cheaper to have many times than to compute row by row
    MOST_SPLITS = 16

cdef struct Outer:
    Source source
    const real* dy
    Py_ssize_t pixels
    Py_ssize_t K            # columns of a group
    Py_ssize_t groups
    real* dw
    double* db              # groups*K, or NULL
    real* partial           # dw of each split, where there are several
    double* partial_db
    Py_ssize_t partial_size
    Py_ssize_t splits
    Py_ssize_t parts        # ranges of rows of dw
    Py_ssize_t panel_parts  # ranges of panels
    Py_ssize_t units


cdef inline Py_ssize_t units_of_run(const Outer* k) noexcept nogil:
    return (k.source.length + UNIT - 1) // UNIT


cdef inline void plan_outer(Outer* k, int threads) noexcept nogil:
    cdef Py_ssize_t chunks = (k.pixels + KC - 1) // KC, panels = panels_of(k.K)*k.groups
    # A tile reads up to 2*MR numbers from a row on: shorter runs are copied with zeros behind them.
    plan_segments(&k.source, k.groups == 1, 2*MR)
    k.partial_size = k.source.h.taps*k.source.w.taps*(k.source.C // k.groups)*k.K*k.groups
    k.splits = max(1, min(MOST_SPLITS, chunks // 4)) if k.partial_size <= SMALL else 1
    k.units = k.source.segments*units_of_run(k)
    k.parts = k.panel_parts = 1
    if threads > 1:
        k.panel_parts = min(panels, max(1, 4*threads // k.splits))
        k.parts = min(k.units, max(1, 4*threads // (k.splits*k.panel_parts)))


cdef inline size_t outer_bytes(const Outer* k) noexcept nogil:
    cdef Py_ssize_t runs = KC*k.source.segments
    return (
        lines(runs, sizeof(void*)) + lines(KC*NR, sizeof(real)) + lines(k.source.readable, sizeof(real))
        + lines(runs*k.source.readable if copies_runs(&k.source) else 0, sizeof(real))
    )


cdef inline void pack_pixels(
    const Outer* k, Py_ssize_t first, Py_ssize_t pixels, Py_ssize_t column, Py_ssize_t columns, int nv, real* panel
) noexcept nogil:
    """panel[i, :] = `columns` columns of dy of pixel first + i, zeros after them."""
    cdef const real* dy_p = k.dy + first*k.K*k.groups + column
    cdef Py_ssize_t _, j
    for _ in range(pixels):
        for j in range(columns // VL):
            VSTORE(panel + j*VL, VLOAD(dy_p + j*VL))
        if columns < nv*VL:
            VSTORE(panel + columns // VL*VL, load_lanes(dy_p + columns // VL*VL, columns % VL))
        dy_p += k.K*k.groups
        panel += nv*VL


cdef inline void add_pixels(
    const real* panel, Py_ssize_t pixels, Py_ssize_t columns, int nv, double* db
) noexcept nogil:
    """db[j] += the sum of a chunk of a panel; within a chunk in vectors, between chunks in float64."""
    cdef vec sums[NV]
    cdef real* flat = <real*>sums
    cdef Py_ssize_t i
    cdef int j
    for j in range(nv):
        sums[j] = VZERO
    for i in range(pixels):
        for j in range(nv):
            sums[j] = sums[j] + VLOAD(panel + (i*nv + j)*VL)
    for i in range(columns):
        db[i] += flat[i]


cdef inline void run_outer(const Outer* k, Py_ssize_t index, char* scratch) noexcept nogil:
    cdef const Source* s = &k.source
    cdef Py_ssize_t part = index % k.parts, panel_part = index // k.parts % k.panel_parts
    cdef Py_ssize_t split = index // (k.parts*k.panel_parts)
    cdef Py_ssize_t unit0 = part*k.units // k.parts, unit1 = (part + 1)*k.units // k.parts, per_run = units_of_run(k)
    cdef Py_ssize_t panels = panels_of(k.K), total = panels*k.groups, chunks = (k.pixels + KC - 1) // KC
    cdef Py_ssize_t chunk0 = split*chunks // k.splits, chunk1 = (split + 1)*chunks // k.splits
    cdef Py_ssize_t C = s.C // k.groups, panel, group, column, columns, vector, chunk, first, pixels, unit, t, low, high
    cdef real* dw = k.dw if k.splits == 1 else k.partial + split*k.partial_size
    cdef double* db = k.partial_db + split*k.K*k.groups
    cdef const real** at = <const real**>take(&scratch, KC*s.segments, sizeof(void*))
    cdef real* packed = <real*>take(&scratch, KC*NR, sizeof(real))
    cdef real* zeros = <real*>take(&scratch, s.readable, sizeof(real))
    cdef real* copies = <real*>scratch
    cdef Finish f
    cdef int nv
    f.last, f.relu, f.bias = False, False, NULL
    memset(zeros, 0, s.readable*sizeof(real))
    for panel in range(panel_part*total // k.panel_parts, (panel_part + 1)*total // k.panel_parts):
        group = panel // panels
        vector = panel_start(k.K, panels, panel % panels)
        nv = <int>(panel_start(k.K, panels, panel % panels + 1) - vector)
        column = group*k.K + vector*VL
        columns = min(nv*VL, k.K - vector*VL)
        f.column, f.lanes = column, <int>(columns - (nv - 1)*VL)
        if part == 0:
            memset(db + column, 0, columns*sizeof(double))
        for chunk in range(chunk0, chunk1):
            first = chunk*KC
            pixels = min(KC, k.pixels - first)
            find_runs(s, first, pixels, KC, unit0 // per_run, (unit1 - 1) // per_run + 1, at, copies, zeros)
            pack_pixels(k, first, pixels, column, columns, nv, packed)
            if part == 0:
                add_pixels(packed, pixels, columns, nv, db + column)
            f.first = chunk == chunk0
            for unit in range(unit0, unit1):
                t = unit // per_run
                low = max(unit % per_run*UNIT, group*C)
                high = min(unit % per_run*UNIT + UNIT, s.length if s.by_row else (group + 1)*C)
                multiply_down(
                    at + t*KC, low, high, s.readable, pixels, nv, packed,
                    dw + (t*(s.length if s.by_row else C) - group*C)*k.K*k.groups, k.K*k.groups, &f,
                )


cdef inline void add_splits(Outer* k) noexcept nogil:
    """dw and db as the sums over the splits, in order."""
    cdef Py_ssize_t split, i
    cdef const real* part
    cdef double total
    if k.splits > 1:
        for i in range(k.partial_size):
            k.dw[i] = k.partial[i]
        for split in range(1, k.splits):
            part = k.partial + split*k.partial_size
            for i in range(k.partial_size):
                k.dw[i] = k.dw[i] + part[i]
    if k.db != NULL:
        for i in range(k.K*k.groups):
            total = 0
            for split in range(k.splits):
                total = total + k.partial_db[split*k.K*k.groups + i]
            k.db[i] = total
