"""The house stays in order: sizes that can be read in one sitting, names that say something, a package list that is complete."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("src/skipbench", "datasets", "kernels", "trainers", "benchmarks", "results")
LONGEST_MODULE = 450
LONGEST_FUNCTION = 60
EMPTY_NAMES = {"utils", "helpers", "common", "misc", "util", "helper"}

MODULES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function's body, its docstring left out."""
    body = function.body[1:] if ast.get_docstring(function) and len(function.body) > 1 else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1


def test_there_are_modules_to_check():
    assert len(MODULES) > 40


@pytest.mark.parametrize("path", MODULES + TESTS, ids=relative)
def test_a_module_can_be_read_in_one_sitting(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) < LONGEST_MODULE


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_function_is_one_step(path):
    too_long = {function.name: body_lines(function) for function in functions(path) if body_lines(function) >= LONGEST_FUNCTION}
    assert too_long.keys() <= {"pixel_fields"}  # one program of a GPU, whose fields stay in registers from the first line to the last


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_module_says_what_it_is_for(path):
    assert path.stem not in EMPTY_NAMES
    if path.stem != "__init__" or path.stat().st_size > 1:
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", [path for path in MODULES if path.name == "__init__.py"], ids=relative)
def test_a_package_file_only_hands_names_on(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    allowed = (ast.Expr, ast.Import, ast.ImportFrom, ast.Assign)
    assert [type(node).__name__ for node in tree.body if not isinstance(node, allowed)] == []


def test_every_package_is_listed_for_installation():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    places = settings["package-dir"]
    expected = set()
    for package, folder in places.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            inside = init.parent.relative_to(ROOT / folder).parts
            expected.add(".".join((package, *inside)))
    assert set(settings["packages"]) == expected


def test_no_large_file_and_no_data_lies_in_the_packages():
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()]
    large = [relative(path) for path in files if path.stat().st_size > 1_000_000]
    assert [path for path in large if not path.startswith("results/runs/")] == []
