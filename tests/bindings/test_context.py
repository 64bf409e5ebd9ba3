"""The context code: round trips on all shapes, the recorded octets, bounds, hostile octets."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from bindings.context import MAX_WIDTH, ContextCodeInvalid, ContextEncoder, decode_context
from bindings.faults import BufferMismatch, GeometryRefused, OrderMismatch

CLASSES = st.sampled_from([(0, 1), (0, 255), (7, 3), (0, 1, 2, 3, 4, 5, 6), (1, 9, 17, 255), tuple(range(256))])
SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 70))


@st.composite
def class_maps(draw: st.DrawFn) -> NDArray[np.uint8]:
    """Maps of areas with speckle: from one class to noise."""
    rows, cols = draw(SHAPES)
    classes = np.array(draw(CLASSES), np.uint8)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    size = draw(st.sampled_from([1, 3, 8, 100]))
    areas = rng.integers(0, len(classes), (rows // size + 1, cols // size + 1))
    labels = areas.repeat(size, 0).repeat(size, 1)[:rows, :cols]
    speckle = rng.random((rows, cols)) < draw(st.sampled_from([0, 0.01, 0.2]))
    labels = np.where(speckle, rng.integers(0, len(classes), (rows, cols)), labels)
    return np.ascontiguousarray(classes[labels])


def encoded(pixels: NDArray[np.uint8], pieces: list[int] | None = None, capacity: int | None = None) -> bytes | None:
    encoder = ContextEncoder(pixels.shape[1], 20 * pixels.size + 8 if capacity is None else capacity)
    at = 0
    for count in [*(pieces or []), len(pixels)]:
        encoder.feed(pixels[at : at + count])
        at = min(at + count, len(pixels))
    octets = encoder.end()
    assert octets is None or (encoder.counts == np.bincount(pixels.ravel(), minlength=256)).all()
    return octets


def decoded(octets: bytes, rows: int, cols: int) -> NDArray[np.uint8]:
    out, counts = np.full((rows, cols), 99, np.uint8), np.zeros(256, np.uint64)
    decode_context(octets, out, counts)
    assert (counts == np.bincount(out.ravel(), minlength=256)).all()
    return out


@settings(max_examples=300, deadline=None)
@given(class_maps(), st.lists(st.integers(0, 9), max_size=6))
@example(np.zeros((1, 1), np.uint8), [])
@example(np.full((3, 1), 255, np.uint8), [1])
@example(np.eye(9, 8, dtype=np.uint8), [1, 0, 1])
def test_a_map_comes_back_and_its_octets_do_not_depend_on_how_it_was_fed(
    pixels: NDArray[np.uint8], pieces: list[int]
) -> None:
    octets = encoded(pixels)
    assert octets is not None
    assert (decoded(octets, *pixels.shape) == pixels).all()
    assert encoded(pixels, pieces) == octets


@settings(max_examples=100, deadline=None)
@given(npst.arrays(np.uint8, SHAPES))
def test_any_pixels_come_back_within_the_declared_worst_case(pixels: NDArray[np.uint8]) -> None:
    octets = encoded(pixels)
    assert octets is not None
    assert len(octets) <= 13 * 12 * pixels.size // 8 + 5
    assert (decoded(octets, *pixels.shape) == pixels).all()


def test_long_rows_and_stretches_beyond_the_longest_come_back() -> None:
    for cols in (4095, 4096, 4097, 8193, 20_000):
        pixels = np.zeros((4, cols), np.uint8)
        pixels[2, cols - 3] = pixels[3, 4096 % cols] = 1
        octets = encoded(pixels)
        assert octets is not None
        assert len(octets) < 40
        assert (decoded(octets, *pixels.shape) == pixels).all()


@pytest.mark.arm
def test_recorded_maps_have_the_recorded_octets() -> None:
    rows, cols = np.indices((60, 90))
    rings = ((rows - 20) ** 2 + (cols - 50) ** 2) // 300 % 7
    rings[rows * 7 + cols * 13 > 1300] = 255
    speckle = rings.copy()
    speckle[(rows * 31 + cols * 17) % 101 == 0] = 3
    noise = (rows * cols * 2654435761 >> 7) % 255
    found = []
    for labels in (rings, speckle, noise, np.zeros((5, 5))):
        octets = encoded(labels.astype(np.uint8))
        assert octets is not None
        found.append((len(octets), hashlib.sha256(octets).hexdigest()[:16]))
    assert found == [
        (196, "669317229f6de9c5"),
        (261, "6655b3608f1e41ba"),
        (4460, "aa1d3b56b1a44b6e"),
        (0, "e3b0c44298fc1c14"),
    ]


def test_a_strip_that_does_not_fit_has_no_encoding_and_the_next_one_is_untouched() -> None:
    rng = np.random.default_rng(1)
    noise, plain = rng.integers(0, 256, (20, 30), dtype=np.uint8), np.ones((20, 30), np.uint8)
    encoder = ContextEncoder(30, 600)
    encoder.feed(noise)
    assert not encoder.fits
    encoder.feed(noise)
    assert encoder.rows == 40
    assert encoder.end() is None
    encoder.begin()
    encoder.feed(plain)
    assert encoder.fits
    assert encoder.end() == encoded(plain)
    exact = encoded(noise)
    assert exact is not None
    assert encoded(noise, capacity=len(exact)) == exact
    assert encoded(noise, capacity=len(exact) - 1) is None


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=40), SHAPES)
def test_any_octets_end_in_pixels_or_in_a_typed_error_and_have_no_second_encoding(
    octets: bytes, shape: tuple[int, int]
) -> None:
    try:
        pixels = decoded(octets, *shape)
    except ContextCodeInvalid:
        return
    assert encoded(pixels) == octets


@settings(max_examples=200, deadline=None)
@given(class_maps(), st.data())
def test_altered_octets_are_refused_or_are_the_one_encoding_of_other_pixels(
    pixels: NDArray[np.uint8], data: st.DataObject
) -> None:
    octets = bytearray(encoded(pixels) or b"")
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(octets)))
        octets[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    try:
        found = decoded(bytes(octets), *pixels.shape)
    except ContextCodeInvalid:
        return
    assert encoded(found) == bytes(octets)


def test_octets_behind_the_end_are_refused() -> None:
    pixels = np.eye(30, 30, dtype=np.uint8)
    octets = encoded(pixels)
    assert octets is not None
    for wrong in (octets + b"\0", octets + b"\1", octets + bytes(10)):
        with pytest.raises(ContextCodeInvalid):
            decoded(wrong, 30, 30)


def test_arrays_that_c_must_not_see_are_refused() -> None:
    encoder = ContextEncoder(8, 100)
    for wrong in (np.zeros((2, 9), np.uint8), np.zeros((2, 8), np.int8), np.zeros((2, 16), np.uint8)[:, ::2]):
        with pytest.raises(BufferMismatch):
            encoder.feed(wrong)  # type: ignore[arg-type]
    encoder.end()
    with pytest.raises(OrderMismatch):
        encoder.feed(np.zeros((2, 8), np.uint8))
    with pytest.raises(OrderMismatch):
        encoder.end()
    for width in (0, -1, MAX_WIDTH + 1):
        with pytest.raises(GeometryRefused):
            ContextEncoder(width, 1)
    with pytest.raises(BufferMismatch):
        decode_context(b"", np.zeros((2, 0), np.uint8), np.zeros(256, np.uint64))
    with pytest.raises(BufferMismatch):
        decode_context(b"", np.zeros((2, 4), np.uint8)[:, ::2], np.zeros(256, np.uint64))
