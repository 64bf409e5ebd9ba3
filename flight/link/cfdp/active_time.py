"""The time that a transaction's timers run on: it stands still between contacts (727.0-B-5, 4.12)."""

from __future__ import annotations


class ActiveTime:
    """Seconds in which the link was there. All arguments are seconds of the one clock the caller uses."""

    __slots__ = ("_frozen_at", "_lost_s")

    def __init__(self) -> None:
        self._lost_s = 0.0
        self._frozen_at: float | None = None

    @property
    def frozen(self) -> bool:
        return self._frozen_at is not None

    def freeze(self, now_s: float) -> None:
        """The link has gone; time stands still. Harmless when it stands already."""
        if self._frozen_at is None:
            self._frozen_at = now_s

    def resume(self, now_s: float) -> None:
        """The link is there again. Harmless when time runs already."""
        if self._frozen_at is not None:
            self._lost_s += max(0.0, now_s - self._frozen_at)
            self._frozen_at = None

    def at(self, now_s: float) -> float:
        """Active seconds at `now_s`."""
        return (now_s if self._frozen_at is None else self._frozen_at) - self._lost_s
