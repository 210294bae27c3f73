"""Architectures: what is refused, what is equal, and keys that hold in every process."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from strategies import convolutional_architectures, dense_architectures

from skipbench.architecture import CNN, MLP, DenseMLP, ResCNN, ResMLP, architecture_from_dict
from skipbench.checks import SkipbenchError


@given(arch=dense_architectures() | convolutional_architectures())
def test_an_architecture_survives_repr_dictionary_and_json(arch):
    again = architecture_from_dict(json.loads(json.dumps(arch.to_dict())))
    assert again == arch
    assert again.key == arch.key
    assert hash(again) == hash(arch)
    assert eval(repr(arch)) == arch


def test_the_key_is_the_same_in_a_process_with_other_hash_randomisation():
    code = "from skipbench.architecture import ResCNN; a = ResCNN(3, alpha='L^-0.5'); print(a.key, hash(a))"
    outputs = {
        subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True).stdout
        for seed in ("1", "2")
    }
    arch = ResCNN(3, alpha="L^-0.5")
    assert outputs == {f"{arch.key} {hash(arch)}\n"}


def test_equal_values_spelled_differently_have_equal_keys():
    assert ResMLP(3, alpha=1).key == ResMLP(np.int64(3), alpha=1.0).key
    assert ResMLP(3, alpha=" 0.3 * L^-0.5 ") == ResMLP(3, alpha="0.3*L^-0.5")


def test_different_fields_and_families_have_different_keys():
    made = [MLP(3), MLP(4), MLP(3, bias=0.1), ResMLP(3), ResMLP(3, train_ends=False), DenseMLP(3), CNN(3), CNN(3, readout="tr"), ResCNN(3)]
    assert len({arch.key for arch in made}) == len(made)


@pytest.mark.parametrize(
    ("alpha", "depth", "value"), [(0.5, 4, 0.5), ("L^-0.5", 4, 0.5), ("0.3*L^-1", 3, 0.1), ("2*L^-0", 9, 2.0), ("L^-1e0", 5, 0.2)]
)
def test_a_depth_rule_is_evaluated_at_the_depth_and_keeps_its_spelling(alpha, depth, value):
    arch = ResCNN(depth, alpha=alpha)
    assert arch.alpha_value == pytest.approx(value)
    assert arch.alpha == alpha


def test_the_label_shows_depth_readout_and_what_is_not_the_default():
    assert ResCNN(3, alpha=0.3, readout="tr").label == "ResCNN(3, alpha=0.3, tr)"
    assert CNN(5).label == "CNN(5, gap)"
    assert MLP(2, bias=0.1).label == "MLP(2, bias=0.1)"


def test_an_architecture_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        MLP(3).depth = 4


def test_depth_is_required():
    with pytest.raises(TypeError, match="depth"):
        ResCNN()


@pytest.mark.parametrize(
    ("family", "fields", "message"),
    [
        (MLP, {"depth": 0}, "MLP: depth=0, but depth counts layers"),
        (MLP, {"depth": -3}, "depth=-3"),
        (ResMLP, {"depth": 2.5}, "depth=2.5"),
        (CNN, {"depth": True}, "depth=True"),
        (CNN, {"depth": "3"}, "depth='3'"),
        (CNN, {"depth": 2, "filter_size": 4}, "filter_size=4, but a filter needs a centre pixel"),
        (CNN, {"depth": 2, "filter_size": 0}, "filter_size=0"),
        (CNN, {"depth": 2, "padding": "same"}, "padding='same', but padding is one of: zero, circular"),
        (ResCNN, {"depth": 2, "readout": "GAP"}, "readout='GAP', but the readout is one of: eq, tr, gap"),
        (ResCNN, {"depth": 2, "readout": ["gap"]}, "readout="),
        (MLP, {"depth": 2, "bias": -0.1}, "bias=-0.1"),
        (MLP, {"depth": 2, "bias": float("nan")}, "bias=nan"),
        (ResMLP, {"depth": 2, "alpha": 0}, "alpha=0.0, but its value at depth 2 is not a finite number above 0"),
        (ResMLP, {"depth": 2, "alpha": -1.0}, "alpha=-1.0"),
        (ResMLP, {"depth": 2, "alpha": float("nan")}, "alpha=nan"),
        (ResMLP, {"depth": 2, "alpha": float("inf")}, "alpha=inf"),
        (ResMLP, {"depth": 2, "alpha": "L^0.5"}, "this is no depth rule"),
        (ResMLP, {"depth": 2, "alpha": "0*L^-1"}, "not a finite number above 0"),
        (ResMLP, {"depth": 2, "alpha": "1e999*L^-1"}, "not a finite number above 0"),
        (ResMLP, {"depth": 2, "alpha": "L^-" + "9" * 400}, "alpha="),
        (DenseMLP, {"depth": 2, "alpha": None}, "alpha=None, but this is not a number"),
        (ResCNN, {"depth": 2, "branch_depth": 5}, "branch_depth=5, but a branch has 1 to 4"),
        (ResCNN, {"depth": 2, "branch_depth": 0}, "branch_depth=0"),
        (ResCNN, {"depth": 2, "train_ends": 1}, "train_ends=1"),
    ],
)
def test_a_bad_field_is_named_with_what_is_allowed(family, fields, message):
    with pytest.raises(SkipbenchError, match=message.replace("(", r"\(")):
        family(**fields)


def test_a_branch_without_relu_is_legal_and_warned_about():
    with pytest.warns(UserWarning, match="branch_depth=1 leaves no ReLU"):
        assert ResMLP(3, branch_depth=1).branch_depth == 1


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"family": "ResNN", "depth": 3}, 'no architecture "ResNN". Nearest: Res'),
        ({"family": "CNN", "depth": 3, "filtersize": 3}, 'no CNN: field "filtersize". Nearest: filter_size'),
        ({"family": "CNN"}, "depth is missing"),
        ({"depth": 3}, "no architecture"),
    ],
)
def test_a_bad_description_is_refused_with_the_nearest_names(description, message):
    with pytest.raises(SkipbenchError, match=message):
        architecture_from_dict(description)
