"""The flight process's side of the file manager: every job that is taken is told to its end, once."""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bindings.crc import crc32c
from flight.file_process import Server
from flight.services import file_component as told
from flight.services.command_set import CommandSet
from flight.services.declare import Event
from flight.services.dictionary import describe
from flight.services.events import EventRecord, EventRing
from flight.services.file_component import FILE_COMMANDS, FILE_OPERATIONS
from flight.services.file_desk import MAX_WAITING, FileDesk, SocketLink
from flight.services.file_protocol import MAX_PACKET, FileReason, Operation, Reply, ReplyKind, Request
from flight.services.file_tree import FolderTree, Kind
from flight.services.file_work import FileWork
from flight.services.path_table import PathTableRefused, pack_paths, path_crc
from hal.clock import SimulatedClock
from tests.flight.descriptors import closed_after_each  # noqa: F401

PATHS = {1: "a", 2: "b", 3: "d", 4: "d/c"}
ENDS = (told.JOB_DONE, told.JOB_FAILED, told.STATED, told.LISTED, told.SUMMED, told.COPIED, told.SPACE)


class PacketsLink:
    """What is sent, and what comes."""

    def __init__(self) -> None:
        self.sent: list[Request] = []
        self.coming: deque[bytes] = deque()
        self.room = True

    def send(self, octets: bytes) -> bool:
        if self.room:
            self.sent.append(Request.unpack(octets))
        return self.room

    def receive(self) -> bytes | None:
        return self.coming.popleft() if self.coming else None

    def close(self) -> None:
        return None

    def says(self, reply: Reply) -> None:
        self.coming.append(reply.pack())

    def hello(self, process: int) -> None:
        self.says(Reply(ReplyKind.HELLO, Operation.PING, 0, numbers=(process, 0, 0)))


class Held:
    """A desk with a table, and what it told."""

    def __init__(self, run: int = 2) -> None:
        self.link, self.events = PacketsLink(), EventRing(200, SimulatedClock())
        self.desk = FileDesk(self.link, self.events, run)
        self.handlers = self.desk.handlers()
        self.desk.load(pack_paths(PATHS))
        self.link.hello(9)
        self.desk.step()
        self.told()

    def ask(self, operation: Operation, **values: int) -> bool:
        return self.handlers[told.FILES.number << 8 | operation](values)

    def told(self) -> list[EventRecord]:
        return self.events.drain(200)

    def said(self) -> list[str]:
        return [describe(record) for record in self.told()]


def values_of(records: list[EventRecord], event: Event) -> list[tuple[int | float, ...]]:
    return [record.values for record in records if record.matches(event)]


# --- refused


def test_commands_are_refused_where_a_slot_is_empty_nobody_answers_or_too_many_wait() -> None:
    held = Held()
    for operation, values in (
        (Operation.STAT, {"slot": 5}),
        (Operation.STAT, {"slot": 0}),
        (Operation.COPY, {"slot": 1, "to": 0}),
        (Operation.COPY, {"slot": 1, "to": 9}),
        (Operation.LIST, {"slot": 9, "first": 0}),
    ):
        assert not held.ask(operation, **values)
        assert values_of(held.told(), told.REFUSED)[0][2] == FileReason.SLOT_EMPTY
    silent = FileDesk(PacketsLink(), held.events, 0)
    assert not silent.handlers()[0x430B]({})
    assert values_of(held.told(), told.REFUSED) == [(Operation.SPACE, 0, FileReason.NO_PROCESS)]
    for _ in range(MAX_WAITING):
        assert held.ask(Operation.SPACE)
    held.told()
    assert not held.ask(Operation.SPACE)
    assert values_of(held.told(), told.REFUSED) == [(Operation.SPACE, 0, FileReason.BUSY)]


def test_a_dangerous_command_means_the_paths_that_were_armed_and_no_others() -> None:
    held = Held()
    assert {each.name for each in FILE_OPERATIONS if each.dangerous} == {
        "file_move_over",
        "file_delete",
        "directory_remove",
    }
    armed = path_crc("a")
    held.desk.load(pack_paths({1: "b", 2: "a"}))  # by another source, between the two steps
    assert not held.ask(Operation.DELETE, slot=1, paths_crc=armed)
    assert not held.ask(Operation.MOVE_OVER, slot=1, to=2, paths_crc=path_crc("a", "b"))
    assert [values[2] for values in values_of(held.told(), told.REFUSED)] == [FileReason.CHANGED] * 2
    assert held.ask(Operation.DELETE, slot=2, paths_crc=armed)
    assert held.ask(Operation.MOVE_OVER, slot=1, to=2, paths_crc=path_crc("b", "a"))


def test_a_table_that_is_refused_is_told_and_the_former_one_stays() -> None:
    held = Held()
    with pytest.raises(PathTableRefused):
        held.desk.load(pack_paths({1: "x"})[:-1])
    assert values_of(held.told(), told.PATHS_REFUSED)
    held.ask(Operation.STAT, slot=1)
    held.desk.step()
    assert held.link.sent[-1].path == "a"


