"""What the tests of cyconv.torch share: tensors, how they may lie in memory, and PyTorch as the judge."""

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

adapter = pytest.importorskip("cyconv.torch")
layout = adapter.layout
nn, F, CL = torch.nn, torch.nn.functional, torch.channels_last
assert_close = torch.testing.assert_close

LAYOUTS = {
    "contiguous": torch.Tensor.contiguous,
    "channels_last": lambda t: t.contiguous(memory_format=CL),
    "hwio": layout.hwio,
    "rows apart": lambda t: torch.cat([t, t], 2)[:, :, : t.shape[2]],
    "every second": lambda t: t.repeat_interleave(2, 3)[..., ::2],
    "transposed": lambda t: t.transpose(2, 3).contiguous().transpose(2, 3),
    "expanded": lambda t: t[:1].expand_as(t),
    "negated": lambda t: torch.complex(t, -t).conj().imag,
}


def normal(*shape, dtype=torch.float64):
    return torch.randn(shape, dtype=dtype)


def leaves(tensors):
    return [t.detach().requires_grad_(t.is_floating_point()) for t in tensors]


def compare(ours, theirs, *tensors):
    """The same results and gradients, in tensors that lie as the arguments do."""
    mine, other = leaves(tensors), leaves(tensors)
    y, expected = ours(*mine), theirs(*other)
    assert y.dtype == expected.dtype
    assert_close(y, expected)
    dy = torch.randn_like(expected)
    y.backward(dy)
    expected.backward(dy)
    for one, two in zip(mine, other, strict=True):
        assert_close(one.grad, two.grad)
