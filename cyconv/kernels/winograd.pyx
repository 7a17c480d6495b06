"""Winograd convolution F(M x M, R x R), M + R = 7: 36 multiplications where direct convolution takes M*M*R*R, which is
144 for filters of 3 x 3 and 4 x 4, 100 for 5 x 5.

    V[e] = B d B^T of every 6 x 6 source tile        U[e] = G g G^T of every filter         e = 0 .. 35
    P[e] = V[e] U[e]                                 y    = A P A^T

(tiles x C) times (C x K) for each e, on the register tile of direct convolution.  Loop order in a task (a block of
tiles x a range of panels): transform the block's source tiles; then, panel by panel and chunk by chunk of the channels,
transform the filters of that chunk into L2, multiply, and at the end of a panel transform its outputs back (four tiles
have an order of their own: winograd_few.pxd).  Large
filters are transformed once per block, never as a whole: 36 numbers each, they would be read from memory, which takes
longer (N=4, 14x14x256: 0.7 of the speed).  Small ones are transformed once, before the blocks, which can then be
so small that their tiles and products stay in L2 (N=4, 56x56x64: 1.2 times the speed).

The input gradient is the same with the taps backwards; the weight gradient is in winograd_weights.pxd.

Tiles are independent and the chunks of the sums fixed: the same bits for any number of threads and any split of the
batch.  A NaN or an infinity in the source reaches at least the outputs it reaches in direct convolution, and may reach
the other outputs of its tile.
"""

from libc.stdlib cimport free

from cyconv.kernels.bypass cimport bypasses
from cyconv.kernels.correlate cimport Work, set_forward, set_gradient
from cyconv.kernels.fetch cimport FAR, LINE
from cyconv.kernels.outer cimport add_splits
from cyconv.kernels.scratch cimport align, allocate, lines, take
from cyconv.kernels.shapes cimport Shapes, check_bias, check_winograd, shapes_of
from cyconv.kernels.shares cimport Cut, cut_up
from cyconv.kernels.simd cimport DRAIN, MR, NR, VL, describe_build, real
from cyconv.kernels.tasks cimport Call, run_tasks, stopped
from cyconv.kernels.tile cimport Finish, multiply_across, panel_start, panels_of
from cyconv.kernels.windows cimport forward_axis, gradient_axis
from cyconv.kernels.winograd_few cimport IN_REGISTERS, Few, Outputs, few_bytes, few_part, suits_few
from cyconv.kernels.winograd_few_weights cimport MOST_FEW, few_weights
from cyconv.kernels.winograd_filters cimport CHUNK, expect_filters, filter_chunk, filter_numbers, may_be_kept
from cyconv.kernels.winograd_grid cimport (
    CLASSES, Grid, Place, end_of_need, first_in_need, grid_of, place_of, put_in_order,
)
from cyconv.kernels.winograd_outputs cimport output_tile
from cyconv.kernels.winograd_tiles cimport apart, expect_tiles, padded, source_tile
from cyconv.kernels.winograd_weights cimport (
    Gradient, gradient_bytes, gradient_task, set_gradient_tasks,
)

cdef enum:
    MOST_TILES = 120
    FEW_TILES = 48      # tiles of a block if the filters are kept
    LARGEST = 6 << 20   # bytes of transformed source in a block; all of a thread's scratch stays under 8 MiB


def describe():
    """What this module was compiled for."""
    return describe_build()


ctypedef void (*Transform)(const Tiling*, Py_ssize_t, Py_ssize_t, real*) noexcept nogil

cdef struct Tiling:
    const Work* work
    Grid grid
    int R               # taps of a filter, each way
    # Of filters and of outputs, for this size.  Called, not inlined: for the same bits whether filters are kept or not,
    # and so that each is a function small enough for the compiler: in one of three sizes 3x3 with 16 channels takes
    # 1.1 times as long.
    Transform transform
    Outputs finish
    Py_ssize_t tiles    # of the batch
    Py_ssize_t block
    Py_ssize_t parts    # ranges of panels
    Py_ssize_t chunks   # of the channels
    Py_ssize_t pitch    # numbers of a chunk of a transformed tile
    bint far                # the outputs do not fit the caches,
    bint past               # they are written past them,
    bint far_source         # or the source does not fit them
    bint kept               # the filters are transformed before the blocks,
    bint few                # or not at all (winograd_few)
    size_t scratch          # bytes of a task
    real* filters           # if kept, all of them: [panel][chunk][36][c][columns of the panel]


