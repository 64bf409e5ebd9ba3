"""GDAL's metadata in TIFF tag 42112: a flat list of items, read without an XML parser.

<GDALMetadata><Item name="DESCRIPTION" sample="0" role="description">B01</Item> ... </GDALMetadata>
Anything that is not such an item (a document type, an entity, a nested element) is not looked at, and so cannot harm.
"""

from __future__ import annotations

import html
import math
import re
from dataclasses import dataclass, field

MAX_CHARACTERS = 1 << 20
_ITEM = re.compile(r"<Item ([^<>]{1,400})>([^<>]{0,4000})</Item>")
_ATTRIBUTE = re.compile(r"(\w+)=\"([^\"]*)\"")


@dataclass(slots=True)
class GdalMetadata:
    """What the items say, by band number from 0."""

    tags: dict[str, str] = field(default_factory=dict)  # of the whole file, names in upper case
    descriptions: dict[int, str] = field(default_factory=dict)
    scales: dict[int, float] = field(default_factory=dict)
    offsets: dict[int, float] = field(default_factory=dict)


def parse_items(text: str) -> GdalMetadata:
    """Never raises: an item that makes no sense is left out."""
    found = GdalMetadata()
    for attributes, value in _ITEM.findall(text[:MAX_CHARACTERS]):
        said = dict(_ATTRIBUTE.findall(attributes))
        value = html.unescape(value).strip()
        sample = said.get("sample", "")
        if not sample:
            found.tags[said.get("name", "").upper()] = value
        elif re.fullmatch(r"\d{1,4}", sample):
            _band_item(found, int(sample), said.get("role", ""), value)
    return found


def _band_item(found: GdalMetadata, band: int, role: str, value: str) -> None:
    if role == "description":
        found.descriptions[band] = value[:200]
    elif role in ("scale", "offset"):
        try:
            number = float(value)
        except ValueError:
            return
        if math.isfinite(number):
            (found.scales if role == "scale" else found.offsets)[band] = number
