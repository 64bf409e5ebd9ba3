"""Results to the bit, recorded once: other machines, compilers and vector widths must give the same."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bindings.crc import crc32c
from bindings.stitch import Stitcher, TileGrid
from bindings.tiles import Layout, Normalisation, tile_f32

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
