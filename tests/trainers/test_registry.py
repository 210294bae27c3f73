"""Methods by name: what is registered, what is refused, and how other packages' methods come in."""

from __future__ import annotations

import subprocess
import sys
import types
from importlib.metadata import EntryPoint

import pytest
from sklearn.linear_model import RidgeClassifier

import skipbench.trainers
from skipbench.architecture import CNN, MLP, ResCNN
from skipbench.checks import SkipbenchError
from skipbench.trainers import registry
from skipbench.trainers.method import Method
from skipbench.trainers.registry import (
    METHODS,
    accepts,
    check_parameters,
    family_of,
    input_kinds,
    make_method,
    method_class,
    method_label,
    method_names,
    method_parameters,
    method_summary,
    registered,
    sequence_parameters,
    source_version,
)
from skipbench.trainers.ridge import KernelRidge


@pytest.fixture
def installed(monkeypatch):
    """Pretend that packages with these methods are installed."""

    def install(**classes):
        module = types.ModuleType("somebodys_methods")
        for name, made in classes.items():
            setattr(module, name, made)
        monkeypatch.setitem(sys.modules, "somebodys_methods", module)
        entries = tuple(EntryPoint(name.replace("_", "-"), f"somebodys_methods:{name}", registry.ENTRY_POINTS) for name in classes)
        monkeypatch.setattr("importlib.metadata.entry_points", lambda group: entries if group == registry.ENTRY_POINTS else ())
        registry._foreign_methods.cache_clear()

    yield install
    registry._foreign_methods.cache_clear()


def test_the_methods_of_the_suite_are_registered_with_family_and_version():
    families = {name: method.family for name, method in METHODS.items()}
    assert families == {
        "ridge": "kernel",
        "kernel-descent": "kernel",
        "svm": "kernel",
        "network": "network",
        "linearised-network": "network",
        "network-ensemble": "network",
        "practical-network": "network",
        "logistic-regression": "baseline",
        "random-forest": "baseline",
    }
    assert all(method.name == name and method.source_version for name, method in METHODS.items())


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_registered_class_keeps_the_protocol(name):
    assert isinstance(make_method(name, {}), Method)
    assert set(method_parameters(name)) == set(make_method(name, {}).get_params(deep=False))


def test_a_misspelt_method_is_refused_with_the_nearest_name():
    for look_up in (registered, method_class, method_parameters, sequence_parameters, family_of, source_version, method_summary):
        with pytest.raises(SkipbenchError, match=r'^no method "rigde"\. Nearest: ridge\.'):
            look_up("rigde")


def test_a_misspelt_parameter_is_refused_with_the_nearest_name():
    with pytest.raises(SkipbenchError, match=r'^no parameter "kernal" of method ridge\. Nearest: kernel\.'):
        check_parameters("ridge", {"kernal": "ntk"})


def test_a_value_that_the_method_refuses_is_refused_before_any_data_is_there():
    with pytest.raises(SkipbenchError, match=r'no kernel "ntkk"'):
        check_parameters("ridge", {"kernel": "ntkk"})
    with pytest.raises(SkipbenchError, match="trees=0"):
        check_parameters("random-forest", {"trees": 0})
    with pytest.raises(SkipbenchError, match="trees=0"):
        make_method("random-forest", {"trees": 0})
    check_parameters("ridge", {"kernel": "nngp", "architecture": MLP(depth=2)})


@pytest.mark.parametrize(
    ("name", "parameters", "vectors", "images"),
    [
        ("ridge", {}, True, False),
        ("ridge", {"architecture": ResCNN(depth=1)}, False, True),
        ("ridge", {"kernel": "laplace"}, True, False),
        ("network", {}, True, False),
        ("network", {"architecture": CNN(depth=1)}, False, True),
        ("logistic-regression", {}, True, True),
        ("random-forest", {}, True, True),
    ],
)
def test_a_method_accepts_what_its_architecture_reads(name, parameters, vectors, images):
    assert accepts(name, parameters, "vectors") == vectors
    assert accepts(name, parameters, "images") == images


