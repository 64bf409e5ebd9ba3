"""The cutter: quantised output against ONNX's rule in NumPy, statistics or none, and what it refuses."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bindings.faults import BufferMismatch, GeometryRefused, WindowMismatch
from bindings.tiles import Layout, Normalisation, Quantisation, TileCutter, tile_f32
from tests.bindings.test_tiles import DTYPES, draw_scene, laid_out, norm_of

pytestmark = pytest.mark.arm


def quantised(pixels: NDArray[np.float32], how: Quantisation, dtype: Any) -> NDArray[Any]:
    """QuantizeLinear as its specification says."""
    span = np.iinfo(dtype)
    steps = np.rint(pixels / np.float32(how.scale)) + np.float32(how.zero_point)
    quantised: NDArray[Any] = np.clip(steps, span.min, span.max).astype(dtype)
    return quantised


def cutter_of(
    scene: NDArray[Any], layout: Layout, bands: list[int], norm: Normalisation, side: int, **how: Any
) -> TileCutter:
    """A cutter for windows of a (rows, cols, bands) scene."""
    how = {"nodata": None, **how}
    return TileCutter(
        layout=layout, columns=scene.shape[1], planes=scene.shape[2], dtype=scene.dtype, bands=bands, norm=norm,
        side=side, **how,
    )  # fmt: skip


scales = st.sampled_from([1 / 255, 1 / 127, 0.02, 0.5, 3e-5, 1.0, 7.7]) | st.floats(1e-6, 10)


@settings(max_examples=150, deadline=None)
@given(
    dtype=st.sampled_from(DTYPES),
    layout=st.sampled_from(Layout),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    planes=st.integers(1, 14),
    side=st.integers(1, 40),
    nodata=st.sampled_from([None, 0.0, 7.0]),
    out_dtype=st.sampled_from([np.uint8, np.int8]),
    scale=scales,
    data=st.data(),
)
def test_octets_are_what_quantize_linear_makes_of_the_float_tile(
    dtype: Any, layout: Layout, shape: tuple[int, int], planes: int, side: int, nodata: float | None,
    out_dtype: Any, scale: float, data: st.DataObject,
) -> None:  # fmt: skip
    rows, cols = shape
    row = data.draw(st.integers(-2 * side, rows + side), label="row")
    col = data.draw(st.integers(-2 * side, cols + side), label="col")
    some = st.lists(st.integers(0, planes - 1), min_size=1, max_size=5)
    bands = data.draw(st.just(list(range(planes))) | some, label="bands")
    span = np.iinfo(out_dtype)
    how = Quantisation(scale, data.draw(st.integers(span.min, span.max), label="zero_point"))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), label="seed"))
    scene = draw_scene(rng, rows, cols, planes, dtype, 7.0 if nodata is None else nodata)
    low, high = data.draw(st.sampled_from([(0.0, 1.0), (-1.0, 1.0), (-0.3, 0.4), (-1e9, 1e9)]), label="clip")
    norm = norm_of(len(bands), scale=data.draw(st.sampled_from([1e-4, 0.004, -0.01, 1.0])), low=low, high=high)
    window = laid_out(scene, layout)
    place: dict[str, Any] = {"first_row": 0, "scene_rows": rows, "row": row, "col": col}

    pixels, valid = np.empty((len(bands), side, side), np.float32), np.empty((side, side), np.uint8)
    expected = tile_f32(window, layout, **place, bands=bands, norm=norm, nodata=nodata, out=pixels, valid=valid)
    for statistics in (True, False):
        cutter = cutter_of(
            scene, layout, bands, norm, side, nodata=nodata, out_dtype=out_dtype, quantisation=how,
            statistics=statistics,
        )  # fmt: skip
        out, mask = np.full_like(pixels, 99, out_dtype), np.full_like(valid, 99)
        stats = cutter.cut(window, **place, out=out, valid=mask)
        np.testing.assert_array_equal(mask, valid)
        np.testing.assert_array_equal(out, quantised(pixels, how, out_dtype))
        assert stats == (expected if statistics else None)
        assert (cutter.pixels, cutter.nodata_pixels) == (expected.pixels, expected.nodata)


@pytest.mark.parametrize("out_dtype", [np.uint8, np.int8])
@pytest.mark.parametrize(("dtype", "scale"), [(np.uint8, 1 / 255), (np.uint16, 1e-4), (np.int16, 1e-4)])
def test_every_number_of_an_integer_type_becomes_the_octet_of_the_division(
    dtype: Any, scale: float, out_dtype: Any
) -> None:
    span = np.iinfo(dtype)
    scene = np.resize(np.arange(span.min, span.max + 1, dtype=np.int32).astype(dtype), 1 << 16).reshape(256, 256, 1)
    for step, offset, high in ((1 / 255, 0.0, 1.0), (0.005, -0.1, 1.0), (2**-7, 0.0, 9.0), (1 / 127, -0.5, 1.0)):
        norm = Normalisation((scale,), (offset,), -high, high)
        for zero_point in (np.iinfo(out_dtype).min, 0, 3, 127):
            how = Quantisation(step, zero_point)
            cutter = cutter_of(scene, Layout.HWC, [0], norm, 256, out_dtype=out_dtype, quantisation=how)
            out, valid = np.empty((1, 256, 256), out_dtype), np.empty((256, 256), np.uint8)
            cutter.cut(scene, first_row=0, scene_rows=256, row=0, col=0, out=out, valid=valid)
            pixels = scene[..., 0].astype(np.float32) * np.float32(scale) + np.float32(offset)
            pixels = np.clip(pixels, np.float32(-high), np.float32(high))
            np.testing.assert_array_equal(out[0], quantised(pixels, how, out_dtype))


def test_without_statistics_tile_and_counts_are_the_same() -> None:
    scene = np.random.default_rng(2).integers(0, 9, (90, 80, 4), dtype=np.uint16)
    scene[30:50, :64] = 3
    norm = norm_of(4)
    place: dict[str, Any] = {"first_row": 0, "scene_rows": 90, "row": 16, "col": -8}
    out, valid = np.empty((2, 4, 64, 64), np.float32), np.empty((2, 64, 64), np.uint8)
    measured = cutter_of(scene, Layout.HWC, [0, 1, 2, 3], norm, 64, nodata=3.0)
    stats = measured.cut(scene, **place, out=out[0], valid=valid[0])
    plain = cutter_of(scene, Layout.HWC, [0, 1, 2, 3], norm, 64, nodata=3.0, statistics=False)
    assert plain.cut(scene, **place, out=out[1], valid=valid[1]) is None
    np.testing.assert_array_equal(out[0], out[1])
    np.testing.assert_array_equal(valid[0], valid[1])
    assert stats is not None
    assert (plain.pixels, plain.nodata_pixels) == (stats.pixels, stats.nodata)
    assert stats.nodata >= 20 * 56


def test_windows_of_changing_rows_strides_and_memory_are_looked_at_each_time() -> None:
    scene = np.random.default_rng(4).integers(0, 60_000, (64, 48, 3), dtype=np.uint16)
    big = np.zeros((64, 60, 5), np.uint16)
    big[:, 4:52, 1:4] = scene
    norm = norm_of(3, scale=1e-5)
    cutter = cutter_of(scene, Layout.HWC, [0, 1, 2], norm, 16)
    valid = np.empty((16, 16), np.uint8)
    for window, first in ((scene, 0), (scene[8:40], 8), (big[:, 4:52, 1:4], 0), (scene[9:41], 9), (scene.copy(), 0)):
        one, two = np.empty((3, 16, 16), np.float32), np.empty((3, 16, 16), np.float32)
        place: dict[str, Any] = {"row": 12, "col": 40, "scene_rows": 64}
        cutter.cut(window, first_row=first, **place, out=one, valid=valid)
        tile_f32(
            scene, Layout.HWC, first_row=0, **place, bands=[0, 1, 2], norm=norm, nodata=None, out=two, valid=valid
        )  # fmt: skip
        np.testing.assert_array_equal(one, two)


def test_a_memory_map_is_cut_like_the_array_that_it_holds(tmp_path: Any) -> None:
    scene = np.random.default_rng(6).integers(0, 99, (20, 20, 2), dtype=np.uint8)
    scene.tofile(tmp_path / "scene")
    mapped = np.memmap(tmp_path / "scene", np.uint8, "r", shape=scene.shape)
    cutter = cutter_of(scene, Layout.HWC, [1, 0], norm_of(2), 8)
    out, valid = np.empty((2, 2, 8, 8), np.float32), np.empty((8, 8), np.uint8)
    for number, window in enumerate((scene, mapped)):
        cutter.cut(window, first_row=0, scene_rows=20, row=5, col=7, out=out[number], valid=valid)
    np.testing.assert_array_equal(out[0], out[1])


def test_threads_may_share_a_cutter() -> None:
    scene = np.random.default_rng(8).integers(0, 10_000, (300, 300, 4), dtype=np.uint16)
    cutter = cutter_of(scene, Layout.HWC, [0, 1, 2, 3], norm_of(4, scale=1e-4), 64, nodata=0.0)
    places = [(row, col) for row in range(-10, 290, 50) for col in range(-10, 290, 50)]

    def cut(place: tuple[int, int]) -> tuple[Any, bytes]:
        out, valid = np.empty((4, 64, 64), np.float32), np.empty((64, 64), np.uint8)
        stats = cutter.cut(scene, first_row=0, scene_rows=300, row=place[0], col=place[1], out=out, valid=valid)
        return stats, out.tobytes()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(cut, places)) == [cut(place) for place in places]


MADE: dict[str, Any] = {
    "layout": Layout.HWC, "columns": 9, "planes": 2, "dtype": np.uint16, "bands": [0, 1], "norm": norm_of(2),
    "nodata": None, "side": 4,
}  # fmt: skip
U8: dict[str, Any] = {"out_dtype": np.uint8, "quantisation": Quantisation(0.1, 0)}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"dtype": np.float64}, "float64"), ({"dtype": ">u2"}, ">u2"), ({"columns": 0}, "columns"),
        ({"columns": 1 << 41}, "columns"), ({"bands": []}, "bands"), ({"bands": [2, 0]}, "bands"),
        ({"bands": [-1, 0]}, "bands"), ({"side": 0}, "side"), ({"side": 4097}, "side"),
        ({"norm": norm_of(3)}, "3 scales"),
        ({"norm": Normalisation((1.0, 1.0), (0.0, float("inf")), 0.0, 1.0)}, "finite"),
        ({"out_dtype": np.int16}, "int16"), ({"out_dtype": np.uint8}, "needs a quantisation"),
        ({"quantisation": Quantisation(1.0, 0)}, "takes no quantisation"),
        ({**U8, "quantisation": Quantisation(0.0, 0)}, "positive"),
        ({**U8, "quantisation": Quantisation(-0.1, 0)}, "positive"),
        ({**U8, "quantisation": Quantisation(float("nan"), 0)}, "positive"),
        ({**U8, "quantisation": Quantisation(1e-42, 0)}, "positive"),
        ({**U8, "quantisation": Quantisation(float("inf"), 0)}, "positive"),
        ({**U8, "quantisation": Quantisation(0.1, -1)}, "zero point"),
        ({**U8, "quantisation": Quantisation(0.1, 256)}, "zero point"),
        ({**U8, "out_dtype": np.int8, "quantisation": Quantisation(0.1, 128)}, "zero point"),
    ],
)  # fmt: skip
def test_a_cutter_that_makes_no_sense_is_refused_when_it_is_made(change: dict[str, Any], says: str) -> None:
    with pytest.raises(GeometryRefused, match=re.escape(says)):
        TileCutter(**{**MADE, **change})


class Liar(np.ndarray[Any, Any]):
    """Says that it is larger than it is."""

    shape = property(lambda self: (2, 4, 4))


def misaligned(*shape: int, dtype: Any) -> NDArray[Any]:
    octets = np.zeros(int(np.prod(shape)) * np.dtype(dtype).itemsize + 1, np.uint8)
    array: NDArray[Any] = octets[1:].view(dtype).reshape(shape)
    return array


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array


CUT: dict[str, Any] = {
    "window": np.zeros((8, 9, 2), np.uint16), "first_row": 0, "scene_rows": 8, "row": 0, "col": 0,
    "out": np.zeros((2, 4, 4), np.float32), "valid": np.zeros((4, 4), np.uint8),
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"window": np.zeros((8, 9, 2), np.uint8)}, BufferMismatch, "uint8"),
        ({"window": np.zeros((8, 9, 2), ">u2")}, BufferMismatch, ">u2"),
        ({"window": np.zeros((8, 9), np.uint16)}, BufferMismatch, "axes"),
        ({"window": [[1]]}, BufferMismatch, "list"),
        ({"window": None}, BufferMismatch, "NoneType"),
        ({"window": np.zeros((8, 9, 4), np.uint16)[..., ::2]}, BufferMismatch, "last axis"),
        ({"window": np.zeros((8, 9, 2), np.uint16)[::-1]}, BufferMismatch, "stride"),
        ({"window": np.broadcast_to(np.zeros((1, 9, 2), np.uint16), (8, 9, 2))}, BufferMismatch, "stride"),
        ({"window": misaligned(8, 9, 2, dtype=np.uint16)}, BufferMismatch, "aligned"),
        ({"window": np.zeros((0, 9, 2), np.uint16)}, GeometryRefused, "0 x 9"),
        ({"window": np.zeros((8, 8, 2), np.uint16)}, GeometryRefused, "8 x 8 x 2"),
        ({"window": np.zeros((8, 9, 3), np.uint16)}, GeometryRefused, "8 x 9 x 3"),
        ({"window": np.zeros((3, 1, 1), np.uint16).view(Liar)}, GeometryRefused, "3 x 1 x 1"),
        ({"out": np.zeros((2, 4, 5), np.float32)}, BufferMismatch, "shape"),
        ({"out": np.zeros((2, 4, 4), np.int8)}, BufferMismatch, "int8"),
        ({"out": np.zeros((2, 8, 4), np.float32)[:, ::2]}, BufferMismatch, "contiguous"),
        ({"out": read_only(np.zeros((2, 4, 4), np.float32))}, BufferMismatch, "read-only"),
        ({"out": misaligned(2, 4, 4, dtype=np.float32)}, BufferMismatch, "aligned"),
        ({"out": np.zeros((1, 4, 4), np.float32).view(Liar)}, BufferMismatch, "shape"),
        ({"valid": np.zeros((4, 3), np.uint8)}, BufferMismatch, "shape"),
        ({"valid": np.zeros((4, 4), bool)}, BufferMismatch, "bool"),
        ({"valid": read_only(np.zeros((4, 4), np.uint8))}, BufferMismatch, "read-only"),
        ({"valid": None}, BufferMismatch, "NoneType"),
        ({"first_row": -1}, GeometryRefused, "row -1"),
        ({"first_row": 1}, GeometryRefused, "row 1"),
        ({"scene_rows": 7}, GeometryRefused, "7 rows"),
        ({"scene_rows": 1 << 63}, GeometryRefused, "beyond"),
        ({"row": -(1 << 70)}, GeometryRefused, "beyond"),
        ({"col": (1 << 40) + 1}, GeometryRefused, "beyond"),
        ({"row": float("nan")}, GeometryRefused, "nan"),
        ({"row": 0.5}, TypeError, "integer"),
        ({"first_row": 4, "scene_rows": 99}, WindowMismatch, "row 0"),
    ],
)
def test_no_window_or_buffer_that_does_not_fit_reaches_c(
    change: dict[str, Any], error: type[Exception], says: str
) -> None:
    cutter = TileCutter(**MADE)
    assert cutter.cut(**CUT) is not None  # so that a good window is what it saw last
    out, valid = CUT["out"].copy(), CUT["valid"].copy()
    with pytest.raises(error, match=re.escape(says)):
        cutter.cut(**{**CUT, **change})
    np.testing.assert_array_equal(CUT["out"], out)
    np.testing.assert_array_equal(CUT["valid"], valid)


def test_arrays_that_share_memory_are_refused() -> None:
    memory = np.zeros(4000, np.uint8)
    window, out = memory[:288].view(np.uint16).reshape(8, 9, 2), memory[1024:1152].view(np.float32).reshape(2, 4, 4)
    valid = memory[2000:2016].reshape(4, 4)
    cutter = TileCutter(**MADE)
    cutter.cut(**{**CUT, "window": window, "out": out, "valid": valid})
    for change in (
        {"out": memory[284:412].view(np.float32).reshape(2, 4, 4)},
        {"valid": memory[287:303].reshape(4, 4)},
        {"valid": memory[1151:1167].reshape(4, 4)},
    ):
        with pytest.raises(GeometryRefused, match="overlap"):
            cutter.cut(**{**CUT, "window": window, "out": out, "valid": valid, **change})
