"""Parameter tables: what may be tuned in flight, with ranges and units, changed at a frame boundary or not at all.

load() puts an image beside the active one, validate() checks every number, activate() gives the octets that the
critical store is to keep, and once they are durable the next frame_boundary() makes all the tables of one activation
current in one step. The image that was active stays as the previous one. Nothing here reads or writes anything, and a
table holds numbers that were declared: no path, key, area or pixel can be spelt in one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from flight.services.critical_format import Block
from flight.services.critical_store import BlockLost
from flight.services.declare import DeclarationInvalid
from flight.services.parameter_table import (
    ParameterTable,
    Refusal,
    TableRefused,
    Values,
    check_ranges,
    pack_image,
    table_number,
    unpack_image,
)

FIRST_BLOCK = 0x100  # table n is kept in the critical block of this number plus n
MAX_TABLES = 64


class ImageChoice(IntEnum):
    """Which image of a table is meant, in commands and dumps."""

    ACTIVE = 0
    PREVIOUS = 1
    STAGED = 2


class Origin(IntEnum):
    """Where a table's active image came from at the start."""

    STORED = 0  # the image that was active before the reset; the declared defaults where none ever was
    PREVIOUS = 1  # the one before it: the other was not sound
    DEFAULT = 2  # the declared defaults: neither was sound


@dataclass(frozen=True, slots=True)
class Restored:
    """What a table began with."""

    table: int
    origin: Origin
    refusal: Refusal | None  # why the active image was not taken


@dataclass(frozen=True, slots=True)
class Activation:
    """What is to be committed to the critical store, all at once, before the tables take effect."""

    tables: tuple[int, ...]
    blocks: Mapping[Block, bytes]
    _next: Mapping[int, _Images] = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Images:
    """Both images of one table; never changed, only replaced together."""

    active: Values
    previous: Values


@dataclass(slots=True)
class _Staged:
    values: Values
    validated: bool = False


