"""Bands that were shifted by known amounts are found and moved back, on real scenes; and where nothing can be seen."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flight.pipeline.control import Unregistered
from flight.pipeline.registered_lines import RegisteredLines, Registration, registered
from flight.pipeline.registration import BandShift, NoTexture, ShiftTooLarge, measure_shifts
from hal.sensor.scene import open_scene
from tests.shared_data import ROOT

SCENES = ROOT / "examples" / "scenes"
# scene: reference band, the others that are shifted, and by how much (across, along)
KNOWN = {
    "landsat7_great_salt_lake_7band.tif": (1, {0: (1.37, -0.61), 2: (-2.25, 3.5), 4: (0.45, 0.2)}),
    "landsat8_itaipu_bgr_uint16.tif": (1, {0: (-0.33, 5.8), 2: (0.75, -1.1)}),
    "sentinel2_lake_shore_12band.tif": (2, {1: (0.5, 0.5), 3: (-1.25, 0.7), 7: (2.1, -1.9)}),
    "landsat5_canberra_lake_nbar_6band.tif": (1, {0: (0.6, -0.4), 2: (-3.3, 1.2)}),
}
ACCURACY_PX = 0.15
VISIBLE = (0, 1, 2, 3)  # the others see other things; they are found as well as they say


class Lines:
    """A LineSource over an array; lines come as `available` says, and going back is a mistake."""

    def __init__(self, pixels: Any, lost: tuple[tuple[int, int], ...] = ()) -> None:
        self.pixels, self._lost = pixels, lost
        self.columns, self.bands, self.dtype = pixels.shape[1], pixels.shape[2], pixels.dtype.name
        self.lines: int | None = len(pixels)
        self.available = len(pixels)
        self.read_up_to = self.released = 0

    def read_into(self, first: int, out: Any) -> None:
        assert self.released <= first and first + len(out) <= self.available
        out[:] = self.pixels[first : first + len(out)]
        self.read_up_to = max(self.read_up_to, first + len(out))

    def release(self, before: int) -> None:
        self.released = max(self.released, before)

    def lost_ranges(self) -> tuple[tuple[int, int], ...]:
        return self._lost


def moved(band: Any, across: float, along: float) -> Any:
    """The band off by (across, along): what was at c comes to lie at c + across. By Fourier's theorem."""
    pad = 32
    wide = np.pad(band.astype(np.float64), pad, mode="symmetric")
    phase = np.exp(
        -2j * np.pi * (np.fft.fftfreq(wide.shape[0])[:, None] * along + np.fft.rfftfreq(wide.shape[1]) * across)
    )
    back = np.fft.irfft2(np.fft.rfft2(wide) * phase, wide.shape)[pad:-pad, pad:-pad]
    limits = np.iinfo(band.dtype)
    return np.clip(np.rint(back), limits.min, limits.max).astype(band.dtype)


def shifted(name: str) -> tuple[Any, Any, int, dict[int, tuple[float, float]]]:
    reference, known = KNOWN[name]
    with open_scene(SCENES / name) as scene:
        pixels = scene.read_rows(0, min(512, scene.info.height))[:, :700]
    off = pixels.copy()
    for band, (across, along) in known.items():
        off[:, :, band] = moved(pixels[:, :, band], across, along)
    return pixels, off, reference, known


@pytest.mark.parametrize("name", KNOWN)
def test_known_shifts_of_real_bands_are_found_to_a_seventh_of_a_pixel(name: str) -> None:
    pixels, off, reference, known = shifted(name)
    bands = [reference, *known]
    before = measure_shifts(pixels[:, :, bands], 0)  # a scene's own bands lie off a little, too
    after = measure_shifts(off[:, :, bands], 0)
    for own, found, (band, (across, along)) in zip(before[1:], after[1:], known.items(), strict=True):
        error = np.hypot(found.across_px - own.across_px - across, found.along_px - own.along_px - along)
        print(
            f"{name} band {band}: {across:+.2f} {along:+.2f} put in, off by {error:.3f} px, sigma {found.sigma_px:.3f},"
            f" {found.windows} windows; the scene's own {own.across_px:+.2f} {own.along_px:+.2f}"
        )
        assert error < (ACCURACY_PX if band in VISIBLE else 2 * found.sigma_px)
        assert found.sigma_px < (0.08 if band in VISIBLE else 0.3)


