"""A scaled mission clock whose speed can change while several processes read it: one small mapped file.

Simulation only. The master writes (mission epoch, host epoch, speed) with a check value; a reader that meets a
half-written record reads again. Mission time never jumps: a new speed begins at the mission time reached.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
import zlib
from pathlib import Path

from hal.clock import ClockError, ScaledClock
from hal.errors import DeviceUnavailable

_RECORD = struct.Struct("<ddd")
_CHECK = struct.Struct("<I")
_SIZE = 64
_TRIES = 10_000
_NAP_S = 0.02  # the longest sleep before the speed is read again


class SharedClock:
    """The Clock protocol over the master's file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with path.open("rb") as stream:
                if os.fstat(stream.fileno()).st_size < _SIZE:
                    raise DeviceUnavailable(str(path), "is no shared clock")
                self._map = mmap.mmap(stream.fileno(), _SIZE, prot=mmap.PROT_READ)
        except OSError as error:
            raise DeviceUnavailable(str(path), error.strerror or str(error)) from error
        self._scaled()

    def mission_s(self) -> float:
        return self._scaled().mission_s()

    def host_s(self) -> float:
        return time.monotonic()

    def sleep_until(self, mission_s: float) -> None:
        while True:
            scaled = self._scaled()
            left_s = (mission_s - scaled.mission_s()) / scaled.speed
            if left_s <= 0:
                return
            time.sleep(min(left_s, _NAP_S))

    @property
    def speed(self) -> float:
        """Mission seconds in a host second, now."""
        return self._scaled().speed

    def _scaled(self) -> ScaledClock:
        for _ in range(_TRIES):
            octets = self._map[: _RECORD.size + _CHECK.size]
            if zlib.crc32(octets[: _RECORD.size]) == _CHECK.unpack_from(octets, _RECORD.size)[0]:
                return ScaledClock(*_RECORD.unpack_from(octets))
        raise ClockError(f"{self._path} holds no valid clock record")


class SharedClockMaster(SharedClock):
    """The one writer: makes the file and changes the speed."""

    def __init__(self, path: Path, start_mission_s: float, speed: float) -> None:
        first = ScaledClock(start_mission_s, time.monotonic(), speed)
        path.write_bytes(_pack(first).ljust(_SIZE, b"\0"))
        with path.open("r+b") as stream:
            self._writable = mmap.mmap(stream.fileno(), _SIZE)
        super().__init__(path)

    def set_speed(self, speed: float) -> None:
        """From now on mission time runs `speed` times as fast as host time. Raises ClockError."""
        now_s = time.monotonic()
        old = self._scaled()
        reached_s = old.epoch_mission_s + (now_s - old.epoch_host_s) * old.speed
        record = _pack(ScaledClock(reached_s, now_s, speed))
        self._writable[: len(record)] = record


def _pack(clock: ScaledClock) -> bytes:
    record = _RECORD.pack(clock.epoch_mission_s, clock.epoch_host_s, clock.speed)
    return record + _CHECK.pack(zlib.crc32(record))
