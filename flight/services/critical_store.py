"""The critical data store: a few small blocks that survive every reset, in two copies of one file each.

A commit writes copy A whole under another name, syncs it, renames it, syncs the folder, then does the same for copy B.
So after a cut at any instruction at least one copy is the old state or the new one, whole; and once commit() has
returned both hold the new one, so that a flipped bit in either is mended from the other and nothing goes back in time.

Its calls wait for the medium: they belong outside the cycle (before the first frame, or in a process of their own).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from flight.services.critical_files import CriticalFiles
from flight.services.critical_format import MAX_BLOCKS, MAX_COPY_BYTES, Block, Copy, pack_copy, unpack_copy
from flight.services.declare import DeclarationInvalid, ServicesError

COPY_NAMES = ("critical.a", "critical.b")
NEW_NAME = "critical.new"  # a copy until it is whole; what a cut leaves of it is written over
WHOLE_COPY = 0  # the block number of a finding about a copy


class CriticalStoreError(ServicesError):
    """Base of every error of the critical store."""

    code = "critical_store_error"


class BlockUnknown(CriticalStoreError, KeyError):
    """A block that this store was not given."""

    code = "block_unknown"

    def __init__(self, block: Block) -> None:
        super().__init__(f"no critical block `{block.name}` number {block.number} of {block.size} octets")
        self.number, self.name, self.size = block.number, block.name, block.size

    def __str__(self) -> str:
        return str(self.args[0])


class BlockSizeWrong(CriticalStoreError, ValueError):
    """A payload that is not of the block's size."""

    code = "block_size_wrong"

    def __init__(self, block: Block, size: int) -> None:
        super().__init__(f"critical block `{block.name}` holds {block.size} octets, got {size}")
        self.number, self.name, self.expected, self.size = block.number, block.name, block.size, size


class BlockLost(CriticalStoreError, LookupError):
    """No copy of the block was sound at the start; it holds its default until its owner commits a value."""

    code = "block_lost"

    def __init__(self, block: Block) -> None:
        super().__init__(f"no copy of critical block `{block.name}` is sound")
        self.number, self.name = block.number, block.name
        self.default = block.default


class CriticalStoreFailed(CriticalStoreError, OSError):
    """The medium refused a call. Nobody knows what it holds: this store does no more, a new one finds out."""

    code = "critical_store_failed"


class FindingKind(IntEnum):
    """What recovery found; numbers are never reused."""

    CREATED = 1  # no copy lists the block: it begins with its default
    REPAIRED = 2  # bad in one copy, taken from the other
    LOST = 3  # bad in every copy: the default
    ROLLED_BACK = 4  # a cut left one copy newer, and that one is damaged: the older state, whole
    CAUGHT_UP = 5  # a cut left one copy older or not yet made: it was written again
    DIRECTORY_REPAIRED = 6  # octets that belong to no block were damaged
    RETIRED = 7  # a copy holds a block that is not declared: it was left out
    MIXED = 8  # damage in copies of two generations: each block is the newest sound one


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of recovery's report: numbers only, as an event takes them."""

    kind: FindingKind
    block: int  # number; WHOLE_COPY for a finding about a copy or the whole store
    copy: int  # index in COPY_NAMES of the copy that was at fault; 0 where none was


