"""The status report: how a job stands, or why it was refused, in sixteen octets. It has no field for text."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar

from flight.agent.errors import ClaimsInvalid
from flight.agent.reasons import Reason
from flight.agent.states import JobState

SUBJECT_BYTES = 8


@dataclass(frozen=True, slots=True)
class StatusReport:
    """About one job or one grant. On the wire, big-endian: format u8, state u8, reason u8, zero u8, time u32, subject.

    >>> StatusReport(bytes(8), JobState.REFUSED, Reason.NO_PASS, 1).pack().hex()
    '01093200000000010000000000000000'
    """

    subject: bytes  # the first 8 octets of the id of a job or a grant
    state: JobState
    reason: Reason
    time_s: int  # whole seconds of mission time

    LAYOUT: ClassVar[struct.Struct] = struct.Struct(">BBBxI8s")
    FORMAT: ClassVar[int] = 1

    def pack(self) -> bytes:
        """Sixteen octets."""
        return self.LAYOUT.pack(self.FORMAT, self.state, self.reason, self.time_s, self.subject)

    @classmethod
    def unpack(cls, octets: bytes) -> StatusReport:
        """Raises ClaimsInvalid for anything that pack() would not have written."""
        if len(octets) != cls.LAYOUT.size:
            raise ClaimsInvalid("status", "size", f"{cls.LAYOUT.size} octets, not {len(octets)}")
        number, state, reason, time_s, subject = cls.LAYOUT.unpack(octets)
        try:
            report = cls(subject, JobState(state), Reason(reason), time_s)
        except ValueError as error:
            raise ClaimsInvalid("status", "state", str(error)) from error
        if number != cls.FORMAT or octets[3]:
            raise ClaimsInvalid("status", "format", "not one that is known")
        return report
