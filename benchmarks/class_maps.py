"""Class maps to code: what the applications really say about the sample scenes, and made ones with more classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hal.sensor.scene import open_scene
from payload_models.inference import Session, answer_rows
from payload_models.loader import load_application
from payload_models.matching import match

SCENES = Path(__file__).resolve().parents[1] / "examples" / "scenes"
ANSWERS = (
    ("water", "landsat7_great_salt_lake_7band.tif"),
    ("water", "sentinel2_lake_shore_12band.tif"),
    ("water", "landsat5_canberra_lake_nbar_6band.tif"),
    ("cloud", "landsat_bahamas_clouds_rgb.tif"),
    ("cloud", "landsat8_itaipu_bgr_uint16.tif"),
)


def answers() -> dict[str, NDArray[np.uint8]]:
    """Class maps (rows, cols) uint8, 255 for no answer, of the applications on the sample scenes."""
    found = {}
    for name, file in ANSWERS:
        application = load_application(name, check_graphs=False)
        manifest = application.manifest
        with open_scene(SCENES / file) as scene:
            info = scene.info
            plan = match(manifest, info.bands, info.radiometry, info.scale, info.offset)
            session = Session(application, plan.variant)
            rows = answer_rows(session, manifest, scene, plan, manifest.threshold({}))
            found[f"{name} {file.split('.')[0]}"] = np.concatenate(list(rows))
    return found


def landscape(side: int, classes: int = 7) -> NDArray[np.uint8]:
    """Land cover as 1/f noise cut at its quantiles: borders at every scale, as maps have them."""
    rng = np.random.default_rng(7)
    across = np.fft.fftfreq(side)
    frequency = np.hypot(across[:, None], across[None, :])
    frequency[0, 0] = 1.0
    spectrum = np.fft.fft2(rng.standard_normal((side, side))) / frequency**1.9
    field = np.fft.ifft2(spectrum).real
    cuts = np.quantile(field[::5, ::5], np.arange(1, classes) / classes)
    return np.searchsorted(cuts, field).astype(np.uint8)


def lakes(side: int) -> NDArray[np.uint8]:
    """A mask with shores: smoothed noise over a threshold."""
    import cv2

    noise = np.random.default_rng(3).random((side, side), dtype=np.float32)
    field = cv2.GaussianBlur(noise, (0, 0), 12) + 0.02 * cv2.GaussianBlur(noise, (0, 0), 2)
    mask: NDArray[np.uint8] = (field > np.quantile(field[::7, ::7], 0.7)).astype(np.uint8)
    return mask
