"""The ground-contact timer: without a valid telecommand for declared times it acts, also across restarts.

Time without contact is host time while the flight process runs. Of the time between two boots nothing is known, and a
mission clock that jumps must not take the satellite into safe mode: each restart counts as one period of saving, so
that a satellite that restarts again and again reaches its limits all the same.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from pathlib import Path

from bindings.crc import crc32c
from flight.executive.errors import ExecutiveError
from flight.executive.health_component import CONTACT_AGAIN, CONTACT_LOST, CONTACT_NOT_SAVED, CONTACT_STATE_LOST
from flight.services.events import EventRing

MAX_STEP_S = 60.0  # a loop that stood still for longer has other troubles
_STATE = struct.Struct(">4sBQdII")
_MAGIC = b"SWGC"
_VERSION = 1
_BODY = _STATE.size - 4
_U32 = 0xFFFF_FFFF


class ContactAction(IntEnum):
    """What is done. Numbers go down with events and are never reused."""

    SAFE_MODE = 1
    RADIO_RESET = 2


@dataclass(frozen=True, slots=True)
class ContactRule:
    """After how many seconds without a valid telecommand what is done; the last is repeated every `repeat_s`."""

    steps: tuple[tuple[float, ContactAction], ...] = (
        (24 * 3600.0, ContactAction.RADIO_RESET),
        (48 * 3600.0, ContactAction.SAFE_MODE),
        (72 * 3600.0, ContactAction.RADIO_RESET),
    )
    repeat_s: float = 24 * 3600.0
    save_s: float = 60.0

    def __post_init__(self) -> None:
        times = [after_s for after_s, _ in self.steps]
        if not times or times[0] <= 0 or any(b <= a for a, b in pairwise(times)):
            raise ValueError(f"the times of a contact rule are above zero and rise: {times}")
        if self.repeat_s <= 0 or self.save_s <= 0:
            raise ValueError("the periods of a contact rule are above zero")

    def due_s(self, taken: int) -> float:
        """Seconds without contact at which the action after `taken` actions is due."""
        if taken < len(self.steps):
            return self.steps[taken][0]
        return self.steps[-1][0] + (taken - len(self.steps) + 1) * self.repeat_s

    def action(self, taken: int) -> ContactAction:
        """The action after `taken` actions."""
        return self.steps[min(taken, len(self.steps) - 1)][1]


class ContactStateInvalid(ExecutiveError, ValueError):
    """Octets that are no saved timer."""

    code = "contact_state_invalid"


@dataclass(frozen=True, slots=True)
class ContactState:
    """What survives. Big-endian: `SWGC`, version u8, sequence u64, seconds f64, taken u32, CRC-32C u32."""

    silent_s: float = 0.0
    taken: int = 0  # actions since the last contact
    sequence: int = 0  # of two copies the one with the greater number holds

    def pack(self) -> bytes:
        """The state's octets."""
        octets = _STATE.pack(_MAGIC, _VERSION, self.sequence, self.silent_s, min(self.taken, _U32), 0)[:_BODY]
        return octets + crc32c(octets).to_bytes(4, "big")

    @classmethod
    def unpack(cls, octets: bytes) -> ContactState:
        """Raises ContactStateInvalid."""
        if len(octets) != _STATE.size:
            raise ContactStateInvalid(f"{len(octets)} octets, not {_STATE.size}")
        magic, version, sequence, silent_s, taken, crc = _STATE.unpack(octets)
        if (magic, version) != (_MAGIC, _VERSION) or crc != crc32c(octets[:_BODY]):
            raise ContactStateInvalid("its first octets or its check are wrong")
        if not 0.0 <= silent_s < 1e12:
            raise ContactStateInvalid(f"{silent_s} s without contact")
        return cls(silent_s, taken, sequence)


class ContactFile:
    """Two copies in one preallocated file, written in turn: a cut at any octet leaves the other."""

    SLOT = 64

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.new = os.fstat(self._descriptor).st_size == 0

    def load(self) -> ContactState | None:
        """The newer of the good copies; None where there is none. Raises OSError."""
        found = []
        for slot in range(2):
            with contextlib.suppress(ContactStateInvalid):
                found.append(ContactState.unpack(os.pread(self._descriptor, _STATE.size, slot * self.SLOT)))
        return max(found, key=lambda state: state.sequence, default=None)

    def save(self, state: ContactState) -> None:
        """Into the copy that does not hold. Raises OSError."""
        octets = state.pack().ljust(self.SLOT, b"\0")
        if os.pwrite(self._descriptor, octets, state.sequence % 2 * self.SLOT) != len(octets):
            raise OSError("cut short")

    def close(self) -> None:
        os.close(self._descriptor)


class ContactTimer:
    """Call step() with host time now and then, heard() for each valid telecommand."""

    def __init__(
        self,
        rule: ContactRule,
        saved: ContactState | None,
        save: Callable[[ContactState], None],
        react: Callable[[ContactAction], None],
        events: EventRing,
        now_s: float,
        *,
        first: bool = False,
    ) -> None:
        """saved: of the boot before; first: there was none, and nothing is lost. save and react may raise."""
        self._rule, self._save, self._react, self._events, self._now_s = rule, save, react, events, now_s
        if saved is None and not first:
            events.emit(CONTACT_STATE_LOST)
        before = saved or ContactState()
        self._silent_s = before.silent_s + (0.0 if saved is None else rule.save_s)
        self._taken, self._sequence = before.taken, before.sequence
        self._saved_s = now_s
        self.actions = 0
        self._keep()

    @property
    def silent_s(self) -> float:
        """Seconds without a valid telecommand."""
        return self._silent_s

    def retune(self, rule: ContactRule) -> None:
        """Another rule from now on; the time without contact, and what was done about it, stay."""
        self._rule = rule

    def heard(self) -> None:
        """A telecommand came whose signature and sequence are good."""
        if self._taken:
            self._events.emit(CONTACT_AGAIN, silent_s=min(round(self._silent_s), _U32))
        changed = self._taken > 0 or self._silent_s > self._rule.save_s  # not for each of many in one contact
        self._silent_s, self._taken = 0.0, 0
        if changed:
            self._keep()

    def step(self, now_s: float) -> None:
        """Time passes: at most one action a call."""
        self._silent_s += min(max(now_s - self._now_s, 0.0), MAX_STEP_S)
        self._now_s = now_s
        if self._silent_s >= self._rule.due_s(self._taken):
            self._act()
        elif now_s - self._saved_s >= self._rule.save_s:
            self._keep()

    def _act(self) -> None:
        action = self._rule.action(self._taken)
        self._taken = min(self._taken + 1, _U32)
        self.actions += 1
        self._events.emit(CONTACT_LOST, silent_s=min(round(self._silent_s), _U32), action=action)
        self._keep()  # before the action, which may be the end of this boot: it is not to be taken again by the next
        with contextlib.suppress(Exception):  # whatever it is: the next step comes in its time
            self._react(action)

    def _keep(self) -> None:
        self._saved_s, self._sequence = self._now_s, self._sequence + 1
        try:
            self._save(ContactState(self._silent_s, self._taken, self._sequence))
        except Exception:  # whatever the medium raises: the time goes on without it
            self._events.emit(CONTACT_NOT_SAVED)
