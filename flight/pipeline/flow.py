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
TRIAL_TILES: Final = 128  # after which the other form is tried for a block; doubled every time that it loses
TRIAL_TILES_MAX: Final = 2048
UPSET: Final = 1.25  # times slower than before: what was learnt may not hold any more


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

    It begins overlapped where there are cores for it, unless the stages are too short. Now and then the other form is
    tried for one block of tiles, and what was faster goes on: whether a core is free is seen in no other way.
    """

    def __init__(self, flow: Flow) -> None:
        self._automatic = flow.mode == FlowMode.AUTO and flow.cores >= 2 and flow.slots >= 2
        self.may_overlap = self._automatic or flow.mode == FlowMode.OVERLAPPED
        self.overlapped = self.may_overlap
        self._block = _Block()
        self._tile_s = {False: 0.0, True: 0.0}  # wall time of a tile in the last block of each form; 0: not known
        self._usual_s = 0.0  # wall time of a tile since the form was chosen; 0: not known
        self._trial = False  # whether this block decides
        self._tiles = 0  # since the last trial
        self._trial_tiles = TRIAL_TILES

    def tile(self, now_s: float, beside_s: float, run_s: float) -> None:
        """One tile has passed all stages at `now_s`, after so long in the graph and so long in the stages beside it."""
        if not self._automatic:
            return
        self._tiles += 1
        block = self._block
        if block.began_s is None:
            block.began_s = now_s  # the tile that opens a block may have waited for the change of form
            return
        block.tiles += 1
        block.beside_s += beside_s
        block.run_s += run_s
        if block.tiles == BLOCK_TILES:
            self._block = _Block(now_s)
            self._judge((now_s - block.began_s) / BLOCK_TILES, block.beside_s / BLOCK_TILES, block.run_s / BLOCK_TILES)

    def interrupted(self) -> None:
        """Something else took time: lines were waited for, a tile was not looked at. The block is not judged."""
        self._block = _Block()

    def _judge(self, tile_s: float, beside_s: float, run_s: float) -> None:
        self._tile_s[self.overlapped] = tile_s
        # hiding the shorter one behind the longer one must be worth a handover
        worth = min(beside_s, run_s) - HANDOVER_S > WORTH_SHARE * (beside_s + run_s)
        if self._trial:
            self._trial, self._tiles = False, 0
            won = tile_s < self._tile_s[not self.overlapped]
            self._trial_tiles = TRIAL_TILES if won else min(2 * self._trial_tiles, TRIAL_TILES_MAX)
            if not won:
                self._change(not self.overlapped)
            return
        if not worth:
            if self.overlapped:
                self._change(False)
            return
        if self._usual_s == 0.0:
            self._usual_s = tile_s
        elif tile_s > UPSET * self._usual_s:
            self._usual_s, self._trial_tiles = tile_s, TRIAL_TILES
        if self._tiles >= self._trial_tiles:
            self._trial = True
            self._change(not self.overlapped)

    def _change(self, overlapped: bool) -> None:
        self.overlapped, self._usual_s = overlapped, 0.0
        self._block = _Block()


@dataclass(slots=True)
class _Block:
    """Tiles that are judged together, and the sums of their times."""

    began_s: float | None = None
    tiles: int = 0
    beside_s: float = 0.0
    run_s: float = 0.0
