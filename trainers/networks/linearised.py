"""The linearised network, third partner of a twin and its kernel: its tangent kernel is the twin's at initialisation, for ever.

What separates it from the twin is that features move in training; what separates it from the kernel at infinite width is chance, the
finite number of random features. Lee et al. 2019, arXiv 1902.06720.
"""

from __future__ import annotations

import copy
import warnings
from functools import lru_cache
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp

from skipbench.architecture import CNN
from skipbench.clock import Clock
from skipbench.trainers.networks.classifier import NetworkClassifier
from skipbench.trainers.networks.kernel_partner import KernelPartner, LimitKernel


class LinearisedNetwork(nn.Module):
    """f_lin(x; u) = f(x; θ₀) + J(x; θ₀) u, J the Jacobian of a network in its trainable parameters θ, u = θ - θ₀ its displacement.

    u is all that is trainable, and 0 at the start. network: taken over, its parameters are θ₀ and no longer trained. One pass costs two or
    three of the network's: J u is a forward-mode derivative.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        trainable = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
        self.names = tuple(trainable)
        self.displacement = nn.ParameterList(torch.zeros_like(parameter) for parameter in trainable.values())
        self.base = network.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """What the network reads, to (n, outputs)."""
        load_forward_mode()
        start = {name: attrgetter(name)(self.base) for name in self.names}  # tensors, where `functional_call` puts its own there
        direction = dict(zip(self.names, self.displacement, strict=True))

        def outputs(parameters: dict[str, Tensor]) -> Any:
            return functional_call(self.base, parameters, (x,))

        value, change = jvp(outputs, (start,), (direction,))[:2]
        total: Tensor = value + change
        return total

    def network_at_start(self) -> nn.Module:
        """A copy of the network that was linearised, trainable where it was."""
        network = copy.deepcopy(self.base)
        for name in self.names:
            network.get_parameter(name).requires_grad_()
        return network


@lru_cache(maxsize=1)
def load_forward_mode() -> None:
    """Have torch load what its first forward-mode derivative needs: that warns of a deprecation inside torch, which is not our user's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        jvp(torch.sin, (torch.zeros(1),), (torch.zeros(1),))


class LinearisedClassifier(NetworkClassifier):
    """The finite network of an architecture, linearised in its parameters at initialisation, trained by gradient descent from f = 0.

    Parameters, training and what there is after `fit` are as in `NetworkClassifier`, and the network of equal width and seed is the one
    that is linearised, so the three can be put side by side: the twin, its linearisation, and the kernel (compare_with_kernel).
    `network_` and `initial_network_` are `LinearisedNetwork`s.
    """

    @property
    def noun(self) -> str:
        """What its label begins with."""
        return "linearised network"

    @classmethod
    def contract_variants(cls) -> tuple[dict[str, Any], ...]:
        """Parameters with which the contract runs: both kinds of inputs, full batch and mini-batches; the twin's run both losses."""
        return (
            {"width": 16, "epochs": 15, "momentum": 0.5},
            {"architecture": CNN(depth=1, readout="tr"), "batch_size": 8, "momentum": 0.5, "width": 16, "epochs": 20},
        )

    def _new_network(self) -> nn.Module:
        return LinearisedNetwork(super()._new_network())

    def _partner(self, limit: LimitKernel, network: nn.Module, inputs: Tensor, clock: Clock) -> KernelPartner | None:
        """The kernel at the start is that of the network itself, which its layers give faster."""
        start = network.network_at_start() if isinstance(network, LinearisedNetwork) else network
        return super()._partner(limit, start, inputs, clock)
