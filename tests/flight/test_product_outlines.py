"""Regions of class maps as polygons: areas that add up, holes with their exterior, the way into the vector section."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bindings.faults import GeometryRefused
from flight.product.outlines import outline_polygons
from flight.product.vectors import NO_DETECTIONS, decode_vectors, encode_vectors
from tests.flight.product.cases import blobs


def doubled_area(ring: np.ndarray) -> int:
    x, y = ring[:, 0].astype(np.int64), ring[:, 1].astype(np.int64)
    return int(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 30), st.integers(1, 30), st.integers(0, 1000), st.integers(1, 4), st.sampled_from([0, 3, 4, 8, 400])
)
def test_exact_outlines_have_the_area_of_their_pixels_and_simplified_ones_are_rings(
    rows: int, cols: int, seed: int, min_pixels: int, tolerance: int
) -> None:
    class_map = np.random.default_rng(seed).integers(0, 3, (rows, cols)).astype(np.uint8)
    polygons, pixels = outline_polygons(class_map, (2, 0), tolerance=tolerance, min_pixels=min_pixels)
    assert len(polygons) == len(pixels) and (pixels >= min_pixels).all()
    if min_pixels == 1:
        assert [pixels[polygons.classes == value].sum() for value in (0, 2)] == [
            (class_map == value).sum() for value in (0, 2)
        ]
    for rings, area in zip(polygons.rings(), pixels, strict=True):
        assert all(len(ring) >= 3 and doubled_area(ring) != 0 for ring in rings)
        if tolerance == 0:
            assert sum(map(doubled_area, rings)) == 2 * 16 * area
    _, decoded = decode_vectors(encode_vectors(NO_DETECTIONS, polygons))
    assert len(decoded.vertices) == len(polygons.vertices)
    assert sorted(decoded.classes.tolist()) == sorted(polygons.classes.tolist())


def test_simplifying_leaves_fewer_vertices_and_nearly_the_area() -> None:
    class_map = blobs(200, 200, 4)
    exact, pixels = outline_polygons(class_map, (1,), min_pixels=20)
    coarse, same = outline_polygons(class_map, (1,), tolerance=4, min_pixels=20)
    assert same.tolist() == pixels.tolist()
    assert len(coarse.vertices) < len(exact.vertices) / 2
    areas = [
        sum(abs(doubled_area(r)) * (1 if i == 0 else -1) for i, r in enumerate(rings)) / 32 for rings in coarse.rings()
    ]
    assert sum(areas) == pytest.approx(pixels.sum(), rel=0.05)


def test_no_class_gives_no_polygon_and_a_wrong_tolerance_is_refused() -> None:
    class_map = np.zeros((4, 4), np.uint8)
    assert len(outline_polygons(class_map, ())[0]) == len(outline_polygons(class_map, (1,))[0]) == 0
    with pytest.raises(GeometryRefused):
        outline_polygons(class_map, (0,), tolerance=-1)
