"""What the tests of stored matrices share: a count of the tiles that are computed."""

from __future__ import annotations

from typing import Any

import pytest

from skipbench.kernels.stored import compute


@pytest.fixture
def computed_sizes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Grows by (rows, columns) with every tile that this process computes."""
    sizes: list[tuple[int, int]] = []
    original = compute.kernel_matrices

    def counted(arch: Any, x: Any, z: Any = None, **options: Any) -> Any:
        sizes.append((len(x), len(x if z is None else z)))
        return original(arch, x, z, **options)

    monkeypatch.setattr(compute, "kernel_matrices", counted)
    return sizes
