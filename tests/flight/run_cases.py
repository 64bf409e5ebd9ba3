"""Scenes made for `swath run`, the command run on them in this process, and the graph run on the whole scene."""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import rasterio
from numpy.typing import NDArray
from rasterio.transform import Affine

from flight.cli import main
from hal.sensor.bands import SENSORS
from payload_models.loader import load_application

S2 = ("B08", "B03", "B11", "B02", "B04", "B12", "B05", "B06", "B07", "B8A", "B01", "B09", "B10")
NO_ANSWER = 255
PLACES: dict[int, Affine] = {
    4326: Affine(0.0003, 0, 11.0, 0, -0.0002, 46.0),
    3857: Affine(20.0, 0, 1_300_000.0, 0, -20.0, 5_800_000.0),
    32633: Affine(10.0, 0, 400_000.0, 0, -10.0, 5_000_000.0),
    32733: Affine(9.0, 2.0, 400_000.0, 2.0, -9.0, 8_000_000.0),
    28355: Affine(25.0, 0, 690_000.0, 0, -25.0, 6_100_000.0),
}


@dataclass(frozen=True)
class Case:
    """One scene file and how it is told which band is which."""

    name: str
    rows: int = 300
    columns: int = 300
    bands: int = 4
    dtype: str = "uint16"
    form: str = "tiff"  # or npz
    options: tuple[tuple[str, Any], ...] = ()  # of GDAL's writer; compressed=True for npz
    epsg: int | None = 32633
    naming: str = "descriptions"  # with --sensor; or tags, sidecar, sensor (alone), hint (in the name), in_file (npz)
    wedge: bool = True  # a corner without data
    seed: int = field(default=1)

    @property
    def names(self) -> tuple[str, ...]:
        """Sentinel-2's bands; those of its usual file where the scene does not name them."""
        return SENSORS["S2"].layouts[self.bands] if self.naming == "sensor" else S2[: self.bands]

    @property
    def scale(self) -> float:
        return {"uint8": 1 / 255, "float32": 1.0}.get(self.dtype, 1e-4)

    @property
    def nodata(self) -> float | None:
        """What marks a pixel without a measurement; floats use NaN."""
        if not self.wedge or self.dtype == "float32":
            return None
        if self.form == "npz" and self.naming != "sidecar":  # an npz names no such value: Sentinel-2's usual one
            return None if self.dtype == "uint8" else 0.0
        return {"uint8": 255.0, "uint16": 0.0, "int16": -9999.0}[self.dtype]

    def pixels(self) -> NDArray[Any]:
        """(rows, columns, bands): lakes in a noisy land, and a corner without data."""
        rng = np.random.default_rng(self.seed)
        row, column = np.mgrid[: self.rows, : self.columns]
        lakes = (np.sin(row / 23.0 + self.seed) + np.cos(column / 17.0)) > 0.4
        reflectance = np.where(lakes[:, :, None], 0.02, 0.3) + np.zeros(self.bands)
        if "B03" in self.names:
            reflectance[:, :, self.names.index("B03")] = np.where(lakes, 0.08, 0.1)
        reflectance = reflectance + rng.normal(0, 0.015, reflectance.shape)
        values = np.clip(reflectance, 0.001, 0.9) / self.scale
        if self.dtype != "float32":
            values = np.rint(values)
        image = values.astype(self.dtype)
        if self.wedge:
            corner = row / max(self.rows - 1, 1) + column / max(self.columns - 1, 1) > 1.7
            if self.dtype == "float32":
                image[corner] = np.nan
            elif self.nodata is not None:
                image[corner] = self.nodata
        return image

    def write(self, folder: Path) -> Path:
        """The file, and its sidecar where the case has one."""
        path = folder / f"{self.name}.{'npz' if self.form == 'npz' else 'tif'}"
        writer = self._write_npz if self.form == "npz" else self._write_tiff
        writer(path)
        if self.naming == "sidecar":
            lines = ['sensor = "S2"', f"bands = {json.dumps(self.names)}"]
            if self.form == "npz" and self.nodata is not None:
                lines.append(f"nodata = {self.nodata}")
            path.with_suffix(".toml").write_text("\n".join(lines) + "\n")
        return path

    def _write_tiff(self, path: Path) -> None:
        place = {} if self.epsg is None else {"crs": f"EPSG:{self.epsg}", "transform": PLACES[self.epsg]}
        with rasterio.open(
            path, "w", driver="GTiff", height=self.rows, width=self.columns, count=self.bands, dtype=self.dtype,
            nodata=self.nodata, photometric="minisblack", **place, **dict(self.options),
        ) as out:  # fmt: skip
            out.write(np.moveaxis(self.pixels(), 2, 0))
            if self.naming in ("tags", "descriptions", "hint"):
                for index, name in enumerate(self.names, 1):
                    out.set_band_description(index, name)
            if self.naming == "tags":
                out.update_tags(SPACECRAFT_ID="S2A")

    def _write_npz(self, path: Path) -> None:
        arrays: dict[str, Any] = {"img": self.pixels()}
        if self.naming == "in_file":
            arrays.update(bands=np.array(self.names), sensor=np.array("S2"))
        if self.epsg is not None:
            arrays.update(transform=np.array(PLACES[self.epsg])[:6], crs=np.array(f"EPSG:{self.epsg}"))
        (np.savez_compressed if dict(self.options).get("compressed") else np.savez)(path, **arrays)

    def arguments(self) -> list[str]:
        return ["--sensor", "S2"] if self.naming in ("sensor", "descriptions") else []


