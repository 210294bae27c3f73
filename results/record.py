"""The record: what one run was, and what was measured. One JSON file each, strict JSON, no trace of who ran it where.

A record is a union by kind (`cell`, `claim`, `performance`). The key hashes what decides the result (data, configuration, seeds,
schema, declared source version); the environment and the budget are recorded, never keyed. Free text (`reason`, `command`)
keeps the last name of a path only, since folders name people.
"""

from __future__ import annotations

import math
import statistics
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, TypeAdapter, model_serializer

from skipbench.checks import shown
from skipbench.results.privacy import without_folders

SCHEMA_VERSION = 1

Status = Literal["ok", "failed", "timeout", "oom", "diverged", "skipped"]
Direction = Literal["higher", "lower"]


def _readable_key(key: str) -> str:
    if len(key) != 64 or any(digit not in "0123456789abcdef" for digit in key):
        raise ValueError("a record key is 64 lower-case hexadecimal digits (a SHA-256)")
    return key


def _only_json(value: Any) -> Any:
    """Refuse what strict JSON cannot hold; a free-form dictionary is not checked by its type."""
    if isinstance(value, dict):
        if not all(isinstance(name, str) for name in value):
            raise ValueError("every name in a record is text")
        return {name: _only_json(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_only_json(entry) for entry in value]
    if value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise ValueError(f"a record holds text, finite numbers, true, false, null, lists and dictionaries, but this is {ascii(value)[:80]}")


_ARCHITECTURE: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("family", "padding", "readout"), (str,)),
    **dict.fromkeys(("depth", "filter_size", "branch_depth"), (int,)),
    "bias": (int, float),
    "alpha": (int, float, str),
    "train_ends": (bool,),
}


def _plain_architecture(fields: dict[str, Any]) -> dict[str, Any]:
    """Refuse what the tables, which have a column for each of these fields, could not hold."""
    for name, kinds in _ARCHITECTURE.items():
        value = fields.get(name)
        if value is not None and (not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)):
            allowed = " or ".join(kind.__name__ for kind in kinds)
            raise ValueError(f"the architecture's {name} is {shown(value)}, but it is {allowed}")
    return fields


RecordKey = Annotated[
    str,
    AfterValidator(_readable_key),
    Field(description="SHA-256 of what decides the result, in hexadecimal", json_schema_extra={"pattern": "^[0-9a-f]{64}$"}),
]
JsonObject = Annotated[dict[str, Any], AfterValidator(_only_json)]
FreeText = Annotated[str, AfterValidator(without_folders)]


class Model(BaseModel):
    """Strict: unknown fields, NaN and infinities are errors, so that every record is valid JSON and means one thing."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class GrownModel(Model):
    """A model that got fields after its first records were written: those in `LATER` are left out where there is nothing in them.

    So an old file and its record stay the same.
    """

    LATER: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _without_empty(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = write(self)
        return {name: value for name, value in written.items() if name not in self.LATER or getattr(self, name) not in (None, ())}


class MachineThreads(Model):
    """Threads that each library was allowed to use."""

    torch: int
    blas: int | None = None
    openmp: int | None = None


class Environment(Model):
    """Where it ran: enough to compare times fairly, nothing that names a person, a host or a path."""

    python: str
    platform: str = Field(description="operating system and architecture, e.g. Linux x86_64")
    cpu: str
    cores: int
    memory_bytes: int
    gpu: str | None = None
    packages: dict[str, str] = Field(description="versions of the packages that decide results")
    threads: MachineThreads
    machine_class: str = Field(description="a short hash of cpu, cores and gpu: times are compared inside one class only")


class DatasetUsed(Model):
    """The data as the method saw it."""

    name: str
    sha256: str = Field(description="of the inputs and labels that were loaded, before preprocessing")
    split: int
    protocol: str = "stratified"
    n_train: int
    n_validation: int
    n_test: int
    classes: int
    input_shape: tuple[int, ...]
    preprocessing: tuple[str, ...] = ()


class Choice(Model):
    """A hyper-parameter chosen by the run itself, and how."""

    name: str
    value: float | str
    chosen_on: Literal["validation", "leave-one-out", "cross-validation", "fixed"]
    candidates: tuple[float | str, ...] = ()


class MethodUsed(Model):
    """What was fitted. `parameters` are the constructor arguments that the suite gave, `choices` what validation chose."""

    name: str = Field(description="the registered name: ridge, network, ...")
    family: Literal["kernel", "network", "baseline"]
    label: str = Field(description="what a table shows, e.g. NTK ridge, ResCNN(3, tr)")
    source_version: str
    kernel: str | None = Field(default=None, description="nngp, ntk, gaussian, laplace; null for others")
    architecture: Annotated[JsonObject, AfterValidator(_plain_architecture)] | None = Field(
        default=None, description="the fields of the architecture, family included"
    )
    alpha_value: float | None = Field(default=None, description="alpha as a number where the architecture spells a depth rule")
    residual: bool | None = Field(default=None, description="whether the architecture has skip connections; null without one")
    width: int | None = None
    parameters: JsonObject = {}
    choices: tuple[Choice, ...] = ()


class Seeds(Model):
    """Null where a method has no use for one."""

    data: int
    init: int | None = None
    order: int | None = None


class Metric(Model):
    """One measured number with the direction in which it is better."""

    name: str
    value: float
    direction: Direction
    unit: str = ""


class CurvePoint(Model):
    """One evaluation on the way. `seconds` is training time only: the clock stands still during evaluation."""

    step: int
    seconds: float | None = None
    loss: float
    accuracy: float | None = None
    validation_loss: float | None = None
    validation_accuracy: float | None = None


class RidgePoint(Model):
    """Accuracy at one ridge of the path; the test column never chooses anything."""

    ridge: float = Field(description="relative to trace/n, without unit")
    validation_accuracy: float | None = None
    test_accuracy: float | None = None


class MatrixSpectrum(Model):
    """Eigenvalues of one form of the training Gram matrix."""

    scaling: Literal["raw", "unit_diagonal"]
    ridge: float = Field(default=0.0, description="relative to trace/n; 0 is the matrix itself")
    lambda_max: float
    lambda_min: float
    condition_number: float | None = Field(description="null where infinite: lambda_min < n eps lambda_max")
    numerical_rank: int


class EigenvalueDecay(Model):
    """lambda_k ~ k^-exponent over the ranks first..last (1 is the largest), by least squares on logarithms; a 95 % interval."""

    exponent: float
    low: float
    high: float
    first: int
    last: int


class LabelEnergy(Model):
    """The share of the centred labels' energy |y|^2 that lies in the leading eigen-directions."""

    directions: int = Field(description="how many, from the largest eigenvalue on")
    eigenvalue: float = Field(description="the smallest of theirs")
    energy: float


