"""Which protocol units of file delivery may leave: those of which every octet follows from a released product.

A unit is decoded and encoded again: one that does not come out the same carries something that has no place in it. It
must belong to a transaction of this satellite with the ground. Metadata binds the transaction to a released product by
its name; data, size and checksum must then be those of that product. The acknowledgement of the receiver's Finished is
all that passes without one.
"""

from __future__ import annotations

from collections.abc import Mapping

from flight.agent.errors import EgressRefused
from flight.agent.reasons import EgressReason
from flight.link.cfdp.checksum import file_checksum
from flight.link.cfdp.codes import ChecksumKind, Condition, Directive
from flight.link.cfdp.pdu import Ack, Eof, FileData, Metadata, Pdu, Transaction, decode, encode
from flight.link.errors import LinkError

MAX_TRANSACTIONS = 64


class Transfers:
    """Transactions that were bound to a product by their metadata; the oldest is forgotten when there are too many."""

    def __init__(self, entity: int, ground_entity: int) -> None:
        self._entity, self._ground_entity = entity, ground_entity
        self._bound: dict[int, tuple[str, ChecksumKind]] = {}
        self._checksums: dict[tuple[str, ChecksumKind], int] = {}

    def forget(self, name: str) -> None:
        """A product is there no more; the end of its transaction may still be told."""
        self._checksums = {key: value for key, value in self._checksums.items() if key[0] != name}

    def check(self, unit: bytes, products: Mapping[str, bytes]) -> None:
        """Return when the unit may leave. products: octets by name. Raises EgressRefused."""
        try:
            transaction, pdu = decode(unit)
            same = encode(transaction, pdu) == unit
        except (LinkError, UnicodeError) as error:
            raise EgressRefused(EgressReason.NOT_A_LINK_UNIT, str(error)) from error
        if not same:
            raise EgressRefused(EgressReason.NOT_A_LINK_UNIT, "it carries more than its fields")
        if transaction != Transaction(self._entity, transaction.sequence, self._ground_entity):
            raise EgressRefused(EgressReason.NOT_A_LINK_UNIT, "no transaction of this satellite with the ground")
        self._check_content(transaction.sequence, pdu, products)

    def _check_content(self, sequence: int, pdu: Pdu, products: Mapping[str, bytes]) -> None:
        match pdu:
            case Metadata(name, size, kind):
                octets = products.get(name)
                if octets is None:
                    raise EgressRefused(EgressReason.UNKNOWN_PRODUCT, name)
                if size != len(octets) or self._bound.get(sequence, (name, kind)) != (name, kind):
                    raise EgressRefused(EgressReason.NOT_THE_CHECKED_OCTETS, f"metadata of {name}")
                self._bind(sequence, name, kind)
            case FileData(offset, data):
                name, octets = self._product(sequence, products)
                if not data or octets[offset : offset + len(data)] != data:
                    raise EgressRefused(EgressReason.NOT_THE_CHECKED_OCTETS, f"{name} at {offset}")
            case Eof(0, 0, Condition.CANCELLED):
                pass  # it says nothing but that the transaction is over
            case Eof(checksum, size, Condition.NO_ERROR):
                name, octets = self._product(sequence, products)
                if size != len(octets) or checksum != self._checksum(sequence, octets):
                    raise EgressRefused(EgressReason.NOT_THE_CHECKED_OCTETS, f"end of {name}")
            case Ack(Directive.FINISHED):
                pass
            case _:
                raise EgressRefused(EgressReason.NOT_A_LINK_UNIT, f"{type(pdu).__name__} is not sent by a satellite")

    def _bind(self, sequence: int, name: str, kind: ChecksumKind) -> None:
        self._bound[sequence] = (name, kind)
        while len(self._bound) > MAX_TRANSACTIONS:
            del self._bound[next(iter(self._bound))]

    def _product(self, sequence: int, products: Mapping[str, bytes]) -> tuple[str, bytes]:
        name = self._bound.get(sequence, ("", None))[0]
        octets = products.get(name)
        if octets is None:
            raise EgressRefused(EgressReason.UNKNOWN_PRODUCT, f"transaction {sequence} sends no released product")
        return name, octets

    def _checksum(self, sequence: int, octets: bytes) -> int:
        """Computed once a product, from the gate's own octets."""
        key = self._bound[sequence]
        if key not in self._checksums:
            whole = file_checksum(key[1], len(octets), lambda offset, count: octets[offset : offset + count])
            self._checksums[key] = whole.value
        return self._checksums[key]
