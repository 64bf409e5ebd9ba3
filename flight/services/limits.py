"""Limit checks: telemetry value -> watchpoint -> expression -> the start of a sequence (docs/onboard-services.md).

A pure step: sample() takes a component's telemetry, evaluate() says once a frame what is to be started. A value that
was never seen, is too old or is a NaN is neither true nor false, so no expression that hangs on it is. An action that
has fired is passive until it is armed again, also after a restart.
"""

from __future__ import annotations

import operator
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from bindings.crc import crc32c
from flight.services.declare import Component
from flight.services.limit_expression import Truth, evaluate
from flight.services.limit_format import (
    MAX_ACTIONS,
    MAX_WATCHPOINTS,
    Action,
    ActionState,
    Comparison,
    LimitRefused,
    LimitTable,
    TableReason,
    Watchpoint,
    unpack_table,
)
from flight.services.packed_state import StateReason, StateRefused, open_state, seal_state
from flight.services.sequence_state import FrameWentBack

MAX_FIRINGS = 4  # in one frame; the others stay active and fire in the next
STATE_MAGIC = b"SWLS"
STATE_FORMAT = 1
_HEAD = struct.Struct(">IBB")  # CRC-32C of the table, watchpoints, actions
_COUNTS = struct.Struct(">5I")
_ACTION = struct.Struct(">BB3I")
_MAX_BODY = _HEAD.size + MAX_WATCHPOINTS * _COUNTS.size + MAX_ACTIONS * _ACTION.size
_MAX_COUNT = 0xFFFF_FFFF

_COMPARE: dict[Comparison, Callable[[float, float], bool]] = {
    Comparison.LESS: operator.lt,
    Comparison.LESS_EQUAL: operator.le,
    Comparison.GREATER: operator.gt,
    Comparison.GREATER_EQUAL: operator.ge,
    Comparison.EQUAL: operator.eq,
    Comparison.NOT_EQUAL: operator.ne,
}


class Verdict(IntEnum):
    """What a watchpoint says. Numbers are never reused."""

    FALSE = 0
    TRUE = 1
    NEVER_SEEN = 2  # since the boot
    STALE = 3
    NOT_A_NUMBER = 4  # the last sample is none: neither inside nor outside a limit


@dataclass(frozen=True, slots=True)
class Firing:
    """An action whose expression became true: start the sequence; if dry, only tell."""

    action: int
    sequence: int
    dry: bool


@dataclass(slots=True)
class WatchCounters:
    """Of one watchpoint; they saturate, and survive a restart."""

    evaluations: int = 0  # samples compared
    trues: int = 0  # samples that compared true
    crossings: int = 0  # from false to true, of the watchpoint
    stales: int = 0  # times that the value became too old
    not_numbers: int = 0


@dataclass(slots=True)
class ActionCounters:
    """Of one action; they saturate, and survive a restart."""

    fired: int = 0
    blocked: int = 0  # became true while passive
    dry: int = 0


