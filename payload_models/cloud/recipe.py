"""Trains the network of `cloud` and writes it as an ONNX graph.

    python payload_models/cloud/recipe.py --data DIR --out DIR

DIR of the data is the folder described in card.md (scenes under their licences, not part of this repository). Needs
the extras `train` (torch 2.13, onnx) and `test` (rasterio), and onnxruntime for the teacher. Seeded, with a fixed
number of steps and threads: the same machine makes the same graph again. About ten minutes on one core.

The network sees red, green and blue reflectance (0..1) and answers one probability. What it must not depend on is
varied at random: calibration (gain, offset, gamma, stretches of 8-bit browse images), ground sampling distance,
orientation, noise, stripes, band shifts, missing wedges. Half of the clear scenes get synthetic clouds with shadows.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import rasterio
import torch
from onnx import TensorProto, checker, helper, numpy_helper
from torch import nn
from torch.nn import functional

SEED, THREADS = 20, 1
STEPS, BATCH, CROP = 2000, 8, 128
CHANNELS = (8, 16, 32)
MEAN, SPREAD = 0.3, 0.25  # of reflectance, part of the graph
OPSET, IR = 17, 8
UNKNOWN = 255  # label: this pixel teaches nothing


@dataclass
class Source:
    """One scene: pixels (rows, cols, 3) red green blue reflectance; label 0 clear, 1 cloud, 255 unknown."""

    name: str
    pixels: np.ndarray
    label: np.ndarray
    weight: float
    clear: bool = False
    max_zoom_out: float = 2.0


def read(path: Path, bands: tuple[int, ...] = ()) -> np.ndarray:
    with rasterio.open(path) as scene:
        return np.moveaxis(scene.read(list(bands) or None).astype(np.float32), 0, -1)


def teacher(path: Path, pixels: np.ndarray) -> np.ndarray:
    """Cloud probability of ukis-csmask (Apache-2.0). pixels: (rows, cols, 6) blue green red NIR SWIR1 SWIR2."""
    mean = np.array([0.19312, 0.18659, 0.18899, 0.30362, 0.23085, 0.16216], np.float32)
    spread = np.array([0.16431, 0.16762, 0.18230, 0.17409, 0.16020, 0.14164], np.float32)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    rows, cols = pixels.shape[:2]
    padded = np.pad((pixels - mean) / spread, ((32, 256), (32, 256), (0, 0)), "reflect")
    out = np.zeros((rows + 256, cols + 256), np.float32)
    for row in range(0, rows, 192):
        for col in range(0, cols, 192):
            tile = padded[None, row : row + 256, col : col + 256]
            scores = session.run(None, {session.get_inputs()[0].name: tile})[0][0]
            out[row : row + 192, col : col + 192] = scores[32:224, 32:224, 4]
    return out[:rows, :cols]


def sources(data: Path) -> list[Source]:
    """Every scene that is trained on. Held out: Landsat-5 chip, the lower parts of the cloudy Sentinel-2 scenes, the
    eastern half of Great Salt Lake, the northern half of Tokyo, Itaipu, Bahamas, San Francisco Bay."""
    found: list[Source] = []

    chip = np.load(data / "cloud_ukis/sentinel2_l1c_6b_mask5.npz")
    label = (np.squeeze(chip["msk"]) == 4).astype(np.uint8)
    found.append(Source("ukis_s2", chip["img"][:384, :, [2, 1, 0]], label[:384], 0.27, max_zoom_out=2.9))

    folder = data / "s2_l1c_betsiboka_clouds"
    pixels = read(folder / "s2_l1c_betsiboka_clouds_13band.tif") / 1e4
    probability = read(folder / "s2_l1c_betsiboka_cloudprob_x200_uint8.tif")[..., 0] / 200
    second = teacher(data / "models/ukis5_6b_fp16.onnx", pixels[..., [1, 2, 3, 7, 11, 12]])
    label = np.full(probability.shape, UNKNOWN, np.uint8)
    label[(probability < 0.25) & (second < 0.3)] = 0
    label[(probability > 0.5) & (second > 0.5)] = 1
    found.append(Source("betsiboka", pixels[:700][..., [3, 2, 1]], label[:700], 0.28, max_zoom_out=3.9))

    pixels = read(data / "landsat8_fullframe_150m/LC81070352015122LGN00_B2B3B4.tif", (3, 2, 1))[780:]
    inside = pixels.min(2) > 0
    pixels = np.where(inside[..., None], pixels * 2e-5 - 0.1, 0)
    darkest = pixels.min(2)
    label = np.where(darkest > 0.21, 1, np.where(darkest < 0.13, 0, UNKNOWN)).astype(np.uint8)
    label[~inside] = UNKNOWN
    found.append(Source("tokyo", pixels, label, 0.10, max_zoom_out=1.2))

    clear: list[tuple[str, np.ndarray, float]] = []
    for port in ("gdynia", "genoa", "durban", "athens", "busan", "casablanca", "algiers", "klang"):
        path = next((data / "ships_sen2ships" / port).glob("*.tif"))
        clear.append((port, read(path, (3, 2, 1)) / 1e4, 0.025))
    shared = data / "redistributable"
    clear.append(("spain", read(data / "flood_sen1floods11_spain/Spain_7370579_S2Hand.tif", (4, 3, 2)) / 1e4, 0.03))
    clear.append(("aquileia", read(data / "coast_aquileia/aquileia_2019-04-16_S2L2A.tif", (4, 3, 2)) / 1e4, 0.04))
    clear.append(
        ("australia", read(data / "change_fire_australia/australia_2018-12-01_S2L2A.tif", (4, 3, 2)) / 1e4, 0.02)
    )
    clear.append(("lake_shore", read(shared / "sentinel2_lake_shore_12band.tif", (4, 3, 2)) / 1e4, 0.02))
    clear.append(("canberra", read(shared / "landsat5_canberra_lake_nbar_6band.tif", (3, 2, 1)) / 1e4, 0.03))
    clear.append(("salt_lake", read(shared / "landsat7_great_salt_lake_7band.tif", (3, 2, 1))[:, :512] / 255, 0.07))
    clear.append(
        ("carolina", read(data / "large_s2l1c_8bit/s2b_l1c_2018-10-13_8band_uint8.tif", (4, 3, 2))[:700] / 255, 0.06)
    )
    clear.append(("naip", read(data / "naip_5m_rgbn_series/m_4709963_se_14_1_20090818.tif", (1, 2, 3)) / 255, 0.02))
    for name, pixels, weight in clear:
        outside = (pixels <= 0).all(2) | (pixels >= 1).all(2) if name == "carolina" else (pixels <= 0).all(2)
        label = np.where(outside, UNKNOWN, 0).astype(np.uint8)
        found.append(Source(name, np.where(outside[..., None], 0, pixels), label, weight, clear=True))
    for source in found:
        source.pixels = np.ascontiguousarray(np.clip(source.pixels, 0, 1.3), np.float32)
    return found


def fractal(rng: np.random.Generator, size: int, slope: float) -> np.ndarray:
    """A random field with a power-law spectrum, scaled to 0..1 by rank."""
    row, col = np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None]
    radius = np.maximum(np.hypot(row, col), 1 / size)
    spectrum = np.fft.fft2(rng.standard_normal((size, size))) / radius**slope
    field = np.fft.ifft2(spectrum).real
    return ((field - field.min()) / (np.ptp(field) + 1e-9)).astype(np.float32)


def add_clouds(rng: np.random.Generator, pixels: np.ndarray, label: np.ndarray) -> None:
    """Paint synthetic clouds and their shadows, in place."""
    size = len(pixels)
    field = fractal(rng, size, rng.uniform(1.0, 2.2))
    level = np.quantile(field, rng.uniform(0.02, 0.985))
    alpha = np.clip((field - level) / rng.uniform(0.02, 0.2), 0, 1)
    alpha = alpha * alpha * (3 - 2 * alpha)
    shift = rng.integers(-16, 17, 2)
    shadow = np.roll(alpha, tuple(shift), (0, 1)) * rng.uniform(0, 0.6)
    top = rng.uniform(0.45, 1.1) * (0.7 + 0.3 * fractal(rng, size, 1.5)) * (0.6 + 0.4 * alpha)
    tint = 1 + rng.normal(0, 0.02, 3) + np.array([-0.02, 0, 0.02])
    known = label != UNKNOWN
    pixels *= np.where(known, 1 - shadow, 1)[..., None]
    pixels += np.where(known, alpha, 0)[..., None] * (top[..., None] * tint - pixels)
    label[known & (alpha > 0.15)] = UNKNOWN
    label[known & (alpha > 0.4)] = 1


def sample(rng: np.random.Generator, source: Source) -> tuple[np.ndarray, np.ndarray]:
    """One training crop: pixels (3, CROP, CROP) float32, label (CROP, CROP)."""
    rows, cols = source.label.shape
    zoom = min(np.exp(rng.uniform(np.log(0.5), np.log(source.max_zoom_out))), (min(rows, cols) - 1) / CROP)
    side = int(CROP * zoom)
    row, col = rng.integers(0, rows - side + 1), rng.integers(0, cols - side + 1)
    pixels = source.pixels[row : row + side, col : col + side]
    label = source.label[row : row + side, col : col + side]
    shape = cv2.INTER_AREA if side > CROP else cv2.INTER_LINEAR
    pixels = cv2.resize(pixels, (CROP, CROP), interpolation=shape)
    label = cv2.resize(label, (CROP, CROP), interpolation=cv2.INTER_NEAREST).copy()
    turns = int(rng.integers(4))
    pixels, label = np.rot90(pixels, turns).copy(), np.rot90(label, turns).copy()
    if rng.random() < 0.5:
        pixels, label = pixels[:, ::-1].copy(), label[:, ::-1].copy()
    outside = (pixels == 0).all(2)
    if source.clear and rng.random() < 0.5:
        add_clouds(rng, pixels, label)
    pixels = recalibrate(rng, pixels)
    if rng.random() < 0.25:  # a wedge of missing pixels
        slope, cut = rng.normal(), rng.uniform(0, CROP)
        outside |= np.arange(CROP)[:, None] < cut + slope * np.arange(CROP)[None] - CROP / 2
    pixels[outside] = 0
    label[outside] = UNKNOWN
    return np.moveaxis(pixels, -1, 0).astype(np.float32), label


def recalibrate(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    """The same view as another instrument, sun, or 8-bit export would give it; clipped to 0..1."""
    if rng.random() < 0.5:
        pixels = pixels * np.exp(rng.normal(0, 0.10)) * np.exp(rng.normal(0, 0.04, 3))
        pixels = pixels + rng.uniform(-0.015, 0.04) * np.array([0.6, 0.8, 1.1])
    else:  # a browse stretch
        low = rng.uniform(-0.02, 0.07) + rng.normal(0, 0.01, 3)
        high = np.exp(rng.uniform(np.log(0.42), np.log(1.1))) * np.exp(rng.normal(0, 0.05, 3))
        pixels = np.clip((pixels - low) / (high - low), 0, 1) ** np.exp(rng.uniform(-0.35, 0.25))
    if rng.random() < 0.25:  # bands that saturate, each at its own level (Landsat 5: blue at 0.39, red at 0.70)
        pixels = np.minimum(pixels, rng.uniform((0.6, 0.6, 0.36), 1.0))
    if rng.random() < 0.2:  # detectors that disagree
        pixels = pixels * (1 + rng.normal(0, 0.02, (1, CROP, 1)))
    if rng.random() < 0.2:  # bands that do not quite lie on each other
        band = int(rng.integers(3))
        pixels[..., band] = np.roll(pixels[..., band], int(rng.choice([-1, 1])), int(rng.integers(2)))
    pixels = pixels + rng.normal(0, rng.uniform(0, 0.012), pixels.shape)
    pixels = np.clip(pixels, 0, 1)
    return np.round(pixels * 255) / 255 if rng.random() < 0.5 else pixels


class Block(nn.Sequential):
    """3x3 convolutions with batch normalisation (folded into them on export); one dilation for each."""

    def __init__(self, inputs: int, outputs: int, dilations: tuple[int, ...]) -> None:
        layers: list[nn.Module] = []
        for dilation in dilations:
            convolution = nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation, bias=False)
            layers += [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]
            inputs = outputs
        super().__init__(*layers)


class Network(nn.Module):
    """A U-shaped network on three scales: 1, 1/2, 1/4. Sees less than 32 pixels to each side."""

    def __init__(self) -> None:
        super().__init__()
        a, b, c = CHANNELS
        self.fine, self.middle, self.coarse = Block(3, a, (1,)), Block(a, b, (1, 1)), Block(b, c, (1, 1, 2))
        self.join_middle, self.join_fine = Block(c + b, b, (1, 1)), Block(b + a, a, (1,))
        self.answer = nn.Conv2d(a, 1, 1)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        fine = self.fine((pixels - MEAN) / SPREAD)
        middle = self.middle(functional.max_pool2d(fine, 2))
        coarse = self.coarse(functional.max_pool2d(middle, 2))
        middle = self.join_middle(torch.cat([functional.interpolate(coarse, scale_factor=2.0), middle], 1))
        fine = self.join_fine(torch.cat([functional.interpolate(middle, scale_factor=2.0), fine], 1))
        return self.answer(fine)


def loss_of(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Cross-entropy over known pixels plus a soft Dice term, so that small clouds count."""
    known = (label != UNKNOWN).float()
    truth = (label == 1).float()
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    chance = torch.sigmoid(logits) * known
    dice = 1 - (2 * (chance * truth).sum() + 1) / (chance.sum() + (truth * known).sum() + 1)
    return (entropy * known).sum() / known.sum().clamp(min=1) + 0.3 * dice


