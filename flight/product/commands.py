"""`swath product show | decode | export`: a container opened anywhere."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from flight.product.container import Product, open_container
from flight.product.envelope import OVERHEAD, decrypt, is_envelope
from flight.product.errors import ProductTooLarge, ProductUnreadable, RecipientKeyNeeded
from flight.product.export import KINDS, export_all, parse_kinds
from flight.product.export.files import make_folder, whole_file
from flight.product.export.geojson import about
from flight.product.findings import Finding
from flight.product.header import GeoModel
from flight.product.key_files import read_recipient_key, read_trusted_keys
from flight.product.layout import DEFAULT_LIMITS
from hal.command_line import CommandResult, Subcommands


def register(commands: Subcommands) -> None:
    """Add `product` and its three verbs."""
    parser = commands.add_parser("product", help="open, decode and export product containers")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    show = verbs.add_parser("show", help="what a product says of itself, and whether its seal holds")
    show.set_defaults(run=_show)
    unpack = verbs.add_parser("decode", help="write mask.npy, preview.npy and regions.json")
    unpack.add_argument("--out", type=Path, required=True, metavar="DIR")
    unpack.set_defaults(run=_decode)
    export = verbs.add_parser("export", help="write GeoJSON, GeoTIFF and PNG files")
    export.add_argument("--to", required=True, metavar="KIND,...", help=", ".join(KINDS))
    export.add_argument("--out", type=Path, required=True, metavar="DIR")
    export.set_defaults(run=_export)
    for verb in (show, unpack, export):
        verb.add_argument("file", type=Path, metavar="FILE")
        verb.add_argument("--key", type=Path, metavar="FILE", help="X25519 private key, for an encrypted product")
        verb.add_argument(
            "--trust",
            type=Path,
            action="append",
            metavar="PATH",
            help="Ed25519 key file (.pub, or one's own .key) or folder of .pub files to check the seal with; a seal "
            "that does not hold is then an error. Without it the product is opened unverified",
        )
        verb.add_argument(
            "--tolerate-damage", action="store_true", help="open what is left when mask strips are damaged"
        )
        verb.add_argument("--json", action="store_true", help="print one JSON object")


def read_product(
    file: Path, *, key: Path | None = None, trust: list[Path] | None = None, tolerate_damage: bool = False
) -> Product:
    """Open a product file, in an envelope or not. Raises a ProductError.

    key: recipient's private key file; trust: files and folders of public keys, None to open without checking the seal.
    """
    most = DEFAULT_LIMITS.container_bytes + OVERHEAD
    try:
        with file.open("rb") as stream:
            octets = stream.read(most + 1)
    except OSError as error:
        raise ProductUnreadable(str(file), error.strerror or str(error)) from error
    if len(octets) > most:
        raise ProductTooLarge("octets of the file", file.stat().st_size, most)
    recipient = read_recipient_key(key) if key is not None else None  # not needed for a plain one, but never unread
    if is_envelope(octets):
        if recipient is None:
            raise RecipientKeyNeeded(str(file))
        octets = decrypt(octets, recipient)
    trusted = None if trust is None else read_trusted_keys(trust)
    return open_container(octets, trusted, tolerate_damage=tolerate_damage)


def _opened(arguments: argparse.Namespace) -> Product:
    return read_product(
        arguments.file, key=arguments.key, trust=arguments.trust, tolerate_damage=arguments.tolerate_damage
    )


def _show(arguments: argparse.Namespace) -> CommandResult:
    product = _opened(arguments)
    data: dict[str, Any] = {
        "file": str(arguments.file.resolve()),
        **about(product),
        "damaged_strips": list(product.damaged),
        "regions": [_region(region) for region in product.regions],
    }
    return CommandResult(data, _text(product, arguments.trust is not None))


def _decode(arguments: argparse.Namespace) -> CommandResult:
    product = _opened(arguments)
    make_folder(arguments.out)
    regions = arguments.out / "regions.json"
    files = []
    if product.has_mask:
        for name, pixels in (("mask.npy", product.mask), ("preview.npy", product.preview)):
            with whole_file(arguments.out / name) as stream:
                np.save(stream, pixels())
            files.append(str((arguments.out / name).resolve()))
    with whole_file(regions) as stream:
        stream.write(json.dumps({**about(product), "regions": [_region(item) for item in product.regions]}).encode())
        stream.write(b"\n")
    files.append(str(regions.resolve()))
    return CommandResult({"files": files, "damaged_strips": list(product.damaged)}, "\n".join(files))


def _export(arguments: argparse.Namespace) -> CommandResult:
    kinds = parse_kinds(arguments.to)
    written = export_all(_opened(arguments), kinds, arguments.out, arguments.file.stem)
    data = {"products": [{"path": str(item.path), "kind": item.kind, "bytes": item.bytes} for item in written]}
    return CommandResult(data, "\n".join(f"{item.path}  {item.bytes} bytes" for item in written))


def _region(finding: Finding) -> dict[str, Any]:
    return {name: getattr(finding, name) for name in finding.__slots__}


def _text(product: Product, checked: bool) -> str:
    header, coverage = product.header, product.coverage
    answered = sum(product.counts)
    finding = header.classes[header.finding_class]
    share = 100 * product.counts[header.finding_class] / answered if answered else 0.0
    verdict = "verified" if product.verified else "does not hold" if checked else "not verified (--trust KEY checks it)"
    said = about(product)
    lines = [
        (
            f"{header.application} {header.application_version}  {header.width} x {header.height} pixels"
            f"  {header.sensor} {header.radiometry}{'' if header.calibrated else ' uncalibrated'}"
            f"  {said['start'] or 'time not known'}"
        ),
        (
            f"{finding}: {product.counts[header.finding_class]} pixels ({share:.1f} % of those answered) in"
            f" {product.regions_total} regions, confidence {product.confidence:.2f}"
        ),
        *(f"  {name}: {count} pixels" for name, count in zip(header.classes, product.counts, strict=True)),
        f"  no answer: {product.no_answer} pixels",
        (
            f"coverage: {coverage.lines - coverage.lines_lost} of {coverage.lines} lines, {coverage.tiles_total} tiles,"
            f" {coverage.tiles_screened} screened, {coverage.tiles_inferred} inferred"
        ),
        f"place: {_place(header.geo)}",
        f"model {header.model_sha256.hex()[:16]}  job {header.job_id.hex()[:16]}  software {header.software}",
        f"sealed by {product.sealed_by.hex()} at {said['sealed']}: {verdict}",
    ]
    if not product.has_mask:
        lines.append("no class map: it was asked for without, and the counts are its sealer's word")
    if product.damaged:
        lines.append(f"damaged strips: {', '.join(map(str, product.damaged))}")
    return "\n".join(lines)


def _place(geo: GeoModel) -> str:
    if geo.camera is not None:
        return f"camera geometry, one sigma {geo.sigma_m:.1f} m"
    return f"EPSG:{geo.epsg}" if geo.transform and geo.epsg else "pixels only"
