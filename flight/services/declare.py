"""A component states its events and telemetry on one page; dictionaries, docs and codecs come from it and nothing else.

>>> OVERRAN = Event(1, Severity.WARNING, "activity {activity:u8} overran by {over_us:u32} us")
>>> RATE_GROUP = Component("rate_group", 200, events=(OVERRAN,), telemetry=(Field("worst_us", "u32", "us"),))
>>> OVERRAN.component, [argument.type for argument in OVERRAN.arguments]
(200, [<NumberType.U8: 'u8'>, <NumberType.U32: 'u32'>])

There is no type for text or octets: what a component reports is numbers, so no pixel, key or area can be spelt in it.
"""

from __future__ import annotations

import math
import re
import string
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from numbers import Integral, Real
from typing import Any, ClassVar

from flight.errors import FlightError

_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")
MAX_ARGUMENTS = 8  # of an event
MAX_FIELDS = 64  # of a telemetry packet


class ServicesError(FlightError):
    """Base of every error of the flight services."""

    code = "services_error"


class DeclarationInvalid(ServicesError, ValueError):
    """A component, event or field that cannot be declared so."""

    code = "declaration_invalid"
    exit_status = 2


class ValuesMismatch(ServicesError, TypeError):
    """The values given are not the numbers that were declared."""

    code = "values_mismatch"

    def __init__(self, what: str, missing: Sequence[str], unknown: Sequence[str], not_numbers: Sequence[str]) -> None:
        parts = (("missing", missing), ("undeclared", unknown), ("not a number", not_numbers))
        super().__init__(f"{what}: " + "; ".join(f"{label} {', '.join(names)}" for label, names in parts if names))
        self.what, self.missing, self.unknown, self.not_numbers = (
            what,
            tuple(missing),
            tuple(unknown),
            tuple(not_numbers),
        )


class OctetsInvalid(ServicesError, ValueError):
    """Octets that are not a record of the kind expected."""

    code = "octets_invalid"


class Severity(IntEnum):
    """How much an event matters to an operator."""

    DEBUG = 0
    INFO = 1
    WARNING = 2
    ERROR = 3
    CRITICAL = 4


class NumberType(Enum):
    """The numbers that exist on the wire; big-endian."""

    U8 = "u8"
    U16 = "u16"
    U32 = "u32"
    U64 = "u64"
    I32 = "i32"
    I64 = "i64"
    F32 = "f32"
    F64 = "f64"

    @property
    def format(self) -> str:
        """The struct format character."""
        return _FORMATS[self]

    @property
    def size(self) -> int:
        """Octets on the wire."""
        return struct.calcsize(">" + self.format)

    def fit(self, value: int | float) -> int | float:
        """The nearest value that the type can hold: out of range is saturated, never wrapped, never refused."""
        if self in _INTEGER_RANGE:
            low, high = _INTEGER_RANGE[self]
            if not isinstance(value, Integral):
                if value != value:
                    return 0
                value = low if value <= low else high if value >= high else round(value)
            return min(max(int(value), low), high)
        try:
            real = float(value)
        except OverflowError:  # an int beyond the range of a double
            real = math.inf if value > 0 else -math.inf
        if self is NumberType.F32 and abs(real) > _F32_MAX and math.isfinite(real):
            return math.copysign(_F32_MAX, real)
        return real


_FORMATS = {
    NumberType.U8: "B",
    NumberType.U16: "H",
    NumberType.U32: "I",
    NumberType.U64: "Q",
    NumberType.I32: "i",
    NumberType.I64: "q",
    NumberType.F32: "f",
    NumberType.F64: "d",
}
_INTEGER_RANGE = {
    NumberType.U8: (0, 0xFF),
    NumberType.U16: (0, 0xFFFF),
    NumberType.U32: (0, 0xFFFF_FFFF),
    NumberType.U64: (0, 0xFFFF_FFFF_FFFF_FFFF),
    NumberType.I32: (-(1 << 31), (1 << 31) - 1),
    NumberType.I64: (-(1 << 63), (1 << 63) - 1),
}
_F32_MAX = 3.4028234663852886e38


def number_type(name: str) -> NumberType:
    """The type called `name`. Raises DeclarationInvalid."""
    try:
        return NumberType(name)
    except ValueError as error:
        raise DeclarationInvalid(
            f"no number type `{name}`; known: {', '.join(kind.value for kind in NumberType)}"
        ) from error


@dataclass(frozen=True, slots=True)
class Field:
    """One number of a telemetry packet."""

    name: str
    type: NumberType | str  # given as "u32", kept as NumberType
    unit: str = ""
    dead_band: float = (
        0.0  # a change up to this, in the field's unit, is none; infinite: the field never asks to be sent
    )

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise DeclarationInvalid(f"`{self.name}` is not a field name")
        if not self.dead_band >= 0:
            raise DeclarationInvalid(f"field `{self.name}`: a dead band of {self.dead_band}")
        if isinstance(self.type, str):
            object.__setattr__(self, "type", number_type(self.type))

    @property
    def number(self) -> NumberType:
        """The type, narrowed."""
        assert isinstance(self.type, NumberType)
        return self.type


