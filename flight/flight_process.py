"""The flight process: `python -m flight.flight_process`, started by the supervisor.

It replays the journal, opens the devices and runs the frame loop until SIGTERM. It holds the keys and the radio; it
touches no pixel but the class rows that the payload process offers.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from bindings.errors import SwathError
from bindings.frame_clock import FrameClock
from flight import __version__
from flight.agent import cose
from flight.agent.audit import AuditLog
from flight.agent.component import AGENT, GATE
from flight.agent.core import AgentCore
from flight.agent.effects import Input
from flight.agent.egress import EgressGate
from flight.agent.keys import generate_recipient_key
from flight.agent.telecommand import TelecommandDesk
from flight.command_activity import CommandActivity
from flight.component import APPLICATIONS_DISABLED, BOOTED, JOURNAL_NO_SPACE, JOURNAL_SPACE_AGAIN, RECOVERY_BEGAN
from flight.executive.crash_loop import Recovery
from flight.executive.demotion import DemotionRule, TimeOf
from flight.executive.dispatcher_thread import dispatcher_setup
from flight.executive.garbage import IdleCollector
from flight.executive.health import HealthGate
from flight.executive.health_last_words import EndReason
from flight.executive.health_table import load_counts
from flight.executive.housekeeping import housekeeping
from flight.executive.loop import Activity, FrameLoop
from flight.executive.mode_machine import HEALTHY_GUARD, flight_machine
from flight.executive.modes import Cause, Mode, ModeManager
from flight.executive.run_paths import RunPaths
from flight.executive.table_desk import TABLE_COMMANDS, TableDesk
from flight.executive.telecommands import EXECUTIVE_COMMANDS, executive_handlers
from flight.executive.verified import load_verified
from flight.fallbacks import commissioning_tells
from flight.flight_arguments import Held, parser, take
from flight.health_watch import BUILT_IN_COUNTS, HealthWatch
from flight.link.cfdp.sender import SenderConfig
from flight.link.downlink import Downlink
from flight.link.tm_frame import TmFramer
from flight.onboard import Onboard, agent_limits, application_terms, open_onboard
from flight.onboard_services import open_services
from flight.payload_desk import PayloadDesk
from flight.pipeline.answers import AnswerDesk
from flight.pipeline.control import CameraReport, PayloadReport
from flight.pipeline.control_sockets import ControlServer
from flight.pipeline.geolocate import Geolocator
from flight.pipeline.inference import InferenceSetup
from flight.pipeline.process_setup import Parent, StopFlag, lower_rights
from flight.product.envelope import encrypt_to
from flight.replay import replay
from flight.satellite import Satellite
from flight.services import cbor
from flight.services.journal import JournalLost, read_journal
from flight.services.records import RecordKind
from flight.services.telemetry import TelemetryPacket
from flight.telling import Telling
from flight.tuned import Tuning, tune_agent, tune_contact
from flight.tuning import AGENT_TABLE, CONTACT_TABLE, flight_tables

GROUND_ENTITY = 1  # CFDP entity of the ground; a satellite's is its spacecraft number + 256
DUTIES_AFTER, DUTY_PERIOD = 20, 10  # frames of a silent Python until the clock says so in shared memory, and between
NOMINAL_TABLE = Path(__file__).resolve().parent / "executive" / "nominal.toml"
_DEMOTION = {
    "processor": DemotionRule(time_of=TimeOf.PROCESSOR),
    "wall": DemotionRule(time_of=TimeOf.WALL),
    "off": None,
}


def entity_of(spacecraft: int) -> int:
    """The CFDP entity of a satellite."""
    return 256 + spacecraft


class FlightProcess:
    """The parts put together: replayed, then flown."""

    def __init__(
        self,
        parts: Onboard,
        paths: RunPaths,
        restarts: dict[str, int],
        recovery: Recovery = Recovery.AS_CONFIGURED,
        held: Held | None = None,
    ) -> None:
        """held: what the supervisor has the other end of. Raises SwathError."""
        held = held or Held()
        config, clock = parts.config, parts.clock
        self.recovery = recovery
        self.parts = parts
        golden = recovery is Recovery.GOLDEN
        schedule = config.executive.golden if golden else config.executive.schedule
        table = load_verified(Path(schedule) if schedule else NOMINAL_TABLE)
        self.telling = Telling(clock, parts.journal.append, table.minor_us)
        self.events = self.telling.events
        self.health = HealthGate(self.events)
        self.watch = HealthWatch(paths, clock, self.events, self.health, held.heartbeat)
        counts = load_counts(
            Path(config.executive.counts) if config.executive.counts and not golden else BUILT_IN_COUNTS
        )
        guards = {HEALTHY_GUARD: lambda: self.health.healthy}
        self.modes = ModeManager(self.events, machine=flight_machine(table.minor_us), guards=guards)
        others = [] if golden else [load_verified(Path(path)) for path in config.executive.tables]
        self.tables = TableDesk(table, others, parts.journal.append, self.events, self.modes)
        inbox: deque[Input] = deque()
        audit = AuditLog(parts.journal.append)
        terms = {name: application_terms(application) for name, application in parts.applications.items()}
        limits = agent_limits(config, parts.devices.power.read().capacity_wh)
        self.agent = AgentCore(parts.keys, terms, limits, parts.devices.navigation.at)
        entity = entity_of(config.satellite.spacecraft)
        self.gate = EgressGate(
            parts.devices.radio,
            TmFramer(config.satellite.spacecraft, config.link.frame_bytes),
            parts.keys,
            self.agent.terms,
            audit,
            clock,
            os.urandom,
            entity=entity,
            ground_entity=GROUND_ENTITY,
        )
        answers = AnswerDesk(parts.journal, parts.answers, parts.applications)
        sender = SenderConfig(segment_bytes=config.link.segment_bytes, eof_timer_s=config.link.ack_timeout_s)
        downlink = Downlink(sender, entity, GROUND_ENTITY, parts.journal)
        tuning = Tuning(
            flight_tables(config),
            held.critical,
            clock.host_s,
            {AGENT_TABLE: tune_agent(self.agent), CONTACT_TABLE: tune_contact(self.watch.contact)},
            defaults=golden,
        )
        run = restarts.get("flight", 0)
        telling = self.telling.services()
        services = open_services(parts, paths, self.events, terms, held.files, run, tuning, telling)
        self.services = services
        self.commands = CommandActivity(
            (*EXECUTIVE_COMMANDS, *TABLE_COMMANDS, *services.definitions),
            {**executive_handlers(self.modes, self), **self.tables.handlers(), **services.handlers},
            TelecommandDesk(parts.keys.mission, config.satellite.spacecraft),
            parts.journal,
            clock,
            self.events,
            table.minor_us,
            services.loads,
        )
        records = read_journal(paths.journal)
        replayed = replay(
            records, self.agent, self.gate, answers, downlink, audit, self.commands, self.tables, services
        )
        for reason in replayed.refused:
            _log({"event": "not_restored", "message": reason})
        self.desk = PayloadDesk(
            ControlServer(paths.endpoint("camera"), CameraReport),
            ControlServer(paths.endpoint("payload"), PayloadReport),
            answers,
            self.agent,
            clock,
            inbox.append,
            Geolocator(parts.camera, parts.devices.navigation.at) if parts.camera is not None else None,
        )
        parts.journal.append(RecordKind.BOOT, cbor.encode([__version__, clock.mission_s(), restarts]))
        self.satellite = satellite = Satellite(
            parts,
            self.agent,
            self.gate,
            self.desk,
            answers,
            downlink,
            self.events,
            self.modes,
            inbox,
            self.commands,
            self.send_telemetry,
            self.telling.passes,
        )
        if services.store is not None:
            satellite.time.keep(services.store)
        satellite.resume()
        self.events.emit(BOOTED, restarts=restarts.get("flight", 0), records=replayed.records)
        if recovery:
            self.events.emit(RECOVERY_BEGAN, level=recovery)
        if parts.disabled:
            self.events.emit(APPLICATIONS_DISABLED, applications=len(parts.disabled))
        for tell in commissioning_tells(parts.inference):
            self.events.emit(tell.event, **dict(tell.values))
        watchdog = parts.devices.watchdog
        frames = FrameClock(
            table.minor_us,
            realtime=config.executive.realtime,
            priority=config.executive.priority,
            lock_memory=config.executive.lock_memory,
            watchdog_fd=watchdog.fileno() if watchdog is not None else -1,
            catch_up_frames=config.executive.catch_up_frames,
            core=config.executive.core,
            duties_after_missed=DUTIES_AFTER,
            duty_period=DUTY_PERIOD,
        )
        if held.clock_page is not None:
            frames.duty_beat(held.clock_page)
        activities: dict[str, Activity] = {
            **satellite.activities(),
            "garbage.collect": IdleCollector(),
            "table.scrub": self.tables.step,
            "health.step": self.watch.step,
            **services.activities,
        }
        demotion = _DEMOTION[config.executive.demotion]
        first = table if golden else self.tables.first()
        dispatcher = dispatcher_setup(config.executive)
        self.loop = FrameLoop(
            first,
            activities,
            frames,
            clock,
            self.events,
            self.modes,
            self.health,
            demotion=demotion,
            dispatcher=dispatcher,
        )
        self.tables.bind(self.loop.tables)
        self.watch.bind(self.loop, self.modes, self.commands, counts, self.desk.reports(), watchdog)
        self._no_space = False

    def warm_up(self) -> None:
        """Use once what is slow at its first use, before there are frames to be late for."""
        key = self.parts.keys.satellite
        signed = cose.sign1(b"warm", key.private, key.key_id, cose.aad(cose.Purpose.COMMAND))
        cose.verify1(signed, key.verifier, cose.aad(cose.Purpose.COMMAND))
        encrypt_to(signed, generate_recipient_key(os.urandom).public_key().public_bytes_raw(), os.urandom)

    def run(self, stop: StopFlag, parent: Parent) -> None:
        """Frames until told to stop; then what is queued for the journal is made durable."""
        self.warm_up()
        if self.recovery:
            self.modes.request(Mode.SAFE, Cause.RECOVERY)
        else:
            self.modes.request(Mode.NOMINAL)
        reason = EndReason.FATAL
        try:
            self.loop.run(lambda: self._keep_on(stop, parent))
            reason = self._why(stop, parent)
        finally:
            self.watch.end(reason)
            self.services.close()
            self.desk.close()
            try:
                self.parts.journal.close()
            finally:
                self.parts.devices.close()

    @property
    def status(self) -> int:
        """After run(): 1 where the supervisor is to begin anew, with another journal writer and devices opened anew."""
        return int(bool(self.parts.journal.lost) or self.watch.begin_anew)

    def numbers(self) -> dict[str, int]:
        """How commands name the activities."""
        return self.loop.numbers()

    def enable(self, activity: str) -> None:
        """Another try for an activity that was disabled."""
        self.loop.enable(activity)

    def send_telemetry(self, frame: int, in_contact: bool) -> None:
        """Housekeeping of every component: to the limits, and in contact to the ground as its rate says."""
        now_s = self.parts.clock.mission_s()
        self._watch_journal()
        self.telling.begin()
        for packet in (
            housekeeping(self.loop, self.parts.journal, now_s),
            self.satellite.telemetry(),
            TelemetryPacket.of(AGENT, now_s, **self.agent.telemetry()),
            self.satellite.time.telemetry(now_s),
            TelemetryPacket.of(GATE, now_s, **self.gate.telemetry()),
            *self.commands.telemetry(now_s),
            self.watch.telemetry(now_s),
            *self.services.telemetry(now_s),
        ):
            self.commands.hear_telemetry(packet)
            if in_contact and self.telling.offer(packet, frame):
                self.gate.send_telemetry(packet)

    def _why(self, stop: StopFlag, parent: Parent) -> EndReason:
        if stop.is_set:
            return EndReason.STOPPED
        if not parent.alive:
            return EndReason.ORPHANED
        return EndReason.RESET if self.watch.begin_anew else EndReason.FATAL

    def _watch_journal(self) -> None:
        """While there is no space nothing becomes durable, so nothing that waits for that is done; frames go on."""
        journal = self.parts.journal
        if journal.no_space and not self._no_space:
            self.events.emit(JOURNAL_NO_SPACE, queued=journal.queued_bytes)
        elif self._no_space and not journal.no_space:
            self.events.emit(JOURNAL_SPACE_AGAIN)
        self._no_space = journal.no_space

    def _keep_on(self, stop: StopFlag, parent: Parent) -> bool:
        for activity, error in self.loop.take_failures():
            _log({"event": "raised", "activity": activity, "error": f"{type(error).__name__}: {error}"})
        self.services.boundary()
        while self.desk.failures:
            _log({"event": "refused", "reason": self.desk.failures.popleft()})
        return not stop.is_set and parent.alive and not self.status


def _log(record: Mapping[str, object]) -> None:
    with contextlib.suppress(OSError):  # the log may lie on a disk that is full
        print(json.dumps({"process": "flight", **record}), file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Fly until SIGTERM. 1: the journal writer is gone. 2: it cannot begin."""
    arguments = parser().parse_args(argv)
    parent, stop = Parent(signal.SIGTERM, arguments.parent), StopFlag()
    lower_rights(nice=0, memory_mb=None)  # a core dump of this process would hold the keys
    try:
        inference = InferenceSetup.from_argument(arguments.inference) if arguments.inference else InferenceSetup()
        recovery = Recovery(arguments.recovery)
        parts = open_onboard(
            arguments.config,
            arguments.run_dir,
            arguments.journal_fd,
            arguments.answer_fd,
            inference,
            load_none=recovery is Recovery.GOLDEN,
        )
        held = take(arguments, _log)
        restarts = json.loads(arguments.restarts)
        process = FlightProcess(parts, RunPaths(arguments.run_dir), restarts, recovery, held)
    except SwathError as error:
        _log({"event": "cannot_begin", "code": error.code, "message": str(error)})
        return 2
    for name, reason in parts.disabled.items():
        _log({"event": "application_disabled", "application": name, "message": reason})
    try:
        process.run(stop, parent)
    except JournalLost as error:
        _log({"event": "journal_lost", "code": error.code, "message": str(error)})
        return 1
    return process.status


if __name__ == "__main__":
    sys.exit(main())
