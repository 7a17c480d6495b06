# Convolution from many channels to few: the end of a network, or the input gradient of its beginning.
#
#     y[n, q, p, k] = act(b[k] + sum_{t, c} x(t, n, q, p)[c] * w(t, c, k))        K <= MOST
#
# With K columns to a product (correlate.pxd) most lanes would be idle.  Here the lanes are channels of the source: an
# output is a vector of sums until the last tap, and then the lanes of VL outputs are added up together.  A vector of x
# is loaded once for all K, one of w once for all pixels of a tile.  The window's last run, which sees pixels for the
# first time, is fetched ahead: from memory up to twice as fast.

from libc.string cimport memset

from cyconv.kernels.correlate cimport Work, find_block, weights_at
from cyconv.kernels.fetch cimport LINE
from cyconv.kernels.scratch cimport lines, take
from cyconv.kernels.simd cimport (
    HOLD, MR, NV, VGREATER, VL, VLOAD, VSELECT, VSTORE, VZERO, WILL_READ, add_lanes, load_lanes, real, store_upto, vec,
)
from cyconv.kernels.tasks cimport Call, stopped
from cyconv.kernels.tile cimport Panel
from cyconv.kernels.windows cimport Source, copies_runs

cdef enum:
    AHEAD = 48                  # pixels
    MOST = 8                    # channels of the target
    OUTPUTS = MR*NV             # of a tile, at most: as many sums as there are registers


