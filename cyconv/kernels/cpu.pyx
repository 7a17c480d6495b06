"""What this CPU can run and how many threads OpenMP allows; compiled with baseline flags only."""

cdef extern from *:
    """
    #if defined(__x86_64__) && defined(__GNUC__)
    /* The builtin also asks the operating system whether it saves the wide registers (XGETBV). */
    static int cyconv_cpu_level(void) {
        __builtin_cpu_init();
        int v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi")
            && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
        int v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
            && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq")
            && __builtin_cpu_supports("avx512vl");
        return v4 ? 2 : v3 ? 1 : 0;
    }
    #else
    static int cyconv_cpu_level(void) { return 0; }
    #endif
    #ifdef _OPENMP
    #include <omp.h>
    static int cyconv_openmp_limit(void) { return omp_get_max_threads(); }
    static int cyconv_openmp_version(void) { return _OPENMP; }
    #else
    static int cyconv_openmp_limit(void) { return 1; }
    static int cyconv_openmp_version(void) { return 0; }
    #endif
    """
    int cyconv_cpu_level() nogil
    int cyconv_openmp_limit() nogil
    int cyconv_openmp_version() nogil


def level():
    """Index into kernels.ISAS of the best build that this CPU and its operating system can run."""
    return cyconv_cpu_level()


def openmp_limit():
    """Threads that OpenMP would give a parallel region started here and now; 1 without OpenMP."""
    return cyconv_openmp_limit()


def openmp_version():
    """The OpenMP specification's date, 201511 for 4.5; 0 without OpenMP."""
    return cyconv_openmp_version()
