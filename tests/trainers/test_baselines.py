"""The baselines choose on validation data, see images flattened, and refuse what they cannot use."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from skipbench.checks import SkipbenchError
from skipbench.trainers.baselines import MAX_ITERATIONS, LogisticRegressionBaseline, RandomForestBaseline


@pytest.fixture(scope="module")
def iris():
    x, y = load_iris(return_X_y=True)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    return x[::3], y[::3], x[1::3], y[1::3]


@pytest.fixture(scope="module")
def digits():
    images, labels = load_digits(return_X_y=True)
    return images.reshape(-1, 1, 8, 8)[:200] / 16, labels[:200]


def test_logistic_regression_keeps_the_best_penalty_on_validation_and_of_equal_ones_the_strongest(iris):
    x, y, x_val, y_val = iris
    method = LogisticRegressionBaseline().fit(x, y, x_val, y_val)
    scores = {c: LogisticRegression(C=c, max_iter=MAX_ITERATIONS).fit(x, y).score(x_val, y_val) for c in method.Cs}
    assert min(c for c, score in scores.items() if score == max(scores.values())) == method.C_
    assert len(set(scores.values())) > 1
    (choice,) = method.measurements_["choices"]
    assert (choice.name, choice.value, choice.chosen_on, choice.candidates) == ("C", method.C_, "validation", tuple(method.Cs))


def test_logistic_regression_is_fitted_on_the_training_part_alone(iris):
    x, y, x_val, y_val = iris
    method = LogisticRegressionBaseline(Cs=[0.5]).fit(x, y, x_val, y_val)
    expected = LogisticRegression(C=0.5, max_iter=MAX_ITERATIONS).fit(x, y)
    assert np.array_equal(method.model_.coef_, expected.coef_)
    assert np.array_equal(method.predict_proba(x_val), expected.predict_proba(x_val))
    assert method.measurements_["choices"][0].chosen_on == "fixed"


@pytest.mark.parametrize(("candidates", "used"), [((1e-3, 1.0, 1e3), 1.0), ((100.0, 0.1), 0.1), ((0.5, 3.0), 0.5)])
def test_without_validation_data_the_penalty_nearest_to_the_default_is_used(iris, candidates, used):
    method = LogisticRegressionBaseline(Cs=candidates).fit(iris[0], iris[1])
    assert used == method.C_
    assert method.measurements_["choices"][0].chosen_on == "fixed"


def test_the_forest_is_scikit_learns_own_with_the_seed_that_was_given(iris):
    x, y, x_val, y_val = iris
    method = RandomForestBaseline(trees=20, seed=3).fit(x, y, x_val, y_val)
    expected = RandomForestClassifier(n_estimators=20, random_state=3).fit(x, y)
    assert np.array_equal(method.predict_proba(x_val), expected.predict_proba(x_val))
    other = RandomForestBaseline(trees=20, seed=4).fit(x, y, x_val, y_val)
    assert not np.array_equal(method.predict_proba(x_val), other.predict_proba(x_val))


@pytest.mark.parametrize("method", [LogisticRegressionBaseline(Cs=[1.0]), RandomForestBaseline(trees=20)])
def test_images_are_seen_flattened(digits, method):
    images, labels = digits
    from_images = method.fit(images[:150], labels[:150]).predict(images[150:])
    from_vectors = method.fit(images[:150].reshape(150, -1), labels[:150]).predict(images[150:].reshape(50, -1))
    assert np.array_equal(from_images, from_vectors)
    assert np.mean(from_images == labels[150:]) > 0.6


@pytest.mark.parametrize("method", [LogisticRegressionBaseline(Cs=[1.0]), RandomForestBaseline(trees=5)])
def test_text_labels_come_back_and_seconds_are_measured(iris, method):
    names = np.array(["setosa", "versicolor", "virginica"])
    x, y, x_val, y_val = iris
    method.fit(x, names[y], x_val, names[y_val])
    assert method.score(x_val, names[y_val]) > 0.85
    assert method.measurements_["phases"]["train"] > 0


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (LogisticRegressionBaseline(Cs=[]), r"Cs=\[\], but it is a list of finite numbers above 0"),
        (LogisticRegressionBaseline(Cs=1.0), "Cs=1.0, but it is a list of finite numbers above 0"),
        (LogisticRegressionBaseline(Cs=[1.0, 0.0]), "but it is a list of finite numbers above 0"),
        (LogisticRegressionBaseline(Cs=[math.inf]), "but it is a list of finite numbers above 0"),
        (LogisticRegressionBaseline(Cs="111"), "Cs='111', but it is a list of finite numbers above 0"),
        (RandomForestBaseline(trees=0), "trees=0, but a forest has a whole number of trees, at least 1"),
        (RandomForestBaseline(trees=2.5), "trees=2.5, but a forest has a whole number of trees"),
        (RandomForestBaseline(seed=-1), "seed=-1, but a seed is a whole number from 0 to 4294967295"),
        (RandomForestBaseline(seed=None), "seed=None, but a seed is a whole number"),
    ],
)
def test_bad_parameters_are_refused_by_name(iris, method, message):
    with pytest.raises(SkipbenchError, match=message):
        method.check_parameters()
    with pytest.raises(SkipbenchError, match=message):
        method.fit(iris[0], iris[1])


@pytest.mark.parametrize("method", [LogisticRegressionBaseline(), RandomForestBaseline(trees=5)])
def test_bad_data_is_refused_by_name(iris, method):
    x, y, x_val, y_val = iris
    with pytest.raises(SkipbenchError, match=r"takes vectors \(n, features\) or images \(n, channels, height, width\)"):
        method.fit(x[:, :, None], y)
    with pytest.raises(SkipbenchError, match=r"y_val has the label .*7"):
        method.fit(x, y, x_val, np.where(y_val == 0, 7, y_val))
    with pytest.raises(SkipbenchError, match="y has 1 class"):
        method.fit(x, np.zeros(len(x)))
    with pytest.raises(ValueError, match="NaN"):
        method.fit(np.where(x > 1, np.nan, x), y)
