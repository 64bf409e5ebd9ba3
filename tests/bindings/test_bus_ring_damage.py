"""The ring while memory changes at random, and while its processes are killed at any moment."""

from __future__ import annotations

import mmap
import os
import random
import signal
from collections.abc import Callable

import pytest

from bindings.bus_faults import RingDamaged
from bindings.bus_ring import RingBatch, RingReader, RingWriter, create_ring

ROOM, LONGEST = 2048, 100
SIZE = 256 + ROOM


def payload(sequence: int) -> bytes:
    """Octets that say which message they belong to, of a length that follows from it."""
    return (sequence.to_bytes(8, "little") * 13)[: 8 + sequence % 93]


def in_a_child(work: Callable[[], object]) -> int:
    """Forked: it ends only when it is killed."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(9)
    return child


def runs(child: int) -> bool:
    return os.waitpid(child, os.WNOHANG) == (0, 0)


def kill(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def everything(reader: RingReader, batch: RingBatch, calls: int) -> int:
    """Receive until nothing waits: how many findings. More calls than there can be records are a fault."""
    damaged = 0
    for _ in range(calls):
        try:
            if not reader.receive_batch(batch):
                return damaged
        except RingDamaged:
            damaged += 1
    raise AssertionError(f"still something to read after {calls} calls")


@pytest.mark.parametrize("seed", range(20))
def test_random_octets_anywhere_give_typed_errors_and_messages_flow_again_after(seed: int) -> None:
    chance = random.Random(seed)
    ring = create_ring(ROOM, LONGEST)
    mapped, batch = mmap.mmap(ring, SIZE), RingBatch(4, 4 * LONGEST)
    with RingWriter(ring) as writer, RingReader(ring) as reader:
        for _ in range(300):
            for _ in range(chance.randrange(4)):
                for _ in range(chance.randrange(3)):
                    mapped[chance.choice((chance.randrange(SIZE), chance.randrange(64, 200)))] = chance.randrange(256)
                writer.send(1, 1, payload(chance.randrange(1000)))
            if chance.randrange(10) == 0:
                at = chance.choice((64, 72, 128, 136))
                mapped[at : at + 8] = chance.choice((bytes(8), b"\xff" * 8, chance.randbytes(8)))
            try:
                reader.receive_batch(batch)
            except RingDamaged as found:
                assert found.damaged == reader.counters().damaged
            for topic, source, _, octets in batch:
                assert (topic, source) == (1, 1) and payload(int.from_bytes(octets[:8], "little")) == octets
        last = [0]
        for number in range(1, 9):
            writer.send(2, 2, payload(number))
            everything(reader, batch, 100)
            while (received := _next(reader)) is not None:
                last.append(received)
            writer.send(2, 2, payload(number))
            if (received := _next(reader)) is not None:
                last.append(received)
        assert last[-1] == 8
        if seed == 0:
            assert reader.counters().damaged > 0 and writer.counters().impossible > 0
    mapped.close()
    os.close(ring)


def _next(reader: RingReader) -> int | None:
    try:
        received = reader.receive()
    except RingDamaged:
        return None
    return None if received is None else int.from_bytes(received.octets[:8], "little")


def test_a_process_that_writes_over_everything_all_the_time_does_no_harm() -> None:
    ring = create_ring(ROOM, LONGEST)
    mapped, batch = mmap.mmap(ring, SIZE), RingBatch(8, 8 * LONGEST)

    def scribble() -> None:
        chance = random.Random(1)
        while True:
            at = chance.choice((chance.randrange(SIZE - 8), 64, 128))
            mapped[at : at + 8] = chance.randbytes(8)

    with RingWriter(ring) as writer, RingReader(ring) as reader:
        child = in_a_child(scribble)
        try:
            calls = 0
            while reader.counters().damaged < 200 or calls < 20_000:
                calls += 1
                writer.send(1, 1, payload(calls))
                try:
                    reader.receive_batch(batch)
                except RingDamaged:
                    continue
                for topic, source, _, octets in batch:
                    assert (topic, source) == (1, 1) and payload(int.from_bytes(octets[:8], "little")) == octets
        finally:
            kill(child)
    mapped.close()
    os.close(ring)


def test_a_killed_writer_leaves_whole_messages_and_the_next_one_goes_on() -> None:
    chance, ring, batch = random.Random(2), create_ring(ROOM, LONGEST), RingBatch(16, 16 * LONGEST)
    expected = lives = 0
    lost = 0

    def write() -> None:
        writer = RingWriter(ring)
        sequence = int.from_bytes(os.pread(ring, 8, 72), "little")
        while True:
            writer.send(1, lives, payload(sequence))
            sequence += 1

    with RingReader(ring) as reader:
        for lives in range(25):
            child, until = in_a_child(write), expected + chance.randrange(1, 3000)
            killed = False
            while True:
                count = reader.receive_batch(batch)
                for topic, source, sequence, octets in batch:
                    assert (topic, source) == (1, lives) and octets == payload(sequence)
                    assert sequence >= expected
                    lost += sequence - expected
                    expected = sequence + 1
                if killed and not count:
                    break
                assert killed or runs(child)
                if not killed and expected >= until:
                    kill(child)
                    killed = True
        counters = reader.counters()
        assert counters.read + counters.lost == expected and counters.lost == lost
        assert (counters.restarts, counters.damaged, counters.impossible) == (24, 0, 0)
    os.close(ring)


def test_a_killed_reader_is_followed_by_one_that_goes_on_and_counts_what_died_with_it() -> None:
    chance, ring = random.Random(3), create_ring(ROOM, LONGEST)

    def read() -> None:
        batch = RingBatch(5, 5 * LONGEST)
        with RingReader(ring) as reader:
            while True:
                reader.receive_batch(batch)

    with RingWriter(ring) as writer:
        sent = 0
        for _ in range(15):
            child = in_a_child(read)
            until = writer.counters().written + chance.randrange(100, 2000)
            while writer.counters().written < until:
                writer.send(1, 1, payload(sent))
                sent += 1
                assert sent % 256 or runs(child)
            kill(child)
        with RingReader(ring) as reader:
            last = None
            while (received := reader.receive()) is not None:
                assert received.octets == payload(received.sequence)
                assert last is None or received.sequence > last
                last = received.sequence
            assert (reader.counters().damaged, reader.counters().impossible) == (0, 0)
            assert writer.send(1, 1, b"flows") and reader.receive() == (1, 1, sent, b"flows")
            assert writer.counters().impossible == 0
    os.close(ring)
