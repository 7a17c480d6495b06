"""Input made to crash: every case is a clean refusal, within 10 milliseconds of processor time.

The patterns are those that have crashed or corrupted memory in the convolution and pooling of TensorFlow and PyTorch:
shapes of gradients that are not checked, sizes of zero or beyond 2**31, empty axes, derived sizes that overflow,
indices out of range, confused ranks and dtypes, objects that lie, arrays that change during the call.
"""

import inspect
import time
from threading import Thread

import numpy as np
import pytest
from cases import brief

import cyconv

SECONDS = 0.01
REFUSED = (ValueError, TypeError, MemoryError)


def ones(*shape):
    return np.ones(shape)


X, W, B, DY = ones(2, 6, 7, 4), ones(3, 2, 4, 5), ones(5), ones(2, 4, 6, 5)
POOLED, PIXEL = ones(2, 3, 3, 4), ones(2, 1, 1, 4)
INDICES = np.zeros(POOLED.shape, int)
SEQUENCE, W1, DY1, POOLED1 = ones(2, 7, 4), ones(3, 4, 5), ones(2, 5, 5), ones(2, 3, 4)

# A good call of every function; each case spoils one argument.
CALLS = {
    "conv2d": {"x": X, "w": W, "b": B},
    "conv2d_input_grad": {"dy": DY, "w": W, "input_shape": X.shape},
    "conv2d_weight_grad": {"dy": DY, "x": X, "kernel_size": (3, 2)},
    "conv2d_backward": {"dy": DY, "x": X, "w": W},
    "conv_transpose2d": {"x": DY, "w": W, "b": ones(4)},
    "conv_transpose2d_backward": {"dy": X, "x": DY, "w": W},
    "max_pool2d": {"x": X, "kernel_size": 2},
    "max_pool2d_backward": {"dy": POOLED, "x": X, "kernel_size": 2},
    "max_unpool2d": {"x": POOLED, "indices": INDICES, "output_shape": X.shape},
    "avg_pool2d": {"x": X, "kernel_size": 2},
    "avg_pool2d_backward": {"dy": POOLED, "input_shape": X.shape, "kernel_size": 2},
    "lp_pool2d": {"x": X, "p": 2, "kernel_size": 2},
    "lp_pool2d_backward": {"dy": POOLED, "x": X, "p": 2, "kernel_size": 2},
    "adaptive_avg_pool2d": {"x": X, "output_size": 3},
    "adaptive_avg_pool2d_backward": {"dy": POOLED, "input_shape": X.shape},
    "adaptive_max_pool2d": {"x": X, "output_size": 3},
    "adaptive_max_pool2d_backward": {"dy": POOLED, "x": X},
    "global_avg_pool2d": {"x": X},
    "global_avg_pool2d_backward": {"dy": PIXEL, "input_shape": X.shape},
    "global_max_pool2d": {"x": X},
    "global_max_pool2d_backward": {"dy": PIXEL, "x": X},
    "conv1d": {"x": SEQUENCE, "w": W1, "b": B},
    "conv1d_input_grad": {"dy": DY1, "w": W1, "input_shape": SEQUENCE.shape},
    "conv1d_weight_grad": {"dy": DY1, "x": SEQUENCE, "kernel_size": 3},
    "conv1d_backward": {"dy": DY1, "x": SEQUENCE, "w": W1},
    "max_pool1d": {"x": SEQUENCE, "kernel_size": 2},
    "max_pool1d_backward": {"dy": POOLED1, "x": SEQUENCE, "kernel_size": 2},
    "avg_pool1d": {"x": SEQUENCE, "kernel_size": 2},
    "avg_pool1d_backward": {"dy": POOLED1, "input_shape": SEQUENCE.shape, "kernel_size": 2},
}


class Raises:
    """An object none of whose conversions works."""

    def fail(self, *args, **kwargs):
        raise ValueError("no")

    __array__ = __index__ = __len__ = __iter__ = __getitem__ = __repr__ = fail


class Lies:
    """An object that is no array, whatever it says."""

    dtype, shape, ndim = np.dtype("f8"), (2, 6, 7, 4), 4

    def __array__(self, dtype=None, copy=None):
        return [1.0]


class Liar(np.ndarray):
    """An array that says what its shape is not."""

    shape = property(lambda self: (2, 6, 7, 4))


def itself():
    """A list that holds itself."""
    items = []
    items.append(items)
    return items


