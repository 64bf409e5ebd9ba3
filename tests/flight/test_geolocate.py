"""On board: attitude that the bus told, captures that get their place, and what happens when they cannot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pytest

from flight.agent.effects import CaptureEnded, OrderCapture
from flight.payload_desk import ATTITUDE_PATIENCE_S, PayloadDesk
from flight.pipeline.answer import geo_model
from flight.pipeline.answer_slots import AnswerReader, create_answer_memory
from flight.pipeline.answers import AnswerDesk
from flight.pipeline.capture_meta import CaptureMeta
from flight.pipeline.control import CameraReport, InferOrder, decode, encode
from flight.pipeline.geolocate import CameraDiffers, Geolocator, largest_sigma_m
from flight.product.errors import AntimeridianCrossed, HeaderInvalid
from flight.product.export import geojson
from flight.product.geolocation import CameraGeometry
from flight.product.header import GeoModel
from flight.product.projection import lonlat_to_pixel, pixel_area_m2, pixel_to_lonlat, turns_clockwise
from hal.clock import SimulatedClock
from hal.navigation.orbit import driver, selftest_options
from hal.platform.protocol import PlatformState
from hal.sensor.calibration import SunTooLow, sun_over
from hal.sensor.camera_file import BandGain, CameraFile, RadiometryTable
from hal.sensor.strip_geometry import AttitudeUnknown
from tests.faults.hostile_bench import MemoryJournal, water
from tests.faults.hostile_peers import META
from tests.flight.product.cases import case
from tests.hal.strips import camera, strip

START_S = 1_790_000_100.0
JOB, CAPTURE = b"j" * 32, b"c" * 16
LINES = msgspec.structs.replace(META, transform=None, epsg=None, line_rate_hz=230.0)
CAMERA = CameraFile(name="test", columns=META.columns, focal_mm=1000.0, pixel_pitch_um=60.0)


def told(after_s: float, roll_deg: float = 0.0) -> PlatformState:
    return PlatformState(START_S + after_s, roll_deg, 0.0, 0.0, 0.01, None)


def geolocator(*moments: float, camera_file: CameraFile = CAMERA) -> Geolocator:
    made = Geolocator(camera_file, driver(selftest_options(None), SimulatedClock(START_S)).at)  # type: ignore[arg-type]
    for moment in moments:
        made.tell(told(moment, 0.01 * moment))
    return made


def test_lines_without_a_place_get_that_of_the_camera_and_others_keep_theirs() -> None:
    at = geolocator(-1.0, 0.5, 2.0)
    meta = at.place(LINES, START_S, 230)
    geometry = meta.geometry
    assert geometry is not None and geometry.lines == 230 and geometry.start_s == START_S
    geo = geo_model(meta, 7.0)
    assert geo.camera == geometry and geo.sigma_m == largest_sigma_m(geometry) > 1000.0  # the orbit's own kilometre
    with_transform = msgspec.structs.replace(LINES, transform=(1.0, 0.0, 0.0, 0.0, -1.0, 0.0), epsg=32612)
    assert at.place(with_transform, START_S, 230) is with_transform
    assert at.place(LINES, START_S, 0) is LINES


GAINS = RadiometryTable(
    kind="reflectance", band=tuple(BandGain(name=name, gain=1e-4, offset=0.01) for name in META.band_names)
)


def test_numbers_become_reflectance_by_gains_and_sun_and_night_leaves_them_numbers() -> None:
    camera_file = msgspec.structs.replace(CAMERA, radiometry=GAINS, register_to=META.band_names[1])
    at = geolocator(-1.0, 2.0, 2499.0, 2502.0, camera_file=camera_file)
    numbers = msgspec.structs.replace(LINES, radiometry="dn", scale=(1.0,) * LINES.bands, offset=(0.0,) * LINES.bands)
    by_day = at.place(numbers, START_S + 2500.0, 230)
    assert by_day.register_to == 1 and by_day.radiometry == "dn" and by_day.geometry is not None
    toa, slant = at.calibrate(by_day), sun_over(by_day.geometry).slant
    assert toa.radiometry == "toa" and 1.0 < slant < 1.2
    assert toa.scale[0] == pytest.approx(1e-4 * slant) and toa.offset[-1] == pytest.approx(0.01 * slant)
    with pytest.raises(SunTooLow):
        at.calibrate(at.place(numbers, START_S, 230))
    assert at.calibrate(LINES) is LINES, "no place, no sun"
    calibrated = at.place(LINES, START_S, 230)
    assert at.calibrate(calibrated) is calibrated, "reflectance already"


def test_the_camera_must_be_the_one_that_took_the_lines() -> None:
    other = msgspec.structs.replace(CAMERA, columns=META.columns + 1)
    with pytest.raises(CameraDiffers):
        geolocator(0.0, camera_file=other).place(LINES, START_S, 230)


def test_attitudes_that_come_late_or_twice_are_passed_over() -> None:
    at = geolocator(-1.0, 0.5, 0.5, -3.0, 2.0)
    geometry = at.place(LINES, START_S, 230).geometry
    assert geometry is not None and [knot.offset_s for knot in geometry.attitude] == [-1.0, 0.5, 2.0]
    with pytest.raises(AttitudeUnknown):
        geolocator(-1.0, 0.5).place(LINES, START_S, 230)


def test_a_description_with_octets_that_are_no_geometry_is_refused() -> None:
    octets = msgspec.msgpack.encode(geolocator(-1.0, 2.0).place(LINES, START_S, 230))
    assert msgspec.msgpack.decode(octets, type=CaptureMeta).geometry is not None
    record = msgspec.msgpack.decode(octets)
    for wrong in (record["camera"][:-1], record["camera"] + b"\0", bytes(7000), strip(CameraGeometry).to_cbor()):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({**record, "camera": wrong}, CaptureMeta)


def test_an_order_carries_the_geometry_and_a_restart_finds_it_again() -> None:
    journal = MemoryJournal()
    reader = AnswerReader(create_answer_memory(2, 1 << 20))
    meta = geolocator(-1.0, 2.0).place(LINES, START_S, 230)

    def begun(desk: AnswerDesk) -> Any:
        desk.begin(job=JOB, capture=CAPTURE, application="water", parameters={}, area=(), start_s=START_S, lines=230)
        return desk.assembler(JOB).header, desk.order(JOB)

    desk = AnswerDesk(journal, reader, {"water": water()})
    desk.describe(CAPTURE, meta)
    header, order = begun(desk)
    assert header.geo.camera == meta.geometry and len(header.footprint) == 32
    assert type(header).unpack(header.pack()) == header
    assert decode(encode(order), (InferOrder,)).meta == meta
    again = AnswerDesk(MemoryJournal(), reader, {"water": water()})
    for record in journal.records:
        again.replay(record[1] if isinstance(record, tuple) else record)
    assert begun(again)[0] == header


class Camera:
    """The camera process's end: says the same report again and again."""

    def __init__(self, report: CameraReport) -> None:
        self.said = report

    def poll(self, now_s: float) -> list[Any]:
        return [self.said]

    def send(self, order: Any) -> bool:
        return True