@contextlib.contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """The development key is made in the working directory."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def swath(*arguments: object, folder: Path) -> tuple[int, dict[str, Any]]:
    """`swath ARGUMENTS --json` in this process: the exit status and what it printed."""
    printed = io.StringIO()
    with working_in(folder), contextlib.redirect_stdout(printed):
        status = main([*map(str, arguments), "--json"])
    text = printed.getvalue()
    assert text.count("\n") == 1, f"one JSON object is wanted, got {text!r}"
    return status, json.loads(text)


def path_of(report: dict[str, Any], kind: str) -> Path:
    """The one output of a kind."""
    (entry,) = [item for item in report["products"] if item["kind"] == kind]
    return Path(entry["path"])


@cache
def session(application: str, variant: int) -> onnxruntime.InferenceSession:
    """An application's graph in ONNX Runtime as it comes: nothing of ours around it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    octets = load_application(application, check_graphs=False).model_bytes(variant)
    return onnxruntime.InferenceSession(octets, options, providers=["CPUExecutionProvider"])


def planes_of(
    image: NDArray[Any], indices: list[int], scale: NDArray[Any], offset: NDArray[Any], low: float, high: float
) -> NDArray[np.float32]:
    """(bands, rows, columns) of reflectance: value * scale + offset in single precision, clipped."""
    chosen = np.moveaxis(image[:, :, indices], 2, 0).astype(np.float32)
    scaled = chosen * scale.astype(np.float32)[:, None, None] + offset.astype(np.float32)[:, None, None]
    clipped: NDArray[np.float32] = np.clip(scaled, np.float32(low), np.float32(high)).astype(np.float32)
    return clipped


def invalid_in(image: NDArray[Any], indices: list[int], nodata: float | None) -> NDArray[np.bool_]:
    """Pixels without a measurement in the bands that are looked at."""
    chosen = image[:, :, indices]
    missing = np.isnan(chosen).any(axis=2) if image.dtype.kind == "f" else np.zeros(image.shape[:2], np.bool_)
    return missing if nodata is None else missing | (chosen == nodata).all(axis=2)


def water_map(image: NDArray[Any], names: tuple[str, ...], scale: float, offset: float, nodata: float | None,
              threshold: float = 0.5) -> NDArray[np.uint8]:  # fmt: skip
    """The class map of `water` by its graph on the whole scene at once. names: green, nir, swir16 among the bands."""
    manifest = load_application("water", check_graphs=False).manifest
    takes = [[band.name for band in entry.bands] for entry in manifest.variant]
    variant = next(index for index, bands in enumerate(takes) if all(name in names for name in bands))
    wanted = takes[variant]
    indices = [names.index(name) for name in wanted]
    ones = np.ones(len(indices))
    planes = planes_of(image, indices, ones * scale, ones * offset, manifest.input.low, manifest.input.high)
    invalid = invalid_in(image, indices, nodata)
    planes[:, invalid] = 0
    scores = session("water", variant).run(["scores"], {"pixels": planes[None]})[0][0, 0]
    found: NDArray[np.uint8] = (scores >= np.float32(threshold)).astype(np.uint8)
    found[invalid] = NO_ANSWER
    return found
