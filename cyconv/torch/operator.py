"""What every operator of `cyconv.torch` has: a schema, a kernel for the CPU, its shapes, its gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from cyconv import threads

_library = torch.library.Library("cyconv", "DEF")


def operator(
    schema: str,
    kernel: Callable[..., Any],
    fake: Callable[..., Any],
    backward: Callable[..., tuple[Any, ...]],
    *,
    saved: int,
    geometry: int,
) -> Any:
    """Register an operator of PyTorch.

    `kernel` computes, on as many threads as PyTorch would.  `fake` gives an empty tensor of the result's shape and
    strides.  `backward(ctx, gradient)` returns the gradients of the first arguments, the rest having none; it finds the
    tensors among the first `saved` arguments in `ctx.saved_tensors`, the last `geometry` arguments in `ctx.geometry`
    and the shape of the first argument in `ctx.shape`.
    """
    name = schema.partition("(")[0]

    def limited(*arguments: Any) -> Any:
        with threads.share(torch.get_num_threads()):
            return kernel(*arguments)

    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.arity, ctx.shape, ctx.geometry = len(inputs), inputs[0].shape, inputs[len(inputs) - geometry :]
        ctx.save_for_backward(*inputs[:saved])

    def gradients(ctx: Any, *outputs: Any) -> tuple[Any, ...]:
        found = backward(ctx, outputs[0])
        return *found, *[None] * (ctx.arity - len(found))

    _library.define(schema, tags=(torch.Tag.pt2_compliant_tag,))
    _library.impl(name, limited, "CPU")
    torch.library.register_fake(f"cyconv::{name}", fake, lib=_library)
    torch.library.register_autograd(f"cyconv::{name}", gradients, setup_context=setup_context, lib=_library)
    return getattr(torch.ops.cyconv, name).default
