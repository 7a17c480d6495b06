"""Maximum and average pooling, forward and backward.

    y[n, i, j, c]  = max | sum / divisor  of  x[n, h, v, c]  over the window (i, j)
    dx[n, h, v, c] = sum over the windows (i, j) that hold (h, v) of  dy[n, i, j, c] * [x is the maximum] | / divisor

A window is what is left of it inside the image: `windows` has a row (first, count, size) for each of the OH window rows
and then for each of the OW window columns; the source coordinates are first, first + dilation, ... and the divisor is
the product of the two sizes.  Padding, ceil_mode and adaptive windows are all in that table.

Channels are the vector axis.

Tasks: forward, ranges of output rows; backward, bands of rows of dx, and every window that touches a band is evaluated
for it, so that no two tasks write one number and each dx is summed in the order of the windows: the same bits for any
number of threads.
"""

from cython.parallel cimport prange
from libc.string cimport memset

from cyconv.kernels.simd cimport (
    MEQUAL, MFILL, MSELECT, VEQUAL, VFILL, VGREATER, VL, VSELECT, VUNEQUAL, VZERO, describe_build, lane, load_upto,
    mask, real, store_upto, vec,
)

cdef enum Kind:
    MAXIMUM
    AVERAGE

cdef struct Pool:
    const Py_ssize_t* rows      # (first, count, size) of each window row, OH of them
    const Py_ssize_t* columns   # OW of them
    Py_ssize_t N
    Py_ssize_t H
    Py_ssize_t W
    Py_ssize_t C
    Py_ssize_t OH
    Py_ssize_t OW
    Py_ssize_t dilation_h
    Py_ssize_t dilation_w
    real divisor                # 0: the product of the sizes
    const real* x
    real* y
    const real* dy
    real* dx
    Py_ssize_t* indices         # of the maxima in their H x W plane, or NULL
    bint all_ties


def describe():
    """What this module was compiled for."""
    return describe_build()


cdef inline vec window_max(
    const Pool* k, const real* x_w, const Py_ssize_t* row, const Py_ssize_t* column, Py_ssize_t lanes, mask* tap
) noexcept nogil:
    """The maximum, NaN if there is one, and the number of the first tap that holds it."""
    cdef vec best = load_upto(x_w, lanes), value
    cdef mask better
    cdef Py_ssize_t r, s
    tap[0] = MFILL(0)
    for r in range(row[1]):
        for s in range(column[1]):
            value = load_upto(x_w + (r*k.dilation_h*k.W + s*k.dilation_w)*k.C, lanes)
            better = VGREATER(value, best) | (VUNEQUAL(value, value) & VEQUAL(best, best))
            best = VSELECT(better, value, best)
            tap[0] = MSELECT(better, MFILL(r*column[1] + s), tap[0])
    return best


cdef inline vec window_sum(
    const Pool* k, const real* x_w, const Py_ssize_t* row, const Py_ssize_t* column, Py_ssize_t lanes
) noexcept nogil:
    """Row sums, then their sum: a window of a whole image loses less than in one long chain."""
    cdef vec total = VZERO, line
    cdef Py_ssize_t r, s
    for r in range(row[1]):
        line = VZERO
        for s in range(column[1]):
            line = line + load_upto(x_w + (r*k.dilation_h*k.W + s*k.dilation_w)*k.C, lanes)
        total = total + line
    return total


cdef inline real divisor_of(const Pool* k, const Py_ssize_t* row, const Py_ssize_t* column) noexcept nogil:
    return k.divisor if k.divisor != 0 else <real>(row[2]*column[2])


