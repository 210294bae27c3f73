"""Memory of kernel matrices: used again only when nobody refers to a result any more, and never more than allowed is kept."""

import gc

import numpy as np
import pytest
import torch

from skipbench.kernels.engines import result_memory
from skipbench.kernels.engines.result_memory import result_array

LARGE = (1200, 600)  # 2.9 MB of float32


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    gc.collect()
    monkeypatch.setattr(result_memory, "_kept", [])


def where(array) -> int:
    return array.__array_interface__["data"][0]


def test_the_next_result_takes_the_memory_of_one_that_is_gone():
    first = result_array(LARGE, np.float32)
    place = where(first)
    del first
    assert where(result_array(LARGE, np.float32)) == place


@pytest.mark.parametrize(
    "kept", [lambda a: a[3:, ::2], lambda a: torch.from_numpy(a).T, lambda a: torch.from_numpy(a)[5].numpy(), memoryview]
)
def test_memory_that_anything_refers_to_is_not_used_again(kept):
    first = result_array(LARGE, np.float32)
    first[:] = 1
    still = kept(first)
    del first
    result_array(LARGE, np.float32)[:] = 2
    assert (np.asarray(still) == 1).all()


def test_results_that_live_at_once_share_nothing():
    several = [result_array(LARGE, np.float32) for _ in range(5)]
    for number, array in enumerate(several):
        array[:] = number
    assert all((array == number).all() for number, array in enumerate(several))


def test_large_arrays_begin_at_a_large_page_and_small_ones_are_plain():
    large, small = result_array(LARGE, np.float64), result_array((3, 5), np.float32)
    assert where(large) % 2**21 == 0
    assert (large.shape, large.dtype, small.shape, small.dtype) == (LARGE, np.float64, (3, 5), np.float32)
    assert type(large) is np.ndarray
    assert large.flags.carray


def test_no_more_is_kept_than_allowed_and_the_oldest_goes_first(monkeypatch):
    sizes = [4 * 2**20, 6 * 2**20, 8 * 2**20]
    monkeypatch.setattr(result_memory, "KEPT_BYTES", 20 * 2**20)
    arrays = [result_array((size,), np.uint8) for size in sizes]
    while arrays:
        arrays.pop(0)
    assert [len(memory) for memory in result_memory._kept] == [8 * 2**20, 10 * 2**20]


def test_a_result_larger_than_what_may_be_kept_is_given_back(monkeypatch):
    monkeypatch.setattr(result_memory, "KEPT_BYTES", 2**21)
    array = result_array(LARGE, np.float32)
    del array
    assert result_memory._kept == []
