"""The int8 forms of `cloud`: exact integers, the same in every form and on every machine, and the card's numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from payload_models.inference import Session, quantised
from payload_models.loader import load_application
from payload_models.onnx_format import MODEL
from payload_models.protobuf_wire import Reader
from payload_models.runtime.session import OnnxSession
from payload_models.scoring import score
from tests.shared_data import SHARED_DATA, needs_shared_data

CLOUD = load_application("cloud", check_graphs=False)
ENTRY = CLOUD.manifest.variant[0]
THRESHOLDS = CLOUD.manifest.parameter[0].values


def session(precision: str) -> OnnxSession:
    form = ENTRY.form(precision)
    return OnnxSession(
        CLOUD.model_bytes(0, form), bands=3, classes=1, quantisation=ENTRY.forms[form].quantisation
    )  # fmt: skip


NUMBERS = {1: np.float32, 2: np.uint8, 3: np.int8, 6: np.int32}


def constant(tensor: dict[str, Any]) -> Any:
    return np.frombuffer(tensor["raw_data"], NUMBERS[tensor["data_type"]]).reshape(tensor.get("dims", []))


def in_whole_numbers(octets: bytes, pixels: np.ndarray) -> np.ndarray:
    """The scores of an int8 graph by NumPy: 64-bit sums, float64 factors, half to even. pixels: (1, 3, rows, cols)."""
    graph = Reader().read(memoryview(octets), MODEL)["graph"]
    values: dict[str, Any] = {item["name"]: constant(item) for item in graph["initializer"]} | {"pixels": pixels}
    for node in graph["node"]:
        operator = node["op_type"]
        given: list[Any] = [values.get(name) for name in node["input"]]
        options = {item["name"]: item.get("ints") for item in node.get("attribute", [])}
        if operator == "QLinearConv":
            x, x_scale, x_zero, w, w_scale, _, y_scale, y_zero, bias = given
            top, left, bottom, right = options.get("pads", [0] * 4)
            rows_apart, cols_apart = options.get("dilations", [1, 1])
            padded = np.pad(x[0].astype(np.int64) - int(x_zero), ((0, 0), (top, bottom), (left, right)))
            reach = (rows_apart * (w.shape[2] - 1) + 1, cols_apart * (w.shape[3] - 1) + 1)
            seen = sliding_window_view(padded, reach, axis=(1, 2))[..., ::rows_apart, ::cols_apart]
            sums = np.einsum("chwij,ocij->ohw", seen, w.astype(np.int64)) + bias[:, None, None]
            assert np.abs(sums).max() < 2**31
            factor = np.float64(x_scale) * w_scale.astype(np.float64) / np.float64(y_scale)
            assert all(np.ldexp(np.frexp(value)[0], 4) % 1 == 0 for value in factor)  # four significant bits
            limits = np.iinfo(x.dtype)
            levels = np.rint(sums * factor[:, None, None]) + int(y_zero)
            made = np.clip(levels, limits.min, limits.max).astype(x.dtype)[None]
        elif operator == "MaxPool":
            made = sliding_window_view(given[0], (2, 2), axis=(2, 3))[:, :, ::2, ::2].max((4, 5))
        elif operator == "Resize":
            made = given[0].repeat(2, 2).repeat(2, 3)
        elif operator == "Concat":
            made = np.concatenate(given, 1)
        elif operator == "DequantizeLinear":
            made = (given[0].astype(np.float64) - int(given[2])) * np.float64(given[1])
        elif operator == "Sigmoid":
            made = 1 / (1 + np.exp(-given[0]))
        else:
            assert operator == "QuantizeLinear"
            made = np.clip(np.rint(given[0] / np.float64(given[1])) + int(given[2]), 0, 255).astype(np.uint8)
        values[node["output"][0]] = made
    scores: np.ndarray = values["scores"]
    return scores


def levels(seed: int, size: int) -> np.ndarray:
    """Pixels as u8 levels: rough noise, smooth slopes, and blocks of the darkest and the brightest."""
    rng = np.random.default_rng(seed)
    found = rng.integers(0, 256, (1, 3, size, size)).astype(np.uint8)
    found[:, :, : size // 2, : size // 2] = np.linspace(0, 255, size // 2).astype(np.uint8)
    found[:, :, size // 2 :, : size // 4] = 255
    found[:, :, size // 2 :, size // 4 : size // 2] = 0
    return found


@pytest.mark.arm
@pytest.mark.parametrize("size", [16, 44])
def test_the_scores_are_those_of_whole_numbers(size: int) -> None:
    pixels = levels(size, size)
    wanted = in_whole_numbers(CLOUD.model_bytes(0, 1), pixels)
    assert len(np.unique(wanted)) > 3
    np.testing.assert_array_equal(session("u8").run(pixels), wanted.astype(np.float32))


@pytest.mark.arm
def test_both_forms_give_the_same_scores() -> None:
    u8, s8 = session("u8"), session("s8")
    for seed in range(3):
        pixels = levels(seed, 64)
        lower = (pixels.astype(np.int16) - 128).astype(np.int8)
        np.testing.assert_array_equal(u8.run(pixels), s8.run(lower))


def test_no_score_is_near_to_being_another() -> None:
    """Machines differ in the last bits of an exponential: no entry of the table may hang on them, nor a threshold."""
    step = 1 / 16
    exact = 256 / (1 + np.exp(-(np.arange(256) - 128) * step))
    assert np.abs(exact % 1 - 0.5).min() > 1e-4
    for threshold in THRESHOLDS:
        assert threshold == 0.5 or abs(threshold * 256 % 1) > 1e-3


def test_the_input_is_quantised_as_onnx_says() -> None:
    form = ENTRY.forms[2]
    assert form.quantisation is not None and (form.precision, form.quantisation.zero_point) == ("s8", -128)
    pixels = np.array([0, 0.002, 0.006, 0.3, 1.0, 1.4, -1], np.float32)
    made = quantised(pixels, form.quantisation, np.dtype(np.int8))
    assert made.tolist() == [-128, -128, -126, -53, 122, 127, -128]


def test_scores_stay_near_the_float_ones() -> None:
    pixels = np.random.default_rng(3).random((3, 96, 96), np.float32) * np.linspace(0, 1, 96, dtype=np.float32)
    flat, octets = Session(CLOUD, 0), Session(CLOUD, 0, 1)
    assert np.abs(flat.run(pixels) - octets.run(pixels)).max() < 0.25


CARD = {
    "landsat5": ("L5", '["B1", "B2", "B3", "B4", "B5", "B7"]', 0, {"iou": 0.717, "precision": 0.982, "recall": 0.727}),
    "sentinel2": ("S2", '["B02", "B03", "B04", "B08", "B11", "B12"]', 384, {"iou": 0.845, "precision": 0.924}),
}


@needs_shared_data
@pytest.mark.parametrize("name", CARD)
def test_the_chips_score_as_the_card_says(tmp_path: Path, name: str) -> None:
    sensor, bands, first_row, said = CARD[name]
    with np.load(SHARED_DATA / "cloud_ukis" / f"{name}_l1c_6b_mask5.npz") as data:
        np.savez(tmp_path / "scene.npz", img=np.ascontiguousarray(data["img"][first_row:]))
        np.savez(tmp_path / "truth.npz", truth=np.ascontiguousarray(np.squeeze(data["msk"])[first_row:]))
    (tmp_path / "scene.toml").write_text(f'sensor = "{sensor}"\nbands = {bands}\nradiometry = "toa"\n')
    (tmp_path / "case.toml").write_text('scene = "scene.npz"\ntruth = "truth.npz"\nmetric = "iou"\npositive = [4]\n')
    (found,) = score(CLOUD, tmp_path, parameters={}, precision="u8")
    measures = found.confusion.measures
    assert {key: measures[key] for key in said} == pytest.approx(said, abs=0.002)
