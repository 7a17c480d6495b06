"""Random geometries of every function, in every build and dtype, against the oracle; small whole numbers.

`pytest tests/test_random.py --geometries 20000` tries as many, shared out over the functions.
"""

from itertools import product

import draw
import numpy as np
import pytest
import reference
from answers import conv_data, integers, pool_data, seeded
from compare import assert_exact, assert_rounded

import cyconv
from cyconv import kernels

DTYPES = np.float32, np.float64


def check_conv(case, dtype):
    data = conv_data(case, "integers")
    x, w, b, dy = (a.astype(dtype) for a in (data.x, data.w, data.b, data.dy))
    assert_exact(cyconv.conv2d(x, w, b, **case.geometry, algorithm="direct"), data.y)
    gradients = cyconv.conv2d_backward(dy, x, w, **case.geometry, algorithm="direct")
    for got, expected in zip(gradients, (data.dx, data.dw, data.db), strict=True):
        assert_exact(got, expected)


def check_transposed(case, dtype):
    data = conv_data(case, "integers")
    x, w, b, dy = (a.astype(dtype) for a in (data.x, data.w, data.b, data.dy))
    assert_exact(cyconv.conv_transpose2d(x, w, b, **case.geometry, **case.size, algorithm="direct"), data.y)
    gradients = cyconv.conv_transpose2d_backward(dy, x, w, **case.geometry, algorithm="direct")
    for got, expected in zip(gradients, (data.dx, data.dw, data.db), strict=True):
        assert_exact(got, expected)


def check_max_pool(case, dtype):
    data = pool_data(case)
    x, dy = data.x.astype(dtype), data.dy.astype(dtype)
    y, indices = cyconv.max_pool2d(x, **case.geometry, return_indices=True)
    assert_exact(y, data.y_max)
    expected = reference.max_pool2d(data.x, **case.geometry, return_indices=True)[1]
    assert_exact(indices, expected)
    assert_exact(cyconv.max_pool2d(x, **case.geometry), y)
    assert_exact(cyconv.max_pool2d_backward(dy, x, **case.geometry), data.dx_first)
    assert_exact(cyconv.max_pool2d_backward(dy, x, **case.geometry, ties="all"), data.dx_all)


def check_avg_pool(case, dtype):
    data = pool_data(case)
    x, dy = data.x.astype(dtype), data.dy.astype(dtype)
    options = case.geometry | {"count_include_pad": case.x[3] % 2 == 0}
    if case.x[3] % 5 == 0:
        options["divisor_override"] = case.x[3]
    y = reference.avg_pool2d(data.x, **options)
    assert_rounded(cyconv.avg_pool2d(x, **options), y, abs(y), terms=1 / 16)
    dx = reference.avg_pool2d_backward(data.dy, case.x, **options)
    magnitude = reference.avg_pool2d_backward(abs(data.dy), case.x, **options)
    assert_rounded(cyconv.avg_pool2d_backward(dy, case.x, **options), dx, magnitude, terms=25)


def check_adaptive_pool(case, dtype):
    rng = seeded("adaptive", case)
    x, output_size = integers(rng, *case.x), tuple(int(n) for n in rng.integers(1, 14, 2))
    y, indices = cyconv.adaptive_max_pool2d(x.astype(dtype), output_size, return_indices=True)
    expected = reference.adaptive_max_pool2d(x, output_size, return_indices=True)
    assert_exact(y, expected[0])
    assert_exact(indices, expected[1])
    dy = integers(rng, *y.shape)
    dx = cyconv.adaptive_max_pool2d_backward(dy.astype(dtype), x.astype(dtype))
    assert_exact(dx, reference.adaptive_max_pool2d_backward(dy, x))
    y = reference.adaptive_avg_pool2d(x, output_size)
    assert_rounded(cyconv.adaptive_avg_pool2d(x.astype(dtype), output_size), y, abs(y), terms=1 / 16)
    dx = reference.adaptive_avg_pool2d_backward(dy, case.x)
    magnitude = reference.adaptive_avg_pool2d_backward(abs(dy), case.x)
    assert_rounded(cyconv.adaptive_avg_pool2d_backward(dy.astype(dtype), case.x), dx, magnitude, terms=200)


FUNCTIONS = {
    "convolution": (draw.conv, check_conv),
    "grouped": (draw.grouped_conv, check_conv),
    "depthwise": (draw.depthwise_conv, check_conv),
    "transposed": (draw.transposed, check_transposed),
    "maximum": (draw.pool_with_options, check_max_pool),
    "average": (draw.pool_with_options, check_avg_pool),
    "adaptive": (draw.pool, check_adaptive_pool),
}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_random_geometries(function, geometries, team):
    make, check = FUNCTIONS[function]
    before = kernels.active()
    try:
        for number in range(-(-geometries // len(FUNCTIONS))):
            case = make(draw.chooser((function, number)))
            for isa, dtype in product(kernels.available(), DTYPES):
                kernels.select(isa)
                with team(1 + number % 3):
                    try:
                        check(case, dtype)
                    except Exception as error:
                        error.add_note(f"{function} number {number}: {case}, {isa}, {np.dtype(dtype)}")
                        raise
    finally:
        kernels.select(before)
        for answers in (conv_data, pool_data):
            answers.cache_clear()
