"""The watch in the flight process: what does not count is tried again, restarted or reset; a service manager hears."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flight.executive.frame_context import FrameContext
from flight.executive.frame_source import SimulatedFrames
from flight.executive.health import HealthGate
from flight.executive.health_counts import CountUnknown
from flight.executive.health_last_words import EndReason
from flight.executive.health_notices import NoticeBox, NoticeKind, ProcessNumber
from flight.executive.health_table import load_counts, parse_counts
from flight.executive.loop import FrameLoop
from flight.executive.modes import Mode, ModeManager
from flight.executive.run_paths import RunPaths
from flight.executive.schedule import parse
from flight.flight_process import NOMINAL_TABLE
from flight.health_watch import BUILT_IN_COUNTS, COUNTS_SOURCE, HealthWatch
from flight.pipeline.heartbeat import Heartbeat
from flight.services import dictionary
from flight.services.events import EventRing
from hal.clock import SimulatedClock
from hal.watchdog.systemd import SystemdWatchdog

TABLE = """[table]
major_us = 20_000
minor_us = 10_000
dispatch_us = 10
[[entry]]
activity = "health.step"
period = 1
slot = 0
wcet_us = 100
criticality = "high"
modes = ["boot", "nominal"]
overrun = "skip"
[[entry]]
activity = "work"
group = "extra"
period = 1
slot = 1
wcet_us = 100
criticality = "normal"
modes = ["boot", "nominal"]
overrun = "skip"
"""
COUNTS = """name = "counts"
[[watched]]
name = "work"
kind = "activity"
number = 1
window_frames = 10
expected = 5
clean_windows = 1
action = [
  { do = "event", cooldown_frames = 1 },
  { do = "restart_activity", cooldown_frames = 1, times = 2 },
  { do = "sequence", cooldown_frames = 1, sequence = 7 },
  { do = "reset", cooldown_frames = 1 },
]
[[watched]]
name = "payload"
kind = "process"
number = 102
window_frames = 20
expected = 1
action = [{ do = "restart_process", cooldown_frames = 1000 }]
"""


class Commanded:
    """Stands where commands are submitted."""

    def __init__(self) -> None:
        self.believed = 0
        self.submitted: list[tuple[int, bytes]] = []

    def submit(self, source: int, octets: bytes) -> bool:
        self.submitted.append((source, octets))
        return True


class Bench:
    """A loop in virtual time under the watch, with one activity that may raise."""

    def __init__(self, folder: Path, watchdog: SystemdWatchdog | None = None) -> None:
        self.clock = SimulatedClock(0.0)
        self.events = EventRing(256, self.clock)
        self.paths = RunPaths(folder)
        self.requests = NoticeBox(self.paths.requests)
        self.gate = HealthGate(self.events)
        self.watch = HealthWatch(self.paths, self.clock, self.events, self.gate, Heartbeat(None))
        self.commands = Commanded()
        self.modes = ModeManager(self.events)
        self.raising = False
        self.reports = 0
        frames = SimulatedFrames(self.clock, 10_000)
        activities: dict[str, Callable[[FrameContext], None]] = {"health.step": self.watch.step, "work": self.work}
        table = parse(TABLE, "bench.toml")
        self.loop = FrameLoop(table, activities, frames, self.clock, self.events, self.modes, self.gate)
        counts = parse_counts(COUNTS, "counts.toml")
        reports = {"payload": lambda: self.reports}
        self.watch.bind(self.loop, self.modes, self.commands, counts, reports, watchdog)
        frames.start()
        self.modes.request(Mode.NOMINAL)

    def work(self, context: FrameContext) -> None:
        if self.raising:
            raise RuntimeError("raised by a test")

    def fly(self, frames: int) -> None:
        for _ in range(frames):
            slot = self.loop.frames.wait(20_000)
            assert slot is not None
            self.loop.run_frame(slot)
            self.reports += 1

    def said(self) -> list[str]:
        return [dictionary.describe(record) for record in self.events.drain(256)]

    def close(self) -> None:
        self.watch.end(EndReason.STOPPED)
        self.requests.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def test_an_activity_that_was_disabled_is_tried_again_and_counts_again(bench: Bench) -> None:
    bench.raising = True
    bench.fly(15)
    assert bench.loop.disabled() == ("work",)
    bench.raising = False
    bench.fly(40)
    assert bench.loop.disabled() == ()
    said = bench.said()
    assert "health: watched 1: action 2, 1 times" in said
    assert "health: watched 1 counts as declared again" in said
    assert not bench.watch.begin_anew and not bench.commands.submitted


def test_one_that_keeps_raising_leads_to_a_sequence_and_then_to_a_new_process(bench: Bench) -> None:
    bench.raising = True
    bench.fly(150)
    assert bench.watch.begin_anew
    assert bench.commands.submitted == [(COUNTS_SOURCE, bytes.fromhex("3c0107"))]


def test_a_process_that_reports_no_more_is_restarted_by_the_supervisor(bench: Bench) -> None:
    reports = {"payload": lambda: 3}
    counts = parse_counts(COUNTS, "counts.toml")
    bench.watch.bind(bench.loop, bench.modes, bench.commands, counts, reports, None)
    bench.fly(45)
    (asked,) = bench.requests.take()
    assert (asked.kind, asked.process) == (NoticeKind.RESTART, ProcessNumber.PAYLOAD)


def test_an_activity_whose_group_is_off_needs_not_count(bench: Bench) -> None:
    bench.fly(5)
    bench.loop.tables.switch(bench.loop.tables.groups.index("extra"), False)
    bench.fly(100)
    assert bench.watch.telemetry(0.0).named()["windows_missed"] == 0
    bench.loop.tables.switch(bench.loop.tables.groups.index("extra"), True)
    bench.fly(100)
    assert bench.watch.telemetry(0.0).named()["windows_missed"] == 0


def test_a_table_that_watches_what_does_not_fly_is_refused(bench: Bench) -> None:
    counts = parse_counts(COUNTS.replace('"work"', '"works"'), "counts.toml")
    with pytest.raises(CountUnknown, match="works"):
        bench.watch.bind(bench.loop, bench.modes, bench.commands, counts, {"payload": lambda: 0}, None)


def test_the_built_in_counts_watch_what_the_built_in_schedule_runs_often_enough() -> None:
    table = parse(NOMINAL_TABLE.read_text(), "nominal.toml")
    entries = {entry.activity: entry for entry in table.entries}
    for watched in load_counts(BUILT_IN_COUNTS).watched:
        if watched.name not in entries:
            assert watched.name in ("camera", "payload")
            continue
        entry = entries[watched.name]
        assert watched.expected <= watched.window_frames // entry.period // 5, f"{watched.name}: a loaded machine"
        assert set(watched.modes) <= set(entry.modes)


def test_a_service_manager_hears_ready_once_then_what_the_clock_writes_and_that_it_stops(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        watchdog = SystemdWatchdog(str(tmp_path / "notify"), 10.0)
        bench = Bench(tmp_path, watchdog)

        def heard() -> list[bytes]:
            words = []
            while True:
                try:
                    words.append(manager.recv(100))
                except BlockingIOError:
                    return words

        bench.fly(3)
        assert heard() == [b"READY=1"]
        os.write(watchdog.fileno(), b"\0")
        bench.fly(2)
        assert heard() == [b"WATCHDOG=1"]
        bench.close()
        assert heard() == [b"STOPPING=1"]
        watchdog.close(disarm=False)


def test_a_service_manager_that_is_gone_stops_nothing(tmp_path: Path) -> None:
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    watchdog = SystemdWatchdog(str(tmp_path / "notify"), 10.0)
    manager.close()
    bench = Bench(tmp_path, watchdog)
    os.write(watchdog.fileno(), b"\0")
    bench.fly(20)
    assert bench.loop.disabled() == () and bench.loop.counters()["health.step"].raised == 0
    bench.close()
    watchdog.close(disarm=False)
