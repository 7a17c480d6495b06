"""Bad input: a ValueError or TypeError that names the argument, before any kernel runs."""

import inspect
import re

import numpy as np
import pytest
from cases import brief

import cyconv

X = np.ones((2, 6, 7, 4))
W = np.ones((3, 2, 4, 5))
DY = np.ones((2, 4, 6, 5))
POOLED = np.ones((2, 3, 3, 4))

# A good call of every function; each test spoils one argument.
CALLS = {
    "conv2d": {"x": X, "w": W, "b": np.ones(5)},
    "conv2d_input_grad": {"dy": DY, "w": W, "input_shape": X.shape},
    "conv2d_weight_grad": {"dy": DY, "x": X, "kernel_size": (3, 2)},
    "conv2d_backward": {"dy": DY, "x": X, "w": W},
    "max_pool2d": {"x": X, "kernel_size": 2},
    "max_pool2d_backward": {"dy": POOLED, "x": X, "kernel_size": 2},
    "avg_pool2d": {"x": X, "kernel_size": 2},
    "avg_pool2d_backward": {"dy": POOLED, "input_shape": X.shape, "kernel_size": 2},
}

# What no function accepts as an array of its own rank.
BAD_ARRAYS = (
    (None, TypeError),
    (np.ma.ones((2, 6, 7, 4)), TypeError),
    (np.ones((2, 6, 7, 4), complex), TypeError),
    (np.ones((2, 6, 7, 4), object), TypeError),
    (np.ones((2, 6, 7, 4), "U1"), TypeError),
    (np.ones((2, 6, 7, 4), "M8[s]"), TypeError),
    (np.ones((2, 6, 7, 4), [("a", "f4")]), TypeError),
    ("an array", TypeError),
    (1.0, ValueError),
    (np.ones((6, 7)), ValueError),
    (np.ones((1, 2, 6, 7, 4)), ValueError),
)

if np.finfo(np.longdouble).bits > 64:
    BAD_ARRAYS += ((np.ones((2, 6, 7, 4), np.longdouble), TypeError),)

TOO_LARGE = 2**63
WHOLE_POSITIVE = (
    (0, ValueError),
    (-1, ValueError),
    ((1, 0), ValueError),
    ((-2, 1), ValueError),
    (TOO_LARGE, ValueError),
    ((1, TOO_LARGE), ValueError),
    ((), ValueError),
    ((2,), ValueError),
    ((1, 1, 1), ValueError),
    (1.5, TypeError),
    ((1, 2.0), TypeError),
    ("2", TypeError),
    ((1, None), TypeError),
    (X, (ValueError, TypeError)),
)
BAD_VALUES = {
    "x": BAD_ARRAYS,
    "w": BAD_ARRAYS,
    "dy": BAD_ARRAYS,
    "b": [pair for pair in BAD_ARRAYS if pair[0] is not None],
    "stride": WHOLE_POSITIVE,
    "dilation": WHOLE_POSITIVE,
    "kernel_size": (*WHOLE_POSITIVE, (None, TypeError)),
    "padding": (
        (-1, ValueError),
        ((0, -1), ValueError),
        (((0, 0), (-1, 0)), ValueError),
        (((0, 1), 1, 1), ValueError),
        ((1, 1, 1, 1), ValueError),
        (((1, 2),), ValueError),
        (TOO_LARGE, ValueError),
        ("sam", ValueError),
        ("", ValueError),
        (1.5, TypeError),
        ((1, "1"), TypeError),
        (None, TypeError),
    ),
    "input_shape": (
        (None, TypeError),
        (7, (ValueError, TypeError)),
        ((), ValueError),
        ((6, 7), ValueError),
        ((1, 2, 6, 7, 4), ValueError),
        ((2, 6, 7, -4), ValueError),
        ((2, 0, 7, 4), ValueError),
        ((2, 6, 0, 4), ValueError),
        ((2, 6, 7.0, 4), TypeError),
        (("2", "6", "7", "4"), TypeError),
        ((2, TOO_LARGE, 7, 4), ValueError),
    ),
    "algorithm": (("fast", ValueError), ("", ValueError), (None, (ValueError, TypeError))),
    "ties": (("last", ValueError), ("", ValueError), (None, (ValueError, TypeError))),
    "out": (
        ([0.0], TypeError),
        ("out", TypeError),
        (np.ones((2, 4, 6, 5, 1)), ValueError),
        (np.ones((1, 4, 6, 5)), ValueError),
        (np.ones((2, 3, 3, 4), np.int64), TypeError),
    ),
}


