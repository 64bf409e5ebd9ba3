"""One direction of a link in virtual time: rate, delay, loss, repetition, reordering and the times it exists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ground_test.errors import GroundError
from ground_test.sim.kernel import EventKernel


class LinkConfigError(GroundError, ValueError):
    """A link that cannot be."""

    code = "link_config"


@dataclass(frozen=True, slots=True)
class LinkConfig:
    """Probabilities are of one frame each. windows: mission seconds (start, end); None: always."""

    delay_s: float = 0.01
    rate_bps: float = 1e6
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    reorder_s: float = 0.5  # how much later a frame out of order may come
    backlog_s: float = 1.0  # transmission time that may wait; what does not fit is refused
    windows: Sequence[tuple[float, float]] | None = None

    def __post_init__(self) -> None:
        for name in ("loss", "duplicate", "reorder"):
            if not 0 <= getattr(self, name) <= 1:
                raise LinkConfigError(f"{name} is a probability, got {getattr(self, name)}")
        if self.rate_bps <= 0 or self.delay_s < 0 or self.reorder_s < 0 or self.backlog_s < 0:
            raise LinkConfigError("a rate must be above 0, and delays not below")


class LossyLink:
    """Frames in by send(), out by `deliver` in the kernel's time. `name` picks the random stream."""

    def __init__(self, kernel: EventKernel, name: str, config: LinkConfig, deliver: Callable[[bytes], None]) -> None:
        self.config = config
        self.sent = self.lost = self.refused = self.delivered = 0
        self._kernel, self._deliver = kernel, deliver
        self._random = kernel.stream(f"link/{name}")
        self._free_at = kernel.now_s

    @property
    def up(self) -> bool:
        """Whether the link exists now."""
        windows = self.config.windows
        return windows is None or any(start <= self._kernel.now_s < end for start, end in windows)

    @property
    def ready(self) -> bool:
        """Whether a frame would be taken now."""
        return self.up and self._free_at - self._kernel.now_s <= self.config.backlog_s

    def send(self, frame: bytes) -> bool:
        """Begin to send; False when there is no link or its backlog is full."""
        if not self.ready:
            self.refused += 1
            return False
        self.sent += 1
        self._free_at = max(self._free_at, self._kernel.now_s) + len(frame) * 8 / self.config.rate_bps
        if self._random.random() < self.config.loss:
            self.lost += 1
            return True
        copies = 2 if self._random.random() < self.config.duplicate else 1
        for _ in range(copies):
            late_s = (
                self._random.random() * self.config.reorder_s if self._random.random() < self.config.reorder else 0.0
            )
            self._kernel.at(self._free_at + self.config.delay_s + late_s, lambda: self._arrive(frame))
        return True

    def _arrive(self, frame: bytes) -> None:
        self.delivered += 1
        self._deliver(frame)
