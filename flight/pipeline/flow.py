"""Whether the stages of the pipeline overlap: decided by the cores at hand and by what the stages take.

Overlapped or one after the other, the answer is the same; only the wall time differs. Overlapping saves at most the
shorter of "run the graph" and "cut and stitch", and costs handing a tile to another thread and back.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

HANDOVER_S: Final = 60e-6  # what a tile costs more that goes to another thread and comes back
WORTH_SHARE: Final = 0.003  # of a tile's time: less cannot be told from chance
LEARN_TILES: Final = 2  # one after the other at the start; the first one warms up
BLOCK_TILES: Final = 16  # judged together
RETRY_TILES: Final = 128  # after which the slower form is tried again; doubled every time that it lost
RETRY_TILES_MAX: Final = 2048


class FlowMode(IntEnum):
    """How tiles flow through the stages."""

    AUTO = 0  # overlapped where that was measured to be faster
    SERIAL = 1
    OVERLAPPED = 2


@dataclass(frozen=True, slots=True)
class Flow:
    """What the pipeline may use. The default overlaps nothing."""

    cores: int = 1  # that this process may run on
    mode: FlowMode = FlowMode.AUTO
    slots: int = 3  # tiles in flight: one being cut or stitched, one in the graph, one waiting for it

    def __post_init__(self) -> None:
        if self.cores < 1 or not 1 <= self.slots <= 64:
            raise ValueError(f"1 core and 1 to 64 slots at least, got {self}")


ONE_CORE: Final = Flow()


class Governor:
    """Chooses the form for the next tile from the times of those before. Only tiles that ran the graph are told."""

    def __init__(self, flow: Flow) -> None:
        self._fixed = flow.mode != FlowMode.AUTO or flow.cores < 2 or flow.slots < 2
        self.may_overlap = flow.mode == FlowMode.OVERLAPPED or not self._fixed
        self.overlapped = flow.mode == FlowMode.OVERLAPPED
        self._learnt = 0
        self._serial_s: float | None = None  # wall time of a tile, as measured last
        self._overlapped_s: float | None = None
        self._block_began_s: float | None = None
        self._block_tiles = 0
        self._since_change = 0
        self._retry_tiles = RETRY_TILES

    def stages(self, beside_s: float, run_s: float) -> None:
        """One tile went through the stages one after the other: cutting and stitching, and the graph."""
        if self._fixed or self._learnt >= LEARN_TILES:
            return
        self._learnt += 1
        if self._learnt == LEARN_TILES:
            self._serial_s = beside_s + run_s
            if _could_win(beside_s, run_s):
                self._change(True)

    def tile(self, now_s: float) -> None:
        """One tile has passed all stages, at this time of the same clock."""
        if self._fixed or self._learnt < LEARN_TILES:
            return
        self._since_change += 1
        if self._block_began_s is None:
            self._block_began_s, self._block_tiles = now_s, 0
            return
        self._block_tiles += 1
        if self._block_tiles >= BLOCK_TILES:
            self._judge((now_s - self._block_began_s) / self._block_tiles)
            self._block_began_s, self._block_tiles = now_s, 0

    def interrupted(self) -> None:
        """Something else took time: lines were waited for, a tile was not looked at. What was measured is put aside."""
        self._block_began_s = None

    def _judge(self, tile_s: float) -> None:
        if self.overlapped:
            self._overlapped_s = tile_s
            if self._serial_s is not None and tile_s > self._serial_s:
                self._change(False)  # measures the other form as it is now
            return
        self._serial_s = tile_s
        if self._overlapped_s is None:
            return  # the stages are too short for it, or it is not known yet
        if tile_s > self._overlapped_s:
            self._change(True)
        elif self._since_change >= self._retry_tiles:
            self._retry_tiles = min(2 * self._retry_tiles, RETRY_TILES_MAX)
            self._change(True)

    def _change(self, overlapped: bool) -> None:
        self.overlapped = overlapped
        self._since_change = 0
        self._block_began_s = None


def _could_win(beside_s: float, run_s: float) -> bool:
    """Whether hiding the shorter one behind the longer one is worth a handover."""
    saved_s = min(beside_s, run_s) - HANDOVER_S
    return saved_s > WORTH_SHARE * (beside_s + run_s)
