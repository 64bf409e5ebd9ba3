"""Pixels: cutting tiles, stitching, coding masks, and the pipeline end to end, against memcpy and the NumPy recipes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks import numpy_recipes as recipes
from benchmarks.report import Report
from benchmarks.timing import interleave, ratio
from bindings.stitch import Stitcher, TileGrid
from bindings.tiles import Layout, Normalisation, tile_f32

ABSENT = {
    "tile_s8_over_memcpy": "there is no int8 tile kernel yet",
    "stats_extra": "the tile kernel always measures; there is no form without statistics",
    "gate_over_tile": "there is no subsampled gate yet",
    "patchify_over_ours": "the peer's environment is not made yet",
    "wall_overlapped_over_serial": "the stages are not overlapped yet",
    "nms_cv2_over_ours": "there is no box detector yet",
    "mask_bytes_over_jxl": "imagecodecs is not in this environment",
    "mask_jxl_time_over_ours": "imagecodecs is not in this environment",
    "vector_bytes_over_geojson": "products carry no vectors yet",
}


def run(report: Report, *, rounds: int, quick: bool) -> None:
    """Fill the report. quick: small inputs that show that it runs."""
    side = 512 if quick else 4096
    _tiles(report, rounds, side, bands=4, tile=512 if not quick else 128)
    _tiles(report, rounds, side // 2, bands=13, tile=512 if not quick else 128)
    _stitch(report, rounds, side // 2, tile=512 if not quick else 128)
    _masks(report, rounds, side)
    _pipeline(report, rounds, side // 2)
    _memory(report, quick=quick)
    report.absent.update(ABSENT)


def _tiles(report: Report, rounds: int, side: int, bands: int, tile: int) -> None:
    """All tiles of a u16 scene into one buffer that is used again, against copying the scene once."""
    rng = np.random.default_rng(bands)
    scene = rng.integers(0, 10_000, (side, side, bands), dtype=np.uint16)
    copy = np.zeros_like(scene)
    norm = Normalisation((1e-4,) * bands, (-0.1,) * bands, 0.0, 1.0)
    chosen = tuple(range(bands))
    out = np.zeros((bands, tile, tile), np.float32)
    valid = np.zeros((tile, tile), np.uint8)
    corners = [(row, col) for row in range(0, side, tile) for col in range(0, side, tile)]

    def ours() -> None:
        for row, col in corners:
            tile_f32(
                scene, Layout.HWC, first_row=0, scene_rows=side, row=row, col=col, bands=chosen, norm=norm, nodata=0.0,
                out=out, valid=valid,
            )  # fmt: skip

    scale, offset = np.float32(1e-4), np.float32(-0.1)
    timed = interleave(
        {
            "memcpy": lambda: np.copyto(copy, scene),
            "ours": ours,
            "naive": lambda: recipes.tiles_naive(scene, corners, tile, scale, offset),
            "expert": lambda: recipes.tiles_expert(scene, corners, tile, scale, offset, out),
        },
        rounds,
    )
    if bands == 4:
        report.ratio("tile_f32_over_memcpy", ratio(timed["ours"], timed["memcpy"]))
        report.ratio("numpy_naive_over_ours", ratio(timed["naive"], timed["ours"]))
        report.ratio("numpy_expert_over_ours", ratio(timed["expert"], timed["ours"]))
    else:
        report.ratio(f"tile{bands}_over_memcpy", ratio(timed["ours"], timed["memcpy"]))
        report.ratio(f"numpy_naive{bands}_over_ours", ratio(timed["naive"], timed["ours"]))


def _stitch(report: Report, rounds: int, side: int, tile: int) -> None:
    """Four classes, blended overlaps, straight to the class map, against accumulate / divide / argmax."""
    grid = TileGrid(side, tile, tile // 8, 0)
    classes, down = 4, grid.rows_of(side)
    rng = np.random.default_rng(1)
    scores = rng.random((down * grid.columns, classes, tile, tile), dtype=np.float32)
    copy = np.zeros_like(scores)
    labels = np.zeros((side, side), np.uint8)
    reference = np.zeros((side, side), np.uint8)

    def ours() -> None:
        stitcher = Stitcher(grid, classes, 0.5)
        for number, one in enumerate(scores):
            row, col = divmod(number, grid.columns)
            stitcher.put(one, row, col, last_row=row == down - 1, scene_rows=side, out=labels, out_first_row=0)

    timed = interleave(
        {
            "ours": ours,
            "copy": lambda: np.copyto(copy, scores),
            "numpy": lambda: recipes.stitch_accumulate(scores, grid, side, reference),
        },
        rounds,
    )
    report.ratio("stitch_numpy_over_ours", ratio(timed["numpy"], timed["ours"]))
    report.ratio("stitch_over_copy", ratio(timed["ours"], timed["copy"]))
    report.number("pixels_differing", int(np.count_nonzero(labels != reference)))


def _masks(report: Report, rounds: int, side: int) -> None:
    """The product's run code on a lake district, against runs found by NumPy and a PNG of the same mask."""
    import cv2

    from flight.product.mask import encode_strip

    mask = recipes.lakes(side)
    strips = [mask[first : first + 64] for first in range(0, side, 64)]
    packed: list[bytes] = []

    def ours() -> None:
        packed[:] = [encode_strip(index, rows)[0] for index, rows in enumerate(strips)]

    timed = interleave({"ours": ours, "numpy": lambda: [recipes.runs(rows) for rows in strips]}, rounds)
    report.ratio("rle_numpy_over_ours", ratio(timed["numpy"], timed["ours"]))
    options = [cv2.IMWRITE_PNG_COMPRESSION, 9, cv2.IMWRITE_PNG_BILEVEL, 1]
    png = cv2.imencode(".png", mask * 255, options)[1]
    report.number("mask_bytes_over_png", sum(map(len, packed)) / len(png))