def test_packets_that_are_none_and_replies_of_earlier_runs_change_nothing() -> None:
    held = Held(run=2)
    held.ask(Operation.CRC, slot=1)
    held.desk.step()
    held.told()
    held.link.coming.append(b"nonsense")
    held.link.says(Reply(ReplyKind.DONE, Operation.CRC, 1 << 16 | 1))  # the first job of the run before
    held.link.says(Reply(ReplyKind.DONE, Operation.DELETE, 2 << 16 | 1))
    held.desk.step()
    assert held.said() == [] and held.desk.telemetry()["packets_refused"] == 1
    assert held.desk.telemetry()["job"] == 2 << 16 | 1


# --- told


def test_what_became_of_each_job_is_told_with_its_numbers() -> None:
    held = Held(run=0)
    for operation, values, numbers, text in (
        (Operation.STAT, {"slot": 1}, (1, 5, 70), "files: file job 1: kind 1, 5 octets, changed at 70 s"),
        (Operation.CRC, {"slot": 1}, (99, 5, 0), "files: file job 2: CRC 99 of 5 octets"),
        (Operation.COPY, {"slot": 1, "to": 2}, (99, 5, 0), "files: file job 3: 5 octets copied, CRC 99"),
        (Operation.SPACE, {}, (5, 9, 2), "files: file job 4: 5 of 9 octets free, 2 in reserve"),
        (Operation.MAKE, {"slot": 3}, (0, 0, 0), "files: file job 5 done: operation 9"),
        (Operation.LIST, {"slot": 0, "first": 3}, (0, 2, 0), "files: file job 6: 0 of 2 entries told"),
    ):
        assert held.ask(operation, **values)
        held.desk.step()
        request = held.link.sent[-1]
        assert (request.operation, request.process) == (operation, 9)
        held.told()
        held.link.says(Reply(ReplyKind.DONE, operation, request.job, numbers=numbers))
        held.desk.step()
        assert held.said() == [text]
    held.ask(Operation.LIST, slot=3, first=16)
    held.desk.step()
    job = held.link.sent[-1].job
    assert held.link.sent[-1].first == 16
    held.told()
    held.link.says(
        Reply(ReplyKind.ENTRY, Operation.LIST, job, numbers=(16, 1 << 63, Kind.DIRECTORY << 56 | (1 << 56) - 1))
    )
    held.link.says(Reply(ReplyKind.FAILED, Operation.LIST, job, 10, 5))
    held.desk.step()
    assert held.said() == [
        f"files: file job 7: entry 16 named {1 << 63}, kind 2, {(1 << 56) - 1} octets",
        "files: file job 7 failed: operation 3, reason 10, errno 5",
    ]
    telemetry = held.desk.telemetry()
    assert (telemetry["done"], telemetry["failed"], telemetry["job"]) == (6, 1, 0)
    assert set(telemetry) == {each.name for each in told.FILES.telemetry}


def test_a_job_waits_while_there_is_no_room_for_it() -> None:
    held = Held()
    held.link.room = False
    held.ask(Operation.SPACE)
    held.desk.step()
    assert held.desk.telemetry()["waiting"] == 1
    held.link.room = True
    held.desk.step()
    assert held.desk.telemetry()["waiting"] == 0 and held.link.sent[-1].operation is Operation.SPACE


def test_the_commands_are_declared_each_once_and_have_their_handlers() -> None:
    commands = CommandSet(FILE_COMMANDS)
    assert {each.opcode >> 8 for each in commands} == {told.FILES.number}
    held = Held()
    assert set(held.handlers) | set(held.desk.loads()) == {each.opcode for each in commands}
    assert all(each.storable is False for each in commands if each.opcode in held.desk.loads())


# --- together with the work


class Together:
    """Desk and file process over a real socket pair, turned by hand."""

    def __init__(self, root: Path) -> None:
        self.root = root
        ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.link = SocketLink(ours)
        self.events = EventRing(4000, SimulatedClock())
        self.run = self.process = 0
        self.begin_desk()
        self.begin_process()

    def begin_desk(self) -> None:
        self.run += 1
        self.desk = FileDesk(self.link, self.events, self.run)
        self.desk.load(pack_paths(PATHS))

    def begin_process(self) -> None:
        self.process += 1
        self.work = FileWork(FolderTree(self.root), 0)
        self.server = Server(self.theirs, self.work, self.process)

    def ask(self, operation: Operation, **values: int) -> bool:
        return self.desk.handlers()[told.FILES.number << 8 | operation](values)

    def turn(self, count: int = 1) -> None:
        for _ in range(count):
            self.desk.step()
            self.server.turn(0.0)

    def close(self) -> None:
        self.desk.close()
        self.theirs.close()


@pytest.fixture
def together(tmp_path: Path) -> Iterator[Together]:
    made = Together(tmp_path)
    yield made
    made.close()


