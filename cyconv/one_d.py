"""The one-dimensional forms, on arrays (N, W, C) or (W, C) and filters (S, C // groups, K): images one row high."""

from typing import Any

import numpy as np

from cyconv import geometry
from cyconv.arrays import Real
from cyconv.conv import conv2d, conv2d_backward, conv2d_input_grad, conv2d_weight_grad
from cyconv.pool import avg_pool2d, avg_pool2d_backward, max_pool2d, max_pool2d_backward


def _row(x: Any, name: str) -> Any:
    """(N, W, C) or (W, C) as images (N, 1, W, C) or (1, W, C)."""
    if x is None or isinstance(x, np.ma.MaskedArray):
        return x  # refused further down, in one place
    x = np.asarray(x)
    if x.ndim not in (2, 3):
        raise ValueError(f"{name} must have 3 dimensions (N, W, C), or 2 for one sequence, got shape {x.shape}")
    return np.expand_dims(x, -3)


def _filters(w: Any) -> Any:
    if w is None or isinstance(w, np.ma.MaskedArray):
        return w
    w = np.asarray(w)
    if w.ndim != 3:
        raise ValueError(f"w must have 3 dimensions (S, C // groups, K), got shape {w.shape}")
    return w[None]


def _squeeze(y: Real) -> Real:
    return y.reshape(*y.shape[:-3], *y.shape[-2:])


def _options(options: dict[str, Any]) -> dict[str, Any]:
    """Options of one axis as those of two: the height has one row, one tap and no padding."""
    wide: dict[str, Any] = dict(options)
    for name in ("stride", "dilation"):
        if wide.get(name) is not None:
            wide[name] = (1, geometry.integer(wide[name], name, 1))
    padding = wide.get("padding", 0)
    if not isinstance(padding, str):
        wide["padding"] = ((0, 0), geometry.pair(padding, "padding", 0))
    return wide


def conv1d(x: Any, w: Any, b: Any = None, **options: Any) -> Real:
    """`conv2d` of sequences x (N, W, C) or (W, C) with filters w (S, C // groups, K).

    Takes the options of `conv2d` but `out`; padding is an int, (left, right) or a name.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> cyconv.conv1d(np.arange(4.0).reshape(1, 4, 1), np.ones((2, 1, 1)))[0, :, 0]
    array([1., 3., 5.])
    """
    return _squeeze(conv2d(_row(x, "x"), _filters(w), b, **_options(options)))


def conv1d_input_grad(dy: Any, w: Any, input_shape: Any, **options: Any) -> Real:
    """Gradient of `conv1d` with respect to x, of shape `input_shape`.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> cyconv.conv1d_input_grad(np.ones((1, 3, 1)), np.ones((2, 1, 1)), (1, 4, 1))[0, :, 0]
    array([1., 2., 2., 1.])
    """
    if not hasattr(input_shape, "__len__") or len(input_shape) not in (2, 3):
        raise ValueError(f"input_shape must be (N, W, C), or (W, C) for one sequence, got {input_shape!r}")
    shape = (*input_shape[:-2], 1, *input_shape[-2:])
    return _squeeze(conv2d_input_grad(_row(dy, "dy"), _filters(w), shape, **_options(options)))


def conv1d_weight_grad(dy: Any, x: Any, kernel_size: int, **options: Any) -> Real:
    """Gradient of `conv1d` with respect to w, (S, C // groups, K) with S = kernel_size.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> cyconv.conv1d_weight_grad(np.ones((1, 3, 1)), np.arange(4.0).reshape(1, 4, 1), 2)[:, 0, 0]
    array([3., 6.])
    """
    size = (1, geometry.integer(kernel_size, "kernel_size", 1))
    dw: Real = conv2d_weight_grad(_row(dy, "dy"), _row(x, "x"), size, **_options(options))[0]
    return dw


def conv1d_backward(dy: Any, x: Any, w: Any, **options: Any) -> tuple[Real, Real, Real]:
    """All three gradients of `conv1d`: dx, dw and db.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> dx, dw, db = cyconv.conv1d_backward(np.ones((1, 3, 1)), np.ones((1, 4, 1)), np.ones((2, 1, 1)))
    >>> dx.shape, dw.shape, db
    ((1, 4, 1), (2, 1, 1), array([3.]))
    """
    if options.get("y") is not None:
        options["y"] = _row(options["y"], "y")
    dx, dw, db = conv2d_backward(_row(dy, "dy"), _row(x, "x"), _filters(w), **_options(options))
    return _squeeze(dx), dw[0], db


def max_pool1d(x: Any, kernel_size: int, **options: Any) -> Any:
    """`max_pool2d` of sequences x (N, W, C) or (W, C).

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> cyconv.max_pool1d(np.arange(4.0).reshape(1, 4, 1), 2)[0, :, 0]
    array([1., 3.])
    """
    size = (1, geometry.integer(kernel_size, "kernel_size", 1))
    y = max_pool2d(_row(x, "x"), size, **_options(options))
    return tuple(map(_squeeze, y)) if isinstance(y, tuple) else _squeeze(y)


def max_pool1d_backward(dy: Any, x: Any, kernel_size: int, **options: Any) -> Real:
    """Gradient of `max_pool1d` with respect to x.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> cyconv.max_pool1d_backward(np.ones((1, 2, 1)), np.arange(4.0).reshape(1, 4, 1), 2)[0, :, 0]
    array([0., 1., 0., 1.])
    """
    size = (1, geometry.integer(kernel_size, "kernel_size", 1))
    if options.get("indices") is not None:
        options["indices"] = _row(options["indices"], "indices")
    return _squeeze(max_pool2d_backward(_row(dy, "dy"), _row(x, "x"), size, **_options(options)))


def avg_pool1d(x: Any, kernel_size: int, **options: Any) -> Real:
    """`avg_pool2d` of sequences x (N, W, C) or (W, C).

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> cyconv.avg_pool1d(np.arange(4.0).reshape(1, 4, 1), 2)[0, :, 0]
    array([0.5, 2.5])
    """
    size = (1, geometry.integer(kernel_size, "kernel_size", 1))
    return _squeeze(avg_pool2d(_row(x, "x"), size, **_options(options)))


def avg_pool1d_backward(dy: Any, input_shape: Any, kernel_size: int, **options: Any) -> Real:
    """Gradient of `avg_pool1d` with respect to x, of shape `input_shape`.

    Examples
    --------
    >>> import numpy as np, cyconv
    >>> cyconv.avg_pool1d_backward(np.ones((1, 2, 1)), (1, 4, 1), 2)[0, :, 0]
    array([0.5, 0.5, 0.5, 0.5])
    """
    if not hasattr(input_shape, "__len__") or len(input_shape) not in (2, 3):
        raise ValueError(f"input_shape must be (N, W, C), or (W, C) for one sequence, got {input_shape!r}")
    shape = (*input_shape[:-2], 1, *input_shape[-2:])
    size = (1, geometry.integer(kernel_size, "kernel_size", 1))
    return _squeeze(avg_pool2d_backward(_row(dy, "dy"), shape, size, **_options(options)))
