"""Cutting tiles: ours against copying the scene once, against NumPy, OpenCV, and the packages that people use.

The set-up is that of the goals: overlapping tiles of 512 pixels over a scene whose last tiles run past its edge, into
one buffer that is used again (peers make what they make). Statistics are a contestant of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import numpy_recipes as recipes
from benchmarks.peers import Environment, Ours, Peer, PeerMissing
from benchmarks.report import Report
from benchmarks.timing import Cost, interleave, ratio
from bindings.gate import Gate
from bindings.tiles import Layout, Normalisation, Quantisation, TileCutter
from flight.pipeline.ring import Pages

PEERS = {
    "patchify": Environment("patchify", ("numpy<2", "patchify")),
    "tiler": Environment("tiler", ("numpy", "tiler")),
}
NUMPY = Ours("numpy", ())
SAHI = Environment("sahi", ("numpy", "sahi", "opencv-python-headless"))
TORCH = Environment("torch", ("numpy", "torch"))  # used where somebody made it: its wheels are gigabytes
QUANTISATION = Quantisation(1 / 255, -128)
SCALE, OFFSET = 1e-4, -0.1


class Scene:
    """A made scene, its tiles' corners, and a copy's destination, all touched before they are timed."""

    def __init__(self, side: int, bands: int, dtype: type, tile: int, overlap: int) -> None:
        high = 256 if dtype is np.uint8 else 10_000
        self.pixels: NDArray[Any] = np.random.default_rng(bands).integers(0, high, (side, side, bands), dtype=dtype)
        self.copy = np.zeros_like(self.pixels)
        self.side, self.bands, self.tile, self.overlap = side, bands, tile, overlap
        starts = range(0, max(1, side - overlap), tile - overlap)
        self.corners = [(row, col) for row in starts for col in starts]

    def memcpy(self) -> None:
        np.copyto(self.copy, self.pixels)

    def ours(self, out: NDArray[Any], *, statistics: bool) -> Callable[[], None]:
        """All tiles through one cutter into `out` (bands, tile, tile) of float32, int8 or uint8."""
        quantised = out.dtype != np.float32
        cutter = TileCutter(
            layout=Layout.HWC,
            columns=self.side,
            planes=self.bands,
            dtype=self.pixels.dtype,
            bands=tuple(range(self.bands)),
            norm=Normalisation((SCALE,) * self.bands, (OFFSET,) * self.bands, 0.0, 1.0),
            nodata=0.0,
            side=self.tile,
            out_dtype=out.dtype,
            quantisation=QUANTISATION if quantised else None,
            statistics=statistics,
        )
        valid = np.zeros((self.tile, self.tile), np.uint8)

        def turn() -> None:
            for row, col in self.corners:
                cutter.cut(self.pixels, first_row=0, scene_rows=self.side, row=row, col=col, out=out, valid=valid)

        return turn

    def gate(self, step: int) -> Callable[[], None]:
        """Every `step`-th pixel both ways of every tile."""
        look = Gate(
            layout=Layout.HWC,
            columns=self.side,
            planes=self.bands,
            dtype=self.pixels.dtype,
            bands=tuple(range(self.bands)),
            nodata=0.0,
            side=self.tile,
            step=step,
        )

        def turn() -> None:
            for row, col in self.corners:
                look.look(self.pixels, first_row=0, scene_rows=self.side, row=row, col=col)

        return turn

    def padded(self) -> NDArray[Any]:
        """What the recipes cut from: they know no edges. Made once, outside their time."""
        end = self.corners[-1][0] + self.tile
        return np.pad(self.pixels, ((0, end - self.side), (0, end - self.side), (0, 0)), mode="reflect")


def _slot(shape: tuple[int, int, int], dtype: type) -> NDArray[Any]:
    """A slot of the ring that tiles are cut into in flight: page-aligned, huge pages asked for, touched before."""
    return Pages(int(np.prod(shape)) * np.dtype(dtype).itemsize).take(shape, dtype)


def four_bands(report: Report, rounds: int, *, quick: bool) -> None:
    """u16, four bands: the figures by which the kernel is judged."""
    side, tile, overlap = (600, 128, 16) if quick else (4392, 512, 64)
    scene = Scene(side, 4, np.uint16, tile, overlap)
    out, octets = _slot((4, tile, tile), np.float32), _slot((4, tile, tile), np.int8)
    expert, padded = np.zeros((4, tile, tile), np.float32), scene.padded()
    scale, offset = np.float32(SCALE), np.float32(OFFSET)
    contestants: dict[str, Callable[[], Cost | None]] = {
        "memcpy": scene.memcpy,
        "f32": scene.ours(out, statistics=False),
        "measured": scene.ours(out, statistics=True),
        "s8": scene.ours(octets, statistics=False),
        "gate": scene.gate(16),
        "gate 8": scene.gate(8),
        "expert": lambda: recipes.tiles_expert(padded, scene.corners, tile, scale, offset, expert),
        "opencv": lambda: recipes.tiles_opencv(padded, scene.corners, tile, SCALE, OFFSET, expert),
    }
    with ExitStack() as stack:
        options = {"side": side, "bands": 4, "dtype": "uint16", "tile": tile, "overlap": overlap}
        contestants["naive"] = stack.enter_context(Peer(NUMPY, "numpy", options, make=True)).turn("tiles")
        for name, environment in {**PEERS, "torch": TORCH}.items():
            try:
                peer = stack.enter_context(Peer(environment, name, options, make=not quick and name != "torch"))
                contestants[name] = peer.turn("tiles")
            except PeerMissing as missing:
                report.absent[f"{name}_over_ours"] = str(missing)
        timed = interleave(contestants, rounds)
    report.ratio("tile_f32_over_memcpy", ratio(timed["f32"], timed["memcpy"]))
    report.ratio("tile_s8_over_memcpy", ratio(timed["s8"], timed["memcpy"]))
    report.ratio("stats_extra", ratio(timed["measured"], timed["f32"]).less(1.0))
    report.ratio("gate_over_tile", ratio(timed["gate"], timed["f32"]))
    report.ratio("gate_over_tile [every eighth]", ratio(timed["gate 8"], timed["f32"]))
    report.ratio("numpy_naive_over_ours", ratio(timed["naive"], timed["f32"]))
    report.ratio("numpy_expert_over_ours", ratio(timed["expert"], timed["f32"]))
    report.ratio("opencv_over_ours", ratio(timed["opencv"], timed["f32"]))
    for name in ("patchify", "tiler", "torch"):
        if name in timed:
            report.ratio(f"{name}_over_ours", ratio(timed[name], timed["f32"]))


def thirteen_bands(report: Report, rounds: int, *, quick: bool) -> None:
    """u16, thirteen bands interleaved."""
    side, tile, overlap = (300, 128, 16) if quick else (2196, 512, 64)
    scene = Scene(side, 13, np.uint16, tile, overlap)
    options = {"side": side, "bands": 13, "dtype": "uint16", "tile": tile, "overlap": overlap}
    with Peer(NUMPY, "numpy", options, make=True) as naive:
        timed = interleave(
            {
                "memcpy": scene.memcpy,
                "f32": scene.ours(_slot((13, tile, tile), np.float32), statistics=False),
                "naive": naive.turn("tiles"),
            },
            rounds,
        )
    report.ratio("tile13_over_memcpy", ratio(timed["f32"], timed["memcpy"]))
    report.ratio("numpy_naive13_over_ours", ratio(timed["naive"], timed["f32"]))


def three_bands_of_8_bits(report: Report, rounds: int, *, quick: bool) -> None:
    """What SAHI slices. Its slices are views that copy nothing, so the usual normalisation follows in its turn."""
    side, tile, overlap = (600, 128, 16) if quick else (4392, 512, 64)
    scene = Scene(side, 3, np.uint8, tile, overlap)
    options = {"side": side, "bands": 3, "dtype": "uint8", "tile": tile, "overlap": overlap}
    try:
        with Peer(SAHI, "sahi", options, make=not quick) as peer:
            ours = scene.ours(np.zeros((3, tile, tile), np.float32), statistics=False)
            timed = interleave({"ours": ours, "sahi": peer.turn("tiles")}, rounds)
    except PeerMissing as missing:
        report.absent["sahi_over_ours"] = str(missing)
        return
    report.ratio("sahi_over_ours", ratio(timed["sahi"], timed["ours"]))
