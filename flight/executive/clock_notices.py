"""What the frame clock answers to a check-in, made into events: told when it changes, nothing made when it does not."""

from __future__ import annotations

from bindings.frame_clock import Notice
from flight.executive.component import DUTIES_BEGAN, WATCHDOG_BACK, WATCHDOG_GONE
from flight.executive.frame_source import FrameSource
from flight.services.events import EventRing

_GONE = int(Notice.WATCHDOG_GONE)
_DUTIES = int(Notice.DUTIES)


class ClockNotices:
    """Hears every answer of one frame source."""

    def __init__(self, frames: FrameSource, events: EventRing) -> None:
        self._frames, self._events = frames, events
        self._gone = 0  # the bit, as it was told last

    def hear(self, notices: int) -> None:
        """A silence that ended is told each time, a watchdog that is gone or back once."""
        if notices == self._gone:
            return
        counters = self._frames.counters()
        if notices & _DUTIES:
            self._events.emit(DUTIES_BEGAN, missed=counters.silence_frames, duties=counters.silence_duties)
        gone = notices & _GONE
        if gone and not self._gone:
            self._events.emit(WATCHDOG_GONE, errno=counters.watchdog_errno)
        elif self._gone and not gone:
            self._events.emit(WATCHDOG_BACK, errors=counters.watchdog_errors)
        self._gone = gone