def _pipeline(report: Report, rounds: int, side: int) -> None:
    """Engine time over the sum of its inference, serial: with the `cloud` network and with one of 2 ms a tile."""
    from benchmarks.pipeline import EndToEnd, SpinSession, graph_session
    from flight.pipeline.session import OnnxSession
    from payload_models.loader import applications

    contestants: dict[str, EndToEnd] = {"e2e_over_inference_2ms": EndToEnd(side, SpinSession(0.002), overlap=64)}
    if "cloud" in applications():
        session: OnnxSession = graph_session("cloud")
        contestants["e2e_over_inference_real"] = EndToEnd(side // 2, session, overlap=64, bands=3)
    else:
        report.absent["e2e_over_inference_real"] = "the cloud application is not installed"
    for name, flight in contestants.items():
        shares = sorted(flight.run() for _ in range(rounds + 1))[:rounds]
        report.number(name, float(np.median(shares)))
        report.spread[name] = (round(shares[round(0.1 * (rounds - 1))], 4), round(shares[round(0.9 * (rounds - 1))], 4))


def _memory(report: Report, *, quick: bool) -> None:
    """Peak resident memory of the pipeline up to the product, each height in a process of its own."""
    width, heights = (1024, (512, 1024, 1536)) if quick else (10_980, (1536, 4608, 10_980))
    peaks = [_peak_mb(width, height) for height in heights]
    report.number("peak_rss_mb_10980", peaks[-1])
    report.number("rss_growth_mb_per_1000_lines", (peaks[-1] - peaks[0]) / (heights[-1] - heights[0]) * 1000)


def _peak_mb(width: int, height: int) -> float:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.pipeline", str(width), str(height)],
        cwd=Path(__file__).resolve().parents[1], capture_output=True, text=True, check=True,
    )  # fmt: skip
    return float(json.loads(done.stdout)["peak_rss_mb"])
