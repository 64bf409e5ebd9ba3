"""A path table is taken whole or not at all, and holds no path that leads elsewhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bindings.crc import crc32c
from flight.services.path_table import (
    MAX_OCTETS,
    MAX_SLOTS,
    PathTableReason,
    PathTableRefused,
    pack_paths,
    path_crc,
    unpack_paths,
)
from flight.services.rooted import PathReason

PLAIN = st.text("abcXYZ019._-", min_size=1, max_size=20).filter(lambda name: name not in (".", ".."))
PATHS = st.lists(PLAIN, min_size=1, max_size=8).map("/".join)
TABLES = st.dictionaries(st.integers(1, MAX_SLOTS), PATHS, max_size=8)


def sealed(body: bytes) -> bytes:
    return body + crc32c(body).to_bytes(4, "big")


def entry(slot: int, path: bytes) -> bytes:
    return bytes([slot]) + len(path).to_bytes(2, "big") + path


@pytest.mark.parametrize(
    ("octets", "reason", "slot"),
    [
        (b"", PathTableReason.SIZE, 0),
        (bytes(MAX_OCTETS + 1), PathTableReason.SIZE, 0),
        (sealed(b"SWPX\x01\x00"), PathTableReason.MAGIC, 0),
        (sealed(b"SWPT\x02\x00"), PathTableReason.FORMAT, 0),
        (sealed(b"SWPT\x01\x01"), PathTableReason.SIZE, 0),
        (sealed(b"SWPT\x01\x00a"), PathTableReason.SIZE, 0),
        (sealed(b"SWPT\x01\x01" + entry(0, b"a")), PathTableReason.SLOT, 0),
        (sealed(b"SWPT\x01\x01" + entry(33, b"a")), PathTableReason.SLOT, 33),
        (sealed(b"SWPT\x01\x02" + entry(2, b"a") + entry(2, b"b")), PathTableReason.SLOT, 2),
        (sealed(b"SWPT\x01\x01" + entry(1, b"abc")[:-1]), PathTableReason.SIZE, 1),
        (sealed(b"SWPT\x01\x01" + entry(1, b"")), PathReason.EMPTY, 1),
        (sealed(b"SWPT\x01\x01" + entry(7, b"a/../b")), PathReason.DOTS, 7),
        (sealed(b"SWPT\x01\x01" + entry(7, b"/etc")), PathReason.ABSOLUTE, 7),
        (sealed(b"SWPT\x01\x01" + entry(7, b"a\0")), PathReason.CHARACTER, 7),
        (sealed(b"SWPT\x01\x01" + entry(7, b"~copy")), PathReason.CHARACTER, 7),
        (sealed(b"SWPT\x01\x01" + entry(7, b"a b")), PathReason.CHARACTER, 7),
        (sealed(b"SWPT\x01\x01" + entry(7, b"a\n")), PathReason.CHARACTER, 7),
        (sealed(b"SWPT\x01\x01" + entry(7, b"a" * 65)), PathReason.NAME_TOO_LONG, 7),
        (sealed(b"SWPT\x01\x01" + entry(7, b"/".join([b"a"] * 9))), PathReason.TOO_DEEP, 7),
        (sealed(b"SWPT\x01\x01" + entry(7, "é".encode())), PathTableReason.NOT_ASCII, 7),
    ],
)
def test_what_is_no_path_table_is_refused_with_slot_and_reason(octets: bytes, reason: int, slot: int) -> None:
    with pytest.raises(PathTableRefused) as refused:
        unpack_paths(octets)
    assert (refused.value.reason, refused.value.slot) == (reason, slot)


@given(TABLES)
def test_a_table_comes_out_as_it_went_in(paths: dict[int, str]) -> None:
    assert unpack_paths(pack_paths(paths)) == paths


@given(TABLES, st.data())
def test_a_flipped_bit_anywhere_is_refused(paths: dict[int, str], data: st.DataObject) -> None:
    octets = bytearray(pack_paths(paths))
    octets[data.draw(st.integers(0, len(octets) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(PathTableRefused):
        unpack_paths(bytes(octets))


@given(st.binary(max_size=200))
def test_no_octets_raise_anything_else(body: bytes) -> None:
    for octets in (body, sealed(body), sealed(b"SWPT\x01" + body)):
        try:
            paths = unpack_paths(octets)
        except PathTableRefused:
            continue
        assert pack_paths(paths) == octets


@pytest.mark.parametrize("paths", [{0: "a"}, {33: "a"}, {300: "a"}, {1: ""}, {1: "é"}, {1: "a/../b"}])
def test_a_table_that_would_be_refused_is_not_made(paths: dict[int, str]) -> None:
    with pytest.raises(PathTableRefused):
        pack_paths(paths)


def test_the_sum_of_two_paths_is_not_that_of_others_that_read_the_same() -> None:
    assert len({path_crc("a", "bc"), path_crc("ab", "c"), path_crc("abc"), path_crc("bc", "a")}) == 4
