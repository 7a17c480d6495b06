# The phases of an input gradient: pixels of dx that the same taps lead to.
#
# On an axis with stride s, tap r leads to the pixels whose padded coordinate is r*dilation modulo s, and so does every
# period-th tap after it, period = s / gcd(s, dilation).  Each of the first taps r < min(R, period) begins a phase, an
# axis of its own (windows.pxd): no more phases than taps, however large the stride.  To all other pixels, 3/4 of dx for
# 1x1 filters and a stride of 2, no tap leads.  They are act(bias), and so is all of dx at first: to leave out what will
# be written again is no faster.

from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from cyconv.kernels.scratch cimport allocate
from cyconv.kernels.simd cimport real
from cyconv.kernels.tasks cimport Call, run_tasks, stopped
from cyconv.kernels.windows cimport Axis, gcd, gradient_axis

cdef enum:
    PORTION = 1 << 16       # numbers that a task fills, about

cdef struct Phases:
    # Each pair of axes is a set of windows; the axes with most taps come first
    Axis* h
    Axis* w
    Py_ssize_t n_h
    Py_ssize_t n_w

cdef struct Fill:
    real* y
    Py_ssize_t pixels
    Py_ssize_t C
    const real* value       # C numbers, or NULL for zeros
    Py_ssize_t span         # pixels of a task


cdef inline Py_ssize_t find_axes(
    Axis* axes, Py_ssize_t size, Py_ssize_t outputs, Py_ssize_t kernel, Py_ssize_t stride, Py_ssize_t pad,
    Py_ssize_t dilation,
) noexcept nogil:
    """The phases that have outputs; returns how many."""
    cdef Py_ssize_t first, n = 0
    for first in range(min(kernel, stride // gcd(stride, dilation))):
        axes[n] = gradient_axis(size, outputs, kernel, stride, pad, dilation, first)
        n += axes[n].count > 0
    return n


cdef inline int find_phases(
    Phases* p, const Py_ssize_t* dy, const Py_ssize_t* w, const Py_ssize_t* dx, Py_ssize_t stride_h,
    Py_ssize_t stride_w, Py_ssize_t pad_h, Py_ssize_t pad_w, Py_ssize_t dilation_h, Py_ssize_t dilation_w,
) except -1:
    """From the shapes of the three arrays.  The caller frees p.h."""
    cdef Py_ssize_t most = min(w[0], stride_h) + 1
    p.h = <Axis*>allocate((most + min(w[1], stride_w) + 1)*sizeof(Axis))
    p.w = p.h + most
    p.n_h = find_axes(p.h, dy[1], dx[1], w[0], stride_h, pad_h, dilation_h)
    p.n_w = find_axes(p.w, dy[2], dx[2], w[1], stride_w, pad_w, dilation_w)
    return 0


cdef inline Py_ssize_t first_phase(const Axis* axes, Py_ssize_t n) noexcept nogil:
    """That of the first pixel any tap leads to."""
    cdef Py_ssize_t a, first = 0
    for a in range(1, n):
        if axes[a].out < axes[first].out:
            first = a
    return first


cdef inline Py_ssize_t outputs_of(const Axis* axes, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t a, total = 0
    for a in range(n):
        total += axes[a].count
    return total


cdef inline void fill_task(const void* problem, Py_ssize_t index, char* scratch, Call* call) noexcept nogil:
    cdef const Fill* f = <const Fill*>problem
    cdef Py_ssize_t first = index*f.span, pixels = min(f.span, f.pixels - first), i
    if stopped(call, pixels*f.C):
        return
    if f.value == NULL:
        memset(f.y + first*f.C, 0, pixels*f.C*sizeof(real))
    else:
        for i in range(first, first + pixels):
            memcpy(f.y + i*f.C, f.value, f.C*sizeof(real))


cdef inline int fill_gaps(
    const Phases* p, const Py_ssize_t* shape, const real* bias, bint relu, real* y, int threads
) except -1:
    """y = act(bias) everywhere, if there are outputs that no tap leads to."""
    cdef Fill f
    cdef Py_ssize_t C = shape[3], c
    cdef real* value = NULL
    if outputs_of(p.h, p.n_h) == shape[1] and outputs_of(p.w, p.n_w) == shape[2]:
        return 0
    if bias != NULL:
        value = <real*>allocate(C*sizeof(real))
        for c in range(C):
            value[c] = 0 if relu and 0 > bias[c] else bias[c]
    f.y, f.pixels, f.C, f.value = y, shape[0]*shape[1]*shape[2], C, value
    f.span = max(1, PORTION // C)
    try:
        return run_tasks(fill_task, &f, (f.pixels + f.span - 1) // f.span, threads, NULL, 0)
    finally:
        free(value)
