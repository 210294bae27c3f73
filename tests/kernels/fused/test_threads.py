"""Tasks on threads: all run, each workspace belongs to one at a time, and an exception stops the rest."""

import threading
import time

import pytest
import torch

from skipbench.kernels.engines.fused.threads import Threads


@pytest.fixture(params=[1, 3])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield Threads(list)
    torch.set_num_threads(before)


@pytest.mark.parametrize("n_tasks", [0, 1, 2, 50])
def test_every_task_runs_once_with_a_workspace(threads, n_tasks):
    threads.run(lambda workspace, number=number: workspace.append((number, threading.get_ident())) for number in range(n_tasks))
    done = [entry for workspace in threads.workspaces for entry in workspace]
    assert sorted(number for number, _ in done) == list(range(n_tasks))
    assert all(len({thread for _, thread in workspace}) <= 1 for workspace in threads.workspaces)


def test_the_first_exception_is_raised_and_the_rest_is_left(threads):
    def fail(workspace):
        raise ValueError("of a task")

    def work(workspace):
        begun.append(workspace)
        time.sleep(0.001)  # long enough for the other threads to see the failure

    begun = []
    with pytest.raises(ValueError, match="of a task"):
        threads.run([fail, *([work] * 500)])
    assert len(begun) < 500
    threads.run([work])
    assert any(begun[-1] is workspace for workspace in threads.workspaces)
