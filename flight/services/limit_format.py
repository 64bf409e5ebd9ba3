"""The limit table as octets, and every check that it must pass.

In the envelope of flight/services/packed_state.py (magic "SWLM", format 1); body, big-endian: watchpoint count u8,
action count u8; per watchpoint: component u8, field u8, comparison u8, needed u8, window u8, threshold f64, stale
frames u32; per action: sequence u8, state u8, token count u8, tokens u16.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from flight.services.declare import Component, NumberType, ServicesError
from flight.services.limit_expression import MAX_TOKENS, ExpressionInvalid, check_expression
from flight.services.packed_state import open_state, seal_state
from flight.services.sequence_format import MAX_RELATIVE

MAGIC = b"SWLM"
FORMAT = 1
HEAD = struct.Struct(">BB")
WATCHPOINT = struct.Struct(">BBBBBdI")
ACTION = struct.Struct(">BBB")
TOKEN = struct.Struct(">H")
MAX_WATCHPOINTS = 128
MAX_ACTIONS = 64
MAX_WINDOW = 32  # samples
MAX_BODY = HEAD.size + MAX_WATCHPOINTS * WATCHPOINT.size + MAX_ACTIONS * (ACTION.size + MAX_TOKENS * TOKEN.size)


class Comparison(IntEnum):
    """What is asked of a sample. Numbers are never reused."""

    LESS = 1
    LESS_EQUAL = 2
    GREATER = 3
    GREATER_EQUAL = 4
    EQUAL = 5
    NOT_EQUAL = 6
    NOT_A_NUMBER = 7  # true for a NaN, which every other comparison leaves undecided


class ActionState(IntEnum):
    """What an action does when its expression is true. Numbers are never reused."""

    ACTIVE = 1  # starts its sequence, and is passive from then on
    PASSIVE = 2  # nothing but a count, until it is armed again
    DRY = 3  # an event, and no sequence
    DISABLED = 4  # not evaluated


class TableReason(IntEnum):
    """Why a limit table is refused. Numbers are never reused."""

    SIZE = 1
    WATCHPOINTS = 2  # how many
    ACTIONS = 3
    FIELD = 4  # no such component, or no such field in its telemetry
    COMPARISON = 5
    WINDOW = 6  # not 1 <= needed <= window <= 32
    THRESHOLD = 7  # not a finite number
    STALE_FRAMES = 8
    SEQUENCE = 9  # not a relative one
    STATE = 10
    EXPRESSION = 11
    SAMPLE = 12  # not as many values as the component declares
    ACTION_NUMBER = 13


class LimitRefused(ServicesError, ValueError):
    """A limit table, sample or request that cannot be. `record` counts from 0 in its kind; -1: not about one."""

    code = "limit_refused"

    def __init__(self, reason: TableReason, record: int = -1, value: int = 0) -> None:
        super().__init__(f"limits refused: record {record}: {reason.name.lower()} ({value})")
        self.reason, self.record, self.value = reason, record, value


@dataclass(frozen=True, slots=True)
class Watchpoint:
    """A telemetry value under watch: true when `needed` of the last `window` samples compare true."""

    component: int
    field: int  # index in the component's telemetry
    comparison: Comparison
    threshold: float
    stale_frames: int  # a value that is older is no value
    needed: int = 1
    window: int = 1  # needed == window: so many in a row


@dataclass(frozen=True, slots=True)
class Action:
    """What is started when an expression is true."""

    sequence: int  # a relative one
    expression: tuple[int, ...]  # flight/services/limit_expression.py
    state: ActionState = ActionState.ACTIVE  # after the load


@dataclass(frozen=True, slots=True)
class LimitTable:
    """Everything that is watched."""

    watchpoints: tuple[Watchpoint, ...] = ()
    actions: tuple[Action, ...] = ()

    def pack(self) -> bytes:
        """The table's octets, as the ground sends them up."""
        body = HEAD.pack(len(self.watchpoints), len(self.actions))
        for each in self.watchpoints:
            numbers = each.component, each.field, each.comparison, each.needed, each.window
            body += WATCHPOINT.pack(*numbers, each.threshold, each.stale_frames)
        for action in self.actions:
            body += ACTION.pack(action.sequence, action.state, len(action.expression))
            body += b"".join(TOKEN.pack(token) for token in action.expression)
        return seal_state(MAGIC, FORMAT, body)


