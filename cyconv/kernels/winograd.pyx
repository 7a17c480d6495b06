"""Winograd convolution F(4x4, 3x3): 36 multiplications where direct convolution takes 144.

    V[e] = B d B^T of every 6 x 6 source tile        U[e] = G g G^T of every filter         e = 0 .. 35
    M[e] = V[e] U[e]                                 y    = A M A^T

(tiles x C) times (C x K) for each e, on the register tile of direct convolution.  Loop order in a task (a block of
tiles x a range of panels): transform the block's source tiles; then, panel by panel and chunk by chunk of the channels,
transform the filters of that chunk into L2, multiply, and at the end of a panel transform its outputs back.  The
filters are transformed once per block, never as a whole: there is no transformed filter to store (four times the
weights) or to read from memory.

The input gradient is the same with the taps backwards; the weight gradient is in winograd_weights.pxd.

Tiles are independent and the chunks of the sums fixed: the same bits for any number of threads and any split of the
batch.  A NaN or an infinity in the source reaches at least the outputs it reaches in direct convolution, and may reach
the other outputs of its tile.
"""

from cython.parallel cimport prange, threadid
from libc.stdlib cimport free

from cyconv.kernels.correlate cimport Work, pack, set_forward, set_gradient
from cyconv.kernels.scratch cimport align, allocate, lines, take
from cyconv.kernels.simd cimport (
    KC, MR, NR, VGREATER, VL, VLOAD, VSELECT, VSTORE, VZERO, describe_build, load_upto, real, store_upto, vec,
)
from cyconv.kernels.tile cimport Finish, multiply_across, panel_start, panels_of
from cyconv.kernels.transform cimport transform_filter3, transform_output4
from cyconv.kernels.windows cimport forward_axis, gradient_axis
from cyconv.kernels.winograd_tiles cimport apart, padded, source_tile
from cyconv.kernels.winograd_weights cimport (
    GRADIENT_TILES, MOST_SPLITS, RANGE, Gradient, gradient_bytes, gradient_task, together,
)

cdef enum:
    CHUNK = KC // 2     # channels of a chunk: its 36 transformed filters are 576 KiB with AVX-512, less elsewhere
    MOST_TILES = 120
    LARGEST = 6 << 20   # bytes of transformed source in a block; all of a thread's scratch stays under 8 MiB


def describe():
    """What this module was compiled for."""
    return describe_build()


cdef struct Tiling:
    Py_ssize_t across   # tiles in a row of an image
    Py_ssize_t down
    Py_ssize_t tiles    # of the batch
    Py_ssize_t block
    Py_ssize_t parts    # ranges of panels
    Py_ssize_t pitch    # numbers of a transformed tile: the channels, rounded up to vectors and to a tile's rows


cdef void transform_filters(
    const real** taps, Py_ssize_t pitch, Py_ssize_t channels, Py_ssize_t columns, int nv, real* u, Py_ssize_t step
) noexcept nogil:
    """u[e*step + (c*nv + q)*VL ...] = G g G^T of the filters whose weights are at taps[i][c*pitch + q*VL ...]."""
    cdef vec g[9]
    cdef vec t[18]
    cdef vec v[36]
    cdef Py_ssize_t c
    cdef int i, q
    for c in range(channels):
        for q in range(nv):
            for i in range(9):
                g[i] = load_upto(taps[i] + c*pitch + q*VL, columns - q*VL)
            for i in range(3):
                transform_filter3(g + i, t + i, 3)
            for i in range(6):
                transform_filter3(t + i*3, v + i*6, 1)
            for i in range(36):
                VSTORE(u + i*step + (c*nv + q)*VL, v[i])


