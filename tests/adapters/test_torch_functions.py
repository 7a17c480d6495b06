"""cyconv.torch's functions: what PyTorch's own give, or refuse."""

from types import SimpleNamespace

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from torch_cases import LAYOUTS, F, adapter, assert_close, compare, leaves, normal, torch

import cyconv
from cyconv import threads

common = settings(max_examples=60, deadline=None, derandomize=True, print_blob=True)
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
layouts = st.sampled_from(sorted(LAYOUTS))


@pytest.fixture
def alone(monkeypatch):
    """Without PyTorch's functions: nothing falls back unseen."""
    monkeypatch.setattr(adapter.functional, "F", SimpleNamespace(pad=F.pad))


@st.composite
def convolutions(draw, transposed=False):
    """The shapes of x, w and b, and the arguments, of a convolution that PyTorch accepts."""
    (R, S), stride, dilation = draw(pairs), draw(pairs), draw(pairs)
    groups, c, k = draw(st.integers(1, 3)), draw(st.integers(1, 5)), draw(st.integers(1, 5))
    padding = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    extents = [(size - 1) * d + 1 for size, d in zip((R, S), dilation, strict=True)]
    if transposed:
        H, W = (-(-max(0, 2 * p + 1 - e) // s) + 1 for p, e, s in zip(padding, extents, stride, strict=True))
    else:
        H, W = (max(1, e - 2 * p) for p, e in zip(padding, extents, strict=True))
    x = draw(st.integers(0, 2)), groups * c, H + draw(st.integers(0, 6)), W + draw(st.integers(0, 6))
    arguments = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    if transposed:
        most = [max(s, d) - 1 for s, d in zip(stride, dilation, strict=True)]
        arguments["output_padding"] = tuple(draw(st.integers(0, m)) for m in most)
        return x, (groups * c, k, R, S), groups * k, arguments
    return x, (groups * k, c, R, S), groups * k, arguments


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["conv2d", "conv_transpose2d"])
def test_convolution(name, dtype, alone):
    @common
    @given(case=convolutions(name == "conv_transpose2d"), of_x=layouts, of_w=layouts, with_bias=st.booleans())
    def check(case, of_x, of_w, with_bias):
        note(f"{case} {of_x} {of_w}")
        x, w, K, arguments = case
        images, weights = LAYOUTS[of_x](normal(*x, dtype=dtype)), LAYOUTS[of_w](normal(*w, dtype=dtype))
        tensors = images, weights, *([normal(K, dtype=dtype)] if with_bias else [])
        compare(
            lambda *t: getattr(adapter, name)(*t, **arguments), lambda *t: getattr(F, name)(*t, **arguments), *tensors
        )

    check()


@st.composite
def pools(draw):
    """The shape of x, and the arguments, of a pooling that PyTorch accepts."""
    kernel_size, dilation = draw(pairs), draw(pairs)
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel_size)
    H, W = (
        max(d, (k - 1) * d + 1 - 2 * p) + draw(st.integers(0, 8))
        for k, d, p in zip(kernel_size, dilation, padding, strict=True)
    )
    arguments = {"kernel_size": kernel_size, "padding": padding, "ceil_mode": draw(st.booleans())}
    arguments["stride"] = draw(st.one_of(st.none(), pairs))
    return (draw(st.integers(1, 2)), draw(st.integers(1, 9)), H, W), arguments, dilation


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_maximum(dtype, alone):
    @common
    @given(case=pools(), of_x=layouts)
    def check(case, of_x):
        x, arguments, dilation = case
        arguments = arguments | {"dilation": dilation}
        tensor = LAYOUTS[of_x](torch.randint(-3, 4, x).to(dtype))  # with ties
        compare(lambda t: adapter.max_pool2d(t, **arguments), lambda t: F.max_pool2d(t, **arguments), tensor)
        _, indices = adapter.max_pool2d(tensor, **arguments, return_indices=True)
        assert_close(indices, F.max_pool2d(tensor, **arguments, return_indices=True)[1], rtol=0, atol=0)

    check()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_average(dtype, alone):
    @common
    @given(case=pools(), of_x=layouts, include=st.booleans(), divisor=st.sampled_from([None, 5]))
    def check(case, of_x, include, divisor):
        x, arguments, _ = case
        arguments = arguments | {"count_include_pad": include, "divisor_override": divisor}
        tensor = LAYOUTS[of_x](normal(*x, dtype=dtype))
        compare(lambda t: adapter.avg_pool2d(t, **arguments), lambda t: F.avg_pool2d(t, **arguments), tensor)

    check()


