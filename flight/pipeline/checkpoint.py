"""What lets a strip go on in another process at the next tile, with the same result.

Four files in one folder. `row.bin` begins with the scores of the tiles of the row in work (what follows them is of rows
before), `classes.bin` holds the class rows that are final, `state0.bin` and `state1.bin` in turns the stitcher and the
counters after a whole row. The newest whole state says how much of the others counts, so a kill between or within any
two writes loses at most one tile's work. Files are written over, which costs less than new pages and a new name.
Nothing is forced to the medium: after a power cut, whatever does not match its CRC-32C is work to be done again.
"""

from __future__ import annotations

import os
import struct
from io import FileIO
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from bindings.crc import crc32c
from flight.pipeline.errors import PipelineError
from flight.services import cbor

TILE_HEADER = struct.Struct("<4sIIIII")  # magic, tile row, tile column, classes, side, CRC-32C of all else
CRC_BYTES = 4
TILE_MAGIC = b"SWT2"
STATE_HEADER = struct.Struct("<4sII")  # magic, CRC-32C of the body, its length
STATE_MAGIC = b"SWK4"
STATES = ("state0.bin", "state1.bin")
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
                for name in (*STATES, "row.bin", "classes.bin"):
                    (folder / name).unlink(missing_ok=True)
            self._classes = _opened(folder / "classes.bin")
            self._classes.truncate(self.class_rows_kept * width)
            self._row = _opened(folder / "row.bin")
            self._row_at = 0  # where the next tile goes
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
        self._write(self._row, self._row_at, head + check.to_bytes(CRC_BYTES, "little"), octets.data)
        self._row_at += TILE_HEADER.size + octets.size

    def tiles(self, row: int, classes: int, side: int) -> dict[int, NDArray[np.float32]]:
        """Kept tiles of one tile row by column, to which save_tile() then adds. A torn one ends them.

        Asked once, before anything is saved.
        """
        kept: dict[int, NDArray[np.float32]] = {}
        size = classes * side * side * 4
        self._row_at = position = 0
        while True:
            record = os.pread(self._row.fileno(), TILE_HEADER.size + size, position)
            if len(record) < TILE_HEADER.size + size:
                break
            magic, tile_row, column, tile_classes, tile_side, crc = TILE_HEADER.unpack_from(record)
            octets = record[TILE_HEADER.size :]
            check = crc32c(octets, crc32c(record[: TILE_HEADER.size - CRC_BYTES]))
            if magic != TILE_MAGIC or (tile_row, tile_classes, tile_side) != (row, classes, side) or check != crc:
                break
            kept[column] = np.frombuffer(octets, dtype=np.float32).reshape(classes, side, side).copy()
            self._row_at = position = position + len(record)
        return kept

    def save_row(self, engine_state: dict[str, object], rows: NDArray[np.uint8]) -> None:
        """A tile row is whole: append its final class rows, then replace the state."""
        octets = np.ascontiguousarray(rows).reshape(-1)
        self._write(self._classes, self.class_rows_kept * self._width, octets.data)
        self._row_at = 0
        try:
            self._replace_state(self.class_rows_kept + rows.shape[0], crc32c(octets, self._crc), engine_state)
        except OSError as error:
            raise CheckpointUnusable(str(self._folder), error.strerror or str(error)) from error

    def close(self) -> None:
        """Close the files, and give back what `row.bin` holds of rows before."""
        if not self._row.closed:
            self._row.truncate(self._row_at)
        self._classes.close()
        self._row.close()

    @property
    def _number(self) -> int:
        """Of the state that counts; states are numbered from 1."""
        number = self._state["number"] if self._state is not None else 0
        return number if isinstance(number, int) else 0

    @property
    def _crc(self) -> int:
        """CRC-32C of the class rows that are kept."""
        crc = self._state["crc"] if self._state is not None else 0
        return crc if isinstance(crc, int) else 0

    def _replace_state(self, rows: int, crc: int, engine_state: dict[str, object] | None) -> None:
        """Write over the older state; until that is whole, the newer one counts."""
        number = self._number + 1
        state: dict[str, object] = {
            "digest": self._digest,
            "number": number,
            "rows": rows,
            "crc": crc,
            "engine": engine_state,
        }
        body = cbor.encode(state)
        with _opened(self._folder / STATES[number % len(STATES)]) as stream:
            self._write(stream, 0, STATE_HEADER.pack(STATE_MAGIC, crc32c(body), len(body)), body)
        self._state = state

    def _write(self, stream: FileIO, at: int, *parts: bytes | memoryview) -> None:
        """Write from octet `at` on, in one call of the system where it takes all."""
        views = [memoryview(part) for part in parts]
        try:
            while views:
                written = os.pwritev(stream.fileno(), views, at)
                at += written
                while views and written >= len(views[0]):
                    written -= len(views.pop(0))
                if views:
                    views[0] = views[0][written:]
        except OSError as error:
            raise CheckpointUnusable(str(self._folder), error.strerror or str(error)) from error

    def _read_state(self) -> dict[str, object] | None:
        """The newest state that is whole and whose class rows are."""
        found = [state for name in STATES if (state := self._read_one(self._folder / name)) is not None]
        for state in sorted(found, key=lambda state: cast(int, state["number"]), reverse=True):
            if state["crc"] == _crc_of(self._folder / "classes.bin", cast(int, state["rows"]) * self._width):
                return state
        return None

    def _read_one(self, path: Path) -> dict[str, object] | None:
        """A state of this setup, as far as it can be known without the class rows."""
        try:
            with path.open("rb") as stream:
                header = stream.read(STATE_HEADER.size)
                if len(header) < STATE_HEADER.size:
                    return None
                magic, crc, length = STATE_HEADER.unpack(header)
                if magic != STATE_MAGIC or length > MAX_STATE_BYTES:
                    return None
                body = stream.read(length)
        except FileNotFoundError:
            return None
        if len(body) != length or crc32c(body) != crc:
            return None
        try:
            state = cbor.decode(body, max_bytes=MAX_STATE_BYTES)
        except cbor.CborError:
            return None
        if not isinstance(state, dict) or state.get("digest") != self._digest:
            return None
        whole = all(isinstance(state.get(name), int) for name in ("number", "rows", "crc"))
        return state if whole else None


def _opened(path: Path) -> FileIO:
    """To read and write anywhere; made when it is not there."""
    return FileIO(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644), "r+")


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