def table():
    """(function, argument, bad value, exception), for every argument that a function has."""
    for function in CALLS:
        for argument in inspect.signature(getattr(cyconv, function)).parameters:
            for value, error in BAD_VALUES.get(argument, ()):
                yield pytest.param(function, argument, value, error, id=f"{function}-{argument}-{brief(value)}")


@pytest.mark.parametrize(("function", "argument", "value", "error"), list(table()))
def test_one_bad_argument(function, argument, value, error):
    with pytest.raises(error, match=rf"\b{argument}\b"):
        getattr(cyconv, function)(**CALLS[function] | {argument: value})


@pytest.mark.parametrize("function", CALLS)
def test_the_calls_above_are_good(function):
    assert getattr(cyconv, function)(**CALLS[function]) is not None


def ones(*shape):
    return np.ones(shape)


# Arguments that are good alone and do not fit each other: the message names one of `named`.
MISFITS = (
    ("conv2d", {"w": ones(3, 2, 3, 5)}, "w|x"),
    ("conv2d", {"w": ones(3, 2, 4, 0)}, "w"),
    ("conv2d", {"w": ones(0, 2, 4, 5)}, "w"),
    ("conv2d", {"w": ones(3, 0, 4, 5)}, "w"),
    ("conv2d", {"w": ones(7, 2, 4, 5)}, "w"),
    ("conv2d", {"w": ones(3, 8, 4, 5)}, "w"),
    ("conv2d", {"dilation": 3}, "w|dilation"),
    ("conv2d", {"dilation": (3, 1)}, "w|dilation"),
    ("conv2d", {"x": ones(2, 0, 7, 4)}, "x"),
    ("conv2d", {"x": ones(2, 6, 0, 4), "padding": 3}, "x"),
    ("conv2d", {"b": ones(4)}, "b"),
    ("conv2d", {"b": ones(1, 5)}, "b"),
    ("conv2d", {"b": ones(5, 1, 1, 1)}, "b"),
    ("conv2d", {"b": ones(1, 1, 1, 1)}, "b"),
    ("conv2d", {"padding": 2**61}, "padding|w|x"),
    ("conv2d_input_grad", {"w": ones(3, 2, 4, 6)}, "w|dy"),
    ("conv2d_input_grad", {"w": ones(3, 2, 3, 5)}, "w|input_shape"),
    ("conv2d_input_grad", {"w": ones(3, 3, 4, 5)}, "w|dy"),
    ("conv2d_input_grad", {"input_shape": (3, 6, 7, 4)}, "input_shape|dy"),
    ("conv2d_input_grad", {"input_shape": (2, 7, 7, 4)}, "input_shape|dy"),
    ("conv2d_input_grad", {"input_shape": (2, 6, 8, 4)}, "input_shape|dy"),
    ("conv2d_input_grad", {"input_shape": (2, 2, 1, 4)}, "input_shape|w"),
    ("conv2d_input_grad", {"stride": 2}, "dy"),
    ("conv2d_input_grad", {"padding": 1}, "dy"),
    ("conv2d_input_grad", {"padding": "same"}, "dy"),
    ("conv2d_input_grad", {"dilation": 2}, "dy"),
    ("conv2d_weight_grad", {"kernel_size": 3}, "dy"),
    ("conv2d_weight_grad", {"kernel_size": (7, 2)}, "kernel_size"),
    ("conv2d_weight_grad", {"x": ones(1, 6, 7, 4)}, "dy|x"),
    ("conv2d_weight_grad", {"x": ones(2, 7, 7, 4)}, "dy|x"),
    ("conv2d_weight_grad", {"stride": 2}, "dy"),
    ("conv2d_backward", {"x": ones(2, 6, 7, 3)}, "x|w"),
    ("conv2d_backward", {"w": ones(3, 2, 4, 4)}, "dy|w"),
    ("conv2d_backward", {"padding": ((0, 0), (0, 1))}, "dy"),
    # No channels.
    ("conv2d", {"x": ones(2, 6, 7, 0), "w": ones(3, 2, 0, 5)}, "x"),
    ("conv2d_input_grad", {"dy": ones(2, 4, 6, 0), "w": ones(3, 2, 4, 0)}, "w"),
    ("conv2d_input_grad", {"input_shape": (2, 6, 7, 0), "w": ones(3, 2, 0, 5)}, "input_shape|w"),
    ("conv2d_weight_grad", {"dy": ones(2, 4, 6, 0)}, "dy"),
    ("conv2d_weight_grad", {"x": ones(2, 6, 7, 0)}, "x"),
    ("conv2d_backward", {"dy": ones(2, 4, 6, 0), "w": ones(3, 2, 4, 0)}, "dy|w"),
    ("max_pool2d", {"x": ones(2, 6, 7, 0)}, "x"),
    ("max_pool2d_backward", {"x": ones(2, 6, 7, 0), "dy": ones(2, 3, 3, 0)}, "x"),
    ("avg_pool2d", {"x": ones(2, 6, 7, 0)}, "x"),
    ("avg_pool2d_backward", {"input_shape": (2, 6, 7, 0), "dy": ones(2, 3, 3, 0)}, "input_shape"),
    ("max_pool2d", {"kernel_size": (7, 2)}, "kernel_size"),
    ("max_pool2d", {"kernel_size": (2, 8)}, "kernel_size"),
    ("max_pool2d", {"kernel_size": 2, "padding": 2}, "padding"),
    ("max_pool2d", {"kernel_size": 3, "padding": ((0, 2), (0, 0))}, "padding"),
    ("max_pool2d", {"x": ones(2, 0, 7, 4)}, "x"),
    ("max_pool2d_backward", {"kernel_size": 3}, "dy"),
    ("max_pool2d_backward", {"stride": 1}, "dy"),
    ("max_pool2d_backward", {"padding": 1}, "dy"),
    ("max_pool2d_backward", {"x": ones(3, 6, 7, 4)}, "dy|x"),
    ("max_pool2d_backward", {"x": ones(2, 6, 7, 5)}, "dy|x"),
    ("avg_pool2d", {"kernel_size": (7, 2)}, "kernel_size"),
    ("avg_pool2d", {"kernel_size": 2, "padding": (0, 2)}, "padding"),
    ("avg_pool2d", {"x": ones(2, 6, 0, 4)}, "x"),
    ("avg_pool2d_backward", {"input_shape": (2, 6, 9, 4)}, "dy|input_shape"),
    ("avg_pool2d_backward", {"input_shape": (2, 6, 7, 3)}, "dy|input_shape"),
    ("avg_pool2d_backward", {"input_shape": (1, 6, 7, 4)}, "dy|input_shape"),
    ("avg_pool2d_backward", {"stride": 3}, "dy"),
)


