"""Deterministic CBOR (RFC 8949, 4.2.1) and a strict, bounded decoder that believes nothing.

One value has one encoding here and one encoding has one value: integers and lengths in their shortest form, definite
lengths, map keys unique and in the bytewise order of their encodings. Floating-point numbers always take float64 (the
choice RFC 8949 4.2.2 leaves to the application), so a number's size does not depend on its value; NaN and the
infinities are refused. What `decode` accepts, `encode` gives back to the byte.

Values: None, bool, int (-2**64 .. 2**64 - 1), float, bytes, str, list or tuple, dict with int, str or bytes keys, Tag.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from flight.errors import FlightError

MAX_DEPTH = 12
MAX_ITEMS = 65_536
MAX_BYTES = 1 << 20

_UINT, _NINT, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_FALSE, _TRUE, _NULL, _FLOAT64 = 20, 21, 22, 27
_INT_END = 1 << 64
_SMALL = tuple(bytes((item,)) if item < 24 else bytes((24, item)) for item in range(256))  # encodings of 0 .. 255


class CborError(FlightError, ValueError):
    """A value that cannot be encoded, or octets that are not the one encoding of a bounded value."""

    code = "cbor_invalid"

    def __init__(self, reason: str, offset: int = 0) -> None:
        super().__init__(f"CBOR at byte {offset}: {reason}")
        self.reason, self.offset = reason, offset


@dataclass(frozen=True, slots=True)
class Tag:
    """A tagged value (RFC 8949, 3.4)."""

    number: int
    value: Any


def encode(value: Any) -> bytes:
    """The one encoding of `value`. Raises CborError for what has none.

    >>> encode({"b": 1, "a": [1, 2.5]}).hex()
    'a261618201fb4004000000000000616201'
    """
    out = bytearray()
    _write(out, value, 0)
    return bytes(out)


def decode(
    octets: bytes,
    *,
    max_depth: int = MAX_DEPTH,
    max_items: int = MAX_ITEMS,
    max_bytes: int = MAX_BYTES,
    tags: AbstractSet[int] = frozenset(),
) -> Any:
    """The value that `octets` are the encoding of: all of them, nothing behind.

    max_depth: nesting of arrays, maps and tags; max_items: values of any kind, keys included; max_bytes: whole input;
    tags: the tag numbers allowed. Raises CborError, never anything else, whatever the input.

    >>> decode(bytes.fromhex("a261618201fb4004000000000000616201"))
    {'a': [1, 2.5], 'b': 1}
    """
    octets = bytes(octets)
    if len(octets) > max_bytes:
        raise CborError(f"{len(octets)} bytes where at most {max_bytes} are taken")
    reader = _Reader(octets, max_depth, max_items, tags)
    value = reader.value(0)
    if reader.at != len(octets):
        raise CborError(f"{len(octets) - reader.at} bytes behind the value", reader.at)
    return value


def _write(out: bytearray, value: Any, depth: int) -> None:
    if depth > 64:
        raise CborError("nested too deeply", len(out))
    if value is None:
        out.append(_SIMPLE << 5 | _NULL)
    elif isinstance(value, bool):
        out.append(_SIMPLE << 5 | (_TRUE if value else _FALSE))
    elif isinstance(value, int):
        _write_int(out, int(value))
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise CborError(f"{value} has no place in a message", len(out))
        out.append(_SIMPLE << 5 | _FLOAT64)
        out += struct.pack(">d", value)
    elif isinstance(value, (bytes, bytearray, memoryview)):
        content = bytes(value)
        _write_head(out, _BYTES, len(content))
        out += content
    elif isinstance(value, str):
        try:
            content = value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise CborError("text with a lone surrogate", len(out)) from error
        _write_head(out, _TEXT, len(content))
        out += content
    elif isinstance(value, (list, tuple)):
        _write_head(out, _ARRAY, len(value))
        for item in value:
            # columns of small integers are most of a product's tail, which is made inside a frame
            if type(item) is int and 0 <= item < 1 << 16:
                out += _SMALL[item] if item < 1 << 8 else b"\x19" + item.to_bytes(2, "big")
            else:
                _write(out, item, depth + 1)
    elif isinstance(value, dict):
        _write_map(out, value, depth)
    elif isinstance(value, Tag):
        if not 0 <= value.number < _INT_END:
            raise CborError(f"tag {value.number} is out of range", len(out))
        _write_head(out, _TAG, value.number)
        _write(out, value.value, depth + 1)
    else:
        raise CborError(f"a {type(value).__name__} has no encoding", len(out))


def _write_map(out: bytearray, value: dict[Any, Any], depth: int) -> None:
    entries: list[tuple[bytes, Any]] = []
    for key, item in value.items():
        if isinstance(key, bool) or not isinstance(key, (int, str, bytes)):
            raise CborError(f"a {type(key).__name__} as a map key", len(out))
        encoded = bytearray()
        _write(encoded, key, depth + 1)
        entries.append((bytes(encoded), item))
    entries.sort(key=lambda entry: entry[0])
    _write_head(out, _MAP, len(entries))
    for encoded_key, item in entries:
        out += encoded_key
        _write(out, item, depth + 1)


def _write_int(out: bytearray, value: int) -> None:
    if not -_INT_END <= value < _INT_END:
        raise CborError(f"the integer {value:#x} needs more than 64 bits", len(out))
    if value >= 0:
        _write_head(out, _UINT, value)
    else:
        _write_head(out, _NINT, -1 - value)


def _write_head(out: bytearray, major: int, argument: int) -> None:
    if argument < 24:
        out.append(major << 5 | argument)
    elif argument < 1 << 8:
        out += bytes((major << 5 | 24, argument))
    elif argument < 1 << 16:
        out += struct.pack(">BH", major << 5 | 25, argument)
    elif argument < 1 << 32:
        out += struct.pack(">BI", major << 5 | 26, argument)
    else:
        out += struct.pack(">BQ", major << 5 | 27, argument)


class _Reader:
    """One pass over the octets; nothing is allocated for a length before the octets behind it are known to be there."""

    def __init__(self, octets: bytes, max_depth: int, max_items: int, tags: AbstractSet[int]) -> None:
        self.octets, self.at = octets, 0
        self._depth_limit, self._items_left, self._tags = max_depth, max_items, tags

    def value(self, depth: int) -> Any:
        start = self.at
        if depth > self._depth_limit:
            raise CborError(f"nested deeper than {self._depth_limit}", start)
        if self._items_left <= 0:
            raise CborError("more values than the limit", start)
        self._items_left -= 1
        first = self._take(1)[0]
        major, info = first >> 5, first & 0x1F
        if major == _SIMPLE:
            return self._simple(info, start)
        argument = self._argument(info, start)
        if major == _UINT:
            return argument
        if major == _NINT:
            return -1 - argument
        if major == _BYTES:
            return self._take(argument)
        if major == _TEXT:
            try:
                return self._take(argument).decode("utf-8")
            except UnicodeDecodeError as error:
                raise CborError("text that is not UTF-8", start) from error
        if major == _TAG:
            if argument not in self._tags:
                raise CborError(f"tag {argument} is not allowed here", start)
            return Tag(argument, self.value(depth + 1))
        self._check_count(argument * (2 if major == _MAP else 1), start)
        if major == _ARRAY:
            return self._array(argument, depth)
        return self._map(argument, depth)

    def _array(self, count: int, depth: int) -> list[Any]:
        """As value() for each item; small integers in their shortest form are read in place."""
        items: list[Any] = []
        octets, end = self.octets, len(self.octets)
        for _ in range(count):
            at, size, item = self.at, 0, 0
            if at + 3 <= end and self._items_left > 0 and depth < self._depth_limit:
                item = octets[at]
                if item < 24:
                    size = 1
                elif item == 24 and octets[at + 1] >= 24:
                    size, item = 2, octets[at + 1]
                elif item == 25 and octets[at + 1]:
                    size, item = 3, octets[at + 1] << 8 | octets[at + 2]
            if size:
                self.at = at + size
                self._items_left -= 1
                items.append(item)
            else:
                items.append(self.value(depth + 1))
        return items

    def _map(self, count: int, depth: int) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        last = b""
        for _ in range(count):
            start = self.at
            key = self.value(depth + 1)
            if isinstance(key, bool) or not isinstance(key, (int, str, bytes)):
                raise CborError(f"a {type(key).__name__} as a map key", start)
            encoded = self.octets[start : self.at]
            if encoded <= last:
                raise CborError("map keys out of order or repeated", start)
            last = encoded
            found[key] = self.value(depth + 1)
        return found

    def _simple(self, info: int, start: int) -> Any:
        if info == _NULL:
            return None
        if info in (_FALSE, _TRUE):
            return info == _TRUE
        if info == _FLOAT64:
            number: float = struct.unpack(">d", self._take(8))[0]
            if not math.isfinite(number):
                raise CborError("a number that is not finite", start)
            return number
        raise CborError(f"simple value or float width {info} is not taken", start)

    def _argument(self, info: int, start: int) -> int:
        if info < 24:
            return info
        if info > 27:
            raise CborError("an indefinite length or a reserved form", start)
        size: int = 1 << (info - 24)
        argument = int.from_bytes(self._take(size), "big")
        if argument < (24 if size == 1 else 1 << (4 * size)):
            raise CborError(f"{argument} is not in its shortest form", start)
        return argument

    def _check_count(self, values: int, start: int) -> None:
        """Every value takes at least one octet: a count that cannot be met is refused before any is read."""
        left = len(self.octets) - self.at
        if values > left:
            raise CborError(f"{values} values announced, {left} bytes left", start)
        if values > self._items_left:
            raise CborError("more values than the limit", start)

    def _take(self, count: int) -> bytes:
        left = len(self.octets) - self.at
        if count > left:
            raise CborError(f"cut short: {count} bytes needed, {left} left", self.at)
        taken = self.octets[self.at : self.at + count]
        self.at += count
        return taken
