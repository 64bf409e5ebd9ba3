"""Scene files that lie: each is refused quickly, with a scene error, and without the memory that it claims to need."""

from __future__ import annotations

import io
import lzma
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hal.sensor.scene import SceneError, SceneTooLarge, SceneTruncated, SceneUnreadable, open_scene

SHORT, LONG, DOUBLE, ASCII = 3, 4, 12, 2
NAN = float("nan")


def tiff(tags: dict[int, tuple[int, list]], data: bytes = b"") -> bytes:
    """A little-endian TIFF with the given tags, sorted; `data` lies at offset 8."""
    out = bytearray(b"II*\0" + struct.pack("<I", 0) + data)
    formats = {SHORT: "H", LONG: "I", DOUBLE: "d", ASCII: "B"}
    entries = b""
    for code, (kind, values) in sorted(tags.items()):
        octets = struct.pack(f"<{len(values)}{formats[kind]}", *values)
        if len(octets) <= 4:
            place = octets.ljust(4, b"\0")
        else:
            place = struct.pack("<I", len(out))
            out += octets
        entries += struct.pack("<HHI", code, kind, len(values)) + place
    out[4:8] = struct.pack("<I", len(out))
    return bytes(out + struct.pack("<H", len(tags)) + entries + bytes(4))


def strip_image(width: int, height: int, data: bytes, compression: int = 1, rows: int | None = None, **more) -> bytes:
    tags = {
        256: (LONG, [width]), 257: (LONG, [height]), 258: (SHORT, [8]), 259: (SHORT, [compression]),
        262: (SHORT, [1]), 273: (LONG, [8]), 277: (SHORT, [1]), 278: (LONG, [rows or height]), 279: (LONG, [len(data)]),
    }  # fmt: skip
    return tiff({**tags, **{int(code[1:]): value for code, value in more.items()}}, data)


def write(tmp_path: Path, octets: bytes) -> Path:
    path = tmp_path / "scene.tif"
    path.write_bytes(octets)
    return path


def test_the_files_that_these_tests_make_are_sound_before_they_lie(tmp_path: Path) -> None:
    with open_scene(write(tmp_path, strip_image(4, 2, b"abcdefgh")), sensor="generic") as scene:
        assert scene.read_rows(0, 2).tobytes() == b"abcdefgh"


@pytest.mark.parametrize(
    ("octets", "error"),
    [
        (b"", SceneTruncated),
        (b"II*\0", SceneUnreadable),
        (b"GIF89a" + bytes(64), SceneUnreadable),
        (b"II*\0\xff\xff\xff\xff", SceneUnreadable),
        (strip_image(4, 2, b"abc"), SceneTruncated),
        (strip_image(1 << 30, 1, b"abc"), SceneTooLarge),
        (strip_image(1, 1 << 31, b"abc"), SceneTooLarge),
        (strip_image(200_000, 200_000, b"abc"), SceneTruncated),
        (strip_image(200_000, 200_000, zlib.compress(b"abc"), 8), SceneTooLarge),
        (strip_image(0, 2, b"abc"), SceneUnreadable),
        (strip_image(4, 4, b"abcdefgh", rows=1), SceneUnreadable),
        (strip_image(4, 2, b"abcdefgh", t277=(SHORT, [60000])), SceneTooLarge),
        (strip_image(4, 2, b"abcdefgh", t273=(LONG, [0xFFFFFFF0])), SceneTruncated),
        (strip_image(4, 2, b"abcdefgh", t33550=(DOUBLE, [NAN] * 3), t33922=(DOUBLE, [0.0] * 6)), SceneUnreadable),
        (strip_image(4, 2, b"abcdefgh", t33550=(DOUBLE, [0.0] * 3), t33922=(DOUBLE, [0.0] * 6)), SceneUnreadable),
        (strip_image(4, 2, b"abcdefgh", t34735=(SHORT, [1, 1, 0, 9000])), SceneUnreadable),
    ],
)  # fmt: skip
def test_a_file_that_lies_is_refused_when_it_is_opened(tmp_path: Path, octets: bytes, error) -> None:
    path = write(tmp_path, octets)
    tracemalloc.start()
    try:
        with pytest.raises(error) as caught:
            open_scene(path, sensor="generic")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value)
    assert peak < 32 << 20


