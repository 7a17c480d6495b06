"""PreparedConv2d: the bits of conv2d, from any number of threads, whatever happens to its arguments afterwards."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from compare import assert_same_bits
from layers import normal

import cyconv
from cyconv import kernels

EVERYWHERE = pytest.mark.usefixtures("isa", "threads")

# Input, output channels: one panel and chunk, several, and more than are kept transformed; then what is not Winograd's.
LAYERS = (
    (((2, 7, 9, 5), 6), {"padding": 1}),
    (((1, 14, 13, 70), 70), {"padding": "same"}),
    (((2, 9, 8, 130), 33), {}),
    (((1, 6, 6, 300), 130), {"padding": ((0, 1), (2, 0))}),
    (((2, 9, 8, 6), 4), {"stride": 2, "padding": 1}),
    (((2, 9, 9, 6), 4), {"dilation": (1, 2)}),
)


@EVERYWHERE
@pytest.mark.parametrize("algorithm", ["auto", "direct", "winograd"])
@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize("R", [3, 4, 5])
@pytest.mark.parametrize(("shape", "options"), LAYERS, ids=str)
def test_it_has_the_bits_of_conv2d(shape, options, R, activation, algorithm, dtype, rng):
    if algorithm == "winograd" and {"stride", "dilation"} & set(options):
        pytest.skip("refused")
    (x, w), b = normal(rng, dtype, *shape, R), rng.standard_normal(shape[1]).astype(dtype)
    options = options | {"activation": activation, "algorithm": algorithm}
    layer, plain = cyconv.PreparedConv2d(w, b, **options), cyconv.PreparedConv2d(w, **options)
    for images in (x, x[:1], x[0], np.concatenate([x, x])):
        assert_same_bits(layer(images), cyconv.conv2d(images, w, b, **options))
        assert_same_bits(plain(images), cyconv.conv2d(images, w, **options))


@EVERYWHERE
@pytest.mark.parametrize("algorithm", ["direct", "winograd"])
def test_groups(algorithm, dtype, rng):
    for groups, c, k in ((2, 2, 3), (3, 16, 16), (2, 70, 65)):
        x, w = (rng.standard_normal(s).astype(dtype) for s in ((2, 9, 9, groups * c), (3, 3, c, groups * k)))
        options = {"groups": groups, "algorithm": algorithm}
        assert_same_bits(cyconv.PreparedConv2d(w, **options)(x), cyconv.conv2d(x, w, **options))


def test_auto_follows_the_input_and_the_setting(rng):
    w = rng.standard_normal((3, 3, 64, 64))
    layer = cyconv.PreparedConv2d(w, padding=1)
    kinds = set()
    for shape in ((1, 4, 4, 64), (2, 32, 32, 64)):
        x = rng.standard_normal(shape)
        kinds.add(cyconv.explain(x, w, padding=1).algorithm)
        assert_same_bits(layer(x), cyconv.conv2d(x, w, padding=1))
    assert kinds == {"direct", "winograd"}
    cyconv.set_algorithm("direct")
    try:
        assert_same_bits(layer(x), cyconv.conv2d(x, w, padding=1, algorithm="direct"))
    finally:
        cyconv.set_algorithm("auto")


@pytest.mark.usefixtures("isa")
def test_threads_may_share_it(dtype, rng):
    x, w = normal(rng, dtype, (3, 13, 14, 20), 40)
    layer = cyconv.PreparedConv2d(w, padding=1, algorithm="winograd")
    alone = [layer(image) for image in x]
    with ThreadPoolExecutor(6) as pool:
        for index, y in enumerate(pool.map(layer, [*x] * 10)):
            assert_same_bits(y, alone[index % 3])


def test_the_arrays_it_was_made_of_may_change(dtype, rng):
    (x, w), b = normal(rng, dtype, (2, 7, 9, 5), 6), np.ones(6, dtype)
    for algorithm in ("direct", "winograd"):
        options = {"padding": [[1, 0], [1, 1]], "algorithm": algorithm}
        y = cyconv.conv2d(x, w, b, **options)
        own_w, own_b = w.copy(), b.copy()
        layer = cyconv.PreparedConv2d(own_w, own_b, **options)
        own_w[...], own_b[...], options["padding"][0] = 0, 7, [3, 3]
        assert_same_bits(layer(x), y)


def test_another_instruction_set_may_be_selected(dtype, rng):
    x, w = normal(rng, dtype, (2, 9, 8, 30), 33)
    before = kernels.active()
    try:
        for made in kernels.available():
            kernels.select(made)
            layer = cyconv.PreparedConv2d(w, algorithm="winograd")
            for used in kernels.available():
                kernels.select(used)
                assert_same_bits(layer(x), cyconv.conv2d(x, w, algorithm="winograd"))
    finally:
        kernels.select(before)


def test_out(dtype, rng):
    x, w = normal(rng, dtype, (2, 7, 9, 5), 5)
    layer = cyconv.PreparedConv2d(w, padding=1, algorithm="winograd")
    y = layer(x)
    out = np.full_like(y, np.nan)
    assert layer(x, out=out) is out
    assert_same_bits(out, y)
    assert layer(x, out=x) is x
    assert_same_bits(x, y)
    with pytest.raises(ValueError, match="`out`"):
        layer(x, out=out[:1])


def test_it_can_be_pickled(rng):
    x, w = normal(rng, np.float32, (2, 7, 9, 5), 6)
    layer = cyconv.PreparedConv2d(w, np.arange(6, dtype="f4"), padding="same", activation="relu", algorithm="winograd")
    assert_same_bits(pickle.loads(pickle.dumps(layer))(x), layer(x))


def test_dtypes(rng):
    w = rng.standard_normal((3, 3, 2, 3))
    x = rng.integers(-9, 9, (1, 5, 5, 2))
    assert_same_bits(cyconv.PreparedConv2d(w)(x), cyconv.conv2d(x, w))
    assert_same_bits(cyconv.PreparedConv2d(w)(x.astype("f4")), cyconv.conv2d(x.astype("f4"), w))
    single = cyconv.PreparedConv2d(w.astype("f4"))
    assert_same_bits(single(x.astype("f2")), cyconv.conv2d(x.astype("f2"), w.astype("f4")))
    assert cyconv.PreparedConv2d(w.astype("f4"), np.zeros(3))(x).dtype == np.float64
    with pytest.raises(TypeError, match=r"`x`.*float64.*float32"):
        single(x.astype("f8"))


@pytest.mark.parametrize(
    ("error", "match", "w", "options"),
    [
        (ValueError, "`w` must have 4", (3, 3, 2), {}),
        (ValueError, "`w` has shape", (3, 3, 0, 2), {}),
        (ValueError, "`b`", (3, 3, 2, 5), {"b": np.ones(4)}),
        (ValueError, "`stride`", (3, 3, 2, 5), {"stride": 0}),
        (TypeError, "`groups`", (3, 3, 2, 5), {"groups": 1.5}),
        (ValueError, "`groups`", (3, 3, 2, 5), {"groups": 2}),
        (ValueError, "`padding`", (3, 3, 2, 5), {"padding": "full"}),
        (ValueError, "`activation`", (3, 3, 2, 5), {"activation": "tanh"}),
        (ValueError, "`algorithm`", (3, 3, 2, 5), {"algorithm": "fft"}),
        (ValueError, "`algorithm`.*winograd", (3, 3, 2, 5), {"algorithm": "winograd", "stride": 2}),
    ],
)
def test_bad_arguments_are_refused_when_it_is_made(error, match, w, options):
    with pytest.raises(error, match=match):
        cyconv.PreparedConv2d(np.ones(w), **options)


def test_images_that_do_not_fit_are_refused():
    layer = cyconv.PreparedConv2d(np.ones((3, 3, 2, 5)))
    for shape in ((1, 5, 5, 3), (1, 2, 5, 2), (5, 5)):
        with pytest.raises(ValueError, match=r"`x`|`w`"):
            layer(np.ones(shape))
    with pytest.raises(TypeError, match="`x`"):
        layer(np.ones((1, 5, 5, 2), complex))
