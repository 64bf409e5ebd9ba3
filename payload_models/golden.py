"""Golden cases: recorded pixels and the class map that the application must make of them on every machine.

Input archive: `img` (rows, cols, bands of the variant) integers or float32, `scale` and `offset` per band.
Expected archive: `classes` (rows, cols) uint8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bindings.tiles import Normalisation
from payload_models.arrays import read_arrays, write_arrays
from payload_models.errors import GoldenFailed
from payload_models.inference import Session, classes_of, normalised
from payload_models.loader import Application
from payload_models.manifest import Golden

MAX_CASE_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class GoldenResult:
    """How one case came out."""

    case: str
    variant: int
    precision: str  # float, u8, s8
    pixels: int
    differing: int
    allowed: int  # differing pixels that the manifest tolerates

    @property
    def ok(self) -> bool:
        return self.differing <= self.allowed


def check_golden(application: Application) -> list[GoldenResult]:
    """Run every golden case. Raises GoldenFailed where a case cannot be used, InferenceRefused, HashMismatch."""
    return [
        _check(application, case, form)
        for case in application.manifest.golden
        for form, entry in enumerate(application.manifest.variant[case.variant].forms)
        if (entry.quantisation is None) == (case.precision == "float")
    ]


def answer_of(
    application: Application, variant: int, arrays: dict[str, NDArray[Any]], form: int = 0
) -> NDArray[np.uint8]:
    """The class map of a case's input, at the manifest's own threshold."""
    manifest = application.manifest
    norm = Normalisation(
        scale=tuple(map(float, arrays["scale"])),
        offset=tuple(map(float, arrays["offset"])),
        low=manifest.input.low,
        high=manifest.input.high,
    )
    scores = Session(application, variant, form).run(normalised(arrays["img"], norm))
    return classes_of(manifest, scores, manifest.output.threshold)


def record_case(
    application: Application, variant: int, img: NDArray[Any], scale: tuple[float, ...], offset: tuple[float, ...]
) -> tuple[bytes, ...]:
    """The archives of a new golden case, made by the application as it is now: look at them before they are kept.

    The input, the float graph's answer, and that of the int8 forms where there are any.

    img: (rows, cols, bands of the variant); reflectance = img * scale + offset.
    """
    given = {"img": np.ascontiguousarray(img), "scale": np.asarray(scale), "offset": np.asarray(offset)}
    forms = range(min(2, len(application.manifest.variant[variant].forms)))  # int8 forms answer alike
    answers = (write_arrays({"classes": answer_of(application, variant, given, form)}) for form in forms)
    return write_arrays(given), *answers


def _check(application: Application, case: Golden, form: int) -> GoldenResult:
    given, expected = _read(application, case.input), _read(application, case.expect)
    bands = len(application.manifest.variant[case.variant].bands)
    multiple = application.manifest.input.multiple
    try:
        img, classes = given["img"], expected["classes"]
        fits = (
            img.ndim == 3
            and img.shape[2] == bands == len(given["scale"]) == len(given["offset"])
            and classes.shape == img.shape[:2]
            and not any(size % multiple for size in classes.shape)
        )
    except (KeyError, TypeError) as error:
        raise GoldenFailed(case.input, f"lacks {error}") from error
    if not fits or not classes.size:
        raise GoldenFailed(case.input, "arrays do not fit each other, the variant or the tile multiple")
    found = answer_of(application, case.variant, given, form)
    differing = int(np.count_nonzero(found != classes))
    return GoldenResult(
        case=case.input,
        variant=case.variant,
        precision=application.manifest.variant[case.variant].forms[form].precision,
        pixels=classes.size,
        differing=differing,
        allowed=int(case.max_differing_fraction * classes.size),
    )


def _read(application: Application, relative: str) -> dict[str, NDArray[Any]]:
    try:
        return read_arrays(application.read(relative, MAX_CASE_BYTES), MAX_CASE_BYTES)
    except ValueError as error:
        raise GoldenFailed(relative, str(error)) from error
