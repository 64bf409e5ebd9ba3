"""Settings that survive a restart: a packed state goes to the journal when it has changed, as soon as there is room.

A cut leaves the settings before the change or those after it, as the journal's record is there or not.
"""

from __future__ import annotations

from collections.abc import Callable

from flight.services import cbor
from flight.services.journal_format import JournalFull
from flight.services.packed_state import StateReason, StateRefused
from flight.services.records import RecordKind


class KeptState:
    """One state of one kind of record. At most one record is written in a call."""

    def __init__(self, kind: RecordKind, append: Callable[[RecordKind, bytes], int], pack: Callable[[], bytes]) -> None:
        """append: to the journal; pack: the state as it is now."""
        self._kind, self._append, self._pack = kind, append, pack
        self.unwritten = False  # the state has changed since it was written

    def changed(self) -> None:
        """The state is another than the one written."""
        self.unwritten = True
        self.write()

    def write(self) -> None:
        """Write it if it has changed; without room in the journal it is written by a later call."""
        if not self.unwritten:
            return
        try:
            self._append(self._kind, cbor.encode(self._pack()))
        except JournalFull:
            return
        self.unwritten = False


def kept_octets(payload: bytes) -> bytes:
    """The packed state in a record's payload. Raises StateRefused."""
    try:
        octets = cbor.decode(payload)
    except ValueError as error:
        raise StateRefused(StateReason.CONTENT) from error
    if not isinstance(octets, bytes):
        raise StateRefused(StateReason.CONTENT)
    return octets
