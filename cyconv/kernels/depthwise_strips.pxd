# Depthwise windows of 3x3 in strips: a few rows of the target together, over all their columns.
#
# Block after block of as many columns of the source as the stride, each column is loaded once and meets all it can: the
# windows over it, of which a ring of two or three columns of the target is under way, in up to TALLEST rows.  So a
# vector of outputs costs 1.5 loads, where a tile (depthwise_tiles.pxd) needs 3.9, and nearly nothing is done but
# multiply-adds: 1.1 to 1.35 times the speed of tiles two rows high.
#
# The weight gradient is the same walk with window and ring exchanged: sums of nine taps, the ring holds dy.

from cyconv.kernels.fetch cimport LINE, fetch_pixels
from cyconv.kernels.simd cimport (
    HOLD, NV, OPAQUE, VGREATER, VL, VLOAD, VSELECT, VSTORE, VZERO, load_upto, real, store_upto, vec,
)
from cyconv.kernels.windows cimport Axis, gcd

cdef enum:
    SIDE = 3            # of a window
    TALLEST = NV        # rows: 12 vectors of the ring, 9 of the window and one of the source are in 32 registers
    # The largest stride.  With 16 registers strips are two rows high, and vectors are half a line of the cache or less,
    # which is visited as often: at a stride of 2 tiles are up to 1.3 times as fast.
    STEEPEST = NV // 2
    SPAN = 112          # columns at most: what a vector of a strip reads and writes stays in the second-level cache

cdef struct Strip:
    Py_ssize_t C
    Py_ssize_t W            # columns of the source
    Py_ssize_t slope        # of them from tap to tap
    Py_ssize_t x_row        # numbers from what one tap sees to what the next one sees
    Py_ssize_t x_column
    Py_ssize_t y_row        # and from output to output
    Py_ssize_t y_column
    bint relu
    bint biased             # the sum of dy is asked for
    bint far                # see `fetch_pixels`


cdef inline bint sees(const Axis* a, Py_ssize_t i, Py_ssize_t tap) noexcept nogil:
    """Whether the source has what output i sees there."""
    return 0 <= a.base + i*a.step + tap*a.slope < a.size


