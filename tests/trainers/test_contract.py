"""The contract over everything registered, and that it finds what breaks it."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest

from skipbench.checks import ContractError, SkipbenchError
from skipbench.trainers import registry
from skipbench.trainers.baselines import LogisticRegressionBaseline
from skipbench.trainers.contract import check_method, contract_variants, example_case
from skipbench.trainers.registry import METHODS, RegisteredMethod, accepts

VARIANTS = [(name, number) for name in sorted(METHODS) for number in range(len(contract_variants(name)))]


@pytest.mark.parametrize(("name", "number"), VARIANTS)
def test_every_registered_method_keeps_the_contract(name, number):
    checked = check_method(name, contract_variants(name)[number])
    assert any("a clone has the same ones" in sentence for sentence in checked)
    assert all(sentence.endswith(")") for sentence in checked)  # each says in how many cases


@pytest.mark.parametrize("name", sorted(METHODS))
def test_the_variants_of_a_method_cover_every_kind_of_input_that_it_can_take(name):
    covered = {kind for kind in ("vectors", "images") for variant in contract_variants(name) if accepts(name, variant, kind)}
    assert covered == {"vectors", "images"}


def test_an_unknown_method_is_refused_with_the_nearest_name():
    with pytest.raises(SkipbenchError, match=r'no method "rigde"\. Nearest: ridge'):
        check_method("rigde")


def test_the_example_data_has_every_class_in_both_parts_and_can_be_learned():
    case = example_case("logistic-regression", {}, "images")
    assert set(case.y) == set(case.y_val) == {"bream", "perch", "roach"}
    assert case.X.shape == (24, 2, 5, 4)
    assert case.fitted().score(case.X_val, case.y_val) == 1.0


class ForgetsTheSeed(LogisticRegressionBaseline):
    def decision_function(self, X):
        return super().decision_function(X) + np.random.default_rng().normal()


class ReturnsNothing(LogisticRegressionBaseline):
    def fit(self, X, y, X_val=None, y_val=None):
        super().fit(X, y, X_val, y_val)


class PredictsCodes(LogisticRegressionBaseline):
    def predict(self, X):
        return np.searchsorted(self.classes_, super().predict(X))


class MeasuresText(LogisticRegressionBaseline):
    def fit(self, X, y, X_val=None, y_val=None):
        super().fit(X, y, X_val, y_val)
        self.measurements_ = {"spectrum": "flat"}
        return self


class MeasuresTheUnknown(LogisticRegressionBaseline):
    def fit(self, X, y, X_val=None, y_val=None):
        super().fit(X, y, X_val, y_val)
        self.measurements_ = {"mood": 1.0}
        return self


class MeasuresInfiniteSeconds(LogisticRegressionBaseline):
    def fit(self, X, y, X_val=None, y_val=None):
        super().fit(X, y, X_val, y_val)
        self.measurements_ = {"phases": {"train": float("inf")}}
        return self


class ChangesItsParameters(LogisticRegressionBaseline):
    def fit(self, X, y, X_val=None, y_val=None):
        self.Cs = list(self.Cs)
        return super().fit(X, y, X_val, y_val)


class CannotBePickled(LogisticRegressionBaseline):
    def __getstate__(self):
        return {key: value for key, value in super().__getstate__().items() if key != "model_"}


class TakesNaN(LogisticRegressionBaseline):
    def fit(self, X, y, X_val=None, y_val=None):
        return super().fit(np.nan_to_num(np.asarray(X)), y, X_val, y_val)


class NeedsValidationData(LogisticRegressionBaseline):
    def fit(self, X, y, X_val=None, y_val=None):
        if X_val is None:
            raise KeyError("X_val")
        return super().fit(X, y, X_val, y_val)


class HasNoLabel(LogisticRegressionBaseline):
    def label(self):
        return "two\nlines"


class TakesNothing(LogisticRegressionBaseline):
    def input_kinds(self):
        return ()


class IgnoresScikitLearn(LogisticRegressionBaseline):
    def __init__(self, *, Cs=(1.0,)):
        self.Cs = Cs
        self.secret = 1


class ChoosesTheUnknown(LogisticRegressionBaseline):
    def chosen_parameters(self):
        return {"strength": 1.0}


class ChoosesAgain(LogisticRegressionBaseline):
    def fit(self, X, y, X_val=None, y_val=None):
        super().fit(X, y, X_val, y_val)
        choice = self.measurements_["choices"][0]
        self.measurements_["choices"] = (choice.model_copy(update={"chosen_on": "leave-one-out", "candidates": (1.0, 2.0)}),)
        return self


class ForgetsWhatItChose(LogisticRegressionBaseline):
    def fit(self, X, y, X_val=None, y_val=None):
        super().fit(X, y, X_val, y_val)
        self.reversed_ = X_val is None
        return self

    def predict(self, X):
        found = super().predict(X)
        return self.classes_[::-1][np.searchsorted(self.classes_, found)] if self.reversed_ else found


class SaysWhatItChoseInWords(LogisticRegressionBaseline):
    def chosen_parameters(self):
        return "Cs"


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (ForgetsTheSeed, "two fits of one seed|two fits with the same seed have different decision_function"),
        (ReturnsNothing, "fit returns something else than the classifier itself"),
        (PredictsCodes, r"predict gives \[0, 1, 2\], but the labels are"),
        (MeasuresText, r"measurements_\['spectrum'\] is no Spectrum"),
        (MeasuresTheUnknown, "measurements_ has 'mood'; known are spectrum"),
        (MeasuresInfiniteSeconds, "but it is seconds by phase"),
        (ChangesItsParameters, "parameter Cs is no longer the object that was given"),
        (CannotBePickled, "AttributeError: .*model_.*, while it was checked that: A pickled classifier predicts the same"),
        (SaysWhatItChoseInWords, r"chosen_parameters\(\) is a str, but it is a dictionary"),
        (ChoosesTheUnknown, r"chosen_parameters\(\) has \['strength'\], which the constructor does not take"),
        (ChoosesAgain, r"it still chooses C among \(1\.0, 2\.0\)"),
        (ForgetsWhatItChose, "fitted on the same rows, predicts other labels"),
        (TakesNaN, "it takes NaN in X without a ValueError"),
        (NeedsValidationData, "KeyError: 'X_val', while it was checked that: It also fits without validation data"),
        (HasNoLabel, "but a table needs one line of text"),
        (TakesNothing, "it takes neither vectors nor images"),
        (IgnoresScikitLearn, "fails scikit-learn's check_estimator: .*check_no_attributes_set_in_init"),
    ],
)
def test_the_contract_names_what_a_method_breaks(monkeypatch, broken, message):
    module = types.ModuleType("broken_methods")
    setattr(module, broken.__name__, broken)
    monkeypatch.setitem(sys.modules, "broken_methods", module)
    monkeypatch.setitem(sys.modules, broken.__module__, module)  # where pickle looks the class up
    monkeypatch.setitem(registry.METHODS, "broken", RegisteredMethod("broken", f"broken_methods:{broken.__name__}", "baseline", "1"))
    with pytest.raises(ContractError, match=message):
        check_method("broken", {"Cs": (1.0,)})
