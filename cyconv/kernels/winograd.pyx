"""Winograd convolution F(4x4, 3x3): 36 multiplications where direct convolution takes 144.

    V[e] = B d B^T of every 6 x 6 source tile        U[e] = G g G^T of every filter         e = 0 .. 35
    M[e] = V[e] U[e]                                 y    = A M A^T

(tiles x C) times (C x K) for each e, on the register tile of direct convolution.  Loop order in a task (a block of
tiles x a range of panels): transform the block's source tiles; then, panel by panel and chunk by chunk of the channels,
transform the filters of that chunk into L2, multiply, and at the end of a panel transform its outputs back.  The
filters are transformed once per block, never as a whole: there is no transformed filter to store (four times the
weights) or to read from memory.

The input gradient is the same with the taps backwards.  The weight gradient is F(3x3, 4x4): the 4 x 4 tiles of dy are
the filters, and the sum over tiles is one product per e, kept in L2 for a range of channels and a few panels at a time.

Tiles are independent and the chunks of the sums fixed: the same bits for any number of threads and any split of the
batch.  A NaN or an infinity in the source reaches at least the outputs it reaches in direct convolution, and may reach
the other outputs of its tile.
"""

from cython.parallel cimport prange, threadid
from libc.stdlib cimport free
from libc.string cimport memset

from cyconv.kernels.correlate cimport Work, pack, set_forward, set_gradient
from cyconv.kernels.outer cimport outer_rows
from cyconv.kernels.scratch cimport LINE, align, allocate, lines, take
from cyconv.kernels.simd cimport (
    KC, MR, NR, NV, VGREATER, VL, VLOAD, VSELECT, VSTORE, VZERO, describe_build, load_upto, real, store_upto, vec,
)
from cyconv.kernels.tile cimport ACROSS, Finish, panel_start, panels_of, tile, tile_rows
from cyconv.kernels.transform cimport (
    transform_filter3, transform_filter4, transform_output3, transform_output4, transform_source,
)
from cyconv.kernels.windows cimport forward_axis, gradient_axis

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


cdef inline Py_ssize_t apart(Py_ssize_t numbers) noexcept nogil:
    """Distance of the 36 parts of a transform: a multiple of 4 KiB would put all of them in one set of L1."""
    return numbers + LINE // <Py_ssize_t>sizeof(real)


cdef inline Py_ssize_t padded(Py_ssize_t channels) noexcept nogil:
    return (max(2*MR, channels) + VL - 1) // VL*VL


cdef void source_tile(
    const real* x_n, Py_ssize_t H, Py_ssize_t W, Py_ssize_t C, Py_ssize_t c0, Py_ssize_t c1, Py_ssize_t h, Py_ssize_t v,
    real* out, Py_ssize_t step, Py_ssize_t pitch,
) noexcept nogil:
    """out[e*step + c] = B d B^T of the 6 x 6 pixels from (h, v) on, channels c0 .. c1 - 1; zeros beyond the image."""
    cdef vec d[36]
    cdef vec t[36]
    cdef const real* x_h
    cdef Py_ssize_t c = c0, i, j, lanes
    cdef bint inside = 0 <= h and h + 6 <= H and 0 <= v and v + 6 <= W
    while c < c0 + pitch:
        lanes = max(0, c1 - c)
        for i in range(6):
            x_h = x_n + ((h + i)*W + v)*C + c
            for j in range(6):
                if inside or (0 <= h + i < H and 0 <= v + j < W):
                    d[i*6 + j] = load_upto(x_h + j*C, lanes)
                else:
                    d[i*6 + j] = VZERO
        for j in range(6):
            transform_source(d + j, t + j, 6)
        for i in range(6):
            transform_source(t + i*6, d + i*6, 1)
        for i in range(36):
            VSTORE(out + i*step + c - c0, d[i])
        c += VL


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


