# Results written past the caches.
#
# An ordinary store first reads the line it writes to: a third of the traffic where source and target are of one size
# and do not fit the last cache together.  Past it, depthwise 3x3 at 112x112x96 and the gradient of averages of 2x2 take
# 0.55 to 0.7 times as long.

from cyconv.kernels.simd cimport VBYTES, VL, VSTREAM, real, store_upto, vec

cdef enum:
    LAST_CACHE = 28 << 20       # bytes of source and target: below, it is slower, as what is written is then read here
    # Bytes of the target: a larger one is new memory in every call (glibc's malloc gives it back), the system has just
    # filled it with zeros, and these are in the cache: 1.2 times as long.
    REUSED = 32 << 20


cdef inline bint bypasses(const real* target, Py_ssize_t C, Py_ssize_t written, Py_ssize_t read) noexcept nogil:
    """Whether to write a target with C numbers to a pixel so: its vectors are whole and aligned, and the numbers
    written and read too many for the caches."""
    cdef Py_ssize_t bytes = (written + read)*<Py_ssize_t>sizeof(real)
    if C % VL or <Py_ssize_t>target % VBYTES:
        return False
    return bytes > LAST_CACHE and written*<Py_ssize_t>sizeof(real) <= REUSED


cdef inline void put(bint past, real* target, vec value, Py_ssize_t lanes) noexcept nogil:
    if past and lanes == VL:
        VSTREAM(target, value)
    else:
        store_upto(target, value, lanes)
