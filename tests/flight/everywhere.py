"""Real applications on real scenes in one process, to be compared between machines.

python -m tests.flight.everywhere FOLDER     what this machine answers: NAME.sha256, the digest of the product's body
python -m tests.flight.everywhere            record the class maps that every machine is compared with
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

import flight.pipeline.run
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
    """An application on a sample scene. exact: its class map is the same on every machine."""

    name: str
    application: str
    scene: str
    exact: bool

    def recorded(self) -> NDArray[np.uint8]:
        return read_map(RECORDED / f"{self.name}.npz")


CASES = {
    case.name: case
    for case in (
        Case("water_lake_shore", "water", "sentinel2_lake_shore_12band", exact=True),
        Case("water_canberra", "water", "landsat5_canberra_lake_nbar_6band", exact=True),
        Case("cloud_bahamas", "cloud", "landsat_bahamas_clouds_rgb", exact=False),
    )
}


def product_of(case: Case, out: Path, *, cores: int = 1) -> Product:
    """Run it here. The graphs are not looked at again in a child process: an emulated Python has none."""
    unguarded: Callable[..., object] = partial(load_application, check_graphs=False)
    key = SigningKey.of(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    with patch.object(flight.pipeline.run, "load_application", lambda name, check_graphs: unguarded(name)):
        order = Order(scene=SCENES / f"{case.scene}.tif", application=case.application, out=out)
        return run_scene(order, key, SystemClock(), cores).product


def read_map(path: Path) -> NDArray[np.uint8]:
    with np.load(path) as held:
        classes: NDArray[np.uint8] = held["classes"]
        return classes


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
