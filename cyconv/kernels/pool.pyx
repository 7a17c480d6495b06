"""Maximum and average pooling, forward and backward.

    y[n, i, j, c]  = max | sum / divisor  of  x[n, h, v, c]  over the window (i, j)
    dx[n, h, v, c] = sum over the windows (i, j) that hold (h, v) of  dy[n, i, j, c] * [x is the maximum] | / divisor

A window is what is left of it inside the image: the table `windows` (cyconv/windows.py) has a row (first, count, size)
for window rows and columns; the source coordinates are first, first + dilation ... and the divisor is the product of
the two sizes.  Padding, ceil_mode and adaptive windows are all in that table.

Pooling is separable.  The rows of a window are reduced first, over the whole width of a strip: C times its columns is
one long vector, however few the channels.  Then the columns; where windows are one column apart, the numbers of many
windows are one long vector too.  The average's gradient is such a sum itself, over the windows that hold a pixel.  To
tell where maxima are the columns come first (pool_search), and their gradient goes back by the same two steps: from the
windows to the rows that hold their maximum, from these to the columns that do (pool_max_grad).  Windows that hardly
meet are searched one by one (pool_places).
Few pixels take one step for both axes.  Forward, windows of few are reduced in one pass, which makes 2x2/2 1.1 times as
fast, the speed of memory, and those of 3x3 while their columns are in registers (pool_strips).  Backward, where few
windows meet in a pixel, they are done one by one (pool_windows), so that what a row of windows needs is read once and
each dx written when it is first met: 1.2 to 1.5 times as fast.

Tasks: forward, ranges of output rows; backward, bands of rows of dx, and every window that touches a band is evaluated
for it, so that no two tasks write one number and each dx is summed in the order of the windows: the same bits for any
number of threads.  A task goes through its rows in strips, so that what a strip's rows are reduced to stays in cache.
"""

from cyconv.kernels.bypass cimport bypasses
from cyconv.kernels.fetch cimport FAR
from cyconv.kernels.pool_max cimport VALUE, Found, found_in, max_terms
from cyconv.kernels.pool_max_grad cimport maximum_band
from cyconv.kernels.pool_places cimport by_places, placed_rows
from cyconv.kernels.pool_plan cimport (
    EVENLY, FIRST, TIES, Pool, by_windows, half_empty, images, of_images, of_windows, plan, plan_rings, release,
    row_of_work, set_axes, set_readers,
)
from cyconv.kernels.pool_search cimport indexed_rows
from cyconv.kernels.pool_strips cimport IN_STRIPS, plan_strips, strip_rows
from cyconv.kernels.pool_sum cimport sum_terms
from cyconv.kernels.pool_windows cimport window_band
from cyconv.kernels.reach cimport (
    MOST, Layout, Series, Term, add_rows, hull, in_order, list_of, next_series, series, whole,
)
from cyconv.kernels.scatter cimport Scatter, scatter_image
from cyconv.kernels.scratch cimport align, allocate, free
from cyconv.kernels.shapes cimport check_planes, check_pool, check_same
from cyconv.kernels.simd cimport DRAIN, describe_build, real
from cyconv.kernels.strips cimport AVERAGES, MAXIMA
from cyconv.kernels.tasks cimport Call, run_tasks, stopped

cdef enum Kind:
    MAXIMUM
    AVERAGE


def describe():
    """What this module was compiled for."""
    return describe_build()


cdef inline void average_rows(
    const Pool* k, Py_ssize_t first, Py_ssize_t last, char* scratch, Call* call
) noexcept nogil:
    """Output rows first <= n*outputs + o < last of y, sums of those of x that `rows` and `columns` name."""
    cdef Py_ssize_t o0 = 0, o1, o, row, low, high, line, outputs = k.columns.outputs
    cdef real* total = <real*>scratch
    cdef real divisor
    cdef const real* x_n
    cdef Series s
    while o0 < outputs:
        o1 = min(o0 + k.strip, outputs)
        low, high = k.W, 0
        hull(&k.columns, o0, o1, &low, &high)
        low = min(low, high)
        for line in range(first, last):
            row = line % k.rows.outputs
            if stopped(call, row_of_work(k, row)):
                return
            x_n = k.x + line // k.rows.outputs*k.H*k.W*k.C
            s = whole(&k.rows, row, (high - low)*k.C)
            sum_terms(&s, 1, x_n + low*k.C, k.W*k.C, k.far, False, total)
            o = o0
            while o < o1:
                s = series(&k.columns, o, o1, k.C)
                divisor = list_of(&k.rows, row).size*list_of(&k.columns, o).size
                sum_terms(&s, divisor, total - low*k.C, k.C, k.far, k.past, k.y + (line*outputs + o)*k.C)
                o = next_series(&k.columns, o, o0)
        o0 = o1


