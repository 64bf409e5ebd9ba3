"""A process that is silent beyond its declared time is made to end, once; the supervisor hears it and tells of it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flight.executive.health_notices import (
    Heartbeats,
    Notice,
    NoticeBox,
    NoticeInvalid,
    NoticeKind,
    NoticeSender,
    ProcessNumber,
    ProcessWatch,
)
from flight.executive.health_silence import MAX_STEP_S, Liveness, Reaction, SilenceWatch
from flight.pipeline.heartbeat import BEAT_S, Heartbeat
from flight.services import dictionary
from flight.services.events import EventRing
from hal.clock import SimulatedClock

LIMITS = Liveness(silent_s=5.0, begin_s=20.0, end_s=1.0)


@pytest.mark.parametrize("octets", [b"", b"SWHN", Notice(NoticeKind.HUNG, ProcessNumber.CAMERA).pack() + b"\0"])
def test_octets_of_another_length_are_no_notice(octets: bytes) -> None:
    with pytest.raises(NoticeInvalid):
        Notice.unpack(octets)


@given(st.binary(min_size=14, max_size=14))
def test_any_octets_are_a_notice_or_refused(octets: bytes) -> None:
    try:
        notice = Notice.unpack(octets)
    except NoticeInvalid:
        return
    assert notice.pack() == octets


@given(
    st.builds(
        Notice,
        st.sampled_from(NoticeKind),
        st.sampled_from(ProcessNumber),
        st.integers(0, 2**32 - 1),
        st.integers(0, 2**32 - 1),
    )
)
def test_a_notice_comes_out_as_it_went_in(notice: Notice) -> None:
    assert Notice.unpack(notice.pack()) == notice


@pytest.mark.parametrize("limits", [(0, 1, 1), (1, 0, 1), (1, 1, 0), (-1, 1, 1)])
def test_limits_that_are_none_are_refused(limits: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="above zero"):
        Liveness(*limits)


def test_silence_leads_to_a_request_and_then_to_the_kill_each_once() -> None:
    watch = SilenceWatch(LIMITS, 100.0)
    found = [watch.judge(100.0 + second, heard=second == 3) for second in range(1, 14)]
    assert found == [Reaction.NONE] * 8 + [Reaction.TERMINATE, Reaction.KILL] + [Reaction.NONE] * 3
    assert watch.silent_s == 6.0


def test_before_its_first_sign_of_life_a_process_has_the_time_it_needs_to_begin() -> None:
    watch = SilenceWatch(LIMITS, 0.0)
    assert [watch.judge(float(second), heard=False) for second in range(1, 22)].index(Reaction.TERMINATE) == 20


def test_one_that_was_asked_to_end_is_killed_also_when_it_speaks_again() -> None:
    watch = SilenceWatch(LIMITS, 0.0)
    assert watch.end() is Reaction.TERMINATE
    assert watch.end() is Reaction.NONE
    assert watch.judge(2.0, heard=True) is Reaction.KILL


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=60))
def test_it_ends_exactly_those_that_were_watched_and_silent_too_long(steps: list[tuple[float, bool]]) -> None:
    watch, now_s, silent_s, limit_s = SilenceWatch(LIMITS, 0.0), 0.0, 0.0, LIMITS.begin_s
    for passed_s, heard in steps:
        before_s, now_s = now_s, now_s + passed_s
        silent_s, limit_s = (0.0, LIMITS.silent_s) if heard else (silent_s + min(now_s - before_s, MAX_STEP_S), limit_s)
        reaction = watch.judge(now_s, heard=heard)
        assert (reaction is Reaction.TERMINATE) == (silent_s > limit_s)
        if reaction:
            return


def test_a_watcher_that_stood_still_itself_accuses_nobody() -> None:
    watch = SilenceWatch(LIMITS, 0.0)
    watch.judge(1.0, heard=True)
    assert watch.judge(1000.0, heard=False) is Reaction.NONE
    assert watch.silent_s == MAX_STEP_S


def test_heartbeats_come_through_the_pipe_and_never_hold_the_one_who_beats() -> None:
    beats = Heartbeats()
    child = os.dup(beats.write_fd)
    beats.started()
    heart = Heartbeat(child)
    assert not beats.heard()
    heart.beat(1.0)
    assert beats.heard() and not beats.heard()
    heart.beat(1.0 + BEAT_S / 2)
    assert not beats.heard(), "not more often than is of use"
    for count in range(100_000):
        heart.beat(10.0 + count)
    assert beats.heard()
    beats.close()
    heart.beat(1e9)  # nobody is there any more
    os.close(child)
    Heartbeat(None).beat(1.0)


def test_notices_become_events_and_counts_and_a_restart_is_asked_for(tmp_path: Path) -> None:
    events = EventRing(10, SimulatedClock())
    asked = NoticeBox(tmp_path / "asked")
    watch = ProcessWatch(tmp_path / "heard", tmp_path / "asked", events)
    assert stat.S_IMODE((tmp_path / "heard").stat().st_mode) == 0o600
    supervisor = NoticeSender(tmp_path / "heard")
    assert supervisor.send(Notice(NoticeKind.HUNG, ProcessNumber.PAYLOAD, 2, 12_500))
    assert supervisor.send(Notice(NoticeKind.KILLED, ProcessNumber.PAYLOAD, 2))
    assert supervisor.send(Notice(NoticeKind.RESTARTED, ProcessNumber.PAYLOAD, 3))
    assert supervisor.send(Notice(NoticeKind.RESTART, ProcessNumber.PAYLOAD))
    supervisor._socket.sendto(b"nonsense", str(tmp_path / "heard"))
    watch.poll()
    assert (watch.hung, watch.killed, watch.restarted, watch.refused) == (1, 1, 1, 1)
    assert [dictionary.describe(record) for record in events.drain(9)] == [
        "health: process 3 silent for 12500 ms and made to end, 2 times so far",
        "health: process 3 did not end when asked and was killed",
        "health: process 3 started again, 3 times so far",
    ]
    assert watch.restart(ProcessNumber.CAMERA)
    assert asked.take() == [Notice(NoticeKind.RESTART, ProcessNumber.CAMERA)]
    asked.close()
    asked.close()
    assert not watch.restart(ProcessNumber.CAMERA), "nobody listens"
    watch.close()
    assert not supervisor.send(Notice(NoticeKind.HUNG, ProcessNumber.PAYLOAD))
    assert supervisor.unsent == 1
    supervisor.close()


def test_a_full_queue_drops_and_counts_and_a_new_listener_takes_the_path_over(tmp_path: Path) -> None:
    first = NoticeBox(tmp_path / "box")
    sender = NoticeSender(tmp_path / "box")
    notice = Notice(NoticeKind.RESTARTED, ProcessNumber.CAMERA, 1)
    sent = 0
    while sender.send(notice):
        sent += 1
    assert sent > 0 and sender.unsent == 1
    second = NoticeBox(tmp_path / "box")
    assert sender.send(notice)
    assert second.take() == [notice]
    for box in (first, second):
        box.close()
    sender.close()
