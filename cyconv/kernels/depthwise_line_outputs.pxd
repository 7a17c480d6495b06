# The outputs of a depthwise convolution of few channels, or of its input gradient, line by line (depthwise_lines.pxd).
#
# Tiles of HEIGHT lines and WIDE vectors of one phase: a vector of the source is loaded once for all the lines, one of
# the table once for all WIDE.  Of 3x3 that is 0.75 loads a product, of larger windows less.

from cyconv.kernels.depthwise_lines cimport (
    HEIGHT, Block, Lines, block_of, copy_end, first_of, next_end, tap_of,
)
from cyconv.kernels.simd cimport HOLD, VGREATER, VL, VLOAD, VSELECT, VZERO, real, store_upto, vec
from cyconv.kernels.windows cimport Axis

cdef enum:
    WIDE = 4


cdef inline void fill_table(
    const Lines* k, const Axis* h, const Axis* w, const real* weights, Py_ssize_t S, const real* bias
) noexcept nogil:
    """Of weights (., S, C)."""
    cdef Py_ssize_t f, r, s, i
    cdef const real* w_rs
    cdef real* to = k.table
    for f in range(k.phases):
        for r in range(k.R):
            for s in range(k.S):
                w_rs = weights + ((h.tap + r*h.tap_step)*S + w.tap + s*w.tap_step)*k.C
                for i in range(VL):
                    to[i] = w_rs[(f*VL + i) % k.C]
                to += VL
        for i in range(VL):
            to[i] = 0 if bias == NULL else bias[(f*VL + i) % k.C]
        to += VL


cdef inline void output_tile(
    int height, int wide, const Lines* k, const real* const* at, Py_ssize_t e, Py_ssize_t phase, real* y,
    Py_ssize_t lanes,
) noexcept nogil:
    """`wide` vectors of `height` lines, from y on; the first of them sees at[i] + e."""
    cdef vec acc[HEIGHT*WIDE]
    cdef vec value[WIDE]
    cdef vec weight = VLOAD(k.table + tap_of(k, phase, k.R, 0))
    cdef const real* x_i
    cdef const real* w_i
    cdef Py_ssize_t i, _, between = k.phases*VL
    cdef int a, g
    for a in range(height*wide):
        acc[a] = weight
    for i in range(k.R + height - 1):
        if at[i] != NULL:
            x_i, w_i = at[i] + e, k.table + tap_of(k, phase, i, 0)
            for _ in range(k.S):
                for g in range(wide):
                    value[g] = VLOAD(x_i + g*between)
                    HOLD(value[g])
                for a in range(height):
                    if a <= i < k.R + a:
                        weight = VLOAD(w_i - a*k.S*VL)
                        for g in range(wide):
                            acc[a*wide + g] = acc[a*wide + g] + value[g]*weight
                x_i += k.step
                w_i += VL
    for a in range(height):
        for g in range(wide):
            weight = acc[a*wide + g]
            if k.relu:
                weight = VSELECT(VGREATER(VZERO, weight), VZERO, weight)
            store_upto(y + a*k.down*k.numbers + g*between, weight, lanes)


cdef inline void output_block(
    int height, const Lines* k, const Axis* h, const real* x_n, real* y_n, Py_ssize_t q, char* scratch
) noexcept nogil:
    cdef Block b = block_of(height, k, h, x_n, q, scratch)
    cdef Py_ssize_t f, v
    cdef real* y_q = y_n + q*k.numbers
    for f in range(k.phases):
        v = first_of(f, k, &b)
        while v + (WIDE - 1)*k.phases < b.end:
            output_tile(height, WIDE, k, b.at, v*VL, f, y_q + v*VL, VL)
            v += WIDE*k.phases
        while v < b.end:
            output_tile(height, 1, k, b.at, v*VL, f, y_q + v*VL, VL)
            v += k.phases
    v = next_end(&b, -1)
    while v < b.vectors:
        copy_end(height, k, &b, v)
        output_tile(height, 1, k, b.ends, 0, v % k.phases, y_q + v*VL, min(VL, k.numbers - v*VL))
        v = next_end(&b, v)


cdef inline void lines_of_rows(
    const Lines* k, const Axis* h, const real* x_n, real* y_n, Py_ssize_t first, Py_ssize_t end, char* scratch
) noexcept nogil:
    """Lines first .. end - 1 of an image."""
    cdef Py_ssize_t q, n
    for n in range(min(k.down, end - first)):
        q = first + n
        while q + (HEIGHT - 1)*k.down < end:
            output_block(HEIGHT, k, h, x_n, y_n, q, scratch)
            q += HEIGHT*k.down
        while q < end:
            output_block(1, k, h, x_n, y_n, q, scratch)
            q += k.down
