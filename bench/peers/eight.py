"""Work done through the notebook's eight functions, whichever module offers them."""

from collections.abc import Callable
from typing import Any

import numpy as np

from bench.suites import Conv
from bench.work import Arrays, Prepared, UnsupportedError, Work


def prepare(functions: Any, work: Work, images: int | None = None) -> Prepared:
    """The call on the whole batch, or on no more than ``images`` of it."""
    if work.direction not in ("forward", "backward"):
        raise UnsupportedError("gives all gradients together")
    part = work.first(images) if images and images < work.layer.N else work
    call = _conv(functions, part) if isinstance(work.layer, Conv) else _pool(functions, part)
    return Prepared(call, _read, None if part is work else images)


def _conv(functions: Any, work: Work) -> Callable[[], Any]:
    layer, x, w, dy = work.conv, work.x, work.w, work.dy
    if layer.groups > 1:
        raise UnsupportedError("no groups")
    b = work.b.reshape(1, 1, 1, -1)
    hparameters = {"stride": layer.stride, "pad": layer.padding}
    cache = x, w, b, hparameters
    return {
        "forward": lambda: functions.conv_forward(x, w, b, hparameters)[0],
        "backward": lambda: functions.conv_backward(dy, cache),
    }[work.direction]


def _pool(functions: Any, work: Work) -> Callable[[], Any]:
    layer, x, dy = work.pool, work.x, work.dy
    if layer.padding:
        raise UnsupportedError("no padding")
    mode = {"max": "max", "avg": "average"}[layer.mode]
    hparameters = {"f": layer.R, "stride": layer.stride}
    cache = x, hparameters
    return {
        "forward": lambda: functions.pool_forward(x, hparameters, mode)[0],
        "backward": lambda: functions.pool_backward(dy, cache, mode),
    }[work.direction]


def _read(result: Any) -> Arrays:
    if not isinstance(result, tuple):
        return (result,)
    dx, dw, db = result
    return dx, dw, np.ravel(db)
