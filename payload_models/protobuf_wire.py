"""A bounded reader of the protobuf wire format: just enough to look into an ONNX file that nobody trusts yet.

Stricter than protobuf asks: every field must be known, of its declared wire type, and a singular field may appear
once. What this reader and another one would understand differently is refused. Nothing recurses without the schema
saying so, and one budget bounds the fields of a whole file.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeAlias

from payload_models.errors import GraphRefused

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
MAX_FIELDS = 400_000


class Kind(IntEnum):
    """How the octets of a field are read."""

    INT = 1  # varint, signed 64 bits
    FLOAT = 2  # fixed 32 bits
    TEXT = 3  # UTF-8
    OCTETS = 4
    DOUBLE = 5  # fixed 64 bits
    MESSAGE = 6
    REFUSED = 7  # legal in the format, never on board


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message. `reason` is the refusal's code where the kind is REFUSED."""

    name: str
    kind: Kind
    repeated: bool = False
    message: Mapping[int, Field] | None = None
    reason: str = ""


Message: TypeAlias = "Mapping[int, Field]"
WIRE_TYPE = {
    Kind.INT: VARINT,
    Kind.FLOAT: FIXED32,
    Kind.DOUBLE: FIXED64,
    Kind.TEXT: LENGTH,
    Kind.OCTETS: LENGTH,
    Kind.MESSAGE: LENGTH,
}
PACKABLE = (Kind.INT, Kind.FLOAT, Kind.DOUBLE)


class Reader:
    """Reads one file. `fields` counts down over all of its messages."""

    def __init__(self, max_fields: int = MAX_FIELDS) -> None:
        self.fields = max_fields

    def read(self, octets: memoryview, schema: Message) -> dict[str, Any]:
        """The fields of one message by name; repeated ones as lists. Raises GraphRefused."""
        found: dict[str, Any] = {}
        position, end = 0, len(octets)
        while position < end:
            self.fields -= 1
            if self.fields < 0:
                raise GraphRefused("too_many_fields", "more fields than a graph of this size can need")
            tag, position = self._varint(octets, position)
            number, wire = tag >> 3, tag & 7
            field = schema.get(number)
            if field is None:
                raise GraphRefused("unknown_field", f"field {number} is not part of the format")
            if field.kind is Kind.REFUSED:
                raise GraphRefused(field.reason, f"field `{field.name}` is used")
            position = self._field(octets, position, wire, field, found)
        return found

    def _field(self, octets: memoryview, position: int, wire: int, field: Field, found: dict[str, Any]) -> int:
        packed = wire == LENGTH and field.repeated and field.kind in PACKABLE
        if wire != WIRE_TYPE[field.kind] and not packed:
            raise GraphRefused("malformed", f"field `{field.name}` has wire type {wire}")
        if packed:
            part, position = self._slice(octets, position)
            found.setdefault(field.name, []).extend(self._packed(part, field.kind))
            return position
        value, position = self._value(octets, position, field)
        if field.repeated:
            found.setdefault(field.name, []).append(value)
        elif field.name in found:
            raise GraphRefused("duplicate_field", f"field `{field.name}` appears twice")
        else:
            found[field.name] = value
        return position

    def _value(self, octets: memoryview, position: int, field: Field) -> tuple[Any, int]:
        if field.kind is Kind.INT:
            value, position = self._varint(octets, position)
            return _signed(value), position
        if field.kind in (Kind.FLOAT, Kind.DOUBLE):
            size = 4 if field.kind is Kind.FLOAT else 8
            if position + size > len(octets):
                raise GraphRefused("truncated", f"field `{field.name}` ends early")
            code = "<f" if size == 4 else "<d"
            return struct.unpack(code, octets[position : position + size])[0], position + size
        part, position = self._slice(octets, position)
        if field.kind is Kind.OCTETS:
            return part, position
        if field.kind is Kind.TEXT:
            try:
                return bytes(part).decode("utf-8"), position
            except UnicodeDecodeError as error:
                raise GraphRefused("malformed", f"field `{field.name}` is not UTF-8") from error
        assert field.message is not None
        return self.read(part, field.message), position

    def _packed(self, part: memoryview, kind: Kind) -> list[Any]:
        if kind is Kind.INT:
            values, position = [], 0
            while position < len(part):
                self.fields -= 1
                if self.fields < 0:
                    raise GraphRefused("too_many_fields", "more numbers than a graph of this size can need")
                value, position = self._varint(part, position)
                values.append(_signed(value))
            return values
        size = 4 if kind is Kind.FLOAT else 8
        count, rest = divmod(len(part), size)
        self.fields -= count
        if rest or self.fields < 0:
            raise GraphRefused("malformed", "a packed list ends in the middle of a number, or is too long")
        return list(struct.unpack(f"<{count}{'f' if size == 4 else 'd'}", part))

    def _slice(self, octets: memoryview, position: int) -> tuple[memoryview, int]:
        length, position = self._varint(octets, position)
        if length > len(octets) - position:
            raise GraphRefused("truncated", f"{length} octets announced, {len(octets) - position} left")
        return octets[position : position + length], position + length

    @staticmethod
    def _varint(octets: memoryview, position: int) -> tuple[int, int]:
        value = shift = 0
        while shift < 70:
            if position >= len(octets):
                raise GraphRefused("truncated", "ends in the middle of a number")
            octet = octets[position]
            position += 1
            value |= (octet & 0x7F) << shift
            if octet < 0x80:
                if value >= 1 << 64:
                    raise GraphRefused("malformed", "a number has more than 64 bits")
                return value, position
            shift += 7
        raise GraphRefused("malformed", "a number has more than ten octets")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value
