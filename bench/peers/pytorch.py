"""PyTorch, given its tensors once in channels_last and once in its default layout."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812, the name all of PyTorch uses

from bench.peers import Contender
from bench.suites import Conv
from bench.work import Array, Arrays, Prepared, UnsupportedError, Work

aten = torch.ops.aten


def contenders() -> list[Contender]:
    return [
        Contender(key, name, torch.__version__, layout, partial(prepare, memory_format=memory_format))
        for key, name, layout, memory_format in (
            ("torch-nhwc", "PyTorch NHWC", "channels_last, weights too", torch.channels_last),
            ("torch-nchw", "PyTorch NCHW", "NCHW, OIHW", torch.contiguous_format),
        )
    ]


def prepare(work: Work, memory_format: Any) -> Prepared:
    torch.set_num_threads(work.threads)

    def tensor(array: Array, *axes: int) -> Any:
        return torch.from_numpy(array).permute(axes).contiguous(memory_format=memory_format)

    x, dy = tensor(work.x, 0, 3, 1, 2), tensor(work.dy, 0, 3, 1, 2)
    if not isinstance(work.layer, Conv):
        return Prepared(_pool(work, x, dy), _read_image)
    w, b = tensor(work.w, 3, 2, 0, 1), torch.from_numpy(work.b)
    K, groups = work.layer.K, work.layer.groups
    stride, padding = (work.layer.stride,) * 2, (work.layer.padding,) * 2
    if work.direction == "forward":
        return Prepared(lambda: F.conv2d(x, w, b, stride, padding, 1, groups), _read_image)
    wanted = {
        "input_grad": [True, False, False],
        "weight_grad": [False, True, False],
        "backward": [True, True, True],
    }[work.direction]
    geometry = stride, padding, (1, 1), False, (0, 0), groups

    def backward() -> Any:
        return aten.convolution_backward(dy, x, w, [K], *geometry, wanted)

    try:  # in float64 some layouts have no kernel: "grad_weight must be contiguous"
        backward()
    except RuntimeError as reason:
        raise UnsupportedError(str(reason)) from reason
    return Prepared(backward, _read_gradients)


def _pool(work: Work, x: Any, dy: Any) -> Callable[[], Any]:
    layer = work.pool
    window = [layer.R] * 2, [layer.stride] * 2, [layer.padding] * 2
    if layer.mode == "avg":  # neither ceil_mode nor count_include_pad
        return {
            "forward": lambda: F.avg_pool2d(x, *window, False, False),
            "backward": lambda: aten.avg_pool2d_backward(dy, x, *window, False, False, None),
        }[work.direction]
    _, where = F.max_pool2d(x, *window, return_indices=True)
    return {
        "forward": lambda: F.max_pool2d(x, *window),
        "backward": lambda: aten.max_pool2d_with_indices_backward(dy, x, *window, [1, 1], False, where),
    }[work.direction]


def _read_image(image: Any) -> Arrays:
    return (image.permute(0, 2, 3, 1).numpy(),)


def _read_gradients(gradients: Any) -> Arrays:
    dx, dw, db = gradients
    images = () if dx is None else _read_image(dx)
    weights = () if dw is None else (dw.permute(2, 3, 1, 0).numpy(),)
    return (*images, *weights, *(() if db is None else (db.numpy(),)))
