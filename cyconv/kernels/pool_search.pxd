# Maxima and where they are: in each row of the image the windows' columns are searched, then these rows.
#
# In that order the first maximum of a window in row-major order is found by comparing values alone; and a row is
# searched once for all the windows that see it: its maxima wait in a ring of as many rows as a window is high.  Each
# axis is one long vector, however few the channels, where windows are one column apart.  Where they are further, and
# pixels of few channels would leave vectors half empty, the columns are put into so many phases first, each of which is
# one.

from cyconv.kernels.pool_max cimport PLACE, VALUE, Found, found_in, max_terms, shifted
from cyconv.kernels.pool_plan cimport Pool, row_of_work
from cyconv.kernels.reach cimport Layout, List, Reach, Series, hull, in_order, list_of, next_series, series, whole
from cyconv.kernels.scratch cimport take
from cyconv.kernels.simd cimport (
    LEQUAL, LFILL, LLOAD, LSELECT, LSTORE, VL, VLOAD, VSTORE, lane, load_upto, lvec, real, store_upto,
)
from cyconv.kernels.tasks cimport Call, stopped

cdef struct Rings:
    Found row               # of rows of the image, `depth` of them: windows from `first` on, of these columns
    Found window            # of rows of windows, `waiting` of them
    Py_ssize_t* row_in      # which row each place of a ring holds, or -1
    Py_ssize_t* window_in
    real* share             # what a row of windows gives, or `lane` numbers: the columns of its maxima
    real* apart             # a row of x in phases, and one of dx behind it
    Py_ssize_t first        # windows first <= o < last,
    Py_ssize_t last
    Py_ssize_t low          # which read columns low <= v < high
    Py_ssize_t high


cdef inline Rings rings_in(const Pool* k, char* scratch) noexcept nogil:
    cdef Rings r
    r.row = found_in(&scratch, k.depth*k.pitch)
    r.window = found_in(&scratch, k.waiting*k.pitch)
    r.row_in = <Py_ssize_t*>take(&scratch, k.depth, sizeof(Py_ssize_t))
    r.window_in = <Py_ssize_t*>take(&scratch, k.waiting, sizeof(Py_ssize_t))
    r.share = <real*>take(&scratch, k.pitch, sizeof(real))
    r.apart = <real*>take(&scratch, 2*k.phases*k.phase_pitch + VL, sizeof(real))
    r.first = r.last = r.low = r.high = 0
    return r


