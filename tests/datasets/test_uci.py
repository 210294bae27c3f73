"""Sets of the collection: both protocols, separate test files, verified and unverified files."""

from __future__ import annotations

import numpy as np
import pytest

from skipbench.checks import MissingDataError, SkipbenchError, TamperedDataError
from skipbench.datasets import dataset_names, load, preprocess, uci_checksums
from skipbench.datasets.registry import presence
from skipbench.datasets.uci_checksums import UNVERIFIED_NAMES, collection_checksums, known_sets

INCOMPLETE = ("adult", "connect-4", "miniboone", "musk-2", "statlog-shuttle")


def test_the_collection_protocol_gives_the_selection_and_four_folds(uci_set, tmp_path):
    uci_set(n=40)
    dataset = load("uci/toy", tmp_path)
    assert dataset.protocol == "collection"
    assert [split.name for split in dataset.splits] == ["selection", "fold-1", "fold-2", "fold-3", "fold-4"]
    assert [(len(split.train), len(split.validation), len(split.test)) for split in dataset.splits] == [(20, 20, 0)] + [(30, 0, 10)] * 4
    assert "it leaks" in dataset.provenance
    assert dataset.inputs.dtype == np.float32
    assert dataset.classes == ("0", "1")


def test_partitions_are_those_of_the_files_counted_from_0(uci_set, tmp_path):
    folder = uci_set(n=40)
    dataset = load("uci/toy", tmp_path)
    lines = (folder / "conxuntos.dat").read_text().splitlines()
    folds = (folder / "conxuntos_kfold.dat").read_text().splitlines()
    assert dataset.splits[0].train.tolist() == [int(row) for row in lines[0].split()]
    assert dataset.splits[0].validation.tolist() == [int(row) for row in lines[1].split()]
    assert dataset.splits[2].train.tolist() == [int(row) for row in folds[2].split()]
    assert dataset.splits[2].test.tolist() == [int(row) for row in folds[3].split()]


def test_the_nested_protocol_divides_each_training_part_and_keeps_the_tests(uci_set, tmp_path):
    uci_set(n=80)
    folds = load("uci/toy", tmp_path).splits[1:]
    nested = load("uci/toy", tmp_path, protocol="nested")
    assert nested.protocol == "nested"
    assert [split.name for split in nested.splits] == ["fold-1", "fold-2", "fold-3", "fold-4"]
    for fold, split in zip(folds, nested.splits, strict=True):
        assert np.array_equal(split.test, fold.test)
        assert np.array_equal(np.sort(np.concatenate([split.train, split.validation])), np.sort(fold.train))
        assert (len(split.train), len(split.validation)) == (48, 12)
        counts = np.bincount(nested.labels[fold.train])
        assert np.abs(np.bincount(nested.labels[split.validation]) - counts / 5).max() <= 1


def test_the_seed_decides_nested_validation_rows_only(uci_set, tmp_path):
    uci_set(n=80)
    first, again, other = (load("uci/toy", tmp_path, protocol="nested", seed=seed).splits[0] for seed in (0, 0, 1))
    assert np.array_equal(first.validation, again.validation)
    assert not np.array_equal(first.validation, other.validation)
    assert np.array_equal(first.test, other.test)


def test_a_class_of_one_row_stays_in_every_nested_training_part(uci_set, tmp_path):
    labels = np.arange(40) % 2
    labels[3] = 2
    folds = [part for first in (20, 25, 30, 35) for part in (np.delete(np.arange(40), np.s_[first : first + 5]), range(first, first + 5))]
    uci_set(classes=3, labels=labels, replace={"conxuntos.dat": _rows([range(20), range(20, 40)]), "conxuntos_kfold.dat": _rows(folds)})
    for seed in range(5):
        for split in load("uci/toy", tmp_path, protocol="nested", seed=seed).splits:
            assert 3 in split.train


def _rows(parts):
    return "\n".join(" ".join(map(str, part)) for part in parts).encode()


