# Which depthwise windows can be walked in strips (strips.pxd), and what a strip of them is.

from cyconv.kernels.simd cimport NV
from cyconv.kernels.strips cimport SIDE, Strip
from cyconv.kernels.windows cimport Axis, gcd

cdef enum:
    # The largest stride.  With 16 registers strips are two rows high, and vectors are half a line of the cache or less,
    # which is visited as often: at a stride of 2 tiles are up to 1.3 times as fast.
    STEEPEST = NV // 2


cdef inline bint sees(const Axis* a, Py_ssize_t i, Py_ssize_t tap) noexcept nogil:
    """Whether the source has what output i sees there."""
    return 0 <= a.base + i*a.step + tap*a.slope < a.size


cdef inline Py_ssize_t parts_of(const Axis* a, Axis* parts) noexcept nogil:
    """An axis with dilation is that of several windows without, interleaved: each has every so many outputs, a slope
    or two apart.  Returns how many there are, or 0 if strips cannot be made of them; only counts if `parts` is NULL.
    """
    cdef Py_ssize_t between = a.slope // gcd(a.step, a.slope), n = min(a.count, between), i
    if a.taps != SIDE or a.step*between > STEEPEST*a.slope:
        return 0
    if parts == NULL:
        return n
    for i in range(n):
        parts[i] = a[0]
        parts[i].base += i*a.step
        parts[i].step *= between
        parts[i].out += i*a.out_step
        parts[i].out_step *= between
        parts[i].count = (a.count - 1 - i) // between + 1
        if not (sees(&parts[i], 0, SIDE//2) and sees(&parts[i], parts[i].count - 1, SIDE//2)):
            return 0            # more is missing at an edge than one row or column
    return n


cdef inline Py_ssize_t step_of(const Axis* a) noexcept nogil:
    """From window to window, in taps."""
    return a.step // a.slope


cdef inline bint strips_fit(const Axis* h, const Axis* w) noexcept nogil:
    """Whether strips can be made of these windows as they are."""
    cdef Axis part
    return (
        h.step % h.slope == 0 and w.step % w.slope == 0 and step_of(h) == step_of(w)
        and parts_of(h, &part) == 1 and parts_of(w, &part) == 1
    )


cdef inline Strip strip_of(const Axis* h, const Axis* w, Py_ssize_t C, Py_ssize_t row) noexcept nogil:
    """A row of the target is `row` numbers.  Whether there is anything but products is up to the caller."""
    cdef Strip k
    k.C, k.W, k.slope, k.x_row, k.x_column = C, w.size, w.slope, h.slope*w.size*C, w.slope*C
    k.y_row, k.y_column, k.relu, k.biased, k.far, k.past = h.out_step*row, w.out_step*C, False, False, False, False
    return k