cdef inline void small_rows(
    Kind kind, const Pool* k, Py_ssize_t first, Py_ssize_t last, Call* call
) noexcept nogil:
    """The same, or the maxima, of windows whose pixels are no more than one pass takes."""
    cdef Py_ssize_t o0, o1, o, row, line, outputs = k.columns.outputs
    cdef Term product[MOST]
    cdef Layout columns = in_order(k.C)
    cdef real divisor
    cdef const real* x_n
    cdef Found y
    cdef Series s
    y.place = NULL
    for line in range(first, last):
        row = line % k.rows.outputs
        x_n = k.x + line // k.rows.outputs*k.H*k.W*k.C
        o0 = 0
        while o0 < outputs:
            if stopped(call, row_of_work(k, row)):
                return
            o = o0
            o1 = min(o0 + k.strip, outputs)
            while o < o1:
                s = series(&k.columns, o, o1, k.C)
                add_rows(&s, &k.rows, row, k.W, product)
                y.best = k.y + (line*outputs + o)*k.C
                if kind == AVERAGE:
                    divisor = list_of(&k.rows, row).size*list_of(&k.columns, o).size
                    sum_terms(&s, divisor, x_n, k.C, k.far, k.past, y.best)
                else:
                    max_terms(VALUE, &s, True, x_n, &columns, k.far, k.far and not k.past, k.past, &y)
                o = next_series(&k.columns, o, o0)
            o0 = o1


cdef inline void maximum_rows(
    const Pool* k, Py_ssize_t first, Py_ssize_t last, char* scratch, Call* call
) noexcept nogil:
    """Output rows first <= n*OH + i < last."""
    cdef Py_ssize_t o0 = 0, o1, o, row, low, high, line, outputs = k.columns.outputs
    cdef Found column = found_in(&scratch, k.width*k.C), to
    cdef Layout rows = in_order(k.W*k.C), columns = in_order(k.C)
    cdef const real* x_n
    cdef Series s
    to.place = NULL
    while o0 < outputs:
        o1 = min(o0 + k.strip, outputs)
        low, high = k.W, 0
        hull(&k.columns, o0, o1, &low, &high)
        for line in range(first, last):
            row = line % k.rows.outputs
            if stopped(call, row_of_work(k, row)):
                return
            x_n = k.x + line // k.rows.outputs*k.H*k.W*k.C
            s = whole(&k.rows, row, (high - low)*k.C)
            max_terms(VALUE, &s, True, x_n + low*k.C, &rows, k.far, False, False, &column)
            o = o0
            while o < o1:
                s = series(&k.columns, o, o1, k.C)
                to.best = k.y + (line*outputs + o)*k.C
                max_terms(VALUE, &s, True, column.best - low*k.C, &columns, False, k.far and not k.past, k.past, &to)
                o = next_series(&k.columns, o, o0)
        o0 = o1


cdef void average_units(const Pool* k, Py_ssize_t first, Py_ssize_t last, char* scratch, Call* call) noexcept nogil:
    if IN_STRIPS and k.held != NULL and k.rows.source_step == 1:
        strip_rows(AVERAGES, 1, k, first, last, call)
    elif IN_STRIPS and k.held != NULL:
        strip_rows(AVERAGES, 2, k, first, last, call)
    elif k.small:
        small_rows(AVERAGE, k, first, last, call)
    else:
        average_rows(k, first, last, scratch, call)


