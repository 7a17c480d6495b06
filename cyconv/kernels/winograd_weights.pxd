# The weight gradient by Winograd's F(R x R, M x M), M + R = 7: the M x M tiles of dy are the filters.
#
#     P[e] = sum over tiles of V[e]^T U[e]        V[e] = B d B^T,  U[e] = G dy G^T       e = 0 .. 35
#     dw   = A P A^T
#
# One (C x tiles) times (tiles x K) product per e, summed over blocks of tiles.  A task keeps its 36 products in L2:
# RANGE channels of x times once or twice as many of dy, so that either is transformed again for every so many channels
# of the other.  If there is a single block, no sum waits for the next one, and a task takes many panels: x is
# transformed once.

from libc.string cimport memset

from cyconv.kernels.scratch cimport lines, take
from cyconv.kernels.simd cimport (
    NR, NV, PREFETCH, VL, VLOAD, VSTORE, VZERO, WILL_WRITE, load_upto, real, store_upto, vec,
)
from cyconv.kernels.tasks cimport Call, stopped
from cyconv.kernels.tile cimport DOWN, Finish, Panel, multiply_down, panel_at, panels_of
from cyconv.kernels.transform cimport transform_filter, transform_output
from cyconv.kernels.winograd_grid cimport (
    CLASSES, Grid, Place, end_of_need, first_in_need, grid_of, place_of, put_in_order,
)
from cyconv.kernels.winograd_tiles cimport apart, expect_tiles, padded, source_tile

cdef enum:
    RANGE = 64          # channels of x that a task of the weight gradient takes
    GRADIENT_TILES = 64
    MOST_SPLITS = 8
    AHEAD = 4           # channels

ctypedef void (*FewWeights)(
    const real*, Py_ssize_t, Py_ssize_t, const real*, Py_ssize_t, int, const Py_ssize_t*, real*, Py_ssize_t,
    Py_ssize_t, Py_ssize_t, Py_ssize_t,
) noexcept nogil

cdef struct Gradient:
    const real* x
    const real* dy
    real* dw
    real* partial       # [split][R*R*C*groups*K], where there are several
    double* db          # (groups*K,), or NULL
    double* partial_db  # [split][groups*K]
    Py_ssize_t N
    Py_ssize_t H
    Py_ssize_t W
    Py_ssize_t C        # of a group
    Py_ssize_t OH
    Py_ssize_t OW
    Py_ssize_t K        # of a group
    Py_ssize_t groups
    Grid grid
    int R               # taps of a filter, each way
    Py_ssize_t pad_h
    Py_ssize_t pad_w
    bint far            # x and dy do not fit the caches
    Py_ssize_t tiles
    Py_ssize_t ranges   # of C
    Py_ssize_t sets     # of panels
    Py_ssize_t splits
    Py_ssize_t pitch
    Py_ssize_t block    # tiles
    Py_ssize_t waiting  # panels of a task whose products wait for the next block
    FewWeights few      # what makes a panel of few tiles, or NULL; called: it would slow down what it is part of


cdef inline void gradient_tile(
    int M, const Gradient* k, Py_ssize_t index, int nv, Py_ssize_t column, Py_ssize_t columns, real* out,
    Py_ssize_t step, vec* sums,
) noexcept nogil:
    """out[e*step + j] = G dy G^T of the up to M x M outputs of a tile, zeros beyond; sums[j] += these outputs."""
    cdef vec g[4]
    cdef vec t[24]
    cdef vec u[6]
    cdef vec total
    cdef Place tile = place_of(&k.grid, index)
    cdef Py_ssize_t pitch = k.K*k.groups
    cdef const real* dy_h = k.dy + ((tile.n*k.OH + tile.h)*k.OW + tile.v)*pitch + column
    cdef int i, j, q
    for q in range(nv):
        total = VZERO
        for j in range(M):
            for i in range(M):
                PREFETCH(dy_h + (i*k.OW + M + j)*pitch + q*VL)       # of the next tile
                g[i] = VZERO
                if i < tile.rows and j < tile.columns:
                    g[i] = load_upto(dy_h + (i*k.OW + j)*pitch + q*VL, columns - q*VL)
                total = total + g[i]
            transform_filter(M, g, t + j, M)
        sums[q] = sums[q] + total
        for i in range(6):
            transform_filter(M, t + i*M, u, 1)
            for j in range(6):
                VSTORE(out + (i*6 + j)*step + q*VL, u[j])


