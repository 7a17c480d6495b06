"""cyconv.autograd: the functions of cyconv, and derivatives of them that autograd can take again."""

import draw
import numpy as np
import pytest
from answers import seeded
from cases import Conv, Pool, Transposed
from compare import assert_exact, assert_same_bits

import cyconv

pytest.importorskip("autograd", reason="autograd is not installed")

import autograd.numpy as anp
from autograd import elementwise_grad, grad, hessian, make_jvp
from autograd.test_util import check_grads

from cyconv import autograd as adapter

CONVS = (
    Conv((2, 4, 5, 2), (3, 2), 3),
    Conv((1, 5, 4, 4), (2, 3), 6, stride=(2, 1), padding=((0, 2), (1, 0)), groups=2),
    Conv((1, 6, 5, 3), (2, 2), 3, dilation=2, padding="same", groups=3),
    Conv((2, 4, 5, 2), (3, 3), 2, stride=2, padding="same_lower"),
    Conv((1, 2, 2, 1), (1, 2), 2, stride=3, padding=4),
    *draw.many(draw.grouped_conv, 6),
)
TRANSPOSED = (
    Transposed((2, 3, 2, 2), (3, 2), 3),
    Transposed((1, 3, 2, 4), (2, 3), 6, stride=2, padding=1, output_padding=(0, 1), groups=2),
    Transposed((1, 3, 3, 2), (2, 2), 2, stride=1, dilation=3, output_padding=2),
    Transposed((1, 3, 2, 2), (3, 3), 2, stride=2, padding="same", output_size=(5, 3)),
    *draw.many(draw.transposed, 6),
)
POOLS = (
    Pool((2, 4, 5, 2), 2),
    Pool((1, 5, 5, 2), (3, 2), stride=(1, 2), padding=1),
    Pool((1, 5, 6, 2), 2, stride=2, dilation=2, ceil_mode=True),
    *draw.many(draw.pool_with_options, 4),
)


@pytest.fixture(autouse=True)
def _same_directions():
    """check_grads draws the directions it differentiates in from NumPy's global generator."""
    np.random.seed(0)


def arrays(case):
    """x, w and b: no two values of x as near as the steps that check_grads makes, so no window changes its maximum."""
    rng = seeded(case)
    x = rng.permutation(np.prod(case.x)).reshape(case.x) / np.prod(case.x)
    return (x, rng.standard_normal(case.w), rng.standard_normal(case.K)) if hasattr(case, "K") else (x,)


def small(cases):
    """Those whose numerical derivatives do not take long."""
    return [case for case in cases if np.prod(case.x) < 600]


@pytest.mark.parametrize("case", small(CONVS), ids=str)
def test_convolution(case):
    x, w, b = arrays(case)

    def conv(x, w, b):
        return adapter.conv2d(x, w, b, **case.geometry)

    np.testing.assert_allclose(conv(x, w, b), cyconv.conv2d(x, w, b, **case.geometry), rtol=1e-13, atol=1e-13)
    check_grads(conv, (0, 1, 2), modes=["fwd", "rev"], order=2)(x, w, b)


@pytest.mark.parametrize("case", small(TRANSPOSED), ids=str)
def test_transposed_convolution(case):
    x, w, b = arrays(case)

    def transposed(x, w, b):
        return adapter.conv_transpose2d(x, w, b, **case.geometry, **case.size)

    ours = cyconv.conv_transpose2d(x, w, b, **case.geometry, **case.size)
    np.testing.assert_allclose(transposed(x, w, b), ours, rtol=1e-13, atol=1e-13)
    check_grads(transposed, (0, 1, 2), modes=["fwd", "rev"], order=2)(x, w, b)


@pytest.mark.parametrize("kind", ["max", "avg"])
@pytest.mark.parametrize("case", small(POOLS), ids=str)
def test_pooling(kind, case):
    (x,) = arrays(case)

    def pool(x):
        return getattr(adapter, f"{kind}_pool2d")(x, **case.geometry)

    assert_same_bits(pool(x), getattr(cyconv, f"{kind}_pool2d")(x, **case.geometry))
    check_grads(pool, modes=["fwd", "rev"], order=2)(x)