cdef inline void empty_rings(const Pool* k, Rings* r, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """For windows first <= o < last of an image."""
    cdef Py_ssize_t i
    r.first, r.last, r.low, r.high = first, last, k.W, 0
    hull(&k.columns, first, last, &r.low, &r.high)
    for i in range(k.depth):
        r.row_in[i] = -1
    for i in range(k.waiting):
        r.window_in[i] = -1


cdef inline Series alike(const Pool* k, const Reach* a, Py_ssize_t o, Py_ssize_t o1) noexcept nogil:
    """As `series`; in phases, outputs that are alike follow each other."""
    cdef Series s = series(a, o, o1, k.C)
    if k.phases > 1:
        s.count, s.length = 1, s.count*s.length
    return s


cdef inline Layout in_phases(const Pool* k) noexcept nogil:
    cdef Layout l
    l.cycle, l.within, l.beyond = k.phases, k.phase_pitch, k.C
    return l


cdef inline const real* split(
    const Pool* k, const real* x_h, Py_ssize_t low, Py_ssize_t high, real* apart
) noexcept nogil:
    """Columns low <= v < high of a row, which begins at x_h, in phases; where column 0 would be."""
    cdef Py_ssize_t phase, v, c
    cdef real* to
    for phase in range(k.phases):
        v = low + (phase + k.phases - low % k.phases) % k.phases
        to = apart + phase*k.phase_pitch + (v // k.phases - low // k.phases)*k.C
        while v < high:
            c = 0
            while c < k.C:          # what is stored too much is overwritten by the next
                VSTORE(to + c, load_upto(x_h + v*k.C + c, (high - v)*k.C - c))
                c += VL
            to += k.C
            v += k.phases
    return apart - low // k.phases*k.C


cdef inline void join(const Pool* k, const real* apart, Py_ssize_t low, Py_ssize_t high, real* x_h) noexcept nogil:
    """The columns as they were."""
    cdef Py_ssize_t v, c
    cdef const real* column
    for v in range(low, high):
        column = apart + v % k.phases*k.phase_pitch + (v // k.phases - low // k.phases)*k.C
        c = 0
        while c < k.C:
            store_upto(x_h + v*k.C + c, VLOAD(column + c), (high - v)*k.C - c)
            c += VL


cdef inline void search_row(bint place, const Pool* k, const real* x_n, Py_ssize_t h, Rings* r) noexcept nogil:
    """The maxima of row h of an image, if they are not there."""
    cdef Py_ssize_t slot = h % k.depth, o = r.first
    cdef const real* source = x_n + h*k.W*k.C
    cdef Layout layout = in_order(k.C)
    cdef Found to
    cdef Series s
    if r.row_in[slot] == h:
        return
    r.row_in[slot] = h
    if k.phases > 1:
        source, layout = split(k, source, r.low, r.high, r.apart), in_phases(k)
    while o < r.last:
        s = alike(k, &k.columns, o, r.last)
        to = shifted(&r.row, slot*k.pitch + (o - r.first)*k.C)
        max_terms(PLACE if place else VALUE, &s, True, source, &layout, k.far, False, False, &to)
        o = next_series(&k.columns, o, r.first)


cdef inline void search_windows(
    bint place, bint keep, const Pool* k, const real* x_n, Py_ssize_t row, Rings* r, const Found* to
) noexcept nogil:
    """The maxima of a row of windows of an image."""
    cdef List taps = list_of(&k.rows, row)
    cdef Series s = whole(&k.rows, row, (r.last - r.first)*k.C)
    cdef Layout ring
    cdef Py_ssize_t t
    ring.cycle, ring.within, ring.beyond = k.depth, k.pitch, 0
    for t in range(taps.terms):
        search_row(place, k, x_n, taps.term[t].source + taps.shift, r)
    max_terms(PLACE if place else VALUE, &s, keep, r.row.best, &ring, False, False, False, to)


cdef inline void choose_columns(
    const Pool* k, const List* rows, const Rings* r, const lane* row, lane* column
) noexcept nogil:
    """Where the maxima are in the row of the window, whose number is in `row`, that holds them."""
    cdef Py_ssize_t t, e
    cdef const lane* place
    cdef lvec chosen
    for t in range(rows.terms):
        place = r.row.place + (rows.term[t].source + rows.shift) % k.depth*k.pitch
        e = 0
        while e < (r.last - r.first)*k.C:
            chosen = LLOAD(place + e)
            if t > 0:
                chosen = LSELECT(LEQUAL(LLOAD(row + e), LFILL(t)), chosen, LLOAD(column + e))
            LSTORE(column + e, chosen)
            e += VL


cdef inline void write_indices(
    const Pool* k, const List* rows, const Rings* r, const lane* row, const lane* column, Py_ssize_t* index
) noexcept nogil:
    """h*W + w of the maxima of a row of windows."""
    cdef Py_ssize_t o, i, first, top = rows.term[0].source + rows.shift, down = k.dilation_h*k.W
    cdef List columns
    for o in range(r.first, r.last):
        columns = list_of(&k.columns, o)
        first = top*k.W + columns.term[0].source + columns.shift
        for i in range((o - r.first)*k.C, (o - r.first + 1)*k.C):
            index[i] = first + row[i]*down + column[i]*k.dilation_w


cdef inline void indexed_rows(
    const Pool* k, Py_ssize_t first, Py_ssize_t last, char* scratch, Call* call
) noexcept nogil:
    """Output rows first <= n*OH + i < last, and where their maxima are."""
    cdef Py_ssize_t o0 = 0, o1, row, line, n, at, outputs = k.columns.outputs
    cdef Rings r = rings_in(k, scratch)
    cdef lane* column = <lane*>r.share
    cdef Found to
    cdef List taps
    while o0 < outputs:
        o1 = min(o0 + k.strip, outputs)
        for line in range(first, last):
            n, row = line // k.rows.outputs, line % k.rows.outputs
            if line == first or row == 0:
                empty_rings(k, &r, o0, o1)
            if stopped(call, row_of_work(k, row)):
                return
            at = (line*outputs + o0)*k.C
            to.best, to.place = k.y + at, r.window.place
            search_windows(True, True, k, k.x + n*k.H*k.W*k.C, row, &r, &to)
            taps = list_of(&k.rows, row)
            choose_columns(k, &taps, &r, to.place, column)
            write_indices(k, &taps, &r, to.place, column, k.indices + at)
        o0 = o1
