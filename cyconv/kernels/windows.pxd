# Which source pixels each output pixel reads: one description for convolution and for its input gradient.
#
# On either axis, output number i reads through tap j the source coordinate  base + i*step + j*slope, which stands for
# filter coordinate  tap + j*tap_step, and lands on output coordinate  out + i*out_step.
#
#   convolution      step = stride, slope = dilation: every output uses every tap
#   input gradient   of a convolution with stride s falls into s phases; in each one the outputs are s apart, read
#                    neighbouring source pixels (step = 1) and use every (s / gcd(s, dilation))-th tap, in descending
#                    order so that the source address ascends.  No scatter, no atomics, no zeros in between.

from libc.string cimport memcpy, memset

from cyconv.kernels.simd cimport real

cdef struct Axis:
    Py_ssize_t size         # source coordinates are [0, size), beyond is zero padding
    Py_ssize_t count        # outputs
    Py_ssize_t step
    Py_ssize_t taps
    Py_ssize_t base
    Py_ssize_t slope
    Py_ssize_t tap
    Py_ssize_t tap_step
    Py_ssize_t out
    Py_ssize_t out_step


cdef inline Axis forward_axis(
    Py_ssize_t size, Py_ssize_t count, Py_ssize_t kernel, Py_ssize_t stride, Py_ssize_t pad, Py_ssize_t dilation
) noexcept nogil:
    cdef Axis a
    a.size, a.count, a.step, a.taps, a.base, a.slope = size, count, stride, kernel, -pad, dilation
    a.tap, a.tap_step, a.out, a.out_step = 0, 1, 0, 1
    return a


cdef inline Py_ssize_t gcd(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    while b:
        a, b = b, a % b
    return a


cdef inline Axis gradient_axis(
    Py_ssize_t size, Py_ssize_t outputs, Py_ssize_t kernel, Py_ssize_t stride, Py_ssize_t pad, Py_ssize_t dilation,
    Py_ssize_t phase,
) noexcept nogil:
    """Axis of the outputs whose padded coordinate is `phase` modulo the stride; `size` is that of the gradient read."""
    cdef Axis a
    cdef Py_ssize_t common = gcd(stride, dilation), period = stride // common, first = 0, last
    a.size, a.step, a.slope, a.tap_step, a.out_step = size, 1, dilation // common, -period, stride
    a.out = (phase + stride - pad % stride) % stride
    a.count = (outputs - a.out + stride - 1) // stride if a.out < outputs else 0
    while first < kernel and first < period and (first*dilation) % stride != phase:
        first += 1
    if first >= kernel or first >= period:
        a.taps = a.tap = a.base = 0
        return a
    a.taps = (kernel - 1 - first) // period + 1
    last = first + (a.taps - 1)*period
    a.tap = last
    a.base = (a.out + pad - last*dilation) // stride
    return a


cdef struct Source:
    # Images (N, h.size, w.size, C) and the windows on them.  A window is read as `segments` runs of `length`
    # contiguous numbers: a tap's C channels each, or, for few channels, a whole window row of w.taps pixels.
    const real* x
    Py_ssize_t C
    Axis h
    Axis w
    bint by_row
    Py_ssize_t segments
    Py_ssize_t length
    Py_ssize_t readable     # a run is followed by readable - length numbers that may be loaded


cdef inline void plan_segments(Source* s, bint may_merge, Py_ssize_t readable) noexcept nogil:
    # Below 32 channels a run per tap is too short to pay for loading its pointers; a row of taps is one run.
    s.by_row = may_merge and s.w.slope == 1 and s.w.taps > 1 and s.C < 32 and s.w.taps*s.C <= 128
    if s.by_row:
        s.segments, s.length = s.h.taps, s.w.taps*s.C
    else:
        s.segments, s.length = s.h.taps*s.w.taps, s.C
    s.readable = s.length if s.length > readable else readable


cdef inline const real* run_at(
    const Source* s, Py_ssize_t n, Py_ssize_t ih, Py_ssize_t iw, Py_ssize_t pixels, real* copy, const real* zeros
) noexcept nogil:
    """`pixels` pixels of source row ih from column iw on: in place if they are all inside, else a padded copy."""
    cdef Py_ssize_t lo, hi
    if ih < 0 or ih >= s.h.size or iw >= s.w.size or iw + pixels <= 0:
        return zeros
    if iw >= 0 and iw + pixels <= s.w.size and s.readable == s.length:
        return s.x + ((n*s.h.size + ih)*s.w.size + iw)*s.C
    lo = -iw if iw < 0 else 0
    hi = s.w.size - iw if iw + pixels > s.w.size else pixels
    memset(copy, 0, s.readable*sizeof(real))
    memcpy(copy + lo*s.C, s.x + ((n*s.h.size + ih)*s.w.size + iw + lo)*s.C, (hi - lo)*s.C*sizeof(real))
    return copy


cdef inline void find_runs(
    const Source* s, Py_ssize_t first, Py_ssize_t count, Py_ssize_t pitch, Py_ssize_t t0, Py_ssize_t t1,
    const real** at, real* copies, const real* zeros,
) noexcept nogil:
    """at[t*pitch + i]: where run t0 <= t < t1 of output pixel first + i begins, counted through rows and images."""
    cdef Py_ssize_t i, t, j, n, q, p, ih, iw, taps = 1 if s.by_row else s.w.taps
    cdef Py_ssize_t pixels = s.w.taps if s.by_row else 1
    n = first // (s.h.count*s.w.count)
    q = first // s.w.count % s.h.count
    p = first % s.w.count
    for i in range(count):
        t = t0
        while t < t1:
            ih = s.h.base + q*s.h.step + (t // taps)*s.h.slope
            for j in range(t % taps, min(taps, t % taps + t1 - t)):
                iw = s.w.base + p*s.w.step + j*s.w.slope
                at[t*pitch + i] = run_at(s, n, ih, iw, pixels, copies + (t*pitch + i)*s.readable, zeros)
                t += 1
        p += 1
        if p == s.w.count:
            p = 0
            q += 1
            if q == s.h.count:
                q = 0
                n += 1


cdef inline bint copies_runs(const Source* s) noexcept nogil:
    return s.by_row or s.readable > s.length
