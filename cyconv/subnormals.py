"""Numbers too small to be normal: exact by default, zero on demand."""

from cyconv.kernels import tasks


def get_flush_subnormals() -> bool:
    """Whether kernels take subnormal numbers for zero.

    Examples
    --------
    >>> import cyconv
    >>> cyconv.get_flush_subnormals()
    False
    """
    return tasks.get_flush()


def set_flush_subnormals(flag: bool) -> None:
    """Let kernels take subnormal numbers for zero from the next call on, in the whole process; or not, the default.

    Subnormal numbers lie below the smallest normal one, 1.2e-38 in float32 and 2.2e-308 in float64.  Multiplying with
    them, or where they result, takes some processors a hundred times as long.  Networks have no use for them.

    Parameters
    ----------
    flag : bool
        True: in sums and products they count as zero, and become zero where they result.  What is only moved, as by
        maximum pooling, may keep them.  The processor is switched in the threads of a call while they compute, and
        back before it returns: NumPy and everything else keeps its subnormal numbers.
        False: kernels compute in the floating-point mode of the thread that calls them.

    Raises
    ------
    TypeError
        If `flag` is no bool.
    NotImplementedError
        If this build cannot: it is neither for x86-64 nor for arm64.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> x, w = np.full((1, 2, 2, 1), 1e-310), np.ones((2, 2, 1, 1))
    >>> cyconv.set_flush_subnormals(True)
    >>> cyconv.conv2d(x, w).item()
    0.0
    >>> cyconv.set_flush_subnormals(False)
    >>> cyconv.conv2d(x, w).item()
    4e-310
    """
    if not isinstance(flag, bool):
        raise TypeError(f"`flag` must be True or False, got {flag!r}")
    if flag and not tasks.can_flush():
        raise NotImplementedError("this build of cyconv cannot flush subnormal numbers: it knows x86-64 and arm64 only")
    tasks.set_flush(flag)
