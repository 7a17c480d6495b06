# Winograd's transforms for tiles of 6 x 6 numbers (Winograd 1980; Lavin and Gray, CVPR 2016).
#
#     F(M, R):  y = A (G g * B d)      d 6 numbers, g R weights, y M outputs, M + R = 7, * elementwise
#
# In two dimensions both ways, for filters of R x R; the gradient of their weights is F(R, M), with the gradient of the
# outputs as the filter.
# B is the same for all of them: the interpolation points are 0, r, -r, 1/r, -1/r and infinity with r = sqrt(2).  With
# the usual 0, 1, -1, 2, -2 the rounding error of F(4, 3) in float32 is four times as large (Barabasz et al., ACM TOMS
# 2020: points whose products stay near 1).  Opposite points share their even and odd halves, so a transform of 6
# numbers takes 12 multiply-adds.
#
# All functions work on vectors of channels, from neighbours to numbers `step` apart: the columns of a tile, then its
# rows.  The callers load and store inside these two loops, so that few vectors wait in memory.

from cyconv.kernels.simd cimport HOLD, real, vec

cdef extern from *:
    """
    static const real R = (real)1.4142135623730950488, HALF_R = (real)0.70710678118654752440;
    static const real TWICE_R = (real)2.8284271247461900976, QUARTER_R = (real)0.35355339059327376220;
    static const real SIXTH = (real)(1.0/6), THIRD = (real)(1.0/3);
    static const real R_SIXTH = (real)0.23570226039551584147, R_THIRD = (real)0.47140452079103168293;
    static const real TWO_THIRDS = (real)(2.0/3), QUARTER = (real)0.25, HALF = (real)0.5, TWO = 2, FOUR = 4;
    static const real TWO_HALF = (real)2.5;
    """
    const real R, HALF_R, TWICE_R, QUARTER_R, SIXTH, THIRD, R_SIXTH, R_THIRD, TWO_THIRDS
    const real QUARTER, HALF, TWO, FOUR, TWO_HALF


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


cdef inline void transform_filter(int taps, const vec* g, vec* u, Py_ssize_t step) noexcept nogil:
    """u = G g: 2 to 5 -> 6."""
    cdef vec even = SIXTH*g[0], odd = R_SIXTH*g[1], flat_even = TWO_THIRDS*g[0], flat_odd = R_THIRD*g[1], third
    if taps > 2:
        third = THIRD*g[2]
        if taps == 3:
            HOLD(third)     # rounded, also where one sum is needed and the compiler could fuse either product
        even, flat_even = even + third, flat_even + third
    if taps > 3:
        odd, flat_odd = odd + R_THIRD*g[3], flat_odd + R_SIXTH*g[3]
    if taps > 4:
        even, flat_even = even + TWO_THIRDS*g[4], flat_even + SIXTH*g[4]
    u[0] = g[0]
    u[step] = even + odd
    u[2*step] = even - odd
    u[3*step] = -flat_even - flat_odd
    u[4*step] = flat_odd - flat_even
    u[5*step] = g[taps - 1]


cdef inline void transform_output(int outputs, const vec* m, vec* y, Py_ssize_t step) noexcept nogil:
    """y = A m: 6 -> 2 to 5."""
    cdef vec s = m[1] + m[2], t = m[3] + m[4]
    cdef vec p = m[1] - m[2], q = m[3] - m[4]
    y[0] = m[0] + s + t
    y[step] = R*p + HALF_R*q
    if outputs > 2:
        y[2*step] = TWO*s + HALF*t
    if outputs > 3:
        y[3*step] = TWICE_R*p + QUARTER_R*q
    if outputs > 4:
        y[4*step] = FOUR*s + QUARTER*t
    y[(outputs - 1)*step] = y[(outputs - 1)*step] + m[5]
