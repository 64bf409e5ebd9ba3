"""Both ends of a file delivery in virtual time, restarts and contact gaps included, and a watch that never blinks."""

from __future__ import annotations

import random
from dataclasses import dataclass

from flight.link.cfdp.checksum import file_checksum
from flight.link.cfdp.codes import ChecksumKind, Directive
from flight.link.cfdp.pdu import Ack, FileData, Finished, Nak, Transaction, decode
from flight.link.cfdp.receiver import CompletedFile, Receiver
from flight.link.cfdp.reception import ReceiverConfig
from flight.link.cfdp.records import SenderRecord
from flight.link.cfdp.sender import Sender, SenderConfig
from ground_test.sim.kernel import EventKernel
from ground_test.sim.link import LinkConfig, LossyLink
from hal.clock import SimulatedClock
from tests.flight.link.memory_store import MemoryStore

SATELLITE, GROUND = 2, 1


@dataclass(frozen=True)
class Case:
    seed: int
    size: int = 30_000
    segment: int = 500
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    sender_restarts: int = 0
    receiver_restarts: int = 0
    slow_disk: bool = False
    windows: tuple[tuple[float, float], ...] | None = None
    checksum: ChecksumKind = ChecksumKind.CRC_32C
    limit_s: float = 400.0


class Transfer:
    """Fly one case: `run()` until the sender has finished and the receiver has closed, or the time is up."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.kernel = EventKernel(case.seed, SimulatedClock(1000.0))
        self.rng = self.kernel.stream("transfer")
        self.content = random.Random(case.seed).randbytes(case.size)
        self.transaction = Transaction(SATELLITE, 77, GROUND)
        self.acknowledged = bytearray(case.size)  # the watch's own notes, one octet a file octet
        self.sent_again: list[tuple[int, int]] = []
        self.told_too_much: list[str] = []
        self.data_sent = 0
        self.files: list[CompletedFile] = []
        self.store = MemoryStore(slow=case.slow_disk)
        link = LinkConfig(
            delay_s=0.05,
            rate_bps=200_000,
            loss=case.loss,
            duplicate=case.duplicate,
            reorder=case.reorder,
            backlog_s=0.05,
            windows=None if case.windows is None else [(1000 + start, 1000 + end) for start, end in case.windows],
        )
        self.down = LossyLink(self.kernel, "down", link, self._on_ground)
        self.up = LossyLink(self.kernel, "up", link, self._on_board)
        self.sender_config = SenderConfig(segment_bytes=case.segment, eof_timer_s=1.0, limit_s=300.0)
        self.receiver_config = ReceiverConfig(
            nak_timer_s=1.0, finish_timer_s=1.0, limit_s=300.0, max_pdu_bytes=200, check_bytes=1 << 16
        )
        value = file_checksum(case.checksum, case.size, self._read)
        now = self.kernel.now_s
        self.sender = Sender(self.sender_config, self.transaction, "answer.swp", case.size, self._read, value, now)
        self.journal = self.sender.snapshot().encode()
        self.receiver = Receiver(self.receiver_config, GROUND, self.store, now, sources=[SATELLITE])
        self._plan()

    def _plan(self) -> None:
        busy_s = self.case.size * 8 / 200_000 + 3
        for _ in range(self.case.sender_restarts):
            self.kernel.after(self.rng.uniform(0, busy_s), self.restart_sender)
        for _ in range(self.case.receiver_restarts):
            self.kernel.after(self.rng.uniform(0, busy_s), self.restart_receiver)
        for start, end in self.case.windows or ():
            self.kernel.at(1000 + start, self._contact_begins)
            self.kernel.at(1000 + end, self._contact_ends)
        if self.case.windows is not None:
            self._contact_ends()
        if self.case.slow_disk:
            self.kernel.every(0.2, self.store.sync)
        self.kernel.every(0.02, self._pump)
        self.kernel.every(0.1, lambda: self._reply(self.receiver.poll(self.kernel.now_s)))

    def _read(self, offset: int, count: int) -> bytes:
        return self.content[offset : offset + count]

    def _contact_begins(self) -> None:
        self.sender.resume(self.kernel.now_s)
        self.receiver.resume(self.kernel.now_s)

    def _contact_ends(self) -> None:
        self.sender.freeze(self.kernel.now_s)
        self.receiver.freeze(self.kernel.now_s)

    def restart_sender(self) -> None:
        self.sender = Sender.restore(
            self.sender_config, SenderRecord.decode(self.journal), self._read, self.kernel.now_s
        )
        if not self.down.up:
            self.sender.freeze(self.kernel.now_s)

    def restart_receiver(self) -> None:
        self.store.cut(self.rng)
        self.receiver = Receiver(self.receiver_config, GROUND, self.store, self.kernel.now_s, sources=[SATELLITE])
        if not self.up.up:
            self.receiver.freeze(self.kernel.now_s)

    def _pump(self) -> None:
        while self.down.ready and (unit := self.sender.next_pdu(self.kernel.now_s, 1000)) is not None:
            pdu = decode(unit)[1]
            if isinstance(pdu, FileData):
                end = pdu.offset + len(pdu.data)
                self.data_sent += len(pdu.data)
                if any(self.acknowledged[pdu.offset : end]):
                    self.sent_again.append((pdu.offset, end))
            self.down.send(unit)

    def _on_board(self, unit: bytes) -> None:
        if self.sender.transaction.key != decode(unit)[0].key:
            return
        self.sender.receive(unit, self.kernel.now_s)
        if self.sender.dirty:
            if self.case.sender_restarts and self.rng.random() < 0.05:  # killed before the record was durable
                self.restart_sender()
                return
            self.journal = self.sender.snapshot().encode()
        for start, end in self._spoken_for(unit):
            self.acknowledged[start:end] = b"\1" * (end - start)

    def _spoken_for(self, unit: bytes) -> list[tuple[int, int]]:
        """Octets that this unit acknowledges, worked out octet by octet."""
        pdu = decode(unit)[1]
        if isinstance(pdu, Finished):
            return [(0, self.case.size)] if pdu.complete else []
        if not isinstance(pdu, Nak):
            return []
        wanted = {at for start, end in pdu.gaps for at in range(start, end)}
        return [(at, at + 1) for at in range(*pdu.scope) if at not in wanted]

    def _on_ground(self, unit: bytes) -> None:
        self._reply(self.receiver.receive(unit, self.kernel.now_s))

    def _reply(self, units: list[bytes]) -> None:
        for unit in units:
            self._check_promise(unit)
            self.up.send(unit)
        self.files += self.receiver.completed()

    def _check_promise(self, unit: bytes) -> None:
        """What is told to the sender must be on the disk already."""
        key = self.transaction.key
        disk = self.store.disk_data.get(key, self.store.published.get("answer.swp", b""))
        for start, end in self._spoken_for(unit):
            if disk[start:end] != self.content[start:end]:
                self.told_too_much.append(f"{type(decode(unit)[1]).__name__} {start}..{end}")
        pdu = decode(unit)[1]
        if isinstance(pdu, Ack) and pdu.of is Directive.EOF and key not in self.store.disk_records:
            self.told_too_much.append("EOF")

    @property
    def done(self) -> bool:
        return self.sender.finished and self.receiver.open_transactions == 0 and self.store.published != {}

    def run(self) -> Transfer:
        self.kernel.run(1000.0 + self.case.limit_s, stop=lambda: self.done)
        return self

    def verdict(self) -> str:
        """Empty when all is well, else what was lost and how to see it again."""
        problems = []
        if not self.done or not self.sender.delivered:
            problems.append(f"not delivered: sender {self.sender.condition}, at {self.kernel.now_s - 1000:.1f} s")
        if self.store.published.get("answer.swp") != self.content:
            problems.append("the file is not the one that was sent")
        if len(self.store.published) > 1:
            problems.append(f"published {sorted(self.store.published)}")
        if self.sent_again:
            problems.append(f"acknowledged octets sent again: {self.sent_again[:3]}")
        if self.told_too_much:
            problems.append(f"told before it was durable: {self.told_too_much[:3]}")
        if not self.files:
            problems.append("nobody was told of the file")
        return f"{self.case}: {'; '.join(problems)}" if problems else ""
