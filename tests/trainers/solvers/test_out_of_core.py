"""How often the matrix is read, and how much memory that takes."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from skipbench.trainers.solvers import predict_from_store, solve_ridge_path

N, TILE = 1200, 100
TILES = N // TILE
UPPER = TILES * (TILES + 1) // 2


@pytest.fixture
def stored(tangent_kernel, counting_matrix):
    return counting_matrix(tangent_kernel(N).astype(np.float32), tile=TILE)


def measured(solve):
    """Result and the most bytes that numpy held at once, beyond those before."""
    tracemalloc.start()
    try:
        result = solve()
        return result, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_conjugate_gradients_read_the_upper_tiles_once_per_iteration_for_all_outputs_and_ridges(stored):
    targets = np.random.default_rng(0).normal(size=(N, 5))
    solutions = solve_ridge_path(stored, targets, [1.0, 1e-1, 1e-2], method="conjugate-gradient", rank=50)
    passes = solutions[0].passes
    assert len(stored.reads) == TILES + passes * UPPER  # the diagonal tiles once, for the trace
    slowest = max(solution.iterations for solution in solutions)
    assert passes == 1 + slowest + 1  # the sketch, the iterations, and the residual at the end
    assert solutions[0].iterations < solutions[2].iterations


def test_conjugate_gradients_stay_within_their_bound_far_below_the_matrix(stored):
    stored.forgets = True  # what it remembers would count as memory
    targets = np.random.default_rng(1).normal(size=(N, 2))
    options = {"method": "conjugate-gradient", "rank": 20}
    solve_ridge_path(stored, targets, [1e-1], **options)  # what is imported or allocated on first use is no part of it
    solutions, peak = measured(lambda: solve_ridge_path(stored, targets, [1e-1, 1e-2], **options))
    assert stored.largest_read == TILE * TILE
    assert peak <= solutions[0].memory_bytes
    assert solutions[0].memory_bytes < 8 * N * N / 2
    assert peak < 8 * N * N / 3


def test_cholesky_reads_once_and_holds_one_matrix_and_a_few_tiles(stored):
    targets = np.random.default_rng(2).normal(size=(N, 2))
    solve_ridge_path(stored, targets, [1e-1], method="cholesky")
    stored.reads.clear()
    solutions, peak = measured(lambda: solve_ridge_path(stored, targets, [1e-1, 1e-2, 1e-3], method="cholesky"))
    assert len(stored.reads) == TILES + UPPER
    assert solutions[0].passes == 1
    assert peak <= solutions[0].memory_bytes
    assert 8 * N * N <= peak < 1.2 * 8 * N * N


def test_the_resident_memory_of_cholesky_grows_by_one_matrix():
    """tracemalloc sees numpy's memory only; a process of its own shows that LAPACK takes no second matrix."""
    program = """
import resource, sys
import numpy as np
from skipbench.trainers.solvers import solve_ridge_path

class Ones:  # 2 on the diagonal, 1 elsewhere
    tile, dtype = 256, np.dtype("float64")
    def __init__(self, n): self.shape = (n, n)
    def __getitem__(self, key):
        rows, columns = (np.arange(one.start, one.stop) for one in key)
        return 1.0 + (rows[:, None] == columns[None, :])

def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

solve_ridge_path(Ones(600), np.ones((600, 1)), [1e-1, 1e-2], method="cholesky")
before = peak()
solve_ridge_path(Ones(3000), np.ones((3000, 1)), [1e-1, 1e-2], method="cholesky")
print(peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1.35 * 8 * 3000**2  # 72 MB; a second matrix would make it 2


def test_predictions_read_every_tile_once_for_all_ridges(counting_matrix):
    cross = counting_matrix(np.random.default_rng(3).normal(size=(250, 330)), tile=100)
    coefficients = np.random.default_rng(4).normal(size=(4, 330, 2))
    predict_from_store(cross, coefficients)
    assert len(cross.reads) == 3 * 4
    assert cross.numbers_read == 250 * 330
    assert cross.largest_read == 100 * 100
