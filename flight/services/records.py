"""Every kind of journal record, declared once. Numbers are never reused."""

from __future__ import annotations

from enum import IntEnum


class RecordKind(IntEnum):
    """What a journal record is about. The payload is deterministic CBOR, declared by the room that writes it."""

    BOOT = 1  # flight/satellite.py: software version, boot count
    GRANT = 10  # flight/agent: a grant's COSE_Sign1 octets
    JOB = 11  # flight/agent: one step in a job's life
    STRIP = 12  # flight/product: one encoded mask strip of a job
    PRODUCT = 13  # flight/product: the sealed (and encrypted) product, whole
    REVOCATION = 14
    TRANSFER = 20  # flight/link/cfdp: one step in a transaction's life
    COUNTER = 21  # flight/link: a block of sequence numbers reserved before use
    AUDIT = 30  # flight/agent/egress.py: what left, or was refused
    SERVICES = 31  # flight/command_activity.py: the states of sequences, limits and arming
    TELECOMMAND = 32  # flight/command_activity.py: one that was believed, before it is done
    TABLE = 33  # flight/executive/table_desk.py: the schedule table that a restart begins with
    EVENT_FILTER = 34  # flight/services/event_desk.py: what of the events is sent, stored and held back
    TELEMETRY_RATES = 35  # flight/services/telemetry_desk.py: how often which packet is sent
