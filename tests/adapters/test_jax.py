"""cyconv.jax: the functions of cyconv under jit, grad and vmap, compared with XLA's own and with the package."""

import draw
import numpy as np
import pytest
from answers import integers, seeded
from cases import Conv, Pool, Transposed
from compare import assert_exact

import cyconv

pytest.importorskip("jax", reason="JAX is not installed")

import jax
import jax.numpy as jnp
from jax import lax
from jax.test_util import check_grads

from cyconv import jax as adapter

CONVS = (
    Conv((2, 4, 5, 2), (3, 2), 3),
    Conv((1, 5, 4, 4), (2, 3), 6, stride=(2, 1), padding=((0, 2), (1, 0)), groups=2),
    Conv((1, 6, 5, 3), (2, 2), 3, dilation=2, padding="same", groups=3),
    Conv((1, 2, 2, 1), (1, 2), 2, stride=3, padding=4),
    *draw.many(draw.grouped_conv, 4),
)
TRANSPOSED = (
    Transposed((2, 3, 2, 2), (3, 2), 3),
    Transposed((1, 3, 2, 4), (2, 3), 6, stride=2, padding=1, output_padding=(0, 1), groups=2),
    Transposed((1, 3, 3, 2), (2, 2), 2, stride=1, dilation=3, output_padding=2),
    Transposed((1, 3, 2, 2), (3, 3), 2, stride=2, padding="same", output_size=(5, 3)),
    *draw.many(draw.transposed, 4),
)
POOLS = (
    Pool((2, 4, 5, 2), 2),
    Pool((1, 5, 5, 2), (3, 2), stride=(1, 2), padding=1),
    Pool((1, 5, 6, 2), 2, stride=2, dilation=2, ceil_mode=True),
    *draw.many(draw.pool_with_options, 2),
)


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def arrays(case):
    """x, w and b; no two values of x near each other, so that small steps change no maximum."""
    rng = seeded(case)
    x = rng.permutation(np.prod(case.x)).reshape(case.x) / np.prod(case.x)
    return (x, rng.standard_normal(case.w), rng.standard_normal(case.K)) if hasattr(case, "K") else (x,)


def small(cases):
    return [case for case in cases if np.prod(case.x) < 600]


