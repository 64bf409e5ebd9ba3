"""How many resets may still be made: a count kept with its complement, so that no flipped bit grants or takes one.

The store's CRC covers the block on the medium; the complements cover the numbers wherever else they are.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from flight.services.critical_format import Block
from flight.services.declare import ServicesError

MAX_RESETS = 3  # until an operator, or a long healthy time, clears the count
_LAYOUT = struct.Struct(">HHHH")  # performed, limit, and the complements of both


class ComplementMismatch(ServicesError, ValueError):
    """A number and its complement do not belong together, or these are no such octets: nothing is believed."""

    code = "complement_mismatch"

    def __init__(self, octets: bytes) -> None:
        super().__init__(f"reset budget {octets.hex()} does not agree with its complements")
        self.octets_hex = octets.hex()


class ResetBudgetSpent(ServicesError, RuntimeError):
    """No reset is left: report instead of resetting, or the satellite resets for ever."""

    code = "reset_budget_spent"

    def __init__(self, performed: int, limit: int) -> None:
        super().__init__(f"{performed} of {limit} resets were made")
        self.performed, self.limit = performed, limit


@dataclass(frozen=True, slots=True)
class ResetBudget:
    """Resets performed and how many are allowed; both 0..65535."""

    performed: int = 0
    limit: int = MAX_RESETS

    def spend(self) -> ResetBudget:
        """The budget after one more reset; make it durable before resetting. Raises ResetBudgetSpent."""
        if self.performed >= self.limit:
            raise ResetBudgetSpent(self.performed, self.limit)
        return ResetBudget(self.performed + 1, self.limit)

    def cleared(self) -> ResetBudget:
        """The budget with no reset made."""
        return ResetBudget(0, self.limit)

    def pack(self) -> bytes:
        """The block's octets."""
        return _LAYOUT.pack(self.performed, self.limit, self.performed ^ 0xFFFF, self.limit ^ 0xFFFF)

    @classmethod
    def unpack(cls, octets: bytes) -> ResetBudget:
        """Read the block. Raises ComplementMismatch."""
        if len(octets) != _LAYOUT.size:
            raise ComplementMismatch(octets)
        performed, limit, not_performed, not_limit = _LAYOUT.unpack(octets)
        if performed ^ not_performed != 0xFFFF or limit ^ not_limit != 0xFFFF:
            raise ComplementMismatch(octets)
        return cls(performed, limit)


RESET_BUDGET = Block(1, "reset_budget", ResetBudget().pack())
