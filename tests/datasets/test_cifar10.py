"""CIFAR-10: official order, seeded balanced subsets, and no file that is not the official one."""

from __future__ import annotations

import hashlib
import os
import pickle

import numpy as np
import pytest

from skipbench.checks import MissingDataError, SkipbenchError, TamperedDataError
from skipbench.datasets import cifar10, load
from skipbench.datasets.cifar10 import parse_batch


def read(folder, file):
    return parse_batch((folder / file).read_bytes(), file)


def test_rows_are_the_training_files_in_order_and_then_the_test_file(small_cifar10, tmp_path):
    dataset = load("cifar10", tmp_path)
    files = [read(small_cifar10, file) for file in (*cifar10.TRAINING_FILES, "test_batch")]
    images = np.concatenate([images for images, _ in files]).reshape(-1, 3, 32, 32)
    assert dataset.inputs.shape == (360, 3, 32, 32)
    assert np.array_equal(dataset.inputs, images.astype(np.float32) / np.float32(255))
    assert np.array_equal(dataset.labels, np.concatenate([labels for _, labels in files]))
    assert dataset.inputs.min() == 0
    assert dataset.inputs.max() == 1


def test_the_whole_set_has_one_stratified_split_and_the_official_test_rows(small_cifar10, tmp_path):
    dataset = load("cifar10", tmp_path)
    (split,) = dataset.splits
    assert (len(split.train), len(split.validation)) == (270, 30)
    assert np.bincount(dataset.labels[split.validation]).tolist() == [3] * 10
    assert np.array_equal(split.test, np.arange(300, 360))
    assert max(split.train.max(), split.validation.max()) < 300


@pytest.mark.parametrize("n", [10, 15, 50, 103])
def test_a_subset_is_balanced_in_every_part_and_never_trains_on_test_rows(small_cifar10, tmp_path, n):
    whole, subset = load("cifar10", tmp_path), load("cifar10", tmp_path, n=n, n_test=20)
    (split,) = subset.splits
    place = {row.tobytes(): number for number, row in enumerate(whole.inputs)}
    for rows, size in ((split.train, n), (split.validation, max(10, n // 5)), (split.test, 20)):
        counts = np.bincount(subset.labels[rows], minlength=10)
        assert counts.sum() == size
        assert counts.max() - counts.min() <= 1
        of_whole = np.array([place[subset.inputs[row].tobytes()] for row in rows])
        assert np.array_equal(whole.labels[of_whole], subset.labels[rows])
        assert ((of_whole >= 300) == (rows is split.test)).all()
        assert (np.diff(of_whole) > 0).all()  # official order
    assert len(subset) == len(split.train) + len(split.validation) + len(split.test)


def test_subsets_of_one_seed_are_nested_and_keep_validation_apart(small_cifar10, tmp_path):
    parts = {}
    for n in (10, 60, 200):
        dataset = load("cifar10", tmp_path, n=n)
        parts[n] = [{dataset.inputs[row].tobytes() for row in rows} for rows in (dataset.splits[0].train, dataset.splits[0].validation)]
    assert parts[10][0] < parts[60][0] < parts[200][0]
    assert not parts[200][0] & (parts[10][1] | parts[60][1])


def test_the_seed_decides_a_subset(small_cifar10, tmp_path):
    first, again, other = (load("cifar10", tmp_path, n=30, n_test=30, seed=seed).sha256 for seed in (0, 0, 1))
    assert first == again != other


def test_all_test_rows_are_kept_where_n_test_is_left_out(small_cifar10, tmp_path):
    assert len(load("cifar10", tmp_path, n=10).splits[0].test) == 60
    assert len(load("cifar10", tmp_path, n_test=10).splits[0].train) == 270


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 50_001}, "cifar10: n=50001, but the set has 50000 training rows"),
        ({"n": 45_000}, "cifar10: n=45000 training rows and 9000 further ones for validation are more than the 50000 .* at most 41666"),
        ({"n": 9}, "cifar10: n=9 is too small for one training row of each of 10 classes"),
        ({"n_test": 10_001}, "cifar10: n_test=10001, but the set has 10000 test rows"),
        ({"n_test": 3}, "cifar10: n_test=3 is too small"),
        ({"protocol": "nested"}, 'no protocol "nested" for cifar10'),
    ],
)
def test_a_subset_that_cannot_be_had_is_named_before_any_file_is_looked_for(tmp_path, options, message):
    with pytest.raises(SkipbenchError, match=message):
        load("cifar10", tmp_path, **options)


def test_the_largest_subset_fits(small_cifar10, tmp_path):
    (split,) = load("cifar10", tmp_path, n=250).splits
    assert (len(split.train), len(split.validation)) == (250, 50)


