"""The annotations, as type checkers see them from a user's program; where mypy and pyright are installed."""

import ast
import json
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import cyconv

TYPED = Path(__file__).with_name("typed")
PROGRAM, MISTAKES = TYPED / "program.py", TYPED / "mistakes.py"
# An editable installation is found by an import hook, which type checkers do not run.
FOUND_AT = Path(cyconv.__file__).parents[1]
EDITABLE = FOUND_AT.name != "site-packages"


def check(program, folder):
    """Lines in which mypy finds errors."""
    pytest.importorskip("mypy")
    config = folder / "mypy.ini"
    config.write_text(f"[mypy]\nstrict = true\n{f'mypy_path = {FOUND_AT}' if EDITABLE else ''}\n")
    command = [sys.executable, "-m", "mypy", "--config-file", config, "--no-color-output", program]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode in (0, 1), done.stderr
    errors = re.findall(r"^(.*):(\d+): error", done.stdout, re.M)
    assert {Path(name).name for name, _ in errors} <= {program.name}, done.stdout
    return sorted({int(line) for _, line in errors})


def check_by_pyright(program, folder):
    """Lines in which pyright finds errors."""
    pytest.importorskip("pyright")
    config = {"strict": ["."], "extraPaths": [str(FOUND_AT)] if EDITABLE else []}
    (folder / "pyrightconfig.json").write_text(json.dumps(config))
    shutil.copy(program, folder)  # it checks what lies beside its configuration
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", folder]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode in (0, 1), done.stderr
    found = json.loads(done.stdout)["generalDiagnostics"]
    return sorted({error["range"]["start"]["line"] + 1 for error in found if error["severity"] == "error"})


CHECKERS = pytest.mark.parametrize("checker", [check, check_by_pyright], ids=["mypy", "pyright"])


@CHECKERS
def test_a_users_program_passes(checker, tmp_path):
    assert checker(PROGRAM, tmp_path) == []


@CHECKERS
def test_mistakes_are_found(checker, tmp_path):
    lines = MISTAKES.read_text(encoding="utf-8").splitlines()
    assert checker(MISTAKES, tmp_path) == [number for number, line in enumerate(lines, 1) if "  # " in line]


def test_every_public_name_is_in_the_stub():
    """Type checkers read nothing else; stubtest looks at the names that are there."""
    tree = ast.parse(Path(cyconv.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    imported = {alias.asname for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert set(cyconv.__all__) <= functions | imported


def test_the_program_runs():
    runpy.run_path(str(PROGRAM), run_name="__main__")
