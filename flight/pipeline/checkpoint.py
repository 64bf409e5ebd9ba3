"""What lets a strip go on in another process at the next tile, with the same result.

Three files in one folder. `row.bin` keeps the scores of the tiles of the row in work, `classes.bin` the class
rows that are final, `state.bin` the stitcher and the counters after the last whole row. `state.bin` is replaced
atomically and says how much of the others counts, so a kill between any two writes loses at most one tile's work.
Nothing is forced to the medium: after a power cut, whatever does not match its CRC-32C is work to be done again.
"""

from __future__ import annotations

import os
import struct
from io import FileIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bindings.crc import crc32c
from flight.pipeline.errors import PipelineError
from flight.services import cbor

TILE_HEADER = struct.Struct("<4sIIIII")  # magic, tile row, tile column, classes, side, CRC-32C of all else
CRC_BYTES = 4
TILE_MAGIC = b"SWT2"
STATE_MAGIC = b"SWK3"
MAX_STATE_BYTES = 1 << 28
READ_BYTES = 1 << 20


class CheckpointUnusable(PipelineError, OSError):
    """The checkpoint folder cannot be written or read."""

    code = "checkpoint_unusable"

    def __init__(self, folder: str, reason: str) -> None:
        super().__init__(f"{folder}: {reason}")
        self.folder, self.reason = folder, reason


class Checkpoint:
    """The checkpoint of one strip under one setup; `digest` (32 bytes) names the setup, another one starts anew."""

    def __init__(self, folder: Path, digest: bytes, width: int) -> None:
        self._folder, self._digest, self._width = folder, digest, width
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._state = self._read_state()
            if self._state is None:
                for name in ("state.bin", "row.bin", "classes.bin"):
                    (folder / name).unlink(missing_ok=True)
            self._classes = (folder / "classes.bin").open("ab+", buffering=0)
            self._classes.truncate(self.class_rows_kept * width)
            self._row = (folder / "row.bin").open("ab+", buffering=0)
            if self._state is None:
                self._replace_state(0, 0, None)
        except OSError as error:
            raise CheckpointUnusable(str(folder), error.strerror or str(error)) from error

    @property
    def engine_state(self) -> dict[str, object] | None:
        """What save_row() was given last, None at the start of a strip."""
        kept = self._state["engine"] if self._state is not None else None
        return kept if isinstance(kept, dict) else None

    @property
    def class_rows_kept(self) -> int:
        """Final class rows that are on file."""
        rows = self._state["rows"] if self._state is not None else 0
        return rows if isinstance(rows, int) else 0

    def class_rows(self, first: int, count: int) -> NDArray[np.uint8]:
        """Final class rows (count, width). Raises CheckpointUnusable when they are not on file."""
        if first < 0 or count < 0 or first + count > self.class_rows_kept:
            raise CheckpointUnusable(str(self._folder), f"rows {first} + {count} are not among {self.class_rows_kept}")
        octets = os.pread(self._classes.fileno(), count * self._width, first * self._width)
        if len(octets) != count * self._width:
            raise CheckpointUnusable(str(self._folder), "classes.bin is shorter than it was")
        return np.frombuffer(octets, dtype=np.uint8).reshape(count, self._width)

    def save_tile(self, row: int, column: int, scores: NDArray[np.float32]) -> None:
        """Keep one tile's scores (classes, side, side)."""
        octets = np.ascontiguousarray(scores).reshape(-1).view(np.uint8)  # not a copy: a slot of the ring
        classes, side = scores.shape[:2]
        head = TILE_HEADER.pack(TILE_MAGIC, row, column, classes, side, 0)[:-CRC_BYTES]
        check = crc32c(octets, crc32c(head))
        self._write(self._row, head + check.to_bytes(CRC_BYTES, "little"), octets.data)

    def tiles(self, row: int, classes: int, side: int) -> dict[int, NDArray[np.float32]]:
        """Kept tiles of one tile row by column. A torn tail is left out and cut off."""
        kept: dict[int, NDArray[np.float32]] = {}
        size = classes * side * side * 4
        position = 0
        while True:
            record = os.pread(self._row.fileno(), TILE_HEADER.size + size, position)
            if len(record) < TILE_HEADER.size + size:
                break
            magic, tile_row, column, tile_classes, tile_side, crc = TILE_HEADER.unpack_from(record)
            octets = record[TILE_HEADER.size :]
            check = crc32c(octets, crc32c(record[: TILE_HEADER.size - CRC_BYTES]))
            if magic != TILE_MAGIC or (tile_classes, tile_side) != (classes, side) or check != crc:
                break
            if tile_row == row:
                kept[column] = np.frombuffer(octets, dtype=np.float32).reshape(classes, side, side).copy()
            position += len(record)
        self._row.truncate(position)
        return kept

    def save_row(self, engine_state: dict[str, object], rows: NDArray[np.uint8]) -> None:
        """A tile row is whole: append its final class rows, then replace the state, then forget its tiles."""
        octets = np.ascontiguousarray(rows).reshape(-1)
        self._write(self._classes, octets.data)
        try:
            self._replace_state(self.class_rows_kept + rows.shape[0], crc32c(octets, self._crc), engine_state)
            self._row.truncate(0)
        except OSError as error:
            raise CheckpointUnusable(str(self._folder), error.strerror or str(error)) from error

    def close(self) -> None:
        self._classes.close()
        self._row.close()

    @property
    def _crc(self) -> int:
        """CRC-32C of the class rows that are kept."""
        crc = self._state["crc"] if self._state is not None else 0
        return crc if isinstance(crc, int) else 0

    def _replace_state(self, rows: int, crc: int, engine_state: dict[str, object] | None) -> None:
        state: dict[str, object] = {"digest": self._digest, "rows": rows, "crc": crc, "engine": engine_state}
        body = cbor.encode(state)
        temporary = self._folder / "state.new"
        temporary.write_bytes(STATE_MAGIC + crc32c(body).to_bytes(4, "little") + body)
        temporary.replace(self._folder / "state.bin")
        self._state = state

    def _write(self, stream: FileIO, *parts: bytes | memoryview) -> None:
        """Append, in one call of the system where it takes all."""
        views = [memoryview(part) for part in parts]
        try:
            while views:
                written = os.writev(stream.fileno(), views)
                while views and written >= len(views[0]):
                    written -= len(views.pop(0))
                if views:
                    views[0] = views[0][written:]
        except OSError as error:
            raise CheckpointUnusable(str(self._folder), error.strerror or str(error)) from error

    def _read_state(self) -> dict[str, object] | None:
        path = self._folder / "state.bin"
        if not path.exists() or path.stat().st_size > MAX_STATE_BYTES:
            return None
        octets = path.read_bytes()
        body = octets[8:]
        if not body or octets[:4] != STATE_MAGIC or crc32c(body) != int.from_bytes(octets[4:8], "little"):
            return None
        try:
            state = cbor.decode(body, max_bytes=MAX_STATE_BYTES)
        except cbor.CborError:
            return None
        if not isinstance(state, dict) or state.get("digest") != self._digest:
            return None
        rows, crc = state.get("rows"), state.get("crc")
        if not isinstance(rows, int) or crc != _crc_of(self._folder / "classes.bin", rows * self._width):
            return None
        return state


def _crc_of(path: Path, size: int) -> int | None:
    """CRC-32C of the first `size` octets of a file; None when it is shorter or absent."""
    crc, left = 0, size
    try:
        with path.open("rb") as stream:
            while left and (block := stream.read(min(left, READ_BYTES))):
                crc, left = crc32c(block, crc), left - len(block)
    except FileNotFoundError:
        return None
    return None if left else crc
