"""The history of the asv benchmarks: read as asv writes it, judged, and kept without a trace of the machine."""

from __future__ import annotations

import contextlib
import json
import math
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from skipbench.benchmarks.performance import measures
from skipbench.checks import SkipbenchError
from skipbench.cli.app import app
from skipbench.results.performance import SeriesKey, examine, keep_results, read_history, regressions
from skipbench.results.performance.gate import SECONDS_RATIO
from skipbench.results.performance.history import LARGEST_FILE_BYTES

ROOT = Path(__file__).parent.parent.parent
THREE_COMMITS = Path(__file__).parent / "asv_history"
NEWEST = "ci/bbbbbbbb-existing-py3.11.json"
PLACE = ("ci", "existing-py3.11")
ELEMENTS, GRAM = "kernels.Gram.track_elements", "kernels.Gram.time_gram"


@pytest.fixture
def history(tmp_path):
    """A copy of three commits' results that a test may change."""
    return shutil.copytree(THREE_COMMITS, tmp_path / "asv")


def change(history, alter, file=NEWEST):
    """Let `alter` change the object in one of the files."""
    content = json.loads((history / file).read_text())
    alter(content)
    (history / file).write_text(json.dumps(content))


def set_values(history, benchmark, values, file=NEWEST):
    change(history, lambda content: content["results"][benchmark].__setitem__(0, values), file)


def moved(history):
    """What moved at the newest commit, as pairs of a word and a label."""
    return [(finding.what, finding.key.label) for finding in examine(read_history(history), PLACE)]


def show(*arguments):
    return CliRunner().invoke(app, ["performance", *map(str, arguments)])


def test_commits_come_in_the_order_of_their_dates_not_of_their_names():
    history = read_history(THREE_COMMITS)
    assert [run.commit[0] for run in history.runs] == ["c", "a", "b"]
    assert history.places == history.newest_places == (PLACE,)
    assert str(history.runs[0].date) == "2026-01-01 00:00:00+00:00"


def test_a_series_is_one_benchmark_with_one_combination_of_parameters():
    series = {entry.key.label: entry for entry in read_history(THREE_COMMITS).series_at(PLACE)}
    assert series[f"{ELEMENTS}(ResMLP)"].values == (6483535, 6483535, 6480000)
    assert (series[f"{ELEMENTS}(ResMLP)"].last, series[f"{ELEMENTS}(ResMLP)"].previous) == (6480000, 6483535)
    assert (series["ridge.Path.track_error"].unit, series["ridge.Path.track_error"].key.kind) == ("rounding error", "tracked")
    assert series["memory.Gram.peakmem_gram"].key.kind == "memory"
    assert series[f"{GRAM}(MLP)"].key.kind == "seconds"
    assert "data.Cifar10.time_load(500)" not in series  # NaN: skipped at every commit


def test_unchanged_counts_and_seconds_within_the_noise_are_no_finding():
    assert moved(THREE_COMMITS) == [("fell", f"{ELEMENTS}(ResMLP)")]  # the condition numbers differ in their last digit
    assert regressions(examine(read_history(THREE_COMMITS), PLACE)) == []


@pytest.mark.parametrize(
    ("benchmark", "values", "what", "label"),
    [
        (ELEMENTS, [4851593, 6483535], "rose", f"{ELEMENTS}(MLP)"),  # 2e-6
        ("kernels.Gram.track_condition_number", [3368.02, 5883.94], "rose", "kernels.Gram.track_condition_number(MLP)"),
        ("ridge.Path.track_error", [4e-14], "rose", "ridge.Path.track_error"),
        ("memory.Gram.peakmem_gram", [500 * 2**20], "more memory", "memory.Gram.peakmem_gram"),
        (GRAM, [0.5, 0.08], "much slower", f"{GRAM}(MLP)"),
        (ELEMENTS, [4851583, None], "failed", f"{ELEMENTS}(ResMLP)"),
        (ELEMENTS, [4851583, math.inf], "rose", f"{ELEMENTS}(ResMLP)"),
    ],
)
def test_a_planted_regression_is_found(history, benchmark, values, what, label):
    set_values(history, benchmark, values)
    assert [found for found in moved(history) if found[0] != "fell"] == [(what, label)]