@pytest.mark.parametrize(("function", "arguments", "named"), MISFITS, ids=brief)
def test_arguments_that_do_not_fit_each_other(function, arguments, named):
    with pytest.raises(ValueError, match=rf"\b({named})\b"):
        getattr(cyconv, function)(**CALLS[function] | arguments)


@pytest.mark.parametrize("function", [name for name in CALLS if "dy" in CALLS[name]])
@pytest.mark.parametrize("more", [-1, 1])
def test_every_axis_of_a_gradient_is_checked(function, more):
    # Any number of channels is good as K, where no w says otherwise.
    for axis in range(3 if function == "conv2d_weight_grad" else 4):
        shape = list(CALLS[function]["dy"].shape)
        shape[axis] += more
        with pytest.raises(ValueError, match=r"\bdy\b"):
            getattr(cyconv, function)(**CALLS[function] | {"dy": np.ones(shape)})


@pytest.mark.parametrize(
    ("function", "argument", "value"),
    [
        ("conv2d", "stride", -3),
        ("conv2d", "padding", -4),
        ("conv2d", "dilation", -6),
        ("conv2d", "algorithm", "fast"),
        ("conv2d", "w", ones(3, 2, 37, 5)),
        ("conv2d", "b", ones(37)),
        ("conv2d", "x", np.ones((2, 6, 7, 4), np.complex64)),
        ("conv2d_weight_grad", "dy", ones(2, 4, 37, 5)),
        ("max_pool2d", "kernel_size", -37),
        ("max_pool2d_backward", "ties", "last"),
        ("avg_pool2d_backward", "dy", ones(2, 3, 37, 4)),
    ],
    ids=brief,
)
def test_the_message_says_what_was_given(function, argument, value):
    with pytest.raises((ValueError, TypeError)) as raised:
        getattr(cyconv, function)(**CALLS[function] | {argument: value})
    given = str(value)
    if isinstance(value, np.ndarray):
        given = "complex64" if value.dtype.kind == "c" else "37"
    assert given in str(raised.value)


