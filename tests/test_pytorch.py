"""PyTorch as a second, independent oracle, for the package and for the first oracle alike."""

import draw
import numpy as np
import pytest
import reference
from hypothesis import given, note, settings
from hypothesis import strategies as st
from reference import transpose
from reference.geometry import Windows, pair

import cyconv

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
F = torch.nn.functional

common = settings(max_examples=100, deadline=None, derandomize=True, print_blob=True)
TOLERANCE = {"rtol": 1e-11, "atol": 1e-11}


def nchw(a):
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(a, -1, 1))).requires_grad_()


def oihw(w):
    return torch.from_numpy(np.ascontiguousarray(w.transpose(3, 2, 0, 1))).requires_grad_()


def nhwc(t):
    return np.moveaxis(t.detach().numpy(), 1, -1)


def hwio(t):
    return t.detach().numpy().transpose(2, 3, 1, 0)


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def drawn(data, make):
    """A geometry that hypothesis can shrink."""
    case = make(lambda low, high: data.draw(st.integers(low, high)))
    note(str(case))
    return case


def agree(theirs, *ours):
    for one in ours:
        assert one.shape == theirs.shape
        np.testing.assert_allclose(one, theirs, **TOLERANCE)


@pytest.mark.parametrize("make", [draw.conv, draw.grouped_conv, draw.depthwise_conv])
@common
@given(data=st.data())
def test_convolution(make, data):
    case = drawn(data, make)
    x, w, b = normal(1, *case.x), normal(2, *case.w), normal(3, case.K)
    windows = Windows(case.x[1:3], case.kernel_size, case.stride, case.padding, case.dilation)
    sides = (windows.left, windows.right, windows.top, windows.bottom)
    tx, tw, tb = nchw(x), oihw(w), torch.from_numpy(b).requires_grad_()
    ty = F.conv2d(F.pad(tx, sides), tw, tb, case.stride, 0, case.dilation, case.groups)
    agree(nhwc(ty), cyconv.conv2d(x, w, b, **case.geometry), case.forward(x, w, b))
    dy = normal(4, *nhwc(ty).shape)
    ty.backward(nchw(dy).detach())
    ours, oracle = cyconv.conv2d_backward(dy, x, w, **case.geometry), case.backward(dy, x, w)
    for position, theirs in enumerate((nhwc(tx.grad), hwio(tw.grad), tb.grad.numpy())):
        agree(theirs, ours[position], oracle[position])


@common
@given(data=st.data())
def test_transposed_convolution(data):
    case = drawn(data, draw.transposed)
    x, w, b = normal(1, *case.x), normal(2, *case.w), normal(3, case.K)
    size = transpose.least_size(
        case.x[1:3], case.kernel_size, case.stride, case.padding, case.output_padding, case.dilation
    )
    windows = Windows(size, case.kernel_size, case.stride, case.padding, case.dilation)
    # Unpadded, and wide enough to cut the padding off: PyTorch has only the same on both sides.
    tx, tw, tb = nchw(x), oihw(w), torch.from_numpy(b).requires_grad_()
    ty = F.conv_transpose2d(tx, tw, None, case.stride, 0, 0, case.groups, case.dilation)
    ty = F.pad(ty, (0, max(case.stride) * 20, 0, max(case.stride) * 20))
    ty = ty[:, :, windows.top :, windows.left :][:, :, : size[0], : size[1]] + tb[:, None, None]
    agree(nhwc(ty), cyconv.conv_transpose2d(x, w, b, **case.geometry, **case.size), case.forward(x, w, b))
    dy = normal(4, *nhwc(ty).shape)
    ty.backward(nchw(dy).detach())
    ours, oracle = cyconv.conv_transpose2d_backward(dy, x, w, **case.geometry), case.backward(dy, x, w)
    for position, theirs in enumerate((nhwc(tx.grad), hwio(tw.grad), tb.grad.numpy())):
        agree(theirs, ours[position], oracle[position])


