"""The frame loop in virtual time: what is due is run or counted, whatever goes wrong."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flight.executive.component import DISABLED, FRAME_LATE, FRAMES_SKIPPED, OVERRAN, RAISED
from flight.executive.demotion import DemotionRule
from flight.executive.errors import ActivityUnknown, ExecutiveError, ScheduleRefused
from flight.executive.frame_context import FrameContext
from flight.executive.frame_source import SimulatedFrames
from flight.executive.garbage import IdleCollector, frozen_garbage
from flight.executive.health import HealthGate
from flight.executive.housekeeping import housekeeping
from flight.executive.loop import Activity, FrameLoop
from flight.executive.modes import Mode, ModeManager
from flight.executive.schedule import Criticality, Entry, Overrun, ScheduleTable
from flight.services.events import EventRing
from flight.services.journal import FileJournal, MemoryStorage
from flight.services.records import RecordKind
from hal.clock import SimulatedClock

MINOR_US = 10_000


def entry(
    activity: str,
    period: int = 1,
    *,
    phase: int = 0,
    slot: int = 0,
    wcet_us: int = 1_000,
    deadline_us: int = MINOR_US,
    criticality: Criticality = Criticality.NORMAL,
    overrun: Overrun = Overrun.SKIP,
    modes: tuple[str, ...] = ("nominal",),
) -> Entry:
    return Entry(activity, period, phase, slot, wcet_us, deadline_us, criticality, modes, overrun, 1)


def no_time(_: int) -> int:
    return 0


@dataclass
class Bench:
    """A loop on virtual frames; activities spend what `spends` says and leave a trace."""

    entries: tuple[Entry, ...]
    mode: Mode = Mode.NOMINAL
    spends: dict[str, Callable[[int], int]] = field(default_factory=dict)  # activity -> frame -> microseconds
    extra: dict[str, Activity] = field(default_factory=dict)
    demotion: DemotionRule | None = None
    trace: list[tuple[int, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = SimulatedClock(1.7e9)
        self.events = EventRing(1000, self.clock)
        self.frames = SimulatedFrames(self.clock, MINOR_US)
        self.modes = ModeManager(self.events, self.mode)
        self.health = HealthGate(self.events)
        table = ScheduleTable("bench", 100 * MINOR_US, MINOR_US, 40, 500, self.entries, "0")
        activities = {one.activity: self.extra.get(one.activity, self._busy(one)) for one in self.entries}
        self.loop = FrameLoop(
            table, activities, self.frames, self.clock, self.events, self.modes, self.health, demotion=self.demotion
        )
        self.frames.start()

    def _busy(self, one: Entry) -> Activity:
        spend = self.spends.get(one.activity, no_time)

        def run(context: FrameContext) -> None:
            self.trace.append((context.frame, one.activity))
            self.clock.advance(spend(context.frame) / 1e6)

        return run

    def fly_to(self, frame: int) -> None:
        while (slot := self.frames.wait(MINOR_US)) is not None:
            self.loop.run_frame(slot)
            if slot.frame >= frame:
                return

    def frames_of(self, activity: str) -> list[int]:
        return [frame for frame, name in self.trace if name == activity]

    def said(self) -> list[int]:
        return [record.number for record in self.events.drain(1000)]


def test_activities_run_in_slot_order_at_their_period_and_phase_in_their_modes() -> None:
    bench = Bench(
        (
            entry("late", 4, phase=1, slot=9),
            entry("early", 2, phase=1, slot=1),
            entry("elsewhere", 1, slot=2, modes=("imaging",)),
        )
    )
    bench.fly_to(8)
    assert bench.trace == [(1, "early"), (1, "late"), (3, "early"), (5, "early"), (5, "late"), (7, "early")]


def test_a_mode_change_takes_effect_from_the_next_frame_on() -> None:
    bench = Bench((entry("here"), entry("there", slot=1, modes=("imaging",))))
    bench.fly_to(2)
    bench.modes.request(Mode.IMAGING)
    bench.fly_to(4)
    assert bench.trace == [(0, "here"), (1, "here"), (2, "here"), (3, "there"), (4, "there")]


def test_what_does_not_fit_what_is_left_is_not_started() -> None:
    bench = Bench(
        (entry("hog", wcet_us=3_000), entry("rest", slot=1, wcet_us=4_000)),
        spends={"hog": lambda frame: 7_000 if frame == 2 else 0},
    )
    bench.fly_to(4)
    assert bench.frames_of("rest") == [0, 1, 3, 4]
    assert bench.loop.counters()["rest"].skipped == 1
    assert bench.loop.counters()["hog"].overran == 1
    assert OVERRAN.number in bench.said()
    assert bench.frames.counters().late == 0, "admission kept the frame in time"


def test_policy_next_tries_again_in_the_next_frame_and_gives_up_at_the_deadline() -> None:
    bench = Bench(
        (
            entry("hog", wcet_us=3_000),
            entry("patient", 10, slot=1, wcet_us=4_000, deadline_us=35_000, overrun=Overrun.NEXT),
        ),
        spends={"hog": lambda frame: 7_000 if frame in (0, 1, 20, 21, 22, 23, 24) else 0},
    )
    bench.fly_to(39)
    assert bench.frames_of("patient") == [2, 10, 30], "frame 0's instance in frame 2; frame 20's could not make it"
    counters = bench.loop.counters()["patient"]
    assert (counters.due, counters.run, counters.skipped, counters.waiting) == (4, 3, 1, 0)


def test_policy_shed_gives_way_to_a_more_critical_one_later_in_the_frame() -> None:
    bench = Bench(
        (
            entry("hog", wcet_us=1_000),
            entry("luxury", slot=1, wcet_us=2_000, criticality=Criticality.LOW, overrun=Overrun.SHED),
            entry("vital", slot=2, wcet_us=3_000, criticality=Criticality.HIGH),
        ),
        spends={"hog": lambda frame: 6_000 if frame == 1 else 0, "luxury": lambda _: 2_000},
    )
    bench.fly_to(2)
    assert bench.frames_of("luxury") == [0, 2]
    assert bench.frames_of("vital") == [0, 1, 2]
    assert bench.loop.counters()["luxury"].shed == 1


def test_policy_safe_asks_for_safe_mode() -> None:
    bench = Bench(
        (
            entry("hog", wcet_us=3_000),
            entry("needed", slot=1, wcet_us=4_000, overrun=Overrun.SAFE),
        ),
        spends={"hog": lambda frame: 7_000 if frame == 2 else 0},
    )
    bench.fly_to(3)
    assert bench.modes.mode is Mode.SAFE


def test_a_late_frame_skips_the_frames_it_covers_and_all_is_counted() -> None:
    bench = Bench((entry("hog"),), spends={"hog": lambda frame: 35_000 if frame == 3 else 0})
    bench.fly_to(10)
    counters = bench.frames.counters()
    assert (counters.run, counters.late, counters.skipped) == (8, 1, 2)
    assert bench.frames_of("hog") == [0, 1, 2, 3, 6, 7, 8, 9, 10]
    said = bench.said()
    assert FRAME_LATE.number in said
    assert FRAMES_SKIPPED.number in said


class OddError(ExecutiveError):
    """Raised on purpose."""


@pytest.mark.parametrize("error", [OddError("on purpose"), ZeroDivisionError("by accident"), MemoryError()])
def test_an_activity_that_raises_three_times_in_a_row_is_disabled_and_the_others_go_on(error: Exception) -> None:
    def raises(_: FrameContext) -> None:
        raise error

    bench = Bench((entry("broken"), entry("sound", slot=1)), extra={"broken": raises})
    bench.fly_to(9)
    assert bench.frames_of("sound") == list(range(10))
    counters = bench.loop.counters()["broken"]
    assert (counters.raised, counters.disabled) == (3, 7)
    assert bench.loop.disabled() == ("broken",)
    said = bench.said()
    assert (said.count(RAISED.number), said.count(DISABLED.number)) == (3, 1)
    assert [(name, type(kept)) for name, kept in bench.loop.take_failures()] == [("broken", type(error))] * 3
    bench.loop.enable("broken")
    bench.fly_to(10)
    assert counters.raised == 4


def test_raising_now_and_then_disables_nothing() -> None:
    def raises_often(context: FrameContext) -> None:
        if context.frame % 3:
            raise ValueError(context.frame)

    bench = Bench((entry("shaky"),), extra={"shaky": raises_often})
    bench.fly_to(29)
    assert bench.loop.disabled() == ()
    assert bench.loop.counters()["shaky"].run == 30


def test_a_critical_activity_that_keeps_raising_is_not_disabled_but_makes_the_mode_safe_and_the_watchdog_bite() -> None:
    def raises(_: FrameContext) -> None:
        raise ValueError

    one = entry("heart", criticality=Criticality.CRITICAL, modes=("safe", "nominal"))
    bench = Bench((one,), extra={"heart": raises})
    bench.fly_to(200)
    assert bench.loop.disabled() == ()
    assert bench.loop.counters()["heart"].raised == 201
    assert bench.modes.mode is Mode.SAFE
    assert bench.health.silent() == ("heart",)
    assert bench.frames.counters().pets == 0
    assert bench.frames.counters().withheld == 2


def test_a_critical_activity_without_business_in_the_mode_is_excused() -> None:
    one = entry("heart", criticality=Criticality.CRITICAL, modes=("imaging",))
    bench = Bench((one,))
    bench.fly_to(100)
    assert bench.health.healthy


def test_a_table_that_does_not_fit_is_not_flown() -> None:
    with pytest.raises(ScheduleRefused, match="may end 10580 us after release"):
        Bench((entry("too_much", wcet_us=10_040),))


def test_a_table_with_an_activity_that_does_not_exist_is_not_flown() -> None:
    bench = Bench((entry("here"),))
    with pytest.raises(ActivityUnknown) as refused:
        FrameLoop(
            bench.loop.table,
            {"there": lambda _: None},
            bench.frames,
            bench.clock,
            bench.events,
            bench.modes,
            bench.health,
        )
    assert refused.value.known == ("there",)


entries_and_loads = st.lists(
    st.tuples(
        st.sampled_from([1, 2, 5, 10]),
        st.sampled_from(list(Overrun)),
        st.sampled_from(list(Criticality)),
        st.lists(st.sampled_from([0, 0, 0, 500, 3_000, 12_000, 40_000]), min_size=3, max_size=7),
        st.lists(st.booleans(), min_size=2, max_size=5),
    ).filter(lambda drawn: drawn[1:3] != (Overrun.SHED, Criticality.CRITICAL)),  # what no table may hold
    min_size=1,
    max_size=5,
)


@settings(max_examples=200, deadline=None)
@given(entries_and_loads, st.lists(st.sampled_from(list(Mode)), max_size=10))
def test_every_due_instance_and_every_frame_is_accounted_for_whatever_happens(
    drawn: list[tuple[int, Overrun, Criticality, list[int], list[bool]]], wanted: list[Mode]
) -> None:
    def activity(loads: list[int], raises: list[bool]) -> Activity:
        def run(context: FrameContext) -> None:
            bench.clock.advance(loads[context.frame % len(loads)] / 1e6)
            if raises[context.frame % len(raises)]:
                raise ValueError(context.frame)

        return run

    entries = tuple(
        entry(
            f"activity_{number}",
            period,
            slot=number,
            overrun=policy,
            criticality=criticality,
            deadline_us=period * MINOR_US,
            modes=("nominal", "imaging", "safe"),
        )
        for number, (period, policy, criticality, _, _) in enumerate(drawn)
    )
    extra = {f"activity_{number}": activity(one[3], one[4]) for number, one in enumerate(drawn)}
    bench = Bench(entries, extra=extra)
    for number in range(60):
        slot = bench.frames.wait(MINOR_US)
        if slot is None:
            continue
        if wanted and number % 7 == 0:
            try:
                bench.modes.request(wanted[number % len(wanted)])
            except ExecutiveError:
                assert bench.modes.refused
        bench.loop.run_frame(slot)
        frames = bench.frames.counters()
        assert frames.released == frames.run + frames.late + frames.skipped + frames.open
        for name, counters in bench.loop.counters().items():
            ends = counters.run + counters.skipped + counters.shed + counters.disabled + counters.waiting
            assert counters.due == ends, f"{name}: {counters}"


def test_housekeeping_tells_the_account() -> None:
    bench = Bench((entry("hog"), entry("rest", slot=1)), spends={"hog": lambda frame: 35_000 if frame == 3 else 200})
    bench.fly_to(10)
    journal = FileJournal(MemoryStorage())
    journal.append(RecordKind.BOOT, b"x")
    packet = housekeeping(bench.loop, journal, bench.clock.mission_s()).named()
    assert packet["mode"] == Mode.NOMINAL
    assert (packet["frames_run"], packet["frames_late"], packet["frames_skipped"]) == (8, 1, 2)
    assert (packet["activities_overran"], packet["busiest_activity"], packet["busiest_us"]) == (1, 0, 35_000)
    assert (packet["journal_sequence"], packet["journal_durable"], packet["journal_queued"]) == (1, 1, 0)
    assert packet["events_queued"] == len(bench.events)


def test_automatic_collection_is_off_in_flight_and_back_afterwards() -> None:
    bench = Bench((entry("look"),), extra={"look": lambda _: seen.append(gc.isenabled())})
    seen: list[bool] = []
    assert gc.isenabled()
    bench.loop.run(lambda: len(seen) < 3)
    assert seen == [False] * 3
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_the_idle_collector_collects_cycles_and_only_what_fits_the_frame() -> None:
    class Node:
        alive = 0

        def __init__(self) -> None:
            self.me = self
            Node.alive += 1

        def __del__(self) -> None:
            Node.alive -= 1

    clock = SimulatedClock()
    context = FrameContext(clock)
    collector = IdleCollector()
    with frozen_garbage():
        for _ in range(100):
            Node()
        context.begin(0, Mode.NOMINAL, 0)
        collector(context)
        assert (Node.alive, collector.put_off, collector.runs) == (100, 1, [0, 0, 0]), "no time left: nothing is done"
        context.begin(1, Mode.NOMINAL, 10_000_000)
        collector(context)
        assert Node.alive == 0
