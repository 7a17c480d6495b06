# The tiles that cover an image's outputs, and which of the 36 products of a tile are needed.
#
# A side of H outputs takes ceil(H / M) tiles of M.  Where M does not divide H the last of them are short, M - 1
# outputs: 7 = 4 + 3, 14 = 4 + 4 + 3 + 3.  Short tiles need five of the six interpolation points, since the last one,
# infinity, is the highest coefficient of a polynomial: it goes to the last of M outputs and to no other
# (transform_output), and a filter whose last number is zero has none (transform_filter, for the outputs of a weight
# gradient).  So 14x14 takes 22*22 products for 24*24, and 7x7 11*11 for 12*12: 1.08 to 1.15 times the speed.
#
# The tiles of a block lie in an order in which those that need a product are neighbours.

from libc.string cimport memset

cdef enum:              # classes of tiles, in this order
    TALL                # M outputs high, but not wide
    WHOLE
    WIDE                # M outputs wide, but not high
    SMALL
    CLASSES

cdef struct Grid:
    int M
    Py_ssize_t H        # of the outputs
    Py_ssize_t W
    Py_ssize_t across   # tiles
    Py_ssize_t down
    Py_ssize_t wide     # columns of tiles that are M outputs wide, before those that are short
    Py_ssize_t tall     # and rows M outputs high

cdef struct Place:      # of a tile: its image, its first output and how many there are
    Py_ssize_t n
    Py_ssize_t h
    Py_ssize_t v
    int rows
    int columns


cdef inline Grid grid_of(int M, Py_ssize_t H, Py_ssize_t W) noexcept nogil:
    cdef Grid g
    g.M, g.H, g.W = M, H, W
    g.across, g.down = (W + M - 1) // M, (H + M - 1) // M
    g.wide, g.tall = max(0, W - g.across*(M - 1)), max(0, H - g.down*(M - 1))
    return g


cdef inline Place place_of(const Grid* g, Py_ssize_t tile) noexcept nogil:
    cdef Place p
    cdef Py_ssize_t row = tile // g.across % g.down, column = tile % g.across
    p.n = tile // (g.across*g.down)
    p.h, p.v = row*g.M - max(0, row - g.tall), column*g.M - max(0, column - g.wide)
    p.rows = <int>min(g.M if row < g.tall else g.M - 1, g.H - p.h)
    p.columns = <int>min(g.M if column < g.wide else g.M - 1, g.W - p.v)
    return p


cdef inline int class_of(const Grid* g, Py_ssize_t tile) noexcept nogil:
    if tile // g.across % g.down < g.tall:
        return WHOLE if tile % g.across < g.wide else TALL
    return WIDE if tile % g.across < g.wide else SMALL


cdef inline bint one_of_each(const Grid* g) noexcept nogil:
    """Whether an image has one tile of each class."""
    return g.across == 2 and g.down == 2 and g.wide == 1 and g.tall == 1


cdef inline Py_ssize_t tile_of(int c) noexcept nogil:
    """The tile of a class, where an image has one of each."""
    return (0 if c == TALL or c == WHOLE else 2) + (0 if c == WHOLE or c == WIDE else 1)


cdef inline bint in_need(int i, int j, int c) noexcept nogil:
    """Whether a tile of a class needs product 6*i + j."""
    return (i < 5 or c == TALL or c == WHOLE) and (j < 5 or c == WHOLE or c == WIDE)


cdef inline void put_in_order(
    const Grid* g, Py_ssize_t first, Py_ssize_t tiles, Py_ssize_t* slot, Py_ssize_t* start
) noexcept nogil:
    """The slot of each tile of a block; a class begins at start[class] and ends where the next begins."""
    cdef Py_ssize_t free[CLASSES]
    cdef Py_ssize_t i
    cdef int c
    memset(start, 0, (CLASSES + 1)*sizeof(Py_ssize_t))
    for i in range(tiles):
        start[class_of(g, first + i) + 1] += 1
    for c in range(CLASSES):
        start[c + 1] += start[c]
        free[c] = start[c]
    for i in range(tiles):
        c = class_of(g, first + i)
        slot[i] = free[c]
        free[c] += 1


cdef inline Py_ssize_t first_in_need(int e, const Py_ssize_t* start) noexcept nogil:
    """Of the slots whose tiles need product e."""
    return start[WHOLE] if e % 6 == 5 else 0


cdef inline Py_ssize_t end_of_need(int e, const Py_ssize_t* start) noexcept nogil:
    if e // 6 == 5:
        return start[WIDE]
    return start[SMALL] if e % 6 == 5 else start[CLASSES]
