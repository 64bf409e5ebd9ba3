"""On board: what the bus tells of attitude is kept for a while, and a capture's lines get the geometry of their camera.

The flight process builds it when a capture has ended and journals it with the description of the capture, so that a
restart places the product where it was. Lines whose file brings its own transform keep that.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import msgspec
import numpy as np

from flight.pipeline.capture_meta import CaptureMeta
from flight.pipeline.errors import PipelineError
from flight.product.geolocation import CameraGeometry
from hal.navigation.protocol import NavigationFix
from hal.platform.protocol import PlatformState
from hal.sensor.calibration import reflectance_scales, sun_over
from hal.sensor.camera_file import CameraFile
from hal.sensor.strip_geometry import strip_geometry

ATTITUDES_KEPT = 4096  # at ten a second nearly seven minutes
SIGMA_STEPS = 5  # the uncertainty of a product is the largest on a grid of so many points a side


class CameraDiffers(PipelineError, ValueError):
    """Lines that the configured camera cannot have taken."""

    code = "camera_differs"

    def __init__(self, columns: int, described: int) -> None:
        super().__init__(f"lines of {columns} columns, the camera file describes {described}")
        self.columns, self.described = columns, described


class Geolocator:
    """Gives captures their geometry. `tell` is called with every state of the bus, in order of time."""

    def __init__(self, camera: CameraFile, at: Callable[[float], NavigationFix]) -> None:
        self._camera, self._at = camera, at
        self._told: deque[PlatformState] = deque(maxlen=ATTITUDES_KEPT)

    def tell(self, state: PlatformState) -> None:
        """Keep one state; one not later than the last is passed over."""
        if not self._told or state.time_s > self._told[-1].time_s:
            self._told.append(state)

    def place(self, meta: CaptureMeta, start_s: float, lines: int) -> CaptureMeta:
        """The description with what the camera file adds for `lines` lines from `start_s` on: their geometry
        and the band to register to. Unchanged where it has a transform.

        Raises CameraDiffers, and as strip_geometry().
        """
        if meta.transform is not None or lines < 1:
            return meta
        if meta.columns != self._camera.columns:
            raise CameraDiffers(meta.columns, self._camera.columns)
        geometry = strip_geometry(
            CameraGeometry,
            self._camera,
            start_s=start_s,
            line_rate_hz=meta.line_rate_hz,
            lines=lines,
            at=self._at,
            attitude=tuple(self._told),
        )
        band = self._camera.register_to
        return msgspec.structs.replace(
            meta,
            camera=geometry.to_cbor(),
            register_to=meta.band_names.index(band) if band in meta.band_names else None,
        )

    def calibrate(self, meta: CaptureMeta) -> CaptureMeta:
        """The description with reflectance instead of a detector's numbers, by the camera file's gains and the sun over
        the strip. Unchanged where the file has no gains or the numbers are calibrated already.

        Raises GainsMissing; SunTooLow at night.
        """
        geometry = meta.geometry
        if geometry is None or self._camera.radiometry is None or meta.radiometry != "dn":
            return meta
        scale, offset = reflectance_scales(self._camera.radiometry, meta.band_names, sun_over(geometry))
        return msgspec.structs.replace(meta, radiometry="toa", scale=scale, offset=offset)


def largest_sigma_m(geometry: CameraGeometry) -> float:
    """One standard deviation of the worst placed pixel, rounded up to 0.1 m. Raises RayMissesEarth."""
    rows, columns = np.linspace(0, geometry.lines, SIGMA_STEPS), np.linspace(0, geometry.camera.columns, SIGMA_STEPS)
    sigma_m = geometry.ground(rows[:, None], columns[None, :]).sigma_m
    return math.ceil(float(sigma_m.max()) * 10.0 - 1e-6) / 10.0
