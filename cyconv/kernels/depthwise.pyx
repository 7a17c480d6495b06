"""Depthwise convolution: every channel has filters of its own, and they see nothing else.

    y[n, i, j, k]  = act(b[k] + sum_{r, s} x[n, row(i, r), col(j, s), k // multiplier] * w[r, s, k])
    dw[r, s, k]    = sum_{n, i, j} x[n, row(i, r), col(j, s), k // multiplier] * dy[n, i, j, k]

Channels are the vector axis, and there is nothing to reduce over but the window: the work is bound by loads, and beyond
the second-level cache by memory.  So neighbouring outputs are computed together, and a source vector is loaded once for
all of them that use it.  Windows of 3x3, whose nine weights fit in registers, are taken in strips of several rows
(strips.pxd), others in tiles of a row (depthwise_tiles.pxd), and those that no tile is compiled for, or whose
maps are narrower, tap by tap.  Of few channels, down to the one of a grey image, a whole row is one vector
(depthwise_lines.pxd).  The input gradient is the same loop over gradient axes (windows.pxd).

Loop order: band of output rows, tile or strip of columns, phase, row or rows, vector of channels, window row; so the
rows that two windows share are still in the caches, and the phases of a gradient complete the lines of the target
between them.  Weight gradient: rows, tile or strip, vector of channels.  Tasks: forward, bands; weight gradient, SPLITS
ranges of bands, as many whatever the threads, added up in order: the same bits for any number of threads.
"""

from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from cyconv.kernels.bypass cimport bypasses
from cyconv.kernels.depthwise_line_outputs cimport fill_table, lines_of_rows
from cyconv.kernels.depthwise_line_weights cimport fold, line_products
from cyconv.kernels.depthwise_lines cimport Lines, line_bytes, plan_lines, table_numbers
from cyconv.kernels.depthwise_multiplier cimport fold_pixels, seen, spread_window
from cyconv.kernels.depthwise_outputs cimport strips_of_rows
from cyconv.kernels.depthwise_rows cimport TILE, lead_of
from cyconv.kernels.depthwise_strips cimport parts_of, step_of, strips_fit
from cyconv.kernels.depthwise_tiles cimport Depthwise, first_of_tile, tile_of_rows
from cyconv.kernels.depthwise_weights cimport Weights, strip_products, tile_products
from cyconv.kernels.fetch cimport FAR, LINE
from cyconv.kernels.phases cimport Phases, fill_gaps, find_phases, first_phase
from cyconv.kernels.scratch cimport APART, align, align_apart, allocate, lines, take
from cyconv.kernels.shapes cimport check_bias, check_depthwise
from cyconv.kernels.simd cimport DRAIN, VL, describe_build, real
from cyconv.kernels.strips cimport SPAN
from cyconv.kernels.tasks cimport Call, run_tasks, stopped
from cyconv.kernels.windows cimport Axis, forward_axis

cdef enum:
    BAND = 8            # rows of outputs that a task goes down before it turns to the next tile
    SPLITS = 16
    PIXELS = 256        # that a split of the weight gradient has at least: to empty and to add up its sums takes time
    NEAR = 64           # tiles whose weight gradients are added up before they join the others

cdef struct Problem:
    const real* x       # source (N, h.size, w.size, C // spread)
    real* y             # target (N, H, W, C // fold)
    Depthwise tile
    Lines lines
    Phases phases
    Py_ssize_t top      # the phases of the first row and column: to write y in order is up to 1.1 times as fast
    Py_ssize_t left
    Py_ssize_t N
    Py_ssize_t H
    Py_ssize_t bands    # of the rows of an image and phase, at most
    Py_ssize_t columns  # of a phase, at most
    Py_ssize_t width    # columns taken together: TILE, or SPAN, in strips
    Py_ssize_t weights  # numbers
    Py_ssize_t spread   # filters to a channel of the source: the multiplier of a convolution
    Py_ssize_t fold     # filters to a channel of the target: that of an input gradient


def describe():
    """What this module was compiled for."""
    return describe_build()


cdef void tile_rows(
    const Depthwise* given, const Axis* rows, const Axis* columns, const real* x_n, real* y_n, Py_ssize_t q,
    Py_ssize_t end, Py_ssize_t p,
) noexcept nogil:
    """`tile_of_rows`, not inlined: in both its places it was 65 KB of machine code."""
    cdef Depthwise k = given[0]         # copies: a store through a vector might change what a pointer leads to
    cdef Axis h = rows[0], w = columns[0]
    tile_of_rows(&k, &h, &w, x_n, y_n, q, end, p)