@pytest.mark.parametrize(
    ("function", "argument", "allowed"),
    [
        ("conv2d", "algorithm", ["auto", "direct"]),
        ("max_pool2d_backward", "ties", ["first", "all"]),
        ("conv2d", "padding", ["same", "valid"]),
    ],
)
def test_the_message_says_what_is_allowed(function, argument, allowed):
    with pytest.raises(ValueError, match="nonsense") as raised:
        getattr(cyconv, function)(**CALLS[function] | {argument: "nonsense"})
    assert all(word in str(raised.value) for word in allowed)


@pytest.mark.parametrize("function", CALLS)
def test_options_are_keywords_only(function):
    parameters = inspect.signature(getattr(cyconv, function)).parameters.values()
    options = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    assert "padding" in options
    with pytest.raises(TypeError):
        getattr(cyconv, function)(*CALLS[function].values(), *[1] * 8)


def test_a_refused_call_leaves_out_alone():
    out = np.full((2, 4, 6, 5), 7.0)
    with pytest.raises(ValueError, match="b"):
        cyconv.conv2d(X, W, np.ones(4), out=out)
    assert (out == 7).all()


@pytest.mark.parametrize("two", [[2, 1], np.array([2, 1]), (np.int32(2), np.uint8(1))], ids=repr)
def test_sizes_may_be_lists_and_numpy_integers(two, rng):
    x, w = rng.standard_normal((2, 8, 9, 3)), rng.standard_normal((2, 3, 3, 4))
    plain = cyconv.conv2d(x, w, stride=(2, 1), padding=(2, 1), dilation=(2, 1))
    given = cyconv.conv2d(x, w, stride=two, padding=two, dilation=two)
    assert given.tobytes() == plain.tobytes()
    plain = cyconv.max_pool2d(x, (2, 1), stride=(2, 1))
    assert cyconv.max_pool2d(x, two, stride=two).tobytes() == plain.tobytes()
    dx = cyconv.avg_pool2d_backward(plain, x.shape, (2, 1))
    assert cyconv.avg_pool2d_backward(plain, list(x.shape), two).tobytes() == dx.tobytes()


# Calls of this kind have divided by zero, written out of bounds or crashed in other libraries.
CRASHED_ELSEWHERE = (
    ("conv2d_input_grad", (ones(52, 1, 1, 0), ones(0, 1, 5, 0), (52, 1, 1, 5)), {"padding": "same"}),
    ("conv2d_weight_grad", (ones(0, 0, 0, 0), ones(0, 0, 0, 0), (0, 0)), {}),
    ("conv2d_input_grad", (ones(1), ones(3, 3, 2, 2), (65534, 65534)), {}),
    ("max_pool2d_backward", (ones(1, 1, 1, 1), ones(11, 1, 1, 1), 1), {}),
    ("avg_pool2d_backward", (ones(16, 16, 16, 16), (11, 9, 78, 9), (40, 128)), {"padding": "same"}),
    ("avg_pool2d_backward", (ones(1, 0, 0, 0), (1, 0, 0, 0), (0, 0)), {"stride": (0, 0)}),
    ("avg_pool2d", (X, (2**63 - 1, 1)), {"stride": (-1, 3010182406857593769)}),
    ("avg_pool2d", (X, 2), {"stride": 0}),
    ("max_pool2d", (X, 2147483697), {"stride": 2147483697}),
    ("max_pool2d", (X, 2**63 - 1), {"stride": 2**63 - 1}),
    ("max_pool2d", (X, 7), {}),
    ("max_pool2d", (ones(1, 0, 1, 1), (1, 2772747373535906632)), {}),
    ("conv2d", (X, W), {"dilation": 2**62}),
    ("conv2d", (X, W), {"padding": 2**62}),
    ("conv2d", (ones(1, 1, 1, 0), ones(1, 1, 0, 0)), {}),
)


@pytest.mark.parametrize(("function", "positional", "options"), CRASHED_ELSEWHERE, ids=brief)
def test_input_that_crashed_other_libraries(function, positional, options):
    with pytest.raises((ValueError, TypeError)):
        getattr(cyconv, function)(*positional, **options)


# The notebook's functions: their own argument names.
A, F = np.ones((2, 5, 5, 3)), np.ones((2, 2, 3, 4))
B, H = np.ones((1, 1, 1, 4)), {"stride": 1, "pad": 0, "f": 2}
Z, P = np.ones((2, 4, 4, 4)), np.ones((2, 4, 4, 3))

