"""No module reads a file in a way that could run it, or take more than it says: each exception is listed here with its reason."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
FOLDERS = ("src/skipbench", "datasets", "kernels", "trainers", "benchmarks", "results")
MODULES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))

# calls that are never made: they run what a file or a text says, or race for a file's name
NEVER = {
    "eval", "exec", "compile", "__import__", "input", "os.system", "os.popen", "os.execv", "os.execvp", "os.spawnv", "tempfile.mktemp",
    "torch.load", "pickle.load", "pickle.Unpickler", "marshal.load", "marshal.loads", "shelve.open", "dill.load", "dill.loads",
    "joblib.load", "pandas.read_pickle", "pd.read_pickle", "cloudpickle.loads", "yaml.load", "yaml.load_all", "yaml.full_load",
    "yaml.unsafe_load", "yaml.full_load_all", "yaml.unsafe_load_all", "numpy.fromfile", "np.fromfile", "numpy.memmap", "np.memmap",
    "shutil.unpack_archive", "subprocess.getoutput", "subprocess.getstatusoutput", "load_from_checkpoint", "xml.etree.ElementTree.parse",
    "runpy.run_path",
}  # fmt: skip
# where one of these is called all the same, and why nobody else's bytes come in
ALLOWED = {
    ("trainers/contract.py", "pickle.loads"): "reads what pickle.dumps wrote on the same line: workers send methods home so",
    (
        "trainers/networks/checkpoints.py",
        "torch.load",
    ): "weights_only=True makes nothing but tensors and plain values, after the seal is checked",
}
YAML_CALLS = {"yaml.parse", "yaml.compose", "yaml.safe_load", "yaml.SafeLoader"}
YAML_READER = "src/skipbench/yaml_lines.py"  # the one place that reads YAML, after its size is bounded


def name_of(node: ast.expr) -> str:
    """`np.load` for a chain of names; whatever else stands before a name is `?`."""
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def full_names(tree: ast.AST) -> dict[str, str]:
    """What a module calls a thing, and what that is called at home: `loads` may be `pickle.loads`."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.asname: alias.name for alias in node.names if alias.asname}
    return found


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Every call, by the full name of what is called."""
    yield from calls_in(path.read_text(encoding="utf-8"))


def calls_in(text: str) -> Iterator[tuple[str, ast.Call]]:
    tree = ast.parse(text)
    names = full_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            first, dot, rest = name_of(node.func).partition(".")
            yield names.get(first, first) + dot + rest, node


def keywords(call: ast.Call) -> dict[str | None, ast.expr]:
    return {keyword.arg: keyword.value for keyword in call.keywords}


def is_constant(node: ast.expr | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def faults(relative: str, text: str) -> list[str]:
    """What a module calls that it must not."""
    found = []
    for name, call in calls_in(text):
        given, last = keywords(call), name.rpartition(".")[2]
        if (name in NEVER or name in ("pickle.loads",) or last == "load_from_checkpoint") and (relative, name) not in ALLOWED:
            found.append(f"{name} is called")
        elif name in ("numpy.load", "np.load") and not is_constant(given.get("allow_pickle"), False):
            found.append("numpy.load without allow_pickle=False")
        elif name.startswith("yaml.") and name in YAML_CALLS and relative != YAML_READER:
            found.append(f"{name} outside {YAML_READER}, where the size is bounded")
        elif name in ("yaml.parse", "yaml.compose") and not name_of(given.get("Loader", ast.Constant(None))).endswith("SafeLoader"):
            found.append(f"{name} without SafeLoader")
        elif "shell" in given and not is_constant(given["shell"], False):
            found.append(f"{name} with a shell")
        elif last in ("extract", "extractall") and "filter" not in given and None not in given:
            found.append(f"{name} without a filter")
    return [f"{relative}: {fault}" for fault in found]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_module_makes_no_dangerous_call(path):
    assert faults(relative(path), path.read_text(encoding="utf-8")) == []


def test_every_exception_is_still_needed():
    for (file, name), reason in ALLOWED.items():
        assert name in [called for called, _ in calls(ROOT / file)], (file, name, reason)


def test_yaml_numpy_archives_and_pickles_are_read_in_one_place_each():
    """So that a limit stands in front of each: these are the modules to look at when a reader is added."""
    places: dict[str, set[str]] = {}
    for path in MODULES:
        for name, _ in calls(path):
            for what in ("yaml.parse", "numpy.load", "np.load", "tarfile.open", "zipfile.ZipFile", "scipy.io.loadmat", "gzip.open"):
                if name == what:
                    places.setdefault(what.replace("np.", "numpy."), set()).add(relative(path))
    assert places == {
        "yaml.parse": {YAML_READER},
        "numpy.load": {"datasets/svhn_1083.py", "benchmarks/peers/peer_process.py", "benchmarks/peers/neural_tangents_worker.py"},
        "zipfile.ZipFile": {"datasets/svhn_1083.py"},
        "tarfile.open": {"datasets/archives.py", "benchmarks/performance/data.py"},  # the second writes one
        "gzip.open": {"datasets/archives.py"},
        "scipy.io.loadmat": {"datasets/svhn.py"},
    }


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("import numpy as np\nnp.load(f)", "numpy.load without"),
        ("from numpy import load\nload(f, allow_pickle=True)", "numpy.load without"),
        ("import torch\ntorch.load(f)", "torch.load is called"),
        ("from pickle import loads as read\nread(b)", "pickle.loads is called"),
        ("import yaml\nyaml.load(t, Loader=yaml.SafeLoader)", "yaml.load is called"),
        ("import yaml\nyaml.safe_load(t)", "yaml.safe_load outside"),
        ("import subprocess as s\ns.run('x', shell=True)", "subprocess.run with a shell"),
        ("archive.extractall(folder)", "archive.extractall without a filter"),
        ("eval('1')", "eval is called"),
        ("import tempfile\ntempfile.mktemp()", "tempfile.mktemp is called"),
        ("Model.load_from_checkpoint(f)", "Model.load_from_checkpoint is called"),
    ],
)
def test_a_dangerous_call_would_be_seen(text, fault):
    (found,) = faults("datasets/new.py", text)
    assert fault in found