@pytest.mark.parametrize("compression", [8, 34925])
def test_a_small_strip_cannot_grow_beyond_what_its_header_promises(tmp_path: Path, compression: int) -> None:
    bomb = {8: zlib, 34925: lzma}[compression].compress(bytes(24 << 20))
    path = write(tmp_path, strip_image(100, 800, bomb, compression))
    with open_scene(path, sensor="generic") as scene:
        tracemalloc.start()
        try:
            with pytest.raises(SceneUnreadable, match="goes on"):
                scene.read_rows(0, 800)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 12 << 20  # an LZMA dictionary takes 8 MiB of it


@pytest.mark.parametrize("compression", [5, 8, 34925])
@pytest.mark.parametrize("data", [b"", b"\x80", b"garbage that is nothing", bytes(40), b"\xff" * 40])
def test_garbage_in_a_compressed_strip_is_a_scene_error(tmp_path: Path, compression: int, data: bytes) -> None:
    path = write(tmp_path, strip_image(64, 64, data or b"\0", compression))
    with open_scene(path, sensor="generic") as scene, pytest.raises((SceneTruncated, SceneUnreadable)):
        scene.read_rows(0, 64)


def test_a_directory_a_device_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, Path("/dev/zero"), tmp_path / "absent.tif", Path("a\0b")):
        with pytest.raises(SceneUnreadable):
            open_scene(path)


def test_a_metadata_bomb_costs_nothing(tmp_path: Path) -> None:
    """No XML parser, so no entities to expand; what is no flat item is left out."""
    text = '<!DOCTYPE x [<!ENTITY a "' + "b" * 1000 + '">' + '<!ENTITY c "' + "&a;" * 1000 + '">]>'
    text = (
        f'<GDALMetadata>{text}<Item name="DESCRIPTION" sample="0" role="description">&c;&amp;</Item>' + "<Item " * 50000
    )
    octets = strip_image(4, 2, b"abcdefgh", t42112=(ASCII, list(text.encode() + b"\0")))
    with open_scene(write(tmp_path, octets), sensor="generic") as scene:
        assert scene.info.bands[0].name == "&c;&"


def written(**options) -> bytes:
    stream = io.BytesIO()
    values = np.arange(40 * 48 * 3, dtype=np.uint16).reshape(40, 48, 3)
    tifffile.imwrite(stream, values, photometric="rgb", planarconfig="contig", metadata=None, **options)
    return stream.getvalue()


SOUND = [
    written(rowsperstrip=7),
    written(tile=(16, 16), compression="zlib", predictor=2),
    written(tile=(16, 32), bigtiff=True, byteorder=">"),
    (Path(__file__).resolve().parents[2] / "examples/scenes/sentinel2_lake_shore_12band.tif").read_bytes()[:60_000],
]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    which=st.integers(0, len(SOUND) - 1),
    cut=st.one_of(st.none(), st.none(), st.floats(0, 1)),
    changes=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), max_size=6),
    in_header=st.booleans(),
)
def test_a_damaged_file_raises_nothing_but_a_scene_error(tmp_path_factory, which, cut, changes, in_header) -> None:
    octets = bytearray(SOUND[which])
    for place, value in changes:
        octets[place % min(len(octets), 400 if in_header else len(octets))] = value
    if cut is not None:
        octets = octets[: int(cut * len(octets))]
    path = tmp_path_factory.getbasetemp() / "damaged.tif"
    path.write_bytes(octets)
    try:
        with open_scene(path, sensor="generic") as scene:
            count = min(scene.info.height, 64)
            assert scene.read_rows(scene.info.height - count, count).shape[0] == count
    except SceneError as error:
        assert str(path) in str(error)
