"""cyconv through its functional interface, and through the notebook's eight functions."""

from collections.abc import Callable
from functools import partial
from typing import Any

import cyconv
from bench.peers import Contender, eight
from bench.suites import Conv
from bench.work import Prepared, UnsupportedError, Work


def contenders() -> list[Contender]:
    version, layout = cyconv.__version__, "NHWC, HWIO"
    through_eight = partial(eight.prepare, cyconv)
    return [
        Contender("cyconv", "cyconv", version, layout, prepare),
        Contender("cyconv-notebook", "cyconv notebook", version, f"{layout}, the notebook's functions", through_eight),
    ]


def prepare(work: Work) -> Prepared:
    call = _conv if isinstance(work.layer, Conv) else _pool
    try:
        call(work.first(1))()
    except ValueError as reason:
        if work.algorithm == "auto":
            raise
        raise UnsupportedError(str(reason)) from None  # an algorithm asked for where it does not apply
    return Prepared(call(work), lambda result: result if isinstance(result, tuple) else (result,))


def _conv(work: Work) -> Callable[[], Any]:
    layer, x, w, b, dy = work.conv, work.x, work.w, work.b, work.dy
    options: dict[str, Any] = {
        "stride": layer.stride,
        "padding": layer.padding,
        "groups": layer.groups,
        "algorithm": work.algorithm,
    }
    return {
        "forward": lambda: cyconv.conv2d(x, w, b, **options),
        "input_grad": lambda: cyconv.conv2d_input_grad(dy, w, x.shape, **options),
        "weight_grad": lambda: cyconv.conv2d_weight_grad(dy, x, w.shape[:2], **options),
        "backward": lambda: cyconv.conv2d_backward(dy, x, w, **options),
    }[work.direction]


def _pool(work: Work) -> Callable[[], Any]:
    layer, x, dy, R = work.pool, work.x, work.dy, work.pool.R
    options: dict[str, Any] = {"stride": layer.stride, "padding": layer.padding}
    return {
        ("max", "forward"): lambda: cyconv.max_pool2d(x, R, **options),
        ("avg", "forward"): lambda: cyconv.avg_pool2d(x, R, **options),
        ("max", "backward"): lambda: cyconv.max_pool2d_backward(dy, x, R, **options),
        ("avg", "backward"): lambda: cyconv.avg_pool2d_backward(dy, x.shape, R, **options),
    }[layer.mode, work.direction]
