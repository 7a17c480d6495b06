# Tiles of the source in Winograd's domain: for the forward product (winograd.pyx) and that of the weight gradient
# (winograd_weights.pxd).

from cyconv.kernels.scratch cimport LINE
from cyconv.kernels.simd cimport MR, VL, VSTORE, VZERO, load_upto, real, vec
from cyconv.kernels.transform cimport transform_source


cdef inline Py_ssize_t apart(Py_ssize_t numbers) noexcept nogil:
    """Distance of the 36 parts of a transform: a multiple of 4 KiB would put all of them in one set of L1."""
    return numbers + LINE // <Py_ssize_t>sizeof(real)


cdef inline Py_ssize_t padded(Py_ssize_t channels) noexcept nogil:
    return (max(2*MR, channels) + VL - 1) // VL*VL


cdef inline void source_tile(
    const real* x_n, Py_ssize_t H, Py_ssize_t W, Py_ssize_t C, Py_ssize_t c0, Py_ssize_t c1, Py_ssize_t h, Py_ssize_t v,
    real* out, Py_ssize_t step, Py_ssize_t pitch,
) noexcept nogil:
    """out[e*step + c] = B d B^T of the 6 x 6 pixels from (h, v) on, channels c0 .. c1 - 1; zeros beyond the image."""
    cdef vec d[6]
    cdef vec t[36]
    cdef const real* x_v
    cdef Py_ssize_t c = c0, i, j, lanes
    cdef bint inside = 0 <= h and h + 6 <= H and 0 <= v and v + 6 <= W
    while c < c0 + pitch:
        lanes = max(0, c1 - c)
        for j in range(6):
            x_v = x_n + (h*W + v + j)*C + c
            for i in range(6):
                d[i] = VZERO
                if inside or (0 <= h + i < H and 0 <= v + j < W):
                    d[i] = load_upto(x_v + i*W*C, lanes)
            transform_source(d, t + j, 6)
        for i in range(6):
            transform_source(t + i*6, d, 1)
            for j in range(6):
                VSTORE(out + (i*6 + j)*step + c - c0, d[j])
        c += VL
