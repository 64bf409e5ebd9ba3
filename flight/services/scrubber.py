"""Scrubbing: every declared region is read again and again, a bounded number of octets a frame, and compared.

A region is compared block by block with CRC-32C against its baseline, which tells where it changed, and as a whole
with the digest of its manifest where it has one. A pass yields a verdict. One step does at most: one opening, reads of
`budget_octets` in all, one reaction.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bindings.crc import crc32c
from flight.errors import FlightError
from flight.services import scrub_component as told
from flight.services.command_set import CommandDefinition
from flight.services.command_slot import Handler
from flight.services.declare import DeclarationInvalid, Field
from flight.services.events import EventRing
from flight.services.scrub_region import SHA256_OCTETS, Outcome, Region, Unreadable, check_expected

ALL = 0
BLOCK_OCTETS = 4096

SCRUB_START = CommandDefinition(0x4201, "scrub_start", (Field("region", "u8"),), repeatable=True)
SCRUB_STOP = CommandDefinition(0x4202, "scrub_stop", repeatable=True)
SCRUB_STATUS = CommandDefinition(0x4203, "scrub_status", repeatable=True)
SCRUB_COMMANDS = (SCRUB_START, SCRUB_STOP, SCRUB_STATUS)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one pass found; the numbers are those of regions."""

    number: int  # of the pass, from 1
    octets: int
    changed: tuple[int, ...]
    unreadable: tuple[int, ...]

    @property
    def sound(self) -> bool:
        """Whether every region could be read and is what it should be."""
        return not self.changed and not self.unreadable


@dataclass(slots=True)
class _Kept:
    """What is known of a region between passes."""

    expected: bytes
    octets: int = -1  # of the baseline; below 0 there is none
    blocks: array[int] = field(default_factory=lambda: array("I"))
    withdrawn: bool = False


