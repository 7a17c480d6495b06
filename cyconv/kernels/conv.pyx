"""Direct convolution: forward and input gradient (correlate.pxd), weight gradient (outer.pxd).

From or to few channels by kernels of their own, wherever they pay: planes.pxd and slim.pxd.
"""

from libc.stdlib cimport free

from cyconv.kernels.correlate cimport Weights, Work, correlate_task, pixel_block, set_forward, set_gradient, work_bytes
from cyconv.kernels.outer cimport MOST_SPLITS, Outer, add_splits, outer_bytes, outer_task, plan_outer
from cyconv.kernels.phases cimport Phases, fill_gaps, find_phases
from cyconv.kernels.plane_outputs cimport PlaneOutputs, output_bytes, pack_taps, packed_of, plane_output_task
from cyconv.kernels.plane_weights cimport PlaneWeights, plane_weight_task, weight_bytes, weights_of
from cyconv.kernels.planes cimport Planes, blocks_of, plan_planes
from cyconv.kernels.scratch cimport align, allocate, lines
from cyconv.kernels.shapes cimport Shapes, check_bias, check_conv, merge_window, shapes_of
from cyconv.kernels.shares cimport Cut, cut_up
from cyconv.kernels.simd cimport MR, VFILL, VL, describe_build, real, vec
from cyconv.kernels.slim cimport slim_bytes, slim_pays, slim_task
from cyconv.kernels.slim_weights cimport slim_weight_bytes, slim_weight_task
from cyconv.kernels.tasks cimport Call, run_tasks, stopped
from cyconv.kernels.tile cimport panels_of
from cyconv.kernels.windows cimport Axis, forward_axis, plan_segments

cdef enum:
    SETUP = 4096        # multiply-adds that take as long as finding the windows of a task


def describe():
    """What this module was compiled for."""
    return describe_build()


cdef struct Run:
    Work work           # axes and pixels are those of a phase
    Phases phases
    Py_ssize_t tasks    # of each phase


