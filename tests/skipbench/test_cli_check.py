"""`skipbench check` as a user runs it: by name or by kind, a line for each, exit status 1 and the breach where a contract is broken."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from skipbench.checks import ContractError, MissingDataError, SkipbenchError, TamperedDataError
from skipbench.cli import check as check_command
from skipbench.cli.app import app
from skipbench.datasets import registry as dataset_registry
from skipbench.datasets.contract import NOT_AT_HAND
from skipbench.kernels.engines.registry import engine_names
from skipbench.trainers import registry as method_registry
from skipbench.trainers.registry import METHODS, method_names


@pytest.fixture
def invoke(monkeypatch, tmp_path):
    """Runs `skipbench check ARGUMENTS` with an empty data folder and returns typer's result."""
    monkeypatch.setenv("SKIPBENCH_DATA", str(tmp_path))
    return lambda *arguments: CliRunner().invoke(app, ["check", *map(str, arguments)])


@pytest.fixture
def asked(monkeypatch):
    """Contracts that check nothing and are kept; returns the list of what was asked of them."""
    asked = []
    monkeypatch.setattr(check_command, "check_method", lambda name: asked.append(("method", name)) or ("It fits.",))
    monkeypatch.setattr(check_command, "check_dataset", lambda name, root: asked.append(("data set", name)) or ("It loads.", "It stays."))
    monkeypatch.setattr(check_command, "check_engine", lambda name, device: asked.append(("engine", name, device)) or ("It computes.",))
    return asked


def test_a_data_set_and_a_method_are_checked_for_real(invoke):
    result = invoke("iris", "random-forest")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert "data set iris keeps the contract: 9 checks" in lines
    assert "method random-forest keeps the contract: 9 checks" in lines
    assert any(line.startswith("  Loaded twice it is the same") for line in lines)
    assert "  scikit-learn's own `check_estimator` passes. (1 case)" in lines


def test_a_named_engine_is_checked_on_each_device_that_is_here(invoke, asked):
    result = invoke("reference")
    assert result.exit_code == 0
    assert ("engine", "reference", "cpu") in asked
    assert result.output.splitlines()[:2] == ["engine reference keeps the contract: 1 check", "  It computes."]


def test_all_are_all_methods_engines_and_data_sets_at_hand(invoke, asked):
    result = invoke("--all")
    assert result.exit_code == 0
    assert {name for kind, name, *_ in asked if kind == "method"} == set(method_names())
    assert {name for kind, name, *_ in asked if kind == "engine"} == set(engine_names())
    found = {name for kind, name, *_ in asked if kind == "data set"}
    assert {"iris", "digits-images", "sphere"} <= found
    assert not {"cifar10", "uci/abalone"} & found
    *lines, summary = result.output.splitlines()
    assert len(lines) == len(asked)
    assert all(re.fullmatch(r"(method|engine|data set) \S+ keeps the contract: \d checks?", line) for line in lines)
    assert re.fullmatch(
        rf"{len(asked)} checked, 0 break the contract; 12\d data sets are not at hand, skipbench data list shows them", summary
    )


@pytest.mark.parametrize(("option", "kind"), [("--methods", "method"), ("--datasets", "data set"), ("--engines", "engine")])
def test_one_kind_can_be_chosen(invoke, asked, option, kind):
    assert invoke(option).exit_code == 0
    assert asked
    assert {subject[0] for subject in asked} == {kind}


def test_a_breach_is_named_the_others_still_run_and_the_status_is_1(invoke, asked, monkeypatch):
    def breaks(name):
        raise ContractError(f"method {name} with {{}}: it takes [bold]NaN[/bold] in X without a ValueError")

    monkeypatch.setattr(check_command, "check_method", breaks)
    result = invoke("--methods", "--engines")
    assert result.exit_code == 1
    assert "method ridge BREAKS the contract: method ridge with {}: it takes [bold]NaN[/bold] in X without a ValueError" in result.output
    assert "engine reference keeps the contract" in result.output
    assert f"{len(method_names()) + len(asked)} checked, {len(method_names())} break the contract" in result.output


def test_a_file_that_is_not_the_right_one_is_shown_as_a_breach(invoke, asked, monkeypatch):
    def tampered(name, root):
        raise TamperedDataError("iris.dat is not the collection's file")

    monkeypatch.setattr(check_command, "check_dataset", tampered)
    result = invoke("iris")
    assert result.exit_code == 1
    assert "data set iris BREAKS the contract: iris.dat is not the collection's file" in result.output


@pytest.mark.parametrize("name", ["cifar10", "uci/abalone", "svhn-1083"])
def test_a_set_that_is_not_at_hand_is_said_to_be_so(invoke, name):
    result = invoke(name)
    assert result.exit_code == 0
    assert result.output == f"data set {name} is not at hand, and says where it was looked for and how to get it\n"


def test_the_root_reaches_the_data_sets(invoke, asked, tmp_path, monkeypatch):
    roots = []
    monkeypatch.setattr(check_command, "check_dataset", lambda name, root: roots.append(root) or (NOT_AT_HAND,))
    invoke("cifar10", "--root", tmp_path / "elsewhere")
    assert roots == [tmp_path / "elsewhere"]


def test_a_name_of_two_kinds_is_checked_as_both(invoke, asked, monkeypatch):
    monkeypatch.setitem(method_registry.METHODS, "iris", replace(METHODS["ridge"], name="iris"))
    assert invoke("iris").exit_code == 0
    assert asked == [("method", "iris"), ("data set", "iris")]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rigde", r'no method "rigde"\. Nearest: ridge'),
        ("irsi", r'no data set "irsi"\. Nearest: iris'),
        ("referense", r'no engine "referense"\. Nearest: reference'),
        ("uci/abalon", r'no data set "uci/abalon"\. Nearest: uci/abalone'),
        ("qqqqqqqq", r'no method, data set or engine "qqqqqqqq"\. All of them: skipbench list .* skipbench data list'),
    ],
)
def test_an_unknown_name_is_told_the_nearest_of_all_kinds_before_anything_runs(invoke, asked, name, message):
    with pytest.raises(SkipbenchError, match=message):
        raise invoke("ridge", name).exception
    assert asked == []


def test_a_set_in_the_format_of_the_collection_that_nobody_knows_says_where_it_is_looked_for(invoke, tmp_path):
    with pytest.raises(MissingDataError, match=f"is looked for in: {tmp_path}"):
        raise invoke("uci/of-my-own").exception


def test_without_a_name_or_a_kind_it_says_what_can_be_asked(invoke):
    with pytest.raises(SkipbenchError, match=r"nothing is named\. Name methods, data sets or engines, or use --all"):
        raise invoke().exception


def test_a_method_of_another_package_that_breaks_the_contract_ends_the_command_with_1(command):
    done = command("check", "misbehaving")
    assert done.returncode == 1
    assert "method misbehaving BREAKS the contract: method misbehaving with {}" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_data_set_of_another_package_is_found_by_its_name(invoke, asked, monkeypatch):
    entry = replace(dataset_registry.describe("iris"), name="foreign")
    monkeypatch.setattr(dataset_registry, "_foreign_entries", lambda: {"foreign": entry})
    assert invoke("foreign").exit_code == 0
    assert asked == [("data set", "foreign")]


def test_the_list_shows_methods_and_engines():
    output = CliRunner().invoke(app, ["list"]).output
    for name in (*method_names(), *engine_names()):
        assert re.search(rf"^ ?{name} ", output, re.MULTILINE), name
