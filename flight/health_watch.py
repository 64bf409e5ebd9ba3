"""Health in the flight process: who counts, what the watch may do about it, and the word to a service manager."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from flight.executive.frame_context import FrameContext
from flight.executive.health import HealthGate
from flight.executive.health_contact import ContactAction, ContactTimer
from flight.executive.health_counts import CountWatch
from flight.executive.health_last_words import EndReason
from flight.executive.health_notices import ProcessNumber, ProcessWatch
from flight.executive.health_service import HealthPaths, HealthService
from flight.executive.health_table import CountTable, Kind
from flight.executive.loop import FrameLoop
from flight.executive.modes import Cause, Mode, ModeManager
from flight.executive.run_paths import RunPaths
from flight.pipeline.heartbeat import Heartbeat
from flight.services.component import SEQUENCE_START
from flight.services.events import EventRing
from flight.services.telemetry import TelemetryPacket
from hal.clock import Clock
from hal.errors import HalError
from hal.watchdog.protocol import NotifyingWatchdog, Watchdog

BUILT_IN_COUNTS = Path(__file__).resolve().parent / "executive" / "counts.toml"
LAST_EVENTS = 32  # that last words hold
COUNTS_SOURCE = 0xFE  # of the commands that the watch submits


class Commands(Protocol):
    """What is needed of flight.command_activity.CommandActivity."""

    believed: int  # telecommands so far

    def submit(self, source: int, octets: bytes) -> bool: ...


class HealthWatch:
    """The activity `health.step`. bind() once there is a frame loop, before the first frame."""

    def __init__(
        self,
        paths: RunPaths,
        clock: Clock,
        events: EventRing,
        gate: HealthGate,
        heartbeat: Heartbeat,
    ) -> None:
        """Raises OSError where the supervisor cannot be listened to."""
        self._events, self._clock, self._heartbeat = events, clock, heartbeat
        self._processes = ProcessWatch(paths.notices, paths.requests, events)
        self.service = HealthService(
            HealthPaths(paths.root),
            clock,
            events,
            gate,
            self._processes,
            lambda: events.newest(LAST_EVENTS),
            self._contact_lost,
        )
        self._gate = gate
        self._heard = 0  # telecommands that the watch has been told of
        self._modes: ModeManager | None = None
        self._loop: FrameLoop | None = None
        self._commands: Commands | None = None
        self._notified: NotifyingWatchdog | None = None
        self._ready = False
        self.begin_anew = False  # whether the process is to end, so that the supervisor starts another

    def bind(
        self,
        loop: FrameLoop,
        modes: ModeManager,
        commands: Commands,
        counts: CountTable,
        reports: Mapping[str, Callable[[], int]],
        watchdog: Watchdog | None,
    ) -> None:
        """What there is to watch. reports: process -> how many of its reports came. Raises CountUnknown."""
        self._loop, self._modes, self._commands = loop, modes, commands
        if isinstance(watchdog, NotifyingWatchdog):
            self._notified = watchdog
        totals: dict[str, Callable[[], int | None]] = dict(reports)
        for watched in counts.watched:
            if watched.kind is Kind.ACTIVITY and watched.name in loop.numbers():
                totals[watched.name] = _runs(loop, watched.name)
        self.service.counts = CountWatch(counts, totals, self, self._events)

    def step(self, context: FrameContext) -> None:
        """Bounded; nothing here waits."""
        assert self._commands is not None
        self._heartbeat.beat(self._clock.host_s())
        if self._commands.believed != self._heard:
            self._heard = self._commands.believed
            self.service.heard()
        self.service.step(context)
        if self._notified is not None:
            self._notify(self._notified)

    def end(self, reason: EndReason) -> None:
        """The frames have ended."""
        self.service.ending(reason)
        self.service.close()
        if self._notified is not None and reason is EndReason.STOPPED:
            with contextlib.suppress(HalError):
                self._notified.stopping()

    def telemetry(self, now_s: float) -> TelemetryPacket:
        """The component's numbers at mission time `now_s`."""
        return self.service.telemetry(now_s)

    @property
    def contact(self) -> ContactTimer:
        """The timer of the ground contact."""
        return self.service.contact

    # --- what a ladder may ask for (flight.executive.health_counts.Reactions)

    def restart_activity(self, name: str) -> bool:
        """One that was disabled gets another try."""
        assert self._loop is not None
        self._loop.enable(name)
        return True

    def restart_process(self, name: str) -> bool:
        """By the supervisor. False where it could not be asked, or for a name that is none."""
        number = ProcessNumber.__members__.get(name.upper())
        return number is not None and self._processes.restart(number)

    def start_sequence(self, number: int) -> bool:
        """As a command would, so that it is on the journal before it runs."""
        assert self._commands is not None
        return self._commands.submit(COUNTS_SOURCE, SEQUENCE_START.opcode.to_bytes(2, "big") + bytes([number]))

    def reset(self) -> bool:
        """The process ends, and the supervisor begins another with a journal writer and devices of its own."""
        self.begin_anew = True
        return True

    def _contact_lost(self, action: ContactAction) -> None:
        """The ground was not heard for too long. A radio is reset by a flight process that opens it anew."""
        if action is ContactAction.SAFE_MODE:
            assert self._modes is not None
            self._modes.request(Mode.SAFE, Cause.TIMER)
        else:
            self.begin_anew = True

    def _notify(self, watchdog: NotifyingWatchdog) -> None:
        """A service manager that is gone stops nothing: it will bite, as a watchdog does."""
        try:
            if self._gate.healthy and not self._ready:
                watchdog.ready()
                self._ready = True
            watchdog.relay()
        except HalError:
            return


def _runs(loop: FrameLoop, name: str) -> Callable[[], int | None]:
    """How often an activity ran; None while the table that flies, or a group that is off, does not ask for it."""

    def total() -> int | None:
        for task in loop.tables.tasks:
            if task.entry.activity == name:
                return task.counters.run if task.flown_modes else None
        return None

    return total