cdef void multiply(
    int nv, const real** at, Py_ssize_t tiles, Py_ssize_t start, Py_ssize_t length, const real* panel, Finish* f,
    real** out,
) noexcept nogil:
    cdef Py_ssize_t i = 0
    while i < tiles:
        f.out = out + i
        f.hi = <int>min(tiles - i, tile_rows(nv))
        if nv == 1:
            tile(ACROSS, tile_rows(1), 1, at + i, 0, start, 1, length, panel, f)
        elif nv == 2:
            tile(ACROSS, tile_rows(2), 2, at + i, 0, start, 1, length, panel, f)
        elif NV > 2 and nv == 3:
            tile(ACROSS, tile_rows(3), NV - 1, at + i, 0, start, 1, length, panel, f)
        elif NV > 2:
            tile(ACROSS, tile_rows(4), NV, at + i, 0, start, 1, length, panel, f)
        i += tile_rows(nv)


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
                multiply(nv, at, tiles, e*step_v + c, length, u + e*step_u, &f, out)
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
    if threads == 1:
        with nogil:
            for index in range(tasks):
                forward_task(k, &g, index, scratch)
    else:
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


cdef enum:
    RANGE = 64          # channels of x that a task of the weight gradient takes
    GRADIENT_TILES = 64
    MOST_SPLITS = 8

cdef struct Gradient:
    const real* x
    const real* dy
    real* dw
    real* partial       # [split][9*C*K], where there are several
    double* db          # (K,), or NULL
    double* partial_db  # [split][K]
    Py_ssize_t N
    Py_ssize_t H
    Py_ssize_t W
    Py_ssize_t C
    Py_ssize_t OH
    Py_ssize_t OW
    Py_ssize_t K
    Py_ssize_t pad_h
    Py_ssize_t pad_w
    Py_ssize_t across
    Py_ssize_t down
    Py_ssize_t tiles
    Py_ssize_t ranges   # of C
    Py_ssize_t groups   # of panels
    Py_ssize_t splits
    Py_ssize_t pitch


cdef void gradient_tile(
    const Gradient* k, Py_ssize_t index, int nv, Py_ssize_t column, Py_ssize_t columns, real* out, Py_ssize_t step,
    vec* sums,
) noexcept nogil:
    """out[e*step + j] = G dy G^T of the 4 x 4 outputs of a tile, zeros beyond the image; sums[j] += these outputs."""
    cdef vec g[16]
    cdef vec t[24]
    cdef vec u[36]
    cdef vec total
    cdef Py_ssize_t n = index // (k.across*k.down), h = index // k.across % k.down*4, v = index % k.across*4, i, j
    cdef const real* dy_h = k.dy + ((n*k.OH + h)*k.OW + v)*k.K + column
    cdef int q
    for q in range(nv):
        total = VZERO
        for i in range(4):
            for j in range(4):
                if h + i < k.OH and v + j < k.OW:
                    g[i*4 + j] = load_upto(dy_h + (i*k.OW + j)*k.K + q*VL, columns - q*VL)
                    total = total + g[i*4 + j]
                else:
                    g[i*4 + j] = VZERO
        sums[q] = sums[q] + total
        for j in range(4):
            transform_filter4(g + j, t + j, 4)
        for i in range(6):
            transform_filter4(t + i*4, u + i*6, 1)
        for i in range(36):
            VSTORE(out + i*step + q*VL, u[i])


cdef void filter_gradient(
    const Gradient* k, const real* m, Py_ssize_t step, int nv, Py_ssize_t c, Py_ssize_t column, Py_ssize_t columns,
    real* dw,
) noexcept nogil:
    """The nine weights of channel c from their 36 products, `columns` outputs from `column` on."""
    cdef vec d[36]
    cdef vec t[18]
    cdef vec y[9]
    cdef int i, j, q
    for q in range(nv):
        for i in range(36):
            d[i] = VLOAD(m + i*step + q*VL)
        for j in range(6):
            transform_output3(d + j, t + j, 6)
        for i in range(3):
            transform_output3(t + i*6, y + i*3, 1)
        for i in range(9):
            store_upto(dw + (i*k.C + c)*k.K + column + q*VL, y[i], columns - q*VL)


