"""The bytes of a file, once its size and checksum are right; nobody parses anything else."""

from __future__ import annotations

import hashlib
from pathlib import Path

from skipbench.checks import SkipbenchError, TamperedDataError


def official_bytes(path: Path, digest: str, *, largest: int, what: str, advice: str) -> bytes:
    """The content of `path`, whose checksum is `digest`, an MD5 (32 hexadecimal digits) or a SHA-256 (64).

    largest: bytes, checked before anything is read. what: the kind of file, e.g. "batch of CIFAR-10". advice: what to do with a wrong one.
    Raises TamperedDataError for another size or checksum, SkipbenchError for a file that cannot be read.
    """
    algorithm, shown_algorithm = ("md5", "MD5") if len(digest) == 32 else ("sha256", "SHA-256")
    try:
        size = path.stat().st_size
        if size > largest:
            raise TamperedDataError(f"{path} has {size} bytes, but no {what} has more than {largest}")
        content = path.read_bytes()
    except OSError as error:
        raise SkipbenchError(f"{path} cannot be read: {error.strerror}") from None
    found = hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()
    if found != digest:
        raise TamperedDataError(
            f"{path} is not the official file: its {shown_algorithm} is {found}, but {digest} is right. Nothing of it was used: {advice}"
        )
    return content
