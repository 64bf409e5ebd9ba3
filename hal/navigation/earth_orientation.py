"""How the Earth is turned: UT1 - UTC and polar motion, day by day, from an IERS file or a small table.

Files are believed only as far as they were checked: a bounded size, days in order without gaps, values in the range
that the Earth has. Between days values are interpolated on a line; UT1 is interpolated against TAI, because UTC leaps.
Sources: IERS finals2000A.all (readme.finals2000A: columns 8-15 MJD, 19-27 and 38-46 pole in arcseconds, 59-68 UT1 - UTC
in seconds) and Leap_Second.dat.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hal.errors import HalError

MAX_FILE_BYTES = 16 << 20
MAX_DAYS = 40_000
MJD_1970 = 40_587.0
DAY_S = 86_400.0
_ARCSECOND = math.pi / (180 * 3600)
_MAX_UT1_S, _MAX_POLE_ARCSEC = 1.0, 2.0


class OrientationInvalid(HalError, ValueError):
    """An Earth orientation or leap second table that cannot be believed. Says where."""

    code = "orientation_invalid"
    exit_status = 2

    def __init__(self, source: str, line: int, reason: str) -> None:
        super().__init__(f"{source}:{line}: {reason}" if line else f"{source}: {reason}")
        self.source, self.line, self.reason = source, line, reason


class OrientationUnknown(HalError, LookupError):
    """A time before the first or after the last day of a table."""

    code = "orientation_unknown"

    def __init__(self, mission_s: float, first_s: float, last_s: float) -> None:
        super().__init__(
            f"Earth orientation is known from {first_s:.0f} to {last_s:.0f} s of mission time, not at {mission_s:.0f}"
        )
        self.mission_s, self.first_s, self.last_s = mission_s, first_s, last_s


@dataclass(frozen=True, slots=True)
class Orientation:
    """The Earth's orientation at one time."""

    ut1_minus_utc_s: float = 0.0
    pole_x_rad: float = 0.0
    pole_y_rad: float = 0.0


MEAN_ORIENTATION = Orientation()  # for who has no table: wrong by up to 500 m on the ground


@dataclass(frozen=True, slots=True)
class LeapSeconds:
    """TAI - UTC. The built-in one is that of today, announced to hold until mid 2027."""

    steps: tuple[tuple[float, int], ...] = ((57_754.0, 37),)  # (MJD from which it holds, whole seconds), rising

    def tai_minus_utc_s(self, mission_s: float) -> int:
        """Seconds at a mission time (UTC seconds since 1970); before the first step that of the first."""
        index = bisect.bisect_right(self.steps, MJD_1970 + mission_s / DAY_S, key=lambda step: step[0]) - 1
        return self.steps[max(0, index)][1]


@dataclass(frozen=True, slots=True)
class EarthOrientation:
    """A table of days. Checked when it is made; raises OrientationInvalid."""

    days: tuple[tuple[float, float, float, float], ...]  # MJD (UTC), UT1 - UTC in s, pole x and y in arcseconds
    source: str = "earth orientation"
    _ut1_minus_tai: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 1 <= len(self.days) <= MAX_DAYS:
            raise OrientationInvalid(self.source, 0, f"{len(self.days)} days, 1 to {MAX_DAYS} are taken")
        leaps, before = 0, None
        steady = []
        for number, (mjd, ut1_s, x_arcsec, y_arcsec) in enumerate(self.days, 1):
            if not (15_000 <= mjd <= 100_000 and abs(ut1_s) <= _MAX_UT1_S):
                raise OrientationInvalid(self.source, number, f"day {mjd} with UT1 - UTC {ut1_s} s cannot be")
            if not max(abs(x_arcsec), abs(y_arcsec)) <= _MAX_POLE_ARCSEC:
                raise OrientationInvalid(self.source, number, f"a pole at {x_arcsec}, {y_arcsec} arcseconds cannot be")
            if before is not None:
                if not 0 < mjd - before[0] <= 1.0:
                    raise OrientationInvalid(self.source, number, f"day {mjd} does not follow day {before[0]}")
                leaps += round(ut1_s - before[1])  # the Earth drifts by milliseconds a day, UTC leaps by whole seconds
            steady.append(ut1_s - leaps)
            before = (mjd, ut1_s)
        object.__setattr__(self, "_ut1_minus_tai", tuple(steady))

    def at(self, mission_s: float) -> Orientation:
        """Interpolated. Raises OrientationUnknown outside the table."""
        mjd = MJD_1970 + mission_s / DAY_S
        first, last = self.days[0][0], self.days[-1][0]
        if not first <= mjd <= last:
            raise OrientationUnknown(mission_s, (first - MJD_1970) * DAY_S, (last - MJD_1970) * DAY_S)
        index = max(0, min(bisect.bisect_right(self.days, mjd, key=lambda day: day[0]) - 1, len(self.days) - 2))
        day = self.days[index]
        if len(self.days) == 1:
            return Orientation(day[1], day[2] * _ARCSECOND, day[3] * _ARCSECOND)
        after = self.days[index + 1]
        share = (mjd - day[0]) / (after[0] - day[0])
        drift_s = self._ut1_minus_tai[index + 1] - self._ut1_minus_tai[index]
        leap_s = round(after[1] - day[1]) if share == 1.0 else 0  # at its own midnight the new count holds
        return Orientation(
            day[1] + share * drift_s + leap_s,
            (day[2] + share * (after[2] - day[2])) * _ARCSECOND,
            (day[3] + share * (after[3] - day[3])) * _ARCSECOND,
        )


