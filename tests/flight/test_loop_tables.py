"""A table replaced in flight: at a major frame, with its counters, and back again by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flight.executive.component import (
    TABLE_ACTIVATED,
    TABLE_KEPT,
    TABLE_REFUSED,
    TABLE_RETURNED,
    TABLE_STAGED,
)
from flight.executive.errors import ActivityUnknown, ExecutiveError, ScheduleRefused
from flight.executive.frame_context import FrameContext
from flight.executive.frame_source import SimulatedFrames
from flight.executive.health import HealthGate
from flight.executive.loop import FrameLoop
from flight.executive.modes import Mode, ModeManager
from flight.executive.schedule import Criticality, Entry, Overrun, ScheduleTable, analyse
from flight.executive.table_set import StagingRefused
from flight.executive.table_swap import Misbehaviour, Probation, Refusal
from flight.services.events import EventRing
from hal.clock import SimulatedClock
from tests.flight.test_loop import MINOR_US, entry

MAJOR = 10  # frames
OLD, NEW = "1" * 64, "2" * 64
TABLE_EVENTS = {
    event.number: event for event in (TABLE_STAGED, TABLE_ACTIVATED, TABLE_KEPT, TABLE_RETURNED, TABLE_REFUSED)
}
SHORT = Probation(15, 3)


def table(hash_: str, *entries: Entry) -> ScheduleTable:
    return ScheduleTable(f"table {hash_[0]}", MAJOR * MINOR_US, MINOR_US, 40, 500, entries, hash_)


class Bench:
    """A loop with the activities a, b, c and heart; `spends` is what each takes in microseconds from now on."""

    def __init__(self, first: ScheduleTable, probation: Probation = SHORT) -> None:
        self.clock = SimulatedClock(1.7e9)
        self.events = EventRing(1000, self.clock)
        self.frames = SimulatedFrames(self.clock, MINOR_US)
        self.modes = ModeManager(self.events, Mode.NOMINAL)
        self.health = HealthGate(self.events)
        self.spends: dict[str, int] = {}
        self.trace: list[tuple[int, str]] = []
        self.broken: set[str] = set()
        activities = {name: self._activity(name) for name in ("a", "b", "c", "heart")}
        self.loop = FrameLoop(
            first, activities, self.frames, self.clock, self.events, self.modes, self.health, probation=probation
        )
        self.frames.start()

    def _activity(self, name: str):  # type: ignore[no-untyped-def]
        def run(context: FrameContext) -> None:
            self.trace.append((context.frame, name))
            self.clock.advance(self.spends.get(name, 0) / 1e6)
            if name in self.broken:
                raise ValueError(name)

        return run

    def fly_to(self, frame: int) -> None:
        while (slot := self.frames.wait(MINOR_US)) is not None:
            self.loop.run_frame(slot)
            self.check_account()
            if slot.frame >= frame:
                return

    def check_account(self) -> None:
        for name, counters in self.loop.counters().items():
            ends = counters.run + counters.skipped + counters.shed + counters.disabled + counters.waiting
            assert counters.due == ends, f"{name}: {counters}"

    def frames_of(self, activity: str) -> list[int]:
        return [frame for frame, name in self.trace if name == activity]

    def told(self) -> list[tuple[int, tuple[int | float, ...]]]:
        """Events about tables, without the names of tables."""
        return [
            (record.number, record.values[1:]) for record in self.events.drain(1000) if record.number in TABLE_EVENTS
        ]


def test_a_staged_table_flies_from_the_next_major_frame_on_and_is_kept() -> None:
    bench = Bench(table(OLD, entry("a"), entry("b", 2, slot=1)))
    bench.fly_to(3)
    bench.loop.tables.stage(table(NEW, entry("b", slot=0), entry("c", slot=1)))
    bench.fly_to(30)
    assert bench.frames_of("a") == list(range(10))
    assert bench.frames_of("b") == [0, 2, 4, 6, 8, *range(10, 31)]
    assert bench.frames_of("c") == list(range(10, 31))
    assert bench.loop.counters()["b"].run == 26, "the account of what is in both goes on"
    assert bench.loop.counters()["a"].run == 10, "and that of what left is kept"
    assert bench.loop.times()["b"].runs == 26
    assert bench.loop.numbers() == {"a": 0, "b": 1, "c": 2}
    assert (bench.loop.table.hash, bench.loop.tables.good.hash) == (NEW, NEW)
    assert bench.told() == [(TABLE_STAGED.number, ()), (TABLE_ACTIVATED.number, (10,)), (TABLE_KEPT.number, ())]


def test_the_boundary_counts_also_when_its_frame_is_skipped() -> None:
    bench = Bench(table(OLD, entry("a")))
    bench.fly_to(8)
    bench.loop.tables.stage(table(NEW, entry("b")))
    bench.spends["a"] = 35_000  # frame 9 runs into frame 12
    bench.fly_to(13)
    assert bench.frames_of("b") == [12, 13]
    assert bench.loop.counters()["a"].due == 12
    assert bench.loop.counters()["a"].skipped == 2


def test_a_new_table_that_misses_a_critical_deadline_is_given_up_in_the_next_frame() -> None:
    heart = entry("heart", criticality=Criticality.CRITICAL, slot=5)
    bench = Bench(table(OLD, heart))
    bench.loop.tables.stage(table(NEW, heart, entry("a", slot=0)))
    bench.fly_to(4)
    bench.spends["a"] = 9_500  # leaves no room for what is critical
    bench.fly_to(5)
    bench.spends["a"] = 0
    bench.fly_to(20)
    assert bench.frames_of("a") == list(range(6))
    assert bench.frames_of("heart") == [0, 1, 2, 3, 4, *range(6, 21)]
    assert bench.loop.table.hash == bench.loop.tables.good.hash == OLD
    assert bench.told()[-1] == (TABLE_RETURNED.number, (Misbehaviour.CRITICAL_MISSED, int(OLD[:16], 16)))


def test_a_new_table_that_declares_too_little_is_given_up() -> None:
    bench = Bench(table(OLD, entry("a", wcet_us=2_000)))
    bench.spends["a"] = 1_500
    bench.fly_to(5)
    bench.loop.tables.stage(table(NEW, entry("a", wcet_us=1_000)))
    bench.fly_to(40)
    assert bench.loop.counters()["a"].overran == 3
    assert bench.loop.table.hash == OLD
    assert bench.told()[-1][1][0] == Misbehaviour.OVERRUNS
    assert bench.frames_of("a") == list(range(41)), "no frame is lost by the change"


def test_a_new_table_under_which_who_must_live_falls_silent_is_given_up() -> None:
    heart = entry("heart", criticality=Criticality.CRITICAL, modes=("nominal", "safe"))
    bench = Bench(table(OLD, entry("a")), Probation(100, 3))
    bench.loop.tables.stage(table(NEW, heart))
    bench.broken = {"heart"}
    bench.fly_to(40)
    assert bench.loop.table.hash == OLD
    assert bench.told()[-1][1][0] == Misbehaviour.UNHEALTHY
    assert bench.health.healthy, "the old table has nothing that must live"


def test_health_does_not_forget_who_was_silent_when_the_table_changes() -> None:
    heart = entry("heart", criticality=Criticality.CRITICAL, modes=("nominal", "safe"))
    bench = Bench(table(OLD, heart))
    bench.broken = {"heart"}
    bench.fly_to(25)
    assert not bench.health.healthy
    bench.loop.tables.stage(table(NEW, heart, entry("a", slot=1)))
    bench.fly_to(30)
    assert bench.loop.table.hash == NEW
    assert not bench.health.healthy


def test_what_was_disabled_for_raising_stays_so_and_comes_back_by_command() -> None:
    bench = Bench(table(OLD, entry("a")))
    bench.broken = {"a"}
    bench.fly_to(5)
    bench.loop.tables.stage(table(NEW, entry("a"), entry("b", slot=1)))
    bench.fly_to(12)
    assert bench.loop.disabled() == ("a",)
    assert bench.loop.counters()["a"].run == 3
    bench.broken = set()
    bench.loop.enable("a")
    bench.fly_to(14)
    assert bench.frames_of("a")[-2:] == [13, 14]


def test_an_instance_that_waits_goes_on_under_the_new_table_or_is_dropped_with_its_entry() -> None:
    waits = entry("b", 10, phase=9, slot=1, wcet_us=4_000, deadline_us=50_000, overrun=Overrun.NEXT)
    for new, expected in ((table(NEW, waits), [10]), (table(NEW, entry("c")), [])):
        bench = Bench(table(OLD, entry("a", wcet_us=1_000), waits))
        bench.fly_to(8)
        bench.loop.tables.stage(new)
        bench.spends["a"] = 7_000
        bench.fly_to(12)
        assert bench.frames_of("b") == expected
        assert bench.loop.counters()["b"].waiting == 0


def test_every_refusal_is_an_error_and_an_event_and_changes_nothing() -> None:
    bench = Bench(table(OLD, entry("a")))
    tables = bench.loop.tables
    too_much = table(NEW, entry("a", wcet_us=9_900))
    good = table(NEW, entry("b"))
    with pytest.raises(ActivityUnknown):
        tables.stage(table(NEW, entry("nobody")))
    with pytest.raises(ScheduleRefused):
        tables.stage(too_much)
    with pytest.raises(ScheduleRefused):
        tables.stage(too_much, analyse(too_much))
    with pytest.raises(StagingRefused, match="table 1 is not staged: same"):
        tables.stage(table(OLD, entry("a")))
    with pytest.raises(StagingRefused, match="minor_frame"):
        tables.stage(replace(good, minor_us=MINOR_US // 2))
    with pytest.raises(StagingRefused, match="other_analysis"):
        tables.stage(good, replace(analyse(good), hash="3" * 64))
    bench.fly_to(12)
    assert bench.loop.table.hash == OLD
    tables.stage(good, analyse(good))
    bench.fly_to(20)
    with pytest.raises(StagingRefused, match="probation"):
        tables.stage(table("4" * 64, entry("c")))
    reasons = [values[0] for number, values in bench.told() if number == TABLE_REFUSED.number]
    assert reasons == [
        Refusal.ACTIVITY_UNKNOWN,
        Refusal.UNFIT,
        Refusal.UNFIT,
        Refusal.SAME,
        Refusal.MINOR_FRAME,
        Refusal.OTHER_ANALYSIS,
        Refusal.PROBATION,
    ]


def test_commands_forget_a_staged_table_and_give_up_one_on_probation() -> None:
    bench = Bench(table(OLD, entry("a")))
    tables = bench.loop.tables
    assert not tables.give_up()
    tables.stage(table(NEW, entry("b")))
    assert tables.unstage()
    assert not tables.unstage()
    bench.fly_to(12)
    tables.stage(table(NEW, entry("b")))
    bench.fly_to(21)
    assert bench.loop.table.hash == NEW
    assert tables.give_up()
    bench.fly_to(22)
    assert bench.loop.table.hash == OLD
    assert bench.told()[-1][1][0] == Misbehaviour.COMMAND


names = st.sampled_from(["a", "b", "c", "heart"])
drawn_entry = st.tuples(
    names, st.sampled_from([1, 2, 5, 10]), st.sampled_from(list(Criticality)), st.sampled_from(list(Overrun))
).filter(lambda one: one[2:] != (Criticality.CRITICAL, Overrun.SHED))
drawn_table = st.lists(drawn_entry, min_size=1, max_size=4, unique_by=lambda one: one[0])


@settings(max_examples=150, deadline=None)
@given(
    st.lists(drawn_table, min_size=2, max_size=4),
    st.lists(st.tuples(names, st.sampled_from([0, 0, 500, 3_000, 25_000])), min_size=1, max_size=12),
    st.lists(st.integers(0, 3), min_size=8, max_size=8),
)
def test_whatever_flies_every_due_instance_and_every_frame_is_accounted_for(
    drawn: list[list[tuple[str, int, Criticality, Overrun]]], loads: list[tuple[str, int]], staged: list[int]
) -> None:
    tables = [
        table(
            f"{number:064x}",
            *(
                entry(name, period, slot=slot, criticality=how, overrun=policy, modes=("nominal", "safe"))
                for slot, (name, period, how, policy) in enumerate(entries)
            ),
        )
        for number, entries in enumerate(drawn)
    ]
    bench = Bench(tables[0], Probation(8, 2))
    for step in range(8):
        try:
            bench.loop.tables.stage(tables[staged[step] % len(tables)])
        except ExecutiveError as refused:
            assert isinstance(refused, StagingRefused)
        name, bench.spends[name] = loads[step % len(loads)][0], loads[step % len(loads)][1]
        bench.fly_to(step * 7)
        frames = bench.frames.counters()
        assert frames.released == frames.run + frames.late + frames.skipped + frames.open
        assert bench.loop.table in tables
        assert {task.entry.activity for task in bench.loop.tables.tasks} == {
            one.activity for one in bench.loop.table.entries
        }
