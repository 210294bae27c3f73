"""`skipbench compare BASE NEW` as a user runs it: what it prints and writes, its exit status, and how it refuses."""

from __future__ import annotations

import hashlib
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from skipbench.checks import SkipbenchError
from skipbench.cli import app as command_line
from skipbench.cli.app import app
from skipbench.results import CellRecord, ResultStore
from skipbench.results.comparison import compare_folders
from skipbench.results.comparison.report import print_comparison


def cell(split=0, accuracy=0.9, *, suite="quick", dataset="iris", machine="0123abcd", label="NTK ridge, MLP(3)", **changes):
    fields = {
        "key": hashlib.sha256(f"{suite} {dataset} {split}".encode()).hexdigest(),
        "status": "ok",
        "suite": suite,
        "command": f"skipbench run {suite}",
        "source": {"version": "0.1.0"},
        "environment": {
            "python": "3.11.7",
            "platform": "Linux x86_64",
            "cpu": f"processor of {machine}",
            "cores": 2,
            "memory_bytes": 2**33,
            "packages": {"torch": "2.13.0"},
            "threads": {"torch": 1},
            "machine_class": machine,
        },
        "created": datetime(2026, 1, 2, tzinfo=UTC),
        "dataset": {
            "name": dataset,
            "sha256": "d" * 64,
            "split": split,
            "n_train": 90,
            "n_validation": 30,
            "n_test": 30,
            "classes": 3,
            "input_shape": (4,),
        },
        "method": {"name": "ridge", "family": "kernel", "label": label, "source_version": "1", "kernel": "ntk"},
        "seeds": {"data": 0},
        "device": "cpu",
        "dtype": "float64",
        "metrics": [{"name": "accuracy", "value": accuracy, "direction": "higher"}],
        "phases": {"fit": 8.0},
    }
    return CellRecord.model_validate(fields | changes)


@pytest.fixture
def stores(tmp_path, monkeypatch):
    """Write records to the folders base/SUITE and new/SUITE of an empty working folder."""
    monkeypatch.chdir(tmp_path)

    def write(base, new):
        for name, records in (("base", base), ("new", new)):
            for record in records:
                ResultStore(tmp_path / name / record.suite).write(record)
        return tmp_path

    return write


def compare(*arguments):
    return CliRunner().invoke(app, ["compare", *map(str, arguments or ("base", "new"))])


def refusal(*arguments) -> str:
    done = compare(*arguments)
    assert isinstance(done.exception, SkipbenchError), done.output
    return str(done.exception)


def test_nothing_moved_is_one_line_and_exit_status_0(stores):
    stores([cell(), cell(1)], [cell(), cell(1)])
    done = compare()
    assert (done.exit_code, done.output) == (0, "no regression; 2 cells compared\n")


def test_a_regression_is_a_line_with_all_there_is_to_know_and_exit_status_1(stores):
    stores([cell(), cell(1)], [cell(accuracy=0.8), cell(1), cell(2)])
    done = compare()
    assert done.exit_code == 1
    header, line, summary = done.output.splitlines()
    assert header.split("  ")[-1].strip() == "records"
    for part in ("REGRESSION", "test accuracy", "iris: NTK ridge, MLP(3) (2 cells)", " 90.0 ", " 85.0 ", "-5 points", "3 test rows lost"):
        assert part in line
    assert line.endswith(f"iris-ntk-ridge-mlp-3-split0-{cell().key[:16]}.json")
    assert summary == "1 regression; 2 cells compared, 1 new cell"


def test_an_improvement_passes_and_is_no_pass_where_nothing_may_move(stores):
    stores([cell(accuracy=0.8)], [cell(accuracy=0.9)])
    assert compare().exit_code == 0
    assert "1 improvement" in compare().output
    assert compare("base", "new", "--strict").exit_code == 1


def test_a_suite_s_folder_and_one_that_holds_several_compare_alike(stores):
    stores([cell()], [cell(accuracy=0.8)])
    assert compare("base/quick", "new").output == compare("base", "new/quick").output == compare().output


def test_the_new_store_may_hold_fewer_suites_and_what_is_left_out_is_said(stores):
    stores([cell(), cell(suite="other"), cell(1, suite="other")], [cell()])
    done = compare()
    assert done.exit_code == 0
    assert "left out of BASE: 1 suite, which NEW does not hold: other (2 records)" in done.output
    assert compare("base", "new", "--all-suites").exit_code == 1
    assert "2 cells vanished" in compare("base", "new", "--all-suites").output


