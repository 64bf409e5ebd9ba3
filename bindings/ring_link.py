"""A bus of one process bridged onto rings to another: what one pipe holds goes out, declared ids come in.

Bounded work in every step. The other process is not believed: it can publish the ids that were declared for it, in its
own name, and nothing else.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from bindings.bus import Batch, Bus, Pipe
from bindings.bus_faults import BusRefused, MessageTooLong, RingDamaged, UnknownMessage
from bindings.bus_ring import RingBatch, RingReader, RingWriter

_BATCH_OCTETS: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class LinkCounters:
    """All since the link was made."""

    sent: int
    dropped: int  # out of the bus, and not into the ring for want of room
    received: int  # and published
    refused: int  # of an id that is not declared for the other process, in another's name, or too long
    damaged: int  # findings that no writer writes


class RingLink:
    """Both directions, or one of them. For one thread."""

    def __init__(
        self,
        bus: Bus,
        *,
        source: int,
        peer: int,
        outgoing: tuple[Pipe, RingWriter] | None = None,
        incoming: RingReader | None = None,
        accepts: Collection[int] = (),
        messages_per_step: int = 64,
    ) -> None:
        """source, peer: the numbers of this process and of the other; accepts: ids that the other may publish here.

        messages_per_step: at most so many go out, and so many come in. Raises BusRefused: also where an id would go out
        that has come in, for it would go round for ever.
        """
        if not (0 <= source <= 65535 and 0 <= peer <= 65535 and source != peer):
            raise BusRefused(f"sources are two numbers from 0 to 65535, got {source} and {peer}")
        if not 1 <= messages_per_step <= 1 << 16:
            raise BusRefused(f"1 to {1 << 16} messages go in a step, got {messages_per_step}")
        self._bus, self._source, self._peer, self._accepts = bus, source, peer, frozenset(accepts)
        self._outgoing, self._incoming = outgoing, incoming
        largest = 0
        if outgoing is not None:
            pipe, writer = outgoing
            again = sorted(self._accepts & bus.subscriptions(pipe.name))
            if again:
                raise BusRefused(f"message {again[0]} would come in and go out again")
            if pipe.max_octets > writer.max_octets:
                raise BusRefused(f"{pipe.name} has messages of {pipe.max_octets} octets, the ring {writer.max_octets}")
            largest = pipe.max_octets
        self._out = Batch(messages_per_step, max(_BATCH_OCTETS, largest))
        self._in = RingBatch(messages_per_step, max(_BATCH_OCTETS, 0 if incoming is None else incoming.max_octets))
        self._sent = self._dropped = self._received = self._refused = self._damaged = 0

    def step(self) -> int:
        """Forward what waits, at most a step's worth each way; how many messages moved. Raises RingClosed."""
        return self._forward() + self._take_in()

    def _forward(self) -> int:
        if self._outgoing is None:
            return 0
        pipe, writer = self._outgoing
        count = pipe.receive_batch(self._out)
        sent = writer.send_batch(self._source, self._out) if count else 0
        self._sent += sent
        self._dropped += count - sent
        return count

    def _take_in(self) -> int:
        if self._incoming is None:
            return 0
        try:
            count = self._incoming.receive_batch(self._in)
        except RingDamaged:
            self._damaged += 1
            return 0
        for topic, source, _, octets in self._in:
            if source != self._peer or topic not in self._accepts:
                self._refused += 1
                continue
            try:
                self._bus.publish(topic, octets)
            except (MessageTooLong, UnknownMessage):
                self._refused += 1
            else:
                self._received += 1
        return count

    def counters(self) -> LinkCounters:
        return LinkCounters(self._sent, self._dropped, self._received, self._refused, self._damaged)