cdef void maximum_units(const Pool* k, Py_ssize_t first, Py_ssize_t last, char* scratch, Call* call) noexcept nogil:
    if IN_STRIPS and k.held != NULL and k.rows.source_step == 1:
        strip_rows(MAXIMA, 1, k, first, last, call)
    elif IN_STRIPS and k.held != NULL:
        strip_rows(MAXIMA, 2, k, first, last, call)
    elif k.small and k.indices == NULL:
        small_rows(MAXIMUM, k, first, last, call)
    elif k.indices == NULL:
        maximum_rows(k, first, last, scratch, call)
    elif k.windowed:
        placed_rows(k, first, last, call)
    else:
        indexed_rows(k, first, last, scratch, call)


cdef void gradient_units(const Pool* k, Py_ssize_t first, Py_ssize_t last, char* scratch, Call* call) noexcept nogil:
    """Bands first <= n*bands + band < last."""
    cdef Py_ssize_t index, n, h0, h1
    for index in range(first, last):
        n, h0, h1 = index // k.bands, index % k.bands*k.H // k.bands, (index % k.bands + 1)*k.H // k.bands
        if k.windowed and k.share == FIRST:
            window_band(FIRST, k, n, h0, h1, call)
        elif k.windowed and k.share == TIES:
            window_band(TIES, k, n, h0, h1, call)
        elif k.windowed:
            window_band(EVENLY, k, n, h0, h1, call)
        elif k.share == FIRST:
            maximum_band(False, k, n, h0, h1, scratch, call)
        else:
            maximum_band(True, k, n, h0, h1, scratch, call)


ctypedef void (*Units)(const Pool*, Py_ssize_t, Py_ssize_t, char*, Call*) noexcept nogil

cdef struct Shares:             # a pooling's units, cut into tasks
    Units compute
    const Pool* pool
    Py_ssize_t units
    Py_ssize_t tasks


