"""The only door to the C core: its names, the check of its codes, and what arrays it may see."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeAlias

from bindings._swath import ffi, lib
from bindings.faults import BufferMismatch, ClockStopped, CoreFault, OrderMismatch, SystemRefused

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

__all__ = ["Octets", "check", "ffi", "lib", "octets", "view"]

Octets: TypeAlias = "bytes | bytearray | memoryview | NDArray[Any]"  # contiguous


def check(code: int) -> int:
    """A result of the C core; negative ones become exceptions.

    Codes that carry numbers (a row that is missing) are turned into theirs by the caller before.
    """
    if code >= 0:
        return code
    if code == lib.SW_E_STOPPED:
        raise ClockStopped
    if code == lib.SW_E_ORDER:
        raise OrderMismatch
    if code == lib.SW_E_MEMORY:
        raise MemoryError("the C core found no memory")
    if code == lib.SW_E_SYSTEM:
        raise SystemRefused(ffi.errno, os.strerror(ffi.errno))
    raise CoreFault(code)


def view(
    name: str,
    array: NDArray[Any],
    dtype: DTypeLike | tuple[DTypeLike, ...],
    ndim: int,
    *,
    shape: tuple[int, ...] | None = None,
    writable: bool = False,
    contiguous: bool = True,
) -> Any:
    """The address of `array` as a `void *`, once C may see it. The caller keeps the array alive.

    dtype: one, or those that are allowed, in native byte order; shape: exact, if given;
    contiguous: C order; if False, only the last axis must be contiguous and strides positive whole
    samples. Raises BufferMismatch.
    """
    import numpy as np  # who has an array has it imported; the frame loop has none, and begins without it

    if not isinstance(array, np.ndarray):
        raise BufferMismatch(name, f"a NumPy array is needed, got {type(array).__name__}")
    allowed = tuple(np.dtype(item) for item in (dtype if isinstance(dtype, tuple) else (dtype,)))
    if array.dtype not in allowed:
        raise BufferMismatch(name, f"{array.dtype} is not {' or '.join(str(item) for item in allowed)}")
    if array.ndim != ndim:
        raise BufferMismatch(name, f"{ndim} axes are needed, got {array.ndim}")
    if shape is not None and array.shape != shape:
        raise BufferMismatch(name, f"the shape must be {shape}, got {array.shape}")
    if not array.flags.aligned:
        raise BufferMismatch(name, "samples are not aligned")
    if writable and not array.flags.writeable:
        raise BufferMismatch(name, "is read-only")
    if contiguous:
        if not array.flags.c_contiguous:
            raise BufferMismatch(name, "is not contiguous in C order")
    elif array.size:
        item = array.itemsize
        if array.shape[-1] > 1 and array.strides[-1] != item:
            raise BufferMismatch(name, "the last axis is not contiguous")
        for length, stride in zip(array.shape, array.strides, strict=True):
            if length > 1 and (stride <= 0 or stride % item):
                raise BufferMismatch(name, f"a stride of {stride} bytes is not a positive number of whole samples")
    return ffi.cast("void *", array.__array_interface__["data"][0])


def octets(data: Octets) -> Any:
    """The octets of any contiguous buffer as `uint8_t[]`; keeps the buffer alive while it is held."""
    try:
        return ffi.from_buffer("uint8_t[]", data)
    except (TypeError, ValueError, BufferError) as error:
        raise BufferMismatch("data", str(error)) from error
