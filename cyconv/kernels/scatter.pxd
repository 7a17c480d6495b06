# Numbers put where indices say: the inverse of maximum pooling, and its gradient by indices.
#
#     plane[n, indices[n, i, c], c] = or += values[n, i, c],  zero elsewhere
#
# values, indices (N, OH*OW, C), plane (N, H*W, C).  Loops: points in order, then channels, one task an image: positions
# may meet within one only.  Each index is read once, checked and used: the caller may change them meanwhile.

from libc.string cimport memset

from cyconv.kernels.simd cimport real
from cyconv.kernels.tasks cimport ATOMIC_LOAD, ATOMIC_STORE, Call, stopped

cdef enum:
    STEP = 1 << 16          # numbers until it listens again

cdef struct Scatter:
    const real* values
    const Py_ssize_t* indices
    real* plane
    bint add
    Py_ssize_t points
    Py_ssize_t size
    Py_ssize_t C
    Py_ssize_t* outside     # set once an index is not one of the plane


cdef inline bint put(
    bint add, const real* values, const Py_ssize_t* indices, Py_ssize_t points, Py_ssize_t C, Py_ssize_t size,
    real* plane,
) noexcept nogil:
    """Whether all indices were in range."""
    cdef Py_ssize_t i, c, at
    for i in range(points):
        for c in range(C):
            at = ATOMIC_LOAD(<Py_ssize_t*>indices + i*C + c)
            if <size_t>at >= <size_t>size:
                return False
            plane[at*C + c] = plane[at*C + c] + values[i*C + c] if add else values[i*C + c]
    return True


cdef inline void scatter_image(const void* problem, Py_ssize_t n, char* _, Call* call) noexcept nogil:
    cdef const Scatter* k = <const Scatter*>problem
    cdef const real* values = k.values + n*k.points*k.C
    cdef const Py_ssize_t* indices = k.indices + n*k.points*k.C
    cdef real* plane = k.plane + n*k.size*k.C
    cdef Py_ssize_t i = 0, numbers = k.size*k.C, step = max(1, STEP // k.C), count
    cdef bint inside
    while i < numbers:
        if stopped(call, STEP):
            return
        memset(plane + i, 0, min(STEP, numbers - i)*sizeof(real))
        i += STEP
    i = 0
    while i < k.points:
        if stopped(call, step*k.C):
            return
        count = min(step, k.points - i)
        if k.add:
            inside = put(True, values + i*k.C, indices + i*k.C, count, k.C, k.size, plane)
        else:
            inside = put(False, values + i*k.C, indices + i*k.C, count, k.C, k.size, plane)
        if not inside:
            ATOMIC_STORE(k.outside, 1)
            return
        i += count
