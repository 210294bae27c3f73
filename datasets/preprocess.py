"""Preprocessing as named steps, fitted on the training part only and recorded by name.

standardise     vectors: each feature to mean 0 and deviation 1; a feature that is constant in training becomes 0 everywhere
unit-norm       vectors or images: each row to Euclidean norm 1; a row of zeros stays
multi-sphere    images: each pixel's channel vector to norm 1; a pixel of zeros stays (Barzilai et al. 2022, arXiv 2211.14810)
per-channel     images: each channel to mean 0 and deviation 1 over training images and pixels; a constant channel becomes 0
pool-8x8        images: means over squares, 8 x 8 of them; sides are multiples of 8
zca             vectors or images: whitened by the symmetric map of the training covariance, regularised (see whitening.py)
flatten         images to vectors: channel by channel, row by row
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from skipbench.checks import SkipbenchError, shown, unknown_name
from skipbench.datasets.dataset import Dataset, Indices, Inputs, Kind, Split, Targets, check_finite
from skipbench.datasets.whitening import Zca

POOLED_SIDE = 8
_VALUES_AT_ONCE = 2**16  # float64 in blocks that fit the cache: no second copy of CIFAR-10 in double precision, and three times as fast


class FittedStep(Protocol):
    """A step with whatever it learned from the training part."""

    def transform(self, inputs: Inputs) -> Inputs:
        """The same rows, float32."""


class Step(Protocol):
    """A kind of step: which inputs it takes, and how it is fitted."""

    takes: ClassVar[tuple[Kind, ...]]
    advice: ClassVar[str]

    @classmethod
    def fit(cls, inputs: Inputs) -> FittedStep:
        """Learn from training rows."""


@dataclass(frozen=True, eq=False)
class Standardise:
    """x ← (x − mean) / deviation for each feature; a constant one becomes 0. mean, deviation: (d,), float64."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    takes: ClassVar[tuple[Kind, ...]] = ("vectors",)
    advice: ClassVar[str] = "use per-channel, or flatten before it"

    @classmethod
    def fit(cls, inputs: Inputs) -> Standardise:
        return cls(*_moments(inputs, axes=(0,)))

    def transform(self, inputs: Inputs) -> Inputs:
        return _shifted_and_scaled(inputs, self.mean, self.deviation)


