# Winograd's transforms for tiles of 4 x 4 outputs and 3 x 3 filters (Winograd 1980; Lavin and Gray, CVPR 2016).
#
#     F(4, 3):  y = A (G g * B d)      d 6 numbers, g 3 weights, y 4 outputs, * elementwise; in two dimensions both ways
#     F(3, 4):  the same with 4 weights (the gradient of the outputs) and 3 outputs (the gradient of the weights)
#
# The interpolation points are 0, r, -r, 1/r, -1/r and infinity with r = sqrt(2).  With the usual 0, 1, -1, 2, -2 the
# rounding error in float32 is four times as large (Barabasz et al., ACM TOMS 2020: points whose products stay near 1).
# Opposite points share their even and odd halves, so a transform of 6 numbers takes 12 multiply-adds.
#
# All functions work on vectors of channels, from neighbours to numbers `step` apart: the columns of a tile, then its
# rows.  The callers load and store inside these two loops, so that few vectors wait in memory.

from cyconv.kernels.simd cimport real, vec

cdef extern from *:
    """
    static const real R = (real)1.4142135623730950488, HALF_R = (real)0.70710678118654752440;
    static const real TWICE_R = (real)2.8284271247461900976, QUARTER_R = (real)0.35355339059327376220;
    static const real SIXTH = (real)(1.0/6), THIRD = (real)(1.0/3);
    static const real R_SIXTH = (real)0.23570226039551584147, R_THIRD = (real)0.47140452079103168293;
    static const real HALF = (real)0.5, TWO = 2, TWO_HALF = (real)2.5;
    """
    const real R, HALF_R, TWICE_R, QUARTER_R, SIXTH, THIRD, R_SIXTH, R_THIRD, HALF, TWO, TWO_HALF


cdef inline void transform_source(const vec* d, vec* v, Py_ssize_t step) noexcept nogil:
    """v = B d: 6 -> 6."""
    cdef vec d0 = d[0], d1 = d[1], d2 = d[2], d3 = d[3], d4 = d[4], d5 = d[5]
    cdef vec even = d4 - HALF*d2, odd = d3 - HALF*d1
    v[0] = d0 - TWO_HALF*d2 + d4
    v[step] = even + R*odd
    v[2*step] = even - R*odd
    even = d4 - TWO*d2
    odd = d3 - TWO*d1
    v[3*step] = even + HALF_R*odd
    v[4*step] = even - HALF_R*odd
    v[5*step] = d1 - TWO_HALF*d3 + d5


cdef inline void transform_filter3(const vec* g, vec* u, Py_ssize_t step) noexcept nogil:
    """u = G g: 3 -> 6."""
    cdef vec g0 = g[0], g1 = g[1], g2 = g[2]
    cdef vec even = SIXTH*g0 + THIRD*g2, odd = R_SIXTH*g1
    u[0] = g0
    u[step] = even + odd
    u[2*step] = even - odd
    even = THIRD*(TWO*g0 + g2)
    odd = R_THIRD*g1
    u[3*step] = -even - odd
    u[4*step] = odd - even
    u[5*step] = g2


cdef inline void transform_filter4(const vec* g, vec* u, Py_ssize_t step) noexcept nogil:
    """u = G g: 4 -> 6."""
    cdef vec g0 = g[0], g1 = g[1], g2 = g[2], g3 = g[3]
    cdef vec even = SIXTH*g0 + THIRD*g2, odd = R_SIXTH*(g1 + TWO*g3)
    u[0] = g0
    u[step] = even + odd
    u[2*step] = even - odd
    even = THIRD*(TWO*g0 + g2)
    odd = R_THIRD*(g1 + HALF*g3)
    u[3*step] = -even - odd
    u[4*step] = odd - even
    u[5*step] = g3


cdef inline void transform_output4(const vec* m, vec* y, Py_ssize_t step) noexcept nogil:
    """y = A m: 6 -> 4."""
    cdef vec s = m[1] + m[2], t = m[3] + m[4]
    cdef vec p = m[1] - m[2], q = m[3] - m[4]
    y[0] = m[0] + s + t
    y[step] = R*p + HALF_R*q
    y[2*step] = TWO*s + HALF*t
    y[3*step] = TWICE_R*p + QUARTER_R*q + m[5]


cdef inline void transform_output3(const vec* m, vec* y, Py_ssize_t step) noexcept nogil:
    """y = A m: 6 -> 3."""
    cdef vec s = m[1] + m[2], t = m[3] + m[4]
    cdef vec p = m[1] - m[2], q = m[3] - m[4]
    y[0] = m[0] + s + t
    y[step] = R*p + HALF_R*q
    y[2*step] = TWO*s + HALF*t + m[5]
