# Maxima and where they are, window by window.
#
#     y[i, j, c] = max x[h, v, c],  indices[i, j, c] = h*W + v of the first     over the taps (h, v) of window (i, j)
#
# Loops: windows in row-major order, then vectors of channels; a window's maximum and its place stay in registers while
# its taps are read, so that beside x, y and the indices nothing is read or written: 2x2/2 is 1.6 to 2.6 times as fast,
# 3x3/2 1.2 to 1.9 times.  For windows that hardly meet and whole vectors of channels; others search each row of x once
# (pool_search).

from cyconv.kernels.bypass cimport put
from cyconv.kernels.fetch cimport fetch_along
from cyconv.kernels.pool_max cimport PLACE, take_better
from cyconv.kernels.pool_plan cimport HELD, STRIP, Pool
from cyconv.kernels.reach cimport List, list_of, most_terms
from cyconv.kernels.simd cimport LFILL, LSTORE, VL, VLOAD, lane, lvec, real, vec
from cyconv.kernels.tasks cimport Call, stopped


cdef inline int by_places(const Pool* k) except -1:
    """Whether indexed maxima are found window by window."""
    cdef Py_ssize_t taps = most_terms(&k.rows)*most_terms(&k.columns)
    return (
        k.C % VL == 0 and taps <= HELD and 3*k.rows.source_step*k.columns.source_step >= taps
        and k.H*k.W <= 1 << 31
    )


cdef inline void place_vector(
    Py_ssize_t R, Py_ssize_t S, const Pool* k, const real* x, real* y, Py_ssize_t* indices, Py_ssize_t first
) noexcept nogil:
    """Of a window of R x S taps, of which x is the first, `first` in its image."""
    cdef const real* x_r = x
    cdef vec best = VLOAD(x)
    cdef lvec place = LFILL(0)
    cdef lane found[VL]
    cdef Py_ssize_t r, s, i
    for r in range(R):
        for s in range(S):
            if r or s:
                take_better(
                    PLACE, VLOAD(x_r + s*k.dilation_w*k.C), LFILL(r*k.dilation_h*k.W + s*k.dilation_w), &best, &place
                )
        x_r += k.dilation_h*k.W*k.C
    put(k.past, y, best, VL)
    LSTORE(found, place)
    for i in range(VL):
        indices[i] = first + found[i]


cdef inline void place_windows(
    Py_ssize_t R, Py_ssize_t S, const Pool* k, const real* x, real* y, Py_ssize_t* indices, Py_ssize_t first,
    Py_ssize_t count,
) noexcept nogil:
    """Of so many windows side by side."""
    cdef Py_ssize_t c, _
    for _ in range(count):
        c = 0
        while c < k.C:
            if k.far:
                fetch_along(x + (R - 1)*k.dilation_h*k.W*k.C + c)
            place_vector(R, S, k, x + c, y + c, indices + c, first)
            c += VL
        x += k.columns.source_step*k.C
        y += k.C
        indices += k.C
        first += k.columns.source_step


cdef inline void placed_rows(const Pool* k, Py_ssize_t first, Py_ssize_t last, Call* call) noexcept nogil:
    """Output rows first <= n*OH + i < last, and where their maxima are."""
    cdef Py_ssize_t line, o, h, v, R, S, at, count, outputs = k.columns.outputs, most = max(1, STRIP // k.C)
    cdef List rows, columns
    cdef const real* x
    for line in range(first, last):
        rows = list_of(&k.rows, line % k.rows.outputs)
        h, R, o = rows.term[0].source + rows.shift, rows.terms, 0
        while o < outputs:
            columns = list_of(&k.columns, o)
            v, S, count = columns.term[0].source + columns.shift, columns.terms, min(columns.alike, most)
            if stopped(call, count*R*S*k.C):
                return
            at = (line*outputs + o)*k.C
            x = k.x + ((line // k.rows.outputs*k.H + h)*k.W + v)*k.C
            if R == 2 and S == 2:
                place_windows(2, 2, k, x, k.y + at, k.indices + at, h*k.W + v, count)
            elif R == 3 and S == 3:
                place_windows(3, 3, k, x, k.y + at, k.indices + at, h*k.W + v, count)
            else:
                place_windows(R, S, k, x, k.y + at, k.indices + at, h*k.W + v, count)
            o += count
