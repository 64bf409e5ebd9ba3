"""The C witness: built with the compiler at hand when a measurement begins, kept by the digest of its source."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SOURCE = Path(__file__).with_name("executive_witness.c")
PRIORITY = 99  # SCHED_FIFO: above everything that is measured


class WitnessMissing(RuntimeError):
    """There is no witness here; the message says why."""


def build(folder: Path) -> Path:
    """The shared library, compiled into `folder` unless it lies there. Raises WitnessMissing."""
    source = SOURCE.read_bytes()
    library = folder / f"witness-{hashlib.sha256(source).hexdigest()[:16]}.so"
    if library.is_file():
        return library
    compiler = shutil.which((sysconfig.get_config_var("CC") or "cc").split()[0]) or shutil.which("cc")
    if compiler is None:
        raise WitnessMissing("there is no C compiler")
    folder.mkdir(parents=True, exist_ok=True)
    fresh = library.with_suffix(f".{os.getpid()}")
    flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-pthread"]
    done = subprocess.run(
        [compiler, *flags, str(SOURCE), "-o", str(fresh)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise WitnessMissing(f"it does not compile: {done.stderr.strip()[:200]}")
    fresh.replace(library)
    return library


def _declare(library: Any) -> Any:
    library.witness_start.restype = ctypes.c_void_p
    library.witness_start.argtypes = [ctypes.c_int64] * 3 + [ctypes.c_void_p, ctypes.c_int32]
    library.witness_refused.argtypes = [ctypes.c_void_p]
    library.witness_stop.restype = ctypes.c_int64
    library.witness_stop.argtypes = [ctypes.c_void_p]
    library.witness_spin.restype = None
    library.witness_spin.argtypes = [ctypes.c_int64]
    return library


def keep_interpreter(library: Path, ns: int) -> None:
    """Holds the interpreter's lock in a C call for so long, as an extension does that never gives it back."""
    _declare(ctypes.PyDLL(str(library))).witness_spin(ns)


class Witness:
    """Ticks at first_ns, first_ns + period_ns, ... until stop()."""

    def __init__(self, library: Path, *, period_ns: int, room: int, realtime: bool = True) -> None:
        """room: ticks that are written down at most."""
        self._library = _declare(ctypes.CDLL(str(library)))
        self.period_ns, self._realtime = period_ns, realtime
        self._late = np.ones(room, np.int64)  # written to, so that no page is missing later
        self._late[:] = 0
        self._handle: int | None = None
        self.first_ns = 0
        self.refused = ""  # why it has no SCHED_FIFO

    def start(self, first_ns: int) -> None:
        """Raises WitnessMissing."""
        self.first_ns = first_ns
        priority = PRIORITY if self._realtime else 0
        room, address = len(self._late), self._late.ctypes.data
        self._handle = self._library.witness_start(first_ns, self.period_ns, room, address, priority)
        if not self._handle:
            raise WitnessMissing("there is no thread for it")
        refused = self._library.witness_refused(self._handle)
        self.refused = f"SCHED_FIFO priority {PRIORITY}: {os.strerror(refused)}" if refused else ""

    def stop(self) -> NDArray[Any]:
        """How late each tick was, in nanoseconds. None began: empty."""
        if self._handle is None:
            return self._late[:0]
        count, self._handle = self._library.witness_stop(self._handle), None
        return self._late[:count]
