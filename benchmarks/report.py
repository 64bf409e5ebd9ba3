"""What a benchmark found: figures with their spread, and why a figure is not there."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.timing import Ratio


@dataclass(slots=True)
class Report:
    """Figures by name. `a_over_b` is cost(a) / cost(b)."""

    values: dict[str, float] = field(default_factory=dict)  # ratios by wall clock, or plain numbers
    spread: dict[str, tuple[float, float]] = field(default_factory=dict)  # 10th and 90th percentile of the rounds
    cpu: dict[str, float] = field(default_factory=dict)  # the same ratios by processor time
    absent: dict[str, str] = field(default_factory=dict)  # figures that are not measured here, and why
    details_of: dict[str, Any] = field(default_factory=dict)  # what one benchmark has to say beyond figures

    def ratio(self, name: str, found: Ratio) -> None:
        self.values[name] = round(found.wall, 4)
        self.spread[name] = (round(found.wall_low, 4), round(found.wall_high, 4))
        self.cpu[name] = round(found.cpu, 4)

    def number(self, name: str, value: float) -> None:
        self.values[name] = round(value, 4)

    def numbers(self, name: str, values: Sequence[float]) -> None:
        """A figure that every round gave."""
        ordered = sorted(values)
        last = len(ordered) - 1
        self.number(name, statistics.median(ordered))
        self.spread[name] = (round(ordered[round(0.1 * last)], 4), round(ordered[round(0.9 * last)], 4))

    def put_first(self, names: Sequence[str]) -> None:
        """These figures in this order, then the others in theirs. One that was not measured and gave no reason is an
        error of the benchmark. Raises KeyError.
        """
        for name in names:
            if name not in self.values and name not in self.absent:
                raise KeyError(name)
        order = [name for name in names if name in self.values]
        order += [name for name in self.values if name not in names]
        self.values = {name: self.values[name] for name in order}

    def details(self) -> dict[str, Any]:
        return {**self.details_of, "spread": self.spread, "cpu": self.cpu, "absent": self.absent}


def machine() -> dict[str, Any]:
    """What it ran on, and how busy that was."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return {
        "cpu": model or platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
    }


def as_text(report: Report, found: dict[str, Any]) -> str:
    """A table for a person."""
    about = found["machine"]
    lines = [
        f"{found['benchmark']}: {about['cpu']}, {about['cores']} cores, load {about['load']}, {found['rounds']} rounds"
        + (" (quick: the figures mean nothing)" if found["quick"] else ""),
        f"{'figure':<32} {'median':>9} {'10 %':>9} {'90 %':>9} {'by CPU':>9}",
    ]
    for name, value in report.values.items():
        low, high = report.spread.get(name, (None, None))
        columns = [value, low, high, report.cpu.get(name)]
        lines.append(f"{name:<32} " + " ".join(f"{'':>9}" if item is None else f"{item:>9.3f}" for item in columns))
    lines += [f"{name:<32} not measured: {reason}" for name, reason in report.absent.items()]
    return "\n".join(lines)
