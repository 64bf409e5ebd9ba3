"""Outlines of a product, strip by strip: exact, the same however the rows come, left out where they cost too much."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from flight.product import strip_outlines
from flight.product.assembler import ProductAssembler
from flight.product.container import open_container, seal
from flight.product.errors import HeaderInvalid
from flight.product.header import Content
from flight.product.strip_outlines import MAX_CORNERS, MAX_STRIP_RUNS, LeftOut, Outlines, StripOutlines
from flight.product.vectors import decode_vectors
from tests.flight.product import independent_decoder
from tests.flight.product.cases import KEY_ID, SEAL_KEY, SEALED_S, TRUSTED, Case, blobs, case

PUBLIC = SEAL_KEY.public_key().public_bytes_raw()
ANYTHING = 1 << 30  # octets of a class map beside which every section is worth its own


def drawn(section: bytes, height: int, width: int) -> NDArray[np.uint8]:
    """How many polygons cover each pixel: every edge down or up a column's side turns the pixels right of it."""
    _, polygons = decode_vectors(section)
    covers = np.zeros((height, width), np.uint8)
    for rings in polygons.rings():
        inside = np.zeros((height, width + 1), bool)
        for ring in rings:
            for (x, y), (x_to, y_to) in zip(ring // 4, np.roll(ring, -1, axis=0) // 4, strict=True):
                assert (x == x_to) != (y == y_to), "an edge is along one side of pixels"
                if x == x_to:
                    inside[min(y, y_to) : max(y, y_to), x] ^= True
        covers += np.logical_xor.accumulate(inside, axis=1)[:, :width]
    return covers


def traced(class_map: NDArray[np.uint8], value: int, strip_rows: int, portions: int, mask: int | None) -> Outlines:
    height, width = class_map.shape
    outlines = StripOutlines(width, min(strip_rows, height), value)
    for first in range(0, height, portions):
        outlines.feed(class_map[first : first + portions])
    return outlines.finish(mask)


@settings(max_examples=80, deadline=None)
@given(
    st.integers(1, 40), st.integers(1, 30), st.integers(0, 1000), st.integers(1, 3), st.integers(1, 17),
    st.integers(1, 41),
)  # fmt: skip
def test_the_polygons_drawn_again_are_the_pixels_of_the_class(
    rows: int, cols: int, seed: int, classes: int, strip_rows: int, portions: int
) -> None:
    class_map = np.random.default_rng(seed).integers(0, classes, (rows, cols)).astype(np.uint8)
    class_map[class_map == 2] = 255  # no answer
    found = traced(class_map, 1, strip_rows, portions, ANYTHING)
    assert found == traced(class_map, 1, strip_rows, rows, ANYTHING)
    assert found.left_out is None
    if not (class_map == 1).any():
        assert found == Outlines(b"", 0, None)
        return
    np.testing.assert_array_equal(drawn(found.section, rows, cols), class_map == 1)
    _, polygons = decode_vectors(found.section)
    assert len(polygons) == found.polygons
    for rings in polygons.rings():
        places = np.concatenate(rings)[:, 1] // 4
        assert places.min() // strip_rows == (places.max() - 1) // strip_rows, "a polygon keeps to its strip"


def outlined(made: Case) -> tuple[bytes, Outlines]:
    assembler = ProductAssembler(made.header, outlined=True)
    assembler.add(0, made.mask)
    body = assembler.finish(made.coverage, made.confidence)
    assert assembler.outlines is not None
    return seal(body, SEAL_KEY, KEY_ID, SEALED_S), assembler.outlines


@pytest.mark.parametrize("contents", [(Content.MASK, Content.REGIONS), (Content.REGIONS,)])
def test_a_product_carries_them_beside_its_class_map_or_without(contents: tuple[Content, ...]) -> None:
    made = case(blobs(150, 90, 1, wedge=12), strip_rows=64, contents=contents)
    octets, found = outlined(made)
    product = open_container(octets, TRUSTED)
    assert product.vectors == found.section == independent_decoder.decode(octets, PUBLIC)["vectors"]
    np.testing.assert_array_equal(drawn(product.vectors, 150, 90), made.mask == 1)
    assert (product.summary, product.strips) == (made.product().summary, made.product().strips)


@pytest.mark.parametrize("pixel", [0, 1, 255])
def test_one_pixel(pixel: int) -> None:
    octets, found = outlined(case(np.array([[pixel]], np.uint8)))
    product = open_container(octets, TRUSTED)
    _, polygons = product.outlines()
    assert found.polygons == len(polygons) == (pixel == 1)
    if pixel == 1:
        assert polygons.vertices.tolist() == [[0, 0], [4, 0], [4, 4], [0, 4]]
    else:
        assert product.vectors == b"" and octets == case(np.array([[pixel]], np.uint8)).container()


def lattice(strips: int, across: int = 128) -> NDArray[np.uint8]:
    """Single pixels, `across` in every other row: in each strip of 256 rows 128 times so many runs."""
    class_map = np.zeros((256 * strips, 2 * across), np.uint8)
    class_map[::2, ::2] = 1
    return class_map


def test_a_strip_of_too_many_runs_leaves_them_out_before_anything_is_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    stripes = np.zeros((256, 2 * MAX_STRIP_RUNS // 256), np.uint8)
    stripes[:, ::2] = 1
    most = traced(stripes, 1, 256, 10, None)
    assert (most.left_out, most.polygons) == (None, MAX_STRIP_RUNS // 256)
    monkeypatch.setattr(strip_outlines, "outline_polygons", None)  # not called
    one_more = np.concatenate((stripes, np.eye(256, 1, -255, np.uint8)), axis=1)
    for portions in (1, 7, 256):
        assert traced(one_more, 1, 256, portions, None) == Outlines(b"", 0, LeftOut.RUNS)


def test_too_many_corners_in_all_leave_them_out() -> None:
    strips = MAX_CORNERS // (4 * 128 * 128)
    most = traced(lattice(strips), 1, 256, 100, None)
    assert (most.left_out, most.polygons) == (None, MAX_CORNERS // 4)
    above = np.concatenate((lattice(strips), np.eye(1, 256, dtype=np.uint8)))
    for portions in (100, 512, 513):
        assert traced(above, 1, 256, portions, None) == Outlines(b"", 0, LeftOut.CORNERS)


def test_beside_a_class_map_they_take_at_most_twice_its_octets() -> None:
    made = case(lattice(1))
    octets, found = outlined(made)
    assert found == Outlines(b"", 0, LeftOut.OCTETS)
    assert octets == made.container()
    alone = traced(lattice(1), 1, 256, 256, None)
    assert alone.polygons == 128 * 128
    assert traced(lattice(1), 1, 256, 256, -(-len(alone.section) // 2)) == alone
    assert traced(lattice(1), 1, 256, 256, (len(alone.section) - 1) // 2).left_out is LeftOut.OCTETS


def test_places_far_down_a_tall_map_are_within_the_section() -> None:
    rows = (1 << 24) - 1
    outlines = StripOutlines(1, 1024, 1)
    nothing = np.zeros((1 << 20, 1), np.uint8)
    for _ in range(15):
        outlines.feed(nothing)
    outlines.feed(nothing[: rows - (15 << 20)])
    outlines.feed(np.ones((1, 1), np.uint8))
    _, polygons = decode_vectors(outlines.finish(None).section)
    assert polygons.vertices[:, 1].tolist() == [4 * rows, 4 * rows, 4 * rows + 4, 4 * rows + 4]


def test_what_cannot_be_is_refused() -> None:
    made = case(blobs(9, 9, 1), contents=(Content.MASK,))
    with pytest.raises(HeaderInvalid, match="outlines of a product without regions"):
        ProductAssembler(made.header, outlined=True)
    made = case(blobs(9, 9, 1))
    assembler = ProductAssembler(made.header, outlined=True)
    assembler.add(0, made.mask)
    with pytest.raises(HeaderInvalid, match="vectors beside the outlines"):
        assembler.finish(made.coverage, 0.5, b"vectors")
    assert seal(assembler.finish(made.coverage, made.confidence), SEAL_KEY, KEY_ID, SEALED_S) == outlined(made)[0]
