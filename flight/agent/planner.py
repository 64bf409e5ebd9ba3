"""When to look: a pass for every job, and which job the camera serves next. One capture at a time."""

from __future__ import annotations

from collections.abc import Iterable

from flight.agent.admission import Limits
from flight.agent.entry import JobEntry, Order
from flight.agent.errors import AgentError
from flight.agent.orbit import At, Pass, PassSearch
from hal.errors import HalError


def strip_start_s(plan: Pass, limits: Limits) -> float:
    """The strip is centred on the closest approach."""
    return round(plan.closest_s - limits.strip_s / 2, 1)


class Planner:
    """Searches passes a few positions at a time. It keeps nothing that a new search would not find again."""

    def __init__(self, at: At, limits: Limits) -> None:
        self._at, self._limits = at, limits
        self._searches: dict[bytes, PassSearch] = {}

    def forget(self, job_id: bytes) -> None:
        self._searches.pop(job_id, None)

    def search(self, entry: JobEntry, order: Order, now_s: float) -> tuple[bool, Pass | None]:
        """(answered, the first pass that the job can still use), after a bounded piece of work."""
        search = self._searches.get(entry.job_id)
        if search is None:
            search = self._begin(order, now_s)
            if search is None:
                return True, None
            self._searches[entry.job_id] = search
        try:
            done = search.step(self._limits.plan_evaluations, first_only=True)
        except (HalError, ArithmeticError):  # an orbit that cannot be predicted so far ahead: no pass is known
            self.forget(entry.job_id)
            return True, None
        if not done:
            return False, None
        self.forget(entry.job_id)
        return True, next(iter(search.passes), None)

    def _begin(self, order: Order, now_s: float) -> PassSearch | None:
        """None when there is no time left in which to look."""
        job, half_s = order.job, self._limits.strip_s / 2
        first_s = max(float(job.earliest_s), now_s + self._limits.lead_s) + half_s
        last_s = min(job.latest_s + half_s, job.deadline_s - half_s, now_s + self._limits.horizon_s)
        if first_s > last_s:
            return None
        try:
            return PassSearch(job.area_degrees, self._at, first_s, last_s, self._limits.max_off_nadir_deg)
        except AgentError:
            return None

    def next_capture(self, planned: Iterable[tuple[JobEntry, Order, Pass]]) -> tuple[JobEntry, float] | None:
        """The job that the camera serves next, and when its strip begins.

        The earliest; of those whose strips overlap the earliest one, the most urgent.
        """
        starts = [(strip_start_s(plan, self._limits), entry, order) for entry, order, plan in planned]
        if not starts:
            return None
        first_s = min(start_s for start_s, _, _ in starts)
        rivals = [each for each in starts if each[0] < first_s + self._limits.strip_s]
        start_s, entry, _ = min(
            rivals, key=lambda each: (-each[2].job.priority, each[2].job.deadline_s, each[0], each[1].job_id)
        )
        return entry, start_s
