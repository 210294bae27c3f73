"""One place for names: what is registered, what other packages add, and what an unknown name is told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from skipbench.checks import MissingDataError, SkipbenchError
from skipbench.datasets import Dataset, DatasetEntry, Split, dataset_kind, dataset_names, describe, load, registry
from skipbench.datasets.places import data_root

NEW_KINDS = [("svhn", "images"), ("svhn-1083", "images"), ("sphere", "vectors"), ("multisphere", "images")]


class EntryPoint:
    """As importlib.metadata describes one."""

    def __init__(self, name, target):
        self.name, self.value, self._target = name, f"somewhere:{name}", target

    def load(self):
        if isinstance(self._target, Exception):
            raise self._target
        return self._target


@pytest.fixture
def other_packages(monkeypatch):
    """Pretends that other packages are installed which register data sets: a function from names to targets."""

    def install(**targets):
        points = [EntryPoint(name.replace("_", "-"), target) for name, target in targets.items()]
        monkeypatch.setattr(registry.metadata, "entry_points", lambda group: points if group == "skipbench.datasets" else [])
        registry._foreign_entries.cache_clear()

    yield install
    registry._foreign_entries.cache_clear()


def moons(name="moons"):
    rows = np.arange(4)
    return Dataset(name, np.eye(4, dtype=np.float32), rows % 2, ("a", "b"), (Split("all", rows, [], []),), licence="CC0", protocol="own")


def test_names_hold_every_kind_of_set():
    names = dataset_names()
    assert {"iris", "wine", "breast-cancer", "digits", "digits-images", "cifar10", "svhn", "svhn-1083", "uci/abalone", "uci/ecoli"} <= set(
        names
    )
    assert {"sphere", "multisphere"} <= set(names)
    assert len(names) == len(set(names)) >= 10 + 121


@pytest.mark.parametrize(
    ("name", "kind"), [("iris", "vectors"), ("digits-images", "images"), ("cifar10", "images"), ("uci/abalone", "vectors"), *NEW_KINDS]
)
def test_the_kind_is_known_without_loading(name, kind, monkeypatch, tmp_path):
    monkeypatch.setenv("SKIPBENCH_DATA", str(tmp_path))
    assert dataset_kind(name) == kind


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("irsi", r'no data set "irsi"\. Nearest: iris.* All of them: skipbench data list'),
        ("SVHN", r'no data set "SVHN"\. Nearest: svhn'),
        ("spheer", "Nearest: .*sphere"),
        ("CIFAR-10", r'no data set "CIFAR-10"\. Nearest: cifar10'),
        ("digit", r"Nearest: digits"),
        ("uci/abalon", r'no data set "uci/abalon"\. Nearest: uci/abalone'),
        ("abalone", "Nearest: .*uci/abalone"),
        ("", 'no data set ""'),
        ("../../etc/passwd", "no data set"),
        ("iris\n\x1b[31m", r'no data set "iris\\n\\x1b'),
        (7, "name=7, but the name of a data set is text"),
    ],
)
@pytest.mark.parametrize("ask", [load, describe, dataset_kind])
def test_an_unknown_name_is_told_the_nearest_ones(ask, name, message):
    with pytest.raises(SkipbenchError, match=message):
        ask(name)


def test_a_description_says_where_a_set_comes_from_and_on_what_terms():
    entry = describe("cifar10")
    assert entry.source == "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    assert "Krizhevsky" in entry.licence
    assert describe("uci/abalone").size == "4177 rows, 8 features, 3 classes"
    assert describe("uci/abalone").protocols == ("collection", "nested")
    assert describe("iris").is_bundled


def test_presence_tells_what_is_at_hand(tmp_path, small_svhn):
    assert registry.presence("svhn", tmp_path) == "yes"
    (small_svhn / "test_32x32.mat").unlink()
    assert registry.presence("svhn", tmp_path) == "incomplete"
    (small_svhn / "train_32x32.mat").unlink()
    assert registry.presence("svhn", tmp_path) == "no"
    assert registry.presence("cifar10", tmp_path) == "no"
    assert registry.presence("iris", tmp_path) == registry.presence("sphere", tmp_path) == "bundled"


def test_another_packages_entry_may_have_parameters(other_packages):
    seen = []

    def load_moons(name, options):
        seen.append(options.parameters)
        return moons(name)

    other_packages(moons=DatasetEntry("moons", "vectors", load_moons, ("own",), "x", "y", parameters={"phase": 1, "bend": 2}))
    load("moons", bend=5)
    assert seen == [(("bend", 5), ("phase", 1))]
    with pytest.raises(SkipbenchError, match=r'moons: parameter "phse"\. Nearest: phase'):
        load("moons", phse=5)


def test_another_package_may_bring_a_regression_set(other_packages):
    def heights():
        rows = np.arange(4)
        inputs, targets = np.eye(4, dtype=np.float32), np.ones((4, 2))
        return Dataset("heights", inputs, 0 * rows, (), (Split("all", rows, [], []),), targets=targets, licence="CC0", protocol="own")

    other_packages(heights=heights)
    assert load("heights").task == "regression"
    assert describe("heights").size == "4 rows of shape (4,), 2 targets"


def test_another_packages_function_becomes_a_data_set(other_packages):
    other_packages(moons=moons)
    assert "moons" in dataset_names()
    assert dataset_kind("moons") == "vectors"
    assert load("moons").sha256 == moons().sha256
    assert describe("moons").licence == "CC0"
    with pytest.raises(SkipbenchError, match="moons: n=3, but this set comes from another package"):
        load("moons", n=3)
    with pytest.raises(SkipbenchError, match='no protocol "nested" for moons'):
        load("moons", protocol="nested")


def test_another_packages_entry_keeps_its_own_loader(other_packages):
    entry = DatasetEntry("moons", "vectors", lambda name, options: moons(name), ("own",), "https://example.org", "CC0")
    other_packages(moons=entry)
    assert describe("moons") is entry
    assert load("moons").name == "moons"


@pytest.mark.parametrize("target", [ImportError("no module"), lambda: 1 / 0, lambda: "no data set"])
def test_a_broken_package_is_left_out_with_a_warning_that_names_it(other_packages, target):
    other_packages(broken=target)
    with pytest.warns(UserWarning, match="data set 'broken' of somewhere:broken is left out"):
        names = dataset_names()
    assert "broken" not in names
    assert "iris" in names


def test_another_package_cannot_take_a_name_of_ours(other_packages):
    other_packages(iris=moons)
    with pytest.warns(UserWarning, match="the name is taken"):
        dataset_names()
    assert load("iris").inputs.shape == (150, 4)


def test_a_loader_must_return_a_data_set_of_its_own_name(other_packages):
    other_packages(suns=DatasetEntry("suns", "vectors", lambda name, options: moons("moons"), ("own",), "x", "y"))
    with pytest.raises(SkipbenchError, match=r"data set 'suns': its loader returned .*, but it must return a Dataset of that name"):
        load("suns")


def test_the_root_is_the_argument_then_the_variable_then_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("SKIPBENCH_DATA", str(tmp_path / "variable"))
    assert data_root(tmp_path / "argument") == tmp_path / "argument"
    assert data_root() == tmp_path / "variable"
    monkeypatch.setenv("SKIPBENCH_DATA", "")
    assert data_root().name == "skipbench"
    monkeypatch.delenv("SKIPBENCH_DATA")
    assert data_root().name == "skipbench"
    assert data_root("~/data") == Path("~/data").expanduser()


def test_missing_data_says_where_the_place_comes_from(monkeypatch, tmp_path):
    monkeypatch.setenv("SKIPBENCH_DATA", str(tmp_path))
    with pytest.raises(MissingDataError, match=rf"{tmp_path}/cifar-10-batches-py.*named by SKIPBENCH_DATA.*skipbench data fetch cifar10"):
        load("cifar10")
    with pytest.raises(MissingDataError, match=rf"skipbench data fetch uci/wine --root {tmp_path}"):
        load("uci/wine", tmp_path)


@pytest.mark.parametrize("root", [7, "", b"bytes"])
def test_a_root_that_is_no_path_is_named(root):
    with pytest.raises(SkipbenchError, match=r"root=.*, but root is the path of a folder"):
        load("iris", root)


def test_importing_does_no_work():
    code = "import sys, skipbench.datasets; print([name for name in ('sklearn', 'pooch', 'torch') if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
