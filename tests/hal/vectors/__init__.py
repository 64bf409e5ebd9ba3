"""Known answers from other libraries, with what made them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def earth() -> dict[str, Any]:
    """earth.json, made by make_earth_vectors.py."""
    answers: dict[str, Any] = json.loads((Path(__file__).parent / "earth.json").read_text())
    return answers
