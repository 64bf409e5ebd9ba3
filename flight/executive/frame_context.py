"""What an activity is given when it is started."""

from __future__ import annotations

from flight.executive.modes import Mode
from hal.clock import Clock


class FrameContext:
    """The frame that runs. One object, reused in every frame: an activity does not keep it."""

    __slots__ = ("_clock", "_end_ns", "frame", "mode")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._end_ns = 0
        self.frame = -1
        self.mode = Mode.BOOT

    def begin(self, frame: int, mode: Mode, end_ns: int) -> None:
        """Called by the frame loop. end_ns: the next release, host clock."""
        self.frame, self.mode, self._end_ns = frame, mode, end_ns

    def now_s(self) -> float:
        """Mission time."""
        return self._clock.mission_s()

    def remaining_us(self) -> int:
        """What is left of the frame; negative when it is over."""
        return (self._end_ns - int(self._clock.host_s() * 1e9)) // 1000
