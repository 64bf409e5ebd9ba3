"""The vector section: every content comes back, in one order, from one encoding; any other octets are refused."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bindings.vectors import DETECTION, PLACE_MAX
from flight.product.errors import ProductError, ProductTooLarge
from flight.product.vectors import (
    NO_DETECTIONS,
    NO_POLYGONS,
    Detections,
    Polygons,
    VectorLimits,
    VectorsDamaged,
    VectorsRefused,
    decode_vectors,
    encode_vectors,
)
from tests.flight.product import independent_vectors
from tests.flight.product.vector_cases import EXAMPLE, SECTIONS, contents
from tests.flight.product.vector_cases import plain as as_json
from tests.shared_data import ROOT

Ring = list[tuple[int, int]]
Shape = tuple[int, list[Ring]]


def doubled_area(ring: Ring) -> int:
    return sum(ax * by - bx * ay for (ax, ay), (bx, by) in zip(ring, ring[1:] + ring[:1], strict=True))


def one_form(ring: Ring) -> Ring:
    """Clockwise on screen; the least of its rotations by (y, x)."""
    if doubled_area(ring) < 0:
        ring = ring[::-1]
    return min((ring[i:] + ring[:i] for i in range(len(ring))), key=lambda r: [(y, x) for x, y in r])


def ring_key(ring: Ring) -> tuple[Any, ...]:
    return ring[0][1], ring[0][0], len(ring), [(y, x) for x, y in ring]


def in_order(shapes: list[Shape]) -> list[Shape]:
    """The canonical form by its definition, in plain Python."""
    formed = []
    for value, rings in shapes:
        exterior, *holes = map(one_form, rings)
        formed.append((value, [exterior, *sorted(holes, key=ring_key)]))
    return sorted(
        formed, key=lambda s: (s[0], s[1][0][0][1], s[1][0][0][0], len(s[1]), [ring_key(r)[2:] for r in s[1]])
    )


def columns(shapes: Sequence[Shape]) -> Polygons:
    return Polygons.of((value, [np.array(ring, np.int32) for ring in rings]) for value, rings in shapes)


def plain(polygons: Polygons) -> list[Shape]:
    return [
        (int(value), [[(x, y) for x, y in ring.tolist()] for ring in rings])
        for value, rings in zip(polygons.classes, polygons.rings(), strict=True)
    ]


def table(rows: list[tuple[int, ...]]) -> Detections:
    return Detections(np.array(rows, DETECTION))


def is_ring(ring: Ring) -> bool:
    return doubled_area(ring) != 0 and all(a != b for a, b in zip(ring, ring[1:] + ring[:1], strict=True))


places = st.integers(-40, 40) | st.sampled_from([-PLACE_MAX, PLACE_MAX, 0]) | st.integers(-PLACE_MAX, PLACE_MAX)
ring_lists = st.lists(st.tuples(places, places), min_size=3, max_size=12).filter(is_ring)
close_rings = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=3, max_size=7).filter(is_ring)
shape_lists = st.lists(
    st.tuples(st.integers(0, 255) | st.integers(0, 2), st.lists(ring_lists | close_rings, min_size=1, max_size=4)),
    max_size=8,
)
sizes = st.integers(0, 200) | st.sampled_from([0, PLACE_MAX])
rows = st.lists(
    st.tuples(st.integers(0, 255) | st.integers(0, 2), places, places, sizes, sizes, st.integers(0, 255)), max_size=12
)


@settings(max_examples=120, deadline=None)
@given(found=rows, shapes=shape_lists, unit=st.sampled_from([1, 2, 4]), shuffle=st.integers(0, 2**32))
def test_what_is_encoded_comes_back_in_its_one_form(
    found: list[tuple[int, ...]], shapes: list[Shape], unit: int, shuffle: int
) -> None:
    if unit > 1:
        fit = PLACE_MAX // 4 * 4
        shapes = [
            (value, [[(max(-fit, min(fit, x * unit)) // unit * unit, y // unit * unit) for x, y in r] for r in rings])
            for value, rings in shapes
        ]
        shapes = [shape for shape in shapes if all(map(is_ring, shape[1]))]
    octets = encode_vectors(table(found), columns(shapes))
    detections, polygons = decode_vectors(octets)
    assert [tuple(row) for row in detections.table.tolist()] == sorted(found)
    assert plain(polygons) == in_order(shapes)
    chance = random.Random(shuffle)
    chance.shuffle(found)
    chance.shuffle(shapes)
    turned = []
    for value, rings in shapes:
        exterior, *holes = (r[(k := chance.randrange(len(r))) :] + r[:k] for r in rings)
        chance.shuffle(holes)
        turned.append((value, [r[::-1] if chance.random() < 0.5 else r for r in (exterior, *holes)]))
    assert encode_vectors(table(found), columns(turned)) == octets


def test_nothing_takes_six_octets() -> None:
    octets = encode_vectors(NO_DETECTIONS, NO_POLYGONS)
    assert octets == bytes((1, 0, 0, 0, 0, 0))
    detections, polygons = decode_vectors(octets)
    assert len(detections) == len(polygons) == 0 and polygons.rings() == []


def test_very_regular_content_stays_within_what_a_decoder_takes_for_so_few_octets() -> None:
    squares = Polygons.of((7, [np.array(SQUARE) + np.array([0, 8 * i])]) for i in range(20_000))
    _, polygons = decode_vectors(encode_vectors(NO_DETECTIONS, squares))
    assert len(polygons) == 20_000
    equal = table([(0, 0, 0, 0, 0, 0)] * 20_000)
    assert len(decode_vectors(encode_vectors(equal, NO_POLYGONS))[0]) == 20_000
    comb = [(4 * (i // 2), 0 if i % 4 in (0, 3) else 4) for i in range(40_000)] + [(80_000, 80), (0, 80)]
    assert len(decode_vectors(encode_vectors(NO_DETECTIONS, columns([(0, [comb])])))[1].vertices) == 40_002


def some_octets() -> bytes:
    rng = np.random.default_rng(5)
    found = [tuple(int(v) for v in rng.integers(0, 200, 6)) for _ in range(30)]
    shapes: list[Shape] = []
    for _ in range(20):
        corner = rng.integers(0, 5000, 2)
        ring = [(int(corner[0] + x), int(corner[1] + y)) for x, y in [(0, 0), (40, 3), (55, 44), (9, 60), (-8, 20)]]
        hole = [(int(corner[0] + x), int(corner[1] + y)) for x, y in [(10, 10), (20, 12), (15, 30)]]
        shapes.append((int(rng.integers(0, 3)), [ring, hole] if rng.random() < 0.5 else [ring]))
    return encode_vectors(table(found), columns(shapes))


def test_every_cut_and_every_octet_behind_is_told_with_its_place() -> None:
    octets = some_octets()
    for length in range(len(octets)):
        with pytest.raises(VectorsDamaged) as told:
            decode_vectors(octets[:length])
        assert 0 <= told.value.offset <= length
    for more in (b"\0", b"\xff", b"\0\0\0\0\0"):
        with pytest.raises(VectorsDamaged):
            decode_vectors(octets + more)


def test_every_changed_octet_is_refused_or_is_the_one_encoding_of_something_else() -> None:
    octets = some_octets()
    others = 0
    for index in range(len(octets)):
        for flip in (1, 0x80, 0xFF):
            changed = octets[:index] + bytes((octets[index] ^ flip,)) + octets[index + 1 :]
            try:
                content = decode_vectors(changed)
            except (VectorsDamaged, ProductTooLarge):
                continue
            others += 1
            assert encode_vectors(*content) == changed
    assert others < 3 * len(octets)


@settings(max_examples=300, deadline=None)
@given(
    head=st.lists(st.integers(0, 12), min_size=4, max_size=4), payload=st.binary(max_size=60), units=st.integers(0, 15)
)
def test_any_octets_decode_to_what_encodes_to_them_or_are_refused(head: list[int], payload: bytes, units: int) -> None:
    octets = bytes((1, units, *head)) + payload
    try:
        content = decode_vectors(octets)
    except VectorsDamaged:
        return
    assert encode_vectors(*content) == octets


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_random_octets_are_never_taken_for_something_they_do_not_encode(octets: bytes) -> None:
    try:
        content = decode_vectors(octets)
    except (VectorsDamaged, ProductTooLarge):
        return
    assert encode_vectors(*content) == octets


def test_counts_that_the_octets_cannot_hold_are_refused_before_anything_is_allocated() -> None:
    huge = b"\xff\xff\xff\xff\x07"
    for counts in (huge + b"\0\0\0", b"\0\1\1" + huge, b"\0" + huge * 3):
        with pytest.raises(VectorsDamaged):
            decode_vectors(bytes((1, 0)) + counts + bytes(40))
    with pytest.raises(ProductTooLarge) as told:
        decode_vectors(some_octets(), VectorLimits(detections=29))
    assert (told.value.value, told.value.limit) == (30, 29)
    for limits in (VectorLimits(polygons=19), VectorLimits(vertices=100)):
        with pytest.raises(ProductTooLarge):
            decode_vectors(some_octets(), limits)


@pytest.mark.parametrize(
    "octets",
    [b"", b"\1", b"\2\0\0\0\0\0", b"\1\0\0\0\0\0\0",
     b"\1\3\0\0\0\0", b"\1\20\0\0\0\0", b"\1\1\0\0\0\0", b"\1\0\x80\0\0\0\0",
     b"\1\0\0\0\1\3\0", b"\1\0\0\1\1\2\0\0\0", b"\1\0\x80\x80\x80\x80\x80\1\0\0\0"],
)  # fmt: skip
def test_a_head_that_is_not_canonical_is_refused(octets: bytes) -> None:
    with pytest.raises(VectorsDamaged) as told:
        decode_vectors(octets)
    assert told.value.code == "vectors_damaged"
    assert isinstance(told.value, ProductError)
    assert isinstance(told.value, ValueError)


SQUARE = [(0, 0), (4, 0), (4, 4), (0, 4)]


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ([(0, [[(0, 0), (4, 0)]])], "3 or more"),
        ([(0, [[(0, 0), (4, 0), (8, 0)]])], "encloses nothing"),
        ([(0, [[(0, 0), (4, 0), (4, 0), (0, 4)]])], "twice in a row"),
        ([(0, [[(0, 0), (4, 0), (0, 4), (0, 0)]])], "twice in a row"),
        ([(0, [SQUARE, [(0, 0), (PLACE_MAX + 1, 0), (4, 4)]])], "within"),
        ([(256, [SQUARE])], "class"),
        ([(-1, [SQUARE])], "class"),
        ([(0, [])], "one or more"),
    ],
)
def test_polygons_that_are_none_are_refused_by_name(shapes: list[Shape], words: str) -> None:
    with pytest.raises(VectorsRefused, match=words):
        encode_vectors(NO_DETECTIONS, columns(shapes))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ((256, 0, 0, 0, 0, 0), "class"),
        ((0, PLACE_MAX + 1, 0, 0, 0, 0), "y "),
        ((0, 0, -PLACE_MAX - 1, 0, 0, 0), "x "),
        ((0, 0, 0, -1, 0, 0), "width"),
        ((0, 0, 0, 0, PLACE_MAX + 1, 0), "height"),
        ((0, 0, 0, 0, 0, 256), "score"),
    ],
)
def test_detections_out_of_range_are_refused_by_name(row: tuple[int, ...], words: str) -> None:
    with pytest.raises(VectorsRefused, match=words):
        encode_vectors(table([(0, 0, 0, 0, 0, 0), row]), NO_POLYGONS)


def test_boxes_in_pixels_become_quarters_and_come_back_within_an_eighth() -> None:
    boxes = np.array([[0.1, 0.2, 10.4, 9.9], [-3, 4, -3, 5.5]], np.float32)
    detections = Detections.of(boxes, np.array([0.5, 1.0]), np.array([1, 0]))
    assert detections.table.tolist() == [(1, 1, 0, 42, 39, 128), (0, 16, -12, 0, 6, 255)]
    assert np.abs(detections.boxes() - boxes).max() <= 0.125
    for wrong in (
        (np.full((1, 4), np.nan), [0.5], [0]),
        (np.full((1, 4), 1e9), [0.5], [0]),
        (np.zeros((1, 4)), [1.5], [0]),
        (np.zeros((1, 4)), [np.nan], [0]),
        (np.zeros((1, 4)), [0.5, 0.5], [0]),
        (np.zeros((1, 4)), [0.5], [1 << 40]),
    ):
        with pytest.raises(VectorsRefused):
            Detections.of(*map(np.asarray, wrong))


def test_columns_that_do_not_belong_together_are_refused() -> None:
    good = columns([(0, [SQUARE])])
    ones = np.ones(1, np.int32)
    for wrong in (
        Polygons(np.zeros(2, np.int32), good.ring_counts, good.vertex_counts, good.vertices),
        Polygons(good.classes, 2 * ones, good.vertex_counts, good.vertices),
        Polygons(good.classes, good.ring_counts, 3 * ones, good.vertices),
        Polygons(good.classes, good.ring_counts, good.vertex_counts.astype(np.float32), good.vertices),
        Polygons(good.classes[:0], good.ring_counts[:0], good.vertex_counts, good.vertices),
    ):
        with pytest.raises(VectorsRefused):
            encode_vectors(NO_DETECTIONS, wrong)
    with pytest.raises(VectorsRefused):
        encode_vectors(Detections(np.zeros((3, 6), np.int32)), NO_POLYGONS)


# --- the page, and a decoder that was written from it


def independently(octets: bytes) -> dict[str, Any] | None:
    try:
        return independent_vectors.decode(octets)
    except independent_vectors.Refused:
        return None


@pytest.mark.parametrize("name", sorted(contents()))
def test_committed_sections_are_what_is_encoded_today_and_what_the_page_says(name: str) -> None:
    content = json.loads((SECTIONS / f"{name}.json").read_text(encoding="utf-8"))
    octets = bytes.fromhex(content.pop("section"))
    assert encode_vectors(*contents()[name]) == octets
    assert as_json(*decode_vectors(octets)) == content
    assert independently(octets) == content


@settings(max_examples=30, deadline=None)
@given(found=rows, shapes=shape_lists)
def test_a_decoder_written_from_the_page_reads_any_content(found: list[tuple[int, ...]], shapes: list[Shape]) -> None:
    octets = encode_vectors(table(found), columns(shapes))
    assert independently(octets) == as_json(*decode_vectors(octets))


@settings(max_examples=200, deadline=None)
@given(
    head=st.lists(st.integers(0, 12), min_size=4, max_size=4), payload=st.binary(max_size=40), units=st.integers(0, 15)
)
def test_what_one_decoder_takes_the_other_takes_alike(head: list[int], payload: bytes, units: int) -> None:
    octets = bytes((1, units, *head)) + payload
    try:
        ours = as_json(*decode_vectors(octets))
    except VectorsDamaged as error:
        told = independently(octets)
        if told is not None:  # only the one encoding tells them apart
            assert "encoding" in error.reason or "ring" in error.reason
    else:
        assert independently(octets) == ours


def test_the_example_of_the_page_is_the_encoding_of_its_content() -> None:
    page = (ROOT / "docs" / "vector-format.md").read_text(encoding="utf-8")
    shown = re.search(r"is encoded as\n\n((?: {4}[0-9a-f ]+\n)+)", page)
    assert shown
    assert bytes.fromhex(shown[1]) == encode_vectors(*EXAMPLE)
