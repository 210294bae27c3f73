"""`skipbench gram` as a user runs it: accuracies and spectra as those of the matrices in memory, from tiles that are computed once."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from skipbench.architecture import MLP
from skipbench.cli.gram import _inputs
from skipbench.cli.gram_tables import spectrum_table
from skipbench.kernels import kernel_matrices
from skipbench.kernels.spectra import measure_spectrum
from skipbench.results.record import PerformanceRecord

ARCHITECTURE = json.dumps({"family": "MLP", "depth": 2})
CALL = [
    "gram",
    "digits",
    "--architecture",
    ARCHITECTURE,
    "-n",
    "70",
    "--test-rows",
    "30",
    "--tile",
    "32",
    "--store",
    "tiles",
    "--ridge",
    "0.01",
]


def test_the_record_holds_what_the_matrix_in_memory_says_and_the_second_call_computes_nothing(command, tmp_path):
    done = command(*CALL, "--all-depths", "--spectrum", "--results", "records")
    assert done.returncode == 0, done.stderr
    assert "effective dimension" in done.stdout
    (record,) = [json.loads(path.read_text()) for path in (tmp_path / "records").glob("*.json")]
    found = {metric["name"]: metric["value"] for metric in record["metrics"]}
    (x, labels), _ = _inputs("digits", 70, 30)
    targets = torch.from_numpy(np.eye(10)[labels] - 0.1)
    for kernel, gram in zip(("nngp", "ntk"), kernel_matrices(MLP(depth=2), x), strict=True):
        exact = measure_spectrum(gram, dtype="float64", ridge=0.01, targets=targets)
        name = f"{kernel}_depth_2"
        assert found[f"{name}_condition_number"] == pytest.approx(exact.matrices[1].condition_number, rel=1e-6)
        assert found[f"{name}_effective_dimension_low"] <= exact.effective_dimension <= found[f"{name}_effective_dimension_high"]
        for share in ("90", "99", "99_9"):  # 70 rows end within 100 steps
            number = getattr(exact, f"label_condition_{share}")
            assert found[f"{name}_label_condition_{share}"] == pytest.approx(number, rel=1e-6)
    table = spectrum_table(PerformanceRecord.model_validate(record)).splitlines()
    assert [line.split(" | ")[0] for line in table[2:]] == [f"| {kernel}, depth {depth}" for kernel in ("NNGP", "NTK") for depth in (1, 2)]
    tiles = {path: path.stat().st_mtime_ns for path in (tmp_path / "tiles").rglob("c/**/*") if path.is_file()}
    assert tiles
    again = command(*CALL, "--all-depths")
    assert again.returncode == 0, again.stderr
    assert "effective dimension" not in again.stdout
    assert tiles == {path: path.stat().st_mtime_ns for path in tiles}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--architecture", "{depth"], "is not JSON"),
        (["--architecture", "[1]"], "is no object"),
        (["--dtype", "float16"], "--dtype 'float16'"),
        (["-n", "100000"], "--rows 100000, but digits has"),
    ],
)
def test_bad_options_are_one_clear_error(command, arguments, message):
    done = command(*CALL, *arguments)
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr
