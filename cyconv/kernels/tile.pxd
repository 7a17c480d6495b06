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
# AFAR is DOWN for a long panel: where that is more than the first-level cache holds, it fetches rows SOON before they
# are needed.  With two multiply-adds of 512 bits in a cycle it is 1.03 times as fast.
#
# The first tiles to read a source wait for memory: 1.1 to 1.5 times as long as those that find it in the second-level
# cache.  COLD is ACROSS for them: it fetches, a line of each row at a time, what lies a `hop` ahead.
#
# PACK is ACROSS for the first tile of a panel: it takes the weights from where they lie, a `hop` between rows, and
# leaves them in the panel.  To pack before takes as long as two tiles, and a map of 7x7 has nine: that is 1.07 times as
# fast, and half a tile for a last one of few rows 1.04 times.  It fetches the rows it will take: 8 KiB apart, they took
# as long as two tiles without, and take 1.3 of one with it.  LOOSE leaves nothing, for half a tile that is alone.
#
# `rows`, `nv` and the way are compile-time constants at every call, so that the loops unroll and `acc` is never in
# memory: `CYTHON_INLINE` forces the inlining (setup.py), and a spilled accumulator halves the speed.

from cyconv.kernels.fetch cimport LINE, Next, fetch, share_fetch
from cyconv.kernels.simd cimport (
    HOLD, KC, MR, NR, NV, OPAQUE, PREFETCH, VL, VLOAD, VSELECT, VSTORE, VGREATER, VZERO, load_lanes, real,
    store_lanes, vec,
)

cdef enum:
    FEWER = 2*MR//3     # rows of a smaller tile,
    MORE = 3*MR//2      # and of one between MR and 2*MR
    SOON = 6        # rows between those of AFAR's panel that are multiplied and those that are fetched
    CACHE = 32768   # bytes
    AHEAD = 16      # rows between the weights that are packed and those that are fetched: of 4 to 16 the best

cdef enum Way:
    ACROSS
    COLD
    PACK
    LOOSE
    DOWN
    AFAR

cdef struct Finish:
    # Where the sums of a tile go: out[i] + column for i in [lo, hi), the last vector of a row cut to `lanes`.
    real** out
    Py_ssize_t column
    int lo
    int hi
    int lanes
    bint first          # nothing has been summed here yet: overwrite
    bint last           # nothing more will be: add the bias, apply the activation
    bint far            # they lie in no cache and are fetched meanwhile: 1.05 times the speed (1x1, 64 to 256 channels)
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
    Py_ssize_t segments, Py_ssize_t length, real* panel, const real* loose, Py_ssize_t hop, const Finish* f,
) noexcept nogil:
    cdef vec acc[2*MR][NV]
    cdef vec w[NV]
    cdef const real* a[2*MR]
    cdef real scalar
    cdef Py_ssize_t t, c, end
    cdef int i, j
    cdef bint from_loose = way == PACK or way == LOOSE, down = way == DOWN or way == AFAR
    for i in range(rows):
        for j in range(nv):
            acc[i][j] = VZERO
            if f.far:
                PREFETCH(f.out[i] + f.column + j*VL)
    for t in range(segments):
        if not down:
            for i in range(rows):
                a[i] = at[t*pitch + i] + start
        c, end = 0, length
        while c < length:
            if way == COLD:
                end = min(c + LINE, length)
                for i in range(rows):
                    PREFETCH(a[i] + c + hop)
            while c < end:
                if down:
                    a[0] = at[c] + start
                    OPAQUE(a[0])    # else GCC keeps start + i for every i, has no registers left and spills sums
                for j in range(nv):
                    w[j] = VLOAD((loose if from_loose else panel) + j*VL)
                    if way == PACK:
                        VSTORE(panel + j*VL, w[j])
                    if from_loose:
                        PREFETCH(loose + AHEAD*hop + j*VL)
                    if way == AFAR and KC*NR*<Py_ssize_t>sizeof(real) > CACHE:
                        PREFETCH(panel + SOON*hop + j*VL)
                panel += hop if down else nv*VL
                if from_loose:
                    loose += hop
                # Unless they are held GCC renames sums from round to round, and some spill: DOWN at once, or one of 24
                # still does in Winograd's gradient; the others after all of them, with which AVX2 is 1 % faster.
                for i in range(rows):
                    scalar = a[0][i] if down else a[i][c]
                    for j in range(nv):
                        acc[i][j] = acc[i][j] + scalar * w[j]
                        if down:
                            HOLD(acc[i][j])
                for i in range(rows):
                    for j in range(nv):
                        if not down:
                            HOLD(acc[i][j])
                c += 1
    for i in range(rows):
        if f.lo <= i < f.hi:
            finish_row(acc[i], nv, i, f)