LONG = [1] * 10**6
DIGITS = 10**5000
INTEGERS = (0, -1, -(2**63), 2**31, 2**63 - 1, 2**63, 2**64, DIGITS, -DIGITS)
NO_NUMBERS = ("1", b"1", "x" * 10**6, True, {1: 1}, object(), Raises(), np.ones(1))
NO_INTEGERS = (1.0, float("nan"), float("inf"), 1j, *NO_NUMBERS)
SIZES = (*INTEGERS, *NO_INTEGERS, LONG, [], (1, 1, 1), np.zeros((2, 3), int), itself())
PAIRS = ((0, 1), (1, 0), (-1, 1), (1, 2**31), (2**63, 1), (1, 1.5), (1, None), (1, "1"))
SHAPES = (None, 3, "shape", (), (2,), (1, 2), (1,) * 5, LONG, (2, -1, 7, 4), (2, 0, 7, 4), (2, 6, 0, 4), (2, 6, 7, 0))
FAR_SHAPES = ((2, 2**31, 7, 4), (2**63, 6, 7, 4), (2, 6, 7, DIGITS), (2, 2**31 - 1, 2**31 - 1, 4), (1, 2**31 - 1, 1, 4))
BAD = {
    "stride": (*SIZES, *PAIRS),
    "dilation": (*SIZES, *PAIRS),
    "kernel_size": (None, *SIZES, *PAIRS),
    "output_size": (*SIZES, *PAIRS),
    "padding": (None, *(v for v in SIZES if v is not INTEGERS[0]), "sam", (0, -1), (1, 2**31), ((0, 0), (0, -1))),
    "output_padding": (*(v for v in SIZES if v is not INTEGERS[0]), (0, -1), 2**31 - 1),
    "groups": (None, *SIZES, 3, 2**31 - 1),
    "divisor_override": SIZES,
    "p": (None, 0, -1, float("nan"), float("inf"), DIGITS, "2", True, 1j, [2], Raises()),
    "input_shape": (*SHAPES, *FAR_SHAPES),
    "output_shape": (*SHAPES, (3, 6, 7, 4), (2, 6, 7, 5), (2, 2**31 - 1, 2**31 - 1, 4)),
    "algorithm": (None, "", "fast", 1, "x" * 10**6, Raises(), np.ones(2)),
    "activation": ("", "gelu", 1, np.ones(2), Raises()),
    "ties": (None, "", "last", 1, np.ones(2), Raises()),
    "out": (1, [0.0], "out", np.ma.ones((2, 4, 6, 5)), ones(0), ones(1, 1, 1, 1), ones(1, 1, 1, 1).view(Liar)),
    "indices": (
        *(np.full(POOLED.shape, value) for value in (-1, 42, 2**31, 2**62, -(2**63), 1.0, True, "1", 1j, None)),
        *(np.full(POOLED.shape, 2**64 - 1, np.uint64), np.zeros((2, 3, 3, 5), int), np.zeros((2, 3, 3, 0), int)),
        *(None, 1, [], Raises()),
    ),
}
ARRAYS = ("x", "w", "dy", "b")


def bad_arrays(good):
    """What cannot stand where `good` does: of other kinds, ranks and dtypes, and with an empty axis."""
    yield from ("text", b"bytes", {1: 2}, {1}, object(), Raises(), Lies(), itself(), range(10**12))
    yield from (np.ma.array(good), good.astype(complex), good.astype(object), good.astype("U1"), good.astype("M8[s]"))
    yield from (good.astype([("a", "f4")]), good.astype("m8[s]"), good.astype("V8"), good.astype("S1"))
    yield from (ones(*[1] * rank) for rank in (0, 1, 2, 3, 4, 5, 6, 32) if rank not in (good.ndim, good.ndim - 1))
    for axis in range(good.ndim):
        if axis > 0 or good is W or good is W1:  # an empty batch is good input
            yield good.take(range(0), axis)


def cases():
    for function, arguments in CALLS.items():
        for name, parameter in inspect.signature(getattr(cyconv, function)).parameters.items():
            default = arguments.get(name, parameter.default)
            bad = BAD.get(name, ()) if name not in ARRAYS or default is None else bad_arrays(default)
            for number, value in enumerate(bad):
                if value is not default and not (value is None and default is None):
                    yield pytest.param(function, name, value, id=f"{function}-{name}-{number}-{type(value).__name__}")


def seconds_of_refusal(function, arguments):
    """The processor time of the quickest of three refusals."""
    quickest = float("inf")
    for _ in range(3):
        start = time.thread_time()
        with pytest.raises(REFUSED):
            function(**arguments)
        quickest = min(quickest, time.thread_time() - start)
    return quickest


def test_every_function_is_here():
    """Those of the notebook are calls of these."""
    functions = {name for name in cyconv.__all__ if "pool" in name or "conv" in name}
    notebook = {"conv_forward", "conv_backward", "conv_single_step", "pool_forward", "pool_backward"}
    assert set(CALLS) == functions - notebook


