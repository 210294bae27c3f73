"""Runs whose hyper-parameters are chosen on another split, or among candidates; and data sets that are not there."""

from __future__ import annotations

import numpy as np
import pytest

from skipbench.results import ResultStore

METHODS = """
  - ridge: {kernel: [nngp, ntk], architecture: {ResMLP: {depth: [1, 2]}}, choose: [architecture]}
  - logistic-regression
"""


@pytest.fixture
def uci_root(tmp_path):
    """A folder with a set in the collection's format: two classes that are easy to tell apart, four folds."""
    rng = np.random.default_rng(3)
    n, folder = 48, tmp_path / "data" / "uci" / "toy"
    folder.mkdir(parents=True)
    labels = np.arange(n) % 2
    inputs = rng.normal(size=(n, 3)) + 2 * labels[:, None]
    lines = ["f1\tf2\tf3\tclase"]
    lines += ["\t".join([str(row + 1), *(f"{value:.5f}" for value in inputs[row]), str(labels[row])]) for row in range(n)]
    (folder / "toy_R.dat").write_text("\n".join(lines) + "\n")
    description = [
        "n_entradas= 3",
        "n_clases= 2",
        "n_arquivos= 1",
        "fich1= toy_R.dat",
        f"n_patrons1= {n}",
        f"n_patrons_entrena= {n // 2}",
        f"n_patrons_valida= {n // 2}",
        "n_conxuntos= 1",
    ]
    (folder / "toy.txt").write_text("\n".join(description) + "\n")
    rows = np.arange(n)
    folds = [np.setdiff1d(rows, np.arange(start, start + n // 4)) for start in range(0, n, n // 4)]
    parts = [part for fold in folds for part in (fold, np.setdiff1d(rows, fold))]
    (folder / "conxuntos.dat").write_text("\n".join(" ".join(map(str, part)) for part in (rows[: n // 2], rows[n // 2 :])) + "\n")
    (folder / "conxuntos_kfold.dat").write_text("\n".join(" ".join(map(str, part)) for part in parts) + "\n")
    return tmp_path / "data"


def records(tmp_path, suite):
    return list(ResultStore(tmp_path / "results" / "runs" / suite).records())


def test_both_uci_protocols_are_run_and_recorded_by_name(command, uci_root, tmp_path):
    text = f"description: a test?\ndata: [{{name: uci/toy, protocol: [collection, nested]}}]\nmethods:{METHODS}"
    (tmp_path / "both.yaml").write_text(text)
    done = command("run", "both.yaml", "--jobs", "1", SKIPBENCH_DATA=str(uci_root))
    assert done.returncode == 0, done.stderr
    found = records(tmp_path, "both")
    assert {record.status for record in found} == {"ok"}, {record.reason for record in found}
    sizes = {(record.dataset.protocol, record.dataset.n_train, record.dataset.n_validation, record.dataset.n_test) for record in found}
    assert ("collection", 36, 24, 12) in sizes  # chosen on the 24 rows of the selection split
    assert {n_validation for protocol, _, n_validation, _ in sizes if protocol == "nested"} <= {7, 8}  # a fifth of each training part
    ridge = [record for record in found if record.method.name == "ridge"]
    assert len(ridge) == 2 * 2 * 4
    for record in ridge:
        assert {choice.name for choice in record.method.choices} == {"candidate", "ridge"}
        assert record.method.residual is True
        assert {metric.name for metric in record.metrics} == {"accuracy", "validation_accuracy", "train_accuracy"}
    again = command("run", "both.yaml", "--jobs", "1", SKIPBENCH_DATA=str(uci_root))
    assert "computed 0 cells" in again.stdout


def test_the_folds_of_the_collection_share_one_choice(command, uci_root, tmp_path):
    (tmp_path / "one.yaml").write_text(f"description: a test?\ndata: [{{name: uci/toy, protocol: collection}}]\nmethods:{METHODS}")
    assert command("run", "one.yaml", "--jobs", "2", SKIPBENCH_DATA=str(uci_root)).returncode == 0
    for name in ("nngp", "ntk", None):
        chosen = {str(record.method.choices) for record in records(tmp_path, "one") if record.method.kernel == name}
        assert len(chosen) == 1


def test_a_data_set_that_is_not_there_stops_the_run_or_is_left_out_when_asked(command, tmp_path):
    (tmp_path / "part.yaml").write_text(
        "description: a test?\ndata: [{name: iris, splits: [0]}, uci/ionosphere]\nmethods: [random-forest]\n"
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    refused = command("run", "part.yaml", SKIPBENCH_DATA=str(empty))
    assert refused.returncode == 2
    assert "skipbench data fetch uci/ionosphere" in refused.stderr
    done = command("run", "part.yaml", "--skip-missing", SKIPBENCH_DATA=str(empty))
    assert done.returncode == 0, done.stderr
    assert "left out: uci/ionosphere: " in done.stdout
    assert [record.dataset.name for record in records(tmp_path, "part")] == ["iris"]


def test_a_run_of_which_nothing_is_there_is_refused(command, tmp_path):
    (tmp_path / "none.yaml").write_text("description: a test?\ndata: [uci/ionosphere]\nmethods: [random-forest]\n")
    refused = command("run", "none.yaml", "--skip-missing", SKIPBENCH_DATA=str(tmp_path))
    assert refused.returncode == 2
    assert "suite none: none of its data sets is there" in refused.stderr
