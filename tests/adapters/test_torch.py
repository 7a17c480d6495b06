"""cyconv.torch: what PyTorch computes, with its own functions as the judge, and what happens to models."""

import copy
import doctest
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from process import run

import cyconv
from cyconv import threads

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

adapter = pytest.importorskip("cyconv.torch")
conv_operators, pool_operators = adapter.conv_operators, adapter.pool_operators
functional, layout = adapter.functional, adapter.layout
nn, F, CL = torch.nn, torch.nn.functional, torch.channels_last
assert_close, opcheck = torch.testing.assert_close, torch.library.opcheck
gradcheck, gradgradcheck = torch.autograd.gradcheck, torch.autograd.gradgradcheck

README = Path(__file__).parents[2] / "README.md"
common = settings(max_examples=60, deadline=None, derandomize=True, print_blob=True)
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def alone(monkeypatch):
    """Without PyTorch's functions: nothing falls back unseen."""
    monkeypatch.setattr(functional, "F", SimpleNamespace(pad=F.pad))


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
layouts = st.sampled_from(sorted(LAYOUTS))


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


GEOMETRY = (2, 1), (1, 0, 0, 2), (1, 2), 2
MAX = (3, 2), (2, 1), (1, 0), (1, 2), True
AVG = (3, 2), (2, 1), (1, 0), True, False, None


def operators():
    """Every operator with arguments: x and dy are those of a grouped convolution, p those of a pooling."""
    x, w, b = normal(2, 4, 6, 5), normal(6, 2, 3, 2), normal(6)
    dy = torch.randn_like(conv_operators.conv2d(x, w, None, *GEOMETRY))
    dp, dq = torch.randn_like(F.max_pool2d(x, *MAX)), torch.randn_like(F.avg_pool2d(x, *AVG))
    return {
        "conv2d": (conv_operators.conv2d, (x, w, b), GEOMETRY),
        "conv2d, no bias": (lambda x, w, *g: conv_operators.conv2d(x, w, None, *g), (x, w), GEOMETRY),
        "input_grad": (
            lambda dy, w, b, *g: conv_operators.conv2d_input_grad(dy, w, b, (6, 5), *g),
            (dy, w, normal(4)),
            GEOMETRY,
        ),
        "weight_grad": (
            lambda dy, x, *g: conv_operators.conv2d_weight_grad(dy, x, (3, 2), *g),
            (dy, x),
            GEOMETRY,
        ),
        "max_pool2d": (pool_operators.max_pool2d, (x,), MAX),
        "max_pool2d, indices": (lambda *a: pool_operators.max_pool2d_with_indices(*a)[0], (x,), MAX),
        "max_pool2d_backward": (lambda dy, *g: pool_operators.max_pool2d_backward(dy, x, *g), (dp,), MAX),
        "avg_pool2d": (pool_operators.avg_pool2d, (x,), AVG),
        "avg_pool2d_backward": (lambda dy, *g: pool_operators.avg_pool2d_backward(dy, (6, 5), *g), (dq,), AVG),
    }


@pytest.mark.parametrize("name", operators())
def test_derivatives(name):
    """First and second, against finite differences."""
    function, tensors, geometry = operators()[name]
    tensors = leaves(tensors)
    assert gradcheck(lambda *t: function(*t, *geometry), tensors)
    assert gradgradcheck(lambda *t: function(*t, *geometry), tensors)


def opcheck_cases():
    x, w, b = leaves([normal(2, 4, 6, 5), normal(6, 2, 3, 2), normal(6)])
    dy, dp, dq = leaves([F.conv2d(x[:, :2], w), F.max_pool2d(x, *MAX), F.avg_pool2d(x, *AVG)])
    dy = torch.randn_like(conv_operators.conv2d(x, w, b, *GEOMETRY)).requires_grad_()
    return [
        ("conv2d", (x, w, b, *GEOMETRY)),
        ("conv2d", (LAYOUTS["channels_last"](x), layout.hwio(w), None, *GEOMETRY)),
        ("conv2d_input_grad", (dy, w, None, (6, 5), *GEOMETRY)),
        ("conv2d_weight_grad", (dy, x, (3, 2), *GEOMETRY)),
        ("max_pool2d", (x, *MAX)),
        ("max_pool2d_with_indices", (x, *MAX)),
        ("max_pool2d_backward", (dp, x, *MAX)),
        ("avg_pool2d", (x, *AVG)),
        ("avg_pool2d_backward", (dq, (6, 5), *AVG)),
    ]


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(("name", "arguments"), opcheck_cases())
def test_operators_are_what_their_registrations_say(name, arguments):
    """Schema, fake results and autograd, alone and under AOT dispatch with open sizes."""
    assert set(opcheck(getattr(torch.ops.cyconv, name).default, arguments).values()) == {"SUCCESS"}


