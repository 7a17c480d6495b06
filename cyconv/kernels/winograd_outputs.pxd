# The outputs of a tile from its 36 products: y = A P A^T, bias and activation.

from cyconv.kernels.bypass cimport put
from cyconv.kernels.correlate cimport Target
from cyconv.kernels.fetch cimport LINE, fetch_pixels
from cyconv.kernels.simd cimport VGREATER, VL, VLOAD, VSELECT, VZERO, load_upto, real, vec
from cyconv.kernels.transform cimport transform_output
from cyconv.kernels.winograd_grid cimport Place


cdef inline void output_vector(
    int M, bint past, const real* m, Py_ssize_t step, const Target* y, vec bias, real* y_hv, int rows, int columns,
    Py_ssize_t lanes,
) noexcept nogil:
    """Up to M x M outputs of up to VL channels."""
    cdef vec d[6]
    cdef vec t[24]
    cdef vec out[4]
    cdef int i, j
    for j in range(6):
        for i in range(6):
            d[i] = VLOAD(m + (i*6 + j)*step)
        transform_output(M, d, t + j, 6)
    for i in range(rows):
        transform_output(M, t + i*6, out, 1)
        for j in range(M):
            if j < columns:
                out[j] = out[j] + bias
                if y.relu:
                    out[j] = VSELECT(VGREATER(VZERO, out[j]), VZERO, out[j])
                put(past, y_hv + (i*y.W + j)*y.K*y.groups, out[j], lanes)


cdef inline void output_tile(
    int M, const Place* tile, const Target* y, bint far, bint past, const real* m, Py_ssize_t step, int nv,
    Py_ssize_t column,
) noexcept nogil:
    """nv vectors of channels from `column` on, all of one group; products are `step` numbers apart."""
    cdef Py_ssize_t pitch = y.K*y.groups
    cdef real* y_hv = y.y + ((tile.n*y.H + tile.h)*y.W + tile.v)*pitch + column
    cdef Py_ssize_t lanes
    cdef int q
    cdef bint whole = tile.rows == M and tile.columns == M
    cdef vec bias = VZERO
    past = VL == LINE and past
    for q in range(nv):
        if far and not past:        # up to 1.05 times the speed
            fetch_pixels(y_hv + M*pitch + q*VL, M, y.W*pitch, M, pitch)
        lanes = y.K - column % y.K - q*VL
        if y.bias != NULL:
            bias = load_upto(y.bias + column + q*VL, lanes)
        if whole and lanes >= VL and past:      # without a branch an output
            output_vector(M, True, m + q*VL, step, y, bias, y_hv + q*VL, M, M, VL)
        elif whole and lanes >= VL:
            output_vector(M, False, m + q*VL, step, y, bias, y_hv + q*VL, M, M, VL)
        else:
            output_vector(M, False, m + q*VL, step, y, bias, y_hv + q*VL, tile.rows, tile.columns, lanes)