cdef inline void finish_tile(
    int M, const Tiling* g, const real* m, Py_ssize_t tile, int nv, Py_ssize_t column
) noexcept nogil:
    cdef Place place = place_of(&g.grid, tile)
    output_tile(M, &place, &g.work.target, g.far, g.past, m, apart(g.block*NR), nv, column)


cdef void outputs_of_3(const void* g, const real* m, Py_ssize_t tile, int nv, Py_ssize_t column) noexcept nogil:
    finish_tile(4, <const Tiling*>g, m, tile, nv, column)


cdef void outputs_of_4(const void* g, const real* m, Py_ssize_t tile, int nv, Py_ssize_t column) noexcept nogil:
    finish_tile(3, <const Tiling*>g, m, tile, nv, column)


cdef void outputs_of_5(const void* g, const real* m, Py_ssize_t tile, int nv, Py_ssize_t column) noexcept nogil:
    finish_tile(2, <const Tiling*>g, m, tile, nv, column)


cdef inline size_t forward_bytes(const Tiling* g) noexcept nogil:
    return (
        lines(g.chunks*36*apart(g.block*g.pitch), sizeof(real)) + lines(36*apart(g.block*NR), sizeof(real))
        + lines(36*apart(CHUNK*NR), sizeof(real))
        + 2*lines(g.block + 2*MR, sizeof(void*)) + lines(g.block, sizeof(Py_ssize_t))
    )


cdef inline void panel_filters(int R, const Tiling* g, Py_ssize_t panel, Py_ssize_t chunk, real* u) noexcept nogil:
    """Transform those of a panel and a chunk."""
    cdef Py_ssize_t K = g.work.target.K, panels = panels_of(K), vector = panel_start(K, panels, panel), c = chunk*CHUNK
    cdef Py_ssize_t nv = panel_start(K, panels, panel + 1) - vector
    filter_chunk(
        R, g.work, c, min(CHUNK, g.work.C - c), vector*VL, min(nv*VL, K - vector*VL), <int>nv, u, apart(CHUNK*NR)
    )


cdef void filters_of_3(const Tiling* g, Py_ssize_t panel, Py_ssize_t chunk, real* u) noexcept nogil:
    panel_filters(3, g, panel, chunk, u)


cdef void filters_of_4(const Tiling* g, Py_ssize_t panel, Py_ssize_t chunk, real* u) noexcept nogil:
    panel_filters(4, g, panel, chunk, u)


cdef void filters_of_5(const Tiling* g, Py_ssize_t panel, Py_ssize_t chunk, real* u) noexcept nogil:
    panel_filters(5, g, panel, chunk, u)


cdef inline void set_size(Tiling* g, int R) noexcept nogil:
    g.R = R
    g.transform = filters_of_3 if R == 3 else filters_of_4 if R == 4 else filters_of_5
    g.finish = outputs_of_3 if R == 3 else outputs_of_4 if R == 4 else outputs_of_5


