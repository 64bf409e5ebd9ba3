"""What can be wrong with a file delivery: all LinkErrors, whatever a peer sends."""

from __future__ import annotations

from flight.link.errors import LinkError


class CfdpError(LinkError, ValueError):
    """Base of every error of file delivery. What raised it changed nothing in the transaction."""

    code = "cfdp_error"


class PduTooShort(CfdpError):
    """Fewer octets than the unit's fields need."""

    code = "pdu_too_short"

    def __init__(self, needed: int, got: int) -> None:
        super().__init__(f"the protocol data unit needs {needed} octets, got {got}")
        self.needed, self.got = needed, got


class PduLengthMismatch(CfdpError):
    """The unit is not as long as its header says, or its fields end before or behind its end."""

    code = "pdu_length_mismatch"

    def __init__(self, expected: int, got: int) -> None:
        super().__init__(f"a protocol data unit of {expected} octets was expected, got {got}")
        self.expected, self.got = expected, got


class PduCheckFailed(CfdpError):
    """The unit's CRC does not fit its octets."""

    code = "pdu_check_failed"

    def __init__(self, carried: int, computed: int) -> None:
        super().__init__(f"protocol data unit CRC {carried:#06x}, computed {computed:#06x}")
        self.carried, self.computed = carried, computed


class PduUnsupported(CfdpError):
    """A legal unit or option that is not offered here."""

    code = "pdu_unsupported"

    def __init__(self, what: str, value: int) -> None:
        super().__init__(f"{what} {value} is not supported")
        self.what, self.value = what, value


class PduUnexpected(CfdpError):
    """A unit that has no place here: wrong direction, wrong entity, or against what is known already."""

    code = "pdu_unexpected"

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"{what}: {reason}")
        self.what, self.reason = what, reason


class TransactionUnknown(CfdpError, KeyError):
    """A unit for a transaction that this entity does not have."""

    code = "transaction_unknown"

    def __init__(self, source: int, sequence: int) -> None:
        super().__init__(f"no transaction {sequence} of entity {source}")
        self.source, self.sequence = source, sequence

    def __str__(self) -> str:
        return str(self.args[0])


class ReceiverFull(CfdpError, BufferError):
    """One transaction, file or octet more than the receiver takes. Nothing was kept."""

    code = "receiver_full"

    def __init__(self, what: str, asked: int, limit: int) -> None:
        super().__init__(f"{asked} {what} asked, at most {limit} are taken")
        self.what, self.asked, self.limit = what, asked, limit


class NameRefused(CfdpError):
    """A file name that is not one plain name of 1..64 letters, digits, dots, dashes and underscores."""

    code = "name_refused"

    def __init__(self, name: str) -> None:
        super().__init__(f"the file name {name!r} is refused: 1..64 of A-Z a-z 0-9 . _ -, not beginning with a dot")
        self.name = name


class StoreFailed(CfdpError, OSError):
    """The place where received files lie did not take one."""

    code = "store_failed"

    def __init__(self, reason: str) -> None:
        super().__init__(f"the store of received files: {reason}")
        self.reason = reason


class RecordInvalid(CfdpError):
    """A stored transaction record that cannot be believed."""

    code = "transaction_record_invalid"

    def __init__(self, reason: str) -> None:
        super().__init__(f"transaction record: {reason}")
        self.reason = reason


class SourceShort(CfdpError):
    """The file that is being sent gave fewer octets than it has."""

    code = "source_short"

    def __init__(self, offset: int, asked: int, got: int) -> None:
        super().__init__(f"{got} octets at offset {offset} of the file being sent, {asked} asked")
        self.offset, self.asked, self.got = offset, asked, got
