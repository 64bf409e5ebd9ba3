"""Signed telecommands: opcodes for the command slot, by the mission and by nobody else (docs/onboard-services.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from flight.agent import claims, cose
from flight.agent.claims import Claims
from flight.agent.errors import AgentError, ClaimsInvalid, CoseInvalid, KeyUnknown, SignatureInvalid
from flight.agent.reasons import Reason
from flight.services import cbor

FORMAT = 1
MAX_COUNTER = (1 << 63) - 1
MAX_OCTETS = 4096  # an opcode and what follows it


class TelecommandRefused(AgentError, ValueError):
    """A telecommand that is not believed, with the reason that the ground is told."""

    code = "telecommand_refused"

    def __init__(self, reason: Reason, counter: int = 0) -> None:
        super().__init__(f"telecommand {counter} refused: {reason.name.lower()}")
        self.reason, self.counter = reason, counter


@dataclass(frozen=True, slots=True)
class Telecommand:
    """One command for the slot."""

    counter: int  # 1..2^63-1, above every earlier one that was signed by the same key: none is taken twice
    source: int  # 1..255: the console or the planner on the ground, as arming tells them apart
    octets: bytes  # opcode u16, then its arguments
    expires_s: int  # mission time

    def encode(self) -> bytes:
        """The payload to be signed."""
        body = {0: FORMAT, 1: self.counter, 2: self.source, 3: self.octets}
        return cbor.encode({claims.EXPIRES: self.expires_s, claims.TELECOMMAND_BODY: body})

    @classmethod
    def decode(cls, payload: bytes) -> Telecommand:
        """Raises ClaimsInvalid, whatever the input."""
        outer = Claims.decode("telecommand", payload)
        body = outer.body(claims.TELECOMMAND_BODY)
        body.version(0, FORMAT)
        counter = body.number(1, "counter", 1, MAX_COUNTER)
        source = body.number(2, "source", 1, 255)
        octets = body.take(3, "octets")
        if not isinstance(octets, bytes) or not 2 <= len(octets) <= MAX_OCTETS:
            raise ClaimsInvalid("telecommand", "octets", f"not a byte string of 2 to {MAX_OCTETS} bytes")
        command = cls(counter, source, octets, outer.time(claims.EXPIRES, "expires_s"))
        body.end()
        outer.end()
        return command

    def sign(self, key: Ed25519PrivateKey, key_id: bytes, spacecraft: int) -> bytes:
        """The message for one spacecraft."""
        return cose.sign1(self.encode(), key, key_id, _aad(spacecraft))


class TelecommandDesk:
    """Believes what a mission key signed for this spacecraft, once and in time."""

    def __init__(self, keys: Mapping[bytes, Ed25519PublicKey], spacecraft: int) -> None:
        """keys: the mission's, by key id."""
        self._keys, self._aad = keys, _aad(spacecraft)
        self._used: dict[bytes, int] = {}  # bounded by the keys

    def judge(self, octets: bytes, now_s: float) -> tuple[bytes, Telecommand]:
        """Key id and command; used() takes the counter. Raises TelecommandRefused, whatever the input."""
        try:
            signed = cose.verify1(octets, self._keys, self._aad)
            command = Telecommand.decode(signed.payload)
        except KeyUnknown as error:
            raise TelecommandRefused(Reason.UNKNOWN_KEY) from error
        except SignatureInvalid as error:
            raise TelecommandRefused(Reason.BAD_SIGNATURE) from error
        except (CoseInvalid, ClaimsInvalid) as error:
            raise TelecommandRefused(Reason.MALFORMED) from error
        if command.counter <= self._used.get(signed.key_id, 0):
            raise TelecommandRefused(Reason.REPLAYED, command.counter)
        if now_s > command.expires_s:
            raise TelecommandRefused(Reason.EXPIRED, command.counter)
        return signed.key_id, command

    def used(self, key_id: bytes, counter: int) -> None:
        """This counter, and every lower one, is not taken again from that key."""
        if key_id in self._keys:
            self._used[key_id] = max(counter, self._used.get(key_id, 0))


def _aad(spacecraft: int) -> bytes:
    return cose.aad(cose.Purpose.TELECOMMAND, str(spacecraft))
