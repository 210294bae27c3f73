"""An ensemble of twins that differ in their seeds: their mean has less of a finite network's chance, and so is nearer to the kernel."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from skipbench.architecture import CNN, Architecture
from skipbench.clock import Clock
from skipbench.trainers.kernel_choice import RemembersKernels
from skipbench.trainers.networks.build import build_network, check_count
from skipbench.trainers.networks.classifier import NetworkClassifier
from skipbench.trainers.networks.kernel_partner import KernelPartner, LimitKernel
from skipbench.trainers.networks.trained import DTYPES, stream_seed

if TYPE_CHECKING:
    from skipbench.trainers.networks.training import NetworkModule


class EnsembleNetwork(nn.Module):
    """f(x) = 1/M Σ_m [f_m(x; θ_m) - f_m(x; θ_m at initialisation)] of M networks, 0 at the start.

    members: taken over and trained. Copies of them stay as they are now.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.initial = nn.ModuleList(copy.deepcopy(member).requires_grad_(False) for member in members)
        self.members = nn.ModuleList(members)

    def member_outputs(self, x: Tensor) -> Tensor:
        """Each member's outputs from its own start: (members, n, outputs)."""
        with torch.no_grad():
            start = torch.stack([member(x) for member in self.initial])
        return torch.stack([member(x) for member in self.members]) - start

    def forward(self, x: Tensor) -> Tensor:
        """What a member reads, to (n, outputs)."""
        return self.member_outputs(x).mean(dim=0)


class EnsembleClassifier(NetworkClassifier):
    """The mean of several finite networks of one architecture that differ in their seeds, each trained on its own loss.

    members: how many; their seeds are derived from `seed`. All other parameters are those of `NetworkClassifier`, and each member is
    trained as one: the same step size for all, the smallest of their defaults, the same mini-batches, no gradient that knows of the
    other members.

    Whatever is measured or chosen is the mean's: the curve has the loss and accuracy of the mean's outputs, which are no means of the
    members' losses and accuracies (the loss, being convex, is at most their mean); the best epoch on validation data is the mean's; and
    with compare_with_kernel it is the mean that stands beside the kernel, without `predicted_at_start`, as a mean of networks with
    different tangent kernels descends on none of them.

    After `fit`: as `NetworkClassifier`; `network_` is an `EnsembleNetwork`.
    """

    checkpoint_dir: str | None = None  # of single networks only
    checkpoint_every: int | None = None

    tangent_rows = 0  # no parameter here: there is not one tangent kernel to follow

    def __init__(
        self,
        architecture: Architecture | None = None,
        *,
        members: int = 5,
        width: int = 128,
        loss: str = "mse",
        learning_rate: float | None = None,
        momentum: float = 0.0,
        batch_size: int | None = None,
        epochs: int = 200,
        patience: int | None = None,
        target_reduction: float | None = None,
        evaluate_every: int | None = None,
        seed: int = 0,
        dtype: str = "float32",
        device: str = "cpu",
        progress_bar: bool = False,
        compare_with_kernel: bool = False,
        memory: RemembersKernels | None = None,
    ) -> None:
        self.architecture = architecture
        self.members = members
        self.width = width
        self.loss = loss
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.batch_size = batch_size
        self.epochs = epochs
        self.patience = patience
        self.target_reduction = target_reduction
        self.evaluate_every = evaluate_every
        self.seed = seed
        self.dtype = dtype
        self.device = device
        self.progress_bar = progress_bar
        self.compare_with_kernel = compare_with_kernel
        self.memory = memory

    @property
    def noun(self) -> str:
        """What its label begins with."""
        return f"ensemble of {self.members} networks"

    def check_parameters(self) -> None:
        """Refuse parameters that no data could make right. Raises SkipbenchError."""
        check_count(type(self).__name__, "members", self.members, "it counts the networks whose outputs are averaged")
        super().check_parameters()

    @classmethod
    def contract_variants(cls) -> tuple[dict[str, Any], ...]:
        """Parameters with which the contract runs: both kinds of inputs, full batch and mini-batches; the single twin's run the rest."""
        return (
            {"members": 2, "width": 16, "epochs": 15, "momentum": 0.5},
            {"members": 2, "architecture": CNN(depth=1, readout="tr"), "batch_size": 8, "momentum": 0.5, "width": 16, "epochs": 20},
        )

    def _new_network(self) -> nn.Module:
        return EnsembleNetwork([self._member(index) for index in range(self.members)])

    def _member(self, index: int) -> nn.Module:
        return build_network(
            self._used_architecture(),
            width=self.width,
            input_shape=self.input_shape_,
            outputs=len(self.classes_),
            seed=stream_seed(self.seed, f"member {index}"),
            dtype=DTYPES[self.dtype],
        )

    def _module_type(self) -> type[NetworkModule]:
        from skipbench.trainers.networks.ensemble_module import EnsembleModule

        return EnsembleModule

    def _n_networks(self) -> int:
        return int(self.members)

    def _chosen_learning_rate(self, network: nn.Module, inputs: Tensor) -> float:
        """The smallest of the members' own: the mean's tangent kernel is 1/M of theirs, and says nothing of their stability."""
        members = network.members if isinstance(network, EnsembleNetwork) else [network]
        return min(super(EnsembleClassifier, self)._chosen_learning_rate(member, inputs) for member in members)

    def _partner(self, limit: LimitKernel, network: nn.Module, inputs: Tensor, clock: Clock) -> KernelPartner:
        with clock.phase("compare"):
            settings: dict[str, Any] = {"learning_rate": self.learning_rate_, "momentum": float(self.momentum)}
            return KernelPartner(limit, classes=len(self.classes_), **settings)
