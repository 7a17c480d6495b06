# One axis of a search for maxima: the values, and where they are.
#
# The rows of a window are searched first.  That the first maximum in row-major order is found all the same, the search
# of the columns takes of equal maxima the one of the least row, its rank.

from cyconv.kernels.bypass cimport put
from cyconv.kernels.fetch cimport fetch_along
from cyconv.kernels.reach cimport MOST, Series
from cyconv.kernels.scratch cimport take
from cyconv.kernels.simd cimport (
    LFILL, LLESS, LLOAD, LSELECT, LSTORE, VEQUAL, VEXCEEDS, VGREATER, VL, VSELECT, VUNEQUAL, lane, larger, load_upto,
    lvec, mask, real, vec,
)

cdef enum Search:
    VALUE               # the maximum
    ROW                 # and the number of the first term that holds it
    COLUMN              # of several, the one of the least rank

cdef struct Found:
    real* best          # maxima, the numbers of the terms that hold them, and the ranks of these
    lane* place
    lane* rank


cdef inline Found found_in(char** cursor, Py_ssize_t length) noexcept nogil:
    cdef Found f
    f.best = <real*>take(cursor, length + VL, sizeof(real))
    f.place = <lane*>take(cursor, length + VL, sizeof(lane))
    f.rank = <lane*>take(cursor, length + VL, sizeof(lane))
    return f


cdef inline Found shifted(const Found* f, Py_ssize_t by) noexcept nogil:
    cdef Found g
    g.best, g.place, g.rank = f.best + by, f.place + by, f.rank + by
    return g


cdef inline void take_better(
    Search search, vec value, lvec tap, lvec rank, vec* best, lvec* place, lvec* least
) noexcept nogil:
    """NaN exceeds every number and equals itself; of equals the first wins, or the first of the least rank."""
    cdef mask sound, better
    if search == VALUE:
        best[0] = larger(value, best[0])
        return
    sound = VEQUAL(best[0], best[0])
    better = VEXCEEDS(value, best[0]) & sound
    if search == COLUMN:
        better = better | (LLESS(rank, least[0]) & ~VGREATER(best[0], value) & (sound | VUNEQUAL(value, value)))
        least[0] = LSELECT(better, rank, least[0])
    place[0] = LSELECT(better, tap, place[0])
    best[0] = VSELECT(better, value, best[0])


cdef inline void max_vector(
    Search search, int count, const real** at, const lane** rank_at, const lvec* tap, bint more, bint keep,
    bint past, Py_ssize_t i, const Found* found, Py_ssize_t o, Py_ssize_t left,
) noexcept nogil:
    cdef vec best = load_upto(at[0] + i, left), old
    cdef lvec place = tap[0], least = LFILL(0), rank = LFILL(0), old_place = LFILL(0), old_least = LFILL(0)
    cdef int t
    if search == COLUMN:
        least = LLOAD(rank_at[0] + i)
    for t in range(1, count):
        if search == COLUMN:
            rank = LLOAD(rank_at[t] + i)
        take_better(search, load_upto(at[t] + i, left), tap[t], rank, &best, &place, &least)
    if more:
        old = load_upto(found.best + o, left)
        if search != VALUE:
            old_place = LLOAD(found.place + o)
        if search == COLUMN:
            old_least = LLOAD(found.rank + o)
        take_better(search, best, place, least, &old, &old_place, &old_least)
        best, place, least = old, old_place, old_least
    if keep:
        put(past, found.best + o, best, left)
    if search != VALUE:
        LSTORE(found.place + o, place)
    if search == COLUMN and keep:
        LSTORE(found.rank + o, least)


cdef inline void max_pass(
    Search search, int count, const Series* s, Py_ssize_t first, bint keep, const real* source, const lane* ranks,
    Py_ssize_t pitch, bint far, bint past, const Found* found,
) noexcept nogil:
    cdef const real* at[MOST]
    cdef const lane* rank_at[MOST]
    cdef lvec tap[MOST]
    cdef Found to = found[0]
    cdef Py_ssize_t m, e, i, o, outputs = s.count, length = s.length
    cdef Py_ssize_t source_step = s.source_step, out_step = s.out_step
    cdef int t
    for t in range(count):
        at[t] = source + (s.term[first + t].source + s.shift)*pitch
        rank_at[t] = ranks + (s.term[first + t].source + s.shift)*pitch
        tap[t] = LFILL(s.term[first + t].tap)
    for m in range(outputs):
        i, o, e = m*source_step, m*out_step, 0
        while e + VL <= length:
            if far:
                fetch_along(at[count - 1] + i + e)
                if not past:
                    fetch_along(to.best + o + e)
            max_vector(search, count, at, rank_at, tap, first > 0, keep, past, i + e, &to, o + e, VL)
            e += VL
        if e < length:
            max_vector(search, count, at, rank_at, tap, first > 0, keep, past, i + e, &to, o + e, length - e)


cdef inline void max_terms(
    Search search, const Series* s, bint keep, const real* source, const lane* ranks, Py_ssize_t pitch, bint far,
    bint past, const Found* found,
) noexcept nogil:
    """`keep` the maximum and its rank, not only its place."""
    cdef Py_ssize_t t = 0
    keep = keep or s.terms > MOST
    past = past and s.terms <= MOST         # else what is written is read again
    while t < s.terms:
        if s.terms - t == 1:
            max_pass(search, 1, s, t, keep, source, ranks, pitch, far, past, found)
        elif s.terms - t == 2:
            max_pass(search, 2, s, t, keep, source, ranks, pitch, far, past, found)
        elif s.terms - t == 3:
            max_pass(search, 3, s, t, keep, source, ranks, pitch, far, past, found)
        else:
            max_pass(search, MOST, s, t, keep, source, ranks, pitch, far, past, found)
        t += MOST
