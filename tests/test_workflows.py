"""The workflows of GitHub Actions and tox.ini agree: what one calls, the other has, and so has the command line."""

from __future__ import annotations

import configparser
import importlib.util
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from skipbench.cli.app import app
from skipbench.datasets import describe
from skipbench.suite import load_suite, parts_of

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
COMMAND_LINE = typer.main.get_command(app)


def read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in read(path)["jobs"].values() for step in job["steps"]]


def tox_settings() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "tox.ini", encoding="utf-8")
    return parser


def environments() -> set[str]:
    return {name.removeprefix("testenv:") for name in tox_settings().sections() if name.startswith("testenv:")}


def tox_commands(environment: str) -> list[str]:
    return [line for line in tox_settings()[f"testenv:{environment}"]["commands"].splitlines() if line.strip()]


def called_environments(path: Path) -> set[str]:
    """Environments of every `tox run -e` and `tox exec -e`, a matrix written out."""
    found: set[str] = set()
    for job in read(path)["jobs"].values():
        matrix = job.get("strategy", {}).get("matrix", {}).get("environment", [])
        for step in job["steps"]:
            for name in re.findall(r"tox (?:run|exec) (?:\S+ )*?-e (\$\{\{ matrix\.environment \}\}|[\w,]+)", step.get("run", "")):
                found.update(matrix if name.startswith("$") else name.split(","))
    return found


def test_the_workflows_for_pull_requests_and_for_every_night_are_there():
    assert [path.name for path in WORKFLOWS] == ["nightly.yml", "pull-request.yml"]
    assert "pull_request" in read(ROOT / ".github/workflows/pull-request.yml")[True]  # YAML 1.1 reads `on` as true
    assert {"schedule", "workflow_dispatch"} <= set(read(ROOT / ".github/workflows/nightly.yml")[True])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_environment_that_a_workflow_calls_is_in_tox_ini(path):
    called = called_environments(path)
    assert called
    assert called <= environments()


def test_a_pull_request_is_checked_for_style_types_tests_and_results_and_a_night_by_the_nightly():
    assert called_environments(ROOT / ".github/workflows/pull-request.yml") == {"lint", "types", "tests", "bench"}
    assert called_environments(ROOT / ".github/workflows/nightly.yml") == {"nightly"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_can_read_only_ends_in_time_and_keeps_its_results_whatever_happened(path):
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert "concurrency" in workflow
    assert all(job["timeout-minutes"] <= 180 for job in workflow["jobs"].values())
    kept = [step for step in steps(path) if "actions/upload-artifact@" in step.get("uses", "")]
    assert len(kept) == 1
    assert kept[0]["if"] == "always()"
    assert "results/runs" in kept[0]["with"]["path"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_to_a_commit_and_the_checkout_keeps_no_credentials(path):
    used = [step for step in steps(path) if "uses" in step]
    assert used
    assert [step["uses"] for step in used if not re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", step["uses"])] == []
    checkouts = [step for step in used if step["uses"].startswith("actions/checkout@")]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def skipbench_calls() -> list[str]:
    """Every command line of skipbench in tox.ini and the workflows."""
    lines = [line for environment in environments() for line in tox_commands(environment)]
    lines += [line for path in WORKFLOWS for step in steps(path) for line in step.get("run", "").splitlines()]
    return [match[0] for line in lines for match in re.finditer(r"(?:^|-- |\s)skipbench [^;|>]+", line)]


@pytest.mark.parametrize("call", sorted(set(skipbench_calls())))
def test_every_command_that_is_called_exists_with_its_options(call):
    words = shlex.split(re.sub(r"\{posargs(:?)([^}]*)\}", r"\2", call.replace("-- ", "")))
    command: Any = COMMAND_LINE
    names = words[words.index("skipbench") + 1 :]
    while hasattr(command, "commands"):
        assert names[0] in command.commands
        command = command.commands[names.pop(0)]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in names if word.startswith("-")} <= known


def test_every_module_that_tox_runs_exists():
    modules = [
        match[1]
        for environment in environments()
        for match in re.finditer(r"python -m (skipbench\S*)", "\n".join(tox_commands(environment)))
    ]
    assert modules
    assert [module for module in modules if importlib.util.find_spec(module) is None] == []


def test_the_nightly_runs_everything_even_after_a_failure_and_compares_what_it_has_just_computed():
    section = tox_settings()["testenv:nightly"]
    assert section["ignore_errors"] == "true"
    fresh = "results/runs/night"
    assert f"rmtree('{fresh}'" in section["commands_pre"]
    run, asv, compare, report = tox_commands("nightly")
    assert run.split()[:3] == ["skipbench", "run", "nightly"]
    assert asv.split()[:3] == tox_commands("asv")[0].split()[:3]
    assert compare.split()[:4] == ["skipbench", "compare", "results/records/nightly", f"{fresh}/records"]
    assert report.split()[:3] == ["skipbench", "report", "nightly"]
    assert all(f"{fresh}/records" in line for line in (run, compare, report))
    assert f"{fresh}/records/" not in compare  # a file there would be read as a record


def test_github_s_own_machines_fetch_what_they_need_and_leave_out_only_what_cannot_be_fetched():
    by_name = {step.get("name", ""): step.get("run", "") for step in steps(ROOT / ".github/workflows/nightly.yml")}
    fetched = set(re.search(r"for name in ([^;]+);", by_name["Fetch what can be downloaded; what is there is only checked"])[1].split())
    chosen = set(re.findall(r"-d (\S+)", by_name["The suite without svhn-1083"]))
    suite = {entry.name for part in parts_of(load_suite("nightly")) for entry in part.suite.data}
    assert suite - chosen == {"svhn-1083"}
    assert chosen <= suite
    assert fetched == {name for name in chosen if describe(name).fetch is not None}
