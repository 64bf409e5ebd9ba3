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
BLOCK_TILES: Final = 16  # judged together
PATIENCE_TILES: Final = 64  # that a form which just won against the other is kept for
RETRY_TILES: Final = 128  # after which the form that lost is tried again; doubled every time that it loses
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
    """Chooses the form for the next tile from the times of those before. Only tiles that ran the graph are told.

    It begins overlapped where there are cores for it. A block of tiles that took longer than their stages would take in
    a row is followed by a block in a row, and what was faster goes on.
    """

    def __init__(self, flow: Flow) -> None:
        automatic = flow.mode == FlowMode.AUTO and flow.cores >= 2 and flow.slots >= 2
        self.may_overlap = automatic or flow.mode == FlowMode.OVERLAPPED
        self.overlapped = self.may_overlap
        self._automatic = automatic
        self._run_s = float("inf")  # the shortest run of the graph
        self._serial_s: float | None = None  # wall time of a tile in the last block of each form
        self._overlapped_s = 0.0
        self._block_began_s: float | None = None
        self._block_tiles = 0
        self._block_beside_s = 0.0
        self._since_change = 0
        self._patience_tiles = 0
        self._retry_tiles = RETRY_TILES

    def tile(self, now_s: float, beside_s: float, run_s: float) -> None:
        """One tile has passed all stages at `now_s`, after so long in the graph and so long in the stages beside it."""
        if not self._automatic:
            return
        self._run_s = min(self._run_s, run_s)
        self._since_change += 1
        if self._block_began_s is None:
            self._block_began_s, self._block_tiles, self._block_beside_s = now_s, 0, 0.0
            return
        self._block_tiles += 1
        self._block_beside_s += beside_s
        if self._block_tiles >= BLOCK_TILES:
            self._judge((now_s - self._block_began_s) / self._block_tiles, self._block_beside_s / self._block_tiles)
            self._block_began_s, self._block_tiles, self._block_beside_s = now_s, 0, 0.0

    def interrupted(self) -> None:
        """Something else took time: lines were waited for, a tile was not looked at. The block is not judged."""
        self._block_began_s = None

    def _judge(self, tile_s: float, beside_s: float) -> None:
        in_a_row_s = beside_s + self._run_s
        # hiding the shorter one behind the longer one must be worth a handover
        worth = min(beside_s, self._run_s) - HANDOVER_S > WORTH_SHARE * in_a_row_s
        if self.overlapped:
            self._overlapped_s = tile_s
            slower = tile_s > (in_a_row_s if self._serial_s is None else self._serial_s)
            if not worth or (slower and self._since_change >= self._patience_tiles):
                self._change(False, 0)
            return
        first_block = self._since_change <= BLOCK_TILES + 1
        self._serial_s = tile_s
        if worth and first_block and tile_s > self._overlapped_s:
            self._change(True, PATIENCE_TILES)
        elif worth and self._since_change >= self._retry_tiles:
            self._retry_tiles = min(2 * self._retry_tiles, RETRY_TILES_MAX)
            self._change(True, 0)

    def _change(self, overlapped: bool, patience_tiles: int) -> None:
        self.overlapped = overlapped
        self._patience_tiles = patience_tiles
        self._since_change = 0
        self._block_began_s = None
