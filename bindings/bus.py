"""The bus inside a process: declared messages go by their id to every pipe that is subscribed to it.

Everything is declared when the bus is made; publishing copies into memory that is there, never waits for a
reader, and drops and counts what finds no room. Threads of any priority may publish and receive.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, NoReturn

from bindings.bus_faults import BufferTooSmall, BusRefused, MessageTooLong, UnknownMessage
from bindings.faults import BufferMismatch
from bindings.ffi import Octets, check, ffi, lib, octets


@dataclass(frozen=True, slots=True)
class Message:
    """A kind of message."""

    id: int  # 0..65535
    name: str
    max_octets: int  # 0..65535


@dataclass(frozen=True, slots=True)
class PipeDeclaration:
    """A queue for one reader."""

    name: str
    depth: int  # messages, 1..65536
    latest: bool = False  # full: the oldest is dropped for the new one; else the new one is


@dataclass(frozen=True, slots=True)
class Route:
    """A pipe's subscription to a message."""

    message: int  # id
    pipe: str
    limit: int = 0  # messages of this id that may wait in the pipe; 0: as many as fit


_RECORD: Final = struct.Struct("=iiqq")  # as sw_bus_record in csrc/decl/bus.h: id, length, offset, sequence


class Received(NamedTuple):
    """A message out of a pipe."""

    message: int  # id
    sequence: int  # of this id since the start, from 0: what is missing between two was dropped
    octets: bytes


@dataclass(frozen=True, slots=True)
class MessageCounters:
    message: int  # id
    published: int
    unrouted: int  # of those, with no subscriber
    refused: int  # longer than declared; not published


@dataclass(frozen=True, slots=True)
class PipeCounters:
    pipe: str
    waiting: int
    waiting_max: int  # most that ever waited


@dataclass(frozen=True, slots=True)
class RouteCounters:
    """published of the message == delivered + dropped_full + dropped_limit + waiting in every reading."""

    message: int  # id
    pipe: str
    delivered: int
    dropped_full: int  # of this message, because the pipe was full
    dropped_limit: int  # because of the route's limit
    waiting: int


@dataclass(frozen=True, slots=True)
class BusCounters:
    """All counters of one instant, in the order of the declarations."""

    messages: tuple[MessageCounters, ...]
    pipes: tuple[PipeCounters, ...]
    routes: tuple[RouteCounters, ...]
    unknown: int  # publishes of ids that are not declared


class Batch:
    """Messages one behind the other in memory that is used again: one call into C for all of them."""

    def __init__(self, messages: int, size: int) -> None:
        """Room for so many messages and octets. Raises BusRefused."""
        if not (1 <= messages <= 1 << 20 and 0 <= size <= 1 << 30):
            raise BusRefused(f"a batch holds 1 to {1 << 20} messages and 0 to {1 << 30} octets, got {messages}, {size}")
        self.room, self.size = messages, size
        self.count = 0
        self._used = 0
        self._records = ffi.new("sw_bus_record[]", messages)
        self._octets = ffi.new("uint8_t[]", max(size, 1))
        self.octets = memoryview(ffi.buffer(self._octets, size)).cast("B")

    def append(self, message: int, data: Octets) -> bool:
        """Copy a message to the end. False: there is no room for it."""
        held = octets(data)
        length = len(held)
        if self.count == self.room or self._used + length > self.size:
            return False
        ffi.memmove(self._octets + self._used, held, length)
        record = self._records[self.count]
        record.message, record.length, record.offset, record.sequence = message, length, self._used, 0
        self.count += 1
        self._used += length
        return True

    def clear(self) -> None:
        self.count = self._used = 0

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple[int, int, memoryview]]:
        """(message id, sequence, octets) of each; the octets are valid until the batch is used again."""
        octets = self.octets
        for message, length, offset, sequence in self._entries():
            yield message, sequence, octets[offset : offset + length]

    def take(self) -> list[tuple[int, bytes]]:
        """(message id, octets) of each, as copies."""
        octets = self.octets[: self._used].tobytes()
        return [(message, octets[offset : offset + length]) for message, length, offset, _ in self._entries()]

    def _entries(self) -> Iterator[tuple[int, ...]]:
        return _RECORD.iter_unpack(ffi.buffer(self._records, self.count * _RECORD.size))

    def filled(self, count: int) -> int:
        """C has written so many records."""
        self.count = count
        self._used = 0
        if count:
            last = self._records[count - 1]
            self._used = last.offset + last.length
        return count

    @property
    def address(self) -> tuple[Any, Any]:
        """Records and octets, for C."""
        return self._records, self._octets


