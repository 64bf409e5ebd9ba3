"""The recipe of `cloud`, where PyTorch is at hand (extra `train`): what is trained is what is written."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import numpy as np
import pytest

from payload_models.graph_rules import GraphLimits, GraphSpec, examine
from payload_models.loader import applications

torch = pytest.importorskip("torch", reason="PyTorch (extra `train`) is not installed")
pytest.importorskip("rasterio")
onnxruntime = pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def recipe() -> ModuleType:
    spec = importlib.util.spec_from_file_location("cloud_recipe", applications()["cloud"] / "recipe.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_graph_gives_what_the_network_gives(recipe: ModuleType) -> None:
    torch.manual_seed(2)
    network = recipe.Network()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 2.0)
    network.eval()
    octets = recipe.graph_of(network)
    examine(octets, GraphSpec(3, 1, 64), GraphLimits())
    pixels = np.random.default_rng(1).random((1, 3, 64, 48), np.float32)
    session = onnxruntime.InferenceSession(octets, providers=["CPUExecutionProvider"])
    with torch.no_grad():
        wanted = torch.sigmoid(network(torch.from_numpy(pixels))).numpy()
    assert np.abs(session.run(None, {"pixels": pixels})[0] - wanted).max() < 1e-5


def test_training_is_repeatable(recipe: ModuleType) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.random((200, 200, 3)).astype(np.float32)
    source = recipe.Source("noise", pixels, (pixels.mean(2) > 0.6).astype(np.uint8), 1.0)
    first, second = (recipe.graph_of(recipe.train([source], 2)) for _ in range(2))
    assert first == second


def test_synthetic_clouds_are_labelled_and_missing_pixels_teach_nothing(recipe: ModuleType) -> None:
    rng = np.random.default_rng(4)
    pixels = np.full((200, 200, 3), 0.1, np.float32)
    pixels[:60] = 0
    label = np.zeros((200, 200), np.uint8)
    label[:60] = recipe.UNKNOWN
    source = recipe.Source("plain", pixels, label, 1.0, clear=True)
    seen = set()
    for _ in range(20):
        values, found = recipe.sample(rng, source)
        assert values.shape == (3, recipe.CROP, recipe.CROP) and values.min() >= 0 and values.max() <= 1
        assert not ((values == 0).all(0) & (found == 1)).any()
        seen |= set(np.unique(found).tolist())
    assert seen == {0, 1, recipe.UNKNOWN}
