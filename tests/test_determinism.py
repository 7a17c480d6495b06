"""The same bits for any number of threads, on every run, and for any split of the batch over calls."""

import numpy as np
import pytest
from compare import assert_same_bits
from problems import problems

import cyconv

N = 6  # unlike the size of any window
CHANNELS = ((3, 5), (17, 33), (70, 130))
TEAMS = (2, 3, 5, 8, 17)
SPLITS = ((1, 1, 1, 1, 1, 1), (2, 2, 2), (1, 5), (4, 2))


def test_every_function_is_here():
    """Global pooling backward is adaptive pooling backward; the notebook's functions are calls of those below."""
    tested = {problem.name.partition(" ")[0].rstrip(",") for problem in problems(1, 3, 5)}
    functions = {name for name in cyconv.__all__ if "pool" in name or "conv" in name}
    notebook = {"conv_forward", "conv_backward", "conv_single_step", "pool_forward", "pool_backward"}
    assert tested == functions - notebook - {"global_avg_pool2d_backward", "global_max_pool2d_backward"}


def assert_all_same(problem, how, outcome, expected):
    try:
        for got, wanted in zip(outcome, expected, strict=True):
            assert_same_bits(got, wanted)
    except AssertionError as error:
        error.add_note(f"{problem}: {how}")
        raise


def cases(channels, dtype, rng):
    for problem in problems(N, *channels):
        yield problem, problem.arrays(rng, dtype)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("channels", CHANNELS, ids=str)
def test_any_number_of_threads_on_every_run(channels, dtype, rng, team):
    for problem, arrays in cases(channels, dtype, rng):
        with team(1):
            expected = problem.results(arrays)
        for n in (*TEAMS, 3, 1):
            with team(n):
                assert_all_same(problem, f"{n} threads", problem.results(arrays), expected)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("channels", CHANNELS, ids=str)
def test_any_split_of_the_batch(channels, dtype, rng, team):
    """A gradient of weights is a sum over the batch: it has no parts."""
    for problem, arrays in cases(channels, dtype, rng):
        if not problem.batch:
            continue
        with team(1):
            results = problem.results(arrays)
            expected = [results[i] for i in problem.batch]
        for number, split in enumerate(SPLITS):
            parts, first = [], 0
            for count in split:
                share = [a[first : first + count] if len(a) == N and a.ndim > 1 else a for a in arrays]
                with team((1, 3, 8)[number % 3]):
                    parts.append(problem.results(share))
                first += count
            outcome = [np.concatenate([part[i] for part in parts]) for i in problem.batch]
            assert_all_same(problem, f"a batch of {split}", outcome, expected)
