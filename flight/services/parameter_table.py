"""One parameter table: its declaration, and the octets of an image of it. The bytes are in docs/critical-store.md."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType

from bindings.crc import crc32c
from flight.services.declare import DeclarationInvalid, NumberType, ServicesError, number_type

Number = int | float
Values = Mapping[str, Number]  # a read-only mapping, name -> number, in declared order

MAGIC = b"SWT1"
MAX_PARAMETERS = 128
_HEAD = struct.Struct(">4sBI")  # magic, table, CRC-32C of the declaration
_CRC = struct.Struct(">I")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")


class Refusal(IntEnum):
    """Why a table was refused; numbers are never reused."""

    IMAGE_SHORT = 1  # no head
    IMAGE_MAGIC = 2
    UNKNOWN_TABLE = 3
    IMAGE_LENGTH = 4
    IMAGE_CRC = 5
    OTHER_DECLARATION = 6  # made for other parameters, types, units or ranges than this software has
    NOT_A_NUMBER = 7
    BELOW_MINIMUM = 8
    ABOVE_MAXIMUM = 9
    OUT_OF_ORDER = 10  # a parameter that must not exceed another does
    NOTHING_STAGED = 11
    NOT_VALIDATED = 12
    ACTIVATION_UNDER_WAY = 13
    ACTIVATION_NOT_UNDER_WAY = 14
    NO_TABLE_NAMED = 15
    PARAMETERS_WRONG = 16  # the names given are not those declared, or a value does not fit its type
    BLOCK_LOST = 17  # the critical store had no sound copy
    NO_SUCH_IMAGE = 18  # neither the active nor the previous nor the staged one was named


class TableRefused(ServicesError, ValueError):
    """A table that is not believed, or a step that its state does not allow. What is active stays so."""

    code = "table_refused"

    def __init__(self, reason: Refusal, table: int, parameter: int = 0, value: Number = 0) -> None:
        where = f" parameter {parameter}, value {value}" if parameter else ""
        super().__init__(f"table {table}{where}: {reason.name.lower().replace('_', ' ')}")
        self.reason, self.table = reason, table
        self.parameter = parameter  # counted from 1 in declared order; 0: the reason is not about one
        self.value = value


@dataclass(frozen=True, slots=True)
class Parameter:
    """One number that may be tuned. Both ends of its range are allowed; NaN never is."""

    name: str
    type: NumberType | str  # given as "f32", kept as NumberType
    unit: str
    minimum: Number
    maximum: Number
    default: Number

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise DeclarationInvalid(f"`{self.name}` is not a parameter name")
        kind = number_type(self.type) if isinstance(self.type, str) else self.type
        object.__setattr__(self, "type", kind)
        for label in ("minimum", "maximum", "default"):
            value = getattr(self, label)
            if not math.isfinite(value) or kind.fit(value) != value:
                raise DeclarationInvalid(f"parameter `{self.name}`: {label} {value} is no {kind.value}")
            # a bound is what it is on the wire: 0.1 as f32 must not refuse the f32 nearest to 0.1
            object.__setattr__(self, label, struct.unpack(">" + kind.format, struct.pack(">" + kind.format, value))[0])
        if not self.minimum <= self.default <= self.maximum:
            raise DeclarationInvalid(
                f"parameter `{self.name}`: {self.minimum} <= {self.default} <= {self.maximum} does not hold"
            )

    @property
    def number(self) -> NumberType:
        """The type, narrowed."""
        assert isinstance(self.type, NumberType)
        return self.type


@dataclass(frozen=True, slots=True)
class ParameterTable:
    """A set of parameters that are loaded together."""

    number: int  # 1..255, unique on board
    name: str
    parameters: tuple[Parameter, ...]
    ordered: tuple[tuple[str, str], ...] = ()  # (a, b): a may not exceed b

    def __post_init__(self) -> None:
        names = [parameter.name for parameter in self.parameters]
        if not 1 <= self.number <= 0xFF or not _NAME.fullmatch(self.name):
            raise DeclarationInvalid(f"table `{self.name}` number {self.number}: name or number cannot be used")
        if not names or len(names) > MAX_PARAMETERS or len(set(names)) != len(names):
            raise DeclarationInvalid(
                f"parameter table `{self.name}`: names repeat, or are none or more than {MAX_PARAMETERS}"
            )
        defaults = self.defaults()
        for low, high in self.ordered:
            if low not in defaults or high not in defaults or defaults[low] > defaults[high]:
                raise DeclarationInvalid(f"parameter table `{self.name}`: `{low}` <= `{high}` cannot be declared")

    @property
    def size(self) -> int:
        """Octets of an image."""
        return _HEAD.size + _layout(self).size + _CRC.size

    @property
    def declaration_crc(self) -> int:
        """CRC-32C of the declaration as text; an image carries it."""
        lines = [
            f"{each.name} {each.number.value} {each.unit} {each.minimum!r} {each.maximum!r}\n"
            for each in self.parameters
        ]
        lines += [f"{low} <= {high}\n" for low, high in self.ordered]
        return crc32c("".join(lines).encode())

    def defaults(self) -> Values:
        """The declared defaults."""
        return MappingProxyType({parameter.name: parameter.default for parameter in self.parameters})


def pack_image(table: ParameterTable, values: Values) -> bytes:
    """The octets of an image; ranges are not looked at. Raises TableRefused for wrong names or what fits no type."""
    if values.keys() != {parameter.name for parameter in table.parameters}:
        raise TableRefused(Refusal.PARAMETERS_WRONG, table.number)
    try:
        packed = _layout(table).pack(*(values[parameter.name] for parameter in table.parameters))
    except (struct.error, OverflowError) as error:
        raise TableRefused(Refusal.PARAMETERS_WRONG, table.number) from error
    body = _HEAD.pack(MAGIC, table.number, table.declaration_crc) + packed
    return body + _CRC.pack(crc32c(body))


def table_number(image: bytes) -> int:
    """The table that an image says it is of. Raises TableRefused."""
    if len(image) < _HEAD.size:
        raise TableRefused(Refusal.IMAGE_SHORT, 0)
    magic, number, _ = _HEAD.unpack_from(image)
    if magic != MAGIC:
        raise TableRefused(Refusal.IMAGE_MAGIC, 0)
    return int(number)


def unpack_image(table: ParameterTable, image: bytes) -> Values:
    """The numbers of an image that is whole and of this declaration; their ranges are not looked at.

    Raises TableRefused.
    """
    if table_number(image) != table.number:
        raise TableRefused(Refusal.UNKNOWN_TABLE, table_number(image))
    if len(image) != table.size:
        raise TableRefused(Refusal.IMAGE_LENGTH, table.number)
    body = image[: -_CRC.size]
    if crc32c(body) != _CRC.unpack_from(image, len(body))[0]:
        raise TableRefused(Refusal.IMAGE_CRC, table.number)
    if _HEAD.unpack_from(image)[2] != table.declaration_crc:
        raise TableRefused(Refusal.OTHER_DECLARATION, table.number)
    numbers = _layout(table).unpack_from(image, _HEAD.size)
    return MappingProxyType(dict(zip((parameter.name for parameter in table.parameters), numbers, strict=True)))


def check_ranges(table: ParameterTable, values: Values) -> None:
    """Raises TableRefused for the first number, in declared order, that may not be."""
    places = {}
    for index, parameter in enumerate(table.parameters, 1):
        value = values[parameter.name]
        places[parameter.name] = index
        if value != value:
            raise TableRefused(Refusal.NOT_A_NUMBER, table.number, index, value)
        if value < parameter.minimum:
            raise TableRefused(Refusal.BELOW_MINIMUM, table.number, index, value)
        if value > parameter.maximum:
            raise TableRefused(Refusal.ABOVE_MAXIMUM, table.number, index, value)
    for low, high in table.ordered:
        if values[low] > values[high]:
            raise TableRefused(Refusal.OUT_OF_ORDER, table.number, places[low], values[low])


def _layout(table: ParameterTable) -> struct.Struct:
    return struct.Struct(">" + "".join(parameter.number.format for parameter in table.parameters))