def test_parameters_that_are_sequences_are_told_from_lists_of_values():
    assert sequence_parameters("ridge") == ("ridges",)
    assert sequence_parameters("logistic-regression") == ("Cs",)
    assert sequence_parameters("random-forest") == ()


def test_every_method_has_a_summary_of_one_line():
    summaries = [method_summary(name) for name in method_names()]
    assert len(set(summaries)) == len(METHODS)
    assert all(summary and "\n" not in summary for summary in summaries)


def test_an_unknown_kind_of_input_is_refused():
    with pytest.raises(SkipbenchError, match=r'no kind of input "image"\. Nearest: images'):
        accepts("ridge", {}, "image")


@pytest.mark.parametrize(
    ("name", "parameters", "label"),
    [
        ("ridge", {"architecture": ResCNN(depth=3, readout="tr")}, "NTK ridge, ResCNN(3, tr)"),
        ("ridge", {"kernel": "laplace"}, "Laplace ridge"),
        ("logistic-regression", {}, "logistic regression"),
        ("random-forest", {"trees": 7}, "random forest"),
    ],
)
def test_labels_are_those_of_the_tables(name, parameters, label):
    assert method_label(name, parameters) == label


def test_two_networks_have_different_labels_that_name_architecture_and_width():
    labels = [method_label("network", {"architecture": MLP(depth=3), "width": width}) for width in (64, 128)]
    assert "MLP(3)" in labels[0]
    assert "width 128" in labels[1]
    assert labels[0] != labels[1]


def test_a_method_of_another_package_comes_in_by_its_entry_point(installed):
    class Ours(KernelRidge):
        family = "kernel"
        source_version = "7"

    installed(kernel_of_somebody=Ours, plain=RidgeClassifier)
    assert registered("kernel-of-somebody").family == "kernel"
    assert registered("kernel-of-somebody").source_version == "7"
    assert method_class("kernel-of-somebody") is Ours
    assert registered("plain").family == "baseline"
    assert input_kinds("plain", {}) == ("vectors",)
    assert method_names() == (*METHODS, "kernel-of-somebody", "plain")
    assert method_label("plain", {"alpha": 0.5}) == "plain, alpha 0.5"
    with pytest.raises(SkipbenchError, match=r'no method "kernel-of-sombody"\. Nearest: kernel-of-somebody'):
        registered("kernel-of-sombody")


def test_scikit_learns_declared_constraints_are_held_where_a_class_has_no_check_of_its_own(installed):
    installed(plain=RidgeClassifier)
    check_parameters("plain", {"alpha": 0.5})
    with pytest.raises(SkipbenchError, match="method plain: The 'alpha' parameter of RidgeClassifier must be"):
        check_parameters("plain", {"alpha": -1.0})


def test_a_foreign_method_cannot_take_one_of_our_names(installed):
    installed(ridge=RidgeClassifier)
    with pytest.warns(UserWarning, match=r"'ridge' of somebodys_methods:ridge is left out: skipbench has one of that name"):
        assert registry.registered_methods()["ridge"] is METHODS["ridge"]


def test_a_package_that_cannot_be_imported_is_left_out_and_the_others_stay(installed, monkeypatch):
    installed(plain=RidgeClassifier)
    broken = EntryPoint("broken", "no_such_module:Method", registry.ENTRY_POINTS)
    working = EntryPoint("plain", "somebodys_methods:plain", registry.ENTRY_POINTS)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: (broken, working))
    with pytest.warns(UserWarning, match="'broken' of no_such_module:Method is left out: No module named 'no_such_module'"):
        names = set(registry.registered_methods())
    assert names == {*METHODS, "plain"}


def test_importing_the_trainers_does_not_wait_for_lightning():
    code = "import sys, skipbench.trainers; print('pytorch_lightning' in sys.modules, 'torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False True"


def test_the_public_names_are_the_classes_that_are_registered():
    exported = {getattr(skipbench.trainers, name) for name in skipbench.trainers.__all__}
    assert {method_class(name) for name in METHODS} <= exported
