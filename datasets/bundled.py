"""The data sets that come with scikit-learn: no download, five seeded stratified 60/20/20 splits each."""

from __future__ import annotations

from typing import Any

import numpy as np

from skipbench.datasets.dataset import Dataset, freeze
from skipbench.datasets.options import LoadOptions
from skipbench.datasets.stratify import balanced_rows, stratified_splits

N_SPLITS = 5
PROTOCOLS = ("stratified",)
LICENCE = "CC BY 4.0 (UCI Machine Learning Repository)"
DIGITS_WHITEST = 16.0  # each pixel counts the dark ones among 4x4 of the scanned digit

# SHA-256 of inputs and labels of each whole set, so that `skipbench data verify` sees when a version of scikit-learn changes them.
SHA256 = {
    "iris": "0817ecad8476f8640bea6258e4d89d1d6550807b52dc219671a50c6cea0f4843",
    "wine": "b58f710554a4ea7926a196bf235fd2a0254ace734bbc9347102a768957e9a364",
    "breast-cancer": "ab5a66dd78bc973f2967612f324ab0706118bf5d294d9ecf11f83c1b37e2326f",
    "digits": "03eb289d1945337002f97dd79cf85969921cf7af68fba59be572229c3756bf65",
    "digits-images": "1239c7954e5eb07fd66f52604e48a7a6df45024eff8fb080b642ca95f4859e35",
}

_LOADERS = {
    "iris": "load_iris",
    "wine": "load_wine",
    "breast-cancer": "load_breast_cancer",
    "digits": "load_digits",
    "digits-images": "load_digits",
}


def load_bundled(name: str, options: LoadOptions) -> Dataset:
    """One of the five bundled sets; measurements as published, pixels of the digits divided by 16, so that they lie in [0, 1].

    `digits` are 64 features, `digits-images` the same rows as 1x8x8 images. Raises SkipbenchError for an n that cannot be had.
    """
    protocol = options.chosen_protocol(name, PROTOCOLS)
    options.refuse(name, ("n_test",), "this set has no official test part: use n, which is shared out 60/20/20")
    found = _from_scikit_learn(name)
    inputs = np.asarray(found.data, dtype=np.float64)
    labels = np.asarray(found.target, dtype=np.int64)
    classes = tuple(str(label) for label in found.target_names)
    provenance = "UCI Machine Learning Repository, as distributed with scikit-learn"
    if name.startswith("digits"):
        inputs = inputs / DIGITS_WHITEST
        provenance += "; pixel values divided by 16"
    if name == "digits-images":
        inputs = inputs.reshape(-1, 1, 8, 8)
    if options.n is not None:
        rows = balanced_rows(labels, options.n, len(classes), options.seed, name)
        inputs, labels = inputs[rows], labels[rows]
        provenance += f"; class-balanced subset of {options.n} rows, seed {options.seed}"
    splits = stratified_splits(labels, classes, n_splits=N_SPLITS, seed=options.seed, where=name)
    return Dataset(
        name=name,
        inputs=freeze(inputs.astype(np.float32)),
        labels=labels,
        classes=classes,
        splits=splits,
        provenance=f"{provenance}; {N_SPLITS} stratified 60/20/20 splits, seed {options.seed}",
        licence=LICENCE,
        protocol=protocol,
    )


def _from_scikit_learn(name: str) -> Any:
    import sklearn.datasets  # here, since importing skipbench.datasets does no work

    return getattr(sklearn.datasets, _LOADERS[name])()
