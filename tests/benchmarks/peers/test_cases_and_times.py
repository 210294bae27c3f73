"""What is compared, that the sides take turns, and what is computed from their times."""

from __future__ import annotations

import pytest

from skipbench.architecture import CNN, MLP, ResCNN, ResMLP
from skipbench.benchmarks.peers.alternation import Work, alternate, relative_spread
from skipbench.benchmarks.peers.cases import CASES, QUICK_CASES, chosen_cases, random_inputs
from skipbench.benchmarks.peers.growth import QUICK_SWEEPS, SWEEPS, depth_sweeps, fitted_exponent
from skipbench.benchmarks.peers.ours import OurKernels, calls_for, size_for
from skipbench.benchmarks.performance.workloads import PEER_CASES
from skipbench.checks import SkipbenchError


def test_the_cases_are_those_that_are_promised():
    found = [(case.arch, case.input_shape, case.n) for case in CASES]
    dense = [(arch, (inputs,), 2000) for arch in (MLP(10), ResMLP(10)) for inputs in (50, 784)]
    trace = [(family(10, readout="tr"), (3, 32, 32), None) for family in (CNN, ResCNN)]
    gap = [(family(5, readout="gap"), (3, side, side), None) for side in (32, 8) for family in (CNN, ResCNN)]
    assert found == dense + trace + gap


def test_quick_has_the_same_architectures_on_small_inputs_and_so_have_the_asv_benchmarks():
    assert [case.arch for case in QUICK_CASES] == [case.arch for case in CASES]
    assert all(max(case.input_shape) <= 13 for case in QUICK_CASES)
    assert [arch for arch, _, _ in PEER_CASES.values()] == [case.arch for case in CASES]


def test_names_are_unique_and_a_wrong_one_is_refused_with_the_nearest():
    assert len({case.name for case in CASES}) == len(CASES)
    assert [case.name for case in chosen_cases(["cnn-gap-8x8-depth-5", "mlp-50-depth-10"], quick=False)] == [
        "mlp-50-depth-10",
        "cnn-gap-8x8-depth-5",
    ]
    assert chosen_cases([], quick=True) == QUICK_CASES
    with pytest.raises(SkipbenchError, match=r'no case "rescnn-gap-32" of the peer\. Nearest: rescnn-gap-32x32-depth-5'):
        chosen_cases(["rescnn-gap-32"], quick=False)


class Noted:
    """A contestant that writes down when it is called."""

    def __init__(self, label, notes, seconds):
        self.label, self._notes, self._seconds = label, notes, iter(seconds)

    def prepare(self):
        self._notes.append(f"prepare {self.label}")
        return Work(pairs=10, threads=2, first_call_seconds=7.0, settings={"n": 5})

    def repeat(self):
        self._notes.append(self.label)
        return next(self._seconds)


def test_both_are_prepared_first_and_then_take_turns():
    notes = []
    ours, theirs = alternate([Noted("a", notes, [1.0, 3.0, 2.0]), Noted("b", notes, [4.0, 5.0, 9.0])], 3, pause_seconds=0.0)
    assert notes == ["prepare a", "prepare b", "a", "b", "a", "b", "a", "b"]
    assert (ours.seconds, theirs.seconds) == ((1.0, 3.0, 2.0), (4.0, 5.0, 9.0))
    assert (ours.median_seconds, theirs.median_seconds) == (2.0, 5.0)
    assert ours.pairs_per_second == 5.0
    assert ours.first_call_seconds == 7.0  # and not among the repeats
    assert relative_spread(theirs.seconds) == 1.0


def test_a_repeat_gets_as_much_work_as_the_target_needs():
    assert size_for(16, 0.01, 4.0) == 16 * 20
    assert size_for(16, 1000.0, 4.0) == 16
    assert size_for(16, 1e-9, 4.0) == 4096
    assert calls_for(0.1, 4.0) == 20
    assert calls_for(3.0, 4.0) == 1
    assert calls_for(9.0, 4.0) == 1


def test_our_side_says_what_it_did():
    ours = OurKernels(MLP(2), (5,), n=7, target_seconds=0.0)
    work = ours.prepare()
    assert (work.pairs, work.settings["n"], work.settings["calls"], work.settings["dtype"]) == (49, 7, 1, "float32")
    assert work.settings["engine"] in {"reference", "fused"}
    assert set(work.packages) == {"skipbench", "numba", "numpy", "torch"}
    assert work.first_call_seconds == ours.warm_up() > 0
    assert ours.repeat() > 0


def test_our_side_computes_the_depths_that_it_is_asked_for(monkeypatch):
    asked = []
    monkeypatch.setattr("skipbench.benchmarks.peers.ours.kernel_matrices", lambda arch, x, z, **options: asked.append(options["depths"]))
    (sweep,) = depth_sweeps([QUICK_CASES[0]], quick=True)
    alone, together = sweep.contestants(0.0)
    alone.warm_up()
    together.warm_up()
    assert asked == [None, list(range(1, 11))]


def test_inputs_repeat_and_differ_by_seed():
    first, again, other = (random_inputs((3, 5), 4, seed) for seed in (0, 0, 1))
    assert first.shape == (4, 3, 5)
    assert (first == again).all()
    assert not (first == other).any()


def test_the_exponent_of_a_power_is_found():
    sizes = [10.0, 20.0, 80.0]
    assert fitted_exponent(sizes, [3 * size**1.7 for size in sizes]) == pytest.approx(1.7, rel=1e-12)


@pytest.mark.parametrize("sweep", [*SWEEPS, *QUICK_SWEEPS], ids=lambda sweep: sweep.name)
def test_a_sweep_varies_one_thing(sweep):
    contestants = sweep.contestants(1.0)
    seen = {(made._n, made._arch.depth, made._shape) for made in contestants}
    assert len(seen) == len(sweep.values) >= 2
    varying = [len({each[place] for each in seen}) > 1 for place in range(3)]
    assert varying == [sweep.varied == "n", sweep.varied == "depth", sweep.varied == "side"]
    squared = 2 if sweep.varied == "side" else 1
    assert [made._settings[sweep.quantity] for made in contestants] == [value**squared for value in sweep.values]


def test_growth_is_measured_with_n_pixels_and_depth():
    assert {sweep.quantity for sweep in SWEEPS} == {"n", "pixels", "depth"}
