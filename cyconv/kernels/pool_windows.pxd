# The gradient window by window:
#
#     dx[h, v] += dy[i, j] * [x is the maximum] | / divisor   over the taps (h, v) of window (i, j)
#
# Loops: windows in row-major order, then vectors of channels; each is searched and given to its taps while it is in
# registers, so that beside x, dy and dx nothing is read or written.  A tap that no earlier window holds is written
# without being read, and dx is not filled with zeros before: that is up to 1.4 times as fast.
#
# This is the way for windows that do not meet, and for those of few pixels.  Windows that share many are faster one
# axis after the other (pool_max_grad).

from libc.string cimport memset

from cyconv.kernels.bypass cimport put
from cyconv.kernels.pool_max cimport ROW, VALUE, take_better
from cyconv.kernels.pool_plan cimport EVENLY, FIRST, HELD, STRIP, TIES, Pool, Share
from cyconv.kernels.reach cimport List, list_of
from cyconv.kernels.simd cimport (
    HOLD, LEQUAL, LFILL, OPAQUE, VEQUAL, VFILL, VL, VSELECT, VZERO, load_upto, lvec, mask, real, store_upto, vec,
)
from cyconv.kernels.tasks cimport Call, stopped

cdef struct Windows:    # one, or several that are alike
    const real* x       # the first tap of the first
    const real* dy
    real* dx
    Py_ssize_t step     # from a window to the next
    Py_ssize_t down     # from a tap to the one below, in numbers
    Py_ssize_t across   # and to the one beside it
    Py_ssize_t r0       # rows of taps r0 <= r < r1 are given to
    Py_ssize_t r1
    real weight
    bint past           # dx is written past the caches


cdef inline void give_vector(
    Share share, bint held, Py_ssize_t R, Py_ssize_t S, Py_ssize_t r_new, Py_ssize_t s_new, const Windows* w,
    const real* x, const real* dy, real* dx, Py_ssize_t left,
) noexcept nogil:
    """Taps r >= r_new, s >= s_new are new: no earlier window holds them.  Windows whose R x S taps are `held` in
    registers are given to whole, and written when all is read: a row of dx is often a multiple of 4096 bytes long, and
    then reading each row after writing the one above takes 1.3 times as long."""
    cdef const real* x_r
    cdef real* dx_r
    cdef vec sums[HELD]
    cdef vec best = VZERO, part = load_upto(dy, left), value
    cdef lvec place = LFILL(0), none = LFILL(0)
    cdef mask hit
    cdef Py_ssize_t r, s
    if share == EVENLY:
        part = part*VFILL(w.weight)
        HOLD(part)      # rounded: where it is inlined, the product may or may not be contracted with the sum below
    else:
        best = load_upto(x, left)
        for r in range(R):
            x_r = x + r*w.down
            OPAQUE(x_r)
            for s in range(S):
                if r or s:
                    take_better(
                        VALUE if share == TIES else ROW, load_upto(x_r + s*w.across, left), LFILL(r*S + s), none,
                        &best, &place, &none,
                    )
    for r in range(R):
        if held or w.r0 <= r < w.r1:
            x_r = x + r*w.down
            dx_r = dx + r*w.down
            OPAQUE(dx_r)
            for s in range(S):
                value = VZERO if r >= r_new and s >= s_new else load_upto(dx_r + s*w.across, left)
                if share == EVENLY:
                    value = value + part
                else:
                    if share == FIRST:
                        hit = LEQUAL(place, LFILL(r*S + s))
                    else:
                        hit = VEQUAL(load_upto(x_r + s*w.across, left), best)
                    value = VSELECT(hit, value + part, value)
                if held:
                    sums[r*S + s] = value
                else:
                    store_upto(dx_r + s*w.across, value, left)
    if held:
        for r in range(R):
            dx_r = dx + r*w.down
            OPAQUE(dx_r)
            for s in range(S):
                put(r_new == 0 and s_new == 0 and w.past, dx_r + s*w.across, sums[r*S + s], left)


cdef inline void give_windows(
    Share share, bint held, Py_ssize_t R, Py_ssize_t S, Py_ssize_t r_new, Py_ssize_t s_new, const Windows* w,
    Py_ssize_t count, Py_ssize_t C,
) noexcept nogil:
    cdef const real* x = w.x
    cdef const real* dy = w.dy
    cdef real* dx = w.dx
    cdef Py_ssize_t c, _
    for _ in range(count):
        c = 0
        while c + VL <= C:
            give_vector(share, held, R, S, r_new, s_new, w, x + c, dy + c, dx + c, VL)
            c += VL
        if c < C:
            give_vector(share, held, R, S, r_new, s_new, w, x + c, dy + c, dx + c, C - c)
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
    w.past = k.past
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
                give_windows(share, True, 3, 3, 2, 2, &w, count, k.C)
            elif R == 3 and whole and S == 3 and r_new == 1 and s_new == 1:
                give_windows(share, True, 3, 3, 1, 1, &w, count, k.C)
            elif R == 2 and whole and S == 2 and r_new == 0 and s_new == 0:
                give_windows(share, True, 2, 2, 0, 0, &w, count, k.C)
            else:
                give_windows(share, False, R, S, r_new, s_new, &w, count, k.C)
            o += count
        if dense:
            clear(k, n, first, last, v_new, k.W)
    clear(k, n, h_new, h1, 0, k.W)