CALLS = {  # what takes images of 4 channels; w is (4, 4, 3, 3), for either convolution
    "conv2d": lambda library, x, w: library.conv2d(x, w, padding=1),
    "strided": lambda library, x, w: library.conv2d(x, w, stride=(2,), padding=[1, 1], dilation=(1,)),
    "valid": lambda library, x, w: library.conv2d(x, w, padding="valid"),
    "same": lambda library, x, w: library.conv2d(x, w[..., :2], padding="same", dilation=2),
    "conv_transpose2d": lambda library, x, w: library.conv_transpose2d(x, w, stride=2),
    "max_pool2d": lambda library, x, w: library.max_pool2d(x, 3, 2, 1),
    "max_pool2d, indices": lambda library, x, w: library.max_pool2d(x, 2, [], return_indices=True)[1],
    "avg_pool2d": lambda library, x, w: library.avg_pool2d(x, 2),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("of_x", ["contiguous", "channels_last"])
@pytest.mark.parametrize("of_w", ["contiguous", "channels_last"])
def test_results_have_the_memory_format_that_pytorch_gives_them(call, of_x, of_w, alone):
    x, w = LAYOUTS[of_x](normal(2, 4, 7, 6)), LAYOUTS[of_w](normal(4, 4, 3, 3))
    ours, theirs = call(adapter, x, w), call(F, x, w)
    assert_close(ours, theirs)
    assert ours.stride() == theirs.stride()


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_one_image(call, alone):
    x, w = normal(4, 7, 6), normal(4, 4, 3, 3)
    assert_close(call(adapter, x, w), call(F, x, w))


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_other_dtypes_are_pytorchs(call, dtype):
    x, w = normal(2, 4, 7, 6, dtype=dtype), normal(4, 4, 3, 3, dtype=dtype)
    ours, theirs = call(adapter, x, w), call(F, x, w)
    assert ours.dtype == theirs.dtype
    assert_close(ours, theirs, rtol=0, atol=0)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_other_devices_are_pytorchs(call):
    x, w = torch.empty(2, 4, 7, 6, device="meta"), torch.empty(4, 4, 3, 3, device="meta")
    assert call(adapter, x, w).shape == call(F, x, w).shape


def test_autocast_is_pytorchs():
    x, w = normal(2, 4, 7, 6, dtype=torch.float32), normal(4, 4, 3, 3, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        assert adapter.conv2d(x, w).dtype == torch.bfloat16
        assert_close(adapter.conv2d(x, w), F.conv2d(x, w), rtol=0, atol=0)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_transforms_are_pytorchs(call):
    def loss(library):
        return lambda x, w: call(library, x, w).to(x.dtype).square().sum()

    x, w = normal(3, 2, 4, 7, 6), normal(4, 4, 3, 3)
    assert_close(torch.vmap(loss(adapter), (0, None))(x, w), torch.vmap(loss(F), (0, None))(x, w))
    if call is not CALLS["max_pool2d, indices"]:
        assert_close(torch.func.grad(loss(adapter))(x[0], w), torch.func.grad(loss(F))(x[0], w))


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_forward_mode_is_pytorchs(call):
    x, w, dx, dw = normal(2, 4, 7, 6), normal(4, 4, 3, 3), normal(2, 4, 7, 6), normal(4, 4, 3, 3)
    for primals, tangents in (((x, w), (dx, dw)), ((x, w), (torch.zeros_like(x), dw))):
        ours, theirs = (
            torch.func.jvp(lambda x, w, library=library: call(library, x, w), primals, tangents)
            for library in (adapter, F)
        )
        assert_close(ours, theirs)


@pytest.mark.parametrize(
    "call",
    [
        lambda library, x, w: library.conv2d(x, w, stride=0),
        lambda library, x, w: library.conv2d(x, w, padding="nonsense"),
        lambda library, x, w: library.conv2d(x, w, padding="same", stride=2),
        lambda library, x, w: library.conv2d(x, w, groups=3),
        lambda library, x, w: library.conv2d(x, w.float()),
        lambda library, x, w: library.conv2d(x[:, :3], w),
        lambda library, x, w: library.conv2d(x[0, 0], w),
        lambda library, x, w: library.conv2d(x, w[0]),
        lambda library, x, w: library.conv2d(x, w, w[0]),
        lambda library, x, w: library.conv2d(x[..., :2], w),
        lambda library, x, w: library.conv_transpose2d(x, w, output_padding=1),
        lambda library, x, w: library.conv_transpose2d(x, w, padding=20),
        lambda library, x, w: library.max_pool2d(x, 2, padding=2),
        lambda library, x, w: library.max_pool2d(x, 0),
        lambda library, x, w: library.max_pool2d(x, (2, 2, 2)),
        lambda library, x, w: library.avg_pool2d(x, 9),
        lambda library, x, w: library.avg_pool2d(x, 2, divisor_override=0),
        lambda library, x, w: library.avg_pool2d(x, "2"),
    ],
)
def test_mistakes_are_reported_by_pytorch(call):
    x, w = normal(2, 4, 7, 6), normal(4, 4, 3, 3)
    with pytest.raises((RuntimeError, TypeError)) as theirs:
        call(F, x, w)
    with pytest.raises(theirs.type) as ours:
        call(adapter, x, w)
    assert str(ours.value) == str(theirs.value)


def test_contiguous_weights_have_contiguous_gradients_and_hwio_ones_their_own():
    x, w = normal(2, 4, 7, 6), normal(6, 4, 3, 3)
    for lie in ("contiguous", "channels_last", "hwio"):
        (leaf,) = leaves([LAYOUTS[lie](w)])
        adapter.conv2d(x, leaf).sum().backward()
        assert leaf.grad.stride() == leaf.stride()


def test_threads_are_pytorchs(monkeypatch):
    seen = []

    def recording(*arguments, **options):
        seen.append(threads.limits()["task"])
        return conv2d(*arguments, **options)

    conv2d = cyconv.conv2d
    monkeypatch.setattr(cyconv, "conv2d", recording)
    before = torch.get_num_threads()
    try:
        for count in (1, 7):
            torch.set_num_threads(count)
            adapter.conv2d(normal(1, 2, 5, 5), normal(2, 2, 3, 3))
    finally:
        torch.set_num_threads(before)
    assert seen == [1, 7]
    assert "task" not in threads.limits()


def test_nan_is_the_maximum(alone):
    x = normal(1, 2, 6, 6)
    x[0, 1, 2, 3] = torch.nan
    assert_close(adapter.max_pool2d(x, 3, 1), F.max_pool2d(x, 3, 1), equal_nan=True)
