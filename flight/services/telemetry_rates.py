"""Which telemetry packets are sent when: periodically or on change, a bounded number of them in a frame.

Pure: begin() opens a frame, offer() says of one packet whether it is sent now. Time comes in, in seconds of a clock
that goes on evenly: frames since the start times their length, so that a period is not missed by a late wake-up. A
packet that is due and finds no place has one in the next frames, before all that became due after it: with n components
and b places a due packet that is offered in every frame waits at most ceil(n / b) - 1 frames.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from flight.services.declare import Component, ServicesError
from flight.services.packed_state import StateReason, StateRefused, open_state, seal_state
from flight.services.telemetry import TelemetryPacket

MAX_PERIOD_MS = 86_400_000  # a day
STATE_MAGIC = b"SWTR"
STATE_FORMAT = 1
_ENTRY = struct.Struct(">BBII")
_ROUNDING_S = 1e-6  # frames times their length are not exact
_MAX_COUNT = 0xFFFF_FFFF


class RateMode(IntEnum):
    """When a component's packet is sent. Numbers are never reused."""

    DECLARED = 0  # as its declaration says
    PERIODIC = 1  # every min_period
    ON_CHANGE = 2  # when a field left its dead band, not more often than min_period, at least every max_period
    OFF = 3  # never; limits see it, and it is counted


class RateReason(IntEnum):
    """Why a rate is refused. Numbers are never reused."""

    COMPONENT = 1  # not on board, or without telemetry
    MODE = 2
    TOO_OFTEN = 3  # more often than the component declares
    PERIODS = 4  # max_period below min_period or above a day; or periods beside a mode that takes none


class RateRefused(ServicesError, ValueError):
    """A rate that is not taken; everything is as it was."""

    code = "telemetry_rate_refused"

    def __init__(self, reason: RateReason, component: int) -> None:
        super().__init__(f"telemetry rate refused: {reason.name.lower()}, component {component}")
        self.reason, self.component = reason, component


@dataclass(frozen=True, slots=True)
class Rate:
    """When the packets of one component are sent. Periods in seconds; max_period_s counts on change only."""

    mode: RateMode
    min_period_s: float
    max_period_s: float

    @classmethod
    def declared(cls, component: Component) -> Rate:
        """What the component declares."""
        if component.max_period_s is None:
            return cls(RateMode.PERIODIC, component.min_period_s, math.inf)
        return cls(RateMode.ON_CHANGE, component.min_period_s, component.max_period_s)


@dataclass(slots=True)
class RateCounters:
    """Packets offered; they saturate."""

    sent: int = 0
    not_due: int = 0  # no change, or too early
    off: int = 0
    held: int = 0  # due, and without a place in this frame


