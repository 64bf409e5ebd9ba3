"""The command slot: only declared commands are dispatched, in the slot; and the services can name nothing else."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bindings.errors import SwathError
from flight.services import component as told
from flight.services.arming import Arming, ArmingReason, digest_of
from flight.services.command_set import Command, CommandDefinition
from flight.services.command_slot import MAX_WAITING, CommandSlot, Handler, States
from flight.services.declare import Component, DeclarationInvalid, Event, Field, NumberType
from flight.services.dictionary import describe
from flight.services.events import EventRing
from flight.services.limit_format import Action, Comparison, LimitTable, Watchpoint
from hal.clock import SimulatedClock
from tests.flight.onboard_cases import DEPLOY, NOTE, relative, step
from tests.shared_data import ROOT

BATTERY = Component("battery", 90, telemetry=(Field("volt", "f32", "V"),))
SERVICES = (
    *("command_set", "packed_state", "sequence_format", "sequence_state", "sequences"),
    *("limit_expression", "limit_format", "limits", "arming", "component", "command_slot"),
)


@dataclass
class Bench:
    """A slot with two mission commands that write down what they were given."""

    done: list[tuple[str, Mapping[str, int | float]]] = field(default_factory=list)
    fails: bool = False

    def __post_init__(self) -> None:
        self.events = EventRing(100, SimulatedClock())
        handlers = {NOTE.opcode: self._take("note"), DEPLOY.opcode: self._take("deploy")}
        self.slot = CommandSlot((NOTE, DEPLOY), handlers, {90: BATTERY}, self.events, arming_window_frames=10)

    def _take(self, name: str) -> Handler:
        def take(values: Mapping[str, int | float]) -> bool:
            if self.fails:
                raise SwathError("it does not move")
            self.done.append((name, dict(values)))
            return True

        return take

    def command(self, definition: CommandDefinition, /, **values: int) -> Command:
        return self.slot.commands.command(definition.opcode, **values)

    def send(self, octets: bytes | Command, source: int = 1) -> bool:
        return self.slot.submit(source, octets.pack() if isinstance(octets, Command) else octets)

    def frame(self, frame: int) -> States:
        states = self.slot.decide(frame)
        self.slot.perform(frame)
        return states

    def told(self) -> list[Event]:
        found = []
        for record in self.events.drain(100):
            describe(record)  # every event is in the dictionary, with these types
            here = (told.SEQUENCES, told.LIMITS, told.ARMING)
            component = next(each for each in here if each.number == record.component)
            found.append(next(each for each in component.events if each.number == record.number))
        return found

    def load(self, sequence: object) -> None:
        self.send(told.SEQUENCE_LOAD.opcode.to_bytes(2, "big") + sequence.pack())  # type: ignore[attr-defined]


def arm_octets(bench: Bench, command: Command, number: int) -> Command:
    digest = int.from_bytes(digest_of(command), "big")
    return bench.command(told.ARM, number=number, opcode=command.opcode, digest=digest)


def execute_octets(command: Command, number: int) -> bytes:
    return told.EXECUTE.opcode.to_bytes(2, "big") + number.to_bytes(4, "big") + command.pack()


@given(st.lists(st.tuples(st.integers(1, 255), st.binary(max_size=40)), max_size=12))
def test_any_octets_from_any_source_are_counted_and_told_and_nothing_dangerous_is_done(
    packets: list[tuple[int, bytes]],
) -> None:
    bench = Bench()
    heads = [each.opcode.to_bytes(2, "big") for each in bench.slot.commands]
    for number, (source, octets) in enumerate(packets):
        bench.send(heads[number % len(heads)] + octets if number % 2 else octets, source)
    for frame in range(len(packets) + 1):
        bench.frame(frame)
    bench.told()
    assert "deploy" not in [name for name, _ in bench.done]


def test_commands_are_done_in_the_slot_in_the_order_of_their_coming() -> None:
    bench = Bench()
    for value in (3, 1, 2):
        bench.send(bench.command(NOTE, value=value))
    bench.slot.decide(1)
    assert bench.done == []
    bench.slot.perform(1)
    assert [values["value"] for _, values in bench.done] == [3, 1, 2]


def test_a_full_slot_drops_and_says_so() -> None:
    bench = Bench()
    sent = [bench.send(bench.command(NOTE, value=1)) for _ in range(MAX_WAITING + 1)]
    assert sent.count(False) == 1 == bench.slot.dropped
    assert bench.told() == [told.COMMANDS_DROPPED]


def test_nobody_submits_under_the_source_of_the_satellite_itself() -> None:
    for source in (0, 256):
        with pytest.raises(ValueError, match="source"):
            Bench().send(b"\x0a\x01\0\0\0\1", source)


def test_a_command_without_a_handler_or_a_handler_without_a_command_is_no_slot() -> None:
    for definitions, handlers in (((NOTE,), {}), ((), {NOTE.opcode: lambda values: True})):
        with pytest.raises(DeclarationInvalid):
            CommandSlot(definitions, handlers, {}, EventRing(1, SimulatedClock()), 10)


def test_a_dangerous_command_is_done_only_by_the_two_steps() -> None:
    bench = Bench()
    deploy = bench.command(DEPLOY, panel=1)
    bench.send(deploy)
    bench.frame(1)
    assert bench.done == []
    (record,) = bench.events.drain(9)
    assert (record.component, record.number) == (told.ARMING.number, told.ARMING_REFUSED.number)
    assert record.values[-1] == ArmingReason.NOT_ARMED
    bench.send(arm_octets(bench, deploy, 7))
    bench.send(execute_octets(deploy, 7))
    bench.frame(2)
    assert bench.done == [], "the number is durable first"
    states = bench.slot.decide(3)
    after = Arming(bench.slot.commands, 10)
    after.restore(states.arming)
    assert after.pack_state() == states.arming and b"\0\0\0\x07" in states.arming
    bench.slot.perform(3)
    assert bench.done == [("deploy", {"panel": 1})]
    bench.send(execute_octets(deploy, 7))
    bench.frame(4)
    assert len(bench.done) == 1
    assert bench.told() == [told.COMMAND_ARMED, told.COMMAND_EXECUTED, told.COMMAND_DONE, told.ARMING_REFUSED]


def test_another_command_disarms_and_expiry_is_told() -> None:
    bench = Bench()
    deploy = bench.command(DEPLOY, panel=1)
    bench.send(arm_octets(bench, deploy, 7))
    bench.frame(1)
    bench.send(bench.command(NOTE, value=1))
    bench.send(execute_octets(deploy, 7))
    bench.frame(2)
    assert bench.told() == [told.COMMAND_ARMED, told.DISARMED, told.COMMAND_DONE, told.ARMING_REFUSED]
    bench.send(arm_octets(bench, deploy, 8))
    bench.frame(3)
    bench.frame(14)
    assert bench.told() == [told.COMMAND_ARMED, told.ARMING_EXPIRED]
    assert [name for name, _ in bench.done] == ["note"]


def test_a_limit_starts_a_sequence_that_starts_another_that_is_done() -> None:
    bench = Bench()
    start = bench.command(told.SEQUENCE_START, number=2)
    bench.load(relative(1, step(0, start)))
    bench.load(relative(2, step(1, bench.command(NOTE, value=5))))
    for number in (1, 2):
        bench.send(bench.command(told.SEQUENCE_ENABLE, number=number))
    bench.frame(0)
    low = Watchpoint(90, 0, Comparison.LESS, 6.5, stale_frames=10)
    table = LimitTable((low,), (Action(1, (0,)),)).pack()
    bench.send(told.LIMITS_LOAD.opcode.to_bytes(2, "big") + table)
    bench.frame(1)
    bench.slot.limits.sample(90, (6.0,), 2)
    bench.frame(2)
    for frame in (3, 4):
        bench.frame(frame)
    assert bench.done == [("note", {"value": 5})]
    ended = [told.SEQUENCE_ENDED, told.SEQUENCE_ENDED]
    assert [event for event in bench.told() if event is told.SEQUENCE_ENDED] == ended


def test_a_handler_that_fails_stops_its_sequence_and_is_told() -> None:
    bench = Bench(fails=True)
    bench.load(relative(1, step(0, bench.command(NOTE, value=5)), step(0)))
    bench.send(bench.command(told.SEQUENCE_ENABLE, number=1))
    bench.send(bench.command(told.SEQUENCE_START, number=1))
    for frame in range(3):
        bench.frame(frame)
    assert not bench.slot.sequences.is_running(1)
    assert told.COMMAND_FAILED in bench.told()


def test_a_sequence_cannot_hold_what_arms_executes_or_loads() -> None:
    bench = Bench()
    for command in (
        bench.command(DEPLOY, panel=1),
        bench.command(told.ARM, number=1, opcode=1, digest=1),
        bench.command(told.EXECUTE, number=1),
        bench.command(told.SEQUENCE_LOAD),
        bench.command(told.LIMITS_LOAD),
    ):
        bench.load(relative(1, step(0, command)))
        bench.frame(1)
        assert bench.told() == [told.LOAD_REFUSED]
    assert bench.slot.sequences.loaded == ()


# --- what the services cannot name


def test_the_services_load_no_pixels_no_strips_no_keys_and_no_tenants() -> None:
    names = ", ".join(f"flight.services.{name}" for name in SERVICES)
    ended = subprocess.run(
        [sys.executable, "-c", f"import {names}, sys; print(*sorted(sys.modules))"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = ended.stdout.split()
    assert "flight.services.command_slot" in loaded
    rooms = ("flight.pipeline", "flight.product", "flight.agent", "flight.link", "payload_models", "hal.sensor")
    assert [name for name in loaded if name.startswith(rooms)] == []
    assert {"mmap", "multiprocessing.shared_memory", "socket", "nacl", "cryptography"} & set(loaded) == set()


def test_the_services_open_nothing_and_import_nothing_at_run_time() -> None:
    openers = {"open", "eval", "exec", "__import__", "import_module", "getattr", "setattr", "compile"}
    for name in SERVICES:
        tree = ast.parse((ROOT / "flight" / "services" / f"{name}.py").read_text())
        called = {
            node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute)
        }
        assert called & openers == set(), name
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        assert imported <= {"math", "struct", "operator", "hashlib"}, name


def test_every_argument_of_a_command_is_a_number_of_a_declared_type() -> None:
    for definition in told.SERVICE_COMMANDS:
        assert all(isinstance(argument.type, NumberType) for argument in definition.arguments)
        component = definition.opcode >> 8
        assert component in {each.number for each in (told.SEQUENCES, told.LIMITS, told.ARMING)}
    for kind in ("octets", "text", "bytes", "str"):
        with pytest.raises(DeclarationInvalid):
            CommandDefinition(1, "dump", (Field("area", kind),))
