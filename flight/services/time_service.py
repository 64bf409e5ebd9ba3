"""Time on board: mission elapsed time from the oscillator, and TAI from it by correlation with what knows better.

Elapsed time never stops, steps or goes back while the software lives. TAI follows the samples of a GNSS receiver, the
spacecraft bus or the ground: a small error is slewed away, so that time stays continuous; a larger one is believed only
when several samples agree or a command says so, and then steps, with an event. Without samples the sigma grows with the
oscillator's error; after a reset nobody knows how long the board was off, so that time is lost until the first sample.
All in whole nanoseconds: the same inputs give the same time on every machine.
"""

from __future__ import annotations

import math
import struct
from collections import deque
from dataclasses import dataclass
from enum import IntEnum

from bindings.crc import crc32c
from flight.services.declare import OctetsInvalid, ServicesError
from flight.services.events import EventRing
from flight.services.leap_seconds import PRESENT_LEAPS, SECOND_NS, LeapTable, UtcTime
from flight.services.time_component import (
    LEAPS_EXPIRED,
    LEAPS_REPLACED,
    OSCILLATOR_WENT_BACK,
    SAMPLE_REFUSED,
    TIME_STATE,
    TIME_STEPPED,
)

PPB = 1_000_000_000
NEVER_NS = (1 << 63) - 1  # the sigma of a time that nobody knows
_LAYOUT = struct.Struct(">BQqiQ")  # format, elapsed, TAI, rate in parts per billion, sigma
_CRC = struct.Struct(">I")
_FORMAT = 1
STATE_BYTES = _LAYOUT.size + _CRC.size


class TimeState(IntEnum):
    """How well the time is known."""

    LOST = 0  # not at all: a lower bound; what is dated must wait, what counts frames goes on
    FREE_RUNNING = 1  # from the oscillator alone for longer than the limit, or a wider sigma than it
    CORRELATED = 2


class SampleRefusal(IntEnum):
    """Why a sample was not believed; goes down with the event."""

    SIGMA = 0  # its sigma is not a positive, finite number within bounds
    OLD = 1  # taken before the newest one
    JUMP = 2  # contradicts the present time, and not enough others agree with it
    PAST = 3  # before the time that this board has already lived through
    FUTURE = 4  # taken after now


class TimeSource(IntEnum):
    """Who gave a sample."""

    NAVIGATION = 0
    PLATFORM = 1
    GROUND = 2
    COMMAND = 3  # believed as it is


class OscillatorWentBack(ServicesError, ValueError):
    """A count of the board's oscillator below an earlier one."""

    code = "oscillator_went_back"

    def __init__(self, before_ns: int, now_ns: int) -> None:
        super().__init__(f"the oscillator counted {now_ns} ns after {before_ns} ns")
        self.before_ns, self.now_ns = before_ns, now_ns


@dataclass(frozen=True, slots=True)
class TimeConfig:
    """Limits; times in nanoseconds, rates in parts per billion."""

    max_rate_ppb: int = 100_000  # what the oscillator may be off by
    drift_ppb: int = 2_000  # one sigma of what is not known of its rate between samples
    slew_ns: int = 100_000_000  # an error up to this is slewed away, a larger one steps
    slew_window_ns: int = 100 * SECOND_NS
    jump_sigmas: int = 6
    agree: int = 3  # samples that contradict the time but not each other, before it steps
    free_after_ns: int = 3_600 * SECOND_NS
    max_sigma_ns: int = SECOND_NS
    rate_span_ns: int = 60 * SECOND_NS  # samples closer together say nothing of the rate


@dataclass(frozen=True, slots=True)
class Sample:
    """The time of one moment: the oscillator's count, and TAI as the source knows it."""

    board_ns: int
    tai_ns: int
    sigma_ns: int
    source: TimeSource


@dataclass(frozen=True, slots=True)
class TimeEstimate:
    """What is known of one moment."""

    elapsed_ns: int
    tai_ns: int
    utc: UtcTime
    sigma_ns: int
    state: TimeState


