"""Commands in the cycle: on the journal before they are done, done at most once, whatever ends the process and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from flight.agent.telecommand import Telecommand, TelecommandDesk
from flight.command_activity import MAX_HEARD, CommandActivity
from flight.component import SATELLITE, STATES_NOT_RESTORED, TELECOMMAND_REFUSED, TELECOMMAND_TAKEN
from flight.executive.frame_context import FrameContext
from flight.executive.modes import Mode, ModeManager
from flight.executive.telecommands import EXECUTIVE_COMMANDS, executive_handlers
from flight.services import component as told
from flight.services.arming import digest_of
from flight.services.command_set import Command
from flight.services.declare import Event
from flight.services.events import EventRing
from flight.services.journal import JournalFull
from flight.services.limit_format import Action, Comparison, LimitTable, Watchpoint
from flight.services.records import RecordKind
from flight.services.sequence_format import StepFlag
from flight.services.telemetry import TelemetryPacket
from hal.clock import SimulatedClock
from tests.flight.agent.world import KEYS, MISSION, T0
from tests.flight.onboard_cases import DEPLOY, NOTE, note, relative, step

MINOR_US = 10_000
SPACECRAFT = 42


@dataclass
class HeldJournal:
    """A journal whose records become durable when the test says so."""

    records: list[tuple[RecordKind, bytes]] = field(default_factory=list)
    durable: int = 0
    full: bool = False

    @property
    def sequence(self) -> int:
        return len(self.records)

    def append(self, kind: RecordKind, payload: bytes) -> int:
        if self.full:
            raise JournalFull(len(payload), 0, 0)
        self.records.append((kind, payload))
        return len(self.records)


class Flight:
    """Runs of the flight software over one journal; what was done is written down across all of them."""

    def __init__(self) -> None:
        self.journal = HeldJournal()
        self.clock = SimulatedClock(T0)
        self.done: list[tuple[str, Mapping[str, int | float]]] = []
        self.counter = 0
        self.last_frame = -1
        self.boot()

    def boot(self) -> None:
        del self.journal.records[self.journal.durable :]  # the power took what was not durable
        self.clock.advance_to(self.clock.mission_s() + 3 * MINOR_US / 1e6)
        self.events = EventRing(1000, self.clock)
        self.context = FrameContext(self.clock)
        self.activity = CommandActivity(
            (NOTE, DEPLOY),
            {NOTE.opcode: self._take("note"), DEPLOY.opcode: self._take("deploy")},
            TelecommandDesk(KEYS.mission, SPACECRAFT),
            self.journal,
            self.clock,
            self.events,
            MINOR_US,
        )
        for kind, payload in self.journal.records:
            self.activity.replay(kind, payload)
        self.activity.begin()
        self.frame = 0

    def _take(self, name: str):  # type: ignore[no-untyped-def]
        def take(values: Mapping[str, int | float]) -> bool:
            self.done.append((name, dict(values)))
            return True

        return take

    def send(self, octets: bytes | Command, source: int = 1) -> bytes:
        self.counter += 1
        octets = octets.pack() if isinstance(octets, Command) else octets
        command = Telecommand(self.counter, source, octets, int(T0) + 10**6)
        message = command.sign(MISSION.private, MISSION.key_id, SPACECRAFT)
        self.activity.hear(message)
        return message

    def command(self, definition, /, **values: int) -> Command:  # type: ignore[no-untyped-def]
        return self.activity.slot.commands.command(definition.opcode, **values)

    def run(self, frames: int = 1, *, durable: bool = True) -> None:
        for _ in range(frames):
            self.clock.advance_to(self.clock.mission_s() + MINOR_US / 1e6)
            self.context.begin(self.frame, Mode.NOMINAL, 0)
            self.frame += 1
            self.activity.step(self.context)
            assert self.activity.frame > self.last_frame
            self.last_frame = self.activity.frame
            if durable:
                self.journal.durable = self.journal.sequence

    def said(self, event: Event) -> list[Mapping[str, int | float]]:
        names = [argument.name for argument in event.arguments]
        drained = self.events.drain(1000)
        return [dict(zip(names, record.values, strict=True)) for record in drained if record.matches(event)]

    def notes(self) -> list[int]:
        return [int(values["value"]) for name, values in self.done if name == "note"]


def test_nothing_is_done_before_the_command_and_the_states_are_durable() -> None:
    flight = Flight()
    flight.send(note(5))
    flight.run(20, durable=False)
    assert [kind for kind, _ in flight.journal.records] == [RecordKind.TELECOMMAND]
    flight.journal.durable = 1
    flight.run(20, durable=False)
    assert [kind for kind, _ in flight.journal.records] == [RecordKind.TELECOMMAND, RecordKind.SERVICES]
    assert flight.notes() == []
    flight.journal.durable = 2
    flight.run(1, durable=False)
    assert flight.notes() == [5]
    flight.run(20)
    assert flight.notes() == [5]
    assert flight.said(told.COMMAND_DONE) == [{"opcode": NOTE.opcode, "source": 1}]


def test_what_is_idle_writes_nothing() -> None:
    flight = Flight()
    flight.run(500)
    assert flight.journal.records == []
    flight.send(note())
    flight.run(10)
    written = len(flight.journal.records)
    flight.run(500)
    assert len(flight.journal.records) == written


def test_a_repeated_message_is_refused_also_after_a_restart() -> None:
    flight = Flight()
    message = flight.send(note(1))
    flight.run(5)
    flight.activity.hear(message)
    flight.run(5)
    assert {"counter": 1, "reason": 4} in flight.said(TELECOMMAND_REFUSED)
    flight.boot()
    flight.activity.hear(message)
    flight.run(5)
    assert {"counter": 1, "reason": 4} in flight.said(TELECOMMAND_REFUSED)
    assert flight.notes() == [1]


def test_a_full_journal_loses_nothing_and_does_nothing() -> None:
    flight = Flight()
    flight.journal.full = True
    flight.send(note(3))
    flight.run(10)
    assert flight.notes() == []
    flight.journal.full = False
    flight.run(2)
    flight.journal.full = True  # between the command's record and the states'
    flight.run(10)
    assert flight.notes() == [] or flight.journal.sequence == 2
    flight.journal.full = False
    flight.run(5)
    assert flight.notes() == [3]


def test_a_flood_is_bounded() -> None:
    flight = Flight()
    for value in range(MAX_HEARD + 5):
        flight.send(note(value))
    assert flight.activity.refused == 5
    flight.run(60)
    assert flight.notes() == list(range(MAX_HEARD))
    assert len(flight.said(TELECOMMAND_TAKEN)) > 0


def test_a_dangerous_command_wants_two_steps_and_a_restart_disarms() -> None:
    flight = Flight()
    deploy = flight.command(DEPLOY, panel=2)
    flight.send(deploy)
    flight.run(5)
    assert flight.done == []
    digest = int.from_bytes(digest_of(deploy), "big")
    flight.send(flight.command(told.ARM, number=1, opcode=DEPLOY.opcode, digest=digest))
    flight.run(5)
    flight.boot()
    flight.send(told.EXECUTE.opcode.to_bytes(2, "big") + (1).to_bytes(4, "big") + deploy.pack())
    flight.run(5)
    assert flight.done == []
    flight.send(flight.command(told.ARM, number=1, opcode=DEPLOY.opcode, digest=digest))
    flight.run(5)
    assert flight.said(told.ARMING_REFUSED)  # the number was used before the restart
    flight.send(flight.command(told.ARM, number=2, opcode=DEPLOY.opcode, digest=digest))
    flight.run(5)
    flight.send(told.EXECUTE.opcode.to_bytes(2, "big") + (2).to_bytes(4, "big") + deploy.pack())
    flight.run(5)
    assert flight.done == [("deploy", {"panel": 2})]


def test_a_sequence_goes_on_after_a_restart_and_a_step_that_was_out_is_lost() -> None:
    flight = Flight()
    steps = [step(0, note(1)), step(10, note(2)), step(10, note(3))]
    flight.send(told.SEQUENCE_LOAD.opcode.to_bytes(2, "big") + relative(5, *steps).pack())
    flight.send(flight.command(told.SEQUENCE_ENABLE, number=5))
    flight.send(flight.command(told.SEQUENCE_START, number=5))
    while flight.notes() != [1]:
        flight.run()
    flight.run(3)
    flight.boot()
    flight.run(40)
    assert flight.notes() == [1, 2, 3]


def test_a_limit_on_telemetry_starts_a_sequence() -> None:
    flight = Flight()
    flight.send(told.SEQUENCE_LOAD.opcode.to_bytes(2, "big") + relative(5, step(0, note(9))).pack())
    flight.send(flight.command(told.SEQUENCE_ENABLE, number=5))
    names = [each.name for each in SATELLITE.telemetry]
    low = Watchpoint(SATELLITE.number, names.index("state_of_charge"), Comparison.LESS, 0.2, 1000)
    flight.send(told.LIMITS_LOAD.opcode.to_bytes(2, "big") + LimitTable((low,), (Action(5, (0,)),)).pack())
    flight.run(10)
    for charge in (0.9, 0.1):
        values = dict.fromkeys(names, 0) | {"state_of_charge": charge}
        flight.activity.hear_telemetry(TelemetryPacket.of(SATELLITE, T0, **values))
        flight.run(10)
        assert flight.notes() == ([9] if charge < 0.2 else [])
    flight.boot()
    flight.run(10)
    assert flight.notes() == [9]


def test_damaged_records_are_left_out_and_told() -> None:
    flight = Flight()
    flight.send(note(1))
    flight.run(5)
    for kind, octets in (
        (RecordKind.SERVICES, b"\xff"),
        (RecordKind.TELECOMMAND, b"\x80"),
        (RecordKind.SERVICES, b"\x81\x20"),
    ):
        flight.journal.records.append((kind, octets))
    flight.journal.records.append((RecordKind.SERVICES, b"\x84\x00\x41a\x41b\x41c"))  # sound, and of no service
    flight.journal.durable = flight.journal.sequence
    flight.boot()
    assert [told["state"] for told in flight.said(STATES_NOT_RESTORED)] == [0, 1, 2, 3]
    flight.send(note(2))
    flight.run(5)
    assert flight.notes() == [1, 2]


class AnyEnd(RuleBasedStateMachine):
    """Notes from the ground and of a sequence, records that are durable late, and ends at any place."""

    def __init__(self) -> None:
        super().__init__()
        self.flight = Flight()
        self.sent = 0
        self.started = 0

    @rule()
    def tell(self) -> None:
        self.sent += 1
        self.flight.send(note(self.sent))

    @precondition(lambda self: self.started == 0)
    @rule(flags=st.sampled_from([StepFlag(0), StepFlag.CONTINUE]))
    def load(self, flags: StepFlag) -> None:
        self.started = 1
        steps = [step(3, note(1_000_000 + number), flags=flags) for number in range(4)]
        self.flight.send(told.SEQUENCE_LOAD.opcode.to_bytes(2, "big") + relative(5, *steps).pack())
        self.flight.send(self.flight.command(told.SEQUENCE_ENABLE, number=5))
        self.flight.send(self.flight.command(told.SEQUENCE_START, number=5))

    @rule(frames=st.integers(1, 8), durable=st.booleans())
    def run(self, frames: int, durable: bool) -> None:
        self.flight.run(frames, durable=durable)

    @rule(share=st.floats(0, 1))
    def some_is_durable(self, share: float) -> None:
        journal = self.flight.journal
        journal.durable += int(share * (journal.sequence - journal.durable))

    @rule(full=st.booleans())
    def room(self, full: bool) -> None:
        self.flight.journal.full = full

    @rule()
    def end(self) -> None:
        self.flight.boot()

    @invariant()
    def at_most_once(self) -> None:
        notes = self.flight.notes()
        assert len(set(notes)) == len(notes)

    @invariant()
    def in_their_order(self) -> None:
        of_ground = [value for value in self.flight.notes() if value < 1_000_000]
        assert of_ground == sorted(of_ground)


TestAnyEnd = AnyEnd.TestCase
TestAnyEnd.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


class _Loop:
    def __init__(self) -> None:
        self.enabled: list[str] = []

    def numbers(self) -> dict[str, int]:
        return {"link.send": 4}

    def enable(self, activity: str) -> None:
        self.enabled.append(activity)


@pytest.mark.parametrize(
    ("opcode", "values", "done"),
    [
        (0x0101, {"mode": Mode.SAFE}, True),
        (0x0101, {"mode": 200}, False),
        (0x0102, {"mode": Mode.SAFE, "frames": 10}, True),
        (0x0102, {"mode": Mode.SAFE, "frames": 0}, False),
        (0x0103, {"activity": 4}, True),
        (0x0103, {"activity": 5}, False),
    ],
)
def test_the_executive_is_commanded_by_opcode(opcode: int, values: dict[str, int], done: bool) -> None:
    loop = _Loop()
    modes = ModeManager(EventRing(10, SimulatedClock()))
    handlers = executive_handlers(modes, loop)
    assert {each.opcode for each in EXECUTIVE_COMMANDS} == set(handlers)
    assert handlers[opcode](values) is done
    assert loop.enabled == (["link.send"] if (opcode, done) == (0x0103, True) else [])
    assert modes.wanted is (Mode.SAFE if done and opcode != 0x0103 else Mode.BOOT)
