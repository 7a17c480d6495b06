# Tiles of the source in Winograd's domain: for the forward product (winograd.pyx) and that of the weight gradient
# (winograd_weights.pxd).

from cyconv.kernels.scratch cimport LINE
from cyconv.kernels.simd cimport HOLD, MR, PREFETCH, VL, VSTORE, WILL_READ, load_upto, real, vec
from cyconv.kernels.transform cimport transform_source
from cyconv.kernels.winograd_grid cimport Grid, Place, place_of

cdef extern from *:
    "static const real ZEROS[256];"
    const real ZEROS[256]       # the channels of a pixel beyond the image, a chunk of them at most


cdef inline Py_ssize_t apart(Py_ssize_t numbers) noexcept nogil:
    """Distance of the 36 parts of a transform: a multiple of 4 KiB would put all of them in one set of L1."""
    return numbers + LINE // <Py_ssize_t>sizeof(real)


cdef inline Py_ssize_t padded(Py_ssize_t channels) noexcept nogil:
    return (max(2*MR, channels) + VL - 1) // VL*VL


cdef inline void expect_tiles(
    const real* x, Py_ssize_t H, Py_ssize_t W, Py_ssize_t C, Py_ssize_t c0, Py_ssize_t c1, const Grid* g,
    Py_ssize_t h0, Py_ssize_t v0, Py_ssize_t first, Py_ssize_t last,
) noexcept nogil:
    """Ask for channels c0 .. c1 - 1 of tiles first <= i < last, pixels (h0, v0) further than their outputs: on their
    way from memory while the block before is multiplied, 1.03 to 1.13 times the speed."""
    cdef Py_ssize_t i, h, v, c
    cdef const real* x_hv
    cdef Place tile
    for i in range(first, last):
        tile = place_of(g, i)
        for h in range(max(tile.h + h0, 0), min(tile.h + h0 + tile.rows, H)):
            for v in range(max(tile.v + v0, 0), min(tile.v + v0 + tile.columns, W)):
                x_hv = x + ((tile.n*H + h)*W + v)*C
                c = c0
                while c < c1:
                    WILL_READ(x_hv + c)
                    c += LINE // <Py_ssize_t>sizeof(real)


cdef inline void source_vector(
    const real** pixel, Py_ssize_t c, Py_ssize_t lanes, real* out, Py_ssize_t step
) noexcept nogil:
    """out[e*step + c] = B d B^T of up to VL channels from c on."""
    cdef vec d[6]
    cdef vec t[36]
    cdef int i, j
    for j in range(6):
        for i in range(6):
            d[i] = load_upto(pixel[i*6 + j] + c, lanes)
            HOLD(d[i])
        transform_source(d, t + j, 6)
    for i in range(6):
        transform_source(t + i*6, d, 1)
        for j in range(6):
            VSTORE(out + (i*6 + j)*step + c, d[j])


cdef inline void source_tile(
    const real* x_n, Py_ssize_t H, Py_ssize_t W, Py_ssize_t C, Py_ssize_t c0, Py_ssize_t c1, Py_ssize_t h, Py_ssize_t v,
    real* out, Py_ssize_t step, Py_ssize_t pitch,
) noexcept nogil:
    """out[e*step + c] = B d B^T of the 6 x 6 pixels from (h, v) on, channels c0 .. c1 - 1; zeros beyond the image."""
    cdef const real* pixel[36]
    cdef const real* x_hv = x_n + (h*W + v)*C + c0
    cdef Py_ssize_t i, j, c = 0
    cdef bint inside = 0 <= h and h + 6 <= H and 0 <= v and v + 6 <= W
    if inside:
        for i in range(6):
            for j in range(6):
                pixel[i*6 + j] = x_hv + (i*W + j)*C
    else:
        for i in range(6):
            for j in range(6):
                pixel[i*6 + j] = x_hv + (i*W + j)*C if 0 <= h + i < H and 0 <= v + j < W else ZEROS
    while c + VL <= c1 - c0:
        for i in range(6):                  # what the next tiles of the row add: up to 1.05 times the speed
            for j in range(6, 10):
                PREFETCH(x_hv + (i*W + j)*C + c)
        source_vector(pixel, c, VL, out, step)
        c += VL
    while c < pitch:
        source_vector(pixel, c, max(0, c1 - c0 - c), out, step)
        c += VL
