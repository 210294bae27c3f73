"""Fetching: downloaded once from where the source says, checked, unpacked; nothing wrong is ever used. The server is a local one."""

from __future__ import annotations

import functools
import hashlib
import http.server
import tarfile
import threading

import pooch
import pytest

from skipbench.checks import MissingDataError, SkipbenchError, TamperedDataError
from skipbench.datasets import cifar10, fetch, load, svhn, uci, uci_checksums, verify
from skipbench.datasets.uci_checksums import collection_checksums


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    requests: list[str] = []  # noqa: RUF012 - one server, one list

    def log_message(self, format, *arguments):
        self.requests.append(self.path)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serves tmp_path/served; yields that folder and the server's address."""
    folder = tmp_path / "served"
    folder.mkdir()
    QuietHandler.requests.clear()
    handler = functools.partial(QuietHandler, directory=str(folder))
    monkeypatch.setattr(pooch.get_logger(), "disabled", True)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield folder, f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.fixture
def served_cifar10(server, small_cifar10, monkeypatch):
    """The small CIFAR-10 as an archive on the server, with its checksum expected."""
    folder, address = server
    archive = folder / "cifar.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(small_cifar10, arcname=cifar10.FOLDER)
    monkeypatch.setattr(cifar10, "SOURCE", f"{address}/cifar.tar.gz")
    monkeypatch.setattr(cifar10, "ARCHIVE_MD5", hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest())
    return archive


@pytest.fixture
def served_svhn(server, small_svhn, monkeypatch):
    """Both files of the small SVHN on the server; returns the folder that is served."""
    folder, address = server
    for file in svhn.MD5:
        (folder / file).write_bytes((small_svhn / file).read_bytes())
    monkeypatch.setattr(svhn, "SOURCE", address)
    return folder


