"""Compressed pixels that were damaged on the way: refused where the compression carries a check, never other pixels."""

from __future__ import annotations

import lzma
import zlib
from pathlib import Path

import numpy as np
import pytest
import rasterio
import tifffile

from hal.sensor.scene import SceneError, SceneTruncated, SceneUnreadable, open_scene
from tests.hal.test_scene_hostile import LONG, strip_image, tiff

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
HEIGHT, WIDTH, BANDS = 70, 45, 3
TILED, STRIPS = {"tiled": True, "blockxsize": 32, "blockysize": 16}, {"tiled": False, "blockysize": 9}


def pixels(dtype: str) -> np.ndarray:
    """Noise over a slope: octets of the stream are pixels, and damage to one need not upset the next."""
    slope = np.add.outer(np.arange(HEIGHT), np.arange(WIDTH))[:, :, None]
    return (slope + np.random.default_rng(5).integers(0, 99, (HEIGHT, WIDTH, BANDS))).astype(dtype)


def write_with_gdal(path: Path, dtype: str, predictor: int, compress: str, layout: dict) -> None:
    with rasterio.open(
        path, "w", driver="GTiff", height=HEIGHT, width=WIDTH, count=BANDS, dtype=dtype, compress=compress,
        predictor=predictor, interleave="pixel" if predictor == 2 else "band", **layout,
    ) as out:  # fmt: skip
        out.write(np.moveaxis(pixels(dtype), 2, 0))


def write_with_tifffile(path: Path, dtype: str, predictor: int, compress: str, layout: dict) -> None:
    tile = (layout["blockysize"], layout["blockxsize"]) if layout["tiled"] else None
    tifffile.imwrite(
        path, pixels(dtype), photometric="minisblack", planarconfig="contig", metadata=None,
        compression={"deflate": "zlib"}.get(compress, compress), predictor=None if predictor == 1 else predictor,
        tile=tile, rowsperstrip=None if tile else layout["blockysize"],
    )  # fmt: skip


def places(path: Path) -> list[tuple[int, int]]:
    """Offset and size of every strip or tile."""
    with tifffile.TiffFile(path) as tiff:
        return list(zip(tiff.pages[0].dataoffsets, tiff.pages[0].databytecounts, strict=True))


def read_all(path: Path) -> np.ndarray:
    with open_scene(path, sensor="generic") as scene:
        return scene.read_rows(0, scene.info.height)


def outcomes(path: Path, dtype: str, times: int) -> tuple[int, int]:
    """How often damage was refused, and how often it gave other pixels."""
    sound, segments, expected = path.read_bytes(), places(path), pixels(dtype).tobytes()
    assert read_all(path).tobytes() == expected
    rng = np.random.default_rng(6)
    refused = wrong = 0
    for _ in range(times):
        octets = bytearray(sound)
        offset, size = segments[rng.integers(len(segments))]
        first = offset + int(rng.integers(0, size))
        for place in range(first, min(first + int(rng.integers(1, 5)), offset + size)):
            octets[place] = int(rng.integers(0, 256))
        path.write_bytes(octets)
        try:
            wrong += read_all(path).tobytes() != expected
        except SceneError:
            refused += 1
    return refused, wrong


@pytest.mark.parametrize("layout", [TILED, STRIPS], ids=["tiles", "strips"])
@pytest.mark.parametrize(
    ("writer", "dtype", "predictor"),
    [
        (write_with_gdal, "uint8", 1),
        (write_with_gdal, "uint16", 2),
        (write_with_gdal, "float32", 2),
        (write_with_gdal, "float32", 3),
        (write_with_tifffile, "uint16", 1),
        (write_with_tifffile, "int16", 2),
    ],
)
def test_octets_overwritten_in_a_deflate_file_give_an_error_or_the_same_pixels(
    tmp_path: Path, writer, dtype: str, predictor: int, layout: dict
) -> None:
    path = tmp_path / "scene.tif"
    writer(path, dtype, predictor, "deflate", layout)
    refused, wrong = outcomes(path, dtype, 60)
    assert (wrong, refused > 40) == (0, True)


