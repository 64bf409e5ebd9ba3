"""Pixels: tiles, stitching, answers, their bytes, and the pipeline end to end, against limits, recipes and peers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks import pixel_maps, pixel_tiles, spectral
from benchmarks.report import Report
from benchmarks.timing import interleave, ratio

ORDER = (  # in which the figures are printed: those with a goal first
    "tile_f32_over_memcpy", "tile_s8_over_memcpy", "stats_extra", "gate_over_tile", "tile13_over_memcpy",
    "numpy_naive_over_ours", "numpy_expert_over_ours", "patchify_over_ours", "stitch_numpy_over_ours",
    "stitch_over_copy", "pixels_differing", "e2e_over_inference_real", "e2e_over_inference_2ms",
    "wall_overlapped_over_serial", "peak_rss_mb_10980", "rss_growth_mb_per_1000_lines", "nms_cv2_over_ours",
    "rle_numpy_over_ours", "mask_bytes_over_jxl", "mask_jxl_time_over_ours", "numpy_naive13_over_ours",
    "mask_bytes_over_png", "vector_bytes_over_geojson",
)  # fmt: skip


def run(report: Report, *, rounds: int, quick: bool) -> None:
    """Fill the report. quick: small inputs that show that it runs."""
    pixel_tiles.four_bands(report, rounds, quick=quick)
    pixel_tiles.thirteen_bands(report, rounds, quick=quick)
    pixel_tiles.three_bands_of_8_bits(report, rounds, quick=quick)
    pixel_maps.stitch(report, rounds, quick=quick)
    pixel_maps.run_lengths(report, rounds, quick=quick)
    pixel_maps.duplicates(report, rounds, quick=quick)
    _hundred_bands(report, rounds, quick=quick)
    _pipeline(report, rounds, quick=quick)
    pixel_maps.masks(report, rounds, quick=quick)
    pixel_maps.vectors(report)
    _memory(report, quick=quick)
    report.put_first(ORDER)


def _hundred_bands(report: Report, rounds: int, *, quick: bool) -> None:
    """Moments and matched filter of 100 bands, against NumPy with the linear algebra library behind it."""
    timed = interleave(spectral.contestants(64 if quick else 256, 100), rounds)
    report.ratio("moments_numpy_over_ours", ratio(timed["moments_matmul"], timed["moments"]))
    report.ratio("matched_filter_numpy_over_ours", ratio(timed["filter_matmul"], timed["filter"]))


def _pipeline(report: Report, rounds: int, *, quick: bool) -> None:
    """Engine time over the sum of its inference, and as it flies over one stage after the other, in turns."""
    from benchmarks.pipeline import EndToEnd, SpinSession, as_it_flies, graph_session
    from flight.pipeline.engine_session import RunningSession
    from flight.pipeline.flow import Flow, FlowMode

    side = 512 if quick else 2048
    sessions: dict[str, tuple[RunningSession, int, int]] = {
        "2ms": (SpinSession(0.002), side, 4),
        "real": (graph_session("cloud"), side // 2, 3),
    }
    for name, (session, length, bands) in sessions.items():
        one_by_one = Flow(mode=FlowMode.SERIAL)
        flying = EndToEnd(length, session, overlap=64, bands=bands, flow=as_it_flies())
        serial = EndToEnd(length, session, overlap=64, bands=bands, flow=one_by_one)
        timed = interleave({"flying": flying.run, "serial": serial.run}, rounds)
        report.numbers(f"e2e_over_inference_{name}", flying.shares[-rounds:])
        report.numbers(f"e2e_over_inference_{name} [serial]", serial.shares[-rounds:])
        label = "wall_overlapped_over_serial" + ("" if name == "2ms" else f" [{name}]")
        report.ratio(label, ratio(timed["flying"], timed["serial"]))


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
