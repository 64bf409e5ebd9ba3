"""The bus: messages of 200 octets from a publisher to a reader, against pyzmq's inproc sockets in the same process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.bus_ring import ring_c_msgs_per_s, ring_python_msgs_per_s
from benchmarks.report import Report
from benchmarks.timing import interleave
from bindings.bus import Batch, Bus, Message, PipeDeclaration, Route

OCTETS = 200
BURST = 256  # messages that wait at most
DECLARED = 64  # messages with a route each, one of which is measured
MEASURED = 7


@dataclass(frozen=True, slots=True)
class Rates:
    """Messages a second in every round, paired."""

    ours: tuple[float, ...]
    theirs: tuple[float, ...]

    def ratios(self) -> list[float]:
        """ours / theirs."""
        return [a / b for a, b in zip(self.ours, self.theirs, strict=True)]


def bus_c_msgs_per_s(rounds: int, *, quick: bool) -> list[float]:
    """Of every round: messages a second that one thread routes by id, copies in, counts, and takes out again, in C.

    Each message goes through the lock, the route, both copies and the counters by itself; C is called once a burst.
    """
    timed = interleave({"c": (turn := _InC(_bursts(quick))).run}, rounds)
    return [turn.messages / seconds for seconds in timed["c"].wall_s]


def bus_python_rates(rounds: int, *, quick: bool) -> Rates:
    """From octets in Python to octets in Python: bursts of 256 `bytes` objects, and as many out again."""
    bursts = _bursts(quick)
    return _against_pyzmq(_Bursts(bursts).run, _ZmqBursts(bursts), rounds)


def bus_python_single_rates(rounds: int, *, quick: bool) -> Rates:
    """The same one by one: a call that publishes, a call that receives (into a buffer of the caller's)."""
    bursts = _bursts(quick)
    return _against_pyzmq(_Single(bursts).run, _ZmqSingle(bursts), rounds)


def run(report: Report, *, rounds: int, quick: bool) -> None:
    """`bus_python_over_pyzmq_inproc` is a ratio of RATES, ours over theirs: unlike elsewhere, higher is better."""
    report.numbers("bus_c_msgs_per_s", bus_c_msgs_per_s(rounds, quick=quick))
    found = bus_python_rates(rounds, quick=quick)
    report.numbers("bus_python_msgs_per_s", found.ours)
    report.numbers("bus_python_over_pyzmq_inproc", found.ratios())
    report.numbers("pyzmq_inproc_msgs_per_s", found.theirs)
    single = bus_python_single_rates(rounds, quick=quick)
    report.numbers("bus_python_single_msgs_per_s", single.ours)
    report.numbers("bus_python_single_over_pyzmq", single.ratios())
    report.numbers("ring_c_msgs_per_s", ring_c_msgs_per_s(rounds, quick=quick))
    report.numbers("ring_python_msgs_per_s", ring_python_msgs_per_s(rounds, quick=quick))


def _bursts(quick: bool) -> int:
    return 10 if quick else 400


def _against_pyzmq(ours: Callable[[], object], theirs: _Zmq, rounds: int) -> Rates:
    with theirs:
        timed = interleave({"ours": ours, "theirs": theirs.run}, rounds)
    messages = theirs.bursts * BURST
    return Rates(
        tuple(messages / seconds for seconds in timed["ours"].wall_s),
        tuple(messages / seconds for seconds in timed["theirs"].wall_s),
    )


class _Bus:
    """A bus as a satellite has it: many messages, of which each has its route."""

    def __init__(self, bursts: int) -> None:
        self.bursts, self.messages = bursts, bursts * BURST
        declared = [Message(id, f"message {id}", 256) for id in range(DECLARED)]
        pipes = [PipeDeclaration("measured", BURST), PipeDeclaration("others", BURST)]
        routes = [Route(id, "measured" if id == MEASURED else "others") for id in range(DECLARED)]
        self.bus = Bus(declared, pipes, routes)
        self.pipe = self.bus.pipe("measured")
        self.message = bytes(range(OCTETS))

    def account(self) -> None:
        """A dropped message would make the rate a lie. Raises RuntimeError."""
        route = self.bus.counters().routes[MEASURED]
        if route.dropped_full or route.dropped_limit or route.waiting:
            raise RuntimeError(f"not every message arrived: {route}")


class _InC(_Bus):
    def run(self) -> None:
        out, back = Batch(BURST, BURST * OCTETS), Batch(BURST, BURST * OCTETS)
        while out.append(MEASURED, self.message):
            pass
        for _ in range(self.bursts):
            self.bus.publish_batch(out)
            self.pipe.receive_batch(back)
        self.account()


class _Bursts(_Bus):
    def run(self) -> None:
        messages, back = [self.message] * BURST, Batch(BURST, BURST * OCTETS)
        for _ in range(self.bursts):
            self.bus.publish_rows(MEASURED, b"".join(messages), OCTETS)
            self.pipe.receive_batch(back)
            received = back.take()
        if len(received) != BURST or received[-1] != (MEASURED, self.message):
            raise RuntimeError(f"received {len(received)} of {BURST}, the last {received[-1]!r}")
        self.account()


class _Single(_Bus):
    def run(self) -> None:
        publish, receive_into, message, buffer = self.bus.publish, self.pipe.receive_into, self.message, bytearray(256)
        for _ in range(self.messages):
            publish(MEASURED, message)
            receive_into(buffer)
        self.account()


class _Zmq:
    """A pair of sockets with room for a burst, in one thread as ours."""

    def __init__(self, bursts: int) -> None:
        self.bursts, self.message = bursts, bytes(range(OCTETS))

    def __enter__(self) -> _Zmq:
        import zmq

        self.context = zmq.Context()
        self.sender, self.receiver = self.context.socket(zmq.PAIR), self.context.socket(zmq.PAIR)
        for socket in (self.sender, self.receiver):
            socket.set_hwm(4 * BURST)
        self.sender.bind("inproc://bus")
        self.receiver.connect("inproc://bus")
        return self

    def __exit__(self, *_: object) -> None:
        self.context.destroy(linger=0)

    def run(self) -> None:
        raise RuntimeError("one of the two below runs")


class _ZmqBursts(_Zmq):
    def run(self) -> None:
        send, receive, messages = self.sender.send, self.receiver.recv, [self.message] * BURST
        for _ in range(self.bursts):
            for message in messages:
                send(message)
            received = [receive() for _ in messages]
        if len(received) != BURST or received[-1] != self.message:
            raise RuntimeError(f"received {len(received)} of {BURST}, the last {received[-1]!r}")


class _ZmqSingle(_Zmq):
    def run(self) -> None:
        send, receive, message = self.sender.send, self.receiver.recv, self.message
        for _ in range(self.bursts * BURST):
            send(message)
            receive()
