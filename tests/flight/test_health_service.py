"""The watch of the flight process as one activity: over boots, with media that fail, with words said and taken back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flight.executive.frame_context import FrameContext
from flight.executive.health import HealthGate
from flight.executive.health_contact import ContactAction, ContactRule
from flight.executive.health_counts import CountWatch
from flight.executive.health_last_words import EndReason
from flight.executive.health_notices import Notice, NoticeKind, NoticeSender, ProcessNumber, ProcessWatch
from flight.executive.health_service import HealthPaths, HealthService
from flight.executive.health_table import parse_counts
from flight.executive.modes import Mode
from flight.services import dictionary
from flight.services.events import EventRing
from hal.clock import SimulatedClock

RULE = ContactRule(((100.0, ContactAction.SAFE_MODE),), repeat_s=100.0, save_s=10.0)
COUNTS = """name = "one"
[[watched]]
name = "payload"
kind = "process"
number = 3
window_frames = 10
expected = 1
action = [{ do = "restart_process", cooldown_frames = 10 }]
"""


class Boot:
    """One boot of a flight process in virtual time, 10 ms a frame."""

    def __init__(self, folder: Path) -> None:
        self.clock = SimulatedClock()
        self.events = EventRing(200, self.clock)
        self.gate = HealthGate(self.events)
        self.gate.watch("heart", 5)
        self.acted: list[ContactAction] = []
        self.processes = ProcessWatch(folder / "notices.sock", folder / "requests.sock", self.events)
        self.service = HealthService(
            HealthPaths(folder),
            self.clock,
            self.events,
            self.gate,
            self.processes,
            lambda: (),
            self.acted.append,
            rule=RULE,
        )
        self.context, self.frame = FrameContext(self.clock), -1

    def fly(self, frames: int, *, heart: bool = True, frame_s: float = 0.01) -> None:
        for _ in range(frames):
            self.frame += 1
            self.clock.advance(frame_s)
            if heart:
                self.gate.check_in("heart", self.frame)
            self.gate.judge(self.frame)
            self.context.begin(self.frame, Mode.NOMINAL, 0)
            self.service.step(self.context)

    def said(self) -> list[str]:
        return [dictionary.describe(record) for record in self.events.drain(200)]


@pytest.fixture
def boots(tmp_path: Path) -> Iterator[list[Boot]]:
    made: list[Boot] = []
    yield made
    for boot in made:
        boot.service.close()
        boot.service.close()


def test_a_first_boot_has_nothing_to_tell(tmp_path: Path, boots: list[Boot]) -> None:
    boots.append(Boot(tmp_path))
    boots[0].fly(10)
    assert boots[0].said() == []


@pytest.mark.parametrize("reason", [EndReason.STOPPED, EndReason.FATAL, EndReason.ORPHANED, EndReason.RESET])
def test_the_next_boot_tells_why_the_one_before_ended(tmp_path: Path, boots: list[Boot], reason: EndReason) -> None:
    boots.append(Boot(tmp_path))
    boots[0].fly(10)
    boots[0].service.ending(reason)
    boots[0].service.close()
    boots.append(Boot(tmp_path))
    assert f"health: the boot before ended in frame 9, mode {Mode.NOMINAL:d}, reason {reason:d}" in boots[1].said()


def test_a_withheld_watchdog_leaves_words_at_once_and_they_are_taken_back_with_health(
    tmp_path: Path, boots: list[Boot]
) -> None:
    boots.append(Boot(tmp_path))
    boots[0].fly(10)
    boots[0].fly(20, heart=False)  # and killed without a word: the words are there already
    boots.append(Boot(tmp_path))
    assert any(line.endswith("reason 3") for line in boots[1].said())
    boots[1].fly(20, heart=False)
    boots[1].fly(5)
    boots.append(Boot(tmp_path))
    assert not any("ended in frame" in line for line in boots[2].said())


def test_the_end_does_not_replace_words_of_a_withheld_watchdog(tmp_path: Path, boots: list[Boot]) -> None:
    boots.append(Boot(tmp_path))
    boots[0].fly(20, heart=False)
    boots[0].service.ending(EndReason.STOPPED)
    boots.append(Boot(tmp_path))
    assert any(line.endswith("reason 3") for line in boots[1].said())


def test_time_without_contact_goes_on_over_boots_until_a_telecommand(tmp_path: Path, boots: list[Boot]) -> None:
    boots.append(Boot(tmp_path))
    boots[0].fly(60, frame_s=1.0)
    boots.append(Boot(tmp_path))
    assert boots[1].service.contact.silent_s >= 60.0
    boots[1].fly(45, frame_s=1.0)
    assert boots[1].acted == [ContactAction.SAFE_MODE]
    boots[1].service.heard()
    boots.append(Boot(tmp_path))
    assert boots[2].service.contact.silent_s == RULE.save_s
    assert any("a valid telecommand after" in line for line in boots[1].said())


def test_media_that_fail_are_told_and_stop_nothing(tmp_path: Path, boots: list[Boot]) -> None:
    (tmp_path / "last_words").mkdir()
    (tmp_path / "ground_contact").mkdir()
    boots.append(Boot(tmp_path))
    boots[0].fly(150, frame_s=1.0)
    boots[0].service.ending(EndReason.STOPPED)
    lines = boots[0].said()
    for part in ("last words could not be written", "is not known", "could not be saved"):
        assert any(part in line for line in lines), part
    assert boots[0].acted == [ContactAction.SAFE_MODE]


class Asks:
    """Reactions that only ask the supervisor."""

    def __init__(self, processes: ProcessWatch) -> None:
        self.processes = processes

    def restart_activity(self, name: str) -> bool:
        return False

    def restart_process(self, name: str) -> bool:
        return self.processes.restart(ProcessNumber[name.upper()])

    def start_sequence(self, number: int) -> bool:
        return False

    def reset(self) -> bool:
        return False


def test_notices_and_counts_come_in_with_the_steps_and_go_down_in_the_telemetry(
    tmp_path: Path, boots: list[Boot]
) -> None:
    boots.append(Boot(tmp_path))
    boot = boots[0]
    boot.service.counts = CountWatch(
        parse_counts(COUNTS, "here"), {"payload": lambda: 0}, Asks(boot.processes), boot.events
    )
    supervisor = NoticeSender(tmp_path / "notices.sock")
    supervisor.send(Notice(NoticeKind.HUNG, ProcessNumber.PAYLOAD, 1, 13_000))
    boot.fly(12)
    supervisor.close()
    assert boot.said() == [
        "health: process 3 silent for 13000 ms and made to end, 1 times so far",
        "health: watched 3: 0 of 1 in its window",
        "health: watched 3: action 3, 1 times",
        "health: watched 3: action 3 could not be taken",  # no supervisor listens
    ]
    numbers = boot.service.telemetry(0.0).named()
    assert (numbers["processes_hung"], numbers["windows_missed"], numbers["actions_failed"]) == (1, 1, 1)
