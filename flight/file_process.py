"""The file process: `python -m flight.file_process`, started by the supervisor.

It does the file manager's work, so that a copy, a sync or a slow medium holds no frame. It knows its root and no other
place: no key, no strip, no pixel, no network. It ends when the supervisor does; what it left of a copy is removed when
the next one begins.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from flight.errors import FlightError
from flight.pipeline.process_setup import Parent, StopFlag, lower_rights
from flight.services.file_protocol import (
    ANYONE,
    MAX_PACKET,
    Operation,
    ProtocolInvalid,
    Reply,
    ReplyKind,
    Request,
)
from flight.services.file_tree import FolderTree
from flight.services.file_work import RESERVE_OCTETS, FileWork

IDLE_S = 0.25
MEMORY_MB = 512  # of address space


class Server:
    """Takes requests and answers them, one packet each."""

    def __init__(self, connection: socket.socket, work: FileWork, process: int) -> None:
        """process: a number that no other file process of this satellite has while it lives."""
        connection.setblocking(False)
        self._connection, self._work, self._process = connection, work, process
        self.hello()

    def hello(self) -> None:
        """Say who answers."""
        self._send([Reply(ReplyKind.HELLO, Operation.PING, 0, numbers=(self._process, 0, 0))])

    def turn(self, wait_s: float) -> None:
        """Take one request, waiting for it when there is no work, and do one step."""
        readable, _, _ = select.select([self._connection], [], [], 0 if self._work.busy else wait_s)
        if readable:
            self._hear()
        self._send(self._work.step())

    def _hear(self) -> None:
        try:
            request = Request.unpack(self._connection.recv(MAX_PACKET))
        except ProtocolInvalid as error:
            _log({"event": "refused", "message": str(error)})
            return
        if request.operation is Operation.PING:
            self.hello()
        elif request.process not in (ANYONE, self._process):
            return  # left unread by one that ended: it was told to be lost
        elif request.operation is Operation.CANCEL:
            self._send(self._work.cancel(request.job))
        else:
            self._send(self._work.begin(request))

    def _send(self, replies: Sequence[Reply]) -> None:
        for reply in replies:
            with contextlib.suppress(BlockingIOError):  # nobody has read for long: nobody waits for it
                self._connection.send(reply.pack(), socket.MSG_NOSIGNAL)


def arguments_of(descriptor: int, root: Path, forbidden: Sequence[str]) -> tuple[str, ...]:
    """The start arguments; the supervisor's own are behind them."""
    forbid = [text for place in forbidden for text in ("--forbid", place)]
    return ("--fd", str(descriptor), "--root", str(root), *forbid, "--parent", str(os.getpid()))


def _log(record: dict[str, object]) -> None:
    with contextlib.suppress(OSError):  # the log may lie on a disk that is full
        print(json.dumps({"process": "files", **record}), file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM. 1: the root cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m flight.file_process", description=__doc__)
    parser.add_argument("--fd", required=True, type=int, help="packet socket to the flight process")
    parser.add_argument("--root", required=True, type=Path)
    parser.add_argument("--forbid", action="append", default=[], metavar="NAME", help="beneath the root")
    parser.add_argument("--reserve-octets", type=int, default=RESERVE_OCTETS, help="left free by a copy")
    parser.add_argument("--parent", type=int, metavar="PID", help="the supervisor, whose end this process follows")
    chosen = parser.parse_args(argv)
    parent, stop = Parent(signal.SIGTERM, chosen.parent), StopFlag()
    lower_rights(nice=10, memory_mb=MEMORY_MB)
    with contextlib.closing(socket.socket(fileno=chosen.fd)) as connection:
        try:
            tree = FolderTree(chosen.root, chosen.forbid)
            work = FileWork(tree, chosen.reserve_octets)
            server = Server(connection, work, os.getpid())
            while not stop.is_set and parent.alive:
                server.turn(IDLE_S)
            work.close()
            tree.close()
        except (FlightError, OSError) as error:
            _log({"event": "ended", "message": str(error)})
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
