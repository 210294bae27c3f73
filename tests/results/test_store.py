"""The store: atomic, one file a key, and nothing that lies in its folder can break or hurt it."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings

import pytest

from skipbench.checks import SkipbenchError
from skipbench.results import ResultStore, StoreWarning
from skipbench.results.store import LARGEST_FILE_BYTES, file_name


@pytest.fixture
def store(tmp_path):
    return ResultStore(tmp_path / "store")


def files(store):
    return sorted(path.name for path in store.folder.iterdir())


def test_a_written_record_is_found_again_by_its_key(store, make_cell):
    record = make_cell(dataset="wine", split=3, family="network", seed=7, width=64)
    path = store.write(record)
    assert path.parent == store.folder
    assert store.read(record.key) == record == store.get(record.key)
    assert record.key in store
    assert list(store.records()) == [record]
    assert "f" * 64 not in store
    assert store.get("f" * 64) is None


def test_a_new_store_object_sees_what_another_one_wrote(store, make_cell):
    record, later = make_cell(), make_cell(split=1)
    store.write(record)
    other = ResultStore(store.folder)
    assert record.key in other
    store.write(later)
    assert later.key in other  # although the folder was listed a moment ago


def test_the_file_is_strict_sorted_indented_json_with_a_trailing_newline(store, make_cell):
    text = store.write(make_cell()).read_text()
    names = [line.split('"')[1] for line in text.splitlines() if line.startswith(' "')]
    assert text.startswith("{\n ")
    assert text.endswith("\n}\n")
    assert names == sorted(names)


def test_one_key_is_one_file_even_when_its_label_changes(store, make_cell):
    first = make_cell(label="old name")
    second = make_cell(label="new name", key=first.key, accuracy=0.5)
    assert store.write(first) == store.write(second)
    assert len(files(store)) == 1
    assert store.read(first.key) == second


def test_a_file_name_says_what_it_holds_and_is_safe(make_cell):
    record = make_cell(dataset="uci/../../abalone", label='NTK "ridge", ResCNN(3, α=L^-0.5)/' + "x" * 500, split=2, seed=1)
    name = file_name(record)
    assert name.startswith("uci-..-..-abalone-ntk-ridge-rescnn-3-")
    assert name.endswith(f"-split2-seed1-{record.key[:16]}.json")
    assert len(name) <= 128
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")


def test_what_is_no_record_is_skipped_named_and_left_alone(store, make_cell, tmp_path):
    record = make_cell()
    good = store.write(record)
    outside = tmp_path / "outside.json"
    outside.write_text(good.read_text())
    foreign = {
        "broken.json": b'{"kind": "cell"',
        "binary.json": b"\xff\xfe\x00",
        "foreign.json": b'{"name": "package"}',
        "list.json": b"[1, 2]",
        "nan.json": good.read_bytes().replace(b'"accuracy", "unit": "", "value": 0.9', b'"accuracy", "unit": "", "value": NaN'),
        "newer.json": good.read_bytes().replace(b'"schema_version": 1', b'"schema_version": 2'),
        "extra.json": good.read_bytes().replace(b'"device": "cpu"', b'"device": "cpu", "host": "ada"'),
        "empty.json": b"",
    }
    for name, content in foreign.items():
        assert content != good.read_bytes()
        (store.folder / name).write_bytes(content)
    (store.folder / "link.json").symlink_to(outside)
    (store.folder / "folder.json").mkdir()
    os.mkfifo(store.folder / "pipe.json")
    before = files(store)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert list(store.records()) == [record]
    messages = [str(warning.message) for warning in caught if warning.category is StoreWarning]
    for name in (*foreign, "link.json", "folder.json", "pipe.json"):
        assert sum(f'"{name}"' in message for message in messages) == 1, name
    assert any("NaN is no strict JSON" in message for message in messages)
    assert any("schema_version 2" in message for message in messages)
    assert any("host: Extra inputs are not permitted" in message for message in messages)
    assert files(store) == before


def test_a_huge_file_is_skipped_without_reading_it(store, make_cell):
    store.write(make_cell())
    with open(store.folder / "huge.json", "wb") as file:
        file.truncate(LARGEST_FILE_BYTES + 1)  # sparse: takes no room
    with pytest.warns(StoreWarning, match=r'"huge.json" has 33554433 bytes'):
        assert len(list(store.records())) == 1


def test_what_a_killed_run_left_behind_is_no_record_and_no_warning(store, make_cell):
    path = store.write(make_cell())
    (store.folder / f".{path.name}.0123456789abcdef.tmp").write_text('{"half": ')
    assert len(list(store.records())) == 1


def test_a_record_in_a_corrupt_file_counts_as_absent_and_writing_it_keeps_the_corrupt_one_aside(store, make_cell):
    record = make_cell()
    path = store.write(record)
    path.write_text("{ cut off")
    with pytest.warns(StoreWarning, match="no strict JSON"):
        assert record.key not in store
    with pytest.raises(SkipbenchError, match="no strict JSON"):
        store.read(record.key)
    with pytest.warns(StoreWarning, match="is kept as"):
        assert store.write(record) == path
    assert store.read(record.key) == record
    assert (store.folder / f"{path.name}.aside-1").read_text() == "{ cut off"


def test_a_file_with_another_key_than_its_name_says_is_not_taken_for_it(store, make_cell):
    record, other = make_cell(), make_cell(split=1)
    path = store.write(record)
    path.write_text(path.read_text().replace(record.key, other.key))
    with pytest.warns(StoreWarning, match="holds another key"):
        assert store.get(record.key) is None


def test_the_copy_of_a_record_counts_once(store, make_cell):
    path = store.write(make_cell())
    (store.folder / "a-copy.json").write_text(path.read_text())
    with pytest.warns(StoreWarning, match="holds the key of an earlier file"):
        assert len(list(store.records())) == 1


def test_reading_a_key_that_is_not_there_names_key_and_folder(store):
    with pytest.raises(SkipbenchError, match=rf'no record "{"a" * 64}" in ".*store"'):
        store.read("a" * 64)


def test_an_unwritable_folder_is_said_before_anything_is_computed(tmp_path):
    occupied = tmp_path / "file"
    occupied.write_text("")
    with pytest.raises(SkipbenchError, match=r"cannot be written .* nothing was computed: name another one with --results DIR"):
        ResultStore(occupied / "store").check_writable()


def test_check_writable_makes_the_folder_and_leaves_nothing_in_it(store):
    store.check_writable()
    assert files(store) == []


def test_a_folder_that_turned_unwritable_refuses_the_record(tmp_path, make_cell):
    occupied = tmp_path / "file"
    occupied.write_text("")
    with pytest.raises(SkipbenchError, match=r"record \w{16} not written"):
        ResultStore(occupied).write(make_cell())


def test_a_failed_write_leaves_the_old_record_and_no_temporary_file(store, make_cell, monkeypatch):
    record = make_cell()
    store.write(record)
    before = files(store)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SkipbenchError, match="No space left on device"):
        store.write(make_cell(key=record.key, accuracy=0.1))
    monkeypatch.undo()
    assert files(store) == before
    assert store.read(record.key) == record


KILLED = """
import os, sys
from skipbench.results import ResultStore, store
from skipbench.results.store import read_record
from pathlib import Path
record = read_record(Path(sys.argv[1]))
os.replace = lambda *_: os.kill(os.getpid(), 9)
ResultStore(sys.argv[2]).write(record.model_copy(update={"status": "failed"}))
"""


def test_a_process_killed_before_the_rename_loses_only_its_own_record(store, make_cell):
    record = make_cell()
    path = store.write(record)
    done = subprocess.run([sys.executable, "-c", KILLED, str(path), str(store.folder)], check=False, timeout=60)
    assert done.returncode == -9
    assert len(files(store)) == 2  # the temporary file is there
    assert list(store.records()) == [record]
