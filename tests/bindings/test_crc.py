"""The checks against the standard library, published values, and a bit-by-bit division."""

from __future__ import annotations

import binascii
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bindings.crc import crc16_ccitt, crc32c
from bindings.faults import BufferMismatch

pytestmark = pytest.mark.arm


@given(st.binary(max_size=300), st.integers(0, 0xFFFF))
def test_crc16_equals_the_standard_library(data: bytes, value: int) -> None:
    assert crc16_ccitt(data, value) == binascii.crc_hqx(data, value)
    assert crc16_ccitt(data) == binascii.crc_hqx(data, 0xFFFF)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),  # this and the next three: RFC 3720, B.4
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_crc32c_gives_the_published_values(data: bytes, expected: int) -> None:
    assert crc32c(data) == expected


@given(st.binary(max_size=200))
def test_crc32c_equals_division_bit_by_bit(data: bytes) -> None:
    value = 0xFFFFFFFF
    for octet in data:
        value ^= octet
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    assert crc32c(data) == value ^ 0xFFFFFFFF


@given(st.binary(max_size=200), st.integers(0, 200))
def test_a_check_goes_on_where_it_was_left(data: bytes, at: int) -> None:
    assert crc32c(data[at:], crc32c(data[:at])) == crc32c(data)
    assert crc16_ccitt(data[at:], crc16_ccitt(data[:at])) == crc16_ccitt(data)


@given(st.integers(0, 40), st.integers(0, 11_000), st.integers(0, 2**32 - 1))
def test_the_check_of_long_data_is_that_of_its_octets_in_turn(at: int, count: int, value: int) -> None:
    """Long data is taken in lanes side by side, short data octet by octet."""
    data = (np.arange(at + count, dtype=np.uint64) * np.uint64(2654435761) >> np.uint64(7)).astype(np.uint8)[at:]
    expected = value
    for first in range(0, count, 7):
        expected = crc32c(data[first : first + 7], expected)
    assert crc32c(data, value) == expected


def test_any_contiguous_buffer_will_do_and_no_other() -> None:
    data = np.arange(64, dtype=np.uint16)
    octets = data.tobytes()
    assert crc32c(data) == crc32c(memoryview(octets)) == crc32c(bytearray(octets)) == crc32c(octets)
    refused: tuple[Any, ...] = (data[::2], "text", 5, None)
    for wrong in refused:
        with pytest.raises(BufferMismatch):
            crc32c(wrong)
        with pytest.raises(BufferMismatch):
            crc16_ccitt(wrong)
