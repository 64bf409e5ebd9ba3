"""Products as files that other programs open: GeoJSON, GeoTIFF, PNG. Equal products give equal files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from flight.product.container import Product
from flight.product.errors import ExportKindUnknown, MaskAbsent
from flight.product.export import geojson, geotiff, png
from flight.product.export.files import make_folder
from flight.product.projection import is_placed

_KINDS: dict[str, tuple[str, Callable[[Product, Path], None]]] = {
    "geojson": (".geojson", geojson.export),
    "geotiff": (".tif", geotiff.export),
    "png": (".png", png.export),
}
KINDS = tuple(_KINDS)


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that was written. bytes: its size."""

    path: Path
    kind: str
    bytes: int


def parse_kinds(text: str) -> tuple[str, ...]:
    """The kinds in a comma-separated list, each once. Raises ExportKindUnknown."""
    kinds = tuple(dict.fromkeys(kind.strip() for kind in text.split(",") if kind.strip()))
    for kind in kinds:
        if kind not in _KINDS:
            raise ExportKindUnknown(kind, KINDS)
    return kinds


def possible_kinds(product: Product) -> tuple[str, ...]:
    """The kinds that this product can be written as: GeoJSON needs a place that is known, the others a class map."""
    placed = is_placed(product.header.geo)
    return tuple(kind for kind in KINDS if (placed if kind == "geojson" else product.has_mask))


def export_all(product: Product, kinds: Sequence[str], folder: Path, stem: str) -> tuple[Exported, ...]:
    """Write `product` as FOLDER/STEM.{geojson,tif,png}, in the order of `kinds`.

    Raises ExportKindUnknown and MaskAbsent before anything is written, others as the kind's own export().
    """
    for kind in kinds:
        if kind not in _KINDS:
            raise ExportKindUnknown(kind, KINDS)
    if not product.has_mask and any(kind != "geojson" for kind in kinds):
        raise MaskAbsent(next(kind for kind in kinds if kind != "geojson"))
    make_folder(folder)
    written = []
    for kind in kinds:
        suffix, export = _KINDS[kind]
        path = folder / f"{stem}{suffix}"
        export(product, path)
        written.append(Exported(path.resolve(), kind, path.stat().st_size))
    return tuple(written)
