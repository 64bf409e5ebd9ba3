"""The critical store and the parameter tables as services: by command, over resets, and with a medium that fails."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bindings.crc import crc32c
from flight.agent.admission import Limits
from flight.config import AgentTable, Device, Devices, Satellite, SatelliteConfig
from flight.executive.health_contact import ContactRule, ContactTimer
from flight.onboard_time import TIME_BLOCK, BusTime
from flight.services import cbor, dictionary
from flight.services import parameter_component as parameters
from flight.services import store_component as store_told
from flight.services.critical_client import CriticalClient, KeeperInvalid
from flight.services.critical_desk import CriticalDesk
from flight.services.critical_format import Block
from flight.services.critical_keeper import AskKind, CriticalKeeper, Outcome
from flight.services.critical_store import CriticalStore
from flight.services.events import EventRing
from flight.services.parameter_desk import ParameterDesk
from flight.services.parameter_table import Parameter, ParameterTable, TableRefused, Values, pack_image
from flight.services.parameters import ImageChoice, ParameterTables
from flight.services.reset_budget import RESET_BUDGET, ResetBudget
from flight.tuned import tune_contact
from flight.tuning import flight_tables
from hal.clock import SimulatedClock
from tests.flight.cut_folder import CutFolder, PowerCut, folder_of

FIRST = ParameterTable(1, "first", (Parameter("a", "u8", "s", 0, 100, 10),))
SECOND = ParameterTable(2, "second", (Parameter("b", "f32", "W", -1.0, 1.0, 0.5), Parameter("c", "u16", "", 1, 9, 5)))
TABLES = (FIRST, SECOND)
OPENED = (TIME_BLOCK, *ParameterTables(TABLES).blocks)
BLOCKS = (RESET_BUDGET, *OPENED)
BOTH = 0b11


class Flight:
    """One life of the flight process over a store that another keeps."""

    def __init__(self, files: CutFolder, *, defaults: bool = False) -> None:
        self.files, self.clock = files, SimulatedClock()
        self.store = CriticalStore(files, BLOCKS)
        self.keeper = CriticalKeeper(self.store, BLOCKS, OPENED)
        self.began(defaults=defaults)

    def began(self, *, defaults: bool = False) -> None:
        """Another flight process, of the same keeper."""
        self.events = EventRing(1000, self.clock)
        self.active: dict[int, Values] = {}
        self.keeper.compare()
        self.client = CriticalClient(socket.socket(fileno=os.dup(self.keeper.begin())))
        self.desk = CriticalDesk(self.client, OPENED, self.events)

        def reader(number: int) -> Callable[[Values], None]:
            return lambda values: self.active.update({number: values})

        tables = {table: reader(table.number) for table in TABLES}
        self.parameters = ParameterDesk(tables, self.desk, self.events, defaults=defaults)
        self.parameters.boundary()

    def ended(self) -> None:
        self.desk.close()
        self.keeper.close()

    def order(self, opcode: int, **values: int | float) -> bool:
        return {**self.desk.handlers(), **self.parameters.handlers()}[opcode](values)

    def turn(self) -> None:
        """The keeper serves, the answer is heard, a frame ends."""
        self.keeper.serve()
        self.desk.step(self.clock.host_s())
        self.parameters.boundary()

    def stage(self, table: ParameterTable, *numbers: int | float) -> None:
        names = (parameter.name for parameter in table.parameters)
        self.parameters.load(pack_image(table, dict(zip(names, numbers, strict=True))))
        assert self.order(parameters.PARAMETER_VALIDATE.opcode, table=table.number)

    def numbers(self) -> list[list[int | float]]:
        return [list(self.active[table.number].values()) for table in TABLES]

    def said(self) -> list[str]:
        return [dictionary.describe(record) for record in self.events.drain(1000)]


@contextmanager
def flying(files: CutFolder) -> Iterator[Flight]:
    flight = Flight(files)
    try:
        yield flight
    finally:
        flight.ended()


def with_both(flight: Flight) -> None:
    flight.stage(FIRST, 20)
    flight.stage(SECOND, -0.5, 7)
    assert flight.order(parameters.PARAMETER_ACTIVATE.opcode, tables=BOTH)


OLD: list[list[int | float]] = [[10], [0.5, 5]]
NEW: list[list[int | float]] = [[20], [-0.5, 7]]
# , [0.5, 5]], [[20], [-0.5, 7]]


def test_what_is_refused_is_told_with_table_reason_and_parameter_and_nothing_changes() -> None:
    with flying(folder_of({})) as flight:
        image = pack_image(SECOND, {"b": 0.0, "c": 30})
        flight.said()
        with pytest.raises(TableRefused):
            flight.parameters.load(image[:-1])
        flight.parameters.load(image)
        for definition, values in (
            (parameters.PARAMETER_VALIDATE, {"table": 2}),
            (parameters.PARAMETER_ACTIVATE, {"tables": 0b10}),
            (parameters.PARAMETER_ACTIVATE, {"tables": 0}),
            (parameters.PARAMETER_RETURN, {"tables": 1 << 40}),
            (parameters.PARAMETER_DUMP, {"table": 1, "image": 9}),
            (parameters.PARAMETER_CRC, {"table": 9, "image": 0}),
        ):
            with pytest.raises(TableRefused):
                flight.order(definition.opcode, **values)
        flight.turn()
        said = [text.removeprefix("parameters: ") for text in flight.said()]
        assert said == [
            "table 2 refused, reason 4, parameter 0, value 0",
            "table 2 staged",
            "table 2 refused, reason 9, parameter 2, value 30",
            "table 2 refused, reason 11, parameter 0, value 0",
            "table 0 refused, reason 15, parameter 0, value 0",
            "table 41 refused, reason 3, parameter 0, value 0",
            "table 1 refused, reason 18, parameter 0, value 0",
            "table 9 refused, reason 3, parameter 0, value 0",
        ]
        assert flight.numbers() == OLD and flight.parameters.refused == 7


def test_two_tables_take_effect_together_between_frames_and_only_when_they_are_kept() -> None:
    files = folder_of({})
    with flying(files) as flight:
        with_both(flight)
        flight.parameters.boundary()
        flight.desk.step(0.0)
        assert flight.numbers() == OLD and flight.parameters.pending
        flight.turn()
        assert flight.numbers() == NEW and not flight.parameters.pending
        crc = crc32c(flight.parameters.tables.dump(1))
        assert f"parameters: table 1 is active, CRC {crc}, returned to 0" in flight.said()
        assert flight.order(parameters.PARAMETER_DUMP.opcode, table=2, image=ImageChoice.PREVIOUS)
        assert [text.rpartition(": ")[2] for text in flight.said()[:2]] == ["0.5", "5"]
        flight.began()
        assert flight.numbers() == NEW, "another flight process goes on with them"
        assert flight.order(parameters.PARAMETER_RETURN.opcode, tables=BOTH)
        flight.turn()
        assert flight.numbers() == OLD
    with flying(folder_of(files.contents())) as flight:
        assert flight.numbers() == OLD


def test_the_golden_configuration_flies_the_defaults_whatever_is_kept() -> None:
    with flying(folder_of({})) as flight:
        with_both(flight)
        flight.turn()
        flight.began(defaults=True)
        assert flight.numbers() == OLD
        flight.began()
        assert flight.numbers() == NEW


def test_a_load_that_the_journal_repeats_stages_nothing() -> None:
    with flying(folder_of({})) as flight:
        flight.parameters = ParameterDesk({FIRST: lambda values: None}, flight.desk, flight.events)
        flight.parameters.load(pack_image(FIRST, {"a": 3}))
        with pytest.raises(TableRefused):
            flight.order(parameters.PARAMETER_VALIDATE.opcode, table=1)


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(1, 8), after=st.booleans(), kept=st.integers(0, 6))
def test_after_a_cut_at_any_write_both_tables_are_old_or_both_are_new(cut: int, after: bool, kept: int) -> None:
    files = folder_of({})
    flight = Flight(files)
    files.cut_at, files.after = files.calls + cut, after
    with_both(flight)
    with pytest.raises(PowerCut):
        flight.keeper.serve()
    flight.ended()
    medium = files.after_cut(kept, lambda durable, seen: seen[: len(seen) // 2])
    with flying(medium) as again:
        assert again.numbers() in (OLD, NEW)
        assert again.parameters.not_restored == 0


def test_a_medium_without_space_gives_the_activation_up_and_the_next_comparison_mends_the_store() -> None:
    files = folder_of({})
    with flying(files) as flight:
        with_both(flight)
        files.fail_at = files.calls + 2
        flight.turn()
        assert flight.numbers() == OLD and not flight.parameters.pending
        said = flight.said()
        assert f"critical_store: {store_told.STORE_FULL.text}" in said
        assert "parameters: tables 3 not activated: the critical store refused them" in said
        files.fail_at = 1 << 30
        assert flight.order(store_told.STORE_SCRUB.opcode)
        flight.turn()
        assert flight.order(parameters.PARAMETER_ACTIVATE.opcode, tables=BOTH), "it is still staged"
        flight.turn()
        assert flight.numbers() == NEW
        assert flight.desk.telemetry(0.0).named()["failures"] == 1


@pytest.mark.parametrize(("copy", "block"), [(0, 2), (1, 2), (0, 0), (1, 1)])
def test_a_flip_is_told_by_block_and_copy_and_mended_in_flight_and_between_flights(copy: int, block: int) -> None:
    files = folder_of({})
    with flying(files) as flight:
        with_both(flight)
        flight.turn()
        name = ("critical.a", "critical.b")[copy]
        sizes = [8 + each.size + 4 for each in BLOCKS]
        at = 6 + 4 * len(BLOCKS) + 4 + sum(sizes[:block]) + 9
        for again in range(2):
            octets = bytearray(files.contents()[name])
            octets[at] ^= 16
            files.write(name, bytes(octets))
            flight.said()
            if again:
                flight.began()
            else:
                flight.clock.advance(11.0)
                flight.turn()
                flight.turn()
            text = f"block {BLOCKS[block].number} was damaged in copy {copy}: mended from the other copy"
            assert f"critical_store: {text}" in flight.said()
            assert flight.desk.mended == 1
            assert files.contents()["critical.a"] == files.contents()["critical.b"]
        assert flight.numbers() == NEW


def test_a_table_that_is_lost_in_both_copies_begins_with_its_defaults_and_the_other_is_kept() -> None:
    files = folder_of({})
    with flying(files) as flight:
        with_both(flight)
        flight.turn()
    contents = {name: bytearray(octets) for name, octets in files.contents().items()}
    for octets in contents.values():
        octets[-6] ^= 1
    with flying(folder_of({name: bytes(octets) for name, octets in contents.items()})) as flight:
        assert flight.numbers() == [NEW[0], OLD[1]]
        said = flight.said()
        assert "critical_store: block 258 was damaged in every copy: it holds its default" in said
        assert "parameters: table 2 begins with origin 2, reason 17" in said
        assert flight.parameters.telemetry(0.0).named()["not_restored"] == 1


def test_a_block_is_cleared_for_the_next_start_and_those_of_the_crash_loop_are_not() -> None:
    with flying(folder_of({})) as flight:
        with_both(flight)
        flight.turn()
        assert not flight.order(store_told.STORE_CLEAR.opcode, block=RESET_BUDGET.number)
        assert flight.order(store_told.STORE_CLEAR.opcode, block=257)
        flight.turn()
        assert "critical_store: block 257 cleared: the next start begins with its default" in flight.said()
        flight.began()
        assert flight.numbers() == [OLD[0], NEW[1]]
        assert flight.parameters.not_restored == 0


def test_elapsed_time_goes_on_over_resets_and_begins_anew_where_its_block_is_lost() -> None:
    files = folder_of({})
    with flying(files) as flight:

        def elapsed_s() -> float:
            time.hear(flight.clock.mission_s())
            return time.service.now(time.service.newest_ns).elapsed_ns / 1e9

        time = BusTime(flight.clock, flight.events)
        time.keep(flight.desk)
        flight.turn()
        flight.clock.advance(61.0)
        assert elapsed_s() == 61.0
        flight.desk.step(flight.clock.host_s())
        flight.turn()
        flight.began()
        flight.clock.advance(1000.0)  # off
        time = BusTime(flight.clock, flight.events)
        time.keep(flight.desk)
        flight.clock.advance(5.0)
        assert elapsed_s() == 66.0
        for octets in (b"\0" * TIME_BLOCK.size, TIME_BLOCK.default):
            flight.store.commit({TIME_BLOCK: octets})
            flight.began()
            time = BusTime(flight.clock, flight.events)
            time.keep(flight.desk)
            assert elapsed_s() == 0.0


def test_used_starts_are_told() -> None:
    with flying(folder_of({})) as flight:
        flight.store.commit({RESET_BUDGET: ResetBudget(3, 3).pack()})
        flight.began()
        assert "critical_store: 3 of 3 starts of this level of recovery are used" in flight.said()
        numbers = flight.desk.telemetry(0.0).named()
        assert (numbers["starts"], numbers["starts_limit"], numbers["blocks"]) == (3, 3, 4)


def test_without_a_keeper_defaults_are_flown_and_an_activation_fails() -> None:
    events = EventRing(100, SimulatedClock())
    desk = CriticalDesk(None, OPENED, events)
    active: list[Values] = []
    tables = ParameterDesk({FIRST: active.append}, desk, events)
    tables.boundary()
    tables.load(pack_image(FIRST, {"a": 3}))
    handlers = tables.handlers()
    assert handlers[parameters.PARAMETER_VALIDATE.opcode]({"table": 1})
    assert not handlers[parameters.PARAMETER_ACTIVATE.opcode]({"tables": 1})
    desk.step(0.0)
    tables.boundary()
    said = [dictionary.describe(record) for record in events.drain(100)]
    assert f"critical_store: {store_told.STORE_ABSENT.text}" in said
    assert [dict(values) for values in active] == [{"a": 10}]
    assert not desk.handlers()[store_told.STORE_SCRUB.opcode]({})


@given(octets=st.binary(max_size=60))
def test_whatever_comes_to_the_keeper_or_the_client_is_refused_and_serving_goes_on(octets: bytes) -> None:
    with flying(folder_of({})) as flight:
        generation = flight.store.generation
        flight.client._connection.send(octets or b"\0")
        flight.keeper.serve()
        assert flight.store.generation == generation
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs:
            ours.send(octets or b"\0")
            with pytest.raises(KeeperInvalid):
                CriticalClient(theirs)


def test_a_block_that_was_not_opened_is_not_committed() -> None:
    with flying(folder_of({})) as flight:
        held = flight.store.read(RESET_BUDGET)
        for body in ([[RESET_BUDGET.number, b"\0" * 8]], [[257, b"short"]], [[257]], 5):
            flight.client._connection.send(cbor.encode([7, int(AskKind.COMMIT), body]))
            flight.keeper.serve()
            assert cbor.decode(flight.client._connection.recv(4096))[:2] == [7, int(Outcome.REFUSED)]
        assert flight.store.read(RESET_BUDGET) == held


class Commands(RuleBasedStateMachine):
    """Any order of commands, resets and failures: what is active is what was kept last, in all tables together."""

    @initialize()
    def begin(self) -> None:
        self.flight = Flight(folder_of({}))
        self.active = [list(numbers) for numbers in OLD]
        self.previous = [list(numbers) for numbers in OLD]
        self.staged: dict[int, list[int | float]] = {}

    @rule(a=st.integers(0, 120))
    def load_first(self, a: int) -> None:
        self.flight.parameters.load(pack_image(FIRST, {"a": a}))
        self._validate(1, [a], a <= 100)

    @rule(c=st.integers(0, 12))
    def load_second(self, c: int) -> None:
        self.flight.parameters.load(pack_image(SECOND, {"b": 0.25, "c": c}))
        self._validate(2, [0.25, c], 1 <= c <= 9)

    def _validate(self, number: int, numbers: list[int | float], good: bool) -> None:
        self.staged.pop(number, None)
        try:
            assert self.flight.order(parameters.PARAMETER_VALIDATE.opcode, table=number) and good
            self.staged[number] = numbers
        except TableRefused:
            assert not good

    @rule(tables=st.sampled_from([1, 2, 3]), space=st.booleans())
    def activate(self, tables: int, space: bool) -> None:
        named = [number for number in (1, 2) if tables >> (number - 1) & 1]
        try:
            assert self.flight.order(parameters.PARAMETER_ACTIVATE.opcode, tables=tables)
        except TableRefused:
            assert any(number not in self.staged for number in named)
            return
        assert all(number in self.staged for number in named)
        if not space:
            self.flight.files.fail_at = self.flight.files.calls + 1  # nothing of it reaches the medium
        self.flight.turn()
        self.flight.files.fail_at = 1 << 30
        if not space:
            assert self.flight.order(store_told.STORE_SCRUB.opcode)
            self.flight.turn()
            return
        for number in named:
            self.previous[number - 1] = self.active[number - 1]
            self.active[number - 1] = self.staged.pop(number)

    @rule(tables=st.sampled_from([1, 2, 3]))
    def go_back(self, tables: int) -> None:
        assert self.flight.order(parameters.PARAMETER_RETURN.opcode, tables=tables)
        self.flight.turn()
        for index in (0, 1):
            if tables >> index & 1:
                self.active[index], self.previous[index] = self.previous[index], self.active[index]

    @rule(copy=st.sampled_from(["critical.a", "critical.b"]), place=st.integers(0, 10_000), bit=st.integers(0, 7))
    def flip(self, copy: str, place: int, bit: int) -> None:
        octets = bytearray(self.flight.files.contents()[copy])
        octets[place % len(octets)] ^= 1 << bit
        self.flight.files.write(copy, bytes(octets))

    @rule()
    def compare(self) -> None:
        assert self.flight.order(store_told.STORE_SCRUB.opcode)
        self.flight.turn()

    @rule()
    def reset(self) -> None:
        self.flight.client.close()
        self.flight.began()
        self.staged.clear()

    @invariant()
    def active_is_what_was_kept(self) -> None:
        assert self.flight.numbers() == self.active

    def teardown(self) -> None:
        if hasattr(self, "flight"):
            self.flight.ended()


TestCommands = Commands.TestCase
TestCommands.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)


def flown_config() -> SatelliteConfig:
    device = Device(driver="none")
    devices = Devices(sensor=device, radio=device, navigation=device, power=device, platform=device)
    return SatelliteConfig(
        satellite=Satellite(name="a", spacecraft=1), devices=devices, agent=AgentTable(minimum_charge=0.42)
    )


def test_the_flown_tables_begin_with_what_the_configuration_and_the_rooms_declare() -> None:
    agent, contact, _ = flight_tables(flown_config())
    limits = Limits(strip_s=1.0)
    assert dict(agent.defaults()) == {
        "minimum_charge": 0.42,
        "max_captures": limits.max_captures,
        "max_inferences": limits.max_inferences,
        "max_transfers": limits.max_transfers,
    }
    events = EventRing(10, SimulatedClock())
    timer = ContactTimer(ContactRule(((1.0, ContactRule().action(0)),)), None, lambda state: None, print, events, 0.0)
    tune_contact(timer)(contact.defaults())
    assert timer._rule == ContactRule()
    tune_contact(timer)({parameter.name: parameter.minimum for parameter in contact.parameters})
    assert timer._rule.due_s(1) == 7200.0


def test_block_numbers_of_the_flown_tables_are_none_of_the_supervisors() -> None:
    opened: tuple[Block, ...] = ParameterTables(flight_tables(flown_config())).blocks
    assert [block.number for block in opened] == [257, 258, 259]
