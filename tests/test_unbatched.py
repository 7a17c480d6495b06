"""One image (H, W, C) is accepted everywhere, and answered with one."""

import numpy as np
import pytest
from compare import assert_same_bits
from functions import CALLS, IMAGES, OTHERS, draw, results, shape

import cyconv


@pytest.mark.parametrize("name", CALLS)
def test_one_image_is_a_batch_of_one(name, dtype, rng):
    names, call = CALLS[name]
    alone = draw(rng, dtype, names, None)
    batch = [a[None] if name in IMAGES else a for name, a in zip(names, alone, strict=True)]
    for one, many in zip(results(call, None, alone), results(call, 1, batch), strict=True):
        # Gradients of weights and biases have no batch axis to lose.
        assert_same_bits(one, many[0] if one.shape == many.shape[1:] else many)


@pytest.mark.parametrize("name", [name for name in CALLS if "weight" not in name])
def test_the_answer_has_no_batch_axis(name, rng):
    names, call = CALLS[name]
    first = results(call, None, draw(rng, float, names, None))[0]
    assert first.ndim == (2 if "1d" in name else 3)


def test_out_is_one_image_too(dtype):
    x, w = np.ones(IMAGES["x"], dtype), np.ones(OTHERS["w"], dtype)
    out = np.zeros((4, 6, 5), dtype)
    assert cyconv.conv2d(x, w, out=out) is out
    assert (out == 24).all()
    with pytest.raises(ValueError, match=r"\bout\b"):
        cyconv.conv2d(x, w, out=np.zeros((1, 4, 6, 5), dtype))
    out = np.zeros((3, 3, 4), dtype)
    assert cyconv.max_pool2d(x, 2, out=out) is out
    assert (out == 1).all()


@pytest.mark.parametrize("axis", [0, 1])
def test_one_image_and_a_batch_do_not_mix(axis):
    """A gradient of a batch of one is not that of one image, though it would fit."""
    x, dy, pooled = (np.ones(IMAGES[name]) for name in ("x", "dy", "pooled"))
    w = np.ones(OTHERS["w"])
    mixed = (x, dy[None], pooled[None], shape("x", None)) if axis else (x[None], dy, pooled, shape("x", 1))
    x, dy, pooled, input_shape = mixed
    for call in (
        lambda: cyconv.conv2d_input_grad(dy, w, input_shape),
        lambda: cyconv.conv2d_weight_grad(dy, x, (3, 2)),
        lambda: cyconv.conv2d_backward(dy, x, w),
        lambda: cyconv.max_pool2d_backward(pooled, x, 2),
        lambda: cyconv.avg_pool2d_backward(pooled, input_shape, 2),
    ):
        with pytest.raises(ValueError, match=r"\bdy\b"):
            call()
