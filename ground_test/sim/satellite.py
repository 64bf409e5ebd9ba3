"""One satellite in virtual time: the flight code itself, over models of what it is plugged into.

The activities of flight.satellite.Satellite run in passes, in the order of the nominal schedule table, those of the
present mode only. A restart throws the flight process away and makes a new one from the journal, as the real one does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from bindings.errors import SwathError
from flight import __version__
from flight.agent.audit import AuditLog
from flight.agent.component import AGENT, GATE
from flight.agent.core import AgentCore
from flight.agent.effects import Input
from flight.agent.egress import EgressGate
from flight.agent.keys import KeyStore
from flight.agent.orbit import Station as StationPlace
from flight.agent.states import JobState
from flight.agent.telecommand import TelecommandDesk
from flight.command_activity import CommandActivity
from flight.component import BOOTED
from flight.config import AgentTable, Device, Devices, SatelliteConfig
from flight.config import Satellite as SatelliteIdentity
from flight.executive.frame_context import FrameContext
from flight.executive.modes import Mode, ModeManager
from flight.executive.schedule import modes_of
from flight.executive.telecommands import EXECUTIVE_COMMANDS, executive_handlers
from flight.executive.verified import load_verified
from flight.flight_process import GROUND_ENTITY, NOMINAL_TABLE, entity_of
from flight.link.cfdp.sender import SenderConfig
from flight.link.downlink import Downlink
from flight.link.tm_frame import TmFramer
from flight.onboard import Devices as OpenDevices
from flight.onboard import Onboard, agent_limits, application_terms
from flight.payload_desk import PayloadDesk
from flight.pipeline.answer_slots import AnswerReader
from flight.pipeline.answers import AnswerDesk
from flight.pipeline.control import CameraReport, PayloadReport
from flight.pipeline.control_sockets import ControlServer
from flight.replay import replay
from flight.satellite import Satellite
from flight.services import cbor
from flight.services.journal import FileJournal, JournalReader, MemoryStorage, WriterClient
from flight.services.records import RecordKind
from flight.services.telemetry import TelemetryPacket
from flight.telling import Telling
from ground_test.sim.kernel import EventKernel
from ground_test.sim.models import FRAME_BYTES, CameraModel, PayloadModel, RadioModel, SyntheticAnswer
from ground_test.sim.scenario import Scenario
from hal.navigation.orbit import OrbitNavigation
from hal.navigation.orbit import driver as navigation_driver
from hal.platform.simulated import driver as platform_driver
from hal.power.simulated import driver as power_driver
from payload_models.loader import Application

SLOTS = 50  # of link.send, receive and the like in one pass, at most
TELEMETRY_S = 10.0
BUSY = (JobState.RECEIVED, JobState.CAPTURING, JobState.PROCESSING)
_SLOTS_OF = {"journal.poll": 8, "agent.step": 16, "product.strip": 16, "product.seal": 2}


class SimulatedSatellite:
    """See the module. boot() once, then run_pass() whenever next_s() has come."""

    def __init__(
        self,
        name: str,
        number: int,
        scenario: Scenario,
        kernel: EventKernel,
        keys: KeyStore,
        radio: RadioModel,
        applications: Mapping[str, Application],
    ) -> None:
        """number: makes the spacecraft number, 1 and on."""
        orbit = next(each.orbit for each in scenario.satellite if each.name == name)
        camera = scenario.camera
        self.name, self.spacecraft, self.keys, self.radio = name, number, keys, radio
        self.storage = MemoryStorage()
        self.restarts = 0
        self._passes = 0
        self.records_replayed = 0
        self.up = False
        self._kernel, self._clock, self._pace = kernel, kernel.clock, scenario.pace
        self._applications = dict(applications)
        self.navigation: OrbitNavigation = navigation_driver(orbit, kernel.clock)
        self._camera = CameraModel(camera, kernel.clock, self.navigation.at, kernel.stream(f"camera/{name}"))
        self._payload = PayloadModel(scenario.payload, camera, kernel.clock, self._camera.lines_of)
        self._answer = SyntheticAnswer(scenario.payload.findings)
        self._devices = OpenDevices(
            radio=radio,
            navigation=self.navigation,
            power=power_driver({"orbit": orbit}, kernel.clock),
            platform=platform_driver({}, kernel.clock),
            watchdog=None,
        )
        self._stations = tuple(
            StationPlace(each.latitude_deg, each.longitude_deg, each.altitude_m, each.min_elevation_deg)
            for each in scenario.station
        )
        model = Device(driver="model")
        self._config = SatelliteConfig(
            satellite=SatelliteIdentity(name=name, spacecraft=number),
            devices=Devices(sensor=model, radio=model, navigation=model, power=model, platform=model),
            agent=AgentTable(
                applications=tuple(applications),
                strip_s=camera.lines / camera.line_rate_hz,
                horizon_s=min(scenario.duration_s + 1.0, 1_209_600.0),
            ),
            station=tuple(scenario.station),
        )
        table = load_verified(NOMINAL_TABLE)
        self._minor_us = table.minor_us
        self._numbers = {entry.activity: number for number, entry in enumerate(table.entries)}
        entries = sorted(table.entries, key=lambda entry: entry.slot)
        self._entries = [(entry.activity, modes_of(entry)) for entry in entries]
        self._context = FrameContext(kernel.clock)
        self._telemetry_s = float("-inf")
        self.raised: dict[str, int] = {}  # errors out of activities, by code

    def boot(self) -> None:
        """Start the flight process from what is in the journal."""
        clock, config = self._clock, self._config
        journal = FileJournal(self.storage)
        parts = Onboard(
            config=config,
            run_dir=Path(),
            clock=clock,
            keys=self.keys,
            devices=self._devices,
            journal=cast(WriterClient, journal),  # append, poll and sequence are all that is used of it
            answers=cast(AnswerReader, self._answer),
            applications=self._applications,
            disabled={},
            stations=self._stations,
        )
        self._telling = Telling(clock, journal.append, self._minor_us)
        self._events = self._telling.events
        self._modes = ModeManager(self._events)
        inbox: deque[Input] = deque()
        audit = AuditLog(journal.append)
        terms = {name: application_terms(application) for name, application in self._applications.items()}
        limits = agent_limits(config, self._devices.power.read().capacity_wh)
        self.agent = AgentCore(self.keys, terms, limits, self.navigation.at)
        entity = entity_of(self.spacecraft)
        self.gate = EgressGate(
            self.radio,
            TmFramer(self.spacecraft, FRAME_BYTES),
            self.keys,
            self.agent.terms,
            audit,
            clock,
            self._kernel.stream(f"egress/{self.name}").randbytes,
            entity=entity,
            ground_entity=GROUND_ENTITY,
        )
        answers = AnswerDesk(journal, self._answer, self._applications)
        sender = SenderConfig(segment_bytes=config.link.segment_bytes, eof_timer_s=config.link.ack_timeout_s)
        downlink = Downlink(sender, entity, GROUND_ENTITY, journal)
        commands = CommandActivity(
            EXECUTIVE_COMMANDS,
            executive_handlers(self._modes, self),
            TelecommandDesk(self.keys.mission, self.spacecraft),
            journal,
            clock,
            self._events,
            self._minor_us,
        )
        self._commands = commands
        replayed = replay(JournalReader(self.storage), self.agent, self.gate, answers, downlink, audit, commands)
        self.records_replayed += replayed.records
        if replayed.refused:
            self.raised["egress_refused"] = self.raised.get("egress_refused", 0) + len(replayed.refused)
        desk = PayloadDesk(
            cast("ControlServer[CameraReport]", self._camera),  # poll, send, silent_s and close, without a socket
            cast("ControlServer[PayloadReport]", self._payload),
            answers,
            self.agent,
            clock,
            inbox.append,
        )
        journal.append(RecordKind.BOOT, cbor.encode([__version__, clock.mission_s(), {"flight": self.restarts}]))
        self.flight = Satellite(
            parts,
            self.agent,
            self.gate,
            desk,
            answers,
            downlink,
            self._events,
            self._modes,
            inbox,
            commands,
            self._send_telemetry,
            self._telling.passes,
        )
        self._activities = self.flight.activities()
        self._downlink, self._desk = downlink, desk
        self.flight.resume()
        self._events.emit(BOOTED, restarts=self.restarts, records=self.records_replayed)
        self._modes.request(Mode.NOMINAL)
        self.up = True

    def numbers(self) -> dict[str, int]:
        """How commands name the activities."""
        return self._numbers

    def enable(self, activity: str) -> None:
        """Nothing disables an activity in virtual time."""

    def die(self, torn: bytes) -> None:
        """The flight process ends at once; `torn` is left behind the journal's end."""
        self.up = False
        self.restarts += 1
        self.radio.inbox.clear()
        self.storage.write(self.storage.size(), torn)

    def run_pass(self) -> None:
        """Every activity of the mode, in the table's order, as often as it has something to do (bounded)."""
        self._passes += 1  # one stands for a minor frame: virtual time has none
        self._modes.apply(self._passes)
        end_ns = int(self._clock.host_s() * 1e9) + self._minor_us * 1000
        self._context.begin(self._passes, self._modes.mode, end_ns)
        for name, modes in self._entries:
            if name not in self._activities or self._modes.mode not in modes:
                continue
            try:
                self._run(name)
            except SwathError as error:  # as the frame loop does
                self.raised[error.code] = self.raised.get(error.code, 0) + 1

    def _run(self, name: str) -> None:
        activity = self._activities[name]
        match name:
            case "link.send":
                self._send()
            case "radio.receive":
                for _ in range(SLOTS):
                    activity(self._context)
                    if not self.radio.inbox:
                        break
            case "telemetry.send":
                if self._clock.host_s() >= self._telemetry_s + TELEMETRY_S:
                    self._telemetry_s = self._clock.host_s()
                    activity(self._context)
            case _:
                for _ in range(_SLOTS_OF.get(name, 1)):
                    activity(self._context)

    def next_s(self) -> float:
        """Virtual seconds until the next pass is due; contacts are the caller's to watch for."""
        if self.flight.in_contact or self.agent.jobs.in_state(*BUSY) or self._payload.busy:
            return self._pace.busy_s
        if self.agent.jobs.in_state(JobState.SCHEDULED):
            start_s = self._camera.waits_until_s
            if start_s is None:
                return self._pace.busy_s
            return max(self._pace.busy_s, min(self._pace.idle_s, start_s - self._clock.mission_s()))
        return self._pace.idle_s

    def _send(self) -> None:
        """link.send in as many slots as it moves something."""
        for _ in range(SLOTS):
            before = self.gate.counters.frames
            self._activities["link.send"](self._context)
            if self.gate.counters.frames == before:
                return
            self._activities["journal.poll"](self._context)

    def _send_telemetry(self, frame: int, in_contact: bool) -> None:
        now_s = self._clock.mission_s()
        self._telling.begin()
        for packet in (
            self.flight.telemetry(),
            TelemetryPacket.of(AGENT, now_s, **self.agent.telemetry()),
            TelemetryPacket.of(GATE, now_s, **self.gate.telemetry()),
            *self._commands.telemetry(now_s),
        ):
            self._commands.hear_telemetry(packet)
            if in_contact and self._telling.offer(packet, frame):
                self.gate.send_telemetry(packet)