cdef void pool_task(const void* problem, Py_ssize_t task, char* scratch, Call* call) noexcept nogil:
    cdef const Shares* s = <const Shares*>problem
    s.compute(s.pool, task*s.units // s.tasks, (task + 1)*s.units // s.tasks, scratch, call)
    if s.pool.past:
        DRAIN()


cdef int run(Units compute, const Pool* k, Py_ssize_t units, int threads) except -1:
    """compute(k, first, last, scratch of the thread, call) for ranges of 0 <= unit < units."""
    cdef Shares s
    cdef void* block = allocate(k.scratch*threads)
    s.compute, s.pool, s.units, s.tasks = compute, k, units, 1 if threads == 1 else min(units, 4*threads)
    try:
        return run_tasks(pool_task, &s, s.tasks, threads, align(block), k.scratch)
    finally:
        free(block)


cdef int run_bands(Pool* k, int threads) except -1:
    cdef Py_ssize_t read = of_windows(k) + (0 if k.share == EVENLY else of_images(k))
    k.bands = 1 if threads == 1 else max(1, min(k.H // 4, 4*threads // k.N))
    k.far = (of_images(k) + read)*<Py_ssize_t>sizeof(real) > FAR
    k.past = bypasses(k.dx, k.C, of_images(k), read)
    return run(gradient_units, k, k.N*k.bands, threads)


def max_forward(
    const real[:, :, :, ::1] x not None, const Py_ssize_t[:, ::1] windows not None, Py_ssize_t dilation_h,
    Py_ssize_t dilation_w, real[:, :, :, ::1] y not None, Py_ssize_t[:, :, :, ::1] indices, int threads,
):
    """y = maxima of x, and where they were found if `indices` is an array; nothing is empty."""
    cdef Pool k = images(x)
    check_pool(windows, &x.shape[0], &y.shape[0])
    if indices is not None:
        check_same(&indices.shape[0], &y.shape[0], 4)
    k.y, k.indices = &y[0, 0, 0, 0], NULL if indices is None else &indices[0, 0, 0, 0]
    k.columns.phased = indices is not None and half_empty(k.C)
    try:
        set_axes(&k, windows, k.H, k.W, dilation_h, dilation_w, 0, False)
        plan(&k, &k.columns, NULL)
        if indices is None:
            plan_strips(&k)
        else:
            k.windowed = by_places(&k)
            if not k.windowed:
                plan_rings(&k)
        run(maximum_units, &k, k.N*k.rows.outputs, threads)
    finally:
        release(&k)


def avg_forward(
    const real[:, :, :, ::1] x not None, const Py_ssize_t[:, ::1] windows not None, Py_ssize_t dilation_h,
    Py_ssize_t dilation_w, real divisor, real[:, :, :, ::1] y not None, int threads,
):
    """y = sums over the windows of x / divisor, or / the product of the windows' sizes where divisor is 0."""
    cdef Pool k = images(x)
    check_pool(windows, &x.shape[0], &y.shape[0])
    k.y = &y[0, 0, 0, 0]
    try:
        set_axes(&k, windows, k.H, k.W, dilation_h, dilation_w, divisor, False)
        plan(&k, &k.columns, NULL)
        plan_strips(&k)
        run(average_units, &k, k.N*k.rows.outputs, threads)
    finally:
        release(&k)


def max_backward(
    const real[:, :, :, ::1] dy not None, const real[:, :, :, ::1] x not None,
    const Py_ssize_t[:, ::1] windows not None, Py_ssize_t dilation_h, Py_ssize_t dilation_w, bint all_ties,
    real[:, :, :, ::1] dx not None, int threads,
):
    """dx: each dy goes to the first tap that holds the maximum of its window, or to all that equal it."""
    cdef Pool k = images(x)
    check_pool(windows, &x.shape[0], &dy.shape[0])
    check_same(&dx.shape[0], &x.shape[0], 4)
    k.dy, k.dx, k.share = &dy[0, 0, 0, 0], &dx[0, 0, 0, 0], TIES if all_ties else FIRST
    k.columns.phased = k.readers.phased = half_empty(k.C)
    try:
        set_axes(&k, windows, k.H, k.W, dilation_h, dilation_w, 0, False)
        k.windowed = by_windows(&k)
        if not k.windowed:
            set_readers(&k, windows)
            plan(&k, &k.readers, &k.columns)
            plan_rings(&k)
        run_bands(&k, threads)
    finally:
        release(&k)


def avg_backward(
    const real[:, :, :, ::1] dy not None, const Py_ssize_t[:, ::1] windows not None, Py_ssize_t dilation_h,
    Py_ssize_t dilation_w, real divisor, real[:, :, :, ::1] dx not None, int threads,
):
    """dx: each dy / divisor goes to every pixel of its window."""
    cdef Pool k = images(dx), sums = images(dy)
    check_pool(windows, &dx.shape[0], &dy.shape[0])
    k.dy, k.dx, k.share, sums.y = &dy[0, 0, 0, 0], &dx[0, 0, 0, 0], EVENLY, &dx[0, 0, 0, 0]
    try:
        set_axes(&k, windows, k.H, k.W, dilation_h, dilation_w, divisor, False)
        k.windowed = by_windows(&k)
        if k.windowed:
            run_bands(&k, threads)
        else:
            set_axes(&sums, windows, k.H, k.W, dilation_h, dilation_w, divisor, True)
            plan(&sums, &sums.columns, NULL)
            run(average_units, &sums, sums.N*sums.rows.outputs, threads)
    finally:
        release(&k)
        release(&sums)


def scatter(
    const real[:, :, ::1] values not None, const Py_ssize_t[:, :, ::1] indices not None, bint add,
    real[:, :, ::1] plane not None, int threads,
):
    """Values put at their indices into planes, or added up there, zeros elsewhere: whether all indices are in range."""
    cdef Scatter k
    cdef Py_ssize_t outside = 0
    check_same(&values.shape[0], &indices.shape[0], 3)
    check_planes(&values.shape[0], &plane.shape[0])
    k.values, k.indices, k.plane, k.add = &values[0, 0, 0], &indices[0, 0, 0], &plane[0, 0, 0], add
    k.points, k.size, k.C, k.outside = values.shape[1], plane.shape[1], values.shape[2], &outside
    run_tasks(scatter_image, &k, plane.shape[0], threads, NULL, 0)
    return not outside
