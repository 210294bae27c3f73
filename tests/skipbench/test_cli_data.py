"""`skipbench data` as a user runs it: plain lines for programmes, one error for bad input, exit status 1 for a wrong file."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from skipbench.checks import MissingDataError, SkipbenchError
from skipbench.cli import data as data_commands


@pytest.fixture
def invoke(monkeypatch, tmp_path):
    """Runs `skipbench data ARGUMENTS` with an empty data folder and returns typer's result."""
    monkeypatch.setenv("SKIPBENCH_DATA", str(tmp_path))
    return lambda *arguments: CliRunner().invoke(data_commands.app, [str(argument) for argument in arguments])


@pytest.fixture
def toy_set(tmp_path):
    """A set in the collection's format, without known checksums."""
    folder = tmp_path / "uci" / "toy"
    folder.mkdir(parents=True)
    rows = [f"{row + 1}\t{row}.5\t{-row}\t{row % 2}" for row in range(8)]
    (folder / "toy_R.dat").write_text("\n".join(["\tf1\tf2\tclase", *rows, ""]))
    sizes = "n_entradas= 2\nn_clases= 2\nn_arquivos= 1\nfich1= toy_R.dat\nn_patrons1= 8\nn_patrons_entrena= 4\nn_patrons_valida= 4\n"
    (folder / "toy.txt").write_text(sizes)
    (folder / "conxuntos.dat").write_text("0 1 2 3\n4 5 6 7\n")
    (folder / "conxuntos_kfold.dat").write_text("0 1 2 3 4 5\n6 7\n" * 4)
    return folder


def table(output):
    """Cells of each plain line; columns are two spaces apart or more."""
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in output.splitlines()]


def test_list_shows_every_set_in_plain_lines(invoke, toy_set):
    result = invoke("list")
    assert result.exit_code == 0
    rows = {row[0]: row[1:] for row in table(result.output)}
    assert rows["iris"] == ["vectors", "bundled", "150 rows, 4 features, 3 classes"]
    assert rows["cifar10"][:2] == ["images", "no"]
    assert rows["uci/toy"] == ["vectors", "yes"]
    assert "uci/abalone" in rows
    assert "\x1b" not in result.output


def test_list_says_which_sets_are_incomplete(invoke, toy_set):
    (toy_set / "toy_R.dat").unlink()
    assert ["uci/toy", "vectors", "incomplete"] in table(invoke("list").output)


def test_info_shows_sizes_classes_splits_checksum_provenance_and_licence(invoke):
    result = invoke("info", "iris")
    assert result.exit_code == 0
    facts = {row[0]: row[1:] for row in table(result.output)}
    assert facts["rows"] == ["150"]
    assert facts["input shape"] == ["4"]
    assert facts["classes"] == ["3: setosa (50), versicolor (50), virginica (50)"]
    assert facts["split-3"] == ["90", "30", "30"]
    assert len(facts["sha256"][0]) == 64
    assert "scikit-learn" in facts["provenance"][0]
    assert "CC BY 4.0" in facts["licence"][0]


def test_info_takes_a_subset_a_seed_and_a_protocol(invoke, toy_set):
    assert ["rows", "60"] in table(invoke("info", "iris", "-n", 60, "--seed", 3).output)
    nested = table(invoke("info", "uci/toy", "--protocol", "nested").output)
    assert ["protocol", "nested"] in nested
    assert "selection" not in {row[0] for row in nested}


def test_info_of_a_generated_set_shows_targets_and_parameters(invoke):
    result = invoke("info", "sphere", "-p", "frequency=4", "--parameter", "dimension=5", "-n", 50)
    assert result.exit_code == 0
    facts = {row[0]: row[1:] for row in table(result.output)}
    assert facts["parameters"] == ["dimension=5, frequency=4"]
    assert facts["input shape"] == ["5"]
    assert facts["targets"][0].startswith("1: mean ")
    assert facts["split-1"] == ["30", "10", "10"]
    assert "classes" not in facts
    plain = {row[0]: row[1:] for row in table(invoke("info", "multisphere").output)}
    assert plain["parameters"] == ["channels=3, frequency=2, pixels=2, side=4"]
    assert plain["input shape"] == ["3x4x4"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sphere", "-p", "frequency"], "-p 'frequency': a parameter is written NAME=VALUE with a whole number, such as frequency=4"),
        (["sphere", "-p", "frequency=two"], "-p 'frequency=two': a parameter is written NAME=VALUE"),
        (["sphere", "-p", "frequency=2", "-p", "frequency=3"], "frequency is given twice"),
        (["sphere", "-p", "n=3"], "n is given twice or has an option of its own"),
        (["sphere", "-p", "frequncy=3"], r'parameter "frequncy"\. Nearest: frequency'),
        (["sphere", "-p", "frequency=0"], "sphere: frequency=0, but it is 1 to 100"),
        (["iris", "-p", "frequency=2"], 'iris: "frequency" was given, but this set has no parameters'),
    ],
)
def test_a_parameter_that_cannot_be_had_is_named(invoke, arguments, message):
    with pytest.raises(SkipbenchError, match=message):
        raise invoke("info", *arguments).exception