def test_a_file_is_copied_summed_and_deleted(together: Together) -> None:
    (together.root / "a").write_bytes(b"x" * 200_000)
    together.turn(3)
    assert together.ask(Operation.COPY, slot=1, to=2) and together.ask(Operation.CRC, slot=2)
    assert together.ask(Operation.DELETE, slot=1, paths_crc=path_crc("a"))
    together.turn(30)
    crc = crc32c(b"x" * 200_000)
    records = together.events.drain(100)
    assert [values[1:] for values in values_of(records, told.COPIED)] == [(200_000, crc)]
    assert [values[1:] for values in values_of(records, told.SUMMED)] == [(crc, 200_000)]
    assert {each.name: each.read_bytes() for each in together.root.iterdir()} == {"b": b"x" * 200_000}


def test_a_job_whose_process_ends_is_told_lost_and_is_not_done_by_the_next_one(together: Together) -> None:
    together.turn(3)
    assert together.ask(Operation.MAKE, slot=3)
    together.desk.step()  # it is in the socket, and the process ends before it reads it
    together.begin_process()
    together.turn(5)
    records = together.events.drain(100)
    assert [values[2] for values in values_of(records, told.JOB_FAILED)] == [FileReason.LOST]
    assert values_of(records, told.WORKER_BEGAN) == [(2, 1)]
    assert not (together.root / "d").exists()
    assert together.ask(Operation.MAKE, slot=3)
    together.turn(5)
    assert (together.root / "d").is_dir()


def test_jobs_are_cancelled_while_they_wait_and_while_they_are_at_work(together: Together) -> None:
    (together.root / "a").write_bytes(bytes(1 << 20))
    together.turn(3)
    assert not together.ask(Operation.CANCEL, job=0)
    assert together.ask(Operation.COPY, slot=1, to=2) and together.ask(Operation.SPACE)
    together.turn(3)
    assert together.ask(Operation.CANCEL, job=0)
    together.turn(3)
    failed = values_of(together.events.drain(100), told.JOB_FAILED)
    assert sorted(values[1:3] for values in failed) == [
        (Operation.COPY, FileReason.CANCELLED),
        (Operation.SPACE, FileReason.CANCELLED),
    ]
    assert [each.name for each in together.root.iterdir()] == ["a"]


def test_requests_that_are_none_are_left_out_and_a_reader_that_is_gone_holds_nothing(together: Together) -> None:
    together.turn(3)
    for octets in (b"nonsense", b"\xff" * 15, bytes(MAX_PACKET)):
        together.link.send(octets)
        together.server.turn(0.0)
    for _ in range(5000):
        together.server.hello()  # nobody reads: what there is no room for is dropped
    together.desk.step()
    assert together.ask(Operation.SPACE)


class Restarts(RuleBasedStateMachine):
    """Commands, cancels and restarts of both sides in any order: each job that was taken has one end in its run."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        (self.folder / "a").write_bytes(bytes(150_000))
        self.both = Together(self.folder)
        self.both.turn(3)
        self.taken: set[int] = set()
        self.ended: list[int] = []

    def teardown(self) -> None:
        self.settle()
        assert sorted(self.ended) == sorted(self.taken)
        self.both.close()
        shutil.rmtree(self.folder)

    def settle(self) -> None:
        self.both.turn(100)
        self.listen()
        assert not self.both.work.busy

    def listen(self) -> None:
        for record in self.both.events.drain(4000):
            if record.matches(told.JOB_BEGAN):
                self.taken.add(int(record.values[0]))
            if any(record.matches(event) for event in ENDS):
                self.ended.append(int(record.values[0]))
        self.both.events = self.both.desk._events = EventRing(4000, SimulatedClock())  # a squelch of its own each time

    @rule(slot=st.sampled_from(tuple(PATHS)), to=st.sampled_from(tuple(PATHS)), operation=st.sampled_from(Operation))
    def command(self, slot: int, to: int, operation: Operation) -> None:
        if operation in (Operation.PING, Operation.CANCEL):
            return
        definition = next(each for each in FILE_OPERATIONS if each.opcode & 0xFF == operation)
        given = {"slot": slot, "to": to, "first": 0}
        meant = [PATHS[given[name]] for name in ("slot", "to") if name in {each.name for each in definition.arguments}]
        given["paths_crc"] = path_crc(*meant)
        self.both.ask(operation, **{each.name: given[each.name] for each in definition.arguments})
        self.listen()

    @rule(turns=st.integers(1, 5))
    def work(self, turns: int) -> None:
        self.both.turn(turns)
        self.listen()

    @rule()
    def cancel(self) -> None:
        self.both.ask(Operation.CANCEL, job=0)
        self.listen()

    @rule()
    def process_ends(self) -> None:
        self.both.begin_process()

    @rule()
    def flight_ends(self) -> None:
        self.listen()
        self.taken, self.ended = set(), []
        self.both.begin_desk()
        self.both.turn(60)
        self.listen()

    @invariant()
    def no_job_has_two_ends(self) -> None:
        assert len(set(self.ended)) == len(self.ended)


TestRestarts = Restarts.TestCase
TestRestarts.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


def test_the_link_takes_nothing_from_a_closed_pair() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    link = SocketLink(ours)
    theirs.close()
    assert link.receive() is None and not link.send(b"x")
    with contextlib.closing(link):
        assert link.receive() is None
