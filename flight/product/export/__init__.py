"""Products as files that other programs open: GeoJSON, GeoTIFF, PNG. Equal products give equal files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from flight.product.container import Product
from flight.product.errors import ExportKindUnknown
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
    """The kinds that this product can be written as: GeoJSON needs a place that can be computed."""
    return KINDS if is_placed(product.header.geo) else tuple(k for k in KINDS if k != "geojson")


def export_all(product: Product, kinds: Sequence[str], folder: Path, stem: str) -> tuple[Exported, ...]:
    """Write `product` as FOLDER/STEM.{geojson,tif,png}, in the order of `kinds`.

    Raises ExportKindUnknown before anything is written; NotGeoreferenced and others as the kind's own export().
    """
    for kind in kinds:
        if kind not in _KINDS:
            raise ExportKindUnknown(kind, KINDS)
    make_folder(folder)
    written = []
    for kind in kinds:
        suffix, export = _KINDS[kind]
        path = folder / f"{stem}{suffix}"
        export(product, path)
        written.append(Exported(path.resolve(), kind, path.stat().st_size))
    return tuple(written)
