# The gradient of maxima: windows that meet give first to the columns that hold their maximum, these then to the rows;
# a window that meets no other gives to its pixels at once.

from libc.string cimport memset

from cyconv.kernels.pool_max cimport ROW, VALUE, Found, take_better
from cyconv.kernels.reach cimport MOST, Series
from cyconv.kernels.simd cimport (
    LEQUAL, LFILL, LLOAD, VEQUAL, VL, VLOAD, VSELECT, VZERO, lane, load_upto, lvec, mask, real, store_upto, vec,
)


cdef inline void hit_vector(
    bint all_ties, int count, const real* own, const real** dy_at, const real** best_at, const lane** place_at,
    const lvec* tap, bint more, Py_ssize_t i, real* out, Py_ssize_t left,
) noexcept nogil:
    cdef vec total = load_upto(out, left) if more else VZERO
    cdef mask hit
    cdef int t
    for t in range(count):
        hit = VEQUAL(VLOAD(best_at[t] + i), VLOAD(own)) if all_ties else LEQUAL(LLOAD(place_at[t] + i), tap[t])
        total = total + VSELECT(hit, load_upto(dy_at[t] + i, left), VZERO)
    store_upto(out, total, left)


cdef inline void hit_pass(
    bint all_ties, int count, const Series* s, Py_ssize_t first, const real* own, const real* dy, const Found* found,
    Py_ssize_t pitch, real* out,
) noexcept nogil:
    cdef const real* dy_at[MOST]
    cdef const real* best_at[MOST]
    cdef const lane* place_at[MOST]
    cdef lvec tap[MOST]
    cdef Py_ssize_t m, e, i, o, outputs = s.count, length = s.length
    cdef Py_ssize_t source_step = s.source_step, out_step = s.out_step
    cdef int t
    for t in range(count):
        dy_at[t] = dy + s.term[first + t].source*pitch
        best_at[t] = found.best + s.term[first + t].source*pitch
        place_at[t] = found.place + s.term[first + t].source*pitch
        tap[t] = LFILL(s.term[first + t].tap)
    for m in range(outputs):
        i, o, e = m*source_step, m*out_step, 0
        while e + VL <= length:
            hit_vector(
                all_ties, count, own + o + e, dy_at, best_at, place_at, tap, first > 0, i + e, out + o + e, VL
            )
            e += VL
        if e < length:
            hit_vector(
                all_ties, count, own + o + e, dy_at, best_at, place_at, tap, first > 0, i + e, out + o + e, length - e
            )


cdef inline void hit_terms(
    bint all_ties, const Series* s, const real* own, const real* dy, const Found* found, Py_ssize_t pitch, real* out
) noexcept nogil:
    """To each column the sum of dy over the windows whose maximum is there."""
    cdef Py_ssize_t t = 0, m
    if s.terms == 0:
        for m in range(s.count):
            memset(out + m*s.out_step, 0, s.length*sizeof(real))
    while t < s.terms:
        if s.terms - t == 1:
            hit_pass(all_ties, 1, s, t, own, dy, found, pitch, out)
        elif s.terms - t == 2:
            hit_pass(all_ties, 2, s, t, own, dy, found, pitch, out)
        elif s.terms - t == 3:
            hit_pass(all_ties, 3, s, t, own, dy, found, pitch, out)
        else:
            hit_pass(all_ties, MOST, s, t, own, dy, found, pitch, out)
        t += MOST


cdef inline void give_vector(
    bint all_ties, bint fresh, const real* x_h, const real* best, const lane* place, lvec tap, const real* share,
    real* dx_h, Py_ssize_t left,
) noexcept nogil:
    cdef mask hit = VEQUAL(load_upto(x_h, left), VLOAD(best)) if all_ties else LEQUAL(LLOAD(place), tap)
    cdef vec value = VSELECT(hit, VLOAD(share), VZERO)
    if not fresh:
        value = load_upto(dx_h, left) + value
    store_upto(dx_h, value, left)


cdef inline void give(
    bint all_ties, bint fresh, const real* x_h, const Found* column, Py_ssize_t tap, const real* share, real* dx_h,
    Py_ssize_t length,
) noexcept nogil:
    """dx_h = or += share where row number `tap` of the window holds the maximum of the column."""
    cdef const real* best = column.best
    cdef const lane* place = column.place
    cdef lvec number = LFILL(tap)
    cdef Py_ssize_t e = 0
    while e + VL <= length:
        give_vector(all_ties, fresh, x_h + e, best + e, place + e, number, share + e, dx_h + e, VL)
        e += VL
    if e < length:
        give_vector(all_ties, fresh, x_h + e, best + e, place + e, number, share + e, dx_h + e, length - e)


cdef inline void lone_vector(
    bint all_ties, Py_ssize_t R, Py_ssize_t S, const real* x_w, const real* dy_w, real* dx_w, Py_ssize_t down,
    Py_ssize_t across, Py_ssize_t r0, Py_ssize_t r1, Py_ssize_t left,
) noexcept nogil:
    cdef vec best = load_upto(x_w, left), share = load_upto(dy_w, left)
    cdef lvec place = LFILL(0), none = LFILL(0)
    cdef mask hit
    cdef Py_ssize_t r, s
    for r in range(R):
        for s in range(S):
            if r or s:
                take_better(
                    VALUE if all_ties else ROW, load_upto(x_w + r*down + s*across, left), LFILL(r*S + s), none,
                    &best, &place, &none,
                )
    for r in range(R):
        if r0 <= r < r1:
            for s in range(S):
                if all_ties:
                    hit = VEQUAL(load_upto(x_w + r*down + s*across, left), best)
                else:
                    hit = LEQUAL(place, LFILL(r*S + s))
                store_upto(dx_w + r*down + s*across, VSELECT(hit, share, VZERO), left)


cdef inline void lone_windows(
    bint all_ties, Py_ssize_t R, Py_ssize_t S, const Series* series, const real* x_w, const real* dy_w, real* dx_w,
    Py_ssize_t down, Py_ssize_t across, Py_ssize_t r0, Py_ssize_t r1,
) noexcept nogil:
    cdef Py_ssize_t m, e, i, o, outputs = series.count, length = series.length
    cdef Py_ssize_t source_step = series.source_step, out_step = series.out_step
    for m in range(outputs):
        i, o, e = m*source_step, m*out_step, 0
        while e + VL <= length:
            lone_vector(all_ties, R, S, x_w + i + e, dy_w + o + e, dx_w + i + e, down, across, r0, r1, VL)
            e += VL
        if e < length:
            lone_vector(all_ties, R, S, x_w + i + e, dy_w + o + e, dx_w + i + e, down, across, r0, r1, length - e)
