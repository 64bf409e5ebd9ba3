"""The ring: messages of 200 octets from one process to another, in bursts that the reader acknowledges."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from bindings.bus import Batch
from bindings.bus_ring import RingBatch, RingReader, RingWriter, create_ring

OCTETS = 200
BURST = 256
AHEAD = 4  # bursts that may be on their way: all of them fit into the ring
ROOM = 1 << 19
TOPIC, SOURCE = 7, 1
DEADLINE_S = 30.0


def ring_c_msgs_per_s(rounds: int, *, quick: bool) -> list[float]:
    """Of every round: messages a second, C called once a burst on both sides."""
    return [_round(_batches, _bursts(quick), take=False) for _ in range(rounds)]


def ring_python_msgs_per_s(rounds: int, *, quick: bool) -> list[float]:
    """The same from a call for each `bytes` object on one side to `bytes` objects on the other."""
    return [_round(_singly, _bursts(quick), take=True) for _ in range(rounds)]


def _bursts(quick: bool) -> int:
    return 20 if quick else 400


def _batches(writer: RingWriter) -> Callable[[], object]:
    batch, message = Batch(BURST, BURST * OCTETS), bytes(range(OCTETS))
    while batch.append(TOPIC, message):
        pass
    return lambda: writer.send_batch(SOURCE, batch)


def _singly(writer: RingWriter) -> Callable[[], object]:
    send, message = writer.send, bytes(range(OCTETS))

    def burst() -> None:
        for _ in range(BURST):
            send(TOPIC, SOURCE, message)

    return burst


def _round(make: Callable[[RingWriter], Callable[[], object]], bursts: int, *, take: bool) -> float:
    messages, back = create_ring(ROOM, OCTETS), create_ring(4096, 0)
    child = os.fork()
    if child == 0:
        try:
            _write(messages, back, make, bursts)
        finally:
            os._exit(0)
    try:
        with RingReader(messages) as reader, RingWriter(back) as acknowledge:
            return _read(reader, acknowledge, bursts, take)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(messages)
        os.close(back)


def _write(messages: int, back: int, make: Callable[[RingWriter], Callable[[], object]], bursts: int) -> None:
    with RingWriter(messages) as writer, RingReader(back) as acknowledged:
        burst, granted = make(writer), 0
        for number in range(bursts):
            while granted <= number:
                if acknowledged.receive() is None:
                    os.sched_yield()
                else:
                    granted += 1
            burst()


def _read(reader: RingReader, acknowledge: RingWriter, bursts: int, take: bool) -> float:
    batch, received, granted = RingBatch(BURST, BURST * OCTETS), 0, 0
    began = time.perf_counter()
    while received < bursts * BURST:
        while granted < min(bursts, received // BURST + AHEAD):
            granted += acknowledge.send(0, 0, b"")
        count = reader.receive_batch(batch)
        if take:
            batch.take()
        if not count:
            os.sched_yield()
            if time.perf_counter() - began > DEADLINE_S:
                raise RuntimeError(f"received {received} of {bursts * BURST} messages")
        received += count
    took_s = time.perf_counter() - began
    if reader.counters().lost:
        raise RuntimeError(f"not every message arrived: {reader.counters()}")
    return received / took_s
