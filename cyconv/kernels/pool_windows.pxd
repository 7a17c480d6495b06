# The gradient window by window:
#
#     dx[h, v] += dy[i, j] * [x is the maximum] | / divisor   over the taps (h, v) of window (i, j)
#
# Loops: windows in row-major order, then vectors of channels; each is searched and given to its taps while it is in
# registers, so that beside x, dy and dx nothing is read or written.  A tap that no earlier window holds is written
# without being read, and dx is not filled with zeros before: that is up to 1.4 times as fast.  From memory it is 1.1 to
# 1.7 times as fast if what the row of windows below reads and writes is asked for meanwhile.
#
# This is the way for windows that do not meet, and for those of which few meet in a pixel (by_windows).  Others are
# faster one axis after the other (pool_max_grad).

from libc.string cimport memset

from cyconv.kernels.bypass cimport put
from cyconv.kernels.pool_max cimport PLACE, VALUE, take_better
from cyconv.kernels.pool_plan cimport EVENLY, FIRST, HELD, STRIP, TIES, Pool, Share
from cyconv.kernels.reach cimport List, list_of
from cyconv.kernels.simd cimport (
    HOLD, LEQUAL, LFILL, OPAQUE, VEQUAL, VFILL, VL, VSELECT, VZERO, WILL_READ, load_upto, lvec, mask, real,
    store_upto, vec,
)
from cyconv.kernels.tasks cimport Call, stopped

cdef struct Windows:    # one, or several that are alike
    const real* x       # the first tap of the first
    const real* dy
    real* dx
    Py_ssize_t step     # from a window to the next
    Py_ssize_t down     # from a tap to the one below, in numbers
    Py_ssize_t across   # and to the one beside it
    Py_ssize_t below    # from a row of windows to the next
    Py_ssize_t r0       # rows of taps r0 <= r < r1 are given to
    Py_ssize_t r1
    real weight
    bint far            # the row of windows below is fetched from memory
    bint past           # dx is written past the caches


cdef inline void fetch_below(
    Share share, bint past, Py_ssize_t R, Py_ssize_t S, Py_ssize_t r_new, Py_ssize_t s_new, const Windows* w,
    const real* x, const real* dx,
) noexcept nogil:
    """What a window's neighbour in the row of windows below reads and writes for the first time."""
    cdef const real* x_s
    cdef const real* dx_s
    cdef Py_ssize_t s, _
    for s in range(s_new, S):
        x_s = x + w.below + r_new*w.down + s*w.across
        dx_s = dx + w.below + r_new*w.down + s*w.across
        for _ in range(r_new, R):
            if share != EVENLY:
                WILL_READ(x_s)
            if not past:
                WILL_READ(dx_s)
            x_s += w.down
            dx_s += w.down
            OPAQUE(x_s)
            OPAQUE(dx_s)


cdef inline void give_vector(
    Share share, Py_ssize_t R, Py_ssize_t S, Py_ssize_t r_new, Py_ssize_t s_new, const Windows* w, const real* x,
    const real* dy, real* dx, Py_ssize_t left,
) noexcept nogil:
    """One window of any size."""
    cdef vec best = VZERO, part = load_upto(dy, left), value
    cdef lvec place = LFILL(0)
    cdef mask hit
    cdef Py_ssize_t r, s
    if w.far:
        fetch_below(share, False, R, S, r_new, s_new, w, x, dx)
    if share == EVENLY:
        part = part*VFILL(w.weight)
        HOLD(part)      # rounded: where it is inlined, the product may or may not be contracted with the sum below
    else:
        best = load_upto(x, left)
        for r in range(R):
            for s in range(S):
                if r or s:
                    value = load_upto(x + r*w.down + s*w.across, left)
                    take_better(VALUE if share == TIES else PLACE, value, LFILL(r*S + s), &best, &place)
    for r in range(w.r0, w.r1):
        for s in range(S):
            value = VZERO if r >= r_new and s >= s_new else load_upto(dx + r*w.down + s*w.across, left)
            if share == EVENLY:
                value = value + part
            else:
                if share == FIRST:
                    hit = LEQUAL(place, LFILL(r*S + s))
                else:
                    hit = VEQUAL(load_upto(x + r*w.down + s*w.across, left), best)
                value = VSELECT(hit, value + part, value)
            store_upto(dx + r*w.down + s*w.across, value, left)