class TimeService:
    """One board's time. `board_ns` is always its oscillator's count, which never goes back in one life."""

    def __init__(
        self,
        events: EventRing,
        board_ns: int,
        config: TimeConfig | None = None,
        leaps: LeapTable = PRESENT_LEAPS,
        stored: bytes | None = None,
    ) -> None:
        """stored: what pack() gave in an earlier life. Raises OctetsInvalid for what it did not give."""
        self.config = TimeConfig() if config is None else config
        self.leaps = leaps
        self._events = events
        self._boot_ns = self._newest_ns = board_ns
        elapsed_ns, tai_ns, rate_ppb = (0, 0, 0) if stored is None else _unpack(stored)
        self._elapsed_ns = elapsed_ns  # at the boot
        self._lived_tai_ns = tai_ns  # no moment of this life is earlier
        self._line = (board_ns, tai_ns)  # of the true time, through the newest sample
        self._rate_ppb = rate_ppb  # that of an earlier life is a guess: it was another temperature
        self._rate_known = False
        self._slew: tuple[int, int] = (board_ns, 0)  # (until when, error at its begin)
        self._sample: Sample | None = None
        self._rate_from: Sample | None = None
        self._doubted: deque[Sample] = deque(maxlen=max(1, self.config.agree))
        self._state = TimeState.LOST
        self._leaps_expired = False
        self.samples = self.refused = self.steps = 0

    @property
    def newest_ns(self) -> int:
        """The oscillator's count at the last call."""
        return self._newest_ns

    @property
    def rate_ppb(self) -> int:
        """How much faster TAI runs than the oscillator."""
        return self._rate_ppb

    def now(self, board_ns: int) -> TimeEstimate:
        """What is known of the present. Raises OscillatorWentBack; changes of the state are events."""
        self._advance(board_ns)
        tai_ns, sigma_ns = self._tai_ns(board_ns), self._sigma_ns(board_ns)
        state = self._judge(board_ns, sigma_ns)
        if state is not self._state:
            self._state = state
            self._events.emit(TIME_STATE, state=state)
        expired = state is not TimeState.LOST and self.leaps.is_expired(tai_ns)
        if expired and not self._leaps_expired:
            self._events.emit(LEAPS_EXPIRED)
        self._leaps_expired = expired
        elapsed_ns = self._elapsed_ns + board_ns - self._boot_ns
        return TimeEstimate(elapsed_ns, tai_ns, self.leaps.utc(tai_ns), sigma_ns, state)

    def correlate(self, sample: Sample, board_ns: int) -> SampleRefusal | None:
        """Take a sample that was taken by now, or say why not, which is an event as well. Raises OscillatorWentBack."""
        self._advance(board_ns)
        refusal = SampleRefusal.FUTURE if sample.board_ns > board_ns else self._refusal(sample)
        if refusal is not None:
            self.refused += 1
            self._events.emit(SAMPLE_REFUSED, source=sample.source, reason=refusal)
            return refusal
        shown_ns, first = self._tai_ns(sample.board_ns), self._sample is None
        error_ns = sample.tai_ns - shown_ns
        self._learn_rate(sample, stepped=first or abs(error_ns) > self.config.slew_ns)
        self._line = (sample.board_ns, sample.tai_ns)
        if first or abs(error_ns) > self.config.slew_ns:
            self._slew = (sample.board_ns, 0)
            self.steps += 1
            step_us = int(error_ns / 1000)
            self._events.emit(TIME_STEPPED, step_us=step_us, source=sample.source)
        else:
            self._slew = (sample.board_ns + self.config.slew_window_ns, -error_ns)
        self._sample = sample
        self._doubted.clear()
        self.samples += 1
        return None

    def begin_again(self, board_ns: int) -> None:
        """After OscillatorWentBack: elapsed time goes on from where it was, and TAI is lost until the next sample."""
        back_ns = max(0, self._newest_ns - board_ns)
        self._events.emit(OSCILLATOR_WENT_BACK, back_us=back_ns // 1000)
        self._elapsed_ns += self._newest_ns - self._boot_ns
        self._lived_tai_ns = tai_ns = self._tai_ns(self._newest_ns)
        self._boot_ns = self._newest_ns = board_ns
        self._line, self._slew = (board_ns, tai_ns), (board_ns, 0)
        self._sample = self._rate_from = None
        self._rate_known = False
        self._doubted.clear()

    def replace_leaps(self, newer: LeapTable) -> None:
        """A newer table. Raises LeapTableRefused; then the one in use stays."""
        self.leaps = self.leaps.replaced(newer)
        self._leaps_expired = False
        self._events.emit(LEAPS_REPLACED, steps=len(newer.steps), expires_s=newer.expires_s)

    def pack(self, board_ns: int) -> bytes:
        """What the critical store keeps, STATE_BYTES long: after a reset it is the earliest that it can be."""
        known = self.now(board_ns)
        head = _LAYOUT.pack(_FORMAT, known.elapsed_ns, known.tai_ns, self._rate_ppb, min(known.sigma_ns, NEVER_NS))
        return head + _CRC.pack(crc32c(head))

    def telemetry(self, board_ns: int) -> dict[str, int | float]:
        """The values of the telemetry packet."""
        known = self.now(board_ns)
        return {
            "state": known.state,
            "elapsed": known.elapsed_ns / SECOND_NS,
            "sigma": math.inf if known.sigma_ns >= NEVER_NS else known.sigma_ns / SECOND_NS,
            "rate": self._rate_ppb,
            "samples": self.samples,
            "samples_refused": self.refused,
            "steps": self.steps,
            "leaps_expired": int(self._leaps_expired),
        }

    def _advance(self, board_ns: int) -> None:
        if board_ns < self._newest_ns:
            raise OscillatorWentBack(self._newest_ns, board_ns)
        self._newest_ns = board_ns

    def _tai_ns(self, board_ns: int) -> int:
        """The shown time: the true line, and what is left of the error that is slewed away."""
        from_ns, tai_ns = self._line
        passed_ns = board_ns - from_ns
        until_ns, error_ns = self._slew
        left_ns = max(0, until_ns - board_ns)
        window_ns = self.config.slew_window_ns
        # one rounding for both, so that the sum does not go back by a nanosecond
        corrected = passed_ns * self._rate_ppb * window_ns + error_ns * left_ns * PPB
        return tai_ns + passed_ns + corrected // (PPB * window_ns)

    def _sigma_ns(self, board_ns: int) -> int:
        if self._sample is None:
            return NEVER_NS
        drift_ppb = self.config.drift_ppb if self._rate_known else self.config.max_rate_ppb
        drift_ns = abs(board_ns - self._sample.board_ns) * drift_ppb // PPB
        left_ns = max(0, self._slew[0] - board_ns)
        slewed_ns = abs(self._slew[1]) * left_ns // self.config.slew_window_ns
        return math.isqrt(self._sample.sigma_ns**2 + drift_ns**2) + slewed_ns

    def _judge(self, board_ns: int, sigma_ns: int) -> TimeState:
        if self._sample is None:
            return TimeState.LOST
        silent_ns = board_ns - self._sample.board_ns
        if silent_ns > self.config.free_after_ns or sigma_ns > self.config.max_sigma_ns:
            return TimeState.FREE_RUNNING
        return TimeState.CORRELATED

    def _refusal(self, sample: Sample) -> SampleRefusal | None:
        if not 0 < sample.sigma_ns <= self.config.max_sigma_ns:
            return SampleRefusal.SIGMA
        if sample.board_ns < max(self._boot_ns, self._sample.board_ns if self._sample else self._boot_ns):
            return SampleRefusal.OLD
        if sample.source is TimeSource.COMMAND:
            return None
        if self._sample is None:
            return SampleRefusal.PAST if sample.tai_ns < self._lived_tai_ns else None
        if self._agrees(sample.tai_ns - self._tai_ns(sample.board_ns), sample, self._sigma_ns(sample.board_ns)):
            return None
        if not all(self._agree_with_each_other(sample, other) for other in self._doubted):
            self._doubted.clear()
        if not self._doubted or sample.board_ns > self._doubted[-1].board_ns:  # one moment is one witness
            self._doubted.append(sample)
        return SampleRefusal.JUMP if len(self._doubted) < self.config.agree else None

    def _agrees(self, error_ns: int, sample: Sample, sigma_ns: int) -> bool:
        return abs(error_ns) <= self.config.jump_sigmas * math.isqrt(sample.sigma_ns**2 + sigma_ns**2)

    def _agree_with_each_other(self, one: Sample, other: Sample) -> bool:
        apart_ns = one.board_ns - other.board_ns
        error_ns = one.tai_ns - other.tai_ns - apart_ns
        allowed_ns = abs(apart_ns) * self.config.max_rate_ppb // PPB
        return self._agrees(max(0, abs(error_ns) - allowed_ns), one, other.sigma_ns)

    def _learn_rate(self, sample: Sample, *, stepped: bool) -> None:
        """The rate between samples far enough apart; what lies before a step says nothing of what comes after."""
        since = self._rate_from
        if stepped or since is None:
            self._rate_from = sample
            return
        span_ns = sample.board_ns - since.board_ns
        noise_ppb = (sample.sigma_ns + since.sigma_ns) * PPB // max(1, span_ns)
        if span_ns < self.config.rate_span_ns or noise_ppb > self.config.drift_ppb:
            return
        rate_ppb = (sample.tai_ns - since.tai_ns - span_ns) * PPB // span_ns
        limit_ppb = self.config.max_rate_ppb
        self._rate_ppb, self._rate_known = min(max(rate_ppb, -limit_ppb), limit_ppb), True
        self._rate_from = sample


def _unpack(octets: bytes) -> tuple[int, int, int]:
    if len(octets) != STATE_BYTES:
        raise OctetsInvalid(f"a stored time of {len(octets)} octets, {STATE_BYTES} are right")
    head, (crc,) = octets[: _LAYOUT.size], _CRC.unpack(octets[_LAYOUT.size :])
    if crc != crc32c(head):
        raise OctetsInvalid("the stored time is damaged")
    number, elapsed_ns, tai_ns, rate_ppb, _ = _LAYOUT.unpack(head)
    if number != _FORMAT:
        raise OctetsInvalid(f"a stored time of format {number}")
    return elapsed_ns, tai_ns, rate_ppb
