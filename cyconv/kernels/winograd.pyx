"""Winograd convolution F(M x M, R x R), M + R = 7: 36 multiplications where direct convolution takes M*M*R*R, which is
144 for filters of 3 x 3 and 4 x 4, 100 for 5 x 5.

    V[e] = B d B^T of every 6 x 6 source tile        U[e] = G g G^T of every filter         e = 0 .. 35
    P[e] = V[e] U[e]                                 y    = A P A^T

The sums over channels are matrix products on the register tile of direct convolution (winograd_product.pxd; four tiles
have an order of their own: winograd_few.pxd), those of a group by themselves.  The input gradient is the same with the
taps backwards; the weight gradient is in winograd_weights.pxd.

Tiles are independent and the chunks of the sums fixed: the same bits for any number of threads and any split of the
batch.  A NaN or an infinity in the source reaches at least the outputs it reaches in direct convolution, and may reach
the other outputs of its tile.
"""

from libc.stdlib cimport free

from cyconv.kernels.bypass cimport bypasses
from cyconv.kernels.correlate cimport Work, set_forward, set_gradient
from cyconv.kernels.fetch cimport FAR, LINE
from cyconv.kernels.outer cimport add_splits
from cyconv.kernels.scratch cimport align, allocate, lines
from cyconv.kernels.shapes cimport Shapes, check_bias, check_winograd, shapes_of
from cyconv.kernels.simd cimport VL, describe_build, real
from cyconv.kernels.tasks cimport Call, run_tasks
from cyconv.kernels.tile cimport panels_of
from cyconv.kernels.windows cimport forward_axis, gradient_axis
from cyconv.kernels.winograd_few cimport IN_REGISTERS, Few, few_part
from cyconv.kernels.winograd_few_weights cimport MOST_FEW, few_weights
from cyconv.kernels.winograd_filters cimport CHUNK, filter_numbers, filter_step, may_be_kept
from cyconv.kernels.winograd_product cimport Tiling, filter_task, forward_task, set_size, set_tiling
from cyconv.kernels.winograd_weights cimport Gradient, gradient_bytes, gradient_task, set_gradient_tasks


def describe():
    """What this module was compiled for."""
    return describe_build()


cdef void few_task(const void* problem, Py_ssize_t index, char* scratch, Call* call) noexcept nogil:
    few_part(3, <const Few*>problem, index, scratch, call)


cdef void few_weights_of_3(
    const real* xs, Py_ssize_t step_x, Py_ssize_t pitch_x, const real* dys, Py_ssize_t step_dy, int nv,
    const Py_ssize_t* start, real* dw, Py_ssize_t tap, Py_ssize_t K, Py_ssize_t channels, Py_ssize_t columns,
) noexcept nogil:
    few_weights(3, xs, step_x, pitch_x, dys, step_dy, nv, start, dw, tap, K, channels, columns)


# Both are called twice, and would be inlined twice.


cdef void plan_forward(
    Tiling* g, int R, Py_ssize_t images, Py_ssize_t H, Py_ssize_t W, Py_ssize_t C, Py_ssize_t K, Py_ssize_t groups,
    bint prepared, int threads,
) noexcept nogil:
    set_tiling(g, R, images, H, W, C, K, groups, prepared, threads)


cdef void plan_gradient(Gradient* k, int threads) noexcept nogil:
    set_gradient_tasks(k, threads)


