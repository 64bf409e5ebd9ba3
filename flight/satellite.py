"""One satellite: its activities, each bounded, run by the frame loop in the slots of the schedule table.

Records first, effects later: what the agent decides is appended to the journal at once and done when it is durable.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from bindings.errors import SwathError
from flight.agent.component import EGRESS_REFUSED
from flight.agent.core import AgentCore
from flight.agent.effects import (
    DropProduct,
    Effect,
    ForgetJob,
    Input,
    OrderCapture,
    Outcome,
    ProductReady,
    ProductRefused,
    Record,
    ReleaseCapture,
    ReportStatus,
    SealProduct,
    SendAlert,
    StartInference,
    StartTransfer,
    Tell,
    Tick,
    TransferFinished,
    Uplinked,
)
from flight.agent.egress import EgressGate
from flight.agent.errors import EgressRefused
from flight.agent.orbit import elevation_deg
from flight.agent.release import product_name
from flight.command_activity import CommandActivity
from flight.component import CAMERA_BEGAN, PAYLOAD_BEGAN, PAYLOAD_SILENT, POWER_OFF_NOTICE, SATELLITE, STRIPS_REFUSED
from flight.executive.frame_context import FrameContext
from flight.executive.modes import Cause, Mode, ModeManager
from flight.link.apids import Apid
from flight.link.downlink import Downlink
from flight.link.errors import LinkError
from flight.link.packet import SpacePacket
from flight.link.tc_frame import TcDeframer
from flight.onboard import Onboard
from flight.onboard_time import BusTime
from flight.payload_desk import PayloadDesk
from flight.pipeline.answers import AnswerDesk
from flight.product.container import seal
from flight.product.summary import Coverage
from flight.services.events import EventRecord, EventRing
from flight.services.journal import JournalFull
from flight.services.telemetry import TelemetryPacket
from hal.errors import DeadlineExceeded, HalError
from hal.navigation.protocol import NavigationFix

MAX_INBOX = 256
UPLINK_APIDS = (Apid.GRANT, Apid.JOB, Apid.RECEIPT, Apid.COMMAND)
FRAMES_PER_SLOT = 8
PACKETS_PER_SLOT = 16
EFFECTS_PER_SLOT = 4
UNITS_PER_SLOT = 4
TICK_S = 0.05  # host time between two ticks of the agent
POLL = 0.0  # a deadline in the past
SILENCE_S = 10.0  # of host time; a tile and the loading of a graph take less


class Satellite:
    """The flight process's activities over its parts. Nothing here waits or does storage I/O."""

    def __init__(
        self,
        parts: Onboard,
        agent: AgentCore,
        gate: EgressGate,
        desk: PayloadDesk,
        answers: AnswerDesk,
        downlink: Downlink,
        events: EventRing,
        modes: ModeManager,
        inbox: deque[Input],
        commands: CommandActivity,
        housekeeping: Callable[[int, bool], None],
        passes: Callable[[EventRecord], bool],
    ) -> None:
        """inbox: shared with the desk; housekeeping: makes the packets of a frame, and sends them when told so."""
        self._parts, self._agent, self._gate, self._desk = parts, agent, gate, desk
        self._answers, self._downlink, self._events, self._modes = answers, downlink, events, modes
        self._inbox, self._commands, self._housekeeping, self._passes = inbox, commands, housekeeping, passes
        self._journal, self._clock, self._radio = parts.journal, parts.clock, parts.devices.radio
        self._deframer = TcDeframer(parts.config.satellite.spacecraft)
        self._buffer = bytearray(max(2048, self._radio.max_frame_bytes))
        self._unwritten: deque[Record] = deque()  # decided, and not yet with the journal
        self._undone: deque[Effect] = deque()  # of the same decisions
        self._waiting: deque[tuple[int, Effect]] = deque()  # (sequence that must be durable, effect)
        self._sealing: deque[SealProduct] = deque()
        self._sealed: deque[tuple[bytes, bytes]] = deque()  # (job, container) on its way to the gate
        self._durable = 0
        self._ticked_s = float("-inf")
        self._ticked_last = False  # whether the agent's last input was a tick
        self._charge = 1.0
        self._fix: NavigationFix | None = None
        self._sunlit = False
        self._roll_deg = 0.0
        self._power_off_at_s: float | None = None
        self._seen = (0, 0, 0)  # camera processes, payload processes, strips refused
        self.in_contact = False
        self.time = BusTime(parts.clock, events)
        self.uplink_refused = 0
        self.inbox_dropped = 0

    def activities(self) -> Mapping[str, Callable[[FrameContext], None]]:
        """Names as in the schedule table."""
        return {
            "journal.poll": self.poll_journal,
            "radio.receive": self.receive,
            "processes.poll": self.poll_processes,
            "agent.step": self.step_agent,
            "commands.step": self._commands.step,
            "product.strip": self.take_strip,
            "product.seal": self.seal_product,
            "link.send": self.send,
            "platform.sample": self.sample_platform,
            "events.send": self.send_events,
            "telemetry.send": self.send_telemetry,
        }

    def resume(self) -> None:
        """After the journal was replayed: do again what was under way."""
        self._take(self._agent.resume(self._clock.mission_s()))

    # --- activities ------------------------------------------------------------------------------------------------

    def poll_journal(self, context: FrameContext) -> None:
        """Learn what is durable, and do what waited for it."""
        self._durable = self._journal.poll()
        self._answers.made_durable(self._durable)
        for _ in range(EFFECTS_PER_SLOT):
            if not self._waiting or self._waiting[0][0] > self._durable:
                return
            try:
                self._perform(self._waiting[0][1])
            except JournalFull:
                return  # it is done when there is room again
            except EgressRefused as refused:
                self._refused(refused)
            except Exception:
                self._waiting.popleft()  # one effect that fails must not hold up the others
                raise
            self._waiting.popleft()

    def receive(self, context: FrameContext) -> None:
        """Frames from the ground: whole packets become inputs of the agent or units of a transfer."""
        taken = 0
        for _ in range(FRAMES_PER_SLOT):
            try:
                count = self._radio.receive_into(self._buffer, POLL)
            except DeadlineExceeded:
                return
            try:
                for octets in self._deframer.push(bytes(self._buffer[:count])):
                    taken += 1
                    self._take_packet(SpacePacket.unpack(octets))
            except LinkError:
                self.uplink_refused += 1
            if taken >= PACKETS_PER_SLOT:  # a frame may hold a hundred small ones
                return

    def poll_processes(self, context: FrameContext) -> None:
        """Camera and payload: orders out, reports in; what changed about them is told."""
        self._desk.poll()
        seen = (self._desk.camera_processes, self._desk.payload_processes, self._desk.strips_refused)
        if seen != self._seen:
            said = (CAMERA_BEGAN, "number"), (PAYLOAD_BEGAN, "number"), (STRIPS_REFUSED, "strips")
            for (event, name), now, before in zip(said, seen, self._seen, strict=True):
                if now != before:
                    self._events.emit(event, **{name: now})
            self._seen = seen
        while self._desk.tells:
            self._tell(self._desk.tells.popleft())
        silent_s = self._desk.payload_silent_s
        if silent_s > SILENCE_S:
            self._events.emit(PAYLOAD_SILENT, seconds=silent_s)

    def step_agent(self, context: FrameContext) -> None:
        """One input of the agent: its records are appended, its effects wait for them."""
        if not self._write_down():
            return  # the journal is full: what was decided comes first, and nothing more is decided meanwhile
        now_s = self._clock.host_s()
        due = now_s - self._ticked_s >= TICK_S
        if due and not (self._inbox and self._ticked_last):  # by turns: no flood of inputs may stop the agent's time
            self._ticked_s, self._ticked_last = now_s, True
            happened: Input = Tick(state_of_charge=self._charge, in_contact=self.in_contact)
        elif self._inbox:
            happened, self._ticked_last = self._inbox.popleft(), False
        else:
            return
        self._take(self._agent.handle(happened, self._clock.mission_s()))

    def take_strip(self, context: FrameContext) -> None:
        """Class rows: a strip out of shared memory, copied, checked, journalled; or some of them encoded."""
        self._desk.take_strip()

    def seal_product(self, context: FrameContext) -> None:
        """One step of one product: finish and seal it, or hand a sealed one to the gate."""
        if self._sealed:
            self._admit(*self._sealed.popleft())
        elif self._sealing:
            self._seal(self._sealing.popleft())

    def send(self, context: FrameContext) -> None:
        """Transfer units and frames, as many as the slot and the radio take."""
        now_s = self._clock.mission_s()
        self._downlink.contact(self.in_contact, now_s)
        for name, delivered in self._downlink.finished():
            self._told(TransferFinished(bytes.fromhex(name.partition(".")[0]), delivered))
        if not self.in_contact:
            return
        for _ in range(UNITS_PER_SLOT):
            if not self._gate.ready_for_unit():
                break
            try:
                unit = self._downlink.next_unit(now_s, self._gate.max_unit_bytes, self._durable)
            except JournalFull:
                break
            if unit is None:
                break
            try:
                self._gate.send_link_unit(unit)
            except EgressRefused as refused:  # one unit that may not leave must not silence the others
                self._refused(refused)
        self._gate.pump(now_s)

    def sample_platform(self, context: FrameContext) -> None:
        """Where we are, what the battery holds, whether a station sees us; and the mode that follows."""
        devices = self._parts.devices
        try:
            fix = self._fix = devices.navigation.fix()
            power, platform = devices.power.read(), devices.platform.state()
            self._charge, self._sunlit, self._roll_deg = power.state_of_charge, power.sunlit, platform.roll_deg
            self._desk.hear_attitude(platform)
            self.time.hear(platform.time_s)
            self.in_contact = any(elevation_deg(s, fix) >= s.min_elevation_deg for s in self._parts.stations)
        except HalError:
            self.in_contact = False  # without a place there is no contact to speak in
            raise
        if platform.power_off_at_s is not None and platform.power_off_at_s != self._power_off_at_s:
            # all that was decided is with the journal already; in safe mode nothing new is begun
            self._events.emit(POWER_OFF_NOTICE, seconds=platform.power_off_at_s - platform.time_s)
            self._modes.request(Mode.SAFE, Cause.PLATFORM)
        self._power_off_at_s = platform.power_off_at_s
        if self._modes.mode in (Mode.BOOT, Mode.SAFE) or self._power_off_at_s is not None:
            return
        wanted = Mode.IMAGING if self._desk.capturing else Mode.DOWNLINK if self.in_contact else Mode.NOMINAL
        if self._modes.may(wanted) is None:  # a command may hold the mode: no fault of this activity
            self._modes.request(wanted, Cause.PLAN)

    def send_events(self, context: FrameContext) -> None:
        """Events that wait, when there is somebody to hear them."""
        if self.in_contact:
            for record in self._events.drain(FRAMES_PER_SLOT):
                if self._passes(record):
                    self._gate.send_event(record)

    def send_telemetry(self, context: FrameContext) -> None:
        """One packet of each component: looked at on board, and sent when there is somebody to hear it."""
        self._housekeeping(context.frame, self.in_contact)

    def telemetry(self) -> TelemetryPacket:
        """The satellite's own packet."""
        fix = self._fix
        return TelemetryPacket.of(
            SATELLITE,
            self._clock.mission_s(),
            latitude=fix.latitude_deg if fix else 0.0,
            longitude=fix.longitude_deg if fix else 0.0,
            altitude=fix.altitude_m if fix else 0.0,
            state_of_charge=self._charge,
            sunlit=int(self._sunlit),
            roll=self._roll_deg,
            capturing=int(self._desk.capturing),
            uplinks_refused=self.uplink_refused,
            inputs_dropped=self.inbox_dropped,
            strips_refused=self._desk.strips_refused,
            camera_processes=self._desk.camera_processes,
            payload_processes=self._desk.payload_processes,
        )

    # --- inside ----------------------------------------------------------------------------------------------------

    def _refused(self, refused: EgressRefused) -> None:
        """The gate has counted it and written it down; the ground and the log are told here."""
        self._events.emit(EGRESS_REFUSED, reason=refused.reason)
        self._desk.failures.append(refused.code)

    def _tell(self, tell: Tell) -> None:
        self._events.emit(tell.event, **dict(tell.values))

    def _told(self, happened: Input) -> None:
        self._inbox.append(happened)

    def _take_packet(self, packet: SpacePacket) -> None:
        if packet.apid in UPLINK_APIDS:
            if len(self._inbox) >= MAX_INBOX:
                self.inbox_dropped += 1  # the ground repeats what is not answered
                return
            self._told(Uplinked(packet.apid, packet.payload))
        elif packet.apid == Apid.TELECOMMAND:
            self._commands.hear(packet.payload)
        elif packet.apid == Apid.CFDP_UP:
            self._downlink.receive(packet.payload, self._clock.mission_s())
        else:
            self.uplink_refused += 1

    def _take(self, outcome: Outcome) -> None:
        self._unwritten.extend(outcome.records)
        self._undone.extend(outcome.effects)
        self._write_down()

    def _write_down(self) -> bool:
        """Append what was decided; whether all of it is with the journal. Its effects then wait to be durable."""
        while self._unwritten:
            try:
                self._journal.append(self._unwritten[0].kind, self._unwritten[0].payload)
            except JournalFull:
                return False
            self._unwritten.popleft()
        self._waiting.extend((self._journal.sequence, effect) for effect in self._undone)
        self._undone.clear()
        return True

    def _perform(self, effect: Effect) -> None:
        match effect:
            case OrderCapture() | ReleaseCapture() | StartInference() | ForgetJob():
                self._desk.perform(effect)
            case SealProduct():
                self._sealing.append(effect)
            case SendAlert():
                self._gate.send_alert(effect.product_id)
            case StartTransfer():
                self._start_transfer(effect)
            case DropProduct():
                self._downlink.drop(product_name(effect.product_id))
                self._gate.forget_product(effect.product_id)
            case ReportStatus():
                self._gate.send_status(effect)
            case Tell():
                self._tell(effect)

    def _seal(self, order: SealProduct) -> None:
        """Body and seal; the gate has its turn in the next slot. After a restart the rows are encoded again before."""
        try:
            self._desk.open_answer(order.job_id)
            if self._answers.advance(order.job_id):
                self._sealing.appendleft(order)
                return
            assembler = self._answers.assembler(order.job_id)
            summary = order.summary
            coverage = Coverage(
                lines=order.lines,
                lines_lost=order.lost,
                tiles_total=summary.tiles_total,
                tiles_screened=summary.tiles_screened,
                tiles_inferred=summary.tiles_inferred,
                nodata_pixels=assembler.no_answer,
            )
            body = assembler.finish(coverage, summary.confidence)
            key = self._parts.keys.satellite
            container = seal(body, key.private, key.key_id, self._clock.mission_s())
        except SwathError as error:
            self._no_product(order.job_id, error)
        else:
            self._sealed.append((order.job_id, container))
        self._answers.forget(order.job_id)

    def _admit(self, job_id: bytes, container: bytes) -> None:
        """The gate checks, encrypts and releases; the agent is told what came of it."""
        try:
            record = self._gate.admit_product(container)
        except SwathError as error:
            self._no_product(job_id, error)
        else:
            self._told(ProductReady(record))

    def _no_product(self, job_id: bytes, error: SwathError) -> None:
        self._desk.failures.append(error.code)
        self._told(ProductRefused(job_id))

    def _start_transfer(self, effect: StartTransfer) -> None:
        try:
            reader = self._gate.product_reader(effect.product_id)
        except SwathError as error:
            self._desk.failures.append(error.code)
            self._told(TransferFinished(effect.product_id, False))
            return
        self._downlink.start(reader.name, reader.size, reader.read, self._clock.mission_s())
