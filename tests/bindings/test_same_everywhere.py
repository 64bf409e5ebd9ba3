"""Results to the bit, recorded once: other machines, compilers and vector widths must give the same."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bindings.context import ContextEncoder
from bindings.crc import crc32c
from bindings.nms import keep_boxes
from bindings.regions import RegionScanner
from bindings.runs import find_runs
from bindings.simplify import simplify_ring
from bindings.stitch import Stitcher, TileGrid
from bindings.tiles import Layout, Normalisation, Quantisation, TileCutter, tile_f32
from bindings.vectors import VectorColumns, encode_columns

pytestmark = pytest.mark.arm


def noise(*shape: int) -> NDArray[np.uint16]:
    """Numbers from integer arithmetic alone."""
    count = np.arange(np.prod(shape), dtype=np.uint64)
    mixed = count * np.uint64(6364136223846793005) >> np.uint64(33)  # modulo 2**64
    return np.asarray(mixed & np.uint64(0xFFFF)).astype(np.uint16).reshape(shape)


@pytest.mark.parametrize(
    ("dtype", "pixels", "total"),
    [
        ("uint8", 265343629, 413898.0),
        ("uint16", 1545311588, 106439114.0),
        ("int16", 122855908, -122422.0),
        ("float32", 4276513290, 136987.27673658007),
    ],
)
def test_a_tile_has_the_recorded_bits(dtype: str, pixels: int, total: float) -> None:
    raw = noise(90, 70, 5)
    scene = raw.astype(np.float32) / np.float32(777) if dtype == "float32" else raw.astype(dtype)
    out, valid = np.empty((3, 64, 64), np.float32), np.empty((64, 64), np.uint8)
    norm = Normalisation((1 / 3, 1e-4, 0.7), (0.1, -0.3, 1 / 7), -1.0, 9.0)
    stats = tile_f32(
        scene, Layout.HWC, first_row=0, scene_rows=90, row=-7, col=13, bands=[4, 0, 2], norm=norm, nodata=3.0,
        out=out, valid=valid,
    )  # fmt: skip
    assert (crc32c(out), stats.bands[2].total) == (pixels, total)


def test_a_stitched_map_its_seams_and_its_confidence_have_the_recorded_bits() -> None:
    grid = TileGrid(150, 48, 14, 2)
    stitcher = Stitcher(grid, 3, 0.5)
    out = np.empty((100, 150), np.uint8)
    scores = noise(grid.columns, 3, 48, 48).astype(np.float32) / np.float32(65535)
    last = grid.rows_of(100) - 1
    seams = 0
    for r in range(last + 1):
        for c in range(grid.columns):
            stitcher.put(scores[c], r, c, last_row=r == last, scene_rows=100, out=out, out_first_row=0)
            seams = crc32c(stitcher.state(), seams)
    assert (crc32c(out), seams, stitcher.confidence_total) == (1800656167, 2292215375, 3842.6282806396484)


def blobs(rows: int, cols: int, classes: int) -> NDArray[np.uint8]:
    """Smooth patches of a few classes, speckled."""
    row, col = np.mgrid[:rows, :cols]
    patches = (row * row // 90 + col * col // 130 + row * col // 210) // 40 % classes
    speckled: NDArray[np.uint8] = np.where(noise(rows, cols) < 900, (patches + 1) % classes, patches).astype(np.uint8)
    return speckled


@pytest.mark.parametrize(("layout", "dtype", "out_dtype", "zero_point"), [
    (Layout.HWC, "uint16", "uint8", 3), (Layout.BSQ, "uint8", "int8", -128), (Layout.BIL, "int16", "uint8", 0),
    (Layout.BIL, "float32", "int8", 17), (Layout.BSQ, "uint16", "float32", 0), (Layout.HWC, "uint8", "uint8", 0),
])  # fmt: skip
def test_a_cut_tile_has_the_recorded_octets(layout: Layout, dtype: str, out_dtype: str, zero_point: int) -> None:
    raw = noise(90, 70, 4)
    scene = raw.astype(np.float32) / np.float32(777) if dtype == "float32" else raw.astype(dtype)
    order = {Layout.HWC: (0, 1, 2), Layout.BSQ: (2, 0, 1), Layout.BIL: (0, 2, 1)}[layout]
    window = np.ascontiguousarray(scene.transpose(order))
    quantised = None if out_dtype == "float32" else Quantisation(1 / 51, zero_point)
    cutter = TileCutter(
        layout=layout, columns=70, planes=4, dtype=dtype, bands=[3, 0, 2],
        norm=Normalisation((1 / 300, 1e-4, 0.7), (0.1, -0.3, 1 / 7), -2.0, 4.5), nodata=3.0, side=64,
        out_dtype=out_dtype, quantisation=quantised,
    )  # fmt: skip
    out, valid = np.empty((3, 64, 64), out_dtype), np.empty((64, 64), np.uint8)
    cutter.cut(window, first_row=0, scene_rows=90, row=40, col=-9, out=out, valid=valid)
    recorded = RECORDED_TILES[layout.name, dtype, out_dtype]
    assert (crc32c(out.view(np.uint8)), crc32c(valid)) == recorded


RECORDED_TILES = {
    ("HWC", "uint16", "uint8"): (1267911796, 1108896639),
    ("BSQ", "uint8", "int8"): (3903938955, 1108896639),
    ("BIL", "int16", "uint8"): (3198053293, 1108896639),
    ("BIL", "float32", "int8"): (3679825624, 1108896639),
    ("BSQ", "uint16", "float32"): (2396431978, 1108896639),
    ("HWC", "uint8", "uint8"): (2113551181, 1108896639),
}


def test_runs_regions_and_outlines_are_the_recorded_ones() -> None:
    classes = blobs(120, 150, 4)
    lengths, values = np.empty(classes.size, np.uint32), np.empty(classes.size, np.uint8)
    count = find_runs(classes, lengths, values, by_row=True)
    scanner = RegionScanner(150, 2)
    found = [*scanner.feed(classes), *scanner.finish()]
    summary = "".join(map(repr, found)).encode()
    assert (count, crc32c(lengths[:count].view(np.uint8)), crc32c(values[:count]), len(found), crc32c(summary)) == (
        1215,
        3559179561,
        1597743592,
        59,
        985868573,
    )


def test_the_code_of_a_class_map_is_the_recorded_one() -> None:
    classes = blobs(64, 200, 5)
    encoder = ContextEncoder(200, classes.size)
    encoder.feed(classes[:10])
    encoder.feed(classes[10:])
    encoded = encoder.end()
    assert encoded is not None
    assert (len(encoded), crc32c(encoded)) == (344, 564992300)


def test_boxes_that_stay_and_the_code_of_vectors_are_the_recorded_ones() -> None:
    numbers = noise(300, 4).astype(np.float32)
    boxes = np.stack(
        (numbers[:, 0], numbers[:, 1], numbers[:, 0] + numbers[:, 2] / 8, numbers[:, 1] + numbers[:, 3] / 8), 1
    )
    scores = (noise(300) % np.uint16(50)).astype(np.float32) / np.float32(50)
    kept = keep_boxes(np.ascontiguousarray(boxes), scores, iou_threshold=0.3)
    columns = VectorColumns.empty(len(kept), 0, 0, 0)
    table = columns.detections
    for name, column in zip(table.dtype.names or (), (0, boxes[kept, 1], boxes[kept, 0], 40, 60, 255), strict=True):
        table[name] = column
    table.sort(order=("class", "y", "x"))
    encoded = encode_columns(columns, 0, 0)
    assert (len(kept), crc32c(kept.view(np.uint8)), len(encoded), crc32c(encoded)) == (71, 895864911, 325, 2874309951)


def test_a_simplified_ring_is_the_recorded_one() -> None:
    angle = np.arange(600, dtype=np.int32)
    far = 4000 + (noise(600) % np.uint16(180)).astype(np.int32)
    x, y = np.abs(angle * 4 - 1200) * far // 600, np.abs((angle * 4 + 600) % 2400 - 1200) * far // 600
    ring = simplify_ring(np.ascontiguousarray(np.stack((x, y), 1).astype(np.int32)), 90)
    assert (len(ring), crc32c(np.ascontiguousarray(ring).view(np.uint8))) == (107, 8177407)