cdef inline void filter_chunk(
    const Work* k, Py_ssize_t c, Py_ssize_t length, Py_ssize_t column, Py_ssize_t columns, int nv, real* packed,
    real* u, Py_ssize_t step,
) noexcept nogil:
    """Transformed filters of channels c .. c + length - 1 and a panel; transposed weights are first packed in order."""
    cdef const real* taps[9]
    cdef int i
    if k.weights.column == 1:
        for i in range(9):
            taps[i] = k.weights.w + c*k.weights.row + column + k.weights.tap*(
                (k.source.h.tap + i // 3*k.source.h.tap_step)*3 + k.source.w.tap + i % 3*k.source.w.tap_step
            )
        transform_filters(taps, k.weights.row, length, columns, nv, u, step)
    else:
        pack(k, 0, 0, 9, c, length, column, columns, nv, packed)
        for i in range(9):
            taps[i] = packed + i*length*nv*VL
        transform_filters(taps, nv*VL, length, nv*VL, nv, u, step)


cdef void output_tile(
    const real* m, Py_ssize_t step, int nv, const Work* k, Py_ssize_t n, Py_ssize_t h, Py_ssize_t v, Py_ssize_t column,
    Py_ssize_t columns,
) noexcept nogil:
    """Up to 4 x 4 outputs from (h, v) on, `columns` channels from `column` on."""
    cdef vec d[36]
    cdef vec t[24]
    cdef vec y[16]
    cdef Py_ssize_t H = k.target.H, W = k.target.W, K = k.target.K, lanes
    cdef real* y_h = k.target.y + ((n*H + h)*W + v)*K + column
    cdef int i, j, q, rows = <int>min(4, H - h), count = <int>min(4, W - v)
    for q in range(nv):
        lanes = columns - q*VL
        for i in range(36):
            d[i] = VLOAD(m + i*step + q*VL)
        for j in range(6):
            transform_output4(d + j, t + j, 6)
        for i in range(4):
            transform_output4(t + i*6, y + i*4, 1)
        for i in range(16):
            if k.target.bias != NULL:
                y[i] = y[i] + load_upto(k.target.bias + column + q*VL, lanes)
            if k.target.relu:
                y[i] = VSELECT(VGREATER(VZERO, y[i]), VZERO, y[i])
        for i in range(rows):
            for j in range(count):
                store_upto(y_h + (i*W + j)*K + q*VL, y[i*4 + j], lanes)


cdef inline size_t forward_bytes(const Tiling* g) noexcept nogil:
    return (
        lines(36*apart(g.block*g.pitch), sizeof(real)) + lines(36*apart(g.block*NR), sizeof(real))
        + lines(36*apart(CHUNK*NR), sizeof(real)) + lines(9*CHUNK*NR, sizeof(real))
        + 2*lines(g.block + 2*MR, sizeof(void*))
    )


cdef void forward_task(const Work* k, const Tiling* g, Py_ssize_t index, char* scratch) noexcept nogil:
    """Block index // parts of the tiles, range index % parts of the panels."""
    cdef Py_ssize_t first = index // g.parts*g.block, tiles = min(g.block, g.tiles - first)
    cdef Py_ssize_t H = k.source.h.size, W = k.source.w.size, C = k.C, K = k.target.K, panels = panels_of(K)
    cdef Py_ssize_t i, e, c, n, length, panel, vector, columns, row
    cdef Py_ssize_t step_v = apart(g.block*g.pitch), step_m = apart(g.block*NR), step_u = apart(CHUNK*NR)
    cdef real* v = <real*>take(&scratch, 36*step_v, sizeof(real))
    cdef real* m = <real*>take(&scratch, 36*step_m, sizeof(real))
    cdef real* u = <real*>take(&scratch, 36*step_u, sizeof(real))
    cdef real* packed = <real*>take(&scratch, 9*CHUNK*NR, sizeof(real))
    cdef const real** at = <const real**>take(&scratch, g.block + 2*MR, sizeof(void*))
    cdef real** out = <real**>take(&scratch, g.block + 2*MR, sizeof(void*))
    cdef Finish f
    cdef int nv
    f.lo, f.last, f.relu, f.lanes, f.bias = 0, False, False, VL, NULL
    for i in range(tiles + 2*MR):                       # the spare rows of the last short product read its last tile
        at[i] = v + min(i, tiles - 1)*g.pitch
        out[i] = m + min(i, tiles - 1)*NR
    for i in range(tiles):
        n = (first + i) // (g.across*g.down)
        row = (first + i) // g.across % g.down
        source_tile(
            k.source.x + n*H*W*C, H, W, C, 0, C, 4*row + k.source.h.base, (first + i) % g.across*4 + k.source.w.base,
            v + i*g.pitch, step_v, g.pitch,
        )
    for panel in range(index % g.parts*panels // g.parts, (index % g.parts + 1)*panels // g.parts):
        vector = panel_start(K, panels, panel)
        nv = <int>(panel_start(K, panels, panel + 1) - vector)
        columns = min(nv*VL, K - vector*VL)
        c = 0
        while c < C:
            length = min(CHUNK, C - c)
            filter_chunk(k, c, length, vector*VL, columns, nv, packed, u, step_u)
            f.first = c == 0
            for e in range(36):
                f.column = e*step_m
                multiply_across(nv, at, 0, tiles, e*step_v + c, 1, length, u + e*step_u, &f, out)
            c += length
        for i in range(tiles):
            output_tile(
                m + i*NR, step_m, nv, k, (first + i) // (g.across*g.down), (first + i) // g.across % g.down*4,
                (first + i) % g.across*4, vector*VL, columns,
            )


cdef int run(Work* k, int threads) except -1:
    cdef Tiling g
    cdef Py_ssize_t index, tasks, blocks
    cdef size_t size
    cdef char* scratch
    cdef void* block
    k.source.by_row = False
    g.across, g.down = (k.target.W + 3) // 4, (k.target.H + 3) // 4
    g.tiles = k.images*g.across*g.down
    g.pitch = padded(k.C)
    g.parts = 1
    g.block = max(2*MR, min(MOST_TILES, LARGEST // (36*g.pitch*<Py_ssize_t>sizeof(real))))
    blocks = (g.tiles + g.block - 1) // g.block
    if threads > 1:
        if blocks < 2*threads and panels_of(k.target.K) >= 2*threads:
            g.parts = min(panels_of(k.target.K), (2*threads + blocks - 1) // blocks)
        else:
            blocks = (blocks + threads - 1) // threads*threads
    g.block = (g.tiles + blocks - 1) // blocks
    tasks = (g.tiles + g.block - 1) // g.block*g.parts
    threads = <int>min(threads, tasks)
    size = lines(forward_bytes(&g), 1)
    block = allocate(size*threads)
    scratch = align(block)
    # One call, for one thread too: of two the compiler may contract a*b + c*d one way in this and the other in that.
    for index in prange(tasks, nogil=True, num_threads=threads, schedule="dynamic", chunksize=1):
        forward_task(k, &g, index, scratch + threadid()*size)
    free(block)
    return 0


def forward(
    const real[:, :, :, ::1] x not None, const real[:, :, :, ::1] w not None, const real[::1] b,
    real[:, :, :, ::1] y not None, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t pad_h, Py_ssize_t pad_w,
    Py_ssize_t dilation_h, Py_ssize_t dilation_w, Py_ssize_t groups, bint relu, int threads,
):
    """As conv.forward, for w (3, 3, C, K), stride 1, dilation 1, one group."""
    cdef Work k
    set_forward(&k, x, w, b, y, 1, relu)
    k.source.h = forward_axis(x.shape[1], y.shape[1], 3, 1, pad_h, 1)
    k.source.w = forward_axis(x.shape[2], y.shape[2], 3, 1, pad_w, 1)
    run(&k, threads)


def input_grad(
    const real[:, :, :, ::1] dy not None, const real[:, :, :, ::1] w not None, const real[::1] b,
    real[:, :, :, ::1] dx not None, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t pad_h, Py_ssize_t pad_w,
    Py_ssize_t dilation_h, Py_ssize_t dilation_w, Py_ssize_t groups, bint relu, int threads,
):
    """As conv.input_grad, for w (3, 3, C, K), stride 1, dilation 1, one group."""
    cdef Work k
    set_gradient(&k, dy, w, b, dx, 1, relu)
    k.source.h = gradient_axis(dy.shape[1], dx.shape[1], 3, 1, pad_h, 1, 0)
    k.source.w = gradient_axis(dy.shape[2], dx.shape[2], 3, 1, pad_w, 1, 0)
    run(&k, threads)


def weight_grad(
    const real[:, :, :, ::1] dy not None, const real[:, :, :, ::1] x not None, real[:, :, :, ::1] dw not None,
    double[::1] db, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t pad_h, Py_ssize_t pad_w,
    Py_ssize_t dilation_h, Py_ssize_t dilation_w, Py_ssize_t groups, int threads,
):
    """As conv.weight_grad, for dw (3, 3, C, K), stride 1, dilation 1, one group."""
    cdef Gradient k
    cdef Py_ssize_t index, tasks, numbers, split, i
    cdef size_t size, shared, biases
    cdef char* scratch
    cdef void* block
    cdef double total
    k.x, k.dy, k.dw, k.db = &x[0, 0, 0, 0], &dy[0, 0, 0, 0], &dw[0, 0, 0, 0], NULL
    if db is not None:
        k.db = &db[0]
    k.N, k.H, k.W, k.C = x.shape[0], x.shape[1], x.shape[2], x.shape[3]
    k.OH, k.OW, k.K = dy.shape[1], dy.shape[2], dy.shape[3]
    k.pad_h, k.pad_w, k.across, k.down = pad_h, pad_w, (k.OW + 3) // 4, (k.OH + 3) // 4
    k.tiles = k.N*k.across*k.down
    k.ranges = (k.C + RANGE - 1) // RANGE
    k.pitch = padded((k.C + k.ranges - 1) // k.ranges)
    k.groups = (panels_of(k.K) + together() - 1) // together()
    tasks = k.ranges*k.groups
    # Too few ranges and panels for many threads: cut the tiles as well, in numbers that the shapes alone decide.
    k.splits = 1
    if tasks < MOST_SPLITS:
        k.splits = max(1, min(MOST_SPLITS // tasks, k.tiles // (2*GRADIENT_TILES)))
    tasks = tasks*k.splits
    threads = <int>min(threads, tasks)
    numbers = 9*k.C*k.K
    size = lines(gradient_bytes(&k), 1)
    biases = lines(k.splits*k.K, sizeof(double))
    shared = biases + lines(numbers*k.splits if k.splits > 1 else 0, sizeof(real))
    block = allocate(shared + size*threads)
    k.partial_db = <double*>align(block)
    k.partial = <real*>(align(block) + biases)
    scratch = align(block) + shared
    for index in prange(tasks, nogil=True, num_threads=threads, schedule="dynamic", chunksize=1):   # one call: see run
        gradient_task(&k, index, scratch + threadid()*size)
    with nogil:
        if k.splits > 1:
            for i in range(numbers):
                k.dw[i] = k.partial[i]
            for split in range(1, k.splits):
                for i in range(numbers):
                    k.dw[i] = k.dw[i] + k.partial[split*numbers + i]
        if k.db != NULL:
            for i in range(k.K):
                total = 0
                for split in range(k.splits):
                    total = total + k.partial_db[split*k.K + i]
                k.db[i] = total
    free(block)
