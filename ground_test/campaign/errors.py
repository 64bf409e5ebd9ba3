"""What can be wrong with a campaign."""

from __future__ import annotations

from ground_test.errors import GroundError


class ResultsUnreadable(GroundError, OSError):
    """No database of results where one should be."""

    code = "results_unreadable"
    exit_status = 2

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason


class ResultsDiffer(GroundError, ValueError):
    """Two runs of one scenario, seed and software came to different ends: the simulation is not deterministic."""

    code = "results_differ"

    def __init__(self, seed: int, one: str, other: str) -> None:
        super().__init__(f"seed {seed} ended as {one[:16]} and as {other[:16]}")
        self.seed, self.one, self.other = seed, one, other


class CampaignBroken(GroundError, RuntimeError):
    """A worker process died. What was finished is kept."""

    code = "campaign_broken"

    def __init__(self, done: int, wanted: int) -> None:
        super().__init__(f"a worker died after {done} of {wanted} runs; run the same command again to go on")
        self.done, self.wanted = done, wanted