@pytest.mark.parametrize(
    ("benchmark", "values"),
    [
        (ELEMENTS, [4851583 * (1 + 5e-7), 6483535]),
        ("ridge.Path.track_error", [3.7e-14]),  # another processor rounds otherwise
        ("memory.Gram.peakmem_gram", [400 * 2**20]),
        (GRAM, [0.2, 0.4]),  # five times as slow: a busy machine
    ],
)
def test_noise_is_not_taken_for_a_regression(history, benchmark, values):
    set_values(history, benchmark, values)
    assert regressions(examine(read_history(history), PLACE)) == []


@pytest.mark.parametrize(("ratio", "expected"), [(1.5, []), (0.9, []), (1.7, [("rose", "ridge.Path.track_error")])])
def test_a_ratio_of_seconds_moves_with_the_machine_but_not_by_half(history, ratio, expected):
    descriptions = json.loads((history / "benchmarks.json").read_text())
    descriptions["ridge.Path.track_error"]["unit"] = SECONDS_RATIO
    (history / "benchmarks.json").write_text(json.dumps(descriptions))
    for commit, before in (("cccccccc", 1.02), ("aaaaaaaa", 1.1)):
        set_values(history, "ridge.Path.track_error", [before], f"ci/{commit}-existing-py3.11.json")
    set_values(history, "ridge.Path.track_error", [ratio])
    assert [found for found in moved(history) if found[1] == "ridge.Path.track_error"] == expected


def test_the_benchmarks_and_the_gate_call_a_ratio_of_seconds_the_same():
    assert SECONDS_RATIO == measures.SECONDS_RATIO


def test_a_few_times_as_slow_is_a_note_and_no_regression(history):
    set_values(history, GRAM, [0.2, 0.08])
    assert ("slower", f"{GRAM}(MLP)") in moved(history)
    done = show(history)
    assert done.exit_code == 0
    assert f"note: {GRAM}(MLP): slower, 39.8 ms -> 200 ms (beside the median of the commits before)\n" in done.output


def test_a_few_milliseconds_are_never_a_regression_however_large_the_ratio(history):
    for file in ("ci/cccccccc-existing-py3.11.json", "ci/aaaaaaaa-existing-py3.11.json"):
        set_values(history, GRAM, [0.001, 0.08], file)
    set_values(history, GRAM, [0.012, 0.08])
    assert regressions(examine(read_history(history), PLACE)) == []


def test_a_benchmark_that_is_gone_and_one_that_failed_altogether_are_found(history):
    change(history, lambda content: content["results"].pop("ridge.Path.track_error"))
    change(history, lambda content: content["results"].__setitem__(ELEMENTS, [None, [["'MLP'", "'ResMLP'"]], "1", 0]))
    assert moved(history) == [("failed", f"{ELEMENTS}(MLP)"), ("failed", f"{ELEMENTS}(ResMLP)"), ("vanished", "ridge.Path.track_error")]


def test_a_combination_of_parameters_that_is_gone_is_found(history):
    change(history, lambda content: content["results"].__setitem__(ELEMENTS, [[4851583], [["'MLP'"]], "1", 0]))
    assert moved(history) == [("vanished", f"{ELEMENTS}(ResMLP)")]


def test_another_declared_version_starts_a_new_series_and_loses_none(history):
    change(history, lambda content: content["results"].__setitem__(ELEMENTS, [[9, 9], [["'MLP'", "'ResMLP'"]], "2", 0]))
    assert moved(history) == []


def test_what_was_measured_and_is_now_skipped_is_said_and_is_no_regression(history):
    set_values(history, GRAM, [math.nan, 0.08])
    found = examine(read_history(history), PLACE)
    assert [(finding.what, finding.is_regression) for finding in found if finding.what != "fell"] == [("skipped", False)]


