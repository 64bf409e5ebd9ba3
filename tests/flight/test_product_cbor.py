"""The deterministic CBOR codec: against RFC 8949's examples, against cbor2, and against hostile octets."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flight.services.cbor import CborError, Tag, decode, encode

KEYS = st.one_of(st.integers(-(2**64), 2**64 - 1), st.text(max_size=8), st.binary(max_size=8))
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**64), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.binary(max_size=300),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=30), st.dictionaries(KEYS, inner, max_size=30)),
    max_leaves=25,
)

# RFC 8949, appendix A
EXAMPLES: list[tuple[Any, str]] = [
    (0, "00"),
    (23, "17"),
    (24, "1818"),
    (255, "18ff"),
    (256, "190100"),
    (1000, "1903e8"),
    (1000000, "1a000f4240"),
    (1000000000000, "1b000000e8d4a51000"),
    (18446744073709551615, "1bffffffffffffffff"),
    (-1, "20"),
    (-1000, "3903e7"),
    (-18446744073709551616, "3bffffffffffffffff"),
    (1.1, "fb3ff199999999999a"),
    (1.0e300, "fb7e37e43c8800759c"),
    (False, "f4"),
    (True, "f5"),
    (None, "f6"),
    (b"\x01\x02\x03\x04", "4401020304"),
    ("IETF", "6449455446"),
    ("\u00fc", "62c3bc"),
    ([1, [2, 3], [4, 5]], "8301820203820405"),
    ({}, "a0"),
    ({"a": 1, "b": [2, 3]}, "a26161016162820203"),
    (list(range(1, 26)), "98190102030405060708090a0b0c0d0e0f101112131415161718181819"),
]


@pytest.mark.parametrize(("value", "octets"), EXAMPLES)
def test_the_examples_of_the_standard_are_met_to_the_byte(value: Any, octets: str) -> None:
    assert encode(value).hex() == octets
    assert decode(bytes.fromhex(octets)) == value


@given(VALUES)
def test_a_value_comes_back_and_another_implementation_reads_it(value: Any) -> None:
    octets = encode(value)
    assert decode(octets, max_depth=64) == value
    assert cbor2.loads(octets) == value


@given(st.dictionaries(KEYS, st.integers(0, 9), max_size=20))
def test_map_keys_stand_in_the_order_of_their_encodings(value: dict[Any, int]) -> None:
    assert encode(value) == encode(dict(reversed(value.items())))
    keys = [encode(key) for key in decode(encode(value))]
    assert keys == sorted(keys)


@settings(max_examples=500)
@given(st.one_of(st.binary(max_size=60), VALUES.map(encode)), st.data())
def test_what_the_decoder_accepts_is_the_one_encoding_of_its_value(octets: bytes, data: st.DataObject) -> None:
    if octets and data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(octets) - 1))
        octets = octets[:at] + bytes((data.draw(st.integers(0, 255)),)) + octets[at + 1 :]
    try:
        value = decode(octets)
    except CborError:
        return
    assert encode(value) == octets


@pytest.mark.parametrize(
    ("octets", "wrong"),
    [
        ("", "nothing at all"),
        ("1817", "a small number in a long form"),
        ("1900ff", "one byte in two"),
        ("1b00000000ffffffff", "four bytes in eight"),
        ("5f42010243030405ff", "an indefinite byte string"),
        ("9fff", "an indefinite array"),
        ("bf6161019fff", "an indefinite map"),
        ("a2616201616101", "keys out of order"),
        ("a2616101616102", "a key twice"),
        ("a1f501", "a boolean key"),
        ("a18001", "an array as a key"),
        ("f97e00", "a half-precision number"),
        ("fa47c35000", "a single-precision number"),
        ("fb7ff8000000000000", "not a number"),
        ("fb7ff0000000000000", "infinity"),
        ("f7", "undefined"),
        ("f820", "a one-byte simple value"),
        ("62c328", "bad UTF-8"),
        ("c074323031332d30332d32315432303a30343a30305a", "a tag nobody allowed"),
        ("0000", "a second value"),
        ("9bffffffffffffffff", "an array of 2**64 - 1"),
        ("bbffffffffffffffff", "a map of 2**64 - 1"),
        ("5bffffffffffffffff", "a string of 2**64 - 1"),
        ("1c", "a reserved form"),
    ],
)
def test_what_is_not_deterministic_is_refused(octets: str, wrong: str) -> None:
    with pytest.raises(CborError):
        decode(bytes.fromhex(octets))


def test_depth_items_and_bytes_are_bounded() -> None:
    with pytest.raises(CborError, match="deeper"):
        decode(b"\x81" * 100_000 + b"\x00")
    with pytest.raises(CborError, match="limit"):
        decode(encode([0] * 11), max_items=11)
    assert decode(encode([0] * 11), max_items=12) == [0] * 11
    with pytest.raises(CborError, match="at most"):
        decode(encode(bytes(100)), max_bytes=100)


def test_an_allowed_tag_passes_and_no_other() -> None:
    octets = encode(Tag(18, [b"", {}]))
    assert octets.hex() == "d28240a0"
    assert decode(octets, tags={18}) == Tag(18, [b"", {}])
    with pytest.raises(CborError, match="tag 18"):
        decode(octets, tags={17})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**64, {1, 2}, {1.5: 0}, {True: 0}, "\ud800", object()])
def test_what_has_no_encoding_is_refused(value: Any) -> None:
    with pytest.raises(CborError):
        encode(value)
