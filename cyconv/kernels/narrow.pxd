# The input gradient for fewer channels than a vector has lanes: the first layer of a network, transposed convolution to
# a colour image.
#
#     dx[n, h, v, c] = act(b[c] + sum_{r, s, k} dy[n, i, j, k] * w[r, s, c, k]),   i*stride + r*dilation - pad = h, ...
#
# With C channels as the columns of a product most lanes would be idle, and zero padding multiplied.  Here a row of a
# window is: dy_i (OW x K) times w_r (K x S*C), which holds the S*C numbers that pixel j of row i gives to row h of dx.
# Then every pixel of that row gathers its share of these products, which are still in L1 or L2.  Only taps that exist
# are multiplied, for any stride.
#
# Loop order: row of dx, window row, panel, tile of pixels; pixel of dx, tap.  A task owns rows of dx and sums them in
# one order: the same bits for any number of threads and any split of the batch.

from libc.string cimport memset

from cyconv.kernels.phases cimport Phases
from cyconv.kernels.scratch cimport lines, take
from cyconv.kernels.simd cimport (
    MR, VGREATER, VL, VLOAD, VSELECT, VZERO, load_upto, real, store_upto, vec,
)
from cyconv.kernels.tasks cimport Call, stopped
from cyconv.kernels.tile cimport Finish, multiply_across, panel_start, panels_of
from cyconv.kernels.windows cimport Axis

cdef enum:
    LARGEST = 1 << 20       # bytes of the products of a row

cdef struct Narrow:
    const real* dy
    real* dx
    const real* bias        # C values, or NULL
    bint relu
    real* packed            # [r][panel][k][nv*VL]: w_r transposed
    Py_ssize_t N
    Py_ssize_t OH
    Py_ssize_t OW
    Py_ssize_t K
    Py_ssize_t H
    Py_ssize_t W
    Py_ssize_t C
    Py_ssize_t R
    Py_ssize_t S
    Py_ssize_t stride_w
    Py_ssize_t pad_w
    Phases phases           # of the rows; the columns of a row are gathered whatever their phase
    Py_ssize_t outputs      # rows of dx in a phase, at most


cdef inline Py_ssize_t product_width(const Narrow* k) noexcept nogil:
    return (k.S*k.C + VL - 1) // VL*VL


cdef inline Py_ssize_t most_rows(const Narrow* k) noexcept nogil:
    """Window rows that lead to a row of dx."""
    return k.phases.h[0].taps


cdef inline size_t narrow_bytes(const Narrow* k) noexcept nogil:
    return (
        lines(most_rows(k)*k.OW*product_width(k) + VL, sizeof(real))
        + 2*lines(k.OW + 2*MR, sizeof(void*))
    )


cdef inline void pack_rows(const Narrow* k, const real* w) noexcept nogil:
    cdef Py_ssize_t r, panel, column, c, j, width, panels = panels_of(k.S*k.C), columns = k.S*k.C
    cdef real* packed = k.packed
    memset(packed, 0, k.R*k.K*product_width(k)*sizeof(real))
    for r in range(k.R):
        for panel in range(panels):
            column = panel_start(columns, panels, panel)*VL
            width = panel_start(columns, panels, panel + 1)*VL - column
            for c in range(k.K):
                for j in range(min(width, columns - column)):
                    packed[j] = w[(r*columns + column + j)*k.K + c]
                packed += width


cdef inline void gather_row(const Narrow* k, const real* products, Py_ssize_t rows, real* dx_h) noexcept nogil:
    """One row of dx from the products of its window rows.  A load takes VL numbers, of which C are stored."""
    cdef Py_ssize_t v, i, s, j, step = k.OW*product_width(k)
    cdef const real* p_j
    cdef vec value
    for v in range(k.W):
        value = VZERO
        s = (v + k.pad_w) % k.stride_w
        j = (v + k.pad_w) // k.stride_w
        while s < k.S and j >= 0:
            if j < k.OW:
                p_j = products + j*product_width(k) + s*k.C
                for i in range(rows):
                    value = value + VLOAD(p_j + i*step)
            s += k.stride_w
            j -= 1
        if k.bias != NULL:
            value = value + load_upto(k.bias, k.C)
        if k.relu:
            value = VSELECT(VGREATER(VZERO, value), VZERO, value)
        store_upto(dx_h + v*k.C, value, k.C)


cdef inline void narrow_task(const void* problem, Py_ssize_t index, char* scratch, Call* call) noexcept nogil:
    """A row of an image's dx: row q of phase index % n_h."""
    cdef const Narrow* k = <const Narrow*>problem
    cdef const Axis* h = &k.phases.h[index % k.phases.n_h]
    cdef Py_ssize_t n = index // k.phases.n_h // k.outputs, q = index // k.phases.n_h % k.outputs, row
    cdef Py_ssize_t t, r, i, j, panel, columns = k.S*k.C, wide = product_width(k), rows = 0
    cdef Py_ssize_t panels = panels_of(columns), start, width
    cdef real* products = <real*>take(&scratch, most_rows(k)*k.OW*wide + VL, sizeof(real))
    cdef const real** at = <const real**>take(&scratch, k.OW + 2*MR, sizeof(void*))
    cdef real** out = <real**>take(&scratch, k.OW + 2*MR, sizeof(void*))
    cdef Finish f
    f.lo, f.first, f.last, f.far, f.relu, f.bias, f.lanes = 0, True, False, False, False, NULL, VL
    if q >= h.count:
        return
    row = n*k.H + h.out + q*h.out_step
    for t in range(h.taps):
        r, i = h.tap + t*h.tap_step, h.base + q + t*h.slope
        if not 0 <= i < k.OH:
            continue
        for j in range(k.OW + 2*MR):                # the spare rows of the last tile read the last pixel again
            at[j] = k.dy + ((n*k.OH + i)*k.OW + min(j, k.OW - 1))*k.K
            out[j] = products + (rows*k.OW + min(j, k.OW - 1))*wide
        for panel in range(panels):
            start = panel_start(columns, panels, panel)*VL
            width = panel_start(columns, panels, panel + 1)*VL - start
            if stopped(call, k.OW*width*k.K):
                return
            f.column = start
            multiply_across(
                <int>(width // VL), at, 0, k.OW, 0, 1, k.K, k.packed + (r*wide + start)*k.K, NULL, 0, &f, out
            )
        rows += 1
    gather_row(k, products, rows, k.dx + row*k.W*k.C)


cdef inline bint narrow_pays(const Narrow* k) noexcept nogil:
    """Fewer channels than lanes, rows of taps that are neighbours, and products of a row that stay in the caches."""
    return (
        k.phases.n_h > 0 and k.C < VL and k.S > 1
        and most_rows(k)*k.OW*product_width(k)*<Py_ssize_t>sizeof(real) < LARGEST
    )
