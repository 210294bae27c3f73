"""How Lightning's Trainer runs a training: precision, processes, compilation; what a classifier was given, checked once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch

from skipbench.checks import SkipbenchError, shown
from skipbench.trainers.devices import present_devices, resolve_device

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")  # of those that Lightning knows; float64 is a dtype of the weights here
STRATEGIES = ("auto", "ddp")


@dataclass(frozen=True, slots=True)
class TrainerOptions:
    """Validated by `of`. precision "32-true" leaves the parameters' own dtype. is_compiled: torch.compile takes the training step."""

    precision: str = "32-true"
    devices: int = 1
    strategy: str = "auto"
    is_compiled: bool = False

    @classmethod
    def of(cls, classifier: Any) -> TrainerOptions:
        """Those that a classifier's parameters ask for. Raises SkipbenchError."""
        _check_names(classifier)
        if classifier.precision != "32-true" and classifier.dtype != "float32":
            raise _refusal(classifier, "precision", f"mixed precision works beside dtype='float32', not {shown(classifier.dtype)}")
        device = resolve_device(classifier.device)
        if classifier.precision == "16-mixed" and device.type == "cpu":
            raise _refusal(classifier, "precision", "Lightning has no float16 on the CPU: use 'bf16-mixed'")
        devices = _number_of_devices(classifier, device)
        strategy = "ddp" if devices > 1 else classifier.strategy
        return cls(classifier.precision, devices, strategy, classifier.compile)

    def trainer_arguments(self, device: torch.device) -> dict[str, Any]:
        """What `pl.Trainer` is given: one device is named by its number, several are the first ones."""
        one = [device.index or 0] if device.type == "cuda" else 1
        return {
            "accelerator": "gpu" if device.type == "cuda" else "cpu",
            "devices": one if self.devices == 1 else self.devices,
            "strategy": self.strategy,
            "precision": self.precision,
        }


def _check_names(classifier: Any) -> None:
    for name, allowed in (("precision", PRECISIONS), ("strategy", STRATEGIES)):
        if getattr(classifier, name) not in allowed:
            raise _refusal(classifier, name, f"it is one of: {', '.join(allowed)}")
    if not isinstance(classifier.compile, bool):
        raise _refusal(classifier, "compile", "it is either True or False")


def _number_of_devices(classifier: Any, device: torch.device) -> int:
    """How many processes train together: each has a GPU, or on the CPU a core."""
    wanted = classifier.devices
    there = len(present_devices()) - 1 if device.type == "cuda" else os.cpu_count() or 1
    if wanted == "auto":
        return there if device.type == "cuda" and classifier.device in ("auto", "cuda") else 1
    if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 1:
        raise _refusal(classifier, "devices", "it counts GPUs, or processes on the CPU: use a whole number of at least 1, or 'auto'")
    if wanted > there:
        found = f"{there} {'GPU' if device.type == 'cuda' else 'core'}{'' if there == 1 else 's'}"
        raise _refusal(classifier, "devices", f"this machine has {found} for device={shown(classifier.device)}")
    if wanted > 1 and device.type == "cuda" and classifier.device not in ("auto", "cuda"):
        raise _refusal(classifier, "devices", f"device={shown(classifier.device)} names one GPU: use device='cuda' for the first {wanted}")
    return wanted


def _refusal(classifier: Any, name: str, reason: str) -> SkipbenchError:
    return SkipbenchError(f"{type(classifier).__name__}: {name}={shown(getattr(classifier, name))}, but {reason}")