class CriticalStore:
    """Blocks in two copies. Opening recovers and mends; `findings` says what had to be done."""

    def __init__(self, files: CriticalFiles, blocks: Sequence[Block]) -> None:
        """Raises DeclarationInvalid, CriticalStoreFailed."""
        numbers = {block.number for block in blocks}
        if not blocks or len(blocks) > MAX_BLOCKS or len(numbers) != len(blocks):
            raise DeclarationInvalid(f"a critical store of {len(blocks)} blocks with {len(numbers)} numbers")
        self._files = files
        self._blocks = {block.number: block for block in sorted(blocks, key=lambda block: block.number)}
        self._octets: bytes | None = None  # the copy as it should be
        self._payloads: dict[int, bytes] = {}
        self._generation = 0
        self._lost: set[int] = set()
        self._failed = False
        self.findings: tuple[Finding, ...] = self.scrub()  # of the start

    @property
    def generation(self) -> int:
        """Counts commits, over all lives."""
        return self._generation

    def read(self, block: Block) -> bytes:
        """The block's octets. Raises BlockUnknown, and BlockLost (which carries the default) until it is committed."""
        self._check(block)
        if block.number in self._lost:
            raise BlockLost(block)
        return self._payloads[block.number]

    def commit(self, values: Mapping[Block, bytes]) -> None:
        """Several blocks at once: after a cut all are new, or none is. On return they are durable in both copies.

        Raises BlockUnknown, BlockSizeWrong (then nothing was touched) and CriticalStoreFailed.
        """
        for block, payload in values.items():
            self._check(block)
            if len(payload) != block.size:
                raise BlockSizeWrong(block, len(payload))
        payloads = {**self._payloads, **{block.number: bytes(payload) for block, payload in values.items()}}
        octets = self._pack(self._generation + 1, payloads)
        for name in COPY_NAMES:
            self._replace(name, octets)
        self._octets, self._payloads, self._generation = octets, payloads, self._generation + 1
        self._lost -= {block.number for block in values}

    def scrub(self) -> tuple[Finding, ...]:
        """Read both copies, mend what is damaged, and report it. After a start the copy in memory helps as a third.

        Raises CriticalStoreFailed.
        """
        return self._mend(always=False)

    def recover(self) -> tuple[Finding, ...]:
        """After a failed call: find out which state the medium holds, as a start would, and go on with it.

        Both copies are written whatever they hold, because nobody knows how much of what is read is on the medium.
        Raises CriticalStoreFailed.
        """
        self._failed = False
        return self._mend(always=True)

    @property
    def failed(self) -> bool:
        """Whether an earlier call failed: nothing is read or written before recover()."""
        return self._failed

    def _mend(self, *, always: bool) -> tuple[Finding, ...]:
        found = [self._read_copy(name) for name in COPY_NAMES]
        copies = [None if octets is None else unpack_copy(octets, self._declared) for octets in found]
        held = None if self._octets is None else unpack_copy(self._octets, self._declared)
        chosen = _choose(self._declared, [*copies, held])
        findings = list(chosen.findings)
        octets = self._pack(chosen.generation, chosen.payloads)
        for index, name in enumerate(COPY_NAMES):
            if found[index] == octets and not always:
                continue
            if found[index] != octets and chosen.whole:
                findings += _faults(index, copies[index], chosen)
            self._replace(name, octets)
        self._octets, self._payloads, self._generation = octets, chosen.payloads, chosen.generation
        self._lost |= {finding.block for finding in findings if finding.kind is FindingKind.LOST}
        return tuple(findings)

    def close(self) -> None:
        """Let the folder go."""
        self._files.close()

    @property
    def _declared(self) -> tuple[Block, ...]:
        return tuple(self._blocks.values())

    def _check(self, block: Block) -> None:
        if self._blocks.get(block.number) != block:
            raise BlockUnknown(block)

    def _pack(self, generation: int, payloads: Mapping[int, bytes]) -> bytes:
        return pack_copy(self._declared, generation, payloads)

    def _read_copy(self, name: str) -> bytes | None:
        self._refuse_failed()
        try:
            # one octet more than a copy can have, so that a longer file is not taken for a whole one
            return self._files.read(name, MAX_COPY_BYTES + 1)
        except OSError as error:
            raise self._fail(error) from error

    def _replace(self, name: str, octets: bytes) -> None:
        self._refuse_failed()
        try:
            self._files.write(NEW_NAME, octets)
            self._files.sync(NEW_NAME)
            self._files.rename(NEW_NAME, name)
            self._files.sync_folder()
        except OSError as error:
            raise self._fail(error) from error

    def _refuse_failed(self) -> None:
        if self._failed:
            raise CriticalStoreFailed("an earlier call failed")

    def _fail(self, error: OSError) -> CriticalStoreFailed:
        self._failed = True
        return CriticalStoreFailed(error.strerror or str(error))


@dataclass(frozen=True, slots=True)
class _Choice:
    """What the store is to hold."""

    generation: int
    payloads: dict[int, bytes]
    findings: tuple[Finding, ...]
    whole: int  # the newest generation seen, if some copies have all of it; else 0


def _choose(blocks: Sequence[Block], found: Sequence[Copy | None]) -> _Choice:
    """The newest generation that is whole over all copies; else each block's newest sound one, else its default."""
    copies = [copy for copy in found if copy is not None]
    generations = sorted({copy.generation for copy in copies}, reverse=True)
    newest = generations[0] if generations else 0
    # a generation counts as whole when it has all the blocks that it was written with
    whole = next((each for each in generations if each and _listed(copies, each) <= _sound(copies, each).keys()), None)
    if whole is not None:
        generations = [whole]
    findings = []
    listed = frozenset[int]().union(*(_listed(copies, each) for each in generations))
    retired = frozenset[int]().union(*(copy.retired for copy in copies if copy.generation in generations))
    payloads: dict[int, bytes] = {}
    for block in blocks:
        candidates = (_sound(copies, each).get(block.number) for each in generations)
        payload = next((octets for octets in candidates if octets is not None), None)
        payloads[block.number] = block.default if payload is None else payload
        if payload is None:
            kind = FindingKind.LOST if block.number in listed else FindingKind.CREATED
            findings.append(Finding(kind, block.number, 0))
    findings += [Finding(FindingKind.RETIRED, number, 0) for number in sorted(retired)]
    if whole is None and sum(map(bool, generations)) > 1:
        findings.append(Finding(FindingKind.MIXED, WHOLE_COPY, 0))
    elif whole is not None and whole < newest:
        findings.append(Finding(FindingKind.ROLLED_BACK, WHOLE_COPY, 0))
    # anything else becomes a newer generation, so that no damaged copy outranks what was chosen
    unchanged = whole == newest and not findings
    return _Choice(newest if unchanged else newest + 1, payloads, tuple(findings), newest if whole == newest else 0)


def _faults(index: int, copy: Copy | None, chosen: _Choice) -> list[Finding]:
    """What was wrong with one copy, where others have the newest generation whole."""
    if copy is None or 0 < copy.generation < chosen.whole:
        return [Finding(FindingKind.CAUGHT_UP, WHOLE_COPY, index)]
    bad = sorted(copy.listed - copy.sound.keys())
    if not bad and chosen.generation == chosen.whole:
        return [Finding(FindingKind.DIRECTORY_REPAIRED, WHOLE_COPY, index)]
    return [Finding(FindingKind.REPAIRED, number, index) for number in bad]


def _listed(copies: Sequence[Copy], generation: int) -> frozenset[int]:
    return frozenset[int]().union(*(copy.listed for copy in copies if copy.generation == generation))


def _sound(copies: Sequence[Copy], generation: int) -> dict[int, bytes]:
    """The blocks of one generation, from whichever copy has them sound."""
    return {
        number: payload for copy in copies if copy.generation == generation for number, payload in copy.sound.items()
    }
