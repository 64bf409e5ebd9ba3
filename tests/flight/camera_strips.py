"""Real scenes as a camera in orbit would have taken them, resampled by the places that Skyfield and pymap3d gave."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from pyproj import Transformer

from flight.pipeline.answer import engine_setup, plan_input, product_header
from flight.pipeline.capture_meta import CaptureMeta
from flight.pipeline.engine import Engine, Step
from flight.pipeline.flow import Flow
from flight.pipeline.geolocate import Geolocator
from flight.pipeline.run import coverage_of
from flight.pipeline.scene_source import SceneSource
from flight.pipeline.sensor_description import describe
from flight.pipeline.session import OnnxSession
from flight.product.assembler import ProductAssembler
from flight.product.container import Product, open_container, seal
from hal.clock import SimulatedClock
from hal.navigation.orbit import driver as navigation
from hal.platform.protocol import PlatformState
from hal.sensor.camera_file import CameraFile, CameraSigma
from hal.sensor.replay import driver as replay
from hal.sensor.scene import open_scene
from payload_models.loader import load_application
from tests.flight.product.cases import KEY_ID, SEAL_KEY, TRUSTED
from tests.hal.vectors import earth
from tests.shared_data import ROOT

EARTH = earth()
SCENES = ROOT / "examples" / "scenes"
ATTITUDE_SIGMA_DEG = 0.002
ORBIT_SIGMA_M = 10.0


def seen(scene: str, folder: Path) -> Path:
    """The scene as the strip of the vectors, in a file without a transform; 0 where the camera saw past the scene."""
    strip = EARTH["strips"][scene]
    with open_scene(SCENES / scene) as source:
        info, pixels = source.info, source.read_rows(0, source.info.height)
    nodes = np.arange(0, strip["lines"] + 1, strip["grid_px"]), np.arange(0, strip["columns"] + 1, strip["grid_px"])
    shape = (len(nodes[0]), len(nodes[1]))
    assert info.transform is not None
    to_scene = Transformer.from_crs(4326, info.epsg, always_xy=True)
    x, y = to_scene.transform(np.reshape(strip["lon_deg"], shape), np.reshape(strip["lat_deg"], shape))
    a, b, c, d, e, f = info.transform
    column, row = np.einsum("ij,jrc->irc", np.linalg.inv([[a, b], [d, e]]), np.stack([x - c, y - f]))
    maps = [_between(nodes, values, strip["lines"], strip["columns"]) for values in (column, row)]
    inside = (maps[0] >= 0) & (maps[0] < info.width) & (maps[1] >= 0) & (maps[1] < info.height)
    across = np.clip(np.floor(maps[0]), 0, info.width - 1).astype(int)
    down = np.clip(np.floor(maps[1]), 0, info.height - 1).astype(int)
    lines = np.where(inside[:, :, None], pixels[down, across], 0).astype(info.dtype)
    path = folder / f"{Path(scene).stem}.npz"
    np.savez(path, img=lines, bands=[band.name for band in info.bands], sensor=info.sensor)
    sidecar = (SCENES / scene).with_suffix(".toml").read_text().replace('nodata = "none"', "nodata = 0")
    path.with_suffix(".toml").write_text(f"gsd_m = {7000.0 / strip['line_rate_hz']}\n" + sidecar)
    return path


def _between(nodes: tuple[Any, Any], values: Any, lines: int, columns: int) -> Any:
    """At the middles of all pixels: the polynomial of fifth order through the nodes, which leaves 1e-4 of a pixel."""
    rows, across = np.meshgrid(2 * nodes[0] / lines - 1, 2 * nodes[1] / columns - 1, indexing="ij")
    terms = np.polynomial.polynomial.polyvander2d(rows.ravel(), across.ravel(), (5, 5))
    found = np.linalg.lstsq(terms, values.ravel(), rcond=None)[0].reshape(6, 6)
    middles = 2 * (np.arange(lines) + 0.5) / lines - 1, 2 * (np.arange(columns) + 0.5) / columns - 1
    return np.polynomial.polynomial.polygrid2d(*middles, found)


def camera_of(strip: dict[str, Any]) -> CameraFile:
    return CameraFile(
        name="vectors",
        columns=strip["columns"],
        focal_mm=strip["focal_mm"],
        pixel_pitch_um=strip["pixel_pitch_um"],
        sigma=CameraSigma(time_s=0.0005, height_m=10.0, camera_px=0.1),
    )


def placed(scene: str, path: Path) -> CaptureMeta:
    """What the flight process would know of the lines: the sensor's description and the camera's geometry."""
    strip = EARTH["strips"][scene]
    clock = SimulatedClock(strip["start_s"] - 20.0)
    orbit = {"tle": strip["tle"], "orientation": EARTH["orientation"], "sigma_m": ORBIT_SIGMA_M}
    geolocator = Geolocator(camera_of(strip), navigation(orbit, clock).at)
    roll, pitch, yaw = strip["roll_pitch_yaw_deg"]
    for number in range(200):
        time_s = strip["start_s"] - 5.0 + number
        geolocator.tell(PlatformState(time_s, roll, pitch, yaw, ATTITUDE_SIGMA_DEG, None))
    sensor = replay({"path": str(path), "geometry": "camera", "line_rate_hz": strip["line_rate_hz"]}, clock)
    sensor.start(strip["start_s"])
    meta = describe(sensor)
    sensor.close()
    assert meta.transform is None and not meta.camera
    return geolocator.place(meta, strip["start_s"], strip["lines"])


def answered(scene: str, application: str, path: Path, area: Any = ()) -> Product:
    """The product of the camera's lines."""
    strip = EARTH["strips"][scene]
    app, meta = load_application(application, check_graphs=False), placed(scene, path)
    parameters = app.manifest.parameters({})
    plan = plan_input(app, meta)
    header = product_header(
        app,
        plan,
        meta,
        parameters,
        job_id=bytes(32),
        capture_id=bytes(16),
        start_s=strip["start_s"],
        height=strip["lines"],
        sigma_m=0.0,
    )
    assembler = ProductAssembler(header)
    session = OnnxSession(app.model_bytes(plan.variant), bands=len(plan.band_indices), classes=app.manifest.planes)
    setup = engine_setup(app, plan, meta, parameters, area)
    with (
        open_scene(path) as source,
        Engine(setup, SceneSource(source), session, assembler.add, lambda: 0.0, flow=Flow(1)) as engine,
    ):
        while engine.step() != Step.FINISHED:
            pass
        body = assembler.finish(coverage_of(engine.progress, header.height, 0), engine.progress.confidence)
    return open_container(seal(body, SEAL_KEY, KEY_ID, 1.8e9), TRUSTED)


def copied(scene: str, folder: Path) -> Path:
    """The scene with its transform, and its sidecar."""
    for suffix in (".tif", ".toml"):
        shutil.copy((SCENES / scene).with_suffix(suffix), folder)
    return folder / scene


def shift_px(one: Any, other: Any) -> tuple[float, float]:
    """By how many columns and rows `other` lies off `one`: where the fewest pixels differ, between whole shifts."""
    middle = one[2:-2, 2:-2]

    def differing(dx: int, dy: int) -> float:
        return float((other[2 + dy : other.shape[0] - 2 + dy, 2 + dx : other.shape[1] - 2 + dx] != middle).mean())

    def least(before: float, here: float, after: float) -> float:
        return (before - after) / (2 * (before + after - 2 * here))

    here = differing(0, 0)
    return least(differing(-1, 0), here, differing(1, 0)), least(differing(0, -1), here, differing(0, 1))
