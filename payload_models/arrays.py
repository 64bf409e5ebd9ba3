"""Small npz archives, read with bounds: nothing is unpickled and nothing is allocated that the file does not hold."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_ARRAYS = 8
PLAIN_KINDS = "uifb"  # unsigned, signed, floating, bool


def read_arrays(octets: bytes, limit: int) -> dict[str, NDArray[Any]]:
    """The arrays of an npz archive, at most `limit` bytes of them together. Raises ValueError with the reason."""
    try:
        with zipfile.ZipFile(io.BytesIO(octets)) as archive:
            members = archive.infolist()
            if len(members) > MAX_ARRAYS or sum(member.file_size for member in members) > limit:
                raise ValueError(f"more than {MAX_ARRAYS} arrays or {limit} bytes")
            return {member.filename.removesuffix(".npy"): _array(archive.read(member)) for member in members}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"not an npz archive: {error}") from error


def write_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """An npz archive that is the same for the same arrays."""
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def _array(octets: bytes) -> NDArray[Any]:
    stream = io.BytesIO(octets)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("not an array of format 1.0")
    shape, columns_first, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.kind not in PLAIN_KINDS or columns_first:
        raise ValueError(f"an array of {dtype} or in column order")
    count = math.prod(shape)
    if count * dtype.itemsize != len(octets) - stream.tell():
        raise ValueError("an array is shorter or longer than its header says")
    return np.frombuffer(octets, dtype, count, stream.tell()).reshape(shape)
