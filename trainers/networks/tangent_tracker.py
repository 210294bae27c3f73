"""A Lightning callback that measures how a network's own tangent kernel moves in training.

In the limit of infinite width it stands still, so its drift says how far a finite network is from its kernel.
"""

from __future__ import annotations

import math
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from skipbench.checks import SkipbenchError
from skipbench.clock import Clock
from skipbench.kernels.spectra.eigensystem import condition_of
from skipbench.results.record import TangentKernelPoint, TangentKernelTrack
from skipbench.trainers.networks.layer_kernels import tangent_kernel
from skipbench.trainers.networks.recorder import finish_work


class TangentKernelTracker(pl.Callback):
    """Measures the empirical tangent kernel K_t on some rows before training, after 1, 2, 5, 10, 20, 50, ... epochs, and after the last.

        drift = |K_t - K_0| / |K_0|      distance_to_limit = |K_t - K| / |K|      Frobenius norms

    with its extreme eigenvalues, condition number and trace. With a full batch an epoch is one step. K_t is computed in float64 from the
    weights as they are, and averaged over the outputs (see `tangent_kernel`).

    The network is the attribute `network` of the trained module, or the module itself where it has none. inputs: (n, ...), the rows, on
    the network's device. limit: K, (n, n), the kernel at infinite width. clock: the time spent here counts there as "evaluate", so that
    the phase "train" stands still. A kernel that is no longer finite makes no point: training that diverges is others' news.
    """

    def __init__(self, inputs: Tensor, *, limit: Tensor | None = None, clock: Clock | None = None) -> None:
        if limit is not None and limit.shape != (len(inputs), len(inputs)):
            raise SkipbenchError(
                f"TangentKernelTracker: limit has shape {tuple(limit.shape)}, but inputs has {len(inputs)} rows: "
                f"give the kernel matrix of these rows, ({len(inputs)}, {len(inputs)})"
            )
        self._inputs, self._clock = inputs, Clock() if clock is None else clock
        self._limit = None if limit is None else limit.to(inputs.device, torch.float64)
        self._initial: Tensor | None = None
        self._points: list[TangentKernelPoint] = []
        self._is_resumed = False

    def track(self) -> TangentKernelTrack:
        """What was measured so far."""
        return TangentKernelTrack(n=len(self._inputs), points=tuple(self._points))

    def state_dict(self) -> dict[str, Any]:
        """All that was measured so far, for a checkpoint."""
        return {"initial": self._initial, "points": [point.model_dump() for point in self._points]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self._initial = state_dict["initial"]
        self._points = [TangentKernelPoint.model_validate(point) for point in state_dict["points"]]
        self._is_resumed = True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure K_0, unless a checkpoint brought it; a callback that trains twice starts again."""
        if not self._is_resumed:
            self._initial, self._points = None, []
            self._measure(trainer.global_step, pl_module)
        self._is_resumed = False

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure after 1, 2, 5, 10, ... epochs."""
        if _is_round(trainer.current_epoch + 1):
            self._measure(trainer.global_step, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure after the last step, unless that was just done."""
        if not self._points or self._points[-1].step != trainer.global_step:
            self._measure(trainer.global_step, pl_module)

    def _measure(self, step: int, module: pl.LightningModule) -> None:
        finish_work(self._inputs.device)
        with self._clock.phase("evaluate"):
            gram = tangent_kernel(cast(nn.Module, getattr(module, "network", module)), self._inputs)
            if not bool(torch.isfinite(gram).all()):
                return
            self._initial = gram if self._initial is None else self._initial
            self._points.append(tangent_kernel_point(step, gram, initial=self._initial, limit=self._limit))


def tangent_kernel_point(step: int, gram: Tensor, *, initial: Tensor, limit: Tensor | None = None) -> TangentKernelPoint:
    """One point of a track. gram: K_t, initial: K_0, limit: K at infinite width, all (n, n) in float64.

    Raises SkipbenchError where K_0 is 0, since its drift is measured by it.
    """
    if not bool(initial.any()):
        raise SkipbenchError(
            "TangentKernelTracker: the tangent kernel of the untrained network is 0 on all rows, so it has no drift: look for inputs of "
            "zeros, which a network without bias maps to 0, or use a larger width or tangent_rows"
        )
    eigenvalues = torch.linalg.eigvalsh(gram)
    condition = condition_of(eigenvalues)
    return TangentKernelPoint(
        step=step,
        drift=float((gram - initial).norm() / initial.norm()),
        distance_to_limit=None if limit is None else float((gram - limit).norm() / limit.norm()),
        lambda_max=float(eigenvalues[-1]),
        lambda_min=float(eigenvalues[0]),
        condition_number=condition if math.isfinite(condition) else None,
        trace=float(gram.trace()),
    )


def _is_round(count: int) -> bool:
    """Whether it is 1, 2 or 5 times a power of ten."""
    while count % 10 == 0:
        count //= 10
    return count in (1, 2, 5)