class Limits:
    """The watchpoints and actions of one satellite. See the module for how it is driven."""

    def __init__(self, components: Mapping[int, Component]) -> None:
        """components: whose telemetry can be watched, by number."""
        self._components = components
        self._frame = 0
        self._watches: list[_Watch] = []
        self._actions: list[_Action] = []
        self._crc = 0
        self._take(LimitTable())

    def load(self, octets: bytes) -> LimitTable:
        """Watch by another table; counters begin again. Raises StateRefused, LimitRefused: the old one stays."""
        table = unpack_table(octets, self._components)
        self._take(table)
        return table

    def set_state(self, action: int, state: ActionState) -> None:
        """Arm (active), silence (passive), try dry or disable an action. Raises LimitRefused."""
        if not 0 <= action < len(self._actions):
            raise LimitRefused(TableReason.ACTION_NUMBER, action)
        held = self._actions[action]
        if held.state is not state:
            held.state, held.was_true = state, False

    def sample(self, component: int, values: Sequence[int | float], frame: int) -> None:
        """A component's telemetry, in declared order. Raises LimitRefused, FrameWentBack."""
        self._at(frame)
        declared = self._components.get(component)
        if declared is None or len(values) != len(declared.telemetry):
            raise LimitRefused(TableReason.SAMPLE, component, len(values))
        for watch in self._watches:
            if watch.declared.component == component:
                watch.take(values[watch.declared.field], frame)

    def evaluate(self, frame: int) -> list[Firing]:
        """What is to be started; call once in a frame. Raises FrameWentBack."""
        self._at(frame)
        truths = [watch.truth(frame) for watch in self._watches]
        firings: list[Firing] = []
        started = 0
        for number, held in enumerate(self._actions):
            if held.state is ActionState.DISABLED:
                continue
            truth = evaluate(held.declared.expression, truths)
            if truth is Truth.UNKNOWN:
                continue
            became_true = truth is Truth.TRUE and not held.was_true
            held.was_true = truth is Truth.TRUE
            if truth is Truth.FALSE:
                continue
            if held.state is ActionState.ACTIVE and started < MAX_FIRINGS:
                started += 1
                held.state, held.counters.fired = ActionState.PASSIVE, _more(held.counters.fired)
                firings.append(Firing(number, held.declared.sequence, dry=False))
            elif held.state is ActionState.PASSIVE and became_true:
                held.counters.blocked = _more(held.counters.blocked)
            elif held.state is ActionState.DRY and became_true:
                held.counters.dry = _more(held.counters.dry)
                firings.append(Firing(number, held.declared.sequence, dry=True))
        return firings

    def verdict(self, watchpoint: int) -> Verdict:
        """What a watchpoint said at the last evaluation or sample."""
        return self._watches[watchpoint].verdict

    def watch_counters(self, watchpoint: int) -> WatchCounters:
        """Of one watchpoint."""
        return self._watches[watchpoint].counters

    def action_counters(self, action: int) -> ActionCounters:
        """Of one action."""
        return self._actions[action].counters

    def state(self, action: int) -> ActionState:
        """Of one action."""
        return self._actions[action].state

    def pack_state(self) -> bytes:
        """States and counters as octets. Values are not kept: after a restart nothing has been seen.

        Envelope of flight/services/packed_state.py, magic "SWLS", format 1. Body, big-endian: CRC-32C of the table u32,
        watchpoint count u8, action count u8; per watchpoint its five counters u32; per action: state u8, was true u8,
        its three counters u32.
        """
        body = _HEAD.pack(self._crc, len(self._watches), len(self._actions))
        for watch in self._watches:
            each = watch.counters
            body += _COUNTS.pack(each.evaluations, each.trues, each.crossings, each.stales, each.not_numbers)
        for held in self._actions:
            counts = held.counters
            body += _ACTION.pack(held.state, held.was_true, counts.fired, counts.blocked, counts.dry)
        return seal_state(STATE_MAGIC, STATE_FORMAT, body)

    def restore(self, octets: bytes) -> None:
        """Go on after a restart, when the table was loaded again. Raises StateRefused, having changed nothing."""
        body = open_state(octets, STATE_MAGIC, STATE_FORMAT, _MAX_BODY)
        actions_at = _HEAD.size + len(self._watches) * _COUNTS.size
        if len(body) != actions_at + len(self._actions) * _ACTION.size:
            raise StateRefused(StateReason.SIZE, value=len(body))
        crc, watches, actions = _HEAD.unpack_from(body)
        if (crc, watches, actions) != (self._crc, len(self._watches), len(self._actions)):
            raise StateRefused(StateReason.CONTENT, 0, crc)
        counters = [WatchCounters(*numbers) for numbers in _COUNTS.iter_unpack(body[_HEAD.size : actions_at])]
        held_states = list(_ACTION.iter_unpack(body[actions_at:]))
        for index, (state, was_true, *_) in enumerate(held_states):
            if state not in tuple(ActionState) or was_true > 1:
                raise StateRefused(StateReason.CONTENT, actions_at + index * _ACTION.size, state)
        for watch, each in zip(self._watches, counters, strict=True):
            watch.counters = each
        for held, (state, was_true, *counts) in zip(self._actions, held_states, strict=True):
            held.state, held.was_true, held.counters = ActionState(state), bool(was_true), ActionCounters(*counts)

    def _take(self, table: LimitTable) -> None:
        self._crc = crc32c(table.pack())
        self._watches = [_Watch(declared) for declared in table.watchpoints]
        self._actions = [_Action(declared, declared.state) for declared in table.actions]

    def _at(self, frame: int) -> None:
        if frame < self._frame:
            raise FrameWentBack(frame, self._frame)
        self._frame = frame


class _Watch:
    """One watchpoint and what it has seen since the boot."""

    def __init__(self, declared: Watchpoint) -> None:
        self.declared = declared
        self.counters = WatchCounters()
        self.verdict = Verdict.NEVER_SEEN
        self._samples = 0  # the last ones, a bit each, the newest lowest
        self._frame = 0  # of the last sample
        self._known: bool | None = None  # the last verdict that was true or false; None: none since the value is there

    def take(self, value: int | float, frame: int) -> None:
        """Compare one sample."""
        self._expire(frame)
        self._frame = frame
        comparison = self.declared.comparison
        no_number = value != value
        self.counters.evaluations = _more(self.counters.evaluations)
        if no_number:
            self.counters.not_numbers = _more(self.counters.not_numbers)
        if no_number and comparison is not Comparison.NOT_A_NUMBER:
            self.verdict = Verdict.NOT_A_NUMBER  # the samples in the window are kept as they are
            return
        true = no_number or (
            comparison is not Comparison.NOT_A_NUMBER and _COMPARE[comparison](value, self.declared.threshold)
        )
        if true:
            self.counters.trues = _more(self.counters.trues)
        self._samples = ((self._samples << 1) | true) & ((1 << self.declared.window) - 1)
        holds = self._samples.bit_count() >= self.declared.needed
        if holds and self._known is False:
            self.counters.crossings = _more(self.counters.crossings)
        self._known = holds
        self.verdict = Verdict.TRUE if holds else Verdict.FALSE

    def truth(self, frame: int) -> Truth:
        """For an expression."""
        self._expire(frame)
        return Truth(self.verdict) if self.verdict in (Verdict.FALSE, Verdict.TRUE) else Truth.UNKNOWN

    def _expire(self, frame: int) -> None:
        if self.verdict in (Verdict.NEVER_SEEN, Verdict.STALE) or frame - self._frame <= self.declared.stale_frames:
            return
        self.verdict, self._samples, self._known = Verdict.STALE, 0, None  # a gap breaks a row
        self.counters.stales = _more(self.counters.stales)


class _Action:
    """One action and how it stands."""

    def __init__(self, declared: Action, state: ActionState) -> None:
        self.declared, self.state = declared, state
        self.counters = ActionCounters()
        self.was_true = False


def _more(count: int) -> int:
    return min(count + 1, _MAX_COUNT)