class Spectrum(GrownModel):
    """The training Gram matrix, from its eigenvalues in float64."""

    LATER = frozenset({"decay", "label_energy", "label_condition_90", "label_condition_99", "label_condition_99_9"})

    n: int
    dtype: str = Field(description="in which the kernel was computed: float32 puts an error bar on lambda_min")
    matrices: tuple[MatrixSpectrum, ...]
    effective_dimension: float | None = Field(default=None, description="tr K(K + ridge tr(K)/n I)^-1 at the chosen ridge")
    effective_dimension_ridge: float | None = None
    mean_off_diagonal: float | None = Field(default=None, description="b of the unit-diagonal matrix")
    double_constant_bound: float | None = Field(default=None, description="1 + n b/(1 - b); null where b is not in [0, 1)")
    decay: EigenvalueDecay | None = None
    label_energy: tuple[LabelEnergy, ...] = Field(default=(), description="at 1, 2, 5, 10, 20, ... directions, and at all")
    label_condition_90: float | None = Field(
        default=None, description="lambda_max / lambda_k, the k leading directions being the fewest that hold 90 % of the labels' energy"
    )
    label_condition_99: float | None = Field(default=None, description="as label_condition_90; null where lambda_k is numerically 0")
    label_condition_99_9: float | None = None


class AccuracyTarget(Model):
    """The first step of gradient descent whose outputs are right for this share of some rows."""

    rows: Literal["train", "validation"]
    accuracy: float
    iterations: int | None = Field(description="null where it was not reached")


class Convergence(GrownModel):
    """Iterations of gradient descent to a loss reduction, conventions of `trainers.gradient_descent`. Null where never reached."""

    LATER = frozenset({"accuracy_targets"})

    source: Literal["closed_form", "measured"]
    learning_rate: float
    momentum: float = 0.0
    batch_size: int | None = Field(default=None, description="null: full batch")
    iterations_90: int | None
    iterations_99: int | None
    iterations_99_9: int | None
    last_step: int | None = Field(default=None, description="misses are censored here; null where the limit is known exactly")
    predicted_rate: float | None = Field(
        default=None, description="loss factor per step in the slowest direction: (1 - lambda_min/lambda_max)^2"
    )
    measured_rate: float | None = Field(default=None, description="loss factor per step over the last half of the curve")
    accuracy_targets: tuple[AccuracyTarget, ...] = ()


class TangentKernelPoint(Model):
    """The network's own tangent kernel K_t on some training rows, after so many steps."""

    step: int
    drift: float = Field(description="|K_t - K_0| / |K_0|, Frobenius norms")
    distance_to_limit: float | None = Field(default=None, description="|K_t - K| / |K|, K the kernel of the architecture at infinite width")
    lambda_max: float
    lambda_min: float
    condition_number: float | None = Field(description="null where infinite: lambda_min < n eps lambda_max")
    trace: float


