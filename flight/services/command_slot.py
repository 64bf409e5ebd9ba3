"""The command slot: the one place where declared commands are dispatched, in a frame's slot and nowhere else.

Sources submit octets at any time. In its slot the frame calls decide(), makes the states that it returns durable, and
calls perform(): commands of sources in the order of their coming, then the steps of sequences that are due. What was
decided and not performed when the power fails is not done: a source repeats, a stored step counts as lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from bindings.errors import SwathError
from flight.services import component as told
from flight.services.arming import DIGEST_OCTETS, Armed, Arming, ArmingReason, ArmingRefused
from flight.services.command_set import Command, CommandDefinition, CommandInvalid, CommandReason, CommandSet
from flight.services.declare import Component, DeclarationInvalid, Event
from flight.services.events import EventRing
from flight.services.limit_format import ActionState, LimitRefused, TableReason
from flight.services.limits import Limits
from flight.services.packed_state import StateRefused
from flight.services.sequence_format import LoadRefused
from flight.services.sequence_state import Dispatch, Happening, SequenceRefused
from flight.services.sequences import Sequences

MAX_WAITING = 32  # commands of sources
MAX_PER_SLOT = 4  # of them taken in one slot
ON_BOARD = 0  # the source of what sequences and limits do; none may submit under it

Handler = Callable[[Mapping[str, int | float]], bool]  # whether it was done; SwathError: it was not
Load = Callable[[bytes], None]  # takes what follows an opcode; SwathError: it does not, and what was there stays


@dataclass(frozen=True, slots=True)
class States:
    """What must be durable before perform()."""

    sequences: bytes
    limits: bytes
    arming: bytes


class CommandSlot:
    """Sequences, limits and arming over one set of commands. See the module for how it is driven."""

    def __init__(
        self,
        definitions: Iterable[CommandDefinition],
        handlers: Mapping[int, Handler],
        components: Mapping[int, Component],
        events: EventRing,
        arming_window_frames: int,
        loads: Mapping[int, Load] | None = None,
    ) -> None:
        """definitions: beside those of the services. Raises DeclarationInvalid unless each has its handler or load."""
        mission = tuple(definitions)
        self._loads = dict(loads or {})
        if {each.opcode for each in mission} != set(handlers) | set(self._loads) or set(handlers) & set(self._loads):
            raise DeclarationInvalid("every command of the slot has one handler, and every handler a command")
        self.commands = CommandSet((*told.SERVICE_COMMANDS, *mission))
        self.sequences = Sequences(self.commands, frozenset({told.SEQUENCE_START.opcode, told.SEQUENCE_SWITCH.opcode}))
        self.limits = Limits(components)
        self.arming = Arming(self.commands, arming_window_frames)
        self._handlers, self._events = dict(handlers), events
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._taken: list[tuple[int, bytes]] = []
        self._due: list[Dispatch] = []
        self.dropped = 0

    def submit(self, source: int, octets: bytes) -> bool:
        """One command of a source 1..255, for a later slot; False, counted, when there is no room."""
        if not 1 <= source <= 0xFF:
            raise ValueError(f"source {source} is not in 1..255")
        if len(self._waiting) >= MAX_WAITING:
            self.dropped += 1
            self._events.emit(told.COMMANDS_DROPPED, dropped=self.dropped)
            return False
        self._waiting.append((source, bytes(octets)))
        return True

    def decide(self, frame: int) -> States:
        """What this slot will do. Raises FrameWentBack."""
        for armed in self.arming.expire(frame):
            self._events.emit(told.ARMING_EXPIRED, source=armed.source, number=armed.number)
        for firing in self.limits.evaluate(frame):
            event = told.LIMIT_DRY if firing.dry else told.LIMIT_FIRED
            self._events.emit(event, action=firing.action, sequence=firing.sequence)
            if not firing.dry:
                self._start(firing.sequence, frame, by=0)
        while self._waiting and len(self._taken) < MAX_PER_SLOT:
            self._taken.append(self._waiting.popleft())
            if self._taken[-1][1][:2] == told.ARM.opcode.to_bytes(2, "big"):
                break  # its number must be durable before a command can be executed by it: in the next slot
        self._due += self.sequences.due(frame)
        self._report()
        return self.states()

    @property
    def busy(self) -> bool:
        """Whether perform() has something to do: then the states of decide() must be durable first."""
        return bool(self._taken or self._due)

    def states(self) -> States:
        """The states as they are now."""
        return States(self.sequences.pack_state(), self.limits.pack_state(), self.arming.pack_state())

    def perform(self, frame: int) -> None:
        """Do it. An exception of a handler that is no SwathError goes up; the rest is done by the next call."""
        while self._taken:
            source, octets = self._taken.pop(0)
            self._take(source, octets, frame)
        while self._due:
            dispatch = self._due.pop(0)
            done = self._run(ON_BOARD, dispatch.command, frame, by=dispatch.number)
            self.sequences.completed(dispatch.token, done, frame)
        self._report()

    def _take(self, source: int, octets: bytes, frame: int) -> None:
        opcode = int.from_bytes(octets[:2], "big")
        try:
            if opcode == told.EXECUTE.opcode:
                self._execute(source, octets, frame)
                return
            if opcode == told.SEQUENCE_LOAD.opcode:
                self._disarm(source)
                sequence = self.sequences.load(octets[2:])
                self._events.emit(told.SEQUENCE_LOADED, number=sequence.number, steps=len(sequence.steps))
                return
            if opcode == told.LIMITS_LOAD.opcode:
                self._disarm(source)
                table = self.limits.load(octets[2:])
                counts = len(table.watchpoints), len(table.actions)
                self._events.emit(told.LIMITS_LOADED, watchpoints=counts[0], actions=counts[1])
                return
            if opcode in self._loads:
                self._disarm(source)
                self._load(source, opcode, octets[2:])
                return
            command = self.commands.unpack(octets)
            if opcode == told.ARM.opcode:
                self._arm(source, command, frame)
                return
            self._disarm(source)
            if self.commands.definition(opcode).dangerous:
                raise ArmingRefused(ArmingReason.NOT_ARMED, source, 0)
            self._run(source, command, frame)
        except CommandInvalid as refused:
            self._disarm(source)
            self._events.emit(told.COMMAND_REFUSED, opcode=refused.opcode, source=source, reason=refused.reason)
        except LoadRefused as refused:
            self._events.emit(told.LOAD_REFUSED, reason=refused.reason, step=refused.step)
        except LimitRefused as refused:
            self._events.emit(told.LIMIT_REFUSED, reason=refused.reason, record=refused.record)
        except StateRefused as refused:
            self._events.emit(told.TABLE_DAMAGED, reason=refused.reason)
        except ArmingRefused as refused:
            self._events.emit(told.ARMING_REFUSED, source=source, number=refused.number, reason=refused.reason)

    def reload(self, octets: bytes) -> None:
        """A command of an earlier run of the software: what was loaded then is there again, all else is left out.

        Raises SwathError where it was refused then.
        """
        opcode, body = int.from_bytes(octets[:2], "big"), octets[2:]
        if opcode == told.SEQUENCE_LOAD.opcode:
            self.sequences.load(body)
        elif opcode == told.LIMITS_LOAD.opcode:
            self.limits.load(body)
        elif opcode in self._loads:
            self._loads[opcode](body)

    def _load(self, source: int, opcode: int, octets: bytes) -> None:
        try:
            self._loads[opcode](octets)
        except SwathError:
            self._events.emit(told.COMMAND_FAILED, opcode=opcode, source=source)
        else:
            self._events.emit(told.COMMAND_DONE, opcode=opcode, source=source)

    def _arm(self, source: int, command: Command, frame: int) -> None:
        values = self.commands.values(command)
        digest = int(values["digest"]).to_bytes(DIGEST_OCTETS, "big")
        armed = self.arming.arm(source, int(values["number"]), int(values["opcode"]), digest, frame)
        self._emit(told.COMMAND_ARMED, armed)

    def _execute(self, source: int, octets: bytes, frame: int) -> None:
        head = 2 + told.EXECUTE.layout.size
        if len(octets) < head:
            raise CommandInvalid(CommandReason.TOO_SHORT, told.EXECUTE.opcode, head, len(octets))
        command = self.commands.unpack(octets[head:])
        armed = self.arming.execute(source, int.from_bytes(octets[2:head], "big"), command, frame)
        self._emit(told.COMMAND_EXECUTED, armed)
        self._run(source, command, frame)

    def _run(self, source: int, command: Command, frame: int, by: int = 0) -> bool:
        values = self.commands.values(command)
        handler = self._handlers.get(command.opcode)
        try:
            done = handler(values) if handler else self._serve(command.opcode, values, frame, by)
        except SwathError:
            done = False
        if not done:
            self._events.emit(told.COMMAND_FAILED, opcode=command.opcode, source=source)
        elif source != ON_BOARD:  # the steps of a sequence are counted, and its end is told
            self._events.emit(told.COMMAND_DONE, opcode=command.opcode, source=source)
        return done

    def _serve(self, opcode: int, values: Mapping[str, int | float], frame: int, by: int) -> bool:
        """A command of the services themselves."""
        number = int(values.get("number", 0))
        try:
            if opcode == told.SEQUENCE_START.opcode:
                return self._start(number, frame, by)
            if opcode == told.SEQUENCE_SWITCH.opcode:
                self._events.emit(told.SEQUENCE_STARTED, number=self.sequences.switch(frame, by), by=by)
            elif opcode == told.SEQUENCE_STOP.opcode:
                self.sequences.stop(number)
            elif opcode == told.SEQUENCE_ENABLE.opcode:
                self.sequences.enable(number)
            elif opcode == told.SEQUENCE_DISABLE.opcode:
                self.sequences.disable(number)
            else:
                self._set_limit(int(values["action"]), int(values["state"]))
        except SequenceRefused as refused:
            self._events.emit(told.SEQUENCE_REFUSED, number=refused.number, reason=refused.reason)
            return False
        except LimitRefused as refused:
            self._events.emit(told.LIMIT_REFUSED, reason=refused.reason, record=refused.record)
            return False
        return True

    def _set_limit(self, action: int, state: int) -> None:
        if state not in tuple(ActionState):
            raise LimitRefused(TableReason.STATE, action, state)
        self.limits.set_state(action, ActionState(state))

    def _start(self, number: int, frame: int, by: int) -> bool:
        try:
            self.sequences.start(number, frame, by)
        except SequenceRefused as refused:
            self._events.emit(told.SEQUENCE_REFUSED, number=refused.number, reason=refused.reason)
            return False
        self._events.emit(told.SEQUENCE_STARTED, number=number, by=by)
        return True

    def _disarm(self, source: int) -> None:
        for armed in self.arming.other_command(source):
            self._events.emit(told.DISARMED, source=armed.source, number=armed.number)

    def _emit(self, event: Event, armed: Armed) -> None:
        self._events.emit(event, source=armed.source, number=armed.number, opcode=armed.opcode)

    def _report(self) -> None:
        reports = self.sequences.reports
        while reports:
            report = reports.popleft()
            if report.happening is Happening.ENDED:
                self._events.emit(told.SEQUENCE_ENDED, number=report.number, step=report.step)
            else:
                numbers = {"number": report.number, "step": report.step, "happening": report.happening}
                self._events.emit(told.SEQUENCE_REPORT, **numbers)
