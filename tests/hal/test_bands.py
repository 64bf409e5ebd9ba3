"""Which band is which: named sensors, names in files, hints in file names, and the refusal to guess."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.sensor.bands import NOMINAL_NM, SENSORS, common_name, sensor_hinted, sensor_named
from hal.sensor.errors import BandsAmbiguous, BandUnknown, SensorUnknown
from hal.sensor.identify import Identity, identify


def named(*names: str, sensor: str | None = None, file_name: str = "scene.tif", given: bool = False) -> Identity:
    return identify("scene.tif", len(names), names, sensor, names_given=given, file_name=file_name)


def unnamed(count: int, sensor: str | None = None, file_name: str = "scene.tif") -> Identity:
    return identify("scene.tif", count, None, sensor, names_given=False, file_name=file_name)


def commons(identity: Identity) -> str:
    return " ".join(band.common for band in identity.bands)


def test_b04_alone_is_refused_and_both_meanings_are_named() -> None:
    with pytest.raises(BandsAmbiguous, match=r"`B04` is red on Sentinel-2 MSI, nir on Landsat 7") as caught:
        named("B04")
    assert {"S2", "L7", "L8"} <= set(caught.value.candidates)


@pytest.mark.parametrize(
    ("file_name", "sensor", "expected"),
    [
        ("T31_S2.tif", None, "red"),
        ("gdynia_2023-06-11_S2L2A.tif", None, "red"),
        ("LC08_L1TP_224078.TIF", None, "red"),
        ("LC81070352015122LGN00.tif", None, "red"),
        ("landsat7_lake.tif", None, "nir"),
        ("LE07_x.tif", None, "nir"),
        ("anything.tif", "Sentinel-2", "red"),
        ("anything_S2.tif", "landsat 7", "nir"),
    ],
)
def test_b04_with_a_sensor_or_a_hint_has_one_meaning(file_name: str, sensor: str | None, expected: str) -> None:
    assert commons(named("B04", sensor=sensor, file_name=file_name)) == expected


@pytest.mark.parametrize("file_name", ["hotel7.tif", "xl8x.tif", "S2_vs_L8.tif", "S2Hand.tif", "ml5.tif", "tm.tif"])
def test_what_is_no_word_of_its_own_or_names_two_sensors_is_no_hint(file_name: str) -> None:
    assert sensor_hinted(file_name) is None


@pytest.mark.parametrize(
    ("names", "sensor", "expected"),
    [
        (("B1", "B2", "B3", "B4", "B5", "B6_VCID_2", "B7"), "L7", "blue green red nir swir16 thermal swir22"),
        (("B8A", "B11"), "S2", "nir08 swir16"),
        (("blue (B2)", "green (B3)", "red (B4)"), "generic", "blue green red"),
        (("B1 blue", "B4 NIR", "B5 SWIR1"), "generic", "blue nir swir16"),
        (("NIR (B4)", "red (B3)"), "generic", "nir red"),
        (("Red", "Green", "Near-Infrared"), "generic", "red green nir"),
        (("red", "green", "nir"), "generic", "red green nir"),
        (("B10", "B8A"), "S2", "cirrus nir08"),
    ],
)
def test_names_that_mean_the_same_wherever_they_are_known_need_no_sensor(names, sensor, expected: str) -> None:
    identity = named(*names)
    assert (identity.sensor, commons(identity)) == (sensor, expected)


@pytest.mark.parametrize("count", range(1, 14))
def test_bands_without_names_are_never_guessed(count: int) -> None:
    with pytest.raises(BandsAmbiguous) as caught:
        unnamed(count, file_name="S2.tif")
    assert set(caught.value.candidates) == {model.name for model in SENSORS.values() if count in model.layouts}


@pytest.mark.parametrize(
    ("sensor", "count", "expected"),
    [
        ("S2", 12, "coastal blue green red rededge1 rededge2 rededge3 nir nir08 nir09 swir16 swir22"),
        ("S2", 6, "blue green red nir swir16 swir22"),
        ("S2", 4, "blue green red nir"),
        ("L7", 7, "blue green red nir swir16 thermal swir22"),
        ("L8", 7, "coastal blue green red nir swir16 swir22"),
        ("L5", 6, "blue green red nir swir16 swir22"),
        ("RGB", 3, "red green blue"),
        ("bgrn", 4, "blue green red nir"),
        ("NAIP", 4, "red green blue nir"),
    ],
)
def test_a_named_sensor_knows_the_order_of_its_usual_files(sensor: str, count: int, expected: str) -> None:
    assert commons(unnamed(count, sensor)) == expected


def test_thirteen_bands_of_sentinel_2_are_all_of_them_in_order_of_wavelength_but_for_b8a() -> None:
    centres = [band.centre_nm for band in unnamed(13, "S2").bands]
    assert centres == sorted(centres)


@pytest.mark.parametrize(("sensor", "count"), [("S2", 5), ("L7", 13), ("RGB", 4), ("BGRN", 3)])
def test_an_unusual_count_of_unnamed_bands_is_refused_even_for_a_named_sensor(sensor: str, count: int) -> None:
    with pytest.raises(BandsAmbiguous, match=f"{count} unnamed bands"):
        unnamed(count, sensor)


def test_numbered_names_say_nothing_beyond_the_order() -> None:
    assert commons(named("Band 1", "Band 2", "Band 3", sensor="RGB")) == "red green blue"
    with pytest.raises(BandsAmbiguous):
        named("Band 1", "Band 2", "Band 3")


def test_a_band_that_a_person_named_wrongly_is_an_error_one_in_the_file_is_a_band_without_a_meaning() -> None:
    with pytest.raises(BandUnknown, match="B13") as caught:
        named("B04", "B13", sensor="S2", given=True)
    assert "B8A" in caught.value.known
    assert commons(named("B04", "SCL", sensor="S2")) == "red "


def test_radar_is_no_colour() -> None:
    with pytest.raises(BandsAmbiguous, match="no known sensor has all of the bands VV, VH"):
        named("VV", "VH")
    assert commons(named("VV", "VH", sensor="generic")) == " "


def test_an_unknown_sensor_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(SensorUnknown, match="did you mean `S2`") as caught:
        sensor_named("sentinal2")
    assert caught.value.exit_status == 2


@pytest.mark.parametrize("model", SENSORS.values(), ids=SENSORS)
def test_a_sensor_is_consistent_with_itself(model) -> None:
    assert sensor_named(model.name) is model
    assert len({band.name for band in model.bands}) == len(model.bands)
    for band in model.bands:
        assert model.band(band.name) == band
        if band.common:
            assert model.band(band.common) == band and band.common in NOMINAL_NM
            assert band.centre_nm == pytest.approx(NOMINAL_NM[band.common], rel=0.21)
    for count in model.layouts:
        layout = model.layout(count)
        assert layout is not None and len(set(layout)) == count


def test_wavelengths_are_where_the_stac_common_names_put_them() -> None:
    eo = pytest.importorskip("pystac.extensions.eo")
    for model in SENSORS.values():
        for band in model.bands:
            span = eo.Band.band_range({"thermal": "lwir"}.get(band.common, band.common))
            if span is not None and (model.name, band.common) != ("L7", "pan"):  # ETM+ pan reaches 0.9 um
                low, high = span
                assert band.centre_nm is not None and low * 1000 <= band.centre_nm <= high * 1000, (model.name, band)


@given(st.text(max_size=60))
def test_any_text_is_a_band_name_or_none_but_never_an_error(text: str) -> None:
    common_name(text)
    sensor_hinted(text)
    for model in SENSORS.values():
        model.band(text)


def test_every_sensor_that_users_may_name_is_there() -> None:
    assert {"S2", "L5", "L7", "L8", "RGB", "RGBN", "BGR", "BGRN", "NAIP", "generic"} <= set(SENSORS)
