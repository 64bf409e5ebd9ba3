"""`swath run`: one scene file through one application into a sealed product and its exports."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flight.agent.keys import SigningKey
from flight.pipeline.answer import engine_setup, plan_input, product_header
from flight.pipeline.area_file import Ring
from flight.pipeline.engine import Engine, Flow, Progress, Step
from flight.pipeline.inference import FLOAT_ON_CPU, InferenceSetup
from flight.pipeline.peak_memory import peak_rss_mb
from flight.pipeline.run_errors import (
    NeedsInput,
    OutputNotWritable,
    ReferenceUnsupported,
    SceneChanged,
    SceneTooManyPixels,
)
from flight.pipeline.scene_source import SceneSource
from flight.pipeline.sensor_description import describe_lines
from flight.product.assembler import ProductAssembler
from flight.product.container import Product, open_container, seal
from flight.product.export import geojson, geotiff, png
from flight.product.export.files import whole_file
from flight.product.header import Content
from flight.product.layout import DEFAULT_LIMITS
from flight.product.projection import is_supported
from flight.product.strip_outlines import Outlines
from flight.product.summary import Coverage
from hal.clock import Clock
from hal.sensor.protocol import SensorFormat
from hal.sensor.scene import Scene, SceneInfo, SceneUnreadable, open_scene
from payload_models.loader import Application
from payload_models.runtime.opening import Opened, open_session

NOT_A_JOB = bytes(32)
HASH_BLOCK = 1 << 20
NOT_SCANNED_HZ = 1.0  # a file says nothing of line times


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for."""

    scene: Path
    application: str
    out: Path
    sensor: str | None = None
    area: tuple[Ring, ...] = ()
    reference: Path | None = None
    ais: Path | None = None
    parameters: tuple[tuple[str, float], ...] = ()
    inference: InferenceSetup = FLOAT_ON_CPU
    outlines: bool = False  # also beside a class map, which says the same


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
    outlines: Outlines | None  # None where there are none to trace, or a class map says the same
    total_s: float
    peak_rss_mb: float
    outputs: tuple[Output, ...]
    notes: tuple[str, ...]  # what a person should know about the answer


def run_scene(order: Order, key: SigningKey, clock: Clock, cores: int = 1) -> RunReport:
    """Do it; cores: that this process may run on.

    Raises SceneError, ModelError, PipelineError or ProductError; no file is left half written.
    """
    began_s = clock.host_s()
    application = order.inference.application(order.application)
    _check_needs(application, order)
    parameters = application.manifest.parameters(dict(order.parameters))
    before = _state_of(order.scene)
    with open_scene(order.scene, sensor=order.sensor) as scene:
        info = scene.info
        if info.width * info.height > DEFAULT_LIMITS.pixels:
            raise SceneTooManyPixels(info.path, info.width * info.height, DEFAULT_LIMITS.pixels)
        work = _Work(scene, application, parameters, order, clock.host_s)
        _make_folder(order.out)
        body, progress, outlines = work.body(clock, cores)
    if _state_of(order.scene) != before:
        raise SceneChanged(str(order.scene))
    container = seal(body, key.private, key.key_id, clock.mission_s())
    product = open_container(container, key.verifier)
    outputs = _write(container, product, order.out / f"{order.scene.stem}-{application.name}")
    return RunReport(
        info=info,
        progress=progress,
        product=product,
        outlines=outlines,
        total_s=clock.host_s() - began_s,
        peak_rss_mb=peak_rss_mb(),
        outputs=outputs,
        notes=(
            *_notes(order, application, progress, product),
            *_outline_notes(outlines),
            *_fallback_notes(work.opened),
        ),
    )


def _check_needs(application: Application, order: Order) -> None:
    given = {"reference": order.reference is not None, "area": bool(order.area)}
    for needed in application.manifest.needs:
        if not given[needed]:
            raise NeedsInput(application.name, needed)
    if "reference" in application.manifest.needs:
        raise ReferenceUnsupported(application.name)


