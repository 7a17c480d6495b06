# How the work of a call is cut up for its threads.
#
# Work is a grid of rows (pixels, tiles) by columns (panels).  A piece, so many rows of so many columns, takes as long
# as it is large, and something besides for each of its rows and columns: what it packs or transforms for itself.  So
# pieces should be few, and as many as the threads can share evenly.

cdef struct Cut:
    Py_ssize_t rows         # ranges of rows
    Py_ssize_t columns      # ranges of columns

cdef enum:
    MANY = 4                # ranges of an axis to a thread, at most
    SLACK = 8               # an eighth of a piece more, in case a thread falls behind


cdef inline Cut cut_up(
    Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t least, Py_ssize_t times, double row_cost, double column_cost,
    int threads,
) noexcept nogil:
    """Into `least` ranges of rows or more, `times` over; the costs are those of a row in columns, and vice versa."""
    cdef Cut cut, best
    cdef Py_ssize_t most = MANY*threads, high, wide
    cdef double piece, time, shortest = -1
    best.rows, best.columns = least, 1
    if threads == 1:
        return best
    for cut.columns in range(1, min(columns, most) + 1):
        wide = (columns + cut.columns - 1) // cut.columns
        for cut.rows in range(least, max(least, min(rows, max(least + threads, most // cut.columns))) + 1):
            high = (rows + cut.rows - 1) // cut.rows
            piece = <double>high*wide + row_cost*high + column_cost*wide
            time = piece*(1.0/SLACK + (times*cut.rows*cut.columns + threads - 1) // threads)
            if shortest < 0 or time < shortest:
                shortest, best = time, cut
    return best
