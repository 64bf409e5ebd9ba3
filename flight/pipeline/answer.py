"""From an application and a description of the strip to what the engine and the product need to know."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bindings.stitch import TileGrid
from flight import __version__
from flight.pipeline.area import PixelArea
from flight.pipeline.capture_meta import CaptureMeta
from flight.pipeline.engine import EngineSetup
from flight.pipeline.errors import PipelineError
from flight.pipeline.geolocate import largest_sigma_m
from flight.product.header import Content, GeoModel, ProductHeader
from flight.product.projection import is_placed, lonlat_to_pixel, pixel_to_lonlat, turns_clockwise
from hal.sensor.bands import BandInfo
from payload_models.errors import MissingBands
from payload_models.loader import Application
from payload_models.matching import NAMES, InputPlan, match

CAMERA_EDGE_STEPS = 8  # points of each edge of a footprint
EDGE_STEPS = 16  # an edge straight in longitude and latitude is bent in the scene's projection
STRIP_ROWS = 64  # rows of the strips in which the payload process hands a class map over


class AreaNotPlaced(PipelineError, ValueError):
    """An area was given, but nothing says where the strip lies."""

    code = "not_georeferenced"

    def __init__(self) -> None:
        super().__init__("an area needs a strip with a known place: it has no transform or an unsupported projection")


class NoVariantFits(PipelineError, MissingBands):
    """MissingBands, saying also what every variant of the application would take."""

    code = "missing_bands"

    def __init__(self, cause: MissingBands, variants: Sequence[Sequence[str]]) -> None:
        MissingBands.__init__(self, cause.application, cause.missing, cause.have)
        self.takes = tuple(" + ".join(bands) for bands in variants)
        have = ", ".join(cause.have) or "none that is known"
        self.args = (f"`{cause.application}` takes {', or '.join(self.takes)}; the scene has {have}",)


def plan_input(application: Application, meta: CaptureMeta) -> InputPlan:
    """How the strip's bands feed the application's graph. Raises a ModelError that says what does not fit."""
    described = zip(meta.band_names, meta.band_common, meta.band_centre_nm, strict=True)
    bands = tuple(BandInfo(name, common, centre_nm) for name, common, centre_nm in described)
    manifest = application.manifest
    try:
        return match(manifest, bands, NAMES[meta.radiometry], meta.scale, meta.offset, gsd_m=meta.gsd_m)
    except MissingBands as error:
        variants = [[band.name for band in variant.bands] for variant in manifest.variant]
        raise NoVariantFits(error, variants) from error


def engine_setup(
    application: Application,
    plan: InputPlan,
    meta: CaptureMeta,
    parameters: dict[str, float],
    area: tuple[tuple[tuple[float, float], ...], ...],
) -> EngineSetup:
    """Everything that decides the class map. area: rings of (longitude, latitude); empty takes the whole strip."""
    manifest = application.manifest
    cut = manifest.input
    return EngineSetup(
        grid=TileGrid(meta.columns, cut.tile, cut.overlap, cut.margin),
        band_indices=plan.band_indices,
        norm=plan.norm,
        planes=manifest.planes,
        threshold=manifest.threshold(parameters),
        nodata=meta.nodata,
        area=pixel_area(area, geo_model(meta)) if area else None,
        model_sha256=bytes.fromhex(application.form(plan.variant).sha256),
    )


def geo_model(meta: CaptureMeta, sigma_m: float = 0.0) -> GeoModel:
    """Where the strip's pixels lie: its file's transform where there is one, else by its camera."""
    geometry = meta.geometry
    if geometry is None or meta.transform is not None:
        return GeoModel(transform=meta.transform, epsg=meta.epsg, sigma_m=sigma_m)
    return GeoModel(transform=None, epsg=None, sigma_m=largest_sigma_m(geometry), camera=geometry)


def pixel_area(area: tuple[tuple[tuple[float, float], ...], ...], geo: GeoModel) -> PixelArea:
    """Rings of (longitude, latitude) as rings of (column, row). Raises AreaNotPlaced, PlaceOutOfReach."""
    if not is_placed(geo):
        raise AreaNotPlaced
    rings = []
    for ring in area:
        points = np.array(ring, dtype=np.float64)
        following = np.roll(points, -1, axis=0)
        steps = np.arange(EDGE_STEPS, dtype=np.float64)[None, :, None] / EDGE_STEPS
        bent = (points[:, None, :] + (following - points)[:, None, :] * steps).reshape(-1, 2)
        columns, rows = lonlat_to_pixel(geo, bent[:, 0], bent[:, 1])
        rings.append(tuple((float(column), float(row)) for column, row in zip(columns, rows, strict=True)))
    return PixelArea(tuple(rings))


def product_header(
    application: Application,
    plan: InputPlan,
    meta: CaptureMeta,
    parameters: dict[str, float],
    *,
    job_id: bytes,
    capture_id: bytes,
    start_s: float,
    height: int,
    sigma_m: float,
    contents: tuple[Content, ...] = tuple(Content),
) -> ProductHeader:
    """What the product will say of itself. Raises HeaderInvalid."""
    manifest = application.manifest
    geo = geo_model(meta, sigma_m)
    return ProductHeader(
        job_id=job_id,
        capture_id=capture_id,
        application=manifest.name,
        application_version=manifest.version,
        model_sha256=bytes.fromhex(application.form(plan.variant).sha256),
        parameters=tuple(parameters.items()),
        software=f"swath {__version__}",
        sensor=meta.sensor,
        radiometry=meta.radiometry,
        calibrated=plan.calibrated,
        start_s=start_s,
        line_rate_hz=meta.line_rate_hz,
        width=meta.columns,
        height=height,
        classes=tuple(entry.name for entry in manifest.classes),
        finding_class=manifest.finding_class,
        geo=geo,
        footprint=_footprint(geo, meta.columns, height),
        contents=contents,
    )


def _footprint(geo: GeoModel, width: int, height: int) -> tuple[tuple[float, float], ...]:
    """The strip's corners, counter-clockwise for a north-up scene; empty where its place is not known.

    Camera lines have bent edges, so these get points between; a ring over the 180th meridian or round a pole has no
    meaning in longitude and latitude and is left out as well.
    """
    if not is_placed(geo):
        return ()
    steps = 1 if geo.camera is None else CAMERA_EDGE_STEPS
    along, zero = np.arange(steps, dtype=np.float64) / steps, np.zeros(steps)
    columns = width * np.concatenate([zero, along, zero + 1.0, 1.0 - along])
    rows = height * np.concatenate([along, zero + 1.0, 1.0 - along, zero])
    longitude, latitude = pixel_to_lonlat(geo, columns, rows)
    if geo.camera is not None:
        if np.abs(np.diff(longitude, append=longitude[:1])).max() > 180.0:
            return ()
        if not turns_clockwise(geo, width, height):
            longitude, latitude = longitude[::-1], latitude[::-1]
    return tuple((float(x), float(y)) for x, y in zip(longitude, latitude, strict=True))
