# What each output of a pooling reads, along one axis; and, turned round, what reads each source.
#
# Pooling is separable: a window is the product of two of these lists, one of rows and one of columns.
#
# In the middle of a long axis the lists repeat, every `out_step` outputs, `source_step` sources on.  They are made for
# a shorter axis, without most of its middle (cyconv/windows.py); `list_of` finds an output's list there.

from cyconv.kernels.scratch cimport allocate, free, lines, take
from cyconv.kernels.simd cimport lane, real
from cyconv.kernels.tasks cimport heed

cdef enum:
    MOST = 4                # terms that are reduced in one pass; the compiler knows their number

cdef struct Term:
    Py_ssize_t source
    lane tap                # its number in the window
    real weight

cdef struct Reach:
    Py_ssize_t outputs
    Py_ssize_t listed       # outputs of the shorter axis
    Term* terms             # of all those, windows and taps in ascending order
    Py_ssize_t* start       # where each list begins; listed + 1 of them
    real* size              # what the sum of a list's terms is divided by
    Py_ssize_t first        # from this output on lists repeat
    Py_ssize_t repeats      # so many times
    bint steady             # and none that repeats is alone
    bint phased             # outputs that are alike will follow each other, as will what they read (pool_search)
    # Outputs `out_step` apart mostly read the same terms, `source_step` on: alike[i] of those listed from i on do.
    Py_ssize_t out_step
    Py_ssize_t source_step
    Py_ssize_t* alike
    void* block

cdef struct List:
    const Term* term
    Py_ssize_t terms
    Py_ssize_t shift        # to be added to their sources
    real size
    Py_ssize_t alike        # outputs from this one on, out_step apart

cdef struct Series:
    # Outputs that are alike, `length` numbers each; neighbours that read neighbours are one output.
    const Term* term
    Py_ssize_t terms
    Py_ssize_t shift        # of their sources
    Py_ssize_t count
    Py_ssize_t length
    Py_ssize_t out_step     # in numbers
    Py_ssize_t source_step


cdef struct Layout:         # source i lies at i % cycle*within + i // cycle*beyond
    Py_ssize_t cycle
    Py_ssize_t within
    Py_ssize_t beyond


cdef inline Layout in_order(Py_ssize_t pitch) noexcept nogil:
    cdef Layout l
    l.cycle, l.within, l.beyond = 1, 0, pitch
    return l


cdef inline Py_ssize_t lies(const Layout* l, Py_ssize_t i) noexcept nogil:
    return i*l.beyond if l.cycle == 1 else i % l.cycle*l.within + i // l.cycle*l.beyond


cdef inline int are_alike(const Reach* a, Py_ssize_t o, Py_ssize_t p) except -1:
    cdef const Term* term = a.terms + a.start[o]
    cdef const Term* other = a.terms + a.start[p]
    cdef Py_ssize_t t, count = a.start[o + 1] - a.start[o]
    if a.start[p + 1] - a.start[p] != count or a.size[p] != a.size[o]:
        return False
    if count > MOST and a.out_step != a.source_step and not a.phased:
        return False
    for t in range(count):
        heed(t)
        if (other[t].source != term[t].source + a.source_step or other[t].tap != term[t].tap
                or other[t].weight != term[t].weight):
            return False
    return True


cdef inline int set_reach(
    Reach* a, const Py_ssize_t* windows, Py_ssize_t count, const Py_ssize_t* middle, Py_ssize_t sources,
    Py_ssize_t dilation, real divisor, bint turned,
) except -1:
    """Of `count` windows (first, taps, size) on an axis of `sources`, and a `middle` (cut, skipped) that repeats.

    A `divisor` other than 0 replaces the sizes.  Outputs of more terms than a pass takes stay alone, unless neighbours
    read neighbours, or will: a pass writes whole vectors.
    """
    cdef Py_ssize_t j, s, o, stride = 1, terms = 0, cut = middle[0], skipped = middle[1]
    cdef real size
    cdef Term* term
    cdef char* cursor
    for j in range(count):
        heed(j)
        terms += windows[3*j + 1]
    j = cut + 1 if skipped else count // 2
    if count > 1:                                       # between two windows that no border cuts
        stride = max(1, windows[3*j] - windows[3*j - 3])
    a.out_step, a.source_step = stride if turned else 1, 1 if turned else stride
    a.outputs = sources if turned else count + skipped
    a.listed = sources - skipped*stride if turned else count
    a.first, a.repeats = windows[3*cut] if turned else cut, skipped
    a.block = allocate(
        lines(terms, sizeof(Term)) + 2*lines(a.listed + 1, sizeof(Py_ssize_t)) + lines(a.listed, sizeof(real))
    )
    cursor = <char*>a.block
    a.terms = <Term*>take(&cursor, terms, sizeof(Term))
    a.start = <Py_ssize_t*>take(&cursor, a.listed + 1, sizeof(Py_ssize_t))
    a.alike = <Py_ssize_t*>take(&cursor, a.listed, sizeof(Py_ssize_t))
    a.size = <real*>take(&cursor, a.listed, sizeof(real))
    # Count each output's terms, sum up to where they end, and fill them in from there, the last window first.
    for o in range(a.listed + 1):
        heed(o)
        a.start[o] = 0
    for j in range(count):
        heed(j)
        for s in range(windows[3*j + 1]):
            heed(s)
            a.start[windows[3*j] + s*dilation if turned else j] += 1
    for o in range(a.listed):
        heed(o)
        a.start[o + 1] += a.start[o]
        a.size[o] = 1
    for j in range(count - 1, -1, -1):
        heed(j)
        size = divisor if divisor != 0 else <real>windows[3*j + 2]
        if not turned:
            a.size[j] = size
        for s in range(windows[3*j + 1] - 1, -1, -1):
            heed(s)
            o = windows[3*j] + s*dilation if turned else j
            a.start[o] -= 1
            term = a.terms + a.start[o]
            term.source = j if turned else windows[3*j] + s*dilation
            term.tap = <lane>s
            term.weight = 1/size if turned else 1
    for o in range(a.listed - 1, -1, -1):
        heed(o)
        a.alike[o] = 1
        if o + a.out_step < a.listed and are_alike(a, o, o + a.out_step):
            a.alike[o] += a.alike[o + a.out_step]
    a.steady = skipped > 0
    for o in range(a.first, a.first + a.out_step if skipped else 0):
        heed(o)
        a.steady = a.steady and a.alike[o] > 1
    return 0


