# The weight gradient of few tiles, whose products stay in registers until they are transformed.
#
#     dw[., ., c, k] = A P A^T        P[e] = sum over tiles t of  xs[e, t, c] * dys[e, t, k]        e = 6*i + j
#
# To write 36 products and to read them back takes longer than to compute them for four tiles: this is 1.6 times as
# fast, for 16 tiles 1.05 times.  Two channels times two vectors of k at a time, not four times one: 0.8 of that.
#
# Loops: channels, four at a time, vectors of k, columns of P, tiles; a column of P is transformed at once, the rows of
# what that gives at the end.

from cyconv.kernels.simd cimport HOLD, MR, NV, OPAQUE, VL, VLOAD, VZERO, WILL_WRITE, real, store_upto, vec
from cyconv.kernels.transform cimport transform_output
from cyconv.kernels.winograd_grid cimport CLASSES, SMALL, WHOLE, WIDE

cdef enum:
    TOGETHER = 4                            # channels
    MOST_FEW = MR*NV // (6*TOGETHER)*16     # tiles; none where there are no registers for so many sums


cdef inline void add_products(
    int rows, const real* x, Py_ssize_t step_x, const real* dy, Py_ssize_t step_dy, vec* sums
) noexcept nogil:
    """sums[i, c] += x[6*i*step_x + c] * dy[6*i*step_dy ...], i < rows."""
    cdef vec d
    cdef int i, c
    for i in range(rows):
        d = VLOAD(dy)
        HOLD(d)
        for c in range(TOGETHER):
            sums[i*TOGETHER + c] = sums[i*TOGETHER + c] + x[c]*d
            HOLD(sums[i*TOGETHER + c])
        x += 6*step_x
        dy += 6*step_dy
        OPAQUE(x)
        OPAQUE(dy)


cdef inline void few_channels(
    int R, const real* xs, Py_ssize_t step_x, Py_ssize_t pitch_x, const real* dys, Py_ssize_t step_dy,
    Py_ssize_t pitch_dy, const Py_ssize_t* start, real* dw, Py_ssize_t tap, Py_ssize_t K, Py_ssize_t channels,
    Py_ssize_t columns,
) noexcept nogil:
    """Up to TOGETHER channels and a vector of k of dw, whose taps lie `tap` numbers apart."""
    cdef vec sums[6*TOGETHER]
    cdef vec d[6]
    cdef vec t[TOGETHER*30]
    cdef vec y[5]
    cdef Py_ssize_t n, low, high
    cdef int i, j, c
    for j in range(6):
        low, high = start[WHOLE] if j == 5 else 0, start[SMALL] if j == 5 else start[CLASSES]
        for i in range(6):
            for c in range(TOGETHER):
                sums[i*TOGETHER + c] = VZERO
                HOLD(sums[i*TOGETHER + c])      # else GCC makes a call of it, and keeps the sums in memory
        for n in range(low, start[WIDE]):
            add_products(6, xs + n*pitch_x, step_x, dys + n*pitch_dy, step_dy, sums)
        for n in range(start[WIDE], high):
            add_products(5, xs + n*pitch_x, step_x, dys + n*pitch_dy, step_dy, sums)
        for c in range(TOGETHER):
            for i in range(6):
                d[i] = sums[i*TOGETHER + c]
            transform_output(R, d, t + c*R*6 + j, 6)
        xs += step_x
        dys += step_dy
    for c in range(TOGETHER):
        if c < channels:
            for i in range(R*R):
                WILL_WRITE(dw + i*tap + TOGETHER*K)
            for i in range(R):
                transform_output(R, t + (c*R + i)*6, y, 1)
                for j in range(R):
                    store_upto(dw + (i*R + j)*tap, y[j], columns)
        dw += K


cdef inline void few_weights(
    int R, const real* xs, Py_ssize_t step_x, Py_ssize_t pitch_x, const real* dys, Py_ssize_t step_dy, int nv,
    const Py_ssize_t* start, real* dw, Py_ssize_t tap, Py_ssize_t K, Py_ssize_t channels, Py_ssize_t columns,
) noexcept nogil:
    """A range of channels times a panel."""
    cdef Py_ssize_t c = 0
    cdef int q
    while c < channels:
        for q in range(nv):
            few_channels(
                R, xs + c, step_x, pitch_x, dys + q*VL, step_dy, nv*VL, start, dw + c*K + q*VL, tap, K, channels - c,
                columns - q*VL,
            )
        c += TOGETHER
