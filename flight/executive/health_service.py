"""The watch over processes, counts, last words and ground contact as one activity of the flight process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from flight.executive.frame_context import FrameContext
from flight.executive.health import HealthGate
from flight.executive.health_component import HEALTH
from flight.executive.health_contact import (
    ContactAction,
    ContactFile,
    ContactRule,
    ContactState,
    ContactTimer,
)
from flight.executive.health_counts import CountWatch
from flight.executive.health_last_words import EndReason, LastWordsFile
from flight.executive.health_notices import ProcessWatch
from flight.executive.modes import Mode
from flight.services.events import EventRecord, EventRing
from flight.services.telemetry import TelemetryPacket
from hal.clock import Clock

_U32 = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class HealthPaths:
    """Where the watch keeps what outlives a boot."""

    root: Path  # the run folder

    @property
    def last_words(self) -> Path:
        return self.root / "last_words"

    @property
    def contact(self) -> Path:
        return self.root / "ground_contact"


class HealthService:
    """step() is an activity of each frame, or of one in a few; heard() is for each valid telecommand."""

    def __init__(
        self,
        paths: HealthPaths,
        clock: Clock,
        events: EventRing,
        gate: HealthGate,
        processes: ProcessWatch,
        newest: Callable[[], Sequence[EventRecord]],
        react: Callable[[ContactAction], None],
        *,
        rule: ContactRule | None = None,
    ) -> None:
        """newest: the newest events, oldest first, left where they are. Tells what the boot before left behind.

        counts is set once there are activities to count. A medium that fails is told, and stops nothing.
        """
        self._clock, self._gate, self._newest = clock, gate, newest
        self.processes = processes
        self.counts: CountWatch | None = None
        self.words = LastWordsFile(paths.last_words, events)
        self.words.tell()
        self._withheld = False  # whether the words in the file are of a withheld watchdog
        self._frame, self._mode = 0, Mode.BOOT
        self._medium, saved, first = _opened(paths.contact)
        self.contact = ContactTimer(
            rule or ContactRule(), saved, self._save, react, events, clock.host_s(), first=first
        )

    def step(self, context: FrameContext) -> None:
        """What was said and what is missing. Bounded; no more than one page is written, and nothing waits for it."""
        self._frame, self._mode = context.frame, context.mode
        self.processes.poll()
        if self.counts is not None:
            self.counts.step(context.frame, context.mode)
        self.contact.step(self._clock.host_s())
        if not self._gate.healthy and not self._withheld:
            self._withheld = self._say(EndReason.WATCHDOG)
        elif self._gate.healthy and self._withheld:
            self.words.take_back()
            self._withheld = False

    def heard(self) -> None:
        """A valid telecommand came."""
        self.contact.heard()

    def ending(self, reason: EndReason) -> None:
        """The flight process ends. Words that were said before are kept: what follows is a consequence."""
        self._say(reason)

    def close(self) -> None:
        """Harmless when it is closed already."""
        self.processes.close()
        self.words.close()
        if self._medium is not None:
            self._medium.close()
            self._medium = None

    def telemetry(self, now_s: float) -> TelemetryPacket:
        """The component's numbers at mission time `now_s`."""
        counts = self.counts
        return TelemetryPacket.of(
            HEALTH,
            now_s,
            processes_hung=self.processes.hung,
            processes_killed=self.processes.killed,
            processes_restarted=self.processes.restarted,
            notices_refused=self.processes.refused,
            windows_missed=counts.missed if counts else 0,
            actions_taken=counts.taken if counts else 0,
            actions_failed=counts.failed if counts else 0,
            contact_silent_s=min(round(self.contact.silent_s), _U32),
            contact_actions=self.contact.actions,
        )

    def _say(self, reason: EndReason) -> bool:
        return self.words.say(
            reason,
            mode=self._mode,
            frame=self._frame,
            time_us=round(self._clock.mission_s() * 1e6),
            events=self._newest(),
        )

    def _save(self, state: ContactState) -> None:
        if self._medium is None:
            raise OSError("the file of the ground contact is not open")
        self._medium.save(state)


def _opened(path: Path) -> tuple[ContactFile | None, ContactState | None, bool]:
    """The medium, what it holds, and whether it is new."""
    medium: ContactFile | None = None
    try:
        medium = ContactFile(path)
        return medium, medium.load(), medium.new
    except OSError:
        return medium, None, False