def test_a_value_is_compared_across_a_commit_that_failed(history):
    set_values(history, ELEMENTS, [None, 6483535], "ci/aaaaaaaa-existing-py3.11.json")
    set_values(history, ELEMENTS, [5e6, 6483535])
    assert moved(history) == [("rose", f"{ELEMENTS}(MLP)")]


def test_machines_are_not_compared_with_each_other(history):
    shutil.copytree(history / "ci", history / "other")
    for name in ("cccccccc", "aaaaaaaa"):
        (history / "other" / f"{name}-existing-py3.11.json").unlink()
    set_values(history, ELEMENTS, [1e9, 1e9], NEWEST.replace("ci/", "other/"))
    found = read_history(history)
    assert found.newest_places == (PLACE, ("other", PLACE[1]))
    assert [len(found.runs_at(place)) for place in found.newest_places] == [3, 1]
    assert regressions([*examine(found, PLACE), *examine(found, ("other", PLACE[1]))]) == []


def test_the_command_shows_last_previous_and_change_and_exits_with_0(history):
    done = show(history)
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0] == "Machine ci, existing-py3.11: 3 commits, newest bbbbbbbb of 2026-01-03"
    row = next(line for line in lines if ELEMENTS in line and "ResMLP" in line)
    assert row.split() == [ELEMENTS, "ResMLP", "elements", "6,483,535", "6,480,000", "-0.055", "%"]
    assert next(line for line in lines if GRAM in line and " MLP" in line).split()[3:] == ["39.5", "ms", "42", "ms", "+6.3", "%"]
    assert lines[-1] == "8 series at bbbbbbbb, compared with aaaaaaaa and before: no regression."


def test_the_command_names_every_regression_and_exits_with_1(history):
    set_values(history, ELEMENTS, [9703166, None])
    done = show(history)
    assert done.exit_code == 1
    assert f"REGRESSION: {ELEMENTS}(MLP): rose, 4,851,583 -> 9,703,166\n" in done.output
    assert f"REGRESSION: {ELEMENTS}(ResMLP): failed\n" in done.output
    assert "2 regressions. Where one is meant, commit this result" in done.output


def test_one_commit_has_nothing_to_be_compared_with(history):
    for name in ("cccccccc", "aaaaaaaa"):
        (history / "ci" / f"{name}-existing-py3.11.json").unlink()
    done = show(history)
    assert done.exit_code == 0
    assert done.output.endswith("8 series of one commit: there is nothing to compare with yet: no regression.\n")


@pytest.mark.parametrize("there", [False, True])
def test_a_folder_without_results_is_refused_with_the_command_that_makes_them(tmp_path, there):
    if there:
        (tmp_path / "asv" / "ci").mkdir(parents=True)
        (tmp_path / "asv" / "ci" / "machine.json").write_text("{}")
    with pytest.raises(SkipbenchError, match=r'no asv results in ".*asv": .*tox run -e asv'):
        read_history(tmp_path / "asv")
    assert isinstance(show(tmp_path / "asv").exception, SkipbenchError)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[]", "no JSON object"),
        (b"[" * 100_000, "no JSON"),
        (b'{"version": 1}', "its format is 1, but this skipbench reads 2"),
        (b'{"version": 2}', "KeyError 'date'|KeyError \"'date'\""),
        (b'{"version": 2, "date": "x", "commit_hash": "", "env_name": "", "results": {}, "result_columns": []}', "ValueError"),
        (b'{"version": 2, "date": 1e300, "commit_hash": "", "env_name": "", "results": {}, "result_columns": ["started_at"]}', "Error"),
        (
            b'{"version": 2, "date": 0, "commit_hash": "", "env_name": "", "result_columns": ["result", "params"],'
            + b'"results": {"a": [[1], [["1", "2"]]]}}',  # one result for two combinations
            "ValueError",
        ),
    ],
)
def test_a_file_that_is_not_asvs_is_named_with_what_is_wrong(history, content, reason):
    (history / NEWEST).write_bytes(content)
    with pytest.raises(SkipbenchError, match=rf'bbbbbbbb-existing-py3\.11\.json" is no result of asv: .*({reason})'):
        read_history(history)


