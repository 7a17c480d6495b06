# One axis of a sum over windows, forward or its gradient:
#
#     out[o] = sum of weight[t] * source[t]  over the terms t of output o,  / divisor
#
# Each source and each output is a run of numbers.  Terms go in passes of at most MOST, so that pointers and weights
# stay in registers; what a pass adds to lies in `out`.

from libc.string cimport memset

from cyconv.kernels.bypass cimport put
from cyconv.kernels.fetch cimport fetch_along
from cyconv.kernels.reach cimport MOST, Series
from cyconv.kernels.simd cimport VFILL, VL, VZERO, load_upto, real, vec


cdef inline void sum_vector(
    int count, const real** at, const vec* weight, bint more, bint past, real divisor, Py_ssize_t i, real* out,
    Py_ssize_t left,
) noexcept nogil:
    cdef vec total = load_upto(out, left) if more else VZERO
    cdef int t
    for t in range(count):
        total = total + weight[t]*load_upto(at[t] + i, left)
    if divisor != 1:
        total = total / VFILL(divisor)
    put(past, out, total, left)


cdef inline void sum_pass(
    int count, const Series* s, Py_ssize_t first, real divisor, const real* source, Py_ssize_t pitch, bint far,
    bint past, real* out,
) noexcept nogil:
    cdef const real* at[MOST]
    cdef vec weight[MOST]
    cdef Py_ssize_t m, e, i, o, outputs = s.count, length = s.length
    cdef Py_ssize_t source_step = s.source_step, out_step = s.out_step
    cdef int t
    for t in range(count):
        at[t] = source + (s.term[first + t].source + s.shift)*pitch
        weight[t] = VFILL(s.term[first + t].weight)
    for m in range(outputs):
        i, o, e = m*source_step, m*out_step, 0
        while e + VL <= length:
            if far:
                fetch_along(at[count - 1] + i + e)
                if not past:
                    fetch_along(out + o + e)
            sum_vector(count, at, weight, first > 0, past, divisor, i + e, out + o + e, VL)
            e += VL
        if e < length:
            sum_vector(count, at, weight, first > 0, False, divisor, i + e, out + o + e, length - e)


cdef inline void sum_terms(
    const Series* s, real divisor, const real* source, Py_ssize_t pitch, bint far, bint past, real* out
) noexcept nogil:
    cdef Py_ssize_t t = 0, m
    cdef real last
    past = past and s.terms <= MOST         # else what is written is read again
    if s.terms == 0:
        for m in range(s.count):
            memset(out + m*s.out_step, 0, s.length*sizeof(real))
    while t < s.terms:
        last = divisor if t + MOST >= s.terms else 1
        if s.terms - t == 1:
            sum_pass(1, s, t, last, source, pitch, far, past, out)
        elif s.terms - t == 2:
            sum_pass(2, s, t, last, source, pitch, far, past, out)
        elif s.terms - t == 3:
            sum_pass(3, s, t, last, source, pitch, far, past, out)
        else:
            sum_pass(MOST, s, t, last, source, pitch, far, past, out)
        t += MOST
