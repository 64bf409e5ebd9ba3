"""What can be wrong with a scenario."""

from __future__ import annotations

from ground_test.errors import GroundError


class ScenarioInvalid(GroundError, ValueError):
    """A scenario that contradicts itself: a name that is not there, or is there twice."""

    code = "scenario_invalid"
    exit_status = 2

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field, self.reason = field, reason
