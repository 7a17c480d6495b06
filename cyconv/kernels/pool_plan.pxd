# One pooling: its arrays, what its windows read along both axes, and the strips it is done in.

from cpython.exc cimport PyErr_CheckSignals
from libc.string cimport memset

from cyconv.kernels.bypass cimport bypasses
from cyconv.kernels.fetch cimport STREAM_FAR
from cyconv.kernels.reach cimport MOST, Reach, hull, list_of, longest, most_terms, set_reach
from cyconv.kernels.scratch cimport LINE, free, lines
from cyconv.kernels.simd cimport VL, real
from cyconv.kernels.tasks cimport heed

cdef enum:
    STRIP = 32768       # bytes of a strip's row; shorter ones read memory by 10 % slower, longer ones leave the cache
    HELD = 9            # pixels of a window whose sums fit in registers

cdef enum Share:
    FIRST               # dy goes to the first pixel that holds the maximum,
    TIES                # to every one that does,
    EVENLY              # or a part of it to every pixel

cdef struct Pool:
    Reach rows
    Reach columns
    Reach readers       # of columns: the windows that hold each,
    Reach row_readers   # and of rows
    Py_ssize_t dilation_h
    Py_ssize_t dilation_w
    Py_ssize_t N
    Py_ssize_t H
    Py_ssize_t W
    Py_ssize_t C
    Py_ssize_t strip    # outputs of a strip, and at most
    Py_ssize_t width    # the columns
    Py_ssize_t windows  # and windows that it reads
    Py_ssize_t depth    # rows of the image that are searched for places, and kept
    Py_ssize_t waiting  # rows of windows that are kept for the gradient
    Py_ssize_t pitch    # numbers from one of either to the next
    Py_ssize_t phases   # of columns, apart: see pool_search
    Py_ssize_t phase_pitch
    const real* x
    real* y
    const real* dy
    real* dx
    Py_ssize_t* indices         # of the maxima in their H x W plane, or NULL
    real* held                  # of strips, the columns' sizes, else NULL
    Py_ssize_t top              # and the first row and column that output 0 sees
    Py_ssize_t left
    bint small                  # all windows have at most MOST pixels
    bint far                    # the arrays do not fit the caches
    bint past                   # the result is written past them
    Share share
    bint windowed               # the gradient, or the search for places, goes window by window
    Py_ssize_t bands            # of rows of each image
    size_t scratch              # bytes of a thread


cdef inline int set_axes(
    Pool* k, const Py_ssize_t[:, ::1] windows, Py_ssize_t H, Py_ssize_t W, Py_ssize_t dilation_h,
    Py_ssize_t dilation_w, real divisor, bint turned,
) except -1:
    """Of an image (H, W) and the table of its windows; `turned`, of the windows that hold each of its pixels."""
    cdef Py_ssize_t end = windows.shape[0] - 3, rows = windows[end, 2]
    k.dilation_h, k.dilation_w = dilation_h, dilation_w
    set_reach(&k.rows, &windows[0, 0], rows, &windows[end + 1, 0], H, dilation_h, divisor, turned)
    return set_reach(
        &k.columns, &windows[rows, 0], end - rows, &windows[end + 2, 0], W, dilation_w, 1 if divisor else 0, turned
    )


cdef inline int set_readers(Pool* k, const Py_ssize_t[:, ::1] windows) except -1:
    cdef Py_ssize_t end = windows.shape[0] - 3, rows = windows[end, 2]
    set_reach(&k.row_readers, &windows[0, 0], rows, &windows[end + 1, 0], k.H, k.dilation_h, 1, True)
    return set_reach(
        &k.readers, &windows[rows, 0], end - rows, &windows[end + 2, 0], k.W, k.dilation_w, 1, True
    )


cdef inline void release(Pool* k) noexcept:
    free(k.rows.block)
    free(k.columns.block)
    free(k.readers.block)
    free(k.row_readers.block)
    free(k.held)


cdef inline Pool images(const real[:, :, :, ::1] x) noexcept:
    cdef Pool k
    memset(&k, 0, sizeof(k))
    k.x, k.N, k.H, k.W, k.C = &x[0, 0, 0, 0], x.shape[0], x.shape[1], x.shape[2], x.shape[3]
    return k


