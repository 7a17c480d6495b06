# Convolution from few channels to few, or its input gradient, on planes (planes.pxd).
#
#     y[k, e] = sum_{r, c, s} plane[c, e + r*slope*pitch + s*slope] * w[r, c, s, k]       e: column of a block
#
# A tile is up to MOST channels of the target by as many vectors as registers are left for.  Loops in a task, a block
# of a chunk: group, part of its channels, tile, window row, channel of the source, window column.  The sums go to
# planes of the target, from which pixels are collected at the end.

from libc.string cimport memset

from cyconv.kernels.correlate cimport Weights
from cyconv.kernels.planes cimport (
    Area, MOST, Planes, WIDEST, area_of, lay_out, order_of, part_start, parts_of, rounds_of, wide,
)
from cyconv.kernels.scratch cimport lines, take
from cyconv.kernels.simd cimport (
    HOLD, ROUNDS, VFILL, VGREATER, VL, VLOAD, VSELECT, VSTORE, VZERO, interleave, lvec, permute, real, store_upto,
    vec,
)
from cyconv.kernels.tasks cimport Call, stopped

cdef struct PlaneOutputs:
    Planes planes
    real* y
    const real* bias        # K values, or NULL
    bint relu
    real* packed            # [group][part][r][c][s][channel of the part]


cdef inline Py_ssize_t outputs_of(const Planes* k) noexcept nogil:
    """Numbers of a plane of the target: its last tile may be longer than its rows."""
    return k.rows*k.pitch + WIDEST*VL


cdef inline Py_ssize_t inputs_of(const Planes* k) noexcept nogil:
    """And of all those of the source: the last tile reads as much too far."""
    return k.groups*k.C*k.size + WIDEST*VL


cdef inline size_t output_bytes(const Planes* k) noexcept nogil:
    return lines(inputs_of(k), sizeof(real)) + lines(k.groups*k.K*outputs_of(k), sizeof(real))


cdef inline Py_ssize_t packed_of(const Planes* k) noexcept nogil:
    """Numbers of the weights of a group."""
    return k.h.taps*k.w.taps*k.C*k.K


cdef inline void pack_taps(const Planes* k, const Weights* w, real* packed) noexcept nogil:
    cdef Py_ssize_t group, part, r, c, s, i
    cdef const real* w_rsc
    for group in range(k.chunks*k.groups):
        for part in range(parts_of(k.K)):
            for r in range(k.h.taps):
                for c in range(k.C):
                    for s in range(k.w.taps):
                        w_rsc = w.w + group*w.group + c*w.row
                        w_rsc += ((k.h.tap + r*k.h.tap_step)*w.S + k.w.tap + s*k.w.tap_step)*w.tap
                        for i in range(part_start(k.K, part), part_start(k.K, part + 1)):
                            packed[0] = w_rsc[i*w.column]
                            packed += 1


cdef inline void plane_tile(int rows, const Planes* k, const real* x, const real* w, real* y) noexcept nogil:
    cdef vec acc[MOST][WIDEST]
    cdef vec value[WIDEST]
    cdef real weight
    cdef const real* x_c
    cdef const real* x_s
    cdef Py_ssize_t r, _
    cdef int i, j, nv = wide(rows)
    for i in range(rows):
        for j in range(nv):
            acc[i][j] = VZERO
    for r in range(k.h.taps):
        x_c = x + r*k.h.slope*k.pitch
        for _ in range(k.C):
            x_s = x_c
            for _ in range(k.w.taps):
                for j in range(nv):
                    value[j] = VLOAD(x_s + j*VL)
                    HOLD(value[j])
                for i in range(rows):
                    weight = w[i]
                    for j in range(nv):
                        acc[i][j] = acc[i][j] + weight*value[j]
                w += rows
                x_s += k.w.slope
            x_c += k.size
    for i in range(rows):
        for j in range(nv):
            VSTORE(y + i*outputs_of(k) + j*VL, acc[i][j])


cdef inline void plane_tiles(
    int rows, const Planes* k, const real* x, const real* w, real* y, Py_ssize_t count
) noexcept nogil:
    """`count` columns of so many channels."""
    cdef Py_ssize_t e = 0
    while e < count:
        plane_tile(rows, k, x + e, w, y + e)
        e += wide(rows)*VL


