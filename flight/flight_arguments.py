"""What the supervisor gives the flight process: start arguments, and ends of what it holds the other end of."""

from __future__ import annotations

import argparse
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from mmap import mmap
from pathlib import Path

from flight.executive.clock_page import attached
from flight.pipeline.heartbeat import Heartbeat
from flight.services.critical_client import CriticalClient, KeeperInvalid


@dataclass(frozen=True, slots=True)
class Held:
    """What the supervisor has the other end of; without it a flight process flies by itself."""

    files: socket.socket | None = None  # packets to and from the file process
    critical: CriticalClient | None = None
    heartbeat: Heartbeat = field(default_factory=lambda: Heartbeat(None))
    clock_page: mmap | None = None  # the frame clock's record while Python is silent


def take(arguments: argparse.Namespace, log: Callable[[Mapping[str, object]], None]) -> Held:
    """The ends that the arguments name. What cannot be used is logged, and flown without."""
    critical: CriticalClient | None = None
    if arguments.critical_fd is not None:
        try:
            critical = CriticalClient(socket.socket(fileno=arguments.critical_fd))
        except KeeperInvalid as error:
            log({"event": "critical_store", "code": error.code, "message": str(error)})
    page: mmap | None = None
    try:
        page = attached(arguments.clock_fd)
    except (OSError, ValueError) as error:
        log({"event": "no_clock_page", "message": str(error)})
    return Held(
        socket.socket(fileno=arguments.files_fd) if arguments.files_fd is not None else None,
        critical,
        Heartbeat(arguments.beat_fd),
        page,
    )


def parser() -> argparse.ArgumentParser:
    """What the supervisor gives the flight process."""
    arguments = argparse.ArgumentParser(
        prog="python -m flight.flight_process", description="The flight process of a satellite."
    )
    arguments.add_argument("--config", required=True, type=Path)
    arguments.add_argument("--run-dir", required=True, type=Path)
    arguments.add_argument("--journal-fd", required=True, type=int, help="stream socket of the journal writer")
    arguments.add_argument("--answer-fd", required=True, type=int, help="descriptor of the answer slots")
    arguments.add_argument("--files-fd", type=int, help="packet socket of the file process")
    arguments.add_argument("--critical-fd", type=int, help="packet socket of the critical store's keeper")
    arguments.add_argument("--inference", metavar="JSON", help="session policy and what was commissioned")
    arguments.add_argument("--restarts", default="{}", metavar="JSON", help="restarts of each process so far")
    arguments.add_argument("--recovery", default=0, type=int, metavar="LEVEL", help="0 as configured, 1 safe, 2 golden")
    arguments.add_argument("--parent", type=int, metavar="PID", help="the supervisor, whose end this process follows")
    arguments.add_argument("--beat-fd", type=int, help="pipe to the supervisor for signs of life (default: none)")
    arguments.add_argument("--clock-fd", type=int, help="memory for the frame clock's record while Python is silent")
    return arguments