@pytest.fixture
def served_uci(server, uci_set, tmp_path, monkeypatch):
    """Two sets in one archive on the server; the checksums of `toy` are known, those of `other` are not."""
    folder, address = server
    uci_set("toy")
    known = collection_checksums(tmp_path / "uci")
    uci_set("other")
    with tarfile.open(folder / "data.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "uci", arcname=".")
    monkeypatch.setattr(uci, "SOURCE", f"{address}/data.tar.gz")
    monkeypatch.setattr(uci_checksums, "known_sets", lambda: known)
    monkeypatch.setattr("skipbench.datasets.registry.UNVERIFIED_NAMES", ("other",))
    monkeypatch.setattr("skipbench.datasets.registry.known_sets", lambda: known)
    monkeypatch.setattr("skipbench.datasets.verification.known_sets", lambda: known)
    return folder / "data.tar.gz"


def test_cifar10_is_fetched_checked_and_loads(served_cifar10, tmp_path):
    root = tmp_path / "root"
    with pytest.raises(MissingDataError, match="skipbench data fetch cifar10"):
        load("cifar10", root)
    assert fetch("cifar10", root) == root / cifar10.FOLDER
    assert load("cifar10", root).sha256 == load("cifar10", tmp_path).sha256


def test_what_is_there_is_not_fetched_again(served_cifar10, tmp_path):
    for _ in range(3):
        fetch("cifar10", tmp_path / "root")
    assert len(QuietHandler.requests) == 1


def test_progress_is_told_while_it_downloads(served_cifar10, tmp_path):
    class Bar:
        total, done, closed = None, 0, False

        def update(self, n_bytes):
            self.done += n_bytes

        def reset(self):
            self.done = 0

        def close(self):
            self.closed = True

    bar = Bar()
    fetch("cifar10", tmp_path / "root", progressbar=bar)
    assert bar.total == bar.done == served_cifar10.stat().st_size
    assert bar.closed


def test_loading_never_downloads(served_cifar10, served_uci, tmp_path):
    for name in ("cifar10", "uci/toy"):
        with pytest.raises(MissingDataError):
            load(name, tmp_path / "root")
    assert QuietHandler.requests == []


def test_an_archive_with_a_wrong_checksum_is_refused(served_cifar10, tmp_path):
    served_cifar10.write_bytes(served_cifar10.read_bytes()[:-20] + bytes(20))
    with pytest.raises(TamperedDataError, match=r"cifar\.tar\.gz: MD5 hash of downloaded file"):
        fetch("cifar10", tmp_path / "root")
    assert list((tmp_path / "root").iterdir()) == []


def test_an_archive_that_was_put_there_is_used_without_a_connection(served_cifar10, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "cifar-10-python.tar.gz").write_bytes(served_cifar10.read_bytes())
    fetch("cifar10", root)
    assert QuietHandler.requests == []
    assert (root / cifar10.FOLDER / "test_batch").is_file()


def test_a_wrong_archive_that_was_put_there_is_named(served_cifar10, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "cifar-10-python.tar.gz").write_bytes(served_cifar10.read_bytes()[:-1])
    with pytest.raises(TamperedDataError, match=r"cifar-10-python\.tar\.gz: its md5 is .* delete it and fetch it again"):
        fetch("cifar10", root)
    assert not (root / cifar10.FOLDER).exists()


def test_a_right_archive_with_a_wrong_file_is_refused(served_cifar10, small_cifar10, tmp_path, monkeypatch):
    monkeypatch.setitem(cifar10.MD5, "data_batch_3", "0" * 32)
    with pytest.raises(TamperedDataError, match="data_batch_3 does not have the right checksum"):
        fetch("cifar10", tmp_path / "root")
    assert not (tmp_path / "root" / cifar10.FOLDER).exists()


def test_a_wrong_file_that_is_there_is_not_overwritten(served_cifar10, tmp_path):
    fetch("cifar10", tmp_path / "root")
    path = tmp_path / "root" / cifar10.FOLDER / "data_batch_1"
    path.write_bytes(b"mine")
    with pytest.raises(TamperedDataError, match="data_batch_1 does not have the right checksum"):
        fetch("cifar10", tmp_path / "root")
    assert path.read_bytes() == b"mine"


def test_a_lost_file_is_put_back(served_cifar10, tmp_path):
    fetch("cifar10", tmp_path / "root")
    (tmp_path / "root" / cifar10.FOLDER / "data_batch_2").unlink()
    fetch("cifar10", tmp_path / "root")
    assert load("cifar10", tmp_path / "root").sha256 == load("cifar10", tmp_path).sha256


def test_svhn_is_fetched_checked_and_loads(served_svhn, tmp_path):
    root = tmp_path / "root"
    with pytest.raises(MissingDataError, match="skipbench data fetch svhn"):
        load("svhn", root)
    assert fetch("svhn", root) == root / "svhn"
    assert load("svhn", root).sha256 == load("svhn", tmp_path).sha256
    assert [check.status for check in verify("svhn", root)] == ["ok", "ok"]
    fetch("svhn", root)
    assert sorted(QuietHandler.requests) == ["/test_32x32.mat", "/train_32x32.mat"]
    assert sorted(path.name for path in root.rglob("*")) == ["svhn", "test_32x32.mat", "train_32x32.mat"]


def test_only_the_file_of_svhn_that_is_missing_is_fetched(served_svhn, small_svhn, tmp_path):
    (small_svhn / "test_32x32.mat").unlink()
    assert fetch("svhn", tmp_path) == small_svhn
    assert QuietHandler.requests == ["/test_32x32.mat"]


@pytest.mark.parametrize("file", ["train_32x32.mat", "test_32x32.mat"])
def test_a_file_of_svhn_with_a_wrong_checksum_is_never_kept(served_svhn, tmp_path, file):
    (served_svhn / file).write_bytes((served_svhn / file).read_bytes()[:-8])
    with pytest.raises(TamperedDataError, match=rf"{file}: MD5 hash of downloaded file"):
        fetch("svhn", tmp_path / "root")
    assert not (tmp_path / "root" / "svhn" / file).exists()


def test_a_wrong_file_of_svhn_that_is_there_is_not_overwritten(served_svhn, small_svhn, tmp_path):
    (small_svhn / "test_32x32.mat").write_bytes(b"mine")
    with pytest.raises(TamperedDataError, match=r"test_32x32\.mat does not have the right checksum"):
        fetch("svhn", tmp_path)
    assert (small_svhn / "test_32x32.mat").read_bytes() == b"mine"
    assert QuietHandler.requests == []


def test_a_source_of_svhn_that_cannot_be_reached_is_named_with_the_way_round(served_svhn, tmp_path, monkeypatch):
    monkeypatch.setattr(svhn, "SOURCE", "http://127.0.0.1:9")
    with pytest.raises(SkipbenchError, match=r"http://127.0.0.1:9/train_32x32.mat could not be fetched: .* put the file at .*train_32x32"):
        fetch("svhn", tmp_path / "root")


def test_one_archive_serves_every_set_of_the_collection(served_uci, tmp_path):
    root = tmp_path / "root"
    assert fetch("uci/toy", root) == root / "uci" / "toy"
    fetch("uci/other", root)
    assert len(QuietHandler.requests) == 1
    assert "files verified by SHA-256" in load("uci/toy", root).provenance
    assert "unverified" in load("uci/other", root).provenance


def test_a_set_of_the_collection_with_a_wrong_checksum_is_not_unpacked(served_uci, tmp_path, monkeypatch):
    monkeypatch.setitem(uci_checksums.known_sets()["toy"]["sha256"], "toy_R.dat", "0" * 64)
    with pytest.raises(TamperedDataError, match=r"toy_R.dat does not have the right checksum"):
        fetch("uci/toy", tmp_path / "root")
    assert not (tmp_path / "root" / "uci" / "toy").exists()


def test_an_archive_without_a_needed_file_is_refused(server, served_uci, uci_set, tmp_path):
    (tmp_path / "uci" / "other" / "other_R.dat").unlink()
    with tarfile.open(served_uci, "w:gz") as tar:
        tar.add(tmp_path / "uci", arcname="data")
    with pytest.raises(TamperedDataError, match=r"uci-data\.tar\.gz lacks other_R\.dat"):
        fetch("uci/other", tmp_path / "root")


def test_a_source_that_cannot_be_reached_is_named_with_the_way_round(served_cifar10, tmp_path, monkeypatch):
    monkeypatch.setattr(cifar10, "SOURCE", "http://127.0.0.1:9/cifar.tar.gz")
    with pytest.raises(SkipbenchError, match=r"http://127.0.0.1:9/cifar.tar.gz could not be fetched: .* put the file at .*cifar-10-python"):
        fetch("cifar10", tmp_path / "root")


def test_a_source_that_answers_with_an_error_is_named(server, small_cifar10, tmp_path, monkeypatch):
    monkeypatch.setattr(cifar10, "SOURCE", f"{server[1]}/absent.tar.gz")
    with pytest.raises(SkipbenchError, match=r"absent.tar.gz could not be fetched: .*404"):
        fetch("cifar10", tmp_path / "root")


@pytest.mark.parametrize("name", ["iris", "digits-images"])
def test_a_bundled_set_needs_no_download(name, tmp_path):
    assert fetch(name, tmp_path) is None
    assert list(tmp_path.iterdir()) == []
