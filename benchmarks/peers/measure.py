"""One run of everything: the machine's peaks, every case beside the peer, all depths at once, how our time grows; outcome by outcome."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from skipbench.benchmarks.peers.agreement import Agreement, agreement
from skipbench.benchmarks.peers.alternation import PAUSE_SECONDS, alternate, relative_spread
from skipbench.benchmarks.peers.cases import CASE, DEPTHS, GROWTH, MACHINE, PEER, PeerCase
from skipbench.benchmarks.peers.growth import QUICK_SWEEPS, SWEEPS, DepthSweep, Sweep, depth_sweeps, fitted_exponent, seconds_per_call
from skipbench.benchmarks.peers.ours import OurKernels
from skipbench.benchmarks.peers.peer_process import WORKER, PeerError, PeerProcess
from skipbench.benchmarks.peers.roofline import COPY_BYTES, MachinePeak, bytes_per_pair, field_elements, measured_peak, operations_per_pair
from skipbench.kernels.engines.fused.program import program_of
from skipbench.results.record import SCHEMA_VERSION, Metric, Status, Timing

OURS = "skipbench"
_QUICK_COPY_BYTES = 2**22
_SOURCE_VERSION = "1"  # raised whenever what is measured changes


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured and how long. quick: inputs so small that the numbers mean nothing. worker: the peer's script."""

    cases: Sequence[PeerCase]
    python: Path
    quick: bool = False
    repeats: int = 5
    own: bool = True
    worker: Path = field(default_factory=lambda: WORKER)

    @property
    def target_seconds(self) -> float:
        """Of one repeat."""
        return 0.01 if self.quick else 3.0

    @property
    def pause_seconds(self) -> float:
        """Between two repeats."""
        return 0.0 if self.quick else PAUSE_SECONDS

    @property
    def sweeps(self) -> tuple[Sweep | DepthSweep, ...]:
        """Of our side alone; none where only some cases were asked for."""
        sweeps = QUICK_SWEEPS if self.quick else SWEEPS
        return (*sweeps, *depth_sweeps(self.cases, quick=self.quick)) if self.own else ()


@dataclass(frozen=True, slots=True)
class Measured:
    """The outcome of one benchmark, ready for a record."""

    benchmark: str
    parameters: dict[str, Any]
    metrics: tuple[Metric, ...] = ()
    timings: tuple[Timing, ...] = ()
    status: Status = "ok"
    reason: str = ""

    @property
    def key(self) -> str:
        """SHA-256 of what was measured; when and where it was is not part of it."""
        identity = [SCHEMA_VERSION, "performance", _SOURCE_VERSION, self.benchmark, self.parameters]
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()

    def value(self, metric: str) -> float | None:
        """One of the metrics, or None."""
        return next((each.value for each in self.metrics if each.name == metric), None)


def measurements(plan: Plan) -> Iterator[Measured]:
    """Measure everything in the plan, one after the other. A case whose peer fails is an outcome, too."""
    peak = measured_peak(rounds=2**17, copy_bytes=_QUICK_COPY_BYTES) if plan.quick else measured_peak()
    yield _machine(peak, plan)
    for case in plan.cases:
        yield _case(case, plan, peak)
    for sweep in plan.sweeps:
        yield _growth(sweep, plan) if isinstance(sweep, Sweep) else _depths(sweep, plan)


def _machine(peak: MachinePeak, plan: Plan) -> Measured:
    metrics = (
        Metric(name="operations_per_second", value=peak.operations_per_second, direction="higher", unit="1/s"),
        Metric(name="bytes_per_second", value=peak.bytes_per_second, direction="higher", unit="B/s"),
        Metric(name="threads", value=peak.threads, direction="higher"),
    )
    loops = {"arithmetic": "float32 vector multiply-adds", "memory": "copy", "copy_bytes": _QUICK_COPY_BYTES if plan.quick else COPY_BYTES}
    return Measured(f"{MACHINE}.peak", {"loops": loops, "quick": plan.quick}, metrics)


def _case(case: PeerCase, plan: Plan, peak: MachinePeak) -> Measured:
    """Agreement first, then both sides in turn."""
    benchmark, parameters = f"{CASE}.{case.name}", {**_described(case), "peer": PEER, "quick": plan.quick}
    ours = OurKernels(case.arch, case.input_shape, n=case.n, target_seconds=plan.target_seconds, label=OURS)
    ours.warm_up()  # before anything else compiles what it compiles
    command = [str(plan.python), "-I", str(plan.worker)]
    try:
        with PeerProcess(command, case, label=PEER, target_seconds=plan.target_seconds) as theirs:
            same = agreement(case, theirs)
            if same.obstacle:
                return Measured(benchmark, parameters, _differences(same), status="failed", reason=same.obstacle)
            timings = alternate([ours, theirs], plan.repeats, pause_seconds=plan.pause_seconds)
    except PeerError as error:
        return Measured(benchmark, parameters, status="failed", reason=str(error))
    metrics = (*_rates(*timings), *_differences(same), *_fractions(case, timings[0], peak))
    return Measured(benchmark, parameters, metrics, timings)


