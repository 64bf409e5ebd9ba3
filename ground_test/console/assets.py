"""The console's files, and the headers that keep the page to its own origin.

land.geojson: Natural Earth 1:110m land (public domain, https://www.naturalearthdata.com), cut at 180 degrees so that it
can be drawn flat.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).parent
PAGE = "index.html"
ASSETS = frozenset({PAGE, "console.css", "console.js", "map.js", "shapes.js", "land.geojson"})
# With a policy that allows no inline script, a name that slipped into the page as markup would still not run.
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def asset(names: Sequence[str]) -> Path | None:
    """The file that stands at /console/NAMES, the page itself where there is no name; None for any other."""
    name = "/".join(names) or PAGE
    return FOLDER / name if name in ASSETS else None