cdef inline void output_gradient(
    const Gradient* k, Py_ssize_t index, int nv, Py_ssize_t column, Py_ssize_t columns, real* out, Py_ssize_t step,
    vec* sums,
) noexcept nogil:
    if k.grid.M == 4:
        gradient_tile(4, k, index, nv, column, columns, out, step, sums)
    elif k.grid.M == 3:
        gradient_tile(3, k, index, nv, column, columns, out, step, sums)
    else:
        gradient_tile(2, k, index, nv, column, columns, out, step, sums)


cdef inline void expect_next(
    const Gradient* k, Py_ssize_t e, Py_ssize_t first, Py_ssize_t tiles, Py_ssize_t last, Py_ssize_t c0, Py_ssize_t c1,
    Py_ssize_t panel, Py_ssize_t panel0, Py_ssize_t panel1,
) noexcept nogil:
    """Ask for a 36th of what is transformed next: the next panel's dy, or x and the first panel's dy of a new block."""
    cdef Panel p
    panel += 1
    if panel == panel1:
        panel = panel0
        first, tiles = first + tiles, min(k.block, last - first - tiles)
        expect_tiles(
            k.x, k.H, k.W, k.C*k.groups, c0, c1, &k.grid, k.R - 1 - k.pad_h, k.R - 1 - k.pad_w,
            first + e*tiles // 36, first + (e + 1)*tiles // 36,
        )
    p = panel_at(k.K, panel)
    expect_tiles(
        k.dy, k.OH, k.OW, k.K*k.groups, p.first, p.first + p.count, &k.grid, 0, 0,
        first + e*tiles // 36, first + (e + 1)*tiles // 36,
    )


cdef inline void filter_gradient(
    int R, const Gradient* k, const real* m, Py_ssize_t step, int nv, Py_ssize_t c, Py_ssize_t column,
    Py_ssize_t columns, real* dw,
) noexcept nogil:
    """The R x R weights of channel c of a group from their 36 products, `columns` outputs from `column` on."""
    cdef vec d[6]
    cdef vec t[30]
    cdef vec y[5]
    cdef Py_ssize_t pitch = k.K*k.groups
    cdef real* dw_c = dw + c*pitch + column
    cdef int i, j, q
    for q in range(nv):
        for i in range(R*R):    # its lines come while the sums of this channel are transformed
            WILL_WRITE(dw_c + (i*k.C + AHEAD)*pitch + q*VL)
        for j in range(6):
            for i in range(6):
                d[i] = VLOAD(m + (i*6 + j)*step + q*VL)
            transform_output(R, d, t + j, 6)
        for i in range(R):
            transform_output(R, t + i*6, y, 1)
            for j in range(R):
                store_upto(dw_c + (i*R + j)*k.C*pitch + q*VL, y[j], columns - q*VL)


cdef inline void weights_of(
    const Gradient* k, const real* m, Py_ssize_t step, int nv, Py_ssize_t c, Py_ssize_t column, Py_ssize_t columns,
    real* dw,
) noexcept nogil:
    if k.R == 3:
        filter_gradient(3, k, m, step, nv, c, column, columns, dw)
    elif k.R == 4:
        filter_gradient(4, k, m, step, nv, c, column, columns, dw)
    else:
        filter_gradient(5, k, m, step, nv, c, column, columns, dw)


