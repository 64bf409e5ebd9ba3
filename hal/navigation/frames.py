"""Earth-fixed frames: TEME to ECEF by sidereal time, and ECEF to geodetic on the WGS 84 ellipsoid.

With an Orientation (hal/navigation/earth_orientation.py) UT1 and polar motion are applied, as AIAA 2006-6753 appendix C
has it; without one they are left out, together below 500 m on the ground. TEME turns by mean sidereal time, so there is
no equation of the equinoxes in it.
Sources: Vallado, Fundamentals of Astrodynamics, 3.5 (GMST 1982) and 3.4; Bowring 1985 for the geodetic latitude.
"""

from __future__ import annotations

import math

from hal.navigation.earth_orientation import MEAN_ORIENTATION, Orientation

WGS84_A_M = 6_378_137.0
WGS84_F = 1 / 298.257223563
WGS84_B_M = WGS84_A_M * (1 - WGS84_F)
WGS84_E2 = WGS84_F * (2 - WGS84_F)
EARTH_RATE_RAD_S = 7.292115146706979e-5

Vector = tuple[float, float, float]


def julian_date(mission_s: float) -> tuple[float, float]:
    """(whole, fraction) of the Julian date of a mission time, split so that no precision is lost."""
    days, seconds = divmod(mission_s, 86_400.0)
    return 2_440_587.5 + days, seconds / 86_400.0


def sidereal_angle_rad(mission_s: float) -> float:
    """Greenwich mean sidereal time (IAU 1982) of a time in UT1, or in UTC taken for it."""
    whole, fraction = julian_date(mission_s)
    centuries = ((whole - 2_451_545.0) + fraction) / 36_525.0
    seconds = (
        67_310.54841
        + (876_600.0 * 3600.0 + 8_640_184.812866) * centuries
        + 0.093104 * centuries**2
        - 6.2e-6 * centuries**3
    )
    return math.radians(math.fmod(seconds, 86_400.0) / 240.0) % (2 * math.pi)


def teme_to_ecef(
    position_m: Vector, velocity_m_s: Vector, mission_s: float, orientation: Orientation = MEAN_ORIENTATION
) -> tuple[Vector, Vector]:
    """Rotate an inertial state into the Earth-fixed frame; the velocity is relative to the rotating Earth."""
    angle = sidereal_angle_rad(mission_s + orientation.ut1_minus_utc_s)
    cosine, sine = math.cos(angle), math.sin(angle)
    x, y, z = position_m
    u, v, w = velocity_m_s
    px, py = cosine * x + sine * y, -sine * x + cosine * y
    vx, vy = cosine * u + sine * v, -sine * u + cosine * v
    position, velocity = (px, py, z), (vx + EARTH_RATE_RAD_S * py, vy - EARTH_RATE_RAD_S * px, w)
    return _past_the_pole(position, orientation), _past_the_pole(velocity, orientation)


def _past_the_pole(vector: Vector, orientation: Orientation) -> Vector:
    """From the frame of the rotation pole to that of the Earth's crust: R2(-x) R1(-y) undone."""
    x, y, z = vector
    cosine, sine = math.cos(orientation.pole_y_rad), math.sin(orientation.pole_y_rad)
    y, z = cosine * y - sine * z, sine * y + cosine * z
    cosine, sine = math.cos(orientation.pole_x_rad), math.sin(orientation.pole_x_rad)
    return cosine * x + sine * z, y, -sine * x + cosine * z


def ecef_to_geodetic(position_m: Vector) -> Vector:
    """(latitude_deg, longitude_deg, altitude_m) of an Earth-fixed position."""
    x, y, z = position_m
    across = math.hypot(x, y)
    longitude = math.atan2(y, x)
    reduced = math.atan2(z * WGS84_A_M, across * WGS84_B_M)
    second_e2 = WGS84_E2 / (1 - WGS84_E2)
    for _ in range(2):  # once leaves 5 cm at 20 000 km, twice nothing
        latitude = math.atan2(
            z + second_e2 * WGS84_B_M * math.sin(reduced) ** 3,
            across - WGS84_E2 * WGS84_A_M * math.cos(reduced) ** 3,
        )
        reduced = math.atan2(WGS84_B_M * math.sin(latitude), WGS84_A_M * math.cos(latitude))
    # a projection on the normal: keeps its digits over the poles and over the equator
    sine = math.sin(latitude)
    altitude = across * math.cos(latitude) + z * sine - WGS84_A_M * math.sqrt(1 - WGS84_E2 * sine**2)
    return math.degrees(latitude), math.degrees(longitude), altitude


def geodetic_to_ecef(latitude_deg: float, longitude_deg: float, altitude_m: float) -> Vector:
    """Earth-fixed position in metres of a geodetic one."""
    latitude, longitude = math.radians(latitude_deg), math.radians(longitude_deg)
    normal = WGS84_A_M / math.sqrt(1 - WGS84_E2 * math.sin(latitude) ** 2)
    across = (normal + altitude_m) * math.cos(latitude)
    return (
        across * math.cos(longitude),
        across * math.sin(longitude),
        (normal * (1 - WGS84_E2) + altitude_m) * math.sin(latitude),
    )


def sun_direction(mission_s: float) -> Vector:
    """Unit vector to the sun in the Earth-fixed frame, about 0.01 degree (Astronomical Almanac, low precision)."""
    whole, fraction = julian_date(mission_s)
    days = (whole - 2_451_545.0) + fraction
    anomaly = math.radians((357.528 + 0.9856003 * days) % 360)
    longitude = math.radians((280.460 + 0.9856474 * days) % 360) + math.radians(
        1.915 * math.sin(anomaly) + 0.020 * math.sin(2 * anomaly)
    )
    obliquity = math.radians(23.439 - 4e-7 * days)
    inertial = (
        math.cos(longitude),
        math.cos(obliquity) * math.sin(longitude),
        math.sin(obliquity) * math.sin(longitude),
    )
    return teme_to_ecef(inertial, (0.0, 0.0, 0.0), mission_s)[0]


def is_sunlit(position_ecef_m: Vector, mission_s: float) -> bool:
    """False inside the Earth's cylindrical shadow."""
    sun = sun_direction(mission_s)
    along = sum(p * s for p, s in zip(position_ecef_m, sun, strict=True))
    if along >= 0:
        return True
    across = math.sqrt(max(0.0, sum(p * p for p in position_ecef_m) - along * along))
    return across > WGS84_B_M
