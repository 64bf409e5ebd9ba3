# mypy: ignore-errors
"""Known answers for frames, sun and camera geometry from libraries that nobody here wrote. Not a part of the tests.

    pip install skyfield==1.55 pyerfa==2.0.1.5 pymap3d==3.2.0 sgp4==2.27 numpy
    python tests/hal/vectors/make_earth_vectors.py FINALS2000A_FILE

writes earth.json beside this file. Orbits: SGP4 through Skyfield (TEME to GCRS to ITRS, UT1 and polar motion from the
IERS file). Sun: ERFA (epv00, IAU 2006/2000A precession-nutation, aberration). Ground: pymap3d.lookAtSpheroid. The
attitude is built in the inertial frame, and nothing of this repository is imported.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import platform
import sys
from pathlib import Path

import erfa
import numpy as np
import pymap3d
import pymap3d.los
import sgp4
import skyfield
from sgp4.api import WGS72, Satrec
from sgp4.exporter import export_tle
from skyfield.api import EarthSatellite, load
from skyfield.framelib import itrs
from skyfield.timelib import Timescale

SENTINEL_2A = (
    "1 40697U 15028A   26274.29857647 -.00000002  00000+0  15863-4 0  9990",
    "2 40697  98.5653 347.6046 0001070  85.9280 274.2026 14.30818852588907",
)
TT_MINUS_UTC_S = 69.184  # since 2017
ALTITUDE_M = 505_000.0
GRID_PX = 64
# scene: middle, pixel size, lines and columns of the strip, roll to the right, pitch ahead, yaw to the right (degrees)
STRIPS = {
    "landsat8_itaipu_bgr_uint16.tif": (-54.5705683, -25.4273573, 30.0, 832, 896, 12.0, 0.0, 0.0),
    "landsat7_great_salt_lake_7band.tif": (-112.6457572, 40.8674991, 26.0, 1024, 1024, -4.0, -5.0, 3.0),
    "landsat_bahamas_clouds_rgb.tif": (-77.7579062, 24.5615832, 300.0, 704, 768, -15.0, 2.0, 0.0),
}


def days_of(path):
    rows = []
    for line in path.read_text("ascii").splitlines():
        if line[58:68].strip():
            rows.append((float(line[7:15]), float(line[58:68]), float(line[18:27]), float(line[37:46])))
    return np.array(rows)


def timescale(days):
    """Skyfield's own timescale, with UT1 and the pole of the given days."""
    builtin = load.timescale()
    tt = days[:, 0] + 2_400_000.5 + TT_MINUS_UTC_S / 86_400.0
    ts = Timescale((tt, TT_MINUS_UTC_S - days[:, 1]), builtin.leap_dates, builtin.leap_offsets)
    ts.polar_motion_table = tt, days[:, 2], days[:, 3]
    return ts


def at(ts, mission_s):
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
    whole = ts.from_datetimes([epoch + dt.timedelta(seconds=math.floor(s)) for s in np.atleast_1d(mission_s)])
    return ts.tt_jd(whole.whole, whole.tt_fraction + np.mod(np.atleast_1d(mission_s), 1.0) / 86_400.0)


def orbit_states(ts, days):
    satellite = EarthSatellite(*SENTINEL_2A, ts=ts)
    for number in range(24):
        mission_s = 1_790_800_000.0 + 12_345.678 * number
        mjd = 40_587.0 + mission_s / 86_400.0
        row = [float(np.interp(mjd, days[:, 0], days[:, column])) for column in (1, 2, 3)]
        error, position_km, velocity_km_s = satellite.model.sgp4(
            2_440_587.5 + mission_s // 86_400, mission_s % 86_400 / 86_400
        )
        assert not error
        fixed, moving = satellite.at(at(ts, mission_s)).frame_xyz_and_velocity(itrs)
        yield {
            "mission_s": mission_s,
            "ut1_minus_utc_s": row[0],
            "pole_arcsec": row[1:],
            "teme_m": [1000 * value for value in position_km],
            "teme_m_s": [1000 * value for value in velocity_km_s],
            "itrs_m": (1000 * fixed.km[:, 0]).tolist(),
            "itrs_m_s": (1000 * moving.km_per_s[:, 0]).tolist(),
        }


