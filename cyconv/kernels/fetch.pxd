# What the next product will read, on its way from memory while this one is computed.
#
# Asked for one share with each tile it is in the second-level cache when it is needed: the weight gradient of a 1x1
# convolution at 56x56 is 1.1 to 1.2 times as fast.  All at once would be no better than waiting: a core has room for a
# few dozen lines on their way.

from cyconv.kernels.simd cimport OPAQUE, REAL_BITS, WILL_READ, real

cdef enum:
    LINE = 512 // REAL_BITS     # numbers in a line of the cache
    FAR = 10 << 20              # bytes of arrays beyond which the caches do not hold them: `fetch_pixels` is worth it
    STREAM_FAR = 2*FAR          # and `fetch_along`
    STREAM_AHEAD = 8192         # bytes

cdef struct Next:
    # `rows` runs of `run` numbers
    const real** at         # run i begins at at[i] + start, or, if this is NULL, at first + i*pitch
    Py_ssize_t start
    const real* first
    Py_ssize_t pitch
    Py_ssize_t rows
    Py_ssize_t run
    Py_ssize_t done         # rows that have been asked for
    Py_ssize_t share        # rows to ask for with each tile


cdef inline void share_fetch(Next* next, int count, Py_ssize_t tiles) noexcept nogil:
    """Spread `count` of them over so many tiles."""
    cdef int n
    for n in range(count):
        next[n].done, next[n].share = 0, (next[n].rows + tiles - 1) // tiles


cdef inline void fetch(Next* next, int count) noexcept nogil:
    """A tile's share of each."""
    cdef const real* run
    cdef Py_ssize_t j, end
    cdef int n
    for n in range(count):
        end = min(next[n].done + next[n].share, next[n].rows)
        while next[n].done < end:
            if next[n].at != NULL:
                run = next[n].at[next[n].done] + next[n].start
            else:
                run = next[n].first + next[n].done*next[n].pitch
            j = 0
            while j < next[n].run:
                WILL_READ(run + j)
                j += LINE
            next[n].done += 1


cdef inline void fetch_pixels(
    const real* at, Py_ssize_t rows, Py_ssize_t row, int pixels, Py_ssize_t pixel
) noexcept nogil:
    """Ask for a vector of so many pixels of each row: what the next tile will read or write.

    From memory the machine's own prefetching is no help, as each row lies in another page: a depthwise 112x112x96 with
    stride 2 took 1.7 times as long.  From the third-level cache asking costs more than it gains: up to 1.2 times.
    """
    cdef const real* a
    cdef Py_ssize_t _
    cdef int _j
    for _ in range(rows):
        a = at
        for _j in range(pixels):
            WILL_READ(a)
            a += pixel
            OPAQUE(a)       # else GCC computes all addresses in advance and keeps them on the stack
        at += row


cdef inline void fetch_along(const real* at) noexcept nogil:
    """Ask for what lies STREAM_AHEAD behind `at`, which goes through memory number by number: the machine's own
    prefetching does so within a page of 4 KiB, and begins anew in the next.  Pooling 3x3 over 25 MB: 1.1 to 1.4 times
    the speed; in the caches 0.95."""
    WILL_READ(at + STREAM_AHEAD // <int>sizeof(real))
