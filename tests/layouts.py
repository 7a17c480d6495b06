"""The same numbers, elsewhere in memory."""

import numpy as np


def fortran(a):
    return np.asfortranarray(a)


def reversed_axes(a):
    return np.flip(np.flip(a).copy())


def every_second(a):
    wide = np.full([2 * n for n in a.shape], 99, a.dtype)
    wide[(slice(None, None, 2),) * a.ndim] = a
    return wide[(slice(None, None, 2),) * a.ndim]


def transposed(a):
    return a.transpose().copy().transpose()


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def unaligned(a):
    raw = np.zeros(a.nbytes + 1, np.uint8)
    shifted = raw[1:].view(a.dtype).reshape(a.shape)
    shifted[...] = a
    assert not shifted.flags.aligned
    return shifted


def byte_swapped(a):
    return a.astype(a.dtype.newbyteorder())


LAYOUTS = (fortran, reversed_axes, every_second, transposed, read_only, unaligned, byte_swapped)
