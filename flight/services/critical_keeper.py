"""The keeper of the critical store: it lives in the supervisor, so that waiting for the medium stalls no frame.

The flight process asks over a packet socket, one whole packet an ask, and is answered when both copies are durable. It
may commit the blocks that were opened to it; those of the crash loop stay the supervisor's own. At each start of a
flight process the keeper compares the copies, mends them and sends what they hold, so that nothing is waited for.

All packets are deterministic CBOR: hello [generation, findings, [[block, octets, lost]...]], ask [token, kind, body],
answer [token, outcome, generation, errno, findings]; a finding is [kind, block, copy].
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from enum import IntEnum

from bindings.errors import SwathError
from flight.services import cbor
from flight.services.critical_format import Block
from flight.services.critical_store import BlockLost, CriticalStore, CriticalStoreError, CriticalStoreFailed, Finding

MAX_PACKET = 64 << 10
MAX_ASKS = 8  # answered in one go; the rest when the supervisor looks again
MAX_FINDINGS = 64  # that one packet tells


class AskKind(IntEnum):
    """What is asked for. Numbers are never reused."""

    COMMIT = 1  # body: [[block, octets]...], all or none
    SCRUB = 2  # body: []


class Outcome(IntEnum):
    """How it ended. Numbers are never reused."""

    DONE = 1
    REFUSED = 2  # no such block, not opened, or of another size: nothing was touched
    FAILED = 3  # the medium refused: old or new state, the next scrub finds out which


class CriticalKeeper:
    """Serves one flight process at a time. fileno() is readable when there is something to serve()."""

    def __init__(self, store: CriticalStore, blocks: Sequence[Block], opened: Sequence[Block]) -> None:
        """blocks: all of the store, told in the hello; opened: those that the flight process may commit."""
        self._store, self._blocks = store, tuple(blocks)
        self._opened = {block.number: block for block in opened}
        self._untold: list[Finding] = list(store.findings)
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.setblocking(False)
        self._theirs.setblocking(False)

    def fileno(self) -> int:
        """For a selector."""
        return self._ours.fileno()

    def compare(self) -> None:
        """Compare the copies and mend them; what was found is told with the next packet."""
        self._scrub()

    def begin(self) -> int:
        """A flight process is about to start: say hello to it; the descriptor that it is to inherit."""
        for end in (self._ours, self._theirs):  # what an earlier one asked, or was told
            while _received(end) is not None:
                pass
        told, self._untold = self._untold[:MAX_FINDINGS], self._untold[MAX_FINDINGS:]
        self._send([self._store.generation, _packed(told), [self._block(block) for block in self._blocks]])
        return self._theirs.fileno()

    def serve(self) -> None:
        """Answer what has come."""
        for _ in range(MAX_ASKS):
            packet = _received(self._ours)
            if packet is None:
                return
            self._answer(packet)

    def close(self) -> None:
        """Let the sockets go; the store is its opener's."""
        self._ours.close()
        self._theirs.close()

    def _answer(self, packet: bytes) -> None:
        token, number, outcome = 0, 0, Outcome.DONE
        try:
            token, kind, body = cbor.decode(packet)
            if kind == AskKind.COMMIT:
                self._store.commit({self._opened[block]: bytes(octets) for block, octets in body})
            elif kind == AskKind.SCRUB:
                number = self._scrub()
                outcome = Outcome.FAILED if number else Outcome.DONE
            else:
                outcome = Outcome.REFUSED
        except CriticalStoreFailed as error:
            outcome, number = Outcome.FAILED, _errno(error)
        except (SwathError, CriticalStoreError, ValueError, TypeError, KeyError):
            outcome = Outcome.REFUSED
        told, self._untold = self._untold[:MAX_FINDINGS], self._untold[MAX_FINDINGS:]
        if isinstance(token, int):
            self._send([token, int(outcome), self._store.generation, number, _packed(told)])

    def _scrub(self) -> int:
        """What was found is told with the next packet; 0, or the number of the system's error."""
        try:
            self._untold += self._store.recover() if self._store.failed else self._store.scrub()
        except CriticalStoreFailed as error:
            return _errno(error)
        return 0

    def _block(self, block: Block) -> list[object]:
        try:
            return [block.number, self._store.read(block), 0]
        except BlockLost as lost:
            return [block.number, lost.default, 1]

    def _send(self, fields: list[object]) -> None:
        try:
            self._ours.send(cbor.encode(fields), socket.MSG_NOSIGNAL)
        except OSError:  # nobody takes it: who asks again is answered again
            return


def _packed(findings: Sequence[Finding]) -> list[list[int]]:
    return [[int(each.kind), each.block, each.copy] for each in findings]


def _received(end: socket.socket) -> bytes | None:
    try:
        return end.recv(MAX_PACKET)
    except BlockingIOError:
        return None


def _errno(error: CriticalStoreFailed) -> int:
    cause = error.__cause__
    return (cause.errno if isinstance(cause, OSError) else None) or errno.EIO
