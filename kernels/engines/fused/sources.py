"""A digest of this package's source files, for the cache of compiled code.

numba keys its cache by the file of the cached function alone, so machine code would outlive a change in any other file that went into it.
It also takes the values of a function's closure into the key: so entry points alone are cached, and refer to this digest.
"""

from __future__ import annotations

import hashlib
from importlib import resources


def sources_digest() -> str:
    """24 hexadecimal digits."""
    files = sorted(resources.files("skipbench.kernels.engines.fused").iterdir(), key=lambda file: file.name)
    digest = hashlib.blake2b(digest_size=12)
    for file in files:
        if file.name.endswith(".py"):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


SOURCES = sources_digest()
