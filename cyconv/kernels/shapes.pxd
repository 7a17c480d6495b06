# What every entry point asks of the arrays it was given: that they fit each other.
#
# Python has refused every bad shape before; but another thread, or the __index__ of a parameter, may have given an
# array another shape since (`x.shape = ...`: the heap was corrupt afterwards).  The shape of a buffer that a kernel
# holds stays as it is, so this is the one place where the question has a lasting answer.

from cyconv.kernels.simd cimport real


cdef struct Shapes:         # of a convolution, or of a gradient's arrays in their places
    Py_ssize_t x[4]         # N, H, W, C
    Py_ssize_t w[4]         # R, S, C // groups, K
    Py_ssize_t y[4]         # N, OH, OW, K


cdef inline Shapes shapes_of(const Py_ssize_t* x, const Py_ssize_t* w, const Py_ssize_t* y) noexcept nogil:
    cdef Shapes s
    cdef int i
    for i in range(4):
        s.x[i], s.w[i], s.y[i] = x[i], w[i], y[i]
    return s


cdef inline bint merge_window(
    Shapes* s, Py_ssize_t groups, Py_ssize_t pad_h, Py_ssize_t pad_w, Py_ssize_t dilation_h, Py_ssize_t dilation_w
) noexcept nogil:
    """A window that is the whole image is a pixel of R*S*C channels, whatever the stride.  Otherwise its input gradient
    multiplies R*S - 1 zeros for each product: 5x5x16 to 120 channels took 9 times as long."""
    if groups != 1 or pad_h or pad_w or s.y[1] != 1 or s.y[2] != 1 or s.x[1] != s.w[0] or s.x[2] != s.w[1]:
        return False
    if s.w[0] > 1 and dilation_h > 1 or s.w[1] > 1 and dilation_w > 1:      # it reaches into padding after the image
        return False
    s.x[3] = s.w[2] = s.x[1]*s.x[2]*s.x[3]
    s.x[1] = s.x[2] = s.w[0] = s.w[1] = 1
    return True


cdef inline int refuse() except -1:
    raise ValueError("an array was given another shape during the call")


cdef inline int check_conv(
    const Py_ssize_t* x, const Py_ssize_t* w, const Py_ssize_t* y, Py_ssize_t groups
) except -1:
    """x (N, H, W, C), w (R, S, C // groups, K), y (N, OH, OW, K); nothing is empty."""
    cdef int i
    if x[0] != y[0] or w[2]*groups != x[3] or w[3] != y[3]:
        refuse()
    for i in range(4):
        if x[i] < 1 or w[i] < 1 or y[i] < 1:
            refuse()
    return 0


cdef inline int check_depthwise(
    const Py_ssize_t* x, const Py_ssize_t* w, const Py_ssize_t* y, Py_ssize_t groups
) except -1:
    check_conv(x, w, y, groups)
    if x[3] != groups or y[3] % groups:
        refuse()
    return 0


cdef inline int check_winograd(
    const Py_ssize_t* x, const Py_ssize_t* w, const Py_ssize_t* y, Py_ssize_t groups
) except -1:
    check_conv(x, w, y, groups)
    if w[0] != w[1] or w[0] < 3 or w[0] > 5:
        refuse()
    return 0


cdef inline int check_bias(const real[::1] b, Py_ssize_t channels) except -1:
    if b is not None and b.shape[0] != channels:
        refuse()
    return 0


cdef inline int check_pool(const Py_ssize_t[:, ::1] windows, const Py_ssize_t* x, const Py_ssize_t* y) except -1:
    """x (N, H, W, C), y (N, OH, OW, C), and the table of OH and OW windows that was made for (H, W)."""
    cdef Py_ssize_t end = windows.shape[0] - 3
    if x[0] != y[0] or x[3] != y[3] or x[0] < 1 or x[3] < 1 or end < 2:
        refuse()
    if x[1] != windows[end, 0] or x[2] != windows[end, 1]:
        refuse()
    if y[1] != windows[end, 2] + windows[end + 1, 1] or y[2] != end - windows[end, 2] + windows[end + 2, 1]:
        refuse()
    return 0


cdef inline int check_planes(const Py_ssize_t* values, const Py_ssize_t* plane) except -1:
    """values (N, -, C) for planes (N, -, C); nothing is empty."""
    if values[0] != plane[0] or values[2] != plane[2]:
        refuse()
    return 0


cdef inline int check_same(const Py_ssize_t* a, const Py_ssize_t* b, int axes) except -1:
    cdef int i
    for i in range(axes):
        if a[i] != b[i]:
            refuse()
    return 0
