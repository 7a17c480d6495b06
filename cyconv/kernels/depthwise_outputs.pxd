# The outputs of a depthwise convolution, or of its input gradient, in strips (strips.pxd).

from cyconv.kernels.depthwise_rows cimport whole_end
from cyconv.kernels.depthwise_strips cimport STEEPEST, sees, step_of, strip_of
from cyconv.kernels.depthwise_tiles cimport Depthwise
from cyconv.kernels.simd cimport VL, VSTORE, VZERO, load_upto, real, vec
from cyconv.kernels.strips cimport OUTPUTS, SIDE, SPAN, TALLEST, Strip, strip, tallest
from cyconv.kernels.windows cimport Axis


cdef inline void output_vector(
    int step, int height, const Strip* s, const Depthwise* k, const Axis* h, const Axis* w, const real* x_n, real* y_n,
    Py_ssize_t q, Py_ssize_t p, Py_ssize_t c, Py_ssize_t lanes,
) noexcept nogil:
    """Channels c .. c + lanes - 1 of `height` rows from q on, columns from p on."""
    cdef vec window[SIDE*SIDE]
    cdef real extra[VL]
    cdef const real* w_c = k.w + (h.tap*k.S + w.tap)*k.C + c
    cdef const real* x_q = x_n + ((h.base + q*h.step)*w.size + w.base + p*w.step)*k.C + c
    cdef real* y_qp = y_n + ((h.out + q*h.out_step)*k.W + w.out + p*w.out_step)*k.C + c
    cdef int i, j
    for i in range(SIDE):
        for j in range(SIDE):
            window[i*SIDE + j] = load_upto(w_c + (i*h.tap_step*k.S + j*w.tap_step)*k.C, lanes)
    VSTORE(extra, VZERO if k.bias == NULL else load_upto(k.bias + c, lanes))
    strip(
        OUTPUTS, step, height, s, window, extra, x_q, y_qp, w.base + p*w.step, min(SPAN, w.count - p), sees(h, q, 0),
        sees(h, q + height - 1, SIDE - 1), lanes,
    )


cdef inline void output_strip(
    int step, int height, const Strip* s, const Depthwise* k, const Axis* h, const Axis* w, const real* x_n, real* y_n,
    Py_ssize_t q, Py_ssize_t p,
) noexcept nogil:
    """All channels."""
    cdef Py_ssize_t c = k.lead, rest = whole_end(k.C, k.lead)
    while c < rest:
        output_vector(step, height, s, k, h, w, x_n, y_n, q, p, c, VL)
        c += VL
    c = 0 if k.lead else rest
    while c < k.C:
        output_vector(step, height, s, k, h, w, x_n, y_n, q, p, c, k.lead if c < k.lead else k.C - c)
        c = rest if c < k.lead else k.C


cdef inline void output_strips(
    int step, const Strip* s, const Depthwise* k, const Axis* h, const Axis* w, const real* x_n, real* y_n,
    Py_ssize_t q, Py_ssize_t end, Py_ssize_t p,
) noexcept nogil:
    cdef int height
    while q < end:
        height = tallest(end - q)
        if height == TALLEST:
            output_strip(step, TALLEST, s, k, h, w, x_n, y_n, q, p)
        elif TALLEST > 2 and height == 2:
            output_strip(step, 2, s, k, h, w, x_n, y_n, q, p)
        else:
            output_strip(step, 1, s, k, h, w, x_n, y_n, q, p)
        q += height


cdef inline void strips_of_rows(
    const Depthwise* k, const Axis* h, const Axis* w, const real* x_n, real* y_n, Py_ssize_t q, Py_ssize_t end,
    Py_ssize_t p,
) noexcept nogil:
    """Outputs p .. p + SPAN - 1 of rows q .. end - 1, as far as they are there, of windows that fit strips."""
    cdef Strip s = strip_of(h, w, k.C, k.W*k.C)
    s.relu, s.far, s.past = k.relu, k.far, k.past
    if STEEPEST == 1 or step_of(h) == 1:
        output_strips(1, &s, k, h, w, x_n, y_n, q, end, p)
    else:
        output_strips(2, &s, k, h, w, x_n, y_n, q, end, p)
