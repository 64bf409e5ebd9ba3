"""Real applications on real scenes in one process, to be compared between machines.

python -m tests.flight.everywhere FOLDER     what this machine answers: NAME.sha256, the digest of the product's body
python -m tests.flight.everywhere            record the class maps that every machine is compared with
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import tifffile
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

import flight.pipeline.inference
from flight.agent.keys import SigningKey
from flight.pipeline.run import Order, run_scene
from flight.product.container import Product
from hal.clock import SystemClock
from payload_models.loader import load_application
from tests.shared_data import ROOT

SCENES = ROOT / "examples" / "scenes"
RECORDED = Path(__file__).parent / "recorded_maps"


@dataclass(frozen=True, slots=True)
class Case:
    """An application on a sample scene, or on its rows and columns [first, first + side).

    exact: its class map is the same on every machine. form: of the graph, 0 the float one, then the int8 ones, whose
    scores are made into floats in the end: the confidence in the product's tail may then differ in its last digits.
    """

    name: str
    application: str
    scene: str
    exact: bool
    first_row: int = 0
    first_col: int = 0
    side: int | None = None
    form: int = 0

    def scene_in(self, folder: Path) -> Path:
        """The scene's file; a part of one is cut out into the folder."""
        whole = SCENES / f"{self.scene}.tif"
        if self.side is None:
            return whole
        rows, cols = (slice(first, first + self.side) for first in (self.first_row, self.first_col))
        part = folder / f"{self.scene}_part.npz"
        np.savez(part, img=tifffile.imread(whole)[rows, cols])
        shutil.copy(whole.with_suffix(".toml"), part.with_suffix(".toml"))
        return part

    def recorded(self) -> NDArray[np.uint8]:
        with np.load(RECORDED / f"{self.name}.npz") as held:
            classes: NDArray[np.uint8] = held["classes"]
            return classes


CASES = {
    case.name: case
    for case in (
        Case("water_lake_shore", "water", "sentinel2_lake_shore_12band", exact=True),
        Case("water_canberra", "water", "landsat5_canberra_lake_nbar_6band", exact=True),
        Case(
            "cloud_bahamas", "cloud", "landsat_bahamas_clouds_rgb", exact=False, first_row=40, first_col=200, side=380
        ),
        Case(
            "cloud_bahamas_u8",
            "cloud",
            "landsat_bahamas_clouds_rgb",
            exact=True,
            first_row=40,
            first_col=200,
            side=380,
            form=1,
        ),
        Case(
            "cloud_bahamas_s8",
            "cloud",
            "landsat_bahamas_clouds_rgb",
            exact=True,
            first_row=40,
            first_col=200,
            side=380,
            form=2,
        ),
    )
}


def product_of(case: Case, out: Path, *, cores: int = 1) -> Product:
    """Run it here. The graphs are not looked at again in a child process: an emulated Python has none."""
    loaded = load_application(case.application, check_graphs=False)
    application = replace(loaded, chosen=(case.form,) * len(loaded.variants))
    key = SigningKey.of(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    with patch.object(flight.pipeline.inference, "load_application", lambda name, check_graphs, limits: application):
        order = Order(scene=case.scene_in(out), application=case.application, out=out / "out")
        return run_scene(order, key, SystemClock(), cores).product


def main(folders: list[str]) -> int:
    for case in CASES.values():
        with tempfile.TemporaryDirectory() as out:
            product = product_of(case, Path(out))
        for folder in map(Path, folders):
            (folder / f"{case.name}.sha256").write_text(product.body_sha256.hex())
        if not folders:
            RECORDED.mkdir(exist_ok=True)
            np.savez_compressed(RECORDED / f"{case.name}.npz", classes=product.mask())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