cdef void fold_row(
    const Problem* f, const Axis* h, const Axis* w, const real* x_n, real* y_n, Py_ssize_t q, Py_ssize_t p, real* sums
) noexcept nogil:
    """Tile p of row q with the sums of each channel's filters added up."""
    cdef Depthwise k = f.tile
    cdef Axis one_row = h[0], one_tile = w[0]
    cdef Py_ssize_t C = k.C // f.fold
    one_row.out, one_row.out_step, one_tile.out, one_tile.out_step = 0, 0, -p, 1
    k.bias, k.relu = NULL, False
    tile_rows(&k, &one_row, &one_tile, x_n, sums, q, q + 1, p)
    y_n += ((h.out + q*h.out_step)*k.W + w.out + p*w.out_step)*C
    fold_pixels(sums, min(TILE, w.count - p), C, f.fold, &f.tile, y_n, w.out_step)


cdef void output_task(const void* problem, Py_ssize_t task, char* scratch, Call* call) noexcept nogil:
    """A band of one image's rows; the scratch holds a window or a tile, if `spread` or `fold` is not 1."""
    cdef const Problem* f = <const Problem*>problem
    cdef Depthwise k = f.tile           # copies, as above
    cdef Axis h, w
    cdef Py_ssize_t n = task // f.bands, first = task % f.bands*BAND, tile = 0, p, q, last, a, b
    cdef const real* x_n
    cdef real* y_n = f.y + n*f.H*k.W*(k.C // f.fold)
    while tile < f.columns:
        for a in range(f.phases.n_h):
            h = f.phases.h[(a + f.top) % f.phases.n_h]
            if stopped(call, BAND*f.width*k.C*k.S*h.taps):
                if k.past:
                    DRAIN()
                return
            for b in range(f.phases.n_w):
                w = f.phases.w[(b + f.left) % f.phases.n_w]
                last = min(first + BAND, h.count)
                if tile >= w.count or first >= last:
                    continue
                x_n = f.x + n*h.size*w.size*(k.C // f.spread)
                if f.lines.table != NULL:
                    lines_of_rows(&f.lines, &h, x_n, y_n, first, last, scratch)
                    continue
                if f.width == SPAN:
                    strips_of_rows(&k, &h, &w, x_n, y_n, first, last, tile)
                    continue
                p = first_of_tile(&w, tile)
                if f.spread != 1:
                    spread_window(x_n, k.C // f.spread, f.spread, &h, &w, first, last - first, p, <real*>scratch)
                    x_n = <real*>scratch
                if f.fold == 1:
                    tile_rows(&k, &h, &w, x_n, y_n, first, last, p)
                    continue
                for q in range(first, last):
                    fold_row(f, &h, &w, x_n, y_n, q, p, <real*>scratch)
        tile += f.width
    if k.past:
        DRAIN()


cdef bint find_lines(Problem* f) noexcept:
    """Whether the windows make lines."""
    cdef bint strips = parts_of(f.phases.h, NULL) and parts_of(f.phases.w, NULL)
    f.lines.table = NULL
    if f.spread != 1 or f.fold != 1 or f.phases.n_h != 1 or f.phases.n_w != 1:
        return False
    return plan_lines(&f.lines, f.phases.h, f.phases.w, f.tile.C, strips, False)


cdef Axis* find_strips(Problem* f) except? NULL:
    """Have strips made of the windows, if they fit; what it returns is to be freed."""
    cdef Phases parts
    cdef const Axis* h = f.phases.h
    cdef const Axis* w = f.phases.w
    f.width = TILE
    if f.spread != 1 or f.fold != 1 or f.phases.n_h != 1 or f.phases.n_w != 1:
        return NULL
    parts.n_h, parts.n_w = parts_of(h, NULL), parts_of(w, NULL)
    if parts.n_h == 0 or parts.n_w == 0:
        return NULL
    parts.h = <Axis*>allocate((parts.n_h + parts.n_w)*sizeof(Axis))
    parts.w = parts.h + parts.n_h
    if parts_of(h, parts.h) and parts_of(w, parts.w) and step_of(parts.h) == step_of(parts.w):
        f.phases, f.width = parts, SPAN
    return parts.h


cdef int run(const Problem* given, int threads) except -1:
    cdef Problem f = given[0]
    cdef size_t size = 0, table = 0, weights = f.weights*sizeof(real)
    cdef bint in_lines
    cdef Py_ssize_t read, written
    cdef char* w
    cdef void* block = NULL
    cdef Axis* parts = NULL
    if f.phases.n_h*f.phases.n_w == 0:
        return 0
    try:
        in_lines = find_lines(&f)
        parts = NULL if in_lines else find_strips(&f)
        f.top, f.left = first_phase(f.phases.h, f.phases.n_h), first_phase(f.phases.w, f.phases.n_w)
        f.tile.lead = lead_of(f.x, f.tile.C) if f.spread == 1 and f.fold == 1 else 0
        read, written = f.N*f.phases.h[0].size*f.phases.w[0].size*f.tile.C, f.N*f.H*f.tile.W*f.tile.C
        f.tile.far = (read + written)*<Py_ssize_t>sizeof(real) > FAR
        f.tile.past = VL == LINE and f.tile.lead == 0 and bypasses(f.y, f.tile.C, written, read)
        f.bands = ((f.H - 1) // f.phases.h[0].out_step + BAND) // BAND
        f.columns = (f.tile.W - 1) // f.phases.w[0].out_step + 1
        if in_lines:
            f.width, size, table = f.columns, line_bytes(&f.lines), lines(table_numbers(&f.lines), sizeof(real))
        elif f.spread != 1:
            size = lines(seen(&f.phases.h[0], BAND)*seen(&f.phases.w[0], TILE)*f.tile.C, sizeof(real))
        elif f.fold != 1:
            size = lines(TILE*f.tile.C, sizeof(real))
        block = allocate(threads*size + table + APART + VL*sizeof(real) + weights)
        # A copy of the weights that begins elsewhere in a page than the source, or with 1024 channels they share a few
        # sets of the cache: that took up to 1.5 times as long.
        w = align_apart(align(block) + threads*size + table, f.x) + (VL - f.tile.lead) % VL*sizeof(real)
        memcpy(w, f.tile.w, weights)
        f.tile.w = <real*>w
        if in_lines:
            f.lines.table = <real*>(align(block) + threads*size)
            f.lines.relu = f.tile.relu
            fill_table(&f.lines, f.phases.h, f.phases.w, f.tile.w, f.tile.S, f.tile.bias)
        return run_tasks(output_task, &f, f.N*f.bands, threads, align(block), size)
    finally:
        free(block)
        free(parts)


def forward(
    const real[:, :, :, ::1] x not None, const real[:, :, :, ::1] w not None, const real[::1] b,
    real[:, :, :, ::1] y not None, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t pad_h, Py_ssize_t pad_w,
    Py_ssize_t dilation_h, Py_ssize_t dilation_w, Py_ssize_t groups, bint relu, int threads,
):
    """x (N, H, W, C), w (R, S, 1, K), b (K,) or None, y (N, OH, OW, K); nothing is empty, groups is C."""
    check_depthwise(&x.shape[0], &w.shape[0], &y.shape[0], groups)
    check_bias(b, y.shape[3])
    cdef Problem f
    cdef Axis rows = forward_axis(x.shape[1], y.shape[1], w.shape[0], stride_h, pad_h, dilation_h)
    cdef Axis columns = forward_axis(x.shape[2], y.shape[2], w.shape[1], stride_w, pad_w, dilation_w)
    f.x, f.y, f.N, f.H = &x[0, 0, 0, 0], &y[0, 0, 0, 0], x.shape[0], y.shape[1]
    f.tile.w, f.tile.bias, f.tile.relu = &w[0, 0, 0, 0], NULL if b is None else &b[0], relu
    f.tile.C, f.tile.S, f.tile.W = w.shape[3], w.shape[1], y.shape[2]
    f.weights = w.shape[0]*w.shape[1]*w.shape[3]
    f.phases.h, f.phases.w, f.phases.n_h, f.phases.n_w = &rows, &columns, 1, 1
    f.spread, f.fold = w.shape[3] // groups, 1
    run(&f, threads)


def input_grad(
    const real[:, :, :, ::1] dy not None, const real[:, :, :, ::1] w not None, const real[::1] b,
    real[:, :, :, ::1] dx not None, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t pad_h, Py_ssize_t pad_w,
    Py_ssize_t dilation_h, Py_ssize_t dilation_w, Py_ssize_t groups, bint relu, int threads,
):
    """dy (N, OH, OW, K), w (R, S, 1, K), b (C,) or None, dx (N, H, W, C); nothing is empty, groups is C."""
    check_depthwise(&dx.shape[0], &w.shape[0], &dy.shape[0], groups)
    check_bias(b, groups)
    cdef Problem f
    f.x, f.y, f.N, f.H = &dy[0, 0, 0, 0], &dx[0, 0, 0, 0], dy.shape[0], dx.shape[1]
    f.tile.w, f.tile.bias, f.tile.relu = &w[0, 0, 0, 0], NULL if b is None else &b[0], relu
    f.tile.C, f.tile.S, f.tile.W = w.shape[3], w.shape[1], dx.shape[2]
    f.weights = w.shape[0]*w.shape[1]*w.shape[3]
    f.spread, f.fold = 1, w.shape[3] // groups
    find_phases(
        &f.phases, &dy.shape[0], &w.shape[0], &dx.shape[0], stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w
    )
    try:
        fill_gaps(&f.phases, &dx.shape[0], f.tile.bias, relu, f.y, threads)
        run(&f, threads)
    finally:
        free(f.phases.h)


cdef void empty_into(real* near, real* total, Py_ssize_t size) noexcept nogil:
    """total += near, near = 0."""
    cdef Py_ssize_t i
    for i in range(size):
        total[i] += near[i]
        near[i] = 0


cdef struct WeightProblem:
    Weights tile
    const real* x
    const real* dy
    real* totals        # [split][total, near][R*S + 1][K]: dw and, behind it, db
    Py_ssize_t spread
    bint strips
    bint in_lines
    Lines lines         # whose table is each task's own
    Py_ssize_t bands    # of all images
    Py_ssize_t splits


cdef void add_band(
    const WeightProblem* f, const Weights* k, Py_ssize_t n, Py_ssize_t q, Py_ssize_t end, real* total, Py_ssize_t size,
    Py_ssize_t* tiles, char* window, Call* call,
) noexcept nogil:
    """What rows q .. end - 1 of an image give, to the near sums, and these to the total when there are enough."""
    cdef Weights local = k[0]
    cdef Py_ssize_t spread = f.spread, rows, width, p, i
    cdef real* near = total + size
    cdef const real* dy_n = f.dy + n*k.h.count*k.w.count*k.C
    cdef const real* x_n
    while q < end:
        rows = end - q if f.strips or spread != 1 else 1
        width = SPAN if f.strips else TILE
        p = 0
        while p < k.w.count:
            if stopped(call, rows*width*size):
                return
            x_n = f.x + n*k.h.size*k.w.size*(k.C // spread)
            if spread != 1:
                local.h, local.w = k.h, k.w
                spread_window(x_n, k.C // spread, spread, &local.h, &local.w, q, rows, p, <real*>window)
                x_n = <real*>window
            if f.strips:
                strip_products(k, x_n, dy_n, q, end, p, near)
            else:
                for i in range(rows):
                    tile_products(&local, x_n, dy_n, q + i, p, near)
            tiles[0] += (rows*min(width, k.w.count - p) + TILE - 1) // TILE
            if tiles[0] >= NEAR:
                empty_into(near, total, size)
                tiles[0] = 0
            p += width
        q += rows


cdef void add_lines(
    const WeightProblem* f, Py_ssize_t split, real* total, char* scratch, Call* call
) noexcept nogil:
    """A split's total, of lines: what a band gives is summed in one table, the bands' in another."""
    cdef Weights k = f.tile
    cdef Lines near = f.lines
    cdef Py_ssize_t numbers = table_numbers(&near), rows = k.h.count, bands = (rows + BAND - 1) // BAND, band, n, q
    cdef real* far
    near.table = <real*>take(&scratch, numbers, sizeof(real))
    far = <real*>take(&scratch, numbers, sizeof(real))
    memset(near.table, 0, numbers*sizeof(real))
    memset(far, 0, numbers*sizeof(real))
    for band in range(split*f.bands // f.splits, (split + 1)*f.bands // f.splits):
        if stopped(call, BAND*near.numbers*near.R*near.S):
            return
        n, q = band // bands, band % bands*BAND
        line_products(
            &near, k.biased, &k.h, f.x + n*k.h.size*near.size, f.dy + n*rows*near.numbers, q, min(q + BAND, rows),
            scratch,
        )
        empty_into(near.table, far, numbers)
    fold(&near, far, total)


cdef void weight_task(const void* problem, Py_ssize_t split, char* window, Call* call) noexcept nogil:
    """A total of dw and db: of one range of the bands.  What NEAR tiles give is summed apart, behind it, so that no
    chain of additions gets long."""
    cdef const WeightProblem* f = <const WeightProblem*>problem
    cdef Weights k = f.tile
    cdef Py_ssize_t size = (k.h.taps*k.w.taps + 1)*k.C, bands = (k.h.count + BAND - 1) // BAND, band, q, tiles = 0
    cdef real* total = f.totals + 2*split*size
    memset(total, 0, 2*size*sizeof(real))
    if f.in_lines:
        add_lines(f, split, total, window, call)
        return
    for band in range(split*f.bands // f.splits, (split + 1)*f.bands // f.splits):
        q = band % bands*BAND
        add_band(f, &k, band // bands, q, min(q + BAND, k.h.count), total, size, &tiles, window, call)
    empty_into(total + size, total, size)


def weight_grad(
    const real[:, :, :, ::1] dy not None, const real[:, :, :, ::1] x not None, real[:, :, :, ::1] dw not None,
    double[::1] db, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t pad_h, Py_ssize_t pad_w,
    Py_ssize_t dilation_h, Py_ssize_t dilation_w, Py_ssize_t groups, int threads,
):
    """dy (N, OH, OW, K), x (N, H, W, C), dw (R, S, 1, K), db (K,) float64 or None; nothing is empty, groups is C."""
    check_depthwise(&x.shape[0], &dw.shape[0], &dy.shape[0], groups)
    cdef WeightProblem f
    cdef Weights* k = &f.tile
    cdef Py_ssize_t splits, part, i, size
    cdef size_t window = 0
    cdef double sum
    cdef real* flat = &dw[0, 0, 0, 0]
    cdef real* totals
    cdef void* block
    k.C = dw.shape[3]
    k.h = forward_axis(x.shape[1], dy.shape[1], dw.shape[0], stride_h, pad_h, dilation_h)
    k.w = forward_axis(x.shape[2], dy.shape[2], dw.shape[1], stride_w, pad_w, dilation_w)
    f.x, f.dy, f.spread = &x[0, 0, 0, 0], &dy[0, 0, 0, 0], dw.shape[3] // groups
    k.biased = db is not None
    f.strips = f.spread == 1 and strips_fit(&k.h, &k.w)
    f.in_lines = f.spread == 1 and plan_lines(&f.lines, &k.h, &k.w, k.C, f.strips, True)
    f.bands = x.shape[0]*((k.h.count + BAND - 1) // BAND)
    f.splits = splits = min(SPLITS, f.bands, 1 + x.shape[0]*k.h.count*k.w.count // PIXELS)
    k.lead = lead_of(f.x, k.C) if f.spread == 1 else 0
    k.far = k.C*x.shape[0]*(x.shape[1]*x.shape[2] + k.h.count*k.w.count)*<Py_ssize_t>sizeof(real) > FAR
    size = (k.h.taps*k.w.taps + 1)*k.C
    if f.in_lines:
        window = 2*lines(table_numbers(&f.lines), sizeof(real)) + line_bytes(&f.lines)
    elif f.spread != 1:
        window = lines(seen(&k.h, BAND)*seen(&k.w, TILE)*k.C, sizeof(real))
    block = allocate(lines(2*splits*size, sizeof(real)) + threads*window + APART)
    f.totals = totals = <real*>align_apart(align(block), f.x)
    try:
        run_tasks(weight_task, &f, splits, threads, <char*>totals + lines(2*splits*size, sizeof(real)), window)
        with nogil:
            memcpy(flat, totals, (size - k.C)*sizeof(real))
            for part in range(1, splits):
                for i in range(size - k.C):
                    flat[i] += totals[2*part*size + i]
            if db is not None:
                for i in range(k.C):
                    sum = 0
                    for part in range(splits):
                        sum = sum + totals[(2*part + 1)*size - k.C + i]
                    db[i] = sum
    finally:
        free(block)
