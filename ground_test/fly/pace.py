"""How fast the mission's clock runs: fast while nothing happens, slow while the computer has work. Pure.

Lines, inference and file transfers take the computer real time, so a mission that ran at one speed would either
take hours or miss its contacts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

HOLD = 0.02  # while the processes start
HEAR = 4.0  # in the first contact, until the satellite is heard
SLOW = 12.0
FAST = 600.0
BEFORE_CAPTURE_S = 25.0
AFTER_CAPTURE_S = 5.0
MARGIN_HOST_S = 0.25  # a look at the clock may come this much late, and nothing is missed
SLOWEST = 2.0
LAST_HOST_S = 20.0  # towards its end a contact with work left goes slower, for a computer that needs longer
WORK_HOST_S = 20.0  # a payload that needs longer than this after its capture goes on in the background


@dataclass(frozen=True, slots=True)
class Open:
    """A time span that matters, in seconds of mission time."""

    start_s: float
    end_s: float

    def holds(self, now_s: float) -> bool:
        return self.start_s <= now_s <= self.end_s


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is known of the mission at one moment."""

    now_s: float
    heard: bool  # the satellite has answered
    to_send: bool  # something waits to go up, or for an answer
    to_come: bool  # a strip was taken whose product is not on the ground
    working: bool  # a strip was taken a moment ago
    captures: Sequence[Open]  # those to come and under way
    contacts: Sequence[Open]


def speed(outlook: Outlook) -> float:
    """Mission seconds per host second until the next look."""
    now_s = outlook.now_s
    slow = [Open(each.start_s - BEFORE_CAPTURE_S, each.end_s + AFTER_CAPTURE_S) for each in outlook.captures]
    if outlook.to_send or outlook.to_come:
        slow += outlook.contacts
    if any(each.holds(now_s) for each in slow):
        contact_end_s = max((each.end_s for each in outlook.contacts if each.holds(now_s)), default=None)
        if contact_end_s is None or not (outlook.to_send or outlook.to_come):
            return SLOW
        if not outlook.heard:
            return HEAR
        return max(SLOWEST, min(SLOW, (contact_end_s - now_s) / LAST_HOST_S))
    if outlook.working:
        return SLOW
    ahead = [each.start_s - now_s for each in slow if each.start_s > now_s]
    if not ahead:
        return FAST
    return min(FAST, max(SLOW, min(ahead) / MARGIN_HOST_S))
