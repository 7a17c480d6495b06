# How the kernels run: a call is a number of tasks, shared out over its threads by `run_tasks` (tasks.pyx).
#
# A task never fails, but it may be told to give up: Python runs signal handlers in the main thread, and only when the
# kernel lets it.  So between steps of less than some milliseconds a task asks `stopped`, and returns if so.

from cpython.exc cimport PyErr_CheckSignals
from cpython.object cimport PyObject
from libc.stdint cimport uint64_t

cdef extern from *:
    """
    #if defined(__GNUC__)
    #define ATOMIC_LOAD(p) __atomic_load_n(p, __ATOMIC_RELAXED)
    #define ATOMIC_STORE(p, v) __atomic_store_n(p, v, __ATOMIC_RELAXED)
    #define ATOMIC_ADD(p, v) __atomic_fetch_add(p, v, __ATOMIC_RELAXED)
    #else
    #include <intrin.h>
    #define ATOMIC_LOAD(p) (*(volatile Py_ssize_t *)(p))
    #define ATOMIC_STORE(p, v) (*(volatile Py_ssize_t *)(p) = (v))
    #define ATOMIC_ADD(p, v) ((Py_ssize_t)_InterlockedExchangeAdd64((volatile __int64 *)(p), (v)))
    #endif
    """
    Py_ssize_t ATOMIC_LOAD(Py_ssize_t*) nogil
    void ATOMIC_STORE(Py_ssize_t*, Py_ssize_t) nogil
    Py_ssize_t ATOMIC_ADD(Py_ssize_t*, Py_ssize_t) nogil

cdef extern from "Python.h":
    unsigned long PyThread_get_thread_ident() nogil

cdef struct Call                # one call of a kernel

ctypedef void (*Task)(const void* problem, Py_ssize_t index, char* scratch, Call* call) noexcept nogil

cdef struct Call:
    Task task
    const void* problem
    Py_ssize_t tasks
    Py_ssize_t chunk            # tasks that a thread takes at a time
    uint64_t own                # floating-point mode of the caller
    uint64_t mode               # that in which all threads compute
    unsigned long caller        # the thread that called
    PyObject* error             # what a handler raised
    Py_ssize_t over             # whether one did
    Py_ssize_t begun            # tasks
    Py_ssize_t entered          # threads
    Py_ssize_t left
    char apart[64]              # what only the caller touches lies in a cache line of its own
    Py_ssize_t patience         # work until it looks at the clock
    double due                  # when it asks Python again; 0 before it has looked at the clock
    bint asked
    bint deaf                   # it is not the main thread: no handler runs in it


cdef void look(Call* call) noexcept nogil

cdef int run_tasks(
    Task task, const void* problem, Py_ssize_t tasks, int threads, char* scratch, size_t size
) except -1


cdef inline bint stopped(Call* call, Py_ssize_t work) noexcept nogil:
    """Whether to give up.  `work`: numbers that are read or multiplied until the next time this is asked."""
    if PyThread_get_thread_ident() == call.caller:
        call.patience -= work
        if call.patience < 0:
            look(call)
    return ATOMIC_LOAD(&call.over) != 0


cdef inline int heed(Py_ssize_t step) except -1:
    """Before the tasks: at every 2**18th step let the other Python threads run, and the handlers of signals."""
    if step & 0x3ffff == 0x3ffff:
        with nogil:
            pass
        return PyErr_CheckSignals()
    return 0