def test_missing_files_are_named_with_the_places_and_the_command(small_cifar10, tmp_path):
    with pytest.raises(MissingDataError) as caught:
        load("cifar10", tmp_path / "empty")
    for part in (tmp_path / "empty" / "cifar-10-batches-py", "data_batch_1", "skipbench data fetch cifar10"):
        assert str(part) in str(caught.value)
    (small_cifar10 / "data_batch_4").unlink()
    with pytest.raises(MissingDataError, match=r"lacks the file data_batch_4.*skipbench data fetch cifar10"):
        load("cifar10", tmp_path)


def test_a_changed_batch_is_refused_by_its_checksum(small_cifar10, tmp_path):
    path = small_cifar10 / "data_batch_2"
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    with pytest.raises(TamperedDataError, match=r"data_batch_2 is not the official file: its MD5 is .*Nothing of it was used"):
        load("cifar10", tmp_path)


def test_a_truncated_batch_is_refused(small_cifar10, tmp_path):
    path = small_cifar10 / "test_batch"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(TamperedDataError, match="test_batch is not the official file"):
        load("cifar10", tmp_path)


def test_a_huge_file_is_refused_before_it_is_read(small_cifar10, tmp_path):
    os.truncate(small_cifar10 / "data_batch_1", 2**36)  # sparse: takes no room
    with pytest.raises(TamperedDataError, match="has 68719476736 bytes, but no batch"):
        load("cifar10", tmp_path)


def test_a_malicious_pickle_is_refused_even_with_the_right_checksum(small_cifar10, tmp_path, monkeypatch):
    class Hostile:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "made-by-the-pickle"),))

    content = pickle.dumps(Hostile(), protocol=2)
    (small_cifar10 / "data_batch_3").write_bytes(content)
    monkeypatch.setitem(cifar10.MD5, "data_batch_3", hashlib.md5(content, usedforsecurity=False).hexdigest())
    with pytest.raises(TamperedDataError, match=r"asks for 'posix.mkdir'"):
        load("cifar10", tmp_path)
    assert not (tmp_path / "made-by-the-pickle").exists()


@pytest.mark.parametrize(
    ("rows", "columns", "labels", "message"),
    [
        (59, 3072, None, r"its data has shape \(59, 3072\), but a CIFAR-10 batch has \(60, 3072\)"),
        (60, 3071, None, r"its data has shape \(60, 3071\)"),
        (60, 3072, [0] * 59, "its labels are no list of 60 numbers"),
        (60, 3072, [0] * 59 + [10], "label 10, but a CIFAR-10 label is 0 to 9"),
    ],
)
def test_a_batch_of_wrong_sizes_is_refused(small_cifar10, python2_batch, rows, columns, labels, message):
    content = python2_batch(np.zeros((rows, columns), dtype=np.uint8), [0] * rows if labels is None else labels)
    with pytest.raises(TamperedDataError, match=f"batch: {message}"):
        parse_batch(content, "batch")


def test_a_batch_with_other_keys_is_refused(small_cifar10, python2_batch):
    content = python2_batch(np.zeros((60, 3072), dtype=np.uint8), [0] * 60).replace(b"batch_label", b"batch_lapel")
    with pytest.raises(TamperedDataError, match="a CIFAR-10 batch has the keys batch_label, data, filenames, labels"):
        parse_batch(content, "batch")
    with pytest.raises(TamperedDataError, match="holds 7, but a CIFAR-10 batch has the keys"):
        parse_batch(b"\x80\x02K\x07.", "batch")


def test_the_real_set_is_the_official_one(real_data):
    dataset = load("cifar10", n=500, n_test=1000)
    assert [len(part) for part in (dataset.splits[0].train, dataset.splits[0].validation, dataset.splits[0].test)] == [500, 100, 1000]
    assert np.bincount(dataset.labels).tolist() == [160] * 10
    assert dataset.classes[:3] == ("airplane", "automobile", "bird")
    assert 0 <= dataset.inputs.min() < dataset.inputs.max() <= 1
    # Written down once: another checksum would mean other rows, and no recorded result could be compared any more.
    assert dataset.sha256 == "7b5506a36dd0d9a5518c0a67d226241f114b628f9b8b321decca860e6f903c38"


def test_the_first_real_images_are_a_frog_and_a_truck_and_their_pixels_are_known(real_data):
    images, labels = read(real_data / cifar10.FOLDER, "data_batch_1")
    assert labels[:5].tolist() == [6, 9, 9, 4, 1]
    # the first three red values of the first row of the first image, as published everywhere
    assert images[0, :3].tolist() == [59, 43, 50]
    assert images[0, 1024:1027].tolist() == [62, 46, 48]
