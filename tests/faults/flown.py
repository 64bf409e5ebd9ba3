"""A whole satellite in its real processes, and a scripted ground with the real link under it; for fault tests.

The ground repeats what is not answered, checks that no octet that it has acknowledged is sent again, and keeps what
came down.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from flight.agent import cose
from flight.agent.area import Box
from flight.agent.grant import Grant
from flight.agent.job import Job, ProductKind
from flight.agent.keys import KeyStore, SigningKey, create_keystore, generate_recipient_key, generate_signing_key
from flight.agent.receipt import Receipt
from flight.agent.states import JobState
from flight.agent.status import StatusReport
from flight.flight_process import GROUND_ENTITY
from flight.link.apids import Apid
from flight.link.cfdp.pdu import FileData, Nak, decode
from flight.link.cfdp.pdu import Finished as FinishedPdu
from flight.link.cfdp.receiver import Receiver
from flight.link.cfdp.reception import ReceiverConfig
from flight.link.cfdp.store import FolderStore
from flight.link.errors import LinkError
from flight.link.packet import SequenceCounters, SpacePacket
from flight.link.tc_frame import TcFramer
from flight.link.tm_frame import TmDeframer
from flight.pipeline.checkpoint import TILE_MAGIC
from flight.product.container import Product, open_container
from flight.product.envelope import decrypt
from hal.datagram import DatagramSocket
from hal.errors import DeadlineExceeded
from hal.shared_clock import SharedClockMaster
from tests.shared_data import ROOT

T0 = 1_790_879_400
ORBIT = {
    "epoch_s": T0,
    "inclination_deg": 44.576,
    "raan_deg": 58.8,
    "eccentricity": 0.0005,
    "mean_anomaly_deg": 111.917,
    "revolutions_per_day": 14.37544,
}
SCENE = ROOT / "examples" / "scenes" / "landsat7_great_salt_lake_7band.tif"
AREA = ((-112.77, 40.74), (-112.52, 40.74), (-112.52, 41.0), (-112.77, 41.0))
SPACECRAFT = 68
REPEAT_S = 0.4  # host time between two sendings of what is not answered


def seeded(seed: int) -> Callable[[int], bytes]:
    return random.Random(seed).randbytes


@dataclass
class Tap:
    """What the ground acknowledged, and whether any of it came again."""

    acknowledged: dict[int, set[tuple[int, int]]] = field(default_factory=dict)
    known: dict[int, bytearray] = field(default_factory=dict)  # octet by octet: 1 acknowledged
    data_octets: int = 0
    violations: list[str] = field(default_factory=list)

    def down(self, unit: bytes) -> None:
        transaction, pdu = decode(unit)
        if not isinstance(pdu, FileData):
            return
        self.data_octets += len(pdu.data)
        marks = self.known.setdefault(transaction.sequence, bytearray(1 << 20))
        if any(marks[pdu.offset : pdu.offset + len(pdu.data)]):
            self.violations.append(f"transaction {transaction.sequence}: {len(pdu.data)} octets at {pdu.offset} again")

    def up(self, unit: bytes) -> None:
        """What the ground acknowledges; on a link without loss nothing that is on its way down crosses it."""
        transaction, pdu = decode(unit)
        marks = self.known.setdefault(transaction.sequence, bytearray(1 << 20))
        if isinstance(pdu, FinishedPdu):
            marks[:] = b"\1" * len(marks)
        elif isinstance(pdu, Nak):
            start, end = pdu.scope
            came = bytearray(b"\1" * (end - start))
            for first, last in pdu.gaps:
                came[first - start : last - start] = bytes(last - first)
            for index, mark in enumerate(came):
                if mark:
                    marks[start + index] = 1


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


class Flown:
    """One satellite over the Great Salt Lake scene with a station that sees it all the time."""

    def __init__(
        self, folder: Path, application: str, *, seed: int = 1, speed: float = 20.0, loss: float = 0.0
    ) -> None:
        self.folder, self.application, self.loss = folder, application, loss
        self.random = random.Random(seed)
        folder.mkdir(parents=True, exist_ok=True)
        draw = seeded(seed)
        mission, ground, tenant = (generate_signing_key(draw) for _ in range(3))
        self.mission = mission
        self.ground_key, self.tenant = ground, tenant
        self.reader = generate_recipient_key(draw)
        self.keys: KeyStore = create_keystore(
            folder / "keys",
            draw,
            mission={"mission": mission.public},
            ground={"ground": ground.public},
            demonstration=True,
        )
        self.speed = speed
        self.clock = SharedClockMaster(folder / "clock", T0 - 120.0, 1.0)  # slow until the order is taken
        self.socket = DatagramSocket("test ground", ("127.0.0.1", 0), self.clock, 4096)
        probe = DatagramSocket("probe", ("127.0.0.1", 0), self.clock, 4096)
        self.satellite_address = probe.address
        probe.close()
        self.grant = self._grant(mission)
        self.job = self._job()
        self.job_id = self.job.id
        self.statuses: list[StatusReport] = []
        self.alerts = 0
        self.events: list[bytes] = []
        self.telemetry = 0
        self.products: dict[str, bytes] = {}  # name -> octets as they came down
        self.tap = Tap()
        self._framer, self._packets = TcFramer(SPACECRAFT), SequenceCounters()
        self._deframer = TmDeframer(SPACECRAFT, 1024)
        self._receiver = Receiver(
            ReceiverConfig(), GROUND_ENTITY, FolderStore(folder / "received"), self.clock.host_s()
        )
        self._receiver.resume(self.clock.host_s())
        self._buffer = bytearray(4096)
        self._repeat_at = 0.0
        self.pids: list[int] = []
        self.process = self._start()

    # --- orders ----------------------------------------------------------------------------------------------------

    def _grant(self, mission: SigningKey) -> bytes:
        grant = Grant(
            tenant="lakes",
            public_key=self.tenant.public,
            recipient=self.reader.public_key().public_bytes_raw(),
            applications=tuple(sorted(("water", "cloud"))),
            boxes=(Box(-114 * 10**7, 40 * 10**7, -111 * 10**7, 42 * 10**7),),
            products=tuple(ProductKind),
            max_bytes_per_job=200_000,
            max_bytes_per_day=2_000_000,
            valid_from_s=T0 - 86_400,
            valid_to_s=T0 + 86_400,
            serial=1,
        )
        self.grant_id = grant.id
        return cose.sign1(grant.encode(), mission.private, mission.key_id, cose.aad(cose.Purpose.GRANT))

    def _job(self) -> Job:
        return Job(
            tenant="lakes",
            application=self.application,
            version_min=(1, 0, 0),
            version_below=(2, 0, 0),
            area=tuple((round(x * 10**7), round(y * 10**7)) for x, y in AREA),
            earliest_s=T0 - 300,
            latest_s=T0 + 3000,
            deadline_s=T0 + 40_000,
            expires_s=T0 + 60_000,
            parameters=(),
            products=tuple(ProductKind),
            byte_budget=150_000,
            energy_budget_j=50_000,
            compute_budget_s=600,
            priority=3,
            nonce=bytes(range(16)),
        )

    # --- processes -------------------------------------------------------------------------------------------------

    def _start(self) -> subprocess.Popen[bytes]:
        orbit = "{ " + ", ".join(f"{name} = {float(value)!r}" for name, value in ORBIT.items()) + " }"
        host, port = self.socket.address
        lines = [
            'run_dir = "run"',
            'keys_dir = "keys"',
            f'satellite = {{ name = "test", spacecraft = {SPACECRAFT} }}',
            f'clock = {{ kind = "shared", file = "{self.folder / "clock"}" }}',
            "executive = { realtime = false, crash_limit = 0 }",  # what kills it here is no crash loop
            # everywhere under the whole track: what is tested is not geometry
            "[link]",
            "ack_timeout_s = 30.0",
            "[devices.sensor]",
            'driver = "file"',
            f'options = {{ path = "{SCENE}", fifo_lines = 4096 }}',
            "[devices.radio]",
            'driver = "udp"',
            f'options = {{ bind = "127.0.0.1:{self.satellite_address[1]}", peer = "{host}:{port}", rate_bps = 1e5 }}',
            f'[devices.navigation]\ndriver = "simulated"\noptions = {orbit}',
            '[devices.power]\ndriver = "simulated"',
            '[devices.platform]\ndriver = "simulated"',
        ]
        for latitude in range(-40, 41, 20):
            for longitude in range(-180, 180, 30):
                lines += [
                    "[[station]]",
                    f'name = "{latitude} {longitude}"',
                    f"latitude_deg = {latitude}",
                    f"longitude_deg = {longitude}",
                    "min_elevation_deg = 0",
                ]
        config = self.folder / "satellite.toml"
        config.write_text(self.configured("\n".join(lines) + "\n"))
        self.log = (self.folder / "satellite.log").open("ab")
        return subprocess.Popen(
            [sys.executable, "-m", "flight.cli", "fly", str(config)],
            cwd=ROOT,
            stderr=self.log,
            stdout=self.log,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def configured(self, text: str) -> str:
        """The satellite's configuration; a test may override it."""
        return text

    def pid(self, name: str) -> int | None:
        """The process id of one process of the satellite, None while it is not there."""
        try:
            found: dict[str, int] = json.loads((self.folder / "run" / "pids.json").read_text())
            return found.get(name)
        except (OSError, ValueError):
            return None

    def kill(self, name: str) -> bool:
        """kill -9; whether there was something to kill."""
        pid = self.pid(name)
        if pid is None:
            return False
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        self.socket.close()
        for name in ("camera", "payload", "flight", "journal", "files"):
            pid = self.pid(name)
            assert pid is None or not Path(f"/proc/{pid}").exists() or _is_zombie(pid), f"{name} outlived its satellite"

    def tiles_done(self) -> int:
        """Tiles of the job that the payload process has kept so far, by what lies in its folder."""
        done = 0
        for row in (self.folder / "run" / "work").glob("*/row.bin"):
            done += row.read_bytes().count(TILE_MAGIC)
        return done

    # --- link ------------------------------------------------------------------------------------------------------

    def run_until(self, done: Callable[[], bool], limit_s: float, each: Callable[[], None] | None = None) -> None:
        """Serve the link until done() or the limit of host time. each(): called in every turn."""
        end_s = time.monotonic() + limit_s
        while not done():
            if time.monotonic() > end_s:
                states = [(report.state.name, report.reason.name) for report in self.statuses]
                raise AssertionError(
                    f"not done in {limit_s} s; statuses {states}; {(self.folder / 'satellite.log').read_text()[-3000:]}"
                )
            self.step()
            if each is not None:
                each()

    def step(self) -> None:
        now_s = self.clock.host_s()
        try:
            count, _ = self.socket.receive_into(self._buffer, now_s + 0.01)
            self._frame(bytes(self._buffer[:count]))
        except DeadlineExceeded:
            pass
        if self.clock.speed != self.speed and any((self.folder / "run" / "strips").glob("*")):
            self.clock.set_speed(self.speed)  # the camera has its order: on to the pass
        for unit in self._receiver.poll(self.clock.host_s()):
            self._send_unit(unit)
        for file in self._receiver.completed():
            self.products[file.name] = Path(file.path).read_bytes()
        if now_s >= self._repeat_at:
            self._repeat_at = now_s + REPEAT_S
            self._repeat()

    def state(self) -> JobState | None:
        """The newest state of the job that the ground was told."""
        mine = [report for report in self.statuses if report.subject == self.job_id[:8]]
        return mine[-1].state if mine else None

    def delivered(self) -> bool:
        return self.state() is JobState.DELIVERED

    def product(self) -> Product:
        (octets,) = self.products.values()
        return open_container(decrypt(octets, self.reader), self.keys.satellite.verifier)

    def _repeat(self) -> None:
        answered = {report.subject for report in self.statuses}
        if self.grant_id[:8] not in answered:
            self._send(Apid.GRANT, self.grant)
        elif self.state() is None or self.state() is JobState.RECEIVED:
            signed = cose.sign1(self.job.encode(), self.tenant.private, self.tenant.key_id, cose.aad(cose.Purpose.JOB))
            self._send(Apid.JOB, signed)
        for name, octets in self.products.items():
            if not self.delivered():
                receipt = Receipt(bytes.fromhex(name.partition(".")[0]), hashlib.sha256(octets).digest())
                key = self.ground_key
                self._send(
                    Apid.RECEIPT,
                    cose.sign1(receipt.encode(), key.private, key.key_id, cose.aad(cose.Purpose.RECEIPT)),
                )

    def _send_unit(self, unit: bytes) -> None:
        self.tap.up(unit)
        self._send(Apid.CFDP_UP, unit)

    def _send(self, apid: Apid, payload: bytes) -> None:
        for frame in self._framer.frames(self._packets.packet(apid, payload, telecommand=True)):
            if self.random.random() >= self.loss:
                self.socket.send(frame, self.satellite_address)

    def _frame(self, frame: bytes) -> None:
        if self.random.random() < self.loss:
            return
        try:
            packets = self._deframer.push(frame)
        except LinkError:
            return
        for octets in packets:
            packet = SpacePacket.unpack(octets)
            if packet.apid == Apid.STATUS:
                self.statuses.append(StatusReport.unpack(packet.payload))
            elif packet.apid == Apid.ALERT:
                self.alerts += 1
            elif packet.apid == Apid.EVENT:
                self.events.append(packet.payload)
            elif packet.apid == Apid.TELEMETRY:
                self.telemetry += 1
            elif packet.apid == Apid.CFDP:
                self.tap.down(packet.payload)
                try:
                    replies = self._receiver.receive(packet.payload, self.clock.host_s())
                except LinkError:
                    continue
                for unit in replies:
                    self._send_unit(unit)
