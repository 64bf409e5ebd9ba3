"""Flips in the memory of the table that flies: mended where two of three agree, and never flown unnoticed."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flight.executive.activity_task import Task
from flight.executive.component import GROUP_SWITCHED, TABLE_DAMAGED, TABLE_MENDED, TABLE_NOT_RESTORED
from flight.executive.errors import ScheduleRefused
from flight.executive.modes import Mode
from flight.executive.schedule import Criticality, ScheduleTable
from flight.executive.table_desk import GROUP_SWITCH, TABLE_COMMANDS, TABLE_GIVE_UP, TABLE_STAGE, TableDesk
from flight.executive.table_guard import Finding
from flight.executive.table_set import StagingRefused, TableSet
from flight.services.journal import JournalFull
from flight.services.records import RecordKind
from tests.flight.test_loop import entry
from tests.flight.test_loop_tables import MAJOR, NEW, OLD, Bench, table

NAMES = ("a", "b", "c", "heart")
NUMBERS = ("period", "phase", "slot", "wcet_us", "deadline_us")
DERIVED = ("wcet_ns", "cost_ns", "deadline_ns", "number", "critical", "sheds", "bit", "period", "criticality")


def four_entries() -> ScheduleTable:
    return table(
        OLD,
        entry("a", 2, wcet_us=300),
        entry("b", slot=1, modes=("nominal", "safe")),
        entry("c", 5, phase=3, slot=2),
        entry("heart", slot=3, criticality=Criticality.CRITICAL, modes=("nominal", "safe")),
    )


def as_flown(tables: TableSet) -> list[tuple[Any, ...]]:
    seen = ("entry", "activity", "modes", "flown_modes", *DERIVED)
    return [tuple(getattr(task, name) for name in seen) for task in tables.tasks]


def pass_over(tables: TableSet) -> list[Finding]:
    return [tables.scrub() for _ in tables.tasks]


def flip(task: Task, what: str, bit: int) -> None:
    """As a particle does it: the object is another one, its type stays."""
    if what in NUMBERS:
        task.entry = replace(task.entry, **{what: getattr(task.entry, what) ^ 1 << bit})
    elif what == "modes":
        task.modes = task.modes ^ {Mode(bit % len(Mode))}
    elif what == "flown_modes":
        task.flown_modes = task.flown_modes ^ {Mode(bit % len(Mode))}
    elif what == "names":
        task.entry = replace(task.entry, modes=("boot",))
    elif what == "activity":
        task.entry = replace(task.entry, activity="b" if task.entry.activity != "b" else "c")
    elif what == "function":
        task.activity = flip  # type: ignore[assignment]
    elif what == "criticality":
        task.criticality = Criticality(task.criticality ^ 1)
    elif what in ("critical", "sheds"):
        setattr(task, what, not getattr(task, what))
    else:
        setattr(task, f"{what}", getattr(task, what) ^ 1 << bit)


KINDS = (*NUMBERS, "modes", "flown_modes", "names", "activity", "function", *DERIVED)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 3), st.sampled_from(KINDS), st.integers(0, 40))
def test_any_one_flip_in_an_entry_is_mended_within_one_pass(place: int, what: str, bit: int) -> None:
    bench = Bench(four_entries())
    tables = bench.loop.tables
    before = as_flown(tables)
    flip(tables.tasks[place], what, bit)
    findings = pass_over(tables)
    assert as_flown(tables) == before
    assert set(findings) <= {Finding.SOUND, Finding.ENTRY_MENDED}
    assert pass_over(tables) == [Finding.SOUND] * 4


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 3), st.integers(0, 400), st.booleans())
def test_a_flip_in_the_copy_or_its_checksum_is_mended_from_the_entry(place: int, bit: int, in_sum: bool) -> None:
    bench = Bench(four_entries())
    tables = bench.loop.tables
    before = as_flown(tables)
    guard = tables._active.guard
    if in_sum:
        guard._sums[place] ^= 1 << bit % 32
    else:
        copy = bytearray(guard._copies[place])
        copy[bit // 8 % len(copy)] ^= 1 << bit % 8
        guard._copies[place] = bytes(copy)
    assert sorted(pass_over(tables)) == [Finding.SOUND] * 3 + [Finding.COPY_MENDED]
    assert as_flown(tables) == before
    assert pass_over(tables) == [Finding.SOUND] * 4


def test_an_entry_beyond_repair_is_told_once_and_not_started_any_more() -> None:
    bench = Bench(four_entries())
    desk = Desk(bench)
    desk.desk.bind(bench.loop.tables)
    tables = bench.loop.tables
    bench.fly_to(3)
    tables.tasks[1].wcet_ns ^= 1
    tables._active.guard._copies[1] = tables._active.guard._copies[1][:-1] + b"?"
    for _ in range(10):
        desk.desk.step(bench.loop._context)
    before = bench.frames_of("b")
    bench.fly_to(13)
    assert bench.frames_of("b") == before
    assert bench.frames_of("heart")[-1] == 13
    assert bench.modes.mode is Mode.SAFE
    seen = [record.number for record in bench.events.drain(1000)]
    assert seen.count(TABLE_DAMAGED.number) == 1


def test_the_frames_go_on_over_a_damaged_entry_and_it_is_told() -> None:
    bench = Bench(four_entries())
    desk = Desk(bench)
    desk.desk.bind(bench.loop.tables)
    bench.fly_to(9)
    first = bench.loop.tables.tasks[0]
    first.entry = replace(first.entry, period=1 << 20)
    first.period = 1 << 20
    bench.fly_to(19)
    assert bench.frames_of("a") == [0, 2, 4, 6, 8]
    desk.desk.step(bench.loop._context)
    desk.desk.step(bench.loop._context)
    bench.fly_to(29)
    assert bench.frames_of("a")[-5:] == [20, 22, 24, 26, 28]
    assert bench.loop.tables.mended == 1
    told = [record.values for record in bench.events.drain(1000) if record.number == TABLE_MENDED.number]
    assert told == [(0x1111111111111111, 0, Finding.ENTRY_MENDED, 1)]


def test_every_field_of_a_task_is_either_guarded_or_state() -> None:
    state = {"counters", "pending", "raises_in_a_row", "disabled", "offender"}
    assert {field.name for field in fields(Task)} == state | {"entry", "activity", "modes", "flown_modes", *DERIVED}


# --- the desk --------------------------------------------------------------------------------------------------------


class Desk:
    """A desk over a list of records."""

    def __init__(self, bench: Bench, *others: ScheduleTable, configured: ScheduleTable | None = None) -> None:
        self.records: list[tuple[RecordKind, bytes]] = []
        self.full = False
        first = configured if configured is not None else bench.loop.table
        self.desk = TableDesk(first, others, self.append, bench.events, bench.modes)

    def append(self, kind: RecordKind, payload: bytes) -> int:
        if self.full:
            raise JournalFull(len(payload), 0, 0)
        self.records.append((kind, payload))
        return len(self.records)

    def command(self, opcode: int, **values: int) -> bool:
        return self.desk.handlers()[opcode](values)


def test_a_table_is_staged_by_the_first_octets_of_its_hash_and_a_restart_begins_with_it() -> None:
    old, new = table(OLD, entry("a")), table(NEW, entry("b"))
    bench = Bench(old)
    desk = Desk(bench, new)
    assert desk.desk.first() is old
    desk.desk.bind(bench.loop.tables)
    bench.fly_to(2)
    assert set(desk.desk.handlers()) == {command.opcode for command in TABLE_COMMANDS}
    assert not desk.command(TABLE_STAGE.opcode, table=0x3333333333333333)
    assert desk.command(TABLE_STAGE.opcode, table=0x2222222222222222)
    bench.fly_to(20)
    desk.desk.step(bench.loop._context)
    assert not desk.records, "it is on probation"
    bench.fly_to(30)
    desk.full = True
    desk.desk.step(bench.loop._context)
    assert not desk.records
    desk.full = False
    for _ in range(3):
        desk.desk.step(bench.loop._context)
    assert [kind for kind, _ in desk.records] == [RecordKind.TABLE], "once"
    again = Desk(Bench(old), new)
    again.desk.replay(desk.records[0][1])
    assert again.desk.first() is new


def test_a_restart_begins_with_the_configured_table_when_that_or_what_is_on_board_has_changed() -> None:
    old, new, third = table(OLD, entry("a")), table(NEW, entry("b")), table("3" * 64, entry("c"))
    bench = Bench(old)
    desk = Desk(bench, new)
    desk.desk.bind(bench.loop.tables)
    desk.command(TABLE_STAGE.opcode, table=0x2222222222222222)
    bench.fly_to(30)
    desk.desk.step(bench.loop._context)
    record = desk.records[0][1]
    changed = Desk(Bench(old), old, new, configured=third)
    changed.desk.replay(record)
    assert changed.desk.first() is third
    other = Bench(old)
    gone = Desk(other)
    gone.desk.replay(record)
    assert gone.desk.first() is old
    assert [event.number for event in other.events.drain(10)] == [TABLE_NOT_RESTORED.number]
    damaged = Desk(Bench(old), new)
    for octets in (b"", b"\x00", b"\x82\x01\x02", record[:-1]):
        damaged.desk.replay(octets)
    assert damaged.desk.first() is old


def test_a_table_that_does_not_fit_or_has_other_frames_is_refused_before_the_first_frame() -> None:
    old = table(OLD, entry("a"))
    with pytest.raises(ScheduleRefused):
        Desk(Bench(old), table(NEW, entry("b", wcet_us=11_000)))
    with pytest.raises(StagingRefused):
        Desk(Bench(old), replace(table(NEW, entry("b")), minor_us=20_000, major_us=MAJOR * 20_000))


def test_a_group_is_switched_off_and_on_and_stays_so_in_the_next_table() -> None:
    imaging = replace(entry("b", slot=1), group="imaging")
    old, new = table(OLD, entry("a"), imaging), table(NEW, imaging, entry("c", slot=2))
    bench = Bench(old)
    desk = Desk(bench, new)
    desk.desk.bind(bench.loop.tables)
    assert bench.loop.tables.groups == ("imaging",)
    assert not desk.command(GROUP_SWITCH.opcode, group=1, on=0)
    assert not desk.command(GROUP_SWITCH.opcode, group=0, on=2)
    bench.fly_to(2)
    assert desk.command(GROUP_SWITCH.opcode, group=0, on=0)
    bench.fly_to(7)
    assert bench.frames_of("b") == [0, 1, 2]
    assert pass_over(bench.loop.tables) == [Finding.SOUND] * 2
    assert desk.command(TABLE_STAGE.opcode, table=0x2222222222222222)
    bench.fly_to(12)
    assert bench.frames_of("b") == [0, 1, 2]
    assert bench.frames_of("c") == [10, 11, 12]
    assert desk.command(TABLE_GIVE_UP.opcode)
    assert desk.command(GROUP_SWITCH.opcode, group=0, on=1)
    bench.fly_to(14)
    assert bench.frames_of("b") == [0, 1, 2, 13, 14]
    told = [record.values for record in bench.events.drain(1000) if record.number == GROUP_SWITCHED.number]
    assert told == [(0, 0), (0, 1)]