NOTEBOOK = (
    ("zero_pad", (None, 1), "X"),
    ("zero_pad", (np.ones((5, 5)), 1), "X"),
    ("zero_pad", (np.ma.ones((1, 5, 5, 3)), 1), "X"),
    ("zero_pad", (A, -1), "pad"),
    ("zero_pad", (A, 1.5), "pad"),
    ("zero_pad", (A, "same"), "pad"),
    ("zero_pad", (A, None), "pad"),
    ("conv_single_step", (A[0], np.ones((5, 5, 2)), np.ones((1, 1, 1))), "W|a_slice_prev"),
    ("conv_single_step", (None, np.ones((5, 5, 3)), np.ones((1, 1, 1))), "a_slice_prev"),
    ("conv_single_step", (A[0], A[0], np.ones(2)), "b"),
    ("conv_forward", (None, F, B, H), "A_prev"),
    ("conv_forward", (A[0, 0], F, B, H), "A_prev"),
    ("conv_forward", (A, None, B, H), "W"),
    ("conv_forward", (A, F[..., :2, :], B, H), "W|A_prev"),
    ("conv_forward", (A, F, np.ones((1, 1, 1, 3)), H), "b"),
    ("conv_forward", (A, F, B, None), "hparameters"),
    ("conv_forward", (A, F, B, H | {"stride": 0}), "stride"),
    ("conv_forward", (A, F, B, H | {"pad": -1}), "pad"),
    ("conv_backward", (Z, None), "cache"),
    ("conv_backward", (Z, ()), "cache"),
    ("conv_backward", (Z, (A, F, B)), "cache"),
    ("conv_backward", (Z, (A, F, B, H, H)), "cache"),
    ("conv_backward", (Z, (A, H)), "cache"),
    ("conv_backward", (Z, (A, F, B, None)), "cache|hparameters"),
    ("conv_backward", (Z, "four"), "cache"),
    ("conv_backward", (None, (A, F, B, H)), "dZ"),
    ("conv_backward", (Z[:, :3], (A, F, B, H)), "dZ"),
    ("conv_backward", (Z[0, 0], (A, F, B, H)), "dZ"),
    ("pool_forward", (None, H), "A_prev"),
    ("pool_forward", (A[0, 0], H), "A_prev"),
    ("pool_forward", (A, None), "hparameters"),
    ("pool_forward", (A, H | {"f": 0}), "f"),
    ("pool_forward", (A, H | {"f": 6}), "f"),
    ("pool_forward", (A, H | {"stride": 0}), "stride"),
    ("pool_forward", (A, H, "Max"), "mode"),
    ("pool_backward", (P, None), "cache"),
    ("pool_backward", (P, (A,)), "cache"),
    ("pool_backward", (P, (A, F, B, H)), "cache"),
    ("pool_backward", (P, (A, None)), "cache|hparameters"),
    ("pool_backward", (None, (A, H)), "dA"),
    ("pool_backward", (P[:, :3], (A, H)), "dA"),
    ("pool_backward", (P, (A, H), "mean"), "mode"),
    ("create_mask_from_window", (None,), "x"),
    ("create_mask_from_window", (np.ones((0, 2)),), "x"),
    ("distribute_value", (1.0, (0, 2)), "shape"),
    ("distribute_value", (1.0, (-1, 2)), "shape"),
    ("distribute_value", (1.0, None), "shape"),
    ("distribute_value", (None, (2, 2)), "dz"),
    ("distribute_value", ([1.0, 2.0], (2, 2)), "dz"),
    ("conv_forward", (A, F, None, H), "b"),
)


@pytest.mark.parametrize(("function", "arguments", "named"), NOTEBOOK, ids=brief)
def test_the_notebook_functions_name_their_own_arguments(function, arguments, named):
    with pytest.raises((ValueError, TypeError), match=rf"\b({named})\b"):
        getattr(cyconv, function)(*arguments)


@pytest.mark.parametrize("n", [0, -1, 1.5, "2", True], ids=repr)
def test_thread_counts(n):
    before = cyconv.get_num_threads()
    with pytest.raises((ValueError, TypeError), match=r"\bn\b|threads"):
        cyconv.set_num_threads(n)
    with pytest.raises((ValueError, TypeError), match=r"\bn\b|threads"), cyconv.num_threads(n):
        pass
    assert cyconv.get_num_threads() == before


def test_a_message_is_one_sentence_for_people():
    """Nothing of the machinery shows through: no memoryview, no buffer, no Cython."""
    for function, argument, value in (("conv2d", "x", None), ("conv2d", "w", ones(3, 2))):
        with pytest.raises((ValueError, TypeError)) as raised:
            getattr(cyconv, function)(**CALLS[function] | {argument: value})
        assert not re.search(r"memoryview|[Bb]uffer|pyx|Expected an object", str(raised.value))
