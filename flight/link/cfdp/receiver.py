"""The receiving entity: every transaction that comes to it, bounded in number and size, over one store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flight.link.cfdp.active_time import ActiveTime
from flight.link.cfdp.codes import Condition
from flight.link.cfdp.errors import PduUnexpected, ReceiverFull, RecordInvalid, StoreFailed, TransactionUnknown
from flight.link.cfdp.pdu import Ack, Eof, Nak, Pdu, Transaction, decode
from flight.link.cfdp.pdu import Finished as FinishedPdu
from flight.link.cfdp.reception import ReceiverConfig, Reception
from flight.link.cfdp.records import ReceiverRecord, ReceptionState
from flight.link.cfdp.store import Key, ReceiverStore
from flight.link.errors import LinkError


@dataclass(frozen=True, slots=True)
class CompletedFile:
    """A file that is whole, checked and durable. Told again after a restart, for as long as it is remembered."""

    transaction: Transaction
    name: str  # as the sender asked
    path: str  # as the store gave it
    size: int


class Receiver:
    """Hand in units, send what comes back, poll often.

    entity: the identifier that transactions must be addressed to; sources: entities that may send, None for any.
    Units that are not from a known source, too big, too many or contradictory raise LinkError subclasses and change
    nothing. now_s: any clock, the same in every call.
    """

    def __init__(
        self,
        config: ReceiverConfig,
        entity: int,
        store: ReceiverStore,
        now_s: float,
        *,
        sources: Iterable[int] | None = None,
    ) -> None:
        self.config, self.entity = config, entity
        self.unreadable_records = 0
        self.store_failures = 0
        self._sources = None if sources is None else frozenset(sources)
        self._store = store
        self._time = ActiveTime()
        self._receptions: dict[Key, Reception] = {}
        self._completed: list[CompletedFile] = []
        self._told: set[Key] = set()
        now = self._time.at(now_s)
        for key, octets, file in store.stored():
            try:
                record = ReceiverRecord.decode(octets)
                if record.transaction.key != key:
                    raise RecordInvalid("is of another transaction")
                self._receptions[key] = Reception.restore(config, record, store, file, now)
            except LinkError:
                self.unreadable_records += 1
                file.forget()
            self._tell(key)

    @property
    def open_transactions(self) -> int:
        """Receptions that are not closed."""
        return sum(one.state is not ReceptionState.CLOSED for one in self._receptions.values())

    def progress(self) -> dict[Key, tuple[int, int | None]]:
        """Octets here and octets in all (None: not known yet) of every open reception."""
        return {
            key: (one.extents.total, one.metadata.size if one.metadata else None)
            for key, one in self._receptions.items()
            if one.open
        }

    def freeze(self, now_s: float) -> None:
        """The contact has ended: no timer runs, poll() gives nothing."""
        self._time.freeze(now_s)

    def resume(self, now_s: float) -> None:
        """A contact has begun."""
        self._time.resume(now_s)

    def receive(self, octets: bytes, now_s: float) -> list[bytes]:
        """Take one unit; the units to send back. Raises LinkError subclasses; then nothing has changed."""
        transaction, pdu = decode(octets)
        return self.accept(transaction, pdu, now_s)

    def accept(self, transaction: Transaction, pdu: Pdu, now_s: float) -> list[bytes]:
        """As receive(), for a unit that is decoded already."""
        if transaction.destination != self.entity:
            raise PduUnexpected("transaction", f"is for entity {transaction.destination}, this is {self.entity}")
        if self._sources is not None and transaction.source not in self._sources:
            raise PduUnexpected("transaction", f"is from entity {transaction.source}, which may not send here")
        now = self._time.at(now_s)
        known = self._receptions.get(transaction.key)
        reception = known or self._begin(transaction, pdu, now)
        grown = reception.growth(pdu)
        if grown:
            total = grown + sum(one.announced_bytes for one in self._receptions.values())
            if total > self.config.max_total_bytes:
                raise ReceiverFull("octets in all files", total, self.config.max_total_bytes)
        try:
            reception.accept(pdu, now)
        except OSError as problem:
            if isinstance(problem, LinkError):
                raise
            raise StoreFailed(str(problem)) from problem
        if known is None:
            self._receptions[transaction.key] = reception
            self._forget_oldest()
        return [] if self._time.frozen else self._step(transaction.key, reception, now)

    def _begin(self, transaction: Transaction, pdu: Pdu, now: float) -> Reception:
        """A reception not yet listed: it is only when its first unit was accepted."""
        if isinstance(pdu, (Ack, Nak, FinishedPdu)) or (isinstance(pdu, Eof) and pdu.condition != Condition.NO_ERROR):
            raise TransactionUnknown(*transaction.key)
        unfinished = sum(one.open for one in self._receptions.values())
        if unfinished >= self.config.max_transactions:
            raise ReceiverFull("open transactions", unfinished + 1, self.config.max_transactions)
        return Reception(self.config, transaction, self._store, self._store.create(transaction.key), now)

    def poll(self, now_s: float) -> list[bytes]:
        """What timers and finished checks make due, over all transactions."""
        if self._time.frozen:
            return []
        now = self._time.at(now_s)
        return [unit for key, one in list(self._receptions.items()) for unit in self._step(key, one, now)]

    def _step(self, key: Key, reception: Reception, now: float) -> list[bytes]:
        try:
            units = reception.step(now)
        except OSError:  # the sender repeats itself, and the store is asked again
            self.store_failures += 1
            return []
        self._tell(key)
        return units

    def _tell(self, key: Key) -> None:
        reception = self._receptions.get(key)
        if reception is None or not reception.path or key in self._told:
            return
        assert reception.metadata is not None
        self._told.add(key)
        self._completed.append(
            CompletedFile(reception.transaction, reception.metadata.name, reception.path, reception.metadata.size)
        )

    def _forget_oldest(self) -> None:
        closed = [key for key, one in self._receptions.items() if not one.open]
        for key in closed[: max(0, len(closed) - self.config.max_closed)]:
            self._receptions.pop(key).forget()
            self._told.discard(key)

    def completed(self) -> list[CompletedFile]:
        """Files that became whole since the last call."""
        files, self._completed = self._completed, []
        return files
