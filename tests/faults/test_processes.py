"""The satellite's real processes: what each of them holds, and what it does to the others when one of them goes wrong.

Everything is looked at from outside, in /proc, and heard over the radio.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flight.agent import cose
from flight.agent.command import Command, CommandKind
from flight.agent.reasons import Reason
from flight.agent.states import JobState
from flight.agent.telecommand import Telecommand
from flight.executive.health_notices import Notice, NoticeKind, NoticeSender, ProcessNumber
from flight.executive.modes import Mode
from flight.executive.supervisor import LIVENESS
from flight.link.apids import Apid
from flight.link.errors import LinkError
from flight.link.packet import SpacePacket
from flight.link.tm_frame import TmDeframer
from flight.pipeline.answer_slots import AnswerWriter
from flight.pipeline.control import ForgetOrder, IdleOrder, InferOrder, PayloadOrder, PayloadReport
from flight.pipeline.control_sockets import ControlPeer
from flight.services import dictionary
from flight.services.events import EventRecord
from flight.services.telemetry import TelemetryPacket
from hal.sensor.scene import open_scene
from tests.faults.flown import SCENE, SPACECRAFT, T0, Flown
from tests.faults.hostile_tap import explain, windows

pytestmark = pytest.mark.slow

LIMIT_S = 90.0
PROCESSES = ("flight", "camera", "payload", "journal", "files")
AT_WORK = (JobState.CAPTURING, JobState.PROCESSING)


class Watched(Flown):
    """Keeps every frame and every telemetry packet too."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.frames: list[bytes] = []
        self.housekeeping: list[TelemetryPacket] = []
        self._second = TmDeframer(SPACECRAFT, 1024)
        super().__init__(folder, "cloud", **options)

    def _frame(self, frame: bytes) -> None:
        self.frames.append(frame)
        try:
            packets = [SpacePacket.unpack(octets) for octets in self._second.push(frame)]
        except LinkError:
            packets = []
        for packet in packets:
            if packet.apid == Apid.TELEMETRY:
                self.housekeeping.append(TelemetryPacket.unpack(packet.payload, dictionary.component))
        super()._frame(frame)

    def numbers(self, component: str) -> dict[str, int | float]:
        """The newest telemetry of a component."""
        return next(
            (packet.named() for packet in reversed(self.housekeeping) if packet.component.name == component), {}
        )

    def run_for(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        self.run_until(lambda: time.monotonic() >= end_s, seconds + 30)

    def said(self) -> list[str]:
        return [dictionary.describe(EventRecord.unpack(octets)) for octets in self.events]

    def processing(self) -> bool:
        return self.state() is JobState.PROCESSING and self.pid("payload") is not None and self.tiles_done() > 0

    def ended(self) -> bool:
        state = self.state()
        return state is not None and state.terminal

    def log_records(self) -> list[dict[str, object]]:
        lines = (self.folder / "satellite.log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def command(self, kind: CommandKind) -> None:
        payload = Command(kind, self.job_id, T0 + 10**7).encode()
        key = self.tenant
        self._send(Apid.COMMAND, cose.sign1(payload, key.private, key.key_id, cose.aad(cose.Purpose.COMMAND)))


@pytest.fixture(scope="module")
def flown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A satellite whose payload process is at work, held still in the middle of a job."""
    watched = Watched(tmp_path_factory.mktemp("flown"))
    try:
        watched.run_until(watched.processing, LIMIT_S)
        pid = watched.pid("payload")
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        yield watched
        os.kill(pid, signal.SIGCONT)
    finally:
        watched.stop()


def pid_of(flown: Watched, name: str) -> int:
    pid = flown.pid(name)
    assert pid is not None, f"{name} is not there"
    return pid


def held(pid: int) -> list[str]:
    """What the descriptors of a process are."""
    found = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(os.readlink(descriptor))
        except OSError:
            continue
    return found


def network_inodes(pid: int) -> set[str]:
    """Every socket of its network that is not a local one."""
    inodes = set()
    for table in ("tcp", "tcp6", "udp", "udp6", "udplite", "raw", "raw6", "packet", "icmp", "netlink"):
        path = Path(f"/proc/{pid}/net/{table}")
        if path.exists():
            rows = path.read_text().splitlines()
            column = (rows[0].split() if rows else []).index("Inode") if table in ("packet", "netlink") else None
            inodes |= {row.split()[9 if column is None else column] for row in rows[1:]}
    return inodes


def network_sockets(pid: int) -> list[str]:
    inodes = network_inodes(pid)
    return [target for target in held(pid) if target.startswith("socket:") and target[8:-1] in inodes]


def status(pid: int, name: str) -> str:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return line.split(":")[1].strip()
    raise KeyError(name)


def mappings(pid: int, name: str) -> list[str]:
    """Permissions of the mappings whose file has this in its name."""
    return [line.split()[1] for line in Path(f"/proc/{pid}/maps").read_text().splitlines() if name in line]


# --- what each process holds -----------------------------------------------------------------------------------------


def test_the_flight_process_alone_has_a_network_socket_and_it_is_the_radio(flown: Watched) -> None:
    assert len(network_sockets(pid_of(flown, "flight"))) == 1
    for name in ("camera", "payload", "journal", "files"):
        assert network_sockets(pid_of(flown, name)) == [], name


def test_no_process_keeps_a_key_file_open_and_the_payload_is_not_told_where_they_are(flown: Watched) -> None:
    keys = str(flown.folder / "keys")
    for name in PROCESSES:
        assert not any(target.startswith(keys) for target in held(pid_of(flown, name))), name
    for name in ("camera", "payload", "journal", "files"):
        started_with = Path(f"/proc/{pid_of(flown, name)}/cmdline").read_bytes()
        assert keys.encode() not in started_with and b"satellite.toml" not in started_with, name


def test_no_process_but_the_flight_process_has_the_cryptography_in_memory(flown: Watched) -> None:
    assert mappings(pid_of(flown, "flight"), "/cryptography/")
    for name in ("camera", "payload", "journal", "files"):
        assert not mappings(pid_of(flown, name), "/cryptography/"), name
    assert mappings(pid_of(flown, "payload"), "onnxruntime")
    assert not mappings(pid_of(flown, "flight"), "onnxruntime"), "inference has no place beside the keys"


def test_the_flight_process_has_no_pixel_memory_and_only_reads_the_answers(flown: Watched) -> None:
    flight = pid_of(flown, "flight")
    assert mappings(flight, "memfd:swath-strip") == []
    assert not any("memfd:swath-strip" in target for target in held(flight))
    assert set(mappings(flight, "memfd:swath-answers")) == {"r--s"}
    store = str(flown.folder / "run" / "strips")
    assert not any(target.startswith(store) for target in held(flight))


def test_the_payload_process_only_reads_the_strip_and_the_camera_has_no_answers(flown: Watched) -> None:
    assert set(mappings(pid_of(flown, "payload"), "memfd:swath-strip")) == {"r--s"}
    assert not any("memfd:swath-answers" in target for target in held(pid_of(flown, "camera")))
    assert not any("memfd" in target for target in held(pid_of(flown, "journal")))


def test_the_payload_process_is_last_in_line_and_nobody_with_secrets_dumps_core(flown: Watched) -> None:
    payload = pid_of(flown, "payload")
    assert os.getpriority(os.PRIO_PROCESS, payload) == 19
    assert os.getpriority(os.PRIO_PROCESS, pid_of(flown, "flight")) < 19
    for name in ("flight", "payload", "camera"):
        assert resource.prlimit(pid_of(flown, name), resource.RLIMIT_CORE) == (0, 0), name
        assert status(pid_of(flown, name), "NoNewPrivs") == "1", name


def test_private_keys_and_control_sockets_are_their_owner_s_alone(flown: Watched) -> None:
    for path in [*(flown.folder / "keys").glob("*.key"), *(flown.folder / "run").glob("*.ipc")]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name
    assert len(list((flown.folder / "keys").glob("*.key"))) == 2
    assert {path.name for path in (flown.folder / "run").glob("*.ipc")} == {"camera.ipc", "payload.ipc"}


def test_a_payload_process_that_stands_still_holds_up_no_frame_and_its_job_goes_on(flown: Watched) -> None:
    """Last of the tests on this satellite: its payload process has been stopped since the first of them began."""
    flown.run_for(2.5)  # telemetry comes once a second
    before = flown.numbers("executive")
    flown.run_for(3.0)
    after = flown.numbers("executive")
    passed = after["frames_released"] - before["frames_released"]
    ran = after["frames_run"] - before["frames_run"]
    assert passed >= 150
    assert ran > 0.5 * passed, f"{ran} of {passed} frames ended in time"  # other loads on the machine may take some
    assert after["activities_disabled"] == 0 and after["healthy"] == 1
    os.kill(pid_of(flown, "payload"), signal.SIGCONT)
    flown.run_until(flown.delivered, LIMIT_S)
    product = flown.product()
    product.check_content()
    explain(flown.frames, flown.keys)


# --- a process that lives and says nothing


class Hurried(Watched):
    """Tiles have 5 s, and so the payload process is hung after the least time that is declared."""

    def configured(self, text: str) -> str:
        return text.replace("[link]\n", "[inference]\ntile_limit_s = 5.0\n[link]\n", 1)


def test_a_hung_payload_process_is_ended_and_restarted_and_no_frame_waits_for_it(tmp_path: Path) -> None:
    flown = Hurried(tmp_path)
    try:
        flown.run_until(flown.processing, LIMIT_S)
        flown.run_until(lambda: flown.numbers("executive").get("frames_released", 0) > 0, LIMIT_S)
        hung, flight, before = pid_of(flown, "payload"), pid_of(flown, "flight"), flown.numbers("executive")
        os.kill(hung, signal.SIGSTOP)
        flown.run_until(lambda: flown.pid("payload") not in (None, hung), LIMIT_S)
        log = [r for r in flown.log_records() if r.get("process") == "payload"]
        told = [r for r in log if r["event"] == "hung"]
        assert [r["times"] for r in told] == [1]
        silent_ms = told[0]["silent_ms"]
        assert isinstance(silent_ms, int) and silent_ms > LIVENESS.silent_s * 1000
        assert [r["event"] for r in log] == ["started", "hung", "killed", "ended", "started"]
        assert [r["status"] for r in log if r["event"] == "ended"] == [-signal.SIGKILL]
        flown.run_until(lambda: sum("payload process" in line for line in flown.said()) >= 2, LIMIT_S)
        after = flown.numbers("executive")
        assert after["frames_released"] > before["frames_released"] + 500, "10 ms frames, through the whole silence"
        assert after["activities_disabled"] == 0 and after["healthy"] == 1
        assert pid_of(flown, "flight") == flight
        camera = pid_of(flown, "camera")
        asked = NoticeSender(tmp_path / "run" / "requests.sock")
        assert asked.send(Notice(NoticeKind.RESTART, ProcessNumber.CAMERA))
        asked.close()
        flown.run_until(lambda: flown.pid("camera") not in (None, camera), LIMIT_S)
        flown.run_until(flown.delivered, LIMIT_S)
        flown.product().check_content()
        explain(flown.frames, flown.keys)
    finally:
        flown.stop()


# --- a payload process that cannot work ------------------------------------------------------------------------------


def test_a_payload_process_that_crashes_at_each_start_costs_its_job_and_nothing_else(tmp_path: Path) -> None:
    flown = Watched(tmp_path)
    try:
        flown.run_until(flown.processing, LIMIT_S)
        work = tmp_path / "run" / "work"
        work.rename(tmp_path / "run" / "work.away")
        work.write_text("a file where a folder should be: the payload process cannot begin")
        flown.kill("payload")
        flown.run_for(4.0)
        ends = [r for r in flown.log_records() if r.get("event") == "ended" and r.get("process") == "payload"]
        assert 3 <= len(ends) <= 14, "restarted, and with growing pauses"  # 0.05, 0.1 ... 2 s after each other
        assert flown.state() is JobState.PROCESSING
        flown.command(CommandKind.CANCEL_JOB)
        flown.run_until(flown.ended, LIMIT_S, lambda: flown.command(CommandKind.CANCEL_JOB))
        assert flown.state() is JobState.CANCELLED
        assert flown.numbers("executive")["activities_disabled"] == 0
        assert explain(flown.frames, flown.keys).units == 0
    finally:
        flown.stop()


def test_payload_processes_that_are_all_without_memory_leave_no_job_hanging(tmp_path: Path) -> None:
    """Every payload process gets a bound on its memory below what it has, as soon as it appears.

    What one had already may do for some tiles, so that many of them may come to the end of the job all the same.
    """
    flown = Watched(tmp_path)

    def starve() -> None:
        pid = flown.pid("payload")
        if pid is not None and flown.state() in AT_WORK:
            try:
                resource.prlimit(pid, resource.RLIMIT_AS, (1 << 20, 1 << 20))
            except (ProcessLookupError, PermissionError):
                return

    try:
        flown.run_until(lambda: flown.state() in AT_WORK, LIMIT_S)
        for _ in range(2):
            starve()
            flown.run_for(1.0)
        begun_s = time.monotonic()

        def hurry() -> None:
            starve()
            if time.monotonic() - begun_s > 8.0:
                flown.clock.set_speed(20_000.0)  # to the deadline

        flown.run_until(flown.ended, LIMIT_S, hurry)
        final = [report for report in flown.statuses if report.subject == flown.job_id[:8]][-1]
        assert (final.state, final.reason) in {
            (JobState.FAILED, Reason.INFERENCE_FAILED),
            (JobState.EXPIRED, Reason.DEADLINE_PASSED),
            (JobState.DELIVERED, Reason.NONE),
        }
        assert flown.pid("flight") is not None
        if final.state is JobState.DELIVERED:
            flown.product().check_content()
        else:
            assert explain(flown.frames, flown.keys).units == 0
    finally:
        flown.stop()


# --- a hostile one in its place --------------------------------------------------------------------------------------


def test_a_hostile_process_in_the_payload_s_place_gets_no_pixel_out_and_the_job_is_answered_after_it(
    tmp_path: Path,
) -> None:
    """The real payload process is stopped, a hostile one takes its place with its memory and its endpoint."""
    flown = Watched(tmp_path)
    with open_scene(SCENE) as scene:
        pixels = np.ascontiguousarray(scene.read_rows(0, scene.info.height))
    try:
        flown.run_until(flown.processing, LIMIT_S)
        payload = pid_of(flown, "payload")
        os.kill(payload, signal.SIGSTOP)
        attack(flown, payload, pixels)
        refused = [r for r in flown.log_records() if r.get("event") == "refused"]
        assert {r["reason"] for r in refused} >= {"answer_class_invalid"}
        assert flown.state() is JobState.PROCESSING
        os.kill(payload, signal.SIGKILL)  # the supervisor starts another one
        flown.run_until(flown.delivered, LIMIT_S)
        product = flown.product()
        product.check_content()
        heard = explain(flown.frames, flown.keys)
        assert heard.units > 0 and heard.alerts <= 1
        assert lively(flown.frames, pixels) == 0
        assert not flown.tap.violations
    finally:
        flown.stop()


def attack(flown: Watched, payload: int, pixels: np.ndarray) -> None:
    """Raw lines for class rows, for a while; fewer than would end the job."""
    memory = next(
        descriptor
        for descriptor in Path(f"/proc/{payload}/fd").iterdir()
        if "memfd:swath-answers" in os.readlink(descriptor)
    )
    descriptor = os.open(memory, os.O_RDWR)
    slots = AnswerWriter(descriptor)
    peer = ControlPeer[PayloadOrder](
        f"ipc://{flown.folder / 'run' / 'payload.ipc'}",
        (InferOrder, IdleOrder, ForgetOrder),
        int(time.monotonic() * 1e6),
    )
    offered: list[int] = []
    report = PayloadReport(incarnation=peer.incarnation, state="idle")

    def offer() -> None:
        nonlocal report
        for order in peer.orders(0.0)[-1:]:
            if not isinstance(order, InferOrder) or len(offered) >= 12:
                continue
            first = order.acked_strips * 64
            block = pixels[first : first + 64, :, len(offered) % pixels.shape[2]]
            strip = slots.put(order.acked_strips % slots.slots, order.job, order.acked_strips, first, block)
            report = PayloadReport(
                incarnation=peer.incarnation, state="running", job=order.job, strips=(strip,), rows_final=len(offered)
            )
            offered.append(order.acked_strips)
        peer.report(report, time.monotonic())

    try:
        flown.run_until(lambda: len(offered) >= 12, 30.0, offer)
        flown.run_for(0.5)
    finally:
        peer.close()
        slots.close()
        os.close(descriptor)


def lively(frames: list[bytes], pixels: np.ndarray) -> int:
    """Runs of 8 octets of the scene with at least 5 different ones among them, that are in what was sent."""
    said = np.unique(np.concatenate([windows(frame) for frame in frames]))
    said = said[_distinct(said) >= 5]
    found = 0
    for form in (pixels, np.ascontiguousarray(pixels.transpose(2, 0, 1))):
        known = windows(form.view(np.uint8))
        places = np.searchsorted(said, known).clip(max=len(said) - 1)
        found += int((said[places] == known).sum())
    return found


def _distinct(runs: np.ndarray) -> np.ndarray:
    lanes = np.sort(runs.view(np.uint8).reshape(-1, 8), axis=1)
    distinct: np.ndarray = 1 + (np.diff(lanes, axis=1) != 0).sum(axis=1)
    return distinct


def test_the_search_in_a_scene_finds_its_pixels() -> None:
    with open_scene(SCENE) as scene:
        pixels = np.ascontiguousarray(scene.read_rows(100, 50))
    assert lively([bytes(100) + pixels[20].tobytes()[:400]], pixels) > 0
    assert lively([bytes(1000), np.random.default_rng(1).bytes(20_000)], pixels) == 0


def test_a_telecommand_holds_safe_mode_in_flight_and_is_taken_once(flown: Watched) -> None:
    command = Telecommand(1, 7, bytes.fromhex("010201000003e8"), T0 + 10**7)  # mode_hold SAFE for 1000 frames
    message = command.sign(flown.mission.private, flown.mission.key_id, SPACECRAFT)

    flown._send(Apid.TELECOMMAND, message)
    flown.run_until(lambda: flown.numbers("executive").get("mode") == Mode.SAFE, LIMIT_S)
    flown._send(Apid.TELECOMMAND, message)
    flown.run_until(lambda: "satellite: telecommand 1 refused, reason 4" in flown.said(), LIMIT_S)
    assert flown.said().count("satellite: telecommand 1 of source 7 is on the journal") == 1
    assert flown.said().count("sequences: command 258 of source 7 done") == 1
