"""`swath run`: one scene file through one application into a sealed product and its exports."""

from __future__ import annotations

import hashlib
import resource
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flight.agent.keys import SigningKey
from flight.pipeline.answer import STRIP_ROWS, engine_setup, plan_input, product_header
from flight.pipeline.area_file import Ring
from flight.pipeline.engine import Engine, Progress, Step
from flight.pipeline.errors import PipelineError
from flight.pipeline.scene_source import SceneSource, describe_scene
from flight.pipeline.session import OnnxSession
from flight.pipeline.strip_cutter import StripCutter
from flight.product.container import Coverage, Product, ProductAssembler, open_container, seal
from flight.product.export import geojson, geotiff, png
from flight.product.projection import is_supported
from hal.clock import Clock
from hal.sensor.scene import Scene, SceneInfo, open_scene
from payload_models.loader import Application, load_application

NOT_A_JOB = bytes(32)
HASH_BLOCK = 1 << 20
NOT_SCANNED_HZ = 1.0  # a file says nothing of line times


class NeedsInput(PipelineError, ValueError):
    """The application cannot answer for this scene without another input."""

    def __init__(self, application: str, needed: str) -> None:
        super().__init__(f"{application} needs --{needed}")
        self.application, self.needed = application, needed

    @property
    def code(self) -> str:  # type: ignore[override]
        """needs_reference or needs_area."""
        return f"needs_{self.needed}"


class OutputNotWritable(PipelineError, OSError):
    """The folder for the results cannot be made or written."""

    code = "output_not_writable"

    def __init__(self, folder: str, reason: str) -> None:
        super().__init__(f"{folder}: {reason}")
        self.folder, self.reason = folder, reason


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for."""

    scene: Path
    application: str
    out: Path
    sensor: str | None = None
    area: tuple[Ring, ...] = ()
    reference: Path | None = None
    parameters: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Output:
    """One file that was written."""

    path: Path
    kind: str  # product, geojson, geotiff, png
    octets: int


@dataclass(frozen=True, slots=True)
class RunReport:
    """What came of it."""

    info: SceneInfo
    progress: Progress
    product: Product
    total_s: float
    peak_rss_mb: float
    outputs: tuple[Output, ...]
    notes: tuple[str, ...]  # what a person should know about the answer


def run_scene(order: Order, key: SigningKey, clock: Clock) -> RunReport:
    """Do it. Raises SceneError, ModelError, PipelineError or ProductError; nothing is left half written."""
    began_s = clock.host_s()
    application = load_application(order.application, check_graphs=True)
    _check_needs(application, order)
    parameters = application.manifest.parameters(dict(order.parameters))
    try:
        order.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputNotWritable(str(order.out), error.strerror or str(error)) from error
    with open_scene(order.scene, sensor=order.sensor) as scene:
        container, progress = _container(scene, application, parameters, order, key, clock)
        info = scene.info
    product = open_container(container, key.verifier)
    outputs = _write(container, product, order.out / f"{order.scene.stem}-{application.name}")
    return RunReport(
        info=info,
        progress=progress,
        product=product,
        total_s=clock.host_s() - began_s,
        peak_rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        outputs=outputs,
        notes=_notes(product),
    )


def _check_needs(application: Application, order: Order) -> None:
    given = {"reference": order.reference is not None, "area": bool(order.area)}
    for needed in application.manifest.needs:
        if not given[needed]:
            raise NeedsInput(application.name, needed)


def _container(
    scene: Scene,
    application: Application,
    parameters: dict[str, float],
    order: Order,
    key: SigningKey,
    clock: Clock,
) -> tuple[bytes, Progress]:
    meta = describe_scene(scene.info, NOT_SCANNED_HZ)
    plan = plan_input(application, meta)
    setup = engine_setup(application, plan, meta, parameters, order.area)
    manifest = application.manifest
    header = product_header(
        application,
        plan,
        meta,
        parameters,
        job_id=NOT_A_JOB,
        capture_id=_file_digest(order.scene)[:16],
        start_s=0.0,
        height=scene.info.height,
        sigma_m=0.0,
    )
    session = OnnxSession(application.model_bytes(plan.variant), bands=len(plan.band_indices), classes=manifest.planes)
    assembler = ProductAssembler(header)
    cutter = StripCutter(meta.columns, STRIP_ROWS, assembler.add_strip)
    engine = Engine(setup, SceneSource(scene), session, cutter.add, clock.host_s)
    while engine.step() != Step.FINISHED:
        pass
    cutter.end()
    progress = engine.progress
    body = assembler.finish(coverage_of(progress, scene.info.height, 0), progress.confidence)
    return seal(body, key.private, key.key_id, clock.mission_s()), progress


def coverage_of(progress: Progress, lines: int, lost: int) -> Coverage:
    """An engine's counters as the product states them."""
    return Coverage(
        lines=lines,
        lines_lost=lost,
        tiles_total=progress.tiles_done,
        tiles_screened=progress.tiles_screened,
        tiles_inferred=progress.tiles_inferred,
        nodata_pixels=progress.no_answer_pixels,
    )


def _file_digest(path: Path) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(HASH_BLOCK):
            digest.update(block)
    return digest.digest()


def _write(container: bytes, product: Product, stem: Path) -> tuple[Output, ...]:
    sealed = stem.with_name(stem.name + ".swp")
    try:
        sealed.write_bytes(container)
    except OSError as error:
        raise OutputNotWritable(str(sealed.parent), error.strerror or str(error)) from error
    writers: list[tuple[str, str, Callable[[Product, Path], None]]] = [
        ("geotiff", ".tif", geotiff.export),
        ("png", ".png", png.export),
    ]
    geo = product.header.geo
    if geo.transform is not None and is_supported(geo.epsg):
        writers.insert(0, ("geojson", ".geojson", geojson.export))
    outputs = [Output(sealed.resolve(), "product", len(container))]
    for kind, suffix, export in writers:
        path = stem.with_name(stem.name + suffix)
        export(product, path)
        outputs.append(Output(path.resolve(), kind, path.stat().st_size))
    return tuple(outputs)


def _notes(product: Product) -> tuple[str, ...]:
    notes = []
    if not product.header.calibrated:
        notes.append("uncalibrated numbers stood for reflectance; the product is marked so")
    if product.header.geo.transform is None:
        notes.append("the scene has no place on Earth; no GeoJSON was written")
    elif not is_supported(product.header.geo.epsg):
        notes.append(f"EPSG:{product.header.geo.epsg} is not computed here; no GeoJSON was written")
    return tuple(notes)
