# Working memory of a kernel: one block per call, cut into equal parts for the threads.  The kernels take it themselves,
# before the GIL is released: only they know their tiles and blocks.  What cannot be had is a MemoryError all the same.

from libc.stdint cimport uintptr_t
from libc.stdlib cimport free, malloc

cdef enum:
    LINE = 64       # bytes of a cache line; no two threads write to one
    APART = 512     # see `align_apart`


cdef inline size_t lines(Py_ssize_t count, size_t itemsize) noexcept nogil:
    """Bytes of an array, rounded up to whole cache lines."""
    return (<size_t>count*itemsize + LINE - 1) // LINE*LINE


cdef inline void* take(char** cursor, Py_ssize_t count, size_t itemsize) noexcept nogil:
    """Cut an array off the front of the block at *cursor."""
    cdef void* array = <void*>cursor[0]
    cursor[0] += lines(count, itemsize)
    return array


cdef inline char* align(void* block) noexcept nogil:
    return <char*>((<uintptr_t>block + LINE - 1)//LINE*LINE)


cdef inline char* align_apart(char* aligned, const void* read) noexcept nogil:
    """Up to APART bytes further on, where sums of powers of two of channels do not begin like what is `read` meanwhile:
    a load waits for an earlier store that ends in the same 12 bits, as if it were to the same address."""
    return aligned + (<uintptr_t>read//LINE*LINE + APART//2 - <uintptr_t>aligned) % APART


cdef inline void* allocate(size_t size) except NULL:
    cdef void* block = malloc(size + LINE)
    if block == NULL:
        raise MemoryError(f"cannot allocate {size:,} bytes of working memory")
    return block
