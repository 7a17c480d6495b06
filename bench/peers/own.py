"""cyconv through its functional interface, into arrays it makes or is given, and through the notebook's functions."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

import cyconv
from bench.peers import Contender, eight
from bench.suites import Conv
from bench.work import Prepared, UnsupportedError, Work


def contenders() -> list[Contender]:
    version, layout = cyconv.__version__, "NHWC, HWIO"
    return [
        Contender("cyconv", "cyconv", version, layout, prepare),
        Contender("cyconv-direct", "cyconv direct", version, f"{layout}, algorithm='direct'", _prepare_direct),
        Contender("cyconv-out", "cyconv out=", version, f"{layout}, into the same array each time", _prepare_out),
        Contender(
            "cyconv-notebook", "cyconv notebook", version, f"{layout}, the notebook's functions",
            partial(eight.prepare, cyconv),
        ),
    ]  # fmt: skip


def prepare(work: Work) -> Prepared:
    call = _conv if isinstance(work.layer, Conv) else _pool
    try:
        call(work.first(1))()
    except ValueError as reason:
        if work.algorithm == "auto":
            raise
        raise UnsupportedError(str(reason)) from None  # an algorithm asked for where it does not apply
    return Prepared(call(work), lambda result: result if isinstance(result, tuple) else (result,))


def _prepare_direct(work: Work) -> Prepared:
    return prepare(replace(work, algorithm="direct"))


def _prepare_out(work: Work) -> Prepared:
    """The result's pages are touched once, not with every call."""
    if work.direction == "backward":
        raise UnsupportedError("no out= for several gradients, or a pooling's")
    call = (_conv if isinstance(work.layer, Conv) else _pool)(work)
    shape = {"forward": work.layer.y_shape, "input_grad": work.layer.x_shape, "weight_grad": work.layer.w_shape}
    out = np.zeros(shape[work.direction], work.x.dtype)
    return Prepared(partial(call, out=out), lambda result: (result,))


def _conv(work: Work) -> Callable[..., Any]:
    layer, x, w, b, dy = work.conv, work.x, work.w, work.b, work.dy
    options: dict[str, Any] = {
        "stride": layer.stride,
        "padding": layer.padding,
        "groups": layer.groups,
        "algorithm": work.algorithm,
    }
    calls: dict[str, Callable[..., Any]] = {
        "forward": partial(cyconv.conv2d, x, w, b, **options),
        "input_grad": partial(cyconv.conv2d_input_grad, dy, w, x.shape, **options),
        "weight_grad": partial(cyconv.conv2d_weight_grad, dy, x, w.shape[:2], **options),
        "backward": partial(cyconv.conv2d_backward, dy, x, w, **options),
    }
    return calls[work.direction]


def _pool(work: Work) -> Callable[..., Any]:
    layer, x, dy, R = work.pool, work.x, work.dy, work.pool.R
    options: dict[str, Any] = {"stride": layer.stride, "padding": layer.padding}
    calls: dict[tuple[str, str], Callable[..., Any]] = {
        ("max", "forward"): partial(cyconv.max_pool2d, x, R, **options),
        ("avg", "forward"): partial(cyconv.avg_pool2d, x, R, **options),
        ("max", "backward"): partial(cyconv.max_pool2d_backward, dy, x, R, **options),
        ("avg", "backward"): partial(cyconv.avg_pool2d_backward, dy, x.shape, R, **options),
    }
    return calls[layer.mode, work.direction]
