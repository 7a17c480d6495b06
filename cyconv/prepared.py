"""Convolution with filters that are made ready once, for inference."""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from cyconv import geometry, kernels, threads
from cyconv.algorithm import kernel_for, winograd_applies
from cyconv.arrays import Real, deliver, empty, output, real_arrays
from cyconv.conv import bias_vector, check_names
from cyconv.geometry import Padding


class PreparedConv2d:
    """`conv2d` with fixed filters: what depends on them alone is checked, copied and transformed once.

    Make it from the weights of a trained layer, and call it with images: ``layer(x)`` has the bits of
    ``conv2d(x, w, b, ...)``.  It never changes: threads may share it, and what happens to the arrays w and b later has
    no effect on it.  It can be pickled.

    Parameters
    ----------
    w : array_like, (R, S, C // groups, K)
        Filters.
    b : array_like, (K,) or (1, 1, 1, K), optional
        Added to every pixel.
    stride, padding, dilation, groups, activation, algorithm
        As in `conv2d`.

    Raises
    ------
    ValueError, TypeError
        As `conv2d`.

    See Also
    --------
    conv2d : for filters that change from call to call.

    Notes
    -----
    The filters of Winograd's algorithm are kept transformed if that takes at most 3 MiB, which is up to 64 to 128
    channels on either side: 36 numbers a filter, four times the memory of w if it is 3 by 3.  Larger ones are
    transformed in each call, because reading so much from memory takes longer than the arithmetic.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> rng = np.random.default_rng(0)
    >>> w, b = rng.standard_normal((3, 3, 16, 32), np.float32), np.zeros(32, np.float32)
    >>> layer = cyconv.PreparedConv2d(w, b, padding="same", activation="relu")
    >>> x = rng.standard_normal((4, 28, 28, 16), np.float32)
    >>> y = layer(x)
    >>> y.shape, np.array_equal(y, cyconv.conv2d(x, w, b, padding="same", activation="relu"))
    ((4, 28, 28, 32), True)
    """

    def __init__(
        self,
        w: ArrayLike,
        b: ArrayLike | None = None,
        *,
        stride: int | tuple[int, int] = 1,
        padding: Padding = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        activation: Literal["relu"] | None = None,
        algorithm: str = "auto",
    ) -> None:
        check_names(algorithm, activation)
        if b is None:
            (w,) = real_arrays(("w",), (w,))
        else:
            w, b = real_arrays(("w", "b"), (w, b))
        height, width = geometry.pair(dilation, "dilation")
        R, S, c, K = w.shape if w.ndim == 4 else (1, 1, 1, 1)
        C = max(1, c * geometry.integer(groups, "groups", 1))
        smallest = 1, height * max(0, R - 1) + 1, width * max(0, S - 1) + 1, C
        g = geometry.conv(smallest, w.shape, stride, padding, dilation, groups)
        kernel_for(g, algorithm)  # refuses what does not apply
        self._w = w.copy()
        self._b = None if b is None else bias_vector(b, K).copy()
        self._options: dict[str, Any] = deepcopy(
            {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        )
        self._activation: Literal["relu"] | None = activation
        self._algorithm = algorithm
        self._isa = kernels.active()
        self._filters = self._transformed(g.parameters[-1]) if winograd_applies(g) and algorithm != "direct" else None

    def _transformed(self, groups: int) -> Real | None:
        """The filters in Winograd's domain, if it pays to keep them."""
        winograd = kernels.modules["winograd", self._w.dtype]
        _, _, c, K = self._w.shape
        size = winograd.prepared_size(c, K // groups, groups)
        if not size:
            return None
        filters: Real = np.empty(size, self._w.dtype)
        winograd.prepare(self._w, groups, filters)
        return filters

    def __call__(self, x: ArrayLike, *, out: Real | None = None) -> Real:
        """Convolve images.

        Parameters
        ----------
        x : array_like, (N, H, W, C) or (H, W, C)
            Images, channels last, of any size that the window fits in.
        out : ndarray, optional
            Where to put y: of the right shape and dtype, in C order.

        Returns
        -------
        ndarray, (N, OH, OW, K), or (OH, OW, K) for one image

        Raises
        ------
        ValueError
            As `conv2d`.
        TypeError
            As `conv2d`, and if x is float64 and the filters were float32.
        """
        dtype = self._w.dtype
        arrays = real_arrays(("x", "w"), (x, self._w))
        x, w = arrays
        if x.dtype != dtype:
            raise TypeError(f"`x` makes this a convolution in {x.dtype}, but the filters were prepared in {dtype}")
        g = geometry.conv(x.shape, w.shape, **self._options)
        shape = g.y if x.ndim == 4 else g.y[1:]
        y = empty(shape, dtype, x) if out is None else output(out, shape, dtype, arrays)
        kernel = kernel_for(g, self._algorithm)
        # Another instruction set has other vectors, and would read the transformed filters wrongly.
        ready = kernel == "winograd" and self._filters is not None and self._isa == kernels.active()
        if g.work:
            kernels.modules[kernel, dtype].forward(
                x if x.ndim == 4 else x[None],
                w,
                self._b,
                y if y.ndim == 4 else y[None],
                *g.parameters,
                self._activation is not None,
                threads.team(g.work),
                *((self._filters,) if ready else ()),
            )
        return y if out is None else deliver(y, out)

    def __reduce__(self) -> tuple[Any, ...]:
        made = partial(type(self), activation=self._activation, algorithm=self._algorithm, **self._options)
        return made, (self._w, self._b)
