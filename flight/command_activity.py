"""The slot of declared commands in the cycle: what is believed is on the journal before it is done, and done once.

A telecommand goes through verification, the journal and the command slot. The slot's states are durable before it
dispatches anything. After a restart the loads are taken again, the states go on where they stood, and what was believed
and not done is not done: the ground has no answer and sends it anew, under a new counter.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from bindings.errors import SwathError
from flight.agent.telecommand import Telecommand, TelecommandDesk, TelecommandRefused
from flight.component import STATES_NOT_RESTORED, TELECOMMAND_REFUSED, TELECOMMAND_TAKEN
from flight.executive.frame_context import FrameContext
from flight.services import cbor
from flight.services.command_set import CommandDefinition
from flight.services.command_slot import CommandSlot, Handler, Load, States
from flight.services.component import ARMING, SEQUENCES
from flight.services.dictionary import components
from flight.services.events import EventRing
from flight.services.journal import JournalFull
from flight.services.packed_state import StateRefused
from flight.services.records import RecordKind
from flight.services.sequence_format import MAX_FRAME
from flight.services.telemetry import TelemetryPacket
from hal.clock import Clock

MAX_HEARD = 16
ARMING_WINDOW_S = 60.0
_KEY, _COUNTER, _OCTETS = 0, 1, 3


class DurableJournal(Protocol):
    """What is needed of a journal."""

    @property
    def sequence(self) -> int: ...
    @property
    def durable(self) -> int: ...
    def append(self, kind: RecordKind, payload: bytes) -> int: ...


class CommandActivity:
    """The activity `commands.step`. replay() and begin() once before the first frame, then step()."""

    def __init__(
        self,
        definitions: Iterable[CommandDefinition],
        handlers: Mapping[int, Handler],
        desk: TelecommandDesk,
        journal: DurableJournal,
        clock: Clock,
        events: EventRing,
        minor_us: int,
        loads: Mapping[int, Load] | None = None,
    ) -> None:
        """Raises DeclarationInvalid for commands without a handler or a load."""
        known = {component.number: component for component in components()}
        window = max(1, round(ARMING_WINDOW_S * 1e6 / minor_us))
        self.slot = CommandSlot(definitions, handlers, known, events, window, loads)
        self._desk, self._journal, self._clock, self._events = desk, journal, clock, events
        self._minor_us = minor_us
        self._heard: deque[bytes] = deque()
        self._believed: deque[tuple[int, Telecommand]] = deque()  # (sequence that must be durable, command)
        self._needed: int | None = None  # sequence of the states that the slot's next work waits for
        self._unwritten = False  # whether the states changed since they were written
        self._left: tuple[int, States] | None = None  # states of the last run of the software, and their frame
        self._base = 0
        self.frame = 0  # of the mission: it goes on across restarts
        self.refused = 0
        self.believed = 0

    # --- before the first frame

    def replay(self, kind: int, payload: bytes) -> None:
        """One record of the journal. What makes no sense is left out, and told by begin()."""
        try:
            fields = cbor.decode(payload)
            if kind == RecordKind.SERVICES:
                frame, *packed = fields
                if not isinstance(frame, int) or not 0 <= frame <= MAX_FRAME:
                    raise ValueError(frame)
                self._left = frame, States(*packed)
                return
            self._desk.used(fields[_KEY], int(fields[_COUNTER]))
            octets = bytes(fields[_OCTETS])
        except (SwathError, ValueError, TypeError, IndexError, KeyError):
            self.refused += 1
            return
        try:
            self.slot.reload(octets)
        except SwathError:  # it was refused, and told, when it came
            return

    def begin(self) -> None:
        """After the last record: go on with the states, at a frame above all that they have seen."""
        self._base = int(self._clock.mission_s() * 1e6) // self._minor_us
        if self.refused:
            self._events.emit(STATES_NOT_RESTORED, state=0, reason=0)
        if self._left is None:
            self.frame = self._base
            return
        frame, states = self._left
        self._base = self.frame = max(self._base, frame + 1)
        slot = self.slot
        restores: tuple[Callable[[], None], ...] = (
            lambda: slot.sequences.restore(states.sequences, self._base),
            lambda: slot.limits.restore(states.limits),
            lambda: slot.arming.restore(states.arming),
        )
        for number, restore in enumerate(restores):
            try:
                restore()
            except StateRefused as refused:
                self._events.emit(STATES_NOT_RESTORED, state=number + 1, reason=refused.reason)

    # --- in the cycle

    def hear(self, octets: bytes) -> None:
        """A packet from the ground; without room for it it is refused, and the ground sends it again."""
        if len(self._heard) >= MAX_HEARD:
            self.refused += 1
            return
        self._heard.append(octets)

    def submit(self, source: int, octets: bytes) -> bool:
        """A command of this satellite's own, for a later slot. False, and told, where there is no room."""
        return self.slot.submit(source, octets)

    def hear_telemetry(self, packet: TelemetryPacket) -> None:
        """What the limits watch."""
        self.slot.limits.sample(packet.component.number, packet.values, self.frame)

    def step(self, context: FrameContext) -> None:
        """One slot: a telecommand is believed or refused, durable ones are submitted, and what is due is done."""
        self.frame = max(self.frame, self._base + context.frame)
        self._believe()
        while self._believed and self._believed[0][0] <= self._journal.durable:
            command = self._believed.popleft()[1]
            self.slot.submit(command.source, command.octets)
        if self._needed is None and not self.slot.busy:
            self._write(self.slot.decide(self.frame))
        elif self._needed is None:  # the journal was full when it was decided
            self._write(self.slot.states())
        if self._needed is not None and self._needed <= self._journal.durable:
            try:
                self.slot.perform(self.frame)
            finally:
                if not self.slot.busy:
                    self._needed, self._unwritten = None, True

    def telemetry(self, now_s: float) -> tuple[TelemetryPacket, TelemetryPacket]:
        """The packets of sequences and arming."""
        sequences, arming = self.slot.sequences, self.slot.arming.counters
        count = sequences.counters
        return (
            TelemetryPacket.of(
                SEQUENCES,
                now_s,
                loaded=len(sequences.loaded),
                absolute=sequences.running_absolute,
                dispatched=count.dispatched,
                completed=count.completed,
                failed=count.failed,
                skipped=count.skipped,
                ended=count.ended,
                stopped_by_failure=count.stopped_by_failure,
                unknown_completions=count.unknown_completions,
                commands_dropped=self.slot.dropped,
            ),
            TelemetryPacket.of(
                ARMING,
                now_s,
                armed=arming.armed,
                executed=arming.executed,
                refused=arming.refused,
                expired=arming.expired,
                disarmed=arming.disarmed,
            ),
        )

    def _believe(self) -> None:
        if not self._heard:
            return
        try:
            key_id, command = self._desk.judge(self._heard[0], self._clock.mission_s())
        except TelecommandRefused as refused:
            self._heard.popleft()
            self.refused += 1
            self._events.emit(TELECOMMAND_REFUSED, counter=refused.counter, reason=refused.reason)
            return
        record = cbor.encode([key_id, command.counter, command.source, command.octets])
        try:
            sequence = self._journal.append(RecordKind.TELECOMMAND, record)
        except JournalFull:
            return  # it is heard again in the next slot
        self._heard.popleft()
        self._desk.used(key_id, command.counter)
        self._believed.append((sequence, command))
        self.believed += 1
        self._events.emit(TELECOMMAND_TAKEN, counter=command.counter, source=command.source)

    def _write(self, states: States) -> None:
        """States go to the journal before the slot works, and once after it."""
        if not self.slot.busy and not self._unwritten:
            return
        record = cbor.encode([self.frame, states.sequences, states.limits, states.arming])
        try:
            sequence = self._journal.append(RecordKind.SERVICES, record)
        except JournalFull:
            return  # written in a later slot; nothing is done before
        self._unwritten = False
        if self.slot.busy:
            self._needed = sequence
