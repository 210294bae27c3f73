"""The Lightning module that trains the members of an ensemble side by side, each as if it were alone."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from skipbench.trainers.networks.ensemble import EnsembleNetwork
from skipbench.trainers.networks.slices import Samples
from skipbench.trainers.networks.training import NetworkModule


class EnsembleModule(NetworkModule):
    """Minimises Σ_m loss(f_m), whose gradient in a member's weights is that of the member's own loss; shows the loss of the mean."""

    def training_step(self, batch: Samples, batch_index: int) -> Tensor:
        """A scalar with the value of loss(1/M Σ_m f_m), for the recorder, and the gradient of Σ_m loss(f_m)."""
        members = cast(EnsembleNetwork, self.network).member_outputs(batch.inputs)
        self.outputs = members.detach().mean(dim=0)
        separate = torch.stack([self._loss(outputs, batch.labels) for outputs in members]).sum()
        self.loss = self._loss(self.outputs, batch.labels)
        return self.loss + (separate - separate.detach())
