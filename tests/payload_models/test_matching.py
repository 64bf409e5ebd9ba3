"""Which band of a scene feeds which plane: by meaning and wavelength, never by number."""

from __future__ import annotations

import pytest

from hal.sensor.bands import SENSORS, BandInfo
from hal.sensor.scene import Radiometry
from payload_models.errors import GsdRefused, MissingBands, RadiometryRefused
from payload_models.loader import load_application
from payload_models.manifest import Manifest
from payload_models.matching import InputPlan, match


@pytest.fixture(scope="module")
def water() -> Manifest:
    return load_application("water", check_graphs=False).manifest


def plan(
    manifest: Manifest, bands: list[BandInfo], radiometry: Radiometry = Radiometry.TOA, **more: float
) -> InputPlan:
    scale = [(index + 1) * 1e-4 for index in range(len(bands))]
    return match(manifest, bands, radiometry, scale, [0.0] * len(bands), **more)


def band(common: str, centre: float | None = None, name: str = "x") -> BandInfo:
    return BandInfo(name, common, centre)


def of(sensor: str, *names: str) -> list[BandInfo]:
    return [band for band in SENSORS[sensor].bands if not names or band.name in names]


def chosen(manifest: Manifest, bands: list[BandInfo]) -> tuple[list[str], list[str]]:
    found = plan(manifest, bands)
    wanted = [band.name for band in manifest.variant[found.variant].bands]
    return wanted, [bands[index].name for index in found.band_indices]


def test_b04_is_red_on_one_sensor_and_near_infrared_on_another(water: Manifest) -> None:
    s2 = next(key for key in SENSORS if "2" in key and key.lower().startswith("s"))
    l7 = next(key for key in SENSORS if "7" in key)
    assert chosen(water, of(s2)) == (["green", "nir", "swir16"], ["B03", "B08", "B11"])
    assert chosen(water, of(l7)) == (["green", "nir", "swir16"], ["B2", "B4", "B5"])


def test_the_best_variant_that_the_scene_can_feed_is_used(water: Manifest) -> None:
    green, nir, swir = band("green", 560), band("nir", 840), band("swir16", 1610)
    assert plan(water, [swir, nir, green]).variant == 0
    assert plan(water, [swir, nir, green]).band_indices == (2, 1, 0)
    assert plan(water, [nir, green]).variant == 1
    assert plan(water, [green, swir]).variant == 2
    assert plan(water, [band("red", 660), nir]).variant == 3
    assert plan(water, [swir]).variant == 4


def test_a_band_without_a_common_name_is_found_by_its_wavelength(water: Manifest) -> None:
    bands = [band("", 555.0), band("", 700.0), band("", 866.0), band("", 842.0)]
    found = plan(water, bands)
    assert (found.variant, found.band_indices) == (1, (0, 3))


def test_a_common_name_with_a_wavelength_that_contradicts_it_is_not_believed(water: Manifest) -> None:
    with pytest.raises(MissingBands):
        plan(water, [band("nir", 11_000.0)])


def test_a_common_name_without_a_wavelength_is_enough(water: Manifest) -> None:
    assert plan(water, [band("green"), band("nir")]).variant == 1


def test_missing_bands_are_named_with_those_that_are_there(water: Manifest) -> None:
    with pytest.raises(MissingBands) as caught:
        plan(water, [band("blue", 490), band("red", 660)])
    assert caught.value.missing == ("nir",)
    assert caught.value.have == ("blue", "red")


def test_scale_and_offset_follow_the_chosen_bands(water: Manifest) -> None:
    found = plan(water, [band("red", 660), band("nir", 840), band("green", 560)])
    assert found.norm.scale == (pytest.approx(3e-4), pytest.approx(2e-4))
    assert (found.norm.low, found.norm.high) == (0.0, 2.0)


def test_raw_numbers_are_refused_and_8_bit_ones_marked(water: Manifest) -> None:
    bands = [band("green", 560), band("nir", 840)]
    with pytest.raises(RadiometryRefused) as caught:
        plan(water, bands, Radiometry.DN)
    assert caught.value.accepted == ("toa", "surface", "dn8")
    assert not plan(water, bands, Radiometry.DN8).calibrated
    assert plan(water, bands, Radiometry.SURFACE).calibrated


def test_the_ground_sampling_distance_counts_only_where_it_is_known(water: Manifest) -> None:
    bands = [band("green", 560), band("nir", 840)]
    assert plan(water, bands).variant == plan(water, bands, gsd_m=30.0).variant
    with pytest.raises(GsdRefused) as caught:
        plan(water, bands, gsd_m=5000.0)
    assert caught.value.high_m == 1000