@dataclass(frozen=True, eq=False)
class PerChannel:
    """x ← (x − mean) / deviation for each channel; a constant one becomes 0. mean, deviation: (channels, 1, 1), float64."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    takes: ClassVar[tuple[Kind, ...]] = ("images",)
    advice: ClassVar[str] = "use standardise"

    @classmethod
    def fit(cls, inputs: Inputs) -> PerChannel:
        return cls(*_moments(inputs, axes=(0, 2, 3)))

    def transform(self, inputs: Inputs) -> Inputs:
        return _shifted_and_scaled(inputs, self.mean, self.deviation)


@dataclass(frozen=True)
class UnitNorm:
    """x ← x / |x|, the norm taken over all entries of a row; a row of zeros stays."""

    takes: ClassVar[tuple[Kind, ...]] = ("vectors", "images")
    advice: ClassVar[str] = ""

    @classmethod
    def fit(cls, inputs: Inputs) -> UnitNorm:
        return cls()

    def transform(self, inputs: Inputs) -> Inputs:
        return _divided_by_norm(inputs, axes=tuple(range(1, inputs.ndim)))


@dataclass(frozen=True)
class MultiSphere:
    """x_p ← x_p / |x_p| for the channel vector of each pixel p; a pixel of zeros stays. With one channel only signs are left."""

    takes: ClassVar[tuple[Kind, ...]] = ("images",)
    advice: ClassVar[str] = "use unit-norm"

    @classmethod
    def fit(cls, inputs: Inputs) -> MultiSphere:
        return cls()

    def transform(self, inputs: Inputs) -> Inputs:
        return _divided_by_norm(inputs, axes=(1,))


@dataclass(frozen=True)
class Flatten:
    """(n, channels, height, width) ← (n, channels * height * width)."""

    takes: ClassVar[tuple[Kind, ...]] = ("images",)
    advice: ClassVar[str] = "leave it out"

    @classmethod
    def fit(cls, inputs: Inputs) -> Flatten:
        return cls()

    def transform(self, inputs: Inputs) -> Inputs:
        return inputs.reshape(len(inputs), -1)


@dataclass(frozen=True)
class Pool:
    """(n, channels, height, width) ← the means over height/8 x width/8 pixels each, (n, channels, 8, 8)."""

    takes: ClassVar[tuple[Kind, ...]] = ("images",)
    advice: ClassVar[str] = "leave it out"

    @staticmethod
    def divides(row_shape: tuple[int, ...]) -> bool:
        """Whether images of this shape, (channels, height, width), can be cut into such squares."""
        return all(side % POOLED_SIDE == 0 for side in row_shape[1:])

    @classmethod
    def fit(cls, inputs: Inputs) -> Pool:
        height, width = inputs.shape[2:]
        if not cls.divides(inputs.shape[1:]):
            raise SkipbenchError(
                f"preprocess: the step pool-8x8 is given images of {height} x {width} pixels, but it takes sides that are multiples of "
                f"{POOLED_SIDE}: leave it out"
            )
        return cls()

    def transform(self, inputs: Inputs) -> Inputs:
        n, channels, height, width = inputs.shape
        squares = inputs.reshape(n, channels, POOLED_SIDE, height // POOLED_SIDE, POOLED_SIDE, width // POOLED_SIDE)
        pooled: Inputs = squares.mean(axis=(3, 5), dtype=np.float64).astype(np.float32)
        return pooled


STEPS: dict[str, type[Step]] = {
    "standardise": Standardise,
    "unit-norm": UnitNorm,
    "multi-sphere": MultiSphere,
    "per-channel": PerChannel,
    "pool-8x8": Pool,
    "zca": Zca,
    "flatten": Flatten,
}


@dataclass(frozen=True, eq=False)
class Preprocessing:
    """Fitted steps in order. steps: their names, as recorded. row_shape: of the rows they were fitted on."""

    steps: tuple[str, ...]
    fitted: tuple[FittedStep, ...]
    row_shape: tuple[int, ...]

    def transform(self, inputs: NDArray[Any]) -> Inputs:
        """A new float32 array, the steps applied in turn. Raises SkipbenchError for rows of another shape than in training."""
        rows = given = _as_float32(inputs)
        if rows.shape[1:] != self.row_shape:
            raise SkipbenchError(f"preprocess: rows of shape {rows.shape[1:]}, but the steps were fitted on rows of shape {self.row_shape}")
        for step in self.fitted:
            rows = step.transform(rows)
        return rows.copy() if np.may_share_memory(rows, given) else rows


@dataclass(frozen=True, eq=False)
class PreparedSplit:
    """One split, ready to fit: float32 inputs, int64 labels (float64 (n, outputs) targets of a regression set), and the applied steps."""

    x_train: Inputs
    y_train: Indices | Targets
    x_validation: Inputs
    y_validation: Indices | Targets
    x_test: Inputs
    y_test: Indices | Targets
    steps: tuple[str, ...]


def check_steps(steps: Sequence[str], kind: Kind) -> tuple[str, ...]:
    """The names of the steps, in order. Raises SkipbenchError for an unknown step and for one that cannot take such inputs."""
    if isinstance(steps, str):
        raise SkipbenchError(f"preprocess: steps is the text {shown(steps)}, but it is a list of names: [{steps}]")
    for name in steps:
        if not isinstance(name, str) or name not in STEPS:
            raise SkipbenchError(unknown_name("preprocessing step", str(name), STEPS))
        step = STEPS[name]
        if kind not in step.takes:
            raise SkipbenchError(f"preprocess: the step {name} expects {step.takes[0]}, but it is given {kind}: {step.advice}")
        kind = "vectors" if name == "flatten" else kind
    return tuple(steps)


def shape_after(steps: Sequence[str], row_shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a row of this shape after the steps; fitting them says what is wrong with those that cannot take it."""
    for name in steps:
        if name == "pool-8x8" and len(row_shape) == 3:
            row_shape = (row_shape[0], POOLED_SIDE, POOLED_SIDE)
        elif name == "flatten":
            row_shape = (int(np.prod(row_shape)),)
    return row_shape


