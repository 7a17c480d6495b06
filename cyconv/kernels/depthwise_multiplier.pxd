# A depthwise convolution with several filters to a channel (K = multiplier*C) is one with K channels whose source has
# each channel `multiplier` times.  So it is spread, as much of it as a tile's windows see, and the tiles never know.
# In the input gradient the target has K channels too, and those of one channel are added up.

from cyconv.kernels.depthwise_rows cimport TILE
from cyconv.kernels.depthwise_tiles cimport Depthwise
from cyconv.kernels.simd cimport real
from cyconv.kernels.windows cimport Axis


cdef inline Py_ssize_t seen(const Axis* a, Py_ssize_t outputs) noexcept nogil:
    """Source coordinates from the first to the last that so many neighbouring outputs read."""
    return min(a.size, (outputs - 1)*a.step + (a.taps - 1)*a.slope + 1)


cdef inline Py_ssize_t narrow(Axis* a, Py_ssize_t first, Py_ssize_t outputs) noexcept nogil:
    """Make the axis that of the coordinates which these outputs read, and return the first of them."""
    cdef Py_ssize_t start = a.base + first*a.step
    cdef Py_ssize_t end = max(0, min(a.size, start + (outputs - 1)*a.step + (a.taps - 1)*a.slope + 1))
    start = min(max(0, start), end)
    a.base -= start
    a.size = end - start
    return start


cdef inline void repeat(const real* x, Py_ssize_t C, Py_ssize_t times, real* copies) noexcept nogil:
    cdef Py_ssize_t c, m
    for c in range(C):
        for m in range(times):
            copies[c*times + m] = x[c]


cdef inline void spread_window(
    const real* x_n, Py_ssize_t C, Py_ssize_t multiplier, Axis* h, Axis* w, Py_ssize_t q, Py_ssize_t rows, Py_ssize_t p,
    real* window,
) noexcept nogil:
    """window = what outputs p .. p + TILE - 1 of rows q .. q + rows - 1 see of an image of C channels; h and w become
    its axes."""
    cdef Py_ssize_t width = w.size, top = narrow(h, q, rows), left = narrow(w, p, min(TILE, w.count - p)), i, j
    cdef const real* x_ij
    for i in range(h.size):
        for j in range(w.size):
            x_ij = x_n + ((top + i)*width + left + j)*C
            if multiplier == 2:
                repeat(x_ij, C, 2, window)
            elif multiplier == 3:
                repeat(x_ij, C, 3, window)
            elif multiplier == 4:
                repeat(x_ij, C, 4, window)
            else:
                repeat(x_ij, C, multiplier, window)
            window += C*multiplier


cdef inline void fold_pixels(
    const real* sums, Py_ssize_t pixels, Py_ssize_t C, Py_ssize_t multiplier, const Depthwise* k, real* y_qp,
    Py_ssize_t step,
) noexcept nogil:
    """Add up the multiplier*C channels of `sums` into pixels of the target, `step` apart."""
    cdef Py_ssize_t i, c, m
    cdef real total
    for i in range(pixels):
        for c in range(C):
            total = sums[0]
            for m in range(1, multiplier):
                total = total + sums[m]
            sums += multiplier
            if k.bias != NULL:
                total = total + k.bias[c]
            y_qp[i*step*C + c] = 0 if k.relu and total < 0 else total
