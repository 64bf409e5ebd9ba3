"""Stored sequences: commands that the satellite gives itself, counted in frames (docs/onboard-services.md).

Two absolute buffers (A and B: load the idle one, switch) and relative sequences 1..64. A relative step's time runs
FROM THE COMPLETION of the step before. The next step of a sequence waits for the outcome of the one before, in both
kinds, at most for its timeout.

The service does nothing itself: due() names the commands, the command slot makes pack_state() durable, dispatches
them and tells the outcome by completed(). Because a step is marked as out before it is dispatched, a restart finds it
out and does not do it again: at most once. Only a step declared repeatable is dispatched once more.

The frame count given must go on across restarts (the mission's count, not that of a boot).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from bindings.crc import crc32c
from flight.services.command_set import CommandSet
from flight.services.packed_state import StateReason, StateRefused
from flight.services.sequence_format import (
    ABSOLUTE,
    ABSOLUTE_A,
    ABSOLUTE_B,
    MAX_FRAME,
    LoadReason,
    LoadRefused,
    Sequence,
    SequenceKind,
    SequenceStep,
    StepFlag,
    is_number,
    unpack_sequence,
)
from flight.services.sequence_state import (
    MAX_DEPTH,
    Dispatch,
    FrameWentBack,
    Happening,
    RunReason,
    SequenceRefused,
    SequenceReport,
    SequencesState,
    SlotState,
)

MAX_DISPATCHES = 8  # in one frame, over all sequences
MAX_REPORTS = 256  # kept until they are taken; the oldest gives way
_MAX_TOKEN = 0xFFFF_FFFF


@dataclass(slots=True)
class SequenceCounters:
    """What goes into telemetry; since the boot."""

    dispatched: int = 0
    completed: int = 0
    failed: int = 0  # timed out and lost ones too
    skipped: int = 0
    ended: int = 0
    stopped_by_failure: int = 0
    unknown_completions: int = 0


@dataclass(slots=True)
class _Slot:
    sequence: Sequence
    crc: int
    enabled: bool = False  # loading does not start anything, and does not allow it either
    running: bool = False
    step: int = 0
    base_frame: int = 0
    not_before_frame: int = 0  # absolute steps of earlier frames are skipped
    depth: int = 0
    token: int = 0  # of the step that is out; 0: none is
    dispatched_frame: int = 0
    again: bool = False  # the step is due at once: it was out when the computer restarted, and is repeatable

    @property
    def now(self) -> SequenceStep:
        """The step that is next, or out."""
        return self.sequence.steps[self.step]


class Sequences:
    """All stored sequences of one satellite. See the module for how it is driven."""

    def __init__(self, commands: CommandSet, starts: frozenset[int] = frozenset()) -> None:
        """starts: opcodes that start a sequence or switch to one; a sequence may hold a bounded number of them."""
        self._commands, self._starts = commands, starts
        self._slots: dict[int, _Slot] = {}
        self._ranked: tuple[_Slot, ...] = ()  # in the order of dispatch
        self._frame = 0
        self._next_token = 1
        self.counters = SequenceCounters()
        self.reports: deque[SequenceReport] = deque(maxlen=MAX_REPORTS)

    # --- commands of the ground, or of a step ----------------------------------------------------------------------

    def load(self, octets: bytes) -> Sequence:
        """Keep a sequence, stopped and disabled, in place of the one of its number. Raises LoadRefused."""
        sequence = unpack_sequence(octets, self._commands, self._starts)
        held = self._slots.get(sequence.number)
        if held is not None and held.running:
            raise LoadRefused(LoadReason.RUNNING, value=sequence.number)
        self._slots[sequence.number] = _Slot(sequence, crc32c(octets))
        by_rank = sorted(self._slots.items(), key=lambda item: (item[0] not in ABSOLUTE, item[0]))
        self._ranked = tuple(slot for _, slot in by_rank)
        return sequence

    def enable(self, number: int) -> None:
        """Allow it to be started. Raises SequenceRefused."""
        self._slot(number).enabled = True

    def disable(self, number: int) -> None:
        """Allow no further start; one that runs goes on. Raises SequenceRefused."""
        self._slot(number).enabled = False

    def start(self, number: int, frame: int, by: int = 0) -> None:
        """Begin at its first step; by: the sequence whose step asks for it. Raises SequenceRefused, FrameWentBack."""
        slot = self._slot(number)
        if slot.running:
            raise SequenceRefused(RunReason.RUNNING, number)
        if number in ABSOLUTE and self.running_absolute:
            raise SequenceRefused(RunReason.OTHER_BUFFER_RUNNING, number)
        self._begin(slot, frame, by)

    def switch(self, frame: int, by: int = 0) -> int:
        """Stop the absolute sequence that runs and start the other; its number. Raises as start(), changing nothing."""
        number = self.running_absolute
        if not number:
            raise SequenceRefused(RunReason.NOTHING_TO_SWITCH, number)
        other = ABSOLUTE_B if number == ABSOLUTE_A else ABSOLUTE_A
        self._begin(self._slot(other), frame, by)
        self._halt(self._slots[number])
        return other

    def stop(self, number: int) -> None:
        """No further step; the outcome of one that is out is not waited for. Raises SequenceRefused."""
        slot = self._slot(number)
        if not slot.running:
            raise SequenceRefused(RunReason.NOT_RUNNING, number)
        self._halt(slot)

    # --- driving ---------------------------------------------------------------------------------------------------

    def due(self, frame: int) -> list[Dispatch]:
        """The steps to be done in this frame; the absolute sequence first, then the lower number. Raises FrameWentBack.

        They count as out from now on: make pack_state() durable, then dispatch them.
        """
        self._at(frame)
        dispatches: list[Dispatch] = []
        for slot in self._running():
            if slot.token and frame - slot.dispatched_frame > slot.now.timeout_frames:
                self._outcome(slot, False, frame, Happening.STEP_TIMED_OUT)
            if not slot.running or slot.token or len(dispatches) == MAX_DISPATCHES:
                continue
            self._skip_past(slot)
            if slot.running and (slot.again or frame >= self._due_frame(slot)):
                dispatches.append(self._dispatch(slot, frame))
        return dispatches

    def completed(self, token: int, ok: bool, frame: int) -> bool:
        """The outcome of a dispatched step; False when none is out under that token. Raises FrameWentBack."""
        self._at(frame)
        for slot in self._running():
            if token and slot.token == token:
                self._outcome(slot, ok, frame, Happening.STEP_FAILED)
                return True
        self.counters.unknown_completions += 1
        return False

    # --- across restarts -------------------------------------------------------------------------------------------

    def pack_state(self) -> bytes:
        """Where everything stands, as octets (flight/services/sequence_state.py)."""
        slots = (
            SlotState(
                number,
                slot.crc,
                slot.enabled,
                slot.running,
                bool(slot.token) or slot.again,
                slot.step,
                slot.base_frame,
                slot.depth,
            )
            for number, slot in sorted(self._slots.items())
        )
        return SequencesState(self._frame, self._next_token, tuple(slots)).pack()

    def restore(self, octets: bytes, frame: int) -> None:
        """Go on after a restart; call once, when the sequences were loaded again. Raises StateRefused.

        A step that was out is not done again, its outcome counts as a failure; a repeatable one is dispatched once
        more. A sequence that is not to the octet the one that the state is about is left stopped and disabled.
        """
        state = SequencesState.unpack(octets)
        if not state.frame <= frame <= MAX_FRAME:
            raise StateRefused(StateReason.FRAME_WENT_BACK, value=state.frame)
        self._frame, self._next_token = frame, state.next_token
        for held in state.slots:
            slot = self._slots.get(held.number)
            if slot is None or slot.crc != held.crc or (held.running and held.step >= len(slot.sequence.steps)):
                self._report(Happening.STATE_OF_ANOTHER, held.number, held.step)
                continue
            slot.enabled, slot.running, slot.step = held.enabled, held.running, held.step
            slot.base_frame, slot.depth, slot.not_before_frame = held.base_frame, held.depth, frame
            if held.out and slot.now.flags & StepFlag.REPEATABLE:
                slot.again = True
                self._report(Happening.STEP_REPEATED, held.number, held.step)
            elif held.out:
                self._outcome(slot, False, frame, Happening.STEP_LOST)

    # --- what can be asked -----------------------------------------------------------------------------------------

    @property
    def running_absolute(self) -> int:
        """The absolute sequence that runs; 0: none does."""
        return next((number for number in ABSOLUTE if number in self._slots and self._slots[number].running), 0)

    @property
    def loaded(self) -> tuple[int, ...]:
        """Numbers of the sequences that are held."""
        return tuple(sorted(self._slots))

    def is_running(self, number: int) -> bool:
        """Whether that sequence runs."""
        return number in self._slots and self._slots[number].running

    # --- inside ----------------------------------------------------------------------------------------------------

    def _slot(self, number: int) -> _Slot:
        if not any(is_number(kind, number) for kind in SequenceKind):
            raise SequenceRefused(RunReason.NUMBER, number)
        if number not in self._slots:
            raise SequenceRefused(RunReason.NOT_LOADED, number)
        return self._slots[number]

    def _running(self) -> list[_Slot]:
        return [slot for slot in self._ranked if slot.running]

    def _at(self, frame: int) -> None:
        if not self._frame <= frame <= MAX_FRAME:
            raise FrameWentBack(frame, self._frame)
        self._frame = frame

    def _begin(self, slot: _Slot, frame: int, by: int) -> None:
        number = slot.sequence.number
        depth = self._slots[by].depth + 1 if by in self._slots else 0
        if not slot.enabled:
            raise SequenceRefused(RunReason.DISABLED, number)
        if depth > MAX_DEPTH:
            raise SequenceRefused(RunReason.TOO_DEEP, number)
        if slot.sequence.kind is SequenceKind.ABSOLUTE and slot.sequence.steps[-1].frames < frame:
            raise SequenceRefused(RunReason.ALL_PAST, number)
        self._at(frame)
        slot.running, slot.step, slot.token, slot.again = True, 0, 0, False
        slot.base_frame, slot.not_before_frame, slot.depth = frame, frame, depth

    def _halt(self, slot: _Slot) -> None:
        slot.running, slot.token, slot.again = False, 0, False

    def _due_frame(self, slot: _Slot) -> int:
        absolute = slot.sequence.kind is SequenceKind.ABSOLUTE
        return slot.now.frames if absolute else slot.base_frame + slot.now.frames

    def _skip_past(self, slot: _Slot) -> None:
        if slot.sequence.kind is not SequenceKind.ABSOLUTE or slot.again:
            return
        while slot.running and slot.now.frames < slot.not_before_frame:
            self.counters.skipped += 1
            self._report(Happening.STEP_SKIPPED, slot.sequence.number, slot.step)
            self._advance(slot)

    def _dispatch(self, slot: _Slot, frame: int) -> Dispatch:
        slot.token, slot.dispatched_frame, slot.again = self._next_token, frame, False
        self._next_token = self._next_token % _MAX_TOKEN + 1
        self.counters.dispatched += 1
        return Dispatch(slot.token, slot.sequence.number, slot.step, slot.now.command)

    def _outcome(self, slot: _Slot, ok: bool, frame: int, failure: Happening) -> None:
        number = slot.sequence.number
        slot.token = 0
        if ok:
            self.counters.completed += 1
        else:
            self.counters.failed += 1
            self._report(failure, number, slot.step)
            if not slot.now.flags & StepFlag.CONTINUE:
                self.counters.stopped_by_failure += 1
                self._report(Happening.STOPPED_BY_FAILURE, number, slot.step)
                self._halt(slot)
                return
        slot.base_frame = frame
        self._advance(slot)

    def _advance(self, slot: _Slot) -> None:
        if slot.step + 1 < len(slot.sequence.steps):
            slot.step += 1
            return
        self.counters.ended += 1
        self._report(Happening.ENDED, slot.sequence.number, slot.step)
        self._halt(slot)

    def _report(self, happening: Happening, number: int, step: int) -> None:
        self.reports.append(SequenceReport(happening, number, step))
