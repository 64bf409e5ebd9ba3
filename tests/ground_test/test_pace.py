"""The pace of the demonstration's clock: nothing that matters happens while it runs fast, and little else runs slow."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ground_test.fly.pace import (
    BEFORE_CAPTURE_S,
    FAST,
    HEAR,
    MARGIN_HOST_S,
    SLOW,
    SLOWEST,
    Open,
    Outlook,
    speed,
)
from ground_test.fly.timeline import Timeline


def outlook(now_s=0.0, **changes):
    known = {
        "heard": True,
        "to_send": False,
        "to_come": False,
        "working": False,
        "captures": (),
        "contacts": (),
        **changes,
    }
    return Outlook(now_s=now_s, **known)


def test_a_mission_with_nothing_to_do_runs_fast():
    assert speed(outlook()) == FAST
    assert speed(outlook(contacts=(Open(-10, 10),))) == FAST


def test_lines_are_taken_slowly():
    assert speed(outlook(captures=(Open(5, 40),))) == SLOW
    assert speed(outlook(captures=(Open(-5, 40),))) == SLOW


def test_a_contact_with_work_left_runs_slowly_and_slower_towards_its_end():
    contact = (Open(0, 1000),)
    speeds = [speed(outlook(now_s, to_come=True, contacts=contact)) for now_s in range(0, 1000, 10)]
    assert speeds[0] == SLOW
    assert speeds == sorted(speeds, reverse=True)
    assert speeds[-1] == SLOWEST


def test_a_satellite_that_was_not_heard_yet_gets_time_to_answer():
    assert speed(outlook(heard=False, to_send=True, contacts=(Open(-1, 500),))) == HEAR


def test_a_payload_at_work_out_of_contact_gets_time():
    assert speed(outlook(working=True, to_come=True)) == SLOW


spans = st.lists(st.tuples(st.floats(0, 20_000), st.floats(1, 600)), min_size=1, max_size=4).map(
    lambda pairs: tuple(sorted((Open(start, start + length) for start, length in pairs), key=lambda each: each.start_s))
)


@settings(deadline=None)
@given(spans, st.lists(st.floats(0.05, MARGIN_HOST_S * 0.99), min_size=1, max_size=20))
def test_no_capture_begins_while_the_clock_runs_fast_however_late_a_look_comes(captures, looks):
    now_s, step = 0.0, 0
    while now_s < captures[-1].end_s:
        chosen = speed(outlook(now_s, captures=captures))
        then_s = now_s + chosen * looks[step % len(looks)]
        for capture in captures:
            begins_s = capture.start_s - BEFORE_CAPTURE_S
            if now_s < begins_s < then_s:
                assert chosen <= SLOW or then_s <= capture.start_s
        now_s, step = then_s, step + 1


@given(st.lists(st.tuples(st.floats(0.01, 5.0), st.floats(0.02, 600.0)), min_size=1, max_size=10), st.floats(0, 1))
def test_a_timeline_gives_back_the_host_time_of_every_mission_time(changes, share):
    line, mission_s, host_s = Timeline(), 1000.0, 50.0
    points = []
    for seconds, rate in changes:
        line.changed(mission_s, host_s, rate)
        points.append((mission_s + share * seconds * rate, host_s + share * seconds))
        mission_s, host_s = mission_s + seconds * rate, host_s + seconds
    for at_mission_s, at_host_s in points:
        assert line.host_s(at_mission_s) == pytest.approx(at_host_s, abs=1e-6)
