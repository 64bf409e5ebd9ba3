"""Scenarios for the tests of the simulator and of campaigns: one satellite, one place, some minutes."""

from __future__ import annotations

from typing import Any

import msgspec

from ground_test.sim.scenario import Scenario, load_scenario
from tests.shared_data import ROOT

EXAMPLES = ROOT / "examples" / "scenarios"
EXAMPLE = EXAMPLES / "first_sight.toml"


def scenario(**changes: Any) -> Scenario:
    """The example cut down: swath-1, the Salt Lake, ten minutes, no faults, nothing fails. changes: of the file."""
    whole = load_scenario(EXAMPLE)
    base: dict[str, Any] = {
        **msgspec.to_builtins(whole),
        "duration_s": 600.0,
        "satellite": msgspec.to_builtins(whole.satellite[:1]),
        "job": msgspec.to_builtins(whole.job[:1]),
        "fault": [],
        "camera": {"columns": 512, "lines": 512, "line_rate_hz": 25.0},
    }
    return msgspec.convert({**base, **changes}, Scenario)


def restart(at_s: float, **changes: Any) -> dict[str, Any]:
    return {"kind": "flight_restart", "satellite": "swath-1", "at_s": at_s, **changes}
