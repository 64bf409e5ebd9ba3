"""Navigation from orbital elements, propagated with SGP4 (Vallado et al., AIAA 2006-6753)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sgp4.api import SGP4_ERRORS, WGS72, Satrec

from hal.clock import Clock
from hal.errors import DeviceClosed, HalError
from hal.navigation.earth_orientation import (
    MEAN_ORIENTATION,
    EarthOrientation,
    orientation_of_table,
    read_finals2000a,
)
from hal.navigation.frames import ecef_to_geodetic, julian_date, teme_to_ecef
from hal.navigation.protocol import NavigationFix
from hal.options import DriverOptions, Options

EPOCH_1950_JD = 2_433_281.5
DIGITS = frozenset("0123456789")
# the numeric columns of a two-line element set: epoch, derivatives and drag; the six elements
FIRST_LINE = re.compile(
    r"1 [0-9A-Z ]{5}. .{8} [ 0-9]{2}[ 0-9]{3}\.[0-9]{8} [ +-]\.[0-9]{8} ([ +-][ 0-9]{5}[+-][0-9] ){2}"
)
SECOND_LINE = re.compile(
    r"2 [0-9A-Z ]{5} ([ 0-9]{3}\.[0-9]{4} ){2}[ 0-9]{7} ([ 0-9]{3}\.[0-9]{4} ){2}[ 0-9]{2}\.[0-9]{8}"
)


class PropagationFailed(HalError, ArithmeticError):
    """SGP4 gave no state: decayed, or elements outside its theory."""

    code = "propagation_failed"

    def __init__(self, mission_s: float, reason: str) -> None:
        super().__init__(f"no orbit state at {mission_s:.1f} s: {reason}")
        self.mission_s, self.reason = mission_s, reason


def satellite_from_tle(first: str, second: str) -> Satrec:
    """Elements from two lines. Raises DriverOptions when a line is malformed or its checksum is wrong."""
    for number, line, columns in ((1, first, FIRST_LINE), (2, second, SECOND_LINE)):
        if len(line) < 69 or line[0] != str(number):
            raise DriverOptions("tle", f"line {number} is not line {number} of a two-line element set")
        total = sum(int(c) if c in DIGITS else c == "-" for c in line[:68])
        if str(total % 10) != line[68]:
            raise DriverOptions("tle", f"line {number} fails its checksum")
        if not columns.match(line):  # the parser below takes what it can read and is silent about the rest
            raise DriverOptions("tle", f"line {number} has something else than numbers in its columns")
    if first[2:7] != second[2:7]:
        raise DriverOptions("tle", f"the lines are of two satellites, {first[2:7]} and {second[2:7]}")
    return Satrec.twoline2rv(first, second)


def satellite_from_elements(options: Options, number: int) -> Satrec:
    """Elements given one by one: epoch_s, inclination_deg, raan_deg, eccentricity, ..."""
    whole, fraction = julian_date(options.number("epoch_s"))
    satellite = Satrec()
    satellite.sgp4init(
        WGS72,
        "i",
        number,
        (whole - EPOCH_1950_JD) + fraction,
        options.number("bstar", 0.0),
        0.0,
        0.0,
        options.number("eccentricity", 0.0, minimum=0.0, maximum=0.99),
        math.radians(options.number("argument_of_perigee_deg", 0.0)),
        math.radians(options.number("inclination_deg", minimum=0.0, maximum=180.0)),
        math.radians(options.number("mean_anomaly_deg")),
        options.number("revolutions_per_day", minimum=0.1, maximum=18.0) * 2 * math.pi / 1440.0,
        math.radians(options.number("raan_deg")),
    )
    return satellite


class OrbitNavigation:
    """The Navigation protocol over propagated elements."""

    def __init__(
        self, satellite: Satrec, clock: Clock, sigma_m: float, orientation: EarthOrientation | None = None
    ) -> None:
        """orientation: of the Earth; without one UT1 and the pole are left out (hal/navigation/frames.py)."""
        self._satellite, self._orientation = satellite, orientation
        self._clock = clock
        self._sigma_m = sigma_m
        self._closed = False

    def fix(self) -> NavigationFix:
        return self.at(self._clock.mission_s())

    def at(self, mission_s: float) -> NavigationFix:
        if self._closed:
            raise DeviceClosed("navigation")
        if not math.isfinite(mission_s):
            raise PropagationFailed(mission_s, "that is no time")
        error, position_km, velocity_km_s = self._satellite.sgp4(*julian_date(mission_s))
        if error:
            raise PropagationFailed(mission_s, SGP4_ERRORS.get(error, f"code {error}"))
        px, py, pz = (1000.0 * value for value in position_km)
        vx, vy, vz = (1000.0 * value for value in velocity_km_s)
        turned = MEAN_ORIENTATION if self._orientation is None else self._orientation.at(mission_s)
        position, velocity = teme_to_ecef((px, py, pz), (vx, vy, vz), mission_s, turned)
        latitude, longitude, altitude = ecef_to_geodetic(position)
        return NavigationFix(mission_s, position, velocity, latitude, longitude, altitude, self._sigma_m)

    def close(self) -> None:
        self._closed = True


def driver(options: Mapping[str, Any], clock: Clock) -> OrbitNavigation:
    """Entry point. Options: tle = [line 1, line 2], or epoch_s, inclination_deg, raan_deg, eccentricity,
    argument_of_perigee_deg, mean_anomaly_deg, revolutions_per_day, bstar; sigma_m (default 1000); of the Earth's
    orientation either earth_orientation, a finals2000A file, or orientation, rows of MJD, UT1 - UTC in seconds, pole x
    and y in arcseconds; outside their days there is no fix. Raises DriverOptions, OrientationInvalid."""
    checked = Options(
        "navigation simulated",
        options,
        (
            "tle",
            "epoch_s",
            "inclination_deg",
            "raan_deg",
            "eccentricity",
            "argument_of_perigee_deg",
            "mean_anomaly_deg",
            "revolutions_per_day",
            "bstar",
            "sigma_m",
            "earth_orientation",
            "orientation",
        ),
    )
    sigma_m = checked.number("sigma_m", 1000.0, minimum=0.0)
    if "tle" in options:
        lines = checked.strings("tle")
        if len(lines) != 2:
            raise DriverOptions("tle", f"two lines are needed, got {len(lines)}")
        satellite = satellite_from_tle(*lines)
    else:
        satellite = satellite_from_elements(checked, 99_999)
    if satellite.error:
        raise DriverOptions("elements", SGP4_ERRORS.get(satellite.error, f"code {satellite.error}"))
    return OrbitNavigation(satellite, clock, sigma_m, _orientation(checked, options))


def _orientation(checked: Options, options: Mapping[str, Any]) -> EarthOrientation | None:
    if checked.has("earth_orientation") and checked.has("orientation"):
        raise DriverOptions("orientation", "either a file or a table, not both")
    if checked.has("earth_orientation"):
        return read_finals2000a(Path(checked.text("earth_orientation")))
    return orientation_of_table(options["orientation"]) if checked.has("orientation") else None


def selftest_options(folder: Path) -> dict[str, Any]:
    """Options that open this driver anywhere, for `swath hal selftest`: a sun-synchronous orbit at about 500 km."""
    return {
        "epoch_s": 1_790_000_000.0,
        "inclination_deg": 97.4,
        "raan_deg": 10.0,
        "mean_anomaly_deg": 0.0,
        "revolutions_per_day": 15.2,
    }
