"""The bus inside a process, against a model of deques, and its account while threads race."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bindings.bus import Batch, Bus, BusCounters, Message, Pipe, PipeDeclaration, Route
from bindings.bus_faults import BufferTooSmall, BusRefused, MessageTooLong, UnknownMessage
from bindings.errors import BindingsError
from bindings.faults import BufferMismatch

SIZES = {3: 0, 40: 5, 41: 16, 65535: 300}
MESSAGES = [Message(id, f"message {id}", size) for id, size in SIZES.items()]


def unbalanced(counters: BusCounters) -> list[object]:
    """Routes whose account does not hold, and pipes that do not hold what their routes say."""
    published = {message.message: message.published for message in counters.messages}
    wrong: list[object] = [
        route
        for route in counters.routes
        if published[route.message] != route.delivered + route.dropped_full + route.dropped_limit + route.waiting
    ]
    for pipe in counters.pipes:
        waiting = sum(route.waiting for route in counters.routes if route.pipe == pipe.pipe)
        if not waiting == pipe.waiting <= pipe.waiting_max:
            wrong.append(pipe)
    return wrong


def only(pipe: Pipe) -> list[tuple[int, int, bytes]]:
    """All that waits."""
    found = []
    while (received := pipe.receive()) is not None:
        found.append(tuple(received))
    return found  # type: ignore[return-value]


# --- the model


@dataclass
class ModelPipe:
    depth: int
    latest: bool
    limits: dict[int, int]
    waiting: deque[tuple[int, int, bytes]] = field(default_factory=deque)
    counts: Counter[tuple[int, str]] = field(default_factory=Counter)
    most: int = 0

    def offer(self, message: int, sequence: int, data: bytes) -> bool:
        same = [item for item in self.waiting if item[0] == message]
        if self.limits[message] and len(same) >= self.limits[message]:
            victim, why = same[0], "limit"
        elif len(self.waiting) == self.depth:
            victim, why = self.waiting[0], "full"
        else:
            victim, why = None, ""
        new = (message, sequence, data)
        if why and not self.latest:
            self.counts[message, why] += 1
            return False
        if victim is not None:
            self.counts[victim[0], why] += 1
            self.waiting.remove(victim)
        self.waiting.append(new)
        self.most = max(self.most, len(self.waiting))
        return True


class AgainstDeques(RuleBasedStateMachine):
    @initialize(data=st.data())
    def declare(self, data: st.DataObject) -> None:
        names = ["telemetry", "events", "recorder"][: data.draw(st.integers(1, 3))]
        self.model: dict[str, ModelPipe] = {}
        routes = []
        for name in names:
            wanted = data.draw(st.lists(st.sampled_from(list(SIZES)), unique=True))
            limits = {message: data.draw(st.integers(0, 4)) for message in wanted}
            self.model[name] = ModelPipe(data.draw(st.integers(1, 6)), data.draw(st.booleans()), limits)
            routes += [Route(message, name, limit) for message, limit in limits.items()]
        pipes = [PipeDeclaration(name, pipe.depth, pipe.latest) for name, pipe in self.model.items()]
        self.bus = Bus(MESSAGES, pipes, routes)
        self.published: Counter[int] = Counter()
        self.refused: Counter[int] = Counter()
        self.unknown = 0
        self.delivered: Counter[tuple[str, int]] = Counter()

    def offered(self, message: int, data: bytes) -> int:
        sequence = self.published[message]
        self.published[message] += 1
        return sum(pipe.offer(message, sequence, data) for pipe in self.model.values() if message in pipe.limits)

    @rule(message=st.sampled_from(list(SIZES)), data=st.binary(max_size=20), kind=st.sampled_from([bytes, bytearray]))
    def publish(self, message: int, data: bytes, kind: type) -> None:
        if len(data) > SIZES[message]:
            with pytest.raises(MessageTooLong):
                self.bus.publish(message, kind(data))
            self.refused[message] += 1
        else:
            assert self.bus.publish(message, kind(data)) == self.offered(message, data)

    @rule(message=st.sampled_from([-1, 0, 39, 65534, 65536, 1 << 31, (1 << 32) + 40]))
    def publish_unknown(self, message: int) -> None:
        with pytest.raises(UnknownMessage):
            self.bus.publish(message, b"x")
        self.unknown += 0 <= message + (1 << 31) < 1 << 32  # others do not reach C

    @rule(items=st.lists(st.tuples(st.sampled_from([*SIZES, 77]), st.binary(max_size=20)), max_size=8))
    def publish_batch(self, items: list[tuple[int, bytes]]) -> None:
        batch = Batch(8, 160)
        assert all(batch.append(message, data) for message, data in items)
        good = 0
        for message, data in items:
            if message == 77:
                self.unknown += 1
            elif len(data) > SIZES[message]:
                self.refused[message] += 1
            else:
                good += 1
                self.offered(message, data)
        assert self.bus.publish_batch(batch) == good

    @rule(rows=st.lists(st.binary(min_size=5, max_size=5), max_size=5))
    def publish_rows(self, rows: list[bytes]) -> None:
        assert self.bus.publish_rows(40, b"".join(rows), 5) == sum(self.offered(40, row) for row in rows)

    def handed_out(self, name: str) -> tuple[int, int, bytes]:
        item = self.model[name].waiting.popleft()
        self.delivered[name, item[0]] += 1
        return item

    @rule(data=st.data())
    def receive(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(list(self.model)))
        received = self.bus.pipe(name).receive()
        assert received == (self.handed_out(name) if self.model[name].waiting else None)

    @rule(data=st.data(), room=st.integers(0, 20))
    def receive_into(self, data: st.DataObject, room: int) -> None:
        name = data.draw(st.sampled_from(list(self.model)))
        waiting, buffer = self.model[name].waiting, bytearray(room)
        if not waiting:
            assert self.bus.pipe(name).receive_into(buffer) is None
        elif len(waiting[0][2]) > room:
            with pytest.raises(BufferTooSmall) as refused:
                self.bus.pipe(name).receive_into(buffer)
            assert (refused.value.needed, refused.value.got) == (len(waiting[0][2]), room)
        else:
            message, _, octets = self.handed_out(name)
            assert self.bus.pipe(name).receive_into(buffer) == (message, len(octets))
            assert buffer[: len(octets)] == octets

    @rule(data=st.data(), messages=st.integers(1, 5), size=st.integers(0, 40))
    def receive_batch(self, data: st.DataObject, messages: int, size: int) -> None:
        name = data.draw(st.sampled_from(list(self.model)))
        waiting, batch = self.model[name].waiting, Batch(messages, size)
        expected: list[tuple[int, int, bytes]] = []
        if waiting and len(waiting[0][2]) > size:
            with pytest.raises(BufferTooSmall):
                self.bus.pipe(name).receive_batch(batch)
            return
        while waiting and len(expected) < messages and size >= len(waiting[0][2]):
            size -= len(waiting[0][2])
            expected.append(self.handed_out(name))
        assert self.bus.pipe(name).receive_batch(batch) == len(batch) == len(expected)
        assert [(message, sequence, bytes(octets)) for message, sequence, octets in batch] == expected
        assert batch.take() == [(message, octets) for message, _, octets in expected]

    @invariant()
    def every_counter_is_the_model_s(self) -> None:
        counters = self.bus.counters()
        assert unbalanced(counters) == []
        assert counters.unknown == self.unknown
        routed = {message for pipe in self.model.values() for message in pipe.limits}
        for of in counters.messages:
            published = self.published[of.message]
            assert (of.published, of.refused) == (published, self.refused[of.message])
            assert of.unrouted == (0 if of.message in routed else published)
        for at in counters.pipes:
            assert (at.waiting, at.waiting_max) == (len(self.model[at.pipe].waiting), self.model[at.pipe].most)
        for route in counters.routes:
            pipe = self.model[route.pipe]
            assert route.delivered == self.delivered[route.pipe, route.message]
            assert route.dropped_full == pipe.counts[route.message, "full"]
            assert route.dropped_limit == pipe.counts[route.message, "limit"]
            assert route.waiting == sum(item[0] == route.message for item in pipe.waiting)


AgainstDeques.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_the_bus_does_what_a_model_of_deques_does = AgainstDeques.TestCase


# --- cases worth reading


def test_a_full_pipe_drops_the_new_message_and_one_declared_latest_the_oldest() -> None:
    routes = [Route(40, "first"), Route(40, "newest")]
    bus = Bus(MESSAGES, [PipeDeclaration("first", 2), PipeDeclaration("newest", 2, latest=True)], routes)
    assert [bus.publish(40, bytes([n])) for n in range(4)] == [2, 2, 1, 1]
    assert only(bus.pipe("first")) == [(40, 0, b"\0"), (40, 1, b"\1")]
    assert only(bus.pipe("newest")) == [(40, 2, b"\2"), (40, 3, b"\3")]
    assert [route.dropped_full for route in bus.counters().routes] == [2, 2]


def test_a_flood_of_one_message_leaves_room_for_another_in_a_pipe_with_limits() -> None:
    bus = Bus(MESSAGES, [PipeDeclaration("telemetry", 4)], [Route(40, "telemetry", limit=3), Route(41, "telemetry")])
    for _ in range(100):
        bus.publish(40, b"flood")
    assert bus.publish(41, b"event") == 1
    assert [route.dropped_limit for route in bus.counters().routes] == [97, 0]


def test_the_newest_of_each_kind_waits_in_a_latest_pipe_with_a_limit_of_one() -> None:
    routes = [Route(40, "state", limit=1), Route(41, "state", limit=1)]
    bus = Bus(MESSAGES, [PipeDeclaration("state", 2, latest=True)], routes)
    for n in range(5):
        bus.publish(40, bytes([n]))
        bus.publish(41, bytes([n, n]))
    assert [(message, octets) for message, _, octets in only(bus.pipe("state"))] == [(40, b"\4"), (41, b"\4\4")]


def test_a_message_that_its_pipe_is_too_small_for_stays_and_is_taken_later() -> None:
    bus = Bus(MESSAGES, [PipeDeclaration("recorder", 2)], [Route(65535, "recorder")])
    bus.publish(65535, bytes(range(200)) + bytes(100))
    with pytest.raises(BufferTooSmall):
        bus.pipe("recorder").receive_batch(Batch(4, 299))
    batch = Batch(4, 300)
    assert bus.pipe("recorder").receive_batch(batch) == 1
    assert batch.take() == [(65535, bytes(range(200)) + bytes(100))]


def test_a_batch_without_room_says_so_and_keeps_what_it_has() -> None:
    batch = Batch(2, 4)
    assert batch.append(40, b"abc") and not batch.append(40, b"de") and batch.append(40, b"f")
    assert not batch.append(3, b"")  # no third message
    assert batch.take() == [(40, b"abc"), (40, b"f")]


# --- threads


def test_the_account_holds_in_every_reading_while_producers_and_consumers_race() -> None:
    producers, each = 3, 20_000
    messages = [Message(n, f"from {n}", 8) for n in range(producers)]
    pipes = [PipeDeclaration("narrow", 3), PipeDeclaration("newest", 3, latest=True), PipeDeclaration("wide", 64)]
    routes = [Route(n, pipe.name, limit=(n + 2) % 3) for n in range(producers) for pipe in pipes]
    bus = Bus(messages, pipes, routes)
    seen: dict[str, list[tuple[int, int]]] = {pipe.name: [] for pipe in pipes}
    wrong: list[object] = []
    over = threading.Event()

    def produce(message: int) -> None:
        for n in range(each):
            bus.publish(message, n.to_bytes(8, "little"))

    def consume(name: str) -> None:
        batch = Batch(5, 40)
        while True:
            last = over.is_set()
            while bus.pipe(name).receive_batch(batch):
                for message, sequence, octets in batch:
                    seen[name].append((message, sequence))
                    if int.from_bytes(octets, "little") != sequence:
                        wrong.append((name, message, sequence, bytes(octets)))
            if last:
                return

    def audit() -> None:
        while not over.is_set():
            wrong.extend(unbalanced(bus.counters()))

    makers = [threading.Thread(target=produce, args=(n,)) for n in range(producers)]
    others = [threading.Thread(target=consume, args=(pipe.name,)) for pipe in pipes] + [threading.Thread(target=audit)]
    for thread in makers + others:
        thread.start()
    for thread in makers:
        thread.join(30)
    over.set()
    for thread in others:
        thread.join(30)
    assert wrong == []
    counters = bus.counters()
    assert unbalanced(counters) == []
    assert [of.published for of in counters.messages] == [each] * producers
    for route in counters.routes:
        sequences = [sequence for message, sequence in seen[route.pipe] if message == route.message]
        assert sequences == sorted(set(sequences)), "a message came twice, or before an older one"
        assert (route.delivered, route.waiting) == (len(sequences), 0)
        assert route.delivered + route.dropped_full + route.dropped_limit == each


# --- what is refused


@pytest.mark.parametrize(
    ("messages", "pipes", "routes"),
    [
        ([Message(1, "a", 5), Message(1, "b", 5)], [], []),
        ([Message(65536, "a", 5)], [], []),
        ([Message(-1, "a", 5)], [], []),
        ([Message(1, "a", 65536)], [], []),
        ([Message(1, "a", -1)], [], []),
        ([], [PipeDeclaration("p", 0)], []),
        ([], [PipeDeclaration("p", 65537)], []),
        ([], [PipeDeclaration("p", 1), PipeDeclaration("p", 1)], []),
        ([], [PipeDeclaration("p", 1)], [Route(1, "p")]),
        ([Message(1, "a", 5)], [], [Route(1, "p")]),
        ([Message(1, "a", 5)], [PipeDeclaration("p", 1)], [Route(1, "p", -1)]),
        ([Message(1, "a", 5)], [PipeDeclaration("p", 1)], [Route(1, "p"), Route(1, "p", 2)]),
        ([Message(1, "a", 65535)], [PipeDeclaration("p", 65536)], [Route(1, "p")]),
        ([Message(n, "a", 1) for n in range(4097)], [], []),
    ],
)
def test_a_declaration_that_does_not_hold_together_is_refused(
    messages: list[Message], pipes: list[PipeDeclaration], routes: list[Route]
) -> None:
    with pytest.raises(BusRefused) as refused:
        Bus(messages, pipes, routes)
    assert isinstance(refused.value, BindingsError) and isinstance(refused.value, ValueError)


def test_errors_carry_their_numbers() -> None:
    bus = Bus(MESSAGES, [PipeDeclaration("p", 1)], [Route(40, "p")])
    with pytest.raises(MessageTooLong) as long:
        bus.publish(40, bytes(6))
    assert long.value.numbers() == {"message": 40, "octets": 6, "max_octets": 5}
    with pytest.raises(MessageTooLong):
        bus.publish_rows(40, bytes(12), 6)
    with pytest.raises(UnknownMessage) as unknown:
        bus.publish_rows(9, bytes(12), 6)
    assert unknown.value.numbers() == {"message": 9} and str(unknown.value) == "message 9 is not declared"
    with pytest.raises(BufferMismatch):
        bus.publish_rows(40, bytes(11), 5)
    with pytest.raises(BufferMismatch):
        bus.publish(40, "text")  # type: ignore[arg-type]
    with pytest.raises(BufferMismatch):
        bus.pipe("p").receive_into(b"read-only")
    with pytest.raises(BusRefused):
        Batch(0, 5)


def test_a_bus_of_nothing_and_a_message_of_nothing_are_whole() -> None:
    assert Bus([], [], []).counters() == BusCounters((), (), (), 0)
    bus = Bus(MESSAGES, [PipeDeclaration("p", 1)], [Route(3, "p")])
    assert bus.publish(3, b"") == 1
    assert only(bus.pipe("p")) == [(3, 0, b"")]
    assert bus.publish(41, b"nobody listens") == 0
    assert bus.counters().messages[2].unrouted == 1
