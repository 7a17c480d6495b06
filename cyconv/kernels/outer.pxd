# The engine of the weight gradient: a sum of outer products over the output pixels.
#
#     dw[r, s, c, g*K + k] = sum_{n, q, p} x[n, row(q, r), col(p, s), g*C + c] * dy[n, q, p, g*K + k]
#     db[g*K + k]          = sum_{n, q, p} dy[n, q, p, g*K + k]
#
# Rows of the product are the numbers of a window (runs of a tap's channels, or of a whole window row), columns are
# output channels, the reduction runs over pixels.  Loop order in a task: chunk of KC pixels, unit of rows, panel of dy,
# tile.  The panels of a chunk are packed once, to be in L1 one by one; a unit is copied from x through one pointer per
# (run, pixel), because in x its pixels may be 4 KiB apart, and of such lines L1 holds 12.  The sums between chunks wait
# in dw itself.
#
# Tasks own disjoint rows and columns of dw.  Where dw is too small to keep threads busy, the pixels are cut into
# `splits` as well, as many as the geometry says and never as the threads do, each with a dw of its own, and these are
# added up in order: the same bits for any number of threads.  db is summed in float64: over a million pixels
# one chain in float32 was off by 6e-4.

from libc.string cimport memset

from cyconv.kernels.scratch cimport lines, take
from cyconv.kernels.simd cimport KC, MR, NR, NV, VL, VLOAD, VSTORE, VZERO, load_lanes, real, vec
from cyconv.kernels.tasks cimport Call, stopped
from cyconv.kernels.tile cimport Finish, multiply_down, panel_start, panels_of
from cyconv.kernels.windows cimport Source, copies_runs, find_runs, plan_segments

cdef enum:
    UNIT = 96               # rows of dw that go to one task at least, a multiple of 2*MR
    MOST_PANELS = 8         # packed at a time: 256 KiB with AVX-512
    SMALL = 65536           # numbers in a dw that is cheaper to have many times than to compute row by row
    MOST_SPLITS = 16

cdef struct Columns:
    # Those of a panel: `count` columns of dy and dw from `first` on, in nv vectors
    Py_ssize_t group
    Py_ssize_t first
    Py_ssize_t count
    int nv

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
    plan_segments(&k.source, k.groups == 1, 0)
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
        lines(runs, sizeof(void*)) + lines(KC, sizeof(void*)) + lines(KC*MOST_PANELS*NR, sizeof(real))
        + lines(KC*UNIT, sizeof(real)) + lines(k.source.readable, sizeof(real))
        + lines(runs*k.source.readable if copies_runs(&k.source) else 0, sizeof(real))
    )


cdef inline void pack_pixels(
    const Outer* k, Py_ssize_t first, Py_ssize_t pixels, const Columns* c, real* panel
) noexcept nogil:
    """panel[i, :] = columns c of dy of pixel first + i, zeros after them."""
    cdef const real* dy_p = k.dy + first*k.K*k.groups + c.first
    cdef Py_ssize_t _, j, whole = c.count // VL
    for _ in range(pixels):
        for j in range(whole):
            VSTORE(panel + j*VL, VLOAD(dy_p + j*VL))
        if whole < c.nv:
            VSTORE(panel + whole*VL, load_lanes(dy_p + whole*VL, <int>(c.count % VL)))
        dy_p += k.K*k.groups
        panel += c.nv*VL


cdef inline void add_pixels(const real* panel, Py_ssize_t pixels, const Columns* c, double* db) noexcept nogil:
    """db += the sum of a chunk of a panel; within a chunk in vectors, between chunks in float64."""
    cdef vec sums[NV]
    cdef real* flat = <real*>sums
    cdef Py_ssize_t i
    cdef int j
    for j in range(c.nv):
        sums[j] = VZERO
    for i in range(pixels):
        for j in range(c.nv):
            sums[j] = sums[j] + VLOAD(panel + (i*c.nv + j)*VL)
    for i in range(c.count):
        db[c.first + i] += flat[i]


cdef inline void pack_unit(
    const real** runs, Py_ssize_t low, Py_ssize_t high, Py_ssize_t pixels, real* unit
) noexcept nogil:
    """unit[i, :] = numbers low .. high - 1 of run i, and zeros to the end of their last vector."""
    cdef Py_ssize_t i, j, whole = (high - low) // VL
    cdef int rest = <int>((high - low) % VL)
    cdef const real* x_i
    for i in range(pixels):
        x_i = runs[i] + low
        for j in range(whole):
            VSTORE(unit + j*VL, VLOAD(x_i + j*VL))
        if rest:
            VSTORE(unit + whole*VL, load_lanes(x_i + whole*VL, rest))
        unit += UNIT


