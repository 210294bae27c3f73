"""Checkpoints of a training: written whole or not at all, sealed by their digest, and resumed only by the training that wrote them.

A file is one line of JSON, the seal, and behind it what Lightning saves, as torch writes it. The seal has the SHA-256 of the rest and the
fingerprint of the training, part by part, so that a refusal can say what differs. It protects from accidents, not from an attacker:
whoever can write the file can seal it, which is why it is read with `weights_only=True`, never as arbitrary objects.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import json
import os
import pickle
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.io.checkpoint_io import CheckpointIO
from torch import Tensor, nn

from skipbench.checks import SkipbenchError, TamperedDataError, shown
from skipbench.clock import Clock
from skipbench.trainers.networks.resuming import Checkpoints
from skipbench.trainers.networks.slices import Samples

FORMAT = 1
FILE_NAME = "training.ckpt"
LONGEST_SEAL = 10_000  # bytes
PACKAGES = ("skipbench", "torch", "pytorch-lightning")


def fingerprint(parameters: Mapping[str, Any], network: nn.Module, train: Samples, validation: Samples | None) -> dict[str, str]:
    """What decides how a training goes on, as digests by part: parameters, network (its initial weights too), data, software.

    The running averages of batch norm are left out: they follow from the data, on a GPU only up to rounding.
    """
    software = {name: importlib.metadata.version(name) for name in PACKAGES}
    averages = {name for name, _ in network.named_buffers()}
    weights = {name: value for name, value in network.state_dict().items() if name not in averages}
    rows = {
        f"{kind} {name}": part
        for kind, samples in (("train", train), ("validation", validation))
        if samples is not None
        for name, part in (("inputs", samples.inputs), ("labels", samples.labels))
    }
    return {
        "parameters": _digest(json.dumps({name: repr(value) for name, value in sorted(parameters.items())}).encode()),
        "network": _digest(str(network).encode(), weights),
        "data": _digest(b"", rows),
        "software": ", ".join(f"{name} {version}" for name, version in software.items()),
    }


class SealedFiles(CheckpointIO):
    """How Lightning writes and reads the checkpoints of one training. own: its fingerprint."""

    def __init__(self, own: Mapping[str, str]) -> None:
        self._own = dict(own)

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Replace the file in one step, once all of it is on the disk: whoever is killed meanwhile leaves the old one.

        A disk that is full is a warning, since the training itself is well, and other processes may wait for this one.
        """
        content = io.BytesIO()
        torch.save(checkpoint, content)
        seal = {"format": FORMAT, "sha256": _digest(content.getvalue()), "training": self._own}
        try:
            _replace(Path(path), json.dumps(seal).encode() + b"\n" + content.getvalue())
        except OSError as error:
            reason = error.strerror or type(error).__name__
            said = f"checkpoint_dir: no checkpoint was written ({reason}); training goes on without it"
            warnings.warn(said, stacklevel=1)  # whoever called is Lightning, whose warnings are kept quiet

    def load_checkpoint(self, path: str | Path, map_location: Any | None = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Raises TamperedDataError for a file that is not as it was written, SkipbenchError for that of another training."""
        with Path(path).open("rb") as file:
            seal, content = _seal(path, file.readline(LONGEST_SEAL)), file.read()
        if _digest(content) != seal["sha256"]:
            found, sealed = _short(_digest(content)), _short(seal["sha256"])
            raise _damaged(path, f"its {len(content)} bytes have SHA-256 {found}, but were sealed as {sealed}")
        self._refuse_another(path, seal["training"])
        try:
            checkpoint: dict[str, Any] = torch.load(io.BytesIO(content), map_location=map_location, weights_only=True)
        except pickle.UnpicklingError as error:
            raise _damaged(path, "it holds more than tensors and numbers") from error
        return checkpoint

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove the file, if there is one, and what a write that was killed has left of another."""
        for file in (Path(path), *Path(path).parent.glob(f"{FILE_NAME}.*.unfinished")):
            file.unlink(missing_ok=True)

    def _refuse_another(self, path: str | Path, found: Mapping[str, Any]) -> None:
        different = [part for part in self._own if found.get(part) != self._own[part]]
        if different:
            parts = "; ".join(f"{part}: {_short(found.get(part))} there, {_short(self._own[part])} here" for part in different)
            raise SkipbenchError(
                f"checkpoint_dir: {shown(str(path), 200)} is of another training ({parts}): repeat that training to resume it, "
                "or give this one a folder of its own"
            )


class ResumableTraining:
    """The one checkpoint of a training: whether there is one, who writes it, and that it goes once the training has come to its end."""

    def __init__(self, checkpoints: Checkpoints, clock: Clock, own: Mapping[str, str]) -> None:
        self.files = SealedFiles(own)
        self.path = Path(checkpoints.folder) / FILE_NAME
        self.writer = CheckpointWriter(self.path, checkpoints, clock)

    @property
    def resumed_from(self) -> str | None:
        """The checkpoint to go on from; None where the training begins."""
        return str(self.path) if self.path.exists() else None

    def finish(self) -> None:
        """Remove the checkpoint: the training ended, well or diverged, and would end the same again."""
        self.files.remove_checkpoint(self.path)


class CheckpointWriter(pl.Callback):
    """Writes a checkpoint at the end of an epoch, where one is due, with the clock of training standing still.

    None is written after the last epoch, nor where training was told to stop, which a checkpoint could not say: whoever is killed then
    resumes from the one before and comes to the same end.
    """

    def __init__(self, path: Path, checkpoints: Checkpoints, clock: Clock) -> None:
        self._path = path
        self._every, self._seconds, self._clock = checkpoints.every, checkpoints.seconds, clock
        self._written = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning counts an epoch as over only after this hook, and resumes with the next one all the same."""
        done = trainer.current_epoch + 1
        if trainer.should_stop or done == trainer.max_epochs:
            return
        due = time.monotonic() - self._written >= self._seconds if self._every is None else done % self._every == 0
        if trainer.strategy.broadcast(due):  # processes that train together write together, by the clock of the first
            with self._clock.phase("checkpoint"):
                trainer.save_checkpoint(self._path)
            self._written = time.monotonic()


def _replace(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f"{target.name}.{os.getpid()}.unfinished")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def _digest(content: bytes, tensors: Mapping[str, Tensor] | None = None) -> str:
    """SHA-256 of bytes and, if given, of named tensors with their shapes and dtypes."""
    digest = hashlib.sha256(content)
    for name, tensor in sorted((tensors or {}).items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()


def _short(value: Any) -> str:
    """A digest by its first characters, other text as it is."""
    text = str(value)
    return f"{text[:12]}..." if len(text) == 64 and " " not in text else text[:200]


def _seal(path: str | Path, line: bytes) -> dict[str, Any]:
    try:
        seal: dict[str, Any] = json.loads(line)
        version, is_whole = seal["format"], isinstance(seal["sha256"], str) and isinstance(seal["training"], dict)
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, "its first line is no seal") from error
    if version != FORMAT or not is_whole:
        raise _damaged(path, f"its seal has format {shown(version)}, and this version of skipbench reads format {FORMAT}")
    return seal


def _damaged(path: str | Path, reason: str) -> TamperedDataError:
    return TamperedDataError(
        f"checkpoint_dir: {shown(str(path), 200)} is damaged ({reason}): nothing of it was used. Remove it to train from the start"
    )
