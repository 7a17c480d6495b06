"""Every kernel on arrays that end, or begin, at a page nobody may touch: `python tests/guarded.py ISA`.

A vector that is loaded or stored one number beyond an array ends the process with SIGSEGV; the last line of the output
names the problem then.  Inputs and results are placed this way, the kernels' own memory is not: that is the business of
the address sanitizer.
"""

import ctypes
import faulthandler
import mmap
import sys

import numpy as np
from problems import problems

import cyconv
from cyconv import adaptive, arrays, conv, kernels, lp_pool, pool, transpose, unpool

PAGE = mmap.PAGESIZE
NOBODY = 0  # PROT_NONE
libc = ctypes.CDLL(None, use_errno=True)


class Guarded:
    """NumPy, but for new arrays: they touch a forbidden page with their end, or with their beginning."""

    def __init__(self, at_end):
        self.at_end = at_end

    def __getattr__(self, name):
        return getattr(np, name)

    def empty(self, shape, dtype=np.float64):
        dtype, count = np.dtype(dtype), int(np.prod(shape))
        room = -(-max(count * dtype.itemsize, 1) // PAGE) * PAGE
        memory = mmap.mmap(-1, room + 2 * PAGE)
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        for guard in (address, address + PAGE + room):
            if libc.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(PAGE), NOBODY):
                raise OSError(ctypes.get_errno(), "mprotect")
        offset = PAGE + (room - count * dtype.itemsize if self.at_end else 0)
        return np.frombuffer(memory, dtype, count, offset).reshape(shape)

    def zeros(self, shape, dtype=np.float64):
        array = self.empty(shape, dtype)
        array[...] = 0
        return array

    def copy(self, array):
        placed = self.empty(array.shape, array.dtype)
        placed[...] = array
        return placed


def touch_the_guard():
    """What a fault looks like: for the test of this test."""
    array = Guarded(at_end=True).empty(3)
    ctypes.string_at(array.ctypes.data, 25)


def main(isa):
    kernels.select(isa)
    rng = np.random.default_rng(1)
    done = 0
    for bits in (32, 64):
        dtype = np.dtype(f"f{bits // 8}")
        lanes = max(1, kernels.modules["pool", dtype].describe()["vector_bytes"] // dtype.itemsize)
        for C in range(1, 2 * lanes + 2):
            for at_end in (True, False):
                place = Guarded(at_end)
                for module in (adaptive, arrays, conv, lp_pool, pool, transpose, unpool):
                    module.np = place
                cyconv.threads.team = lambda work, n=1 + 2 * (C % 2): n
                for problem in problems(2, C, 2 * lanes + 2 - C):
                    print(f"{isa} {dtype} {'end' if at_end else 'beginning'} {problem}", flush=True)
                    problem.results([place.copy(a) for a in problem.arrays(rng, dtype)])
                    done += 1
    print(done)


if __name__ == "__main__":
    faulthandler.enable()
    if sys.argv[1] == "fault":
        touch_the_guard()
    main(sys.argv[1])
