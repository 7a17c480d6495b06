"""Numbers put where indices say: the inverse of maximum pooling, and its gradient by indices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from cyconv import geometry, kernels, threads
from cyconv.arrays import Real, as_array, empty, real_arrays


def max_unpool2d(x: ArrayLike, indices: ArrayLike, output_shape: Sequence[int]) -> Real:
    """Undo `max_pool2d` as far as can be: every value goes back where it was found, zeros elsewhere.

    Parameters
    ----------
    x : array_like, (N, OH, OW, C) or (OH, OW, C)
        Maxima.
    indices : array_like of int, the shape of x
        As returned by ``max_pool2d(..., return_indices=True)``.  Of several values for one place the last stays.
    output_shape : tuple of int
        Shape of the images they came from, (N, H, W, C) or (H, W, C).

    Returns
    -------
    ndarray of shape `output_shape`

    Raises
    ------
    ValueError, TypeError
        For shapes that do not fit together and indices out of range.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> x = np.array([[1.0, 4.0], [3.0, 2.0]]).reshape(1, 2, 2, 1)
    >>> y, indices = cyconv.max_pool2d(x, 2, return_indices=True)
    >>> cyconv.max_unpool2d(y, indices, x.shape)[0, :, :, 0]
    array([[0., 4.],
           [0., 0.]])
    """
    (x,) = real_arrays(("x",), (x,))
    shape = geometry.shape(output_shape, "output_shape")
    if len(shape) != x.ndim or shape[:-3] != x.shape[:-3] or shape[-1] != x.shape[-1]:
        raise ValueError(f"`output_shape` {shape} and `x` {x.shape} must have the same images and channels")
    geometry.check_size("the result", shape)
    return scatter(x, indices, shape, add=False)


def scatter(values: Real, indices: ArrayLike, shape: tuple[int, ...], *, add: bool) -> Real:
    """Values put at their indices into images of `shape`, or added up there; zeros elsewhere."""
    where = as_array(indices, "indices")
    if where.dtype.kind not in "iu":
        raise TypeError(f"`indices` must be integers, got dtype {where.dtype}")
    if where.shape != values.shape:
        raise ValueError(f"`indices` has shape {where.shape}; it must be that of the values, {values.shape}")
    N, H, W, C = geometry.images(shape)
    if not values.size:
        return np.zeros(shape, values.dtype)
    planes = empty((N, H * W, C), values.dtype)
    if not planes.size or not kernels.modules["pool", values.dtype].scatter(
        values.reshape(N, -1, C),
        np.require(where, np.intp, ["C", "A"]).reshape(N, -1, C),
        add,
        planes,
        min(N, threads.team(values.size * geometry.POOLED)),
    ):
        raise ValueError(f"`indices` must be at least 0 and less than H * W = {H * W}")
    return planes.reshape(shape)
