"""The ground's receipt: it holds these octets, so custody of the product may end (docs/job-format.md has the bytes)."""

from __future__ import annotations

from dataclasses import dataclass

from flight.agent import claims
from flight.agent.claims import Claims
from flight.services import cbor

FORMAT = 1
PRODUCT_ID_BYTES = 16
_DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True)
class Receipt:
    """Says that the octets with this hash arrived whole under this product's name."""

    product_id: bytes  # 16 bytes
    sha256: bytes  # of the octets as they were sent: the encrypted product

    def encode(self) -> bytes:
        """The payload to be signed."""
        return cbor.encode({claims.RECEIPT_BODY: {0: FORMAT, 1: self.product_id, 2: self.sha256}})

    @classmethod
    def decode(cls, payload: bytes) -> Receipt:
        """Raises ClaimsInvalid, whatever the input."""
        outer = Claims.decode("receipt", payload)
        body = outer.body(claims.RECEIPT_BODY)
        body.version(0, FORMAT)
        receipt = cls(body.octets(1, "product_id", PRODUCT_ID_BYTES), body.octets(2, "sha256", _DIGEST_BYTES))
        body.end()
        outer.end()
        return receipt
