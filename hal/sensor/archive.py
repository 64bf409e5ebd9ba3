"""Stands for the Earth on a bench: shows the archived scene that lies nearest under the satellite.

Each capture is then replayed as by hal/sensor/replay.py. A capture over a place of which there is no scene fails, as
a capture of the wrong place would. Before the first capture the sensor describes itself by the first scene.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from hal.clock import Clock
from hal.errors import DeviceClosed, DeviceUnavailable
from hal.navigation.orbit import driver as navigation_driver
from hal.navigation.orbit import selftest_options as orbit_options
from hal.navigation.protocol import Navigation
from hal.options import DriverOptions, Options
from hal.sensor.protocol import LineBlock, SensorFormat
from hal.sensor.replay import DEFAULT_FIFO_LINES, ReplaySensor, usual_line_rate_hz
from hal.sensor.replay import selftest_options as replay_options
from hal.sensor.scene import SceneInfo, open_scene

NAME = "sensor archive"
EARTH_KM = 6371.0


@dataclass(frozen=True, slots=True)
class ArchivedScene:
    """One scene and where its middle lies."""

    path: Path
    latitude_deg: float
    longitude_deg: float

    def distance_km(self, latitude_deg: float, longitude_deg: float) -> float:
        """Great-circle distance to a point."""
        a, b = math.radians(self.latitude_deg), math.radians(latitude_deg)
        across = math.radians(self.longitude_deg - longitude_deg)
        cosine = math.sin(a) * math.sin(b) + math.cos(a) * math.cos(b) * math.cos(across)
        return EARTH_KM * math.acos(max(-1.0, min(1.0, cosine)))


class ArchiveSensor:
    """A hal.sensor.protocol.Sensor; `format` and `info` are those of the scene that the last start() chose."""

    def __init__(
        self,
        scenes: tuple[ArchivedScene, ...],
        navigation: Navigation,
        clock: Clock,
        *,
        reach_km: float,
        fifo_lines: int,
    ) -> None:
        self._scenes, self._navigation, self._clock = scenes, navigation, clock
        self._reach_km, self._fifo_lines = reach_km, fifo_lines
        self._replay: ReplaySensor | None = None
        self._closed = False

    @property
    def format(self) -> SensorFormat:
        return self._showing().format

    @property
    def info(self) -> SceneInfo:
        """What the scene that is being shown says about bands, radiometry and place."""
        return self._showing().info

    def start(self, at_mission_s: float) -> None:
        if self._closed:
            raise DeviceClosed(NAME)
        fix = self._navigation.at(at_mission_s)
        below = (fix.latitude_deg, fix.longitude_deg)
        nearest = min(self._scenes, key=lambda scene: scene.distance_km(*below))
        distance_km = nearest.distance_km(*below)
        if distance_km > self._reach_km:
            raise DeviceUnavailable(
                NAME,
                f"no scene within {self._reach_km:.0f} km of {below[0]:.2f}, {below[1]:.2f} ({distance_km:.0f} km)",
            )
        chosen = self._open(nearest)
        chosen.start(at_mission_s)
        if self._replay is not None:
            self._replay.close()
        self._replay = chosen

    def read_into(self, buffer: NDArray[Any], deadline_s: float) -> LineBlock:
        return self._showing().read_into(buffer, deadline_s)

    def close(self) -> None:
        self._closed = True
        if self._replay is not None:
            self._replay.close()

    def _showing(self) -> ReplaySensor:
        if self._closed:
            raise DeviceClosed(NAME)
        if self._replay is None:
            self._replay = self._open(self._scenes[0])
        return self._replay

    def _open(self, archived: ArchivedScene) -> ReplaySensor:
        scene = open_scene(archived.path)
        return ReplaySensor(scene, self._clock, usual_line_rate_hz(scene.info), self._fifo_lines)


def driver(options: Mapping[str, Any], clock: Clock) -> ArchiveSensor:
    """Entry point. Options: scenes = [{path, latitude_deg, longitude_deg}, ...], orbit = {...} as of the simulated
    navigation, reach_km (default 800), fifo_lines. Raises DriverOptions."""
    checked = Options(NAME, options, ("scenes", "orbit", "reach_km", "fifo_lines"))
    listed = options.get("scenes")
    if not isinstance(listed, (list, tuple)) or not listed or not all(isinstance(item, Mapping) for item in listed):
        raise DriverOptions("scenes", "a list of {path, latitude_deg, longitude_deg} is needed")
    scenes = []
    for item in listed:
        fields = Options(f"{NAME} scene", item, ("path", "latitude_deg", "longitude_deg"))
        scenes.append(
            ArchivedScene(
                Path(fields.text("path")),
                fields.number("latitude_deg", minimum=-90, maximum=90),
                fields.number("longitude_deg", minimum=-180, maximum=180),
            )
        )
    return ArchiveSensor(
        tuple(scenes),
        navigation_driver(checked.table("orbit"), clock),
        clock,
        reach_km=checked.number("reach_km", 800.0, minimum=1.0),
        fifo_lines=checked.integer("fifo_lines", DEFAULT_FIFO_LINES, minimum=1, maximum=1 << 24),
    )


def selftest_options(folder: Path) -> dict[str, Any]:
    """Options that open this driver on one small scene within reach of anywhere, for `swath hal selftest`."""
    scene = {"path": replay_options(folder)["path"], "latitude_deg": 0.0, "longitude_deg": 0.0}
    return {"scenes": [scene], "orbit": orbit_options(folder), "reach_km": math.pi * EARTH_KM + 1.0}
