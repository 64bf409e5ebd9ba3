"""TIFF LZW of the C core against a decoder in plain Python: the same octets or the same refusal, for any input."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bindings.faults import BufferMismatch
from bindings.lzw import LzwInvalid, decode_lzw

pytestmark = pytest.mark.arm
CLEAR, END = 256, 257


def reference(octets: bytes, size: int) -> bytes | str:
    """TIFF 6.0 section 13 with a table of strings; the reason in words where it cannot go on."""
    if len(octets) >= 2 and octets[0] == 0 and octets[1] & 1:
        return "the bit-reversed form from before TIFF 6.0"
    literals = [bytes((value,)) for value in range(256)] + [b"", b""]
    table = literals.copy()
    made, previous = b"", b""
    bits = held = 0
    width = 9
    for octet in octets:
        held, bits = (held << 8) | octet, bits + 8
        if bits < width:
            continue
        bits -= width
        code, held = held >> bits, held & ((1 << bits) - 1)
        if code == CLEAR:
            table, width, previous = literals.copy(), 9, b""
            continue
        if code == END:
            break
        if not previous:
            if code > END:
                return "the first code is not a literal"
            entry = table[code]
        else:
            if code < len(table):
                entry = table[code]
            elif code == len(table):
                entry = previous + previous[:1]
            else:
                return f"code {code} is not in the table"
            if len(table) < 4096:
                table.append(previous + entry[:1])
                width += len(table) in (511, 1023, 2047)
        previous = entry
        made += entry
        if len(made) >= size:
            break
    return made[:size]


def decoded(octets: bytes, size: int) -> bytes | str:
    try:
        return decode_lzw(octets, size)
    except LzwInvalid as error:
        return error.reason


class Packer:
    """Codes into octets, each as wide as the decoder will expect it."""

    def __init__(self) -> None:
        self.bits, self.count = 0, 0
        self.width, self.free, self.fresh = 9, 258, True

    def put(self, code: int) -> None:
        self.bits = (self.bits << self.width) | (code & ((1 << self.width) - 1))
        self.count += self.width
        if code == CLEAR:
            self.width, self.free, self.fresh = 9, 258, True
        elif self.fresh:
            self.fresh = False
        elif self.free < 4096:
            self.free += 1
            self.width += self.free in (511, 1023, 2047)

    def octets(self) -> bytes:
        padding = -self.count % 8
        return (self.bits << padding).to_bytes((self.count + padding) // 8, "big")


def encode(data: bytes, clear_at: int = 4095) -> bytes:
    """As libtiff does: clear first, longest known string, clear before the table is full, end code."""
    packer = Packer()
    packer.put(CLEAR)
    known: dict[bytes, int] = {}
    start = 0
    while start < len(data):
        end = start + 1
        while end < len(data) and data[start : end + 1] in known:
            end += 1
        packer.put(known[data[start:end]] if end - start > 1 else data[start])
        known[data[start : end + 1]] = 258 + len(known)
        if 258 + len(known) == clear_at:
            packer.put(CLEAR)
            known = {}
        start = end
    packer.put(END)
    return packer.octets()


plain = st.one_of(
    st.binary(max_size=600),
    st.lists(st.tuples(st.integers(0, 255), st.integers(1, 300)), max_size=12).map(
        lambda runs: b"".join(bytes((value,)) * count for value, count in runs)
    ),
    st.tuples(st.binary(min_size=1, max_size=9), st.integers(1, 200)).map(lambda parts: parts[0] * parts[1]),
)


@settings(deadline=None)
@given(data=plain, clear_at=st.sampled_from([4095, 4095, 300, 512]))
def test_what_was_encoded_comes_back(data: bytes, clear_at: int) -> None:
    assert decode_lzw(encode(data, clear_at), len(data)) == data


def test_the_example_of_the_tiff_specification_comes_back() -> None:
    packer = Packer()
    for code in (256, 7, 258, 8, 8, 258, 6, 6, 257):  # TIFF 6.0, page 60
        packer.put(code)
    assert decode_lzw(packer.octets(), 99) == bytes((7, 7, 7, 8, 8, 7, 7, 6, 6))


@settings(max_examples=300, deadline=None)
@given(octets=st.binary(max_size=300), size=st.integers(1, 5000), lead=st.sampled_from([b"", b"\x80", b"\x80\x01"]))
def test_any_octets_give_what_the_reference_gives(octets: bytes, size: int, lead: bytes) -> None:
    assert decoded(lead + octets, size) == reference(lead + octets, size)


@settings(max_examples=200, deadline=None)
@given(
    data=plain,
    changes=st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=4),
    cut=st.integers(0, 30),
    size=st.integers(1, 3000),
)
def test_damaged_code_gives_what_the_reference_gives(data: bytes, changes: list, cut: int, size: int) -> None:
    octets = bytearray(encode(data))
    for place, value in changes:
        octets[place % len(octets)] = value
    octets = octets[: max(1, len(octets) - cut)]
    assert decoded(bytes(octets), size) == reference(bytes(octets), size)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 5000), jump=st.floats(0, 1), size=st.integers(1, 100_000))
def test_any_run_of_allowed_codes_gives_what_the_reference_gives(seed: int, count: int, jump: float, size: int) -> None:
    """Codes from the whole table, the one that is just being made included, on past a full table."""
    rng = np.random.default_rng(seed)
    packer = Packer()
    packer.put(CLEAR)
    for _ in range(count):
        draw = rng.random()
        if packer.fresh or draw < jump / 2:
            code = int(rng.integers(0, 256))
        elif draw < 0.9:
            code = int(rng.integers(258, packer.free + 1)) if packer.free > 258 else packer.free
        else:
            code = packer.free
        packer.put(min(code, 4095))
        if rng.random() < 0.0005:
            packer.put(CLEAR)
    octets = packer.octets()
    expected = reference(octets, size)
    assert isinstance(expected, bytes)
    assert decoded(octets, size) == expected


def test_a_table_that_is_full_and_never_cleared_goes_on_with_what_it_has() -> None:
    data = np.random.default_rng(3).integers(0, 7, 40_000, dtype=np.uint8).tobytes()
    packer, known, start = Packer(), {}, 0
    packer.put(CLEAR)
    while start < len(data):
        end = start + 1
        while end < len(data) and data[start : end + 1] in known:
            end += 1
        packer.put(known[data[start:end]] if end - start > 1 else data[start])
        if 258 + len(known) < 4095:
            known[data[start : end + 1]] = 258 + len(known)
        start = end
    assert packer.free == 4096
    octets = packer.octets()
    assert decode_lzw(octets, len(data)) == reference(octets, len(data)) == data


def test_the_last_code_of_the_table_keeps_its_string() -> None:
    packer = Packer()
    packer.put(CLEAR)
    for place in range(4096 - 258 + 1):
        packer.put(place % 251)
    assert packer.free == 4096
    for code in (4095, 65, 4095, 4094):
        packer.put(code)
    expected = bytes(place % 251 for place in range(3839))
    last, one_before = expected[3837:3839], expected[3836:3838]
    expected += last + b"A" + last + one_before
    assert decode_lzw(packer.octets(), 9999) == reference(packer.octets(), 9999) == expected


@pytest.mark.parametrize(
    ("codes", "reason"),
    [
        ((CLEAR, 258), "the first code is not a literal"),
        ((CLEAR, 65, CLEAR, 300), "the first code is not a literal"),
        ((CLEAR, 65, 259), "code 259 is not in the table"),
        ((CLEAR, 65, 66, 511), "code 511 is not in the table"),
    ],
)
def test_a_code_that_cannot_be_there_is_named(codes: tuple[int, ...], reason: str) -> None:
    packer = Packer()
    for code in codes:
        packer.put(code)
    with pytest.raises(LzwInvalid, match=reason) as caught:
        decode_lzw(packer.octets(), 100)
    assert caught.value.decoded_bytes == sum(code < CLEAR for code in codes)


def test_memory_goes_by_what_is_there_not_by_what_is_asked_for() -> None:
    tracemalloc.start()
    try:
        assert decode_lzw(encode(b"a"), 1 << 31) == b"a"
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize("octets", [b"", b"\x80", b"\x80\x40\x40"])
def test_nothing_and_the_end_code_alone_are_no_octets(octets: bytes) -> None:
    assert decode_lzw(octets, 10) == b""
    assert decode_lzw(encode(b"abc"), 0) == b""


def test_what_is_no_buffer_of_octets_is_refused() -> None:
    assert decode_lzw(memoryview(encode(b"abc")), 3) == decode_lzw(bytearray(encode(b"abc")), 3) == b"abc"
    with pytest.raises(BufferMismatch):
        decode_lzw("text", 3)  # type: ignore[arg-type]
