"""What a scene's numbers mean: sidecar, file, and what such files usually hold, in that order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from hal.sensor.identify import sensor_tagged
from hal.sensor.scene import BandUnknown, Radiometry, SceneInfo, SensorUnknown, SidecarError, open_scene
from tests.shared_data import SHARED_DATA, needs_shared_data

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def info_of(folder: Path, name: str, dtype: str, bands: int, sidecar: str = "", **arguments) -> SceneInfo:
    path = folder / name
    np.savez(path, img=np.full((4, 5, bands), 0.25 if dtype == "float32" else 100, dtype))
    if sidecar:
        path.with_suffix(".toml").write_text(sidecar)
    with open_scene(path, **arguments) as scene:
        return scene.info


@pytest.mark.parametrize(
    ("name", "dtype", "sensor", "bands", "expected"),
    [
        ("a.npz", "uint16", "S2", 13, (Radiometry.TOA, 1e-4, 0.0, 0.0)),
        ("a.npz", "int16", "S2", 12, (Radiometry.SURFACE, 1e-4, 0.0, 0.0)),
        ("a_L1C.npz", "int16", "S2", 12, (Radiometry.TOA, 1e-4, 0.0, 0.0)),
        ("a_L2A.npz", "uint16", "S2", 4, (Radiometry.SURFACE, 1e-4, 0.0, 0.0)),
        ("a.npz", "uint8", "S2", 4, (Radiometry.DN8, 1 / 255, 0.0, None)),
        ("a.npz", "float32", "S2", 6, (Radiometry.TOA, 1.0, 0.0, None)),
        ("a.npz", "uint16", "L8", 7, (Radiometry.TOA, 2e-5, -0.1, 0.0)),
        ("LC08_L2SP_x.npz", "uint16", "L8", 7, (Radiometry.SURFACE, 2.75e-5, -0.2, 0.0)),
        ("a.npz", "int16", "L5", 6, (Radiometry.SURFACE, 1e-4, 0.0, -9999.0)),
        ("a.npz", "uint8", "L7", 7, (Radiometry.DN8, 1 / 255, 0.0, None)),
        ("a.npz", "uint16", "L7", 6, (Radiometry.DN, 1.0, 0.0, None)),
        ("a.npz", "uint16", "RGBN", 4, (Radiometry.DN, 1.0, 0.0, None)),
    ],
)
def test_a_file_without_a_word_about_calibration_gets_the_usual_one(tmp_path, name, dtype, sensor, bands, expected):
    info = info_of(tmp_path, name, dtype, bands, sensor=sensor)
    assert (info.radiometry, info.scale, info.offset, info.nodata) == (
        expected[0], (expected[1],) * bands, (expected[2],) * bands, expected[3],
    )  # fmt: skip


def test_a_sidecar_outranks_the_file_and_the_argument_outranks_the_sidecars_sensor(tmp_path: Path) -> None:
    text = (
        'sensor = "L7"\nradiometry = "surface"\nscale = [1e-4, 2e-4, 3e-4]\noffset = 0.5\nnodata = -7\ngsd_m = 12.5\n'
    )
    info = info_of(tmp_path, "a.npz", "int16", 3, text)
    assert (info.sensor, info.radiometry, info.nodata, info.gsd_m) == ("L7", Radiometry.SURFACE, -7.0, 12.5)
    assert (info.scale, info.offset) == ((1e-4, 2e-4, 3e-4), (0.5, 0.5, 0.5))
    assert info_of(tmp_path, "a.npz", "int16", 3, text, sensor="RGB").sensor == "RGB"


def test_a_sidecar_names_bands_by_number_or_by_colour(tmp_path: Path) -> None:
    info = info_of(tmp_path, "a.npz", "uint8", 2, 'sensor = "L7"\nbands = ["B4", "red"]')
    assert [(band.name, band.common) for band in info.bands] == [("B4", "nir"), ("B3", "red")]
    info = info_of(tmp_path, "b.npz", "uint8", 2, 'bands = ["nir", "red"]')
    assert (info.sensor, [band.common for band in info.bands]) == ("generic", ["nir", "red"])


def test_a_sidecar_that_calls_a_scene_dn_takes_the_reflectance_scale_away(tmp_path: Path) -> None:
    info = info_of(tmp_path, "a.npz", "uint16", 13, 'sensor = "S2"\nradiometry = "dn"')
    assert (info.radiometry, info.scale[0]) == (Radiometry.DN, 1.0)


def test_a_sidecar_can_say_that_the_files_nodata_value_is_a_measurement(tmp_path: Path) -> None:
    path = tmp_path / "deep_water.tif"
    with rasterio.open(path, "w", driver="GTiff", height=4, width=4, count=3, dtype="uint8", nodata=0) as out:
        out.write(np.zeros((3, 4, 4), np.uint8))
    with open_scene(path, sensor="RGB") as scene:
        assert scene.info.nodata == 0
    path.with_suffix(".toml").write_text('sensor = "RGB"\nnodata = "none"')
    with open_scene(path) as scene:
        assert scene.info.nodata is None


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ('sensr = "S2"', SidecarError, r"(?s)a\.toml:1: .*sensr.*did you mean `sensor`"),
        ('sensor = "S2"\nradiometry = "sruface"', SidecarError, r"(?s)a\.toml:2: .*did you mean `surface`"),
        ('sensor "S2"', SidecarError, r"a\.toml:1: not valid TOML"),
        ('sensor = "RGB"\ngsd_m = -1', SidecarError, r"a\.toml:2"),
        ('sensor = "RGB"\nnodata = 1.5', SidecarError, r"a\.toml:2: `nodata`"),
        ('sensor = "RGB"\nnodata = 70000', SidecarError, "nodata"),
        ('sensor = "RGB"\nscale = [1.0, 2.0]', SidecarError, r"a\.toml:2: .*2 numbers, the scene 3 bands"),
        ('sensor = "RGB"\nscale = inf', SidecarError, "finite"),
        ('bands = ["red"]', SidecarError, r"a\.toml:1: .*names 1 bands, the scene has 3"),
        ('sensor = "S2"\nbands = ["B04", "B99", "B02"]', BandUnknown, "B99"),
        ('sensor = "S22"', SensorUnknown, "did you mean `S2`"),
    ],
)
def test_a_sidecar_with_a_mistake_says_where_and_what(tmp_path: Path, text: str, error, says: str) -> None:
    with pytest.raises(error, match=says):
        info_of(tmp_path, "a.npz", "uint16", 3, text)


@pytest.mark.parametrize(("low", "high", "expected"), [(0.0, 1.4, "TOA"), (270.0, 330.0, "DN"), (-30.0, -5.0, "DN")])
def test_floats_that_cannot_be_reflectance_are_not_called_so(tmp_path: Path, low, high, expected: str) -> None:
    path = tmp_path / "a.npz"
    values = np.linspace(low, high, 60, dtype=np.float32).reshape(10, 6, 1)
    values[5, 2] = np.nan
    np.savez(path, img=values, bands=["nir"])
    with open_scene(path) as scene:
        assert scene.info.radiometry.name == expected


def test_gdals_scale_and_offset_make_a_scene_calibrated(tmp_path: Path) -> None:
    path = tmp_path / "scene.tif"
    with rasterio.open(path, "w", driver="GTiff", height=4, width=4, count=2, dtype="uint16") as out:
        out.write(np.ones((2, 4, 4), np.uint16))
        out.scales, out.offsets, out.descriptions = (0.5, 0.25), (0.0, -1.0), ("green", "nir")
    with open_scene(path) as scene:
        assert (scene.info.scale, scene.info.offset) == ((0.5, 0.25), (0.0, -1.0))
        assert scene.info.radiometry is Radiometry.TOA


def test_a_spacecraft_named_in_the_files_metadata_settles_the_bands(tmp_path: Path) -> None:
    path = tmp_path / "scene.tif"
    with rasterio.open(path, "w", driver="GTiff", height=4, width=4, count=1, dtype="uint8") as out:
        out.write(np.ones((1, 4, 4), np.uint8))
        out.descriptions = ("B4",)
        out.update_tags(SPACECRAFT_ID="LANDSAT_7")
    with open_scene(path) as scene:
        assert (scene.info.sensor, scene.info.bands[0].common) == ("L7", "nir")


@pytest.mark.parametrize(
    ("value", "sensor"),
    [
        ("SENTINEL-2A", "S2"), ("Sentinel-2B", "S2"), ("sentinel_2c", "S2"), ("SENTINEL2", "S2"), ("S2A", "S2"),
        ("Sentinel-2A MSI", "S2"), ("S2B_MSI", "S2"),
        ("LANDSAT_5", "L5"), ("LANDSAT-7", "L7"), ("landsat_8", "L8"), ("Landsat 9", "L9"), ("LANDSAT_08", "L8"),
        ("LANDSAT_8 OLI_TIRS", "L8"), ("LC09", "L9"),
        ("SENTINEL-1A", None), ("SENTINEL-3B", None), ("LANDSAT_1", None), ("LANDSAT_10", None), ("OLI_TIRS", None),
        ("", None), ("AQUA", None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("tag", ["SPACECRAFT_ID", "SPACECRAFT_NAME", "PLATFORM", "SENSOR"])
def test_a_spacecraft_is_known_as_its_maker_writes_it_and_no_other_is_taken_for_it(
    tag: str, value: str, sensor: str | None
) -> None:
    assert sensor_tagged({tag: value}) == sensor


def test_the_spacecraft_counts_before_the_instrument_that_several_carry() -> None:
    assert sensor_tagged({"SENSOR": "TM", "SPACECRAFT_ID": "LANDSAT_4"}) == "L4"
    assert sensor_tagged({"SENSOR": "MSI", "SPACECRAFT_ID": "unknown"}) == "S2"


def test_tag_and_value_of_a_file_in_any_case_settle_its_bands(tmp_path: Path) -> None:
    path = tmp_path / "scene.tif"
    with rasterio.open(path, "w", driver="GTiff", height=4, width=4, count=1, dtype="uint8") as out:
        out.write(np.ones((1, 4, 4), np.uint8))
        out.descriptions = ("B4",)
        out.update_tags(Spacecraft_Name="Sentinel-2B")
    with open_scene(path) as scene:
        assert (scene.info.sensor, scene.info.bands[0].common) == ("S2", "red")


@pytest.mark.parametrize("epsg", [4326, 3857, 32633])
def test_the_pixels_side_on_the_ground_is_what_geodesy_says(tmp_path: Path, epsg: int) -> None:
    pyproj = pytest.importorskip("pyproj")
    to_map = pyproj.Transformer.from_crs(4326, epsg, always_xy=True)
    to_degrees = pyproj.Transformer.from_crs(epsg, 4326, always_xy=True)
    x, y = to_map.transform(15.2, 52.0)
    step = 1e-4 if epsg == 4326 else 10.0
    path = tmp_path / "scene.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=2, width=2, count=1, dtype="uint8", crs=f"EPSG:{epsg}",
        transform=rasterio.transform.Affine(step, 0, x, 0, -step, y),
    ) as out:  # fmt: skip
        out.write(np.ones((1, 2, 2), np.uint8))
    corners = [to_degrees.transform(x + i * step, y - j * step) for i, j in [(0, 0), (1, 0), (1, 1), (0, 1)]]
    area, _ = pyproj.Geod(ellps="WGS84").polygon_area_perimeter(*zip(*corners, strict=True))
    with open_scene(path, sensor="generic") as scene:
        assert scene.info.gsd_m == pytest.approx(abs(area) ** 0.5, rel=0.004)  # the sphere of 3857 costs 0.3 %


@needs_shared_data
@pytest.mark.parametrize(
    ("name", "sensor", "bands", "radiometry", "gsd_m"),
    [
        ("ships_sen2ships/gdynia/gdynia_2023-06-11_S2L2A.tif", "S2", "blue green red nir swir16", "SURFACE", 5.8),
        ("flood_sen1floods11_spain/Spain_7370579_S2Hand.tif", "S2", None, "TOA", 8.9),
        ("landsat8_fullframe_150m/LC81070352015122LGN00_B2B3B4.tif", "L8", "blue green red", "TOA", 150.0),
        ("large_s2l1c_8bit/s2b_l1c_2018-10-13_8band_uint8.tif", "S2", None, "DN8", 8.2),
        ("redistributable/landsat7_sf_bay_3band.tif", "L7", "nir red green", "DN8", 23.7),
        ("change_fire_australia/australia_2019-01-05_S2L2A.tif", "S2", None, "SURFACE", 9.3),
    ],
)
def test_real_files_say_what_they_are(name: str, sensor: str, bands: str | None, radiometry: str, gsd_m: float) -> None:
    path = SHARED_DATA / name
    with open_scene(path) as scene, rasterio.open(path) as peer:
        info = scene.info
        assert (info.sensor, info.radiometry.name) == (sensor, radiometry)
        assert bands is None or " ".join(band.common for band in info.bands) == bands
        assert info.gsd_m == pytest.approx(gsd_m, abs=0.1)
        assert info.epsg == peer.crs.to_epsg()
        window = rasterio.windows.Window(0, info.height // 3, info.width, 9)
        np.testing.assert_array_equal(scene.read_rows(info.height // 3, 9), np.moveaxis(peer.read(window=window), 0, 2))
