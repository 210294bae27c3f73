"""Recipes are ranked by validation rows alone, on equal terms; accuracy and time are told of whatever ran beside practical networks."""

from __future__ import annotations

import pytest

from skipbench.results import Metric, records_frame
from skipbench.results.statistics.recipes import accuracies_and_times, recipe_scores
from skipbench.results.statistics.study import study_markdown


@pytest.fixture
def trained(make_cell):
    """A practical network's cell with a validation accuracy and a test accuracy."""

    def make(validation, *, test=0.5, residual=False, dataset="iris", suite="recipes", seconds=3.0, status="ok", **parameters):
        cell = make_cell(
            suite=suite,
            dataset=dataset,
            family="network",
            architecture=None,
            label="practical network",
            seed=0,
            width=16,
            parameters={"residual": residual, **parameters},
            status=status,
        )
        metrics = [Metric(name="accuracy", value=test, direction="higher")]
        metrics += [] if validation is None else [Metric(name="validation_accuracy", value=validation, direction="higher")]
        method = cell.method.model_copy(update={"name": "practical-network", "residual": residual})
        changed = {"metrics": tuple(metrics), "method": method, "phases": {"train": seconds}, "convergence": None}
        return cell.model_copy(update=changed)

    return make


def test_the_best_recipe_has_the_highest_validation_accuracy_whatever_the_test_says(trained):
    scores = recipe_scores(
        records_frame(
            [
                trained(validation, test=1 - validation, residual=residual, learning_rate=rate, epochs=30)
                for rate, validations in ((0.1, (0.8, 0.7)), (0.3, (0.6, 0.85)))
                for residual, validation in zip((False, True), validations, strict=True)
            ]
        )
    )
    assert [(score.recipe, score.plain, score.residual) for score in scores] == [
        ("learning_rate 0.1", 0.8, 0.7),  # epochs are the same everywhere and no part of the name
        ("learning_rate 0.3", 0.6, 0.85),
    ]
    assert scores[0].mean == pytest.approx(0.75)


def test_each_data_set_counts_once_however_many_splits_it_has(trained):
    cells = [trained(0.9, dataset="iris", epochs=1), trained(0.5, dataset="wine", epochs=1), trained(0.1, epochs=2)]
    cells += [trained(0.1, dataset="wine", epochs=2)]
    more = cells[0].model_copy(update={"key": "e" * 64, "dataset": cells[0].dataset.model_copy(update={"split": 1})})
    best = recipe_scores(records_frame([*cells, more]))[0]
    assert best.mean == pytest.approx((0.9 + 0.5) / 2)
    assert (best.n_datasets, best.n_cells) == (2, 3)


def test_a_recipe_that_did_not_finish_everywhere_is_behind_those_that_did(trained):
    cells = [trained(0.9, epochs=1), trained(None, epochs=1, residual=True, status="diverged")]
    cells += [trained(0.2, epochs=2), trained(0.2, epochs=2, residual=True)]
    first, last = recipe_scores(records_frame(cells))
    assert (first.recipe, first.unfinished) == ("epochs 2", 0)
    assert (last.recipe, last.unfinished, last.residual) == ("epochs 1", 1, None)


def test_one_recipe_is_no_search_and_its_accuracy_and_time_are_told(trained):
    cells = [trained(0.9, test=0.6, seconds=10.0), trained(0.8, test=0.7, residual=True, seconds=200.0)]
    frame = records_frame(cells)
    assert recipe_scores(frame) == []
    best, other = accuracies_and_times(frame)
    assert (best.accuracy, best.seconds, best.deviation) == (0.7, (200.0, 200.0, 200.0), None)
    assert other.accuracy == 0.6
    assert best.machine == "a processor, 1 thread"
    assert "| 70.0 | 3 min 20 s | 1 |" in study_markdown(frame)


def test_a_suite_that_searches_shows_no_test_accuracy(trained):
    text = study_markdown(records_frame([trained(0.9, test=0.123, epochs=1), trained(0.8, test=0.123, epochs=2)]))
    assert "| recipes | epochs 1 | 90.0 | - | 90.0 | 3 s | 1 | 1 | 0 |" in text
    assert "12.3" not in text