class Scrubber:
    """Reads regions in the order they were declared; without end once started, or one region once."""

    def __init__(self, regions: Iterable[Region], budget_octets: int, events: EventRing) -> None:
        """Raises DeclarationInvalid for numbers used twice, no regions or a budget that reads nothing."""
        self._regions = tuple(regions)
        self._kept = {region.number: _Kept(region.expected) for region in self._regions}
        if not self._regions or len(self._kept) != len(self._regions) or budget_octets < 1:
            raise DeclarationInvalid("the scrubber needs regions with numbers of their own and a budget of octets")
        self._budget = budget_octets
        self._buffer = memoryview(bytearray(min(budget_octets, BLOCK_OCTETS)))
        self._events = events
        self.running = False
        self.verdict: Verdict | None = None  # of the last whole pass
        self.passes = self.octets_read = self.mismatches = self.unreadable = self.repaired = 0
        self._index = self._only = 0
        self._pass_octets = 0
        self._changed: list[int] = []
        self._unreadable: list[int] = []
        self._open = False

    def retune(self, budget_octets: int) -> None:
        """Another budget from the next step on. Raises DeclarationInvalid for one that reads nothing."""
        if budget_octets < 1:
            raise DeclarationInvalid("the scrubber needs a budget of octets")
        self._budget = budget_octets

    def start(self, region: int = ALL) -> bool:
        """Begin afresh: all regions, pass after pass, or one region once. False for a region that nobody declared."""
        if region != ALL and region not in self._kept:
            return False
        self._leave()
        self._only, self._index, self.running = region, 0, True
        if region != ALL:
            self._index = [each.number for each in self._regions].index(region)
        self._pass_octets, self._changed, self._unreadable = 0, [], []
        return True

    def stop(self) -> None:
        """Read no more; what the pass found so far is forgotten, the counters stay."""
        self._leave()
        self.running = False

    def rebaseline(self, region: int, expected: bytes = b"") -> None:
        """The region changed legitimately: its next reading is its baseline, or is held to the new digest.

        Raises DeclarationInvalid for a region that nobody declared and for what is no digest.
        """
        check_expected(expected)
        if region not in self._kept:
            raise DeclarationInvalid(f"no region {region}")
        self._kept[region] = _Kept(expected)
        if self._open and self._regions[self._index].number == region:
            self._leave()  # read from its beginning again: half of it was the former content

    def step(self) -> int:
        """One frame's share; how many octets were read."""
        if not self.running:
            return 0
        region = self._regions[self._index]
        before = self.octets_read
        try:
            if not self._open:
                self._enter(region)
            while self._offset < self._size and not self._bad:
                left = self._budget - (self.octets_read - before)
                if left <= 0 or not self._read(region, left):
                    return self.octets_read - before
        except Unreadable as error:
            self.unreadable += 1
            self._unreadable.append(region.number)
            self._events.emit(told.UNREADABLE, region=region.number, reason=error.reason, errno=error.number)
        else:
            self._conclude(region)
        self._leave()
        self._advance()
        return self.octets_read - before

    def telemetry(self) -> Mapping[str, int | float]:
        """The values of the component's telemetry packet."""
        return {
            "running": self.running,
            "region": self._regions[self._index].number,
            "passes": self.passes,
            "octets": self.octets_read,
            "mismatches": self.mismatches,
            "unreadable": self.unreadable,
            "repaired": self.repaired,
        }

    def status(self) -> None:
        """Tell where it stands."""
        self._events.emit(
            told.STATUS,
            running=self.running,
            region=self._regions[self._index].number,
            offset=self._offset if self._open else 0,
            passes=self.passes,
        )

    def _enter(self, region: Region) -> None:
        self._open = True  # also when begin() raises: end() lets go of what there is
        self._offset = self._block_crc = self._whole_crc = 0
        self._bad = False
        self._blocks = array("I")
        kept = self._kept[region.number]
        self._sha = hashlib.sha256() if len(kept.expected) == SHA256_OCTETS else None
        self._size = region.source.begin()
        if kept.octets >= 0 and kept.octets != self._size:
            self._bad = True
            self._events.emit(told.SIZE_CHANGED, region=region.number, octets=self._size, expected=kept.octets)

    def _leave(self) -> None:
        if self._open:
            self._regions[self._index].source.end()
            self._open = False

    def _read(self, region: Region, left: int) -> int:
        block_end = min(self._size, (self._offset // BLOCK_OCTETS + 1) * BLOCK_OCTETS)
        into = self._buffer[: min(left, block_end - self._offset)]
        count = region.source.read(self._offset, into)
        got = into[:count]
        self._block_crc = crc32c(got, self._block_crc)
        self._whole_crc = crc32c(got, self._whole_crc)
        if self._sha is not None:
            self._sha.update(got)
        self._offset += count
        self.octets_read += count
        self._pass_octets += count
        if self._offset == block_end:
            block = len(self._blocks)
            self._blocks.append(self._block_crc)
            kept = self._kept[region.number]
            if kept.octets >= 0 and kept.blocks[block] != self._block_crc:
                self._bad = True
                self._events.emit(told.BLOCK_CHANGED, region=region.number, block=block, offset=block * BLOCK_OCTETS)
            self._block_crc = 0
        return count

    def _conclude(self, region: Region) -> None:
        kept = self._kept[region.number]
        if not self._bad and kept.expected:
            digest = self._sha.digest() if self._sha is not None else self._whole_crc.to_bytes(4, "big")
            if digest != kept.expected:
                self._bad = True
                self._events.emit(told.DIGEST_WRONG, region=region.number, octets=self._size)
        if self._bad:
            self.mismatches += 1
            self._changed.append(region.number)
            self._react(region, kept)
            return
        kept.withdrawn = False
        if kept.octets < 0:
            kept.octets, kept.blocks = self._size, self._blocks
            self._events.emit(told.BASELINE_TAKEN, region=region.number, octets=self._size, crc=self._whole_crc)

    def _react(self, region: Region, kept: _Kept) -> None:
        if kept.withdrawn:
            return
        try:
            outcome = region.reaction()
        except (FlightError, OSError):
            outcome = Outcome.FAILED
        self.repaired += outcome is Outcome.REPAIRED
        kept.withdrawn = outcome is Outcome.WITHDRAWN
        self._events.emit(told.REACTED, region=region.number, outcome=outcome)

    def _advance(self) -> None:
        if self._only != ALL:
            self.running = False
        elif self._index + 1 < len(self._regions):
            self._index += 1
            return
        else:
            self._index = 0
        self.passes += 1
        self.verdict = Verdict(self.passes, self._pass_octets, tuple(self._changed), tuple(self._unreadable))
        self._events.emit(
            told.PASS_DONE,
            number=self.passes,
            octets=self._pass_octets,
            changed=len(self._changed),
            unreadable=len(self._unreadable),
        )
        self._pass_octets, self._changed, self._unreadable = 0, [], []


def scrub_handlers(scrubber: Scrubber) -> Mapping[int, Handler]:
    """Opcode -> what does it."""

    def start(values: Mapping[str, int | float]) -> bool:
        return scrubber.start(int(values["region"]))

    def stop(values: Mapping[str, int | float]) -> bool:
        scrubber.stop()
        return True

    def status(values: Mapping[str, int | float]) -> bool:
        scrubber.status()
        return True

    return {SCRUB_START.opcode: start, SCRUB_STOP.opcode: stop, SCRUB_STATUS.opcode: status}
