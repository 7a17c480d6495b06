# Which source pixels each output pixel reads: one description for convolution and for its input gradient.
#
# On either axis, output number i reads through tap j the source coordinate  base + i*step + j*slope, which stands for
# filter coordinate  tap + j*tap_step, and lands on output coordinate  out + i*out_step.
#
#   convolution      step = stride, slope = dilation: every output uses every tap
#   input gradient   of a convolution with stride s falls into phases (phases.pxd); in each one the outputs are s apart,
#                    read neighbouring source pixels (step = 1) and use every (s / gcd(s, dilation))-th tap, in
#                    descending order so that the source address ascends.  No scatter, no atomics, no zeros in between.

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
    Py_ssize_t first,
) noexcept nogil:
    """Axis of the outputs that tap `first` leads to, and every period-th after it; `size` is that of the gradient."""
    cdef Axis a
    cdef Py_ssize_t common = gcd(stride, dilation), period = stride // common, last
    a.size, a.step, a.slope, a.tap_step, a.out_step = size, 1, dilation // common, -period, stride
    a.out = (first*dilation - pad) % stride
    if a.out < 0:
        a.out += stride
    a.count = (outputs - a.out - 1) // stride + 1 if a.out < outputs else 0
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
    # Below 16 channels a run per tap is too short to pay for loading its pointers; a row of taps is one run.
    s.by_row = may_merge and s.w.slope == 1 and s.w.taps > 1 and s.C < 16 and s.w.taps*s.C <= 128
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
    if lo > 0:
        memset(copy, 0, lo*s.C*sizeof(real))
    if hi*s.C < s.readable:
        memset(copy + hi*s.C, 0, (s.readable - hi*s.C)*sizeof(real))
    memcpy(copy + lo*s.C, s.x + ((n*s.h.size + ih)*s.w.size + iw + lo)*s.C, (hi - lo)*s.C*sizeof(real))
    return copy


cdef struct Pixel:
    # An output pixel of the batch
    Py_ssize_t n
    Py_ssize_t q
    Py_ssize_t p


cdef inline Pixel pixel_at(const Source* s, Py_ssize_t index) noexcept nogil:
    cdef Pixel pixel
    pixel.n = index // (s.h.count*s.w.count)
    pixel.q = index // s.w.count % s.h.count
    pixel.p = index % s.w.count
    return pixel


cdef inline void next_row(const Source* s, Pixel* pixel) noexcept nogil:
    pixel.p = 0
    pixel.q += 1
    if pixel.q == s.h.count:
        pixel.q = 0
        pixel.n += 1


cdef inline void find_runs(
    const Source* s, Py_ssize_t first, Py_ssize_t count, Py_ssize_t pitch, Py_ssize_t t0, Py_ssize_t t1,
    const real** at, real* copies, const real* zeros,
) noexcept nogil:
    """at[t*pitch + i]: where run t0 <= t < t1 of output pixel first + i begins, counted through rows and images.

    Row by row of output pixels: most of a row's pointers are a constant apart, only those at its ends need a look.
    """
    cdef Py_ssize_t i = 0, t, m, ih, iw, lo, hi, row, taps = 1 if s.by_row else s.w.taps
    cdef Py_ssize_t pixels = s.w.taps if s.by_row else 1
    cdef Pixel at_pixel = pixel_at(s, first)
    cdef const real* x_t
    cdef const real** at_t
    cdef real* copy
    while i < count:
        row = min(count - i, s.w.count - at_pixel.p)
        for t in range(t0, t1):
            ih = s.h.base + at_pixel.q*s.h.step + t // taps*s.h.slope
            iw = s.w.base + at_pixel.p*s.w.step + t % taps*s.w.slope
            at_t = at + t*pitch + i
            copy = copies + (t*pitch + i)*s.readable
            lo = hi = 0
            if s.readable == s.length and 0 <= ih < s.h.size:
                lo = min(row, (max(0, -iw) + s.w.step - 1) // s.w.step)
                hi = s.w.size - pixels - iw
                hi = max(lo, min(row, hi // s.w.step + 1 if hi >= 0 else 0))
            for m in range(lo):
                at_t[m] = run_at(s, at_pixel.n, ih, iw + m*s.w.step, pixels, copy + m*s.readable, zeros)
            if lo < hi:
                x_t = s.x + ((at_pixel.n*s.h.size + ih)*s.w.size + iw)*s.C
                for m in range(lo, hi):
                    at_t[m] = x_t + m*s.w.step*s.C
            for m in range(hi, row):
                at_t[m] = run_at(s, at_pixel.n, ih, iw + m*s.w.step, pixels, copy + m*s.readable, zeros)
        i += row
        next_row(s, &at_pixel)


cdef inline bint copies_runs(const Source* s) noexcept nogil:
    return s.by_row or s.readable > s.length