def unpack_table(octets: bytes, components: Mapping[int, Component]) -> LimitTable:
    """The table of these octets, checked whole. Raises StateRefused (envelope) or LimitRefused (content)."""
    body = open_state(octets, MAGIC, FORMAT, MAX_BODY)
    if len(body) < HEAD.size:
        raise LimitRefused(TableReason.SIZE, value=len(body))
    count, actions = HEAD.unpack_from(body)
    if count > MAX_WATCHPOINTS:
        raise LimitRefused(TableReason.WATCHPOINTS, value=count)
    if actions > MAX_ACTIONS:
        raise LimitRefused(TableReason.ACTIONS, value=actions)
    offset = HEAD.size
    watchpoints: list[Watchpoint] = []
    for index in range(count):
        if offset + WATCHPOINT.size > len(body):
            raise LimitRefused(TableReason.SIZE, index, len(body))
        watchpoints.append(_watchpoint(WATCHPOINT.unpack_from(body, offset), index, components))
        offset += WATCHPOINT.size
    found: list[Action] = []
    for index in range(actions):
        action, offset = _action(body, offset, index, count)
        found.append(action)
    if offset != len(body):
        raise LimitRefused(TableReason.SIZE, value=len(body))
    return LimitTable(tuple(watchpoints), tuple(found))


def _watchpoint(values: tuple[int | float, ...], index: int, components: Mapping[int, Component]) -> Watchpoint:
    number, field, comparison, needed, window, stale = (int(values[at]) for at in (0, 1, 2, 3, 4, 6))
    threshold = float(values[5])
    component = components.get(number)
    if component is None or field >= len(component.telemetry):
        raise LimitRefused(TableReason.FIELD, index, number)
    real = component.telemetry[field].number in (NumberType.F32, NumberType.F64)
    if comparison not in tuple(Comparison) or (comparison == Comparison.NOT_A_NUMBER and not real):
        raise LimitRefused(TableReason.COMPARISON, index, comparison)
    if not 1 <= needed <= window <= MAX_WINDOW:
        raise LimitRefused(TableReason.WINDOW, index, window)
    if not math.isfinite(threshold):
        raise LimitRefused(TableReason.THRESHOLD, index)
    if stale < 1:
        raise LimitRefused(TableReason.STALE_FRAMES, index, stale)
    return Watchpoint(number, field, Comparison(comparison), threshold, stale, needed, window)


def _action(body: bytes, offset: int, index: int, watchpoints: int) -> tuple[Action, int]:
    if offset + ACTION.size > len(body):
        raise LimitRefused(TableReason.SIZE, index, len(body))
    sequence, state, count = ACTION.unpack_from(body, offset)
    offset += ACTION.size
    if not 1 <= sequence <= MAX_RELATIVE:
        raise LimitRefused(TableReason.SEQUENCE, index, sequence)
    if state not in tuple(ActionState):
        raise LimitRefused(TableReason.STATE, index, state)
    if count > MAX_TOKENS:
        raise LimitRefused(TableReason.EXPRESSION, index, count)
    end = offset + count * TOKEN.size
    if end > len(body):
        raise LimitRefused(TableReason.SIZE, index, len(body))
    expression = tuple(TOKEN.unpack_from(body, at)[0] for at in range(offset, end, TOKEN.size))
    try:
        check_expression(expression, watchpoints)
    except ExpressionInvalid as error:
        raise LimitRefused(TableReason.EXPRESSION, index, error.token) from error
    return Action(sequence, expression, ActionState(state)), end
