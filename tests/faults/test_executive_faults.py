"""Faults of the executive in a whole satellite, by telecommand and from outside: told, and the frame count goes on."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from bindings.crc import crc32c
from flight.agent.telecommand import Telecommand
from flight.executive.crash_loop import BLOCKS, CrashLoop, Recovery
from flight.executive.modes import Mode
from flight.executive.schedule import load
from flight.executive.verified import sealed
from flight.flight_process import NOMINAL_TABLE
from flight.link.apids import Apid
from flight.services import dictionary
from flight.services.critical_files import FolderFiles
from flight.services.critical_store import CriticalStore
from flight.services.events import EventRecord
from flight.services.path_table import pack_paths
from hal.clock import ScaledClock
from hal.shared_clock import _pack
from tests.faults.flown import SPACECRAFT, T0
from tests.faults.test_processes import LIMIT_S, Watched, pid_of

pytestmark = pytest.mark.slow


class TwoTables(Watched):
    """Has a second table on board: garbage is collected half as often."""

    counter = 0

    def configured(self, text: str) -> str:
        nominal = NOMINAL_TABLE.read_text()
        at = nominal.index('activity = "garbage.collect"')
        changed = nominal[:at] + nominal[at:].replace("period = 10\n", "period = 20\n", 1)
        self.other = self.folder / "other.toml"
        self.other.write_text(sealed(changed, "other.toml"))
        return text.replace("realtime = false,", f'realtime = false, tables = ["{self.other}"],')

    def order(self, octets: bytes) -> None:
        self.counter += 1
        command = Telecommand(self.counter, 7, octets, T0 + 10**7)
        self._send(Apid.TELECOMMAND, command.sign(self.mission.private, self.mission.key_id, SPACECRAFT))

    def jump(self, seconds: float) -> None:
        """The clock that the whole satellite lives by is set."""
        old = self.clock._scaled()
        record = _pack(ScaledClock(old.epoch_mission_s + seconds, old.epoch_host_s, old.speed))
        self.clock._writable[: len(record)] = record

    def said(self) -> list[str]:
        return [dictionary.describe(EventRecord.unpack(octets)) for octets in self.events]

    def released(self) -> float:
        return self.numbers("executive").get("frames_released", 0)


@pytest.fixture(scope="module")
def flown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoTables]:
    watched = TwoTables(tmp_path_factory.mktemp("executive"))
    try:
        watched.run_until(watched.processing, LIMIT_S)
        yield watched
    finally:
        watched.stop()


def test_a_journal_without_space_is_told_the_frames_go_on_and_the_job_is_done_when_there_is_space(
    flown: TwoTables,
) -> None:
    writer = pid_of(flown, "journal")
    hard = resource.prlimit(writer, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(writer, resource.RLIMIT_FSIZE, (0, hard))
    flown.run_until(lambda: any("no space for the journal" in text for text in flown.said()), LIMIT_S)
    before = flown.released()
    flown.run_until(lambda: flown.released() >= before + 200, LIMIT_S)
    assert not flown.ended(), "nothing becomes durable, so nothing is done"
    assert flown.numbers("executive")["healthy"] == 1
    assert pid_of(flown, "journal") == writer
    resource.prlimit(writer, resource.RLIMIT_FSIZE, (hard, hard))
    flown.run_until(lambda: "satellite: the journal has space again" in flown.said(), LIMIT_S)
    flown.run_until(flown.delivered, LIMIT_S)
    flown.product().check_content()
    assert flown.numbers("executive")["activities_disabled"] == 0


def test_a_journal_writer_that_is_killed_is_replaced_with_the_flight_process_and_the_work_goes_on(
    flown: TwoTables,
) -> None:
    before = {name: pid_of(flown, name) for name in ("flight", "journal")}
    restarts = sum("the flight process began, restart" in text for text in flown.said())
    flown.kill("journal")
    flown.run_until(
        lambda: sum("the flight process began, restart" in text for text in flown.said()) > restarts, LIMIT_S
    )
    assert all(pid_of(flown, name) != pid for name, pid in before.items())
    flown.run_until(lambda: 0 < flown.released() < 500, LIMIT_S)


def test_a_table_is_replaced_by_telecommand_and_given_up_again(flown: TwoTables) -> None:
    short = int(load(flown.other).hash[:16], 16)
    flown.order(bytes.fromhex("0104") + short.to_bytes(8, "big"))
    flown.run_until(lambda: any(f"table {short} flies from frame" in text for text in flown.said()), LIMIT_S)
    flown.order(bytes.fromhex("0106"))
    flown.run_until(lambda: any(f"table {short} given up, reason 3" in text for text in flown.said()), LIMIT_S)
    before = flown.released()
    flown.run_until(lambda: flown.released() >= before + 100, LIMIT_S)
    assert flown.numbers("executive")["tables_mended"] == 0


def test_a_table_that_is_not_on_board_is_answered_by_a_failure(flown: TwoTables) -> None:
    flown.order(bytes.fromhex("0104") + bytes(8))
    flown.run_until(lambda: any("command 260 of source 7 failed" in text for text in flown.said()), LIMIT_S)


def test_a_file_is_copied_by_telecommand_and_a_killed_file_process_is_replaced(flown: TwoTables) -> None:
    def told(text: str) -> bool:
        return any(text in said for said in flown.said())

    content = bytes(range(256)) * 8192
    root = flown.folder / "run" / "files"
    (root / "a").write_bytes(content)
    flown.order(bytes.fromhex("4301") + pack_paths({1: "a", 2: "b"}))
    flown.run_until(lambda: told("files: path table loaded: 2 paths"), LIMIT_S)
    flown.order(bytes.fromhex("43050102"))
    flown.run_until(lambda: told(f": {len(content)} octets copied, CRC {crc32c(content)}"), LIMIT_S)
    assert (root / "b").read_bytes() == content
    before = flown.released()
    assert flown.kill("files")
    flown.run_until(lambda: told("a file process began, number 2 seen"), LIMIT_S)
    flown.order(bytes.fromhex("430402"))
    flown.run_until(lambda: told(f": CRC {crc32c(content)} of {len(content)} octets"), LIMIT_S)
    flown.run_until(lambda: flown.released() >= before + 100, LIMIT_S)
    assert flown.numbers("executive")["activities_disabled"] == 0


def test_a_clock_that_goes_back_is_told_and_the_frames_are_counted_on(flown: TwoTables) -> None:
    before, mission_s = flown.numbers("executive"), flown.clock.mission_s()
    flown.jump(-1000.0)
    flown.run_until(lambda: any("the oscillator went back by" in text for text in flown.said()), LIMIT_S)
    assert flown.clock.mission_s() < mission_s
    flown.run_until(lambda: flown.released() >= before["frames_released"] + 300, LIMIT_S)
    after = flown.numbers("executive")
    assert after["activities_disabled"] == 0 and after["healthy"] == 1
    assert after["frames_skipped"] - before["frames_skipped"] < 150, "frames do not follow that clock"
    flown.order(bytes.fromhex("010200") + bytes.fromhex("00000001"))  # a telecommand is still heard
    flown.run_until(lambda: any("command 258 of source 7" in text for text in flown.said()), LIMIT_S)


def test_an_event_that_is_not_wanted_and_a_packet_at_another_rate_stay_on_board(flown: TwoTables) -> None:
    flown.order(bytes.fromhex("4401" + "01" + "03" + "00000000" + "00000000"))  # the executive's packet: off
    flown.run_until(lambda: any("command 17409 of source 7 done" in text for text in flown.said()), LIMIT_S)
    flown.housekeeping.clear()
    flown.run_until(lambda: flown.numbers("event_service").get("emitted", 0) > 0, LIMIT_S)
    flown.run_until(lambda: len(flown.housekeeping) > 40, LIMIT_S)
    assert not flown.numbers("executive")
    flown.order(bytes.fromhex("4501" + "01" + "02"))  # nothing below a warning goes down
    flown.run_until(lambda: flown.numbers("event_service").get("downlink_filtered", 0) > 0, LIMIT_S)
    flown.order(bytes.fromhex("4505"))
    flown.order(bytes.fromhex("4401" + "01" + "00" + "00000000" + "00000000"))
    flown.run_until(lambda: any("command 17669 of source 7 done" in text for text in flown.said()), LIMIT_S)
    flown.run_until(lambda: flown.released() > 0, LIMIT_S)


class Looping(TwoTables):
    """Two starts at each level of recovery."""

    def configured(self, text: str) -> str:
        return super().configured(text).replace("crash_limit = 0", "crash_limit = 2")

    def began(self) -> int:
        return sum("the flight process began, restart" in text for text in self.said())

    def kill_flight(self) -> None:
        before = self.began()
        self.kill("flight")
        self.run_until(lambda: self.began() > before, LIMIT_S)


def test_a_crash_loop_ends_in_safe_mode_then_in_the_golden_configuration_and_a_stop_forgets_it(tmp_path: Path) -> None:
    flown = Looping(tmp_path)

    def recovered(level: int) -> bool:
        return any(f"begun in safe mode, level {level} of recovery" in text for text in flown.said())

    try:
        flown.run_until(lambda: flown.began() == 1, LIMIT_S)
        flown.kill_flight()
        assert not recovered(1)
        flown.kill_flight()
        flown.run_until(lambda: recovered(1), LIMIT_S)
        flown.housekeeping.clear()
        flown.run_until(lambda: flown.numbers("executive").get("mode") == Mode.SAFE, LIMIT_S)
        before = flown.released()
        flown.run_until(lambda: flown.released() >= before + 100, LIMIT_S)
        flown.order(bytes.fromhex("010102"))  # the ground ends safe mode by command
        flown.run_until(lambda: flown.numbers("executive").get("mode") != Mode.SAFE, LIMIT_S)
        flown.kill_flight()
        flown.kill_flight()
        flown.run_until(lambda: recovered(2), LIMIT_S)
        flown.run_until(lambda: flown.numbers("executive").get("mode") == Mode.SAFE, LIMIT_S)
    finally:
        flown.stop()
    store = CriticalStore(FolderFiles(tmp_path / "run" / "critical"), BLOCKS)
    loop = CrashLoop(store, 2)
    assert (loop.level, loop.budget.performed) == (Recovery.AS_CONFIGURED, 0)
    loop.close()
