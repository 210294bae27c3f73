"""An archive gives its expected files, or an error and nothing at all."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import shutil
import tarfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skipbench.checks import SkipbenchError, TamperedDataError
from skipbench.datasets.archives import Expected, extract_folder

FILES = frozenset({"a", "b"})
EXACT = Expected(folder="set", files=FILES.__contains__, max_files=4, max_bytes=1000)
AMONG_OTHERS = Expected(folder="set", files=FILES.__contains__, max_files=10, max_bytes=1000, others=True)


def folder_member(name):
    member = tarfile.TarInfo(name)
    member.type = tarfile.DIRTYPE
    return member, b""


def special(name, kind, linkname=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, linkname
    return member, b""


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def nothing_was_left(tmp_path):
    return sorted(path.name for path in tmp_path.rglob("*")) == ["archive.tar.gz"]


def test_the_expected_folder_is_unpacked(write_archive, tmp_path):
    archive = write_archive(folder_member("set"), ("set/a", b"one"), ("set/b", b"two"))
    checksum = hashlib.sha256(archive.read_bytes()).hexdigest()
    extract_folder(archive, tmp_path / "deep" / "target", EXACT, checksum=f"sha256:{checksum}")
    assert contents(tmp_path / "deep" / "target") == {"a": b"one", "b": b"two"}
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["target"]  # no temporary folder stays


def test_one_folder_among_others_is_unpacked_wherever_it_lies(write_archive, tmp_path):
    archive = write_archive(("./data/other/a", b"no"), ("./data/set/a", b"one"), ("./data/set/z", b"no"), ("./data/set/deeper/b", b"no"))
    extract_folder(archive, tmp_path / "target", AMONG_OTHERS)
    assert contents(tmp_path / "target") == {"a": b"one"}


def test_a_folder_that_is_there_receives_only_what_it_lacks(write_archive, tmp_path):
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "a").write_bytes(b"mine")
    extract_folder(write_archive(("set/a", b"one"), ("set/b", b"two")), tmp_path / "target", EXACT)
    assert contents(tmp_path / "target") == {"a": b"mine", "b": b"two"}


def test_modes_and_owners_of_the_archive_are_not_kept(write_archive, tmp_path):
    member = tarfile.TarInfo("set/a")
    member.mode = 0o6777
    extract_folder(write_archive((member, b"one")), tmp_path / "target", EXACT)
    assert (tmp_path / "target" / "a").stat().st_mode & 0o7022 == 0


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (("../a", b"x"), r"'\.\./a', a name that may leave the folder"),
        (("set/../../a", b"x"), "a name that may leave the folder"),
        (("/set/a", b"x"), r"'/set/a', a name that may leave the folder"),
        (("set\\..\\a", b"x"), "a name that may leave the folder"),
        (special("set/a", tarfile.SYMTYPE, "/etc/passwd"), "'set/a', which is a link or a device"),
        (special("set/a", tarfile.LNKTYPE, "set/b"), "which is a link or a device"),
        (special("set/a", tarfile.FIFOTYPE), "which is a link or a device"),
        (special("set/a", tarfile.CHRTYPE), "which is a link or a device"),
        (special("set/a", tarfile.BLKTYPE), "which is a link or a device"),
    ],
)
@pytest.mark.parametrize("expected", [EXACT, AMONG_OTHERS], ids=["exact", "among others"])
def test_a_member_that_could_reach_outside_is_refused(write_archive, tmp_path, member, message, expected):
    archive = write_archive(("set/b", b"good"), member)
    with pytest.raises(TamperedDataError, match=rf"archive.tar.gz holds .*{message}.*Nothing of it was used"):
        extract_folder(archive, tmp_path / "target", expected)
    assert nothing_was_left(tmp_path)


@pytest.mark.parametrize("member", [("set/c", b"x"), ("other/a", b"x"), ("a", b"x"), ("set/deeper/a", b"x"), folder_member("other")])
def test_a_member_that_is_not_expected_is_refused(write_archive, tmp_path, member):
    with pytest.raises(TamperedDataError, match="which is not expected in it"):
        extract_folder(write_archive(("set/a", b"good"), member), tmp_path / "target", EXACT)
    assert nothing_was_left(tmp_path)


def test_more_members_than_expected_are_refused(write_archive, tmp_path):
    archive = write_archive(*((f"other/{number}", b"") for number in range(11)))
    with pytest.raises(TamperedDataError, match="holds more than the expected 10 members"):
        extract_folder(archive, tmp_path / "target", AMONG_OTHERS)


def test_larger_members_than_expected_are_refused(write_archive, tmp_path):
    archive = write_archive(("set/a", bytes(600)), ("set/b", bytes(401)))
    with pytest.raises(TamperedDataError, match=r"unpacks to more than the expected 1000 bytes \(1001 with 'set/b'\)"):
        extract_folder(archive, tmp_path / "target", EXACT)
    assert nothing_was_left(tmp_path)


def test_a_header_that_unpacks_to_gigabytes_is_refused_early(tmp_path):
    # An extended header is read whole by tarfile; this one is announced as small members are, and holds 64 MiB.
    header = tarfile.TarInfo("././@PaxHeader")
    header.type, header.size = tarfile.XHDTYPE, 2**26
    with gzip.open(tmp_path / "archive.tar.gz", "wb", compresslevel=1) as stream:
        stream.write(header.tobuf(tarfile.USTAR_FORMAT))
        for _ in range(64):
            stream.write(bytes(2**20))
    with pytest.raises(TamperedDataError, match="unpacks to more than"):
        extract_folder(tmp_path / "archive.tar.gz", tmp_path / "target", EXACT)


def test_the_same_file_twice_is_refused(write_archive, tmp_path):
    with pytest.raises(TamperedDataError, match="holds the file 'a' twice"):
        extract_folder(write_archive(("set/a", b"one"), ("set/a", b"two")), tmp_path / "target", EXACT)


def test_an_archive_without_the_folder_is_refused(write_archive, tmp_path):
    with pytest.raises(TamperedDataError, match="holds no folder 'set'"):
        extract_folder(write_archive(("other/a", b"one")), tmp_path / "target", AMONG_OTHERS)


def test_a_wrong_checksum_is_refused_before_the_archive_is_opened(tmp_path):
    (tmp_path / "archive.tar.gz").write_bytes(b"no archive at all")
    with pytest.raises(TamperedDataError, match=r"its md5 is .*, but 0000 is right\. Nothing of it was used"):
        extract_folder(tmp_path / "archive.tar.gz", tmp_path / "target", EXACT, checksum="md5:0000")


@pytest.mark.parametrize("kept", [0, 1, 10, 0.3, 0.6, 0.9, -9, -1])
def test_a_truncated_archive_is_refused_wherever_it_was_cut(write_archive, tmp_path, kept):
    noise = hashlib.shake_256(b"seed").digest(400)  # does not compress, so that a cut can fall into it
    archive = write_archive(("set/a", noise), ("set/b", noise))
    content = archive.read_bytes()
    archive.write_bytes(content[: int(kept * len(content))] if isinstance(kept, float) else content[:kept])
    with pytest.raises(TamperedDataError, match="Nothing of it was used"):
        extract_folder(archive, tmp_path / "target", EXACT)
    assert nothing_was_left(tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_changed_byte_anywhere_is_noticed_or_changes_nothing(write_archive, tmp_path, data):
    archive = write_archive(("set/a", b"one"), ("set/b", b"two"))
    content = bytearray(archive.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    archive.write_bytes(content)
    shutil.rmtree(tmp_path / "target", ignore_errors=True)
    with contextlib.suppress(TamperedDataError):
        extract_folder(archive, tmp_path / "target", EXACT)
        assert contents(tmp_path / "target") == {"a": b"one", "b": b"two"}  # e.g. the time stamp of gzip


def test_a_tar_cut_in_the_middle_and_packed_again_is_refused(write_archive, tmp_path):
    archive = write_archive(("set/a", bytes(500)), ("set/b", bytes(500)))
    content = gzip.decompress(archive.read_bytes())
    archive.write_bytes(gzip.compress(content[: 3 * 512 + 100]))  # header and content of a, header of b, 100 of 500 bytes
    with pytest.raises(TamperedDataError, match="Nothing of it was used"):
        extract_folder(archive, tmp_path / "target", EXACT)
    assert nothing_was_left(tmp_path)


def test_files_that_fail_the_callers_check_are_not_used(write_archive, tmp_path):
    def check(folder):
        raise TamperedDataError(f"{sorted(contents(folder))} are wrong")

    with pytest.raises(TamperedDataError, match=r"\['a', 'b'\] are wrong"):
        extract_folder(write_archive(("set/a", b"one"), ("set/b", b"two")), tmp_path / "target", EXACT, check=check)
    assert nothing_was_left(tmp_path)


def test_a_target_that_cannot_be_written_is_named(write_archive, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SkipbenchError, match=r"file cannot be written: .*--root"):
        extract_folder(write_archive(("set/a", b"one")), tmp_path / "file" / "target", EXACT)
