"""The contract over every registered engine, that it finds what breaks it, and how an engine is chosen."""

from __future__ import annotations

import sys
import types
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from skipbench.architecture import CNN, MLP, ResCNN, ResMLP
from skipbench.checks import ContractError, SkipbenchError
from skipbench.kernels import kernel_matrices
from skipbench.kernels.engines import contract, registry
from skipbench.kernels.engines.contract import check_engine, contract_cases
from skipbench.kernels.engines.reference import reference_matrices as reference_engine
from skipbench.kernels.engines.registry import ENGINES, RegisteredEngine, engine_choices, engine_for, engine_names, registered_engine

CPU = torch.device("cpu")


def reference_matrices(arch, x, z, **options):
    return reference_engine((arch,), x, z, **options)[0]


def engine_of(matrices):
    """An engine that computes one architecture after the other."""
    return lambda archs, x, z, **options: [matrices(arch, x, z, **options) for arch in archs]


def devices_of(name: str) -> list[str]:
    """Those of this machine on which the engine has what it needs."""
    engine = registered_engine(name)
    present = [device for device in engine.devices if device == "cpu" or torch.cuda.is_available()]
    return [device for device in present if all(find_spec(package) for package in engine.packages.get(device, ()))]


@pytest.mark.parametrize(("name", "device"), [(name, device) for name in engine_names() for device in devices_of(name)])
def test_every_registered_engine_keeps_the_contract(name, device):
    checked = check_engine(name, device)
    assert len(checked) == len(contract.CHECKS) + 1  # and it agrees with the reference, or with closed forms


def test_the_cases_cover_every_choice_that_an_architecture_leaves():
    cases = list(contract_cases(registered_engine("reference"), "cpu"))
    architectures = [case.arch for case in cases]
    convolutional = {(a.readout, a.padding, a.bias > 0, a.branch_depth, a.train_ends) for a in architectures if isinstance(a, ResCNN)}
    assert len(convolutional) == 3 * 2 * 2 * 4 * 2
    assert len({(a.readout, a.padding, a.bias > 0) for a in architectures if isinstance(a, CNN)}) == 12
    assert len({(a.bias > 0, a.branch_depth, a.train_ends) for a in architectures if isinstance(a, ResMLP)}) == 16
    assert {type(a).__name__ for a in architectures} == {"MLP", "ResMLP", "DenseMLP", "CNN", "ResCNN"}
    assert {a.filter_size for a in architectures if a.is_convolutional} == {1, 3, 5}
    assert {side % 2 for case in cases if case.x.ndim == 4 for side in case.x.shape[2:]} == {0, 1}


def asymmetric(arch, x, z, **options):
    nngp, ntk = reference_matrices(arch, x, z, **options)
    if z is None:
        ntk[0, 1] = torch.nextafter(ntk[0, 1], ntk[0, 1] + 1)
    return nngp, ntk


def indefinite(arch, x, z, **options):
    nngp, ntk = reference_matrices(arch, x, z, **options)
    return nngp - 0.9 * nngp.trace() * torch.eye(*nngp.shape, dtype=x.dtype) / len(x), ntk


def depends_on_the_batch(arch, x, z, **options):
    nngp, ntk = reference_matrices(arch, x, z, **options)
    return nngp * (1 + 1e-4 * len(x)), ntk


def forgets_small_memory(arch, x, z, *, normalised, working_bytes):
    nngp, ntk = reference_matrices(arch, x, z, normalised=normalised, working_bytes=working_bytes)
    return (nngp, ntk) if working_bytes > 2**20 else (nngp, 1.01 * ntk)


def adds_a_bias_of_its_own(arch, x, z, **options):
    nngp, ntk = reference_matrices(arch, x, z, **options)
    return nngp + 0.1, ntk


def coarse_in_float32(arch, x, z, **options):
    nngp, ntk = reference_matrices(arch, x, z, **options)
    return (nngp, ntk) if x.dtype == torch.float64 else (nngp, 1.01 * ntk)


def always_double(arch, x, z, **options):
    nngp, ntk = reference_matrices(arch, x, z, **options)
    return nngp.double(), ntk.double()


def ignores_normalised(arch, x, z, *, normalised, working_bytes):
    return reference_matrices(arch, x, z, normalised=False, working_bytes=working_bytes)


def treats_copies_as_strangers(arch, x, z, **options):
    x.checksums = np.arange(len(x), dtype=np.uint64)
    return reference_matrices(arch, x, z, **options)


def forgets_the_last_layer(arch, x, z, **options):
    nngp, ntk = reference_matrices(arch, x, z, **options)
    return nngp, ntk - nngp


def overflows_silently(arch, x, z, **options):
    try:
        return reference_matrices(arch, x, z, **options)
    except SkipbenchError:
        return torch.full((len(x), len(x)), torch.inf), torch.full((len(x), len(x)), torch.inf)


def crashes(arch, x, z, **options):
    raise IndexError("list index out of range")


