"""A folder of its own for each fuzz test: whatever else appears in it, or beside it, was written by what is tested."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile import Judge


def _listing(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.lstat().st_size for path in folder.rglob("*")}


@pytest.fixture
def inbox(tmp_path, monkeypatch) -> Iterator[Path]:
    """The folder for hostile files; the current folder and the one for temporary files lie beside it and stay empty."""
    for name in ("inbox", "here", "temporary"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    yield tmp_path / "inbox"
    found = _listing(tmp_path)
    assert sorted(name for name in found if not name.startswith("inbox")) == ["here", "temporary"]


@pytest.fixture
def judge() -> Judge:
    """Runs a reader on hostile inputs and counts what became of them."""
    return Judge()
