"""The graphs of `water` against plain NumPy, tile by tile, and made again from the recipe."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from hal.sensor.scene import open_scene
from payload_models.inference import Session, answer_rows, classes_of, normalised
from payload_models.loader import load_application
from payload_models.matching import match
from tests.shared_data import ROOT

F = NDArray[np.float32]
SCENES = ROOT / "examples" / "scenes"
RECIPE_ONNX = "1.23"  # the onnx package that wrote the committed graphs
WATER = load_application("water", check_graphs=False)


def rises(value: F, at: float, half_width: float) -> F:
    """0.5 at `at`, 1 half a width above; in double precision."""
    return np.clip(0.5 + (value - at) / (2 * half_width), 0, 1)


def index(first: F, second: F) -> F:
    return (first - second) / np.maximum(first + second, 1e-3)


REFERENCE: dict[str, Callable[..., F]] = {
    "green_nir_swir16.onnx": lambda green, nir, swir: np.minimum.reduce(
        [
            rises(index(green, swir), 0.15, 0.15),
            rises(index(green, nir), -0.03, 0.10),
            rises(-swir, -0.11, 0.05),
            rises(-nir, -0.30, 0.05),
        ]
    ),
    "green_nir.onnx": lambda green, nir: np.minimum(rises(index(green, nir), 0.0, 0.10), rises(-nir, -0.18, 0.05)),
    "green_swir16.onnx": lambda green, swir: np.minimum(
        rises(index(green, swir), 0.25, 0.15), rises(-swir, -0.10, 0.04)
    ),
    "nir.onnx": lambda nir: rises(-nir, -0.09, 0.04),
    "swir16.onnx": lambda swir: rises(-swir, -0.05, 0.03),
}
SESSIONS = {variant.model: Session(WATER, number) for number, variant in enumerate(WATER.variants)}
BANDS = {variant.model: len(variant.bands) for variant in WATER.variants}


@pytest.mark.parametrize("model", sorted(REFERENCE))
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_each_graph_gives_the_scores_of_the_formula(model: str, data: st.DataObject) -> None:
    reflectance = st.floats(0, 2, width=32)
    pixels = data.draw(arrays(np.float32, (BANDS[model], 3, 5), elements=reflectance))
    scores = SESSIONS[model].run(pixels)
    assert np.allclose(scores[0], REFERENCE[model](*pixels.astype(np.float64)), atol=2e-5)


@pytest.mark.parametrize("model", sorted(REFERENCE))
def test_scores_stay_between_0_and_1_and_are_finite_for_missing_pixels(model: str) -> None:
    pixels = np.zeros((BANDS[model], 2, 2), np.float32)
    pixels[:, 0] = 2.0
    scores = SESSIONS[model].run(pixels)
    assert np.isfinite(scores).all() and scores.min() >= 0 and scores.max() <= 1


@pytest.mark.parametrize("model", sorted(REFERENCE))
def test_a_pixel_has_the_same_bits_in_every_tile(model: str) -> None:
    pixels = np.random.default_rng(3).random((BANDS[model], 97, 61), np.float32)
    whole = SESSIONS[model].run(pixels)
    for rows, cols in ((slice(0, 1), slice(0, 61)), (slice(5, 50), slice(7, 8)), (slice(90, 97), slice(3, 60))):
        part = SESSIONS[model].run(np.ascontiguousarray(pixels[:, rows, cols]))
        assert part.tobytes() == whole[:, rows, cols].tobytes()


def test_the_answer_for_a_scene_is_the_graph_run_on_all_of_it() -> None:
    with open_scene(SCENES / "landsat5_canberra_lake_nbar_6band.tif") as scene:
        info = scene.info
        plan = match(WATER.manifest, info.bands, info.radiometry, info.scale, info.offset, gsd_m=info.gsd_m)
        session = Session(WATER, plan.variant)
        answer = np.concatenate(list(answer_rows(session, WATER.manifest, scene, plan, 0.5)))
        img = scene.read_rows(0, info.height)
    bands = img[..., plan.band_indices]
    whole = classes_of(WATER.manifest, session.run(normalised(bands, plan.norm)), 0.5)
    missing = (bands == info.nodata).all(-1)
    assert missing.any()
    assert np.array_equal(answer, np.where(missing, 255, whole))


@pytest.mark.parametrize(
    ("scene", "low", "high"),
    [
        ("landsat7_great_salt_lake_7band.tif", 0.46, 0.51),  # lake and ponds, judged by eye: about half the scene
        ("landsat5_canberra_lake_nbar_6band.tif", 0.04, 0.05),
        ("sentinel2_lake_shore_12band.tif", 0.20, 0.50),
    ],
)
def test_the_share_of_water_in_a_sample_scene_is_what_the_eye_says(scene: str, low: float, high: float) -> None:
    with open_scene(SCENES / scene) as opened:
        info = opened.info
        plan = match(WATER.manifest, info.bands, info.radiometry, info.scale, info.offset, gsd_m=info.gsd_m)
        assert plan.variant == 0
        blocks = list(answer_rows(Session(WATER, 0), WATER.manifest, opened, plan, 0.5))
    share = float((np.concatenate(blocks) == 1).mean())
    assert low < share < high, share


def test_the_recipe_makes_the_committed_graphs_again_byte_for_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not onnx.__version__.startswith(RECIPE_ONNX):
        pytest.skip(f"onnx {onnx.__version__} may write other bytes than {RECIPE_ONNX}, which made the graphs")
    recipe = WATER.folder / "recipe.py"
    monkeypatch.setattr("sys.argv", ["recipe.py", "--out", str(tmp_path)])
    runpy.run_path(str(recipe), run_name="__main__")
    made = sorted(path.name for path in tmp_path.glob("*.onnx"))
    assert made == sorted(variant.model for variant in WATER.variants)
    for name in made:
        assert (tmp_path / name).read_bytes() == (WATER.folder / name).read_bytes(), name