cdef int run(Work* k, int R, const real* filters, int threads) except -1:
    cdef Tiling g
    cdef Few few
    cdef Py_ssize_t tasks, read, written, groups = k.target.groups, K = k.target.K
    cdef size_t size, shared
    cdef void* memory
    cdef char* block
    k.source.by_row = False
    plan_forward(&g, R, k.images, k.target.H, k.target.W, k.C, K, groups, filters != NULL, threads)
    read, written = k.images*k.source.h.size*k.source.w.size*k.source.C, k.images*k.target.H*k.target.W*K*groups
    g.far, g.far_source = written*<Py_ssize_t>sizeof(real) > FAR, read*<Py_ssize_t>sizeof(real) > FAR
    g.past = VL == LINE and K % VL == 0 and bypasses(k.target.y, K*groups, written, read)
    tasks = groups*g.blocks*g.parts
    threads = <int>min(threads, tasks)
    size = lines(g.scratch, 1)
    shared = lines(filter_numbers(k.C, K, groups), sizeof(real)) if g.kept and filters == NULL else 0
    memory = allocate(shared + size*threads)
    block = align(memory)
    g.work, g.filters = k, <real*>filters
    few.work, few.parts, few.finish, few.tiling = k, g.parts, g.finish, &g
    try:
        if shared:
            g.filters = <real*>block
            run_tasks(filter_task, &g, groups*panels_of(K)*g.chunks, threads, NULL, 0)
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
    """As conv.forward, for w (R, R, C // groups, K), 3 <= R <= 5, stride 1, dilation 1; `filters` is what `prepare`
    made of w."""
    cdef Work k
    cdef Shapes s
    check_winograd(&x.shape[0], &w.shape[0], &y.shape[0], groups)
    check_bias(b, y.shape[3])
    s = shapes_of(&x.shape[0], &w.shape[0], &y.shape[0])
    set_forward(&k, &s, &x[0, 0, 0, 0], &w[0, 0, 0, 0], NULL if b is None else &b[0], &y[0, 0, 0, 0], groups, relu)
    k.source.h = forward_axis(x.shape[1], y.shape[1], w.shape[0], 1, pad_h, 1)
    k.source.w = forward_axis(x.shape[2], y.shape[2], w.shape[0], 1, pad_w, 1)
    run(&k, <int>w.shape[0], NULL if filters is None else &filters[0], threads)


def prepared_size(Py_ssize_t C, Py_ssize_t K, Py_ssize_t groups):
    """Numbers that the transformed filters of w (R, R, C, groups*K) take; 0 if they had better be transformed at each
    call."""
    return filter_numbers(C, K, groups) if may_be_kept(C, K, groups) else 0


def prepare(const real[:, :, :, ::1] w not None, Py_ssize_t groups, real[::1] filters not None):
    """Transform the filters of `forward` once for many calls."""
    cdef Work k
    cdef Tiling g
    cdef Py_ssize_t index
    k.C, k.target.K = w.shape[2], w.shape[3] // groups
    k.weights.w, k.weights.tap, k.weights.row, k.weights.column = &w[0, 0, 0, 0], k.C*w.shape[3], w.shape[3], 1
    k.weights.group = k.target.K
    k.source.h.tap = k.source.w.tap = 0
    k.source.h.tap_step = k.source.w.tap_step = 1
    set_size(&g, <int>w.shape[0])
    g.work, g.filters, g.chunks, g.step = &k, &filters[0], (k.C + CHUNK - 1) // CHUNK, filter_step(k.C, k.target.K)
    with nogil:
        for index in range(groups*panels_of(k.target.K)*g.chunks):
            filter_task(&g, index, NULL, NULL)


def input_grad(
    const real[:, :, :, ::1] dy not None, const real[:, :, :, ::1] w not None, const real[::1] b,
    real[:, :, :, ::1] dx not None, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t pad_h, Py_ssize_t pad_w,
    Py_ssize_t dilation_h, Py_ssize_t dilation_w, Py_ssize_t groups, bint relu, int threads,
):
    """As conv.input_grad, for w (R, R, C // groups, K), 3 <= R <= 5, stride 1, dilation 1."""
    cdef Work k
    cdef Shapes s
    check_winograd(&dx.shape[0], &w.shape[0], &dy.shape[0], groups)
    check_bias(b, dx.shape[3])
    s = shapes_of(&dx.shape[0], &w.shape[0], &dy.shape[0])
    set_gradient(&k, &s, &dy[0, 0, 0, 0], &w[0, 0, 0, 0], NULL if b is None else &b[0], &dx[0, 0, 0, 0], groups, relu)
    k.source.h = gradient_axis(dy.shape[1], dx.shape[1], w.shape[0], 1, pad_h, 1, 0)
    k.source.w = gradient_axis(dy.shape[2], dx.shape[2], w.shape[0], 1, pad_w, 1, 0)
    run(&k, <int>w.shape[0], NULL, threads)


