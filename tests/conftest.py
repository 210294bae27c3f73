"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings

# An example may be the first to need a compiled engine, which takes seconds where no cache has it.
settings.register_profile("skipbench", deadline=None)
settings.load_profile("skipbench")
