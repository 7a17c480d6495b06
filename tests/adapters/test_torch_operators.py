"""cyconv.torch's operators: their derivatives, and what PyTorch is told of them."""

import pytest
from torch_cases import LAYOUTS, F, adapter, layout, leaves, normal, torch

conv_operators, pool_operators = adapter.conv_operators, adapter.pool_operators
opcheck = torch.library.opcheck
gradcheck, gradgradcheck = torch.autograd.gradcheck, torch.autograd.gradgradcheck

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
