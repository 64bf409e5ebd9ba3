"""The run-length code and the outlines of classes: against plain Python, rasterio and hostile octets."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from bindings.faults import BufferMismatch
from bindings.mask import RunCodeInvalid, decode_runs, encode_runs
from bindings.trace import label_runs, trace_polygons
from flight.product.errors import StripDamaged
from flight.product.mask import decode_strip, encode_strip

MAPS = npst.arrays(np.uint8, st.tuples(st.integers(1, 16), st.integers(1, 16)), elements=st.integers(0, 2))
BITS = npst.arrays(np.uint8, st.tuples(st.integers(1, 14), st.integers(1, 14)), elements=st.integers(0, 1))


def plain_runs(pixels: list[int]) -> bytes:
    """The code as bindings/csrc/decl/mask.h says it, in the plainest way."""
    out = bytearray()
    values: list[int] = []
    for value, group in groupby(pixels):
        named = not (len(values) >= 2 and values[-2] == value)
        token = 2 * (len(list(group)) - 1) + named
        while token > 127:
            out.append(token & 127 | 128)
            token >>= 7
        out.append(token)
        if named:
            out.append(value)
        values.append(value)
    return bytes(out)


def decoded(octets: bytes, pixels: int) -> list[int]:
    out = np.empty(pixels, np.uint8)
    decode_runs(octets, out, np.zeros(256, np.uint64))
    return [int(value) for value in out]


def test_an_example_is_met() -> None:
    pixels = np.array([0, 0, 0, 1, 1, 0, 255], np.uint8)
    assert encode_runs(pixels, np.zeros(256, np.uint64)).hex(" ") == "05 00 03 01 00 01 ff"


@given(st.lists(st.tuples(st.sampled_from([0, 1, 2, 255]), st.sampled_from([1, 2, 3, 63, 64, 65, 9000])), min_size=1))
def test_the_code_is_the_specified_one_and_comes_back_with_its_counts(runs: list[tuple[int, int]]) -> None:
    pixels = np.concatenate([np.full(length, value, np.uint8) for value, length in runs])
    counts, back = np.zeros(256, np.uint64), np.zeros(256, np.uint64)
    octets = encode_runs(pixels, counts)
    assert octets == plain_runs(pixels.tolist())
    out = np.empty_like(pixels)
    decode_runs(octets, out, back)
    assert (out == pixels).all()
    assert (counts == np.bincount(pixels, minlength=256)).all()
    assert (counts == back).all()


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from([0, 1, 2, 3, 5, 7, 0x80, 0x81, 0xFF]), max_size=24).map(bytes), st.integers(1, 40))
def test_octets_that_decode_are_the_one_encoding_of_what_they_decode_to(octets: bytes, pixels: int) -> None:
    try:
        found = decoded(octets, pixels)
    except RunCodeInvalid:
        return
    assert plain_runs(found) == octets


@pytest.mark.parametrize(
    ("octets", "pixels", "reason"),
    [
        ("", 1, "ends before"),
        ("01", 1, "ends before"),
        ("80", 1, "ends before"),
        ("0100", 2, "ends before"),
        ("8100" + "00", 1, "shortest"),
        ("ff" * 9 + "01" + "00", 1, "shortest"),
        ("0300", 1, "past the last"),
        ("ffffffffffffffff7f" + "00", 1 << 20, "past the last"),
        ("00", 1, "names or implies"),
        ("0100" + "0100", 2, "names or implies"),
        ("0100" + "0101" + "0100", 3, "names or implies"),
        ("0100" + "00", 2, "names or implies"),
        ("0100" + "00", 1, "goes on"),
    ],
)
def test_a_code_against_the_format_is_refused_with_its_reason(octets: str, pixels: int, reason: str) -> None:
    with pytest.raises(RunCodeInvalid, match=reason):
        decoded(bytes.fromhex(octets), pixels)


def test_a_map_that_is_not_contiguous_is_coded_as_it_is_seen() -> None:
    whole = np.arange(60, dtype=np.uint8).reshape(6, 10) % 3
    part = whole[1:5:2, 2:7]
    assert encode_runs(part, np.zeros(256, np.uint64)) == plain_runs(part.reshape(-1).tolist())
    with pytest.raises(BufferMismatch):
        decode_runs(b"", whole[:, ::2], np.zeros(256, np.uint64))


def test_a_strip_in_the_place_of_another_is_refused() -> None:
    rows = np.tril(np.ones((14, 15), np.uint8))
    octets, counts = encode_strip(3, rows)
    assert counts[0] == 105
    assert (decode_strip(octets, 3, 14, 15, 2).pixels == rows).all()
    for index, height, width, classes in (
        (2, 14, 15, 2),
        (3, 15, 15, 2),
        (3, 14, 15, 1),
    ):
        with pytest.raises(StripDamaged):
            decode_strip(octets, index, height, width, classes)
    with pytest.raises(StripDamaged, match="class value 2"):
        decode_strip(encode_strip(3, rows + 1)[0], 3, 14, 15, 2)


def closed(ring: np.ndarray) -> list[list[int]]:
    return [*ring.tolist(), ring[0].tolist()]


@settings(max_examples=120, deadline=None)
@given(BITS)
def test_polygons_filled_by_another_library_are_the_pixels_they_came_from(bits: np.ndarray) -> None:
    from rasterio.features import rasterize, shapes

    runs = label_runs(bits, 1)
    polygons = list(trace_polygons(bits, 1, runs))
    assert len(polygons) == sum(1 for _ in shapes(bits, mask=bits, connectivity=4))
    total = np.zeros(bits.shape, np.int64)
    for part, polygon in enumerate(polygons):
        shape = {"type": "Polygon", "coordinates": [closed(ring) for ring in (polygon.exterior, *polygon.holes)]}
        filled = rasterize([(shape, 1)], out_shape=bits.shape, dtype="uint8")
        assert int(filled.sum()) == int(runs.pixels()[part])
        total += filled
    assert (total == bits).all()


@settings(max_examples=120, deadline=None)
@given(BITS)
def test_no_ring_passes_a_corner_twice_or_has_a_corner_on_a_straight_part(bits: np.ndarray) -> None:
    for polygon in trace_polygons(bits, 1, label_runs(bits, 1)):
        for ring in (polygon.exterior, *polygon.holes):
            assert len(np.unique(ring, axis=0)) == len(ring)
            steps = np.roll(ring, -1, axis=0) - ring
            assert ((steps == 0).sum(axis=1) == 1).all(), "every edge runs along a row or a column"
            turns = steps * np.roll(steps, -1, axis=0)
            assert (turns == 0).all(), "every corner is a turn"


def test_parts_come_in_the_order_of_their_first_pixel_and_of_other_classes_nothing_comes() -> None:
    bits = np.array([[0, 1, 0, 2], [0, 0, 0, 2], [1, 1, 0, 2], [1, 0, 0, 2]], np.uint8)
    assert [polygon.exterior.tolist() for polygon in trace_polygons(bits, 1, label_runs(bits, 1))] == [
        [[1, 0], [2, 0], [2, 1], [1, 1]],
        [[0, 2], [2, 2], [2, 3], [1, 3], [1, 4], [0, 4]],
    ]
    assert list(trace_polygons(bits, 7, label_runs(bits, 7))) == []


def test_a_ring_with_more_corners_than_the_first_buffer_holds_is_traced_whole() -> None:
    bits = np.zeros((401, 401), np.uint8)
    bits[::2] = 1
    bits[:, 0] = 1
    bits[1::2, 1:400:4] = 0
    comb = np.zeros((200_003, 2), np.uint8)
    comb[::2] = 1
    comb[:, 0] = 1
    for each in (bits, comb):
        polygons = list(trace_polygons(each, 1, label_runs(each, 1)))
        assert len(polygons) == 1
        x, y = polygons[0].exterior.astype(np.int64).T
        assert (x @ np.roll(y, -1) - y @ np.roll(x, -1)) // 2 == int(each.sum())
    assert len(polygons[0].exterior) > 1 << 16


@settings(max_examples=100, deadline=None)
@given(MAPS, st.integers(0, 2))
def test_a_window_of_a_larger_map_is_traced_like_its_copy(window: np.ndarray, value: int) -> None:
    larger = np.full((window.shape[0] + 2, window.shape[1] + 5), value, np.uint8)
    larger[1:-1, 2:-3] = window
    view = larger[1:-1, 2:-3]
    one = [polygon.exterior.tolist() for polygon in trace_polygons(view, value, label_runs(view, value))]
    other = [polygon.exterior.tolist() for polygon in trace_polygons(window, value, label_runs(window, value))]
    assert one == other
