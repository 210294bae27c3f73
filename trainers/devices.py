"""Where a network is trained: the CPU or one GPU, refused at once where it is absent."""

from __future__ import annotations

import re

import torch

from skipbench.checks import SkipbenchError, shown

_CUDA = re.compile(r"^cuda(?::(?P<index>[0-9]{1,4}))?$")


def resolve_device(name: str) -> torch.device:
    """The torch device of a name: "cpu", "cuda" (the first GPU), "cuda:N", or "auto" (the first GPU where there is one, else the CPU).

    Raises SkipbenchError for another name, and for a device that this machine lacks; the message names what is there.
    """
    if not isinstance(name, str):
        raise SkipbenchError(f'device={shown(name)} is no name of a device: use "cpu", "cuda", "cuda:N" or "auto"')
    present = present_devices()
    if name == "auto":
        return torch.device(present[min(1, len(present) - 1)])
    if name == "cpu":
        return torch.device("cpu")
    match = _CUDA.match(name)
    if match is None:
        raise SkipbenchError(f'device={shown(name)} is no name of a device: use "cpu", "cuda", "cuda:N" or "auto"')
    wanted = f"cuda:{int(match['index'] or 0)}"
    if wanted not in present:
        raise SkipbenchError(f"device={shown(name)} is absent on this machine. There is: {', '.join(present)}")
    return torch.device(wanted)


def present_devices() -> tuple[str, ...]:
    """Names of the devices of this machine that networks can be trained on, the CPU first."""
    return ("cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0)))
