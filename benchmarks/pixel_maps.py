"""From scores to answers: stitching, run lengths, seam duplicates, and the bytes that masks and vectors take."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import class_maps
from benchmarks import numpy_recipes as recipes
from benchmarks.peers import Environment, Peer, PeerMissing
from benchmarks.report import Report
from benchmarks.timing import Cost, interleave, ratio
from bindings.nms import keep_boxes
from bindings.runs import find_runs
from bindings.stitch import Stitcher, TileGrid
from bindings.trace import label_runs, trace_polygons

JXL = Environment("imagecodecs", ("numpy", "imagecodecs"))
JXL_EFFORT = 9
JXL_ROUNDS = 3  # a turn of it takes seconds, and is 300 times one of ours: nothing is lost in noise
IOU = 0.5
STRIP_ROWS = 256  # of a product's strips


def stitch(report: Report, rounds: int, *, quick: bool) -> None:
    """Four classes, blended overlaps, straight to the class map, against accumulate / divide / argmax."""
    side, tile = (512, 128) if quick else (2048, 512)
    grid = TileGrid(side, tile, tile // 8, 0)
    classes, down = 4, grid.rows_of(side)
    scores = np.random.default_rng(1).random((down * grid.columns, classes, tile, tile), dtype=np.float32)
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


def run_lengths(report: Report, rounds: int, *, quick: bool) -> None:
    """The runs of a mask, lengths and values, each into what it makes itself."""
    mask = class_maps.lakes(512 if quick else 4096).reshape(-1)
    lengths, values = np.zeros(mask.size, np.uint32), np.zeros(mask.size, np.uint8)
    found: list[int] = []
    timed = interleave(
        {
            "ours": lambda: found.append(find_runs(mask, lengths, values)),
            "numpy": lambda: recipes.runs(mask),
        },
        rounds,
    )
    report.ratio("rle_numpy_over_ours", ratio(timed["numpy"], timed["ours"]))


def duplicates(report: Report, rounds: int, *, quick: bool) -> None:
    """Seam duplicates among 20,000 boxes of a 10980 x 10980 scene, one thread."""
    import cv2

    cv2.setNumThreads(1)
    boxes, scores = recipes.ships(1000 if quick else 20_000)
    sized = np.concatenate((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), axis=1).tolist()
    listed = scores.tolist()
    kept: dict[str, Any] = {}

    def ours() -> None:
        kept["ours"] = keep_boxes(boxes, scores, iou_threshold=IOU)

    def opencv() -> None:
        kept["cv2"] = cv2.dnn.NMSBoxes(sized, listed, 0.0, IOU)

    timed = interleave({"ours": ours, "cv2": opencv}, rounds)
    report.ratio("nms_cv2_over_ours", ratio(timed["cv2"], timed["ours"]))
    report.number("nms_kept_ours", len(kept["ours"]))
    report.number("nms_kept_cv2", len(kept["cv2"]))


def masks(report: Report, rounds: int, *, quick: bool) -> None:
    """Strips of class maps as a product carries them, checks included, against JPEG XL and PNG of the whole map."""
    import cv2

    from flight.product.mask import StripEncoder, pack_strip

    maps = class_maps.answers()
    if not quick:
        maps["lakes"], maps["land cover"] = class_maps.lakes(2048), class_maps.landscape(2048)
    coded: dict[str, int] = {}

    def coder(name: str, pixels: NDArray[np.uint8]) -> Callable[[], None]:
        strips = [pixels[first : first + STRIP_ROWS] for first in range(0, len(pixels), STRIP_ROWS)]

        def turn() -> None:
            encoder, coded[name] = StripEncoder(pixels.shape[1], STRIP_ROWS), 0
            for index, rows in enumerate(strips):
                encoder.feed(rows)
                coded[name] += len(pack_strip(index, len(rows), *encoder.end()))

        return turn

    ours = {name: coder(name, pixels) for name, pixels in maps.items()}
    for turn in ours.values():
        turn()
    level = [cv2.IMWRITE_PNG_COMPRESSION, 9]
    report.number("mask_bytes_over_png", sum(coded.values()) / sum(_png(pixels, level) for pixels in maps.values()))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "maps.npz"
        np.savez(file, **{str(number): pixels for number, pixels in enumerate(maps.values())})  # type: ignore[arg-type]
        try:
            with Peer(JXL, "imagecodecs", {"masks": str(file), "effort": JXL_EFFORT}, make=not quick) as peer:
                sizes = [peer.facts["bytes"][str(number)] for number in range(len(maps))]
                turns = [peer.turn(str(number)) for number in range(len(maps))]
                timed = interleave(
                    {
                        "ours": lambda: _each(list(ours.values())),
                        "jxl": lambda: _sum([turn() for turn in turns]),
                    },
                    min(rounds, JXL_ROUNDS),
                )
        except PeerMissing as missing:
            for name in ("mask_bytes_over_jxl", "mask_jxl_time_over_ours"):
                report.absent[name] = str(missing)
            return
    report.number("mask_bytes_over_jxl", sum(coded.values()) / sum(sizes))
    report.ratio("mask_jxl_time_over_ours", ratio(timed["jxl"], timed["ours"]))
    for (name, size), other in zip(coded.items(), sizes, strict=True):
        report.number(f"mask_bytes_over_jxl [{name}]", size / other)


def vectors(report: Report) -> None:
    """Exact outlines of findings as a product carries them, against the GeoJSON that says the same."""
    from flight.product.vectors import NO_DETECTIONS, Polygons, encode_vectors

    ours = theirs = 0
    for name, pixels in class_maps.answers().items():
        outlines = list(trace_polygons(pixels, 1, label_runs(pixels, 1)))
        rings = [[4 * ring for ring in (one.exterior, *one.holes)] for one in outlines]  # in quarters of a pixel
        size = len(encode_vectors(NO_DETECTIONS, Polygons.of((1, each) for each in rings)))
        other = len(recipes.geojson(rings))
        report.number(f"vector_bytes_over_geojson [{name}]", size / other)
        ours, theirs = ours + size, theirs + other
    report.number("vector_bytes_over_geojson", ours / theirs)


def _each(turns: list[Callable[[], None]]) -> None:
    for turn in turns:
        turn()


def _sum(costs: list[Cost]) -> Cost:
    return Cost(sum(cost.wall_s for cost in costs), sum(cost.cpu_s for cost in costs))


def _png(pixels: NDArray[np.uint8], options: list[int]) -> int:
    import cv2

    return len(cv2.imencode(".png", pixels, options)[1])
