"""Modes change only as the machine says, at frame boundaries, and safe mode is always reachable."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from flight.executive.component import (
    MODE_ACTION_RAISED,
    MODE_CHANGED,
    MODE_GUARD_RAISED,
    MODE_HELD,
    MODE_REFUSED,
    MODE_TIMED_OUT,
)
from flight.executive.errors import ModeRefused
from flight.executive.mode_machine import HEALTHY_GUARD, LongestStay, ModeMachine, flight_machine
from flight.executive.modes import MACHINE, Cause, Mode, ModeManager, Refusal
from flight.services.events import EventRing
from hal.clock import SimulatedClock

GUARDED = flight_machine(10_000)


def manager(
    mode: Mode,
    machine: ModeMachine = MACHINE,
    *,
    healthy: Callable[[], bool] = lambda: True,
    **actions: Callable[[], None],
) -> tuple[ModeManager, EventRing]:
    events = EventRing(100, SimulatedClock())
    return ModeManager(events, mode, machine, {HEALTHY_GUARD: healthy}, actions), events


def fail() -> None:
    raise RuntimeError


def test_a_change_takes_effect_at_the_frame_boundary() -> None:
    modes, events = manager(Mode.NOMINAL)
    modes.request(Mode.IMAGING)
    assert (modes.mode, modes.wanted) == (Mode.NOMINAL, Mode.IMAGING)
    assert modes.apply(1)
    assert modes.mode is Mode.IMAGING
    (record,) = events.drain(9)
    assert (record.number, record.values) == (MODE_CHANGED.number, (Mode.NOMINAL, Mode.IMAGING, Cause.PLAN))


def test_a_transition_that_the_machine_lacks_is_refused_with_an_event() -> None:
    modes, events = manager(Mode.SAFE)
    with pytest.raises(ModeRefused, match=r"no transition from SAFE to IMAGING \(transition\)") as refused:
        modes.request(Mode.IMAGING, Cause.COMMAND)
    assert (refused.value.allowed, refused.value.reason) == (("NOMINAL",), Refusal.TRANSITION)
    assert not modes.apply(1)
    assert events.drain(9)[0].number == MODE_REFUSED.number


def test_nothing_talks_the_satellite_out_of_a_safe_mode_asked_for_in_the_same_frame() -> None:
    for other in (Mode.NOMINAL, Mode.IMAGING, Mode.DOWNLINK):
        modes, _ = manager(Mode.NOMINAL)
        modes.request(Mode.SAFE)
        with pytest.raises(ModeRefused):
            modes.request(other, Cause.COMMAND)
        modes.apply(1)
        assert modes.mode is Mode.SAFE


def test_safe_mode_is_left_in_health_only() -> None:
    well = False
    modes, events = manager(Mode.SAFE, GUARDED, healthy=lambda: well)
    assert modes.may(Mode.NOMINAL) is Refusal.GUARD
    with pytest.raises(ModeRefused) as refused:
        modes.request(Mode.NOMINAL, Cause.COMMAND)
    assert refused.value.reason is Refusal.GUARD
    assert events.drain(9)[0].number == MODE_HELD.number
    well = True
    modes.request(Mode.NOMINAL, Cause.COMMAND)
    well = False  # before the boundary
    assert not modes.apply(1)
    assert [record.number for record in events.drain(9)] == [MODE_HELD.number]
    assert (modes.mode, modes.wanted) == (Mode.SAFE, Mode.SAFE)


def test_a_condition_that_raises_does_not_hold() -> None:
    def cannot_tell() -> bool:
        raise RuntimeError

    modes, events = manager(Mode.SAFE, GUARDED, healthy=cannot_tell)
    with pytest.raises(ModeRefused):
        modes.request(Mode.NOMINAL)
    assert [record.number for record in events.drain(9)] == [MODE_GUARD_RAISED.number, MODE_HELD.number]
    assert modes.raised == 1


def test_what_is_declared_is_done_on_leaving_and_on_entering_in_this_order() -> None:
    done: list[tuple[str, Mode]] = []
    machine = ModeMachine(
        MACHINE.transitions,
        entry={Mode.IMAGING: ("open", "tell")},
        exit={Mode.NOMINAL: ("park",), Mode.SAFE: ("tell",)},
    )

    def noted(name: str) -> Callable[[], None]:
        return lambda: done.append((name, modes.mode))

    modes, _ = manager(Mode.NOMINAL, machine, open=noted("open"), tell=noted("tell"), park=noted("park"))
    modes.request(Mode.IMAGING)
    assert done == []
    modes.apply(1)
    assert done == [("park", Mode.NOMINAL), ("open", Mode.IMAGING), ("tell", Mode.IMAGING)]


def test_an_action_that_raises_stops_neither_the_change_nor_the_other_actions_and_leads_to_safe_mode() -> None:
    done: list[str] = []
    machine = ModeMachine(MACHINE.transitions, entry={Mode.IMAGING: ("fail", "tell"), Mode.SAFE: ("fail",)})
    modes, events = manager(Mode.NOMINAL, machine, fail=fail, tell=lambda: done.append("tell"))
    modes.request(Mode.IMAGING)
    assert modes.apply(1)
    assert (modes.mode, modes.wanted, done) == (Mode.IMAGING, Mode.SAFE, ["tell"])
    assert modes.apply(2)
    assert modes.mode is Mode.SAFE
    assert not modes.apply(3), "an action of safe mode that raises changes nothing more"
    told = [(record.number, record.values) for record in events.drain(9)]
    assert told == [
        (MODE_CHANGED.number, (Mode.NOMINAL, Mode.IMAGING, Cause.PLAN)),
        (MODE_ACTION_RAISED.number, (0, Mode.IMAGING)),
        (MODE_CHANGED.number, (Mode.IMAGING, Mode.SAFE, Cause.RAISED)),
        (MODE_ACTION_RAISED.number, (0, Mode.SAFE)),
    ]


@pytest.mark.parametrize("step", [1, 7], ids=["every frame", "frames are skipped"])
def test_a_mode_that_lasts_too_long_ends_by_itself(step: int) -> None:
    machine = ModeMachine(MACHINE.transitions, stays=(LongestStay(Mode.IMAGING, 14, Mode.NOMINAL),))
    modes, events = manager(Mode.NOMINAL, machine)
    modes.request(Mode.IMAGING)
    modes.apply(1000)
    events.drain(9)
    for frame in range(1000 + step, 1014, step):
        assert not modes.apply(frame)
    assert modes.apply(1014)
    assert modes.mode is Mode.NOMINAL
    assert [(record.number, record.values) for record in events.drain(9)] == [
        (MODE_TIMED_OUT.number, (Mode.IMAGING, 14)),
        (MODE_CHANGED.number, (Mode.IMAGING, Mode.NOMINAL, Cause.TIMER)),
    ]


def test_a_start_that_does_not_end_leads_to_safe_mode() -> None:
    modes, _ = manager(Mode.BOOT, GUARDED)
    assert not modes.apply(0)
    assert not modes.apply(11_999)
    assert modes.apply(12_000), "120 s of 10 ms"
    assert modes.mode is Mode.SAFE


@pytest.mark.parametrize("held", [Mode.DOWNLINK, Mode.NOMINAL], ids=["another mode", "the present one"])
def test_a_command_holds_a_mode_against_the_plan_but_not_against_safe_mode_or_another_command(held: Mode) -> None:
    modes, _ = manager(Mode.NOMINAL)
    modes.apply(0)
    modes.hold(held, 3)
    for frame in (1, 2) if held is Mode.NOMINAL else (1, 2, 3):
        modes.apply(frame)
        assert modes.mode is held
        assert modes.may(Mode.IMAGING) is Refusal.HELD
        assert modes.may(Mode.IMAGING, Cause.COMMAND) is None
        assert modes.may(Mode.SAFE) is modes.may(Mode.SAFE, Cause.OVERRUN) is None
    modes.apply(4)
    assert modes.may(Mode.IMAGING) is None
    assert modes.held_frames == 0

    modes.hold(held, 100)
    modes.apply(5)
    modes.request(Mode.SAFE, Cause.OVERRUN)
    modes.apply(6)
    assert (modes.mode, modes.held_frames) == (Mode.SAFE, 0)


def test_a_hold_is_for_frames_and_ends_over_skipped_ones_too() -> None:
    modes, _ = manager(Mode.NOMINAL)
    with pytest.raises(ValueError, match="at least one frame"):
        modes.hold(Mode.NOMINAL, 0)
    modes.apply(0)
    modes.hold(Mode.NOMINAL, 50)
    modes.apply(49)
    assert modes.held_frames == 1
    modes.apply(60)
    assert modes.held_frames == 0


class Modes(RuleBasedStateMachine):
    """The flight machine under any order of requests, holds, frames and health."""

    @initialize(mode=st.sampled_from(list(Mode)))
    def start(self, mode: Mode) -> None:
        self.well = True
        self.frame = 0
        self.modes, self.events = manager(mode, GUARDED, healthy=lambda: self.well)
        self.modes.apply(0)

    @rule(mode=st.sampled_from(list(Mode)), cause=st.sampled_from([Cause.PLAN, Cause.COMMAND, Cause.OVERRUN]))
    def ask(self, mode: Mode, cause: Cause) -> None:
        before, expected = self.modes.mode, self.modes.may(mode, cause)
        try:
            self.modes.request(mode, cause)
        except ModeRefused as refused:
            assert refused.reason is expected is not None
            assert mode is not Mode.SAFE, "safe mode is refused to nobody"
        else:
            assert expected is None
            assert self.modes.wanted is mode
        assert self.modes.mode is before, "a request alone changes nothing"

    @rule(mode=st.sampled_from(list(Mode)), frames=st.integers(1, 1000))
    def keep(self, mode: Mode, frames: int) -> None:
        try:
            self.modes.hold(mode, frames)
        except ModeRefused:
            return
        assert self.modes.held_frames == frames

    @rule(well=st.booleans())
    def fare(self, well: bool) -> None:
        self.well = well

    @rule(frames=st.one_of(st.just(1), st.integers(1, 400_000)))
    def go_on(self, frames: int) -> None:
        before, wanted = self.modes.mode, self.modes.wanted
        self.frame += frames
        changed = self.modes.apply(self.frame)
        now = self.modes.mode
        assert changed is (now is not before)
        assert now is before or now in GUARDED.following(before)
        if wanted is Mode.SAFE:
            assert now is Mode.SAFE
        if before is Mode.SAFE and now is not Mode.SAFE:
            assert self.well
        self.events.drain(100)

    @invariant()
    def safe_mode_is_one_frame_away(self) -> None:
        if hasattr(self, "modes"):
            assert self.modes.may(Mode.SAFE) is None


Modes.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestModes = Modes.TestCase
