"""Cuts the golden cases of the built-in applications out of the sample scenes (not used on board).

    python -m payload_models.cut_golden water examples/scenes payload_models/water/golden

A case records what the application makes of it now: look at it before it is kept.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from hal.sensor.scene import open_scene
from payload_models.golden import record_case
from payload_models.loader import load_application
from payload_models.matching import find_band

LAKE = "landsat7_great_salt_lake_7band.tif"
CITY = "landsat5_canberra_lake_nbar_6band.tif"
SHORE = "sentinel2_lake_shore_12band.tif"
ISLANDS = "landsat_bahamas_clouds_rgb.tif"
FIELDS = "landsat8_itaipu_bgr_uint16.tif"


@dataclass(frozen=True, slots=True)
class Cut:
    """A square of a sample scene and the variant that it is for."""

    scene: str
    row: int
    col: int
    side: int
    variant: int = 0


CUTS: dict[str, dict[str, Cut]] = {
    "water": {
        "ponds": Cut(LAKE, 820, 390, 96),
        "city_lake": Cut(CITY, 130, 190, 96),
        "shore": Cut(SHORE, 80, 120, 96, 1),
        "city_lake_no_nir": Cut(CITY, 130, 190, 96, 2),
        "shore_nir": Cut(SHORE, 80, 120, 96, 3),
        "ponds_swir": Cut(LAKE, 820, 390, 96, 4),
    },
    "cloud": {  # from scenes that it was not trained on
        "sea": Cut(ISLANDS, 140, 400, 128),
        "island": Cut(ISLANDS, 280, 230, 128),
        "clear_shore": Cut(FIELDS, 300, 400, 128),
    },
}


def cut_golden(name: str, scenes: Path, out: Path) -> None:
    """Write NAME.npz and NAME_expect.npz for every cut of one application. Raises SceneError, ModelError."""
    application = load_application(name, check_graphs=False)
    out.mkdir(parents=True, exist_ok=True)
    for case, cut in CUTS[name].items():
        with open_scene(scenes / cut.scene) as scene:
            info = scene.info
            found = [find_band(band, info.bands) for band in application.variants[cut.variant].bands]
            indices = [index for index in found if index is not None]
            img = scene.read_rows(cut.row, cut.side)[:, cut.col : cut.col + cut.side, indices]
        scale = tuple(info.scale[index] for index in indices)
        offset = tuple(info.offset[index] for index in indices)
        archives = record_case(application, cut.variant, img, scale, offset)
        for suffix, octets in zip(("", "_expect", "_int8_expect"), archives, strict=False):
            (out / f"{case}{suffix}.npz").write_bytes(octets)


def main() -> None:
    """The cases of one application."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("application", choices=sorted(CUTS))
    parser.add_argument("scenes", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    cut_golden(arguments.application, arguments.scenes, arguments.out)


if __name__ == "__main__":
    main()
