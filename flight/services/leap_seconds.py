"""UTC from TAI on board: a table of whole seconds that can be replaced in flight, and says until when it is good.

Mission time is UTC in seconds since 1970 without leap seconds, as POSIX counts it: in an inserted second the count goes
on into the next day, and is set back by one second at its end. `leaping` tells the two passes of that second apart.
"""

from __future__ import annotations

from dataclasses import dataclass

from flight.services.declare import ServicesError

SECOND_NS = 1_000_000_000
DAY_S = 86_400
MAX_STEPS = 64


class LeapTableRefused(ServicesError, ValueError):
    """A table that cannot be believed; the one in use stays."""

    code = "leap_table_refused"

    def __init__(self, reason: str, step: int) -> None:
        super().__init__(f"leap second table, step {step}: {reason}")
        self.reason, self.step = reason, step


@dataclass(frozen=True, slots=True)
class UtcTime:
    """A moment in mission time."""

    mission_ns: int
    leaping: bool  # inside an inserted second


@dataclass(frozen=True, slots=True)
class LeapTable:
    """TAI - UTC. Raises LeapTableRefused.

    steps: (UTC midnight in seconds since 1970 from which it holds, whole seconds), rising; the first holds for all
    time before it as well. expires_s: the UTC time until which no other step is announced (IERS Bulletin C).
    """

    steps: tuple[tuple[int, int], ...]
    expires_s: int

    def __post_init__(self) -> None:
        if not 1 <= len(self.steps) <= MAX_STEPS:
            raise LeapTableRefused(f"{len(self.steps)} steps, 1 to {MAX_STEPS} are kept", 0)
        for number, (midnight_s, offset_s) in enumerate(self.steps):
            if midnight_s % DAY_S:
                raise LeapTableRefused(f"{midnight_s} s is no midnight", number)
            if number == 0:
                continue
            before_s, before_offset_s = self.steps[number - 1]
            if midnight_s <= before_s:
                raise LeapTableRefused(f"{midnight_s} s does not come after {before_s} s", number)
            if abs(offset_s - before_offset_s) != 1:
                raise LeapTableRefused(f"a step from {before_offset_s} to {offset_s} s", number)
        if self.expires_s < self.steps[-1][0]:
            raise LeapTableRefused("expires before its last step", len(self.steps) - 1)

    def utc(self, tai_ns: int) -> UtcTime:
        """Mission time at `tai_ns` (nanoseconds of TAI since 1970-01-01 TAI)."""
        offset_s = self.steps[0][1]
        for midnight_s, next_offset_s in self.steps[1:]:
            # an inserted second lies before the step, a second left out makes the step come a second earlier
            if tai_ns < (midnight_s + next_offset_s) * SECOND_NS:
                leaping = next_offset_s > offset_s and tai_ns >= (midnight_s + offset_s) * SECOND_NS
                return UtcTime(tai_ns - offset_s * SECOND_NS, leaping)
            offset_s = next_offset_s
        return UtcTime(tai_ns - offset_s * SECOND_NS, leaping=False)

    def tai_ns(self, utc: UtcTime) -> int:
        """The inverse of utc(): of the two moments with one mission time, `leaping` chooses the earlier."""
        offset_s = self.steps[0][1]
        for midnight_s, next_offset_s in self.steps[1:]:
            if utc.mission_ns < midnight_s * SECOND_NS:
                break
            if utc.leaping and utc.mission_ns < (midnight_s + 1) * SECOND_NS:
                break
            offset_s = next_offset_s
        return utc.mission_ns + offset_s * SECOND_NS

    def is_expired(self, tai_ns: int) -> bool:
        """Whether a step that this table does not have may have come."""
        return self.utc(tai_ns).mission_ns >= self.expires_s * SECOND_NS

    def replaced(self, newer: LeapTable) -> LeapTable:
        """`newer`, if it says the same of the past and lasts longer. Raises LeapTableRefused."""
        for number, step in enumerate(self.steps):
            if number >= len(newer.steps) or newer.steps[number] != step:
                raise LeapTableRefused(f"contradicts the known step at {step[0]} s", number)
        if newer.expires_s <= self.expires_s:
            raise LeapTableRefused("does not last longer than the one in use", len(newer.steps) - 1)
        return newer


# Before 2015, of 2015, of 2017; announced to hold until mid 2027
PRESENT_LEAPS = LeapTable(((1_341_100_800, 35), (1_435_708_800, 36), (1_483_228_800, 37)), 1_813_622_400)