@pytest.fixture
def desk() -> Iterator[tuple[PayloadDesk, SimulatedClock, list[Any], AnswerDesk]]:
    clock = SimulatedClock(START_S + 1.0)
    answers = AnswerDesk(MemoryJournal(), AnswerReader(create_answer_memory(2, 1 << 20)), {"water": water()})
    report = CameraReport(incarnation=1, state="done", capture=CAPTURE, lines=230, meta=LINES)
    heard: list[Any] = []
    silent: Any = Camera(report)
    quiet: Any = Camera(report)
    quiet.poll = lambda now_s: []
    made = PayloadDesk(silent, quiet, answers, None, clock, heard.append, geolocator(-1.0))  # type: ignore[arg-type]
    made.perform(OrderCapture(CAPTURE, JOB, START_S, 1.0))
    yield made, clock, heard, answers


def test_the_desk_waits_for_the_attitude_of_the_last_line(desk: Any) -> None:
    made, _, heard, answers = desk
    made.poll()
    assert not heard, "the bus has not told yet"
    made.hear_attitude(told(2.0))
    made.poll()
    assert heard == [CaptureEnded(CAPTURE, 230, 0, True)]
    answers.begin(job=JOB, capture=CAPTURE, application="water", parameters={}, area=(), start_s=START_S, lines=230)
    assert answers.assembler(JOB).header.geo.camera is not None and not made.failures


