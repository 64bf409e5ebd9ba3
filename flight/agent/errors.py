"""Errors of the agent: what is wrong with a signed thing, a key, or something that wants to leave."""

from __future__ import annotations

from flight.agent.reasons import EgressReason, Reason
from flight.errors import FlightError


class AgentError(FlightError):
    """Base of every error of the agent."""

    code = "agent_error"


class CoseInvalid(AgentError, ValueError):
    """Octets that are not a COSE_Sign1 of the one form that is taken here."""

    code = "cose_invalid"

    def __init__(self, reason: str) -> None:
        super().__init__(f"not a COSE_Sign1 that is taken here: {reason}")
        self.reason = reason


class SignatureInvalid(AgentError, ValueError):
    """A signature that does not hold under the key that the message names."""

    code = "signature_invalid"

    def __init__(self, key_id: bytes) -> None:
        super().__init__(f"the signature does not hold under key {key_id.hex()}")
        self.key_id = key_id.hex()


class KeyUnknown(AgentError, LookupError):
    """A key id that nobody here vouches for."""

    code = "key_unknown"

    def __init__(self, key_id: bytes) -> None:
        super().__init__(f"no key {key_id.hex()} is known here")
        self.key_id = key_id.hex()


class KeyFileInvalid(AgentError, ValueError):
    """A key file that is missing, malformed, or readable by others. The content is never part of the message."""

    code = "key_file_invalid"
    exit_status = 2

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"key file {path}: {reason}")
        self.path, self.reason = path, reason


class ClaimsInvalid(AgentError, ValueError):
    """A job, grant, receipt or command whose content breaks a rule of the format.

    `reason` is what the sender is told; `field` and `detail` are for people.
    """

    code = "claims_invalid"

    def __init__(self, kind: str, field: str, detail: str, reason: Reason = Reason.MALFORMED) -> None:
        super().__init__(f"{kind}.{field}: {detail}")
        self.kind, self.field, self.detail, self.reason = kind, field, detail, reason


class GeometryInvalid(AgentError, ValueError):
    """A search window, angle or station that no search can be made from."""

    code = "geometry_invalid"

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(f"{name}: {detail}")
        self.name, self.detail = name, detail


class EgressRefused(AgentError, PermissionError):
    """Something that wanted to leave and may not."""

    code = "egress_refused"

    def __init__(self, reason: EgressReason, detail: str = "") -> None:
        super().__init__(f"{reason.text}: {detail}" if detail else reason.text)
        self.reason, self.detail = reason, detail


class AuditBroken(AgentError, ValueError):
    """An audit record that does not follow the one before it."""

    code = "audit_broken"

    def __init__(self, sequence: int, detail: str) -> None:
        super().__init__(f"audit record {sequence}: {detail}")
        self.sequence, self.detail = sequence, detail
