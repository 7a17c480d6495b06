# Depthwise convolution of few channels: a row of the image is one long vector, a line.
#
#     y[q, e]     = act(b[e % C] + sum_{r, s} x[q + r, e + s*C] * w[r, s, e % C])      e = j*C + c, windows side by side
#     dw[r, s, c] = sum_{q, e = c mod C} x[q + r, e + s*C] * dy[q, e]
#
# A pixel of few channels leaves a vector half empty, that of a grey image all but one lane: its windows took 12 to 40
# times as long.  So weights, or sums of products, lie in a table of vectors, for each of the C // gcd(C, VL) places in
# a pixel where a vector may begin, its `phase`.
#
# Loops: HEIGHT rows, phase, vectors of it, rows of the source, columns of the window.  A vector of the source meets all
# the rows that see it.  Vectors that see beyond the image are computed one by one from copies with zeros around them.
# Windows with gaps are those of rows as many apart.

from libc.string cimport memcpy, memset

from cyconv.kernels.fetch cimport LINE
from cyconv.kernels.scratch cimport lines, take
from cyconv.kernels.simd cimport MASKED, NV, VL, real
from cyconv.kernels.windows cimport Axis, gcd

cdef enum:
    HEIGHT = NV         # 16 sums, 4 vectors of the source and one weight with 32 registers, 8 sums with 16
    LARGEST = 1 << 17   # bytes of a table for several channels

cdef struct Lines:
    real* table         # [phase][R*S taps and the bias][VL], or NULL
    Py_ssize_t phases
    Py_ssize_t C
    Py_ssize_t R
    Py_ssize_t S
    Py_ssize_t step     # from tap to tap in a line
    Py_ssize_t down     # and of lines
    Py_ssize_t size     # numbers of a line of the source
    Py_ssize_t numbers  # and of the target
    Py_ssize_t base     # what number 0 sees first
    bint relu

cdef struct Block:          # lines of the target, `down` apart
    const real** at         # the lines of the source that they see, from where number 0 does; NULL beyond the image
    const real** ends       # copies
    real* copies
    Py_ssize_t vectors
    Py_ssize_t begin        # those begin <= v < end see nothing beyond the image
    Py_ssize_t end


cdef inline Py_ssize_t table_numbers(const Lines* k) noexcept nogil:
    return k.phases*(k.R*k.S + 1)*VL


cdef inline bint plan_lines(
    Lines* k, const Axis* h, const Axis* w, Py_ssize_t C, bint in_strips, bint of_weights
) noexcept nogil:
    """Whether to make lines of windows side by side; the table is up to the caller.

    One channel is always better off, and without masked instructions all that are no whole vectors: up to 13 times as
    fast.  With them channels have to be a small part of a vector, in lines of so many columns that there is more than
    their ends, as they are fast in tiles, and twice as fast in strips.
    """
    cdef Py_ssize_t most = VL//2, shortest = 12
    k.C, k.R, k.S, k.phases, k.table, k.relu = C, h.taps, w.taps, C // gcd(C, VL), NULL, False
    k.step, k.down, k.size, k.numbers, k.base = w.slope*C, h.slope, w.size*C, w.count*C, w.base*C
    if h.step != 1 or w.step != 1 or h.out_step != 1 or w.out_step != 1:
        return False
    if C == 1:
        return True
    if not MASKED:
        most, shortest = 4*VL - 1 if C % VL else 0, 1
    elif in_strips and of_weights:
        most, shortest = VL//4 if VL == LINE else VL//2, 48
    elif in_strips:
        most, shortest = VL//4 if VL == LINE else 3*VL//4, 24
    elif VL < LINE and w.count >= 24:
        most = 3*VL//4
    return C <= most and w.count >= shortest and table_numbers(k)*<Py_ssize_t>sizeof(real) <= LARGEST


cdef inline Py_ssize_t seen_by(const Lines* k) noexcept nogil:
    """Numbers that a vector sees."""
    return VL + (k.S - 1)*k.step


cdef inline size_t line_bytes(const Lines* k) noexcept nogil:
    """Scratch of a thread."""
    cdef Py_ssize_t rows = k.R + HEIGHT - 1
    return 2*lines(rows, sizeof(void*)) + lines(rows*seen_by(k), sizeof(real))


cdef inline Py_ssize_t tap_of(const Lines* k, Py_ssize_t phase, Py_ssize_t r, Py_ssize_t s) noexcept nogil:
    """Where it is in a table; (R, 0) is the bias."""
    return (phase*(k.R*k.S + 1) + r*k.S + s)*VL


cdef inline Block block_of(
    int height, const Lines* k, const Axis* h, const real* x_n, Py_ssize_t q, char* scratch
) noexcept nogil:
    """Lines q, q + down, .."""
    cdef Block b
    cdef Py_ssize_t rows = k.R + height - 1, i, row
    b.at = <const real**>take(&scratch, rows, sizeof(void*))
    b.ends = <const real**>take(&scratch, rows, sizeof(void*))
    b.copies = <real*>take(&scratch, rows*seen_by(k), sizeof(real))
    b.vectors = (k.numbers + VL - 1) // VL
    b.begin = min(b.vectors, (max(0, -k.base) + VL - 1) // VL)
    b.end = max(b.begin, min(k.numbers, k.size - k.base - (k.S - 1)*k.step) // VL)
    for i in range(rows):
        row = h.base + q + i*k.down
        b.at[i] = b.ends[i] = NULL
        if 0 <= row < h.size:
            b.at[i], b.ends[i] = x_n + row*k.size + k.base, b.copies + i*seen_by(k)
    return b


cdef inline void copy_end(int height, const Lines* k, const Block* b, Py_ssize_t vector) noexcept nogil:
    """What a vector sees, zeros beyond the image."""
    cdef Py_ssize_t first = vector*VL + k.base, count = seen_by(k), low, high, i
    cdef real* copy = b.copies
    low = min(max(-first, 0), count)
    high = max(low, min(k.size - first, count))
    for i in range(k.R + height - 1):
        if b.at[i] != NULL:
            memset(copy, 0, low*sizeof(real))
            memcpy(copy + low, b.at[i] + vector*VL + low, (high - low)*sizeof(real))
            memset(copy + high, 0, (count - high)*sizeof(real))
        copy += count


cdef inline Py_ssize_t first_of(Py_ssize_t phase, const Lines* k, const Block* b) noexcept nogil:
    """The first vector of a phase from `begin` on."""
    return b.begin + (phase + k.phases - b.begin % k.phases) % k.phases


cdef inline Py_ssize_t next_end(const Block* b, Py_ssize_t vector) noexcept nogil:
    """The next vector after this one that sees beyond the image; from -1 the first."""
    return vector + 1 if vector + 1 != b.begin else b.end
