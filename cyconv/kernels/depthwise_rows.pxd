# Rows of the source of a depthwise convolution: where their vectors begin, and their products with what they meet, for
# outputs (depthwise_tiles.pxd) and for weights (depthwise_weights.pxd).

from cyconv.kernels.simd cimport HOLD, OPAQUE, VL, load_upto, real, vec
from cyconv.kernels.windows cimport Axis

cdef enum:
    TILE = 7            # outputs of a row computed together; with 7 taps and a source vector they fit 16 registers
    WIDEST = 7          # taps of a row that are held in registers
    ANYWHERE = -1       # a tile whose windows may leave the source: every column is looked at
    WIDE = 1 << 10      # bytes of a pixel from which on vectors begin where lines of the cache do


cdef inline Py_ssize_t lead_of(const real* x, Py_ssize_t C) noexcept nogil:
    """Channels before the first vector that lies in one line of the cache, for all pixels alike.

    NumPy's arrays begin anywhere: vectors across two lines need both from the second-level cache, one after the other.
    With 512 channels, whose pixels fall on two sets of the first level, that took 1.8 times as long.
    """
    cdef Py_ssize_t size = VL*sizeof(real)
    if C % VL or C*<Py_ssize_t>sizeof(real) < WIDE:     # the parts at both ends take as long as four whole vectors
        return 0
    return (size - <Py_ssize_t>x % size) % size // <Py_ssize_t>sizeof(real)


cdef inline Py_ssize_t whole_end(Py_ssize_t C, Py_ssize_t lead) noexcept nogil:
    """The channel behind the last whole vector."""
    return C - (C - lead) % VL


cdef inline (Py_ssize_t, Py_ssize_t) rows_inside(const Axis* a, Py_ssize_t i) noexcept nogil:
    """Of the rows that output i sees, a slope apart, those first .. last - 1 inside the source."""
    cdef Py_ssize_t at = a.base + i*a.step
    cdef Py_ssize_t first = 0 if at >= 0 else (a.slope - 1 - at) // a.slope
    cdef Py_ssize_t last = 0 if at >= a.size else min(a.taps, (a.size - 1 - at) // a.slope + 1)
    return first, last


cdef inline void multiply_row(
    int taps, int step, int left, int right, bint turned, vec* acc, const vec* by, const real* x_i, Py_ssize_t iw,
    Py_ssize_t W, Py_ssize_t C, Py_ssize_t lanes,
) noexcept nogil:
    """A row of the source times what it meets in a tile.

    acc[j] += x[j*step + s]*by[s] for outputs j and taps s; `turned` acc[s] += x[j*step + s]*by[j].  A source vector is
    loaded once for all of them.  This has to be unrolled before GCC decides which arrays may live in registers: no
    division, no `continue`, and setup.py raises its limits.  Sums in memory doubled the time of stride 2.
    """
    cdef vec value
    cdef int block, t, u, s, j, column
    cdef bint inside
    for block in range(TILE + (taps - 1)//step):
        for t in range(step):
            column = block*step + t
            if left == ANYWHERE:
                inside = 0 <= iw + column < W
            else:
                inside = left <= column < (TILE - 1)*step + taps - right
            if inside:
                value = load_upto(x_i, lanes)
                HOLD(value)
                for u in range((taps - 1)//step + 1):
                    s = u*step + t
                    j = block - u
                    if s < taps and 0 <= j < TILE:
                        if turned:
                            acc[s] = acc[s] + value*by[j]
                        else:
                            acc[j] = acc[j] + value*by[s]
            x_i += C
            OPAQUE(x_i)


cdef inline void multiply_columns(
    bint inside, bint turned, vec* acc, const vec* by, const real* x_s, Py_ssize_t at, Py_ssize_t step, Py_ssize_t W,
    Py_ssize_t width, Py_ssize_t C, Py_ssize_t lanes,
) noexcept nogil:
    """`multiply_tap`, whose columns are all there, or are looked at one by one."""
    cdef vec value
    cdef int j
    for j in range(TILE):
        if inside or (j < width and 0 <= at + j*step < W):
            value = load_upto(x_s, lanes)
            HOLD(value)
            if turned:
                acc[0] = acc[0] + value*by[j]
            else:
                acc[j] = acc[j] + value*by[0]
        x_s += step*C
        OPAQUE(x_s)


cdef inline void multiply_tap(
    bint turned, vec* acc, const vec* by, const real* x_s, Py_ssize_t at, Py_ssize_t step, Py_ssize_t W,
    Py_ssize_t width, Py_ssize_t C, Py_ssize_t lanes,
) noexcept nogil:
    """As `multiply_row` for one tap of any window, whose first column is `at`, and the first `width` outputs."""
    if width == TILE and at >= 0 and at + (TILE - 1)*step < W:
        multiply_columns(True, turned, acc, by, x_s, at, step, W, width, C, lanes)
    else:
        multiply_columns(False, turned, acc, by, x_s, at, step, W, width, C, lanes)
