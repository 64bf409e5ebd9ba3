"""`swath run SCENE --app NAME --out DIR`."""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flight.pipeline.run_errors import OutputNotWritable, ParameterMalformed
from hal.command_line import CommandResult, Subcommands

if TYPE_CHECKING:
    from flight.product.strip_outlines import Outlines

KEYS = Path(".swath") / "keys"


def register(commands: Subcommands) -> None:
    """Add `run`."""
    parser = commands.add_parser("run", help="one scene file through one application, no satellite")
    parser.add_argument("scene", type=Path, metavar="SCENE", help="GeoTIFF or npz")
    parser.add_argument("--app", required=True, metavar="NAME", help="application by name, or its folder")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the product and its exports")
    parser.add_argument("--sensor", metavar="S", help="which sensor took the scene, where the file does not say")
    parser.add_argument("--reference", type=Path, metavar="SCENE", help="earlier scene of the same place")
    parser.add_argument("--area", type=Path, metavar="GEOJSON", help="look only inside these polygons")
    parser.add_argument("--ais", type=Path, metavar="FILE", help="AIS reports to compare ships with")
    parser.add_argument("--param", action="append", default=[], metavar="K=V", help="a parameter of the application")
    parser.add_argument("--outlines", action="store_true", help="outlines of the findings also beside a class map")
    parser.add_argument("--inference", type=Path, metavar="FILE", help="session policy, as the table [inference]")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> CommandResult:
    """Run it and say what came of it."""
    from flight.agent.keys import development_key
    from flight.pipeline.area_file import read_area
    from flight.pipeline.inference import setup_of
    from flight.pipeline.run import Order, run_scene
    from hal.clock import SystemClock
    from hal.toml_records import load_record
    from payload_models.runtime.policy import InferenceTable

    inference = setup_of(InferenceTable(), Path())
    if arguments.inference is not None:
        inference = setup_of(load_record(arguments.inference, InferenceTable), arguments.inference.parent)

    order = Order(
        scene=arguments.scene,
        application=arguments.app,
        out=arguments.out,
        sensor=arguments.sensor,
        area=read_area(arguments.area) if arguments.area is not None else (),
        reference=arguments.reference,
        ais=arguments.ais,
        parameters=tuple(_parameter(given) for given in arguments.param),
        inference=inference,
        outlines=arguments.outlines,
    )
    try:
        key = development_key(KEYS, os.urandom)
    except OSError as error:
        raise OutputNotWritable(str(KEYS), error.strerror or str(error)) from error
    report = run_scene(order, key, SystemClock(), len(os.sched_getaffinity(0)))
    info, progress, product = report.info, report.progress, report.product
    products_bytes = sum(output.octets for output in report.outputs if output.kind == "product")
    data = {
        "scene": {
            "width": info.width,
            "height": info.height,
            "bands": len(info.bands),
            "dtype": info.dtype,
            "sensor": info.sensor,
        },
        "application": {"name": product.header.application, "version": product.header.application_version},
        "tiles": {
            "total": progress.tiles_done,
            "screened": progress.tiles_screened,
            "inferred": progress.tiles_inferred,
        },
        "seconds": {"total": round(report.total_s, 4), "inference": round(progress.inference_s, 4)},
        "bytes": {"raw": info.raw_bytes, "products": products_bytes},
        "peak_rss_mb": round(report.peak_rss_mb, 1),
        "products": [
            {"path": str(output.path), "kind": output.kind, "bytes": output.octets} for output in report.outputs
        ],
        "counts": dict(zip(product.header.classes, product.counts, strict=True)) | {"no_answer": product.no_answer},
        "regions": product.regions_total,
        "outlines": _outlines(report.outlines),
        "notes": list(report.notes),
    }
    lines = [
        (
            f"{info.width} x {info.height} x {len(info.bands)} {info.dtype} ({info.sensor or 'sensor unknown'}) "
            f"-> {product.header.application}: {_shares(product.header.classes, product.counts, product.no_answer)}"
        ),
        (
            f"{progress.tiles_done} tiles, {progress.tiles_screened} screened out; {report.total_s:.2f} s "
            f"({progress.inference_s:.2f} s inference), {report.peak_rss_mb:.0f} MB; "
            f"{info.raw_bytes:,} bytes in, {products_bytes:,} out ({info.raw_bytes / products_bytes:.0f} : 1)"
        ),
        *(f"  {output.kind:<8} {output.path}" for output in report.outputs),
        *(f"note: {note}" for note in report.notes),
    ]
    return CommandResult(data, "\n".join(lines))


def _outlines(outlines: Outlines | None) -> dict[str, Any] | None:
    if outlines is None:
        return None
    left_out = outlines.left_out.value if outlines.left_out is not None else None
    return {"polygons": outlines.polygons, "bytes": len(outlines.section), "left_out": left_out}


def _parameter(given: str) -> tuple[str, float]:
    name, equals, value = given.partition("=")
    try:
        number = float(value)
    except ValueError:
        raise ParameterMalformed(given) from None
    if not equals or not name or not math.isfinite(number):
        raise ParameterMalformed(given)
    return name, number


def _shares(classes: tuple[str, ...], counts: tuple[int, ...], no_answer: int) -> str:
    total = max(1, sum(counts) + no_answer)
    shares = [f"{name} {100 * count / total:.1f} %" for name, count in zip(classes, counts, strict=True)]
    if no_answer:
        shares.append(f"no answer {100 * no_answer / total:.1f} %")
    return ", ".join(shares)
