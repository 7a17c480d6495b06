# Winograd's convolution forward: transformed tiles times transformed filters, and what that gives transformed back.
#
#     P[e, t, k] = sum over c of  V[e, t, c] * U[e, c, k]         e = 0 .. 35, tiles t, channels c and k of a group
#
# Loop order in a task (of a group, a block of tiles x a range of panels): transform the block's source tiles; then,
# panel by panel and chunk by chunk of the channels, transform the filters of that chunk into L2, multiply, and at the
# end of a panel transform its outputs back.  Large filters are transformed once per block, never as a whole: 36 numbers
# each, they would be read from memory, which takes longer (N=4, 14x14x256: 0.7 of the speed).  Small ones are
# transformed once, before the blocks, which can then be so small that their tiles and products stay in L2 (N=4,
# 56x56x64: 1.2 times the speed).

from cyconv.kernels.correlate cimport Work
from cyconv.kernels.scratch cimport lines, take
from cyconv.kernels.shares cimport Cut, cut_up
from cyconv.kernels.simd cimport DRAIN, MR, NR, VL, real
from cyconv.kernels.tasks cimport Call, stopped
from cyconv.kernels.tile cimport Finish, Panel, multiply_across, panel_at, panels_of
from cyconv.kernels.winograd_few cimport Outputs, few_bytes, suits_few
from cyconv.kernels.winograd_filters cimport CHUNK, expect_filters, filter_chunk, filter_step, may_be_kept
from cyconv.kernels.winograd_grid cimport (
    CLASSES, Grid, Place, end_of_need, first_in_need, grid_of, place_of, put_in_order,
)
from cyconv.kernels.winograd_outputs cimport output_tile
from cyconv.kernels.winograd_tiles cimport apart, expect_tiles, padded, source_tile

cdef enum:
    MOST_TILES = 120
    FEW_TILES = 48      # tiles of a block if the filters are kept
    LARGEST = 6 << 20   # bytes of transformed source in a block; all of a thread's scratch stays under 8 MiB

ctypedef void (*Transform)(const Tiling*, const Panel*, Py_ssize_t, real*) noexcept nogil

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
    Py_ssize_t blocks
    Py_ssize_t groups
    Py_ssize_t step     # from one of the 36 parts of a chunk's filters to the next
    bint far                # the outputs do not fit the caches,
    bint past               # they are written past them,
    bint far_source         # or the source does not fit them
    bint kept               # the filters are transformed before the blocks,
    bint few                # or not at all (winograd_few)
    size_t scratch          # bytes of a task
    real* filters           # if kept, all of them: [group][panel][chunk][36][c][columns of the panel]


cdef inline void finish_tile(
    int M, const Tiling* g, const real* m, Py_ssize_t tile, int nv, Py_ssize_t column
) noexcept nogil:
    cdef Place place = place_of(&g.grid, tile)
    output_tile(M, &place, &g.work.target, g.far, g.past, m, apart(g.block*NR), nv, column)


cdef inline void outputs_of_3(const void* g, const real* m, Py_ssize_t tile, int nv, Py_ssize_t column) noexcept nogil:
    finish_tile(4, <const Tiling*>g, m, tile, nv, column)


cdef inline void outputs_of_4(const void* g, const real* m, Py_ssize_t tile, int nv, Py_ssize_t column) noexcept nogil:
    finish_tile(3, <const Tiling*>g, m, tile, nv, column)


cdef inline void outputs_of_5(const void* g, const real* m, Py_ssize_t tile, int nv, Py_ssize_t column) noexcept nogil:
    finish_tile(2, <const Tiling*>g, m, tile, nv, column)


cdef inline size_t forward_bytes(const Tiling* g) noexcept nogil:
    return (
        lines(g.chunks*36*apart(g.block*g.pitch), sizeof(real)) + lines(36*apart(g.block*NR), sizeof(real))
        + lines(36*g.step, sizeof(real))
        + 2*lines(g.block + 2*MR, sizeof(void*)) + lines(g.block, sizeof(Py_ssize_t))
    )


