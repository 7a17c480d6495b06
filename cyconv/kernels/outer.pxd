# The engine of the weight gradient: a sum of outer products over the output pixels.
#
#     dw[r, s, c, g*K + k] = sum_{n, q, p} x[n, row(q, r), col(p, s), g*C + c] * dy[n, q, p, g*K + k]
#     db[g*K + k]          = sum_{n, q, p} dy[n, q, p, g*K + k]
#
# Rows of the product are the numbers of a window (runs of a tap's channels, or of a whole window row, or of all those
# of a small window), columns are output channels, the reduction runs over pixels.  Loop order in a task: chunk of KC
# pixels, unit of rows, panel of dy, tile.  Both are read where they lie, x through one pointer per (run, pixel), and
# are fetched ahead (1.04 times as fast as to copy them with AVX-512, up to 1.2 times).  Not so where pixels are 4 KiB
# apart, whose lines all meet in few sets of L1, unless their groups are small; and a dy of several panels only if a row
# of one is 256 bytes (with AVX2 1.09 times slower): these panels are packed as the first unit meets them, and such a
# unit is copied.  The sums between chunks wait in dw itself.
#
# Tasks own disjoint rows and columns of dw.  Where dw is too small to keep threads busy, the pixels are cut into
# `splits` as well, as many as the geometry says and never as the threads do, each with a dw of its own, and these are
# added up in order: the same bits for any number of threads.  db is summed in float64: over a million pixels
# one chain in float32 was off by 6e-4.

from libc.string cimport memset

from cyconv.kernels.fetch cimport Next
from cyconv.kernels.scratch cimport lines, take
from cyconv.kernels.shares cimport Cut, cut_up
from cyconv.kernels.simd cimport KC, MR, NR, NV, VL, VLOAD, VSTORE, VZERO, load_lanes, load_upto, real, vec
from cyconv.kernels.tasks cimport Call, stopped
from cyconv.kernels.tile cimport AFAR, Finish, Panel, multiply_down, panel_at, panels_of
from cyconv.kernels.windows cimport Source, copies_runs, find_runs, plan_segments

cdef enum:
    UNIT = 96               # rows of dw that go to one task at least, a multiple of 2*MR
    MOST_PANELS = 8         # of a pass over the pixels: 512 KiB where they are packed, with AVX-512
    NEAR = 4096             # bytes between pixels whose lines share a set of L1
    FEW_PANELS = 4          # of a group
    WIDE = 256              # bytes of a row of a panel that is worth reading in place
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


cdef inline bint is_joint(const Source* s) noexcept nogil:
    """Whether the rows of a window are one unit together: alone they would not fill a tile, and take up to 1.5 times as
    long."""
    return s.by_row and s.length < 2*MR and s.segments*s.length <= UNIT


cdef inline Py_ssize_t units_of_run(const Outer* k) noexcept nogil:
    return (k.source.length + UNIT - 1) // UNIT


