"""What the study says of records whose truth is known: slopes, winners, effects of skips, and what it must leave out and count."""

from __future__ import annotations

import math

import numpy as np
import pytest
from typer.testing import CliRunner

from skipbench.architecture import CNN, ResCNN
from skipbench.checks import SkipbenchError
from skipbench.cli.app import app
from skipbench.results import ResultStore, records_frame
from skipbench.results.statistics.convergence_study import CONDITION, LABELS, contests, study_cells, study_fits
from skipbench.results.statistics.skip_effects import EQUAL_CONVOLUTIONS, EQUAL_DEPTH, order_agreements, skip_effects
from skipbench.results.statistics.study import study_markdown

IMAGE = {"input_shape": (1, 8, 8), "preprocessing": ()}


def sweep(make_cell, *, skips_help=2.0, by_labels=True, seeds=5, missed=()):
    """CNN and ResCNN at three depths in several draws: skips divide the condition number, and iterations follow one predictor."""
    rng, cells = np.random.default_rng(0), []
    for seed in range(seeds):
        noise = rng.normal(size=20)
        for depth in (2, 4, 8):
            for arch in (CNN(depth, readout="tr"), ResCNN(depth, readout="tr")):
                condition = 1000.0 * depth * math.exp(0.3 * noise[depth]) / (skips_help if arch.is_residual else 1.0)
                labels = condition * math.exp(0.8 * rng.normal())
                iterations = round(3 * (labels if by_labels else condition))
                cells.append(
                    make_cell(
                        architecture=arch,
                        suite="convergence",
                        dataset="digits-images (n=150)",
                        data_seed=seed,
                        sha256=f"{seed}" * 64,
                        condition_number=condition,
                        label_condition=labels,
                        bound=10.0 + depth - (1.0 if arch.is_residual else 0.0),
                        iterations=(iterations // 2, None if (seed, depth) in missed else iterations, None),
                        **IMAGE,
                    )
                )
    return records_frame(cells)


def test_a_cell_that_two_engines_computed_counts_once_and_one_that_only_the_reference_finished_too(make_cell):
    def cell(engine, depth, status="ok"):
        return make_cell(
            architecture=CNN(depth, readout="tr"), parameters={"engine": engine}, iterations=(5, 9, 20), status=status, **IMAGE
        )

    frame = records_frame(
        [cell("reference", 2), cell("fused", 2), cell("reference", 4), cell("reference", 8), cell("fused", 8, status="timeout")]
    )
    cells = study_cells(frame)
    found = sorted(zip(cells["depth"], [text.count("fused") for text in cells["parameters"]], strict=True))
    assert found == [(2, 1), (4, 0), (8, 0)]


def test_iterations_that_follow_the_labels_have_slope_1_against_them_and_no_scatter(make_cell):
    fits = {(fit.group, fit.reduction, fit.predictor): fit for fit in study_fits(sweep(make_cell), draws=50)}
    whole = fits["NTK", "99", LABELS]
    assert whole.fit.line.slope == pytest.approx(1.0, abs=0.01)  # iterations are rounded
    assert whole.fit.line.deviation < 0.01 < fits["NTK", "99", CONDITION].fit.line.deviation
    assert (whole.fit.line.n, whole.fit.n_clusters, whole.left_out) == (30, 5, 0)
    assert {group for group, _, _ in fits} == {"NTK", "NTK, plain", "NTK, residual"}
    assert not any(reduction == "99_9" for _, reduction, _ in fits)  # no cell reached it, so there is no line


@pytest.mark.parametrize(("by_labels", "winner"), [(True, LABELS), (False, CONDITION)])
def test_the_predictor_that_made_the_iterations_wins(make_cell, by_labels, winner):
    found = {(contest.group, contest.reduction): contest for contest in contests(sweep(make_cell, by_labels=by_labels), draws=50)}
    assert found["NTK", "99"].winner == winner


def test_misses_are_censored_and_singular_matrices_are_left_out_and_counted(make_cell):
    frame = sweep(make_cell, missed={(0, 8), (1, 8)})
    frame.loc[0, "condition_number"] = math.inf
    (fit,) = (f for f in study_fits(frame, draws=20) if (f.group, f.reduction, f.predictor) == ("NTK", "99", CONDITION))
    assert (fit.fit.line.n, fit.fit.line.n_censored, fit.left_out) == (29, 4, 1)


def test_cells_of_one_draw_are_one_cluster_whatever_the_size_of_the_set(make_cell):
    cells = [make_cell(dataset=f"digits-images (n={n})", n=n, data_seed=seed, **IMAGE) for n in (100, 200) for seed in (0, 1)]
    assert sorted(study_cells(records_frame(cells))["cluster"].value_counts().tolist()) == [2, 2]


def test_skips_that_halve_the_condition_number_are_seen_to_do_so_at_equal_depth(make_cell):
    effects = {(e.pairing, e.depth, e.quantity): e for e in skip_effects(sweep(make_cell, skips_help=2.0))}
    for depth in (2, 4, 8):
        effect = effects[EQUAL_DEPTH, depth, "condition_number"]
        assert effect.ratio == pytest.approx(0.5)
        assert (effect.verdict, effect.smaller, effect.n_pairs) == ("holds", 1.0, 5)
        assert effects[EQUAL_DEPTH, depth, "double_constant_bound"].verdict == "holds"
    against_deeper = effects[EQUAL_CONVOLUTIONS, 2, "condition_number"]  # the plain network of depth 4
    assert against_deeper.ratio < 0.5
    assert (EQUAL_CONVOLUTIONS, 8, "condition_number") not in effects  # there is no CNN(16)


def test_skips_that_hurt_do_not_hold_and_skips_that_do_nothing_are_not_decided(make_cell):
    hurt = [e for e in skip_effects(sweep(make_cell, skips_help=0.5)) if e.quantity == "condition_number" and e.pairing == EQUAL_DEPTH]
    assert {e.verdict for e in hurt} == {"does not hold"}
    noisy = [e for e in skip_effects(sweep(make_cell, skips_help=1.0)) if e.quantity == "iterations_99" and e.pairing == EQUAL_DEPTH]
    assert "not decided" in {e.verdict for e in noisy}


def test_the_order_of_condition_numbers_is_that_of_iterations_where_these_follow_them(make_cell):
    (agreement,) = (a for a in order_agreements(sweep(make_cell, by_labels=False)) if a.pairing == EQUAL_DEPTH)
    assert (agreement.share, agreement.interval, agreement.n_pairs, agreement.ties) == (1.0, (1.0, 1.0), 15, 0)
    (random,) = (a for a in order_agreements(sweep(make_cell, skips_help=1.05)) if a.pairing == EQUAL_DEPTH)
    assert 0.1 < random.share < 0.9


def test_two_infinite_condition_numbers_are_a_tie_and_one_is_larger_than_any_number(make_cell):
    frame = sweep(make_cell, by_labels=False)
    residual = frame["residual"].astype(bool)
    frame.loc[(frame["depth"] == 2), "condition_number"] = math.inf
    frame.loc[(frame["depth"] == 4) & ~residual, "condition_number"] = math.inf
    (agreement,) = (a for a in order_agreements(frame) if a.pairing == EQUAL_DEPTH)
    assert (agreement.n_pairs, agreement.ties, agreement.share) == (10, 5, 1.0)
    (effect,) = (e for e in skip_effects(frame) if (e.pairing, e.depth, e.quantity) == (EQUAL_DEPTH, 4, "condition_number"))
    assert (effect.ratio, effect.infinite, effect.smaller, effect.verdict) == (None, 5, 1.0, "not decided")


def test_the_tables_name_every_group_claim_and_verdict(make_cell):
    text = study_markdown(sweep(make_cell), draws=50)
    for words in (
        "## Fits",
        "NTK, residual",
        "## Which predictor wins",
        "A10:",
        "A11:",
        "A12:",
        "holds: 2, 4, 8",
        "## A12 by pairs",
        "ties",
    ):
        assert words in text
    assert "nan" not in text


def test_a_store_without_iterations_is_told_what_to_run(make_cell):
    with pytest.raises(SkipbenchError, match="run a suite such as convergence or cifar10-networks first"):
        study_markdown(records_frame([make_cell(family="baseline", architecture=None, convergence=None)]))


def test_the_command_writes_the_study(make_cell, tmp_path):
    store = ResultStore(tmp_path / "records" / "quick")
    for seed in range(4):
        for depth in (2, 4):
            steps = (5, 10 * depth, 90)
            store.write(make_cell(architecture=CNN(depth), condition_number=10.0**depth, data_seed=seed, iterations=steps, **IMAGE))
    target = tmp_path / "study.md"
    folders = ["--results", str(tmp_path / "records"), "--out", str(tmp_path / "page")]
    done = CliRunner().invoke(app, ["report", "quick", *folders, "--study", str(target)])
    assert done.exit_code == 0, done.output
    assert "| NTK |" in target.read_text()