def _state_of(path: Path) -> tuple[int, ...]:
    """What changes when a file is written to. Raises SceneUnreadable."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise SceneUnreadable(str(path), getattr(error, "strerror", None) or str(error)) from error
    return status.st_ino, status.st_size, status.st_mtime_ns


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise OutputNotWritable(str(folder), getattr(error, "strerror", None) or str(error)) from error


class _Work:
    """One scene through the engine; all that can be refused without reading pixels is refused by the constructor."""

    def __init__(
        self,
        scene: Scene,
        application: Application,
        parameters: dict[str, float],
        order: Order,
        host_s: Callable[[], float],
    ) -> None:
        info = scene.info
        meta = describe_lines(
            info, SensorFormat(info.width, len(info.bands), info.dtype, NOT_SCANNED_HZ, lines=info.height)
        )
        plan = plan_input(application, meta)
        self._scene, self._planes = scene, application.manifest.planes
        self._setup = engine_setup(application, plan, meta, parameters, order.area)
        inference = order.inference
        self.opened = open_session(application, plan.variant, inference.policy, inference.commissioned, host_s=host_s)
        self._session = self.opened.session
        self._header = product_header(
            application,
            plan,
            meta,
            parameters,
            job_id=NOT_A_JOB,
            capture_id=_file_digest(order.scene)[:16],
            start_s=0.0,
            height=info.height,
            sigma_m=0.0,
            contents=tuple(kind for kind in Content if kind.name.lower() in application.manifest.products),
        )
        contents, finds = self._header.contents, any(entry.finding for entry in application.manifest.classes)
        self._outlined = finds and Content.REGIONS in contents and (order.outlines or Content.MASK not in contents)

    def body(self, clock: Clock, cores: int) -> tuple[bytes, Progress, Outlines | None]:
        """The product's body, how it came about, and what became of its outlines."""
        header = self._header
        assembler = ProductAssembler(header, outlined=self._outlined)
        source, flow = SceneSource(self._scene), Flow(cores)
        with Engine(self._setup, source, self._session, assembler.add, clock.host_s, flow=flow) as engine:
            while engine.step() != Step.FINISHED:
                pass
        progress = engine.progress
        body = assembler.finish(coverage_of(progress, header.height, 0), progress.confidence)
        return body, progress, assembler.outlines


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
    try:
        with path.open("rb") as stream:
            while block := stream.read(HASH_BLOCK):
                digest.update(block)
    except OSError as error:
        raise SceneUnreadable(str(path), error.strerror or str(error)) from error
    return digest.digest()


def _write(container: bytes, product: Product, stem: Path) -> tuple[Output, ...]:
    sealed = stem.with_name(stem.name + ".swp")
    with whole_file(sealed) as stream:
        stream.write(container)
    writers: list[tuple[str, str, Callable[[Product, Path], None]]] = []
    if Content.MASK in product.header.contents:
        writers += [("geotiff", ".tif", geotiff.export), ("png", ".png", png.export)]
    geo = product.header.geo
    if geo.transform is not None and is_supported(geo.epsg):
        writers.insert(0, ("geojson", ".geojson", geojson.export))
    outputs = [Output(sealed.resolve(), "product", len(container))]
    for kind, suffix, export in writers:
        path = stem.with_name(stem.name + suffix)
        export(product, path)
        outputs.append(Output(path.resolve(), kind, path.stat().st_size))
    return tuple(outputs)


def _outline_notes(outlines: Outlines | None) -> tuple[str, ...]:
    if outlines is None or outlines.left_out is None:
        return ()
    return (f"the outlines were left out of the product: {outlines.left_out.value}",)


def _fallback_notes(opened: Opened) -> tuple[str, ...]:
    return tuple(
        f"not as commissioned: {fallback.name.lower().replace('_', ' ')}; {opened.form.precision} was run on "
        f"{', '.join(opened.policy.providers)}"
        for fallback in opened.fallbacks
    )


def _notes(order: Order, application: Application, progress: Progress, product: Product) -> tuple[str, ...]:
    notes = []
    geo = product.header.geo
    if not product.header.calibrated:
        notes.append("uncalibrated numbers stood for reflectance; the product is marked so")
    if geo.transform is None:
        notes.append("the scene has no place on Earth; no GeoJSON was written")
    elif geo.epsg is None:
        notes.append("the scene does not name its reference system; no GeoJSON was written")
    elif not is_supported(geo.epsg):
        notes.append(f"EPSG:{geo.epsg} is not computed here; no GeoJSON was written")
    if order.area and progress.tiles_inferred == 0:
        notes.append("the area holds no measured pixel of the scene; nothing was looked at")
    for name, given in (("reference", order.reference), ("ais", order.ais)):
        if given is not None and name not in application.manifest.needs:
            notes.append(f"`{application.name}` does not use --{name}; it was not read")
    return tuple(notes)
