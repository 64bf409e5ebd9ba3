"""The executive: what its parts reach on this machine."""

from __future__ import annotations

from benchmarks import bus
from benchmarks.report import Report

ORDER = ("bus_c_msgs_per_s", "bus_python_msgs_per_s", "bus_python_over_pyzmq_inproc")


def run(report: Report, *, rounds: int, quick: bool) -> None:
    """Fill the report. quick: small inputs that show that it runs."""
    bus.run(report, rounds=rounds, quick=quick)
    report.put_first(ORDER)