cdef inline int apart(const Reach* a) except -1:
    """Whether no source is read by two outputs, which then read in ascending order."""
    cdef Py_ssize_t t
    for t in range(1, a.start[a.listed]):
        heed(t)
        if a.terms[t].source <= a.terms[t - 1].source:
            return False
    return True


cdef inline bint half_empty(Py_ssize_t C) noexcept nogil:
    """Whether so few channels leave vectors."""
    return C % VL != 0 and C < 4*VL


cdef inline int by_windows(const Pool* k) except -1:
    """Whether the gradient goes window by window, not one axis after the other: if few windows meet in a pixel.

    Elsewhere than in 2x2/2 and 3x3/2 that waits for memory where the channels leave vectors half empty."""
    cdef Py_ssize_t R = most_terms(&k.rows), S = most_terms(&k.columns)
    cdef Py_ssize_t down = k.rows.source_step, across = k.columns.source_step
    if R == S and down == across == 2 and (R == 2 or R == 3):
        return True
    if half_empty(k.C):
        return False
    if k.share == EVENLY:
        return R*S <= 3*down*across
    return apart(&k.rows) and apart(&k.columns)


cdef inline Py_ssize_t of_images(const Pool* k) noexcept:
    """Numbers of x, or dx."""
    return k.N*k.H*k.W*k.C


cdef inline Py_ssize_t of_windows(const Pool* k) noexcept:
    """Numbers of y, or dy."""
    return k.N*k.rows.outputs*k.columns.outputs*k.C


cdef inline int plan(Pool* k, const Reach* outputs, const Reach* between) except -1:
    """Strips of `outputs`, whose sources are columns, or windows on columns that `between` tells; and scratch."""
    cdef Py_ssize_t o0 = 0, o1, low, high, first, last, count = outputs.outputs
    k.strip = max(1, count*STRIP // (max(count, k.W)*k.C*<Py_ssize_t>sizeof(real)))
    k.windows = k.strip
    k.far = (of_images(k) + of_windows(k))*<Py_ssize_t>sizeof(real) > STREAM_FAR
    k.past = bypasses(k.y, k.C, of_windows(k), of_images(k))
    k.small = most_terms(&k.rows)*most_terms(&k.columns) <= MOST
    while o0 < count:
        PyErr_CheckSignals()
        o1 = min(o0 + k.strip, count)
        low, high = max(k.W, k.columns.outputs), 0
        hull(outputs, o0, o1, &low, &high)
        if between != NULL:
            first, last, low, high = low, high, o0, o1
            if first < last:
                k.windows = max(k.windows, last - first)
                hull(between, first, last, &low, &high)
        k.width = max(k.width, high - low)
        o0 = o1
    k.scratch = 2*lines(k.width*k.C + VL, sizeof(real))
    return 0


cdef inline int plan_rings(Pool* k) except -1:
    """What `plan` does, for a search of places; row_readers may be empty."""
    k.depth, k.waiting = longest(&k.rows), longest(&k.row_readers)
    k.pitch = lines(k.windows*k.C + VL, sizeof(real)) // <Py_ssize_t>sizeof(real)
    k.phases, k.phase_pitch = 1, 0
    if k.columns.source_step > 1 and k.columns.phased:
        k.phases = k.columns.source_step
        k.phase_pitch = lines((k.width // k.phases + 2)*k.C + VL, sizeof(real)) // <Py_ssize_t>sizeof(real)
    k.scratch = (
        2*lines((k.depth + k.waiting)*k.pitch + 2*VL, sizeof(real)) + lines(k.pitch, sizeof(real))
        + lines(k.depth, sizeof(Py_ssize_t)) + lines(k.waiting, sizeof(Py_ssize_t))
        + lines(2*k.phases*k.phase_pitch + VL, sizeof(real)) + 4*LINE
    )
    return 0


cdef inline Py_ssize_t row_of_work(const Pool* k, Py_ssize_t row) noexcept nogil:
    """Numbers of a strip that a row of windows reads."""
    return list_of(&k.rows, row).terms*k.width*k.C
