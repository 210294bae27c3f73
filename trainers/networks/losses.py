"""The losses that networks are trained with. f: (n, classes), the outputs; labels: (n,), indices into the classes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Loss = Literal["mse", "cross_entropy"]
LossFunction = Callable[[Tensor, Tensor], Tensor]


def mean_squared_error(outputs: Tensor, labels: Tensor) -> Tensor:
    """1/(2n) Σ_i |f(x_i) - y_i|², the target y one-hot minus 1/classes: (1 - 1/classes) / 2 for f = 0."""
    classes = outputs.shape[1]
    targets = functional.one_hot(labels, classes).to(outputs) - 1.0 / classes
    return (outputs - targets).square().sum() / (2 * len(outputs))


def cross_entropy(outputs: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """-1/n Σ_i log softmax(f(x_i))[y_i], in nats: log(classes) for f = 0.

    label_smoothing: the share ε of the label that is spread evenly over all classes, -(1 - ε) log p_y - ε/classes Σ_c log p_c.
    """
    return functional.cross_entropy(outputs, labels, label_smoothing=label_smoothing)


LOSSES: dict[Loss, LossFunction] = {"mse": mean_squared_error, "cross_entropy": cross_entropy}


def loss_function(loss: Loss, label_smoothing: float = 0.0) -> LossFunction:
    """The named loss; label_smoothing is for "cross_entropy" only."""
    return partial(cross_entropy, label_smoothing=label_smoothing) if label_smoothing else LOSSES[loss]


def accuracy(outputs: Tensor, labels: Tensor) -> float:
    """The share of rows whose largest output is at the label."""
    return float((torch.argmax(outputs, dim=1) == labels).float().mean())