class Net(nn.Module):
    """Every module, in a chain; `view` needs the memory format that PyTorch's modules give."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, padding_mode="reflect"),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 8, 3, padding="same", groups=8, bias=False),
            nn.Conv2d(8, 6, 1),
            nn.AvgPool2d(3, 2, 1, ceil_mode=True),
            nn.ConvTranspose2d(6, 4, 3, stride=2, output_padding=1),
        )

    def forward(self, x):
        return self.layers(x)


def train(model, x, steps=3):
    """The losses of a few steps."""
    descent = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for _ in range(steps):
        descent.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        descent.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, CL])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_accelerated_model_learns_the_same(memory_format, dtype):
    plain = Net().to(dtype).to(memory_format=memory_format)
    ours = adapter.accelerate(copy.deepcopy(plain))
    assert [type(m).__module__ for m in ours.layers].count("cyconv.torch.modules") == 6
    x = normal(2, 3, 12, 10, dtype=dtype).to(memory_format=memory_format)
    assert ours(x).stride() == plain(x).stride()
    assert train(ours, x) == pytest.approx(train(plain, x), rel=1e-12 if dtype == torch.float64 else 1e-5)
    for one, two in zip(ours.parameters(), plain.parameters(), strict=True):
        assert_close(one, two)
        assert_close(one.grad, two.grad)


def test_accelerate_and_restore_change_nothing_else():
    model = Net().to(memory_format=CL)
    before = [(id(m), type(m)) for m in model.modules()], [(id(p), p.stride()) for p in model.parameters()]
    values = {name: value.clone() for name, value in model.state_dict().items()}
    calls = []
    model.layers[0].register_forward_hook(lambda *_: calls.append(1))
    assert adapter.restore(adapter.accelerate(adapter.accelerate(model))) is model
    model(normal(1, 3, 8, 8, dtype=torch.float32))
    assert calls == [1]
    assert [(id(m), type(m)) for m in model.modules()] == before[0]
    assert [id(p) for p in model.parameters()] == [number for number, _ in before[1]]
    for parameter in model.parameters():
        assert parameter.ndim < 4 or parameter.is_contiguous(memory_format=CL)
    for name, value in model.state_dict().items():
        assert torch.equal(value, values[name])


def test_what_accelerate_leaves_alone():
    class Own(nn.Conv2d):
        pass

    model = nn.Sequential(Own(3, 3, 1), nn.Conv1d(3, 3, 1), nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 3, 1)))
    types = [type(m) for m in model]
    adapter.accelerate(model)
    assert [type(m) for m in model] == types


def test_weights_that_share_their_memory_stay_there():
    flat = torch.zeros(2, 4 * 3 * 3 * 3)
    conv = nn.Conv2d(3, 4, 3)
    conv.weight.data = flat[1].view(4, 3, 3, 3).contiguous(memory_format=CL)
    conv.weight.data = flat[1].view(4, 3, 3, 3).permute(0, 3, 1, 2)  # channels_last, a part of flat
    address = conv.weight.data_ptr()
    adapter.accelerate(conv)
    assert conv.weight.data_ptr() == address
    shared = nn.Conv2d(3, 4, 3).to(memory_format=CL).share_memory()
    address = shared.weight.data_ptr()
    assert adapter.accelerate(shared).weight.data_ptr() == address


@pytest.mark.parametrize("make", [lambda: adapter.Conv2d(3, 4, 3), lambda: adapter.ConvTranspose2d(3, 4, 3)])
def test_nothing_is_copied_in_channels_last(make, monkeypatch):
    module = make().to(memory_format=CL)
    images = normal(2, 3, 8, 8, dtype=torch.float32).to(memory_format=CL)
    assert np.shares_memory(layout.images(images), images.numpy())
    assert np.shares_memory(layout.filters(module.weight), module.weight.detach().numpy())
    for name in ("hwio", "channels_last"):
        monkeypatch.setattr(layout, name, None)
    module(images).sum().backward()
    assert module.weight.grad.stride() == module.weight.stride()
    module.double()
    assert layout.is_hwio(module.weight)
    assert layout.is_hwio(copy.deepcopy(module).weight)


MODULES = {
    "Conv2d": (3, 4, 3),
    "ConvTranspose2d": (3, 4, 3),
    "MaxPool2d": (2,),
    "AvgPool2d": (2,),
}


@pytest.mark.parametrize(("name", "arguments"), MODULES.items())
def test_modules_stand_in_for_pytorchs(name, arguments):
    ours, theirs = getattr(adapter, name)(*arguments), getattr(nn, name)(*arguments)
    assert isinstance(ours, type(theirs))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.to(memory_format=CL).load_state_dict(theirs.state_dict())
    x = normal(2, 3, 8, 8, dtype=torch.float32)
    assert_close(ours(x), theirs(x))
    theirs.load_state_dict(ours.state_dict())
    assert_close(ours(x), theirs(x))
    assert str(ours) == str(theirs)


def test_module_options():
    x = normal(2, 3, 8, 8, dtype=torch.float32)
    theirs = nn.ConvTranspose2d(3, 4, 3, stride=3)
    ours = adapter.accelerate(copy.deepcopy(theirs))
    assert_close(ours(x, output_size=[26, 25]), theirs(x, output_size=[26, 25]))
    with pytest.raises(ValueError, match="requested an output size"):
        ours(x, output_size=[99, 99])
    y, indices = adapter.MaxPool2d(2, return_indices=True)(x)
    assert_close(nn.MaxUnpool2d(2)(y, indices), nn.MaxUnpool2d(2)(*nn.MaxPool2d(2, return_indices=True)(x)))


def test_contiguous_weights_have_contiguous_gradients_and_hwio_ones_their_own():
    x, w = normal(2, 4, 7, 6), normal(6, 4, 3, 3)
    for lie in ("contiguous", "channels_last", "hwio"):
        (leaf,) = leaves([LAYOUTS[lie](w)])
        adapter.conv2d(x, leaf).sum().backward()
        assert leaf.grad.stride() == leaf.stride()


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("dynamic", [False, True])
def test_compile(dynamic, monkeypatch):
    """One graph, no break; AOT autograd traces the backward pass as well."""
    plain = Net().to(memory_format=CL)
    ours = adapter.accelerate(copy.deepcopy(plain))
    compiled = torch.compile(ours, fullgraph=True, dynamic=dynamic, backend="aot_eager")
    for size in (8, 12) if dynamic else (8,):
        x = normal(2, 3, size, size + 1, dtype=torch.float32).to(memory_format=CL)
        compare(compiled, plain, x)
    torch.compiler.reset()


@pytest.mark.filterwarnings("default")
def test_graph_transforms_see_single_steps():
    model = adapter.accelerate(nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2)))
    graph = torch.fx.symbolic_trace(model)
    called = [node.target for node in graph.graph.nodes if node.op == "call_function"]
    assert called == [adapter.conv2d, adapter.max_pool2d]
    x = normal(1, 3, 8, 8, dtype=torch.float32)
    assert torch.equal(graph(x), model(x))
    exported = torch.export.export(model, (x,))
    assert torch.equal(exported.module()(x), model(x))


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


def test_without_pytorch():
    script = """
        import sys
        sys.modules["torch"] = None
        import cyconv
        try:
            import cyconv.torch
        except ImportError as missing:
            print(missing)
    """
    assert run(script) == "cyconv.torch needs PyTorch: pip install 'cyconv[torch]'"


def examples():
    """Of the package, of each of its names, and of the README."""
    finder, parser = doctest.DocTestFinder(recurse=False), doctest.DocTestParser()
    for name in ("__doc__", *adapter.__all__):
        shown = adapter if name == "__doc__" else getattr(adapter, name)
        yield from finder.find(shown, name, globs={})
    blocks = re.findall(r"^```pycon\n(.*?)^```", README.read_text(encoding="utf-8"), re.M | re.S)
    yield parser.get_doctest("".join(block for block in blocks if "cyconv.torch" in block), {}, "README", None, 0)


@pytest.mark.parametrize("test", list(examples()), ids=lambda test: test.name)
def test_examples(test):
    assert test.examples
    runner = doctest.DocTestRunner()
    runner.run(test)
    assert runner.summarize(verbose=False).failed == 0
