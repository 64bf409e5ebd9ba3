"""Running an application's graph on plain arrays and whole scenes: for golden cases, scores and measurements.

Not the flight pipeline: no strips, no resuming. ONNX Runtime is imported when the first session is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindings.tiles import Layout, Normalisation, Quantisation, tile_f32
from hal.sensor.scene import Scene
from payload_models.errors import InferenceRefused
from payload_models.loader import Application
from payload_models.manifest import Manifest
from payload_models.matching import InputPlan
from payload_models.runtime.policy import DEFAULT_POLICY, InferencePolicy

NO_ANSWER = 255


class Session:
    """One graph of an application, fed with reflectances whatever its input type is: one thread, no spinning."""

    def __init__(
        self, application: Application, variant: int, form: int = 0, *, policy: InferencePolicy = DEFAULT_POLICY
    ) -> None:
        """Load a form of a variant's graph, its hash checked. Raises InferenceRefused, InferenceError, HashMismatch."""
        try:
            from payload_models.runtime.session import OnnxSession
        except ImportError as error:
            raise InferenceRefused("ONNX Runtime is not installed; install `swath[cpu]`") from error
        entry = application.manifest.variant[variant]
        self._quantisation = entry.forms[form].quantisation
        self._session = OnnxSession(
            application.model_bytes(variant, form),
            bands=len(entry.bands),
            classes=application.manifest.planes,
            policy=policy,
            quantisation=self._quantisation,
        )

    def run(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores (planes, rows, cols) of pixels (bands, rows, cols). Raises InferenceError."""
        given: NDArray[Any] = pixels
        if self._quantisation is not None:
            given = quantised(pixels, self._quantisation, self._session.input_dtype)
        planes: NDArray[np.float32] = self._session.run(given[None])[0]
        return planes


def quantised(pixels: NDArray[np.float32], quantisation: Quantisation, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Reflectances as the levels of a quantised graph: saturate(round_half_even(x / scale) + zero_point)."""
    limits = np.iinfo(dtype)
    levels = np.rint(pixels / np.float32(quantisation.scale)) + np.float32(quantisation.zero_point)
    octets: NDArray[Any] = np.clip(levels, limits.min, limits.max).astype(dtype)
    return octets


def normalised(img: NDArray[Any], norm: Normalisation) -> NDArray[np.float32]:
    """(rows, cols, bands) numbers to (bands, rows, cols) reflectance, rounded as bindings.tiles does."""
    scale, offset = (np.asarray(values, np.float32) for values in (norm.scale, norm.offset))
    pixels = np.clip(img.astype(np.float32) * scale + offset, np.float32(norm.low), np.float32(norm.high))
    return np.ascontiguousarray(np.moveaxis(pixels, -1, 0))


def classes_of(manifest: Manifest, scores: NDArray[np.float32], threshold: float) -> NDArray[np.uint8]:
    """Class ids (rows, cols) of scores (planes, rows, cols)."""
    one_plane = manifest.planes == 1
    found: NDArray[Any] = scores[0] >= np.float32(threshold) if one_plane else np.argmax(scores, axis=0)
    return found.astype(np.uint8)


def answer_rows(
    session: Session, manifest: Manifest, scene: Scene, plan: InputPlan, threshold: float
) -> Iterator[NDArray[np.uint8]]:
    """The class map of a scene in blocks of whole rows, top to bottom; 255 where a pixel is not valid.

    Tiles with hard seams: each gives its inside, `margin` pixels from its edge. Memory does not grow with the scene's
    height.
    """
    info, tile, margin = scene.info, manifest.input.tile, manifest.input.margin
    inside = tile - 2 * margin
    pixels = np.empty((len(plan.band_indices), tile, tile), np.float32)
    valid = np.empty((tile, tile), np.uint8)
    for top in range(0, info.height, inside):
        # a tile that runs past the lower edge is reflected back over as many rows
        first, end = max(0, top - tile), min(info.height, top + 2 * tile)
        window = scene.read_rows(first, end - first)
        rows = min(inside, info.height - top)
        answer = np.empty((rows, info.width), np.uint8)
        for left in range(0, info.width, inside):
            tile_f32(
                window,
                Layout.HWC,
                first_row=first,
                scene_rows=info.height,
                row=top - margin,
                col=left - margin,
                bands=plan.band_indices,
                norm=plan.norm,
                nodata=info.nodata,
                out=pixels,
                valid=valid,
            )
            found = np.where(valid != 0, classes_of(manifest, session.run(pixels), threshold), np.uint8(NO_ANSWER))
            cols = min(inside, info.width - left)
            answer[:, left : left + cols] = found[margin : margin + rows, margin : margin + cols]
        yield answer