def suns(days):
    for number in range(24):
        mission_s = 1_704_100_000.0 + 3_600_123.4 * number
        mjd = 40_587.0 + mission_s / 86_400.0
        dut1, x, y = (float(np.interp(mjd, days[:, 0], days[:, column])) for column in (1, 2, 3))
        tt = 2_400_000.5, mjd + TT_MINUS_UTC_S / 86_400.0
        heliocentric, barycentric = erfa.epv00(*tt)
        sun = -heliocentric["p"]
        distance_au = float(np.linalg.norm(sun))
        speed = barycentric["v"] * erfa.DAU / erfa.DAYSEC / erfa.CMPS  # in units of light
        apparent = erfa.ab(sun / distance_au, speed, distance_au, math.sqrt(1 - float(speed @ speed)))
        turned = erfa.c2t06a(*tt, 2_400_000.5, mjd + dut1 / 86_400.0, x * erfa.DAS2R, y * erfa.DAS2R)
        yield {"mission_s": mission_s, "direction": (turned @ apparent).tolist(), "distance_au": distance_au}


def looks():
    rng = np.random.default_rng(3)
    for _ in range(40):
        lat, lon = float(rng.uniform(-88, 88)), float(rng.uniform(-180, 180))
        height, azimuth, tilt = float(rng.uniform(3e5, 9e5)), float(rng.uniform(0, 360)), float(rng.uniform(0, 55))
        on = pymap3d.los.lookAtSpheroid(lat, lon, height, azimuth, tilt)
        yield [lat, lon, height, azimuth, tilt, *map(float, on)]


def sights(ts, satellite, start_s, rows, columns, strip):
    """Positions (km, ITRS) and lines of sight (ITRS) of rows and columns, both (n,)."""
    _, _, gsd_m, _lines, width, roll, pitch, yaw = strip
    times = at(ts, start_s + (rows - 0.5) * gsd_m / 7000.0)
    seen = satellite.at(times)
    position, velocity = seen.position.km, seen.velocity.km_per_s  # GCRS
    down = -position / np.linalg.norm(position, axis=0)
    left = np.cross(position, velocity, axis=0)
    right = -left / np.linalg.norm(left, axis=0)
    ahead = np.cross(right, down, axis=0)
    across = -np.arctan((columns - width / 2) * gsd_m / ALTITUDE_M)  # columns run to the left of the track
    # in the body: z down, y right; roll lifts z to the right, pitch lifts it ahead, yaw turns x to the right
    y, z = np.sin(across), np.cos(across)
    r = math.radians(roll)
    y, z = y * math.cos(r) + z * math.sin(r), z * math.cos(r) - y * math.sin(r)
    p = math.radians(pitch)
    x, z = z * math.sin(p), z * math.cos(p)
    w = math.radians(yaw)
    x, y = x * math.cos(w) - y * math.sin(w), x * math.sin(w) + y * math.cos(w)
    sight = x * ahead + y * right + z * down
    turn = np.moveaxis(itrs.rotation_at(times), -1, 0)
    return np.einsum("nij,jn->ni", turn, position), np.einsum("nij,jn->ni", turn, sight)


def ground(ts, satellite, start_s, rows, columns, strip):
    position, sight = sights(ts, satellite, start_s, rows, columns, strip)
    lat, lon, height = pymap3d.ecef2geodetic(*(1000 * position.T))
    azimuth, elevation, _ = pymap3d.enu2aer(*pymap3d.ecef2enuv(*sight.T, lat, lon))
    lat, lon, _ = pymap3d.los.lookAtSpheroid(lat, lon, height, azimuth, 90.0 + elevation)
    return np.atleast_1d(lon), np.atleast_1d(lat)


