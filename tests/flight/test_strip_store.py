"""The strip store: bounded, torn tails found, a capture id never used twice."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flight.pipeline.capture_meta import CaptureMeta
from flight.pipeline.process_errors import (
    CaptureAbsent,
    CaptureExists,
    LinesUnavailable,
    StoreDamaged,
    StoreError,
    StoreFull,
)
from flight.pipeline.strip_blocks import BlockHeader
from flight.pipeline.strip_buffer import StripReader, StripWriter, create_strip_memory
from flight.pipeline.strip_source import StoredLines, StripSource
from flight.pipeline.strip_store import END_ROOM, StripStore, folder_of

META = CaptureMeta(
    columns=5,
    bands=3,
    dtype="uint16",
    line_rate_hz=100.0,
    lines=100,
    band_names=("B03", "B04", "B08"),
    band_common=("green", "red", "nir"),
    band_centre_nm=(560.0, 665.0, None),
    sensor="sentinel2",
    radiometry="toa",
    scale=(1e-4,) * 3,
    offset=(0.0,) * 3,
)
RESERVED = 100 * (META.format.line_bytes + 64) + END_ROOM
LIMIT = 10 * RESERVED


def capture(number: int) -> bytes:
    return number.to_bytes(16, "big")


def scene(first: int, count: int) -> np.ndarray:
    lines = np.arange(first, first + count, dtype=np.uint16)[:, None, None]
    return (lines * 16 + np.arange(15, dtype=np.uint16).reshape(5, 3)).astype(np.uint16)


def spool(store: StripStore, number: int, lines: int = 100, *, end: bool = True) -> None:
    writer = store.begin(capture(number), META)
    writer.append(scene(0, lines))
    if end:
        writer.end()
    writer.close()


FRESH = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FRESH
@given(
    steps=st.lists(st.integers(-6, 12).filter(bool), min_size=1, max_size=8),
    cut=st.integers(0, 4000),
    bit=st.booleans(),
)
def test_a_torn_tail_is_cut_off_and_the_capture_goes_on(tmp_path: Path, steps: list[int], cut: int, bit: bool) -> None:
    """Cut the file or flip a bit anywhere: a beginning of what was written is left, and can be gone on with."""
    shutil.rmtree(tmp_path, ignore_errors=True)
    store = StripStore(tmp_path, LIMIT)
    writer = store.begin(capture(1), META)
    expected, edges = np.zeros((0, 5, 3), dtype=np.uint16), [0]
    for step in steps:
        if step > 0:
            lines = scene(len(expected), step)
            writer.append(lines)
        else:
            lines = META.format.empty(-step)
            writer.append_lost(-step)
        expected = np.concatenate([expected, lines])
        edges.append(len(expected))
    writer.close()
    path = folder_of(tmp_path, capture(1)) / "lines.bin"
    octets = bytearray(path.read_bytes())
    at = cut % len(octets)
    if bit:
        octets[at] ^= 1
    else:
        del octets[at:]
    path.write_bytes(bytes(octets))

    resumed = StripStore(tmp_path, LIMIT).resume(capture(1))
    kept = resumed.lines
    assert kept in edges
    resumed.append(scene(500, 2))
    resumed.end()
    resumed.close()
    stored = StoredLines(tmp_path, capture(1))
    assert stored.available == kept + 2
    pixels, _ = stored.read(0, kept + 2)
    stored.close()
    assert np.array_equal(pixels[:kept], expected[:kept])
    assert np.array_equal(pixels[kept:], scene(500, 2))


@FRESH
@given(octets=st.binary(max_size=300))
def test_any_octets_in_the_place_of_a_capture_are_survived(tmp_path: Path, octets: bytes) -> None:
    shutil.rmtree(tmp_path, ignore_errors=True)
    store = StripStore(tmp_path, LIMIT)
    spool(store, 1, 3, end=False)
    path = folder_of(tmp_path, capture(1)) / "lines.bin"
    path.write_bytes(path.read_bytes() + octets)
    stored = StoredLines(tmp_path, capture(1))
    assert stored.available == 3
    with pytest.raises(LinesUnavailable):
        stored.read(2, 2)
    stored.close()
    writer = StripStore(tmp_path, LIMIT).resume(capture(1))
    assert (writer.lines, writer.truncated_bytes) == (3, len(octets))
    writer.close()


def test_a_header_that_claims_more_than_the_file_holds_is_a_torn_tail(tmp_path: Path) -> None:
    store = StripStore(tmp_path, LIMIT)
    spool(store, 1, 3, end=False)
    path = folder_of(tmp_path, capture(1)) / "lines.bin"
    huge = BlockHeader(kind=1, first=3, count=2_000_000, length=2_000_000 * META.format.line_bytes, payload_crc=0)
    path.write_bytes(path.read_bytes() + huge.pack() + b"x" * 100)
    stored = StoredLines(tmp_path, capture(1))
    assert stored.available == 3
    stored.close()


def test_a_block_that_was_damaged_later_is_read_as_lost_lines(tmp_path: Path) -> None:
    store = StripStore(tmp_path, LIMIT)
    writer = store.begin(capture(1), META)
    for first in (0, 10, 20):
        writer.append(scene(first, 10))
    writer.end()
    writer.close()
    path = folder_of(tmp_path, capture(1)) / "lines.bin"
    octets = bytearray(path.read_bytes())
    octets[octets.find(scene(13, 1).tobytes())] ^= 0x40
    path.write_bytes(bytes(octets))
    stored = StoredLines(tmp_path, capture(1))
    pixels, lost = stored.read(5, 20)
    stored.close()
    assert lost == ((10, 10),)
    assert not pixels[5:15].any()
    assert np.array_equal(pixels[15:], scene(20, 5))
    assert stored.damaged_lines == 10


def test_room_is_made_before_a_capture_begins_and_the_oldest_released_one_goes_first(tmp_path: Path) -> None:
    store = StripStore(tmp_path, 2 * RESERVED + 10_000)  # an ended capture takes less than it reserved
    for number in (1, 2, 3):
        spool(store, number)
    store.release(capture(2))
    store.release(capture(1))
    spool(store, 4, end=False)
    assert not (folder_of(tmp_path, capture(1)) / "lines.bin").exists()
    assert (folder_of(tmp_path, capture(2)) / "lines.bin").exists()


def test_a_capture_without_room_is_refused_before_its_first_line(tmp_path: Path) -> None:
    store = StripStore(tmp_path, 2 * RESERVED)
    spool(store, 1)
    spool(store, 2, 1, end=False)  # counts with all that it reserved, not with what it wrote
    with pytest.raises(StoreFull):
        store.begin(capture(3), META)
    assert not folder_of(tmp_path, capture(3)).exists()
    assert store.used_bytes() <= 2 * RESERVED


@FRESH
@given(st.lists(st.tuples(st.integers(1, 12), st.booleans()), max_size=25))
def test_the_store_never_grows_beyond_its_bound(tmp_path: Path, orders: list[tuple[int, bool]]) -> None:
    shutil.rmtree(tmp_path, ignore_errors=True)
    limit = 3 * RESERVED
    store = StripStore(tmp_path, limit)
    for number, release in orders:
        if release:
            store.release(capture(number))
        else:
            with contextlib.suppress(StoreFull, CaptureExists):
                spool(store, number)
        assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) <= limit


def test_a_capture_never_exceeds_what_it_reserved(tmp_path: Path) -> None:
    writer = StripStore(tmp_path, LIMIT).begin(capture(1), META)
    with pytest.raises(StoreFull):
        for first in range(0, 1000, 10):
            writer.append(scene(first, 10))
    assert writer.end("store_full").lines == writer.lines > 100
    writer.close()


def test_an_endless_strip_gets_what_is_left_and_not_more(tmp_path: Path) -> None:
    store = StripStore(tmp_path, 2 * RESERVED)
    spool(store, 1)
    writer = store.begin(capture(2), msgspec.structs.replace(META, lines=None))
    with pytest.raises(StoreFull):
        for first in range(0, 2000, 10):
            writer.append(scene(first % 1000, 10))
    writer.end("store_full")
    writer.close()
    assert store.used_bytes() <= 2 * RESERVED


def test_an_id_is_never_used_twice_even_when_its_lines_are_gone(tmp_path: Path) -> None:
    store = StripStore(tmp_path, RESERVED + RESERVED // 2)
    spool(store, 1)
    with pytest.raises(CaptureExists):
        store.begin(capture(1), META)
    store.release(capture(1))
    spool(store, 2)
    assert store.known(capture(1))
    with pytest.raises(CaptureAbsent):
        store.resume(capture(1))
    with pytest.raises(CaptureExists):
        store.begin(capture(1), META)


def test_the_end_of_a_capture_is_found_by_another_process(tmp_path: Path) -> None:
    store = StripStore(tmp_path, LIMIT)
    writer = store.begin(capture(1), META)
    writer.append(scene(0, 4))
    writer.append_lost(3)
    writer.end("device_unavailable")
    writer.close()
    ended = StripStore(tmp_path, LIMIT).resume(capture(1)).ended
    assert ended is not None
    assert (ended.lines, ended.lost, ended.reason) == (7, 3, "device_unavailable")
    assert StripSource(tmp_path, capture(1), None).lines == 7


def test_a_description_that_cannot_be_read_is_an_error_and_not_a_second_look(tmp_path: Path) -> None:
    store = StripStore(tmp_path, LIMIT)
    spool(store, 1)
    (folder_of(tmp_path, capture(1)) / "meta.json").write_bytes(b'{"order": 1, "reserved_bytes"')
    with pytest.raises(StoreDamaged):
        store.known(capture(1))
    spool(store, 2)


@pytest.mark.parametrize("name", [b"../../../../etc", b"", b"x" * 17])
def test_only_an_id_of_sixteen_octets_becomes_a_path(tmp_path: Path, name: bytes) -> None:
    with pytest.raises(CaptureAbsent):
        folder_of(tmp_path, name)
    assert folder_of(tmp_path, b"../../../../etc/").parent == tmp_path


def test_a_block_of_another_shape_is_refused(tmp_path: Path) -> None:
    writer = StripStore(tmp_path, LIMIT).begin(capture(1), META)
    with pytest.raises(StoreError):
        writer.append(np.zeros((2, 4, 3), dtype=np.uint16))
    writer.close()


def lines_of(source: StripSource, first: int, count: int) -> np.ndarray:
    pixels = np.full((count, source.columns, source.bands), 77, source.dtype)
    source.read_into(first, pixels)
    return pixels


def test_lines_are_the_same_from_the_ring_and_from_the_store(tmp_path: Path) -> None:
    """The ring keeps only the end of the strip; every window, lost lines included, reads as the store has it."""
    descriptor = create_strip_memory(2 * 4096)
    ring, reader = StripWriter(descriptor), StripReader(descriptor)
    store = StripStore(tmp_path, LIMIT)
    writer = store.begin(capture(1), META)
    capacity = ring.begin(capture(1), META.format).capacity
    assert capacity < 80
    for first in range(0, 90, 10):
        if first == 50:
            writer.append_lost(10)
            ring.append_lost(10)
        else:
            writer.append(scene(first, 10))
            ring.append(scene(first, 10))
    source, plain = StripSource(tmp_path, capture(1), reader), StripSource(tmp_path, capture(1), None)
    assert source.lines is None and source.available == 90
    for first, count in ((0, 30), (40, 30), (55, 35), (80, 10)):
        assert np.array_equal(lines_of(source, first, count), lines_of(plain, first, count))
    assert source.lost_ranges() == plain.lost_ranges() == ((50, 10),)
    assert source.lines_from_ring > 0 and source.lines_from_store > 0
    source.release(60)
    with pytest.raises(LinesUnavailable):
        lines_of(source, 59, 5)
    writer.end()
    assert source.lines == 90
    for item in (source, plain, writer, ring, reader):
        item.close()
    os.close(descriptor)
