"""A running gateway on loopback, and a satellite by script behind it: real frames, packets, file delivery and seals."""

from __future__ import annotations

import random
import threading
from pathlib import Path

from flight.agent import cose
from flight.agent.job import Job
from flight.agent.keys import write_private_key, write_public_key
from flight.agent.reasons import Reason
from flight.agent.receipt import Receipt
from flight.agent.states import JobState
from flight.agent.status import StatusReport
from flight.link.apids import Apid
from flight.link.cfdp.sender import SenderConfig
from flight.link.downlink import Downlink
from flight.link.errors import LinkError
from flight.link.packet import SequenceCounters, SpacePacket
from flight.link.tc_frame import TcDeframer
from flight.link.tm_frame import TmFramer
from flight.product.alert import alert_of
from flight.product.container import open_container
from ground_test.gateway.config import load_gateway_config
from ground_test.gateway.gateway import Gateway
from hal.clock import Clock
from hal.datagram import DatagramSocket
from hal.errors import DeadlineExceeded
from hal.shared_clock import SharedClockMaster
from tests.ground_test.ground import ALERT_KEY, GROUND, MISSION, NOW, READING, SATELLITE, a_product

SPACECRAFT = 68
IN_CONTACT_S = NOW + 200.0
CONFIG = """
applications = ["water"]
clock = {{ kind = "shared", file = "{clock}" }}
link = {{ spacecraft = 68, bind = "127.0.0.1:0", peer = "{peer}", frame_bytes = 512, repeat_s = 2, nak_timer_s = 2 }}

[keys]
ground = "ground.key"
reading = "reading.key"
alert = "alert.key"
mission = "mission"
satellites = "satellites"

[orbit]
epoch_s = 1790879400
inclination_deg = 44.576
raan_deg = 58.8
eccentricity = 0.0005
argument_of_perigee_deg = 0
mean_anomaly_deg = 111.917
revolutions_per_day = 14.37544

[[station]]
name = "Miami"
latitude_deg = 25.61
longitude_deg = -80.38
"""


class Journal:
    """Durable at once."""

    def append(self, kind, payload):
        return 0