cdef inline Py_ssize_t together() noexcept nogil:
    """Panels of a task: RANGE columns, so that source and outputs are transformed equally often."""
    return max(1, RANGE // NR)


cdef inline size_t gradient_bytes(const Gradient* k) noexcept nogil:
    return (
        lines(36*apart(GRADIENT_TILES*k.pitch), sizeof(real)) + lines(GRADIENT_TILES, sizeof(void*))
        + lines(36*together()*apart(GRADIENT_TILES*NR), sizeof(real))
        + lines(36*together()*apart(k.pitch*NR), sizeof(real))
    )


cdef void gradient_task(const Gradient* k, Py_ssize_t index, char* scratch) noexcept nogil:
    """One split of the tiles, one range of C, one group of panels of K."""
    cdef Py_ssize_t panels = panels_of(k.K), group = index % k.groups, part = index // k.groups % k.ranges
    cdef Py_ssize_t split = index // (k.groups*k.ranges)
    cdef Py_ssize_t c0 = part*k.C // k.ranges, c1 = (part + 1)*k.C // k.ranges
    cdef Py_ssize_t panel0 = group*panels // k.groups, panel1 = (group + 1)*panels // k.groups
    cdef Py_ssize_t panel, column, columns, first, tiles, i, e, n, h, v, last = (split + 1)*k.tiles // k.splits
    cdef Py_ssize_t step_v = apart(GRADIENT_TILES*k.pitch), step_u = apart(GRADIENT_TILES*NR)
    cdef Py_ssize_t step_m = apart(k.pitch*NR)
    cdef real* xs = <real*>take(&scratch, 36*step_v, sizeof(real))
    cdef const real** at = <const real**>take(&scratch, GRADIENT_TILES, sizeof(void*))
    cdef real* dys = <real*>take(&scratch, 36*together()*step_u, sizeof(real))
    cdef real* m = <real*>take(&scratch, 36*together()*step_m, sizeof(real))
    cdef real* dy_p
    cdef real* m_p
    cdef vec sums[NV]
    cdef Finish f
    cdef int nv
    f.column, f.last, f.relu, f.lanes, f.bias, f.first = 0, False, False, VL, NULL, True
    if part == 0:
        column = panel_start(k.K, panels, panel0)*VL
        columns = min(k.K, panel_start(k.K, panels, panel1)*VL) - column
        memset(k.partial_db + split*k.K + column, 0, columns*sizeof(double))
    first = split*k.tiles // k.splits
    while first < last:
        tiles = min(GRADIENT_TILES, last - first)
        for i in range(tiles):
            n = (first + i) // (k.across*k.down)
            h = (first + i) // k.across % k.down*4
            v = (first + i) % k.across*4
            source_tile(
                k.x + n*k.H*k.W*k.C, k.H, k.W, k.C, c0, c1, h - k.pad_h, v - k.pad_w, xs + i*k.pitch, step_v, k.pitch
            )
        for panel in range(panel0, panel1):
            nv = <int>(panel_start(k.K, panels, panel + 1) - panel_start(k.K, panels, panel))
            column = panel_start(k.K, panels, panel)*VL
            columns = min(nv*VL, k.K - column)
            dy_p = dys + (panel - panel0)*36*step_u
            m_p = m + (panel - panel0)*36*step_m
            for i in range(nv):
                sums[i] = VZERO
            for i in range(tiles):
                gradient_tile(k, first + i, nv, column, columns, dy_p + i*nv*VL, step_u, sums)
            if part == 0:
                for i in range(columns):
                    k.partial_db[split*k.K + column + i] += (<real*>sums)[i]
            for e in range(36):
                for i in range(tiles):
                    at[i] = xs + e*step_v + i*k.pitch
                outer_rows(at, 0, c1 - c0, k.pitch, tiles, nv, dy_p + e*step_u, m_p + e*step_m, NR, &f)
        f.first = False
        first += tiles
    for panel in range(panel0, panel1):
        nv = <int>(panel_start(k.K, panels, panel + 1) - panel_start(k.K, panels, panel))
        column = panel_start(k.K, panels, panel)*VL
        for i in range(c1 - c0):
            filter_gradient(
                k, m + (panel - panel0)*36*step_m + i*NR, step_m, nv, c0 + i, column, min(nv*VL, k.K - column),
                k.dw if k.splits == 1 else k.partial + split*9*k.C*k.K,
            )


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
    if threads == 1:
        with nogil:
            for index in range(tasks):
                gradient_task(&k, index, scratch)
    else:
        for index in prange(tasks, nogil=True, num_threads=threads, schedule="dynamic", chunksize=1):
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