def test_a_separate_test_file_is_standardised_by_itself_and_flagged(uci_set, tmp_path):
    uci_set(n=40, n_test=30)
    dataset = load("uci/toy", tmp_path)
    selection, final = dataset.splits
    assert dataset.inputs.shape == (70, 3)
    assert (selection.name, final.name) == ("selection", "train-test")
    assert (len(selection.train), len(selection.validation), len(selection.test)) == (20, 20, 0)
    assert np.array_equal(final.train, np.arange(40))
    assert np.array_equal(final.test, np.arange(40, 70))
    for rows in (final.train, final.test):  # the test file was written on a scale a thousand times larger
        assert np.abs(dataset.inputs[rows].mean(axis=0)).max() < 1e-6
        assert np.abs(dataset.inputs[rows].std(axis=0) - 1).max() < 1e-6
    assert "each file standardised by itself" in dataset.provenance
    assert "k-fold file ignored" in dataset.provenance


def test_a_constant_feature_of_a_test_file_becomes_0(uci_set, tmp_path):
    def constant(text):
        head, *rows = text.splitlines()
        fields = [row.split("\t") for row in rows]
        return "\n".join([head, *("\t".join([row[0], "7.3", *row[2:]]) for row in fields)])

    uci_set(n=40, n_test=30, replace={"toy_test_R.dat": constant})
    inputs = load("uci/toy", tmp_path).inputs
    assert not inputs[40:, 0].any()
    assert inputs[:40, 0].any()


def test_a_separate_test_file_needs_no_k_fold_file_and_nests_to_one_split(uci_set, tmp_path):
    (uci_set(n=40, n_test=30) / "conxuntos_kfold.dat").unlink()
    (split,) = load("uci/toy", tmp_path, protocol="nested").splits
    assert (len(split.train), len(split.validation), len(split.test)) == (32, 8, 30)
    assert split.test.min() == 40


def test_a_set_without_known_checksums_loads_marked_unverified(uci_set, tmp_path):
    uci_set()
    assert "unverified: the package carries no checksum of toy.txt, toy_R.dat" in load("uci/toy", tmp_path).provenance


def test_a_verified_set_says_so_and_a_changed_file_is_refused(uci_set, tmp_path, monkeypatch):
    folder = uci_set()
    monkeypatch.setattr(uci_checksums, "known_sets", lambda: collection_checksums(tmp_path / "uci"))
    table = collection_checksums(tmp_path / "uci")
    assert "files verified by SHA-256" in load("uci/toy", tmp_path).provenance
    monkeypatch.setattr(uci_checksums, "known_sets", lambda: table)
    path = folder / "toy_R.dat"
    path.write_text(path.read_text().replace("1", "2", 1))
    with pytest.raises(TamperedDataError, match=r"toy_R.dat is not the collection's file: its SHA-256 is .* skipbench data fetch uci/toy"):
        load("uci/toy", tmp_path)


def test_files_may_lie_in_the_root_itself(uci_set, tmp_path):
    uci_set()
    assert load("uci/toy", tmp_path / "uci").sha256 == load("uci/toy", tmp_path).sha256


@pytest.mark.parametrize("file", ["toy_R.dat", "conxuntos.dat", "conxuntos_kfold.dat"])
def test_a_missing_file_is_named_with_its_folder_and_the_command(uci_set, tmp_path, file):
    folder = uci_set()
    (folder / file).unlink()
    with pytest.raises(MissingDataError, match=f"{folder} lacks the file {file}.*skipbench data fetch uci/toy"):
        load("uci/toy", tmp_path)


def test_a_missing_set_names_every_place_and_the_command(tmp_path):
    with pytest.raises(MissingDataError) as caught:
        load("uci/abalone", tmp_path)
    for place in (tmp_path / "uci" / "abalone", tmp_path / "abalone", "skipbench data fetch uci/abalone"):
        assert str(place) in str(caught.value)


