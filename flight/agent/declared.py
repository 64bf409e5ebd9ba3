"""Octets of the small things that leave, made from exactly the declared types: numbers, and nothing else.

Exactly: a subclass may encode itself otherwise, and a number that is none may be different when it is read again.
"""

from __future__ import annotations

import struct

from flight.agent.effects import ReportStatus
from flight.agent.errors import EgressRefused
from flight.agent.reasons import EgressReason, Reason
from flight.agent.states import JobState
from flight.agent.status import SUBJECT_BYTES, StatusReport
from flight.services import dictionary
from flight.services.declare import NumberType, Severity
from flight.services.events import EventRecord
from flight.services.telemetry import TelemetryPacket

_ID_BYTES = 32


def telemetry_octets(packet: object) -> bytes:
    """A declared component's packet. Raises EgressRefused."""
    if type(packet) is not TelemetryPacket:
        raise _undeclared(type(packet).__name__)
    if not any(packet.component is component for component in dictionary.components()):
        raise _undeclared("of a component that nobody declared")
    if type(packet.values) is not tuple or len(packet.values) != len(packet.component.telemetry):
        raise _invalid("not the numbers that are declared")
    if type(packet.time_us) is not int or not all(_is_number(value) for value in packet.values):
        raise _invalid("something that is no plain number")
    try:
        return TelemetryPacket.pack(packet)
    except (struct.error, OverflowError) as error:
        raise _invalid(str(error)) from error


def event_octets(record: object) -> bytes:
    """A declared event. Raises EgressRefused."""
    if type(record) is not EventRecord:
        raise _undeclared(type(record).__name__)
    plain = (record.component, record.number, record.sequence, record.time_us, record.squelched)
    if not all(type(number) is int for number in plain) or type(record.severity) is not Severity:
        raise _invalid("its head is not of plain numbers")
    if type(record.types) is not tuple or not all(type(kind) is NumberType for kind in record.types):
        raise _invalid("its types are not number types")
    if type(record.values) is not tuple or not all(_is_number(value) for value in record.values):
        raise _invalid("something that is no plain number")
    try:
        if not EventRecord.matches(record, dictionary.event(record.component, record.number)):
            raise _invalid("not as it is declared")
        return EventRecord.pack(record)
    except dictionary.NotDeclared as error:
        raise _undeclared(str(error)) from error
    except (struct.error, OverflowError, ValueError) as error:
        raise _invalid(str(error)) from error


def status_octets(report: object, time_s: float) -> bytes:
    """How a job or a grant stands: numbers and the start of an id. Raises EgressRefused."""
    if type(report) is not ReportStatus:
        raise _undeclared(type(report).__name__)
    if type(report.state) is not JobState or type(report.reason) is not Reason:
        raise _invalid("a state and a reason are needed")
    if type(report.subject) is not bytes or len(report.subject) != _ID_BYTES:
        raise _invalid(f"an id of {_ID_BYTES} octets is needed")
    seconds = max(0, int(time_s)) & 0xFFFF_FFFF
    return StatusReport(report.subject[:SUBJECT_BYTES], report.state, report.reason, seconds).pack()


def _is_number(value: object) -> bool:
    return type(value) in (int, float)


def _undeclared(detail: str) -> EgressRefused:
    return EgressRefused(EgressReason.NOT_A_DECLARED_TYPE, detail)


def _invalid(detail: str) -> EgressRefused:
    return EgressRefused(EgressReason.CONTENT_INVALID, detail)