@dataclass(frozen=True, slots=True)
class Argument:
    """One number of an event."""

    name: str
    type: NumberType


@dataclass(frozen=True, slots=True)
class Event:
    """One thing worth telling. Numbers are never reused; the text lives on the ground, only numbers travel.

    An argument is written `{name:u32}`; plain `{name}` is an f64. At most `burst` records go into the ring in any
    `period_s` seconds; what is held back is counted in the next record of the same event.
    """

    number: int  # 1..65535, unique in its component
    severity: Severity
    text: str
    burst: int = 10
    period_s: float = 1.0
    arguments: tuple[Argument, ...] = field(init=False)
    component: int = field(init=False, default=0, compare=False)  # set once, by the Component that lists the event

    UNLISTED: ClassVar[int] = 0

    def __post_init__(self) -> None:
        if not 1 <= self.number <= 0xFFFF:
            raise DeclarationInvalid(f"event number {self.number} is not in 1..65535")
        if self.burst < 1 or self.period_s <= 0:
            raise DeclarationInvalid(f"event {self.number}: burst and period_s must be positive")
        arguments = []
        for _, name, kind, _ in string.Formatter().parse(self.text):
            if name is None:
                continue
            if not _NAME.fullmatch(name):
                raise DeclarationInvalid(f"event {self.number}: `{name}` is not an argument name")
            arguments.append(Argument(name, number_type(kind or "f64")))
        if len({argument.name for argument in arguments}) != len(arguments) or len(arguments) > MAX_ARGUMENTS:
            raise DeclarationInvalid(f"event {self.number}: argument names repeat or are more than {MAX_ARGUMENTS}")
        object.__setattr__(self, "arguments", tuple(arguments))

    def say(self, values: Sequence[int | float]) -> str:
        """The text with its numbers, as a person reads it."""
        shown = {argument.name: _Shown(value) for argument, value in zip(self.arguments, values, strict=True)}
        return string.Formatter().vformat(self.text, (), shown)


@dataclass(frozen=True, slots=True)
class Component:
    """What a part of the flight software tells the ground: listed once, in flight/services/dictionary.py."""

    name: str
    number: int  # 1..255, unique on board
    events: tuple[Event, ...] = ()
    telemetry: tuple[Field, ...] = ()
    min_period_s: float = 1.0  # its telemetry packet is never sent more often than this
    max_period_s: float | None = None  # sent on change, and at least this often; None: sent every min_period_s

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or not 1 <= self.number <= 0xFF:
            raise DeclarationInvalid(f"component `{self.name}` number {self.number}: name or number cannot be used")
        if self.min_period_s <= 0:
            raise DeclarationInvalid(f"component `{self.name}`: min_period_s must be positive")
        if self.max_period_s is not None and not self.min_period_s <= self.max_period_s < math.inf:
            raise DeclarationInvalid(f"component `{self.name}`: max_period_s is below min_period_s or has no end")
        for label, names in (
            ("event numbers", [event.number for event in self.events]),
            ("field names", [entry.name for entry in self.telemetry]),
        ):
            if len(set(names)) != len(names):
                raise DeclarationInvalid(f"component `{self.name}`: {label} repeat")
        if len(self.telemetry) > MAX_FIELDS:
            raise DeclarationInvalid(f"component `{self.name}`: more than {MAX_FIELDS} fields")
        for event in self.events:
            if event.component not in (Event.UNLISTED, self.number):
                raise DeclarationInvalid(
                    f"event {event.number} of `{self.name}` belongs to component {event.component}"
                )
            object.__setattr__(event, "component", self.number)


def in_order(
    what: str, declared: Sequence[tuple[str, NumberType]], values: Mapping[str, Any]
) -> tuple[int | float, ...]:
    """`values` in declared order, each fitted to its type. Raises ValuesMismatch: wrong names, or not numbers."""
    names = [name for name, _ in declared]
    bad = [name for name in names if name in values and not isinstance(values[name], Real)]
    if bad or len(values) != len(names) or any(name not in values for name in names):
        raise ValuesMismatch(
            what, [name for name in names if name not in values], sorted(set(values) - set(names)), bad
        )
    return tuple(kind.fit(values[name]) for name, kind in declared)


class _Shown:
    """A number printed without its wire type: 12, 0.25."""

    def __init__(self, value: int | float) -> None:
        self._value = value

    def __format__(self, spec: str) -> str:
        return f"{self._value:.12g}" if isinstance(self._value, float) else str(self._value)