def test_a_generated_set_has_nothing_to_fetch_or_verify(invoke):
    assert invoke("fetch", "sphere").output == "sphere needs no download\n"
    assert invoke("verify", "sphere").output == "sphere has no files to verify\n"


def test_a_set_that_nothing_can_download_says_what_file_it_needs(invoke, tmp_path):
    for command in ("info", "fetch", "verify"):
        with pytest.raises(MissingDataError, match=rf"svhn_train_first1083\.npz is in none of .*{tmp_path}.* It cannot be fetched"):
            raise invoke(command, "svhn-1083").exception


def test_list_shows_svhn_and_the_generated_sets(invoke):
    rows = {row[0]: row[1:] for row in table(invoke("list").output)}
    assert rows["svhn"][:2] == ["images", "no"]
    assert rows["svhn-1083"][:2] == ["images", "no"]
    assert rows["sphere"][:2] == ["vectors", "bundled"]
    assert rows["multisphere"][:2] == ["images", "bundled"]
    assert rows["multisphere-classes"][:2] == ["images", "bundled"]


def test_info_of_a_missing_set_shows_what_is_known_and_then_the_error(invoke, tmp_path):
    result = invoke("info", "cifar10")
    assert isinstance(result.exception, MissingDataError)
    assert str(tmp_path) in str(result.exception)
    assert "skipbench data fetch cifar10" in str(result.exception)
    assert "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz" in result.output


def test_verify_shows_every_file_of_one_set(invoke, toy_set):
    result = invoke("verify", "uci/toy")
    assert result.exit_code == 0
    assert ["uci/toy", "toy_R.dat", "unverified"] in table(result.output)
    assert "4 files of 1 data set: 0 ok, 4 unverified" in result.output


def test_verify_without_a_name_takes_every_set_at_hand_and_shows_what_is_not_ok(invoke, toy_set):
    result = invoke("verify")
    assert result.exit_code == 0
    assert "9 files of 6 data sets: 5 ok, 4 unverified" in result.output
    assert "iris" not in result.output


def test_verify_exits_with_1_when_a_file_does_not_match(invoke, toy_set):
    toy_set.rename(toy_set.parent / "zoo")
    (toy_set.parent / "zoo" / "toy.txt").rename(toy_set.parent / "zoo" / "zoo.txt")
    for arguments in (["verify", "uci/zoo"], ["verify"]):
        result = invoke(*arguments)
        assert result.exit_code == 1
        assert ["uci/zoo", "zoo.txt", "mismatch"] in table(result.output)


def test_verify_of_a_set_that_is_not_there_is_an_error(invoke):
    with pytest.raises(MissingDataError, match=r"uci/zoo: zoo.txt is in none of the places looked at"):
        raise invoke("verify", "uci/zoo").exception


def test_fetch_of_a_bundled_set_says_that_there_is_nothing_to_do(invoke):
    result = invoke("fetch", "wine")
    assert result.exit_code == 0
    assert result.output == "wine needs no download\n"


def test_fetch_of_a_set_that_is_there_downloads_nothing(invoke, toy_set):
    result = invoke("fetch", "uci/toy")
    assert result.exit_code == 0
    assert result.output == f"uci/toy is at {toy_set}\n"


@pytest.mark.parametrize("command", ["fetch", "verify", "info"])
def test_an_unknown_name_is_told_the_nearest(invoke, command):
    with pytest.raises(SkipbenchError, match=r'no data set "irsi"\. Nearest: iris.* All of them: skipbench data list'):
        raise invoke(command, "irsi").exception


def test_the_root_can_be_named(invoke, toy_set, tmp_path, monkeypatch):
    monkeypatch.setenv("SKIPBENCH_DATA", str(tmp_path / "elsewhere"))
    assert invoke("info", "uci/toy", "--root", tmp_path).exit_code == 0
    assert isinstance(invoke("info", "uci/toy").exception, MissingDataError)


def test_a_terminal_gets_a_table_with_the_same_words(invoke, monkeypatch, toy_set):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    output = invoke("info", "iris").output
    assert "\x1b[" in output
    assert "setosa (50)" in output
    assert "split-3" in output


def test_a_download_bar_counts_what_pooch_tells_it():
    bar = data_commands._DownloadBar("cifar10")
    bar.total = 100
    bar.update(30)
    bar.update(20)
    task = bar._progress.tasks[0]
    assert (task.total, task.completed) == (100, 50)
    bar.reset()
    bar.update(100)
    assert task.finished
    bar.close()