class Pipe:
    """The reading end of a queue, for one reader at a time. Made by the bus."""

    def __init__(self, bus: Any, number: int, name: str, max_octets: int) -> None:
        self.name, self.max_octets = name, max_octets
        self._bus, self._number = bus, number
        self._own = ffi.new("char[]", max(max_octets, 1))
        self._reader = ffi.new("sw_bus_reader *", (bus, ffi.cast("uint8_t *", self._own), max_octets, number))
        self._record = self._reader.record
        self._into = ffi.new("sw_bus_reader *", (bus, ffi.NULL, 0, number))
        self._arrived = self._into.record
        self._buffer: Any = None  # the caller's last one, and what keeps it where it is: asked for once
        self._held: Any = None

    def receive(self) -> Received | None:
        """The oldest message, or None."""
        if not check(lib.sw_bus_read(self._reader)):
            return None
        record = self._record
        return Received(record.message, record.sequence, ffi.unpack(self._own, record.length))

    def receive_into(self, buffer: Any) -> tuple[int, int] | None:
        """The oldest message into a writable buffer of the caller's: its id and length; None: none waits.

        The buffer is held until another one is given. Raises BufferTooSmall, and the message stays;
        BufferMismatch.
        """
        if buffer is not self._buffer:
            self._hold(buffer)
        taken = lib.sw_bus_read(self._into)
        record = self._arrived
        if taken == 1:
            return record.message, record.length
        if taken == lib.SW_E_SPACE:
            raise BufferTooSmall(record.length, self._into.capacity)
        check(taken)
        return None

    def receive_batch(self, batch: Batch) -> int:
        """As many as wait and fit, in place of what the batch held. Raises BufferTooSmall where not even one fits."""
        records, room = batch.address
        batch.clear()
        taken = lib.sw_bus_receive_batch(self._bus, self._number, records, batch.room, room, batch.size)
        if taken == lib.SW_E_SPACE:
            raise BufferTooSmall(records[0].length, batch.size)
        return batch.filled(check(taken))

    def _hold(self, buffer: Any) -> None:
        try:
            held = ffi.from_buffer("uint8_t[]", buffer, require_writable=True)
        except (TypeError, ValueError, BufferError) as error:
            raise BufferMismatch("buffer", str(error)) from error
        self._buffer, self._held = buffer, held
        self._into.octets, self._into.capacity = held, len(held)


