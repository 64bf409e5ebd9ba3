"""The catalogue: products that wait for the ground, in the order in which they deserve to be sent."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waiting:
    """One product that waits."""

    product_id: bytes
    job_id: bytes
    priority: int  # 0..7, higher first
    value: float  # what the answer is worth
    size: int  # octets to send
    since_s: float

    @property
    def rank(self) -> tuple[float, float, float, bytes]:
        """Least first: priority, then value per byte, then age; the id makes the order whole."""
        return -self.priority, -self.value / self.size, self.since_s, self.product_id


def value_of(findings: int, confidence: float) -> float:
    """What an answer is worth: a found thing more than an empty scene, a sure answer more than a doubtful one."""
    return (1.0 + min(findings, 100)) * confidence


class Catalogue:
    """The products that wait. It holds no octets; the agent rebuilds it from its records after a restart."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def bytes_waiting(self) -> int:
        return sum(each.size for each in self._waiting.values())

    def add(self, product: Waiting) -> None:
        self._waiting[product.product_id] = product

    def remove(self, product_id: bytes) -> None:
        """No matter whether it is there."""
        self._waiting.pop(product_id, None)

    def first(self) -> Waiting | None:
        """The one to send next."""
        return min(self._waiting.values(), key=lambda each: each.rank, default=None)

    def in_order(self) -> list[Waiting]:
        """All of them, the one to send next first."""
        return sorted(self._waiting.values(), key=lambda each: each.rank)
