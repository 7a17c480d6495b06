# What each output of a pooling reads, along one axis; and, turned round, what reads each source.
#
# Pooling is separable: a window is the product of two of these lists, one of rows and one of columns.

from cyconv.kernels.scratch cimport allocate, free, lines, take
from cyconv.kernels.simd cimport lane, real

cdef enum:
    MOST = 4                # terms that are reduced in one pass; the compiler knows their number

cdef struct Term:
    Py_ssize_t source
    lane tap                # its number in the window
    real weight

cdef struct Reach:
    Py_ssize_t outputs
    Term* terms             # of all outputs, windows and taps in ascending order
    Py_ssize_t* start       # of each output's terms; outputs + 1 of them
    real* size              # what the sum of an output's terms is divided by
    # Outputs `out_step` apart mostly read the same terms, `source_step` on: alike[o] of them from o on do.
    Py_ssize_t out_step
    Py_ssize_t source_step
    Py_ssize_t* alike
    void* block

cdef struct Series:
    # Outputs that are alike, `length` numbers each; neighbours that read neighbours are one output.
    const Term* term
    Py_ssize_t terms
    Py_ssize_t count
    Py_ssize_t length
    Py_ssize_t out_step     # in numbers
    Py_ssize_t source_step


cdef inline bint are_alike(const Reach* a, Py_ssize_t o, Py_ssize_t p) noexcept nogil:
    cdef const Term* term = a.terms + a.start[o]
    cdef const Term* other = a.terms + a.start[p]
    cdef Py_ssize_t t, count = a.start[o + 1] - a.start[o]
    if a.start[p + 1] - a.start[p] != count or a.size[p] != a.size[o]:
        return False
    if count > MOST and a.out_step != a.source_step:
        return False
    for t in range(count):
        if (other[t].source != term[t].source + a.source_step or other[t].tap != term[t].tap
                or other[t].weight != term[t].weight):
            return False
    return True


cdef inline Reach reach(
    const Py_ssize_t* windows, Py_ssize_t count, Py_ssize_t sources, Py_ssize_t dilation, real divisor, bint turned
) except *:
    """Of `count` windows (first, taps, size) on an axis of `sources`; a `divisor` other than 0 replaces the sizes.

    Outputs of more terms than a pass takes stay alone, unless neighbours read neighbours: a pass writes whole vectors.
    """
    cdef Reach a
    cdef Py_ssize_t j, s, o, stride = 1, terms = 0
    cdef real size
    cdef Term* term
    cdef char* cursor
    for j in range(count):
        terms += windows[3*j + 1]
    if count > 1:                                       # between two windows that no border cuts
        stride = max(1, windows[3*(count // 2)] - windows[3*(count // 2) - 3])
    a.out_step, a.source_step = stride if turned else 1, 1 if turned else stride
    a.outputs = sources if turned else count
    a.block = allocate(
        lines(terms, sizeof(Term)) + 2*lines(a.outputs + 1, sizeof(Py_ssize_t)) + lines(a.outputs, sizeof(real))
    )
    cursor = <char*>a.block
    a.terms = <Term*>take(&cursor, terms, sizeof(Term))
    a.start = <Py_ssize_t*>take(&cursor, a.outputs + 1, sizeof(Py_ssize_t))
    a.alike = <Py_ssize_t*>take(&cursor, a.outputs, sizeof(Py_ssize_t))
    a.size = <real*>take(&cursor, a.outputs, sizeof(real))
    # Count each output's terms, sum up to where they end, and fill them in from there, the last window first.
    for o in range(a.outputs + 1):
        a.start[o] = 0
    for j in range(count):
        for s in range(windows[3*j + 1]):
            a.start[windows[3*j] + s*dilation if turned else j] += 1
    for o in range(a.outputs):
        a.start[o + 1] += a.start[o]
        a.size[o] = 1
    for j in range(count - 1, -1, -1):
        size = divisor if divisor != 0 else <real>windows[3*j + 2]
        if not turned:
            a.size[j] = size
        for s in range(windows[3*j + 1] - 1, -1, -1):
            o = windows[3*j] + s*dilation if turned else j
            a.start[o] -= 1
            term = a.terms + a.start[o]
            term.source = j if turned else windows[3*j] + s*dilation
            term.tap = <lane>s
            term.weight = 1/size if turned else 1
    for o in range(a.outputs - 1, -1, -1):
        a.alike[o] = 1
        if o + a.out_step < a.outputs and are_alike(&a, o, o + a.out_step):
            a.alike[o] += a.alike[o + a.out_step]
    return a


cdef inline Series whole(const Reach* a, Py_ssize_t o, Py_ssize_t length) noexcept nogil:
    """Output o alone."""
    cdef Series s
    s.term, s.terms, s.count, s.length = a.terms + a.start[o], a.start[o + 1] - a.start[o], 1, length
    s.out_step = s.source_step = 0
    return s


cdef inline bint leads(const Reach* a, Py_ssize_t o, Py_ssize_t o0) noexcept nogil:
    """Whether no output from o0 on has output o in its series."""
    return o - a.out_step < o0 or a.alike[o - a.out_step] == 1


cdef inline Series series(const Reach* a, Py_ssize_t o, Py_ssize_t o1, Py_ssize_t C) noexcept nogil:
    """Those alike from o on and before o1, C numbers each."""
    cdef Series s = whole(a, o, C)
    s.out_step, s.source_step = a.out_step*C, a.source_step*C
    s.count = min(a.alike[o], (o1 - 1 - o) // a.out_step + 1)
    if a.out_step == a.source_step:
        s.count, s.length = 1, s.count*C
    return s


cdef inline Py_ssize_t most_terms(const Reach* a) noexcept nogil:
    cdef Py_ssize_t o, most = 0
    for o in range(a.outputs):
        most = max(most, a.start[o + 1] - a.start[o])
    return most


cdef inline void add_rows(Series* s, const Reach* rows, Py_ssize_t row, Py_ssize_t W, Term* product) noexcept nogil:
    """Make sources that are columns those columns of every source of `row`, as pixels of an image W wide."""
    cdef Py_ssize_t t, r, count = 0
    for r in range(rows.start[row], rows.start[row + 1]):
        for t in range(s.terms):
            product[count].source = rows.terms[r].source*W + s.term[t].source
            product[count].weight = rows.terms[r].weight*s.term[t].weight
            count += 1
    s.term, s.terms = product, count


cdef inline void hull(
    const Reach* a, Py_ssize_t first, Py_ssize_t last, Py_ssize_t* low, Py_ssize_t* high
) noexcept nogil:
    """Widen low <= source < high by what outputs first <= o < last read."""
    cdef Py_ssize_t t
    for t in range(a.start[first], a.start[last]):
        low[0] = min(low[0], a.terms[t].source)
        high[0] = max(high[0], a.terms[t].source + 1)