class Bus:
    """Messages, pipes and routes, fixed for the life of the bus. Not for a forked child."""

    def __init__(self, messages: Sequence[Message], pipes: Sequence[PipeDeclaration], routes: Sequence[Route]) -> None:
        """Raises BusRefused."""
        _check_declarations(messages, pipes, routes)
        self._messages, self._routes = tuple(messages), tuple(routes)
        self._max_octets = {message.id: message.max_octets for message in messages}
        index = {message.id: at for at, message in enumerate(messages)}
        numbers = {pipe.name: at for at, pipe in enumerate(pipes)}
        bus = lib.sw_bus_new(
            ffi.new("sw_bus_message[]", [(message.id, message.max_octets) for message in messages]),
            len(messages),
            ffi.new("sw_bus_pipe[]", [(pipe.depth, pipe.latest) for pipe in pipes]),
            len(pipes),
            ffi.new("sw_bus_route[]", [(index[route.message], numbers[route.pipe], route.limit) for route in routes]),
            len(routes),
        )
        if bus == ffi.NULL:
            raise MemoryError("no memory for the bus")
        self._bus = ffi.gc(bus, lib.sw_bus_free)
        longest = {pipe.name: 0 for pipe in pipes}
        for route in routes:
            longest[route.pipe] = max(longest[route.pipe], self._max_octets[route.message])
        self._pipes = {pipe.name: Pipe(self._bus, at, pipe.name, longest[pipe.name]) for at, pipe in enumerate(pipes)}

    def pipe(self, name: str) -> Pipe:
        """Raises KeyError for a pipe that was not declared."""
        return self._pipes[name]

    def subscriptions(self, pipe: str) -> frozenset[int]:
        """Ids of the messages that are routed to a pipe."""
        return frozenset(route.message for route in self._routes if route.pipe == pipe)

    def publish(self, message: int, data: Octets) -> int:
        """Copy a message into the pipes that are subscribed to it; how many took it.

        Raises UnknownMessage, MessageTooLong, BufferMismatch.
        """
        held = data if type(data) is bytes else octets(data)  # C sees bytes as they are
        try:
            took: int = lib.sw_bus_publish(self._bus, message, held, len(held))
        except OverflowError:
            took = lib.SW_E_ARGUMENT  # beyond every id, and so beyond what C can count
        return took if took >= 0 else self._refused(took, message, len(held))

    def publish_batch(self, batch: Batch) -> int:
        """All messages of a batch, in order; how many were published. The others were refused, and are counted."""
        records, room = batch.address
        return check(lib.sw_bus_publish_batch(self._bus, records, batch.count, room, batch.size))

    def publish_rows(self, message: int, data: Octets, length: int) -> int:
        """Messages of one length, side by side in `data`; how many pipes took one, in sum.

        Raises UnknownMessage, MessageTooLong, BufferMismatch for octets that are no whole number of messages.
        """
        held = data if type(data) is bytes else octets(data)
        count, rest = divmod(len(held), length) if length > 0 else (0, 1)
        if rest:
            raise BufferMismatch("data", f"{len(held)} octets are no whole number of messages of {length}")
        if message not in self._max_octets:
            raise UnknownMessage(message)
        took: int = lib.sw_bus_publish_rows(self._bus, message, held, length, count)
        return took if took >= 0 else self._refused(took, message, length)

    def _refused(self, code: int, message: int, length: int) -> NoReturn:
        if code == lib.SW_E_SPACE:
            raise MessageTooLong(message, length, self._max_octets[message])
        raise UnknownMessage(message)

    def counters(self) -> BusCounters:
        messages = ffi.new("sw_bus_message_count[]", len(self._messages))
        pipes = ffi.new("sw_bus_pipe_count[]", len(self._pipes))
        routes = ffi.new("sw_bus_route_count[]", len(self._routes))
        unknown = lib.sw_bus_counters(self._bus, messages, pipes, routes)
        return BusCounters(
            messages=tuple(
                MessageCounters(message.id, c.published, c.unrouted, c.refused)
                for message, c in zip(self._messages, messages, strict=True)
            ),
            pipes=tuple(
                PipeCounters(name, c.waiting, c.waiting_max) for name, c in zip(self._pipes, pipes, strict=True)
            ),
            routes=tuple(
                RouteCounters(route.message, route.pipe, c.delivered, c.dropped_full, c.dropped_limit, c.waiting)
                for route, c in zip(self._routes, routes, strict=True)
            ),
            unknown=unknown,
        )


def _check_declarations(messages: Sequence[Message], pipes: Sequence[PipeDeclaration], routes: Sequence[Route]) -> None:
    bounds = [("messages", len(messages), 0, lib.SW_BUS_PARTS_MAX), ("pipes", len(pipes), 0, lib.SW_BUS_PARTS_MAX)]
    bounds.append(("routes", len(routes), 0, lib.SW_BUS_PARTS_MAX))
    for message in messages:
        bounds.append((f"id of {message.name}", message.id, 0, lib.SW_BUS_ID_MAX))
        bounds.append((f"octets of {message.name}", message.max_octets, 0, lib.SW_BUS_OCTETS_MAX))
    bounds += [(f"depth of {pipe.name}", pipe.depth, 1, lib.SW_BUS_DEPTH_MAX) for pipe in pipes]
    bounds += [
        (f"limit of message {route.message} in {route.pipe}", route.limit, 0, lib.SW_BUS_DEPTH_MAX) for route in routes
    ]
    for what, number, low, high in bounds:
        if not low <= number <= high:
            raise BusRefused(f"{what}: {low} to {high}, got {number}")
    ids, names = [message.id for message in messages], [pipe.name for pipe in pipes]
    pairs = [(route.message, route.pipe) for route in routes]
    for kind, given in (("message", ids), ("pipe", names), ("route", pairs)):
        twice = next((item for at, item in enumerate(given) if item in given[:at]), None)
        if twice is not None:
            raise BusRefused(f"{kind} {twice!r} is declared twice")
    for route in routes:
        if route.message not in ids or route.pipe not in names:
            raise BusRefused(f"the route of message {route.message} to {route.pipe}: one of them is not declared")
    sizes = {message.id: message.max_octets for message in messages}
    longest = {pipe.name: max((sizes[r.message] for r in routes if r.pipe == pipe.name), default=0) for pipe in pipes}
    total = sum(pipe.depth * (longest[pipe.name] + _SLOT_OCTETS) for pipe in pipes)
    if total > lib.SW_BUS_TOTAL_MAX:
        raise BusRefused(f"the pipes would hold {total} octets, {lib.SW_BUS_TOTAL_MAX} are allowed")


_SLOT_OCTETS = 40  # what C keeps beside the octets of a waiting message, rounding included
