"""The mutation check itself: every planted error still fits the source, reaches the copy that is tested, and its outcome is read right."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mutations import run
from mutations.planted import MUTATIONS, Mutation

ROOT = Path(__file__).parent.parent.parent


def by_name(mutation):
    return mutation.name.replace(" ", "-")


def test_there_are_many_and_no_two_have_one_name():
    assert len(MUTATIONS) >= 8
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)
    assert len({(mutation.file, mutation.right, mutation.wrong) for mutation in MUTATIONS}) == len(MUTATIONS)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=by_name)
def test_the_text_of_a_mutation_occurs_exactly_once_and_its_error_is_another_programme(mutation):
    source = (ROOT / mutation.file).read_text(encoding="utf-8")
    assert ast.dump(ast.parse(mutation.applied(source))) != ast.dump(ast.parse(source))


@pytest.mark.parametrize(("source", "count"), [("a = 1\n", 0), ("x = 2\nx = 2\n", 2)])
def test_a_mutation_that_no_longer_fits_is_refused(source, count):
    with pytest.raises(ValueError, match=f'mutation "twice": its text occurs {count} times in kernels/a.py, not once: bring it up to date'):
        Mutation("twice", "kernels/a.py", "x = 2", "x = 3").applied(source)


def test_the_copy_is_the_package_as_it_is_installed_with_one_error(tmp_path):
    mutation = MUTATIONS[0]
    run.copy_packages(tmp_path)
    mutation.plant(tmp_path)
    changed = tmp_path / "skipbench" / mutation.file
    assert mutation.wrong in changed.read_text(encoding="utf-8")
    assert mutation.right not in changed.read_text(encoding="utf-8").replace(mutation.wrong, "")
    show = f"import importlib.util as u; print(u.find_spec({mutation.module!r}).origin)"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    found = subprocess.run([sys.executable, "-c", show], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()).samefile(changed)


def test_every_test_file_of_the_kernels_is_run_the_sharpest_first():
    files = [Path(file).name for file in run.test_files(ROOT)]
    assert files[: len(run.FIRST)] == list(run.FIRST)
    assert sorted(files) == sorted(path.name for path in (ROOT / "tests" / "kernels").glob("test_*.py"))


def test_the_first_failure_is_named_and_passing_is_surviving():
    output = "..F\nFAILED tests/kernels/test_a.py::test_b[x - y] - AssertionError: no\n1 failed, 2 passed in 3s\n"
    assert run.first_failure("m", 1, output) == "test_a.py::test_b[x - y]"
    assert run.first_failure("m", 1, "FAILED tests/kernels/test_a.py::test_b\n") == "test_a.py::test_b"
    assert run.first_failure("m", 0, "3 passed in 3s\n") == ""


@pytest.mark.parametrize(
    ("status", "output"), [(run.WRONG_MODULE, "other was imported"), (2, "ERROR collecting"), (1, "no failure is named")]
)
def test_tests_that_did_not_run_prove_nothing(status, output):
    with pytest.raises(RuntimeError, match=f"m: pytest ended with {status}, which is neither passed nor failed"):
        run.first_failure("m", status, output)


def outcomes(monkeypatch, killed_by):
    """Let each copy end as `killed_by` says for its name, without running anything."""
    monkeypatch.setattr(run, "run_tests", lambda mutation: run.Outcome(*_named(mutation, killed_by)))


def _named(mutation, killed_by):
    name = "no error" if mutation is None else mutation.name
    return name, killed_by(name), 1.0


def test_the_status_is_0_when_every_error_is_noticed(monkeypatch, capsys):
    outcomes(monkeypatch, lambda name: "" if name == "no error" else "test_a.py::test_b")
    assert run.main(["--jobs", "2"]) == 0
    assert f"{len(MUTATIONS)} of {len(MUTATIONS)} errors are noticed" in capsys.readouterr().out


def test_the_status_is_1_when_an_error_survives_and_it_is_named(monkeypatch, capsys):
    outcomes(monkeypatch, lambda name: "" if name in ("no error", MUTATIONS[1].name) else "test_a.py::test_b")
    assert run.main(["--jobs", "1"]) == 1
    assert f"SURVIVED: {MUTATIONS[1].name}. Write the test in tests/kernels that notices it" in capsys.readouterr().out


def test_the_status_is_1_when_the_copy_without_an_error_fails(monkeypatch, capsys):
    outcomes(monkeypatch, lambda name: "test_a.py::test_b")
    assert run.main([]) == 1
    assert capsys.readouterr().out.startswith("without an error: test_a.py::test_b")


def test_some_can_be_chosen_by_a_word_and_an_unknown_word_is_refused(monkeypatch, capsys):
    outcomes(monkeypatch, lambda name: "" if name == "no error" else "test_a.py::test_b")
    assert run.main(["padding"]) == 0
    assert "2 of 2 errors are noticed" in capsys.readouterr().out
    assert run.main(["paddding"]) == 2
    assert "no mutation has 'paddding' in its name. There are: the factor 2" in capsys.readouterr().out
