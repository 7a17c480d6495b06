"""Random calls of every kernel against the oracle, until the time is up.

    python tests/fuzz.py --minutes 30 --seed 7        # every geometry, layout, dtype, kind of number, team and build
    python tests/fuzz.py --seed 7 --only 12345        # one of its cases again

A case is drawn from the seed and its number alone.  The oracle computes in float64 and knows nothing of layouts.  The
numbers are drawn so that the right answer is known to the bit, or else to the rounding error of its sum:

    whole       from -8 to 8
    tiny        whole numbers of the least subnormal: a kernel that flushes them gives zeros
    huge        whole numbers of a power of two near the largest
    special     whole numbers with NaN, infinities and negative zeros among those of x or dy
    rounded     of a normal distribution
"""

import argparse
import faulthandler
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import draw
import numpy as np
import reference
from answers import seeded
from compare import assert_exact
from layouts import LAYOUTS

import cyconv
from cyconv import kernels

KINDS = ("whole", "tiny", "huge", "special", "rounded")
SPECIALS = (np.nan, np.inf, -np.inf, -0.0)


# Numbers.


def numbers(rng, kind, dtype, shape):
    """Numbers of a kind, representable in the dtype, as float64."""
    if kind == "rounded":
        return rng.standard_normal(shape).astype(dtype).astype(np.float64)
    values = rng.integers(-8, 9, shape).astype(np.float64)
    if kind == "special" and values.size:
        flat = values.reshape(-1)
        flat[rng.integers(0, values.size, 1 + values.size // 50)] = rng.choice(SPECIALS)
    return values


def scale(kind, dtype):
    """A power of two: what scales one factor of a product scales the result, to the bit."""
    info = np.finfo(dtype)
    return {"tiny": float(info.smallest_subnormal), "huge": 2.0 ** (info.maxexp - 24)}.get(kind, 1.0)


def repeated(a):
    """Zero strides: every image the first."""
    return np.broadcast_to(a[:1], a.shape)


class Case:
    """One call: what is drawn, and the right answer."""

    def __init__(self, seed, number):
        self.rng = seeded("fuzz", seed, number)
        self.integer = lambda low, high: int(self.rng.integers(low, high + 1))
        self.dtype = np.dtype(self.any(("f4", "f8")))
        self.kind = self.any(KINDS)
        self.isa = self.any(kernels.available())
        self.threads = self.any((1, 2, 3, 5, 8, 17))
        self.problem = self.any(tuple(PROBLEMS))
        self.notes = []

    def any(self, choices):
        return choices[self.integer(0, len(choices) - 1)]

    def numbers(self, shape, plain=False):
        kind = "whole" if plain and self.kind != "rounded" else self.kind
        values = numbers(self.rng, kind, self.dtype, shape)
        return repeated(values) if len(values) and self.integer(0, 9) == 0 else values

    def given(self, values, scaled=False):
        """The array that the function gets, in a layout of its own."""
        with np.errstate(all="ignore"):
            array = (values * (scale(self.kind, self.dtype) if scaled else 1)).astype(self.dtype)
        if array.ndim == 1 or self.integer(0, len(LAYOUTS)) == 0:
            return array
        layout = self.any(LAYOUTS)
        self.notes.append(layout.__name__)
        return layout(array)

    def out(self, shape, *inputs):
        """No out, a fresh one, or one that overlaps an input."""
        choice = self.integer(0, 3)
        if choice < 2:
            return {}
        size = int(np.prod(shape))
        for array in inputs if choice == 3 else ():
            if array.size >= size and array.flags.carray and array.dtype.isnative:
                self.notes.append("out overlaps an input")
                first = self.integer(0, array.size - size)
                return {"out": array.reshape(-1)[first : first + size].reshape(shape)}
        self.notes.append("out")
        return {"out": np.full(shape, 7, self.dtype)}

    def compare(self, got, expected, magnitude=None, terms=1, scaled=True, whole=True):
        """`magnitude`: the same operation on absolute values, where the answer is known to rounding alone."""
        factor = scale(self.kind, self.dtype) if scaled else 1
        assert got.dtype == self.dtype
        with np.errstate(all="ignore"):
            got = got.astype(np.float64) / factor
            if whole and self.kind != "rounded":
                assert_exact(got, expected)
                return
            finite = np.isfinite(expected)
            assert_exact(np.where(finite, 0, got), np.where(finite, 0, expected))
            u = np.finfo(self.dtype).eps / 2
            least = float(np.finfo(self.dtype).smallest_subnormal) / factor * terms
            bound = u * (8 * np.sqrt(terms) * magnitude + np.abs(expected)) + least
            assert got.shape == expected.shape
            assert (np.abs(got - expected) <= bound)[finite].all(), "beyond the rounding bound"

    def __str__(self):
        return f"{self.problem}, {self.dtype}, {self.kind}, {self.isa}, {self.threads} threads, {', '.join(self.notes)}"


# Problems.


def by_group(function, groups, *arrays, axes):
    """The oracle on one group at a time: a NaN of one group is no business of another."""
    split = [[a] * groups if axis is None else np.split(a, groups, axis) for a, axis in zip(arrays, axes, strict=True)]
    return np.concatenate([function(*parts) for parts in zip(*split, strict=True)], axis=3)


def convolution(make):
    def problem(case):
        g = make(case.integer)
        case.notes.append(str(g))
        options = {k: v for k, v in g.geometry.items() if k != "groups"}
        algorithm = "direct"
        square = g.kernel_size in ((3, 3), (4, 4), (5, 5))
        several = g.groups == 1 or g.w[2] > 1
        simple = square and several and g.stride == (1, 1) and g.dilation == (1, 1)
        if simple and case.kind in ("whole", "rounded"):
            algorithm = case.any(("direct", "winograd"))
        chosen = g.geometry | {"algorithm": algorithm}
        x, w, b = case.numbers(g.x), case.numbers(g.w, plain=True), case.numbers((g.K,), plain=True)
        terms = g.kernel_size[0] * g.kernel_size[1] * g.w[2] + 1
        if algorithm == "winograd":
            terms *= 64  # its errors are a few times those of direct convolution
        exact = algorithm == "direct"

        def reached(size):
            """Winograd's errors are relative to what the tile of an output holds, be its own window all padding."""
            return size if exact else np.full_like(size, size.max())

        def forward(x, w):
            return by_group(lambda x, w: reference.conv2d(x, w, **options), g.groups, x, w, axes=(3, 3))

        y = forward(x, w)
        size = forward(np.abs(np.nan_to_num(x, posinf=0, neginf=0)), np.abs(w))
        arrays = case.given(x, scaled=True), case.given(w)
        bias = case.integer(0, 1)
        relu = case.integer(0, 1)
        if bias:
            y, size = y + b, size + np.abs(b)
        if relu:
            y = np.where(y > 0, y, np.where(np.isnan(y), y, 0))
        got = cyconv.conv2d(
            *arrays,
            case.given(b, scaled=True) if bias else None,
            **chosen,
            activation="relu" if relu else None,
            **case.out(y.shape, *arrays),
        )
        case.compare(got, y, reached(size), terms, whole=exact)

        def input_grad(dy, w):
            shape = (*g.x[:3], g.x[3] // g.groups)
            return by_group(
                lambda dy, w: reference.conv2d_input_grad(dy, w, shape, **options), g.groups, dy, w, axes=(3, 3)
            )

        dy, plain_x = case.numbers(y.shape), case.numbers(g.x, plain=True)
        dx, size = input_grad(dy, w), input_grad(np.abs(np.nan_to_num(dy, posinf=0, neginf=0)), np.abs(w))
        terms = g.kernel_size[0] * g.kernel_size[1] * (g.K // g.groups) * (64 if algorithm == "winograd" else 1)
        arrays = case.given(dy, scaled=True), case.given(w)
        got = cyconv.conv2d_input_grad(*arrays, g.x, **chosen, **case.out(g.x, *arrays))
        case.compare(got, dx, reached(size), terms, whole=exact)

        # Zeros of the padding times an infinity of dy are NaN or nothing: only x has special numbers here.
        def weight_grad(dy, x):
            return by_group(
                lambda dy, x: reference.conv2d_weight_grad(dy, x, g.kernel_size, **options),
                g.groups,
                dy,
                x,
                axes=(3, 3),
            )

        dy = case.numbers(y.shape, plain=True)
        x = plain_x if case.kind == "special" and not exact else case.numbers(g.x)
        dw, size = weight_grad(dy, x), weight_grad(np.abs(dy), np.abs(np.nan_to_num(x, posinf=0, neginf=0)))
        terms = y.size // y.shape[3] * (64 if algorithm == "winograd" else 1)
        arrays = case.given(dy), case.given(x, scaled=True)
        got = cyconv.conv2d_weight_grad(*arrays, g.kernel_size, **chosen, **case.out(dw.shape, *arrays))
        case.compare(got, dw, reached(size), terms, whole=exact)
        arrays = case.given(dy, scaled=True), case.given(plain_x), case.given(w)
        db = cyconv.conv2d_backward(*arrays, **chosen)[2]
        case.compare(db, dy.sum((0, 1, 2)), np.abs(dy).sum((0, 1, 2)), terms)

    return problem


def transposed(case):
    g = draw.transposed(case.integer)
    case.notes.append(str(g))
    x, w, b = (case.numbers(shape, plain=True) for shape in (g.x, g.w, (g.K,)))
    y = reference.conv_transpose2d(x, w, b, **g.geometry, **g.size)
    size = reference.conv_transpose2d(abs(x), abs(w), abs(b), **g.geometry, **g.size)
    terms = g.kernel_size[0] * g.kernel_size[1] * g.x[3] + 1
    arrays = case.given(x, scaled=True), case.given(w)
    bias = case.given(b, scaled=True)
    out = case.out(y.shape, *arrays)
    got = cyconv.conv_transpose2d(*arrays, bias, **g.geometry, **g.size, algorithm="direct", **out)
    case.compare(got, y, size, terms)
    dy = case.numbers(y.shape, plain=True)
    expected = reference.conv_transpose2d_backward(dy, x, w, **g.geometry)
    sizes = reference.conv_transpose2d_backward(abs(dy), abs(x), abs(w), **g.geometry)
    arrays = case.given(dy, scaled=True), case.given(x), case.given(w)
    results = cyconv.conv_transpose2d_backward(*arrays, **g.geometry, algorithm="direct")
    for got, wanted, size in zip(results, expected, sizes, strict=True):
        case.compare(got, wanted, size, dy.size)


def maximum(case):
    g = draw.pool_with_options(case.integer)
    case.notes.append(str(g))
    x = case.numbers(g.x)
    y, indices = reference.max_pool2d(x, **g.geometry, return_indices=True)
    array = case.given(x, scaled=True)
    got = cyconv.max_pool2d(array, **g.geometry, return_indices=True)
    case.compare(got[0], y, 0 * y)
    assert_exact(got[1], indices)
    dy = case.numbers(y.shape, plain=True)
    given = case.given(dy, scaled=True), case.given(x)
    size = reference.max_pool2d_backward(abs(dy), x, **g.geometry)
    for options in ({}, {"ties": "all"}):
        dx = reference.max_pool2d_backward(dy, x, **g.geometry, **options)
        got = cyconv.max_pool2d_backward(*given, **g.geometry, **options)
        case.compare(got, dx, size + abs(dx), 25)
    got = cyconv.max_pool2d_backward(*given, **g.geometry, indices=case.any((indices, np.asfortranarray(indices))))
    case.compare(got, reference.max_pool2d_backward(dy, x, **g.geometry), size, 25)
    got = cyconv.max_pool2d(array, **g.geometry, **case.out(y.shape, array))
    case.compare(got, y, 0 * y)


def average(case):
    g = draw.pool_with_options(case.integer)
    case.notes.append(str(g))
    options = g.geometry | {"count_include_pad": bool(case.integer(0, 1))}
    if case.integer(0, 3) == 0:
        options["divisor_override"] = case.integer(1, 50)
    x = case.numbers(g.x)
    y = reference.avg_pool2d(x, **options)
    size = reference.avg_pool2d(abs(np.nan_to_num(x, posinf=0, neginf=0)), **options)
    array = case.given(x, scaled=True)
    case.compare(cyconv.avg_pool2d(array, **options, **case.out(y.shape, array)), y, size, 25, whole=False)
    dy = case.numbers(y.shape)
    dx = reference.avg_pool2d_backward(dy, g.x, **options)
    size = reference.avg_pool2d_backward(abs(np.nan_to_num(dy, posinf=0, neginf=0)), g.x, **options)
    got = cyconv.avg_pool2d_backward(case.given(dy, scaled=True), g.x, **options)
    case.compare(got, dx, size, 25, whole=False)


def adaptive(case):
    g = draw.pool(case.integer)
    output_size = case.integer(1, 13), case.integer(1, 13)
    case.notes.append(f"{g.x} to {output_size}")
    x = case.numbers(g.x)
    y, indices = reference.adaptive_max_pool2d(x, output_size, return_indices=True)
    got = cyconv.adaptive_max_pool2d(case.given(x, scaled=True), output_size, return_indices=True)
    case.compare(got[0], y, 0 * y)
    assert_exact(got[1], indices)
    dy = case.numbers(y.shape, plain=True)
    dx = reference.adaptive_max_pool2d_backward(dy, x)
    size = reference.adaptive_max_pool2d_backward(abs(dy), x)
    case.compare(cyconv.adaptive_max_pool2d_backward(case.given(dy, scaled=True), case.given(x)), dx, size, 200)
    y = reference.adaptive_avg_pool2d(x, output_size)
    size = reference.adaptive_avg_pool2d(abs(np.nan_to_num(x, posinf=0, neginf=0)), output_size)
    case.compare(cyconv.adaptive_avg_pool2d(case.given(x, scaled=True), output_size), y, size, 200, whole=False)
    dx = reference.adaptive_avg_pool2d_backward(dy, g.x)
    size = reference.adaptive_avg_pool2d_backward(abs(dy), g.x)
    case.compare(cyconv.adaptive_avg_pool2d_backward(case.given(dy, scaled=True), g.x), dx, size, 200, whole=False)


PROBLEMS = {
    "convolution": convolution(draw.conv),
    "grouped convolution": convolution(draw.grouped_conv),
    "depthwise convolution": convolution(draw.depthwise_conv),
    "transposed convolution": transposed,
    "maximum pooling": maximum,
    "average pooling": average,
    "adaptive pooling": adaptive,
}


# Running.


def try_one(seed, number):
    """One case; what is wrong is printed with the command that shows it again."""
    case = Case(seed, number)
    kernels.select(case.isa)
    cyconv.threads.team = lambda work: case.threads
    try:
        with np.errstate(all="ignore"):
            PROBLEMS[case.problem](case)
    except Exception as error:
        what = f"{type(error).__name__}: {error}".strip()
        print(f"WRONG {number}: {case}\n{what}\npython tests/fuzz.py --seed {seed} --only {number}", flush=True)
        return case.problem, False
    return case.problem, True


def work(seed, first, until, note):
    """Cases from `first` on until the time is up; `note` is a file that holds the number of the one at hand."""
    faulthandler.enable()
    tried, wrong, said, number = Counter(), 0, time.monotonic(), first
    while time.monotonic() < until:
        note.seek(0)
        note.write(f"{number:20}")
        note.flush()
        problem, good = try_one(seed, number)
        tried[problem] += 1
        wrong += not good
        number += 1
        if time.monotonic() > said + 10:
            said = time.monotonic()
            print(f"{number} cases, {wrong} wrong, {until - said:.0f} s left", flush=True)
    for problem, count in sorted(tried.items()):
        print(f"{problem:24} {count}")
    print(f"{number - first} cases from number {first} on, {wrong} wrong")
    return 1 if wrong else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--only", type=int, help="try this case alone")
    parser.add_argument("--note", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only is not None:
        problem, good = try_one(arguments.seed, arguments.only)
        print(f"{problem}: {'as it should be' if good else 'wrong'}")
        return 0 if good else 1
    until = time.monotonic() + 60 * arguments.minutes
    if arguments.note:
        with arguments.note.open("w") as note:
            return work(arguments.seed, arguments.first, until, note)
    # A process of its own: where it crashes, this one says in which case.
    with tempfile.TemporaryDirectory() as folder:
        note = Path(folder, "number")
        done = subprocess.run([sys.executable, __file__, *sys.argv[1:], "--note", str(note)], check=False)
        if done.returncode not in (0, 1):
            again = f"python tests/fuzz.py --seed {arguments.seed} --only {int(note.read_text() or -1)}"
            print(f"CRASHED with status {done.returncode}: {again}")
        return done.returncode


if __name__ == "__main__":
    sys.exit(main())