def train(found: list[Source], steps: int) -> Network:
    rng = np.random.default_rng(SEED)
    torch.manual_seed(SEED)
    torch.set_num_threads(THREADS)
    network = Network()
    optimiser = torch.optim.AdamW(network.parameters(), lr=4e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 6e-3, total_steps=steps, pct_start=0.1)
    chance = np.array([source.weight for source in found])
    chance /= chance.sum()
    started, recent = time.monotonic(), []
    for step in range(steps):
        picks = [sample(rng, found[index]) for index in rng.choice(len(found), BATCH, p=chance)]
        pixels = torch.from_numpy(np.stack([pick[0] for pick in picks]))
        label = torch.from_numpy(np.stack([pick[1] for pick in picks]))[:, None]
        loss = loss_of(network(pixels), label)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimiser.step()
        schedule.step()
        recent.append(float(loss.detach()))
        if step % 100 == 99:
            print(f"step {step + 1}  loss {np.mean(recent[-100:]):.4f}  {time.monotonic() - started:.0f} s", flush=True)
    return network.eval()


def folded(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[np.ndarray, np.ndarray]:
    """Weights and bias of a convolution that does what convolution and normalisation did."""
    gain = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).detach()
    weight = conv.weight.detach() * gain[:, None, None, None]
    bias = norm.bias.detach() - norm.running_mean * gain
    return weight.numpy(), bias.numpy()