def satellite_over(ts, start_s, strip):
    """A satellite in a sun-synchronous orbit whose strip has the scene's middle in its own: on its way south."""
    lon, lat, _, lines, width, *_ = strip
    wanted = np.array([lon, lat])
    middle = np.array([lines / 2]), np.array([width / 2])

    def seen_from(angles):
        model = Satrec()
        jd = 2_433_281.5
        model.sgp4init(
            WGS72, "i", 70000, 2_440_587.5 + start_s / 86_400 - jd, 1e-5, 0.0, 0.0, 0.0005, 0.0,
            math.radians(97.5), math.radians(angles[1] % 360), 15.2 * 2 * math.pi / 1440, math.radians(angles[0] % 360),
        )  # fmt: skip
        satellite = EarthSatellite(*export_tle(model), ts=ts)
        lon, lat = ground(ts, satellite, start_s, *middle, strip)
        return np.array([float(lon[0]), float(lat[0])]), satellite

    angles = np.array([0.0, 180.0 - lat])  # node, mean anomaly
    for _ in range(12):
        here, satellite = seen_from(angles)
        miss = (here - wanted + 180.0) % 360.0 - 180.0
        slopes = np.stack(
            [((seen_from(angles + step)[0] - here + 180) % 360 - 180) / 0.01 for step in np.eye(2) * 0.01], 1
        )
        change = np.linalg.solve(slopes, -miss)
        angles = np.round(angles + np.clip(change, -60, 60), 4)  # as a two-line element set has them
    return satellite


def strips(ts):
    for number, (scene, strip) in enumerate(STRIPS.items()):
        start_s = 1_790_850_000.25 + 20_000.0 * number
        satellite = satellite_over(ts, start_s, strip)
        _, _, gsd_m, lines, width, roll, pitch, yaw = strip
        rows, columns = np.arange(0, lines + 1, GRID_PX), np.arange(0, width + 1, GRID_PX)
        all_rows, all_columns = (axis.ravel().astype(float) for axis in np.meshgrid(rows, columns, indexing="ij"))
        lon, lat = ground(ts, satellite, start_s, all_rows, all_columns, strip)
        yield (
            scene,
            {
                "tle": list(export_tle(satellite.model)),
                "start_s": start_s,
                "line_rate_hz": 7000.0 / gsd_m,
                "lines": lines,
                "columns": width,
                "focal_mm": 1000.0,
                "pixel_pitch_um": 1e6 * gsd_m / ALTITUDE_M,
                "roll_pitch_yaw_deg": [roll, pitch, yaw],
                "grid_px": GRID_PX,
                "lon_deg": [round(float(value), 9) for value in lon],
                "lat_deg": [round(float(value), 9) for value in lat],
            },
        )


def main():
    days = days_of(Path(sys.argv[1]))
    ts = timescale(days)
    used = days[(days[:, 0] >= 61_300) & (days[:, 0] <= 61_322)]
    answers = {
        "made_by": {
            "command": "python tests/hal/vectors/make_earth_vectors.py finals2000A_2024on.all",
            "python": platform.python_version(),
            "skyfield": skyfield.__version__,
            "pyerfa": erfa.__version__,
            "pymap3d": pymap3d.__version__,
            "sgp4": sgp4.__version__,
            "numpy": np.__version__,
        },
        "sentinel_2a": list(SENTINEL_2A),
        "orientation": used.tolist(),  # MJD, UT1 - UTC in s, pole x and y in arcseconds
        "orbit": list(orbit_states(ts, days)),
        "sun": list(suns(days)),
        "looks": list(looks()),
        "strips": dict(strips(ts)),
    }
    text = (
        json.dumps(answers, indent=0, separators=(",", ":")).replace(",\n", ",").replace("[\n", "[").replace("\n]", "]")
    )
    (Path(__file__).parent / "earth.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