cdef inline void forward_rows(Kind kind, bint indexed, const Pool* k, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """Output rows first <= n*OH + i < last."""
    cdef const real* x_w
    cdef real* y_p = k.y + first*k.OW*k.C
    cdef Py_ssize_t* index = k.indices + first*k.OW*k.C
    cdef const Py_ssize_t* row
    cdef const Py_ssize_t* column
    cdef Py_ssize_t line, j, c, i
    cdef mask tap
    cdef vec value
    cdef lane* taps = <lane*>&tap
    for line in range(first, last):
        row = k.rows + line % k.OH*3
        for j in range(k.OW):
            column = k.columns + j*3
            x_w = k.x + ((line // k.OH*k.H + row[0])*k.W + column[0])*k.C
            c = 0
            while c < k.C:
                if kind == AVERAGE:
                    value = window_sum(k, x_w + c, row, column, k.C - c) / VFILL(divisor_of(k, row, column))
                else:
                    value = window_max(k, x_w + c, row, column, k.C - c, &tap)
                store_upto(y_p + c, value, k.C - c)
                if indexed:
                    for i in range(min(VL, k.C - c)):
                        index[c + i] = (row[0] + taps[i] // column[1]*k.dilation_h)*k.W + (
                            column[0] + taps[i] % column[1]*k.dilation_w
                        )
                c += VL
            y_p += k.C
            index += k.C


cdef inline void backward_band(Kind kind, const Pool* k, Py_ssize_t n, Py_ssize_t h0, Py_ssize_t h1) noexcept nogil:
    """Rows h0 <= h < h1 of image n of dx."""
    cdef real* dx_n = k.dx + n*k.H*k.W*k.C
    cdef const real* x_w
    cdef const real* dy_p
    cdef real* dx_w
    cdef const Py_ssize_t* row
    cdef const Py_ssize_t* column
    cdef Py_ssize_t i, j, c, r, s, h, offset, lanes
    cdef mask tap, hit
    cdef vec best, share, value
    memset(dx_n + h0*k.W*k.C, 0, (h1 - h0)*k.W*k.C*sizeof(real))
    for i in range(k.OH):
        row = k.rows + i*3
        if row[0] >= h1 or row[0] + (row[1] - 1)*k.dilation_h < h0:
            continue
        for j in range(k.OW):
            column = k.columns + j*3
            offset = (row[0]*k.W + column[0])*k.C
            x_w = k.x + n*k.H*k.W*k.C + offset
            dx_w = dx_n + offset
            dy_p = k.dy + ((n*k.OH + i)*k.OW + j)*k.C
            c = 0
            while c < k.C:
                lanes = k.C - c
                share = load_upto(dy_p + c, lanes)
                if kind == AVERAGE:
                    share = share / VFILL(divisor_of(k, row, column))
                else:
                    best = window_max(k, x_w + c, row, column, lanes, &tap)
                for r in range(row[1]):
                    h = row[0] + r*k.dilation_h
                    if h < h0 or h >= h1:
                        continue
                    for s in range(column[1]):
                        offset = (r*k.dilation_h*k.W + s*k.dilation_w)*k.C + c
                        if kind == MAXIMUM:
                            if k.all_ties:
                                hit = VEQUAL(load_upto(x_w + offset, lanes), best)
                            else:
                                hit = MEQUAL(tap, MFILL(r*column[1] + s))
                            value = VSELECT(hit, share, VZERO)
                        else:
                            value = share
                        store_upto(dx_w + offset, load_upto(dx_w + offset, lanes) + value, lanes)
                c += VL


cdef void forward_task(Kind kind, const Pool* k, Py_ssize_t task, Py_ssize_t tasks) noexcept nogil:
    cdef Py_ssize_t first = task*k.N*k.OH // tasks, last = (task + 1)*k.N*k.OH // tasks
    if kind == AVERAGE:
        forward_rows(AVERAGE, False, k, first, last)
    elif k.indices == NULL:
        forward_rows(MAXIMUM, False, k, first, last)
    else:
        forward_rows(MAXIMUM, True, k, first, last)


cdef void backward_task(Kind kind, const Pool* k, Py_ssize_t task, Py_ssize_t bands) noexcept nogil:
    cdef Py_ssize_t n = task // bands, h0 = task % bands*k.H // bands, h1 = (task % bands + 1)*k.H // bands
    if kind == AVERAGE:
        backward_band(AVERAGE, k, n, h0, h1)
    else:
        backward_band(MAXIMUM, k, n, h0, h1)


cdef void run_forward(Kind kind, const Pool* k, int threads) noexcept:
    cdef Py_ssize_t task, tasks = min(k.N*k.OH, 4*threads)
    if threads == 1:
        with nogil:
            forward_task(kind, k, 0, 1)
    else:
        for task in prange(tasks, nogil=True, num_threads=threads, schedule="dynamic", chunksize=1):
            forward_task(kind, k, task, tasks)


cdef void run_backward(Kind kind, const Pool* k, int threads) noexcept:
    cdef Py_ssize_t task, bands = 1 if threads == 1 else max(1, min(k.H // 4, 4*threads // k.N))
    if threads == 1:
        with nogil:
            for task in range(k.N):
                backward_task(kind, k, task, 1)
    else:
        for task in prange(k.N*bands, nogil=True, num_threads=threads, schedule="dynamic", chunksize=1):
            backward_task(kind, k, task, bands)


cdef Pool describe_pool(
    const Py_ssize_t[:, ::1] windows, Py_ssize_t N, Py_ssize_t H, Py_ssize_t W, Py_ssize_t C, Py_ssize_t OH,
    Py_ssize_t OW, Py_ssize_t dilation_h, Py_ssize_t dilation_w,
):
    cdef Pool k
    memset(&k, 0, sizeof(k))
    k.N, k.H, k.W, k.C, k.OH, k.OW, k.dilation_h, k.dilation_w = N, H, W, C, OH, OW, dilation_h, dilation_w
    k.rows, k.columns = &windows[0, 0], &windows[OH, 0]
    return k


def max_forward(
    const real[:, :, :, ::1] x not None, const Py_ssize_t[:, ::1] windows not None, Py_ssize_t dilation_h,
    Py_ssize_t dilation_w, real[:, :, :, ::1] y not None, Py_ssize_t[:, :, :, ::1] indices, int threads,
):
    """y = maxima of x, and where they were found if `indices` is an array; nothing is empty."""
    cdef Pool k = describe_pool(
        windows, x.shape[0], x.shape[1], x.shape[2], x.shape[3], y.shape[1], y.shape[2], dilation_h, dilation_w
    )
    k.x, k.y = &x[0, 0, 0, 0], &y[0, 0, 0, 0]
    k.indices = NULL if indices is None else &indices[0, 0, 0, 0]
    run_forward(MAXIMUM, &k, threads)


def avg_forward(
    const real[:, :, :, ::1] x not None, const Py_ssize_t[:, ::1] windows not None, Py_ssize_t dilation_h,
    Py_ssize_t dilation_w, real divisor, real[:, :, :, ::1] y not None, int threads,
):
    """y = sums over the windows of x / divisor, or / the product of the windows' sizes where divisor is 0."""
    cdef Pool k = describe_pool(
        windows, x.shape[0], x.shape[1], x.shape[2], x.shape[3], y.shape[1], y.shape[2], dilation_h, dilation_w
    )
    k.x, k.y, k.divisor = &x[0, 0, 0, 0], &y[0, 0, 0, 0], divisor
    run_forward(AVERAGE, &k, threads)


def max_backward(
    const real[:, :, :, ::1] dy not None, const real[:, :, :, ::1] x not None,
    const Py_ssize_t[:, ::1] windows not None, Py_ssize_t dilation_h, Py_ssize_t dilation_w, bint all_ties,
    real[:, :, :, ::1] dx not None, int threads,
):
    """dx: each dy goes to the first tap that holds the maximum of its window, or to all that equal it."""
    cdef Pool k = describe_pool(
        windows, x.shape[0], x.shape[1], x.shape[2], x.shape[3], dy.shape[1], dy.shape[2], dilation_h, dilation_w
    )
    k.x, k.dy, k.dx, k.all_ties = &x[0, 0, 0, 0], &dy[0, 0, 0, 0], &dx[0, 0, 0, 0], all_ties
    run_backward(MAXIMUM, &k, threads)


def avg_backward(
    const real[:, :, :, ::1] dy not None, const Py_ssize_t[:, ::1] windows not None, Py_ssize_t dilation_h,
    Py_ssize_t dilation_w, real divisor, real[:, :, :, ::1] dx not None, int threads,
):
    """dx: each dy / divisor goes to every pixel of its window."""
    cdef Pool k = describe_pool(
        windows, dx.shape[0], dx.shape[1], dx.shape[2], dx.shape[3], dy.shape[1], dy.shape[2], dilation_h, dilation_w
    )
    k.dy, k.dx, k.divisor = &dy[0, 0, 0, 0], &dx[0, 0, 0, 0], divisor
    run_backward(AVERAGE, &k, threads)


def scatter(
    const real[:, :, ::1] values not None, const Py_ssize_t[:, :, ::1] indices not None, bint add,
    real[:, :, ::1] plane not None, int threads,
):
    """plane[n, indices[n, i, c], c] = or += values[n, i, c], zero elsewhere; indices are in range.

    values, indices (N, OH*OW, C), plane (N, H*W, C).  One task an image: positions may meet within one only.
    """
    cdef Py_ssize_t n
    for n in prange(plane.shape[0], nogil=True, num_threads=threads, schedule="static"):
        scatter_image(
            &values[n, 0, 0], &indices[n, 0, 0], add, &plane[n, 0, 0], values.shape[1], plane.shape[1], values.shape[2]
        )


cdef void scatter_image(
    const real* values, const Py_ssize_t* indices, bint add, real* plane, Py_ssize_t points, Py_ssize_t size,
    Py_ssize_t C,
) noexcept nogil:
    cdef Py_ssize_t i, c
    cdef real* target
    memset(plane, 0, size*C*sizeof(real))
    for i in range(points):
        for c in range(C):
            target = plane + indices[i*C + c]*C + c
            target[0] = target[0] + values[i*C + c] if add else values[i*C + c]