@pytest.mark.parametrize("function", CALLS)
def test_the_calls_are_good(function):
    assert getattr(cyconv, function)(**CALLS[function]) is not None


@pytest.mark.parametrize(("function", "argument", "value"), list(cases()))
def test_one_hostile_argument(function, argument, value):
    assert seconds_of_refusal(getattr(cyconv, function), CALLS[function] | {argument: value}) < SECONDS


EXACT = [name for name in CALLS if "dy" in CALLS[name] and "adaptive" not in name]


@pytest.mark.parametrize("function", EXACT)
@pytest.mark.parametrize("more", [-1, 1, 10])
def test_every_axis_of_a_gradient_is_checked(function, more):
    """Against the shape computed from the other arguments, never against what the caller says."""
    dy = CALLS[function]["dy"]
    for axis in range(dy.ndim - ("weight_grad" in function)):  # K may be any number there
        shape = list(dy.shape)
        shape[axis] = max(0, shape[axis] + more)
        spoiled = CALLS[function] | {"dy": np.ones(shape)}
        assert seconds_of_refusal(getattr(cyconv, function), spoiled) < SECONDS


# A few bytes of input that ask for gigabytes: refused before anything of that size is made.
FAR = 2**31 - 1
GIGABYTES = (
    ("max_pool2d_backward", (np.empty((0, 3, 3, 4)), np.empty((0, FAR, 7, 4)), 1), {}),
    ("avg_pool2d_backward", (PIXEL, (2, FAR, 1, 4), 1), {}),
    ("avg_pool2d_backward", (PIXEL, (2, 1, FAR, 4), 1), {"stride": 2}),
    ("avg_pool1d_backward", (POOLED1, (2, FAR, 4), 1), {}),
    ("avg_pool2d_backward", (PIXEL, (2, FAR, FAR, 4), FAR), {"stride": FAR}),
    ("adaptive_avg_pool2d", (X, FAR), {}),
    ("adaptive_avg_pool2d_backward", (PIXEL, (2, FAR, FAR, 4)), {}),
    ("conv2d", (X, W), {"padding": FAR}),
    ("conv2d", (X, W), {"padding": 2**24}),
    ("conv2d_input_grad", (DY, W, (2, FAR, FAR, 4)), {}),
    ("conv2d_input_grad", (ones(2, 1, 1, 5), W, (2, FAR, FAR, 4)), {"stride": FAR}),
    ("conv2d_weight_grad", (DY, X, FAR), {"padding": FAR}),
    ("conv_transpose2d", (DY, W), {"stride": FAR}),
    ("conv_transpose2d", (DY, W), {"dilation": FAR}),
    ("conv_transpose2d", (DY, W), {"stride": 2**30, "output_padding": 2**30 - 1}),
    ("max_unpool2d", (POOLED, INDICES, (2, FAR, FAR, 4)), {}),
    ("zero_pad", (X, FAR), {}),
    ("zero_pad", (X, 2**28), {}),
    ("distribute_value", (1.0, (FAR, FAR)), {}),
    ("distribute_value", (1.0, (2**22, 2**22)), {}),
)


@pytest.mark.parametrize(("function", "arguments", "options"), GIGABYTES, ids=brief)
def test_a_few_bytes_that_ask_for_gigabytes(function, arguments, options):
    call = getattr(cyconv, function)
    assert seconds_of_refusal(lambda: call(*arguments, **options), {}) < SECONDS


def test_an_empty_batch_of_far_images_costs_nothing():
    """The tables of its windows would have 2**28 rows."""
    x = np.empty((0, 2**28, 1, 1))
    start = time.thread_time()
    assert cyconv.max_pool2d(x, 1).shape == cyconv.avg_pool2d(x, 1).shape == x.shape
    assert cyconv.avg_pool2d_backward(x, x.shape, 1).shape == x.shape
    assert cyconv.adaptive_avg_pool2d(x, x.shape[1:3]).shape == x.shape
    assert time.thread_time() - start < SECONDS


# Good arguments, and a stride as large as the image: not taps times strides, which took each of these ten seconds.


