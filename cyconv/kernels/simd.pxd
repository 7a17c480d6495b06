# Cython's view of simd.h.  It believes that `real`, `vec` are floats and `lvec`, `mask` integers, so arithmetic on them
# is ordinary Cython; the C compiler knows better.

cdef extern from "simd.h" nogil:
    ctypedef float real
    ctypedef float vec
    ctypedef int lane
    ctypedef int lvec
    ctypedef int mask
    enum:
        VL
        MR
        NV
        NR
        KC
        MASKED
        REAL_BITS
        ROUNDS
    const int VBYTES, OPENMP
    const char* ISA
    const char* COMPILER
    const real LOWEST
    const vec VZERO
    vec VFILL(real)
    lvec LFILL(Py_ssize_t)
    vec VLOAD(const real*)
    void VSTORE(real*, vec)
    void VSTREAM(real*, vec)
    void DRAIN()
    vec load_lanes(const real*, int)
    void store_lanes(real*, vec, int)
    vec load_upto(const real*, Py_ssize_t)
    void store_upto(real*, vec, Py_ssize_t)
    lvec LLOAD(const lane*)
    void LSTORE(lane*, lvec)
    mask VGREATER(vec, vec)
    mask VEXCEEDS(vec, vec)
    mask VEQUAL(vec, vec)
    mask VUNEQUAL(vec, vec)
    mask LEQUAL(lvec, lvec)
    vec VSELECT(mask, vec, vec)
    lvec LSELECT(mask, lvec, lvec)
    vec VMAX(vec, vec)
    void OPAQUE(const void*)
    void PREFETCH(const void*)
    void HOLD(vec)
    void WILL_READ(const void*)
    void WILL_WRITE(const void*)
    void interleave(vec*, int, int)
    vec add_lanes(vec*)
    vec permute(vec, lvec)
    void transpose(vec*)


cdef inline vec larger(vec value, vec best) noexcept nogil:
    """NaN exceeds every number; of equals the best stays."""
    return VSELECT(VUNEQUAL(value, value), value, VMAX(value, best))


cdef inline dict describe_build():
    """What this module was compiled for: tests compare it with the module's name."""
    return {
        "itemsize": REAL_BITS // 8,
        "isa": (<bytes>ISA).decode(),
        "vector_bytes": VBYTES,
        "openmp": bool(OPENMP),
        "compiler": (<bytes>COMPILER).decode(),
        "tile": (MR, NR),
    }
