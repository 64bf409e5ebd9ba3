"""One npz file: `img` (rows, cols, bands) read row by row out of the archive, and the small arrays beside it.

Nothing is unpickled, nothing is allocated before its header was checked, and a compressed image is streamed: reading on
goes forward in the stream, going back starts it again.
"""

from __future__ import annotations

import ast
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from hal.sensor.errors import CompressionUnsupported, SceneTooLarge, SceneTruncated, SceneUnreadable
from hal.sensor.raw import (
    MAX_BANDS,
    MAX_BLOCK_BYTES,
    FileFacts,
    Transform,
    checked_dtype,
    checked_shape,
    checked_transform,
)

IMAGE = "img"
SMALL_BYTES = 1 << 16  # of any array beside the image
MAX_HEADER_BYTES = 4096
PIECE_BYTES = 1 << 20
MAX_MEMBERS = 64


class NpzRows:
    """Rows of `img`."""

    def __init__(self, path: Path) -> None:
        """Read and check every header. Raises SceneError."""
        self._path = str(path)
        self._stream: IO[bytes] | None = None
        self._at = 0  # row that the stream stands before
        try:
            self._archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError) as error:
            raise SceneUnreadable(self._path, f"not an npz file: {error}") from error
        try:
            if len(self._archive.namelist()) > MAX_MEMBERS:
                raise SceneTooLarge(self._path, "arrays", len(self._archive.namelist()), MAX_MEMBERS)
            self._open_image()
            self.facts = self._read_facts()
        except BaseException:
            self.close()
            raise

    def read_rows_into(self, first: int, out: NDArray[Any]) -> None:
        """Rows from `first` on into (count, width, bands) of native samples. Raises SceneTruncated, SceneUnreadable."""
        count = out.shape[0]
        if self._columns_first is not None:
            out[...] = self._columns_first[first : first + count]
            return
        if self._stream is None or first < self._at:
            self._open_image()
        assert self._stream is not None
        row_bytes = self._shape[1] * self._shape[2] * self._dtype.itemsize
        skip = (first - self._at) * row_bytes
        while skip:
            skip -= len(self._read(self._stream, min(skip, PIECE_BYTES)))
        into = out.reshape(-1).view(np.uint8)
        done = 0
        while done < len(into):
            piece = self._read(self._stream, min(len(into) - done, PIECE_BYTES))
            into[done : done + len(piece)] = np.frombuffer(piece, np.uint8)
            done += len(piece)
        self._at = first + count
        if not self._native:
            out.byteswap(inplace=True)

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        self._archive.close()

    def _open_image(self) -> None:
        """Stand before row 0."""
        if self._stream is not None:
            self._stream.close()
        self._stream = self._member(IMAGE)
        shape, fortran, dtype = self._header(self._stream)
        if len(shape) not in (2, 3):
            raise SceneUnreadable(self._path, f"`img` has {len(shape)} axes, needs (rows, cols, bands)")
        height, width, count = (*shape, 1)[:3]
        checked_shape(self._path, height, width, count)
        checked_dtype(self._path, dtype.name)
        self._native = dtype.isnative
        self._shape, self._dtype = (height, width, count), dtype.newbyteorder("=")
        row_bytes = width * count * dtype.itemsize
        if row_bytes > MAX_BLOCK_BYTES:
            raise SceneTooLarge(self._path, "bytes of one row", row_bytes, MAX_BLOCK_BYTES)
        promised = height * row_bytes
        if (held := self._archive.getinfo(f"{IMAGE}.npy").file_size) < promised:
            raise SceneTruncated(self._path, promised, held)
        self._at = 0
        self._columns_first: NDArray[Any] | None = None
        if fortran and min(height, width * count) > 1:  # no row of it lies in one piece
            if promised > MAX_BLOCK_BYTES:
                raise SceneTooLarge(self._path, "bytes of an image in Fortran order", promised, MAX_BLOCK_BYTES)
            octets = self._exactly(self._stream, promised)
            whole = np.frombuffer(octets, dtype).reshape(shape, order="F").astype(self._dtype)
            self._columns_first = whole.reshape(self._shape)

    def _member(self, name: str) -> IO[bytes]:
        try:
            info = self._archive.getinfo(f"{name}.npy")
        except KeyError as error:
            raise SceneUnreadable(self._path, f"has no array `{name}`") from error
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            kind = f"zip method {info.compress_type}"
            raise CompressionUnsupported(self._path, kind, "save it with numpy.savez_compressed")
        try:
            return self._archive.open(info)
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError, ValueError, EOFError) as error:
            raise SceneUnreadable(self._path, f"`{name}`: {error}") from error

    def _read(self, stream: IO[bytes], size: int) -> bytes:
        """1 ... size octets."""
        try:
            octets = stream.read(size)
        except EOFError:
            octets = b""
        except (zipfile.BadZipFile, zlib.error, OSError, ValueError) as error:
            raise SceneUnreadable(self._path, f"damaged archive: {error}") from error
        if not octets:
            raise SceneTruncated(self._path, size, 0)
        return octets

    def _exactly(self, stream: IO[bytes], size: int) -> bytes:
        octets = bytearray()
        while len(octets) < size:
            octets += self._read(stream, min(size - len(octets), PIECE_BYTES))
        return bytes(octets)

    def _header(self, stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
        """(shape, Fortran order, dtype) of a npy member (NumPy format versions 1 to 3)."""
        prefix = self._exactly(stream, 8)
        if prefix[:6] != b"\x93NUMPY" or prefix[6] not in (1, 2, 3):
            raise SceneUnreadable(self._path, "an array that is not in npy format")
        size = int.from_bytes(self._exactly(stream, 2 if prefix[6] == 1 else 4), "little")
        if size > MAX_HEADER_BYTES:
            raise SceneTooLarge(self._path, "bytes of an array's header", size, MAX_HEADER_BYTES)
        header = self._exactly(stream, size).decode("latin-1")
        try:
            said = ast.literal_eval(header)
            shape, fortran, descr = said["shape"], said["fortran_order"], said["descr"]
            dtype = np.dtype(descr) if isinstance(descr, str) else None
        except (SyntaxError, ValueError, TypeError, KeyError, MemoryError, RecursionError) as error:
            raise SceneUnreadable(self._path, "an array's header makes no sense") from error
        if (
            dtype is None
            or not isinstance(shape, tuple)
            or not all(type(side) is int and side >= 0 for side in shape)
            or not isinstance(fortran, bool)
        ):
            raise SceneUnreadable(self._path, "an array's header makes no sense")
        return shape, fortran, dtype

    def _small(self, name: str) -> NDArray[Any] | None:
        """A small array of numbers or text beside the image, flat; None when absent."""
        if f"{name}.npy" not in self._archive.namelist():
            return None
        with self._member(name) as stream:
            shape, _, dtype = self._header(stream)
            if dtype.kind not in "iufUS" or len(shape) > 2:
                raise SceneUnreadable(self._path, f"`{name}` must be text or numbers")
            count = 1
            for side in shape:
                count *= side
            if count * dtype.itemsize > SMALL_BYTES or count > MAX_BANDS:
                raise SceneTooLarge(self._path, f"bytes of `{name}`", count * dtype.itemsize, SMALL_BYTES)
            octets = self._exactly(stream, count * dtype.itemsize) if count * dtype.itemsize else b""
            return np.frombuffer(octets, dtype) if octets else np.zeros(0, dtype)

    def _texts(self, name: str) -> tuple[str, ...] | None:
        values = self._small(name)
        if values is None:
            return None
        try:
            return tuple(item.decode("utf-8") if isinstance(item, bytes) else str(item) for item in values.tolist())
        except (UnicodeDecodeError, ValueError) as error:
            raise SceneUnreadable(self._path, f"`{name}` is not text") from error

    def _read_facts(self) -> FileFacts:
        height, width, count = self._shape
        names = self._texts("bands")
        if names is not None and len(names) != count:
            raise SceneUnreadable(self._path, f"`bands` names {len(names)} bands, `img` has {count}")
        sensor = self._texts("sensor")
        crs = self._texts("crs")
        epsg = _epsg(crs[0]) if crs else None
        if crs and epsg is None:
            raise SceneUnreadable(self._path, f"`crs` must be an EPSG code, got {crs[0][:80]!r}")
        geographic = epsg is not None and 4000 < epsg < 5000  # the block of geographic codes
        return FileFacts(
            width=width,
            height=height,
            count=count,
            dtype=self._dtype.name,
            band_names=names,
            sensor=sensor[0] if sensor and sensor[0] else None,
            transform=self._transform(),
            epsg=epsg,
            geographic=geographic,
            metres_per_unit=None if epsg is None or geographic else 1.0,
        )

    def _transform(self) -> Transform | None:
        values = self._small("transform")
        if values is None:
            return None
        if values.dtype.kind in "US" or len(values) not in (6, 9):
            raise SceneUnreadable(self._path, "`transform` must hold 6 or 9 numbers (a, b, c, d, e, f)")
        return checked_transform(self._path, tuple(float(value) for value in values[:6]))


def _epsg(text: str) -> int | None:
    code = text.strip().upper().removeprefix("EPSG:")
    return int(code) if code.isascii() and code.isdigit() and 1024 <= int(code[:9]) < 1_000_000 else None
