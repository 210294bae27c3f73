"""From a suite to its cells: what lists, draws, candidates, protocols and parts expand to."""

from __future__ import annotations

import numpy as np
import pytest

from skipbench.cells import expand, selection_of
from skipbench.checks import SkipbenchError
from skipbench.datasets import Dataset, Split, load
from skipbench.results.store import ResultStore
from skipbench.runner import plan
from skipbench.runner.plan import Selection
from skipbench.suite import load_suite, parts_of


@pytest.fixture
def suite_of(tmp_path):
    """Write a suite file and load it."""

    def load_text(text, name="mine"):
        path = tmp_path / f"{name}.yaml"
        path.write_text("description: does it help?\n" + text)
        return load_suite(str(path))

    return load_text


def cells_of(suite_file, **options):
    datasets = {entry: load(entry.name, n=entry.n, seed=entry.seed) for entry in suite_file.suite.data}
    return expand(suite_file, datasets, **options)


def folded(task_parts=("train", "validation", "test")):
    """A data set as the protocol `collection` makes it: a split to choose on, and two folds without validation rows."""
    rows = np.arange(12)
    empty = np.empty(0, dtype=np.int64)
    splits = (
        Split("selection", rows[:6], rows[6:], empty),
        Split("fold-1", rows[:8], empty, rows[8:]),
        Split("fold-2", rows[4:], empty, rows[:4]),
    )
    return Dataset("toy", np.arange(24, dtype=np.float32).reshape(12, 2), rows % 2, ("a", "b"), splits, protocol="collection")


def test_sizes_and_draws_expand_to_data_entries_that_remember_their_line(suite_of):
    file = suite_of("data:\n  - iris\n  - {name: digits, n: [100, 200], draws: 3}\nmethods: [logistic-regression]\n")
    assert [(entry.n, entry.seed) for entry in file.suite.data[1:]] == [(n, seed) for n in (100, 200) for seed in (0, 1, 2)]
    assert str(file.data_error(file.suite.data[4], "n", "here")) == "mine.yaml, line 4: here"


def test_draws_start_at_the_seed_that_is_given(suite_of):
    file = suite_of("data: [{name: digits, seed: 7, draws: 2}]\nmethods: [logistic-regression]\n")
    assert [entry.seed for entry in file.suite.data] == [7, 8]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{name: iris, n: []}", r"line 2: n is an empty list"),
        ("{name: iris, draws: 0}", r"line 2: draws=0, but it is a number of draws from 1 to 1000"),
        ("{name: iris, draws: many}", r"line 2: draws='many'"),
        ("{name: iris, n: [10, ten]}", r"line 2: data\.0\.n: .*found 'ten'"),
        ("{name: iris, seed: x, draws: 2}", r"line 2: data\.0\.seed"),
        ("{name: iris, draw: 2}", r'line 2: no key "draw"\. Nearest: draws'),
        ("{name: iris, parameters: 3}", r"parameters are given by name, such as \{frequency: 4\}, found 3"),
        ("{name: iris, n: [50, 50]}", r"iris \(n=50\) stands here twice"),
    ],
)
def test_a_data_entry_that_cannot_be_expanded_is_refused_with_its_line(suite_of, entry, message):
    with pytest.raises(SkipbenchError, match=message):
        suite_of(f"data: [{entry}]\nmethods: [logistic-regression]\n")


def test_lists_that_are_to_be_chosen_among_stay_one_cell_with_all_candidates(suite_of):
    file = suite_of(
        """data: [{name: iris, splits: [0]}]
methods:
  - ridge: {kernel: [nngp, ntk], architecture: {ResMLP: {depth: [1, 2, 3]}}, choose: [architecture]}
"""
    )
    cells = cells_of(file)
    assert [cell.method.parameters["kernel"] for cell in cells] == ["nngp", "ntk"]
    assert [variant["architecture"].depth for variant in cells[0].method.variants] == [1, 2, 3]
    assert cells[0].method_label == "NNGP ridge, ResMLP, best of 3"
    assert len(cells[0].method.plain_parameters()["choose"]) == 3


def test_candidates_belong_to_the_key(suite_of):
    text = "data: [{{name: iris, splits: [0]}}]\nmethods: [ridge: {{architecture: {{MLP: {{depth: {}}}}}, choose: [architecture]}}]\n"
    dataset = load("iris")
    keys = {cells_of(suite_of(text.format(depths)))[0].key(dataset, "cpu") for depths in ("[1, 2]", "[1, 3]", "[1, 2, 3]")}
    assert len(keys) == 3


@pytest.mark.parametrize(
    ("choose", "message"),
    [
        ("[depth]", r'line 4: no ridge: choose names the parameter "depth"'),
        ("architecture", r"methods\.0\.choose"),
    ],
)
def test_what_can_not_be_chosen_among_is_refused(suite_of, choose, message):
    with pytest.raises(SkipbenchError, match=message):
        cells_of(suite_of(f"data: [iris]\nmethods:\n  - ridge: {{architecture: {{MLP: {{depth: 1}}}}, choose: {choose}}}\n"))


def test_candidates_that_read_different_inputs_are_refused(suite_of):
    file = suite_of(
        "data: [iris]\nmethods: [ridge: {architecture: [{MLP: {depth: 1}}, {CNN: {depth: 1}}], choose: [architecture]}]\n",
    )
    with pytest.raises(SkipbenchError, match="some read vectors and some images"):
        cells_of(file)