cdef inline int tile_rows(int nv) noexcept nogil:
    """Rows of a tile of nv vectors: twice as many where a row has half the vectors or fewer."""
    return 2*MR if 2*nv <= NV else MR


cdef inline bint suits_fewer(int nv, Py_ssize_t rows) noexcept nogil:
    """Whether the last `rows` are best begun with a tile of FEWER: four alone, seven as four and three."""
    return tile_rows(nv) == MR and (rows <= FEWER or MR < rows <= 2*FEWER)


cdef inline bint suits_more(int nv, Py_ssize_t rows) noexcept nogil:
    """Whether the last `rows` are best begun with a tile of MORE: nine alone, 15 as nine and six."""
    return tile_rows(nv) == 2*MR and (MR < rows <= MORE or 2*MR < rows <= MR + MORE)


cdef inline int panels_of(Py_ssize_t columns) noexcept nogil:
    """Panels of at most NV vectors that cover the columns; their vectors are shared out evenly."""
    return <int>((columns + NV*VL - 1) // (NV*VL))


cdef inline Py_ssize_t panel_start(Py_ssize_t columns, Py_ssize_t panels, Py_ssize_t index) noexcept nogil:
    """First vector of a panel."""
    return index*((columns + VL - 1) // VL) // panels


cdef struct Panel:
    # `count` columns in nv vectors, from `first` on, counted through the groups of K columns each
    Py_ssize_t group
    Py_ssize_t first
    Py_ssize_t count
    int nv


cdef inline Panel panel_at(Py_ssize_t K, Py_ssize_t index) noexcept nogil:
    """Panel `index` of all groups."""
    cdef Panel p
    cdef Py_ssize_t panels = panels_of(K), vector = panel_start(K, panels, index % panels)
    p.group = index // panels
    p.nv = <int>(panel_start(K, panels, index % panels + 1) - vector)
    p.first = p.group*K + vector*VL
    p.count = min(p.nv*VL, K - vector*VL)
    return p


cdef inline void tile_across(
    Way way, int sixths, int nv, const real** at, Py_ssize_t pitch, Py_ssize_t start, Py_ssize_t segments,
    Py_ssize_t length, real* panel, const real* loose, Py_ssize_t hop, const Finish* f,
) noexcept nogil:
    """One tile, or one of so many sixths of the rows: four only where a row has more than half the vectors."""
    if nv == 1 and sixths != 4:
        tile(way, tile_rows(1)*sixths//6, 1, at, pitch, start, segments, length, panel, loose, hop, f)
    elif nv == 2 and (sixths != 4 or NV == 2):
        tile(way, tile_rows(2)*sixths//6, 2, at, pitch, start, segments, length, panel, loose, hop, f)
    elif NV > 2 and nv == 3:
        tile(way, tile_rows(3)*sixths//6, NV - 1, at, pitch, start, segments, length, panel, loose, hop, f)
    elif NV > 2:
        tile(way, tile_rows(4)*sixths//6, NV, at, pitch, start, segments, length, panel, loose, hop, f)


cdef inline void multiply_across(
    bint thirds, int nv, const real** at, Py_ssize_t pitch, Py_ssize_t count, Py_ssize_t start, Py_ssize_t segments,
    Py_ssize_t length, real* panel, const real* loose, Py_ssize_t hop, Finish* f, real** out,
) noexcept nogil:
    """out[i][f.column ...] (+)= sum over segments and length, for `count` rows; at and out have 2*MR spare ones.

    The panel is to be made of whole vectors of the rows `loose`, unless that is NULL, `hop` numbers apart.  If it is,
    and the source is still in memory, the row read a tile later lies `hop` numbers further; 0 where it is not.

    `thirds` is for few rows, as Winograd's tiles are: with it what is left may go in a tile of FEWER, and 7x7 is 1.08
    to 1.18 times as fast.  The blocks of direct convolution leave little, and with more tiles in one function the
    compiler does worse at all of them: 3 to 13 % for few columns.
    """
    cdef Py_ssize_t i = 0
    while i < count:
        f.out = out + i
        f.hi = <int>min(count - i, tile_rows(nv))
        if loose == NULL and hop:
            tile_across(COLD, 6, nv, at + i, pitch, start, segments, length, panel, NULL, hop, f)
        elif loose != NULL and 2*count <= tile_rows(nv):
            tile_across(LOOSE, 3, nv, at, pitch, start, segments, length, panel, loose, hop, f)
        elif loose != NULL and i == 0:
            tile_across(PACK, 6, nv, at + i, pitch, start, segments, length, panel, loose, hop, f)
        elif 2*f.hi <= tile_rows(nv):
            tile_across(ACROSS, 3, nv, at + i, pitch, start, segments, length, panel, NULL, 0, f)
        elif thirds and suits_fewer(nv, count - i):
            f.hi = <int>min(count - i, FEWER)
            tile_across(ACROSS, 4, nv, at + i, pitch, start, segments, length, panel, NULL, 0, f)
            i += FEWER
            continue
        else:
            tile_across(ACROSS, 6, nv, at + i, pitch, start, segments, length, panel, NULL, 0, f)
        i += tile_rows(nv)


cdef inline void multiply_down(
    Way way, const real** at, Py_ssize_t low, Py_ssize_t high, Py_ssize_t readable, Py_ssize_t pixels, int nv,
    real* panel, Py_ssize_t hop, real* target, Py_ssize_t pitch, Finish* f, Next* next, int nexts,
) noexcept nogil:
    """target[row, :] (+)= sum_i at[i][row] * panel[i, :], low <= row < high; at[i] has `readable` >= 2*MR numbers.

    `way` is DOWN or AFAR.  Rows of the panel are `hop` numbers apart, those of the target `pitch`.
    """
    cdef real* out[2*MR]
    cdef Py_ssize_t row = low, start, i
    cdef int rows
    if low >= high:         # a unit may hold nothing of a panel's group
        return
    f.out = out
    share_fetch(next, nexts, (high - low + tile_rows(nv) - 1) // tile_rows(nv))
    while row < high:
        rows = tile_rows(nv) if high - row > MR else MR         # the last rows in a smaller tile if they fit
        if suits_fewer(nv, high - row):
            rows = FEWER
        if suits_more(nv, high - row):
            rows = MORE
        start = max(0, min(row, readable - rows))
        for i in range(rows):
            out[i] = target + (start + i)*pitch
        f.lo, f.hi = <int>(row - start), <int>min(rows, high - start)
        fetch(next, nexts)
        if nv == 1 and rows == MORE:
            tile(way, MORE, 1, at, 0, start, 1, pixels, panel, NULL, hop, f)
        elif nv == 1 and rows > MR:
            tile(way, tile_rows(1), 1, at, 0, start, 1, pixels, panel, NULL, hop, f)
        elif nv == 1:
            tile(way, MR, 1, at, 0, start, 1, pixels, panel, NULL, hop, f)
        elif NV == 2 and nv == 2 and rows < MR:
            tile(way, FEWER, 2, at, 0, start, 1, pixels, panel, NULL, hop, f)
        elif NV > 2 and nv == 2 and rows == MORE:
            tile(way, MORE, 2, at, 0, start, 1, pixels, panel, NULL, hop, f)
        elif NV > 2 and nv == 2 and rows > MR:
            tile(way, tile_rows(2), 2, at, 0, start, 1, pixels, panel, NULL, hop, f)
        elif nv == 2:
            tile(way, MR, 2, at, 0, start, 1, pixels, panel, NULL, hop, f)
        elif NV > 2 and nv == 3 and rows < MR:
            tile(way, FEWER, NV - 1, at, 0, start, 1, pixels, panel, NULL, hop, f)
        elif NV > 2 and nv == 3:
            tile(way, MR, NV - 1, at, 0, start, 1, pixels, panel, NULL, hop, f)
        elif NV > 2 and rows < MR:
            tile(way, FEWER, NV, at, 0, start, 1, pixels, panel, NULL, hop, f)
        elif NV > 2:
            tile(way, MR, NV, at, 0, start, 1, pixels, panel, NULL, hop, f)
        row = start + f.hi