cdef inline void load_taps(
    int s0, int s1, int R, int S, int r_new, int s_new, const real* at, const Windows* w, Py_ssize_t left, vec* taps
) noexcept nogil:
    """Columns s0 <= s < s1 of a window; zeros for taps that are new."""
    cdef int r, s
    for r in range(R):
        for s in range(s0, s1):
            taps[r*S + s] = VZERO if r >= r_new and s >= s_new else load_upto(at + s*w.across, left)
        at += w.down
        OPAQUE(at)


cdef inline void store_taps(
    bint past, int s1, int R, int S, real* at, const Windows* w, Py_ssize_t left, const vec* taps
) noexcept nogil:
    """Columns s < s1."""
    cdef int r, s
    for r in range(R):
        for s in range(s1):
            put(past, at + s*w.across, taps[r*S + s], left)
        at += w.down
        OPAQUE(at)


cdef inline void give_run(
    Share share, bint far, int kept, int R, int S, int r_new, int s_new, const Windows* w, const real* x,
    const real* dy, real* dx, Py_ssize_t count, Py_ssize_t C, Py_ssize_t left,
) noexcept nogil:
    """A vector of channels of windows side by side, all their taps in registers.

    The last `kept` columns of a window are the first of the next, and stay there.  All s_new that they share do where a
    vector holds all channels, and what is stored would be read again in a moment: 1.1 to 1.7 times as fast.
    """
    cdef const real* x_r
    cdef vec value[HELD]
    cdef vec sums[HELD]
    cdef vec best = VZERO, part
    cdef lvec place = LFILL(0)
    cdef mask hit
    cdef bint past = w.past and r_new == 0 and s_new == 0
    cdef Py_ssize_t step = (S - s_new)*w.across, _      # that of a window alone, of an adaptive pooling, may be another
    cdef int r, s
    load_taps(0, kept, R, S, r_new, s_new, dx, w, left, sums)
    if share != EVENLY:
        load_taps(0, kept, R, S, R, S, x, w, left, value)
    for _ in range(count):
        part = load_upto(dy, left)
        if far:
            fetch_below(share, past, R, S, r_new, s_new, w, x, dx)
        if share == EVENLY:
            part = part*VFILL(w.weight)
            HOLD(part)
        else:
            x_r, place = x, LFILL(0)
            for r in range(R):
                for s in range(S):
                    if s >= kept:
                        value[r*S + s] = load_upto(x_r + s*w.across, left)
                    if r == 0 and s == 0:
                        best = value[0]
                    else:
                        take_better(
                            VALUE if share == TIES else PLACE, value[r*S + s], LFILL(r*S + s), &best, &place
                        )
                x_r += w.down
                OPAQUE(x_r)
        load_taps(kept, S, R, S, r_new, s_new, dx, w, left, sums)
        for r in range(R*S):
            if share == EVENLY:
                sums[r] = sums[r] + part
            else:
                hit = LEQUAL(place, LFILL(r)) if share == FIRST else VEQUAL(value[r], best)
                sums[r] = VSELECT(hit, sums[r] + part, sums[r])
        store_taps(past, S - kept, R, S, dx, w, left, sums)
        for s in range(kept):
            for r in range(R):
                sums[r*S + s] = sums[r*S + s + S - kept]
                value[r*S + s] = value[r*S + s + S - kept]
        x += step
        dx += step
        dy += C
    store_taps(False, kept, R, S, dx, w, left, sums)


cdef inline void give_windows(
    Share share, int R, int S, int r_new, int s_new, const Windows* w, Py_ssize_t count, Py_ssize_t C
) noexcept nogil:
    cdef const real* x = w.x
    cdef const real* dy = w.dy
    cdef real* dx = w.dx
    cdef Py_ssize_t c, _
    if C <= VL:
        give_run(share, False, s_new, R, S, r_new, s_new, w, x, dy, dx, count, C, C)
        return
    for _ in range(count):
        c = 0
        while c + VL <= C:
            if w.far:
                give_run(share, True, 0, R, S, r_new, s_new, w, x + c, dy + c, dx + c, 1, C, VL)
            else:
                give_run(share, False, 0, R, S, r_new, s_new, w, x + c, dy + c, dx + c, 1, C, VL)
            c += VL
        if c < C:
            give_run(share, False, 0, R, S, r_new, s_new, w, x + c, dy + c, dx + c, 1, C, C - c)
        x += w.step
        dy += C
        dx += w.step


