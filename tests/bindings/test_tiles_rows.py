"""Whole rows inside the scene, where kernels for one machine take over: against NumPy, and path against path."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cffi import FFI
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bindings.build import HERE, declarations
from bindings.ffi import ffi, lib
from bindings.tiles import Layout, Normalisation, Quantisation, TileCutter
from tests.bindings.test_tiles import DTYPES, laid_out, norm_of
from tests.bindings.test_tiles_cutter import quantised

NODATA = 7
STEP = Quantisation(1 / 255, 0)
CODES = {np.uint8: lib.SW_SAMPLE_U8, np.uint16: lib.SW_SAMPLE_U16, np.int16: lib.SW_SAMPLE_I16}


def draw_rows(rng: np.random.Generator, shape: tuple[int, int, int], dtype: Any, holes: str) -> NDArray[Any]:
    """Samples over the whole type, some at its ends, and pixels without data: none, single ones, or a wedge."""
    if np.dtype(dtype).kind == "f":
        scene = rng.normal(3000, 4000, shape).astype(dtype)
    else:
        span = np.iinfo(dtype)
        top = span.max if rng.random() < 0.3 else span.max // 6
        scene = rng.integers(max(span.min, -top), top, shape, endpoint=True).astype(dtype)
        scene[scene == NODATA] += 1
        if rng.random() < 0.5:
            scene[rng.random(shape) < 0.01] = span.max
    if holes == "single":
        scene[rng.random(shape[:2]) < 0.0005] = NODATA
        scene[rng.random(shape) < 0.02] = NODATA
    elif holes == "wedge":
        scene[np.add.outer(np.arange(shape[0]) * 2, np.arange(shape[1])) < shape[1]] = NODATA
    return scene


def draw_bands(rng: np.random.Generator, planes: int, kind: str) -> list[int]:
    if kind == "all":
        return list(range(planes))
    if kind == "any order":
        return [int(band) for band in rng.permutation(planes)]
    if kind == "twice":
        return [int(band) for band in rng.integers(0, planes, min(planes, 5))]
    return sorted(int(band) for band in rng.choice(planes, rng.integers(1, planes, endpoint=True), replace=False))


@pytest.mark.arm
@settings(max_examples=150, deadline=None)
@given(
    dtype=st.sampled_from(DTYPES),
    layout=st.sampled_from([Layout.HWC, Layout.HWC, Layout.HWC, Layout.BSQ, Layout.BIL]),
    planes=st.sampled_from([1, 2, 3, 4, 4, 5, 6, 7, 8, 9, 12, 13, 16, 17, 40, 140]),
    kind=st.sampled_from(["all", "any order", "some", "twice"]),
    holes=st.sampled_from(["none", "single", "wedge"]),
    side=st.sampled_from([32, 64, 96, 33]),
    out_dtype=st.sampled_from([np.float32, np.uint8, np.int8]),
    statistics=st.booleans(),
    spare=st.sampled_from([0, 0, 3]),
    seed=st.integers(0, 2**32 - 1),
)
def test_rows_inside_the_scene_are_those_of_numpy(
    dtype: Any, layout: Layout, planes: int, kind: str, holes: str, side: int, out_dtype: Any, statistics: bool,
    spare: int, seed: int,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    rows, cols = side + int(rng.integers(0, 9)), side + int(rng.integers(0, 9))
    scene = draw_rows(rng, (rows, cols, planes), dtype, holes)
    bands = draw_bands(rng, planes, kind)
    norm = norm_of(len(bands), scale=float(rng.choice([1e-4, 2.75e-5, -3e-5, 0.004])), offset=-0.01)
    nodata = None if rng.random() < 0.2 else float(NODATA)
    how = None if out_dtype is np.float32 else Quantisation(1 / 255, 0 if out_dtype is np.uint8 else -128)
    window = laid_out(scene, layout)
    if spare:  # a part of a larger block: strides that are not the axes' lengths
        block = np.full([length + spare for length in window.shape], 1, dtype)
        part = tuple(slice(1, 1 + length) for length in window.shape)
        block[part] = window
        window = block[part]
    row, col = (int(rng.integers(0, length - side, endpoint=True)) for length in (rows, cols))
    cutter = TileCutter(
        layout=layout, columns=cols, planes=planes, dtype=dtype, bands=bands, norm=norm, nodata=nodata, side=side,
        out_dtype=out_dtype, quantisation=how, statistics=statistics,
    )  # fmt: skip
    out, valid = np.full((len(bands), side, side), 99, out_dtype), np.full((side, side), 99, np.uint8)
    stats = cutter.cut(window, first_row=0, scene_rows=rows, row=row, col=col, out=out, valid=valid)

    raw = scene[row : row + side, col : col + side][..., bands]
    bad = np.zeros((side, side), bool) if nodata is None else (raw == NODATA).all(axis=2)
    pixels = raw.astype(np.float32) * np.array(norm.scale, np.float32) + np.array(norm.offset, np.float32)
    pixels = np.where(bad[..., None], np.float32(0), np.clip(pixels, np.float32(0), np.float32(1))).transpose(2, 0, 1)
    np.testing.assert_array_equal(out, pixels if how is None else quantised(pixels, how, out_dtype))
    np.testing.assert_array_equal(valid, ~bad)
    assert (cutter.pixels, cutter.nodata_pixels) == (side * side, bad.sum())
    if stats is None:
        return
    for plane, band in enumerate(stats.bands):
        kept = raw[..., plane][~bad]
        assert band.valid == kept.size
        total = kept.astype(np.float64).sum()
        assert band.total == (pytest.approx(total, rel=1e-12) if dtype is np.float32 else total)
        if kept.size:
            assert (band.minimum, band.maximum) == (kept.min(), kept.max())
        assert band.saturated == (0 if dtype is np.float32 else (kept == np.iinfo(dtype).max).sum())


def test_sums_of_the_largest_tile_do_not_run_over() -> None:
    scene = np.full((lib.SW_TILE_SIDE_MAX,) * 2 + (2,), 65535, np.uint16)
    side = scene.shape[0]
    out, valid = np.empty((2, side, side), np.uint8), np.empty((side, side), np.uint8)
    cutter = TileCutter(
        layout=Layout.HWC, columns=side, planes=2, dtype=np.uint16, bands=[0, 1], side=side, nodata=0.0,
        norm=Normalisation((1e-5,) * 2, (0.0,) * 2, 0.0, 1.0), out_dtype=np.uint8, quantisation=STEP,
    )  # fmt: skip
    stats = cutter.cut(scene, first_row=0, scene_rows=side, row=0, col=0, out=out, valid=valid)
    assert stats is not None
    for band in stats.bands:
        assert (band.total, band.saturated, band.minimum) == (65535.0 * side**2, side**2, 65535)


def test_a_tile_too_large_for_caches_is_the_same_wherever_its_buffer_begins() -> None:
    side, planes = 512, 9
    scene = draw_rows(np.random.default_rng(3), (side, side, planes), np.uint16, "single")
    norm = norm_of(planes, scale=1e-4)
    valid, area = np.empty((side, side), np.uint8), planes * side * side
    memory = np.empty(area + 32, np.float32)
    begin = -memory.ctypes.data % 64 // 4
    raw = scene.astype(np.float32) * np.array(norm.scale, np.float32) + np.array(norm.offset, np.float32)
    empty = (scene == NODATA).all(axis=2)
    expected = np.where(empty[..., None], np.float32(0), np.clip(raw, np.float32(0), np.float32(1))).transpose(2, 0, 1)
    for statistics, shift in ((True, 0), (False, 0), (True, 4)):
        out = memory[begin + shift : begin + shift + area].reshape(planes, side, side)
        out.fill(99)
        cutter = TileCutter(
            layout=Layout.HWC, columns=side, planes=planes, dtype=np.uint16, bands=range(planes), norm=norm,
            nodata=float(NODATA), side=side, statistics=statistics,
        )  # fmt: skip
        cutter.cut(scene, first_row=0, scene_rows=side, row=0, col=0, out=out, valid=valid)
        np.testing.assert_array_equal(out, expected)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The tile kernels once more, without anything that is special to one machine."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler here")
    built = tmp_path_factory.mktemp("plain") / "tiles.so"
    flags = ["-std=c11", "-O1", "-ffp-contract=off", "-shared", "-fPIC", "-DSW_NO_AVX2", "-DSW_NO_CLONES"]
    csrc = Path(HERE) / "csrc"
    subprocess.run([compiler, *flags, "-D_GNU_SOURCE", f"-I{csrc}", csrc / "tiles.c", "-o", built, "-lm"], check=True)
    other = FFI()
    other.cdef(declarations())
    return other, other.dlopen(str(built))


@settings(max_examples=150, deadline=None)
@given(
    dtype=st.sampled_from([np.uint8, np.uint16, np.uint16, np.int16]),
    planes=st.sampled_from([1, 2, 3, 4, 6, 8, 12, 13]),
    holes=st.sampled_from(["none", "single", "wedge"]),
    side=st.sampled_from([32, 64, 96, 40]),
    output=st.sampled_from([lib.SW_OUT_F32, lib.SW_OUT_U8, lib.SW_OUT_S8]),
    step=st.sampled_from([1 / 255, 1 / 127, 0.0234, 2**-7]) | st.floats(1e-4, 0.1),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_path_gives_the_same_octets_and_the_same_statistics(
    plain: Any, dtype: Any, planes: int, holes: str, side: int, output: int, step: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    rows, cols = side + int(rng.integers(0, 20)), side + int(rng.integers(0, 20))
    scene = draw_rows(rng, (rows, cols, planes), dtype, holes)
    row, col = (int(rng.integers(-20, side * 3 // 4)) for _ in range(2))  # as a rule past an edge: reflected
    factors = rng.choice([1e-4, 2.75e-5, 0.02, 1 / 255], planes), rng.choice([0.0, -0.1, -0.2, 0.31], planes)
    zero_point = int(rng.integers(-128, 127)) if output == lib.SW_OUT_S8 else int(rng.integers(0, 255))
    results = []
    for door, core in ((ffi, lib), plain):
        numbers = door.new("int32_t[]", list(range(planes)))
        scale, offset = (door.new("float[]", list(column)) for column in factors)
        forms, each = door.new("sw_octet_form[]", planes), door.new("sw_band_stats[]", planes)
        stats = door.new("sw_tile_stats *")
        cutter = door.new(
            "sw_cutter *",
            {
                "sample": CODES[dtype], "out": output, "side": side, "bands": planes, "band": numbers, "scale": scale,
                "offset": offset, "low": 0.0, "high": 1.0, "nodata": NODATA, "has_nodata": 1, "form": forms,
                "step": step, "zero_point": zero_point,
            },
        )  # fmt: skip
        assert core.sw_cutter_prove(cutter) >= 0
        window = door.new("sw_window *", (rows, cols, cols * planes, planes, 1))
        out = np.full((planes, side, side), 99, np.float32 if output == lib.SW_OUT_F32 else np.uint8)
        valid = np.full((side, side), 99, np.uint8)
        code = core.sw_cut(
            cutter, window, door.from_buffer(scene), 0, rows, row, col, door.from_buffer(out),
            door.from_buffer("uint8_t[]", valid), each, stats,
        )  # fmt: skip
        assert code == 0
        counts = bytes(door.buffer(each)), stats.pixels, stats.nodata
        results.append((out.tobytes(), valid.tobytes(), counts))
    assert results[0] == results[1]