cdef inline Columns columns_of(const Outer* k, Py_ssize_t panel) noexcept nogil:
    cdef Columns c
    cdef Py_ssize_t panels = panels_of(k.K), vector = panel_start(k.K, panels, panel % panels)
    c.group = panel // panels
    c.nv = <int>(panel_start(k.K, panels, panel % panels + 1) - vector)
    c.first = c.group*k.K + vector*VL
    c.count = min(c.nv*VL, k.K - vector*VL)
    return c


cdef inline void multiply_chunk(
    const Outer* k, const real** at, Py_ssize_t pixels, Py_ssize_t unit0, Py_ssize_t unit1, Py_ssize_t panel0,
    Py_ssize_t panel1, const real* packed, real* copied, const real** rows, real* dw, bint first,
) noexcept nogil:
    """dw (+)= the units' rows times the panels' columns, over the pixels of a chunk."""
    cdef const Source* s = &k.source
    cdef Py_ssize_t C = s.C // k.groups, in_run = units_of_run(k), pitch = k.K*k.groups
    cdef Py_ssize_t unit, panel, t, low, high, start, end
    cdef Columns c
    cdef Finish f
    f.first, f.last, f.relu, f.bias = first, False, False, NULL
    for unit in range(unit0, unit1):
        t, low = unit // in_run, unit % in_run*UNIT
        high = min(low + UNIT, s.length)
        pack_unit(at + t*KC, low, high, pixels, copied)
        for panel in range(panel0, panel1):
            c = columns_of(k, panel)
            start = max(low, c.group*C)
            end = high if s.by_row else min(high, (c.group + 1)*C)
            f.column, f.lanes = c.first, <int>(c.count - (c.nv - 1)*VL)
            multiply_down(
                rows, start - low, end - low, UNIT, pixels, c.nv, packed + (panel - panel0)*KC*NR,
                dw + (t*(s.length if s.by_row else C) - c.group*C + low)*pitch, pitch, &f,
            )


cdef inline void outer_task(const void* problem, Py_ssize_t index, char* scratch, Call* call) noexcept nogil:
    cdef const Outer* k = <const Outer*>problem
    cdef const Source* s = &k.source
    cdef Py_ssize_t part = index % k.parts, panel_part = index // k.parts % k.panel_parts
    cdef Py_ssize_t split = index // (k.parts*k.panel_parts)
    cdef Py_ssize_t unit0 = part*k.units // k.parts, unit1 = (part + 1)*k.units // k.parts, in_run = units_of_run(k)
    cdef Py_ssize_t total = panels_of(k.K)*k.groups, chunks = (k.pixels + KC - 1) // KC
    cdef Py_ssize_t chunk0 = split*chunks // k.splits, chunk1 = (split + 1)*chunks // k.splits
    cdef Py_ssize_t panel0 = panel_part*total // k.panel_parts, end = (panel_part + 1)*total // k.panel_parts
    cdef Py_ssize_t panel1, panel, chunk, pixels, i
    cdef real* dw = k.dw if k.splits == 1 else k.partial + split*k.partial_size
    cdef double* db = k.partial_db + split*k.K*k.groups
    cdef const real** at = <const real**>take(&scratch, KC*s.segments, sizeof(void*))
    cdef const real** rows = <const real**>take(&scratch, KC, sizeof(void*))
    cdef real* packed = <real*>take(&scratch, KC*MOST_PANELS*NR, sizeof(real))
    cdef real* copied = <real*>take(&scratch, KC*UNIT, sizeof(real))
    cdef real* zeros = <real*>take(&scratch, s.readable, sizeof(real))
    cdef real* copies = <real*>scratch
    cdef Columns c
    memset(zeros, 0, s.readable*sizeof(real))
    for i in range(KC):
        rows[i] = copied + i*UNIT
    while panel0 < end:
        panel1 = min(panel0 + MOST_PANELS, end)
        if part == 0:
            for panel in range(panel0, panel1):
                c = columns_of(k, panel)
                memset(db + c.first, 0, c.count*sizeof(double))
        for chunk in range(chunk0, chunk1):
            pixels = min(KC, k.pixels - chunk*KC)
            if stopped(call, pixels*(panel1 - panel0)*NR*(unit1 - unit0)*UNIT):
                return
            find_runs(s, chunk*KC, pixels, KC, unit0 // in_run, (unit1 - 1) // in_run + 1, at, copies, zeros)
            for panel in range(panel0, panel1):
                c = columns_of(k, panel)
                pack_pixels(k, chunk*KC, pixels, &c, packed + (panel - panel0)*KC*NR)
                if part == 0:
                    add_pixels(packed + (panel - panel0)*KC*NR, pixels, &c, db)
            multiply_chunk(
                k, at, pixels, unit0, unit1, panel0, panel1, packed, copied, rows, dw, chunk == chunk0
            )
        panel0 = panel1


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