def symmetric(case):
    """Its arguments, if PyTorch has the padding: as much before as after, and no more than half the window."""
    padding = pair(0 if case.padding == "valid" else case.padding)
    if any(isinstance(side, str | tuple) or side > k // 2 for side, k in zip(padding, case.kernel_size, strict=True)):
        return None
    return case.kernel_size, case.stride, padding


@common
@given(data=st.data())
def test_maximum(data):
    case = drawn(data, draw.pool_with_options)
    arguments = symmetric(case)
    if arguments is None:
        return
    # Whole numbers: ties, which PyTorch gives to the first.
    x = np.random.default_rng(1).integers(-3, 4, case.x).astype(float)
    tx = nchw(x)
    ty, tindices = F.max_pool2d(tx, *arguments, case.dilation, case.ceil_mode, return_indices=True)
    for library in (cyconv, reference):
        y, indices = library.max_pool2d(x, **case.geometry, return_indices=True)
        agree(nhwc(ty), y)
        agree(nhwc(tindices), indices)
    dy = normal(2, *y.shape)
    ty.backward(nchw(dy).detach())
    agree(
        nhwc(tx.grad),
        cyconv.max_pool2d_backward(dy, x, **case.geometry),
        reference.max_pool2d_backward(dy, x, **case.geometry),
    )


@common
@given(data=st.data(), include=st.booleans(), divisor=st.sampled_from([None, 3]))
def test_average(data, include, divisor):
    case = drawn(data, lambda integer: draw.pool(integer, ceil_mode=True))
    arguments = symmetric(case)
    if arguments is None:
        return
    x = normal(1, *case.x)
    tx = nchw(x)
    ty = F.avg_pool2d(tx, *arguments, case.ceil_mode, include, divisor)
    options = case.geometry | {"count_include_pad": include, "divisor_override": divisor}
    agree(nhwc(ty), cyconv.avg_pool2d(x, **options), reference.avg_pool2d(x, **options))
    dy = normal(2, *nhwc(ty).shape)
    ty.backward(nchw(dy).detach())
    agree(
        nhwc(tx.grad),
        cyconv.avg_pool2d_backward(dy, x.shape, **options),
        reference.avg_pool2d_backward(dy, x.shape, **options),
    )


@common
@given(shape=st.tuples(*(st.integers(1, n) for n in (2, 12, 12, 9))), size=st.tuples(*[st.integers(1, 14)] * 2))
def test_adaptive(shape, size):
    x = np.random.default_rng(1).integers(-3, 4, shape).astype(float)
    dy = normal(2, shape[0], *size, shape[3])
    tx = nchw(x)
    ty, tindices = F.adaptive_max_pool2d(tx, size, return_indices=True)
    ty.backward(nchw(dy).detach())
    for library in (cyconv, reference):
        y, indices = library.adaptive_max_pool2d(x, size, return_indices=True)
        agree(nhwc(ty), y)
        agree(nhwc(tindices), indices)
        agree(nhwc(tx.grad), library.adaptive_max_pool2d_backward(dy, x))
    tx = nchw(x)
    ty = F.adaptive_avg_pool2d(tx, size)
    ty.backward(nchw(dy).detach())
    for library in (cyconv, reference):
        agree(nhwc(ty), library.adaptive_avg_pool2d(x, size))
        agree(nhwc(tx.grad), library.adaptive_avg_pool2d_backward(dy, shape))


@common
@given(data=st.data(), p=st.integers(1, 4))
def test_norms(data, p):
    """On positive numbers: PyTorch takes powers without the absolute value."""
    case = drawn(data, draw.pool)
    arguments = symmetric(case)
    if arguments is None or (arguments[2] != 0 and arguments[2] != (0, 0)):
        return
    x = abs(normal(1, *case.x)) + 0.1
    tx = nchw(x)
    ty = F.lp_pool2d(tx, float(p), *arguments[:2])
    dy = normal(2, *nhwc(ty).shape)
    ty.backward(nchw(dy).detach())
    for library in (cyconv, reference):
        agree(nhwc(ty), library.lp_pool2d(x, p, **case.geometry))
        agree(nhwc(tx.grad), library.lp_pool2d_backward(dy, x, p, **case.geometry))


@common
@given(data=st.data())
def test_unpooling(data):
    case = drawn(data, lambda integer: draw.pool(integer))
    x = normal(1, *case.x)
    y, indices = cyconv.max_pool2d(x, **case.geometry, return_indices=True)
    planes = np.moveaxis(indices, -1, 1).copy()
    # PyTorch scatters over one plane as well; windows that overlap carry the same value.
    flat = torch.zeros(case.x[0], case.x[3], case.x[1] * case.x[2], dtype=torch.float64)
    flat = flat.scatter(2, torch.from_numpy(planes).flatten(2), nchw(y).detach().flatten(2))
    agree(nhwc(flat.reshape(case.x[0], case.x[3], *case.x[1:3])), cyconv.max_unpool2d(y, indices, case.x))