def test_a_huge_file_and_a_huge_number_of_combinations_are_refused_unread(history):
    change(history, lambda content: content["results"].__setitem__(ELEMENTS, [None, [["1"] * 1000] * 4, "1", 0]))
    with pytest.raises(SkipbenchError, match="1000000000000 combinations of parameters"):
        read_history(history)
    (history / NEWEST).write_bytes(b" " * (LARGEST_FILE_BYTES + 1))
    with pytest.raises(SkipbenchError, match="at most 8388608 are read"):
        read_history(history)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 10**18) | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(row=JSON, date=JSON, columns=st.just(["result", "params", "version", "started_at"]) | JSON)
def test_whatever_a_file_holds_it_is_read_or_refused(tmp_path_factory, row, date, columns):
    folder = tmp_path_factory.mktemp("asv")
    (folder / "ci").mkdir()
    content = {"version": 2, "date": date, "commit_hash": "a", "env_name": "e", "results": {"m.C.track_x": row}, "result_columns": columns}
    (folder / "ci" / "a.json").write_text(json.dumps(content))
    with contextlib.suppress(SkipbenchError):
        assert len(read_history(folder).runs) == 1


def raw_run(folder):
    """What asv itself writes: the interpreter's path in the name and in the content, source code in the descriptions."""
    interpreter = "/home/ada/skipbench/.tox/asv/bin/python"
    place = folder / "ci"
    place.mkdir(parents=True)
    content = json.loads((THREE_COMMITS / NEWEST).read_text())
    environment = f"existing-py{interpreter.replace('/', '_')}"
    content |= {"python": interpreter, "env_name": environment, "durations": {"<build>": 4e-5}}
    content["params"]["python"] = interpreter
    (place / f"bbbbbbbb-{environment}.json").write_text(json.dumps(content))
    shutil.copyfile(THREE_COMMITS / "ci" / "machine.json", place / "machine.json")
    described = json.loads((THREE_COMMITS / "benchmarks.json").read_text())
    described[GRAM] |= {"code": "open('/home/ada/x')", "setup_cache_key": "kernels:3", "timeout": 60.0}
    (folder / "benchmarks.json").write_text(json.dumps(described))
    return folder


def test_a_run_is_kept_in_asvs_own_format_without_paths_and_without_code(tmp_path):
    written = keep_results(raw_run(tmp_path / "run"), tmp_path / "kept", python="3.11")
    assert [path.relative_to(tmp_path / "kept").as_posix() for path in written] == ["benchmarks.json", NEWEST]
    for path in (tmp_path / "kept").rglob("*.json"):
        assert "ada" not in path.read_text()
    kept, original = read_history(tmp_path / "kept"), read_history(THREE_COMMITS)
    assert kept.runs[0] == original.runs[-1]
    assert kept.units == original.units
    assert len((tmp_path / "kept" / NEWEST).read_text().splitlines()) > 15  # git shows which benchmark moved


def test_a_second_run_of_a_commit_takes_the_place_of_the_first(tmp_path, history):
    change(history, lambda content: content["results"].__setitem__("gone.track_x", [[1], [], "1", 0]))
    keep_results(raw_run(tmp_path / "run"), history, python="3.11")
    found = read_history(history)
    assert len(found.runs) == 3
    assert SeriesKey("gone.track_x", "1") not in found.runs[-1].values


def test_a_run_without_result_is_refused(tmp_path):
    with pytest.raises(SkipbenchError, match="asv left no result"):
        keep_results(tmp_path, tmp_path / "kept", python="3.11")


def test_the_committed_history_is_small_and_names_no_folder_and_no_host():
    folder = ROOT / "results" / "asv"
    files = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert not any(word in text for word in ("/home", "/root", "/tmp", "/work", "\\\\")), path
        assert len(text) < 100_000
    if files:
        assert {run.place for run in read_history(folder).runs} == {PLACE}
