"""One TIFF file: its structure through tifffile, its segments through our own bounded decoders.

tifffile reads the tags; everything it returns is checked before it is used, because the file may lie. Pixels are
decoded one row of strips or tiles at a time and only the latest such row is kept.
"""

from __future__ import annotations

import importlib.util
import logging
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tifffile
from numpy.typing import NDArray

from hal.sensor import geokeys, tiff_codec
from hal.sensor.errors import (
    CompressionUnsupported,
    DtypeUnsupported,
    SceneError,
    SceneTooLarge,
    SceneTruncated,
    SceneUnreadable,
)
from hal.sensor.gdal_metadata import GdalMetadata, parse_items
from hal.sensor.raw import (
    MAX_BLOCK_BYTES,
    MAX_SEGMENT_BYTES,
    FileFacts,
    checked_dtype,
    checked_shape,
)

PREDICTORS = (1, 2, 3)
PACKBITS = 32773
MIN_IS_BLACK, RGB = 1, 2
UNCOMPRESSED_BLOCK_BYTES = 4 << 20  # a long raw strip is read in pieces of about this size
_SAMPLE_FORMATS = {1: "uint", 2: "int", 3: "float", 4: "void", 5: "complexint", 6: "complex"}

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # what it says of a hostile file is not for stderr


@contextmanager
def parsing(path: str) -> Iterator[None]:
    """tifffile on hostile octets may raise anything; a scene that it cannot parse is unreadable, whatever it raised."""
    try:
        yield
    except SceneError:
        raise
    except (Exception, RecursionError) as error:
        reason = str(error).split("\n", 1)[0][:200] or type(error).__name__
        raise SceneUnreadable(path, f"not a TIFF that can be parsed: {reason}") from error