@pytest.mark.parametrize(
    ("x", "w", "stride", "options"),
    [
        ((1, 1, 60_000, 16), (1, 60_000, 16, 16), (1, 60_000), {}),
        ((1, 1, 60_000, 16), (1, 30_000, 16, 16), (1, 60_000), {"dilation": 2}),
        ((1, 60_000, 1, 16), (60_000, 1, 1, 16), (60_000, 1), {"groups": 16}),
        ((1, 60_000, 2, 1), (15_000, 2, 1, 1), (15_000, 1), {}),
        ((1, 1000, 1000, 1), (1000, 1000, 1, 1), 1000, {}),
    ],
    ids=str,
)
def test_the_time_of_a_gradient_is_that_of_its_arrays(x, w, stride, options):
    y = cyconv.geometry.conv(x, w, stride, 0, options.get("dilation", 1), options.get("groups", 1)).y
    dy, w = np.ones(y, np.float32), np.ones(w, np.float32)
    start = time.process_time()
    dx = cyconv.conv2d_input_grad(dy, w, x, stride=stride, **options)
    assert time.process_time() - start < 1
    assert dx.max() == w.shape[3] // options.get("groups", 1)


# Arrays that change during the call: a parameter whose __index__ gives them another shape, or another thread.


class Reshapes:
    """The number 1; asking for it gives an array another shape."""

    def __init__(self, array, shape):
        self.array, self.shape = array, shape

    def __index__(self):
        self.array.resize(self.shape, refcheck=False)
        return 1


CHANGES = [
    (function, name, options)
    for function in ("conv2d", "conv2d_input_grad", "conv2d_weight_grad", "conv2d_backward")
    for name in CALLS[function]
    if name in ("x", "w", "dy")
    for options in ({}, {"algorithm": "winograd"}, {"algorithm": "winograd", "groups": 3}, {"groups": 6})
] + [
    (function, name, {})
    for function in ("conv_transpose2d", "max_pool2d", "max_pool2d_backward", "avg_pool2d", "avg_pool2d_backward")
    for name in CALLS[function]
    if name in ("x", "w", "dy")
]


@pytest.mark.parametrize(("function", "name", "options"), CHANGES, ids=brief)
def test_an_array_that_a_parameter_reshapes(function, name, options, isa):
    """Its shape was right when it was looked at: this wrote past the end of the result."""
    arrays = CALLS[function]
    if options:
        C, window = 6, (3, 3, 6 // options.get("groups", 1), 6)
        arrays = {"x": ones(2, 6, 7, C), "dy": ones(2, 4, 5, C), "w": ones(*window), "kernel_size": 3}
        arrays = {key: arrays[key] for key in CALLS[function] if key in arrays} | (
            {"input_shape": (2, 6, 7, C)} if "input_shape" in CALLS[function] else {}
        )
    size = arrays[name].size
    for shape in ((1, 1, 1, size), (size, 1, 1, 1), (1, size, 1, 1)):
        array = arrays[name].copy()
        spoiled = arrays | {name: array, "stride": Reshapes(array, shape)}
        with pytest.raises(ValueError, match=r"shape|channels"):
            getattr(cyconv, function)(**spoiled, **options)


def test_an_array_that_another_thread_reshapes():
    x, stop = X.copy(), []

    def flip():
        while not stop:
            x.resize((1, 1, 1, x.size), refcheck=False)
            x.resize(X.shape, refcheck=False)

    thread = Thread(target=flip)
    thread.start()
    try:
        for _ in range(3000):
            try:
                cyconv.conv2d(x, W)
                cyconv.max_pool2d(x, 2)
            except ValueError:
                pass
    finally:
        stop.append(True)
        thread.join()


def test_an_object_whose_array_is_another_every_time():
    class Changes:
        calls = 0

        def __array__(self, dtype=None, copy=None):
            self.calls += 1
            return ones(*(self.calls,) * 4)

    with pytest.raises(ValueError, match="x"):
        cyconv.conv2d(Changes(), W)


def test_an_out_that_says_it_has_another_shape():
    """A subclass of ndarray may say so; a memory map is one too, and is good."""
    with pytest.raises(ValueError, match="out"):
        cyconv.max_pool2d(ones(2, 12, 14, 4), 2, out=ones(1, 1, 1, 1).view(Liar))


def test_a_memory_map_is_a_good_out(tmp_path):
    out = np.memmap(tmp_path / "out", np.float64, "w+", shape=DY.shape)
    assert cyconv.conv2d(X, W, out=out) is out
    assert (out == 24).all()


@pytest.mark.parametrize("value", [LONG, "x" * 10**6, DIGITS, itself(), [[0] * 9] * 9], ids=type)
def test_messages_stay_short(value):
    for function, argument in (("conv2d", "stride"), ("max_pool2d", "padding"), ("conv2d", "algorithm")):
        with pytest.raises((ValueError, TypeError), match=argument) as raised:
            getattr(cyconv, function)(**CALLS[function] | {argument: value})
        assert len(str(raised.value)) < 300
