"""What a classifier is fitted on and asked about: checked once at the border, labels encoded, vectors and images told apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d, validate_data
from torch import Tensor

from skipbench.checks import SkipbenchError, shown
from skipbench.trainers.method import InputKind

Inputs = NDArray[np.floating[Any]]
Codes = NDArray[np.int64]

_DTYPES = (np.float64, np.float32)
_DIMENSIONS: dict[InputKind, int] = {"vectors": 2, "images": 4}
_SHAPES: dict[InputKind, str] = {"vectors": "vectors (n, features)", "images": "images (n, channels, height, width)"}


@dataclass(frozen=True, slots=True)
class LabelledInputs:
    """Inputs and their labels as codes into the classes, 0 to classes - 1."""

    inputs: Inputs
    codes: Codes


def training_inputs(estimator: Any, X: Any, y: Any, *, kinds: tuple[InputKind, ...], taker: str) -> LabelledInputs:
    """Check what `fit` was given and set `classes_` and `input_shape_` of the estimator, for vectors `n_features_in_` too.

    X: (n, features) or (n, channels, height, width), whatever `kinds` allows, of finite numbers; float32 stays float32, the rest becomes
    float64. y: n labels of any kind that can be sorted, at least two different ones. taker: what wants those kinds, for the message.
    Raises SkipbenchError, or scikit-learn's own ValueError for what every estimator refuses (NaN, no rows, lengths that differ).
    """
    check_kind(estimator, X, kinds=kinds, taker=taker)
    inputs, labels = validate_data(estimator, X, y, dtype=_DTYPES, ensure_2d=_are_vectors(X), allow_nd=True)
    check_classification_targets(labels)
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise SkipbenchError(f"{type(estimator).__name__}: y has 1 class, {shown(classes[0])}, but a classifier needs at least 2")
    estimator.classes_ = classes
    estimator.input_shape_ = inputs.shape[1:]
    return LabelledInputs(inputs, codes.astype(np.int64))


def validation_inputs(estimator: Any, X_val: Any, y_val: Any, *, kinds: tuple[InputKind, ...], taker: str) -> LabelledInputs | None:
    """Check the validation data against the training data that the estimator has seen; None where there is none. Raises SkipbenchError."""
    if X_val is None and y_val is None:
        return None
    name = type(estimator).__name__
    if X_val is None or y_val is None:
        given, missing = ("y_val", "X_val") if X_val is None else ("X_val", "y_val")
        raise SkipbenchError(f"{name}: {given} without {missing}: give both, or neither")
    inputs = new_inputs(estimator, X_val, kinds=kinds, taker=taker, argument="X_val")
    labels = column_or_1d(y_val)
    if len(labels) != len(inputs):
        raise SkipbenchError(f"{name}: X_val has {len(inputs)} rows and y_val {len(labels)}: they must agree")
    return LabelledInputs(inputs, encoded(estimator, labels, argument="y_val"))


def new_inputs(estimator: Any, X: Any, *, kinds: tuple[InputKind, ...], taker: str, argument: str = "X") -> Inputs:
    """Check inputs against those that the estimator was fitted on. Returns them, float32 or float64. Raises ValueError."""
    check_kind(estimator, X, kinds=kinds, taker=taker, argument=argument)
    inputs: Inputs = validate_data(estimator, X, dtype=_DTYPES, ensure_2d=_are_vectors(X), allow_nd=True, reset=False)
    if inputs.shape[1:] != estimator.input_shape_:
        raise SkipbenchError(
            f"{type(estimator).__name__}: {argument} has inputs of shape {inputs.shape[1:]}, but it was fitted on {estimator.input_shape_}"
        )
    return inputs


def encoded(estimator: Any, labels: NDArray[Any], *, argument: str) -> Codes:
    """Labels as codes into `classes_`. Raises SkipbenchError for a label that the training data does not have."""
    known = np.isin(labels, estimator.classes_)
    if not known.all():
        raise SkipbenchError(
            f"{type(estimator).__name__}: {argument} has the label {shown(labels[~known][:1].tolist()[0])}, but the training data only has "
            f"{shown(estimator.classes_.tolist())}: use a split whose training part holds every class"
        )
    return np.searchsorted(estimator.classes_, labels).astype(np.int64)


def check_kind(estimator: Any, X: Any, *, kinds: tuple[InputKind, ...], taker: str, argument: str = "X") -> None:
    """Refuse images where vectors are expected, and the other way round, by name. taker: e.g. the architecture, "ResMLP(3)"."""
    shape = _shape(X)
    if len(shape) in {_DIMENSIONS[kind] for kind in kinds}:
        return
    allowed = " or ".join(_SHAPES[kind] for kind in kinds)
    found = {2: "vectors", 4: "images"}.get(len(shape), f"an array of {len(shape)} dimensions")
    raise SkipbenchError(
        f"{type(estimator).__name__}: {argument} holds {found}, shape {shape}, but {taker} takes {allowed}. {_advice(len(shape), kinds)}"
    )


def _are_vectors(X: Any) -> bool:
    """Whether scikit-learn should count features: of images it would take the channels for them."""
    return len(_shape(X)) == 2


def _shape(X: Any) -> tuple[int, ...]:
    """The shape of whatever scikit-learn would convert; (0, 0), left to its own checks, where rows have different lengths."""
    try:
        return tuple(X.shape) if hasattr(X, "shape") else np.asarray(X).shape
    except ValueError:
        return (0, 0)


def _advice(dimensions: int, kinds: tuple[InputKind, ...]) -> str:
    if dimensions == 1:
        return "Reshape your data: X.reshape(-1, 1) for a single feature, X.reshape(1, -1) for a single sample"
    if dimensions == 4 and kinds == ("vectors",):
        return "Flatten the images, or use a convolutional architecture, CNN or ResCNN"
    if dimensions == 2 and kinds == ("images",):
        return "Give images, or use a dense architecture: MLP, ResMLP or DenseMLP"
    return "Reshape your data to such a shape"


def centred_one_hot(codes: Codes, classes: int, device: torch.device) -> Tensor:
    """(n, classes), float64: 1 - 1/classes for the row's own class and -1/classes for the others."""
    labels = torch.from_numpy(codes).to(device)
    return torch.nn.functional.one_hot(labels, classes).to(torch.float64) - 1 / classes