def _described(case: PeerCase) -> dict[str, Any]:
    inputs = "two different sets of standard normal numbers"
    return {"case": case.name, "architecture": case.arch.to_dict(), "input_shape": list(case.input_shape), "n": case.n, "inputs": inputs}


def _rates(ours: Timing, theirs: Timing) -> tuple[Metric, ...]:
    """Pairs per second of both by their medians, the ratio of the two, and the ratios of single turns as its range."""
    ratios = [
        (ours.pairs / our_seconds) / (theirs.pairs / their_seconds)
        for our_seconds, their_seconds in zip(ours.seconds, theirs.seconds, strict=True)
    ]
    return (
        Metric(name="ratio", value=ours.pairs_per_second / theirs.pairs_per_second, direction="higher"),
        Metric(name="ratio_lowest", value=min(ratios), direction="higher"),
        Metric(name="ratio_highest", value=max(ratios), direction="higher"),
        Metric(name="pairs_per_second", value=ours.pairs_per_second, direction="higher", unit="1/s"),
        Metric(name="peer_pairs_per_second", value=theirs.pairs_per_second, direction="higher", unit="1/s"),
        Metric(name="spread", value=relative_spread(ours.seconds), direction="lower"),
        Metric(name="peer_spread", value=relative_spread(theirs.seconds), direction="lower"),
    )


def _differences(same: Agreement) -> tuple[Metric, ...]:
    """What is finite of them: an infinite one has no place in a record, and the reason names it."""
    finite = {name: value for name, value in asdict(same).items() if 0 <= value < float("inf")}
    return tuple(Metric(name=f"difference_{name}", value=value, direction="lower") for name, value in finite.items())


def _fractions(case: PeerCase, ours: Timing, peak: MachinePeak) -> tuple[Metric, ...]:
    """Our end-to-end speed as a share of the machine's peaks, and in updates of a field element by a layer or block."""
    rate, n = ours.pairs_per_second, int(ours.settings["n"])
    arithmetic = rate * operations_per_pair(case.arch, case.input_shape) / peak.operations_per_second
    memory = rate * bytes_per_pair(case.input_shape, n, n) / peak.bytes_per_second
    updates = rate * field_elements(case.arch, case.input_shape) * program_of(case.arch).n_relus
    return (
        Metric(name="arithmetic_fraction", value=arithmetic, direction="higher"),
        Metric(name="memory_fraction", value=memory, direction="higher"),
        Metric(name="updates_per_second", value=updates, direction="higher", unit="1/s"),
    )


def _growth(sweep: Sweep, plan: Plan) -> Measured:
    """Times of all sizes, taken in turn, and the exponent fitted to them."""
    timings = alternate(sweep.contestants(plan.target_seconds / 10), plan.repeats, pause_seconds=0.0)
    sizes = [float(timing.settings[sweep.quantity]) for timing in timings]
    exponent = fitted_exponent(sizes, [seconds_per_call(timing) for timing in timings])
    described = _described(PeerCase(sweep.arch, sweep.input_shape, None if sweep.varied == "n" else sweep.n, ()))
    parameters = {**described, "varied": sweep.quantity, "sizes": sizes, "quick": plan.quick}
    return Measured(f"{GROWTH}.{sweep.name}", parameters, (Metric(name="exponent", value=exponent, direction="lower"),), timings)


def _depths(sweep: DepthSweep, plan: Plan) -> Measured:
    """How many times longer all depths take than the deepest alone."""
    timings = alternate(sweep.contestants(plan.target_seconds / 3), plan.repeats, pause_seconds=plan.pause_seconds)
    alone, together = (seconds_per_call(timing) for timing in timings)
    turns = [
        (all_seconds / timings[1].settings["calls"]) / (one_seconds / timings[0].settings["calls"])
        for one_seconds, all_seconds in zip(timings[0].seconds, timings[1].seconds, strict=True)
    ]
    metrics = (
        Metric(name="times_as_long", value=together / alone, direction="lower"),
        Metric(name="median_of_turns", value=statistics.median(turns), direction="lower"),
    )
    return Measured(f"{DEPTHS}.{sweep.case.name}", {**_described(sweep.case), "n": sweep.n, "quick": plan.quick}, metrics, timings)
