"""Signs of life to the supervisor, at each step of a process's own loop: a thread beside it would prove nothing."""

from __future__ import annotations

import contextlib
import os

BEAT_S = 0.25  # host time between two


class Heartbeat:
    """Writes one octet to a pipe. Never blocks: one that nobody reads is as good as heard."""

    def __init__(self, descriptor: int | None) -> None:
        """descriptor: the pipe; None: nobody listens."""
        self._descriptor = descriptor
        self._beaten_s = float("-inf")
        if descriptor is not None:
            os.set_blocking(descriptor, False)
            os.set_inheritable(descriptor, False)

    def beat(self, now_s: float) -> None:
        """now_s: host time."""
        if self._descriptor is None or now_s - self._beaten_s < BEAT_S:
            return
        self._beaten_s = now_s
        with contextlib.suppress(OSError):  # a supervisor that is gone ends this process in its own way
            os.write(self._descriptor, b"\1")