def test_a_part_can_be_compared_alone(stores):
    stores(
        [cell(), cell(dataset="wine (n=50)"), cell(suite="other")], [cell(accuracy=0.1), cell(dataset="wine (n=50)"), cell(suite="other")]
    )
    assert compare().exit_code == 1
    assert compare("base", "new", "--suite", "other").exit_code == 0
    done = compare("base", "new", "--suite", "quick", "-d", "wine", "-m", "ridge")
    assert done.exit_code == 0
    assert "left out of BASE: 1 record of other data sets or methods" in done.output
    assert "1 cell compared" in done.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--suite", "quik"), 'no suite "quik" in BASE, "base". Nearest: quick.'),
        (("--suite", "old"), 'no suite "old" in NEW, "new".'),
        (("-d", "irsi"), 'no data set "irsi" in BASE, "base". Nearest: iris.'),
        (("-m", "rigde"), 'no method "rigde" in BASE, "base". Nearest: ridge.'),
        (("--time-ratio", "1"), "--time-ratio 1: how many times longer a method may take is a number above 1, such as 2"),
    ],
)
def test_an_unknown_name_is_refused_with_those_there_are(stores, options, message):
    stores([cell(), cell(suite="old")], [cell()])
    assert refusal("base", "new", *options).startswith(message)


def test_stores_without_a_common_suite_are_refused(stores):
    stores([cell()], [cell(suite="other")])
    assert refusal() == "the two stores have no suite in common: BASE holds quick; NEW holds other. Compare two runs of one suite"


def test_a_folder_that_is_missing_empty_or_no_folder_is_refused(stores):
    folder = stores([cell()], [])
    assert refusal().startswith('NEW: "new" is not there, but a folder with records is compared')
    (folder / "new").mkdir()
    assert refusal().startswith('NEW: "new" holds no record: `skipbench run SUITE')
    assert refusal("new", "base").startswith('BASE: "new" holds no record')
    (folder / "file").write_text("{}")
    assert refusal("base", "file").startswith('NEW: "file" is a file, but a folder')


def test_a_refusal_is_one_line_and_exit_status_2(stores, monkeypatch, capsys):
    stores([cell()], [])
    monkeypatch.setattr("sys.argv", ["skipbench", "compare", "base", "new"])
    with pytest.raises(SystemExit) as left:
        command_line.main()
    assert left.value.code == 2
    assert capsys.readouterr().err.startswith('Error: NEW: "new" is not there')


def test_the_same_folder_twice_is_said(stores):
    stores([cell()], [])
    done = compare("base", "base/../base")
    assert done.exit_code == 0
    assert "BASE and NEW are the same folder, so nothing can have moved" in done.output


def rewritten(path: Path, **changes) -> str:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return path.name


def test_a_baseline_of_another_schema_is_named_and_refused(stores):
    folder = stores([cell()], [cell()])
    name = rewritten(next((folder / "base" / "quick").iterdir()), schema_version=7)
    message = refusal()
    assert message.startswith('BASE: "base" holds no record that can be read')
    assert f'"{name}" has schema_version 7, but this skipbench reads 1' in message


@pytest.mark.parametrize("role", ["base", "new"])
def test_one_record_of_another_schema_is_named_the_rest_compared_and_the_exit_status_is_2(stores, role):
    folder = stores([cell(), cell(1)], [cell(), cell(1)])
    name = rewritten(min((folder / role / "quick").iterdir()), schema_version=2)
    done = compare()
    assert done.exit_code == 2
    assert f'not read: {role.upper()}: "{name}" has schema_version 2, but this skipbench reads 1: update skipbench' in done.output
    assert "1 cell compared" in done.output
    assert done.output.endswith("INCOMPLETE: 1 file not read\n")


def test_corrupt_files_and_links_are_named_and_left_as_they_are(stores):
    folder = stores([cell()], [cell()])
    (folder / "base" / "quick" / "broken.json").write_text('{"schema_version": 1,')
    (folder / "new" / "quick" / "lent.json").symlink_to(folder / "base" / "quick" / "broken.json")
    (folder / "new" / "other").symlink_to(folder / "base")
    done = compare()
    assert done.exit_code == 2
    assert 'not read: BASE: "broken.json" is no strict JSON' in done.output
    assert 'not read: NEW: "lent.json" is a symbolic link' in done.output
    assert 'not read: NEW: "other" is a symbolic link' in done.output
    assert (folder / "base" / "quick" / "broken.json").read_text() == '{"schema_version": 1,'


