"""Numbers of file delivery, as 727.0-B-5 section 5 and the SANA registry `checksum_identifiers` give them."""

from __future__ import annotations

from enum import IntEnum


class Directive(IntEnum):
    """File directive codes (table 5-4)."""

    EOF = 4
    FINISHED = 5
    ACK = 6
    METADATA = 7
    NAK = 8


class Condition(IntEnum):
    """Condition codes (table 5-5)."""

    NO_ERROR = 0
    POSITIVE_ACK_LIMIT = 1
    KEEP_ALIVE_LIMIT = 2
    INVALID_MODE = 3
    FILESTORE_REJECTION = 4
    CHECKSUM_FAILURE = 5
    FILE_SIZE_ERROR = 6
    NAK_LIMIT = 7
    INACTIVITY = 8
    INVALID_FILE_STRUCTURE = 9
    CHECK_LIMIT = 10
    UNSUPPORTED_CHECKSUM = 11
    SUSPENDED = 14
    CANCELLED = 15


class ChecksumKind(IntEnum):
    """Checksum identifiers; 1 (Proximity-1 CRC-32) is not offered."""

    MODULAR = 0
    CRC_32C = 2
    CRC_32 = 3
    NULL = 15


class FileStatus(IntEnum):
    """What became of the file at the receiver (table 5-7)."""

    DISCARDED = 0
    REJECTED = 1
    RETAINED = 2
    UNREPORTED = 3


class TransactionStatus(IntEnum):
    """How the acknowledging entity knows the transaction (table 5-8)."""

    UNDEFINED = 0
    ACTIVE = 1
    TERMINATED = 2
    UNRECOGNIZED = 3
