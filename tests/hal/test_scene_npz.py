"""npz scenes: what they may hold, and what a file that lies about itself gets for an answer."""

from __future__ import annotations

import contextlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hal.sensor.scene import (
    CompressionUnsupported,
    DtypeUnsupported,
    SceneError,
    SceneTooLarge,
    SceneTruncated,
    SceneUnreadable,
    open_scene,
)


def npy_header(shape: str, descr: str = "'|u1'", fortran: str = "False") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def archive(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as out:
        for name, octets in members.items():
            out.writestr(name, octets)
    return path


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", ">u2", ">f4"])
@pytest.mark.parametrize("bands", [1, 3, 13])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_dtype_and_order_reads_back_equal_forwards_and_backwards(tmp_path, dtype, bands, save, order) -> None:
    values = np.random.default_rng(bands).integers(0, 200, (23, 7, bands)).astype(dtype)
    path = tmp_path / "scene.npz"
    save(path, img=np.asarray(values, order=order))
    with open_scene(path, sensor="generic") as scene:
        assert scene.info.dtype == np.dtype(dtype).newbyteorder("=").name
        for first, count in [(0, 5), (5, 3), (20, 3), (2, 1), (0, 23)]:
            np.testing.assert_array_equal(scene.read_rows(first, count), values[first : first + count])


def test_a_two_dimensional_image_is_one_band(tmp_path: Path) -> None:
    path = tmp_path / "scene.npz"
    np.savez(path, img=np.ones((4, 5), np.uint8), bands=["green"])
    with open_scene(path) as scene:
        assert (scene.info.bands[0].common, scene.read_rows(0, 4).shape) == ("green", (4, 5, 1))


def test_the_arrays_beside_the_image_say_bands_sensor_and_place(tmp_path: Path) -> None:
    path = tmp_path / "scene.npz"
    np.savez(
        path, img=np.zeros((4, 5, 2), np.uint16), bands=np.array([b"B04", b"B08"]), sensor="S2",
        transform=[10.0, 0, 500000, 0, -10, 4600000], crs="EPSG:32631",
    )  # fmt: skip
    with open_scene(path) as scene:
        info = scene.info
    assert (info.sensor, [band.common for band in info.bands]) == ("S2", ["red", "nir"])
    assert (info.epsg, info.transform, info.gsd_m) == (32631, (10.0, 0.0, 500000.0, 0.0, -10.0, 4600000.0), 10.0)


@pytest.mark.parametrize(
    ("arrays", "error"),
    [
        ({"pic": np.zeros((2, 2), np.uint8)}, SceneUnreadable),
        ({"img": np.zeros((2, 2), np.float64)}, DtypeUnsupported),
        ({"img": np.zeros((2, 2), object)}, DtypeUnsupported),
        ({"img": np.zeros((2, 2), [("a", "u1")])}, SceneUnreadable),
        ({"img": np.zeros((0, 2), np.uint8)}, SceneUnreadable),
        ({"img": np.zeros(4, np.uint8)}, SceneUnreadable),
        ({"img": np.zeros((2, 2, 2, 2), np.uint8)}, SceneUnreadable),
        ({"img": np.zeros((2, 2), np.uint8), "bands": ["a", "b"]}, SceneUnreadable),
        ({"img": np.zeros((2, 2), np.uint8), "bands": np.zeros(1, object)}, SceneUnreadable),
        ({"img": np.zeros((2, 2), np.uint8), "transform": [1.0, 2.0]}, SceneUnreadable),
        ({"img": np.zeros((2, 2), np.uint8), "transform": [np.nan] * 6}, SceneUnreadable),
        ({"img": np.zeros((2, 2), np.uint8), "transform": [0.0] * 6}, SceneUnreadable),
        ({"img": np.zeros((2, 2), np.uint8), "crs": "my own"}, SceneUnreadable),
        ({"img": np.zeros((2, 2), np.uint8), "bands": ["x" * 20000]}, SceneTooLarge),
    ],
)
def test_an_archive_that_is_no_scene_is_refused(tmp_path: Path, arrays, error) -> None:
    path = tmp_path / "scene.npz"
    np.savez(path, **arrays)
    with pytest.raises(error):
        open_scene(path, sensor="generic")


@pytest.mark.parametrize(
    ("header", "error"),
    [
        (npy_header("(1000000000, 1000000000, 3)"), SceneTooLarge),
        (npy_header("(200000, 200000, 200)"), SceneTruncated),
        (npy_header("(100000, 1000, 4)"), SceneTruncated),
        (npy_header("(9, 9)"), SceneTruncated),
        (npy_header("(-1, 4)"), SceneUnreadable),
        (npy_header("(True, 4)"), SceneUnreadable),
        (npy_header("(2, 2)", "'|O'"), DtypeUnsupported),
        (npy_header("__import__('os').abort()"), SceneUnreadable),
        (npy_header("(" * 3000 + ")" * 900), SceneUnreadable),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff", SceneTooLarge),
        (b"\x80\x04pickle", SceneUnreadable),
        (b"", SceneTruncated),
    ],
)
def test_a_header_that_lies_is_refused_before_anything_is_allocated(tmp_path: Path, header: bytes, error) -> None:
    path = archive(tmp_path / "scene.npz", {"img.npy": header + b"1234"})
    with pytest.raises(error):
        open_scene(path, sensor="generic")


def test_another_zip_compression_is_refused_by_name(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.save(stream, np.zeros((2, 2), np.uint8))
    path = archive(tmp_path / "scene.npz", {"img.npy": stream.getvalue()}, zipfile.ZIP_BZIP2)
    with pytest.raises(CompressionUnsupported, match="savez_compressed"):
        open_scene(path, sensor="generic")


def whole(save) -> bytes:
    stream = io.BytesIO()
    save(
        stream, img=np.arange(600, dtype=np.uint16).reshape(10, 20, 3), bands=["red", "green", "blue"], crs="EPSG:4326"
    )
    return stream.getvalue()


WHOLE = [whole(np.savez), whole(np.savez_compressed)]


@settings(max_examples=250, deadline=None)
@given(
    which=st.sampled_from([0, 1]),
    cut=st.one_of(st.none(), st.floats(0, 1)),
    changes=st.lists(st.tuples(st.floats(0, 0.999999), st.integers(0, 255)), max_size=6),
)
def test_a_damaged_archive_raises_nothing_but_a_scene_error(tmp_path_factory, which, cut, changes) -> None:
    octets = bytearray(WHOLE[which])
    for place, value in changes:
        octets[int(place * len(octets))] = value
    if cut is not None:
        octets = octets[: int(cut * len(octets))]
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    path.write_bytes(octets)
    with contextlib.suppress(SceneError), open_scene(path) as scene:
        assert scene.read_rows(0, scene.info.height).shape[0] == scene.info.height
