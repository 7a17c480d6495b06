# One axis of a search for maxima: the values, and where they are.

from cyconv.kernels.bypass cimport put
from cyconv.kernels.fetch cimport fetch_along
from cyconv.kernels.reach cimport MOST, Layout, Series, lies
from cyconv.kernels.scratch cimport take
from cyconv.kernels.simd cimport (
    LFILL, LLOAD, LSELECT, LSTORE, VEQUAL, VEXCEEDS, VL, VSELECT, lane, larger, load_upto, lvec, mask, real, vec,
)

cdef enum Search:
    VALUE               # the maximum
    PLACE               # and the number of the first term that holds it

cdef struct Found:
    real* best          # maxima
    lane* place         # and the numbers of the terms that hold them


cdef inline Found found_in(char** cursor, Py_ssize_t length) noexcept nogil:
    cdef Found f
    f.best = <real*>take(cursor, length + VL, sizeof(real))
    f.place = <lane*>take(cursor, length + VL, sizeof(lane))
    return f


cdef inline Found shifted(const Found* f, Py_ssize_t by) noexcept nogil:
    cdef Found g
    g.best, g.place = f.best + by, f.place + by
    return g


cdef inline void take_better(Search search, vec value, lvec tap, vec* best, lvec* place) noexcept nogil:
    """NaN exceeds every number; of equals, and of several NaN, the first wins."""
    cdef mask better
    if search == VALUE:
        best[0] = larger(value, best[0])
        return
    better = VEXCEEDS(value, best[0]) & VEQUAL(best[0], best[0])
    place[0] = LSELECT(better, tap, place[0])
    best[0] = VSELECT(better, value, best[0])


cdef inline void max_vector(
    Search search, int count, const real** at, const lvec* tap, bint more, bint keep, bint past, Py_ssize_t i,
    const Found* found, Py_ssize_t o, Py_ssize_t left,
) noexcept nogil:
    cdef vec best = load_upto(at[0] + i, left), old
    cdef lvec place = tap[0], old_place = LFILL(0)
    cdef int t
    for t in range(1, count):
        take_better(search, load_upto(at[t] + i, left), tap[t], &best, &place)
    if more:
        old = load_upto(found.best + o, left)
        if search == PLACE:
            old_place = LLOAD(found.place + o)
        take_better(search, best, place, &old, &old_place)
        best, place = old, old_place
    if keep:
        put(past, found.best + o, best, left)
    if search == PLACE:
        LSTORE(found.place + o, place)


cdef inline void max_pass(
    Search search, int count, const Series* s, Py_ssize_t first, bint keep, const real* source, const Layout* layout,
    bint far, bint far_out, bint past, const Found* found,
) noexcept nogil:
    cdef const real* at[MOST]
    cdef lvec tap[MOST]
    cdef Found to = found[0]
    cdef Py_ssize_t m, e, i, o, outputs = s.count, length = s.length
    cdef Py_ssize_t source_step = s.source_step, out_step = s.out_step
    cdef int t
    for t in range(count):
        at[t] = source + lies(layout, s.term[first + t].source + s.shift)
        tap[t] = LFILL(s.term[first + t].tap)
    for m in range(outputs):
        i, o, e = m*source_step, m*out_step, 0
        while e + VL <= length:
            if far:
                fetch_along(at[count - 1] + i + e)
            if far_out:
                fetch_along(to.best + o + e)
            max_vector(search, count, at, tap, first > 0, keep, past, i + e, &to, o + e, VL)
            e += VL
        if e < length:
            max_vector(search, count, at, tap, first > 0, keep, False, i + e, &to, o + e, length - e)


cdef inline void max_terms(
    Search search, const Series* s, bint keep, const real* source, const Layout* layout, bint far, bint far_out,
    bint past, const Found* found,
) noexcept nogil:
    """`keep` the maximum, not only its place."""
    cdef Py_ssize_t t = 0
    keep = keep or s.terms > MOST
    past = past and s.terms <= MOST         # else what is written is read again
    while t < s.terms:
        if s.terms - t == 1:
            max_pass(search, 1, s, t, keep, source, layout, far, far_out, past, found)
        elif s.terms - t == 2:
            max_pass(search, 2, s, t, keep, source, layout, far, far_out, past, found)
        elif s.terms - t == 3:
            max_pass(search, 3, s, t, keep, source, layout, far, far_out, past, found)
        else:
            max_pass(search, MOST, s, t, keep, source, layout, far, far_out, past, found)
        t += MOST