class TelemetryScheduler:
    """The rates of one satellite. An offer costs one comparison for each field of the packet at most."""

    def __init__(self, components: Mapping[int, Component], places: int) -> None:
        """components: all on board, by number; places: packets sent in one frame."""
        if places < 1:
            raise ValueError(f"{places} packets in a frame")
        self._components = {number: each for number, each in components.items() if each.telemetry}
        self._places = places
        self._set: dict[int, tuple[RateMode, int, int]] = {}  # mode, periods in ms
        self._rates = {number: Rate.declared(each) for number, each in self._components.items()}
        self._sent: dict[int, tuple[float, tuple[int | float, ...]]] = {}  # when last, and what
        self._waiting: dict[int, None] = {}  # due and held, the oldest first
        self._kept: set[int] = set()  # of them, those that have a place kept in this frame
        self._offered: set[int] = set()
        self._left = 0
        self.counters = RateCounters()

    # --- settings

    def set_rate(self, component: int, mode: int, min_period_ms: int = 0, max_period_ms: int = 0) -> None:
        """When that component's packet is sent; max_period_ms is 0 but for ON_CHANGE. Raises RateRefused."""
        declared = self._components.get(component)
        if declared is None:
            raise RateRefused(RateReason.COMPONENT, component)
        if mode not in tuple(RateMode):
            raise RateRefused(RateReason.MODE, component)
        takes_least = mode in (RateMode.PERIODIC, RateMode.ON_CHANGE)
        takes_most = mode == RateMode.ON_CHANGE
        if (min_period_ms and not takes_least) or (max_period_ms and not takes_most) or min_period_ms > MAX_PERIOD_MS:
            raise RateRefused(RateReason.PERIODS, component)
        if takes_least and min_period_ms < declared.min_period_s * 1e3:
            raise RateRefused(RateReason.TOO_OFTEN, component)
        if takes_most and not min_period_ms <= max_period_ms <= MAX_PERIOD_MS:
            raise RateRefused(RateReason.PERIODS, component)
        if mode == RateMode.DECLARED:
            self._set.pop(component, None)
            self._rates[component] = Rate.declared(declared)
            return
        self._set[component] = RateMode(mode), min_period_ms, max_period_ms
        longest_s = max_period_ms / 1e3 if takes_most else math.inf
        self._rates[component] = Rate(RateMode(mode), min_period_ms / 1e3, longest_s)

    def rate(self, component: int) -> Rate:
        """What holds now. Raises RateRefused."""
        if component not in self._rates:
            raise RateRefused(RateReason.COMPONENT, component)
        return self._rates[component]

    @property
    def rates_set(self) -> int:
        """Components whose rate is not the declared one."""
        return len(self._set)

    # --- in use

    def begin(self) -> None:
        """A frame in which packets are offered begins."""
        for component in [each for each in self._waiting if each not in self._offered]:
            del self._waiting[component]  # nobody offers it any more: no place is kept for it
        self._offered.clear()
        self._kept = set(list(self._waiting)[: self._places])
        self._left = self._places

    def offer(self, packet: TelemetryPacket, now_s: float) -> bool:
        """Whether this packet is sent now. Raises RateRefused for a component that is not on board."""
        number = packet.component.number
        rate = self.rate(number)
        self._offered.add(number)
        if not self._due(number, rate, packet.values, now_s):
            self._waiting.pop(number, None)
            self._kept.discard(number)
            if rate.mode is RateMode.OFF:
                self.counters.off = _more(self.counters.off)
            else:
                self.counters.not_due = _more(self.counters.not_due)
            return False
        if number not in self._kept and self._left <= len(self._kept):
            self._waiting.setdefault(number)
            self.counters.held = _more(self.counters.held)
            return False
        self._kept.discard(number)
        self._waiting.pop(number, None)
        self._left -= 1
        self._sent[number] = now_s, packet.values
        self.counters.sent = _more(self.counters.sent)
        return True

    def _due(self, number: int, rate: Rate, values: tuple[int | float, ...], now_s: float) -> bool:
        if rate.mode is RateMode.OFF:
            return False
        last = self._sent.get(number)
        if last is None:
            return True
        if now_s < last[0]:  # a clock that went back: wait one period from here, not until it is where it was
            last = self._sent[number] = now_s, last[1]
        elapsed_s = now_s - last[0] + _ROUNDING_S
        if elapsed_s < rate.min_period_s:
            return False
        if rate.mode is RateMode.PERIODIC or elapsed_s >= rate.max_period_s:
            return True
        fields = self._components[number].telemetry
        return any(_changed(old, new, field.dead_band) for old, new, field in zip(last[1], values, fields, strict=True))

    # --- over a restart

    def pack_state(self) -> bytes:
        """The rates that were set as octets.

        Envelope of flight/services/packed_state.py, magic "SWTR", format 1. Body, big-endian, per component: number u8,
        mode u8, min_period and max_period in milliseconds u32 each.
        """
        entries = (_ENTRY.pack(number, *numbers) for number, numbers in sorted(self._set.items()))
        return seal_state(STATE_MAGIC, STATE_FORMAT, b"".join(entries))

    def restore(self, octets: bytes) -> int:
        """Take the rates back; how many were left out, being of no use for the components on board.

        Raises StateRefused, having changed nothing.
        """
        body = open_state(octets, STATE_MAGIC, STATE_FORMAT, 255 * _ENTRY.size)
        if len(body) % _ENTRY.size:
            raise StateRefused(StateReason.SIZE, value=len(body))
        for component in list(self._set):
            self.set_rate(component, RateMode.DECLARED)
        left_out = 0
        for entry in _ENTRY.iter_unpack(body):
            try:
                self.set_rate(*entry)
            except RateRefused:
                left_out += 1
        return left_out


def _changed(old: int | float, new: int | float, dead_band: float) -> bool:
    if old == new or dead_band == math.inf or (old != old and new != new):
        return False
    return not abs(new - old) <= dead_band  # one of them is no number: a change


def _more(count: int) -> int:
    return min(count + 1, _MAX_COUNT)
