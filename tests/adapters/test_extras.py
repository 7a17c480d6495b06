"""The extras as a whole: not imported unless asked for, missed in plain words, every example run."""

import doctest
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from process import run, start

import cyconv

ROOT = Path(__file__).parents[2]
LIBRARIES = {"autograd": "autograd", "dask": "dask.array", "jax": "jax", "torch": "torch"}
"""The adapters and what each needs."""

MODULES = {"dask": ("dask", "dask_pool"), "torch": ("torch", "torch.functional", "torch.modules")}
every = pytest.mark.parametrize("name", LIBRARIES)


def readme():
    """The README's examples of adapters: ``pycon``, so that those without the extra do not stumble over them."""
    return re.findall(r"^```pycon\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)


@every
def test_import_cyconv_does_not_import_it(name):
    script = f"""
        import sys, cyconv
        print([m for m in sys.modules if m.partition(".")[0] == "{name}" or m == "cyconv.{name}"])
    """
    assert run(script) == "[]"


@every
def test_a_missing_extra_is_named_with_the_command_that_installs_it(name):
    done = start(f'import sys; sys.modules["{name}"] = None; import cyconv.{name}')
    assert done.returncode != 0
    assert f"pip install 'cyconv[{name}]'" in done.stderr.strip().splitlines()[-1]
    assert done.stderr.strip().splitlines()[-1].startswith("ImportError")


@every
def test_every_adapter_has_its_extra(name):
    assert re.search(rf"^{name} = \[", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M)


@every
def test_docstrings(name):
    pytest.importorskip(LIBRARIES[name], reason=f"{name} is not installed")
    for module in MODULES.get(name, (name,)):
        adapter = importlib.import_module(f"cyconv.{module}")
        result = doctest.testmod(adapter, optionflags=doctest.NORMALIZE_WHITESPACE)
        assert result.attempted
        assert not result.failed
    public = importlib.import_module(f"cyconv.{name}")
    for function in public.__all__:
        assert ">>>" in getattr(public, function).__doc__, function
        assert hasattr(cyconv, function) or name == "torch"  # whose names are PyTorch's


@every
def test_readme(name):
    pytest.importorskip(LIBRARIES[name], reason=f"{name} is not installed")
    (example,) = (block for block in readme() if f"cyconv.{name}" in block)
    test = doctest.DocTestParser().get_doctest(example, {}, f"README {name}", None, 0)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    runner.run(test)
    assert runner.summarize(verbose=False).failed == 0


@pytest.mark.parametrize(
    ("arguments", "libraries"),
    [
        (["out_of_core.py", "--size", "1500", "--chunk", "400", "--tiles", "5"], ["dask.array", "zarr"]),
        (["data_parallel.py", "--epochs", "1"], ["dask.array", "distributed", "sklearn"]),
    ],
    ids=["out_of_core", "data_parallel"],
)
def test_examples(arguments, libraries):
    """They judge themselves."""
    for library in libraries:
        pytest.importorskip(library, reason=f"{library} is not installed")
    name, *options = arguments
    command = [sys.executable, str(ROOT / "examples" / name), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
