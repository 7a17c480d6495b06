# The engine of convolution and of its input gradient: windows of a source times a matrix of weights.
#
#     y[n, q, p, g*K + k] = act(bias[g*K + k] + sum_{r, s, c} x[n, row(q, r), col(p, s), g*C + c] * w(r, s, c, g*K + k))
#
# An implicit matrix product (Zhang et al. 2018; indirection buffers: Dukhan 2019): the rows are output pixels numbered
# across rows and images, so that maps of 7 or 14 columns waste no tile, the columns are output channels in panels of
# NR, the reduction runs over taps and channels.  Source pixels are read in place through a table of pointers, made once
# for a block of pixels; padding is a row of zeros.  Nothing the size of the batch is ever copied.
#
# Loop order in a task (a block of pixels x a range of panels): panel and chunk of the reduction, tile of pixels.  A
# chunk of a panel is packed by the first tile of the block that uses it, or before where weights are read
# transposed: they pass once per block, at the cost of one vector move per `block` multiply-adds, and no second copy of
# them is ever made.  The sums between chunks wait in y itself.  Panels are outermost where a pixel has no more numbers
# in the source than in y, else chunks: what passes many times should be the smaller of the two, to stay in the
# second-level cache (with panels outermost 3x3/2 at 14x14x512 is 7 % slower and 1x1 from 2048 to 512 channels 5 %; 512
# to 2048 is 5 % slower with chunks outermost).
#
# Every output is summed by one task, chunk by chunk in one order that depends on the window alone: the same bits for
# any number of threads and any split of the batch.

from libc.string cimport memset

from cyconv.kernels.scratch cimport LINE, lines, take
from cyconv.kernels.shapes cimport Shapes
from cyconv.kernels.simd cimport KC, MR, NR, NV, VL, VLOAD, VSTORE, load_lanes, real, transpose, vec
from cyconv.kernels.tasks cimport Call, stopped
from cyconv.kernels.tile cimport Finish, Panel, multiply_across, panel_at, panels_of, tile_rows
from cyconv.kernels.windows cimport Pixel, Source, copies_runs, find_runs, next_row, pixel_at

cdef struct Weights:
    # w(r, s, c, k) = w[(r*S + s)*tap + c*row + k*column], group g starts at g*group
    const real* w
    Py_ssize_t S
    Py_ssize_t tap
    Py_ssize_t row
    Py_ssize_t column
    Py_ssize_t group

cdef struct Target:
    # Images (N, H, W, groups*K); outputs land where the source's axes say
    real* y
    Py_ssize_t H
    Py_ssize_t W
    Py_ssize_t K
    Py_ssize_t groups
    const real* bias    # groups*K values, or NULL
    bint relu

cdef struct Work:
    Source source
    Weights weights
    Target target
    Py_ssize_t images
    Py_ssize_t C            # channels of a group of the source
    Py_ssize_t pixels       # output pixels of the batch
    Py_ssize_t block        # output pixels of a task, a multiple of 2*MR
    Py_ssize_t parts        # ranges of panels the panels are shared out over


cdef inline void set_forward(
    Work* k, const Shapes* s, const real* x, const real* w, const real* b, real* y, Py_ssize_t groups, bint relu
) noexcept nogil:
    """Everything but the axes, for y = conv(x, w)."""
    cdef Py_ssize_t K = s.y[3]
    k.images = s.x[0]
    k.source.x, k.source.C, k.C = x, s.x[3], s.x[3] // groups
    k.weights.w, k.weights.S, k.weights.tap = w, s.w[1], k.C*K
    k.weights.row, k.weights.column, k.weights.group = K, 1, K // groups
    set_target(k, s.y, b, y, groups, relu)


cdef inline void set_gradient(
    Work* k, const Shapes* s, const real* dy, const real* w, const real* b, real* dx, Py_ssize_t groups, bint relu
) noexcept nogil:
    """Everything but the axes, for the dx of conv(x, w): the weights are read transposed, the taps backwards."""
    cdef Py_ssize_t K = s.y[3]
    k.images = s.y[0]
    k.source.x, k.source.C, k.C = dy, K, K // groups
    k.weights.w, k.weights.S, k.weights.tap = w, s.w[1], s.w[2]*K
    k.weights.row, k.weights.column, k.weights.group = 1, K, K // groups
    set_target(k, s.x, b, dx, groups, relu)


