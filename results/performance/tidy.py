"""Take a run's files into a history: without the folders, the interpreter's path and the source code that asv writes into them.

asv names a result and keys its series by the path of the interpreter, which differs from checkout to checkout and names people. The
environment is called by the version of Python instead, so that the series go on wherever the benchmarks are run.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from skipbench.checks import SkipbenchError, shown_name
from skipbench.results.performance.history import DESCRIPTIONS, MACHINE, read_object, result_files

_DESCRIBED = ("name", "param_names", "params", "type", "unit", "version")


def keep_results(run: Path, history: Path, *, python: str) -> list[Path]:
    """Copy one run of asv into a history, in place of an earlier result of the same commit. python: e.g. "3.11". Returns the files.

    Raises SkipbenchError where the run holds no result, or where the history cannot be written.
    """
    results = result_files(run)
    if not results:
        raise SkipbenchError(f"asv left no result in {shown_name(str(run), 200)}: what it printed says why")
    try:
        written = [_write(history / DESCRIPTIONS, tidy_descriptions(read_object(run / DESCRIPTIONS)))]
        for path in results:
            place = history / path.parent.name
            content = tidy_result(read_object(path), python)
            written.append(_write(place / f"{content['commit_hash'][:8]}-{content['env_name']}.json", content))
            shutil.copyfile(path.parent / MACHINE, place / MACHINE)
    except OSError as error:
        raise SkipbenchError(f"{shown_name(str(history), 200)} cannot be written ({error.strerror or error})") from error
    return written


def tidy_result(content: dict[str, Any], python: str) -> dict[str, Any]:
    """A result file's object, the interpreter named by its version."""
    environment = f"existing-py{python}"
    return content | {"env_name": environment, "python": python, "params": content["params"] | {"python": python}, "durations": {}}


def tidy_descriptions(content: dict[str, Any]) -> dict[str, Any]:
    """The descriptions of the benchmarks, their source code and settings left out: git has them."""
    kept = {name: {key: entry[key] for key in _DESCRIBED if key in entry} for name, entry in content.items() if isinstance(entry, dict)}
    return {name: entry | {"code": ""} for name, entry in kept.items()} | {"version": content.get("version")}


def _write(path: Path, content: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(_text(content), encoding="utf-8")
    os.replace(temporary, path)
    return path


def _text(content: dict[str, Any]) -> str:
    """JSON as asv reads it (NaN included), one benchmark a line, so that git shows what moved."""
    lines = []
    for name, entry in sorted(content.items()):
        if name == "results":
            rows = ",\n".join(f"  {json.dumps(benchmark)}: {json.dumps(row)}" for benchmark, row in sorted(entry.items()))
            lines.append(f"{json.dumps(name)}: {{\n{rows}\n}}")
        else:
            lines.append(f"{json.dumps(name)}: {json.dumps(entry)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"
