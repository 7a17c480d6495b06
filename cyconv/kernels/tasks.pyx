"""Runs the tasks of a call on its threads: takes turns, listens for Ctrl-C, keeps the floating-point mode.

Every thread takes the next tasks until none is left.  Which thread takes which task changes from run to run, and
nothing in the results depends on it: a task owns what it writes.

Signals: the thread that called asks Python for them every INTERVAL seconds, if it is the main thread, and waits for the
others where it hears them still.  Once a handler has raised, no thread begins another task, those at work return at the
next step, and the call raises what the handler raised; what it has written until then stays.

Floating-point mode: all threads compute in the mode of the calling one, with subnormal numbers flushed to zero where
`set_flush` says so, and have their own back afterwards.
"""

from cpython.exc cimport PyErr_CheckSignals
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from cython.parallel cimport parallel, threadid
from libc.stdint cimport uint64_t

from cyconv.kernels.mode cimport FLUSH, get_mode, set_mode
from cyconv.kernels.tasks cimport (
    ATOMIC_ADD, ATOMIC_LOAD, ATOMIC_STORE, Call, PyThread_get_thread_ident, Task,
)

from threading import get_ident, main_thread
from time import sleep

cdef extern from "<time.h>" nogil:
    enum:
        TIME_UTC
    struct timespec:
        long long tv_sec
        long tv_nsec
    int timespec_get(timespec*, int)

cdef enum:
    PATIENCE = 1 << 20      # numbers between looks at the clock: 20 microseconds to some milliseconds
    TURNS = 128             # that a thread takes at most, about

cdef double INTERVAL = 0.05
cdef double NAP = 0.0005

cdef Py_ssize_t flush = 0
cdef Py_ssize_t in_use = 0
cdef Py_ssize_t limit = 0       # on the threads of all teams, as `left` was last told


def busy():
    """Threads of all the teams that compute here and now in this process; a call on one thread has no team."""
    return ATOMIC_LOAD(&in_use)


def left(Py_ssize_t most):
    """How many of `most` threads no team computes on.  A team that begins beside others keeps to `most` as well."""
    ATOMIC_STORE(&limit, most)
    return most - ATOMIC_LOAD(&in_use)


def can_flush():
    """Whether this build can flush subnormal numbers to zero."""
    return FLUSH != 0


def get_flush():
    """Whether kernels flush subnormal numbers to zero."""
    return ATOMIC_LOAD(&flush) != 0


def set_flush(bint flag):
    """Let kernels flush subnormal numbers to zero from the next call on, or not."""
    ATOMIC_STORE(&flush, flag)


cdef double seconds() noexcept nogil:
    cdef timespec now
    timespec_get(&now, TIME_UTC)
    return <double>now.tv_sec + now.tv_nsec*1e-9


cdef void ask(Call* call, double nap) noexcept nogil:
    """Sleep for `nap` seconds, then run the handlers of the signals that have come."""
    with gil:
        try:
            if get_ident() == main_thread().ident:
                if nap:
                    sleep(nap)
                PyErr_CheckSignals()
            else:
                call.deaf = True
        except BaseException as error:
            Py_INCREF(error)
            call.error = <PyObject*>error
            ATOMIC_STORE(&call.over, 1)


cdef void look(Call* call) noexcept nogil:
    """Ask Python if it is time, or if the clock was set back."""
    cdef double now = seconds()
    call.patience = PATIENCE
    if call.deaf:
        return
    if call.due == 0:
        call.due = now + INTERVAL
    elif now >= call.due or now < call.due - INTERVAL:
        set_mode(call.own)
        ask(call, 0)
        set_mode(call.mode)
        call.asked = True
        call.due = seconds() + INTERVAL


cdef void compute(Call* call, Py_ssize_t first, Py_ssize_t last, char* scratch) noexcept nogil:
    """Tasks first .. last - 1, unless a handler has raised."""
    cdef Py_ssize_t index
    for index in range(first, last):
        if not ATOMIC_LOAD(&call.over):
            call.task(call.problem, index, scratch, call)


cdef void serve(Call* call, char* scratch) noexcept nogil:
    """What a thread of several does: tasks until none is left.  The caller then waits for the others, in a call that is
    long already, where it can be asked."""
    cdef uint64_t own = get_mode()
    cdef Py_ssize_t first
    set_mode(call.mode)
    ATOMIC_ADD(&call.entered, 1)
    first = ATOMIC_ADD(&call.begun, call.chunk)
    while first < call.tasks and not ATOMIC_LOAD(&call.over):
        compute(call, first, min(first + call.chunk, call.tasks), scratch)
        first = ATOMIC_ADD(&call.begun, call.chunk)
    set_mode(own)
    ATOMIC_ADD(&call.left, 1)
    while (
        PyThread_get_thread_ident() == call.caller and call.asked and not call.deaf and not ATOMIC_LOAD(&call.over)
        and ATOMIC_LOAD(&call.left) < ATOMIC_LOAD(&call.entered)
    ):
        ask(call, NAP)


cdef int admitted(int threads) noexcept:
    """Count a team of `threads`, or of what others leave of the limit: they may have begun since it was planned."""
    cdef Py_ssize_t others = ATOMIC_ADD(&in_use, threads)
    cdef int granted = threads if others == 0 else <int>max(1, min(threads, ATOMIC_LOAD(&limit) - others))
    ATOMIC_ADD(&in_use, (granted if granted > 1 else 0) - threads)
    return granted


cdef int run_tasks(
    Task task, const void* problem, Py_ssize_t tasks, int threads, char* scratch, size_t size
) except -1:
    """Run task(problem, index, scratch, call) for every index below `tasks`; thread t has scratch + t*size."""
    cdef Call call
    threads = <int>max(1, min(threads, tasks))      # the caller, who alone hears signals, is not without a task
    if threads > 1:
        threads = admitted(threads)
    call.task, call.problem, call.tasks = task, problem, tasks
    call.chunk = max(1, tasks // (threads*TURNS))
    call.own = get_mode()
    call.mode = call.own | FLUSH if ATOMIC_LOAD(&flush) else call.own
    call.caller, call.error = PyThread_get_thread_ident(), NULL
    call.over = call.begun = call.entered = call.left = 0
    call.patience, call.due, call.asked, call.deaf = PATIENCE, 0, False, False
    if threads == 1:
        with nogil:
            if call.mode != call.own:
                set_mode(call.mode)
            compute(&call, 0, tasks, scratch)
            if call.mode != call.own:
                set_mode(call.own)
    else:
        with nogil, parallel(num_threads=threads):
            serve(&call, scratch + threadid()*size)
        ATOMIC_ADD(&in_use, -threads)
    if call.error != NULL:
        error = <object>call.error
        Py_DECREF(error)
        raise error
    return PyErr_CheckSignals()     # a gradient of many short calls is a long one too
