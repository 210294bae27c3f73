"""Names of devices: what is there, and that what is absent is refused at once."""

from __future__ import annotations

import pytest
import torch

from skipbench.checks import SkipbenchError
from skipbench.trainers.devices import present_devices, resolve_device


@pytest.fixture
def gpus(monkeypatch):
    def pretend(count: int) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return pretend


def test_the_cpu_is_always_there_and_auto_means_it_where_there_is_no_gpu(gpus):
    gpus(0)
    assert present_devices() == ("cpu",)
    assert resolve_device("cpu") == resolve_device("auto") == torch.device("cpu")


def test_auto_and_cuda_mean_the_first_gpu_where_there_is_one(gpus):
    gpus(2)
    assert present_devices() == ("cpu", "cuda:0", "cuda:1")
    assert resolve_device("auto") == resolve_device("cuda") == resolve_device("cuda:0") == torch.device("cuda", 0)
    assert resolve_device("cuda:1") == torch.device("cuda", 1)


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:7"])
def test_an_absent_gpu_is_refused_naming_what_is_there(gpus, name):
    gpus(0)
    with pytest.raises(SkipbenchError, match=rf"device='{name}' is absent on this machine\. There is: cpu$"):
        resolve_device(name)


def test_a_gpu_beyond_the_last_is_refused_naming_what_is_there(gpus):
    gpus(1)
    with pytest.raises(SkipbenchError, match=r"device='cuda:1' is absent .* There is: cpu, cuda:0$"):
        resolve_device("cuda:1")


@pytest.mark.parametrize("name", ["gpu", "tpu", "", "cuda:", "cuda:-1", "cuda:1.5", "CPU", "cuda:99999999999999999999", None, 0])
def test_what_names_no_device_is_refused_with_the_allowed_names(name):
    with pytest.raises(SkipbenchError, match='is no name of a device: use "cpu", "cuda", "cuda:N" or "auto"'):
        resolve_device(name)
