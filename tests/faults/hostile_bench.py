"""The real flight process, in virtual time, with a radio that records and peers that a test plays as it likes.

What flies here is `FlightProcess` itself: agent, gate, desks, control sockets, answer memory, frame loop and schedule
table. Only the devices, the journal (in memory) and the time are the test's.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flight.agent.job import Job
from flight.agent.orbit import Station
from flight.agent.reasons import Reason
from flight.agent.states import JobState
from flight.agent.status import StatusReport
from flight.config import load_config
from flight.executive.frame_source import SimulatedCounters, SimulatedSlot
from flight.executive.modes import Mode
from flight.executive.run_paths import RunPaths
from flight.flight_process import GROUND_ENTITY, FlightProcess
from flight.link.apids import Apid
from flight.link.cfdp.receiver import Receiver
from flight.link.cfdp.reception import ReceiverConfig
from flight.link.errors import LinkError
from flight.link.packet import SpacePacket, is_idle, packet_bytes
from flight.onboard import Devices, Onboard
from flight.pipeline.answer_slots import AnswerReader, create_answer_memory
from flight.product.container import Product, open_container
from flight.product.envelope import decrypt
from flight.satellite import Satellite
from flight.services.records import RecordKind
from hal.clock import SimulatedClock
from hal.errors import DeadlineExceeded
from hal.radio.protocol import RadioStatus
from hal.registry import open_device
from payload_models.loader import Application, load_application
from tests.faults.hostile_ground import BYTE_BUDGET, T0, Ground
from tests.faults.hostile_peers import Camera, Payload, class_rows, honest
from tests.faults.hostile_tap import Heard, explain, leaks
from tests.flight.link.memory_store import MemoryStore

ORBIT = {
    "epoch_s": float(T0),
    "inclination_deg": 44.576,
    "raan_deg": 58.8,
    "eccentricity": 0.0005,
    "mean_anomaly_deg": 111.917,
    "revolutions_per_day": 14.37544,
}
REPEAT_S = 0.5  # mission time between two sendings of what is not answered


@lru_cache(maxsize=1)
def water() -> Application:
    return load_application("water", check_graphs=False)


class MemoryJournal:
    """Durable at the next poll."""

    def __init__(self) -> None:
        self.records: list[tuple[RecordKind, bytes]] = []
        self.queued_bytes = 0
        self.durable = 0
        self.no_space = False
        self.lost = ""

    @property
    def sequence(self) -> int:
        return len(self.records)

    def append(self, kind: RecordKind, payload: bytes) -> int:
        assert type(payload) is bytes
        self.records.append((kind, payload))
        return len(self.records)

    def poll(self) -> int:
        self.durable = len(self.records)
        return self.durable

    def close(self) -> None:
        return None


class TestRadio:
    """Frames down are kept, datagrams up are what the test sends; nothing is lost."""

    __test__ = False
    max_frame_bytes = 2048

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.up: deque[bytes] = deque()

    def send(self, frame: bytes) -> bool:
        assert type(frame) is bytes
        self.frames.append(frame)
        return True

    def receive_into(self, buffer: bytearray, deadline_s: float) -> int:
        while self.up:
            octets = self.up.popleft()
            if 0 < len(octets) <= self.max_frame_bytes:  # as the UDP driver: what is no frame by its size is dropped
                buffer[: len(octets)] = octets
                return len(octets)
        raise DeadlineExceeded("test radio", deadline_s)

    def status(self) -> RadioStatus:
        return RadioStatus(len(self.frames), 0, 0, 0, 0)

    def close(self) -> None:
        return None


class Frames:
    """A frame source whose frames follow each other although the clock may leap between two of them."""

    def __init__(self, clock: SimulatedClock, minor_us: int) -> None:
        self._clock, self._minor_s = clock, minor_us / 1e6
        self.frame = -1

    def start(self) -> None:
        return None

    def wait(self, timeout_us: int) -> SimulatedSlot:
        self._clock.advance(self._minor_s)
        self.frame += 1
        return SimulatedSlot(self.frame, int(self._clock.host_s() * 1e9), 0)

    def done(self, frame: int) -> bool:
        return True

    def expect(self, frame: int, bits: int) -> None:
        return None

    def mark(self, frame: int, bits: int) -> None:
        return None

    def check_in(self, healthy: bool) -> int:
        assert healthy
        return 0

    def counters(self) -> SimulatedCounters:
        return SimulatedCounters(self.frame + 1, self.frame + 1, *(0,) * 8)

    def stop(self) -> None:
        return None


CONFIG = """
satellite = { name = "test", spacecraft = 68 }
executive = { realtime = false }
devices = { sensor = { driver = "file" }, radio = { driver = "udp" }, navigation = { driver = "simulated" }, \
power = { driver = "simulated" }, platform = { driver = "simulated" } }
"""


class HostileBench:
    """One satellite in virtual time, and what a test does to it."""

    def __init__(
        self, folder: Path, act: Callable[[Payload], None] | None = None, *, start_s: float = T0 - 120
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.ground = Ground(folder)
        config_path = folder / "satellite.toml"
        stations = [
            f'[[station]]\nname = "{lat} {lon}"\nlatitude_deg = {lat}\nlongitude_deg = {lon}\nmin_elevation_deg = 0\n'
            for lat in range(-40, 41, 20)
            for lon in range(-180, 180, 30)
        ]
        config_path.write_text(CONFIG + "\n".join(stations))
        self.clock = SimulatedClock(start_s)
        self.radio = TestRadio()
        self.answer_fd = create_answer_memory(4, 1 << 18)
        self.paths = RunPaths(folder / "run")
        self.paths.root.mkdir()
        self.paths.journal.write_bytes(b"")
        self.journal = MemoryJournal()
        config = load_config(config_path)
        parts = Onboard(
            config=config,
            run_dir=self.paths.root,
            clock=self.clock,
            keys=self.ground.keys,
            devices=Devices(
                self.radio,
                open_device("navigation", "simulated", ORBIT, self.clock),
                open_device("power", "simulated", {}, self.clock),
                open_device("platform", "simulated", {}, self.clock),
                None,
            ),
            journal=self.journal,  # type: ignore[arg-type]
            answers=AnswerReader(self.answer_fd),
            applications={"water": water()},
            disabled={},
            stations=tuple(
                Station(item.latitude_deg, item.longitude_deg, item.altitude_m, item.min_elevation_deg)
                for item in config.station
            ),
        )
        self.process = FlightProcess(parts, self.paths, {})
        self.loop = self.process.loop
        send = next(task.activity for task in self.loop._tasks if task.entry.activity == "link.send")
        self.satellite: Satellite = send.__self__  # type: ignore[attr-defined]
        self.loop.frames = Frames(self.clock, self.loop.table.minor_us)
        self.process.modes.request(Mode.NOMINAL)
        self.camera: Camera | None = Camera(self.paths.endpoint("camera"), self.incarnation())
        self.payloads = [self.new_payload(act)] if act is not None else []
        self.received = MemoryStore()
        self.receiver = Receiver(ReceiverConfig(), GROUND_ENTITY, self.received, 0.0)
        self.statuses: list[StatusReport] = []
        self.products: dict[str, bytes] = {}
        self.wanted: list[Job] = []
        self.failures: list[tuple[str, Exception]] = []
        self._read = 0
        self._partial: dict[int, bytearray] = {}
        self._repeat_s = 0.0

    # --- the satellite ---------------------------------------------------------------------------------------------

    def incarnation(self) -> int:
        return int(self.clock.host_s() * 1e6)

    def new_payload(self, act: Callable[[Payload], None]) -> Payload:
        return Payload(self.paths.endpoint("payload"), self.answer_fd, self.incarnation(), act)

    def replace_payload(self, act: Callable[[Payload], None]) -> Payload:
        """The process that was there is gone; the supervisor has started another one."""
        for payload in self.payloads:
            payload.close()
        self.payloads = []
        self.run(5)
        self.payloads = [self.new_payload(act)]
        return self.payloads[0]

    def replace_camera(self, make: Callable[[str, int], Camera] = Camera) -> None:
        """As replace_payload(). make: endpoint, incarnation -> the peer."""
        if self.camera is not None:
            self.camera.peer.close()
            self.camera = None
            self.run(5)
        self.camera = make(self.paths.endpoint("camera"), self.incarnation())

    def step(self) -> None:
        slot = self.loop.frames.wait(self.loop.table.minor_us)
        assert slot is not None
        self.loop.run_frame(slot)
        self.failures += self.loop.take_failures()
        if self.camera is not None:
            self.camera.step(self.clock)
        for payload in self.payloads:
            payload.step(self.clock)
        self._listen()
        if self.clock.mission_s() >= self._repeat_s:
            self._repeat_s = self.clock.mission_s() + REPEAT_S
            self._repeat()
        self._skip_waiting()

    def _skip_waiting(self) -> None:
        """Nothing happens until the pass: be there."""
        live = self.process.agent.jobs.live()
        if len(live) != 1 or self.radio.up:
            return
        entry, now_s = live[0], self.clock.mission_s()
        if entry.state is JobState.ACCEPTED and entry.plan is not None and entry.plan.start_s > now_s + 250:
            self.clock.advance_to(entry.plan.start_s - 200)
        order = self.camera.order if self.camera is not None else None
        if order is not None and order.start_s > now_s + 1:
            self.clock.advance_to(order.start_s - 0.5)

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.step()

    def run_until(self, done: Callable[[], bool], limit: int = 4000, wall_s: float = 30.0) -> None:
        end_s = time.monotonic() + wall_s
        for _ in range(limit):
            if done():
                return
            self.step()
            time.sleep(0.0002)  # the messages of the peers travel in real time
            assert time.monotonic() < end_s, f"not done in {wall_s} s; {self.situation()}"
        raise AssertionError(f"not done in {limit} frames; {self.situation()}")

    def situation(self) -> str:
        states = [(report.state.name, report.reason.name) for report in self.statuses]
        return f"statuses {states}; raised {self.failures}; reasons {list(self.process.desk.failures)}"

    def close(self) -> None:
        for payload in self.payloads:
            payload.close()
        if self.camera is not None:
            self.camera.peer.close()
        self.process.desk.close()

    def __enter__(self) -> HostileBench:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- the ground ------------------------------------------------------------------------------------------------

    def send(self, apid: int, payload: bytes) -> None:
        self.radio.up.extend(self.ground.frames(apid, payload))

    def order(self, job: Job) -> bytes:
        """Ask for this job until it is answered; its id."""
        self.wanted.append(job)
        self._repeat_s = 0.0
        return job.id

    def reports(self, subject: bytes) -> list[StatusReport]:
        return [report for report in self.statuses if report.subject == subject[:8]]

    def state(self, job_id: bytes) -> JobState | None:
        mine = self.reports(job_id)
        return mine[-1].state if mine else None

    def ended(self, job_id: bytes) -> bool:
        state = self.state(job_id)
        return state is not None and state.terminal

    def answer(self, job_id: bytes) -> tuple[JobState, Reason]:
        mine = self.reports(job_id)
        return mine[-1].state, mine[-1].reason

    def opened(self, job_id: bytes) -> tuple[Product, bytes]:
        """The product of a job that came down, and its container."""
        for octets in self.products.values():
            container = decrypt(octets, self.ground.reader)
            product = open_container(container, self.ground.keys.satellite.verifier)
            if product.header.job_id == job_id:
                return product, container
        raise AssertionError("no product of that job came down")

    def _repeat(self) -> None:
        if not self.reports(self.ground.grant.id):
            self.send(Apid.GRANT, self.ground.signed_grant())
            return
        for job in self.wanted:
            if self.state(job.id) in (None, JobState.RECEIVED):
                self.send(Apid.JOB, self.ground.signed_job(job))
        for name, octets in self.products.items() if not all(self.ended(job.id) for job in self.wanted) else ():
            self.send(Apid.RECEIPT, self.ground.signed_receipt(bytes.fromhex(name.partition(".")[0]), octets))

    def _listen(self) -> None:
        new, self._read = self.radio.frames[self._read :], len(self.radio.frames)
        for frame in new:
            octets = self._partial.setdefault(frame[1] >> 1 & 7, bytearray())
            octets += frame[6:-2]
            while len(octets) >= 6 and len(octets) >= (size := packet_bytes(octets[:6])):
                if not is_idle(octets):
                    self._take(SpacePacket.unpack(bytes(octets[:size])))
                del octets[:size]
        for unit in self.receiver.poll(self.clock.mission_s()):
            self.send(Apid.CFDP_UP, unit)
        for file in self.receiver.completed():
            self.products[file.name] = bytes(self.received.published[file.path])

    def _take(self, packet: SpacePacket) -> None:
        if packet.apid == Apid.STATUS:
            self.statuses.append(StatusReport.unpack(packet.payload))
        elif packet.apid == Apid.CFDP:
            try:
                replies = self.receiver.receive(packet.payload, self.clock.mission_s())
            except LinkError:
                return
            for unit in replies:
                self.send(Apid.CFDP_UP, unit)

    # --- what is asked of every attack -----------------------------------------------------------------------------

    def check(self, secret: NDArray[np.uint8] | None = None, *, whole: bool = True) -> Heard:
        """Nothing raised, nothing is disabled, every octet that left is explained and none is of the strip."""
        assert not self.failures, self.failures
        assert self.loop.disabled() == ()
        assert self.process.modes.mode is not Mode.SAFE
        heard = explain(self.radio.frames, self.ground.keys)
        products = [decrypt(octets, self.ground.reader) for octets in self.products.values()]
        if secret is not None:
            assert leaks(self.radio.frames, secret) == 0
            assert leaks(products, secret) == 0
        for name, octets in heard.files.items():
            assert len(octets) <= BYTE_BUDGET
            assert not whole or name in self.products, f"{name} was sent and is no whole product"
            assert not whole or bytes(octets) == self.products[name]
        return heard

    def serves(self, number: int = 1000) -> None:
        """An honest payload process takes over, and the next honest job is answered."""
        rows = class_rows(number)
        self.replace_payload(honest(rows))
        now_s = int(self.clock.mission_s())
        latest_s = now_s + 85_000
        times = {"latest_s": latest_s, "deadline_s": latest_s + 1000, "expires_s": latest_s + 9000}
        job_id = self.order(self.ground.job(number, earliest_s=now_s, **times))
        self.run_until(lambda: self.ended(job_id))
        assert self.answer(job_id) == (JobState.DELIVERED, Reason.NONE), self.situation()
        product, _ = self.opened(job_id)
        assert product.verified and np.array_equal(product.mask(), rows)
