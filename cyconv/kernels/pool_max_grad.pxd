# The gradient of maxima, one axis after the other: windows give to the columns that hold their maximum, these then to
# the rows.

from libc.string cimport memset

from cyconv.kernels.pool_max cimport Found
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
        dy_at[t] = dy + (s.term[first + t].source + s.shift)*pitch
        best_at[t] = found.best + (s.term[first + t].source + s.shift)*pitch
        place_at[t] = found.place + (s.term[first + t].source + s.shift)*pitch
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
