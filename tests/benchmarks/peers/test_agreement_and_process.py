"""The peer's process: what it answers, how it ends, and that unequal kernels are noticed."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

from skipbench.architecture import CNN, MLP, ResCNN, ResMLP
from skipbench.benchmarks.peers.agreement import LARGEST_DIFFERENCE, Agreement, agreement
from skipbench.benchmarks.peers.cases import QUICK_CASES, PeerCase
from skipbench.benchmarks.peers.peer_process import WORKER, PeerError, PeerProcess

CASE = PeerCase(ResMLP(2), (5,), 8, (8,))


def process(command, case=CASE, **options):
    return PeerProcess(command, case, label="peer", target_seconds=0.01, **options)


def test_the_stand_in_agrees_and_answers(fake):
    with process(fake()) as peer:
        same = agreement(CASE, peer)
        work = peer.prepare()
        assert peer.repeat() == 0.25
    assert same.obstacle == ""
    assert same.peer_ntk_float64 == 0.0  # the stand-in has the reference itself
    assert 0 < same.peer_ntk < 1e-6  # rounded to float32
    assert 0 < same.ntk < LARGEST_DIFFERENCE
    assert (work.pairs, work.threads, work.first_call_seconds, work.settings["batch"]) == (128, 2, 0.5, 8)
    assert work.packages["neural-tangents"] == "0.0"


def test_a_kernel_that_is_off_by_a_thousandth_is_noticed(fake):
    with process(fake("unequal")) as peer:
        same = agreement(CASE, peer)
    assert 1e-4 < same.peer_ntk_float64 < 1e-2
    assert same.peer_nngp < 1e-6
    assert same.obstacle.startswith("not the same kernels, so not timed: from the float64 reference differ peer_ntk_float64 by ")
    assert "nngp" not in same.obstacle


def test_a_difference_that_is_no_number_is_an_obstacle():
    assert "nngp by nan" in Agreement(float("nan"), 0.0, 0.0, 0.0, 0.0, 0.0).obstacle


def test_the_peers_rounding_is_its_own_but_its_definitions_are_not():
    assert Agreement(9e-6, 9e-6, 9e-4, 9e-4, 9e-6, 9e-6).obstacle == ""
    assert "peer_ntk_float64 by 2.0e-05" in Agreement(0.0, 0.0, 0.0, 0.0, 0.0, 2e-5).obstacle
    assert "differ ntk by 2.0e-05" in Agreement(0.0, 2e-5, 0.0, 0.0, 0.0, 0.0).obstacle


class Answers:
    """A peer that answers with given matrices."""

    def __init__(self, change):
        self._change = change

    def values(self, x, z, dtype):
        from skipbench.kernels import kernel_matrices

        return tuple(self._change(matrix.numpy()) for matrix in kernel_matrices(CASE.arch, x, z, engine="reference"))


@pytest.mark.parametrize("change", [lambda matrix: matrix.T, lambda matrix: matrix[:, :-1], lambda matrix: matrix[::-1]])
def test_a_transposed_cut_or_turned_round_matrix_is_noticed(change):
    assert "peer_ntk_float64 by" in agreement(CASE, Answers(change)).obstacle


def test_an_error_answer_is_told(fake):
    with process(fake("failure")) as peer, pytest.raises(PeerError, match="peer failed at `prepare`: RuntimeError: out of luck"):
        peer.prepare()


def test_a_death_is_told_with_its_status_and_last_words(fake):
    with process(fake("death")) as peer, pytest.raises(PeerError, match=r"peer ended at `prepare`, exit status 3: .*about to die"):
        peer.prepare()


def test_noise_instead_of_an_answer_is_told(fake):
    with pytest.raises(PeerError, match=r"peer broke off at `begin` \(Expecting value"), process(fake("noise")):
        pass


def test_silence_ends_after_the_longest_time_and_leaves_no_process(fake):
    peer = process(fake("silence"), longest_seconds=0.5)
    with pytest.raises(PeerError, match="peer did not answer `begin` within 0 s"), peer:
        pass
    assert peer._process.poll() is not None


def test_a_command_that_is_not_there_is_told(tmp_path):
    with pytest.raises(PeerError, match=r"no-python'? cannot be started \(No such file"), process([str(tmp_path / "no-python")]):
        pass


def test_the_peer_may_use_all_cores_whatever_we_are_held_to(fake, monkeypatch):
    from skipbench.benchmarks.peers.peer_process import _variables

    for name in ("OMP_NUM_THREADS", "XLA_FLAGS", "PYTHONPATH"):
        monkeypatch.setenv(name, "1")
    found = _variables()
    assert not {"OMP_NUM_THREADS", "XLA_FLAGS", "PYTHONPATH"} & set(found)
    assert found["PATH"] == os.environ["PATH"]


def test_the_script_needs_nothing_of_skipbench_to_be_read():
    text = WORKER.read_text(encoding="utf-8")
    assert "import skipbench" not in text
    assert "from skipbench" not in text


def test_the_script_says_what_is_missing_where_the_library_is_not_installed():
    pytest.importorskip("numpy")
    with (
        pytest.raises(PeerError, match="peer failed at `begin`: ModuleNotFoundError: No module named 'jax'"),
        process([sys.executable, "-I", str(WORKER)]),
    ):
        pass


EXTENDED = (
    PeerCase(MLP(3, bias=0.3), (5,), None, (2,)),
    PeerCase(ResMLP(3, alpha=0.7, bias=0.3), (5,), None, (2,)),
    PeerCase(CNN(3, filter_size=5, padding="circular", readout="tr", bias=0.3), (2, 7, 5), None, (2,)),
    PeerCase(ResCNN(3, alpha=0.7, padding="circular", readout="gap", bias=0.3), (2, 5, 3), None, (2,)),
)


@pytest.mark.parametrize("case", [*QUICK_CASES, *EXTENDED], ids=lambda case: f"{case.name}-{case.arch.bias}")
def test_the_real_library_computes_our_kernels(real_python, case):
    with process([str(real_python), "-I", str(WORKER)], case) as peer:
        same = agreement(case, peer)
        work = peer.prepare()
        assert peer.repeat() > 0
    assert same.obstacle == ""
    assert max(same.peer_nngp_float64, same.peer_ntk_float64) < 1e-9  # the same functions, but for rounding
    assert work.packages["neural-tangents"] == "0.6.5"
    assert work.pairs == work.settings["n"] ** 2 * work.settings["calls"]


def test_the_real_library_gives_the_same_matrix_in_batches(real_python):
    """12 inputs in batches of 5 leave a smaller last one."""
    whole, parts = (_matrices(real_python, batch) for batch in (12, 5))
    np.testing.assert_allclose(parts, whole, rtol=1e-5)


def _matrices(python, batch):
    import json
    import subprocess

    code = (
        f"import json, runpy, numpy as np; names = runpy.run_path({str(WORKER)!r});"
        "case = {'architecture': {'family': 'MLP', 'depth': 2, 'bias': 0.0}, 'input_shape': [5]};"
        f"session = names['Session'](case); session._choose(12, {batch});"
        f"print(json.dumps(np.array(session._matrices(session.x, session.z, {batch})).tolist()))"
    )
    done = subprocess.run([str(python), "-I", "-c", code], capture_output=True, text=True, check=True)
    return np.array(json.loads(done.stdout.splitlines()[-1]))
