"""A bounded rate."""

from __future__ import annotations


class TokenBucket:
    """`burst` at once, then `rate` a second. now_s: a clock that is never set back; a step backwards gives nothing."""

    def __init__(self, rate: float, burst: float, now_s: float) -> None:
        self._rate, self._burst = rate, burst
        self._tokens, self._at_s = burst, now_s

    def take(self, now_s: float) -> bool:
        """Whether one more may pass now."""
        self._tokens = min(self._burst, self._tokens + max(0.0, now_s - self._at_s) * self._rate)
        self._at_s = max(self._at_s, now_s)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
