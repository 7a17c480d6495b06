# Images of few channels as planes, one for each channel, with pixels in the lanes of a vector.
#
# Where both operands of a product have few channels, most lanes would be idle: 10 of 16 in LeNet's first layer, 15 in a
# filter of grey images.  Of pixels there are always enough.  So some rows of an image are laid out as planes
# [channel][row][column], padded with zeros: what a tap sees of a plane is that plane, some numbers further on.
#
# Groups of channels are convolutions side by side; as many as a vector has lanes for are taken together, a `chunk`.
#
# The columns of a block of rows are numbered through: a row of the planes is as long as what a row of windows sees,
# `pitch`, and so are rows of outputs, whose last (taps - 1)*slope columns are computed for nothing.

from libc.string cimport memset

from cyconv.kernels.simd cimport (
    LLOAD, MR, NV, PREFETCH, ROUNDS, VL, VSTORE, interleave, lane, load_upto, lvec, permute, real, vec,
)
from cyconv.kernels.slim cimport slim_pays
from cyconv.kernels.windows cimport Axis

cdef enum:
    MOST = 2*NV             # channels of the target that a tile takes
    WIDEST = 8              # and vectors to one of them
    LARGEST = 65536         # numbers of the planes of a block
    LEAST = 256             # columns of one, unless these are all
    MOST_SUMS = 131072      # numbers of a weight gradient's, which are passed over block by block

cdef struct Planes:
    const real* x           # (N, h.size, w.size, chunks*groups*C)
    Axis h                  # of windows side by side
    Axis w
    Py_ssize_t chunks
    Py_ssize_t groups       # of a chunk
    Py_ssize_t C            # channels of a group of the source
    Py_ssize_t K            # and of the target
    Py_ssize_t rows         # of the target in a block
    Py_ssize_t columns      # and of these
    Py_ssize_t height       # rows of the source that they see
    Py_ssize_t pitch        # and columns
    Py_ssize_t size         # numbers of a plane, and a vector more

cdef struct Area:           # of the target, in a block
    Py_ssize_t n
    Py_ssize_t q
    Py_ssize_t p
    Py_ssize_t rows
    Py_ssize_t columns