class TangentKernelTrack(Model):
    """How the tangent kernel of a network moved in training; outputs averaged over."""

    n: int = Field(description="training rows, the first ones")
    points: tuple[TangentKernelPoint, ...]


class KernelComparison(Model):
    """A trained twin beside gradient descent on the kernel of its own architecture, with the same step size, momentum and steps."""

    step: int = Field(description="after which both are compared; the last one")
    n_validation: int
    prediction_distance: float | None = Field(
        description="root mean square over validation rows and outputs of f - f_kernel, by that of f_kernel; null without such rows"
    )
    agreement: float | None = Field(description="share of validation rows on which both predict the same label; null without such rows")
    network_loss: float = Field(description="on the training rows")
    kernel_loss: float
    kernel_accuracy: float | None = Field(description="on the validation rows")
    predicted: Convergence = Field(description="closed form, from the kernel at infinite width")
    curve: tuple[CurvePoint, ...] = Field(description="the kernel's loss and accuracy at steps of the network's own curve")
    predicted_at_start: Convergence | None = Field(
        default=None, description="closed form, from the network's own tangent kernel at the start"
    )


class PeakMemory(Model):
    """The largest resident memory of the worker while the cell ran; a device's as its allocator counts it."""

    host_bytes: int
    device_bytes: int | None = None


class Source(Model):
    """The code that ran."""

    version: str
    git_commit: str | None = None
    dirty: bool | None = None


class RecordBase(GrownModel):
    """What every kind of record has."""

    schema_version: Literal[1] = 1
    key: RecordKey
    status: Status
    reason: FreeText = Field(default="", description="why it is not ok, in one paragraph")
    suite: str
    command: FreeText = Field(description="the command that ran it, paths cut to their last name")
    source: Source
    environment: Environment
    created: datetime


class CellRecord(RecordBase):
    """One method, fitted on one split of one data set with one seed."""

    LATER = frozenset({"tangent_kernel", "kernel_comparison"})

    kind: Literal["cell"] = "cell"
    dataset: DatasetUsed
    method: MethodUsed
    seeds: Seeds
    device: str
    dtype: str
    metrics: tuple[Metric, ...] = ()
    ridge_path: tuple[RidgePoint, ...] = ()
    curve: tuple[CurvePoint, ...] = ()
    spectrum: Spectrum | None = None
    convergence: Convergence | None = None
    tangent_kernel: TangentKernelTrack | None = None
    kernel_comparison: KernelComparison | None = None
    phases: dict[str, float] = Field(default={}, description="seconds by phase")
    shared_phases: tuple[str, ...] = Field(default=(), description="phases whose seconds were spent once for several cells")
    peak_memory: PeakMemory | None = None


class ClaimRecord(RecordBase):
    """One statement of a paper, checked."""

    kind: Literal["claim"] = "claim"
    claim: str
    verdict: Literal["holds", "does not hold", "not decided"] | None = None
    metrics: tuple[Metric, ...] = ()


class Timing(Model):
    """One piece of work, done several times; what happens once only, such as compilation, stands apart."""

    label: str = Field(description="who did the work, or what was varied: skipbench, neural-tangents, a size")
    settings: JsonObject = Field(default={}, description="n, m, engine, batch and whatever else decides the work")
    packages: dict[str, str] = Field(default={}, description="versions that decide its speed")
    threads: int = Field(ge=1, description="threads, or cores that it could use")
    pairs: int = Field(ge=1, description="pairs of inputs in each repeat")
    first_call_seconds: float = Field(ge=0, description="of the first call, compilation included; not among `seconds`")
    seconds: tuple[Annotated[float, Field(gt=0)], ...] = Field(min_length=1, description="of each repeat, in the order in which they ran")

    @property
    def median_seconds(self) -> float:
        """Of one repeat."""
        return statistics.median(self.seconds)

    @property
    def pairs_per_second(self) -> float:
        """Pairs of one repeat by its median time."""
        return self.pairs / self.median_seconds


class PerformanceRecord(RecordBase):
    """One timing or count of one piece of code on one case."""

    LATER = frozenset({"timings"})

    kind: Literal["performance"] = "performance"
    benchmark: str
    parameters: JsonObject = {}
    metrics: tuple[Metric, ...] = ()
    timings: tuple[Timing, ...] = Field(default=(), description="what the metrics were computed from; left out where there are none")


AnyRecord = CellRecord | ClaimRecord | PerformanceRecord
Record = Annotated[AnyRecord, Field(discriminator="kind")]
RECORD_ADAPTER: TypeAdapter[AnyRecord] = TypeAdapter(Record)


def record_json_schema() -> dict[str, Any]:
    """JSON Schema of a record file, all kinds."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "skipbench record", **RECORD_ADAPTER.json_schema()}
