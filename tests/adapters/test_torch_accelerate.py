"""Accelerated models: they learn the same, are changed in nothing else, and can be compiled, traced and exported."""

import copy

import pytest
from torch_cases import CL, adapter, assert_close, compare, nn, normal, torch


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
