# The gradient of maxima, one axis after the other: windows give to the rows that hold their maximum, and these to the
# columns that do.
#
# Rows of dx in order, each written once, when all windows that see it have been searched (pool_search).  What a row is
# given is one sum for each column of windows, whose place in the row is the same for all of them.

from libc.string cimport memset

from cyconv.kernels.bypass cimport put
from cyconv.kernels.fetch cimport fetch_along
from cyconv.kernels.pool_max cimport Found, shifted
from cyconv.kernels.pool_plan cimport Pool, row_of_work
from cyconv.kernels.pool_search cimport (
    Rings, alike, empty_rings, in_phases, join, rings_in, search_row, search_windows, split,
)
from cyconv.kernels.reach cimport MOST, Layout, List, Series, hull, in_order, lies, list_of, next_series, whole
from cyconv.kernels.simd cimport (
    LEQUAL, LFILL, LLOAD, VEQUAL, VL, VLOAD, VSELECT, VZERO, lane, load_upto, lvec, mask, real, vec,
)
from cyconv.kernels.tasks cimport Call, stopped

cdef struct Givers:
    const real* dy
    Found found         # their maxima, or where these are
    Layout dy_layout
    Layout layout


cdef inline void hit_vector(
    bint all_ties, int count, const real* own, const real** dy_at, const real** best_at, const lane** place_at,
    const lvec* tap, bint more, bint past, Py_ssize_t i, real* out, Py_ssize_t left,
) noexcept nogil:
    cdef vec total = load_upto(out, left) if more else VZERO
    cdef mask hit
    cdef int t
    for t in range(count):
        if all_ties:
            hit = VEQUAL(VLOAD(best_at[t] + i), load_upto(own, left))
        else:
            hit = LEQUAL(LLOAD(place_at[t] + i), tap[t])
        total = total + VSELECT(hit, load_upto(dy_at[t] + i, left), VZERO)
    put(past, out, total, left)


cdef inline void hit_pass(
    bint all_ties, int count, const Series* s, Py_ssize_t first, const real* own, const Givers* givers, bint far,
    bint far_out, bint past, real* out,
) noexcept nogil:
    cdef const real* dy_at[MOST]
    cdef const real* best_at[MOST]
    cdef const lane* place_at[MOST]
    cdef lvec tap[MOST]
    cdef Py_ssize_t m, e, i, o, at, outputs = s.count, length = s.length
    cdef Py_ssize_t source_step = s.source_step, out_step = s.out_step
    cdef int t
    for t in range(count):
        dy_at[t] = givers.dy + lies(&givers.dy_layout, s.term[first + t].source + s.shift)
        at = lies(&givers.layout, s.term[first + t].source + s.shift)
        best_at[t], place_at[t] = givers.found.best + at, givers.found.place + at
        tap[t] = LFILL(s.term[first + t].tap)
    for m in range(outputs):
        i, o, e = m*source_step, m*out_step, 0
        while e + VL <= length:
            if far:
                fetch_along(dy_at[count - 1] + i + e)
            if far_out:
                fetch_along(out + o + e)
            hit_vector(
                all_ties, count, own + o + e, dy_at, best_at, place_at, tap, first > 0, past, i + e, out + o + e, VL
            )
            e += VL
        if e < length:
            hit_vector(
                all_ties, count, own + o + e, dy_at, best_at, place_at, tap, first > 0, False, i + e, out + o + e,
                length - e,
            )


cdef inline void hit_terms(
    bint all_ties, const Series* s, const real* own, const Givers* givers, bint far, bint far_out, bint past,
    real* out,
) noexcept nogil:
    """To each row or column, whose own values or maxima are `own`, the sum over the windows whose maximum is there."""
    cdef Py_ssize_t t = 0, m
    past = past and s.terms <= MOST         # else what is written is read again
    if s.terms == 0:
        for m in range(s.count):
            memset(out + m*s.out_step, 0, s.length*sizeof(real))
    while t < s.terms:
        if s.terms - t == 1:
            hit_pass(all_ties, 1, s, t, own, givers, far, far_out, past, out)
        elif s.terms - t == 2:
            hit_pass(all_ties, 2, s, t, own, givers, far, far_out, past, out)
        elif s.terms - t == 3:
            hit_pass(all_ties, 3, s, t, own, givers, far, far_out, past, out)
        else:
            hit_pass(all_ties, MOST, s, t, own, givers, far, far_out, past, out)
        t += MOST


