"""What is usually written instead, in NumPy: as it comes first, and as one who knows NumPy writes it."""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray

from bindings.stitch import TileGrid

Corners = list[tuple[int, int]]


def tiles_expert(
    scene: NDArray[np.uint16], corners: Corners, tile: int, scale: np.float32, offset: np.float32,
    out: NDArray[np.float32],
) -> None:  # fmt: skip
    """Plane by plane into one buffer that is used again, every step in place."""
    for row, col in corners:
        for band in range(scene.shape[2]):
            plane = out[band]
            np.multiply(scene[row : row + tile, col : col + tile, band], scale, out=plane, casting="unsafe")
            np.add(plane, offset, out=plane)
            np.clip(plane, np.float32(0), np.float32(1), out=plane)


def tiles_opencv(
    scene: NDArray[np.uint16], corners: Corners, tile: int, scale: float, offset: float, out: NDArray[np.float32]
) -> None:
    """Split, then scale and convert each plane in one call into one buffer, one thread."""
    import cv2

    cv2.setNumThreads(1)
    for row, col in corners:
        for band, plane in enumerate(cv2.split(scene[row : row + tile, col : col + tile])):
            cv2.addWeighted(plane, scale, plane, 0.0, offset, dst=out[band], dtype=cv2.CV_32F)
            np.clip(out[band], np.float32(0), np.float32(1), out=out[band])


def stitch_accumulate(scores: NDArray[np.float32], grid: TileGrid, side: int, labels: NDArray[np.uint8]) -> None:
    """Weighted sum of all tiles, divided by the sum of weights, largest class."""
    classes, tile = scores.shape[1], grid.tile
    down = grid.rows_of(side)
    high, wide = (down - 1) * grid.stride + tile, (grid.columns - 1) * grid.stride + tile
    total = np.zeros((classes, high, wide), np.float32)
    weight = np.zeros((high, wide), np.float32)
    for number, one in enumerate(scores):
        row, col = divmod(number, grid.columns)
        ramps = np.outer(_ramp(grid, row, down - 1), _ramp(grid, col, grid.columns - 1))
        y, x = row * grid.stride, col * grid.stride
        total[:, y : y + tile, x : x + tile] += one * ramps
        weight[y : y + tile, x : x + tile] += ramps
    total /= weight
    labels[...] = np.argmax(total[:, :side, :side], axis=0)


def _ramp(grid: TileGrid, index: int, last: int) -> NDArray[np.float32]:
    """One axis of a tile's weight: rises and falls over the overlap, one at the scene's edge (margin 0)."""
    weight = np.ones(grid.tile, np.float32)
    rise = ((np.arange(grid.overlap) + 0.5) / grid.overlap).astype(np.float32)
    if index > 0:
        weight[: grid.overlap] = rise
    if index < last:
        weight[grid.tile - grid.overlap :] = 1 - rise
    return weight


def runs(rows: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Lengths and values of the runs of a strip, in raster order."""
    flat = rows.reshape(-1)
    starts = np.concatenate(([0], np.flatnonzero(flat[1:] != flat[:-1]) + 1, [flat.size]))
    return np.diff(starts), flat[starts[:-1]]


def geojson(polygons: list[list[NDArray[np.int32]]]) -> str:
    """A FeatureCollection of polygons whose rings are in quarters of pixels of 30 m: 6 digits, no spaces."""
    features = []
    for rings in polygons:
        closed = [np.concatenate((ring, ring[:1])) * (0.25 * 2.7e-4) + (-112.0, 41.0) for ring in rings]
        geometry = {"type": "Polygon", "coordinates": [np.round(ring, 6).tolist() for ring in closed]}
        features.append({"type": "Feature", "geometry": geometry, "properties": {"class": 1}})
    return json.dumps({"type": "FeatureCollection", "features": features}, separators=(",", ":"))


def ships(count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Boxes (n, 4) x0 y0 x1 y1 and scores (n,) as two neighbouring tiles report them: every second one a duplicate."""
    rng = np.random.default_rng(5)
    half = count // 2
    corner = rng.uniform(0, 10_900, (half, 2))
    size = rng.uniform(8, 60, (half, 2))
    once = np.concatenate((corner, corner + size), axis=1)
    twice = once + rng.normal(0, 1.0, once.shape)
    boxes = np.concatenate((once, twice)).astype(np.float32)
    return boxes, rng.permutation(np.linspace(0.3, 1.0, len(boxes))).astype(np.float32)