class TiffRows:
    """Rows of the first image of a TIFF file."""

    def __init__(self, path: Path) -> None:
        """Parse and check the structure; no pixel is read. Raises SceneError."""
        self._path = str(path)
        self._tiff: tifffile.TiffFile | None = None
        self._block: NDArray[Any] | None = None
        self._block_first = -1
        with parsing(self._path):
            self._tiff = tifffile.TiffFile(path)
        try:
            with parsing(self._path):
                self._size = path.stat().st_size
                self._page = self._first_page()
                self._read_structure()
                self.facts = self._read_facts()
        except BaseException:
            self.close()
            raise

    def read_rows_into(self, first: int, out: NDArray[Any]) -> None:
        """Rows from `first` on into (count, width, bands) of native samples. Raises SceneTruncated, SceneUnreadable."""
        if self._as_they_lie:
            self._copy_rows(first, out)
            return
        row, last = first, first + out.shape[0]
        while row < last:
            start = row - row % self._block_rows
            block = self._block_at(start)
            end = min(last, start + block.shape[0])
            out[row - first : end - first] = block[row - start : end - start]
            row = end

    def close(self) -> None:
        self._block = None
        if self._tiff is not None:
            self._tiff.close()
            self._tiff = None

    # Structure

    def _first_page(self) -> tifffile.TiffPage:
        assert self._tiff is not None
        page = self._tiff.pages[0]
        if not isinstance(page, tifffile.TiffPage):
            raise SceneUnreadable(self._path, "the first image has no tags")
        if self._has_second_image(page):
            raise SceneUnreadable(self._path, "several images of one size in one file; bands belong in one image")
        return page

    def _has_second_image(self, page: tifffile.TiffPage) -> bool:
        """Overviews and masks may follow; a second image of the same size means bands as pages, in no known order."""
        assert self._tiff is not None
        try:
            second = self._tiff.pages[1]
        except IndexError:
            return False
        if not isinstance(second, tifffile.TiffPage):
            return False
        return bool((second.imagelength, second.imagewidth) == (page.imagelength, page.imagewidth)) and not (
            int(second.tags.valueof(254, default=0)) & 5
        )

    def _read_structure(self) -> None:
        page, path = self._page, self._path
        self._order: Literal["<", ">"] = ">" if page.parent.byteorder == ">" else "<"
        height, width, count = int(page.imagelength), int(page.imagewidth), int(page.samplesperpixel)
        checked_shape(path, height, width, count)
        if int(page.imagedepth) != 1 or int(getattr(page, "tiledepth", 1) or 1) != 1:
            raise SceneUnreadable(path, "a volume, not an image")
        self._dtype = np.dtype(checked_dtype(path, self._sample_type()))
        if int(page.photometric) not in (MIN_IS_BLACK, RGB):
            raise SceneUnreadable(
                path,
                f"photometric interpretation {getattr(page.photometric, 'name', page.photometric)} is no measurement",
            )
        if int(page.tags.valueof(266, default=1)) != 1:
            raise SceneUnreadable(path, "bit-reversed samples (FillOrder 2)")
        self._check_codec()
        self._planar = int(page.planarconfig) == 2 and count > 1
        self._tiled = bool(page.is_tiled)
        native = self._dtype.itemsize == 1 or self._order == ("<" if sys.byteorder == "little" else ">")
        self._as_they_lie = self._compression == tiff_codec.NONE and not (self._tiled or self._planar) and native
        if self._tiled:
            self._segment_rows, self._segment_columns = int(page.tilelength), int(page.tilewidth)
        else:
            self._segment_rows, self._segment_columns = min(int(page.rowsperstrip), height), width
        self._segment_samples = 1 if self._planar else count
        segment_bytes = self._segment_rows * self._segment_columns * self._segment_samples * self._dtype.itemsize
        if min(self._segment_rows, self._segment_columns) < 1:
            raise SceneUnreadable(path, "a strip or tile without pixels")
        self._across = -(-width // self._segment_columns)
        self._down = -(-height // self._segment_rows)
        self._in_pieces = self._compression == tiff_codec.NONE and not self._tiled
        if not self._in_pieces and segment_bytes > MAX_SEGMENT_BYTES:
            raise SceneTooLarge(path, "bytes of one strip or tile", segment_bytes, MAX_SEGMENT_BYTES)
        row_bytes = width * count * self._dtype.itemsize
        self._block_rows = self._segment_rows
        if self._in_pieces:  # keeps to whole strips: a block never crosses one
            self._block_rows = next(
                rows
                for rows in range(max(1, min(self._segment_rows, UNCOMPRESSED_BLOCK_BYTES // row_bytes)), 0, -1)
                if self._segment_rows % rows == 0 or self._down == 1
            )
        if self._block_rows * row_bytes > MAX_BLOCK_BYTES:
            raise SceneTooLarge(path, "bytes of one row of tiles", self._block_rows * row_bytes, MAX_BLOCK_BYTES)
        self._check_segments(height, width, count)

    def _sample_type(self) -> str:
        """The dtype's name; the widths of all samples must be whole and equal."""
        bits = self._page.tags.valueof(258, default=1)
        widths = set(bits) if isinstance(bits, (tuple, list)) else {bits}
        formats = self._page.tags.valueof(339, default=1)
        kinds = set(formats) if isinstance(formats, (tuple, list)) else {formats}
        if len(widths) != 1 or len(kinds) != 1:
            raise DtypeUnsupported(self._path, "mixed")
        width, kind = int(widths.pop()), int(kinds.pop())
        return f"{_SAMPLE_FORMATS.get(kind, 'unknown')}{width}"

    def _check_codec(self) -> None:
        page, path = self._page, self._path
        self._compression, self._predictor = int(page.compression), int(page.predictor)
        name = getattr(page.compression, "name", str(self._compression))
        if self._predictor not in PREDICTORS:
            raise CompressionUnsupported(path, f"predictor {self._predictor}", "predictors 1 to 3 are")
        if (self._predictor == 3) and self._dtype.kind != "f":
            raise SceneUnreadable(path, "the floating-point predictor on whole numbers")
        if self._compression in tiff_codec.OWN_COMPRESSIONS:
            return
        alone = self._compression == PACKBITS and self._predictor == 1  # what tifffile itself undoes
        if not alone and importlib.util.find_spec("imagecodecs") is None:
            raise CompressionUnsupported(path, name)
        try:
            tifffile.TIFF.DECOMPRESSORS[self._compression]
        except KeyError as error:
            raise CompressionUnsupported(path, name, "nothing that is installed undoes it") from error

    def _check_segments(self, height: int, width: int, count: int) -> None:
        """Every segment that the header promises lies inside the file."""
        needed = self._across * self._down * (count if self._planar else 1)
        offsets, sizes = self._page.dataoffsets, self._page.databytecounts
        if len(offsets) < needed or len(sizes) < needed:
            raise SceneUnreadable(
                self._path, f"lists {min(len(offsets), len(sizes))} strips or tiles where its size needs {needed}"
            )
        self._offsets = np.asarray(offsets[:needed], np.int64)
        self._sizes = np.asarray(sizes[:needed], np.int64)
        if self._offsets.min() < 0 or self._sizes.min() < 0:
            raise SceneUnreadable(self._path, "a strip or tile at a negative place")
        ends = np.where(self._sizes > 0, self._offsets.astype(np.float64) + self._sizes, 0)
        if (end := float(ends.max())) > self._size:
            raise SceneTruncated(self._path, int(end), self._size)
        if self._in_pieces:
            rows = np.full(self._down, self._segment_rows)
            rows[-1] = height - self._segment_rows * (self._down - 1)
            raw = np.tile(rows * (width * self._segment_samples * self._dtype.itemsize), needed // self._down)
            short = (self._sizes > 0) & (self._sizes < raw)
            if short.any():
                worst = int(np.argmax(short))
                raise SceneTruncated(self._path, int(raw[worst]), int(self._sizes[worst]))

    # Pixels

    def _copy_rows(self, first: int, out: NDArray[Any]) -> None:
        """Rows that lie in the file as they are wanted."""
        for offset, start, end in self._stretches(first, first + out.shape[0], out.strides[0]):
            rows = out[start - first : end - first]
            if offset is None:  # GDAL leaves out what holds no data
                rows[...] = self._fill
            else:
                self._copy_octets(offset, rows.reshape(-1).view(np.uint8))

    def _stretches(self, first: int, last: int, row_bytes: int) -> Iterator[tuple[int | None, int, int]]:
        """(place in the file or None, first row, end row): strips, those that follow each other in the file as one."""
        place, start, row = None, first, first
        while row < last:
            segment, skip = divmod(row, self._segment_rows)
            offset = int(self._offsets[segment]) + skip * row_bytes if self._sizes[segment] else None
            follows = None not in (offset, place) and offset == (place or 0) + (row - start) * row_bytes
            if row > start and not follows:
                yield place, start, row
                start = row
            if row == start:
                place = offset
            row = min(row - skip + self._segment_rows, last)
        yield place, start, row

    def _block_at(self, start: int) -> NDArray[Any]:
        """The rows [start, start + block rows) of the image, interleaved."""
        if self._block is None or self._block_first != start:
            facts = self.facts
            rows = min(self._block_rows, facts.height - start)
            self._block, self._block_first = None, -1
            block = np.empty((rows, facts.width, facts.count), self._dtype)
            segment_row, skip = divmod(start, self._segment_rows)
            for plane in range(facts.count if self._planar else 1):
                into = block[:, :, plane : plane + 1] if self._planar else block
                for column in range(self._across):
                    index = (plane * self._down + segment_row) * self._across + column
                    left = column * self._segment_columns
                    piece = self._segment(index, rows, skip)
                    target = into[:, left : left + self._segment_columns]
                    target[...] = piece[: target.shape[0], : target.shape[1]]
            self._block, self._block_first = block, start
        return self._block

    def _segment(self, index: int, rows: int, skip: int) -> NDArray[Any]:
        """One decoded strip or tile (rows, columns, samples); of an uncompressed strip the `rows` after `skip`."""
        columns, count = self._segment_columns, self._segment_samples
        if self._sizes[index] == 0:  # GDAL leaves out what holds no data
            return np.full((rows, columns, count), self._fill, self._dtype)
        # A strip holds only the rows that the image has; a tile is always whole.
        shape = (self._segment_rows if self._tiled else rows, columns, count)
        size = shape[0] * columns * count * self._dtype.itemsize
        row_bytes = columns * count * self._dtype.itemsize
        if self._in_pieces:
            octets = self._octets(int(self._offsets[index]) + skip * row_bytes, size)
            return tiff_codec.samples(octets, shape, self._dtype, self._order, 1)
        stored = int(self._sizes[index])
        if stored > 2 * size + 65536:
            raise SceneUnreadable(self._path, f"strip or tile {index} is larger packed than unpacked")
        packed = self._octets(int(self._offsets[index]), stored)
        if self._compression not in tiff_codec.OWN_COMPRESSIONS:
            return self._foreign_segment(packed, index, shape)
        try:
            octets = tiff_codec.decompress(packed, self._compression, size, self._segment_rows * row_bytes)
        except tiff_codec.SegmentCorrupt as error:
            raise SceneUnreadable(self._path, f"strip or tile {index}: {error}") from error
        if len(octets) < size:
            raise SceneTruncated(self._path, size, len(octets))
        return tiff_codec.samples(octets, shape, self._dtype, self._order, self._predictor)

    def _foreign_segment(self, packed: bytes, index: int, shape: tuple[int, int, int]) -> NDArray[Any]:
        """A segment in a compression that tifffile or imagecodecs undoes."""
        with parsing(self._path):
            decoded = self._page.decode(packed, index, jpegtables=self._page.jpegtables)[0]
            if decoded is None:
                raise SceneUnreadable(self._path, f"strip or tile {index} is empty")
            values: NDArray[Any] = np.asarray(decoded)[0]
            if values.shape[1:] != shape[1:] or values.shape[0] > shape[0] or values.dtype != self._dtype:
                raise SceneUnreadable(self._path, f"strip or tile {index} decodes to {values.dtype} {values.shape}")
            return values

    def _copy_octets(self, offset: int, into: NDArray[np.uint8]) -> None:
        if self._tiff is None:
            raise SceneUnreadable(self._path, "is closed")
        done = 0
        while done < len(into):
            count = os.preadv(self._tiff.filehandle.fileno(), [into[done:].data], offset + done)
            if count == 0:
                raise SceneTruncated(self._path, offset + len(into), offset + done)
            done += count

    def _octets(self, offset: int, size: int) -> bytes:
        if self._tiff is None:
            raise SceneUnreadable(self._path, "is closed")
        octets = os.pread(self._tiff.filehandle.fileno(), size, offset)
        if len(octets) < size:
            raise SceneTruncated(self._path, offset + size, offset + len(octets))
        return octets

    # Meaning

    def _read_facts(self) -> FileFacts:
        page, path = self._page, self._path
        count = int(page.samplesperpixel)
        text = page.tags.valueof(42112, default="")
        items = parse_items(text) if isinstance(text, str) else GdalMetadata()
        names = tuple(items.descriptions.get(band, "") for band in range(count))
        nodata = self._nodata(page.tags.valueof(42113, default=None))
        self._fill = nodata if nodata is not None else 0
        directory = page.tags.valueof(34735, default=None)
        keys = geokeys.short_keys(path, directory) if isinstance(directory, (tuple, list)) else {}
        transform = geokeys.transform_of(path, keys, *(self._numbers(code) for code in (33550, 33922, 34264)))
        return FileFacts(
            width=int(page.imagewidth),
            height=int(page.imagelength),
            count=count,
            dtype=self._dtype.name,
            band_names=names if any(names) else None,
            tags=items.tags,
            scale=_per_band(items.scales, count, 1.0),
            offset=_per_band(items.offsets, count, 0.0),
            nodata=nodata,
            transform=transform,
            epsg=geokeys.epsg_of(keys),
            geographic=geokeys.is_geographic(keys),
            metres_per_unit=geokeys.metres_per_unit(keys),
        )

    def _nodata(self, text: Any) -> float | None:
        """GDAL_NODATA, None when the samples cannot hold it (NaN needs no naming: it is never a measurement)."""
        try:
            value = float(str(text).strip(" \0"))
        except ValueError:
            return None
        if not math.isfinite(value):
            return None
        with np.errstate(over="ignore"):
            held = np.float32(value) if self._dtype.kind == "f" else value
        if self._dtype.kind == "f":
            return float(held)
        limits = np.iinfo(self._dtype)
        return value if value.is_integer() and limits.min <= value <= limits.max else None

    def _numbers(self, code: int) -> tuple[float, ...] | None:
        value = self._page.tags.valueof(code, default=None)
        return tuple(float(number) for number in value) if isinstance(value, (tuple, list)) else None


def _per_band(said: dict[int, float], count: int, default: float) -> tuple[float, ...] | None:
    return tuple(said.get(band, default) for band in range(count)) if said else None