@pytest.mark.parametrize(
    ("replace", "message"),
    [
        ({"conxuntos.dat": _rows([range(19), range(19, 40)])}, "conxuntos.dat: 19 training rows, but the set's description promises 20"),
        ({"conxuntos_kfold.dat": _rows([range(20), range(20, 40)])}, "conxuntos_kfold.dat: 2 lines of row numbers, but this file has 8"),
        ({"conxuntos.dat": _rows([range(0, 40, 2), range(1, 40, 2)])}, 'split "selection": class "1" is absent from its training part'),
        ({"conxuntos.dat": _rows([range(20), range(20, 39)])}, "conxuntos.dat: 19 validation rows, but the set's description promises 20"),
        ({"toy.txt": lambda text: text.replace("n_patrons1= 40", "n_patrons1= 41")}, "toy_R.dat: 40 rows after its header, but .* 41"),
        ({"toy.txt": lambda text: text.replace("n_patrons1= 40", "n_patrons1= 39")}, "toy_R.dat: 40 rows after its header, but .* 39"),
        (
            {"toy.txt": lambda text: text.replace("n_entradas= 3", "n_entradas= 4")},
            "toy_R.dat, line 2: 5 tab-separated values, but a row has 6: number, the 4 features that the set's description promises",
        ),
        ({"toy.txt": lambda text: text.replace("n_clases= 2", "n_clases= 3")}, 'split "selection": class "2" is absent'),
        ({"toy_R.dat": lambda text: text.replace("\t1\n", "\t2\n")}, "toy_R.dat, line 3: label 2, but with 2 classes a label is 0 to 1"),
        (
            {"conxuntos_kfold.dat": _rows([range(30), range(30, 41)] * 4)},
            "conxuntos_kfold.dat, line 2: row 40, but the rows of this set are",
        ),
        ({"toy_R.dat": lambda text: text[: len(text) // 2]}, "toy_R.dat: .* rows after its header, but the set's description promises 40"),
    ],
)
def test_a_set_whose_files_disagree_is_refused(uci_set, tmp_path, replace, message):
    uci_set(replace=replace)
    with pytest.raises(SkipbenchError, match=message):
        load("uci/toy", tmp_path)


def test_two_files_of_which_one_disagrees_with_the_description_are_refused(uci_set, tmp_path):
    uci_set(n=40, n_test=30, replace={"toy_test_R.dat": lambda text: "\n".join(text.splitlines()[:-2])})
    with pytest.raises(SkipbenchError, match=r"toy_test_R\.dat: 28 rows after its header, but the set's description promises 30"):
        load("uci/toy", tmp_path)


def test_standardising_on_training_rows_undoes_whatever_scale_the_collection_gave_all_rows(uci_set, tmp_path):
    def rescaled(text):
        head, *rows = text.splitlines()
        fields = [row.split("\t") for row in rows]
        changed = ["\t".join([row[0], *(f"{17 + 250 * float(value):.9g}" for value in row[1:-1]), row[-1]]) for row in fields]
        return "\n".join([head, *changed])

    uci_set("toy")
    uci_set("scaled", replace={"scaled_R.dat": rescaled})
    for protocol in ("collection", "nested"):
        first, second = (load(f"uci/{name}", tmp_path, protocol=protocol) for name in ("toy", "scaled"))
        assert np.abs(first.inputs - second.inputs).max() > 10
        for split in range(len(first.splits)):
            one, other = (preprocess(dataset, split, ["standardise"]) for dataset in (first, second))
            for part in ("x_train", "x_validation", "x_test"):
                # numbers of order 1, from float32 of order 250 around 17: 1e-5 is above their rounding
                assert np.abs(getattr(one, part) - getattr(other, part)).max(initial=0) < 1e-5
    assert "which the step standardise replaces by the training rows' own scale" in first.provenance


def test_a_nan_is_named_by_file_and_line(uci_set, tmp_path):
    def with_nan(text):
        lines = text.splitlines()
        lines[4] = "\t".join(["4", "nan", *lines[4].split("\t")[2:]])
        return "\n".join(lines)

    uci_set(replace={"toy_R.dat": with_nan})
    with pytest.raises(SkipbenchError, match=r"toy_R.dat, line 5: nan among its features"):
        load("uci/toy", tmp_path)


@pytest.mark.parametrize("options", [{"n": 20}, {"n_test": 20}])
def test_a_subset_is_refused_since_the_partitions_are_of_all_rows(uci_set, tmp_path, options):
    uci_set()
    with pytest.raises(
        SkipbenchError, match=r"uci/toy: n(_test)?=20, but the sets of the collection come with partitions of all their rows"
    ):
        load("uci/toy", tmp_path, **options)


def test_an_unknown_protocol_is_named(uci_set, tmp_path):
    uci_set()
    with pytest.raises(SkipbenchError, match=r'no protocol "nest" for uci/toy\. Nearest: nested'):
        load("uci/toy", tmp_path, protocol="nest")


@pytest.mark.parametrize("name", ["uci/../secret", "uci//toy", "uci/", "uci/a/b", "uci/.hidden", "uci/a\x00b"])
def test_a_name_that_leaves_the_folder_is_no_data_set(tmp_path, name):
    with pytest.raises(SkipbenchError, match="no data set"):
        load(name, tmp_path)


def test_the_package_knows_all_121_sets_of_the_collection():
    assert len(known_sets()) + len(UNVERIFIED_NAMES) == 121
    assert not set(known_sets()) & set(UNVERIFIED_NAMES)


def test_the_carried_checksums_are_those_of_the_files_at_hand(real_data):
    assert collection_checksums(real_data / "uci") == known_sets()


@pytest.mark.parametrize("name", INCOMPLETE)
def test_a_set_without_its_large_file_says_which_one(real_data, name):
    if presence(f"uci/{name}") != "incomplete":
        pytest.skip(f"uci/{name} is not there, or it is there with its large file")
    with pytest.raises(MissingDataError, match=rf"uci/{name}: its folder .* lacks the file {name}_(train_)?R.dat"):
        load(f"uci/{name}")


def test_abalone_is_what_the_collection_says(real_data):
    dataset = load("uci/abalone")
    assert dataset.inputs.shape == (4177, 8)
    assert np.bincount(dataset.labels).tolist() == [1407, 1323, 1447]
    assert [len(dataset.splits[0].train), len(dataset.splits[0].validation)] == [2089, 2088]
    assert np.allclose(dataset.inputs.mean(axis=0), 0, atol=1e-5)  # six digits are written
    assert np.allclose(dataset.inputs.std(axis=0, ddof=1), 1, atol=1e-4)
    assert "files verified by SHA-256" in dataset.provenance
    assert dataset.sha256 == "62dfd7a6c9280fda098333e5794f59c45407f2ff575af8226b9df93b29364cbf"


def test_hill_valley_comes_on_one_scale(real_data):
    dataset = load("uci/hill-valley")
    final = dataset.splits[-1]
    assert np.abs(dataset.inputs[final.test].mean(axis=0)).max() < 1e-5
    assert np.abs(dataset.inputs[final.train].std(axis=0) - 1).max() < 1e-5


def test_every_set_at_hand_loads_under_both_protocols(real_data):
    names = [name for name in dataset_names() if name.startswith("uci/") and presence(name) == "yes"]
    if not names:
        pytest.skip("no set of the collection is there")
    two_files = set()
    for name in names:
        collection, nested = load(name), load(name, protocol="nested")
        stem = name.removeprefix("uci/")
        known = known_sets().get(stem)
        assert collection.sha256 == nested.sha256
        assert collection.splits[0].name == "selection"
        tests = [split.name for split in collection.splits[1:]]
        assert tests == [split.name for split in nested.splits]
        for split, divided in zip(collection.splits[1:], nested.splits, strict=True):
            assert np.array_equal(split.test, divided.test)
            assert np.array_equal(np.sort(np.concatenate([divided.train, divided.validation])), np.sort(split.train))
        if tests == ["train-test"]:
            two_files.add(stem)
            final = collection.splits[1]
            assert collection.splits[0].train.max() < len(final.train)  # selection lies inside the training file
            for rows in (final.train, final.test):
                deviations = collection.inputs[rows].std(axis=0, dtype=np.float64)
                assert np.abs(collection.inputs[rows].mean(axis=0, dtype=np.float64)).max() < 1e-5
                assert np.minimum(np.abs(deviations - 1), deviations).max() < 1e-5  # 1, or 0 where a feature is constant in the file
        else:
            assert tests == ["fold-1", "fold-2", "fold-3", "fold-4"]
        if known is not None:
            assert len(collection) == known["rows"] + (known["test_rows"] or 0)
            assert (len(collection.classes), collection.input_shape) == (known["classes"], (known["features"],))
            assert (stem in two_files) == bool(known["test_rows"])
    at_hand = {name.removeprefix("uci/") for name in names}
    assert {"hill-valley", "monks-1", "spect"} & at_hand <= two_files