@pytest.mark.parametrize("layout", [TILED, STRIPS], ids=["tiles", "strips"])
def test_octets_overwritten_in_an_xz_stream_with_a_check_give_an_error_or_the_same_pixels(
    tmp_path: Path, layout: dict
) -> None:
    path = tmp_path / "scene.tif"
    write_with_tifffile(path, "uint16", 2, "lzma", layout)
    refused, wrong = outcomes(path, "uint16", 60)
    assert (wrong, refused > 40) == (0, True)


PLAIN = bytes(np.random.default_rng(7).integers(0, 200, 64 * 50, dtype=np.uint8))
PACK = {8: zlib.compress, 32946: zlib.compress, 34925: lzma.compress}


def read_strip(tmp_path: Path, data: bytes, compression: int, rows: int | None = None) -> bytes:
    path = tmp_path / "scene.tif"
    path.write_bytes(strip_image(64, 50, data, compression, rows))
    return read_all(path).tobytes()


@pytest.mark.parametrize("compression", PACK)
@pytest.mark.parametrize("padding", [b"\0", bytes(3), b"\xff" * 100])
def test_octets_after_the_end_of_a_stream_do_not_matter(tmp_path: Path, compression: int, padding: bytes) -> None:
    assert read_strip(tmp_path, PACK[compression](PLAIN) + padding, compression) == PLAIN


@pytest.mark.parametrize("compression", PACK)
@pytest.mark.parametrize("missing", [1, 3, 4])
def test_a_stream_that_holds_all_pixels_but_not_its_check_is_refused(
    tmp_path: Path, compression: int, missing: int
) -> None:
    with pytest.raises(SceneUnreadable, match="ends before its check"):
        read_strip(tmp_path, PACK[compression](PLAIN)[:-missing], compression)


@pytest.mark.parametrize("compression", PACK)
def test_a_stream_that_ends_before_the_pixels_do_is_truncated(tmp_path: Path, compression: int) -> None:
    packed = PACK[compression](PLAIN)
    with pytest.raises(SceneTruncated):
        read_strip(tmp_path, packed[: len(packed) // 2], compression)
    with pytest.raises(SceneTruncated) as caught:
        read_strip(tmp_path, PACK[compression](PLAIN[:-1]), compression)
    assert (caught.value.needed_bytes, caught.value.got_bytes) == (len(PLAIN), len(PLAIN) - 1)


@pytest.mark.parametrize("compression", PACK)
def test_a_stream_that_holds_more_than_its_strip_can_is_refused(tmp_path: Path, compression: int) -> None:
    with pytest.raises(SceneUnreadable, match="goes on"):
        read_strip(tmp_path, PACK[compression](PLAIN + b"\0"), compression)


def strip_filled_up(tmp_path: Path, compression: int, missing: int) -> Path:
    """Two strips of 30 rows for 50 rows of image, `missing` octets cut from the end of the second stream."""
    strips = [PACK[compression](PLAIN[: 64 * 30]), PACK[compression](PLAIN[64 * 30 :] + bytes(64 * 10))]
    strips[1] = strips[1][: len(strips[1]) - missing]
    tags = {
        256: (LONG, [64]), 257: (LONG, [50]), 258: (LONG, [8]), 259: (LONG, [compression]), 262: (LONG, [1]),
        273: (LONG, [8, 8 + len(strips[0])]), 277: (LONG, [1]), 278: (LONG, [30]),
        279: (LONG, [len(strip) for strip in strips]),
    }  # fmt: skip
    path = tmp_path / "scene.tif"
    path.write_bytes(tiff(tags, b"".join(strips)))
    return path


@pytest.mark.parametrize("compression", PACK)
def test_a_last_strip_that_was_written_in_full_is_read_as_far_as_the_image_goes(
    tmp_path: Path, compression: int
) -> None:
    assert read_all(strip_filled_up(tmp_path, compression, 0)).tobytes() == PLAIN


@pytest.mark.parametrize("compression", PACK)
def test_the_check_of_a_last_strip_that_was_written_in_full_is_not_left_out(tmp_path: Path, compression: int) -> None:
    with pytest.raises(SceneUnreadable, match="ends before its check"):
        read_all(strip_filled_up(tmp_path, compression, 2))
