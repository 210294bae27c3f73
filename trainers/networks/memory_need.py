"""Whether a network's training can fit into memory, said before the network is built: a width is quickly written.

Parameters, and what a forward pass keeps for the backward pass, are polynomials of degree two in the width, so three narrow networks tell
those of any width exactly. The sum is a lower bound: what is refused could not have been trained, what is not may still be too large.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psutil
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from skipbench.checks import SkipbenchError

_GIBIBYTE = 2**30


class NetworkTooLargeError(SkipbenchError, MemoryError):
    """Training needs more memory than there is, found before it started; a record's status for it is `oom`."""


@dataclass(frozen=True, slots=True)
class NetworkSize:
    """Bytes of a network: of its parameters, of the trainable ones, and of what a pass keeps, once and for each row."""

    parameters: int
    trainable: int
    kept: int
    kept_by_row: int

    def training_bytes(self, rows: int, *, momentum: bool, copies: int) -> int:
        """At least so many bytes on the training's device: gradients, momentum, and one pass of `rows` rows.

        copies: of the weights: those that are trained, and those at initialisation and of the best epoch where they are there too.
        """
        return copies * self.parameters + (2 if momentum else 1) * self.trainable + self.kept + rows * self.kept_by_row


def network_size(build: Callable[[int], nn.Module], width: int, input_shape: Sequence[int]) -> NetworkSize:
    """The size of `build(width)`, from `build(1)`, `build(2)` and `build(3)`. input_shape: of one row."""
    measured = [_measured(build(narrow), input_shape) for narrow in (1, 2, 3)]
    return NetworkSize(*(_extrapolated(values, width) for values in zip(*measured, strict=True)))


def require_memory(owner: str, needed: int, device: torch.device, *, width: int, rows: int) -> None:
    """Refuse a training that needs more bytes than are free on its device. rows: in one batch. Raises NetworkTooLargeError."""
    free = available_bytes(device)
    if needed > free:
        raise NetworkTooLargeError(
            f"{owner}: width={width} with {rows} rows in a batch needs at least {needed / _GIBIBYTE:.3g} GiB for weights, gradients and "
            f"activations, but {free / _GIBIBYTE:.3g} GiB are free on {device}: use a smaller width, or a batch_size below {rows}"
        )


def available_bytes(device: torch.device) -> int:
    """Free memory of a GPU, or of the machine."""
    if device.type == "cuda":
        free: int = torch.cuda.mem_get_info(device)[0]
        return free
    return int(psutil.virtual_memory().available)


def _measured(network: nn.Module, input_shape: Sequence[int]) -> tuple[int, int, int, int]:
    """Bytes of parameters, of trainable ones, and of what a pass keeps: once, and for each row."""
    parameters = list(network.parameters())
    one, two = (_kept_bytes(network, torch.zeros(n, *input_shape, dtype=parameters[0].dtype)) for n in (1, 2))
    trainable = sum(parameter.nbytes for parameter in parameters if parameter.requires_grad)
    return sum(parameter.nbytes for parameter in parameters), trainable, 2 * one - two, two - one


def _kept_bytes(network: nn.Module, x: Tensor) -> int:
    """Bytes that a forward pass keeps for the backward pass, parameters and inputs left out; what is kept twice counts once."""
    known = {part.untyped_storage().data_ptr() for part in (*network.parameters(), x)}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor  # held, so that no later tensor takes its place
        return tensor

    with torch.enable_grad(), saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = network(x)
    del outputs
    return sum(tensor.untyped_storage().nbytes() for place, tensor in kept.items() if place not in known)


def _extrapolated(values: Sequence[int], width: int) -> int:
    """The polynomial of degree two through the values at 1, 2 and 3, at `width`; whole numbers stay exact."""
    first, second, third = values
    steps = width - 1
    return first + steps * (second - first) + steps * (steps - 1) // 2 * (third - 2 * second + first)
