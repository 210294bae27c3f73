"""The contract over every data set at hand (bundled and generated ones always), and that it finds what breaks it."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

from skipbench.checks import ContractError, MissingDataError, SkipbenchError, TamperedDataError
from skipbench.datasets import Dataset, Split, bundled, contract, dataset_names, describe, load, registry
from skipbench.datasets.contract import check_dataset, is_absence
from skipbench.datasets.registry import DatasetEntry, presence

# At import: which sets are at hand decides which tests there are.
HAS_DATA = bool(os.environ.get("SKIPBENCH_DATA"))
NAMES = [name for name in dataset_names() if presence(name) == "bundled" or (HAS_DATA and presence(name) == "yes")]


def test_the_sets_without_files_are_always_at_hand():
    assert {"iris", "wine", "breast-cancer", "digits", "digits-images", "sphere", "multisphere"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_data_set_at_hand_keeps_the_contract(name):
    checked = check_dataset(name)
    assert len(checked) == len(contract.CHECKS)
    assert not is_absence(checked)


def test_the_real_sets_are_at_hand_where_their_folder_is_named(real_data):
    assert "uci/abalone" in NAMES
    assert len([name for name in NAMES if name.startswith("uci/")]) > 90
    assert {"cifar10", "svhn-1083"} <= set(NAMES)


@pytest.mark.parametrize("name", ["cifar10", "svhn", "svhn-1083", "uci/iris", "uci/adult"])
def test_of_a_set_that_is_not_at_hand_the_refusal_is_checked(tmp_path, name):
    assert is_absence(check_dataset(name, tmp_path))


def test_a_set_that_lacks_one_file_is_not_at_hand(uci_set, tmp_path):
    assert not is_absence(check_dataset("uci/toy", uci_set().parent.parent))
    (tmp_path / "uci" / "toy" / "toy_R.dat").unlink()
    assert is_absence(check_dataset("uci/toy", tmp_path))


def test_a_set_with_a_test_file_of_its_own_keeps_the_contract(uci_set, tmp_path):
    uci_set(n_test=20)
    assert f"({len(describe('uci/toy', tmp_path).protocols)} protocols)" in check_dataset("uci/toy", tmp_path)[0]


def test_an_unknown_set_is_refused_with_the_nearest_name():
    with pytest.raises(SkipbenchError, match=r'no data set "irsi"\. Nearest: iris'):
        check_dataset("irsi")


def test_files_that_are_not_the_right_ones_are_no_breach_but_an_error_of_their_own(uci_set, tmp_path):
    uci_set("zoo")
    with pytest.raises(TamperedDataError, match=r"zoo.*is not the collection's file"):
        check_dataset("uci/zoo", tmp_path)


@pytest.fixture
def planted(monkeypatch):
    """Register iris as loaded by a function (options) -> changes of it, under the name "planted"."""

    def plant(change, *, raw=None, **declared):
        def loader(name, options):
            if raw is not None:
                return raw(options)
            options.chosen_protocol(name, bundled.PROTOCOLS)
            found = bundled.load_bundled("iris", options)
            return _changed(replace(found, name=name, sha256=""), change(found, options))

        known = describe("iris")
        entry = replace(known, **{"name": "planted", "load": loader, "verify": None, **declared})
        monkeypatch.setattr(registry, "REGISTERED", (*registry.REGISTERED, entry))

    return plant


def _changed(dataset, changes):
    """The data set with attributes that its own checks would refuse."""
    for key, value in changes.items():
        object.__setattr__(dataset, key, value)
    return dataset


def _with_parts(found, **parts):
    """The first split with other rows in some parts, behind the checks of Dataset."""
    first = found.splits[0]
    split = Split("split-1", *(parts.get(part, getattr(first, part)) for part in ("train", "validation", "test")))
    return {"splits": (split, *found.splits[1:])}


def _writeable(found, options):
    return {"inputs": found.inputs.copy()}


def _double(found, options):
    return {"inputs": _frozen(found.inputs.astype(np.float64))}


def _frozen(array):
    array.flags.writeable = False
    return array


def _not_finite(found, options):
    inputs = found.inputs.copy()
    inputs[3, 1] = np.nan
    return {"inputs": _frozen(inputs)}


def _without_a_class(found, options):
    train = found.splits[0].train
    return _with_parts(found, train=train[found.labels[train] > 0])


def _parted_groups(found, options):
    return {"groups": _frozen(np.arange(len(found)) // 2), "grouped_by": "house"}


def _another_each_time(found, options):
    rng = np.random.default_rng()
    inputs = _frozen(found.inputs + rng.normal(size=found.inputs.shape).astype(np.float32))
    return {"inputs": inputs, "sha256": contract.array_sha256(inputs, found.labels)}


def _fixed_seed(found, options):
    return {"splits": bundled.load_bundled("iris", replace(options, seed=7)).splits}


def _unsaid_seed(found, options):
    return {"provenance": "Fisher 1936"}


def _other_subset(found, options):
    if options.n is None:
        return {}
    fresh = bundled.load_bundled("iris", replace(options, seed=options.seed + options.n))
    return {"inputs": fresh.inputs, "labels": fresh.labels, "splits": fresh.splits, "sha256": fresh.sha256}


def _unbalanced(found, options):
    if options.n is None:
        return {}
    labels = _frozen(np.where(np.arange(len(found)) >= len(found) - 3, 0, found.labels))
    splits = tuple(Split(split.name, np.arange(len(found) - 6), [len(found) - 6], [len(found) - 5]) for split in found.splits)
    return {"labels": labels, "sha256": contract.array_sha256(found.inputs, labels), "splits": splits}


def _too_few(found, options):
    return {} if options.n is None else _sliced(found)


def _sliced(found):
    inputs, labels = _frozen(found.inputs[:-1].copy()), _frozen(found.labels[:-1].copy())
    splits = tuple(
        Split(split.name, *(part[part < len(labels)] for part in (split.train, split.validation, split.test))) for split in found.splits
    )
    return {"inputs": inputs, "labels": labels, "splits": splits, "sha256": contract.array_sha256(inputs, labels)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found, options: {"licence": " "}, "its licence is empty"),
        (lambda found, options: {"provenance": ""}, "its provenance is empty"),
        (lambda found, options: {"protocol": "official"}, "it says that its protocol is 'official'"),
        (_writeable, "one of its arrays can be written to, behind its checksum"),
        (_double, "inputs are float64, but they are float32"),
        (_not_finite, "inputs hold NaN or infinity"),
        (lambda found, options: {"sha256": "0" * 64}, "its sha256 is 000.*, but its arrays have"),
        (lambda found, options: _with_parts(found, validation=found.splits[0].test), "split split-1 has a row in two parts"),
        (lambda found, options: _with_parts(found, test=[]), "split split-1 lacks training, validation or test rows"),
        (lambda found, options: _with_parts(found, test=[10**6]), "split split-1 names a row that is not there"),
        (_without_a_class, "split split-1 does not train on class 0"),
        (lambda found, options: {"splits": found.splits[:1] * 2}, "two of its splits have one name"),
        (_parted_groups, r"split split-1 has house \d+ in two parts"),
        (_another_each_time, "loaded twice, it is not the same"),
        (_fixed_seed, "another seed changes what its provenance says, and nothing else"),
        (_unsaid_seed, "another seed changes it, but its provenance does not say which seed"),
        (_too_few, "n=30 gives 29 rows"),
        (_unbalanced, "n=30 has .* rows of its classes, which is not balanced"),
        (_other_subset, "n=30 takes rows that n=32 of the same seed does not have"),
    ],
)
def test_the_contract_names_what_a_data_set_breaks(planted, change, message):
    planted(change)
    with pytest.raises(ContractError, match=f"data set planted, protocol stratified: {message}"):
        check_dataset("planted")


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"kind": "images"}, "it holds vectors, but images are announced"),
        ({"size": "151 rows, 4 features, 3 classes"}, "it has 150 rows, but its size is announced as '151 rows"),
        ({"size": "150 rows, 5 features, 3 classes"}, "its rows have shape 4, but its size is announced as"),
        ({"size": "150 rows, 4 features, 2 classes"}, "it has 3 classes, but its size is announced as"),
        ({"source": ""}, "it has no source"),
        ({"licence": ""}, "its announced licence is empty"),
        ({"protocols": ()}, "it has no protocol"),
        ({"protocols": ("stratified", "nested")}, "protocol nested: it does not load: SkipbenchError: no protocol"),
        ({"parameters": {"frequency": 3}}, "it takes frequency='many' without a SkipbenchError"),
    ],
)
def test_what_is_announced_must_be_what_is_loaded(planted, monkeypatch, declared, message):
    planted(lambda found, options: {}, **declared)
    if "parameters" in declared:
        monkeypatch.setattr(
            registry.LoadOptions, "with_parameters", lambda options, name, defaults, given: _only_known(options, defaults, given)
        )
    with pytest.raises(ContractError, match=f"data set planted.*{message}"):
        check_dataset("planted")


def _only_known(options, defaults, given):
    if set(given) - set(defaults):
        raise SkipbenchError(f"no parameter {sorted(set(given) - set(defaults))}")
    return options


def _forgiving(option):
    """Iris by a loader that takes whatever `option` it is given."""

    def raw(options):
        kept = {key: getattr(options, key) for key in ("n", "seed", "protocol") if key != option}
        found = bundled.load_bundled("iris", registry.LoadOptions(**kept))
        return replace(found, name="planted")

    return raw


@pytest.mark.parametrize(("option", "value"), [("n", "1000000000000000"), ("protocol", "'stratifiedx'")])
def test_a_wrong_option_must_be_refused(planted, monkeypatch, option, value):
    planted(None, raw=_forgiving(option))
    if option == "n":  # otherwise its subsets are wrong first
        monkeypatch.setattr(contract, "CHECKS", (contract.check_refusals,))
    with pytest.raises(ContractError, match=f"it takes {option}={value} without a SkipbenchError"):
        check_dataset("planted")


def test_a_crash_is_a_breach_that_says_what_was_asked(planted):
    def crashes(found, options):
        if options.seed:
            raise IndexError("list index out of range")
        return {}

    planted(crashes)
    with pytest.raises(ContractError, match="IndexError: list index out of range, while it was checked that: Loaded twice it is the same"):
        check_dataset("planted")


def test_a_regression_set_with_a_constant_target_is_a_breach(planted):
    inputs = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    split = Split("only", np.arange(12), np.arange(12, 16), np.arange(16, 20))

    def raw(options):
        options.chosen_protocol("planted", ("stratified",))
        zeros = np.zeros(20, dtype=np.int64)
        return Dataset("planted", inputs, zeros, (), (split,), provenance="made", licence="none", targets=np.ones((20, 1)))

    planted(None, raw=raw, size="")
    with pytest.raises(ContractError, match="a target is the same for every row"):
        check_dataset("planted")


@pytest.mark.parametrize("message", ["it is somewhere else", "planted: not here. To fetch it: skipbench data fetch planted"])
def test_a_refusal_that_names_no_place_or_no_command_is_a_breach(planted, monkeypatch, message):
    def raw(options):
        raise MissingDataError(message)

    planted(None, raw=raw)
    monkeypatch.setattr(contract, "presence", lambda name, root: "no")
    with pytest.raises(ContractError, match="data set planted: not at hand, but the error lacks"):
        check_dataset("planted")


def test_a_set_that_is_said_not_to_be_at_hand_must_not_load(monkeypatch):
    monkeypatch.setattr(contract, "presence", lambda name, root: "no")
    with pytest.raises(ContractError, match="data set iris: it is said not to be at hand, but it loads"):
        check_dataset("iris")


def test_a_large_set_is_asked_of_a_subset_after_it_was_loaded_once(planted, monkeypatch):
    asked = []

    def change(found, options):
        asked.append(options.n)
        return {}

    planted(change)
    monkeypatch.setattr(contract, "LARGE_BYTES", 100)
    check_dataset("planted")
    assert asked.count(None) == 1
    assert set(asked) == {None, 30, 32}  # 10**15 and 0 are refused before anything is loaded


def test_a_set_of_another_package_is_held_to_the_same(monkeypatch):
    iris = load("iris")

    def function() -> Dataset:
        return replace(iris, name="foreign", provenance="measured by us", sha256="")

    entry: DatasetEntry = registry._from_function("foreign", "package:function", function)
    monkeypatch.setattr(registry, "_foreign_entries", lambda: {"foreign": entry})
    assert len(check_dataset("foreign")) == len(contract.CHECKS)
