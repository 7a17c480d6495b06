# The weight gradient of a depthwise convolution of few channels, line by line (depthwise_lines.pxd).
#
# Tiles of up to 3 x 3 taps: their sums stay in registers along the vectors of one phase, while HEIGHT lines of dy meet
# what they see.  A vector of the source is loaded once for all taps of a column.  Sums are those of lanes; `fold` adds
# up the lanes of a channel.

from cyconv.kernels.depthwise_lines cimport (
    HEIGHT, Block, Lines, block_of, copy_end, first_of, next_end, table_numbers, tap_of,
)
from cyconv.kernels.simd cimport HOLD, VL, VLOAD, VSTORE, load_upto, real, vec
from cyconv.kernels.windows cimport Axis

cdef enum:
    SIDE = 3            # taps of a tile


cdef inline void product_tile(
    int height, const Lines* k, const real* const* at, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t e,
    Py_ssize_t count, const real* dy, real* sums, Py_ssize_t lanes,
) noexcept nogil:
    """sums += products of `count` vectors of `height` lines; the first of them sees at[i] + e, its tap (0, 0) here."""
    cdef vec acc[SIDE*SIDE]
    cdef vec by[HEIGHT]
    cdef vec value
    cdef const real* x_i
    cdef Py_ssize_t between = k.phases*VL, _
    cdef int a, i, r, s
    for r in range(SIDE):
        for s in range(SIDE):
            if r < rows and s < columns:
                acc[r*SIDE + s] = VLOAD(sums + (r*k.S + s)*VL)
    for _ in range(count):
        for a in range(height):
            by[a] = load_upto(dy + a*k.down*k.numbers, lanes)
        for i in range(SIDE + height - 1):
            if i < rows + height - 1 and at[i] != NULL:
                x_i = at[i] + e
                for s in range(SIDE):
                    if s < columns:
                        value = load_upto(x_i, lanes)
                        HOLD(value)
                        for a in range(height):
                            r = i - a
                            if 0 <= r < SIDE and r < rows:
                                acc[r*SIDE + s] = acc[r*SIDE + s] + value*by[a]
                        x_i += k.step
        e += between
        dy += between
    for r in range(SIDE):
        for s in range(SIDE):
            if r < rows and s < columns:
                VSTORE(sums + (r*k.S + s)*VL, acc[r*SIDE + s])


cdef inline void product_tiles(
    int height, const Lines* k, const real* const* at, Py_ssize_t phase, Py_ssize_t e, Py_ssize_t count,
    const real* dy, Py_ssize_t lanes,
) noexcept nogil:
    """Those of all taps."""
    cdef Py_ssize_t r = 0, s
    while r < k.R:
        s = 0
        while s < k.S:
            product_tile(
                height, k, at + r, min(SIDE, k.R - r), min(SIDE, k.S - s), e + s*k.step, count, dy,
                k.table + tap_of(k, phase, r, s), lanes,
            )
            s += SIDE
        r += SIDE


cdef inline void sum_line(const Lines* k, const real* dy) noexcept nogil:
    """The bias's."""
    cdef Py_ssize_t e = 0, phase = 0
    cdef real* sum
    while e < k.numbers:
        sum = k.table + tap_of(k, phase, k.R, 0)
        VSTORE(sum, VLOAD(sum) + load_upto(dy + e, k.numbers - e))
        phase = phase + 1 if phase + 1 < k.phases else 0
        e += VL


cdef inline void product_block(
    int height, const Lines* k, const Axis* h, const real* x_n, const real* dy_n, Py_ssize_t q, char* scratch
) noexcept nogil:
    cdef Block b = block_of(height, k, h, x_n, q, scratch)
    cdef Py_ssize_t f, v
    cdef const real* dy_q = dy_n + q*k.numbers
    for f in range(k.phases):
        v = first_of(f, k, &b)
        if v < b.end:
            product_tiles(height, k, b.at, f, v*VL, (b.end - 1 - v) // k.phases + 1, dy_q + v*VL, VL)
    v = next_end(&b, -1)
    while v < b.vectors:
        copy_end(height, k, &b, v)
        product_tiles(height, k, b.ends, v % k.phases, 0, 1, dy_q + v*VL, min(VL, k.numbers - v*VL))
        v = next_end(&b, v)


cdef inline void line_products(
    const Lines* k, bint biased, const Axis* h, const real* x_n, const real* dy_n, Py_ssize_t first, Py_ssize_t end,
    char* scratch,
) noexcept nogil:
    """The table += what lines first .. end - 1 of an image give."""
    cdef Py_ssize_t q, n
    for n in range(min(k.down, end - first)):
        q = first + n
        while q + (HEIGHT - 1)*k.down < end:
            product_block(HEIGHT, k, h, x_n, dy_n, q, scratch)
            q += HEIGHT*k.down
        while q < end:
            product_block(1, k, h, x_n, dy_n, q, scratch)
            q += k.down
    if biased:
        for q in range(first, end):
            sum_line(k, dy_n + q*k.numbers)


cdef inline void fold(const Lines* k, const real* sums, real* total) noexcept nogil:
    """total[tap, channel] += the sums of a table's lanes."""
    cdef Py_ssize_t i, tap = 0, phase = 0
    for i in range(table_numbers(k)):
        total[tap*k.C + (phase*VL + i % VL) % k.C] += sums[i]
        if i % VL == VL - 1:
            tap += 1
            if tap == k.R*k.S + 1:
                tap, phase = 0, phase + 1