cdef inline void set_gradient_tasks(Gradient* k, int threads) noexcept nogil:
    """Of each group, ranges of C x sets of panels of K; if these are too few for many threads, the tiles are split as
    well, in numbers that the shapes alone decide."""
    cdef Py_ssize_t panels = panels_of(k.K), few = max(1, RANGE // NR), parts
    k.grid = grid_of(7 - k.R, k.OH, k.OW)
    k.tiles = k.N*k.grid.across*k.grid.down
    k.block = min(k.tiles, GRADIENT_TILES)
    k.ranges = (k.C + RANGE - 1) // RANGE
    k.pitch = padded((k.C + k.ranges - 1) // k.ranges)
    k.sets = (panels + few - 1) // few
    k.splits = 1
    parts = k.groups*k.ranges*k.sets
    if parts < MOST_SPLITS:
        k.splits = max(1, min(MOST_SPLITS // parts, k.tiles // (2*GRADIENT_TILES)))
    if k.tiles <= GRADIENT_TILES:
        k.waiting, parts = 1, k.groups*k.ranges
        k.sets = 1 if threads == 1 else min(panels, (2*threads + parts - 1) // parts)
    else:               # 2*RANGE columns, if the threads have enough to do: x is transformed half as often
        k.waiting = min(panels, 2*few if threads == 1 or parts*k.splits >= 4*threads else few)
        k.sets = (panels + k.waiting - 1) // k.waiting


cdef inline size_t gradient_bytes(const Gradient* k) noexcept nogil:
    return (
        lines(36*apart(k.block*k.pitch), sizeof(real)) + 2*lines(k.block, sizeof(void*))
        + lines(36*apart(k.block*NR), sizeof(real)) + lines(36*k.waiting*apart(k.pitch*NR), sizeof(real))
    )


cdef inline void gradient_task(const void* problem, Py_ssize_t index, char* scratch, Call* call) noexcept nogil:
    """One split of the tiles, one group, one range of its C, one set of its panels of K."""
    cdef const Gradient* k = <const Gradient*>problem
    cdef Py_ssize_t panels = panels_of(k.K), part = index // k.sets % k.ranges
    cdef Py_ssize_t group = index // (k.sets*k.ranges) % k.groups, split = index // (k.sets*k.ranges*k.groups)
    cdef Py_ssize_t channels = k.C*k.groups, outputs = k.K*k.groups, base = group*k.C
    cdef Py_ssize_t c0 = part*k.C // k.ranges, c1 = (part + 1)*k.C // k.ranges
    cdef Py_ssize_t panel0 = group*panels + index % k.sets*panels // k.sets
    cdef Py_ssize_t panel1 = group*panels + (index % k.sets + 1)*panels // k.sets
    cdef Py_ssize_t panel, column, first, tiles, low, i, e, last = (split + 1)*k.tiles // k.splits
    cdef Py_ssize_t step_v = apart(k.block*k.pitch), step_u = apart(k.block*NR), step_m = apart(k.pitch*NR)
    cdef real* xs = <real*>take(&scratch, 36*step_v, sizeof(real))
    cdef const real** at = <const real**>take(&scratch, k.block, sizeof(void*))
    cdef Py_ssize_t* slot = <Py_ssize_t*>take(&scratch, k.block, sizeof(Py_ssize_t))
    cdef real* dys = <real*>take(&scratch, 36*step_u, sizeof(real))
    cdef real* m = <real*>take(&scratch, 36*k.waiting*step_m, sizeof(real))
    cdef real* m_p
    cdef vec sums[NV]
    cdef Py_ssize_t start[CLASSES + 1]
    cdef Place tile
    cdef Panel p
    cdef Finish f
    f.column, f.last, f.far, f.relu, f.lanes, f.bias, f.first = 0, False, False, False, VL, NULL, True
    if part == 0:
        p = panel_at(k.K, panel1 - 1)
        column = panel_at(k.K, panel0).first
        memset(k.partial_db + split*outputs + column, 0, (p.first + p.count - column)*sizeof(double))
    first = split*k.tiles // k.splits
    while first < last:
        tiles = min(k.block, last - first)
        put_in_order(&k.grid, first, tiles, slot, start)
        for i in range(tiles):
            tile = place_of(&k.grid, first + i)
            source_tile(
                k.x + tile.n*k.H*k.W*channels, k.H, k.W, channels, base + c0, base + c1, tile.h - k.pad_h,
                tile.v - k.pad_w, xs + slot[i]*k.pitch, step_v, k.pitch,
            )
        for panel in range(panel0, panel1):
            if stopped(call, 36*tiles*(c1 - c0)*NR):
                return
            p = panel_at(k.K, panel)
            for i in range(p.nv):
                sums[i] = VZERO
            for i in range(tiles):
                output_gradient(k, first + i, p.nv, p.first, p.count, dys + slot[i]*p.nv*VL, step_u, sums)
            if part == 0:
                for i in range(p.count):
                    k.partial_db[split*outputs + p.first + i] += (<real*>sums)[i]
            if k.few != NULL:
                k.few(
                    xs, step_v, k.pitch, dys, step_u, p.nv, start, k.dw + c0*outputs + p.first, k.C*outputs, outputs,
                    c1 - c0, p.count,
                )
                continue
            m_p = m + (panel - panel0) % k.waiting*36*step_m
            for e in range(36):
                if k.far:
                    expect_next(k, e, first, tiles, last, base + c0, base + c1, panel, panel0, panel1)
                low = first_in_need(e, start)
                for i in range(low, end_of_need(e, start)):
                    at[i] = xs + e*step_v + i*k.pitch
                multiply_down(
                    DOWN, at + low, 0, c1 - c0, k.pitch, end_of_need(e, start) - low, p.nv,
                    dys + e*step_u + low*p.nv*VL, p.nv*VL, m_p + e*step_m, NR, &f, NULL, 0,
                )
            if first + tiles == last:
                for i in range(c1 - c0):
                    weights_of(
                        k, m_p + i*NR, step_m, p.nv, c0 + i, p.first, p.count,
                        k.dw if k.splits == 1 else k.partial + split*k.R*k.R*k.C*outputs,
                    )
        f.first = False
        first += tiles
