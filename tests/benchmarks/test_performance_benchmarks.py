"""Every asv benchmark still runs, for every combination of its parameters, and what it tracks is the same on each run."""

from __future__ import annotations

import importlib
import inspect
import itertools
import math
import pkgutil
from pathlib import Path

import pytest
import torch

from skipbench.benchmarks import performance
from skipbench.benchmarks.performance.measures import SECONDS_RATIO, elements_computed, largest_kernel_error, largest_relative_difference
from skipbench.benchmarks.performance.report import made_up_records
from skipbench.benchmarks.performance.workloads import architecture
from skipbench.checks import SkipbenchError

PREFIXES = ("time_", "track_", "peakmem_")


def measures_of(benchmark):
    return [name for name in dir(benchmark) if name.startswith(PREFIXES)]


def benchmark_classes():
    """The classes that asv finds, by the name of their module and their own."""
    for found in pkgutil.iter_modules(performance.__path__):
        module = importlib.import_module(f"{performance.__name__}.{found.name}")
        for name, value in list(vars(module).items()):
            if inspect.isclass(value) and value.__module__ == module.__name__ and measures_of(value):
                yield f"{found.name}.{name}", value


CLASSES = dict(benchmark_classes())
CASES = [
    pytest.param(benchmark, combination, id=f"{name}-{'-'.join(map(str, combination))}")
    for name, benchmark in CLASSES.items()
    for combination in itertools.product(*getattr(benchmark, "params", ()))
]


def ready(benchmark, combination):
    """An instance after its `setup`, or a skipped test where that asks for it."""
    made = benchmark()
    try:
        made.setup(*combination)
    except NotImplementedError as reason:
        pytest.skip(str(reason))
    return made


def tear_down(made, combination):
    if hasattr(made, "teardown"):
        made.teardown(*combination)


def test_every_question_of_the_suite_has_a_class():
    assert {name.partition(".")[0] for name in CLASSES} == {"kernels", "ridge", "gradient_descent", "training", "data", "report", "memory"}
    families = {family for name in ("DenseGram", "ConvolutionalGram") for family in CLASSES[f"kernels.{name}"].params[0]}
    assert families == {"MLP", "ResMLP", "DenseMLP", "CNN", "ResCNN"}
    assert CLASSES["kernels.ConvolutionalGram"].params[1] == ("eq", "tr", "gap")


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_a_benchmark_declares_its_version_its_parameters_names_and_the_unit_of_what_it_tracks(name):
    benchmark = CLASSES[name]
    assert isinstance(benchmark.version, str)
    assert len(getattr(benchmark, "params", ())) == len(getattr(benchmark, "param_names", ()))
    units = {
        measure: getattr(getattr(benchmark, measure), "unit", "") for measure in measures_of(benchmark) if measure.startswith("track_")
    }
    assert all(units.values()), units
    assert not any("accuracy" in text for text in (*units, *units.values()))  # a rise is a regression


@pytest.mark.parametrize(("benchmark", "combination"), CASES)
def test_a_benchmark_runs_and_tracks_a_finite_number(benchmark, combination):
    made = ready(benchmark, combination)
    try:
        for measure in measures_of(benchmark):
            value = getattr(made, measure)(*combination)
            if measure.startswith("track_"):
                assert isinstance(value, int | float)
                assert 0 <= value < math.inf, measure
            else:
                assert value is None, measure
    finally:
        tear_down(made, combination)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, benchmark in CLASSES.items()
        if any("track_" in measure and getattr(benchmark, measure).unit != SECONDS_RATIO for measure in measures_of(benchmark))
    ],
)
def test_what_is_tracked_is_the_same_on_each_run(name):
    benchmark = CLASSES[name]
    combination = tuple(values[0] for values in benchmark.params)
    seen = []
    for _ in range(2):
        made = ready(benchmark, combination)
        seen.append([getattr(made, measure)(*combination) for measure in measures_of(benchmark) if measure.startswith("track_")])
        tear_down(made, combination)
    assert seen[0] == seen[1]


def test_the_bare_loop_and_the_trainer_take_the_same_steps(monkeypatch):
    made = CLASSES["training.TrainerOverhead"]()
    made.n, made.side = 130, 8  # a last batch of two rows
    made.setup()
    networks = []
    build = made.network
    monkeypatch.setattr(made, "network", lambda: networks.append(build()) or networks[-1])
    for epoch in made.ways():
        assert epoch(made.samples) > 0
    bare, trained = (network.state_dict() for network in networks)
    assert all(torch.equal(bare[name], trained[name]) for name in bare)  # to the last bit, averages too
    assert not torch.equal(bare["readout.weight"], build().state_dict()["readout.weight"])


def test_asv_finds_the_same_benchmarks(tmp_path):
    discovery = pytest.importorskip("asv_runner.discovery", reason="asv is not installed")
    folder = Path(__file__).parent.parent.parent / "benchmarks" / "performance"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder.parent))
        found = {benchmark.name for benchmark in discovery.disc_benchmarks(str(folder))}
    assert found == {f"{name}.{measure}" for name, benchmark in CLASSES.items() for measure in measures_of(benchmark)}


def test_elements_are_those_that_operations_write_and_views_write_none():
    x = torch.ones(7, 13)
    assert elements_computed(lambda: x.T.contiguous()[:5] + 1) == 7 * 13 + 5 * 7
    assert elements_computed(lambda: torch.linalg.eigh(x.T @ x)) == 13 * 13 + 13 + 13 * 13  # several results of one operation
    assert elements_computed(lambda: x.add_(1)) == 7 * 13
    assert elements_computed(lambda: x.view(13, 7)[0]) == 0


def test_errors_are_relative_to_the_largest_entry_or_to_the_diagonal():
    expected = torch.tensor([[4.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    found = expected + torch.tensor([[0.0, 0.02], [0.02, 0.0]])
    assert largest_kernel_error(found, expected) == pytest.approx(0.01, rel=1e-6)  # 0.02 / sqrt(4 * 1); 0.02 is a float32
    assert largest_relative_difference(found, expected) == pytest.approx(0.005, rel=1e-6)


def test_the_made_up_records_are_distinct_and_the_same_each_time():
    records = made_up_records(3)
    assert len({record.key for record in records}) == len(records) == 48
    assert records == made_up_records(3)


def test_an_unknown_family_is_refused_with_the_nearest():
    with pytest.raises(SkipbenchError, match=r'no family "ResNN"\. Nearest: ResCNN'):
        architecture("ResNN")
