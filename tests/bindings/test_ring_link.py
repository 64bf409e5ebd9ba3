"""A bus bridged onto rings: what may pass does, in order and within a step's bound; what may not is counted."""

from __future__ import annotations

import os
from contextlib import ExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bindings.bus import Bus, Message, PipeDeclaration, Route
from bindings.bus_faults import BusRefused
from bindings.bus_ring import RingReader, RingWriter, create_ring
from bindings.ring_link import LinkCounters, RingLink

UP, DOWN, OWN = 10, 20, 30
FLIGHT, PAYLOAD = 1, 2


def a_bus(outgoing: int, incoming: int) -> Bus:
    messages = [Message(UP, "up", 16), Message(DOWN, "down", 16), Message(OWN, "own", 16)]
    routes = [Route(outgoing, "out"), Route(incoming, "in"), Route(OWN, "in")]
    return Bus(messages, [PipeDeclaration("out", 256), PipeDeclaration("in", 256)], routes)


class Pair(ExitStack):
    """Two processes' buses in one: UP goes from the left to the right, DOWN back."""

    def __init__(self, *, room: int = 4096, per_step: int = 64) -> None:
        super().__init__()
        self.up, self.down = create_ring(room, 32), create_ring(room, 32)
        for each in (self.up, self.down):
            self.callback(os.close, each)
        self.up_writer: RingWriter = self.enter_context(RingWriter(self.up))
        self.down_writer: RingWriter = self.enter_context(RingWriter(self.down))
        self.left, self.right = a_bus(UP, DOWN), a_bus(DOWN, UP)
        self.left_link = RingLink(
            self.left, source=FLIGHT, peer=PAYLOAD, outgoing=(self.left.pipe("out"), self.up_writer),
            incoming=self.enter_context(RingReader(self.down)), accepts={DOWN, 99}, messages_per_step=per_step,
        )  # fmt: skip
        self.right_link = RingLink(
            self.right, source=PAYLOAD, peer=FLIGHT, outgoing=(self.right.pipe("out"), self.down_writer),
            incoming=self.enter_context(RingReader(self.up)), accepts={UP}, messages_per_step=per_step,
        )  # fmt: skip


def held(bus: Bus, pipe: str = "in") -> list[tuple[int, bytes]]:
    found = []
    while (received := bus.pipe(pipe).receive()) is not None:
        found.append((received.message, received.octets))
    return found


@settings(max_examples=50, deadline=None)
@given(
    plan=st.lists(st.tuples(st.sampled_from(["up", "down", "left", "right"]), st.binary(max_size=16)), max_size=60),
    per_step=st.integers(1, 5),
)
def test_what_is_published_on_one_side_arrives_on_the_other_in_order(
    plan: list[tuple[str, bytes]], per_step: int
) -> None:
    with Pair(per_step=per_step) as pair:
        published: dict[str, list[bytes]] = {"up": [], "down": []}
        for what, octets in plan:
            if what in published:
                (pair.left if what == "up" else pair.right).publish(UP if what == "up" else DOWN, octets)
                published[what].append(octets)
            else:
                assert (pair.left_link if what == "left" else pair.right_link).step() <= 2 * per_step
        while pair.left_link.step() + pair.right_link.step():
            pass
        assert held(pair.right) == [(UP, octets) for octets in published["up"]]
        assert held(pair.left) == [(DOWN, octets) for octets in published["down"]]
        up, down = len(published["up"]), len(published["down"])
        assert pair.left_link.counters() == LinkCounters(up, 0, down, 0, 0)
        assert pair.right_link.counters() == LinkCounters(down, 0, up, 0, 0)


def test_what_the_other_process_may_not_say_is_refused_and_counted() -> None:
    refused = (
        (OWN, PAYLOAD, b"not its own"), (UP, PAYLOAD, b"not its own"), (998, PAYLOAD, b"not declared"),
        (99, PAYLOAD, b"accepted, not of this bus"), (DOWN, FLIGHT, b"in our name"), (DOWN, 7, b"in another's"),
        (DOWN, PAYLOAD, b"longer than declared"),
    )  # fmt: skip
    with Pair() as pair:
        for topic, source, octets in refused:
            assert pair.down_writer.send(topic, source, octets)
        pair.down_writer.send(DOWN, PAYLOAD, b"good")
        assert pair.left_link.step() == 8
        assert held(pair.left) == [(DOWN, b"good")] and held(pair.left, "out") == []
        assert pair.left_link.counters() == LinkCounters(0, 0, 1, 7, 0)


def test_a_full_ring_drops_and_counts_and_the_bus_goes_on() -> None:
    with Pair(room=256) as pair:  # five messages of 48 octets
        for number in range(8):
            pair.left.publish(UP, bytes([number] * 16))
        assert pair.left_link.step() == 8
        assert pair.left_link.counters() == LinkCounters(5, 3, 0, 0, 0)
        pair.right_link.step()
        assert held(pair.right) == [(UP, bytes([number] * 16)) for number in range(5)]


def test_damage_is_counted_and_the_next_step_goes_on() -> None:
    with Pair() as pair:
        pair.left.publish(UP, b"lost")
        pair.left_link.step()
        os.pwrite(pair.up, bytes(40), 256)
        assert pair.right_link.step() == 0
        pair.left.publish(UP, b"next")
        pair.left_link.step()
        assert pair.right_link.step() == 1
        assert held(pair.right) == [(UP, b"next")]
        assert pair.right_link.counters() == LinkCounters(0, 0, 1, 0, 1)


def test_a_link_that_would_go_round_or_never_fit_is_refused() -> None:
    with Pair() as pair:
        pipe, small = pair.left.pipe("out"), create_ring(256, 15)
        with RingWriter(small) as writer, pytest.raises(BusRefused, match="15"):
            RingLink(pair.left, source=FLIGHT, peer=PAYLOAD, outgoing=(pipe, writer))
        os.close(small)
        with pytest.raises(BusRefused, match="out again"):
            RingLink(pair.left, source=FLIGHT, peer=PAYLOAD, outgoing=(pipe, pair.up_writer), accepts={UP})
        for source, peer in ((1, 1), (-1, 2), (1, 65536)):
            with pytest.raises(BusRefused, match="sources"):
                RingLink(pair.left, source=source, peer=peer)
        with pytest.raises(BusRefused, match="a step"):
            RingLink(pair.left, source=1, peer=2, messages_per_step=0)
        assert RingLink(pair.left, source=1, peer=2).step() == 0