cdef inline int pixels_of(int K) noexcept nogil:
    """Of a tile: as registers allow beside K vectors of weights, of few channels whole vectors of outputs, and no more
    than 16, whose lines with those that are fetched stay in the first-level cache."""
    return min(16, min((7*NV - 1)//K - 1, min(OUTPUTS//VL*VL, 3*VL)//K)) if K <= 4 else max(1, (7*NV - 1)//K - 1)


cdef inline Py_ssize_t width_of(const Source* s) noexcept nogil:
    """Numbers of a run, up to whole vectors."""
    return (s.length + VL - 1) // VL*VL


cdef inline Py_ssize_t pitch_of(const Work* k) noexcept nogil:
    """Of the pointers to a run: a tile reads OUTPUTS of them at most."""
    return k.block + OUTPUTS


cdef inline bint slim_pays(Py_ssize_t runs, Py_ssize_t length, Py_ssize_t K) noexcept nogil:
    """Whether to take the runs of a window along their lanes.  A pixel costs K products and 1.5 loads for each of its
    vectors, and to add up the lanes 3.5 for each output; with K lanes as columns, a product for each of its numbers."""
    return K <= MOST and 2*K <= VL and (2*K + 3)*runs*((length + VL - 1) // VL) + 7*K < 2*runs*length


cdef inline size_t slim_bytes(const Work* k) noexcept nogil:
    cdef const Source* s = &k.source
    cdef Py_ssize_t runs = pitch_of(k)*s.segments
    return (
        lines(runs + k.block, sizeof(void*)) + lines(s.segments*k.target.K*width_of(&k.source), sizeof(real))
        + lines(OUTPUTS + VL, sizeof(real)) + lines(s.readable, sizeof(real))
        + lines(runs*s.readable if copies_runs(s) else 0, sizeof(real))
    )


cdef inline void pack_columns(const Work* k, real* packed) noexcept nogil:
    """packed[t, k, c] = w(t, c, k), zeros after the last c."""
    cdef Py_ssize_t t, c
    cdef Panel p
    p.group = 0
    memset(packed, 0, k.source.segments*k.target.K*width_of(&k.source)*sizeof(real))
    for t in range(k.source.segments):
        for p.first in range(k.target.K):
            for c in range(k.source.length):
                if k.source.by_row:
                    packed[c] = weights_at(k, t*k.source.w.taps + c // k.C, c % k.C, &p)[0]
                else:
                    packed[c] = weights_at(k, t, c, &p)[0]
            packed += width_of(&k.source)


cdef inline void slim_step(
    bint whole, int K, Py_ssize_t wide, const real** at, Py_ssize_t c, int lanes, const real* w, vec* acc
) noexcept nogil:
    """A vector of channels of each pixel of a tile."""
    cdef vec column[MOST]
    cdef vec value
    cdef int i, j
    for j in range(K):
        column[j] = VLOAD(w + j*wide)
        HOLD(column[j])
    for i in range(pixels_of(K)):
        value = VLOAD(at[i] + c) if whole else load_lanes(at[i] + c, lanes)
        HOLD(value)
        for j in range(K):
            acc[i*K + j] = acc[i*K + j] + value*column[j]


cdef inline void finish_outputs(
    int g, int count, const Work* k, const vec* acc, const real* bias, real* y, Py_ssize_t outputs
) noexcept nogil:
    """Group g of VL outputs of a tile of `count`."""
    cdef vec rows[VL]
    cdef vec total
    cdef int j
    for j in range(VL):
        rows[j] = acc[g*VL + j] if g*VL + j < count else VZERO
    total = add_lanes(rows) + VLOAD(bias + g*VL)
    if k.target.relu:
        total = VSELECT(VGREATER(VZERO, total), VZERO, total)
    if outputs > g*VL:
        store_upto(y + g*VL, total, outputs - g*VL)


cdef inline void slim_tile(
    int K, const Work* k, const real** at, Py_ssize_t pixels, const real* w, const real* bias, real** out
) noexcept nogil:
    """pixels_of(K) pixels, or as many as are left."""
    cdef vec acc[OUTPUTS]
    cdef real apart[OUTPUTS]
    cdef real* y = out[0]
    cdef Py_ssize_t _, c, length = k.source.length
    cdef int count = pixels_of(K)*K, i, j
    cdef bint dense
    for i in range(pixels_of(K)):       # two loops: GCC unrolls 16 rounds at most, and sums with an index are in memory
        for j in range(K):
            acc[i*K + j] = VZERO
    for _ in range(k.source.segments):
        c = 0
        while c + VL <= length:
            slim_step(True, K, width_of(&k.source), at, c, VL, w + c, acc)
            c += VL
        if c < length:
            slim_step(False, K, width_of(&k.source), at, c, <int>(length - c), w + c, acc)
        w += K*width_of(&k.source)
        at += pitch_of(k)
    pixels = min(pixels_of(K), pixels)
    dense = out[pixels - 1] - y == (pixels - 1)*K
    if not dense:
        y = apart
    # By hand: in a loop GCC would keep all sums in memory.
    finish_outputs(0, count, k, acc, bias, y, pixels*K)
    if count > VL:
        finish_outputs(1, count, k, acc, bias, y, pixels*K)
    if count > 2*VL:
        finish_outputs(2, count, k, acc, bias, y, pixels*K)
    if not dense:
        for i in range(pixels):
            for j in range(K):
                out[i][j] = apart[i*K + j]


cdef inline void slim_tiles(
    int K, const Work* k, const real** at, Py_ssize_t pixels, const real* w, const real* bias, real** out
) noexcept nogil:
    cdef Py_ssize_t i = 0, j, c, last = (k.source.segments - 1)*pitch_of(k)
    while i < pixels:
        for j in range(i + AHEAD, min(i + AHEAD + pixels_of(K), pixels)):
            c = 0
            while c < k.source.length:
                WILL_READ(at[last + j] + c)
                c += LINE
        slim_tile(K, k, at + i, pixels - i, w, bias, out + i)
        i += pixels_of(K)


cdef inline void slim_task(const void* problem, Py_ssize_t index, char* scratch, Call* call) noexcept nogil:
    """Block `index` of the pixels."""
    cdef const Work* k = <const Work*>problem
    cdef const Source* s = &k.source
    cdef Py_ssize_t first = index*k.block, pixels = min(k.block, k.pixels - first), i
    cdef Py_ssize_t K = k.target.K
    cdef const real** at = <const real**>take(&scratch, pitch_of(k)*s.segments + k.block, sizeof(void*))
    cdef real** out = <real**>(at + pitch_of(k)*s.segments)
    cdef real* w = <real*>take(&scratch, s.segments*K*width_of(&k.source), sizeof(real))
    cdef real* bias = <real*>take(&scratch, OUTPUTS + VL, sizeof(real))
    cdef real* zeros = <real*>take(&scratch, s.readable, sizeof(real))
    if stopped(call, pixels*K*s.segments*s.length):
        return
    find_block(k, first, pixels, pitch_of(k), at, out, <real*>scratch, zeros)
    pack_columns(k, w)
    for i in range(OUTPUTS + VL):
        bias[i] = 0 if k.target.bias == NULL else k.target.bias[i % K]
    if K == 1:
        slim_tiles(1, k, at, pixels, w, bias, out)
    elif VL >= 4 and K == 2:
        slim_tiles(2, k, at, pixels, w, bias, out)
    elif VL >= 6 and K == 3:
        slim_tiles(3, k, at, pixels, w, bias, out)
    elif VL >= 8 and K == 4:
        slim_tiles(4, k, at, pixels, w, bias, out)
    elif VL >= 10 and K == 5:
        slim_tiles(5, k, at, pixels, w, bias, out)
    elif VL >= 12 and K == 6:
        slim_tiles(6, k, at, pixels, w, bias, out)
    elif VL >= 14 and K == 7:
        slim_tiles(7, k, at, pixels, w, bias, out)
    elif VL >= 16:
        slim_tiles(8, k, at, pixels, w, bias, out)
