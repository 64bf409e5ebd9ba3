"""The ring between processes: against a model of a deque, what is refused, the wake-up, forked children."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import threading
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bindings.bus import Batch
from bindings.bus_faults import (
    BufferTooSmall,
    MessageTooLong,
    RingClosed,
    RingDamaged,
    RingHeld,
    RingRefused,
    UnknownMessage,
)
from bindings.bus_ring import RingBatch, RingMessage, RingReader, RingWriter, create_ring
from bindings.crc import crc32c
from bindings.errors import BindingsError
from bindings.faults import BufferMismatch

U16 = st.integers(0, 65535)
LONGEST = 60


@pytest.fixture
def ring() -> Iterator[int]:
    descriptor = create_ring(1024, LONGEST)
    yield descriptor
    os.close(descriptor)


def taken(length: int) -> int:
    return 32 + (length + 7) // 8 * 8


class AgainstADeque(RuleBasedStateMachine):
    @initialize(room=st.sampled_from([256, 512, 2048]), checked=st.booleans())
    def make(self, room: int, checked: bool) -> None:
        self.room, self.fd = room, create_ring(room, LONGEST, checked=checked)
        self.writer, self.reader = RingWriter(self.fd), RingReader(self.fd)
        self.waiting: deque[RingMessage] = deque()
        self.sequence = self.dropped = self.refused = self.lost = self.expected = self.read = 0
        self.incarnations, self.restarts, self.seen = 1, 0, 0
        self.made: dict[int, int] = {}  # sequence -> incarnation of its writer

    def teardown(self) -> None:
        if hasattr(self, "fd"):
            self.writer.close()
            self.reader.close()
            os.close(self.fd)

    def offer(self, topic: int, source: int, data: bytes) -> bool:
        sequence, self.sequence = self.sequence, self.sequence + 1
        if sum(taken(len(message.octets)) for message in self.waiting) + taken(len(data)) > self.room:
            self.dropped += 1
            return False
        self.waiting.append(RingMessage(topic, source, sequence, data))
        self.made[sequence] = self.incarnations
        return True

    def hand_out(self) -> RingMessage:
        message = self.waiting.popleft()
        self.lost += message.sequence - self.expected
        self.expected = message.sequence + 1
        self.restarts += self.seen not in (0, self.made[message.sequence])
        self.seen = self.made[message.sequence]
        self.read += 1
        return message

    @rule(topic=U16, source=U16, data=st.binary(max_size=LONGEST + 5), kind=st.sampled_from([bytes, bytearray]))
    def send(self, topic: int, source: int, data: bytes, kind: type) -> None:
        if len(data) > LONGEST:
            with pytest.raises(MessageTooLong):
                self.writer.send(topic, source, kind(data))
            self.refused += 1
        else:
            assert self.writer.send(topic, source, kind(data)) == self.offer(topic, source, data)

    @rule(source=U16, items=st.lists(st.tuples(U16, st.binary(max_size=LONGEST + 5)), max_size=8))
    def send_batch(self, source: int, items: list[tuple[int, bytes]]) -> None:
        batch = Batch(8, 8 * 65)
        assert all(batch.append(topic, data) for topic, data in items)
        good = 0
        for topic, data in items:
            if len(data) > LONGEST:
                self.refused += 1
            else:
                good += self.offer(topic, source, data)
        assert self.writer.send_batch(source, batch) == good

    @rule()
    def receive(self) -> None:
        assert self.reader.receive() == (self.hand_out() if self.waiting else None)

    @rule(room=st.integers(0, LONGEST))
    def receive_into(self, room: int) -> None:
        buffer = bytearray(room)
        if not self.waiting:
            assert self.reader.receive_into(buffer) is None
        elif len(self.waiting[0].octets) > room:
            with pytest.raises(BufferTooSmall) as refused:
                self.reader.receive_into(buffer)
            assert (refused.value.needed, refused.value.got) == (len(self.waiting[0].octets), room)
        else:
            topic, source, sequence, data = self.hand_out()
            assert self.reader.receive_into(buffer) == (topic, source, sequence, len(data))
            assert buffer[: len(data)] == data

    @rule(messages=st.integers(1, 5), size=st.integers(0, 150))
    def receive_batch(self, messages: int, size: int) -> None:
        batch = RingBatch(messages, size)
        expected: list[RingMessage] = []
        if self.waiting and len(self.waiting[0].octets) > size:
            with pytest.raises(BufferTooSmall):
                self.reader.receive_batch(batch)
            return
        while self.waiting and len(expected) < messages and size >= len(self.waiting[0].octets):
            size -= len(self.waiting[0].octets)
            expected.append(self.hand_out())
        assert self.reader.receive_batch(batch) == len(batch) == len(expected)
        assert batch.take() == expected

    @rule()
    def another_writer_goes_on(self) -> None:
        self.writer.close()
        self.writer = RingWriter(self.fd)
        self.incarnations += 1
        self.dropped = self.refused = 0

    @rule()
    def another_reader_goes_on(self) -> None:
        self.reader.close()
        self.reader = RingReader(self.fd)
        self.read = self.lost = self.restarts = self.seen = 0

    @invariant()
    def every_counter_is_the_model_s(self) -> None:
        read, wrote = self.reader.counters(), self.writer.counters()
        assert (wrote.dropped, wrote.refused, wrote.impossible) == (self.dropped, self.refused, 0)
        assert (read.read, read.lost, read.restarts) == (self.read, self.lost, self.restarts)
        assert (read.damaged, read.resynchronised, read.impossible) == (0, 0, 0)


AgainstADeque.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_the_ring_does_what_a_model_of_a_deque_does = AgainstADeque.TestCase


# --- what is refused


@pytest.mark.parametrize(
    ("room", "longest"), [(255, 8), (128, 8), (1 << 27, 8), (300, 8), (256, 225), (256, -1), (1 << 20, 65536)]
)
def test_sizes_that_no_ring_can_have_are_refused(room: int, longest: int) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(RingRefused) as refused:
        create_ring(room, longest)
    assert isinstance(refused.value, BindingsError) and isinstance(refused.value, ValueError)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("octet", range(36))
def test_a_description_with_one_octet_changed_is_no_ring(octet: int, ring: int) -> None:
    held = os.pread(ring, 1, octet)[0]
    os.pwrite(ring, bytes([held ^ 0x10]), octet)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(RingRefused):
        RingReader(ring)
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_is_no_sealed_memory_is_refused() -> None:
    plain = os.memfd_create("plain", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    pipe = os.pipe()
    try:
        for wrong in (plain, pipe[0], 1 << 20):
            with pytest.raises(RingRefused):
                RingWriter(wrong)
        fcntl.fcntl(plain, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        with pytest.raises(RingRefused, match="0 octets"):
            RingWriter(plain)
    finally:
        for each in (plain, *pipe):
            os.close(each)


def test_a_ring_has_one_writer_and_one_reader_until_they_close(ring: int) -> None:
    with RingWriter(ring), RingReader(ring):
        with pytest.raises(RingHeld, match="writer"):
            RingWriter(ring)
        with pytest.raises(RingHeld, match="reader"):
            RingReader(ring)
    with RingWriter(ring) as writer, RingReader(ring) as reader:
        assert writer.send(1, 2, b"x") and reader.receive() == (1, 2, 0, b"x")
    with pytest.raises(RingClosed):
        writer.send(1, 2, b"x")
    with pytest.raises(RingClosed):
        reader.counters()
    writer.close()


def test_numbers_and_buffers_out_of_range_are_refused_and_counted(ring: int) -> None:
    with RingWriter(ring) as writer, RingReader(ring) as reader:
        for topic, source in ((65536, 0), (-1, 0), (0, 65536)):
            with pytest.raises(UnknownMessage):
                writer.send(topic, source, b"x")
        text: Any = "text"
        with pytest.raises(BufferMismatch):
            writer.send(1, 1, text)
        with pytest.raises(BufferMismatch):
            reader.receive_into(b"read-only")
        with pytest.raises(RingRefused, match="wake-up"):
            reader.wait(0)
        with pytest.raises(RingRefused):
            RingBatch(0, 1)
        assert writer.send(1, 1, bytes(range(LONGEST))) and reader.receive() == (1, 1, 0, bytes(range(LONGEST)))


def test_a_payload_that_changed_is_told_and_the_next_one_is_whole(ring: int) -> None:
    with RingWriter(ring) as writer, RingReader(ring) as reader:
        for text in (b"one", b"two", b"three"):
            writer.send(1, 1, text)
        os.pwrite(ring, b"!", 256 + 40 + 32)  # the first octet of "two"
        batch = RingBatch(8, 100)
        assert reader.receive_batch(batch) == 1
        with pytest.raises(RingDamaged) as found:
            reader.receive_batch(batch)
        assert found.value.numbers() == {"damaged": 1, "resynchronised": 0} and len(batch) == 0
        assert reader.receive() == (1, 1, 2, b"three")
        assert (reader.counters().lost, reader.counters().damaged) == (1, 1)


# --- the wake-up


def test_a_waiting_reader_is_woken_by_a_message_and_asked_for_only_then(ring: int) -> None:
    wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    with RingWriter(ring, wake) as writer, RingReader(ring, wake) as reader:
        writer.send(1, 1, b"nobody waits")
        with pytest.raises(BlockingIOError):
            os.eventfd_read(wake)
        assert reader.wait(0) and reader.receive() is not None
        assert not reader.wait(0)
        found: list[object] = []
        waiting = threading.Thread(target=lambda: found.extend([reader.wait(60_000), reader.receive()]))
        waiting.start()
        writer.send(5, 6, b"wake")
        waiting.join(60)
        assert found == [True, (5, 6, 1, b"wake")]
    os.close(wake)


def test_a_full_wake_up_keeps_no_writer_waiting(ring: int) -> None:
    wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    with RingWriter(ring, wake) as writer, RingReader(ring, wake) as reader:
        assert not reader.wait(0)
        os.eventfd_write(wake, (1 << 64) - 2)
        assert writer.send(1, 1, b"x") and reader.wait(0)
    os.close(wake)


# --- forked children


def test_a_forked_child_has_no_end_and_holds_none(ring: int) -> None:
    writer, reader = RingWriter(ring), RingReader(ring)
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            refused = 0
            for call in (lambda: writer.send(1, 1, b"child"), reader.receive, writer.counters):
                try:
                    call()
                except RingClosed:
                    refused += 1
            os.write(tell, bytes([refused]))
            signal.pause()
        finally:
            os._exit(0)
    try:
        assert os.read(told, 1) == b"\x03"
        assert writer.send(1, 1, b"parent") and reader.receive() == (1, 1, 0, b"parent")
        writer.close()
        with RingWriter(ring) as again:  # although the child lives
            assert again.send(1, 1, b"again")
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        reader.close()
        os.close(told)
        os.close(tell)


# --- the layout, as docs/bus.md has it


def test_the_layout_is_the_one_of_the_page(ring: int) -> None:
    with RingWriter(ring) as writer, RingReader(ring) as reader:
        writer.send(0x1234, 0x5678, b"octets")
        memory = os.pread(ring, 256 + 40, 0)
        description = struct.pack("=8sIIQII", b"SWRING\r\n", 1, 256, 1024, LONGEST, 1)
        assert memory[:36] == description + struct.pack("=I", crc32c(description))
        assert struct.unpack_from("=Q", memory, 40) == (1,)
        assert struct.unpack_from("=QQ", memory, 64) == (40, 1)
        head = struct.pack("=QIHHII", 0, 6, 0x1234, 0x5678, 1, crc32c(b"octets"))
        assert memory[256:] == head + struct.pack("=II", crc32c(head), 0) + b"octets\0\0"
        assert reader.receive() is not None
        assert struct.unpack("=QQ", os.pread(ring, 16, 128)) == (40, 1)