def test_one_image():
    rng = seeded("one image")
    x, w, v = rng.standard_normal((4, 5, 2)), rng.standard_normal((3, 2, 2, 3)), rng.standard_normal((2, 2, 2, 3))

    def network(x, w, v):
        y = adapter.conv_transpose2d(adapter.max_pool2d(adapter.conv2d(x, w), 2), v, np.ones((1, 1, 1, 2)))
        return adapter.avg_pool2d(y, 2)

    assert network(x, w, v).shape == (1, 1, 2)
    check_grads(network, (0, 1, 2), modes=["fwd", "rev"], order=2)(x, w, v)


def test_options_of_averages():
    x = np.ones((1, 3, 3, 1))
    for options in ({"count_include_pad": True}, {"divisor_override": 3}):
        geometry = {"kernel_size": 2, "padding": 1, **options}
        dx = elementwise_grad(lambda x, g=geometry: adapter.avg_pool2d(x, **g))(x)
        assert_exact(dx, cyconv.avg_pool2d_backward(np.ones((1, 2, 2, 1)), x.shape, **geometry))


def test_gradients_are_those_of_the_package():
    """One call of a kernel each, with the same bits."""
    case = Conv((2, 9, 8, 5), (3, 3), 7, stride=2, padding=1)
    x, w, b = arrays(case)
    dy = np.ones(cyconv.conv2d(x, w, **case.geometry).shape)
    ours = cyconv.conv2d_backward(dy, x, w, **case.geometry)
    theirs = grad(lambda x, w, b: anp.sum(adapter.conv2d(x, w, b, **case.geometry)), argnum=(0, 1, 2))(x, w, b)
    assert_same_bits(theirs[0], ours[0])
    assert_same_bits(theirs[1], ours[1])
    assert_exact(theirs[2], ours[2])


def test_the_gradient_of_a_tie_goes_to_the_first():
    x = np.ones((1, 4, 4, 1))
    dx = elementwise_grad(lambda x: adapter.max_pool2d(x, 2))(x)
    assert_exact(dx, cyconv.max_pool2d_backward(np.ones((1, 2, 2, 1)), x, 2))


def test_a_small_network_to_third_order():
    rng = seeded("network")
    x, w, v = rng.standard_normal((1, 6, 6, 1)), rng.standard_normal((3, 3, 1, 2)), rng.standard_normal((2, 2, 1, 2))

    def loss(w):
        y = anp.tanh(adapter.max_pool2d(adapter.conv2d(x, w), 2))
        return anp.sum(adapter.avg_pool2d(adapter.conv_transpose2d(y, v, stride=2), 2) ** 3)

    check_grads(loss, modes=["rev"], order=3)(w)
    check_grads(loss, modes=["fwd"], order=3)(w)
    H = hessian(loss)(w).reshape(w.size, w.size)
    np.testing.assert_allclose(H, H.T, rtol=1e-9, atol=1e-9)


def test_float32_stays_float32():
    x, w = np.ones((1, 4, 4, 2), np.float32), np.ones((3, 3, 2, 3), np.float32)

    def loss(x, w):
        return anp.sum(adapter.max_pool2d(adapter.conv2d(x, w), 2))

    assert all(g.dtype == np.float32 for g in grad(loss, argnum=(0, 1))(x, w))
    assert make_jvp(lambda x: adapter.conv2d(x, w))(x)(x)[1].dtype == np.float32


def test_nothing_passed_is_modified():
    x, w, b = kept = arrays(CONVS[0])
    copies = [a.copy() for a in kept]
    for a in kept:
        a.flags.writeable = False
    grad(lambda x, w, b: anp.sum(adapter.max_pool2d(adapter.conv2d(x, w, b), 2)), argnum=(0, 1, 2))(x, w, b)
    for a, copy in zip(kept, copies, strict=True):
        assert_same_bits(a, copy)


def test_bad_input_is_refused_in_the_words_of_the_package():
    x, w = np.ones((1, 4, 4, 2)), np.ones((3, 3, 2, 3))
    with pytest.raises(ValueError, match="`w` takes 2 channels"):
        adapter.conv2d(x[..., :1], w)
    with pytest.raises(ValueError, match="`b` must have shape"):
        adapter.conv2d(x, w, np.ones(4))
    with pytest.raises(ValueError, match="`algorithm`"):
        adapter.conv2d(x, w, algorithm="fast")
    with pytest.raises(ValueError, match="`kernel_size`"):
        grad(lambda x: anp.sum(adapter.max_pool2d(x, 5)))(x)
    with pytest.raises(TypeError, match="complex128"):
        adapter.conv2d(x * 1j, w)