def test_bands_moved_back_are_those_of_before() -> None:
    pixels, off, reference, known = shifted("landsat7_great_salt_lake_7band.tif")
    shifts = [BandShift(*known.get(band, (0.0, 0.0))) for band in range(pixels.shape[2])]
    out = np.zeros_like(pixels)
    RegisteredLines(Lines(off), shifts, None).read_into(0, out)
    inner = np.s_[10:-10, 10:-10]
    for band in known:
        wrong = np.abs(off[inner][:, :, band].astype(float) - pixels[inner][:, :, band]).mean()
        right = np.abs(out[inner][:, :, band].astype(float) - pixels[inner][:, :, band]).mean()
        print(f"band {band}: {wrong:.2f} numbers wrong before, {right:.2f} after")
        assert right < 0.4 * wrong
    assert (out[:, :, reference] == pixels[:, :, reference]).all()


def test_open_sea_has_nothing_to_measure_a_shift_on() -> None:
    rng = np.random.default_rng(5)
    noise = rng.normal(100, 3, (256, 256, 2)).astype(np.float32)
    with pytest.raises(NoTexture) as caught:
        measure_shifts(noise, 0)
    assert caught.value.band == 1 and caught.value.windows < 3
    for blank in (np.zeros((256, 256, 2), np.uint16), np.full((20, 20, 2), 5, np.uint8)):
        with pytest.raises(NoTexture):
            measure_shifts(blank, 0)


def test_bands_that_see_different_things_are_refused_rather_than_guessed() -> None:
    with open_scene(SCENES / "landsat5_canberra_lake_nbar_6band.tif") as scene:
        pixels = scene.read_rows(0, 400)[:, :, [1, 3]]  # green and near infrared over crops
    with pytest.raises(NoTexture):
        measure_shifts(pixels, 0, nodata=-999.0)


def test_lines_without_measurements_are_left_out_and_too_many_leave_nothing() -> None:
    _, off, reference, known = shifted("landsat8_itaipu_bgr_uint16.tif")
    off[:, :300] = 0
    found = measure_shifts(off, reference, nodata=0.0)
    assert np.hypot(found[2].across_px - known[2][0], found[2].along_px - known[2][1]) < ACCURACY_PX
    off[:] = 0
    with pytest.raises(NoTexture):
        measure_shifts(off, reference, nodata=0.0)


def test_a_shift_beyond_its_limit_is_refused() -> None:
    _, off, reference, _ = shifted("landsat8_itaipu_bgr_uint16.tif")
    with pytest.raises(ShiftTooLarge) as caught:
        measure_shifts(off, reference, limit_px=3.0)
    assert caught.value.band == 0 and caught.value.along_px == pytest.approx(5.8, abs=0.3)
    with pytest.raises(ValueError, match="reference"):
        measure_shifts(off, 7)


# --- moving


