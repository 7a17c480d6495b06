"""Arrays as the kernels need them: real, native, aligned, C order.  The one place that rejects arrays."""

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any, TypeVar

import numpy as np
from numpy import ndarray
from numpy.typing import NDArray

FLOAT32 = np.dtype(np.float32)
FLOAT64 = np.dtype(np.float64)
INDEX = np.dtype(np.intp)

Real = NDArray[np.floating[Any]]
Number = TypeVar("Number", bound=np.generic)


def as_array(value: Any, name: str) -> NDArray[Any]:
    """Whatever NumPy makes an array of, if its numbers are real."""
    if value is None:
        raise TypeError(f"`{name}` must be an array, got None")
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"`{name}` is a masked array; fill it first, for example with `{name}`.filled(0)")
    if not hasattr(value, "__array__") and hasattr(value, "__dlpack__"):
        value = np.from_dlpack(value)
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise TypeError(f"`{name}` must be an array of real numbers: {error}") from None
    if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
        raise TypeError(f"`{name}` has dtype {array.dtype}; allowed are float16, float32, float64, integers and bool")
    return array


def common_dtype(dtypes: Iterable[np.dtype[Any]]) -> np.dtype[Any]:
    """float32 where NumPy's promotion says float16 or float32, float64 for everything else."""
    common = np.result_type(*dtypes)
    return FLOAT32 if common.kind == "f" and common.itemsize <= 4 else FLOAT64


def real_arrays(names: Sequence[str], values: Sequence[Any]) -> Sequence[Real]:
    """The values as aligned arrays in C order and in their common dtype, float32 or float64; copied only if need be."""
    dtype = getattr(values[0], "dtype", None)
    if dtype is FLOAT64 or dtype is FLOAT32:
        for value in values:
            # carray: C order, aligned and writeable in one look-up.  What is merely read-only is not copied below.
            if type(value) is ndarray and value.dtype is dtype and value.flags.carray:
                continue
            break
        else:
            return values
    arrays = [as_array(value, name) for name, value in zip(names, values, strict=True)]
    dtype = common_dtype(array.dtype for array in arrays)
    return [np.require(array, dtype, ["C", "A"]) for array in arrays]


_PAGE = 4096
# Bytes from where an array begins in its page to where the result beside it does.  No pixel of 64, 128, .. 2048 bytes
# brings the two together: 1472 is far from all multiples of these.
_BESIDE = 1472


def empty(shape: tuple[int, ...], dtype: np.dtype[Number], beside: Real | None = None) -> NDArray[Number]:
    """As `numpy.empty`, but a large array begins on a cache line, where NumPy's begin 16 or 48 bytes behind one.

    Otherwise every vector of 64 bytes is read and written as two halves: depthwise convolutions took 1.2 times as long.
    A result is written `beside` what it is computed from.  Where pixels of the two begin at the same distance from a
    page, or up to 192 bytes later, a load waits for an earlier store, which only looks as if it were to the same
    address: depthwise convolutions of 128 to 1024 channels took up to 1.9 times as long.
    """
    size = prod(shape) * dtype.itemsize
    if size < 1 << 16:  # the two arrays cost a microsecond
        return np.empty(shape, dtype)
    block = np.empty(size + _PAGE, np.uint8)
    wanted = 0 if beside is None else _address(beside) // 64 * 64 + _BESIDE
    return np.ndarray(shape, dtype, block, (wanted - _address(block)) % (64 if beside is None else _PAGE))


def _address(array: NDArray[Any]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def output(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any], inputs: Sequence[Real]) -> Real:
    """`out` if a kernel can write there, a new array if it overlaps an input: `deliver` then copies the result."""
    if not isinstance(out, ndarray) or isinstance(out, np.ma.MaskedArray):
        raise TypeError(f"`out` must be a NumPy array, got {type(out).__name__}")
    # A memory map is a subclass; what another one says of its shape need not be true.
    plain: Real = out if type(out) is ndarray else ndarray.view(out, ndarray)
    if plain.dtype != dtype or not plain.dtype.isnative:
        raise TypeError(f"`out` has dtype {plain.dtype}; the result has dtype {dtype}")
    if plain.shape != shape:
        raise ValueError(f"`out` has shape {plain.shape}; the result has shape {shape}")
    if not (plain.flags.c_contiguous and plain.flags.aligned and plain.flags.writeable):
        raise ValueError("`out` must be an aligned, writeable array in C order")
    if any(np.may_share_memory(plain, array) for array in inputs):
        return empty(shape, dtype, inputs[0])
    return plain


def deliver(result: Real, out: Real | None) -> Real:
    """The result, copied to `out` if that is where it belongs."""
    if out is None or out is result:
        return result
    if not np.may_share_memory(out, result):  # else it is there already: `output` gave a plain view of a subclass
        out[...] = result
    return out