class ScriptedSatellite:
    """Takes every granted job, answers it with a product, and ends it on a receipt that holds."""

    def __init__(self, clock: Clock, loss: float = 0.0, seed: int = 1) -> None:
        self.clock, self.loss, self.rng = clock, loss, random.Random(seed)
        self.socket = DatagramSocket("scripted satellite", ("127.0.0.1", 0), clock, 4096)
        self.station = None
        self.framer, self.deframer = TmFramer(SPACECRAFT, 512), TcDeframer(SPACECRAFT)
        self.packets = SequenceCounters()
        entity = SPACECRAFT + 256
        self.downlink = Downlink(SenderConfig(segment_bytes=300, eof_timer_s=2.0), entity, 1, Journal())
        self.downlink.contact(True, clock.mission_s())
        self.heard: list[int] = []
        self.receipts: list[Receipt] = []
        self.jobs: dict[bytes, JobState] = {}
        self.products: dict[bytes, bytes] = {}
        self.answers = True
        self._buffer = bytearray(4096)

    def step(self) -> None:
        for _ in range(50):
            try:
                count, self.station = self.socket.receive_into(self._buffer, 0.0)
            except DeadlineExceeded:
                break
            if self.rng.random() < self.loss:
                continue
            try:
                for octets in self.deframer.push(bytes(self._buffer[:count])):
                    self._take(SpacePacket.unpack(octets))
            except LinkError:
                continue
        now_s = self.clock.mission_s()
        while (unit := self.downlink.next_unit(now_s, 480, 0)) is not None:
            self.framer.push(2, self.packets.packet(Apid.CFDP, unit))
        self.downlink.finished()
        while (frame := self.framer.next_frame(flush=True)) is not None:
            if self.station is not None and self.rng.random() >= self.loss:
                self.socket.send(frame, self.station)

    def say(self, apid: Apid, payload: bytes) -> None:
        self.framer.push(0, self.packets.packet(apid, payload))

    def status(self, subject: bytes, state: JobState) -> None:
        self.say(Apid.STATUS, StatusReport(subject[:8], state, Reason.NONE, int(self.clock.mission_s())).pack())

    def _take(self, packet: SpacePacket) -> None:
        self.heard.append(packet.apid)
        if packet.apid == Apid.CFDP_UP:
            self.downlink.receive(packet.payload, self.clock.mission_s())
        elif not self.answers:
            return
        elif packet.apid == Apid.GRANT:
            from flight.agent.grant import Grant

            self.status(Grant.decode(cose.parse1(packet.payload).payload).id, JobState.ACCEPTED)
        elif packet.apid == Apid.JOB:
            self._take_job(Job.decode(cose.parse1(packet.payload).payload))
        elif packet.apid == Apid.RECEIPT:
            receipt = Receipt.decode(
                cose.verify1(packet.payload, GROUND.verifier, cose.aad(cose.Purpose.RECEIPT)).payload
            )
            self.receipts.append(receipt)
            job_id = self.products[receipt.product_id]
            self.jobs[job_id] = JobState.DELIVERED
            self.status(job_id, JobState.DELIVERED)

    def _take_job(self, job: Job) -> None:
        if job.id not in self.jobs:
            sent = a_product(job)
            self.jobs[job.id] = JobState.DOWNLINKING
            self.products[bytes.fromhex(sent.name[:32])] = job.id
            self.say(Apid.ALERT, alert_of(open_container(sent.container, SATELLITE.verifier)).pack(ALERT_KEY))
            octets = sent.octets
            self.downlink.start(
                sent.name, len(octets), lambda offset, count: octets[offset : offset + count], self.clock.mission_s()
            )
        self.status(job.id, self.jobs[job.id])


class Live:
    """Gateway and satellite in one thread beside the test's; `with Live(folder) as live`."""

    def __init__(self, folder: Path, *, loss: float = 0.0, speed: float = 5.0, at_s: float = IN_CONTACT_S) -> None:
        self.folder = folder
        (folder / "clock").unlink(missing_ok=True)
        self.clock = SharedClockMaster(folder / "clock", at_s, speed)
        self.satellite = ScriptedSatellite(self.clock, loss)
        if not (folder / "gateway.toml").exists():
            write_keys(folder)
        host, port = self.satellite.socket.address
        (folder / "gateway.toml").write_text(CONFIG.format(clock=folder / "clock", peer=f"{host}:{port}"))
        self.logged: list[str] = []
        self.gateway = Gateway(
            load_gateway_config(folder / "gateway.toml"),
            folder,
            lambda count: bytes(range(count)),
            self.logged.append,
            0,
        )
        self.token = (folder / "gateway" / "token").read_text().strip()
        self.url = self.gateway.url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Live:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10.0)
        self.gateway.close()
        self.satellite.socket.close()

    def wait_for(self, found, seconds: float = 15.0):
        """What found() gives, once it gives anything."""
        until = self.clock.host_s() + seconds
        while self.clock.host_s() < until:
            if value := found():
                return value
            self._stop.wait(0.02)
        raise AssertionError(f"nothing within {seconds} s; the gateway said {self.logged}")

    def _run(self) -> None:
        while not self._stop.is_set():
            self.gateway.step()
            self.satellite.step()


def write_keys(folder: Path) -> None:
    for name in ("mission", "satellites"):
        (folder / name).mkdir()
    write_public_key(folder / "mission" / "mission.pub", MISSION.public)
    write_public_key(folder / "satellites" / "one.pub", SATELLITE.public)
    write_private_key(folder / "ground.key", GROUND.private.private_bytes_raw())
    write_private_key(folder / "reading.key", READING.private_bytes_raw())
    write_private_key(folder / "alert.key", ALERT_KEY)