def graph_of(network: Network) -> bytes:
    """The network as an ONNX graph: Sub, Mul, Conv, Relu, MaxPool, Resize, Concat, Sigmoid."""
    nodes, constants = [], []

    def constant(name: str, value: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name))
        return name

    def node(operator: str, result: str, inputs: list[str], **attributes: object) -> str:
        nodes.append(helper.make_node(operator, inputs, [result], name=result, **attributes))
        return result

    def block(name: str, value: str, layers: Block) -> str:
        for number in range(len(layers) // 3):
            convolution = layers[3 * number]
            weight, bias = folded(convolution, layers[3 * number + 1])
            inputs = [value, constant(f"{name}_{number}_w", weight), constant(f"{name}_{number}_b", bias)]
            reach = list(convolution.dilation)
            options = {"kernel_shape": [3, 3], "pads": reach * 2, "dilations": reach}
            convolved = node("Conv", f"{name}_{number}_conv", inputs, **options)
            value = node("Relu", f"{name}_{number}", [convolved])
        return value

    def half(name: str, value: str) -> str:
        return node("MaxPool", name, [value], kernel_shape=[2, 2], strides=[2, 2])

    def double(name: str, value: str) -> str:
        modes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return node("Resize", name, [value, "", "twice"], **modes)

    constant("twice", np.array([1, 1, 2, 2]))
    centred = node("Sub", "centred", ["pixels", constant("mean", np.array(MEAN))])
    scaled = node("Mul", "scaled", [centred, constant("gain", np.array(1 / SPREAD))])
    fine = block("fine", scaled, network.fine)
    middle = block("middle", half("half", fine), network.middle)
    coarse = block("coarse", half("quarter", middle), network.coarse)
    joined = node("Concat", "joined_middle", [double("coarse_twice", coarse), middle], axis=1)
    middle = block("join_middle", joined, network.join_middle)
    joined = node("Concat", "joined_fine", [double("middle_twice", middle), fine], axis=1)
    fine = block("join_fine", joined, network.join_fine)
    answer = network.answer
    inputs = [
        fine,
        constant("answer_w", answer.weight.detach().numpy()),
        constant("answer_b", answer.bias.detach().numpy()),
    ]
    node("Sigmoid", "scores", [node("Conv", "answer", inputs, kernel_shape=[1, 1])])
    graph = helper.make_graph(
        nodes,
        "cloud",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [1, 3, "rows", "cols"])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 1, "rows", "cols"])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="swath")
    model.ir_version = IR
    checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def main() -> None:
    """Train and write cloud.onnx into the folder given."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=STEPS)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    octets = graph_of(train(sources(arguments.data), arguments.steps))
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "cloud.onnx").write_bytes(octets)


if __name__ == "__main__":
    main()
