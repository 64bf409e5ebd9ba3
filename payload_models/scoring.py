"""How well an application does on scenes with a truth: `case.toml` files, confusion counts, the usual measures."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import tifffile
from msgspec import Meta
from numpy.typing import NDArray

from hal.sensor.scene import open_scene
from hal.toml_records import load_record
from payload_models.arrays import read_arrays
from payload_models.errors import CaseInvalid
from payload_models.inference import NO_ANSWER, Session, answer_rows
from payload_models.loader import Application
from payload_models.matching import match

MetricName = Literal["iou", "precision", "recall", "f1", "accuracy"]
MAX_TRUTH_BYTES = 512 << 20
MAX_CASES = 1000


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One case.toml. Paths are relative to its folder."""

    scene: str
    truth: str  # one plane of class numbers: TIFF, or npz
    metric: MetricName
    sensor: str | None = None
    truth_array: str = "truth"  # name of the array where the truth is an npz
    # truth values that mean the finding
    positive: Annotated[list[int], Meta(min_length=1, max_length=32)] = msgspec.field(default_factory=lambda: [1])
    # truth values that say nothing
    ignore: Annotated[list[int], Meta(max_length=32)] = msgspec.field(default_factory=lambda: [NO_ANSWER])


@dataclass(frozen=True, slots=True)
class Confusion:
    """Pixel counts of a two-class comparison, and what follows from them. A measure without pixels is NaN."""

    hits: int
    false_alarms: int
    misses: int
    correct_rejections: int

    @property
    def measures(self) -> dict[str, float]:
        tp, fp, fn, tn = self.hits, self.false_alarms, self.misses, self.correct_rejections
        return {
            "iou": _ratio(tp, tp + fp + fn),
            "precision": _ratio(tp, tp + fp),
            "recall": _ratio(tp, tp + fn),
            "f1": _ratio(2 * tp, 2 * tp + fp + fn),
            "accuracy": _ratio(tp + tn, tp + fp + fn + tn),
        }


@dataclass(frozen=True, slots=True)
class CaseScore:
    """One case's result. `unanswered`: pixels with a truth that the application left without an answer."""

    case: str
    metric: str
    value: float
    confusion: Confusion
    unanswered: int
    calibrated: bool


def score(
    application: Application, folder: Path, *, parameters: dict[str, float], precision: str = "float"
) -> list[CaseScore]:
    """Score every case.toml in `folder` and its sub-folders. precision: of the graph, float, u8 or s8.

    Raises CaseInvalid, ConfigError (a case.toml), SceneError, and the errors of matching and inference.
    """
    paths = [folder / "case.toml"] if (folder / "case.toml").is_file() else sorted(folder.glob("*/case.toml"))
    if not 1 <= len(paths) <= MAX_CASES:
        raise CaseInvalid(str(folder), "no case.toml here nor one folder below")
    threshold = application.manifest.threshold(parameters)
    return [_score(application, path, threshold, precision) for path in paths]


def _score(application: Application, path: Path, threshold: float, precision: str) -> CaseScore:
    case = load_record(path, Case)
    truth = _truth(path.parent / case.truth, case.truth_array)
    manifest = application.manifest
    counts = np.zeros(4, np.int64)
    unanswered = 0
    with open_scene(path.parent / case.scene, sensor=case.sensor) as scene:
        info = scene.info
        if truth.shape != (info.height, info.width):
            raise CaseInvalid(str(path), f"truth has {truth.shape} pixels, the scene {(info.height, info.width)}")
        plan = match(manifest, info.bands, info.radiometry, info.scale, info.offset, gsd_m=info.gsd_m)
        session = Session(application, plan.variant, manifest.variant[plan.variant].form(precision))
        row = 0
        for block in answer_rows(session, manifest, scene, plan, threshold):
            wanted = truth[row : row + len(block)]
            row += len(block)
            known = ~np.isin(wanted, case.ignore)
            unanswered += int(np.count_nonzero(known & (block == NO_ANSWER)))
            known &= block != NO_ANSWER
            real, found = np.isin(wanted, case.positive), block == manifest.finding_class
            for index, chosen in enumerate((real & found, ~real & found, real & ~found, ~real & ~found)):
                counts[index] += np.count_nonzero(chosen & known)
    confusion = Confusion(*map(int, counts))
    return CaseScore(
        path.parent.name, case.metric, confusion.measures[case.metric], confusion, unanswered, plan.calibrated
    )


def _truth(path: Path, array: str) -> NDArray[Any]:
    try:
        if path.stat().st_size > MAX_TRUTH_BYTES:
            raise CaseInvalid(str(path), f"larger than {MAX_TRUTH_BYTES} bytes")
        if path.suffix == ".npz":
            with zipfile.ZipFile(path):
                arrays = read_arrays(path.read_bytes(), MAX_TRUTH_BYTES)
            truth = arrays.get(array)
            if truth is None:
                raise CaseInvalid(str(path), f"has no array `{array}`, only {', '.join(arrays)}")
        else:
            truth = tifffile.imread(path)
    except CaseInvalid:
        raise
    except (OSError, ValueError, zipfile.BadZipFile, tifffile.TiffFileError) as error:
        raise CaseInvalid(str(path), str(error)) from error
    truth = np.squeeze(truth)
    if truth.ndim != 2 or truth.dtype.kind not in "uib":
        raise CaseInvalid(str(path), f"truth must be one plane of whole numbers, it is {truth.dtype} {truth.shape}")
    return truth


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