cdef inline Py_ssize_t parts_of(const Axis* a, Axis* parts) noexcept nogil:
    """An axis with dilation is that of several windows without, interleaved: each has every so many outputs, a slope
    or two apart.  Returns how many there are, or 0 if strips cannot be made of them; only counts if `parts` is NULL.
    """
    cdef Py_ssize_t between = a.slope // gcd(a.step, a.slope), n = min(a.count, between), i
    if a.taps != SIDE or a.step*between > STEEPEST*a.slope:
        return 0
    if parts == NULL:
        return n
    for i in range(n):
        parts[i] = a[0]
        parts[i].base += i*a.step
        parts[i].step *= between
        parts[i].out += i*a.out_step
        parts[i].out_step *= between
        parts[i].count = (a.count - 1 - i) // between + 1
        if not (sees(&parts[i], 0, SIDE//2) and sees(&parts[i], parts[i].count - 1, SIDE//2)):
            return 0            # more is missing at an edge than one row or column
    return n


cdef inline Py_ssize_t step_of(const Axis* a) noexcept nogil:
    """From window to window, in taps."""
    return a.step // a.slope


cdef inline bint strips_fit(const Axis* h, const Axis* w) noexcept nogil:
    """Whether strips can be made of these windows as they are."""
    cdef Axis part
    return (
        h.step % h.slope == 0 and w.step % w.slope == 0 and step_of(h) == step_of(w)
        and parts_of(h, &part) == 1 and parts_of(w, &part) == 1
    )


cdef inline int tallest(Py_ssize_t rows) noexcept nogil:
    """Height of the next strip of so many rows."""
    return TALLEST if rows >= TALLEST else 2 if rows >= 2 else 1


cdef inline Strip strip_of(const Axis* h, const Axis* w, Py_ssize_t C, Py_ssize_t row) noexcept nogil:
    """A row of the target is `row` numbers.  Whether there is anything but products is up to the caller."""
    cdef Strip k
    k.C, k.W, k.slope, k.x_row, k.x_column = C, w.size, w.slope, h.slope*w.size*C, w.slope*C
    k.y_row, k.y_column, k.relu, k.biased, k.far = h.out_step*row, w.out_step*C, False, False, False
    return k


cdef inline void meet_column(
    bint turned, int step, int height, int fresh, int newest, int oldest, int t, bint top, bint bottom, vec* ring,
    vec* window, const real* x_i, Py_ssize_t x_row, Py_ssize_t lanes,
) noexcept nogil:
    """Column t of a block, and the columns of the target that were begun `newest` to `oldest` blocks ago; those of
    this block are number `fresh` in the ring.  The source has the first row if `top`, and the last if `bottom`.

    All conditions but these two are known when this is compiled.  No division and no `continue`, or GCC unrolls the
    loops too late to keep the ring in registers; setup.py raises its limits.
    """
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
                        if turned:
                            window[tap] = window[tap] + value*ring[slot + a]
                        else:
                            ring[slot + a] = ring[slot + a] + value*window[tap]
        x_i += x_row
        OPAQUE(x_i)


cdef inline void begin_column(
    bint turned, int height, const Strip* k, vec* ring, real* extra, const real* y_b, Py_ssize_t lanes
) noexcept nogil:
    """`extra` stays in memory: with 16 registers there is none left for it."""
    cdef int a
    cdef vec sum = VZERO
    for a in range(height):
        ring[a] = load_upto(y_b, lanes) if turned else VLOAD(extra)
        sum = sum + ring[a]
        y_b += k.y_row
    if turned and k.biased:
        VSTORE(extra, VLOAD(extra) + sum)


cdef inline void end_column(int height, const Strip* k, const vec* ring, real* y_b, Py_ssize_t lanes) noexcept nogil:
    cdef int a
    cdef vec value
    for a in range(height):
        value = ring[a]
        if k.relu:
            value = VSELECT(VGREATER(VZERO, value), VZERO, value)
        store_upto(y_b, value, lanes)
        y_b += k.y_row


cdef inline void strip(
    bint turned, int step, int height, const Strip* k, vec* window, real* extra, const real* x_b, real* y_b,
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
                    fetch_pixels(y_b + LINE, height, k.y_row, 1, k.C)
                begin_column(turned, height, k, ring + fresh*height, extra, y_b, lanes)
                for t in range(step):
                    meet_column(
                        turned, step, height, fresh, 0, live, t, top, bottom, ring, window, x_b, k.x_row, lanes
                    )
                    x_b += k.x_column
                    OPAQUE(x_b)
                if not turned:
                    u = fresh - 1 if fresh > 0 else live - 1
                    end_column(height, k, ring + u*height, y_b - (live - 1)*k.y_column, lanes)
                y_b += k.y_column
                OPAQUE(y_b)
            iw += live*step*k.slope
            b += live
            continue
        for n in range((live - 1)*height):
            ring[live*height - 1 - n] = ring[(live - 1)*height - 1 - n]
        if not turned or b < count:
            begin_column(turned, height, k, ring, extra, y_b, lanes)
        for t in range(step):
            if 0 <= iw < k.W:
                if live - 1 <= b < count:
                    meet_column(
                        turned, step, height, 0, 0, live - 1, t, top, bottom, ring, window, x_b, k.x_row, lanes
                    )
                elif live == 3 and b == 1 and count > 1:
                    meet_column(turned, step, height, 0, 0, 1, t, top, bottom, ring, window, x_b, k.x_row, lanes)
                elif live == 3 and b == count and count > 1:
                    meet_column(turned, step, height, 0, 1, 2, t, top, bottom, ring, window, x_b, k.x_row, lanes)
                else:
                    for u in range(live):
                        if 0 <= b - u < count:
                            meet_column(
                                turned, step, height, 0, u, u, t, top, bottom, ring, window, x_b, k.x_row, lanes
                            )
            x_b += k.x_column
            iw += k.slope
        if not turned and b >= live - 1:
            end_column(height, k, ring + (live - 1)*height, y_b - (live - 1)*k.y_column, lanes)
        y_b += k.y_column
        b += 1