cdef inline void set_phase(Work* k, const Phases* p, Py_ssize_t phase) noexcept nogil:
    k.source.h, k.source.w = p.h[phase // p.n_w], p.w[phase % p.n_w]
    k.pixels = k.source.h.count*k.source.w.count*k.images
    plan_segments(&k.source, k.target.groups == 1, 0)


cdef inline bint is_slim(const Work* k) noexcept nogil:
    return k.target.groups == 1 and slim_pays(k.source.segments, k.source.length, k.target.K)


cdef void phase_task(const void* problem, Py_ssize_t index, char* scratch, Call* call) noexcept nogil:
    """Task index // phases of phase index % phases, which has fewer of them if its outputs are fewer."""
    cdef const Run* run = <const Run*>problem
    cdef Work k = run.work
    cdef Py_ssize_t phases = run.phases.n_h*run.phases.n_w
    set_phase(&k, &run.phases, index % phases)
    index //= phases
    if index // k.parts*k.block < k.pixels and not stopped(call, SETUP):
        if is_slim(&k):
            slim_task(&k, index, scratch, call)
        else:
            correlate_task(&k, index, scratch, call)


cdef size_t share_out(Run* run, int threads) noexcept nogil:
    """Cut every phase into tasks of equal size; returns the bytes of scratch that one needs.

    For each panel a task packs weights, which takes as long as two tiles; pixels read again by another range of panels
    cost 0.6 of a panel: of 0.05 to 1 tried on ResNet-50's layers with two threads the best."""
    cdef Work* k = &run.work
    cdef Phases* p = &run.phases
    cdef Py_ssize_t panels = panels_of(k.target.K)*k.target.groups, phases = p.n_h*p.n_w, corner, block
    cdef Cut cut
    cdef Py_ssize_t rows = (k.target.H - 1) // p.h[0].out_step + 1, columns = (k.target.W - 1) // p.w[0].out_step + 1
    cdef Py_ssize_t pixels = k.images*rows*columns      # of the largest phase
    cdef Py_ssize_t corners[4]
    cdef size_t size = 0
    # Phases of an axis differ in their taps by one at most, the first having most and the last fewest.
    corners[0], corners[1], corners[2], corners[3] = 0, p.n_w - 1, phases - p.n_w, phases - 1
    block = pixels
    for corner in range(4):
        set_phase(k, p, corners[corner])
        block = min(block, pixel_block(&k.source))
    cut = cut_up((pixels + 2*MR - 1) // (2*MR), panels, (pixels + block - 1) // block, phases, 0.6, 1, threads)
    k.parts = cut.columns
    k.block = ((pixels + cut.rows - 1) // cut.rows + 2*MR - 1) // (2*MR)*(2*MR)
    run.tasks = (pixels + k.block - 1) // k.block*k.parts
    for corner in range(4):
        set_phase(k, p, corners[corner])
        size = max(size, slim_bytes(k) if is_slim(k) else work_bytes(k))
    return lines(size, 1)


cdef int run_phases(Run* run, int threads) except -1:
    cdef Py_ssize_t phases = run.phases.n_h*run.phases.n_w
    cdef size_t size
    cdef void* block
    if phases == 0:         # a stride over an image that is narrower than its padding
        return 0
    size = share_out(run, threads)
    threads = <int>min(threads, run.tasks*phases)
    block = allocate(size*threads)
    try:
        return run_tasks(phase_task, run, run.tasks*phases, threads, align(block), size)
    finally:
        free(block)


cdef int run_planes(PlaneOutputs* k, Py_ssize_t images, const Weights* w, int threads) except -1:
    cdef const Planes* p = &k.planes
    cdef Py_ssize_t tasks = images*blocks_of(p)*p.chunks
    cdef size_t size = lines(output_bytes(p), 1), shared = lines(p.chunks*p.groups*packed_of(p), sizeof(real))
    cdef void* block
    threads = <int>min(threads, tasks)
    block = allocate(shared + size*threads)
    k.packed = <real*>align(block)
    try:
        with nogil:
            pack_taps(p, w, k.packed)
        return run_tasks(plane_output_task, k, tasks, threads, align(block) + shared, size)
    finally:
        free(block)


def forward(
    const real[:, :, :, ::1] x not None, const real[:, :, :, ::1] w not None, const real[::1] b,
    real[:, :, :, ::1] y not None, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t pad_h, Py_ssize_t pad_w,
    Py_ssize_t dilation_h, Py_ssize_t dilation_w, Py_ssize_t groups, bint relu, int threads,
):
    """y[n, i, j, k] = act(b[k] + sum_{r, s, c} x[n, i*stride + r*dilation - pad, ..., c] * w[r, s, c, k]).

    x (N, H, W, C), w (R, S, C // groups, K), b (K,) or None, y (N, OH, OW, K); nothing is empty.
    """
    cdef Run run
    cdef PlaneOutputs planes
    cdef Axis h, v
    cdef Shapes s = shapes_of(&x.shape[0], &w.shape[0], &y.shape[0])
    check_conv(s.x, s.w, s.y, groups)
    check_bias(b, s.y[3])
    merge_window(&s, groups, pad_h, pad_w, dilation_h, dilation_w)
    h = forward_axis(s.x[1], s.y[1], s.w[0], stride_h, pad_h, dilation_h)
    v = forward_axis(s.x[2], s.y[2], s.w[1], stride_w, pad_w, dilation_w)
    set_forward(
        &run.work, &s, &x[0, 0, 0, 0], &w[0, 0, 0, 0], NULL if b is None else &b[0], &y[0, 0, 0, 0], groups, relu
    )
    if plan_planes(&planes.planes, run.work.source.x, &h, &v, s.x[3], s.y[3], groups, False):
        planes.y, planes.bias, planes.relu = run.work.target.y, run.work.target.bias, relu
        run_planes(&planes, s.x[0], &run.work.weights, threads)
        return
    run.phases.h, run.phases.w, run.phases.n_h, run.phases.n_w = &h, &v, 1, 1
    run_phases(&run, threads)


def input_grad(
    const real[:, :, :, ::1] dy not None, const real[:, :, :, ::1] w not None, const real[::1] b,
    real[:, :, :, ::1] dx not None, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t pad_h, Py_ssize_t pad_w,
    Py_ssize_t dilation_h, Py_ssize_t dilation_w, Py_ssize_t groups, bint relu, int threads,
):
    """dx[n, h, v, c] = act(b[c] + sum dy[n, i, j, k] * w[r, s, c, k]) where i*stride + r*dilation - pad = h, ...

    dy (N, OH, OW, K), w (R, S, C // groups, K), b (C,) or None, dx (N, H, W, C); nothing is empty.  With a bias this is
    transposed convolution.  One set of windows for each phase (phases.pxd).
    """
    cdef Run run
    cdef PlaneOutputs planes
    cdef Shapes s = shapes_of(&dx.shape[0], &w.shape[0], &dy.shape[0])
    cdef const real* bias = NULL if b is None else &b[0]
    cdef real* repeated = NULL
    cdef Py_ssize_t c
    check_conv(s.x, s.w, s.y, groups)
    check_bias(b, s.x[3])
    run.phases.h = NULL
    try:
        if merge_window(&s, groups, pad_h, pad_w, dilation_h, dilation_w):
            stride_h = stride_w = dilation_h = dilation_w = 1
            if b is not None:
                bias = repeated = <real*>allocate(s.x[3]*sizeof(real))
                for c in range(s.x[3]):
                    repeated[c] = b[c % dx.shape[3]]
        find_phases(&run.phases, s.y, s.w, s.x, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w)
        fill_gaps(&run.phases, s.x, bias, relu, &dx[0, 0, 0, 0], threads)
        set_gradient(&run.work, &s, &dy[0, 0, 0, 0], &w[0, 0, 0, 0], bias, &dx[0, 0, 0, 0], groups, relu)
        if run.phases.n_h == run.phases.n_w == 1 and plan_planes(
            &planes.planes, run.work.source.x, run.phases.h, run.phases.w, s.y[3], s.x[3], groups, False
        ):
            planes.y, planes.bias, planes.relu = run.work.target.y, bias, relu
            run_planes(&planes, s.x[0], &run.work.weights, threads)
            return
        run_phases(&run, threads)
    finally:
        free(run.phases.h)
        free(repeated)


cdef int run_plane_weights(PlaneWeights* k, real* dw, double* db, int threads) except -1:
    cdef const Planes* p = &k.planes
    cdef size_t size = lines(weight_bytes(p), 1), biases, shared
    cdef void* block
    k.splits = min(MOST_SPLITS, k.blocks)
    cdef Py_ssize_t K = p.chunks*p.groups*p.K
    threads = <int>min(threads, k.splits*p.chunks)
    biases = lines(k.splits*K, sizeof(double))
    shared = biases + lines(weights_of(p)*k.splits, sizeof(real))
    block = allocate(shared + size*threads)
    k.partial_db = NULL if db == NULL else <double*>align(block)
    k.partial = dw if k.splits == 1 else <real*>(align(block) + biases)
    try:
        run_tasks(plane_weight_task, k, k.splits*p.chunks, threads, align(block) + shared, size)
        with nogil:
            add_splits(dw, k.partial, weights_of(p), db, k.partial_db, K, k.splits)
        return 0
    finally:
        free(block)


def weight_grad(
    const real[:, :, :, ::1] dy not None, const real[:, :, :, ::1] x not None, real[:, :, :, ::1] dw not None,
    double[::1] db, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t pad_h, Py_ssize_t pad_w,
    Py_ssize_t dilation_h, Py_ssize_t dilation_w, Py_ssize_t groups, int threads,
):
    """dw[r, s, c, k] = sum_{n, i, j} x[n, i*stride + r*dilation - pad, ..., c] * dy[n, i, j, k],  db[k] = sum dy.

    dy (N, OH, OW, K), x (N, H, W, C), dw (R, S, C // groups, K), db (K,) float64 or None; nothing is empty.
    """
    cdef Outer k
    cdef PlaneWeights planes
    cdef bint slim
    cdef Py_ssize_t tasks
    cdef size_t size, biases, shared
    cdef void* block
    cdef Shapes s = shapes_of(&x.shape[0], &dw.shape[0], &dy.shape[0])
    check_conv(s.x, s.w, s.y, groups)
    merge_window(&s, groups, pad_h, pad_w, dilation_h, dilation_w)
    k.source.x, k.source.C = &x[0, 0, 0, 0], s.x[3]
    k.source.h = forward_axis(s.x[1], s.y[1], s.w[0], stride_h, pad_h, dilation_h)
    k.source.w = forward_axis(s.x[2], s.y[2], s.w[1], stride_w, pad_w, dilation_w)
    k.dy, k.pixels = &dy[0, 0, 0, 0], s.y[0]*s.y[1]*s.y[2]
    k.K, k.groups = s.y[3] // groups, groups
    k.dw = &dw[0, 0, 0, 0]
    k.db = NULL if db is None else &db[0]
    if plan_planes(&planes.planes, k.source.x, &k.source.h, &k.source.w, s.x[3], s.y[3], groups, True):
        planes.dy, planes.blocks = k.dy, s.x[0]*blocks_of(&planes.planes)
        run_plane_weights(&planes, k.dw, k.db, threads)
        return
    plan_outer(&k, threads)
    slim = groups == 1 and slim_pays(k.source.segments, k.source.length, k.K)
    tasks = k.splits if slim else k.splits*k.parts*k.panel_parts
    threads = <int>min(threads, tasks)
    size = lines(slim_weight_bytes(&k) if slim else outer_bytes(&k), 1)
    biases = lines(k.splits*k.K*groups, sizeof(double))
    shared = biases + lines(k.partial_size*k.splits if k.splits > 1 else 0, sizeof(real))
    block = allocate(shared + size*threads)
    k.partial_db = <double*>align(block)
    k.partial = <real*>(align(block) + biases)
    try:
        run_tasks(slim_weight_task if slim else outer_task, &k, tasks, threads, align(block) + shared, size)
        with nogil:
            add_splits(k.dw, k.partial, k.partial_size, k.db, k.partial_db, k.K*groups, k.splits)
    finally:
        free(block)


cdef double chains(Py_ssize_t rounds) noexcept nogil:
    cdef vec sums[2*MR]
    cdef Py_ssize_t _
    cdef int j
    for j in range(2*MR):
        sums[j] = VFILL(j + 3)          # not 2, which stays 2: GCC leaves such a chain out
    for _ in range(rounds):
        for j in range(2*MR):
            sums[j] = sums[j]*VFILL(0.5) + VFILL(1)
    for j in range(1, 2*MR):
        sums[0] = sums[0] + sums[j]
    return (<real*>sums)[0]


def multiply_add(Py_ssize_t rounds):
    """The limit of this core: independent chains of multiply-adds in registers, nothing loaded or stored.

    Returns the floating-point operations done; time the call to have the rate.
    """
    with nogil:
        value = chains(rounds)
    return rounds*2*MR*2*VL if value == value else 0
