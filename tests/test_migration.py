"""Every line of MIGRATION.md: both of its calls give the same numbers, where the library is installed."""

import re
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from reference import notebook

TEXT = (Path(__file__).parents[1] / "MIGRATION.md").read_text(encoding="utf-8")
INTRODUCTION, *SECTIONS = re.split(r"^## ", TEXT, flags=re.M)
NEEDS = {"The notebook": None, "PyTorch": "torch", "TensorFlow": "tensorflow", "JAX": "jax", "Keras": "keras"}
NEEDS["SciPy"] = "scipy"
LINES = [
    (section.splitlines()[0], *calls)
    for section in SECTIONS
    for calls in re.findall(r"^\| `(.*)` \| `(.*)` \|$", section, re.M)
]


def python(text):
    return re.search(r"^```python\n(.*?)^```", text, re.M | re.S).group(1)


@cache
def arrays(title):
    """The names that a section's lines use."""
    if NEEDS[title]:
        pytest.importorskip(NEEDS[title])
    (section,) = (section for section in SECTIONS if section.startswith(title + "\n"))
    names = {}
    exec(python(INTRODUCTION), names)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "cnn_step_by_step", notebook)
        exec(python(section), names)
    return names


def in_our_order(result, call):
    """PyTorch's axes moved to where cyconv has them."""
    if type(result).__module__ != "torch":
        return result
    order = (2, 3, 1, 0) if "conv2d_weight" in call else (0, *range(2, result.ndim), 1)
    return result.permute(order).numpy()


def compare(theirs, ours):
    if isinstance(theirs, (tuple, list)):
        assert len(theirs) == len(ours)
        for one, other in zip(theirs, ours, strict=True):
            compare(one, other)
    elif isinstance(theirs, dict):
        assert theirs == ours
    else:
        theirs, ours = np.asarray(theirs), np.asarray(ours)
        assert theirs.shape == ours.shape
        rounding = 1e-6 if theirs.dtype == np.float32 else 1e-10
        np.testing.assert_allclose(ours, theirs, rtol=rounding, atol=rounding)


def test_every_section_has_lines():
    assert [section.splitlines()[0] for section in SECTIONS] == list(NEEDS)
    assert {title for title, *_ in LINES} == set(NEEDS)
    assert len(LINES) == len(re.findall(r"^\| `", TEXT, re.M))


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(("title", "theirs", "ours"), LINES, ids=[f"{title}: {call}" for title, call, _ in LINES])
def test_both_calls_give_the_same(title, theirs, ours):
    names = arrays(title)
    compare(in_our_order(eval(theirs, names), theirs), eval(ours, names))
