"""Whatever an archive holds, the target folder holds the expected files afterwards or is not there, and nothing lies outside it."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import tarfile

from hostile import fuzzed, mutated
from hypothesis import given
from hypothesis import strategies as st

from skipbench.datasets.archives import Expected, extract_folder

FILES = {"a": b"one", "b": b"two" * 20}
EXPECTED = Expected(folder="set", files=FILES.__contains__, max_files=5, max_bytes=2000)
AMONG_OTHERS = Expected(folder="set", files=FILES.__contains__, max_files=12, max_bytes=2000, others=True)
NAMES = ["set", "set/a", "set/b", "./set/a", "set//b", "set/./a", "a", "b", "other/a", "set/c", "set/deeper/a", "x/set/a", "set/a/b"]
ODD_NAMES = [
    "../a", "set/../../a", "/set/a", "/var/a", "set\\..\\a", "..", ".", "", "/", "set/..", "C:\\a", "set/a\n", "set/\u202ea",
    "set/" + "n" * 300, "set/a\x00b", "~/a", "set/ a", "set/\udcff",
]  # fmt: skip
KINDS = [tarfile.REGTYPE] * 8 + [tarfile.DIRTYPE] * 2 + [b"V", b"S", b"K", b"x", b"7", b"Z"]
KINDS += [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE]


@st.composite
def members(draw: st.DrawFn) -> tuple[tarfile.TarInfo, bytes]:
    strange = draw(st.integers(0, 7)) == 0
    member = tarfile.TarInfo(draw(st.sampled_from(ODD_NAMES if strange else NAMES)))
    member.type = draw(st.sampled_from(KINDS)) if strange else tarfile.REGTYPE
    member.linkname = draw(st.sampled_from(["", "/etc/passwd", "../../a", "set/b", "a"]))
    member.mode = draw(st.sampled_from([0o644, 0o7777, 0]))
    content = draw(st.sampled_from([b"", b"one", b"x" * 600, b"y" * 3000])) if member.isreg() else b""
    member.size = len(content)
    return member, content


def packed(entries: list[tuple[tarfile.TarInfo, bytes]], level: int = 6) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", errors="surrogateescape") as archive:
        for member, content in entries:
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(stream.getvalue(), level, mtime=0)


def plain(name: str, content: bytes) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    return member, content


VALID = packed([plain(f"set/{name}", content) for name, content in FILES.items()])
HEADERS = gzip.decompress(VALID)[:2048]


def hostile_archives() -> st.SearchStrategy[tuple[str, bytes]]:
    repacked = mutated(HEADERS, most=2).map(lambda changed: gzip.compress(changed + bytes(1024), mtime=0))
    return st.one_of(
        st.tuples(st.just("changed"), mutated(VALID, most=2)),
        st.tuples(st.just("repacked"), repacked),
        st.tuples(st.just("built"), st.lists(members(), min_size=1, max_size=4).map(packed)),
        st.tuples(st.just("random"), st.binary(max_size=60) | st.binary(max_size=60).map(lambda content: gzip.compress(content, mtime=0))),
    )


def test_an_archive_fills_its_target_or_leaves_everything_as_it_was(inbox, judge):
    archive, target, bystander = inbox / "archive.tar.gz", inbox / "root" / "set", inbox / "root" / "bystander"
    bystander.mkdir(parents=True)
    (bystander / "a").write_bytes(b"mine")

    def extract(expected: Expected) -> bool:
        try:
            extract_folder(archive, target, expected)
        finally:
            found = sorted(os.path.join(place, name) for place, folders, files in os.walk(inbox) for name in (*folders, *files))
            allowed = [
                str(path) for path in (archive, inbox / "root", bystander, bystander / "a", target, *(target / name for name in FILES))
            ]
            assert set(found) <= set(allowed)
        return True

    @fuzzed
    @given(case=hostile_archives(), among_others=st.booleans())
    def run(case, among_others):
        kind, content = case
        archive.write_bytes(content)
        shutil.rmtree(target, ignore_errors=True)
        found = judge(kind, lambda: extract(AMONG_OTHERS if among_others else EXPECTED), names="archive.tar.gz", writes=True)
        assert target.exists() == (found is not None)
        assert all(path.is_file() and not path.is_symlink() for path in target.glob("*"))
        assert sum(path.stat().st_size for path in target.glob("*")) <= EXPECTED.max_bytes
        assert (bystander / "a").read_bytes() == b"mine"
        assert archive.read_bytes() == content

    run()
    judge.check_spread({"changed": 0.002, "built": 0.02}, {"changed": 0.5, "repacked": 0.2, "built": 0.3, "random": 1.0}, n_reasons=7)
