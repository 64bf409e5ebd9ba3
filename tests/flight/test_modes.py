"""Modes change only as the table says, at frame boundaries, and safe mode is always reachable."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flight.executive.component import MODE_CHANGED, MODE_REFUSED
from flight.executive.errors import ModeRefused
from flight.executive.modes import TRANSITIONS, Cause, Mode, ModeManager
from flight.services.events import EventRing
from hal.clock import SimulatedClock


def manager(mode: Mode) -> tuple[ModeManager, EventRing]:
    events = EventRing(100, SimulatedClock())
    return ModeManager(events, mode), events


def test_every_mode_but_safe_leads_to_safe() -> None:
    assert all(Mode.SAFE in TRANSITIONS[mode] for mode in Mode if mode is not Mode.SAFE)


def test_no_mode_leads_back_to_boot_and_every_other_is_reachable() -> None:
    reached, frontier = {Mode.BOOT}, [Mode.BOOT]
    while frontier:
        for following in TRANSITIONS[frontier.pop()]:
            assert following is not Mode.BOOT
            if following not in reached:
                reached.add(following)
                frontier.append(following)
    assert reached == set(Mode)


def test_a_change_takes_effect_at_the_frame_boundary() -> None:
    modes, events = manager(Mode.NOMINAL)
    modes.request(Mode.IMAGING)
    assert (modes.mode, modes.wanted) == (Mode.NOMINAL, Mode.IMAGING)
    assert modes.apply()
    assert modes.mode is Mode.IMAGING
    (record,) = events.drain(9)
    assert (record.number, record.values) == (MODE_CHANGED.number, (Mode.NOMINAL, Mode.IMAGING, Cause.PLAN))


def test_a_transition_that_is_not_in_the_table_is_refused_with_an_event() -> None:
    modes, events = manager(Mode.SAFE)
    with pytest.raises(ModeRefused, match="from SAFE to IMAGING") as refused:
        modes.request(Mode.IMAGING, Cause.COMMAND)
    assert refused.value.allowed == ("NOMINAL",)
    assert not modes.apply()
    assert events.drain(9)[0].number == MODE_REFUSED.number


def test_nothing_talks_the_satellite_out_of_a_safe_mode_asked_for_in_the_same_frame() -> None:
    for other in (Mode.NOMINAL, Mode.IMAGING, Mode.DOWNLINK):
        modes, _ = manager(Mode.NOMINAL)
        modes.request(Mode.SAFE)
        with pytest.raises(ModeRefused):
            modes.request(other)
        modes.apply()
        assert modes.mode is Mode.SAFE


@given(st.sampled_from(list(Mode)), st.lists(st.one_of(st.sampled_from(list(Mode)), st.none()), max_size=40))
def test_the_mode_only_ever_moves_along_the_table(start: Mode, steps: list[Mode | None]) -> None:
    modes, _ = manager(start)
    safe_wanted = False
    for step in steps:
        before = modes.mode
        if step is None:
            modes.apply()
            assert modes.mode is before or modes.mode in TRANSITIONS[before]
            assert not safe_wanted or modes.mode is Mode.SAFE
            safe_wanted = False
        else:
            try:
                modes.request(step)
            except ModeRefused:
                assert step not in TRANSITIONS[before] or safe_wanted
            else:
                safe_wanted = safe_wanted or (step is Mode.SAFE and before is not Mode.SAFE)
            assert modes.mode is before, "a request alone changes nothing"