cdef inline void multiply_planes(
    const Planes* k, const real* x, const real* w, real* y, Py_ssize_t count
) noexcept nogil:
    """Of all channels of a group."""
    cdef Py_ssize_t part, rows
    for part in range(parts_of(k.K)):
        rows = part_start(k.K, part + 1) - part_start(k.K, part)
        if rows == 1:
            plane_tiles(1, k, x, w, y, count)
        elif rows == 2:
            plane_tiles(2, k, x, w, y, count)
        elif rows == 3:
            plane_tiles(3, k, x, w, y, count)
        elif rows == 4:
            plane_tiles(4, k, x, w, y, count)
        elif MOST > 4 and rows == 5:
            plane_tiles(5, k, x, w, y, count)
        elif MOST > 4 and rows == 6:
            plane_tiles(6, k, x, w, y, count)
        elif MOST > 4 and rows == 7:
            plane_tiles(7, k, x, w, y, count)
        elif MOST > 4:
            plane_tiles(8, k, x, w, y, count)
        w += k.h.taps*k.C*k.w.taps*rows
        y += rows*outputs_of(k)


cdef inline void collect_pixels(
    int rounds, const PlaneOutputs* o, Py_ssize_t chunk, const real* planes, Py_ssize_t count, lvec order, real* y_p
) noexcept nogil:
    """y_p[i, :] = act(bias + number i of every plane of a chunk) for `count` pixels, 2**(rounds - 1) < K <= 2**rounds.

    What a vector has too much of is overwritten by the next one, unless there are other chunks."""
    cdef const Planes* k = &o.planes
    cdef Py_ssize_t K = k.groups*k.K, size = outputs_of(k), pixels = VL >> rounds
    cdef Py_ssize_t numbers = count*K, step = pixels*K*k.chunks
    cdef const real* bias = NULL if o.bias == NULL else o.bias + chunk*K
    cdef bint relu = o.relu, alone = k.chunks == 1
    cdef vec rows[VL]
    cdef int i
    y_p += chunk*K
    while numbers > 0:
        for i in range(1 << rounds):
            rows[i] = VZERO
            if i < K:
                rows[i] = VLOAD(planes + i*size)
                if bias != NULL:
                    rows[i] = rows[i] + VFILL(bias[i])
                if relu:
                    rows[i] = VSELECT(VGREATER(VZERO, rows[i]), VZERO, rows[i])
        interleave(rows, 1 << rounds, rounds)
        for i in range(1 << rounds):
            if rounds < ROUNDS:
                rows[i] = permute(rows[i], order)
            if numbers > 0:
                store_upto(y_p, rows[i], numbers if alone else K)
            y_p += step
            numbers -= pixels*K
        planes += VL


cdef inline int collect_rounds(const Planes* k) noexcept nogil:
    """As many as a pixel needs; where there are other chunks all, for one pixel to a vector."""
    return rounds_of(k.groups*k.K) if k.chunks == 1 else ROUNDS


cdef inline void collect(
    const PlaneOutputs* o, Py_ssize_t chunk, const real* planes, Py_ssize_t count, lvec order, real* y_p
) noexcept nogil:
    cdef int rounds = collect_rounds(&o.planes)
    if rounds == 0:
        collect_pixels(0, o, chunk, planes, count, order, y_p)
    elif rounds == 1:
        collect_pixels(1, o, chunk, planes, count, order, y_p)
    elif ROUNDS > 1 and rounds == 2:
        collect_pixels(2, o, chunk, planes, count, order, y_p)
    elif ROUNDS > 2 and rounds == 3:
        collect_pixels(3, o, chunk, planes, count, order, y_p)
    elif ROUNDS > 3:
        collect_pixels(4, o, chunk, planes, count, order, y_p)


cdef inline void plane_output_task(const void* problem, Py_ssize_t index, char* scratch, Call* call) noexcept nogil:
    """Chunk index % k.chunks of a block."""
    cdef const PlaneOutputs* o = <const PlaneOutputs*>problem
    cdef const Planes* k = &o.planes
    cdef Area a = area_of(k, index // k.chunks)
    cdef Py_ssize_t chunk = index % k.chunks, count = (a.rows - 1)*k.pitch + a.columns, K = k.groups*k.K, g, i
    cdef real* x = <real*>take(&scratch, inputs_of(k), sizeof(real))
    cdef real* y = <real*>take(&scratch, K*outputs_of(k), sizeof(real))
    cdef real* y_p = o.y + ((a.n*k.h.count + a.q)*k.w.count + a.p)*k.chunks*K
    cdef lvec order = order_of(1 << collect_rounds(k), K if k.chunks == 1 else VL)
    if stopped(call, count*k.groups*packed_of(k)):
        return
    memset(x + k.groups*k.C*k.size, 0, WIDEST*VL*sizeof(real))
    lay_out(k, &a, chunk, x)
    for g in range(k.groups):
        multiply_planes(
            k, x + g*k.C*k.size, o.packed + (chunk*k.groups + g)*packed_of(k), y + g*k.K*outputs_of(k), count
        )
    for i in range(a.rows):
        collect(o, chunk, y + i*k.pitch, a.columns, order, y_p + i*k.w.count*k.chunks*K)