def agree(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", small(CONVS), ids=str)
def test_convolution(case):
    x, w, b = arrays(case)

    def conv(x, w, b):
        return adapter.conv2d(x, w, b, **case.geometry)

    agree(jax.jit(conv)(x, w, b), cyconv.conv2d(x, w, b, **case.geometry))
    check_grads(jax.jit(conv), (x, w, b), order=2, modes=["rev"])


@pytest.mark.parametrize("case", small(TRANSPOSED), ids=str)
def test_transposed_convolution(case):
    x, w, b = arrays(case)

    def transposed(x, w, b):
        return adapter.conv_transpose2d(x, w, b, **case.geometry, **case.size)

    agree(jax.jit(transposed)(x, w, b), cyconv.conv_transpose2d(x, w, b, **case.geometry, **case.size))
    check_grads(jax.jit(transposed), (x, w, b), order=2, modes=["rev"])


@pytest.mark.parametrize("kind", ["max", "avg"])
@pytest.mark.parametrize("case", small(POOLS), ids=str)
def test_pooling(kind, case):
    (x,) = arrays(case)

    def pool(x):
        return getattr(adapter, f"{kind}_pool2d")(x, **case.geometry)

    agree(jax.jit(pool)(x), getattr(cyconv, f"{kind}_pool2d")(x, **case.geometry))
    check_grads(jax.jit(pool), (x,), order=2, modes=["rev"])


@pytest.mark.parametrize("jit", [False, True])
def test_gradients_equal_those_of_xla(jit):
    rng = seeded("xla")
    x, w = integers(rng, 2, 9, 8, 6), integers(rng, 3, 3, 3, 4)

    def ours(x, w):
        return adapter.conv2d(x, w, stride=2, padding=1, dilation=(1, 2), groups=2)

    def xla(x, w):
        return lax.conv_general_dilated(
            x,
            w,
            (2, 2),
            [(1, 1), (1, 1)],
            rhs_dilation=(1, 2),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=2,
        )

    def loss(conv):
        grad = jax.value_and_grad(lambda x, w: jnp.sum(conv(x, w) ** 2), argnums=(0, 1))
        return jax.jit(grad) if jit else grad

    (y, ours_grads), (z, xla_grads) = loss(ours)(x, w), loss(xla)(x, w)
    assert y == z
    for got, wanted in zip(ours_grads, xla_grads, strict=True):
        assert_exact(got, wanted)


MAPPED = {
    "conv2d": (lambda x, w: adapter.conv2d(x, w, padding=1), (2, 4, 5, 2), (3, 3, 2, 3)),
    "conv_transpose2d": (lambda x, w: adapter.conv_transpose2d(x, w, stride=2), (2, 4, 5, 2), (3, 3, 3, 2)),
    "conv2d, one image": (lambda x, w: adapter.conv2d(x, w), (4, 5, 2), (3, 3, 2, 3)),
}


@pytest.mark.parametrize("axes", [(0, None), (None, 3), (1, 2)], ids=str)
@pytest.mark.parametrize("name", MAPPED)
def test_vmap_of_convolutions(name, axes):
    """Over images, filters and both, and over the gradients."""
    function, x_shape, w_shape = MAPPED[name]
    rng = seeded("vmap", name)
    x, w = (
        integers(rng, *shape[:axis], 3, *shape[axis:]) if axis is not None else integers(rng, *shape)
        for shape, axis in zip((x_shape, w_shape), axes, strict=True)
    )

    def loss(x, w):
        return jnp.sum(function(x, w) ** 2)

    for one in map(jax.jit, (function, jax.grad(loss), jax.grad(loss, argnums=1))):
        members = [
            one(*(a if axis is None else jnp.take(a, i, axis) for a, axis in zip((x, w), axes, strict=True)))
            for i in range(3)
        ]
        assert_exact(jax.jit(jax.vmap(one, axes))(x, w), np.stack(members))


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
def test_vmap_of_pools(name):
    """Twice over: two axes before those of the images."""
    x = seeded(name).permutation(2 * 3 * 2 * 5 * 4 * 2).reshape(2, 3, 2, 5, 4, 2).astype(float)

    def pool(x):
        return getattr(adapter, name)(x, (3, 2), stride=(1, 2), padding=1)

    def grad(x):
        return jax.grad(lambda x: jnp.sum(pool(x) ** 2))(x)

    for one in map(jax.jit, (pool, grad)):
        members = np.stack([one(a) for a in x.reshape(-1, *x.shape[2:])])
        twice = jax.vmap(jax.vmap(one))(x)
        assert_exact(twice, members.reshape(twice.shape))


def test_gradients_for_each_image_of_a_batch():
    """What vmap is most used for: grad inside, the filters shared."""
    rng = seeded("per image")
    x, w = integers(rng, 5, 6, 6, 2), integers(rng, 3, 3, 2, 4)
    grads = jax.vmap(jax.grad(lambda w, x: jnp.sum(adapter.conv2d(x, w) ** 2)), (None, 0))(w, x)
    for n in range(5):
        y = cyconv.conv2d(x[n], w)
        assert_exact(grads[n], cyconv.conv2d_weight_grad(2 * y, x[n], 3))


def test_lists_as_parameters_and_repeated_calls_are_traced_once():
    traces = []

    @jax.jit
    def pooled(x):
        traces.append(1)
        return adapter.max_pool2d(adapter.conv2d(x, np.ones((2, 2, 1, 1)), padding=[[1, 0], [0, 1]]), [2, 2])

    for _ in range(3):
        assert pooled(np.ones((1, 4, 4, 1))).shape == (1, 2, 2, 1)
    assert len(traces) == 1


def test_dtypes():
    x, w = np.ones((1, 4, 4, 2)), np.ones((3, 3, 2, 3))
    single, half, brain = (jnp.asarray(x, dtype) for dtype in (jnp.float32, jnp.float16, jnp.bfloat16))
    assert adapter.conv2d(x, w).dtype == jnp.float64
    assert adapter.conv2d(single, w).dtype == jnp.float64
    for a in (single, half, brain, jnp.ones((1, 4, 4, 2), jnp.int8)):
        assert adapter.conv2d(a, jnp.asarray(w, jnp.float32)).dtype == jnp.float32
        assert adapter.max_pool2d(a, 2).dtype == jnp.float32
    dx = jax.grad(lambda x: adapter.avg_pool2d(adapter.conv2d(x, w), 2).sum())(brain)
    assert dx.dtype == jnp.bfloat16
    with jax.enable_x64(False):
        assert adapter.conv2d(x, w).dtype == jnp.float32


def test_bad_input_is_refused_while_tracing():
    x, w = np.ones((1, 4, 4, 2)), np.ones((3, 3, 2, 3))
    for call in (lambda f: f, jax.jit):
        with pytest.raises(ValueError, match="`w` takes 2 channels"):
            call(lambda x, w: adapter.conv2d(x, w))(x[..., :1], w)
        with pytest.raises(ValueError, match="`b` must have shape"):
            call(lambda x, w: adapter.conv2d(x, w, np.ones(4)))(x, w)
        with pytest.raises(ValueError, match="`algorithm`"):
            call(lambda x, w: adapter.conv2d(x, w, algorithm="fast"))(x, w)
        with pytest.raises(ValueError, match="`output_size`"):
            call(lambda x, w: adapter.conv_transpose2d(x, w.swapaxes(2, 3), output_size=9))(x, w)
        with pytest.raises(ValueError, match="`kernel_size`"):
            call(lambda x: adapter.max_pool2d(x, 5))(x)
        with pytest.raises(ValueError, match="4 dimensions"):
            call(lambda x: adapter.max_pool2d(x, 2))(x[0, 0])
        with pytest.raises(ValueError, match="`divisor_override`"):
            call(lambda x: adapter.avg_pool2d(x, 2, divisor_override=0))(x)
        with pytest.raises(TypeError, match="complex128"):
            call(lambda x, w: adapter.conv2d(x, w))(x * 1j, w)