class ParameterTables:
    """All tables on board. One activation is under way at a time."""

    def __init__(self, tables: Sequence[ParameterTable]) -> None:
        """Every table at its defaults. Raises DeclarationInvalid."""
        self._tables = {table.number: table for table in tables}
        if len(self._tables) != len(tables) or len({table.name for table in tables}) != len(tables):
            raise DeclarationInvalid("a parameter table's number or name is used twice")
        if len(tables) > MAX_TABLES:
            raise DeclarationInvalid(f"{len(tables)} parameter tables; at most {MAX_TABLES}")
        self._images = {table.number: _Images(table.defaults(), table.defaults()) for table in tables}
        self._staged: dict[int, _Staged] = {}
        self._pending: Activation | None = None
        self._durable = False
        self._blocks = {table.number: _block(table) for table in tables}

    @property
    def blocks(self) -> tuple[Block, ...]:
        """What the critical store must be given to keep these tables."""
        return tuple(self._blocks.values())

    def restore(self, read: Callable[[Block], bytes]) -> tuple[Restored, ...]:
        """Before the first frame: take what `read` (CriticalStore.read) holds, an image only if all of it is sound."""
        restored = []
        for number, table in self._tables.items():
            try:
                octets = read(self._blocks[number])
            except BlockLost:
                self._images[number] = _Images(table.defaults(), table.defaults())
                restored.append(Restored(number, Origin.DEFAULT, Refusal.BLOCK_LOST))
                continue
            if octets == self._blocks[number].default:  # none was ever activated: what is declared now holds
                self._images[number] = _Images(table.defaults(), table.defaults())
                restored.append(Restored(number, Origin.STORED, None))
                continue
            half = len(octets) // 2
            active, refusal = _sound(table, octets[:half])
            previous, _ = _sound(table, octets[half:])
            origin = Origin.STORED if active else Origin.PREVIOUS if previous else Origin.DEFAULT
            taken = active or previous or table.defaults()
            self._images[number] = _Images(taken, previous or taken)
            restored.append(Restored(number, origin, refusal))
        return tuple(restored)

    def load(self, image: bytes) -> int:
        """Stage an uplinked image in place of any staged before; returns its table. Raises TableRefused."""
        number = table_number(image)
        self._refuse_under_way(number)
        self._staged[number] = _Staged(unpack_image(self._table(number), image))
        return number

    def validate(self, number: int) -> None:
        """Check every number of the staged image. Raises TableRefused; a refused image is dropped."""
        self._refuse_under_way(number)
        staged = self._staged_of(number)
        try:
            check_ranges(self._table(number), staged.values)
        except TableRefused:
            del self._staged[number]
            raise
        staged.validated = True

    def activate(self, numbers: Collection[int]) -> Activation:
        """Begin to make the staged images of these tables current, all or none. Raises TableRefused."""
        following = {}
        for number in self._ordered(numbers):
            staged = self._staged_of(number)
            if not staged.validated:
                raise TableRefused(Refusal.NOT_VALIDATED, number)
            following[number] = _Images(staged.values, self._images[number].active)
        return self._begin(following)

    def return_to_previous(self, numbers: Collection[int]) -> Activation:
        """Begin to make the previous images current again, all or none; what was active becomes the previous.

        Raises TableRefused.
        """
        held = {number: self._images[number] for number in self._ordered(numbers)}
        return self._begin({number: _Images(images.previous, images.active) for number, images in held.items()})

    def durable(self, activation: Activation) -> None:
        """The activation's blocks are committed: it takes effect at the next frame boundary. Raises TableRefused."""
        self._refuse_other(activation)
        self._durable = True

    def abandon(self, activation: Activation) -> None:
        """The blocks could not be committed: nothing takes effect, what was staged stays staged.

        The medium may then hold either state, and the next start takes what it holds. Raises TableRefused.
        """
        self._refuse_other(activation)
        self._pending = None

    def frame_boundary(self) -> tuple[int, ...]:
        """Between two frames: make a durable activation current in one step; returns its tables, or none."""
        if self._pending is None or not self._durable:
            return ()
        done, self._pending, self._durable = self._pending, None, False
        self._images = {**self._images, **done._next}
        for number in done.tables:
            staged = self._staged.get(number)
            if staged is not None and staged.values is done._next[number].active:
                del self._staged[number]
        return done.tables

    def values(self, number: int) -> Values:
        """The active numbers by name; the same object until a frame boundary replaces it. Raises TableRefused."""
        self._table(number)
        return self._images[number].active

    def dump(self, number: int, choice: ImageChoice = ImageChoice.ACTIVE) -> bytes:
        """One image, in the form that load() takes. Raises TableRefused."""
        return pack_image(self._table(number), self.numbers(number, choice))

    def numbers(self, number: int, choice: ImageChoice = ImageChoice.ACTIVE) -> Values:
        """The numbers of one image by name. Raises TableRefused."""
        self._table(number)
        if choice is ImageChoice.STAGED:
            return self._staged_of(number).values
        images = self._images[number]
        return images.active if choice is ImageChoice.ACTIVE else images.previous

    def _begin(self, following: Mapping[int, _Images]) -> Activation:
        blocks = {
            self._blocks[number]: _pack_both(self._tables[number], images) for number, images in following.items()
        }
        self._pending, self._durable = Activation(tuple(following), blocks, following), False
        return self._pending

    def _ordered(self, numbers: Collection[int]) -> list[int]:
        ordered = sorted(set(numbers))
        if not ordered:
            raise TableRefused(Refusal.NO_TABLE_NAMED, 0)
        for number in ordered:
            self._table(number)
        if self._pending is not None:
            raise TableRefused(Refusal.ACTIVATION_UNDER_WAY, ordered[0])
        return ordered

    def _table(self, number: int) -> ParameterTable:
        table = self._tables.get(number)
        if table is None:
            raise TableRefused(Refusal.UNKNOWN_TABLE, number)
        return table

    def _staged_of(self, number: int) -> _Staged:
        self._table(number)
        staged = self._staged.get(number)
        if staged is None:
            raise TableRefused(Refusal.NOTHING_STAGED, number)
        return staged

    def _refuse_under_way(self, number: int) -> None:
        if self._pending is not None and number in self._pending.tables:
            raise TableRefused(Refusal.ACTIVATION_UNDER_WAY, number)

    def _refuse_other(self, activation: Activation) -> None:
        if activation is not self._pending or self._durable:
            raise TableRefused(Refusal.ACTIVATION_NOT_UNDER_WAY, activation.tables[0])


def _block(table: ParameterTable) -> Block:
    """Of two images; the default is none, so that defaults that are configured anew are not held back by old ones."""
    return Block(FIRST_BLOCK + table.number, table.name, b"\xff" * (2 * table.size))


def _pack_both(table: ParameterTable, images: _Images) -> bytes:
    return pack_image(table, images.active) + pack_image(table, images.previous)


def _sound(table: ParameterTable, image: bytes) -> tuple[Values | None, Refusal | None]:
    """The values of a stored image, or why it is not believed."""
    try:
        values = unpack_image(table, image)
        check_ranges(table, values)
    except TableRefused as refused:
        return None, refused.reason
    return values, None
