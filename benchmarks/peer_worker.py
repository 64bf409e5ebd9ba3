"""Runs inside a peer's environment: takes turns at what a name on standard input asks for, and says what each cost.

    python peer_worker.py CONTEST OPTIONS_JSON

Imports NumPy and the peer, nothing of Swath. The first line of output tells versions (or why it cannot take part), each
further one {"wall_s", "cpu_s"} of a turn.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import time
from typing import Any

import numpy as np


def scene_of(options: dict[str, Any]) -> Any:
    """The scene of benchmarks/pixels.py, from the same seed."""
    side, bands = options["side"], options["bands"]
    high, kind = (256, np.uint8) if options["dtype"] == "uint8" else (10_000, np.uint16)
    return np.random.default_rng(bands).integers(0, high, (side, side, bands), dtype=kind)


def normalised(piece: Any) -> Any:
    """The usual lines: convert, scale and shift by a number for each band as model cards give them, clip, planes."""
    scale, offset = (np.full(piece.shape[2], number, np.float32) for number in (1e-4, -0.1))
    piece = np.clip(piece.astype(np.float32) * scale + offset, 0.0, 1.0)
    return np.ascontiguousarray(piece.transpose(2, 0, 1))


def numpy_tiles(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Cut, convert, scale, clip, turn to planes: an array for each. The scene is padded beforehand."""
    scene, tile, step = scene_of(options), options["tile"], options["tile"] - options["overlap"]
    starts = range(0, max(1, options["side"] - options["overlap"]), step)
    end = starts[-1] + tile - options["side"]
    padded = np.pad(scene, ((0, end), (0, end), (0, 0)), mode="reflect")

    def turn() -> None:
        for row in starts:
            for col in starts:
                normalised(padded[row : row + tile, col : col + tile])

    return {"tiles": turn}, {}


def patchify_tiles(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    from patchify import patchify

    scene, tile = scene_of(options), options["tile"]
    step, bands = tile - options["overlap"], options["bands"]
    across = -(-(scene.shape[1] - options["overlap"]) // step)
    padding = across * step + options["overlap"] - scene.shape[1]

    def turn() -> None:
        padded = np.pad(scene, ((0, padding), (0, padding), (0, 0)), mode="reflect")
        for row in patchify(padded, (tile, tile, bands), step=step):
            for piece in row:
                normalised(piece[0])

    return {"tiles": turn}, {}


def tiler_tiles(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    from tiler import Tiler

    scene, tile = scene_of(options), options["tile"]

    def turn() -> None:
        cutter = Tiler(
            data_shape=scene.shape,
            tile_shape=(tile, tile, options["bands"]),
            overlap=(options["overlap"], options["overlap"], 0),
            channel_dimension=2,
            mode="reflect",
        )
        for _, piece in cutter(scene):
            normalised(piece)

    return {"tiles": turn}, {}


def sahi_tiles(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Three bands of 8 bits, which is what SAHI slices; its slices are views, so the usual normalisation follows."""
    from sahi.slicing import slice_image

    scene, tile = scene_of(options), options["tile"]
    share = options["overlap"] / tile

    def turn() -> None:
        found = slice_image(
            image=scene, slice_height=tile, slice_width=tile, overlap_height_ratio=share, overlap_width_ratio=share
        )
        for piece in found.images:
            normalised(np.asarray(piece))

    return {"tiles": turn}, {}


def torch_tiles(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    import torch

    torch.set_num_threads(1)
    step, tile = options["tile"] - options["overlap"], options["tile"]
    planes = torch.from_numpy(np.ascontiguousarray(scene_of(options).transpose(2, 0, 1)).astype(np.int32))

    def turn() -> None:
        pieces = planes.unfold(1, tile, step).unfold(2, tile, step)
        for down in range(pieces.shape[1]):
            for across in range(pieces.shape[2]):
                torch.clip(pieces[:, down, across].float() * 1e-4 - 0.1, 0.0, 1.0).contiguous()

    return {"tiles": turn}, {"threads": 1}


def jxl_masks(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """JPEG XL, lossless, one thread, of the class maps in an npz."""
    from imagecodecs import jpegxl_decode, jpegxl_encode

    masks = np.load(options["masks"])
    effort = options["effort"]

    def encode(name: str) -> bytes:
        return bytes(jpegxl_encode(masks[name], lossless=True, effort=effort, numthreads=1))

    sizes = {}
    for name in masks.files:
        encoded = encode(name)
        assert np.array_equal(jpegxl_decode(encoded, numthreads=1).reshape(masks[name].shape), masks[name])
        sizes[name] = len(encoded)
    return {name: (lambda name=name: encode(name)) for name in masks.files}, {"bytes": sizes}


CONTESTS = {
    "numpy": numpy_tiles,
    "patchify": patchify_tiles,
    "tiler": tiler_tiles,
    "sahi": sahi_tiles,
    "torch": torch_tiles,
    "imagecodecs": jxl_masks,
}


def main() -> int:
    contest, options = sys.argv[1], json.loads(sys.argv[2])
    try:
        turns, facts = CONTESTS[contest](options)
    except ImportError as error:
        print(json.dumps({"missing": f"{contest} cannot be imported: {error}"}))
        return 1
    facts["version"] = importlib.metadata.version(contest)
    print(json.dumps(facts), flush=True)
    for line in sys.stdin:
        turn = turns[line.strip()]
        wall, cpu = time.perf_counter(), time.process_time()
        turn()
        print(json.dumps({"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
