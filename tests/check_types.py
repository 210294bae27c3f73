"""Run mypy on the installed packages and assert that it read every one of their files.

With a wrong layout mypy reports success on a handful of files; so the number that it checked is compared with the files there are.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = ("src/skipbench", "datasets", "kernels", "trainers", "benchmarks", "results")


def main() -> int:
    """The exit status: 0 where mypy found nothing and read everything."""
    files = sum(1 for folder in FOLDERS for _ in (ROOT / folder).rglob("*.py"))
    done = subprocess.run([sys.executable, "-m", "mypy", "-p", "skipbench"], capture_output=True, text=True, check=False, cwd=ROOT)
    print(done.stdout + done.stderr, end="")
    if done.returncode != 0:
        return done.returncode
    found = re.search(r"in (\d+) source files", done.stdout)
    checked = int(found[1]) if found else 0
    if checked != files:
        print(f"Error: mypy read {checked} files, but there are {files}: is a subpackage missing in pyproject.toml?")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
