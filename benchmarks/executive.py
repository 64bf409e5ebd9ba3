"""The executive: how it keeps time under each load, with a witness in the same run, and what its parts reach."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import bus
from benchmarks.executive_cold import cold_start
from benchmarks.executive_flight import TABLE, fly
from benchmarks.executive_gaps import Lateness
from benchmarks.executive_loads import IN_OTHER_PROCESSES, LOADS, LoadMissing
from benchmarks.executive_parts import allocations_per_frame, commit_p99_over_fdatasync
from benchmarks.executive_peer import asyncio_late_ns
from benchmarks.executive_witness import WitnessMissing, build
from benchmarks.report import Report

FRAMES, QUICK_FRAMES = 5_000, 300  # of each load
CLOCK_KEYS = ("clock_p50_us", "clock_p99_us", "clock_p99_over_witness")
RELEASE_KEYS = ("release_p99_over_witness", "release_p99_over_asyncio")
COUNT_KEYS = ("frames", "frames_unaccounted")
PART_KEYS = (
    "bus_c_msgs_per_s",
    "bus_python_msgs_per_s",
    "bus_python_over_pyzmq_inproc",
    "commit_p99_over_fdatasync",
    "cold_start_ms",
    "allocations_per_frame",
)
ORDER = (*CLOCK_KEYS, *RELEASE_KEYS, *COUNT_KEYS, *PART_KEYS)
WORK = Path("out/executive")


def run(report: Report, *, rounds: int, quick: bool) -> None:
    """Fill the report. quick: a few frames of each load, which show that it runs."""
    WORK.mkdir(parents=True, exist_ok=True)
    _loads(report, QUICK_FRAMES if quick else FRAMES)
    try:
        bus.run(report, rounds=rounds, quick=quick)
    except ImportError as error:
        for key in ("bus_python_msgs_per_s", "bus_python_over_pyzmq_inproc"):  # measured in turns with it
            report.absent[key] = f"pyzmq is not installed: {error}"
    report.number("commit_p99_over_fdatasync", commit_p99_over_fdatasync(20 if quick else 1_000, WORK))
    starts = [cold_start() for _ in range(1 if quick else 5)]
    report.numbers("cold_start_ms", [start.first_frame_ms for start in starts])
    report.details_of["cold_start"] = {
        "imported_before_the_first_frame": list(starts[0].heavy),
        "imports_ms": min(start.imports_ms for start in starts),
        "modules": starts[0].modules,
    }
    report.number("allocations_per_frame", allocations_per_frame(TABLE, 1_000))
    report.put_first(ORDER)


def measure(load: str, frames: int, library: Path) -> tuple[dict[str, Any], str]:
    """The figures of one load, and why those of real time are null; empty: they are not."""
    with LOADS[load](library):
        flown = fly(frames, library, seed=1)
        peer = Lateness.of(asyncio_late_ns(max(100, frames // 5), flown.minor_us))
    clock, release, witness = (Lateness.of(one.late_ns) for one in (flown.clock, flown.release, flown.witness))
    found: dict[str, Any] = {
        "clock_p50_us": clock.p50_us,
        "clock_p99_us": clock.p99_us,
        "clock_p99_over_witness": round(clock.p99_us / witness.p99_us, 3),
        "release_p99_over_witness": round(release.p99_us / witness.p99_us, 3),
        "release_p99_over_asyncio": round(release.p99_us / peer.p99_us, 4),
        "frames": flown.frames,
        "frames_unaccounted": flown.unaccounted,
        "witness_p50_us": witness.p50_us,
        "witness_p99_us": witness.p99_us,
        "release_p50_us": release.p50_us,
        "release_p99_us": release.p99_us,
        "asyncio_p99_us": peer.p99_us,
    }
    if flown.refused:
        found.update(dict.fromkeys((*CLOCK_KEYS, *RELEASE_KEYS)), reason=flown.refused)
    return found, flown.refused


def _loads(report: Report, frames: int) -> None:
    """Each load, and over them the worst: of the clock over all, of the release over those in other processes."""
    loads: dict[str, dict[str, Any]] = {}
    missing: dict[str, str] = {}
    for load in LOADS:
        try:
            loads[load], reason = measure(load, frames, build(WORK))
        except (WitnessMissing, LoadMissing) as error:
            loads[load], reason = dict.fromkeys((*CLOCK_KEYS, *RELEASE_KEYS, *COUNT_KEYS)), str(error)
            loads[load]["reason"] = reason
        if reason:
            missing[load] = reason
    report.details_of["loads"] = loads
    for keys, over in ((CLOCK_KEYS, tuple(LOADS)), (RELEASE_KEYS, IN_OTHER_PROCESSES)):
        reasons = [f"{load}: {missing[load]}" for load in over if load in missing]
        for key in keys:
            if reasons:
                report.absent[key] = "; ".join(reasons)
            else:
                report.number(key, max(loads[load][key] for load in over))
    for key in COUNT_KEYS:
        report.number(key, sum(found[key] or 0 for found in loads.values()))
