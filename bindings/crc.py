"""Cyclic redundancy checks: CRC-16/CCITT-FALSE (CCSDS frames) and CRC-32C (records, strips)."""

from __future__ import annotations

from bindings.ffi import Octets, lib, octets


def crc16_ccitt(data: Octets, value: int = 0xFFFF) -> int:
    """CRC-16/CCITT-FALSE (polynomial 0x1021, CCSDS 132.0-B 4.1.6) of `data`, going on from `value`.

    >>> hex(crc16_ccitt(b"123456789"))
    '0x29b1'
    """
    held = octets(data)
    return int(lib.sw_crc16_ccitt(held, len(held), value))


def crc32c(data: Octets, value: int = 0) -> int:
    """CRC-32C (Castagnoli, RFC 3720) of `data`, going on from `value`.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    held = octets(data)
    return int(lib.sw_crc32c(held, len(held), value))
