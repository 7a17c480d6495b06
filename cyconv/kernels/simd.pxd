# Cython's view of simd.h.  It believes that `real`, `vec` are floats and `mask` an integer, so arithmetic on them is
# ordinary Cython; the C compiler knows better.

cdef extern from "simd.h" nogil:
    ctypedef float real
    ctypedef float vec
    ctypedef int lane
    ctypedef int mask
    enum:
        VL
        MR
        NV
        NR
        KC
        REAL_BITS
    const int VBYTES, OPENMP
    const char* ISA
    const char* COMPILER
    const vec VZERO
    vec VFILL(real)
    mask MFILL(Py_ssize_t)
    vec VLOAD(const real*)
    void VSTORE(real*, vec)
    vec load_lanes(const real*, int)
    void store_lanes(real*, vec, int)
    vec load_upto(const real*, Py_ssize_t)
    void store_upto(real*, vec, Py_ssize_t)
    vec VFIRSTS(vec, vec)
    vec VSECONDS(vec, vec)
    mask VGREATER(vec, vec)
    mask VEQUAL(vec, vec)
    mask VUNEQUAL(vec, vec)
    mask MEQUAL(mask, mask)
    vec VSELECT(mask, vec, vec)
    mask MSELECT(mask, mask, mask)
    void OPAQUE(const void*)
    void PREFETCH(const void*)
    void HOLD(vec)


cdef inline dict describe_build():
    """What this module was compiled for: tests compare it with the module's name."""
    return {
        "itemsize": REAL_BITS // 8,
        "isa": (<bytes>ISA).decode(),
        "vector_bytes": VBYTES,
        "openmp": bool(OPENMP),
        "compiler": (<bytes>COMPILER).decode(),
    }
