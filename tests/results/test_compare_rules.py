"""The rules of a comparison: what counts as moved, by kind; and what holds for any two stores."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from skipbench.architecture import MLP, ResMLP
from skipbench.checks import SkipbenchError
from skipbench.results import ClaimRecord, MachineThreads
from skipbench.results.comparison import CostLimits, compare_records
from skipbench.results.comparison.accuracy import FALSE_ALARM, accuracy_movements
from skipbench.results.comparison.counts import Count, are_equal, count_movements
from skipbench.results.comparison.matching import match_records

EPSILON = 2.0**-52


def elsewhere(record, **changes):
    """The record as a run on another class of machine would have left it."""
    changes = {"machine_class": "another"} | changes
    return record.model_copy(update={"environment": record.environment.model_copy(update=changes)})


def only(movements):
    assert len(movements) == 1, movements
    return movements[0]


def kinds(comparison):
    return [(movement.kind, movement.direction) for movement in comparison.movements]


class TestMatching:
    def test_the_newest_record_of_a_cell_stands_for_it(self, make_cell):
        old = make_cell(accuracy=0.1, source_version="1", key="a" * 64)
        new = make_cell(accuracy=0.9, source_version="2", key="b" * 64, created="2026-02-02T00:00:00Z")
        assert compare_records([new], [old, new]).movements == ()
        assert compare_records([old, new], [new]).movements == ()

    def test_equal_keys_are_one_cell_whatever_it_is_called(self, make_cell):
        before = make_cell(dataset="digits (n=600)", key="a" * 64, sha256="b" * 64)
        after = make_cell(dataset="digits, 600 rows", key="a" * 64, sha256="b" * 64)
        matching = match_records([before], [after])
        assert len(matching.pairs) == 1
        assert matching.vanished == matching.appeared == ()

    @pytest.mark.parametrize(
        "other",
        [
            {"split": 1},
            {"dataset": "wine"},
            {"protocol": "nested"},
            {"kernel": "nngp"},
            {"architecture": ResMLP(2)},
            {"parameters": {"ridge": 1.0}},
            {"preprocessing": ()},
            {"suite": "other"},
            {"device": "cuda"},
            {"dtype": "float32"},
        ],
        ids=lambda other: next(iter(other)),
    )
    def test_cells_that_differ_in_anything_else_than_version_and_data_are_two(self, make_cell, other):
        comparison = compare_records([make_cell(key="a" * 64)], [make_cell(key="b" * 64, **other)])
        assert kinds(comparison) == [("vanished", "worse")]
        assert comparison.n_appeared == 1
        assert comparison.n_pairs == 0

    def test_a_second_gpu_is_the_same_kind_of_device(self, make_cell):
        assert match_records([make_cell(device="cuda:0")], [make_cell(device="cuda:1")]).vanished == ()

    def test_a_changed_source_version_is_a_changed_key_and_its_numbers_are_still_compared(self, make_cell):
        comparison = compare_records([make_cell(accuracy=0.9)], [make_cell(accuracy=0.5, source_version="2")])
        assert kinds(comparison) == [("accuracy", "worse"), ("key", "changed")]
        assert comparison.movements[1].change == "source version 1 -> 2"

    def test_with_other_data_the_key_is_all_that_is_compared(self, make_cell):
        comparison = compare_records([make_cell(accuracy=0.9)], [make_cell(accuracy=0.5, condition_number=9.0, n=300)])
        movement = only(comparison.movements)
        assert movement.regression
        assert movement.change.startswith("data ")
        assert "rows (train, validation, test) 90 30 30 -> 180 60 60" in movement.change


class TestPresence:
    def test_failing_otherwise_is_a_change_and_no_regression(self, make_cell):
        before, after = (make_cell(status=status, reason=f"a {status}", key="a" * 64) for status in ("timeout", "failed"))
        movement = only(compare_records([before], [after]).movements)
        assert (movement.old, movement.new, movement.regression, movement.change) == ("timeout", "failed", False, "a failed")

    @pytest.mark.parametrize("status", ["failed", "timeout", "oom", "diverged", "skipped"])
    def test_every_status_but_ok_is_a_failure(self, make_cell, status):
        movement = only(compare_records([make_cell(key="a" * 64)], [make_cell(status=status, key="a" * 64)]).movements)
        assert (movement.kind, movement.regression, movement.new) == ("failing", True, status)

    def test_a_vanished_failure_is_still_a_vanished_cell(self, make_cell):
        comparison = compare_records([make_cell(status="failed", split=1), make_cell()], [make_cell()])
        assert only(comparison.movements).old == "failed"

    def test_a_claim_that_no_longer_holds_is_a_regression(self, make_cell):
        fields = make_cell().model_dump(include={"suite", "command", "source", "environment", "created", "status"})
        holds, fails = (
            ClaimRecord.model_validate({**fields, "key": "c" * 64, "claim": "A9", "verdict": verdict})
            for verdict in ("holds", "does not hold")
        )
        movement = only(compare_records([holds], [fails]).movements)
        assert (movement.kind, movement.regression, movement.cell) == ("claim", True, "claim A9")
        assert not only(compare_records([fails], [holds]).movements).regression


class TestAccuracyWithoutSeeds:
    def test_where_every_bit_repeats_one_lost_row_is_a_regression(self, make_cell):
        pair = [make_cell(accuracy=0.9)], [make_cell(accuracy=0.9 - 1 / 30, key=make_cell(accuracy=0.9).key)]
        assert kinds(compare_records(*pair)) == [("accuracy", "worse")]

    @pytest.mark.parametrize(("rows", "moved"), [(1, False), (2, True)])
    def test_on_another_machine_a_single_row_may_flip(self, make_cell, rows, moved):
        before = make_cell(accuracy=0.9)
        after = elsewhere(make_cell(accuracy=0.9 - rows / 30, key=before.key))
        assert bool(compare_records([before], [after]).movements) == moved

    @pytest.mark.parametrize("change", [{"python": "3.12.1"}, {"packages": {"torch": "2.14.0"}}, {"machine_class": "another"}])
    def test_another_python_or_torch_does_not_repeat_every_bit(self, make_cell, change):
        before = make_cell(accuracy=0.9)
        after = elsewhere(make_cell(accuracy=0.9 - 1 / 30, key=before.key), **({"machine_class": "0123abcd"} | change))
        assert compare_records([before], [after]).movements == ()

    def test_rows_won_elsewhere_do_not_hide_rows_lost(self, make_cell):
        before = [make_cell(split=split, accuracy=0.8) for split in (0, 1)]
        after = [make_cell(split=split, accuracy=0.8 + gain, key=before[split].key) for split, gain in ((0, 0.1), (1, -0.1))]
        movement = only(compare_records(before, after).movements)
        assert (movement.direction, movement.regression) == ("changed", False)
        assert "3 test rows lost, 3 won" in movement.change


class TestAccuracyWithSeeds:
    """Networks whose seeds spread by a known amount around a known mean."""

    def cells(self, make_cell, mean, generator, *, splits=3, seeds=3, spread=0.01, rows=1500):
        sizes = {"family": "network", "architecture": MLP(2), "width": 8, "n": 5 * rows, "condition_number": None}
        grid = [(split, seed) for split in range(splits) for seed in range(seeds)]
        values = [round(generator.normal(mean + 0.1 * split, spread) * rows) / rows for split, _ in grid]
        keys = [f"{split:032x}{seed:032x}" for split, seed in grid]
        made = zip(grid, values, keys, strict=True)
        return [make_cell(split=split, seed=seed, accuracy=value, key=key, **sizes) for (split, seed), value, key in made]

    def test_other_seeds_are_no_regression_at_the_promised_rate(self, make_cell):
        """300 unchanged reruns of 4 methods: the 99.9 % quantile of the number of false alarms at FALSE_ALARM each side."""
        generator = np.random.default_rng(0)
        templates = self.cells(make_cell, 0.7, generator)
        others = [
            [cell.model_copy(update={"method": cell.method.model_copy(update={"parameters": {"m": m}})}) for cell in templates]
            for m in range(4)
        ]

        def draw():
            metric = templates[0].metrics[0]
            values = generator.normal(0.7, 0.01, size=(4, len(templates)))
            return [
                cell.model_copy(update={"metrics": (metric.model_copy(update={"value": float(value)}),)})
                for row, cells in zip(values, others, strict=True)
                for value, cell in zip(row, cells, strict=True)
            ]

        alarms = sum(
            any(movement.regression for movement in accuracy_movements(match_records(draw(), draw()).measured)) for _ in range(300)
        )
        assert alarms <= stats.binom.ppf(0.999, 300, FALSE_ALARM)

    @pytest.mark.parametrize(("splits", "drop"), [(3, 0.03), (1, 0.08)])
    def test_a_mean_well_below_the_spread_of_its_seeds_is_a_regression(self, make_cell, splits, drop):
        generator = np.random.default_rng(1)
        before = self.cells(make_cell, 0.7, generator, splits=splits)
        after = self.cells(make_cell, 0.7 - drop, generator, splits=splits)
        movement = only(accuracy_movements(match_records(before, after).measured))
        assert movement.regression
        assert "seed noise explains up to" in movement.change
        assert len(movement.records) == 3 * splits

    def test_one_bad_seed_is_noise_and_all_of_them_are_not(self, make_cell):
        before = self.cells(make_cell, 0.7, np.random.default_rng(2))
        metric = before[0].metrics[0]

        def lowered(cell):
            return cell.model_copy(update={"metrics": (metric.model_copy(update={"value": cell.metrics[0].value - 0.3}),)})

        assert accuracy_movements(match_records(before, [lowered(before[0]), *before[1:]]).measured) == ()
        assert only(accuracy_movements(match_records(before, [lowered(cell) for cell in before]).measured)).regression

    @pytest.mark.parametrize(("drop", "moved"), [(0.02, False), (0.08, True)])
    def test_with_one_seed_the_test_rows_say_what_chance_may_do(self, make_cell, drop, moved):
        """One seed, 400 test rows at 0.7: the standard error of a difference is 0.032, and 2.6 of them are the limit at 0.5 %."""
        network = {"family": "network", "seed": 0, "n": 2000, "key": "a" * 64}
        low = 0.7 - (0.3 if drop == 0.08 else 0.02)
        found = accuracy_movements(match_records([make_cell(accuracy=0.7, **network)], [make_cell(accuracy=low, **network)]).measured)
        assert bool(found) == moved

    def test_seeds_that_agree_exactly_still_allow_one_row(self, make_cell):
        network = [{"family": "network", "seed": seed, "key": f"{seed:064x}"} for seed in range(3)]
        before = [make_cell(accuracy=1.0, **fields) for fields in network]
        for rows, moved in ((1, False), (2, True)):
            after = [make_cell(accuracy=1 - rows / 30, **fields) for fields in network]
            assert bool(accuracy_movements(match_records(before, after).measured)) == moved


class TestCounts:
    def count(self, kind, value):
        return Count(kind, value, is_step=kind == "iterations")

    @pytest.mark.parametrize(
        ("old", "new", "equal"),
        [
            (1e3, 1e3 * (1 + 0.9e-6), True),
            (1e3, 1e3 * (1 + 1.1e-6), False),
            (1e11, 1e11 * (1 + 1e-4), True),  # 10 eps 1e11 = 2.2e-4: beyond what float64 can repeat
            (1e11, 1e11 * (1 + 1e-3), False),
            (math.inf, math.inf, True),
            (1e10, math.inf, False),
            (0.99 / (90 * EPSILON), math.inf, True),  # at the bound, one rounding decides whether it is finite
            (0.5 / (90 * EPSILON), math.inf, False),
        ],
    )
    def test_a_condition_number_moves_beyond_1e_6_or_what_rounding_explains(self, make_cell, old, new, equal):
        cell = make_cell()
        assert are_equal(self.count("condition number", old), self.count("condition number", new), cell) is equal
        assert are_equal(self.count("condition number", new), self.count("condition number", old), cell) is equal

    def test_a_kernel_in_float32_repeats_less_closely(self, make_cell):
        single = make_cell(dtype="float32")
        single = single.model_copy(update={"spectrum": single.spectrum.model_copy(update={"dtype": "float32"})})
        counts = self.count("condition number", 1e4), self.count("condition number", 1e4 * 1.005)
        assert are_equal(*counts, single)  # 10 eps32 1e4 = 1.2 %
        assert not are_equal(*counts, make_cell())

    @pytest.mark.parametrize(
        ("old", "new", "equal"), [(40, 41, False), (100_000, 100_001, False), (300_000, 300_001, True), (300_000, 300_002, False)]
    )
    def test_a_step_is_a_step_until_rounding_can_decide_it(self, make_cell, old, new, equal):
        assert are_equal(self.count("iterations", old), self.count("iterations", new), make_cell()) is equal
        assert are_equal(self.count("iterations", new), self.count("iterations", old), make_cell()) is equal

    def test_a_rise_and_a_fall_of_one_method_are_two_findings(self, make_cell):
        before = [make_cell(split=split, condition_number=1e3) for split in (0, 1, 2)]
        factors = (2.0, 1.5, 0.5)
        after = [make_cell(split=split, condition_number=1e3 * factor, key=before[split].key) for split, factor in enumerate(factors)]
        rise, fall = count_movements(match_records(before, after).measured)
        assert (rise.regression, rise.new, rise.change, len(rise.records)) == (True, 2e3, "x 2; 1 more cell", 2)
        assert (fall.regression, fall.new, fall.direction) == (False, 500.0, "better")
        assert rise.cell.endswith("split 0")

    def test_counts_of_a_network_are_compared_where_every_bit_repeats_only(self, make_cell):
        network = {"family": "network", "seed": 0, "key": "a" * 64}
        before, after = make_cell(iterations=(10, 40, 200), **network), make_cell(iterations=(10, 44, 200), **network)
        assert only(count_movements(match_records([before], [after]).measured)).kind == "iterations"
        assert count_movements(match_records([before], [elsewhere(after)]).measured) == ()


class TestCosts:
    def group(self, make_cell, seconds, n=9, **changes):
        return [make_cell(split=split, key=f"{split:064x}", phases={"kernel": seconds, "warm-up": 50.0}, **changes) for split in range(n)]

    def test_a_method_three_times_as_slow_is_a_regression(self, make_cell):
        movement = only(compare_records(self.group(make_cell, 1.0), self.group(make_cell, 3.0)).movements)
        assert (movement.kind, movement.old, movement.new, movement.regression) == ("seconds", 1.0, 3.0, True)

    def test_a_hiccup_of_a_few_cells_is_none(self, make_cell):
        slow = [*self.group(make_cell, 9.0)[:4], *self.group(make_cell, 1.0)[4:]]
        assert compare_records(self.group(make_cell, 1.0), slow).movements == ()

    def test_milliseconds_are_nobody_s_fault(self, make_cell):
        assert compare_records(self.group(make_cell, 0.01), self.group(make_cell, 0.09)).movements == ()

    def test_the_first_cell_of_a_worker_may_import_libraries(self, make_cell):
        assert compare_records(self.group(make_cell, 0.5, n=1), self.group(make_cell, 3.5, n=1)).movements == ()
        assert compare_records(self.group(make_cell, 5.0, n=1), self.group(make_cell, 15.0, n=1)).movements != ()

    def test_seconds_spent_once_for_several_cells_do_not_count(self, make_cell):
        shared = self.group(make_cell, 30.0, shared_phases=("kernel",))
        assert compare_records(self.group(make_cell, 1.0), shared).movements == ()

    @pytest.mark.parametrize("change", [{"machine_class": "another"}, {"threads": MachineThreads(torch=2)}])
    def test_another_machine_or_more_threads_are_said_and_not_compared(self, make_cell, change):
        slow = [elsewhere(cell, **({"machine_class": "0123abcd"} | change)) for cell in self.group(make_cell, 30.0)]
        comparison = compare_records(self.group(make_cell, 1.0), slow)
        assert comparison.movements == ()
        note = only(comparison.notes)
        assert note.startswith(
            "times and memory not compared for 9 of 9 cells: machine class 0123abcd (a processor, 2 cores; 1 thread) against "
        )
        assert ("another" in note) == ("machine_class" in change)
        assert ("2 threads" in note) == ("threads" in change)

    def suite(self, make_cell, factors):
        cells = []
        for index, factor in enumerate(factors):
            cells += [
                make_cell(dataset=f"set {index}", split=split, key=f"{index:032x}{split:032x}", phases={"fit": factor})
                for split in range(3)
            ]
        return cells

    def test_a_slow_night_excuses_what_it_slows_alike(self, make_cell):
        base = self.suite(make_cell, [1.0] * 6)
        assert compare_records(base, self.suite(make_cell, [1.8] * 5 + [2.2])).movements == ()
        worse = only(compare_records(base, self.suite(make_cell, [1.8] * 5 + [4.0])).movements)
        assert "set 5" in worse.cell
        assert worse.change == "x 4, all groups x 1.8"

    def test_three_times_everything_is_said_once(self, make_cell):
        movement = only(compare_records(self.suite(make_cell, [1.0] * 6), self.suite(make_cell, [3.0] * 6)).movements)
        assert movement.cell == "everything (18 cells, 6 groups)"
        assert movement.regression

    def test_memory_is_compared_widely(self, make_cell):
        def used(factor):
            return [
                cell.model_copy(update={"peak_memory": cell.peak_memory.model_copy(update={"host_bytes": factor * 2**28})})
                for cell in cells
            ]

        cells = self.group(make_cell, 1.0)
        assert compare_records(used(1), used(2)).movements == ()
        assert kinds(compare_records(used(1), used(3))) == [("memory", "worse")]

    @pytest.mark.parametrize("ratio", [1.0, 0.5, math.inf, math.nan])
    def test_a_threshold_that_is_none_is_refused(self, ratio):
        with pytest.raises(SkipbenchError, match=r"ratio=.*a number above 1, such as 2"):
            CostLimits(ratio=ratio)


SHARES = st.integers(0, 30).map(lambda rows: rows / 30)
NUMBERS = st.one_of(st.none(), st.floats(1.0, 1e15))
STEPS = st.one_of(st.none(), st.integers(0, 10**9))
METHODS = st.one_of(st.just(("kernel", None)), st.tuples(st.just("network"), st.integers(0, 2)))
PLACES = st.tuples(st.sampled_from(["iris", "wine"]), st.integers(0, 2), METHODS, st.sampled_from("ab"))


@pytest.fixture(scope="session")
def make_store(make_cell):
    def make(contents):
        cells = []
        for (dataset, split, (family, seed), version), (accuracy, condition, steps, seconds, status, machine) in contents.items():
            cell = make_cell(
                dataset=dataset,
                split=split,
                family=family,
                seed=seed,
                accuracy=accuracy,
                condition_number=condition,
                iterations=(steps, steps, None),
                status=status,
                phases={"fit": seconds},
                source_version=version,
                key=hashlib.sha256(repr((dataset, split, family, seed, version)).encode()).hexdigest(),
            )
            cells.append(elsewhere(cell, machine_class=machine))
        return cells

    return make


STORES = st.dictionaries(
    PLACES,
    st.tuples(SHARES, NUMBERS, STEPS, st.floats(0.0, 1e4), st.sampled_from(["ok", "ok", "ok", "failed"]), st.sampled_from(["x", "x", "y"])),
    max_size=8,
)
anything = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_numbers_that_nobody_can_have_measured_are_compared_all_the_same(make_cell):
    extremes = [
        {"accuracy": -1e308, "condition_number": -1e308, "iterations": (-5, 0, 10**400), "phases": {"fit": -1.0}},
        {"accuracy": 1e308, "condition_number": 1e-300, "iterations": (10**400, 10**18, -(10**400)), "phases": {"fit": 5e-324}},
        {"accuracy": 0.0, "condition_number": 1e-200, "iterations": (0, 0, 0), "phases": {"fit": 1e308, "solve": 1e308}},
        {"accuracy": 0.5, "condition_number": 1e308, "iterations": (None, None, None), "phases": {}},
        {"accuracy": 0.5, "condition_number": None, "iterations": (1, 1, 1), "peak_memory": {"host_bytes": 10**400}},
    ]
    cells = [make_cell(key="a" * 64, **fields) for fields in extremes]
    for before in cells:
        for after in cells:
            assert bool(compare_records([before], [after]).movements) == (before is not after)


@anything
@given(contents=STORES)
def test_a_store_against_itself_has_not_moved(make_store, contents):
    cells = make_store(contents)
    comparison = compare_records(cells, cells)
    assert comparison.movements == ()
    assert comparison.exit_status(strict=True) == 0


def reversed_finding(movement):
    kind = {"failing": "working", "working": "failing"}.get(movement.kind, movement.kind)
    if movement.direction == "changed":
        kind = movement.kind
    direction = {"worse": "better", "better": "worse", "changed": "changed"}[movement.direction]
    pairs = frozenset((pair.new, pair.base) for pair in movement.records)
    return kind, direction, movement.new, movement.old, pairs


def finding(movement):
    return movement.kind, movement.direction, movement.old, movement.new, frozenset((pair.base, pair.new) for pair in movement.records)


@anything
@given(before=STORES, after=STORES)
def test_read_backwards_a_regression_is_an_improvement(make_store, before, after):
    """Vanished cells apart, which read backwards are new ones, and keys, which have no direction."""
    base, new = make_store(before), make_store(after)
    forth, back = compare_records(base, new), compare_records(new, base)
    kept = [[movement for movement in one.movements if movement.kind != "vanished"] for one in (forth, back)]
    assert {finding(movement)[:2] for movement in kept[0]} == {reversed_finding(movement)[:2] for movement in kept[1]}
    assert {finding(movement)[4] for movement in kept[0]} == {reversed_finding(movement)[4] for movement in kept[1]}
    n_vanished = sum(len(movement.records) for movement in forth.movements if movement.kind == "vanished")
    assert n_vanished == back.n_appeared
    assert forth.n_pairs == back.n_pairs


@anything
@given(before=STORES, after=STORES, order=st.randoms(use_true_random=False))
def test_the_order_of_the_records_decides_nothing(make_store, before, after, order):
    base, new = make_store(before), make_store(after)
    expected = compare_records(base, new)
    order.shuffle(base)
    order.shuffle(new)
    found = compare_records(base, new)
    assert [replace(movement, records=()) for movement in found.movements] == [
        replace(movement, records=()) for movement in expected.movements
    ]


@anything
@given(before=STORES, after=STORES)
def test_regressions_come_first_and_decide_the_exit_status(make_store, before, after):
    comparison = compare_records(make_store(before), make_store(after))
    flags = [movement.regression for movement in comparison.movements]
    assert flags == sorted(flags, reverse=True)
    assert comparison.exit_status() == int(any(flags))
    assert comparison.exit_status(strict=True) == int(bool(flags))
    assert all(movement.records for movement in comparison.movements)
