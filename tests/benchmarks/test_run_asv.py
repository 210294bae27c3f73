"""`tox run -e asv`: where it refuses to measure, what belongs to no commit, and a real run of asv on a tiny repository."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess

import pytest

from skipbench.benchmarks import run_asv
from skipbench.checks import SkipbenchError
from skipbench.results.performance import read_history

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

TINY = """
class Tiny:
    version = "1"
    params, param_names = (["a", "b"],), ("letter",)

    def track_count(self, letter):
        return {count}

    track_count.unit = "counts"
"""


def git(folder, *arguments):
    names = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *names, *arguments], cwd=folder, check=True, capture_output=True)


def commit_tiny(folder, count):
    (folder / "benchmarks" / "performance" / "tiny.py").write_text(TINY.format(count=count))
    git(folder, "add", "-A")
    git(folder, "commit", "-m", f"count {count}", "--allow-empty")


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A git repository laid out as ours, with one benchmark that tracks the number 3."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    folder = tmp_path / "tiny"
    (folder / "benchmarks" / "performance").mkdir(parents=True)
    (folder / "benchmarks" / "performance" / "__init__.py").write_text("")
    (folder / ".gitignore").write_text(".asv/\n__pycache__/\n")
    settings = {
        "version": 1,
        "project": "tiny",
        "repo": ".",
        "dvcs": "git",
        "branches": ["HEAD"],
        "environment_type": "existing",
        "launch_method": "forkserver",
        "benchmark_dir": "benchmarks/performance",
    }
    (folder / "asv.conf.json").write_text(json.dumps(settings))
    git(folder, "init", "-q")
    commit_tiny(folder, 3)
    monkeypatch.chdir(folder)
    return folder


def test_without_a_git_repository_it_says_so_and_exits_with_2(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    assert run_asv.main([]) == 2
    error = capsys.readouterr().err
    assert error.startswith("Error: asv keeps results by commit, but ")
    assert "is in no git repository: run it in a clone of skipbench. Kept results are shown by skipbench performance" in error


def test_without_the_command_git_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SkipbenchError, match="the command git is not there: install git"):
        run_asv.find_checkout(tmp_path)


def test_a_repository_without_commit_or_without_benchmarks_is_refused(tmp_path, monkeypatch, repository):
    (tmp_path / "new").mkdir()
    git(tmp_path / "new", "init", "-q")
    with pytest.raises(SkipbenchError, match=r'"new" has no commit yet: commit first|/new" has no commit yet: commit first'):
        run_asv.find_checkout(tmp_path / "new")
    (repository / "asv.conf.json").unlink()
    with pytest.raises(SkipbenchError, match=r"has no asv\.conf\.json: run the benchmarks in a clone of skipbench"):
        run_asv.find_checkout(repository)


def test_without_asv_it_says_how_to_install_it(tmp_path, monkeypatch, repository):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SkipbenchError, match=r"asv is not installed: use tox run -e asv, or pip install 'skipbench\[asv\]'"):
        run_asv.run_benchmarks(run_asv.find_checkout(repository), tmp_path)


def test_a_checkout_is_found_from_a_folder_inside_and_measured_results_do_not_make_it_dirty(repository):
    (repository / "results" / "asv").mkdir(parents=True)
    (repository / "results" / "asv" / "benchmarks.json").write_text("{}")
    found = run_asv.find_checkout(repository / "benchmarks" / "performance")
    assert (found.root, len(found.commit), found.changed) == (repository, 40, ())


def test_changed_and_new_files_make_a_checkout_dirty(repository):
    (repository / "benchmarks" / "performance" / "tiny.py").write_text(TINY.format(count=4))
    (repository / "new.py").write_text("")
    assert run_asv.find_checkout(repository).changed == ("benchmarks/performance/tiny.py", "new.py")


def test_the_home_of_asv_is_its_own_and_one_thread_computes(tmp_path, monkeypatch):
    monkeypatch.setenv("SKIPBENCH_DATA", "somewhere")
    found = run_asv._variables(tmp_path)
    assert (found["HOME"], found["OMP_NUM_THREADS"], found["SKIPBENCH_DATA"]) == (str(tmp_path), "1", "somewhere")
    assert os.environ["HOME"] != str(tmp_path)


def test_asv_runs_and_keeps_compares_and_tells_a_dirty_tree(repository, capfd):
    pytest.importorskip("asv", reason="asv is not installed")
    assert run_asv.main([]) == 0
    assert "there is nothing to compare with yet: no regression." in capfd.readouterr().out
    commit_tiny(repository, 4)
    assert run_asv.main([]) == 1
    shown = capfd.readouterr().out
    assert "REGRESSION: tiny.Tiny.track_count(a): rose, 3 -> 4" in shown
    assert "kept in results/asv" in shown
    history = read_history(repository / "results" / "asv")
    assert [sorted(run.values.values()) for run in history.runs] == [[3, 3], [4, 4]]
    assert history.places[0][0] == "ci"
    texts = [path.read_text() for path in (repository / "results" / "asv").rglob("*.json")]
    assert not any(str(repository.parent) in text or "python" in text.replace('"python"', "") for text in texts)
    (repository / "benchmarks" / "performance" / "tiny.py").write_text(TINY.format(count="1 / 0"))
    assert run_asv.main([]) == 1  # both benchmarks fail
    shown = capfd.readouterr().out
    assert "dirty: 1 files with uncommitted changes (benchmarks/performance/tiny.py)" in shown
    assert "REGRESSION: tiny.Tiny.track_count(b): failed" in shown
    assert "this result belongs to no commit, so it is in .asv/uncommitted, which git ignores" in shown
    assert len(read_history(repository / "results" / "asv").runs) == 2
    assert run_asv.main(["--bench", "Tiny"]) == 0
    assert "A part of the benchmarks is not kept, and not compared." in capfd.readouterr().out


def test_a_stop_of_asv_is_an_error_and_leaves_nothing_behind(repository, capfd):
    pytest.importorskip("asv", reason="asv is not installed")
    (repository / "benchmarks" / "performance" / "tiny.py").write_text("import nothing_of_that_name\n")
    assert run_asv.main([]) == 2
    assert "Error: asv run stopped with exit status 1: what it printed says why" in capfd.readouterr().err
    assert not (repository / "results").exists()
    assert not (repository / ".asv").exists()