def fit_preprocessing(steps: Sequence[str], inputs_train: NDArray[Any]) -> Preprocessing:
    """Fit each step on the training rows as the steps before it leave them.

    inputs_train: (n, d) or (n, channels, height, width), n at least 1, all finite. Raises SkipbenchError for other inputs, an unknown
    step, or a step that takes images where there are vectors, or the other way round.
    """
    rows = _as_float32(inputs_train)
    if rows.ndim not in (2, 4) or 0 in rows.shape:
        raise SkipbenchError(
            f"preprocess: training inputs have shape {rows.shape}, but they are (n, d) or (n, channels, height, width), n > 0"
        )
    check_finite(rows, "preprocess: training part")
    names = check_steps(steps, "vectors" if rows.ndim == 2 else "images")
    row_shape, fitted = rows.shape[1:], []
    for place, name in enumerate(names, start=1):
        step = STEPS[name].fit(rows)
        fitted.append(step)
        if place < len(names):
            rows = step.transform(rows)
    return Preprocessing(names, tuple(fitted), row_shape)


def preprocess(dataset: Dataset, split: Split | int, steps: Sequence[str]) -> PreparedSplit:
    """The parts of one split of the data set after the steps, which see the training part only. split: one of its splits, or the index."""
    if not isinstance(split, Split):
        if isinstance(split, bool) or not isinstance(split, int) or not 0 <= split < len(dataset.splits):
            raise SkipbenchError(f"{dataset.name}: split {shown(split)}, but its splits are 0 to {len(dataset.splits) - 1}")
        split = dataset.splits[split]
    answers = dataset.labels if dataset.targets is None else dataset.targets
    rows_train = dataset.inputs[split.train]
    fitted = fit_preprocessing(steps, rows_train)
    return PreparedSplit(
        x_train=fitted.transform(rows_train),
        y_train=answers[split.train],
        x_validation=fitted.transform(dataset.inputs[split.validation]),
        y_validation=answers[split.validation],
        x_test=fitted.transform(dataset.inputs[split.test]),
        y_test=answers[split.test],
        steps=fitted.steps,
    )


def _as_float32(inputs: Any) -> Inputs:
    try:
        with np.errstate(over="ignore"):  # what becomes infinite is refused by its place
            return np.asarray(inputs, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise SkipbenchError(f"preprocess: inputs are no array of numbers ({error})") from None


def _blocks(inputs: Inputs) -> Iterator[slice]:
    rows = max(1, _VALUES_AT_ONCE // max(1, int(np.prod(inputs.shape[1:]))))
    return (slice(start, start + rows) for start in range(0, len(inputs), rows))


def _moments(inputs: Inputs, axes: tuple[int, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and deviation (divided by the count) in float64, two passes; deviation 0 exactly where all values are equal."""
    count = np.prod([inputs.shape[axis] for axis in axes])
    mean = sum(inputs[rows].sum(axis=axes, dtype=np.float64, keepdims=True) for rows in _blocks(inputs)) / count
    squares = sum(((inputs[rows] - mean) ** 2).sum(axis=axes, keepdims=True) for rows in _blocks(inputs))
    constant = inputs.max(axis=axes, keepdims=True) == inputs.min(axis=axes, keepdims=True)
    deviation = np.where(constant, 0.0, np.sqrt(squares / count))
    return np.asarray(mean)[0], deviation[0]


def _shifted_and_scaled(inputs: Inputs, mean: NDArray[np.float64], deviation: NDArray[np.float64]) -> Inputs:
    result = np.empty_like(inputs)
    varies = deviation > 0
    factor = np.where(varies, 1 / np.where(varies, deviation, 1.0), 0.0)
    for rows in _blocks(inputs):
        result[rows] = (inputs[rows] - mean) * factor
    return result


def _divided_by_norm(inputs: Inputs, axes: tuple[int, ...]) -> Inputs:
    result = np.empty_like(inputs)
    for rows in _blocks(inputs):
        # float64: the square of a small float32 would underflow to 0
        norm = np.sqrt(np.square(inputs[rows], dtype=np.float64).sum(axis=axes, keepdims=True))
        result[rows] = inputs[rows] / np.where(norm > 0, norm, 1.0)
    return result
