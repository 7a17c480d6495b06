# The floating-point mode of a thread: rounding, and whether numbers below the smallest normal one count as zero.  A
# register of the processor, MXCSR or FPCR; the clobbers keep loads and stores, and so the sums between, where they are.

from libc.stdint cimport uint64_t

cdef extern from *:
    """
    #if defined(__x86_64__) && defined(__GNUC__)
    enum { FLUSH = 0x8040 }; /* FTZ for results, DAZ for operands */
    static inline uint64_t get_mode(void) {
        uint32_t mode;
        __asm__ volatile("stmxcsr %0" : "=m"(mode) : : "memory");
        return mode;
    }
    static inline void set_mode(uint64_t mode) {
        uint32_t low = (uint32_t)mode;
        __asm__ volatile("ldmxcsr %0" : : "m"(low) : "memory");
    }
    #elif defined(__aarch64__) && defined(__GNUC__)
    enum { FLUSH = 1 << 24 }; /* FZ, for both */
    static inline uint64_t get_mode(void) {
        uint64_t mode;
        __asm__ volatile("mrs %0, fpcr" : "=r"(mode) : : "memory");
        return mode;
    }
    static inline void set_mode(uint64_t mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode) : "memory"); }
    #else
    enum { FLUSH = 0 };
    static inline uint64_t get_mode(void) { return 0; }
    static inline void set_mode(uint64_t mode) { (void)mode; }
    #endif
    """
    enum:
        FLUSH       # the bits that make it flush; 0 where this build cannot
    uint64_t get_mode() nogil
    void set_mode(uint64_t) nogil
