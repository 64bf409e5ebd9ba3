"""The dispatcher's thread in real time: below the clock, ended when it runs away, and refused without harm."""

from __future__ import annotations

import json
import mmap
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bindings.clock_beat import read_beat
from flight.config import Executive
from flight.executive.dispatcher_thread import DispatcherSetup, PriorityRefused, dispatcher_setup, real_time_thread
from hal.toml_records import ConfigError, parse_record

BEGIN = """
import itertools, json, os, resource, signal, sys, threading
from flight.executive.dispatcher_thread import DispatcherSetup, real_time_thread
signal.signal(signal.SIGXCPU, signal.SIG_IGN)
"""
RUNAWAY = (
    BEGIN
    + """
with real_time_thread(DispatcherSetup(1, 2, 100), below_clock=True) as granted:
    print(granted.reason, flush=True)
    if granted.realtime:
        sum(itertools.repeat(0))  # one call, which no handler in Python could end
"""
)
BOUNDED = (
    BEGIN
    + """
inherited = []
with real_time_thread(DispatcherSetup(3, 4, 5000), below_clock=True) as granted:
    inside = os.sched_getscheduler(0), os.sched_getparam(0).sched_priority, resource.getrlimit(resource.RLIMIT_RTTIME)
    thread = threading.Thread(target=lambda: inherited.append(os.sched_getscheduler(0)))
    thread.start()
    thread.join()
outside = os.sched_getscheduler(0), os.sched_getparam(0).sched_priority
print(json.dumps([granted.realtime, inside, outside, inherited]))
"""
)
FLOWN = (
    BEGIN
    + """
import mmap
from pathlib import Path
from bindings.frame_clock import FrameClock
from flight.executive.health import HealthGate
from flight.executive.loop import FrameLoop
from flight.executive.modes import Mode, ModeManager
from flight.executive.schedule import Criticality, Entry, Overrun, ScheduleTable
from flight.services.events import EventRing
from hal.clock import SystemClock

def flown(context):
    if context.frame < 20:
        return
    if not os.sched_getscheduler(0) & os.SCHED_FIFO:
        print("not in real time", flush=True)
        os._exit(0)
    sum(itertools.repeat(0))

page = open(sys.argv[1], "r+b")
clock, frames = SystemClock(), FrameClock(2_000, realtime=True, priority=2, lock_memory=False, duties_after_missed=5)
frames.duty_beat(mmap.mmap(page.fileno(), 0))
one = Entry("flown", 1, 0, 0, 500, 2_000, Criticality.CRITICAL, ("nominal",), Overrun.SKIP, 1)
table = ScheduleTable("flown", 20_000, 2_000, 20, 100, (one,), "7" * 64)
events = EventRing(100, clock)
modes, setup = ModeManager(events, Mode.NOMINAL), DispatcherSetup(1, 2, 300)
FrameLoop(table, {"flown": flown}, frames, clock, events, modes, HealthGate(events), dispatcher=setup).run(lambda: True)
"""
)
REFUSED = (
    BEGIN
    + """
resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
before = resource.getrlimit(resource.RLIMIT_RTTIME)
with real_time_thread(DispatcherSetup(3, 4, 5000), below_clock=True) as granted:
    print(json.dumps([granted.realtime, granted.reason, os.sched_getscheduler(0)]))
"""
)


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own: the limit is the whole process's."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )


def test_a_dispatcher_that_runs_away_inside_one_call_is_ended_by_the_kernel() -> None:
    ended = run(RUNAWAY)
    if ended.stdout.strip():
        assert "SCHED_FIFO priority 1" in ended.stdout
        assert ended.returncode == 0, ended.stderr
    else:
        assert -ended.returncode in (signal.SIGXCPU, signal.SIGKILL), ended.stderr


def test_while_the_dispatcher_runs_away_the_clock_above_it_goes_on_and_leaves_its_beat(tmp_path: Path) -> None:
    page = tmp_path / "beat"
    page.write_bytes(bytes(mmap.PAGESIZE))
    ended = run(FLOWN, str(page))
    if ended.stdout.strip():
        assert (ended.stdout, ended.returncode) == ("not in real time\n", 0), ended.stderr
        return
    assert -ended.returncode in (signal.SIGXCPU, signal.SIGKILL), ended.stderr
    beat = read_beat(page.read_bytes())
    assert beat is not None
    assert beat.frame >= 20
    assert beat.missed >= 5


def test_the_priority_lasts_as_long_as_the_frames_and_is_not_inherited() -> None:
    ended = run(BOUNDED)
    assert ended.returncode == 0, ended.stderr
    granted, inside, outside, inherited = json.loads(ended.stdout)
    assert outside == [os.SCHED_OTHER, 0]
    assert inherited == [os.SCHED_OTHER]
    if granted:
        assert inside == [os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, 3, [5_000_000, 10_000_000]]
    else:
        assert inside[:2] == [os.SCHED_OTHER, 0]


def test_what_the_system_refuses_is_said_and_the_thread_goes_on_as_it_was() -> None:
    ended = run(REFUSED)
    assert ended.returncode == 0, ended.stderr
    granted, reason, policy = json.loads(ended.stdout)
    assert (granted, policy) == (False, os.SCHED_OTHER)
    assert reason.startswith("SCHED_FIFO priority 3: ")


def test_without_a_clock_above_it_the_thread_is_not_put_in_real_time() -> None:
    before = resource.getrlimit(resource.RLIMIT_RTTIME)
    with real_time_thread(DispatcherSetup(3, 4, 50), below_clock=False) as granted:
        assert not granted.realtime
        assert granted.reason == "the frame clock is not in real time"
        assert os.sched_getscheduler(0) == os.SCHED_OTHER
        assert resource.getrlimit(resource.RLIMIT_RTTIME) == before


@pytest.mark.parametrize(("priority", "clock", "runaway_ms"), [(0, 60, 100), (60, 60, 100), (61, 60, 100), (5, 60, 0)])
def test_a_priority_that_is_not_below_the_clock_is_refused(priority: int, clock: int, runaway_ms: int) -> None:
    with pytest.raises(PriorityRefused):
        DispatcherSetup(priority, clock, runaway_ms)


def test_the_configuration_says_whether_and_how() -> None:
    assert dispatcher_setup(Executive()) is None
    configured = parse_record("dispatcher_priority = 40\nrunaway_ms = 250\ncore = 1\n", Executive, "executive.toml")
    assert dispatcher_setup(configured) == DispatcherSetup(40, 60, 250)
    assert configured.core == 1


@pytest.mark.parametrize(
    "text",
    [
        "dispatcher_priority = 60",
        "dispatcher_priority = 10\npriority = 10",
        "dispatcher_priority = 10\nrealtime = false",
        "dispatcher_priority = -1",
        "runaway_ms = 9",
        "core = -2",
    ],
)
def test_configurations_that_would_starve_the_clock_are_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_record(text, Executive, "executive.toml")
