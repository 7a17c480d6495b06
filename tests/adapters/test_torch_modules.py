"""cyconv.torch's modules: they stand in for PyTorch's, and copy nothing."""

import copy

import numpy as np
import pytest
from torch_cases import CL, adapter, assert_close, layout, nn, normal, torch

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
