"""Signed commands to the agent: a tenant calls off its job, the mission revokes a grant (docs/job-format.md)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from flight.agent import claims
from flight.agent.claims import Claims
from flight.agent.errors import ClaimsInvalid
from flight.services import cbor

FORMAT = 1
_ID_BYTES = 32


class CommandKind(IntEnum):
    """What is commanded."""

    CANCEL_JOB = 1  # by the key that signed the job, or by the mission
    REVOKE_GRANT = 2  # by the mission


@dataclass(frozen=True, slots=True)
class Command:
    """One command. Repeating it changes nothing, so it needs no nonce; after expiry it is refused."""

    kind: CommandKind
    subject: bytes  # id of the job or the grant, 32 bytes
    expires_s: int

    def encode(self) -> bytes:
        """The payload to be signed."""
        body = {0: FORMAT, 1: int(self.kind), 2: self.subject}
        return cbor.encode({claims.EXPIRES: self.expires_s, claims.COMMAND_BODY: body})

    @classmethod
    def decode(cls, payload: bytes) -> Command:
        """Raises ClaimsInvalid, whatever the input."""
        outer = Claims.decode("command", payload)
        body = outer.body(claims.COMMAND_BODY)
        body.version(0, FORMAT)
        number = body.number(1, "kind", 0, 255)
        try:
            kind = CommandKind(number)
        except ValueError as error:
            raise ClaimsInvalid("command", "kind", f"no command has number {number}") from error
        command = cls(kind, body.octets(2, "subject", _ID_BYTES), outer.time(claims.EXPIRES, "expires_s"))
        body.end()
        outer.end()
        return command
