"""Non-maximum suppression of boxes: exact, in linear time for boxes of any sizes, the same on ties everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bindings.errors import BindingsError
from bindings.faults import BufferMismatch, GeometryRefused
from bindings.ffi import check, ffi, lib, view

BOXES_MAX: Final = int(lib.SW_NMS_BOXES_MAX)
_REASONS = {
    int(lib.SW_NMS_NOT_FINITE): "its corners and score are not all finite numbers",
    int(lib.SW_NMS_INVERTED): "it ends before it begins (x1 < x0 or y1 < y0)",
}


class BoxRefused(BindingsError, ValueError):
    """A box that no overlap can be computed for."""

    code = "box_refused"

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(f"box {index}: {reason}")
        self.index, self.reason = index, reason


@dataclass(frozen=True, slots=True)
class Suppression:
    """indices: (k,) int64, the boxes that are kept. The rest says what it took."""

    indices: NDArray[np.int64]
    comparisons: int  # overlaps that were computed
    cells: int  # cells that were looked into


def keep_boxes(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    classes: NDArray[np.int32] | None = None,
    *,
    iou_threshold: float,
) -> NDArray[np.int64]:
    """Indices (k,) int64 of the boxes that greedy suppression keeps, score falling, ties by index.

    boxes: (n, 4) float32 x0, y0, x1, y1 in any unit, C order; scores: (n,) float32, any finite numbers; classes: (n,)
    int32, boxes of different classes do not suppress each other; None: all are of one class. A box is suppressed by a
    kept one if intersection > iou_threshold * union, in double precision. So at 0 any shared area suppresses, at 1
    nothing does (equal boxes stay), and a box without area is always kept and suppresses nothing.

    Time: for thresholds from 0.1 up a bounded number of comparisons a box, whatever the sizes; towards 0 the bound
    grows, and at 0 many kept boxes within a large one may each have to be looked at. Inputs made against its hash
    function cost more time too, never another result. Raises BoxRefused, BufferMismatch, GeometryRefused. Releases the
    GIL.
    """
    return suppress(boxes, scores, classes, iou_threshold=iou_threshold).indices


def suppress(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    classes: NDArray[np.int32] | None = None,
    *,
    iou_threshold: float,
) -> Suppression:
    """As keep_boxes(), with an account of the work."""
    if not 0.0 <= iou_threshold <= 1.0:
        raise GeometryRefused(f"an IoU threshold from 0 to 1 is needed, got {iou_threshold!r}")
    places = ffi.cast("float *", view("boxes", boxes, np.float32, 2))
    count = len(boxes)
    if boxes.shape[1] != 4 or count > BOXES_MAX:
        raise BufferMismatch("boxes", f"(n, 4) with at most {BOXES_MAX} boxes is needed, got {boxes.shape}")
    ranks = ffi.cast("float *", view("scores", scores, np.float32, 1, shape=(count,)))
    kinds = ffi.NULL
    if classes is not None:
        kinds = ffi.cast("int32_t *", view("classes", classes, np.int32, 1, shape=(count,)))
    scratch = np.empty(check(lib.sw_nms_scratch(count)) // 8 + 1, np.uint64)
    keep = np.empty(count, np.int64)
    account = ffi.new("sw_nms_account *")
    kept = lib.sw_nms_keep(
        places,
        ranks,
        kinds,
        count,
        iou_threshold,
        ffi.cast("int64_t *", view("keep", keep, np.int64, 1, writable=True)),
        view("scratch", scratch, np.uint64, 1, writable=True),
        account,
    )
    if kept in _REASONS:
        raise BoxRefused(int(account.fault), _REASONS[kept])
    return Suppression(keep[: check(kept)].copy(), int(account.comparisons), int(account.cells))
