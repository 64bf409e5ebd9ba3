"""The satellite's file transfers: one CFDP class 2 sender a product, journalled, frozen between contacts.

The first protocol unit of a transaction leaves only when the record of its number is durable, so that a number is
never used for two files. What the receiver acknowledges is journalled as it is learnt.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from flight.link.cfdp.checksum import file_checksum
from flight.link.cfdp.codes import ChecksumKind
from flight.link.cfdp.errors import RecordInvalid
from flight.link.cfdp.pdu import Finished, Transaction, decode
from flight.link.cfdp.records import SenderRecord
from flight.link.cfdp.sender import Sender, SenderConfig, acknowledge_closed
from flight.link.errors import LinkError
from flight.services.journal_format import JournalFull
from flight.services.records import RecordKind

Read = Callable[[int, int], bytes]
KEPT_RECORDS = 256  # finished transactions of which a restart still knows how they ended


class Journal(Protocol):
    """Where transactions are made durable."""

    def append(self, kind: RecordKind, payload: bytes) -> int: ...


@dataclass(slots=True)
class _Transfer:
    """One transaction under way."""

    name: str
    sender: Sender
    due_at: int  # sequence of the record that must be durable before anything is sent


class Downlink:
    """All transfers of one satellite to one ground entity; the caller paces and sends."""

    def __init__(self, config: SenderConfig, source: int, destination: int, journal: Journal) -> None:
        self._config, self._source, self._destination, self._journal = config, source, destination, journal
        self._records: dict[str, SenderRecord] = {}  # by name, the newest each, from the journal
        self._last_number = 0
        self._transfers: dict[str, _Transfer] = {}
        self._frozen = True
        self._replies: list[bytes] = []
        self._settled: list[tuple[str, bool]] = []
        self.refused = 0  # units from the ground that made no sense

    def replay(self, payload: bytes) -> None:
        """One TRANSFER record of an earlier process. Nonsense is counted and passed over."""
        try:
            record = SenderRecord.decode(payload)
        except RecordInvalid:
            self.refused += 1
            return
        self._keep(record)

    def start(self, name: str, size: int, read: Read, now_s: float) -> None:
        """Begin, or after a restart go on with, the transfer of a file. Nothing happens when it is under way.

        read(offset, count) gives the file's octets.
        """
        if name in self._transfers:
            return
        record = self._records.get(name)
        if record is not None and record.delivered and record.size == size:
            self._settled.append((name, True))  # it had ended before the restart; nothing of it is sent again
            return
        if record is not None and record.condition is None and record.size == size:
            sender = Sender.restore(self._config, record, read, now_s)
            transfer = _Transfer(name, sender, 0)
        else:
            self._last_number += 1
            transaction = self._transaction(self._last_number)
            checksum = file_checksum(ChecksumKind.CRC_32C, size, read)
            sender = Sender(self._config, transaction, name, size, read, checksum, now_s)
            transfer = _Transfer(name, sender, self._write(sender))
        if self._frozen:
            sender.freeze(now_s)
        self._transfers[name] = transfer

    def drop(self, name: str) -> None:
        """End a transfer that nobody needs any more."""
        transfer = self._transfers.pop(name, None)
        if transfer is None:
            return
        transfer.sender.cancel()
        self._write(transfer.sender)

    def contact(self, open_: bool, now_s: float) -> None:
        """A contact began or ended."""
        if open_ == (not self._frozen):
            return
        self._frozen = not open_
        for transfer in self._transfers.values():
            if open_:
                transfer.sender.resume(now_s)
            else:
                transfer.sender.freeze(now_s)

    def next_unit(self, now_s: float, max_bytes: int, durable: int) -> bytes | None:
        """The next protocol unit of at most `max_bytes`, None when nothing is due. durable: the journal's sequence."""
        if self._frozen:
            return None
        if self._replies:
            return self._replies.pop(0)
        for transfer in self._transfers.values():
            if transfer.sender.dirty:  # what was acknowledged must be durable before anything else is sent
                transfer.due_at = self._write(transfer.sender)
            if durable < transfer.due_at:
                continue
            unit = transfer.sender.next_pdu(now_s, max_bytes)
            if unit is not None:
                return unit
        return None

    def receive(self, unit: bytes, now_s: float) -> None:
        """One protocol unit from the ground. Never raises: what makes no sense is counted."""
        try:
            transaction, pdu = decode(unit)
            for transfer in self._transfers.values():
                if transfer.sender.transaction.key == transaction.key:
                    transfer.sender.receive(unit, now_s)
                    return
            if isinstance(pdu, Finished) and transaction == self._transaction(transaction.sequence):
                self._replies.append(acknowledge_closed(transaction, pdu))
                del self._replies[:-16]
            else:
                self.refused += 1
        except LinkError:
            self.refused += 1

    def finished(self) -> list[tuple[str, bool]]:
        """Transfers that have ended since the last call: (name, whether the receiver keeps the whole file).

        Call it after the closing acknowledgement had its chance to leave: such a transfer is forgotten here.
        """
        ended: list[tuple[str, bool]] = []
        for name, transfer in list(self._transfers.items()):
            if not transfer.sender.finished:
                continue
            try:
                self._write(transfer.sender)
            except JournalFull:
                break  # told when its end is with the journal
            del self._transfers[name]
            reply = transfer.sender.next_pdu(0.0, 1 << 16)
            if reply is not None:
                self._replies.append(reply)
            ended.append((name, transfer.sender.delivered))
        ended, self._settled = ended + self._settled, []
        return ended

    @property
    def active(self) -> int:
        """Transfers under way."""
        return len(self._transfers)

    def _transaction(self, number: int) -> Transaction:
        return Transaction(self._source, number, self._destination)

    def _write(self, sender: Sender) -> int:
        """Raises JournalFull; the sender then stays dirty, and sends nothing."""
        record = sender.snapshot()
        try:
            sequence = self._journal.append(RecordKind.TRANSFER, record.encode())
        except Exception:
            sender.dirty = True
            raise
        self._keep(record)
        return sequence

    def _keep(self, record: SenderRecord) -> None:
        self._last_number = max(self._last_number, record.transaction.sequence)
        self._records.pop(record.name, None)
        self._records[record.name] = record
        while len(self._records) > KEPT_RECORDS:
            self._records.pop(next(iter(self._records)))
