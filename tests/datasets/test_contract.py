"""What every data set must be: the bundled ones always, the others where SKIPBENCH_DATA has them."""

from __future__ import annotations

import os

import numpy as np
import pytest

from skipbench.datasets import dataset_kind, dataset_names, describe, load, preprocess, verify
from skipbench.datasets.registry import presence

# At import: which sets are at hand decides which tests there are.
HAS_DATA = bool(os.environ.get("SKIPBENCH_DATA"))
NAMES = [name for name in dataset_names() if presence(name) in (("bundled", "yes") if HAS_DATA else ("bundled",))]
SUBSETS = {"cifar10": {"n": 100, "n_test": 100}}
CASES = [(name, protocol) for name in NAMES for protocol in describe(name).protocols]


def test_the_bundled_sets_are_always_at_hand():
    assert {"iris", "wine", "breast-cancer", "digits", "digits-images"} <= set(NAMES)


@pytest.mark.parametrize(("name", "protocol"), CASES)
def test_a_data_set_keeps_the_contract(name, protocol):
    dataset = load(name, protocol=protocol, **SUBSETS.get(name, {}))
    assert dataset.name == name
    assert dataset.protocol == protocol
    assert dataset.kind == dataset_kind(name)
    assert dataset.inputs.dtype == np.float32
    assert dataset.labels.dtype == np.int64
    assert np.isfinite(dataset.inputs).all()
    assert set(dataset.labels) <= set(range(len(dataset.classes)))
    assert dataset.provenance
    assert dataset.licence
    assert os.sep + "root" not in dataset.provenance  # nothing of the machine goes into a record
    assert load(name, protocol=protocol, **SUBSETS.get(name, {})).sha256 == dataset.sha256


@pytest.mark.parametrize(("name", "protocol"), CASES)
def test_every_split_trains_on_every_class_and_shares_no_row(name, protocol):
    dataset = load(name, protocol=protocol, **SUBSETS.get(name, {}))
    assert len({split.name for split in dataset.splits}) == len(dataset.splits)
    for split in dataset.splits:
        rows = np.concatenate([split.train, split.validation, split.test])
        assert len(set(rows.tolist())) == len(rows)
        assert set(dataset.labels[split.train]) == set(range(len(dataset.classes)))
        assert len(split.validation) + len(split.test) > 0
        if protocol != "collection":  # there, one split selects and the others test
            assert min(len(split.train), len(split.validation), len(split.test)) > 0


@pytest.mark.parametrize("name", NAMES)
def test_a_data_set_can_be_standardised(name):
    dataset = load(name, **SUBSETS.get(name, {}))
    prepared = preprocess(dataset, 0, ["standardise"] if dataset.kind == "vectors" else ["per-channel", "flatten"])
    assert np.isfinite(prepared.x_validation).all()
    assert abs(prepared.x_train.astype(np.float64).mean()) < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_the_files_of_a_data_set_are_the_right_ones(name):
    assert {check.status for check in verify(name)} == {"ok"}
