"""Every example that a user can read runs: in docstrings, and in the README."""

import doctest
import inspect
import re
from pathlib import Path

import pytest

import cyconv

README = Path(__file__).parents[1] / "README.md"
FUNCTIONS = [name for name in cyconv.__all__ if callable(getattr(cyconv, name))]
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def blocks():
    """The README's Python examples, in order."""
    return re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.M | re.S)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstring(name):
    """Each public function shows itself at work, and does what it shows."""
    function = getattr(cyconv, name)
    assert function.__doc__
    tests = doctest.DocTestFinder().find(function, name, globs={})
    assert any(test.examples for test in tests), "no example"
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    for test in tests:
        runner.run(test)
    assert runner.summarize(verbose=False).failed == 0


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstring_names_every_parameter(name):
    function = getattr(cyconv, name)
    for parameter in inspect.signature(function).parameters:
        assert re.search(rf"\b{parameter}\b", function.__doc__), parameter


def test_readme():
    """The blocks run in one go, as a reader would type them."""
    assert blocks()
    namespace = {}
    for number, block in enumerate(blocks()):
        if ">>>" not in block:
            exec(compile(block, f"README block {number}", "exec"), namespace)
            continue
        test = doctest.DocTestParser().get_doctest(block, namespace, f"README {number}", None, 0)
        runner = doctest.DocTestRunner(optionflags=OPTIONS)
        runner.run(test, clear_globs=False)
        assert runner.summarize(verbose=False).failed == 0
        namespace.update(test.globs)
