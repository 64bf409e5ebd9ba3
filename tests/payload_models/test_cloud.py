"""The network of `cloud`: how far it sees, tiles against the whole scene, and the numbers of its card."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hal.sensor.scene import Radiometry, open_scene
from payload_models.inference import Session, answer_rows, classes_of, normalised
from payload_models.loader import load_application
from payload_models.matching import InputPlan, match
from payload_models.scoring import CaseScore, score
from tests.shared_data import ROOT, SHARED_DATA, needs_shared_data

SCENES = ROOT / "examples" / "scenes"
CLOUD = load_application("cloud", check_graphs=False)
MANIFEST = CLOUD.manifest
CARD_LANDSAT = {"iou": 0.715, "precision": 0.982, "recall": 0.724, "f1": 0.833, "accuracy": 0.905}
CARD_SENTINEL = {"iou": 0.844, "precision": 0.925, "recall": 0.906, "f1": 0.916, "accuracy": 0.975}
BAHAMAS, ITAIPU = "landsat_bahamas_clouds_rgb.tif", "landsat8_itaipu_bgr_uint16.tif"


def answer_and_scene(name: str) -> tuple[NDArray[np.uint8], NDArray[np.float32], InputPlan, Radiometry]:
    """The class map by tiles, and the whole scene's input (bands, rows, cols)."""
    with open_scene(SCENES / name) as scene:
        info = scene.info
        plan = match(MANIFEST, info.bands, info.radiometry, info.scale, info.offset, gsd_m=info.gsd_m)
        session = Session(CLOUD, plan.variant)
        answer = np.concatenate(list(answer_rows(session, MANIFEST, scene, plan, 0.5)))
        img = scene.read_rows(0, info.height)[..., plan.band_indices]
    pixels = normalised(img, plan.norm)
    pixels[:, answer == 255] = 0
    return answer, pixels, plan, info.radiometry


def test_the_graph_is_small() -> None:
    assert len(CLOUD.model_bytes(0)) < 200_000


def test_no_score_depends_on_pixels_beyond_the_margin() -> None:
    margin, size = MANIFEST.input.margin, 128
    session = Session(CLOUD, 0)
    rng = np.random.default_rng(5)
    pixels = rng.random((3, size, size), np.float32)
    changed = pixels.copy()
    inside = slice(48, 52)  # a block of the coarsest scale
    near = slice(48 - margin, 52 + margin)
    keep = np.zeros((size, size), bool)
    keep[near, near] = True
    changed[:, ~keep] = rng.random((3, int((~keep).sum())), np.float32)
    first, second = session.run(pixels), session.run(changed)
    assert np.abs(first - second).max() > 0.01
    assert np.abs(first - second)[0, inside, inside].max() < 1e-6


def test_a_pixel_that_changes_is_seen_at_once() -> None:
    session = Session(CLOUD, 0)
    pixels = np.full((3, 64, 64), 0.1, np.float32)
    brighter = pixels.copy()
    brighter[:, 28:40, 28:40] = 0.8
    assert session.run(brighter)[0, 33, 33] > session.run(pixels)[0, 33, 33]


@pytest.mark.parametrize("name", [BAHAMAS, ITAIPU])
def test_tiles_answer_as_the_network_does_on_the_whole_scene(name: str) -> None:
    """Padded by reflection as the tiles are: the same but for rounding. Run bare: only the scene's edge differs."""
    answer, pixels, plan, _ = answer_and_scene(name)
    session = Session(CLOUD, plan.variant)
    margin, multiple = MANIFEST.input.margin, MANIFEST.input.multiple
    rows, cols = answer.shape
    known = answer != 255
    around = ((0, 0), (margin, margin + -rows % multiple), (margin, margin + -cols % multiple))
    padded = classes_of(MANIFEST, session.run(np.pad(pixels, around, "reflect")), 0.5)
    padded = padded[margin : margin + rows, margin : margin + cols]
    assert np.count_nonzero((padded != answer) & known) <= 1e-5 * answer.size
    rows, cols = rows - rows % multiple, cols - cols % multiple
    bare = classes_of(MANIFEST, session.run(np.ascontiguousarray(pixels[:, :rows, :cols])), 0.5)
    assert np.count_nonzero((bare != answer[:rows, :cols]) & known[:rows, :cols]) <= 1e-3 * answer.size


def test_clouds_over_sea_are_found_in_an_8_bit_browse_image() -> None:
    """Bahamas, not trained on: what is white in all bands is cloud there, what is dark in all is not."""
    answer, pixels, plan, radiometry = answer_and_scene(BAHAMAS)
    assert radiometry is Radiometry.DN8 and not plan.calibrated
    known = answer != 255
    white, dark = (pixels.min(0) > 0.9) & known, (pixels.max(0) < 0.3) & known
    assert white.sum() > 10_000 and dark.sum() > 100_000
    assert (answer[white] == 1).mean() > 0.99
    assert (answer[dark] == 1).mean() < 0.02


def test_a_clear_scene_stays_clear() -> None:
    """Itaipu, not trained on, has no cloud."""
    answer, *_ = answer_and_scene(ITAIPU)
    assert (answer == 1).mean() < 0.001


def chip(folder: Path, name: str, sensor: str, bands: str, first_row: int) -> CaseScore:
    with np.load(SHARED_DATA / "cloud_ukis" / f"{name}_l1c_6b_mask5.npz") as data:
        np.savez(folder / "scene.npz", img=np.ascontiguousarray(data["img"][first_row:]))
        np.savez(folder / "truth.npz", truth=np.ascontiguousarray(np.squeeze(data["msk"])[first_row:]))
    (folder / "scene.toml").write_text(f'sensor = "{sensor}"\nbands = {bands}\nradiometry = "toa"\n')
    (folder / "case.toml").write_text(
        'scene = "scene.npz"\ntruth = "truth.npz"\nmetric = "iou"\npositive = [4]\n',
    )
    return score(CLOUD, folder, parameters={})[0]


@needs_shared_data
def test_the_landsat_chip_that_was_never_trained_on_scores_as_the_card_says(tmp_path: Path) -> None:
    found = chip(tmp_path, "landsat5", "L5", '["B1", "B2", "B3", "B4", "B5", "B7"]', 0)
    assert found.confusion.measures == pytest.approx(CARD_LANDSAT, abs=0.01)


@needs_shared_data
def test_the_rows_of_the_sentinel_chip_that_were_kept_back_score_as_the_card_says(tmp_path: Path) -> None:
    found = chip(tmp_path, "sentinel2", "S2", '["B02", "B03", "B04", "B08", "B11", "B12"]', 384)
    assert found.confusion.measures == pytest.approx(CARD_SENTINEL, abs=0.01)
