"""The sending end of one class 2 transaction: a state machine without I/O.

The caller asks for units as fast as its link takes them, hands in what comes back, and journals `snapshot()` whenever
`dirty` says that it changed - before it asks for the next unit. So an octet that the receiver has acknowledged, by a
NAK whose scope covers it and whose gaps do not, or by Finished, is never sent again: not after a restart, and not for
a stale NAK. A restored sender repeats metadata and EOF and then sends only what the receiver asks for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from flight.link.cfdp.active_time import ActiveTime
from flight.link.cfdp.checksum import FileChecksum
from flight.link.cfdp.codes import Condition, Directive, TransactionStatus
from flight.link.cfdp.errors import PduUnexpected, SourceShort, TransactionUnknown
from flight.link.cfdp.extents import Extents
from flight.link.cfdp.pdu import (
    MAX_FILE_BYTES,
    Ack,
    Eof,
    FileData,
    Finished,
    Metadata,
    Nak,
    Pdu,
    Transaction,
    decode,
    encode,
)
from flight.link.cfdp.records import SenderRecord
from flight.link.errors import require

_OFFSET_BYTES = 4
_MAX_RANGES = 1 << 16  # of one file in memory: more is not loss but an attack
_MAX_RECORDED_RANGES = 8192  # in one journal record; the lowest are kept, so a restart repeats no more than it must


@dataclass(frozen=True, slots=True)
class SenderConfig:
    """Seconds are active ones: they do not pass while the link is frozen."""

    segment_bytes: int = 1024  # file octets in one unit, at most
    eof_timer_s: float = 10.0  # EOF is repeated after this time without its acknowledgement
    limit_s: float = 3600.0  # nothing heard for this long after the end was sent: give up


class Sender:
    """One file to one receiver.

    read(offset, count) gives the file's octets; checksum is the whole file's; now_s: any clock, the same in every call.
    """

    def __init__(
        self,
        config: SenderConfig,
        transaction: Transaction,
        name: str,
        size: int,
        read: Callable[[int, int], bytes],
        checksum: FileChecksum,
        now_s: float,
    ) -> None:
        require("segment octets", config.segment_bytes, 1, 65535 - _OFFSET_BYTES - 2)
        require("file octets", size, 0, MAX_FILE_BYTES)
        self.config, self.transaction, self.name, self.size, self.checksum = config, transaction, name, size, checksum
        self.condition: Condition | None = None  # set when finished
        self.delivered = False  # the receiver says that it keeps the whole file
        self.dirty = True  # snapshot() differs from the one taken last
        self.data_bytes_sent = 0
        self._read = read
        self._time = ActiveTime()
        self._metadata = encode(transaction, Metadata(name, size, checksum.kind, closure=True))
        self._metadata_due = True
        self._due = Extents([(0, size)])
        self._acknowledged = Extents()
        self._eof_due = False
        self._eof_at: float | None = None  # when to repeat it
        self._eof_sent = False
        self._heard_at = self._time.at(now_s)
        self._reply: bytes | None = None  # acknowledgement of Finished

    @classmethod
    def restore(
        cls, config: SenderConfig, record: SenderRecord, read: Callable[[int, int], bytes], now_s: float
    ) -> Sender:
        """The sender that wrote `record`, in a new process."""
        sender = cls(config, record.transaction, record.name, record.size, read, record.checksum, now_s)
        sender.condition, sender.delivered = record.condition, record.delivered
        sender._acknowledged = Extents(record.acknowledged)
        sender._due = Extents()
        sender._metadata_due = sender._eof_due = record.condition is None
        sender.dirty = False
        return sender

    def snapshot(self) -> SenderRecord:
        """What restore() needs; clears `dirty`."""
        self.dirty = False
        return SenderRecord(
            self.transaction,
            self.name,
            self.size,
            self.checksum,
            tuple(islice(self._acknowledged, _MAX_RECORDED_RANGES)),
            self.condition,
            self.delivered,
        )

    @property
    def finished(self) -> bool:
        """Nothing more is sent, but for the answer to a repeated Finished; `condition` and `delivered` say how."""
        return self.condition is not None

    @property
    def acknowledged_bytes(self) -> int:
        """Octets of the file that the receiver is known to have."""
        return self.size if self.delivered else self._acknowledged.total

    def freeze(self, now_s: float) -> None:
        """The contact has ended: nothing is sent, no timer runs."""
        self._time.freeze(now_s)

    def resume(self, now_s: float) -> None:
        """A contact has begun. An end that waits for its acknowledgement is sent again at once."""
        if self._time.frozen and self._eof_at is not None:
            self._eof_due = True
        self._time.resume(now_s)

    def cancel(self) -> None:
        """End the transaction: EOF says so, once and unconfirmed. Nothing else is sent."""
        if not self.finished:
            self._reply = encode(self.transaction, Eof(0, 0, Condition.CANCELLED))
            self._finish(Condition.CANCELLED, delivered=False)

    def next_pdu(self, now_s: float, max_bytes: int) -> bytes | None:
        """The next unit of at most `max_bytes` octets; None when nothing is due, or it does not fit."""
        if self._time.frozen:
            return None
        now = self._time.at(now_s)
        if self._reply is not None:
            reply, self._reply = self._fitting(self._reply, max_bytes)
            return reply
        if self.finished:
            return None
        if self._metadata_due:
            unit, left = self._fitting(self._metadata, max_bytes)
            self._metadata_due = left is not None
            return unit
        if self._eof_is_due(now):
            return self._eof(now, max_bytes)
        if self._due:
            return self._data(now, max_bytes)
        return None

    def _fitting(self, unit: bytes, max_bytes: int) -> tuple[bytes | None, bytes | None]:
        """(to send now, to keep)."""
        return (unit, None) if len(unit) <= max_bytes else (None, unit)

    def _eof_is_due(self, now: float) -> bool:
        if not self._due and not self._eof_sent:
            self._eof_due = True
        if self._eof_sent and not self._due and now - self._heard_at >= self.config.limit_s:
            unacknowledged = self._eof_at is not None
            self._finish(Condition.POSITIVE_ACK_LIMIT if unacknowledged else Condition.INACTIVITY, delivered=False)
            return False
        if self._eof_at is not None and now >= self._eof_at:
            self._eof_due = True
        return self._eof_due

    def _eof(self, now: float, max_bytes: int) -> bytes | None:
        unit = encode(self.transaction, Eof(self.checksum.value, self.size))
        if len(unit) > max_bytes:
            return None
        if not self._eof_sent:
            self._heard_at = now  # the wait for an answer begins
        self._eof_due, self._eof_sent = False, True
        self._eof_at = now + self.config.eof_timer_s
        return unit

    def _data(self, now: float, max_bytes: int) -> bytes | None:
        start, end = self._due.first()
        room = max_bytes - self.transaction.overhead_bytes - _OFFSET_BYTES
        count = min(end - start, self.config.segment_bytes, room)
        if count <= 0:
            return None
        data = self._read(start, count)
        if len(data) != count:
            raise SourceShort(start, count, len(data))
        self._due.remove(start, start + count)
        self.data_bytes_sent += count
        if self._eof_sent:
            self._heard_at = now  # the receiver cannot answer before it has what it asked for
        return encode(self.transaction, FileData(start, data))

    def receive(self, octets: bytes, now_s: float) -> None:
        """A unit from the receiver. Raises LinkError subclasses; then nothing has changed."""
        transaction, pdu = decode(octets)
        if transaction.key != self.transaction.key:
            raise TransactionUnknown(*transaction.key)
        if transaction.destination != self.transaction.destination:
            raise PduUnexpected("transaction", f"goes to entity {self.transaction.destination}, not to the one named")
        self.accept(pdu, now_s)

    def accept(self, pdu: Pdu, now_s: float) -> None:
        """As receive(), for a unit that is decoded and known to belong to this transaction."""
        match pdu:
            case Nak():
                self._take_nak(pdu)
            case Ack(of=Directive.EOF):
                self._eof_at, self._eof_due = None, self._eof_due and not self._eof_sent
            case Finished():
                self._take_finished(pdu)
            case _:
                raise PduUnexpected(type(pdu).__name__, "is for a receiver, this is the sender")
        self._heard_at = self._time.at(now_s)

    def _take_nak(self, nak: Nak) -> None:
        start, end = nak.scope
        if end > self.size or any(last > self.size for _, last in nak.gaps):
            raise PduUnexpected("Nak", f"asks behind the end of a file of {self.size} octets")
        if self.finished:
            return
        if len(self._due) + len(self._acknowledged) + 2 * len(nak.gaps) > _MAX_RANGES:
            raise PduUnexpected("Nak", f"would cut the file into more than {_MAX_RANGES} ranges")
        came = Extents([(start, end)])
        for gap in nak.gaps:
            came.remove(*gap)
        for one in came:
            self.dirty = bool(self._acknowledged.add(*one)) or self.dirty
            self._due.remove(*one)
        for gap in nak.gaps:
            for missing in self._acknowledged.missing(*gap):
                self._due.add(*missing)
        self._metadata_due = self._metadata_due or nak.metadata

    def _take_finished(self, finished: Finished) -> None:
        status = TransactionStatus.TERMINATED if self.finished else TransactionStatus.ACTIVE
        self._reply = encode(self.transaction, Ack(Directive.FINISHED, finished.condition, status))
        if not self.finished:
            self._finish(finished.condition, finished.complete and finished.condition is Condition.NO_ERROR)

    def _finish(self, condition: Condition, delivered: bool) -> None:
        self.condition, self.delivered, self.dirty = condition, delivered, True
        self._due, self._metadata_due, self._eof_due, self._eof_at = Extents(), False, False, None


def acknowledge_closed(transaction: Transaction, finished: Finished) -> bytes:
    """The answer to a Finished whose transaction is no longer held here: it lets the receiver close it."""
    return encode(transaction, Ack(Directive.FINISHED, finished.condition, TransactionStatus.UNRECOGNIZED))