cdef inline void give_row(
    bint all_ties, const Pool* k, Py_ssize_t n, Py_ssize_t h, Py_ssize_t v0, Py_ssize_t v1, Rings* r
) noexcept nogil:
    """Row h of image n of dx, columns v0 <= v < v1; all the windows that see it have been searched."""
    cdef Py_ssize_t v = v0, at, slot = h % k.depth*k.pitch
    cdef const real* x_n = k.x + n*k.H*k.W*k.C
    cdef const real* x_h = x_n + h*k.W*k.C
    cdef real* dx_h = k.dx + (n*k.H + h)*k.W*k.C
    cdef real* out = dx_h
    cdef Layout layout = in_order(k.C)
    cdef Givers windows, columns
    cdef Series s = whole(&k.row_readers, h, (r.last - r.first)*k.C)
    windows.dy = k.dy + (n*k.rows.outputs*k.columns.outputs + r.first)*k.C
    windows.dy_layout = in_order(k.columns.outputs*k.C)
    windows.found = r.window
    windows.layout.cycle, windows.layout.within, windows.layout.beyond = k.waiting, k.pitch, 0
    search_row(not all_ties, k, x_n, h, r)      # windows with gaps may have searched another row in its place since
    hit_terms(all_ties, &s, r.row.best + slot, &windows, k.far, False, False, r.share)
    columns.dy = r.share - r.first*k.C
    columns.found = shifted(&r.row, slot - r.first*k.C)
    columns.dy_layout = columns.layout = layout
    if k.phases > 1:
        layout = in_phases(k)
        out = r.apart + k.phases*k.phase_pitch - v0 // k.phases*k.C
        if all_ties:
            x_h = split(k, x_h, v0, v1, r.apart)
    while v < v1:
        s = alike(k, &k.readers, v, v1)
        at = lies(&layout, v)
        hit_terms(all_ties, &s, x_h + at, &columns, False, k.far and not k.past, k.past, out + at)
        v = next_series(&k.readers, v, v0)
    if k.phases > 1:
        join(k, r.apart + k.phases*k.phase_pitch, v0, v1, dx_h)


cdef inline void maximum_band(
    bint all_ties, const Pool* k, Py_ssize_t n, Py_ssize_t h0, Py_ssize_t h1, char* scratch, Call* call
) noexcept nogil:
    """Rows h0 <= h < h1 of image n of dx."""
    cdef Py_ssize_t v0 = 0, v1, first, last, row, t, h
    cdef Rings r = rings_in(k, scratch)
    cdef Found to
    cdef List readers
    while v0 < k.W:
        v1 = min(v0 + k.strip, k.W)
        first, last = k.columns.outputs, 0
        hull(&k.readers, v0, v1, &first, &last)
        empty_rings(k, &r, min(first, last), last)
        for h in range(h0, h1):
            readers = list_of(&k.row_readers, h)
            if readers.terms == 0 or r.first == r.last:
                memset(k.dx + ((n*k.H + h)*k.W + v0)*k.C, 0, (v1 - v0)*k.C*sizeof(real))
                continue
            for t in range(readers.terms):
                row = readers.term[t].source + readers.shift
                if r.window_in[row % k.waiting] != row:
                    if stopped(call, row_of_work(k, row)):
                        return
                    r.window_in[row % k.waiting] = row
                    to = shifted(&r.window, row % k.waiting*k.pitch)
                    search_windows(not all_ties, all_ties, k, k.x + n*k.H*k.W*k.C, row, &r, &to)
            give_row(all_ties, k, n, h, v0, v1, &r)
        v0 = v1
