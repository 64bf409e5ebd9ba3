"""The record that the frame clock leaves in shared memory while its Python is silent, for who watches from outside."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from mmap import mmap
from typing import Final

from bindings.crc import crc32c
from bindings.ffi import lib

BEAT_OCTETS: Final = int(lib.SW_BEAT_OCTETS)  # of the memory: two records, written in turn
_MAGIC: Final = int(lib.SW_BEAT_MAGIC)
_RECORD: Final = struct.Struct("=II5q")  # as sw_beat in csrc/decl/frame_clock.h; both sides are on one machine


@dataclass(frozen=True, slots=True)
class Beat:
    """The clock lived at `monotonic_ns`, and Python had not checked in for `missed` frames."""

    count: int  # of records, from 1
    frame: int  # newest released
    monotonic_ns: int  # CLOCK_MONOTONIC
    missed: int  # frames
    withheld: int  # pets of the watchdog that were due and not given, in all


def read_beat(page: bytes | bytearray | memoryview | mmap) -> Beat | None:
    """The newest whole record at the start of `page`; None: there is none yet, or nothing that is one.

    The clock may be writing meanwhile: the record that it does not write is whole.
    """
    octets = bytes(page[:BEAT_OCTETS])
    if len(octets) < BEAT_OCTETS:
        return None
    found = [_record(octets[place : place + _RECORD.size]) for place in (0, _RECORD.size)]
    return max((beat for beat in found if beat is not None), key=lambda beat: beat.count, default=None)


def _record(octets: bytes) -> Beat | None:
    magic, crc, *numbers = _RECORD.unpack(octets)
    if magic != _MAGIC or crc != crc32c(octets[:4] + bytes(4) + octets[8:]):
        return None
    return Beat(*numbers)
