"""The life of a job: its states, and which may follow which. Numbers travel on the link and are never reused."""

from __future__ import annotations

from enum import IntEnum


class JobState(IntEnum):
    """Where a job stands."""

    RECEIVED = 1  # signed, granted and on the journal; a pass is being looked for
    ACCEPTED = 2  # a pass was found
    SCHEDULED = 3  # the camera has its order
    CAPTURING = 4
    PROCESSING = 5  # the strip is there; waiting for, or under, inference
    SEALED = 6  # the product is on the journal; it is never made again
    DOWNLINKING = 7
    DELIVERED = 8  # the ground's receipt was verified
    REFUSED = 9
    EXPIRED = 10
    FAILED = 11
    CANCELLED = 12

    @property
    def terminal(self) -> bool:
        """Nothing follows."""
        return self in TERMINAL


TERMINAL = frozenset((JobState.DELIVERED, JobState.REFUSED, JobState.EXPIRED, JobState.FAILED, JobState.CANCELLED))
_GIVEN_UP = {JobState.EXPIRED, JobState.FAILED, JobState.CANCELLED}

TRANSITIONS: dict[JobState | None, frozenset[JobState]] = {
    None: frozenset((JobState.RECEIVED, JobState.REFUSED)),
    JobState.RECEIVED: frozenset({JobState.ACCEPTED, JobState.REFUSED} | _GIVEN_UP),
    JobState.ACCEPTED: frozenset({JobState.ACCEPTED, JobState.SCHEDULED} | _GIVEN_UP),
    JobState.SCHEDULED: frozenset({JobState.ACCEPTED, JobState.CAPTURING, JobState.PROCESSING} | _GIVEN_UP),
    JobState.CAPTURING: frozenset({JobState.ACCEPTED, JobState.PROCESSING} | _GIVEN_UP),
    JobState.PROCESSING: frozenset({JobState.PROCESSING, JobState.SEALED} | _GIVEN_UP),
    JobState.SEALED: frozenset({JobState.DOWNLINKING, JobState.DELIVERED} | _GIVEN_UP),
    JobState.DOWNLINKING: frozenset({JobState.DOWNLINKING, JobState.SEALED, JobState.DELIVERED} | _GIVEN_UP),
    **{state: frozenset() for state in TERMINAL},
}

BEFORE_PRODUCT = frozenset(
    (JobState.RECEIVED, JobState.ACCEPTED, JobState.SCHEDULED, JobState.CAPTURING, JobState.PROCESSING)
)
AT_CAMERA = (JobState.SCHEDULED, JobState.CAPTURING)
