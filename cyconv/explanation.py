"""What a convolution would do: which algorithm, in which blocks, on how many threads, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike

from cyconv import geometry, kernels, threads
from cyconv.algorithm import check_algorithm, choose, outputs_of_a_tile
from cyconv.arrays import FLOAT32, as_array, common_dtype
from cyconv.geometry import Padding

DIRECTIONS = ("forward", "input_grad", "weight_grad")


@dataclass(frozen=True)
class Explanation:
    """What `explain` found; ``str`` of it is a paragraph to read.

    Attributes
    ----------
    algorithm : "direct" or "winograd"
        What computes the call.
    reason : str
        Why this algorithm.
    kernel : str
        The compiled module: "conv", "depthwise" or "winograd".
    isa : str
        The instruction set it was compiled for.
    dtype : numpy.dtype
        What the call computes in.
    register_tile : (int, int) or None
        Rows and columns of sums that the innermost loop of matrix products keeps in registers; depthwise has none, and
        few channels are computed otherwise.
    tile : (int, int) or None
        Outputs of a Winograd tile.
    blocking : dict
        For Winograd: the ``tiles`` of the batch, those in a ``block``, the ``tasks`` that threads take, and the bytes
        of ``scratch`` that each thread uses.  Empty for direct convolution.
    threads : int
        The threads it may use.
    work : int
        Multiply-adds of direct convolution.
    """

    algorithm: str
    reason: str
    kernel: str
    isa: str
    dtype: np.dtype[Any]
    register_tile: tuple[int, int] | None
    tile: tuple[int, int] | None
    blocking: dict[str, int]
    threads: int
    work: int

    def __str__(self) -> str:
        name = self.algorithm
        if self.tile:
            outputs, taps = self.tile[0], 7 - self.tile[0]
            name = f"Winograd F({outputs}x{outputs}, {taps}x{taps})"
        lines = [f"{name}: {self.reason}", f"kernel {self.kernel} for {self.isa} in {self.dtype}"]
        if self.register_tile:
            lines[1] += ", register tile {} x {}".format(*self.register_tile)
        if self.blocking:
            lines.append(
                "{tiles:,} tiles in blocks of {block:,}, {tasks:,} tasks, {scratch:,} bytes of scratch a thread".format(
                    **self.blocking
                )
            )
        lines.append(f"{self.work:,} multiply-adds, at most {self.threads} threads")
        return "\n".join(lines)


def explain(
    x: Any,
    w: Any,
    *,
    direction: Literal["forward", "input_grad", "weight_grad"] = "forward",
    stride: int | tuple[int, int] = 1,
    padding: Padding = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    algorithm: str = "auto",
    dtype: DTypeLike | None = None,
) -> Explanation:
    """Say what `conv2d` or one of its gradients would do with such arguments, without doing it.

    Parameters
    ----------
    x, w : array_like or tuple of int
        The images, (N, H, W, C) or (H, W, C), and the filters, (R, S, C // groups, K); or their shapes.
    direction : "forward", "input_grad" or "weight_grad"
        Which of the three products.
    stride, padding, dilation, groups, algorithm
        As given to `conv2d`.
    dtype : dtype, optional
        In place of that of the arrays; shapes alone mean float32.

    Returns
    -------
    Explanation
        Printed, a short text; its facts are the attributes `algorithm`, `reason`, `kernel`, `isa`, `dtype`,
        `register_tile`, `tile`, `blocking`, `threads` and `work`.

    Raises
    ------
    ValueError, TypeError
        As `conv2d`.

    See Also
    --------
    set_algorithm : what ``algorithm="auto"`` stands for.
    show_config : the instruction sets and the limits of threads of this installation.

    Examples
    --------
    Numbers behind ... depend on the machine:

    >>> import cyconv
    >>> found = cyconv.explain((4, 56, 56, 64), (3, 3, 64, 64), padding=1)
    >>> print(found)
    Winograd F(4x4, 3x3): Winograd is estimated to cost ... of direct; it is taken below ...
    kernel winograd for ... in float32, register tile ... x ...
    784 tiles in blocks of ..., ... tasks, ... bytes of scratch a thread
    462,422,016 multiply-adds, at most ... threads
    >>> found.algorithm, found.tile, found.blocking["tiles"]
    ('winograd', (4, 4), 784)
    >>> print(cyconv.explain((1, 5, 5, 3), (3, 3, 3, 8), dtype="float64").reason)
    1,944 multiply-adds; Winograd is considered from ...
    """
    check_algorithm(algorithm)
    geometry.choice(direction, "direction", DIRECTIONS)
    (x_shape, x_dtype), (w_shape, w_dtype) = _described(x, "x"), _described(w, "w")
    given = (x_dtype, w_dtype) if dtype is None else (as_array(np.empty(0, dtype), "dtype").dtype,)
    computed = common_dtype(given)
    g = geometry.conv(x_shape, w_shape, stride, padding, dilation, groups)
    choice = choose(g, algorithm, direction)
    module = kernels.modules[choice.kernel, computed]
    team = threads.team(g.work)
    winograd = choice.kernel == "winograd"
    (*size, K), C = (g.x, g.y[3]) if direction == "input_grad" else (g.y, g.x[3])
    groups = g.parameters[-1]
    return Explanation(
        algorithm="winograd" if winograd else "direct",
        reason=choice.reason,
        kernel=choice.kernel,
        isa=kernels.active(),
        dtype=computed,
        register_tile=None if choice.kernel == "depthwise" else module.describe()["tile"],
        tile=(outputs_of_a_tile(g),) * 2 if winograd else None,
        blocking=module.blocking(g.w[0], *size, C // groups, K // groups, groups, direction == "weight_grad", team)
        if winograd and g.work
        else {},
        threads=team,
        work=g.work,
    )


def _described(value: Any, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype of an array, or the shape that was given in its place."""
    if isinstance(value, tuple):
        sizes = tuple(geometry.integer(size, name, 0, "an array or a tuple of integers") for size in value)
        return sizes, FLOAT32
    array = as_array(value, name)
    return array.shape, array.dtype
