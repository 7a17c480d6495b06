"""Which algorithm computes a call: named, refused, chosen by cost, or set; and what `explain` says of it."""

import numpy as np
import pytest
from answers import conv_data
from cases import Conv
from compare import assert_exact, assert_same_bits
from layers import normal, results
from process import run

import cyconv

EVERYWHERE = pytest.mark.usefixtures("isa", "threads")

# Where it does not apply.

ELSEWHERE = {
    "1 by 1": ((1, 1), {}),
    "2 by 2": ((2, 2), {}),
    "6 by 6": ((6, 6), {}),
    "5 by 4": ((5, 4), {}),
    "3 by 2": ((3, 2), {}),
    "stride 2": ((3, 3), {"stride": 2}),
    "stride (1, 2)": ((3, 3), {"stride": (1, 2)}),
    "dilation 2": ((3, 3), {"dilation": 2}),
    "dilation (2, 1)": ((3, 3), {"dilation": (2, 1)}),
    "depthwise": ((3, 3), {"groups": 4}),
}


def elsewhere(name, rng, N=2):
    kernel_size, geometry = ELSEWHERE[name]
    x = rng.standard_normal((N, 9, 9, 4))
    return x, rng.standard_normal((*kernel_size, 4 // geometry.get("groups", 1), 4)), geometry


@pytest.mark.parametrize("N", [2, 0])
@pytest.mark.parametrize("name", ELSEWHERE)
def test_it_is_refused_where_it_does_not_apply(name, N, rng):
    x, w, geometry = elsewhere(name, rng, N)
    dy, painted = cyconv.conv2d(x, w, **geometry), cyconv.conv_transpose2d(x, w, **geometry)
    for function, arguments in (
        (cyconv.conv2d, (x, w)),
        (cyconv.conv2d_input_grad, (dy, w, x.shape)),
        (cyconv.conv2d_weight_grad, (dy, x, w.shape[:2])),
        (cyconv.conv2d_backward, (dy, x, w)),
        (cyconv.conv_transpose2d, (x, w)),
        (cyconv.conv_transpose2d_backward, (painted, x, w)),
    ):
        function(*arguments, **geometry, algorithm="direct")
        with pytest.raises(ValueError, match=r"`algorithm`.*winograd"):
            function(*arguments, **geometry, algorithm="winograd")


def test_it_is_refused_for_sequences():
    x, w, dy = np.ones((2, 9, 4)), np.ones((3, 4, 5)), np.ones((2, 7, 5))
    for function, arguments in (
        (cyconv.conv1d, (x, w)),
        (cyconv.conv1d_input_grad, (dy, w, x.shape)),
        (cyconv.conv1d_weight_grad, (dy, x, 3)),
        (cyconv.conv1d_backward, (dy, x, w)),
    ):
        function(*arguments, algorithm="direct")
        with pytest.raises(ValueError, match=r"`algorithm`.*winograd"):
            function(*arguments, algorithm="winograd")


# What "auto" stands for.

SMALL = (
    Conv((2, 5, 6, 3), (3, 3), 5, padding=1),
    Conv((2, 5, 6, 33), (3, 3), 17, padding=((0, 1), (2, 0))),
    Conv((3, 26, 29, 5), (3, 3), 7, padding=1),
)
LARGE_WORK, SMALL_WORK = ((2, 32, 32, 64), 64), ((2, 6, 7, 5), 6)


@pytest.fixture
def setting():
    """set_algorithm, from "auto", and as it was before when the test is over."""
    before = cyconv.get_algorithm()
    cyconv.set_algorithm("auto")
    yield cyconv.set_algorithm
    cyconv.set_algorithm(before)


def bits(x, w, algorithm):
    """Of the results that depend on the algorithm; db need not."""
    y, dx, dw, _, back = results(x, w, algorithm=algorithm)
    return [a.tobytes() for a in (y, dx, dw, back)]


@pytest.fixture
def kinds(dtype, rng):
    """For large and for small work: which algorithm each result under "auto" has the bits of."""
    arrays = [normal(rng, dtype, *work) for work in (LARGE_WORK, SMALL_WORK)]
    by_hand = [(bits(*a, "direct"), bits(*a, "winograd")) for a in arrays]
    assert all(one != other for pair in by_hand for one, other in zip(*pair, strict=True))

    def now():
        for a, (direct, winograd) in zip(arrays, by_hand, strict=True):
            assert (bits(*a, "direct"), bits(*a, "winograd")) == (direct, winograd), "a name always means itself"
            found = bits(*a, "auto")
            yield "direct" if found == direct else "winograd" if found == winograd else "mixed"

    return lambda: tuple(now())


def test_auto_takes_winograd_for_large_work(setting, kinds):
    assert cyconv.get_algorithm() == "auto"
    assert kinds() == ("winograd", "direct")


@pytest.mark.parametrize("algorithm", ["direct", "winograd"])
def test_the_setting_decides_what_auto_means(algorithm, setting, kinds):
    setting(algorithm)
    assert cyconv.get_algorithm() == algorithm
    assert kinds() == (algorithm, algorithm)
    setting("auto")
    assert kinds() == ("winograd", "direct")


@pytest.mark.parametrize("name", ELSEWHERE)
def test_under_auto_what_winograd_cannot_do_is_direct(name, setting, rng):
    x, w, geometry = elsewhere(name, rng)
    y = cyconv.conv2d(x, w, **geometry, algorithm="direct")
    gradients = cyconv.conv2d_backward(y, x, w, **geometry, algorithm="direct")
    setting("winograd")
    assert_same_bits(cyconv.conv2d(x, w, **geometry), y)
    for got, wanted in zip(cyconv.conv2d_backward(y, x, w, **geometry), gradients, strict=True):
        assert_same_bits(got, wanted)


@EVERYWHERE
@pytest.mark.parametrize("case", SMALL, ids=str)
def test_small_work_is_exact_under_auto(case, dtype, setting):
    data = conv_data(case, "integers")
    x, w, b, dy = (a.astype(dtype) for a in (data.x, data.w, data.b, data.dy))
    assert_exact(cyconv.conv2d(x, w, b, padding=case.padding), data.y)
    gradients = cyconv.conv2d_backward(dy, x, w, padding=case.padding)
    for got, expected in zip(gradients, (data.dx, data.dw, data.db), strict=True):
        assert_exact(got, expected)


@pytest.mark.parametrize("name", ["fast", "Direct", "", None, 1, ["direct"]], ids=repr)
def test_a_setting_that_is_no_algorithm(name, setting):
    setting("direct")
    with pytest.raises(ValueError, match=r"`algorithm`.*'auto', 'direct', 'winograd'"):
        setting(name)
    assert cyconv.get_algorithm() == "direct"


@pytest.mark.parametrize(
    ("environment", "printed"),
    [
        ({}, "auto False True"),
        ({"CYCONV_ALGORITHM": ""}, "auto False True"),
        ({"CYCONV_ALGORITHM": "auto"}, "auto False True"),
        ({"CYCONV_ALGORITHM": "direct"}, "direct True True"),
        ({"CYCONV_ALGORITHM": "winograd"}, "winograd False False"),
    ],
    ids=str,
)
def test_the_environment_decides_what_auto_means(environment, printed):
    script = f"""
        import numpy as np
        import cyconv

        def is_direct(shape, K):
            rng = np.random.default_rng(1)
            x, w = rng.standard_normal(shape), rng.standard_normal((3, 3, shape[3], K))
            return (cyconv.conv2d(x, w) == cyconv.conv2d(x, w, algorithm="direct")).all()

        print(cyconv.get_algorithm(), is_direct(*{LARGE_WORK}), is_direct(*{SMALL_WORK}))
    """
    assert run(script, **environment) == printed


# What explain says.

LAYER = (4, 28, 28, 64), (3, 3, 64, 64)


@pytest.mark.parametrize("algorithm", ["auto", "direct", "winograd"])
@pytest.mark.parametrize("work", [LARGE_WORK, SMALL_WORK], ids=str)
def test_explain_names_the_algorithm_that_runs(work, algorithm, isa, dtype, rng):
    x, w = normal(rng, dtype, *work)
    y, dx, dw, _, _ = results(x, w, algorithm=algorithm)
    by_hand = {name: results(x, w, algorithm=name)[:3] for name in ("direct", "winograd")}
    for direction, got, index in (("forward", y, 0), ("input_grad", dx, 1), ("weight_grad", dw, 2)):
        found = cyconv.explain(x, w, padding=1, direction=direction, algorithm=algorithm)
        assert_same_bits(got, by_hand[found.algorithm][index])
        assert (found.dtype, found.isa) == (dtype, isa)
        assert found.kernel == ("winograd" if found.algorithm == "winograd" else "conv")
        assert (found.tile, bool(found.blocking)) == ((None, False), ((4, 4), True))[found.algorithm == "winograd"]
        assert found.work == y.size * 9 * x.shape[3]
        assert found.algorithm in str(found).lower()


def test_explain_takes_shapes_for_arrays(dtype):
    arrays = [np.ones(shape, dtype) for shape in LAYER]
    assert cyconv.explain(*arrays, padding=1) == cyconv.explain(*LAYER, padding=1, dtype=dtype)
    assert cyconv.explain(*LAYER).dtype == np.float32
    assert cyconv.explain(*LAYER, dtype="float16").dtype == np.float32
    assert cyconv.explain(*LAYER, dtype=int).dtype == np.float64
    assert cyconv.explain(LAYER[0], np.ones(LAYER[1])).dtype == np.float64
    assert cyconv.explain(LAYER[0][1:], LAYER[1]).work == cyconv.explain((1, *LAYER[0][1:]), LAYER[1]).work


@pytest.mark.parametrize(("R", "name"), [(3, "F(4x4, 3x3)"), (4, "F(3x3, 4x4)"), (5, "F(2x2, 5x5)")])
def test_explain_names_the_tile(R, name):
    found = cyconv.explain((4, 28, 28, 64), (R, R, 64, 64), padding=R // 2)
    assert found.tile == (7 - R, 7 - R)
    assert str(found).startswith(f"Winograd {name}: ")
    side = -(-(28 + 2 * (R // 2) - R + 1) // (7 - R))
    assert found.blocking["tiles"] == 4 * side**2


@pytest.mark.parametrize("direction", ["forward", "input_grad", "weight_grad"])
@pytest.mark.parametrize("R", [3, 5])
def test_few_channels_are_direct(R, direction):
    """Tiles take longer than what they save."""
    assert cyconv.explain((4, 64, 64, 8), (R, R, 8, 8), padding=R // 2, direction=direction).algorithm == "direct"


@pytest.mark.parametrize("direction", ["forward", "input_grad", "weight_grad"])
@pytest.mark.parametrize("R", [3, 4, 5])
def test_a_window_as_large_as_the_image_is_direct(R, direction):
    """It is a matrix product, without the zeros that the input gradient of a smaller window would be padded with."""
    assert cyconv.explain((64, R, R, 64), (R, R, 64, 128), direction=direction).algorithm == "direct"


def test_explain_gives_the_reason(setting):
    assert "is estimated to cost" in cyconv.explain(*LAYER).reason
    assert "considered from" in cyconv.explain((1, 5, 5, 3), (3, 3, 3, 8)).reason
    assert "stride (2, 2)" in cyconv.explain(*LAYER, stride=2).reason
    assert cyconv.explain((1, 9, 9, 4), (3, 3, 1, 4), groups=4).kernel == "depthwise"
    assert cyconv.explain(*LAYER, algorithm="direct").reason == '`algorithm` is "direct"'
    setting("direct")
    assert cyconv.explain(*LAYER).reason == '`algorithm` is "auto" and "auto" is set to "direct"'


def test_explain_says_how_the_work_is_cut_up(isa, team):
    with team(1):
        found = cyconv.explain((2, 30, 21, 64), (3, 3, 64, 96), padding=1, algorithm="winograd")
    assert (found.threads, found.blocking["tiles"]) == (1, 2 * 8 * 6)
    assert found.blocking["block"] * found.blocking["tasks"] >= 2 * 8 * 6
    with team(4):
        found = cyconv.explain((2, 30, 21, 64), (3, 3, 64, 96), padding=1, algorithm="winograd")
    assert (found.threads, found.blocking["tasks"] >= 4) == (4, True)
    assert "4 threads" in str(found)
    rows, columns = found.register_tile
    assert rows >= 1
    assert columns >= 1


@pytest.mark.parametrize("direction", ["forward", "input_grad", "weight_grad"])
@pytest.mark.parametrize("C", [64, 512, 2048])
def test_scratch_is_at_most_eight_megabytes(C, direction, isa, dtype):
    shapes = (32, 28, 28, C), (3, 3, C, C)
    found = cyconv.explain(*shapes, padding=1, direction=direction, algorithm="winograd", dtype=dtype)
    assert 0 < found.blocking["scratch"] <= 8 << 20


@pytest.mark.parametrize(
    ("error", "match", "arguments", "options"),
    [
        (ValueError, "`direction`", LAYER, {"direction": "backward"}),
        (ValueError, "`algorithm`.*winograd", LAYER, {"algorithm": "winograd", "stride": 2}),
        (ValueError, "`algorithm`", LAYER, {"algorithm": "fast"}),
        (TypeError, "complex", LAYER, {"dtype": complex}),
        (TypeError, "`x`", ((4, 28, 28.5, 64), LAYER[1]), {}),
        (TypeError, "`w`.*complex", (LAYER[0], np.ones(LAYER[1], complex)), {}),
        (ValueError, "`w` takes 32", (LAYER[0], (3, 3, 32, 64)), {}),
    ],
)
def test_explain_refuses_what_conv2d_refuses(error, match, arguments, options):
    with pytest.raises(error, match=match):
        cyconv.explain(*arguments, **options)
