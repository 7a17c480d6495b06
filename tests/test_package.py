"""The package as a whole: names, version, imports, and what it leaves alone."""

import importlib.metadata
import inspect
import re
from pathlib import Path

import pytest
import reference
from process import run
from reference import notebook

import cyconv

ROOT = Path(__file__).parents[1]

NOTEBOOK = {
    "zero_pad": ["X", "pad"],
    "conv_single_step": ["a_slice_prev", "W", "b"],
    "conv_forward": ["A_prev", "W", "b", "hparameters"],
    "conv_backward": ["dZ", "cache"],
    "pool_forward": ["A_prev", "hparameters", "mode"],
    "pool_backward": ["dA", "cache", "mode"],
    "create_mask_from_window": ["x"],
    "distribute_value": ["dz", "shape"],
}


@pytest.mark.parametrize("name", NOTEBOOK)
def test_the_notebook_keeps_its_signatures(name):
    signature = inspect.signature(getattr(cyconv, name))
    assert list(signature.parameters) == NOTEBOOK[name]
    assert list(inspect.signature(getattr(notebook, name)).parameters) == NOTEBOOK[name]
    if "mode" in signature.parameters:
        assert signature.parameters["mode"].default == "max"


@pytest.mark.parametrize("name", reference.__all__)
def test_the_oracle_has_the_signature_of_what_it_judges(name):
    """Names, order, kinds and defaults; it knows no algorithms, no `out` and no `indices`."""
    ours = inspect.signature(getattr(cyconv, name)).parameters.values()
    theirs = inspect.signature(getattr(reference, name)).parameters.values()
    unknown = {"algorithm", "out"} | ({"indices"} if name == "max_pool2d_backward" else set())
    assert [p.replace(annotation=p.empty) for p in ours if p.name not in unknown] == list(theirs)


def test_public_names():
    for name in cyconv.__all__:
        assert hasattr(cyconv, name)
    wanted = {*NOTEBOOK, *reference.__all__, "set_num_threads", "get_num_threads", "num_threads"}
    assert wanted | {"show_config"} <= set(cyconv.__all__)


def test_one_version():
    assert importlib.metadata.version("cyconv") == cyconv.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", cyconv.__version__)
    sources = [ROOT / "pyproject.toml", ROOT / "setup.py", *Path(cyconv.__file__).parent.rglob("*.py")]
    literal = re.compile(rf"[\"']{re.escape(cyconv.__version__)}[\"']")
    assert sum(len(literal.findall(path.read_text(encoding="utf-8"))) for path in sources) == 1


def test_import_brings_numpy_and_nothing_else():
    script = """
        import sys, numpy
        before = set(sys.modules)
        import cyconv
        new = {name.partition(".")[0] for name in set(sys.modules) - before}
        new -= set(sys.stdlib_module_names) | {"cyconv", "numpy", "cython_runtime", "_cyconv_utility"}
        print([name for name in sorted(new) if not name.startswith("_cython_")])
    """
    assert run(script) == "[]"


def test_numpy_is_the_only_requirement():
    required = [r for r in importlib.metadata.requires("cyconv") or () if "extra ==" not in r]
    assert [re.match(r"[\w-]+", r).group() for r in required] == ["numpy"]


def test_import_starts_no_thread_and_sets_no_environment():
    script = """
        import os, threading, numpy
        before = dict(os.environ), threading.active_count(), numpy.geterr()
        tasks = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 0
        import cyconv
        assert before == (dict(os.environ), threading.active_count(), numpy.geterr())
        assert tasks == (len(os.listdir("/proc/self/task")) if tasks else 0)
    """
    run(script)


def test_import_and_use_leave_the_floating_point_mode_alone():
    """Linked with fast maths, a library would flush subnormal numbers in the whole process."""
    script = """
        import threading
        import numpy as np
        import cyconv

        def check():
            for dtype in (np.float32, np.float64):
                tiny = np.finfo(dtype).tiny
                assert np.array([tiny], dtype)[0] * dtype(0.5) > 0
                assert (np.full(1000, tiny, dtype) * dtype(0.25) > 0).all()

        def check_in_thread():
            seen = []
            thread = threading.Thread(target=lambda: (check(), seen.append(1)))
            thread.start()
            thread.join()
            assert seen

        check(), check_in_thread()
        for isa in cyconv.kernels.available():
            cyconv.kernels.select(isa)
            for dtype in (np.float32, np.float64):
                x = np.ones((4, 64, 64, 8), dtype)
                y = cyconv.conv2d(x, np.ones((3, 3, 8, 8), dtype), padding=1)
                cyconv.conv2d_backward(y, x, np.ones((3, 3, 8, 8), dtype), padding=1)
                cyconv.max_pool2d(x, 2), cyconv.avg_pool2d(x, 2)
                check(), check_in_thread()
    """
    run(script)


def test_floating_point_errors_are_not_reported_as_numpy_warnings(recwarn):
    """Overflow in a convolution is the data's business; it gives an infinity, without a warning."""
    import numpy as np

    x = np.full((1, 2, 2, 1), 1e308)
    assert np.isinf(cyconv.conv2d(x, x.reshape(2, 2, 1, 1))).all()
    assert not recwarn.list


def test_show_config(capsys):
    assert cyconv.show_config() is None
    printed = capsys.readouterr().out
    for fact in (cyconv.__version__, cyconv.kernels.active(), str(cyconv.get_num_threads())):
        assert fact in printed
    for word in (*cyconv.kernels.available(), "OpenMP", "compiler", "threads"):
        assert word.lower() in printed.lower()