def expected(pixels: Any, shifts: list[BandShift]) -> Any:
    """By OpenCV on the whole strip, its own cubic kernel having a = -3/4: exact for whole shifts only."""
    out = np.empty_like(pixels)
    for band, shift in enumerate(shifts):
        warp = np.array([[1, 0, shift.across_px], [0, 1, shift.along_px]], np.float64)
        out[:, :, band] = cv2.warpAffine(
            pixels[:, :, band], warp, pixels.shape[1::-1], flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
    return out


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_whole_shifts_are_copies_in_any_blocks(data: st.DataObject) -> None:
    rows, columns, bands = (data.draw(st.integers(1, most)) for most in (150, 20, 4))
    dtype = data.draw(st.sampled_from(["uint8", "uint16", "int16", "float32"]))
    pixels = np.random.default_rng(rows).integers(0, 200, (rows, columns, bands)).astype(dtype)
    whole = st.integers(-7, 7).map(float)
    shifts = [BandShift(data.draw(whole), data.draw(whole)) for _ in range(bands)]
    source = Lines(pixels)
    lines = RegisteredLines(source, shifts, None)
    out = np.zeros_like(pixels)
    at = 0
    while at < rows:
        count = data.draw(st.integers(1, rows - at))
        lines.read_into(at, out[at : at + count])
        at += count
        lines.release(at)
    assert (out == expected(pixels, shifts)).all()


@settings(deadline=None, max_examples=40)
@given(st.floats(-6, 6), st.floats(-6, 6), st.integers(1, 40))
def test_blocks_of_any_size_give_the_same_lines(across: float, along: float, block: int) -> None:
    pixels = np.random.default_rng(1).integers(0, 60_000, (97, 23, 2)).astype(np.uint16)
    shifts = [BandShift(across, along), BandShift(0.0, 0.0)]
    whole, pieces = np.zeros_like(pixels), np.zeros_like(pixels)
    RegisteredLines(Lines(pixels), shifts, 7.0).read_into(0, whole)
    lines = RegisteredLines(Lines(pixels), shifts, 7.0)
    for first in range(0, 97, block):
        lines.read_into(first, pieces[first : first + block])
        lines.release(first)
    assert (whole == pieces).all()


def test_a_plane_is_moved_exactly_and_a_constant_stays() -> None:
    rows, columns = np.meshgrid(np.arange(40.0), np.arange(30.0), indexing="ij")
    plane = np.stack([10 * rows + 3 * columns, np.full_like(rows, 777.0)], axis=2).astype(np.float32)
    out = np.zeros_like(plane)
    RegisteredLines(Lines(plane), [BandShift(0.3, -1.6), BandShift(0.3, -1.6)], None).read_into(0, out)
    inner = np.s_[4:-4, 4:-4]
    assert np.abs(out[inner][:, :, 0] - (plane[inner][:, :, 0] + 3 * 0.3 - 10 * 1.6)).max() < 1e-3
    assert np.abs(out[:, :, 1] - 777.0).max() < 1e-3


def test_what_comes_from_beyond_the_strip_or_beside_nodata_is_nodata_in_all_bands() -> None:
    pixels = np.full((20, 20, 2), 50, np.uint8)
    pixels[10, 10] = 0
    pixels[5, 5, 0] = 0  # dark in one band is a measurement
    out = np.zeros_like(pixels)
    RegisteredLines(Lines(pixels), [BandShift(0.0, 0.0), BandShift(2.0, 3.0)], 0.0).read_into(0, out)
    empty = (out == 0).all(axis=2)
    assert empty[17:].all() and empty[:, 18:].all() and not empty[:7].any(where=np.arange(20) < 18)
    assert empty[10, 10] and empty[7, 8] and not empty[5, 5]


def test_lost_lines_are_lost_in_all_that_is_made_of_them() -> None:
    lines = RegisteredLines(
        Lines(np.zeros((50, 4, 2), np.uint8), ((0, 1), (20, 2), (27, 1))), [BandShift(0, 0), BandShift(0, 2)], None
    )
    lost = {row for first, count in lines.lost_ranges() for row in range(first, first + count)}
    assert {0, 20, 21, 18, 19, 27, 25} <= lost and max(lost) < 50 and 40 not in lost
    assert list(lines.lost_ranges()) == sorted(lines.lost_ranges())


def test_lines_are_there_when_all_that_they_are_made_of_is() -> None:
    source = Lines(np.zeros((50, 4, 2), np.uint8))
    lines = RegisteredLines(source, [BandShift(0, 0), BandShift(0, 3.5)], None)
    source.lines, source.available = None, 20
    assert lines.available == 15
    source.lines = 20
    assert lines.available == 20
    with pytest.raises(ValueError, match="1 shifts for 2 bands"):
        RegisteredLines(source, [BandShift(0, 0)], None)


def test_lines_are_registered_on_the_first_of_them_once_enough_have_come() -> None:
    pixels, off, reference, known = shifted("landsat8_itaipu_bgr_uint16.tif")
    source = Lines(off)
    assert registered(source, None, None) == Registration(source)
    source.lines, source.available = None, 100
    assert registered(source, reference, 0.0) is None
    source.available = 512
    registration = registered(source, reference, 0.0)
    assert registration is not None and registration.unregistered is None
    lines = registration.lines
    assert isinstance(lines, RegisteredLines)
    assert lines.digest() != RegisteredLines(source, [BandShift(0, 0)] * 3, 0.0).digest()
    out = np.zeros_like(pixels[:256])
    lines.read_into(0, out)
    inner = np.s_[10:-10, 10:-10]
    for band in known:
        wrong = np.abs(off[:256][inner][:, :, band].astype(float) - pixels[:256][inner][:, :, band]).mean()
        assert np.abs(out[inner][:, :, band].astype(float) - pixels[:256][inner][:, :, band]).mean() < 0.4 * wrong
    blank = Lines(np.zeros((300, 300, 3), np.uint16))
    assert registered(blank, 1, None) == Registration(blank, Unregistered.NO_TEXTURE)
