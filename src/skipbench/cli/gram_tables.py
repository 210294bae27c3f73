"""What `skipbench gram` found, as tables: on the screen from the study, in Markdown from its record."""

from __future__ import annotations

import math

from rich.table import Table

from skipbench.kernels.spectra import SpectrumEstimate
from skipbench.results.record import PerformanceRecord
from skipbench.trainers.solvers.stored_study import StoredStudy

SPECTRUM_NUMBERS = (
    ("effective_dimension", "effective dimension"),
    ("label_condition_90", "label-weighted condition, 90 %"),
    ("label_condition_99", "99 %"),
    ("label_condition_99_9", "99.9 %"),
)


def gram_table(record: PerformanceRecord) -> str:
    """Accuracies in %, and condition numbers of K + ridge, kernel by depth, and what the computation took, in Markdown."""
    values = {metric.name: metric.value for metric in record.metrics}
    depths = sorted({int(name.split("_")[2]) for name in values if name.endswith("_accuracy")})
    head = ["| at depth | " + " | ".join(str(depth) for depth in depths) + " |", "| --- |" + " ---: |" * len(depths)]
    for kernel in ("nngp", "ntk"):
        accuracies = (f"{values[f'{kernel}_depth_{depth}_accuracy']:.1f}" for depth in depths)
        numbers = (f"{values[f'{kernel}_depth_{depth}_condition_number']:.2g}" for depth in depths)
        head += [f"| {kernel.upper()}, test accuracy in % | " + " | ".join(accuracies) + " |"]
        head += [f"| {kernel.upper()}, condition number with the ridge | " + " | ".join(numbers) + " |"]
    n, m = record.parameters["n_train"], record.parameters["n_test"]
    return "\n".join(head) + (
        f"\n\n{n} training rows, all depths in one pass: {values['gram_seconds']:.0f} s for the Gram matrices, "
        f"{values['cross_seconds']:.0f} s for {m} test rows; peak memory {values['peak_memory'] / 2**30:.1f} GiB, the data set included."
    )


def spectrum_table(record: PerformanceRecord) -> str:
    """The numbers of every spectrum with their bounds, kernel and depth by row, in Markdown."""
    values = {metric.name: metric.value for metric in record.metrics}
    matrices = [name.removesuffix("_accuracy") for name in values if name.endswith("_accuracy")]
    lines = ["| kernel | " + " | ".join(title for _, title in SPECTRUM_NUMBERS) + " |", "| --- |" + " ---: |" * len(SPECTRUM_NUMBERS)]
    for matrix in matrices:
        kernel, _, depth = matrix.split("_")
        found = []
        for name, _ in SPECTRUM_NUMBERS:
            number, low, high = (values.get(f"{matrix}_{name}{bound}", math.inf) for bound in ("", "_low", "_high"))
            found.append(_with_bounds((number, low, high)))
        lines.append(f"| {kernel.upper()}, depth {depth} | " + " | ".join(found) + " |")
    return "\n".join(lines)


def spectra_on_screen(study: StoredStudy) -> Table:
    """What is known of every spectrum, with bounds."""
    table = Table("kernel", "depth", *(title for _, title in SPECTRUM_NUMBERS), "decay exponent", box=None)
    for each in study.accuracies:
        if each.spectrum is not None:
            numbers = spectrum_numbers(each.spectrum)
            decay = each.spectrum.decay
            exponent = "-" if decay is None else f"{decay.exponent:.2f} [{decay.low:.2f}, {decay.high:.2f}]"
            shown_ones = (_with_bounds(numbers[name]) if name in numbers else "-" for name, _ in SPECTRUM_NUMBERS)
            table.add_row(each.kernel.upper(), str(each.depth), *shown_ones, exponent)
    return table


def spectrum_numbers(spectrum: SpectrumEstimate) -> dict[str, tuple[float, float, float]]:
    """Number, lower and upper bound, by name."""
    dimension, labels = spectrum.effective_dimension, spectrum.label_conditions
    found = {} if dimension is None else {"effective_dimension": (dimension.value, dimension.low, dimension.high)}
    return found | {f"label_condition_{share}": (each.value, each.low, each.high) for share, each in labels.items()}


def _with_bounds(number: tuple[float, float, float]) -> str:
    value, low, high = number
    return f"{value:.4g} [{low:.4g}, {high:.4g}]"
