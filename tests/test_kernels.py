"""The builds of the kernels: what each says of itself, and how one is chosen."""

import platform
import sys

import numpy as np
import pytest
from compare import assert_exact
from process import run, start

import cyconv
from cyconv import kernels

X86 = platform.machine().lower() in ("x86_64", "amd64")
VECTOR_BYTES = {"baseline": 16, "v3": 32, "v4": 64}
CALL = "import numpy, cyconv; cyconv.conv2d(numpy.ones((1, 3, 3, 1)), numpy.ones((2, 2, 1, 1)))\n"


def test_builds_are_named_in_order():
    assert (("baseline", "v3", "v4") if X86 else ("native",)) == kernels.ISAS
    assert set(kernels.available()) <= set(kernels.ISAS)
    assert list(kernels.available()) == [i for i in kernels.ISAS if i in kernels.available()]
    assert kernels.active() in kernels.available()


def test_the_least_build_runs_everywhere():
    assert kernels.ISAS[0] in kernels.available()


@pytest.mark.skipif(not (X86 and sys.platform == "linux"), reason="reads the x86 flags of /proc/cpuinfo")
@pytest.mark.parametrize(
    ("level", "needed"),
    [
        ("v3", {"avx2", "fma", "bmi1", "bmi2", "f16c", "movbe", "abm"}),
        ("v4", {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}),
    ],
)
def test_a_build_is_available_exactly_where_the_cpu_has_its_instructions(level, needed):
    with open("/proc/cpuinfo") as cpuinfo:
        flags = next(line for line in cpuinfo if line.startswith("flags")).split()
    assert (level in kernels.available()) == (needed <= set(flags))


def test_the_best_build_is_chosen_at_import():
    script = "import cyconv.kernels as k; print(k.active() == k.available()[-1])"
    assert run(script) == "True"


@pytest.mark.parametrize("kind", sorted({kind for kind, _ in kernels.modules}))
def test_each_module_says_what_it_is(kind, isa, dtype):
    """Compiled from one source with other flags: a mix-up would otherwise show only as speed."""
    module = kernels.modules[kind, dtype]
    bits = 8 * dtype.itemsize
    assert module.__name__ == f"cyconv.kernels.{kind}_f{bits}_{isa}"
    about = module.describe()
    assert about["itemsize"] == dtype.itemsize
    assert about["isa"] == isa
    if isa in VECTOR_BYTES and about["vector_bytes"] != dtype.itemsize:
        assert about["vector_bytes"] == VECTOR_BYTES[isa]
    assert isinstance(about["openmp"], bool)
    assert about["compiler"]


def test_every_build_agrees_on_openmp_and_compiler():
    abouts = []
    before = kernels.active()
    for isa in kernels.available():
        kernels.select(isa)
        abouts += [module.describe() for module in kernels.modules.values()]
    kernels.select(before)
    assert len({about["openmp"] for about in abouts}) == 1
    assert len({about["compiler"] for about in abouts}) == 1


@pytest.mark.skipif(not X86, reason="multiplies and adds apart only on baseline x86")
def test_select_switches_the_code_that_runs(rng):
    """With fused multiply-add, 0.1 * 10 - 1 keeps the rounding error of 0.1; without, it is lost."""
    x = np.array([-1.0, 10.0]).reshape(1, 1, 1, 2)
    w = np.array([1.0, 0.1]).reshape(1, 1, 2, 1)
    before = kernels.active()
    outcomes = {}
    for isa in kernels.available():
        kernels.select(isa)
        assert kernels.active() == isa
        outcomes[isa] = cyconv.conv2d(x, w, algorithm="direct").item()
    kernels.select(before)
    assert outcomes.pop("baseline") == 0
    assert all(0 < outcome < 1e-15 for outcome in outcomes.values())


@pytest.mark.parametrize("isa", kernels.ISAS)
def test_the_environment_chooses_a_build(isa):
    script = CALL + "print(cyconv.kernels.active())"
    if isa in kernels.available():
        assert run(script, CYCONV_ISA=isa) == isa
    else:
        done = start(script, CYCONV_ISA=isa)
        assert "ImportError" in done.stderr
        assert isa in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("isa", ["v5", "avx2", "BASELINE", "native" if X86 else "v3"])
def test_an_unknown_build_is_one_clear_import_error(isa):
    done = start("import cyconv", CYCONV_ISA=isa)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert "ImportError" in last
    assert isa in last
    assert all(name in last for name in kernels.available())
    assert "During handling" not in done.stderr
    before = kernels.active()
    with pytest.raises(ImportError, match=isa):
        kernels.select(isa)
    assert kernels.active() == before


def test_an_empty_setting_is_no_setting():
    assert run("import cyconv.kernels as k; print(k.active())", CYCONV_ISA="") == kernels.available()[-1]


def test_a_build_that_the_cpu_lacks_is_not_imported():
    """Even the code that sets a module up may hold its instructions."""
    script = """
        import sys, cyconv, cyconv.kernels as k
        others = [i for i in k.ISAS if i != k.active()]
        print([m for m in sys.modules if m.startswith("cyconv.kernels.") and m.endswith(tuple(others))])
    """
    assert run(script, CYCONV_ISA=kernels.ISAS[0]) == "[]"


def test_the_algorithm_setting_is_checked():
    assert run(CALL + "print(1)", CYCONV_ALGORITHM="direct") == "1"
    done = start(CALL, CYCONV_ALGORITHM="fast")
    assert done.returncode != 0
    assert "CYCONV_ALGORITHM" in done.stderr.strip().splitlines()[-1]


def test_multiply_add_counts_operations(isa, dtype):
    multiply_add = kernels.modules["conv", dtype].multiply_add
    assert multiply_add(2000) == 2 * multiply_add(1000) > 0


def test_all_builds_give_the_same_whole_numbers(dtype, rng):
    x = rng.integers(-9, 9, (2, 7, 9, 5)).astype(dtype)
    w = rng.integers(-9, 9, (3, 3, 5, 11)).astype(dtype)
    before = kernels.active()
    outcomes = []
    for isa in kernels.available():
        kernels.select(isa)
        outcomes.append(cyconv.conv2d(x, w, padding=1, algorithm="direct"))
    kernels.select(before)
    for outcome in outcomes[1:]:
        assert_exact(outcome, outcomes[0])
