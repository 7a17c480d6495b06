# Pooling 3x3 in strips (strips.pxd): a number is read once or twice, where one axis after the other reads it three
# times, and what the rows are reduced to is not written.  With strides of 1 and 2 maxima and averages are 1.05 to 1.6
# times as fast.  Only where a vector is a line of the cache: where lines are visited twice, strips are no faster.

from cyconv.kernels.fetch cimport FAR, LINE
from cyconv.kernels.pool_plan cimport Pool, half_empty, of_images, of_windows
from cyconv.kernels.reach cimport List, Reach, list_of
from cyconv.kernels.scratch cimport allocate
from cyconv.kernels.simd cimport VL, real
from cyconv.kernels.strips cimport SIDE, SPAN, TALLEST, Strip, Walk, strip, tallest
from cyconv.kernels.tasks cimport Call, heed, stopped

cdef enum:
    IN_STRIPS = VL == LINE
    LONGEST = 1 << 12       # outputs of an axis that is looked through


cdef inline int even(const Reach* a, Py_ssize_t sources, Py_ssize_t* first) except -1:
    """Whether all outputs read three sources, one or two further on each time, but for one that may be beyond either
    end; those of output 0 begin at `first`."""
    cdef Py_ssize_t o, t, low, high
    cdef List found
    if not 2 <= a.outputs <= LONGEST or a.out_step != 1 or not 1 <= a.source_step <= 2:
        return False
    found = list_of(a, 1)
    if found.terms == 0:
        return False
    first[0] = found.term[0].source + found.shift - a.source_step
    for o in range(a.outputs):
        heed(o)
        low = first[0] + o*a.source_step
        high = low + SIDE
        if low < -1 or high > sources + 1:
            return False
        low, high = max(low, 0), min(high, sources)
        found = list_of(a, o)
        if found.terms != high - low:
            return False
        for t in range(found.terms):
            if found.term[t].source + found.shift != low + t:
                return False
    return True


cdef inline int plan_strips(Pool* k) except -1:
    """Have the pooling done in strips if its windows are even and there are channels enough for whole vectors."""
    cdef Py_ssize_t o
    if not IN_STRIPS or k.C < VL or half_empty(k.C) or k.rows.source_step != k.columns.source_step:
        return 0
    if not even(&k.rows, k.H, &k.top) or not even(&k.columns, k.W, &k.left):
        return 0
    k.held = <real*>allocate(k.columns.outputs*sizeof(real))
    for o in range(k.columns.outputs):
        k.held[o] = list_of(&k.columns, o).size
    k.far = (of_images(k) + of_windows(k))*<Py_ssize_t>sizeof(real) > FAR
    return 0


cdef inline void channels_of_strip(
    Walk walk, int step, int height, const Strip* s, const Pool* k, Py_ssize_t n, Py_ssize_t row, Py_ssize_t o
) noexcept nogil:
    """Output rows row .. row + height - 1 of image n, columns from o on."""
    cdef Py_ssize_t h = k.top + row*step, v = k.left + o*step, count = min(SPAN, k.columns.outputs - o), c = 0
    cdef const real* x = k.x + ((n*k.H + h)*k.W + v)*k.C
    cdef real* y = k.y + ((n*k.rows.outputs + row)*k.columns.outputs + o)*k.C
    cdef bint top = h >= 0, bottom = h + (height - 1)*step + SIDE <= k.H
    while c < k.C:
        c = min(c, k.C - VL)        # the last vector is whole too: some channels twice, but half the code
        strip(walk, step, height, s, NULL, NULL, x + c, y + c, v, count, top, bottom, VL)
        c += VL


cdef inline void strip_rows(
    Walk walk, int step, const Pool* k, Py_ssize_t first, Py_ssize_t last, Call* call
) noexcept nogil:
    """Output rows first <= n*OH + i < last, of windows that are even."""
    cdef Strip s
    cdef Py_ssize_t line = first, row, o, i
    cdef int height
    s.C, s.W, s.slope, s.x_row, s.x_column, s.y_row, s.y_column = k.C, k.W, 1, k.W*k.C, k.C, k.columns.outputs*k.C, k.C
    s.far, s.past, s.relu, s.biased = k.far, k.past, False, False
    while line < last:
        row = line % k.rows.outputs
        height = tallest(min(last - line, k.rows.outputs - row))
        for i in range(height):
            s.held[i] = list_of(&k.rows, row + i).size
        o = 0
        while o < k.columns.outputs:
            if stopped(call, height*SIDE*SIDE*SPAN*k.C):
                return
            s.held_w = k.held + o
            if height == TALLEST:
                channels_of_strip(walk, step, TALLEST, &s, k, line // k.rows.outputs, row, o)
            elif TALLEST > 2 and height == 2:
                channels_of_strip(walk, step, 2, &s, k, line // k.rows.outputs, row, o)
            else:
                channels_of_strip(walk, step, 1, &s, k, line // k.rows.outputs, row, o)
            o += SPAN
        line += height