def test_another_machine_class_is_named_and_times_are_not_compared(stores):
    stores([cell()], [cell(machine="9876fedc", phases={"fit": 800.0})])
    done = compare()
    assert done.exit_code == 0
    note = done.output.splitlines()[0]
    assert note.startswith(
        "times and memory not compared for 1 of 1 cell: machine class 0123abcd (processor of 0123abcd, 2 cores; 1 thread)"
    )
    assert note.endswith("against machine class 9876fedc (processor of 9876fedc, 2 cores; 1 thread)")


def test_the_time_threshold_can_be_set(stores):
    stores([cell()], [cell(phases={"fit": 24.0})])
    assert compare().exit_code == 1
    assert compare("base", "new", "--time-ratio", "4").exit_code == 0


def test_json_holds_every_record_and_markdown_the_table(stores):
    folder = stores([cell(), cell(1)], [cell(accuracy=0.8), cell(1, accuracy=0.7)])
    assert compare("base", "new", "--json", "out/moved.json", "--markdown", "out/moved.md").exit_code == 1
    written = json.loads((folder / "out" / "moved.json").read_text())
    assert (written["exit_status"], written["regressions"], written["compared"]) == (1, 1, 2)
    movement = written["movements"][0]
    assert (movement["kind"], movement["direction"], movement["regression"]) == ("accuracy", "worse", True)
    assert [movement["old"], movement["new"]] == pytest.approx([0.9, 0.75])
    names = [f"iris-ntk-ridge-mlp-3-split{split}-{cell(split).key[:16]}.json" for split in (1, 0)]  # split 1 lost most
    assert movement["records"] == [{"base": name, "new": name} for name in names]
    lines = (folder / "out" / "moved.md").read_text().splitlines()
    assert lines[0] == "### skipbench compare: 1 regression; 2 cells compared"
    assert lines[4].startswith("| REGRESSION | test accuracy in %, mean | iris: NTK ridge, MLP(3) (2 cells) | 90.0 | 75.0 |")


def test_the_files_are_written_where_nothing_moved_too(stores):
    folder = stores([cell()], [cell()])
    assert compare("base", "new", "--json", "moved.json", "--markdown", "moved.md").exit_code == 0
    assert json.loads((folder / "moved.json").read_text())["movements"] == []
    assert (folder / "moved.md").read_text() == "### skipbench compare: no regression; 1 cell compared\n"


def test_a_file_that_cannot_be_written_is_named(stores):
    folder = stores([cell()], [cell()])
    (folder / "taken").write_text("")
    assert refusal("base", "new", "--json", "taken/moved.json").startswith("taken/moved.json cannot be written (")


def test_hostile_names_steer_neither_terminal_nor_markdown(stores):
    label = "\x1b[2J<script>alert(1)</script>|`a`\u202e" + "x" * 10_000
    folder = stores([cell(label=label)], [cell(label=label, accuracy=0.1)])
    done = compare("base", "new", "--markdown", "moved.md")
    assert done.exit_code == 1
    for text in (done.output, (folder / "moved.md").read_text()):
        assert not {"\x1b", "\u202e"} & set(text)
        assert len(text) < 3000
    assert "<script>" not in (folder / "moved.md").read_text()
    assert (folder / "moved.md").read_text().count(r"\|") == 1


def test_in_a_terminal_the_same_is_a_table(stores):
    folder = stores([cell()], [cell(accuracy=0.8)])
    output = io.StringIO()
    print_comparison(Console(file=output, force_terminal=True, width=160), compare_folders(folder / "base", folder / "new"))
    text = output.getvalue()
    assert "┃" in text
    assert "REGRESSION" in text
    assert "1 regression; 1 cell compared" in text


def test_a_long_list_is_cut_and_says_where_the_rest_is(stores):
    stores(
        [cell(dataset=f"set{number:03d}") for number in range(70)], [cell(dataset=f"set{number:03d}", accuracy=0.5) for number in range(70)]
    )
    lines = compare().output.splitlines()
    assert sum(line.startswith("REGRESSION") for line in lines) == 60
    assert "... and 10 more movements: --json FILE holds all of them" in lines
