"""The columns of the records table, by kind of record, and what each holds."""

from __future__ import annotations

from typing import Literal

Kind = Literal["cell", "claim", "performance"]
KINDS: tuple[Kind, ...] = ("cell", "claim", "performance")

TEXT, WHOLE, REAL, TRUTH, TIME = "text", "Int64", "float64", "boolean", "time"  # pandas types but for text and time

COMMON_COLUMNS = {"key": TEXT, "kind": TEXT, "suite": TEXT, "status": TEXT, "reason": TEXT}
ORIGIN_COLUMNS = {
    "created": TIME,
    "command": TEXT,
    "version": TEXT,
    "git_commit": TEXT,
    "dirty": TRUTH,
    "machine_class": TEXT,  # seconds are compared inside one class only
    "cpu": TEXT,
    "gpu": TEXT,
    "threads": WHOLE,
}
DATASET_COLUMNS = {
    "dataset": TEXT,
    "dataset_sha256": TEXT,
    "protocol": TEXT,
    "split": WHOLE,
    "n_train": WHOLE,
    "n_validation": WHOLE,
    "n_test": WHOLE,
    "classes": WHOLE,
    "inputs": TEXT,  # vectors or images
    "input_shape": TEXT,  # 3x32x32
    "preprocessing": TEXT,
}
METHOD_COLUMNS = {
    "method": TEXT,  # the registered name
    "family": TEXT,  # kernel, network or baseline
    "label": TEXT,
    "kernel": TEXT,
    "residual": TRUTH,
    "architecture": TEXT,  # MLP, ResMLP, DenseMLP, CNN or ResCNN; its fields follow
    "depth": WHOLE,
    "alpha": TEXT,  # as given: a number or a depth rule
    "alpha_value": REAL,
    "filter_size": WHOLE,
    "padding": TEXT,
    "readout": TEXT,
    "bias": REAL,
    "branch_depth": WHOLE,
    "train_ends": TRUTH,
    "width": WHOLE,
    "seed": WHOLE,  # of the initial values; missing where a method draws none
    "data_seed": WHOLE,
    "order_seed": WHOLE,
    "device": TEXT,
    "dtype": TEXT,
    "parameters": TEXT,  # JSON
    "architecture_key": TEXT,  # JSON of the architecture: equal for a kernel and its twin network
    "method_key": TEXT,  # equal where the same thing was fitted, whatever the data and the seed
    "source_version": TEXT,
}
ACCURACIES = ("accuracy", "validation_accuracy", "train_accuracy")  # the first is the test accuracy
MEASURED_COLUMNS = {
    **{name: REAL for name in ACCURACIES},
    "lambda_max": REAL,  # of the raw training Gram matrix, without ridge
    "lambda_min": REAL,
    "condition_number": REAL,
    "numerical_rank": WHOLE,
    "unit_condition_number": REAL,  # of the matrix scaled to unit diagonal
    "double_constant_bound": REAL,
    "mean_off_diagonal": REAL,
    "effective_dimension": REAL,
    "decay_exponent": REAL,  # lambda_k ~ k^-exponent, and its 95 % interval
    "decay_low": REAL,
    "decay_high": REAL,
    "label_condition_90": REAL,  # lambda_max / lambda_k of the leading directions that hold 90 % of the labels' energy
    "label_condition_99": REAL,
    "label_condition_99_9": REAL,
    "convergence": TEXT,  # closed_form or measured
    "iterations_90": REAL,
    "iterations_99": REAL,
    "iterations_99_9": REAL,
    "last_step": WHOLE,  # where measuring ended
    "learning_rate": REAL,
    "momentum": REAL,
    "predicted_rate": REAL,
    "measured_rate": REAL,
    "tangent_drift": REAL,  # of a network's tangent kernel, from the start to the last step: |K_t - K_0| / |K_0|
    "tangent_distance_start": REAL,  # of it from the kernel at infinite width, before training and after
    "tangent_distance_end": REAL,
    "tangent_condition_start": REAL,
    "tangent_condition_end": REAL,
    "prediction_distance": REAL,  # of a trained twin from gradient descent on its kernel, and the rest of `KernelComparison`
    "agreement": REAL,
    "kernel_accuracy": REAL,
    "kernel_loss": REAL,
    "network_loss": REAL,
    "kept_pace": REAL,  # decades of training loss, measured / predicted by the kernel
    **{f"{source}_{name}": REAL for source in ("predicted", "start") for name in ("iterations_90", "iterations_99", "iterations_99_9")},
    "seconds": REAL,
    "own_seconds": REAL,  # without the phases that another cell paid for
    "peak_memory": WHOLE,
    "peak_device_memory": WHOLE,
}
COLUMNS: dict[Kind, dict[str, str]] = {
    "cell": {**COMMON_COLUMNS, **DATASET_COLUMNS, **METHOD_COLUMNS, **MEASURED_COLUMNS, **ORIGIN_COLUMNS},
    "claim": {**COMMON_COLUMNS, "claim": TEXT, "verdict": TEXT, **ORIGIN_COLUMNS},
    "performance": {**COMMON_COLUMNS, "benchmark": TEXT, "parameters": TEXT, **ORIGIN_COLUMNS},
}
