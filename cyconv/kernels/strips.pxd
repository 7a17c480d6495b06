# Windows of 3x3 in strips: a few rows of the target together, over all their columns.
#
# Block after block of as many columns of the source as the stride, each column is loaded once and meets all it can: the
# windows over it, of which a ring of two or three columns of the target is under way, in up to TALLEST rows.  So a
# vector of outputs costs 1.5 loads and stays in a register from its first column to its last.  Depthwise convolution,
# whose tiles (depthwise_tiles.pxd) need 3.9 loads, is 1.1 to 1.35 times as fast as in tiles two rows high.
#
# The weight gradient is the same walk with window and ring exchanged: sums of nine taps, the ring holds dy.  Pooling
# reduces the rows of a column first, as it does elsewhere, so that its results have the same bits.

from cyconv.kernels.bypass cimport put
from cyconv.kernels.fetch cimport LINE, fetch_pixels
from cyconv.kernels.simd cimport (
    HOLD, LOWEST, NV, OPAQUE, VFILL, VGREATER, VL, VLOAD, VSELECT, VSTORE, VZERO, larger, load_upto, real, vec,
)

cdef enum:
    SIDE = 3            # of a window
    TALLEST = NV        # rows: 12 vectors of the ring, 9 of the window and one of the source are in 32 registers
    SPAN = 112          # columns at most: what a vector of a strip reads and writes stays in the second-level cache

cdef enum Walk:
    OUTPUTS             # += source * window, from the bias on
    WEIGHTS             # window += source * dy
    MAXIMA              # of the source
    AVERAGES            # sums of the source / what windows hold

cdef struct Strip:
    Py_ssize_t C
    Py_ssize_t W            # columns of the source
    Py_ssize_t slope        # of them from tap to tap
    Py_ssize_t x_row        # numbers from what one tap sees to what the next one sees
    Py_ssize_t x_column
    Py_ssize_t y_row        # and from output to output
    Py_ssize_t y_column
    bint far                # see `fetch_pixels`
    bint past               # outputs are written past the caches
    bint relu               # of outputs
    bint biased             # the sum of dy is asked for
    real held[TALLEST]      # rows of averages' windows, or their divisors
    const real* held_w      # and columns


cdef inline int tallest(Py_ssize_t rows) noexcept nogil:
    """Height of the next strip of so many rows."""
    return TALLEST if rows >= TALLEST else 2 if rows >= 2 else 1


cdef inline void multiply_column(
    Walk walk, int step, int height, int fresh, int newest, int oldest, int t, bint top, bint bottom, vec* ring,
    vec* window, const real* x_i, Py_ssize_t x_row, Py_ssize_t lanes,
) noexcept nogil:
    cdef int i, u, a, slot, tap, live = (SIDE - 1)//step + 1, seen = SIDE + (height - 1)*step
    cdef vec value
    for i in range(seen):
        if (i > 0 or top) and (i < seen - 1 or bottom):
            value = load_upto(x_i, lanes)
            HOLD(value)
            for u in range(live):
                slot = (fresh + u if fresh + u < live else fresh + u - live)*height
                for a in range(height):
                    tap = (i - a*step)*SIDE + u*step + t
                    if newest <= u <= oldest and u*step + t < SIDE and a*step <= i < a*step + SIDE:
                        if walk == WEIGHTS:
                            window[tap] = window[tap] + value*ring[slot + a]
                        else:
                            ring[slot + a] = ring[slot + a] + value*window[tap]
        x_i += x_row
        OPAQUE(x_i)


cdef inline void join(Walk walk, vec value, vec* reduced) noexcept nogil:
    reduced[0] = larger(value, reduced[0]) if walk == MAXIMA else reduced[0] + value


cdef inline void reduce_column(
    Walk walk, int step, int height, int fresh, int newest, int oldest, int t, bint top, bint bottom, vec* ring,
    const real* x_i, Py_ssize_t x_row, Py_ssize_t lanes,
) noexcept nogil:
    """Rows first, then columns."""
    cdef int i, u, a, slot, live = (SIDE - 1)//step + 1, seen = SIDE + (height - 1)*step
    cdef vec column[TALLEST]
    cdef vec value
    for a in range(height):
        column[a] = VFILL(LOWEST) if walk == MAXIMA else VZERO
    for i in range(seen):
        if (i > 0 or top) and (i < seen - 1 or bottom):
            value = load_upto(x_i, lanes)
            for a in range(height):
                if i == a*step and i > 0:
                    column[a] = value
                elif a*step <= i < a*step + SIDE:
                    join(walk, value, column + a)
        x_i += x_row
        OPAQUE(x_i)
    for u in range(live):
        slot = (fresh + u if fresh + u < live else fresh + u - live)*height
        for a in range(height):
            if newest <= u <= oldest and u*step + t < SIDE:
                if walk == MAXIMA and u*step + t == 0:
                    ring[slot + a] = column[a]
                else:
                    join(walk, column[a], ring + slot + a)


cdef inline void meet_column(
    Walk walk, int step, int height, int fresh, int newest, int oldest, int t, bint top, bint bottom, vec* ring,
    vec* window, const real* x_i, Py_ssize_t x_row, Py_ssize_t lanes,
) noexcept nogil:
    """Column t of a block, and the columns of the target that were begun `newest` to `oldest` blocks ago; those of
    this block are number `fresh` in the ring.  The source has the first row if `top`, and the last if `bottom`.

    All conditions but these two are known when this is compiled.  No division and no `continue`, or GCC unrolls the
    loops too late to keep the ring in registers; setup.py raises its limits.
    """
    if walk == OUTPUTS or walk == WEIGHTS:
        multiply_column(
            walk, step, height, fresh, newest, oldest, t, top, bottom, ring, window, x_i, x_row, lanes
        )
    else:
        reduce_column(walk, step, height, fresh, newest, oldest, t, top, bottom, ring, x_i, x_row, lanes)


cdef inline void begin_column(
    Walk walk, int height, const Strip* k, vec* ring, real* extra, const real* y_b, Py_ssize_t lanes
) noexcept nogil:
    """`extra` stays in memory: with 16 registers there is none left for it."""
    cdef int a
    cdef vec sum = VZERO
    for a in range(height):
        if walk == WEIGHTS:
            ring[a] = load_upto(y_b, lanes)
            sum = sum + ring[a]
            y_b += k.y_row
        else:
            ring[a] = VLOAD(extra) if walk == OUTPUTS else VFILL(LOWEST) if walk == MAXIMA else VZERO
    if walk == WEIGHTS and k.biased:
        VSTORE(extra, VLOAD(extra) + sum)


cdef inline void end_column(
    Walk walk, int height, const Strip* k, const vec* ring, real* y_b, Py_ssize_t b, Py_ssize_t lanes
) noexcept nogil:
    """Column b of the target is complete."""
    cdef int a
    cdef vec value
    for a in range(height):
        value = ring[a]
        if walk == OUTPUTS and k.relu:
            value = VSELECT(VGREATER(VZERO, value), VZERO, value)
        if walk == AVERAGES:
            value = value / VFILL(k.held[a]*k.held_w[b])
        put(k.past, y_b, value, lanes)
        y_b += k.y_row


cdef inline void strip(
    Walk walk, int step, int height, const Strip* k, vec* window, real* extra, const real* x_b, real* y_b,
    Py_ssize_t iw, Py_ssize_t count, bint top, bint bottom, Py_ssize_t lanes,
) noexcept nogil:
    """`lanes` channels of `count` columns of the target, from y_b on; x_b is what the first window sees, at column iw.
    `extra` is VL numbers: the bias, or to what the sum of dy is added.

    A column of the target is begun with its block and complete `live` - 1 blocks later.  Where something may be missing
    blocks are taken one by one and the ring is moved on; elsewhere as many as the ring has columns, which then stay.
    """
    cdef vec ring[SIDE*TALLEST]
    cdef int live = (SIDE - 1)//step + 1, n, t, u, fresh
    cdef Py_ssize_t b = 0
    cdef bint far = k.far and <Py_ssize_t>x_b // <Py_ssize_t>sizeof(real) % LINE < VL
    OPAQUE(extra)
    for n in range(live*height):
        ring[n] = VZERO
    while b < count + live - 1:
        if live - 1 <= b <= count - live:
            for n in range(live):
                fresh = live - 1 - n
                if far:     # the next line of all pixels, but for rows that the strip above has fetched
                    fetch_pixels(x_b + (SIDE - step)*k.x_row + LINE, height*step, k.x_row, step, k.x_column)
                    if not k.past:
                        fetch_pixels(y_b + LINE, height, k.y_row, 1, k.C)
                begin_column(walk, height, k, ring + fresh*height, extra, y_b, lanes)
                for t in range(step):
                    meet_column(
                        walk, step, height, fresh, 0, live, t, top, bottom, ring, window, x_b, k.x_row, lanes
                    )
                    x_b += k.x_column
                    OPAQUE(x_b)
                if walk != WEIGHTS:
                    u = fresh - 1 if fresh > 0 else live - 1
                    end_column(
                        walk, height, k, ring + u*height, y_b - (live - 1)*k.y_column, b + n - live + 1, lanes
                    )
                y_b += k.y_column
                OPAQUE(y_b)
            iw += live*step*k.slope
            b += live
            continue
        for n in range((live - 1)*height):
            ring[live*height - 1 - n] = ring[(live - 1)*height - 1 - n]
        if walk != WEIGHTS or b < count:
            begin_column(walk, height, k, ring, extra, y_b, lanes)
        for t in range(step):
            if 0 <= iw < k.W:
                if live - 1 <= b < count:
                    meet_column(
                        walk, step, height, 0, 0, live - 1, t, top, bottom, ring, window, x_b, k.x_row, lanes
                    )
                elif live == 3 and b == 1 and count > 1:
                    meet_column(walk, step, height, 0, 0, 1, t, top, bottom, ring, window, x_b, k.x_row, lanes)
                elif live == 3 and b == count and count > 1:
                    meet_column(walk, step, height, 0, 1, 2, t, top, bottom, ring, window, x_b, k.x_row, lanes)
                else:
                    for u in range(live):
                        if 0 <= b - u < count:
                            meet_column(
                                walk, step, height, 0, u, u, t, top, bottom, ring, window, x_b, k.x_row, lanes
                            )
            x_b += k.x_column
            iw += k.slope
        if walk != WEIGHTS and b >= live - 1:
            end_column(walk, height, k, ring + (live - 1)*height, y_b - (live - 1)*k.y_column, b - live + 1, lanes)
        y_b += k.y_column
        b += 1