def test_a_bus_that_falls_silent_costs_the_place_and_not_the_answer(desk: Any) -> None:
    made, clock, heard, answers = desk
    made.poll()
    clock.advance(ATTITUDE_PATIENCE_S + 0.1)
    made.poll()
    assert heard == [CaptureEnded(CAPTURE, 230, 0, True)] and list(made.failures) == ["attitude_unknown"]
    answers.begin(job=JOB, capture=CAPTURE, application="water", parameters={}, area=(), start_s=START_S, lines=230)
    assert answers.assembler(JOB).header.geo == GeoModel(None, None, META.gsd_m or 0.0)


# --- products


def placed_case(mask: Any, **fields: Any) -> Any:
    geometry = strip(CameraGeometry, lines=mask.shape[0], camera=camera(columns=mask.shape[1]), **fields)
    return case(mask, geo=GeoModel(None, None, 30.0, geometry), footprint=())


def test_a_mirrored_camera_gives_the_same_ground_and_rings_that_run_the_right_way() -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[5:20, 10:50] = 1
    mask[8:12, 20:30] = 0
    places = []
    for left in (True, False):
        geometry = strip(CameraGeometry, lines=40, camera=camera(columns=60, columns_left=left))
        made = case(mask if left else mask[:, ::-1], geo=GeoModel(None, None, 30.0, geometry), footprint=())
        product = made.product()
        assert turns_clockwise(product.header.geo, 60, 40) is left
        (feature,) = geojson.features(product)
        outer, hole = (np.array(ring) for ring in feature["geometry"]["coordinates"])
        places.append(set(map(tuple, outer.tolist())))
        for ring, sign in ((outer, 1), (hole, -1)):
            area = (ring[:-1, 0] * ring[1:, 1] - ring[1:, 0] * ring[:-1, 1]).sum()
            assert np.sign(area) == sign
        assert feature["properties"]["area_m2"] == pytest.approx(560 * 100.0, rel=0.05)
    assert places[0] == places[1]


def test_pixels_of_a_camera_have_places_areas_and_come_back() -> None:
    geo = GeoModel(None, None, 30.0, strip(CameraGeometry, roll_deg=20.0))
    col, row = np.array([3.0, 1000.0, 1999.0]), np.array([5.0, 2000.0, 3999.0])
    back = lonlat_to_pixel(geo, *pixel_to_lonlat(geo, col, row))
    assert np.abs(back[0] - col).max() < 1e-4 and np.abs(back[1] - row).max() < 1e-4
    assert 100.0 < pixel_area_m2(geo, col, row).min() < pixel_area_m2(geo, col, row).max() < 160.0


def test_camera_lines_across_the_180th_meridian_are_refused_by_name() -> None:
    over = placed_case(np.ones((40, 2000), np.uint8), orbit={"node_deg": -176.8, "latitude_deg": 23.0})
    lon, _ = over.header.geo.camera.place([0.0, 0.0], [0.0, 2000.0])
    assert lon.max() > 179.0 and lon.min() < -179.0
    with pytest.raises(AntimeridianCrossed):
        geojson.export(over.product(), None)  # type: ignore[arg-type]


def test_a_header_with_a_camera_that_is_not_its_own_is_refused() -> None:
    mask = np.zeros((40, 60), np.uint8)
    for geometry in (strip(CameraGeometry, lines=39, camera=camera(columns=60)), strip(CameraGeometry, lines=40)):
        with pytest.raises(HeaderInvalid, match=r"geo\.camera"):
            case(mask, geo=GeoModel(None, None, 1.0, geometry), footprint=())
    geometry = strip(CameraGeometry, lines=40, camera=camera(columns=60))
    with pytest.raises(HeaderInvalid, match="both"):
        GeoModel((1.0, 0.0, 0.0, 0.0, -1.0, 0.0), 4326, 1.0, geometry)
    for wrong in ([None, None, 1.0, b""], [None, None, 1.0, None], [None, None, 1.0, b"x", 1]):
        with pytest.raises(HeaderInvalid):
            GeoModel.unpack(wrong)