cdef inline List list_of(const Reach* a, Py_ssize_t o) noexcept nogil:
    """What output o reads."""
    cdef List found
    cdef Py_ssize_t i = o, before = 0           # repetitions before it
    if a.repeats and o >= a.first:
        before = min(a.repeats, o - a.first if a.out_step == 1 else (o - a.first) // a.out_step)
        i = o - before*a.out_step
    found.term, found.terms, found.size = a.terms + a.start[i], a.start[i + 1] - a.start[i], a.size[i]
    found.shift, found.alike = before*a.source_step, a.alike[i]
    if found.alike > 1 and i + (found.alike - 1)*a.out_step >= a.first:
        found.alike += a.repeats - before
    return found


cdef inline Series whole(const Reach* a, Py_ssize_t o, Py_ssize_t length) noexcept nogil:
    """Output o alone."""
    cdef Series s
    cdef List found = list_of(a, o)
    s.term, s.terms, s.shift, s.count, s.length = found.term, found.terms, found.shift, 1, length
    s.out_step = s.source_step = 0
    return s


cdef inline Series series(const Reach* a, Py_ssize_t o, Py_ssize_t o1, Py_ssize_t C) noexcept nogil:
    """Those alike from o on and before o1, C numbers each."""
    cdef Series s = whole(a, o, C)
    s.out_step, s.source_step = a.out_step*C, a.source_step*C
    s.count = min(list_of(a, o).alike, (o1 - 1 - o) // a.out_step + 1)
    if a.out_step == a.source_step:
        s.count, s.length = 1, s.count*C
    return s


cdef inline Py_ssize_t next_series(const Reach* a, Py_ssize_t o, Py_ssize_t o0) noexcept nogil:
    """The first output after o that is in no series of one from o0 on."""
    cdef Py_ssize_t end = a.first + a.repeats*a.out_step
    if a.out_step == 1:
        return o + list_of(a, o).alike
    while True:
        o += 1
        if o >= a.outputs or o - a.out_step < o0 or list_of(a, o - a.out_step).alike == 1:
            return o
        if a.steady and a.first <= o - a.out_step < end:
            o = end + a.out_step - 1


cdef inline Py_ssize_t most_terms(const Reach* a) except -1:
    cdef Py_ssize_t i, most = 0
    for i in range(a.listed):
        heed(i)
        most = max(most, a.start[i + 1] - a.start[i])
    return most


cdef inline Py_ssize_t longest(const Reach* a) except -1:
    """From the first to the last source of an output, at most."""
    cdef Py_ssize_t i, most = 1
    for i in range(a.listed):
        heed(i)
        if a.start[i] < a.start[i + 1]:
            most = max(most, a.terms[a.start[i + 1] - 1].source - a.terms[a.start[i]].source + 1)
    return most


cdef inline void add_rows(Series* s, const Reach* rows, Py_ssize_t row, Py_ssize_t W, Term* product) noexcept nogil:
    """Make sources that are columns those columns of every source of `row`, as pixels of an image W wide."""
    cdef List r = list_of(rows, row)
    cdef Py_ssize_t t, i, count = 0
    for i in range(r.terms):
        for t in range(s.terms):
            product[count].source = (r.term[i].source + r.shift)*W + s.term[t].source
            product[count].weight = r.term[i].weight*s.term[t].weight
            count += 1
    s.term, s.terms = product, count


cdef inline void hull(
    const Reach* a, Py_ssize_t o0, Py_ssize_t o1, Py_ssize_t* low, Py_ssize_t* high
) noexcept nogil:
    """Widen low <= source < high by what outputs o0 <= o < o1 read."""
    cdef Py_ssize_t o = o0, t
    cdef List s
    while o < o1:
        s = list_of(a, o)
        for t in range(s.terms):
            low[0] = min(low[0], s.term[t].source + s.shift)
            high[0] = max(high[0], s.term[t].source + s.shift + 1)
        o += 1
        if a.repeats and o >= max(o0, a.first) + a.out_step:    # of what repeats, the first and the last are enough
            o = max(o, min(o1, a.first + a.repeats*a.out_step) - a.out_step)