def read_finals2000a(path: Path) -> EarthOrientation:
    """The days of an IERS finals2000A file up to the last with values. Raises OrientationInvalid."""
    days = []
    for number, line in _lines(path):
        if not line[58:68].strip():  # predictions end before the file's calendar does
            break
        columns = (line[7:15], line[58:68], line[18:27], line[37:46])
        days.append(tuple(_number(path, number, text) for text in columns))
    return EarthOrientation(tuple((mjd, ut1, x, y) for mjd, ut1, x, y in days), str(path))


def orientation_of_table(rows: object) -> EarthOrientation:
    """A small table from a configuration: [[mjd, ut1_minus_utc_s, pole_x_arcsec, pole_y_arcsec], ...], a day apart.

    Raises OrientationInvalid.
    """
    if not isinstance(rows, Sequence) or isinstance(rows, str) or len(rows) > MAX_DAYS:
        raise OrientationInvalid("orientation", 0, "a list of rows is needed")
    days = []
    for number, row in enumerate(rows, 1):
        if not isinstance(row, Sequence) or len(row) != 4 or not all(type(value) in (int, float) for value in row):
            raise OrientationInvalid("orientation", number, "four numbers are needed: MJD, UT1 - UTC, pole x, pole y")
        days.append((float(row[0]), float(row[1]), float(row[2]), float(row[3])))
    return EarthOrientation(tuple(days), "orientation")


def read_leap_seconds(path: Path) -> LeapSeconds:
    """The steps of an IERS Leap_Second.dat file. Raises OrientationInvalid."""
    steps: list[tuple[float, int]] = []
    for number, line in _lines(path):
        if line.lstrip().startswith("#") or not line.strip():
            continue
        fields = line.split()
        mjd, seconds = _number(path, number, fields[0]), _number(path, number, fields[-1])
        if len(fields) != 5 or not seconds.is_integer() or (steps and (mjd <= steps[-1][0])):
            raise OrientationInvalid(str(path), number, "not a step of TAI - UTC after the one before")
        if steps and abs(seconds - steps[-1][1]) != 1:
            raise OrientationInvalid(str(path), number, "a leap is of one second")
        steps.append((mjd, int(seconds)))
    if not steps:
        raise OrientationInvalid(str(path), 0, "holds no step")
    return LeapSeconds(tuple(steps))


def _lines(path: Path) -> Iterable[tuple[int, str]]:
    try:
        with path.open("rb") as stream:
            octets = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise OrientationInvalid(str(path), 0, error.strerror or str(error)) from error
    if len(octets) > MAX_FILE_BYTES:
        raise OrientationInvalid(str(path), 0, f"larger than {MAX_FILE_BYTES} bytes")
    if not octets.isascii():
        raise OrientationInvalid(str(path), 0, "not an ASCII file")
    return enumerate(octets.decode("ascii").splitlines(), 1)


def _number(path: Path, line: int, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise OrientationInvalid(str(path), line, f"`{text.strip()}` is no number") from None
    if not math.isfinite(value):
        raise OrientationInvalid(str(path), line, f"`{text.strip()}` is no number")
    return value
