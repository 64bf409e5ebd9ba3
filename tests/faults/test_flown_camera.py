"""A whole satellite whose sensor knows no place: orbit, bus and camera give its product one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flight.agent.job import Job
from hal.clock import SimulatedClock
from hal.navigation.orbit import driver
from tests.faults.flown import ORBIT, Flown

COLUMNS = 1024
# along the track, so that a strip of four seconds that begins twenty before its middle lies over its western end
AREA = ((-113.82, 41.12), (-111.05, 41.12), (-111.05, 41.97), (-113.82, 41.97))
CAMERA = f"""
name = "flown"
columns = {COLUMNS}
focal_mm = 1000.0
pixel_pitch_um = 35.0
[sigma]
mounting_deg = 0.005
height_m = 100.0
"""


class CameraFlown(Flown):
    """The lines of the scene file are those of a camera: the file's transform is kept back."""

    def configured(self, text: str) -> str:
        (self.folder / "camera.toml").write_text(CAMERA)
        return 'camera = "camera.toml"\n' + text.replace("fifo_lines = 4096", 'fifo_lines = 4096, geometry = "camera"')

    def _job(self) -> Job:
        return replace(super()._job(), area=tuple((round(x * 10**7), round(y * 10**7)) for x, y in AREA))


@pytest.mark.slow
def test_a_flown_product_of_camera_lines_lies_under_the_satellite(tmp_path: Path) -> None:
    flown = CameraFlown(tmp_path, "cloud")
    try:
        flown.run_until(flown.delivered, 150.0)
    finally:
        flown.stop()
    product = flown.product()
    assert product.verified
    product.check_content()
    header = product.header
    geometry = header.geo.camera
    assert geometry is not None and header.geo.transform is None and geometry.start_s == header.start_s
    navigation = driver(ORBIT, SimulatedClock())
    for row in (0.5, 500.5, header.height - 0.5):
        fix = navigation.at(header.start_s + (row - 0.5) / header.line_rate_hz)
        place = geometry.ground(row, COLUMNS / 2)
        # the axis points to the Earth's centre; geodetic nadir is up to 0.2 degrees from it
        off_deg = float(place.lat_deg) - fix.latitude_deg, float(place.lon_deg) - fix.longitude_deg
        assert max(map(abs, off_deg)) < 0.05
    assert 1000.0 < header.geo.sigma_m < 1100.0, "a propagated orbit is worth a kilometre"
    # the job's area, over which the strip begins, was cut out at its place
    mask = product.mask()
    rows, columns = np.nonzero(mask != 255)
    assert 0.02 < len(rows) / mask.size < 0.98
    lon, lat = geometry.place(rows + 0.5, columns + 0.5)
    (west, south), (east, north) = AREA[0], AREA[2]
    pixel_deg = 0.0003
    assert lon.min() > west - pixel_deg and lat.max() < north + pixel_deg and lon.max() < east and lat.min() > south
    left_out = np.nonzero(mask == 255)
    lon, lat = geometry.place(left_out[0] + 0.5, left_out[1] + 0.5)
    assert ((lon < west + pixel_deg) | (lat > north - pixel_deg)).all()
