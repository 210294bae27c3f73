"""The examples in CONTRIBUTING.md work as they stand: its very text is installed as a package, checked and run."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

TEXT = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
FILES: dict[str, str] = dict(re.findall(r"^\*\*`([\w.-]+)`\*\*\n\n```\w+\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL))
COMMANDS = [line for block in re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL) for line in block.splitlines()]


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """A folder with the files of the examples, and the metadata that pip would write of their pyproject.toml."""
    folder = tmp_path_factory.mktemp("examples")
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    settings = tomllib.loads(FILES["pyproject.toml"])
    project, modules = settings["project"], settings["tool"]["setuptools"]["py-modules"]
    assert sorted(f"{module}.py" for module in modules) == sorted(name for name in FILES if name.endswith(".py"))
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = [[f"[{group}]", *(f"{name} = {place}" for name, place in points.items())] for group, points in project["entry-points"].items()]
    (info / "entry_points.txt").write_text("\n".join(line for group in groups for line in group) + "\n")
    return folder


@pytest.fixture
def command(package, tmp_path) -> Callable[[str], str]:
    """Run one line of the examples in a folder that holds their suites; returns what it printed, and asserts that it succeeded."""

    def run(line: str) -> str:
        assert line in COMMANDS  # the text, not our memory of it
        for suite in package.glob("*.yaml"):
            (tmp_path / suite.name).write_text(suite.read_text(encoding="utf-8"), encoding="utf-8")
        programme, *arguments = shlex.split(line)
        assert programme == "skipbench"
        done = subprocess.run(
            [sys.executable, "-m", "skipbench", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(package), "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def records(folder: Path, method: str) -> list[tuple[str, str, float]]:
    """Status, data set and test accuracy of every record of a method below `folder`."""
    found = []
    for path in sorted(folder.rglob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["method"]["name"] == method:
            accuracy = next((metric["value"] for metric in record["metrics"] if metric["name"] == "accuracy"), 0.0)
            found.append((record["status"], record["dataset"]["name"], accuracy))
    return found


def test_every_command_of_the_examples_is_run_here():
    assert COMMANDS == [
        "pip install -e .",  # the fixture `package` stands for it, so that the tests install nothing
        "skipbench check kernel-centroid",
        "skipbench run centroid.yaml",
        "skipbench report centroid",
        "skipbench check two-rings",
        "skipbench run rings.yaml",
    ]


def test_the_method_keeps_the_contract(command):
    assert "method kernel-centroid keeps the contract" in command("skipbench check kernel-centroid")


def test_the_method_runs_in_its_suite_and_does_better_than_chance(command, tmp_path):
    assert "6 cells" in command("skipbench run centroid.yaml")
    found = records(tmp_path, "kernel-centroid")
    assert [status for status, _, _ in found] == ["ok"] * 3
    chance = {"iris": 1 / 3, "digits-images (n=200)": 1 / 10}
    assert {name for _, name, _ in found} == set(chance)
    assert all(accuracy > 2 * chance[name] for _, name, accuracy in found)
    ranking = command("skipbench report centroid")
    assert "kernel-centroid" in ranking
    assert "NTK ridge" in ranking
    assert (tmp_path / "results" / "runs" / "report" / "index.html").is_file()


def test_the_data_set_keeps_the_contract(command):
    assert "data set two-rings keeps the contract" in command("skipbench check two-rings")


def test_the_data_set_shows_what_it_was_made_for(command, tmp_path):
    command("skipbench run rings.yaml")
    ((ridge_status, _, ridge),) = records(tmp_path, "ridge")
    ((line_status, _, line),) = records(tmp_path, "logistic-regression")
    assert (ridge_status, line_status) == ("ok", "ok")
    assert ridge > 0.9
    assert line < 0.7  # half of the rows, but for chance


def test_what_the_text_names_is_there():
    root = Path(__file__).parent.parent
    named = {name for name in re.findall(r"`((?:\w+/)+[\w.]*)`", TEXT) if not name.startswith("skipbench.")}
    assert len(named) > 10
    assert sorted(name for name in named if not (root / name).exists()) == []
    environments = set(re.findall(r"tox run -e (\w+)", TEXT))
    tox = (root / "tox.ini").read_text(encoding="utf-8")
    assert sorted(name for name in environments if f"[testenv:{name}]" not in tox) == []