cdef inline void plan_outer(Outer* k, int threads) noexcept nogil:
    cdef Py_ssize_t chunks = (k.pixels + KC - 1) // KC, panels = panels_of(k.K)*k.groups
    cdef Cut cut
    plan_segments(&k.source, k.groups == 1, 0)
    k.partial_size = k.source.h.taps*k.source.w.taps*(k.source.C // k.groups)*k.K*k.groups
    k.splits = max(1, min(MOST_SPLITS, chunks // 2)) if k.partial_size <= SMALL else 1
    k.units = 1 if is_joint(&k.source) else k.source.segments*units_of_run(k)
    cut = cut_up(k.units, panels, 1, k.splits, 0.5, 0.2, threads)       # tried like conv.pyx's
    k.parts, k.panel_parts = cut.rows, cut.columns


cdef inline size_t outer_bytes(const Outer* k) noexcept nogil:
    cdef Py_ssize_t runs = KC*k.source.segments
    return (
        2*lines(runs, sizeof(void*)) + lines(KC, sizeof(void*)) + lines(KC*MOST_PANELS*NR, sizeof(real))
        + lines(KC*UNIT + VL, sizeof(real)) + lines(k.source.readable, sizeof(real))
        + lines(runs*k.source.readable if copies_runs(&k.source) else 0, sizeof(real))
    )


cdef inline void pack_pixels(
    const Outer* k, Py_ssize_t first, Py_ssize_t pixels, const Panel* c, real* panel
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


cdef inline void add_vectors(
    int nv, const real* panel, Py_ssize_t hop, Py_ssize_t pixels, vec* sums
) noexcept nogil:
    """sums[j] = the sum of vector j of each pixel."""
    cdef Py_ssize_t _
    cdef int j
    for j in range(nv):
        sums[j] = VZERO
    for _ in range(pixels):
        for j in range(nv):
            sums[j] = sums[j] + VLOAD(panel + j*VL)
        panel += hop


cdef inline void add_pixels(
    const real* panel, Py_ssize_t hop, Py_ssize_t pixels, const Panel* c, double* db
) noexcept nogil:
    """db += the sum of a chunk of a panel; within a chunk in vectors, between chunks in float64."""
    cdef vec sums[NV]
    cdef real* flat = <real*>sums
    cdef Py_ssize_t i
    if c.nv == NV:      # in registers
        add_vectors(NV, panel, hop, pixels, sums)
    else:
        add_vectors(c.nv, panel, hop, pixels, sums)
    for i in range(c.count):
        db[c.first + i] += flat[i]


cdef inline Py_ssize_t unit_pitch(const Outer* k) noexcept nogil:
    """Numbers from a pixel of a copied unit to the next, as few as hold a tile: a chunk of nine fits L1."""
    cdef Py_ssize_t rows = k.source.segments*k.source.length if is_joint(&k.source) else min(UNIT, k.source.length)
    return max(2*MR, (rows + VL - 1) // VL*VL)


cdef inline void pack_unit(
    const real** runs, Py_ssize_t low, Py_ssize_t high, Py_ssize_t pixels, real* unit, Py_ssize_t pitch
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
        unit += pitch


cdef inline void pack_joint(
    const real** runs, Py_ssize_t segments, Py_ssize_t length, Py_ssize_t pixels, real* unit, Py_ssize_t pitch
) noexcept nogil:
    """unit[i, t*length + j] = number j of run t of pixel i.  What a vector has too much the next run overwrites."""
    cdef Py_ssize_t i, t, j
    for i in range(pixels):
        for t in range(segments):
            VSTORE(unit + t*length, load_upto(runs[t*KC + i], length))
            j = VL
            while j < length:
                VSTORE(unit + t*length + j, load_upto(runs[t*KC + i] + j, length - j))
                j += VL
        unit += pitch


cdef struct Share:
    # Of one task: units of rows and panels of columns of a dw, which may be that of a split, and the working memory
    Py_ssize_t unit0
    Py_ssize_t unit1
    Py_ssize_t panel0
    Py_ssize_t panel1
    real* dw
    double* db              # NULL where another task sums it
    const real** at         # KC pointers to each run of x
    Py_ssize_t pixels
    const real** later      # those of the next chunk
    Py_ssize_t later_pixels     # 0 if there is none
    const real** rows       # KC to those of `unit`
    real* unit
    real* panels


cdef inline Py_ssize_t find_chunk(
    const Outer* k, const Share* d, Py_ssize_t chunk, const real** at, real* copies, const real* zeros
) noexcept nogil:
    """at[t*KC + i]: where run t of pixel i of the chunk begins; returns how many pixels there are."""
    cdef Py_ssize_t in_run = units_of_run(k), pixels = min(KC, k.pixels - chunk*KC)
    if is_joint(&k.source):
        find_runs(&k.source, chunk*KC, pixels, KC, 0, k.source.segments, at, copies, zeros)
    else:
        find_runs(&k.source, chunk*KC, pixels, KC, d.unit0 // in_run, (d.unit1 - 1) // in_run + 1, at, copies, zeros)
    return pixels


cdef inline bint reads_x(const Outer* k) noexcept nogil:
    """Whether runs of x are read in place: those that are one unit always are, and those of many groups, whose numbers
    meet too few columns to be worth a copy (32 groups of 32 channels: 1.3 to 1.7 times as fast)."""
    cdef Py_ssize_t apart = k.source.w.step*k.source.C*sizeof(real)
    cdef bint few = k.groups > 1 and panels_of(k.K) <= FEW_PANELS
    return k.source.length >= 2*MR and (units_of_run(k) == 1 or apart < NEAR or few)


cdef inline bint reads_dy(const Outer* k, const Panel* c) noexcept nogil:
    """Whether a panel of dy is read in place: only if it ends with a whole vector."""
    cdef Py_ssize_t width = c.nv*VL*sizeof(real), apart = k.K*k.groups*sizeof(real)
    return c.count == c.nv*VL and (width == apart or (width >= WIDE and apart < NEAR))


cdef inline int expect_operands(
    const Outer* k, const Share* d, Py_ssize_t unit, Py_ssize_t panel, const Panel* c, Py_ssize_t first, Next* next
) noexcept nogil:
    """What is read for the first time after this unit and panel; the panels of a unit share out the runs of the next.

    Only the first tap's runs count: the others read the same pixels again.  Nor does what is all of a pixel, as the
    processor sees that coming by itself."""
    cdef Py_ssize_t in_run = units_of_run(k), panels = d.panel1 - d.panel0, then, low, pixels
    cdef bint last = unit == d.unit1 - 1
    cdef int n = 0
    then = d.unit0 if last else unit + 1
    pixels = d.later_pixels if last else d.pixels
    if pixels and then - d.unit0 < in_run:
        low = (panel - d.panel0)*pixels // panels
        next[n].at = (d.later if last else d.at) + then // in_run*KC + low
        next[n].start = then % in_run*UNIT
        next[n].rows = (panel - d.panel0 + 1)*pixels // panels - low
        next[n].run = min(UNIT, k.source.length - next[n].start)
        n += next[n].run < k.source.C
    if last and d.later_pixels and c.count < k.K*k.groups:
        next[n].at, next[n].first = NULL, k.dy + (first + KC)*k.K*k.groups + c.first
        next[n].rows, next[n].pitch, next[n].run = d.later_pixels, k.K*k.groups, c.count
        n += 1
    return n


cdef inline void multiply_chunk(const Outer* k, const Share* d, Py_ssize_t first, bint overwrite) noexcept nogil:
    """dw (+)= the units' rows times the panels' columns, over the pixels of the chunk that begins with `first`."""
    cdef const Source* s = &k.source
    cdef Py_ssize_t C = s.C // k.groups, in_run = units_of_run(k), pitch = k.K*k.groups
    cdef Py_ssize_t unit, panel, t, low, high, start, end, readable, base, hop
    cdef const real** x_p
    cdef real* packed
    cdef const real* dy_p
    cdef Panel c
    cdef Finish f
    cdef Next next[2]
    cdef int nexts
    f.first, f.last, f.far, f.relu, f.bias = overwrite, False, True, False, NULL
    for unit in range(d.unit0, d.unit1):
        t, low = unit // in_run, unit % in_run*UNIT
        high = min(low + UNIT, s.length)
        x_p, readable, base = d.at + t*KC, s.length, 0
        if is_joint(s):
            pack_joint(d.at, s.segments, s.length, d.pixels, d.unit, unit_pitch(k))
            x_p, readable, high = d.rows, unit_pitch(k), s.segments*s.length
        elif not reads_x(k):
            pack_unit(x_p, low, high, d.pixels, d.unit, unit_pitch(k))
            x_p, readable, base = d.rows, unit_pitch(k), low
        for panel in range(d.panel0, d.panel1):
            c = panel_at(k.K, panel)
            packed = d.panels + (panel - d.panel0)*KC*NR
            dy_p, hop = packed, c.nv*VL
            if reads_dy(k, &c):
                dy_p, hop = k.dy + first*pitch + c.first, pitch
            if unit == d.unit0:
                if dy_p == packed:
                    pack_pixels(k, first, d.pixels, &c, packed)
                if d.db != NULL:
                    add_pixels(dy_p, hop, d.pixels, &c, d.db)
            start = max(low, c.group*C)
            end = high if s.by_row else min(high, (c.group + 1)*C)
            f.column, f.lanes = c.first, <int>(c.count - (c.nv - 1)*VL)
            nexts = expect_operands(k, d, unit, panel, &c, first, next)
            multiply_down(
                AFAR, x_p, start - base, end - base, readable, d.pixels, c.nv, dy_p, hop,
                d.dw + (t*(s.length if s.by_row else C) - c.group*C + base)*pitch, pitch, &f, next, nexts,
            )


cdef inline void outer_task(const void* problem, Py_ssize_t index, char* scratch, Call* call) noexcept nogil:
    cdef const Outer* k = <const Outer*>problem
    cdef const Source* s = &k.source
    cdef Py_ssize_t part = index % k.parts, panel_part = index // k.parts % k.panel_parts
    cdef Py_ssize_t split = index // (k.parts*k.panel_parts)
    cdef Py_ssize_t total = panels_of(k.K)*k.groups, chunks = (k.pixels + KC - 1) // KC
    cdef Py_ssize_t chunk0 = split*chunks // k.splits, chunk1 = (split + 1)*chunks // k.splits
    cdef Py_ssize_t panel1 = (panel_part + 1)*total // k.panel_parts, chunk, i
    cdef Share d
    d.unit0, d.unit1 = part*k.units // k.parts, (part + 1)*k.units // k.parts
    d.panel0 = panel_part*total // k.panel_parts
    d.dw = k.dw if k.splits == 1 else k.partial + split*k.partial_size
    d.db = k.partial_db + split*k.K*k.groups if part == 0 and k.db != NULL else NULL
    d.at = <const real**>take(&scratch, KC*s.segments, sizeof(void*))
    d.later = <const real**>take(&scratch, KC*s.segments, sizeof(void*))
    d.rows = <const real**>take(&scratch, KC, sizeof(void*))
    d.panels = <real*>take(&scratch, KC*MOST_PANELS*NR, sizeof(real))
    d.unit = <real*>take(&scratch, KC*UNIT + VL, sizeof(real))
    cdef real* zeros = <real*>take(&scratch, s.readable, sizeof(real))
    cdef real* copies = <real*>scratch
    memset(zeros, 0, s.readable*sizeof(real))
    for i in range(KC):
        d.rows[i] = d.unit + i*unit_pitch(k)
    if d.db != NULL:
        for i in range(d.panel0, panel1):
            memset(d.db + panel_at(k.K, i).first, 0, panel_at(k.K, i).count*sizeof(double))
    while d.panel0 < panel1:
        d.panel1 = min(d.panel0 + MOST_PANELS, panel1)
        d.later_pixels = 0
        for chunk in range(chunk0, chunk1):
            if d.later_pixels:
                d.at, d.later, d.pixels, d.later_pixels = d.later, d.at, d.later_pixels, 0
            else:
                d.pixels = find_chunk(k, &d, chunk, d.at, copies, zeros)
            if chunk + 1 < chunk1 and not copies_runs(s):       # there is room for the copies of one chunk
                d.later_pixels = find_chunk(k, &d, chunk + 1, d.later, copies, zeros)
            if stopped(call, d.pixels*(d.panel1 - d.panel0)*NR*(d.unit1 - d.unit0)*UNIT):
                return
            multiply_chunk(k, &d, chunk*KC, chunk == chunk0)
        d.panel0 = d.panel1


cdef inline void add_splits(
    real* dw, const real* partial, Py_ssize_t size, double* db, const double* partial_db, Py_ssize_t K,
    Py_ssize_t splits,
) noexcept nogil:
    """dw of `size` numbers and db of K, unless NULL, as the sums over the splits, in order; of one, dw is there."""
    cdef Py_ssize_t split, i
    cdef double total
    if splits > 1:
        for i in range(size):
            dw[i] = partial[i]
        for split in range(1, splits):
            for i in range(size):
                dw[i] = dw[i] + partial[split*size + i]
    if db != NULL:
        for i in range(K):
            total = 0
            for split in range(splits):
                total = total + partial_db[split*K + i]
            db[i] = total
