"""The receiving end of one class 2 transaction: a state machine over a file that someone else keeps.

Nothing is told to the sender before it is durable: an answer waits for the commit of the record that it speaks of.
What has come once is never written again, and a unit that contradicts what is known changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from flight.link.cfdp.checksum import RunningChecksum
from flight.link.cfdp.codes import ChecksumKind, Condition, Directive, FileStatus, TransactionStatus
from flight.link.cfdp.errors import PduUnexpected, ReceiverFull
from flight.link.cfdp.extents import Extents, Range
from flight.link.cfdp.pdu import Ack, Eof, FileData, Finished, Metadata, Nak, Pdu, Transaction, encode
from flight.link.cfdp.records import ReceiverRecord, ReceptionState
from flight.link.cfdp.store import ReceiverStore, StoredFile, confined


@dataclass(frozen=True, slots=True)
class ReceiverConfig:
    """Seconds are active ones: they do not pass while the link is frozen."""

    max_transactions: int = 16  # open at once
    max_closed: int = 256  # remembered, so that a sender that restarts late is answered and not served again
    max_file_bytes: int = 1 << 30
    max_total_bytes: int = 4 << 30  # of all open transactions
    max_extents: int = 8192  # holes of one file; what would make more is dropped and asked for again
    max_pdu_bytes: int = 1000  # of a NAK
    max_naks: int = 8  # in one answer
    nak_timer_s: float = 10.0  # silence after which what is missing is asked for again
    finish_timer_s: float = 10.0  # Finished is repeated after this time without its acknowledgement
    limit_s: float = 3600.0  # no new octet for this long: the transaction ends
    check_bytes: int = 1 << 20  # file octets put through the checksum in one step


class Reception:
    """One file from one sender. All times are active seconds; `step()` gives the units to send."""

    def __init__(
        self, config: ReceiverConfig, transaction: Transaction, store: ReceiverStore, file: StoredFile, now: float
    ) -> None:
        self.config, self.transaction, self.state = config, transaction, ReceptionState.RECEIVING
        self.metadata: Metadata | None = None
        self.eof: Eof | None = None
        self.condition = Condition.NO_ERROR
        self.published = ""
        self.path = ""
        self.extents = Extents()
        self.dropped = 0  # segments not taken for max_extents
        self._store, self._file = store, file
        self._progress_at = self._reported_at = now
        self._report_at: float | None = None  # when to tell the sender how things stand
        self._acknowledge: Eof | None = None
        self._ticket = 0
        self._committed: ReceiverRecord | None = None  # what the answer that waits for the ticket is about
        self._durable: ReceiverRecord | None = None
        self._checked = 0
        self._checksum: RunningChecksum | None = None

    @classmethod
    def restore(
        cls, config: ReceiverConfig, record: ReceiverRecord, store: ReceiverStore, file: StoredFile, now: float
    ) -> Reception:
        """The reception that wrote `record`; a sender that may be waiting is told at once how things stand."""
        reception = cls(config, record.transaction, store, file, now)
        reception.state, reception.metadata, reception.eof = record.state, record.metadata, record.eof
        reception.condition, reception.published = record.condition, record.published
        reception.extents = Extents(record.extents)
        if not reception.open:
            reception._settle()
        reception._durable = record
        if record.state is not ReceptionState.CLOSED and record.eof is not None:
            reception._acknowledge = record.eof
            reception._report_at = now
        elif record.state is ReceptionState.FINISHED:
            reception._report_at = now
        reception._look_whether_complete(now)
        return reception

    @property
    def open(self) -> bool:
        """Still holding file space."""
        return self.state in (ReceptionState.RECEIVING, ReceptionState.CHECKING)

    @property
    def announced_bytes(self) -> int:
        """File octets that this transaction may come to hold, as far as it is known."""
        if not self.open:
            return 0
        sizes = [self.extents.end, self.metadata.size if self.metadata else 0, self.eof.size if self.eof else 0]
        return max(sizes)

    def growth(self, pdu: Pdu) -> int:
        """Octets by which `pdu` would raise announced_bytes."""
        match pdu:
            case Metadata(size=size) | Eof(size=size, condition=Condition.NO_ERROR):
                wanted = size
            case FileData(offset=offset, data=data):
                wanted = offset + len(data)
            case _:
                wanted = 0
        return max(0, wanted - self.announced_bytes) if self.open else 0

    def accept(self, pdu: Pdu, now: float) -> None:
        """A unit from the sender. Raises LinkError subclasses; then nothing has changed."""
        match pdu:
            case FileData():
                self._take_data(pdu, now)
            case Metadata():
                self._take_metadata(pdu, now)
            case Eof(condition=Condition.NO_ERROR):
                self._take_eof(pdu, now)
            case Eof():
                self._take_cancel(pdu, now)
            case Ack(of=Directive.FINISHED):
                self._take_acknowledgement()
            case _:
                raise PduUnexpected(type(pdu).__name__, "is for a sender, this is the receiver")

    def _known_size(self) -> int | None:
        if self.eof is not None:
            return self.eof.size
        return None if self.metadata is None else self.metadata.size

    def _take_data(self, pdu: FileData, now: float) -> None:
        end = pdu.offset + len(pdu.data)
        size = self._known_size()
        if end > (self.config.max_file_bytes if size is None else size):
            limit = self.config.max_file_bytes if size is None else size
            raise ReceiverFull("octets in a file", end, limit)
        if self.state is not ReceptionState.RECEIVING:
            return
        if len(self.extents) >= self.config.max_extents and not self._joins(pdu.offset, end):
            self.dropped += 1
            return
        fresh = self.extents.missing(pdu.offset, end)
        for start, last in fresh:
            self._file.write(start, pdu.data[start - pdu.offset : last - pdu.offset])
        if fresh:
            self.extents.add(pdu.offset, end)
            self._progress_at = now
        if self.eof is not None:
            if self._acknowledge is None:
                self._report_at = now + self.config.nak_timer_s  # asked for again only when it falls silent
            self._look_whether_complete(now)

    def _joins(self, start: int, end: int) -> bool:
        """Whether [start, end) touches a range that is here, so that it adds none."""
        below = start > 0 and self.extents.covers(start - 1, start)
        return below or self.extents.covers(start, start + 1) or self.extents.covers(end, end + 1)

    def _take_metadata(self, pdu: Metadata, now: float) -> None:
        confined(pdu.name)
        if pdu.size > self.config.max_file_bytes:
            raise ReceiverFull("octets in a file", pdu.size, self.config.max_file_bytes)
        if self.metadata is not None:
            if pdu != self.metadata:
                raise PduUnexpected("Metadata", "contradicts the one that came before")
            return
        if (self.eof is not None and self.eof.size != pdu.size) or self.extents.end > pdu.size:
            raise PduUnexpected("Metadata", f"names {pdu.size} octets, against what has come")
        if not self.open:
            return
        self.metadata = pdu
        self._progress_at = now
        self._look_whether_complete(now)

    def _take_eof(self, pdu: Eof, now: float) -> None:
        if pdu.size > self.config.max_file_bytes:
            raise ReceiverFull("octets in a file", pdu.size, self.config.max_file_bytes)
        if self.eof is not None and pdu != self.eof:
            raise PduUnexpected("Eof", "contradicts the one that came before")
        if (self.metadata is not None and self.metadata.size != pdu.size) or self.extents.end > pdu.size:
            raise PduUnexpected("Eof", f"names {pdu.size} octets, against what has come")
        self._acknowledge = pdu
        if self.eof is None:
            self.eof, self._progress_at = pdu, now
            self._report_at = now
        else:
            # a sender that began anew waits to be asked; one whose acknowledgement was lost may be answering already
            soon = max(now, self._reported_at + self.config.nak_timer_s / 2) if self.open else now
            self._report_at = soon if self._report_at is None else min(soon, self._report_at)
        self._look_whether_complete(now)

    def _take_cancel(self, pdu: Eof, now: float) -> None:
        self._acknowledge = pdu
        self._report_at = now
        if self.open:
            self._end(pdu.condition)

    def _take_acknowledgement(self) -> None:
        if self.open:
            raise PduUnexpected("Ack", "acknowledges a Finished that was not sent")
        if self.state is ReceptionState.FINISHED:
            self.state = ReceptionState.CLOSED
            self._report_at = None
            self._durable = None
            self._file.commit(self._record().encode())

    def _look_whether_complete(self, now: float) -> None:
        if self.state is not ReceptionState.RECEIVING or self.metadata is None or self.eof is None:
            return
        if self.extents.total == self.eof.size:
            self.state = ReceptionState.CHECKING
            self._checksum, self._checked = RunningChecksum(self.metadata.checksum), 0
            self._report_at = now if self._acknowledge is not None else None

    def step(self, now: float) -> list[bytes]:
        """Bounded work, and the units that are due. Call it often, also when nothing has come."""
        if self.state is ReceptionState.CHECKING:
            self._check(now)
        if self.open and now - self._progress_at >= self.config.limit_s:
            self._end(Condition.INACTIVITY if self.eof is None else Condition.NAK_LIMIT)
            self._report_at = now
        if self._report_at is not None and now >= self._report_at:
            self._commit(now)
        if self._committed is not None and self._file.durable >= self._ticket:
            return self._answer(self._committed, now)
        if self._acknowledge is not None and self._durable is not None and self._durable.eof is not None:
            return [self._acknowledgement()]
        return []

    def _commit(self, now: float) -> None:
        record = self._record()
        if record != self._durable:
            self._ticket = self._file.commit(record.encode())
        self._report_at, self._reported_at, self._committed = None, now, record

    def _acknowledgement(self) -> bytes:
        """Of an EOF that is known to be durable."""
        assert self._acknowledge is not None
        status = TransactionStatus.ACTIVE if self.open else TransactionStatus.TERMINATED
        unit = encode(self.transaction, Ack(Directive.EOF, self._acknowledge.condition, status))
        self._acknowledge = None
        return unit

    def _check(self, now: float) -> None:
        assert self._checksum is not None and self.eof is not None and self.metadata is not None
        budget = self.config.check_bytes
        while budget > 0 and self._checked < self.eof.size:
            data = self._file.read(self._checked, min(1 << 16, budget, self.eof.size - self._checked))
            if not data:
                break  # octets that were written are gone: the checksum says so
            self._checksum.update(data)
            self._checked += len(data)
            budget -= len(data)
        else:
            if self._checked < self.eof.size:
                return
        if self._checked == self.eof.size and self._checksum.value == self._expected_value():
            if self.eof.size == 0:
                self._file.write(0, b"")
            self.state = ReceptionState.FINISHED
            self.published = self._store.free_name(self.metadata.name, self.transaction.key)
        else:
            self._end(Condition.CHECKSUM_FAILURE)
        self._report_at = now

    def _expected_value(self) -> int:
        assert self.eof is not None and self._checksum is not None
        return 0 if self._checksum.kind is ChecksumKind.NULL else self.eof.checksum

    def _end(self, condition: Condition) -> None:
        """Without a file; its octets go when the record that says so is durable."""
        self.condition, self.state, self.extents = condition, ReceptionState.FINISHED, Extents()

    def _record(self) -> ReceiverRecord:
        state = ReceptionState.RECEIVING if self.open else self.state
        extents = tuple(self.extents) if self.open else ()
        return ReceiverRecord(self.transaction, state, self.metadata, self.eof, extents, self.condition, self.published)

    def _answer(self, record: ReceiverRecord, now: float) -> list[bytes]:
        """What a durable record allows to be said."""
        self._committed, self._durable = None, record
        units: list[Pdu] = []
        replies = [] if self._acknowledge is None else [self._acknowledgement()]
        if record.state in (ReceptionState.FINISHED, ReceptionState.CLOSED):
            self._settle()
            units.append(self._finished())
            if self.state is ReceptionState.FINISHED:
                self._report_at = now + self.config.finish_timer_s
                if now - self._progress_at >= 2 * self.config.limit_s:
                    self.state, self._report_at = ReceptionState.CLOSED, None
        elif self.state is ReceptionState.RECEIVING and self.eof is not None:
            units += self._naks(record.extents, self.eof.size)
            self._report_at = now + self.config.nak_timer_s
        return replies + [encode(self.transaction, unit) for unit in units]

    def _settle(self) -> None:
        """Give the file its name, or its room back. Only behind a durable record that says which."""
        if not self.published:
            self._file.discard()
        elif not self.path:
            self.path = self._file.publish(self.published)

    def forget(self) -> None:
        """Leave nothing but a published file."""
        self._file.forget()

    def _finished(self) -> Finished:
        kept = bool(self.published)
        return Finished(self.condition, kept, FileStatus.RETAINED if kept else FileStatus.DISCARDED)

    def _naks(self, extents: tuple[Range, ...], size: int) -> list[Nak]:
        """Everything missing in as few units as may be; each one's scope ends where its knowledge ends."""
        room = max(1, (self.config.max_pdu_bytes - self.transaction.overhead_bytes - 9) // 8)
        gaps = Extents(extents).missing(0, size)
        metadata = self.metadata is None
        naks: list[Nak] = []
        start = 0
        while (gaps or metadata) and len(naks) < self.config.max_naks:
            count = max(0, room - metadata)
            now, gaps = gaps[:count], gaps[count:]
            end = now[-1][1] if gaps and now else start if gaps else size
            naks.append(Nak((start, end), tuple(now), metadata))
            start, metadata = end, False
        return naks
