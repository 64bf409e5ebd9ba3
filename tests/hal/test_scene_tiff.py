"""TIFF scenes written by tifffile and by GDAL read back equal in every promised form; other forms are named."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.transform import Affine

from hal.sensor.scene import CompressionUnsupported, DtypeUnsupported, SceneTruncated, SceneUnreadable, open_scene

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
DTYPES = ["uint8", "uint16", "int16", "float32"]


def pixels(seed: int, height: int, width: int, bands: int, dtype: str) -> np.ndarray:
    """Noise over a slope, so that compression finds something; floats hold NaN and signs."""
    rng = np.random.default_rng(seed)
    slope = np.add.outer(np.arange(height), np.arange(width))[:, :, None] * 3
    values = slope + rng.integers(-40, 40, (height, width, bands))
    if dtype == "float32":
        values = (values / 7.0).astype(np.float32)
        values[rng.random((height, width)) < 0.02] = np.nan
        return values
    return values.astype(np.int64).astype(dtype)


def read_all(path: Path, step: int = 7) -> np.ndarray:
    with open_scene(path, sensor="generic") as scene:
        height = scene.info.height
        return np.concatenate([scene.read_rows(row, min(step, height - row)) for row in range(0, height, step)])


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**32 - 1),
    height=st.sampled_from([1, 2, 16, 31, 70]),
    width=st.sampled_from([1, 5, 16, 47, 80]),
    bands=st.integers(1, 13),
    dtype=st.sampled_from(DTYPES),
    compress=st.sampled_from(["none", "deflate", "lzw", "lzma", "packbits"]),
    predictor=st.sampled_from([1, 2, 3]),
    tiled=st.booleans(),
    interleave=st.sampled_from(["pixel", "band"]),
    block=st.sampled_from([1, 3, 16, 64]),
    big_endian=st.booleans(),
)
def test_what_gdal_writes_reads_back_equal(
    seed, height, width, bands, dtype, compress, predictor, tiled, interleave, block, big_endian
) -> None:
    values = pixels(seed, height, width, bands, dtype)
    options = {"compress": compress, "interleave": interleave, "tiled": tiled}
    if compress in ("deflate", "lzw"):
        options["predictor"] = 2 if predictor == 3 and dtype != "float32" else predictor
    if tiled:
        options.update(blockxsize=16, blockysize=32)
    else:
        options["blockysize"] = block
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.tif"
        with rasterio.open(
            path, "w", driver="GTiff", height=height, width=width, count=bands, dtype=dtype,
            ENDIANNESS="BIG" if big_endian else "LITTLE", **options,
        ) as out:  # fmt: skip
            out.write(np.moveaxis(values, 2, 0))
        np.testing.assert_array_equal(read_all(path), values)


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    height=st.sampled_from([1, 2, 33, 64]),
    width=st.sampled_from([1, 5, 48]),
    bands=st.integers(1, 13),
    dtype=st.sampled_from(DTYPES),
    compression=st.sampled_from([None, "zlib", "lzma"]),
    predictor=st.booleans(),
    tile=st.sampled_from([None, (16, 16), (32, 48)]),
    planar=st.booleans(),
    rows=st.sampled_from([1, 5, 64]),
    byteorder=st.sampled_from("<>"),
    big=st.booleans(),
)
def test_what_tifffile_writes_reads_back_equal(
    seed, height, width, bands, dtype, compression, predictor, tile, planar, rows, byteorder, big
) -> None:
    values = pixels(seed, height, width, bands, dtype)
    planar = planar and bands > 1
    array = values[:, :, 0] if bands == 1 else np.moveaxis(values, 2, 0) if planar else values
    layout = None if bands == 1 else "separate" if planar else "contig"
    predicted = compression in ("zlib", "lzma") and predictor and dtype != "float32"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.tif"
        with tifffile.TiffWriter(path, byteorder=byteorder, bigtiff=big) as out:
            out.write(
                array, photometric="minisblack", planarconfig=layout,
                compression=compression, predictor=2 if predicted else None, tile=tile,
                rowsperstrip=None if tile else rows, metadata=None,
            )  # fmt: skip
        np.testing.assert_array_equal(read_all(path, 10), values)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_read_in_any_order_and_size_are_the_same_rows(tmp_path: Path, dtype: str) -> None:
    values = pixels(1, 100, 37, 3, dtype)
    path = tmp_path / "scene.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=100, width=37, count=3, dtype=dtype, compress="lzw", tiled=True,
        blockxsize=16, blockysize=16,
    ) as out:  # fmt: skip
        out.write(np.moveaxis(values, 2, 0))
    rng = np.random.default_rng(2)
    with open_scene(path, sensor="generic") as scene:
        for _ in range(40):
            first = int(rng.integers(0, 100))
            count = int(rng.integers(1, 101 - first))
            rows = scene.read_rows(first, count)
            assert rows.flags.c_contiguous and rows.dtype == np.dtype(dtype)
            np.testing.assert_array_equal(rows, values[first : first + count])


def test_tiles_that_gdal_left_out_are_nodata(tmp_path: Path) -> None:
    path = tmp_path / "scene.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=32, width=32, count=1, dtype="int16", tiled=True, blockxsize=16,
        blockysize=16, nodata=-999, SPARSE_OK=True,
    ) as out:  # fmt: skip
        out.write(np.full((16, 16), 5, np.int16), 1, window=rasterio.windows.Window(16, 0, 16, 16))
    with open_scene(path, sensor="generic") as scene:
        assert scene.info.nodata == -999
        rows = scene.read_rows(0, 32)[:, :, 0]
    with rasterio.open(path) as peer:
        np.testing.assert_array_equal(rows, peer.read(1))
    assert (rows[:16, 16:] == 5).all() and (rows[16:] == -999).all()


def test_memory_is_bounded_by_a_row_of_tiles_not_by_the_scene(tmp_path: Path) -> None:
    tracemalloc = pytest.importorskip("tracemalloc")
    path = tmp_path / "scene.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=8192, width=1024, count=4, dtype="uint16", compress="deflate", zlevel=1,
        tiled=True, blockxsize=128, blockysize=128, interleave="band",
    ) as out:  # fmt: skip
        out.write(np.zeros((4, 8192, 1024), np.uint16))
    whole, block_row = 8192 * 1024 * 8, 128 * 1024 * 8
    with open_scene(path, sensor="generic") as scene:
        tracemalloc.start()
        try:
            for first in range(0, 8192, 64):
                scene.read_rows(first, 64)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 4 * block_row < whole / 10


@pytest.mark.parametrize("compress", ["zstd", "webp", "jpeg"])
def test_a_compression_that_needs_the_extra_is_refused_by_its_name(tmp_path: Path, compress: str) -> None:
    try:
        import imagecodecs  # noqa: F401
    except ImportError:
        pass
    else:
        pytest.skip("the extra `tiff` is installed here")
    path = tmp_path / "scene.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=16, width=16, count=3, dtype="uint8", compress=compress, tiled=True,
        blockxsize=16, blockysize=16, photometric="rgb",
    ) as out:  # fmt: skip
        out.write(np.zeros((3, 16, 16), np.uint8))
    with pytest.raises(CompressionUnsupported, match=rf"(?i){compress}.*pip install 'swath\[tiff\]'") as caught:
        open_scene(path, sensor="RGB")
    assert caught.value.code == "compression_unsupported"


@pytest.mark.parametrize("dtype", ["float64", "int32", "uint32", "int8", "complex64"])
def test_another_sample_type_is_refused_by_its_name(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "scene.tif"
    tifffile.imwrite(path, np.zeros((8, 8), dtype), photometric="minisblack")
    with pytest.raises(DtypeUnsupported, match=dtype):
        open_scene(path, sensor="generic")


def test_bands_as_pages_and_palettes_are_refused(tmp_path: Path) -> None:
    pages = tmp_path / "pages.tif"
    tifffile.imwrite(pages, np.zeros((3, 8, 8), np.uint8), photometric="minisblack", metadata=None)
    with pytest.raises(SceneUnreadable, match="several images"):
        open_scene(pages, sensor="RGB")
    palette = tmp_path / "palette.tif"
    tifffile.imwrite(palette, np.zeros((8, 8), np.uint8), photometric="palette", colormap=np.zeros((3, 256), np.uint16))
    with pytest.raises(SceneUnreadable, match="PALETTE"):
        open_scene(palette, sensor="generic")


def test_overviews_and_masks_do_not_count_as_further_images(tmp_path: Path) -> None:
    path = tmp_path / "scene.tif"
    values = pixels(3, 64, 64, 1, "uint8")
    with rasterio.open(path, "w", driver="GTiff", height=64, width=64, count=1, dtype="uint8") as out:
        out.write(values[:, :, 0], 1)
    with rasterio.open(path, "r+") as out:
        out.build_overviews([2, 4])
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as out:
        out.write_mask(True)
    np.testing.assert_array_equal(read_all(path), values)


@settings(max_examples=60, deadline=None)
@given(
    epsg=st.sampled_from([4326, 3857, 32633, 32733, 28355]),
    a=st.floats(1e-4, 500),
    e=st.floats(-500, -1e-4),
    turn=st.sampled_from([0.0, 0.0, 0.3]),
    c=st.floats(-80, 80),
    f=st.floats(-60, 60),
    point=st.booleans(),
)
def test_the_transform_is_gdals_to_the_last_digits(epsg, a, e, turn, c, f, point) -> None:
    transform = Affine(a, turn, c, turn, e, f)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.tif"
        with rasterio.open(
            path, "w", driver="GTiff", height=4, width=4, count=1, dtype="uint8", crs=f"EPSG:{epsg}",
            transform=transform,
        ) as out:  # fmt: skip
            out.write(np.zeros((1, 4, 4), np.uint8))
            if point:
                out.update_tags(AREA_OR_POINT="Point")
        with rasterio.open(path) as peer, open_scene(path, sensor="generic") as scene:
            assert scene.info.epsg == peer.crs.to_epsg() == epsg
            assert scene.info.transform == pytest.approx(tuple(peer.transform)[:6], rel=1e-12, abs=1e-9)
            assert scene.info.transform == pytest.approx(tuple(transform)[:6], rel=1e-12, abs=1e-9)


def test_a_file_shortened_after_it_was_opened_is_truncated_not_garbage(tmp_path: Path) -> None:
    path = tmp_path / "scene.tif"
    tifffile.imwrite(path, np.zeros((64, 64), np.uint8), photometric="minisblack", rowsperstrip=8)
    with open_scene(path, sensor="generic") as scene:
        with path.open("r+b") as stream:
            stream.truncate(300)
        with pytest.raises(SceneTruncated):
            scene.read_rows(0, 64)
