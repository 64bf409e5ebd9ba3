"""The flight process's end of the critical store: asks that never wait, answers that are looked for once a step."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bindings.errors import SwathError
from flight.services import cbor
from flight.services.critical_format import Block
from flight.services.critical_keeper import MAX_PACKET, AskKind, Outcome
from flight.services.critical_store import BlockLost, BlockUnknown, CriticalStoreError, Finding, FindingKind

MAX_ASKS = 8  # under way and waiting


class KeeperInvalid(CriticalStoreError, ValueError):
    """The keeper's hello did not come, or is none."""

    code = "keeper_invalid"


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one ask."""

    outcome: Outcome
    generation: int
    errno: int  # of the system's error; 0 where there is none
    findings: tuple[Finding, ...]


Told = Callable[[Answer], None]


class CriticalClient:
    """Asks are answered in order. The hello waits in the socket before this process begins."""

    def __init__(self, connection: socket.socket) -> None:
        """Raises KeeperInvalid."""
        connection.setblocking(False)
        self._connection = connection
        self._asks: deque[tuple[int, Told]] = deque()
        self._token = 0
        try:
            generation, findings, blocks = cbor.decode(connection.recv(MAX_PACKET))
            self.generation = int(generation)
            self.findings = _findings(findings)
            self._held = {int(number): (bytes(octets), bool(lost)) for number, octets, lost in blocks}
        except (SwathError, OSError, ValueError, TypeError) as error:
            raise KeeperInvalid(f"no hello of the critical store: {error}") from error

    @property
    def blocks(self) -> int:
        """How many blocks the store has."""
        return len(self._held)

    @property
    def lost(self) -> int:
        """How many had no sound copy at the start."""
        return sum(lost for _, lost in self._held.values())

    def read(self, block: Block) -> bytes:
        """What the block held at the start. Raises BlockUnknown, and BlockLost, which carries the default."""
        octets, lost = self._held.get(block.number, (b"", False))
        if len(octets) != block.size:
            raise BlockUnknown(block)
        if lost:
            raise BlockLost(block)
        return octets

    def commit(self, values: Mapping[Block, bytes], told: Told) -> bool:
        """Ask for blocks to be kept, all or none; False where the ask could not be made, and nothing happens."""
        return self._ask(AskKind.COMMIT, [[block.number, octets] for block, octets in values.items()], told)

    def scrub(self, told: Told) -> bool:
        """Ask for both copies to be compared and mended."""
        return self._ask(AskKind.SCRUB, [], told)

    def poll(self) -> None:
        """Hand out the answers that have come."""
        while self._asks:
            try:
                packet = self._connection.recv(MAX_PACKET)
                token, outcome, generation, number, findings = cbor.decode(packet)
                answer = Answer(Outcome(outcome), int(generation), int(number), _findings(findings))
            except BlockingIOError:
                return
            except (SwathError, OSError, ValueError, TypeError):  # no answer can be believed any more
                token, answer = self._asks[0][0], Answer(Outcome.FAILED, self.generation, 0, ())
            asked, told = self._asks.popleft()
            if asked != token:
                answer = Answer(Outcome.FAILED, self.generation, 0, answer.findings)
            self.generation = answer.generation
            told(answer)

    def close(self) -> None:
        """Let the socket go."""
        self._connection.close()

    def _ask(self, kind: AskKind, body: list[list[object]], told: Told) -> bool:
        if len(self._asks) >= MAX_ASKS:
            return False
        self._token += 1
        try:
            self._connection.send(cbor.encode([self._token, int(kind), body]), socket.MSG_NOSIGNAL)
        except OSError:
            return False
        self._asks.append((self._token, told))
        return True


def _findings(rows: list[list[int]]) -> tuple[Finding, ...]:
    return tuple(Finding(FindingKind(kind), int(block), int(copy)) for kind, block, copy in rows)
