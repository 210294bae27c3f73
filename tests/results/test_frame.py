"""Records as a table: flat, readable, the same columns whatever is in it."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from skipbench.architecture import ResCNN
from skipbench.checks import SkipbenchError
from skipbench.results import ResultStore, StoreWarning, load_records, records_frame
from skipbench.results.columns import COLUMNS


def test_a_row_says_what_was_fitted_on_what_and_what_came_out(make_cell):
    architecture = ResCNN(4, alpha="L^-0.5", readout="tr", bias=0.1)
    record = make_cell(dataset="digits-images", input_shape=(1, 8, 8), architecture=architecture, kernel="nngp", split=2, accuracy=0.75)
    row = records_frame([record]).iloc[0]
    expected = {
        "dataset": "digits-images",
        "split": 2,
        "inputs": "images",
        "input_shape": "1x8x8",
        "family": "kernel",
        "kernel": "nngp",
        "residual": True,
        "architecture": "ResCNN",
        "depth": 4,
        "alpha": "L^-0.5",
        "readout": "tr",
        "bias": 0.1,
        "branch_depth": 2,
        "train_ends": True,
        "status": "ok",
        "accuracy": 0.75,
        "numerical_rank": 90,
        "effective_dimension": 12.5,
        "double_constant_bound": 61.0,
        "iterations_99": 40,
        "machine_class": "0123abcd",
        "key": record.key,
    }
    assert {name: row[name] for name in expected} == expected
    assert row["condition_number"] == pytest.approx(1e3)
    assert row["seconds"] == pytest.approx(0.81)  # all phases
    assert row["seconds_kernel"] == 0.5
    assert row["created"] == pd.Timestamp("2026-01-02 03:04:05+00:00")
    assert pd.isna(row["seed"])
    assert pd.isna(row["width"])


def test_misses_and_singular_matrices_are_infinite_and_what_was_not_measured_is_missing(make_cell):
    singular = make_cell(condition_number=None, iterations=(5, None, None))
    baseline = make_cell(family="baseline", architecture=None, convergence=None, label="random forest")
    frame = records_frame([singular, baseline])
    assert frame["condition_number"].tolist()[0] == math.inf
    assert frame.loc[0, ["iterations_90", "iterations_99", "iterations_99_9"]].tolist() == [5, math.inf, math.inf]
    assert frame.loc[1, ["condition_number", "iterations_90", "iterations_99_9"]].isna().all()
    assert frame.loc[1, ["architecture", "kernel", "residual", "depth"]].isna().all()


def test_warm_up_is_a_phase_but_not_part_of_the_seconds(make_cell):
    frame = records_frame([make_cell(phases={"warm-up": 30.0, "train": 1.5, "gradient descent": 0.25})])
    assert frame.loc[0, "seconds"] == 1.75
    assert frame.loc[0, "seconds_warm-up"] == 30.0
    assert frame.loc[0, "seconds_gradient_descent"] == 0.25


def test_choices_and_other_metrics_have_columns_of_their_own(make_cell):
    method = make_cell().method.model_dump()
    number = make_cell(method={**method, "choices": [{"name": "ridge", "value": 0.1, "chosen_on": "validation"}]})
    word = make_cell(split=1, method={**method, "choices": [{"name": "C", "value": "auto", "chosen_on": "fixed"}]})
    other = make_cell(split=2, metrics=[{"name": "log_loss", "value": 0.3, "direction": "lower"}])
    frame = records_frame([number, word, other])
    assert frame["chosen_ridge"].dtype == "float64"
    assert frame["chosen_ridge"].dropna().tolist() == [0.1]
    assert frame["chosen_C"].dropna().tolist() == ["auto"]
    assert frame.loc[2, "metric_log_loss"] == 0.3
    assert pd.isna(frame.loc[2, "accuracy"])


def test_a_metric_called_test_accuracy_is_the_accuracy(make_cell):
    frame = records_frame([make_cell(metrics=[{"name": "test_accuracy", "value": 0.5, "direction": "higher"}])])
    assert frame.loc[0, "accuracy"] == 0.5


@pytest.mark.parametrize("kind", sorted(COLUMNS))
def test_an_empty_table_has_the_columns_and_types_of_a_full_one(kind, tmp_path, make_cell):
    empty = load_records(tmp_path, kind=kind)
    assert len(empty) == 0
    assert list(empty.columns) == list(COLUMNS[kind])
    if kind == "cell":
        full = records_frame([make_cell()])[list(empty.columns)]
        assert full.dtypes.astype(str).to_dict() == empty.dtypes.astype(str).to_dict()


def test_load_records_reads_a_folder_and_the_suites_in_it(tmp_path, make_cell):
    ResultStore(tmp_path / "quick").write(make_cell())
    ResultStore(tmp_path / "other").write(make_cell(split=1, suite="other"))
    ResultStore(tmp_path).write(make_cell(split=2))
    assert sorted(load_records(tmp_path)["split"]) == [0, 1, 2]
    assert load_records(tmp_path, suite="other")["split"].tolist() == [1]
    assert load_records(tmp_path / "quick")["split"].tolist() == [0]
    assert load_records(tmp_path, suite="no such suite").empty


def test_where_two_folders_hold_a_key_the_last_folder_wins(tmp_path, make_cell):
    old = make_cell(accuracy=0.1)
    ResultStore(tmp_path / "records").write(old)
    ResultStore(tmp_path / "runs").write(make_cell(key=old.key, accuracy=0.9))
    folders = [tmp_path / "records", tmp_path / "runs"]
    assert load_records(folders)["accuracy"].tolist() == [0.9]
    assert load_records(folders[::-1])["accuracy"].tolist() == [0.1]


def test_the_same_cell_in_two_suites_is_two_rows(tmp_path, make_cell):
    first = make_cell()
    ResultStore(tmp_path / "quick").write(first)
    ResultStore(tmp_path / "other").write(make_cell(key=first.key, suite="other"))
    assert sorted(load_records(tmp_path)["suite"]) == ["other", "quick"]


def test_a_linked_folder_is_not_followed(tmp_path, make_cell):
    ResultStore(tmp_path / "outside").write(make_cell())
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link").symlink_to(tmp_path / "outside")
    with pytest.warns(StoreWarning, match='"link" is a symbolic link'):
        assert load_records(inside).empty


def test_a_missing_folder_and_an_unknown_kind_are_refused(tmp_path):
    with pytest.raises(SkipbenchError, match=r'no results folder ".*nowhere": `skipbench run SUITE --results DIR` makes one'):
        load_records(tmp_path / "nowhere")
    with pytest.raises(SkipbenchError, match=r'no kind of record "cel"\. Nearest: cell'):
        load_records(tmp_path, kind="cel")