cdef void filter_task(const void* problem, Py_ssize_t index, char* scratch, Call* call) noexcept nogil:
    """Keep the filters of panel index // chunks, chunk index % chunks."""
    cdef const Tiling* g = <const Tiling*>problem
    g.transform(g, index // g.chunks, index % g.chunks, g.filters + index*36*apart(CHUNK*NR))


cdef void forward_task(const void* problem, Py_ssize_t index, char* scratch, Call* call) noexcept nogil:
    """Block index // parts of the tiles, range index % parts of the panels."""
    cdef const Tiling* g = <const Tiling*>problem
    cdef const Work* k = g.work
    cdef Py_ssize_t first = index // g.parts*g.block, tiles = min(g.block, g.tiles - first)
    cdef Py_ssize_t H = k.source.h.size, W = k.source.w.size, C = k.C, K = k.target.K, panels = panels_of(K)
    cdef Py_ssize_t i, e, c, length, panel, vector, columns, low, next = first + tiles
    cdef Py_ssize_t last_panel = (index % g.parts + 1)*panels // g.parts
    cdef Py_ssize_t step_v = apart(g.block*g.pitch), step_m = apart(g.block*NR), step_u = apart(CHUNK*NR)
    cdef real* v = <real*>take(&scratch, g.chunks*36*step_v, sizeof(real))
    cdef real* m = <real*>take(&scratch, 36*step_m, sizeof(real))
    cdef real* transformed = <real*>take(&scratch, 36*step_u, sizeof(real))
    cdef const real* u = transformed
    cdef const real** at = <const real**>take(&scratch, g.block + 2*MR, sizeof(void*))
    cdef real** out = <real**>take(&scratch, g.block + 2*MR, sizeof(void*))
    cdef Py_ssize_t* slot = <Py_ssize_t*>take(&scratch, g.block, sizeof(Py_ssize_t))
    cdef Py_ssize_t start[CLASSES + 1]
    cdef Place tile
    cdef Finish f
    cdef int nv
    f.lo, f.last, f.far, f.relu, f.lanes, f.bias = 0, False, False, False, VL, NULL
    for i in range(tiles + 2*MR):                       # the spare rows of the last short product read its last tile
        at[i] = v + min(i, tiles - 1)*g.pitch
        out[i] = m + min(i, tiles - 1)*NR
    put_in_order(&g.grid, first, tiles, slot, start)
    for i in range(tiles):
        tile = place_of(&g.grid, first + i)
        for c in range(g.chunks):
            source_tile(
                k.source.x + tile.n*H*W*C, H, W, C, c*CHUNK, min(C, (c + 1)*CHUNK), tile.h + k.source.h.base,
                tile.v + k.source.w.base, v + c*36*step_v + slot[i]*g.pitch, step_v, g.pitch,
            )
    for panel in range(index % g.parts*panels // g.parts, last_panel):
        vector = panel_start(K, panels, panel)
        nv = <int>(panel_start(K, panels, panel + 1) - vector)
        columns = min(nv*VL, K - vector*VL)
        c = 0
        while c < C:
            length = min(CHUNK, C - c)
            if stopped(call, 36*tiles*columns*length):
                if g.past:
                    DRAIN()
                return
            if g.kept:
                u = g.filters + (panel*g.chunks + c // CHUNK)*36*step_u
            else:
                g.transform(g, panel, c // CHUNK, transformed)
            f.first = c == 0
            for e in range(36):
                f.column = e*step_m
                if not g.kept and c + length < C:
                    expect_filters(g.R, k, e, c + length, min(CHUNK, C - c - length), vector*VL, columns)
                if g.far_source and panel + 1 == last_panel and c + length == C:
                    expect_tiles(
                        k.source.x, H, W, C, 0, C, &g.grid, k.source.h.base + g.R - 1, k.source.w.base + g.R - 1,
                        min(next + e*g.block // 36, g.tiles), min(next + (e + 1)*g.block // 36, g.tiles),
                    )
                low = first_in_need(e, start)
                multiply_across(
                    True, nv, at + low, 0, end_of_need(e, start) - low, (c // CHUNK*36 + e)*step_v, 1, length,
                    u + e*step_u, NULL, 0, &f, out + low,
                )
            c += length
        for i in range(tiles):
            g.finish(g, m + slot[i]*NR, first + i, nv, vector*VL)
    if g.past:
        DRAIN()


cdef void few_task(const void* problem, Py_ssize_t index, char* scratch, Call* call) noexcept nogil:
    few_part(3, <const Few*>problem, index, scratch, call)


cdef void few_weights_of_3(
    const real* xs, Py_ssize_t step_x, Py_ssize_t pitch_x, const real* dys, Py_ssize_t step_dy, int nv,
    const Py_ssize_t* start, real* dw, Py_ssize_t tap, Py_ssize_t K, Py_ssize_t channels, Py_ssize_t columns,
) noexcept nogil:
    few_weights(3, xs, step_x, pitch_x, dys, step_dy, nv, start, dw, tap, K, channels, columns)


cdef void set_tiling(
    Tiling* g, int R, Py_ssize_t images, Py_ssize_t H, Py_ssize_t W, Py_ssize_t C, Py_ssize_t K, bint prepared,
    int threads,
) noexcept nogil:
    """Blocks of tiles for outputs (images, H, W, K), shared out over the threads, or ranges of panels if too few."""
    cdef Py_ssize_t blocks, most
    cdef Cut cut
    set_size(g, R)
    g.grid = grid_of(7 - R, H, W)
    g.tiles = images*g.grid.across*g.grid.down
    g.chunks = (C + CHUNK - 1) // CHUNK
    g.pitch = min(CHUNK, padded(C))
    g.kept = prepared or (may_be_kept(C, K) and g.tiles > 2*FEW_TILES)
    most = max(2*MR, min(MOST_TILES, LARGEST // (36*g.chunks*g.pitch*<Py_ssize_t>sizeof(real)) // MR*MR))
    blocks = (g.tiles + most - 1) // most
    if g.kept:
        blocks = max(blocks, (g.tiles + FEW_TILES // 2) // FEW_TILES)
    # Filters that are not kept take as long to transform as four tiles to multiply (cyconv/algorithm.py).
    cut = cut_up((g.tiles + MR - 1) // MR, panels_of(K), blocks, 1, 0.6, 0 if g.kept else 0.7, threads)
    blocks, g.parts = cut.rows, cut.columns
    g.block = (g.tiles + blocks - 1) // blocks
    if g.kept and blocks > 1:               # whole rows of half a register tile; if kept, more blocks cost nothing
        g.block = max(MR, (g.block + MR//2 - 1) // (MR//2)*(MR//2))
    elif threads == 1:
        g.block = (g.block + MR - 1) // MR*MR
    g.block = min(g.tiles, most, g.block)
    g.few = not g.kept and suits_few(R, &g.grid, g.tiles, K, g.parts)
    g.scratch = few_bytes(R, K, g.parts) if g.few else forward_bytes(g)


cdef int run(Work* k, int R, const real* filters, int threads) except -1:
    cdef Tiling g
    cdef Few few
    cdef Py_ssize_t tasks, read, written
    cdef size_t size, shared
    cdef void* memory
    cdef char* block
    k.source.by_row = False
    set_tiling(&g, R, k.images, k.target.H, k.target.W, k.C, k.target.K, filters != NULL, threads)
    read, written = k.images*k.source.h.size*k.source.w.size*k.C, k.images*k.target.H*k.target.W*k.target.K
    g.far, g.far_source = written*<Py_ssize_t>sizeof(real) > FAR, read*<Py_ssize_t>sizeof(real) > FAR
    g.past = VL == LINE and bypasses(k.target.y, k.target.K, written, read)
    tasks = (g.tiles + g.block - 1) // g.block*g.parts
    threads = <int>min(threads, tasks)
    size = lines(g.scratch, 1)
    shared = lines(filter_numbers(k.C, k.target.K), sizeof(real)) if g.kept and filters == NULL else 0
    memory = allocate(shared + size*threads)
    block = align(memory)
    g.work, g.filters = k, <real*>filters
    few.work, few.parts, few.finish, few.tiling = k, g.parts, g.finish, &g
    try:
        if shared:
            g.filters = <real*>block
            run_tasks(filter_task, &g, panels_of(k.target.K)*g.chunks, threads, NULL, 0)
        if IN_REGISTERS and g.few:
            return run_tasks(few_task, &few, tasks, threads, block, size)
        return run_tasks(forward_task, &g, tasks, threads, block + shared, size)
    finally:
        free(memory)


def forward(
    const real[:, :, :, ::1] x not None, const real[:, :, :, ::1] w not None, const real[::1] b,
    real[:, :, :, ::1] y not None, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t pad_h, Py_ssize_t pad_w,
    Py_ssize_t dilation_h, Py_ssize_t dilation_w, Py_ssize_t groups, bint relu, int threads,
    const real[::1] filters=None,
):
    """As conv.forward, for w (R, R, C, K), 3 <= R <= 5, stride 1, dilation 1, one group; `filters` is what `prepare`
    made of w."""
    cdef Work k
    cdef Shapes s
    check_winograd(&x.shape[0], &w.shape[0], &y.shape[0])
    check_bias(b, y.shape[3])
    s = shapes_of(&x.shape[0], &w.shape[0], &y.shape[0])
    set_forward(&k, &s, &x[0, 0, 0, 0], &w[0, 0, 0, 0], NULL if b is None else &b[0], &y[0, 0, 0, 0], 1, relu)
    k.source.h = forward_axis(x.shape[1], y.shape[1], w.shape[0], 1, pad_h, 1)
    k.source.w = forward_axis(x.shape[2], y.shape[2], w.shape[0], 1, pad_w, 1)
    run(&k, <int>w.shape[0], NULL if filters is None else &filters[0], threads)


def prepared_size(Py_ssize_t C, Py_ssize_t K):
    """Numbers that the transformed filters of w (R, R, C, K) take; 0 if they had better be transformed at each call."""
    return filter_numbers(C, K) if may_be_kept(C, K) else 0


def prepare(const real[:, :, :, ::1] w not None, real[::1] filters not None):
    """Transform the filters of `forward` once for many calls."""
    cdef Work k
    cdef Tiling g
    cdef Py_ssize_t index
    k.C, k.target.K = w.shape[2], w.shape[3]
    k.weights.w, k.weights.tap, k.weights.row, k.weights.column = &w[0, 0, 0, 0], k.C*k.target.K, k.target.K, 1
    k.source.h.tap = k.source.w.tap = 0
    k.source.h.tap_step = k.source.w.tap_step = 1
    set_size(&g, <int>w.shape[0])
    g.work, g.filters, g.chunks = &k, &filters[0], (k.C + CHUNK - 1) // CHUNK
    with nogil:
        for index in range(panels_of(k.target.K)*g.chunks):
            filter_task(&g, index, NULL, NULL)


def input_grad(
    const real[:, :, :, ::1] dy not None, const real[:, :, :, ::1] w not None, const real[::1] b,
    real[:, :, :, ::1] dx not None, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t pad_h, Py_ssize_t pad_w,
    Py_ssize_t dilation_h, Py_ssize_t dilation_w, Py_ssize_t groups, bint relu, int threads,
):
    """As conv.input_grad, for w (R, R, C, K), 3 <= R <= 5, stride 1, dilation 1, one group."""
    cdef Work k
    cdef Shapes s
    check_winograd(&dx.shape[0], &w.shape[0], &dy.shape[0])
    check_bias(b, dx.shape[3])
    s = shapes_of(&dx.shape[0], &w.shape[0], &dy.shape[0])
    set_gradient(&k, &s, &dy[0, 0, 0, 0], &w[0, 0, 0, 0], NULL if b is None else &b[0], &dx[0, 0, 0, 0], 1, relu)
    k.source.h = gradient_axis(dy.shape[1], dx.shape[1], w.shape[0], 1, pad_h, 1, 0)
    k.source.w = gradient_axis(dy.shape[2], dx.shape[2], w.shape[0], 1, pad_w, 1, 0)
    run(&k, <int>w.shape[0], NULL, threads)


def weight_grad(
    const real[:, :, :, ::1] dy not None, const real[:, :, :, ::1] x not None, real[:, :, :, ::1] dw not None,
    double[::1] db, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t pad_h, Py_ssize_t pad_w,
    Py_ssize_t dilation_h, Py_ssize_t dilation_w, Py_ssize_t groups, int threads,
):
    """As conv.weight_grad, for dw (R, R, C, K), 3 <= R <= 5, stride 1, dilation 1, one group."""
    cdef Gradient k
    cdef Py_ssize_t tasks, numbers
    cdef size_t size, shared, biases
    cdef void* block
    check_winograd(&x.shape[0], &dw.shape[0], &dy.shape[0])
    k.x, k.dy, k.dw, k.db = &x[0, 0, 0, 0], &dy[0, 0, 0, 0], &dw[0, 0, 0, 0], NULL
    if db is not None:
        k.db = &db[0]
    k.N, k.H, k.W, k.C = x.shape[0], x.shape[1], x.shape[2], x.shape[3]
    k.OH, k.OW, k.K = dy.shape[1], dy.shape[2], dy.shape[3]
    k.far = k.N*(k.H*k.W*k.C + k.OH*k.OW*k.K)*<Py_ssize_t>sizeof(real) > FAR
    k.R, k.pad_h, k.pad_w = <int>dw.shape[0], pad_h, pad_w
    set_gradient_tasks(&k, threads)
    k.few = NULL
    if MOST_FEW and k.R == 3 and k.tiles <= MOST_FEW:
        k.few = few_weights_of_3
    tasks = k.ranges*k.groups*k.splits
    threads = <int>min(threads, tasks)
    numbers = k.R*k.R*k.C*k.K
    size = lines(gradient_bytes(&k), 1)
    biases = lines(k.splits*k.K, sizeof(double))
    shared = biases + lines(numbers*k.splits if k.splits > 1 else 0, sizeof(real))
    block = allocate(shared + size*threads)
    k.partial_db = <double*>align(block)
    k.partial = <real*>(align(block) + biases)
    try:
        run_tasks(gradient_task, &k, tasks, threads, align(block) + shared, size)
        with nogil:
            add_splits(k.dw, k.partial, numbers, k.db, k.partial_db, k.K, k.splits)
    finally:
        free(block)


def blocking(
    int R, Py_ssize_t N, Py_ssize_t H, Py_ssize_t W, Py_ssize_t C, Py_ssize_t K, bint of_weights, int threads
):
    """How a call is cut up, for filters of R x R and outputs (N, H, W, K) of sums over C channels; for dw these are dy,
    and x has C."""
    cdef Tiling g
    cdef Gradient k
    if of_weights:
        k.R, k.N, k.OH, k.OW, k.C, k.K = R, N, H, W, C, K
        set_gradient_tasks(&k, threads)
        return {
            "tiles": k.tiles, "block": k.block, "tasks": k.ranges*k.groups*k.splits,
            "scratch": gradient_bytes(&k),
        }
    set_tiling(&g, R, N, H, W, C, K, False, threads)
    return {
        "tiles": g.tiles, "block": g.block, "tasks": (g.tiles + g.block - 1) // g.block*g.parts,
        "scratch": g.scratch,
    }
