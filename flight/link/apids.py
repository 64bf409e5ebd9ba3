"""Who a space packet is for: every application process identifier, declared once. Numbers are never reused."""

from __future__ import annotations

from enum import IntEnum


class Apid(IntEnum):
    """11-bit application process identifiers (CCSDS 133.0-B-2, 4.1.3.3.4)."""

    # satellite to ground
    TELEMETRY = 1
    EVENT = 2
    ALERT = 3
    STATUS = 4
    CFDP = 5  # one CFDP protocol data unit per packet
    # ground to satellite
    GRANT = 16
    JOB = 17
    RECEIPT = 18
    COMMAND = 19
    CFDP_UP = 20
    TELECOMMAND = 21  # signed opcodes for the command slot
    # fill
    IDLE = 0x7FF