def weight_grad(
    const real[:, :, :, ::1] dy not None, const real[:, :, :, ::1] x not None, real[:, :, :, ::1] dw not None,
    double[::1] db, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t pad_h, Py_ssize_t pad_w,
    Py_ssize_t dilation_h, Py_ssize_t dilation_w, Py_ssize_t groups, int threads,
):
    """As conv.weight_grad, for dw (R, R, C // groups, K), 3 <= R <= 5, stride 1, dilation 1."""
    cdef Gradient k
    cdef Py_ssize_t tasks, numbers
    cdef size_t size, shared, biases
    cdef void* block
    check_winograd(&x.shape[0], &dw.shape[0], &dy.shape[0], groups)
    k.x, k.dy, k.dw, k.db = &x[0, 0, 0, 0], &dy[0, 0, 0, 0], &dw[0, 0, 0, 0], NULL
    if db is not None:
        k.db = &db[0]
    k.N, k.H, k.W, k.C = x.shape[0], x.shape[1], x.shape[2], dw.shape[2]
    k.OH, k.OW, k.K, k.groups = dy.shape[1], dy.shape[2], dy.shape[3] // groups, groups
    k.far = k.N*(k.H*k.W*x.shape[3] + k.OH*k.OW*dy.shape[3])*<Py_ssize_t>sizeof(real) > FAR
    k.R, k.pad_h, k.pad_w = <int>dw.shape[0], pad_h, pad_w
    plan_gradient(&k, threads)
    k.few = NULL
    if MOST_FEW and k.R == 3 and k.tiles <= MOST_FEW:
        k.few = few_weights_of_3
    tasks = k.groups*k.ranges*k.sets*k.splits
    threads = <int>min(threads, tasks)
    numbers = k.R*k.R*k.C*dy.shape[3]
    size = lines(gradient_bytes(&k), 1)
    biases = lines(k.splits*dy.shape[3], sizeof(double))
    shared = biases + lines(numbers*k.splits if k.splits > 1 else 0, sizeof(real))
    block = allocate(shared + size*threads)
    k.partial_db = <double*>align(block)
    k.partial = <real*>(align(block) + biases)
    try:
        run_tasks(gradient_task, &k, tasks, threads, align(block) + shared, size)
        with nogil:
            add_splits(k.dw, k.partial, numbers, k.db, k.partial_db, dy.shape[3], k.splits)
    finally:
        free(block)


def blocking(
    int R, Py_ssize_t N, Py_ssize_t H, Py_ssize_t W, Py_ssize_t C, Py_ssize_t K, Py_ssize_t groups, bint of_weights,
    int threads,
):
    """How a call is cut up, for filters of R x R and outputs (N, H, W, groups*K) of sums over C channels; for dw these
    are dy, and x has groups*C."""
    cdef Tiling g
    cdef Gradient k
    if of_weights:
        k.R, k.N, k.OH, k.OW, k.C, k.K, k.groups = R, N, H, W, C, K, groups
        plan_gradient(&k, threads)
        return {
            "tiles": k.tiles, "block": k.block, "tasks": groups*k.ranges*k.sets*k.splits,
            "scratch": gradient_bytes(&k),
        }
    plan_forward(&g, R, N, H, W, C, K, groups, False, threads)
    return {
        "tiles": g.tiles, "block": g.block, "tasks": groups*g.blocks*g.parts,
        "scratch": g.scratch,
    }