@pytest.fixture
def planted(monkeypatch):
    """Register a function as the engine "planted"; only two small architectures run, which is quick and breaks as surely."""

    def plant(function, **declared):
        module = types.ModuleType("planted_engine")
        module.compute = engine_of(function)
        monkeypatch.setitem(sys.modules, "planted_engine", module)
        engine = replace(ENGINES["reference"], name="planted", path="planted_engine:compute", **declared)
        monkeypatch.setitem(registry.ENGINES, "planted", engine)
        monkeypatch.setattr(contract, "_architectures", lambda: iter((ResMLP(3, 0.5), CNN(2, readout="tr"))))

    return plant


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (asymmetric, "the matrix of x with itself is not exactly symmetric"),
        (indefinite, r"an eigenvalue is -\d\.\d+ of the trace"),
        (depends_on_the_batch, "x as a whole, and in parts: the NNGP matrices differ by"),
        (forgets_small_memory, "working_bytes=8192: the NTK matrices differ by"),
        (adds_a_bias_of_its_own, "inputs 3 times as large: the NNGP matrices differ by"),
        (coarse_in_float32, "float32 and float64: the NTK matrices differ by"),
        (always_double, r"a result is .*torch\.float64.*, but .*torch\.float32.* was asked for"),
        (ignores_normalised, "normalised and not: the NNGP matrices differ by"),
        (treats_copies_as_strangers, "an input and its copy differ from the input and itself by"),
        (forgets_the_last_layer, r"ResMLP\(.* the reference in float64 and this engine in float64: the NTK matrices differ by"),
        (overflows_silently, "it takes values beyond the range of the dtype without a SkipbenchError"),
        (crashes, "IndexError: list index out of range, while it was checked that: Both matrices have the shape"),
    ],
)
def test_the_contract_names_what_an_engine_breaks(planted, function, message):
    planted(function)
    with pytest.raises(ContractError, match=f"engine planted on cpu.*{message}"):
        check_engine("planted")


def test_an_engine_that_keeps_the_contract_is_compared_with_the_reference(planted):
    planted(reference_matrices)
    assert any('agrees with the engine "reference" in float64' in sentence for sentence in check_engine("planted"))


def test_an_engine_is_only_asked_for_what_it_declares(planted):
    planted(coarse_in_float32, dtypes=("float64",), families=("CNN",))
    assert all(sentence.endswith("(1 case)") for sentence in check_engine("planted"))
    planted(reference_matrices, devices=("cpu",))
    with pytest.raises(SkipbenchError, match="engine planted: it runs on cpu, and this is cuda"):
        check_engine("planted", "cuda")


def test_the_reference_itself_is_held_to_closed_forms(monkeypatch):
    broken = types.ModuleType("broken_reference")
    broken.compute = engine_of(forgets_the_last_layer)
    monkeypatch.setitem(sys.modules, "broken_reference", broken)
    monkeypatch.setitem(registry.ENGINES, "reference", replace(ENGINES["reference"], path="broken_reference:compute"))
    monkeypatch.setattr(contract, "_architectures", lambda: iter((MLP(2),)))
    with pytest.raises(ContractError, match=r"MLP\(depth=1.*the closed form: the NTK matrices differ"):
        check_engine("reference")


def test_an_unknown_engine_is_refused_with_the_nearest_name():
    with pytest.raises(SkipbenchError, match=r'no engine "referense"\. Nearest: reference'):
        check_engine("referense")
    with pytest.raises(SkipbenchError, match=r'no engine "referense"\. Nearest: reference.*Allowed: auto, .*reference'):
        kernel_matrices(MLP(1), np.ones((2, 2)), engine="referense")


def test_auto_is_the_first_engine_that_can_run_and_the_reference_can_always():
    fast = RegisteredEngine("fast", "nowhere:none", "", families=("CNN",), devices=("cpu",), dtypes=("float32",))
    engines = {"fast": fast, "reference": ENGINES["reference"]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "ENGINES", engines)
        assert engine_choices() == ("auto", "fast", "reference")
        assert engine_for("auto", CNN(2), CPU, torch.float32).name == "fast"
        for arch, device, dtype in (
            (MLP(2), CPU, torch.float32),
            (CNN(2), torch.device("cuda"), torch.float32),
            (CNN(2), CPU, torch.float64),
        ):
            assert engine_for("auto", arch, device, dtype).name == "reference"


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"families": ("CNN", "ResCNN")}, r'MLP\(2\): engine "planted": it computes CNN, ResCNN, and this is MLP\. Use engine="auto"'),
        ({"devices": ("cuda",)}, "it runs on cuda, and this is cpu"),
        ({"dtypes": ("float32",)}, "it computes in float32, and this is float64"),
        ({"packages": {"cpu": ("no_such_package",)}}, "it needs no_such_package, which is not installed"),
    ],
)
def test_an_engine_that_cannot_run_says_why(planted, declared, message):
    planted(reference_matrices, **declared)
    with pytest.raises(SkipbenchError, match=message):
        kernel_matrices(MLP(2), np.ones((2, 2)), engine="planted")


def test_where_no_engine_can_run_every_reason_is_given(monkeypatch):
    only = replace(ENGINES["reference"], devices=("cuda",))
    monkeypatch.setattr(registry, "ENGINES", {"reference": only})
    with pytest.raises(SkipbenchError, match=r'engine "reference": it runs on cuda, and this is cpu\. No engine is left'):
        engine_for("auto", MLP(2), CPU, torch.float64)


def test_the_fastest_engine_of_the_registry_stands_before_the_reference():
    assert engine_names()[-1] == "reference"
    assert engine_for("reference", CNN(1), CPU, torch.float64).obstacle(CNN(1), CPU, torch.float64) == ""