cdef inline void panel_filters(int R, const Tiling* g, const Panel* p, Py_ssize_t chunk, real* u) noexcept nogil:
    """Transform those of a panel and a chunk."""
    cdef Py_ssize_t c = chunk*CHUNK, column = p.first - p.group*g.work.target.K
    filter_chunk(R, g.work, p.group, c, min(CHUNK, g.work.C - c), column, p.count, p.nv, u, g.step)


cdef inline void filters_of_3(const Tiling* g, const Panel* p, Py_ssize_t chunk, real* u) noexcept nogil:
    panel_filters(3, g, p, chunk, u)


cdef inline void filters_of_4(const Tiling* g, const Panel* p, Py_ssize_t chunk, real* u) noexcept nogil:
    panel_filters(4, g, p, chunk, u)


cdef inline void filters_of_5(const Tiling* g, const Panel* p, Py_ssize_t chunk, real* u) noexcept nogil:
    panel_filters(5, g, p, chunk, u)


cdef inline void set_size(Tiling* g, int R) noexcept nogil:
    g.R = R
    g.transform = filters_of_3 if R == 3 else filters_of_4 if R == 4 else filters_of_5
    g.finish = outputs_of_3 if R == 3 else outputs_of_4 if R == 4 else outputs_of_5


cdef inline void filter_task(const void* problem, Py_ssize_t index, char* scratch, Call* call) noexcept nogil:
    """Keep the filters of panel index // chunks, chunk index % chunks."""
    cdef const Tiling* g = <const Tiling*>problem
    cdef Panel p = panel_at(g.work.target.K, index // g.chunks)
    g.transform(g, &p, index % g.chunks, g.filters + index*36*g.step)


cdef inline void forward_task(const void* problem, Py_ssize_t index, char* scratch, Call* call) noexcept nogil:
    """A block of the tiles, of a group a range of its panels."""
    cdef const Tiling* g = <const Tiling*>problem
    cdef const Work* k = g.work
    cdef Py_ssize_t part = index % g.parts, group = index // g.parts % g.groups
    cdef Py_ssize_t first = index // (g.parts*g.groups)*g.block, tiles = min(g.block, g.tiles - first)
    cdef Py_ssize_t H = k.source.h.size, W = k.source.w.size, C = k.C, panels = panels_of(k.target.K)
    cdef Py_ssize_t channels = k.source.C, c0 = group*C
    cdef Py_ssize_t i, e, c, length, panel, low, next = first + tiles
    cdef Py_ssize_t last_panel = group*panels + (part + 1)*panels // g.parts
    cdef Py_ssize_t step_v = apart(g.block*g.pitch), step_m = apart(g.block*NR), step_u = g.step
    cdef real* v = <real*>take(&scratch, g.chunks*36*step_v, sizeof(real))
    cdef real* m = <real*>take(&scratch, 36*step_m, sizeof(real))
    cdef real* transformed = <real*>take(&scratch, 36*step_u, sizeof(real))
    cdef const real* u = transformed
    cdef const real** at = <const real**>take(&scratch, g.block + 2*MR, sizeof(void*))
    cdef real** out = <real**>take(&scratch, g.block + 2*MR, sizeof(void*))
    cdef Py_ssize_t* slot = <Py_ssize_t*>take(&scratch, g.block, sizeof(Py_ssize_t))
    cdef Py_ssize_t start[CLASSES + 1]
    cdef Place tile
    cdef Panel p
    cdef Finish f
    f.lo, f.last, f.far, f.relu, f.lanes, f.bias = 0, False, False, False, VL, NULL
    for i in range(tiles + 2*MR):                       # the spare rows of the last short product read its last tile
        at[i] = v + min(i, tiles - 1)*g.pitch
        out[i] = m + min(i, tiles - 1)*NR
    put_in_order(&g.grid, first, tiles, slot, start)
    for i in range(tiles):
        tile = place_of(&g.grid, first + i)
        for c in range(g.chunks):
            source_tile(
                k.source.x + tile.n*H*W*channels, H, W, channels, c0 + c*CHUNK, c0 + min(C, (c + 1)*CHUNK),
                tile.h + k.source.h.base, tile.v + k.source.w.base, v + c*36*step_v + slot[i]*g.pitch, step_v, g.pitch,
            )
    for panel in range(group*panels + part*panels // g.parts, last_panel):
        p = panel_at(k.target.K, panel)
        c = 0
        while c < C:
            length = min(CHUNK, C - c)
            if stopped(call, 36*tiles*p.count*length):
                if g.past:
                    DRAIN()
                return
            if g.kept:
                u = g.filters + (panel*g.chunks + c // CHUNK)*36*step_u
            else:
                g.transform(g, &p, c // CHUNK, transformed)
            f.first = c == 0
            for e in range(36):
                f.column = e*step_m
                if not g.kept and c + length < C:
                    expect_filters(
                        g.R, k, e, group, c + length, min(CHUNK, C - c - length), p.first - group*k.target.K, p.count
                    )
                if g.far_source and g.groups == 1 and panel + 1 == last_panel and c + length == C:
                    expect_tiles(
                        k.source.x, H, W, channels, c0, c0 + C, &g.grid, k.source.h.base + g.R - 1,
                        k.source.w.base + g.R - 1,
                        min(next + e*g.block // 36, g.tiles), min(next + (e + 1)*g.block // 36, g.tiles),
                    )
                low = first_in_need(e, start)
                multiply_across(
                    True, p.nv, at + low, 0, end_of_need(e, start) - low, (c // CHUNK*36 + e)*step_v, 1, length,
                    u + e*step_u, NULL, 0, &f, out + low,
                )
            c += length
        for i in range(tiles):
            g.finish(g, m + slot[i]*NR, first + i, p.nv, p.first)
    if g.past:
        DRAIN()


cdef inline void set_tiling(
    Tiling* g, int R, Py_ssize_t images, Py_ssize_t H, Py_ssize_t W, Py_ssize_t C, Py_ssize_t K, Py_ssize_t groups,
    bint prepared, int threads,
) noexcept nogil:
    """Blocks of tiles for outputs (images, H, W, groups*K) of groups of C channels, shared out over the threads, or
    ranges of panels if too few."""
    cdef Py_ssize_t blocks, most, spare = max(1, threads // groups)
    cdef Cut cut
    set_size(g, R)
    g.grid = grid_of(7 - R, H, W)
    g.tiles = images*g.grid.across*g.grid.down
    g.chunks = (C + CHUNK - 1) // CHUNK
    g.pitch = min(CHUNK, padded(C))
    g.groups, g.step = groups, filter_step(C, K)
    g.kept = prepared or (may_be_kept(C, K, groups) and g.tiles > 2*FEW_TILES)
    most = max(2*MR, min(MOST_TILES, LARGEST // (36*g.chunks*g.pitch*<Py_ssize_t>sizeof(real)) // MR*MR))
    blocks = (g.tiles + most - 1) // most
    if g.kept:
        blocks = max(blocks, (g.tiles + FEW_TILES // 2) // FEW_TILES)
    # Filters that are not kept take as long to transform as four tiles to multiply (cyconv/algorithm.py).
    cut = cut_up((g.tiles + MR - 1) // MR, panels_of(K), blocks, 1, 0.6, 0 if g.kept else 0.7, <int>spare)
    blocks, g.parts = cut.rows, cut.columns
    g.block = (g.tiles + blocks - 1) // blocks
    if g.kept and blocks > 1:               # whole rows of half a register tile; if kept, more blocks cost nothing
        g.block = max(MR, (g.block + MR//2 - 1) // (MR//2)*(MR//2))
    elif spare == 1:
        g.block = (g.block + MR - 1) // MR*MR
    g.block = min(g.tiles, most, g.block)
    g.blocks = (g.tiles + g.block - 1) // g.block
    g.few = groups == 1 and not g.kept and suits_few(R, &g.grid, g.tiles, K, g.parts)
    g.scratch = few_bytes(R, K, g.parts) if g.few else forward_bytes(g)