def test_folds_without_validation_rows_are_chosen_on_the_selection_split(suite_of):
    file = suite_of("data: [iris]\nmethods: [logistic-regression]\n")
    dataset = folded()
    cells = expand(file, {file.suite.data[0]: dataset})
    assert [(cell.split, cell.selection) for cell in cells] == [(1, 0), (2, 0)]
    assert cells[0].key(dataset, "cpu") != cells[1].key(dataset, "cpu")
    assert cells[0].sharing == cells[1].sharing  # so that one worker chooses once


def test_the_rows_on_which_it_was_chosen_belong_to_the_key(suite_of):
    file = suite_of("data: [iris]\nmethods: [logistic-regression]\n")
    one, other = folded(), folded()
    swapped = Split("selection", one.splits[0].validation, one.splits[0].train, np.empty(0, dtype=np.int64))
    other = Dataset("toy", one.inputs, one.labels, one.classes, (swapped, *one.splits[1:]), protocol="collection")
    cell = expand(file, {file.suite.data[0]: one})[0]
    assert cell.key(one, "cpu") != cell.key(other, "cpu")


def test_a_split_with_its_own_validation_rows_is_chosen_on_these():
    dataset = load("iris")
    assert [selection_of(dataset, split) for split in range(5)] == [None] * 5


def test_the_selection_split_itself_is_no_cell(suite_of):
    file = suite_of("data: [{name: iris, splits: [0]}]\nmethods: [logistic-regression]\n")
    with pytest.raises(SkipbenchError, match=r'line 2: iris: split 0 \("selection"\) has no test rows: use some of 1, 2'):
        expand(file, {file.suite.data[0]: folded()})


def test_a_regression_set_is_refused_by_name(suite_of):
    file = suite_of("data: [{name: sphere, n: 50}]\nmethods: [logistic-regression]\n")
    with pytest.raises(SkipbenchError, match="line 2: sphere is a regression set"):
        cells_of(file)


WHOLE = """data:
  - {name: digits, n: [100, 200], draws: 3}
  - wine
methods:
  - logistic-regression
  - random-forest: {seeds: 3}
"""


def test_a_part_takes_a_slice_of_another_suite(suite_of):
    whole = suite_of(WHOLE, "whole")
    part = f"{{suite: {whole.document.path}, datasets: [digits], n: [200], draws: 2, splits: [4], methods: [random-forest], seeds: 1}}"
    file = suite_of(f"parts:\n  - {part}\n")
    (sliced,) = parts_of(file)
    assert [(entry.name, entry.n, entry.seed, entry.splits) for entry in sliced.suite.data] == [
        ("digits", 200, seed, (4,)) for seed in (0, 1)
    ]
    assert [(entry.name, entry.seeds) for entry in sliced.suite.methods] == [("random-forest", (0,))]


def test_a_part_without_limits_is_the_whole_suite(suite_of):
    whole = suite_of(WHOLE, "whole")
    (sliced,) = parts_of(suite_of(f"parts: [{{suite: {whole.document.path}}}]\n"))
    assert (sliced.suite.data, sliced.suite.methods) == (whole.suite.data, whole.suite.methods)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("{suite: nowhere}", r'line 3: no suite "nowhere"'),
        ("{suite: quick, datasets: [irsi]}", r'line 3: no data set "irsi" in suite quick\. Nearest: iris'),
        ("{suite: quick, methods: [svn]}", r'line 3: no method "svn" in suite quick'),
        ("{suite: quick, n: [7]}", r'line 3: no size "7" in suite quick'),
        ("{suite: nightly}", r"line 3: nightly is itself made of parts"),
        ("{suite: quick, draws: 0}", r"line 3: parts\.0\.draws"),
        ("{suite: quick, dataset: iris}", r'line 3: no key "dataset"\. Nearest: datasets'),
    ],
)
def test_a_part_that_names_what_is_not_there_is_refused_with_its_line(suite_of, part, message):
    with pytest.raises(SkipbenchError, match=message):
        parts_of(suite_of(f"parts:\n  - {part}\n"))


def test_a_suite_has_parts_or_data_but_not_both(suite_of):
    with pytest.raises(SkipbenchError, match="line 3: a suite has either parts, or data and methods"):
        suite_of("parts: [{suite: quick}]\ndata: [iris]\n")


def test_the_nightly_holds_all_of_quick_and_some_of_every_other_new_suite():
    parts = {part.document.path.stem: part for part in parts_of(load_suite("nightly"))}
    assert set(parts) == {"quick", "uci-smoke", "svhn-small", "learning-curve", "depth-sweep", "convergence-tr"}
    assert parts["quick"].suite.data == load_suite("quick").suite.data


def test_an_absent_gpu_is_named_with_its_line_before_any_data_are_loaded(suite_of, tmp_path, monkeypatch):
    def load_nothing(entry):
        raise RuntimeError("the data were loaded")

    monkeypatch.setattr(plan, "load_entry", load_nothing)
    suite_file = suite_of("data: [iris]\nmethods:\n  - logistic-regression\n  - practical-network: {device: 'cuda:99'}\n")

    def made(*methods):
        plan.make_plan(suite_file, Selection(methods=methods), ResultStore(tmp_path / "runs"), device="cpu", command="skipbench run")

    with pytest.raises(SkipbenchError, match=r"mine\.yaml, line 5: .*device='cuda:99' is absent on this machine\. There is: cpu"):
        made()
    with pytest.raises(RuntimeError, match="the data were loaded"):
        made("logistic-regression")  # a method that was not chosen may be wrong