cdef inline void set_target(
    Work* k, const Py_ssize_t* shape, const real* b, real* y, Py_ssize_t groups, bint relu
) noexcept nogil:
    k.target.y, k.target.H, k.target.W = y, shape[1], shape[2]
    k.target.K, k.target.groups, k.target.relu, k.target.bias = shape[3] // groups, groups, relu, b


cdef inline Py_ssize_t pixel_block(const Source* s) noexcept nogil:
    """Pixels whose pointers (8 bytes a run) stay under 128 KiB and whose padded copies stay under 256 K numbers."""
    cdef Py_ssize_t block = 384, copied = s.segments*s.readable if copies_runs(s) else 0
    block = min(block, 16384 // max(s.segments, 1))
    if copied:
        block = min(block, 262144 // copied)
    return max(2*MR, block // (2*MR)*(2*MR))


cdef inline size_t work_bytes(const Work* k) noexcept nogil:
    cdef const Source* s = &k.source
    cdef Py_ssize_t runs = k.block*s.segments
    return (
        lines(runs + k.block, sizeof(void*)) + lines(KC*NR, sizeof(real)) + lines(NR, sizeof(real))
        + lines(s.readable, sizeof(real)) + lines(runs*s.readable if copies_runs(s) else 0, sizeof(real))
    )


cdef inline void pack_square(const real* w_jc, Py_ssize_t column, real* panel, Py_ssize_t width) noexcept nogil:
    """panel[c, j] = w_jc[j, c] for c, j < VL."""
    cdef vec rows[VL]
    cdef int i
    for i in range(VL):
        rows[i] = VLOAD(w_jc + i*column)
    transpose(rows)
    for i in range(VL):
        VSTORE(panel + i*width, rows[i])


cdef inline const real* weights_at(const Work* k, Py_ssize_t t, Py_ssize_t c, const Panel* p) noexcept nogil:
    """The weight of tap t, channel c and the first column of p."""
    cdef const Weights* w = &k.weights
    cdef Py_ssize_t taps = k.source.w.taps, r, s
    r = k.source.h.tap + t // taps*k.source.h.tap_step
    s = k.source.w.tap + t % taps*k.source.w.tap_step
    return w.w + p.group*w.group + (r*w.S + s)*w.tap + c*w.row + (p.first - p.group*k.target.K)*w.column


cdef inline void pack(
    const Work* k, Py_ssize_t t0, Py_ssize_t segments, Py_ssize_t c0, Py_ssize_t length, const Panel* p, real* panel,
) noexcept nogil:
    """panel[t, c, :] = the weights of taps t0.., channels c0.. and the columns of p, then zeros."""
    cdef const Weights* w = &k.weights
    cdef const real* w_t
    cdef const real* w_tc
    cdef Py_ssize_t t, c, j, width = p.nv*VL, columns = p.count
    if k.source.by_row:
        t0, segments, length = t0*k.source.w.taps, segments*k.source.w.taps, k.source.C
    for t in range(t0, t0 + segments):
        w_t = weights_at(k, t, c0, p)
        if w.column == 1:
            for c in range(length):
                w_tc = w_t + c*w.row
                for j in range(columns // VL):
                    VSTORE(panel + j*VL, VLOAD(w_tc + j*VL))
                if columns < width:
                    VSTORE(panel + columns // VL*VL, load_lanes(w_tc + columns // VL*VL, columns % VL))
                panel += width
        else:
            if columns < width:
                memset(panel, 0, length*width*sizeof(real))
            for j in range(columns // VL):
                for c in range(length // VL):
                    pack_square(w_t + j*VL*w.column + c*VL, w.column, panel + c*VL*width + j*VL, width)
            for j in range(columns):
                w_tc = w_t + j*w.column
                for c in range(length // VL*VL if j < columns // VL*VL else 0, length):
                    panel[c*width + j] = w_tc[c]
            panel += length*width


cdef inline bint packs_late(const Work* k) noexcept nogil:
    """Whether a panel's first tile packs it: forward, where the rows of all taps follow one another, unless a row is
    less than a line of the cache (the baseline build: by 1.3)."""
    return k.source.h.tap_step == 1 and NR*<Py_ssize_t>sizeof(real) >= LINE


cdef inline void find_block(
    const Work* k, Py_ssize_t first, Py_ssize_t pixels, Py_ssize_t pitch, const real** at, real** out, real* copies,
    real* zeros,
) noexcept nogil:
    """at[t*pitch + i] and out[i]: where run t of pixel i begins, and its outputs."""
    cdef const Source* s = &k.source
    cdef const Target* y = &k.target
    cdef Py_ssize_t i, t, row
    cdef real* y_q
    cdef Pixel pixel
    memset(zeros, 0, s.readable*sizeof(real))
    find_runs(s, first, pixels, pitch, 0, s.segments, at, copies, zeros)
    for t in range(s.segments):                     # the last tile may be short: its spare rows read the last pixel
        for i in range(pixels, min(pitch, pixels + 4*MR)):
            at[t*pitch + i] = at[t*pitch + pixels - 1]
    pixel = pixel_at(s, first)
    i = 0
    while i < pixels:
        row = min(pixels - i, s.w.count - pixel.p)
        y_q = y.y + ((pixel.n*y.H + s.h.out + pixel.q*s.h.out_step)*y.W + s.w.out)*y.K*y.groups
        for t in range(row):
            out[i + t] = y_q + (pixel.p + t)*s.w.out_step*y.K*y.groups
        i += row
        next_row(s, &pixel)
    for i in range(pixels, min(k.block, pixels + 2*MR)):        # and prefetch its outputs
        out[i] = out[pixels - 1]


cdef inline void correlate_task(const void* problem, Py_ssize_t index, char* scratch, Call* call) noexcept nogil:
    """Task `index`: block index // parts of the pixels, range index % parts of the panels of all groups."""
    cdef const Work* k = <const Work*>problem
    cdef const Source* s = &k.source
    cdef const Target* y = &k.target
    cdef Py_ssize_t first = index // k.parts*k.block, pixels = min(k.block, k.pixels - first)
    cdef Py_ssize_t part = index % k.parts, total = panels_of(y.K)*y.groups
    cdef Py_ssize_t panel0 = part*total // k.parts, panels = (part + 1)*total // k.parts - panel0
    cdef Py_ssize_t step, taps, cuts, chunks, i, j, t, c, segments, length, row, hop
    cdef bint cold, panels_first = y.K >= min(s.segments*s.length, s.h.step*s.w.step*k.C)
    cdef const real* loose
    cdef Finish f
    cdef Panel p
    cdef const real** at = <const real**>take(&scratch, k.block*s.segments + k.block, sizeof(void*))
    cdef real** out = <real**>(at + k.block*s.segments)
    cdef real* packed = <real*>take(&scratch, KC*NR, sizeof(real))
    cdef real* bias = <real*>take(&scratch, NR, sizeof(real))
    cdef real* zeros = <real*>take(&scratch, s.readable, sizeof(real))
    cdef real* copies = <real*>scratch

    find_block(k, first, pixels, k.block, at, out, copies, zeros)
    # A narrow panel has a longer chunk in the same cache; a chunk is some taps of a group, or some channels of one tap.
    step = KC*NV // panel_at(y.K, panels_of(y.K) - 1).nv
    taps = max(1, step // (s.length if s.by_row else k.C))
    cuts = 1 if s.by_row else (k.C + step - 1) // step
    chunks = (s.segments + taps - 1) // taps*cuts
    f.lo, f.relu, f.far = 0, y.relu, True
    for i in range(panels*chunks):
        p = panel_at(y.K, panel0 + (i // chunks if panels_first else i % panels))
        j = i % chunks if panels_first else i // panels
        t, c = j // cuts*taps, j % cuts*step
        segments = min(taps, s.segments - t)
        length = s.length if s.by_row else min(step, k.C - c)
        if stopped(call, pixels*p.count*length*segments):
            return
        cold = s.segments == 1 and (i < chunks if panels_first else i % panels == 0)
        loose, hop = NULL, tile_rows(p.nv)*s.w.step*s.C if cold else 0
        if not cold and packs_late(k) and p.count == p.nv*VL:
            loose, hop = weights_at(k, t*s.w.taps if s.by_row else t, c, &p), k.weights.row
        else:
            pack(k, t, segments, c, length, &p, packed)
        f.first, f.last = j == 0, j == chunks - 1
        f.column, f.lanes = p.first, <int>(p.count - (p.nv - 1)*VL)
        f.bias = NULL
        if f.last and y.bias != NULL:
            for row in range(p.nv):
                VSTORE(bias + row*VL, load_lanes(y.bias + p.first + row*VL, <int>min(VL, p.count - row*VL)))
            f.bias = bias
        multiply_across(
            False, p.nv, at + t*k.block, k.block, pixels, p.group*k.C + c, segments, length, packed, loose, hop, &f,
            out,
        )