cdef inline int wide(int rows) noexcept nogil:
    """Vectors to `rows` channels of a tile: all registers but one for sums, vectors, and what multiplies them."""
    return min(WIDEST, (8*NV - 2)//(rows + 1))


cdef inline Py_ssize_t parts_of(Py_ssize_t K) noexcept nogil:
    """Tiles side by side that take K channels, shared out evenly."""
    return (K + MOST - 1) // MOST


cdef inline Py_ssize_t part_start(Py_ssize_t K, Py_ssize_t part) noexcept nogil:
    return part*K // parts_of(K)


cdef inline Py_ssize_t across(const Planes* k) noexcept nogil:
    """Blocks of a row."""
    return (k.w.count + k.columns - 1) // k.columns


cdef inline Py_ssize_t blocks_of(const Planes* k) noexcept nogil:
    """And of an image."""
    return (k.h.count + k.rows - 1) // k.rows*across(k)


cdef inline Area area_of(const Planes* k, Py_ssize_t block) noexcept nogil:
    """Block by block of image by image."""
    cdef Area a
    a.n, a.q, a.p = block // blocks_of(k), block % blocks_of(k) // across(k)*k.rows, block % across(k)*k.columns
    a.rows, a.columns = min(k.rows, k.h.count - a.q), min(k.columns, k.w.count - a.p)
    return a


cdef inline bint planes_pay(const Planes* k, bint of_weights) noexcept nogil:
    """In vector products for a row of outputs, or of dy, of one group.

    Outputs: K for VL pixels, the last columns included, instead of one for each pixel.  To lay out and to collect takes
    as long as a tap or so.  Weights: K for VL pixels, instead of one for every number of a window row, whose tiles are
    MR high and never full for so few; to lay out takes six for each channel.
    """
    cdef Py_ssize_t vectors = (k.columns + VL - 1) // VL, taps = k.h.taps*k.w.taps
    if of_weights:
        return (taps*k.C*k.K + 6*(k.C + k.K))*vectors < k.columns*k.h.taps*((k.w.taps*k.C + MR - 1) // MR*MR + 4)
    return k.K < VL and taps*(VL*k.columns - k.K*k.pitch) > VL*k.columns


cdef inline Py_ssize_t evenly(Py_ssize_t count, Py_ssize_t most) noexcept nogil:
    """How many to a block of `most` or fewer."""
    cdef Py_ssize_t blocks = (count + most - 1) // most
    return (count + blocks - 1) // blocks


cdef inline bint plan_planes(
    Planes* k, const real* x, const Axis* h, const Axis* w, Py_ssize_t C, Py_ssize_t K, Py_ssize_t groups,
    bint of_weights,
) noexcept nogil:
    """Whether planes pay: for windows side by side, unless many channels do in slim.pxd.  How much of an image to take
    at a time."""
    cdef Py_ssize_t above = (h.taps - 1)*h.slope, reach = (w.taps - 1)*w.slope, channels, most
    k.x, k.h, k.w, k.C, k.K = x, h[0], w[0], C // groups, K // groups
    if h.step != 1 or w.step != 1 or h.out_step != 1 or w.out_step != 1 or k.K > VL or (groups > 1 and k.C > VL):
        return False
    if k.C > VL and slim_pays(h.taps*w.taps, C, K):
        return False
    k.groups = 1 if groups == 1 else VL // max(k.C, k.K)
    while groups % k.groups:
        k.groups -= 1
    k.chunks = groups // k.groups
    channels = k.groups*max(k.C, k.K)
    most = LARGEST // ((above + 1)*channels) - reach
    if most < min(w.count, LEAST) or (of_weights and h.taps*w.taps*k.groups*k.C*k.K*VL > MOST_SUMS):
        return False
    k.columns = evenly(w.count, most)
    k.pitch = k.columns + reach
    k.rows = evenly(h.count, LARGEST // (k.pitch*channels) - above)
    k.height = k.rows + above
    k.size = k.height*k.pitch + VL
    return planes_pay(k, of_weights)


cdef inline int rounds_of(Py_ssize_t channels) noexcept nogil:
    """log2 of the power of two that is not less."""
    cdef int rounds = 0
    while 1 << rounds < channels:
        rounds += 1
    return rounds


cdef inline lvec order_of(Py_ssize_t were, Py_ssize_t will) noexcept nogil:
    """`permute` by it, and pixels that lay so far apart will lie so far apart."""
    cdef lane order[VL]
    cdef Py_ssize_t i, first = 0, within = 0
    for i in range(VL):
        order[i] = <lane>min(VL - 1, first + within)
        within += 1
        if within == will:
            first, within = first + were, 0
    return LLOAD(order)


cdef inline lvec spread(Py_ssize_t stride, Py_ssize_t C) noexcept nogil:
    """The order that `part` needs: all the channels of a pixel are as many apart as the next power of two says."""
    cdef Py_ssize_t lanes = C if C == stride and C < VL else VL
    return order_of(lanes, 1 << rounds_of(lanes))


cdef inline void part_pixels(
    int rounds, const real* x_p, Py_ssize_t stride, Py_ssize_t C, Py_ssize_t pixels, lvec order, real* plane,
    Py_ssize_t size,
) noexcept nogil:
    """plane[c*size + i] = x_p[i*stride + c], 2**(rounds - 1) < C <= 2**rounds, zeros after the last pixel up to VL."""
    cdef vec rows[VL]
    cdef Py_ssize_t numbers = (pixels - 1)*stride + C, group = (VL >> rounds)*stride, c
    cdef int i
    for i in range(1 << rounds):
        rows[i] = load_upto(x_p + i*group, max(0, numbers - i*group))
        if rounds < ROUNDS:
            rows[i] = permute(rows[i], order)
    interleave(rows, 1 << rounds, ROUNDS)
    for c in range(C):
        VSTORE(plane + c*size, rows[c])


cdef inline void part_row(
    int rounds, const real* x_p, Py_ssize_t stride, Py_ssize_t C, Py_ssize_t pixels, lvec order, real* plane,
    Py_ssize_t size, Py_ssize_t step,
) noexcept nogil:
    cdef int i
    while pixels > 0:
        if stride > C:      # each pixel has lines of its own: 1.05 times as fast
            for i in range(VL):
                PREFETCH(x_p + (VL + i)*stride)
        part_pixels(rounds, x_p, stride, C, min(VL, pixels), order, plane, size)
        x_p += VL*stride
        plane += step
        pixels -= VL


cdef inline void part(
    const real* x_p, Py_ssize_t stride, Py_ssize_t C, Py_ssize_t pixels, lvec order, real* plane, Py_ssize_t size,
    Py_ssize_t step,
) noexcept nogil:
    """VL pixels after VL pixels, C of their `stride` channels; these go `step` on.  The order is that of `spread`."""
    if stride > C:
        part_row(ROUNDS, x_p, stride, C, pixels, order, plane, size, step)
    elif C == 1:
        part_row(0, x_p, C, C, pixels, order, plane, size, step)
    elif C == 2:
        part_row(1, x_p, C, C, pixels, order, plane, size, step)
    elif ROUNDS > 1 and C <= 4:
        part_row(2, x_p, C, C, pixels, order, plane, size, step)
    elif ROUNDS > 2 and C <= 8:
        part_row(3, x_p, C, C, pixels, order, plane, size, step)
    elif ROUNDS > 3:
        part_row(4, x_p, C, C, pixels, order, plane, size, step)


cdef inline void lay_out(const Planes* k, const Area* a, Py_ssize_t chunk, real* planes) noexcept nogil:
    """planes[channel, row, column] = what k.rows rows of k.columns from where the area begins see of a chunk."""
    cdef Py_ssize_t left = k.w.base + a.p, low = min(max(-left, 0), k.pitch)
    cdef Py_ssize_t high = max(low, min(k.w.size - left, k.pitch))
    cdef Py_ssize_t C = k.groups*k.C, stride = k.chunks*C, i, c, ih
    cdef const real* x_h
    cdef real* plane
    cdef lvec order = spread(stride, C)
    for i in range(k.height):
        ih = k.h.base + a.q + i
        plane = planes + i*k.pitch
        if 0 <= ih < k.h.size:
            x_h = k.x + ((a.n*k.h.size + ih)*k.w.size + left + low)*stride + chunk*C
            c = 0
            while c < C:
                part(x_h + c, stride, min(VL, C - c), high - low, order, plane + c*k.size + low, k.size, VL)
                c += VL
            for c in range(C):
                memset(plane + c*k.size, 0, low*sizeof(real))
                memset(plane + c*k.size + high, 0, (k.pitch - high)*sizeof(real))
        else:
            for c in range(C):
                memset(plane + c*k.size, 0, k.pitch*sizeof(real))