cdef inline void give_window(
    Share share, Py_ssize_t R, Py_ssize_t S, Py_ssize_t r_new, Py_ssize_t s_new, const Windows* w, Py_ssize_t count,
    Py_ssize_t C,
) noexcept nogil:
    cdef const real* x = w.x
    cdef const real* dy = w.dy
    cdef real* dx = w.dx
    cdef Py_ssize_t c, _
    for _ in range(count):
        c = 0
        while c < C:
            give_vector(share, R, S, r_new, s_new, w, x + c, dy + c, dx + c, VL if c + VL <= C else C - c)
            c += VL
        x += w.step
        dy += C
        dx += w.step


cdef inline void clear(
    const Pool* k, Py_ssize_t n, Py_ssize_t h0, Py_ssize_t h1, Py_ssize_t v0, Py_ssize_t v1
) noexcept nogil:
    cdef Py_ssize_t h
    for h in range(h0, h1):
        memset(k.dx + ((n*k.H + h)*k.W + v0)*k.C, 0, (v1 - v0)*k.C*sizeof(real))


cdef inline void window_band(
    Share share, const Pool* k, Py_ssize_t n, Py_ssize_t h0, Py_ssize_t h1, Call* call
) noexcept nogil:
    """Rows h0 <= h < h1 of image n of dx, which may begin as any numbers."""
    cdef Py_ssize_t row, o, v, top, R, S, r_new, s_new, first, last, count, outputs = k.columns.outputs
    cdef Py_ssize_t h_new = h0, v_new       # from where on rows and, in new rows, columns are held by no window yet
    cdef Py_ssize_t most = max(1, STRIP // k.C)         # windows between two looks at the clock
    cdef List rows, columns
    cdef bint dense = k.dilation_h == 1 and k.dilation_w == 1, whole
    cdef Windows w
    w.far, w.past, w.below = k.far, k.past, k.rows.source_step*k.W*k.C
    w.down, w.across, w.step = k.dilation_h*k.W*k.C, k.dilation_w*k.C, k.columns.source_step*k.C
    for row in range(k.rows.outputs):
        rows = list_of(&k.rows, row)
        R, top = rows.terms, rows.term[0].source + rows.shift
        if top >= h1 or rows.term[R - 1].source + rows.shift < h0:
            continue
        w.r0, w.r1 = 0, R
        while rows.term[w.r0].source + rows.shift < h0:
            w.r0 += 1
        while rows.term[w.r1 - 1].source + rows.shift >= h1:
            w.r1 -= 1
        whole = w.r1 - w.r0 == R
        # Zeros between windows; and where these have gaps themselves, zeros wherever they reach.
        last = rows.term[w.r1 - 1].source + rows.shift + 1
        if h_new < (top if dense else last):
            clear(k, n, h_new, top if dense else last, 0, k.W)
            h_new = top if dense else last
        r_new, first = max(0, h_new - top) if dense else R, max(h_new, top)
        h_new = max(h_new, last)
        o = v_new = 0
        while o < outputs:
            columns = list_of(&k.columns, o)
            v, S = columns.term[0].source + columns.shift, columns.terms
            if dense and v_new < v:
                clear(k, n, first, last, v_new, v)
                v_new = v
            s_new = v_new - v
            count = min(columns.alike, most) if s_new == S - k.columns.source_step else 1
            if stopped(call, count*R*S*k.C):
                return
            v_new = max(v_new, v + S + (count - 1)*k.columns.source_step)
            w.x = k.x + ((n*k.H + top)*k.W + v)*k.C
            w.dx = k.dx + ((n*k.H + top)*k.W + v)*k.C
            w.dy = k.dy + ((n*k.rows.outputs + row)*outputs + o)*k.C
            if share == EVENLY:
                w.weight = 1/(rows.size*columns.size)
            if R == 3 and whole and S == 3 and r_new == 2 and s_new == 2:
                give_windows(share, 3, 3, 2, 2, &w, count, k.C)
            elif R == 3 and whole and S == 3 and r_new == 1 and s_new == 1:
                give_windows(share, 3, 3, 1, 1, &w, count, k.C)
            elif R == 2 and whole and S == 2 and r_new == 0 and s_new == 0:
                give_windows(share, 2, 2, 0, 0, &w, count, k.C)
            else:
                give_window(share, R, S, r_new, s_new, &w, count, k.C)
            o += count
        if dense:
            clear(k, n, first, last, v_new, k.W)
    clear(k, n, h_new, h1, 0, k.W)
