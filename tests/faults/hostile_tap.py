"""What reached the transmitter, octet by octet: explained by a declaration, or an error; and searched for pixels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bindings.crc import crc16_ccitt
from flight.agent.keys import KeyStore
from flight.agent.status import StatusReport
from flight.flight_process import GROUND_ENTITY, entity_of
from flight.link.apids import Apid
from flight.link.cfdp.pdu import Ack, Eof, FileData, Metadata, decode, encode
from flight.link.packet import SpacePacket, is_idle, packet_bytes
from flight.product.alert import verify_alert
from flight.services import dictionary
from flight.services.events import EventRecord
from flight.services.telemetry import TelemetryPacket

SPACECRAFT, FRAME_BYTES = 68, 1024


def windows(octets: bytes | NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Every run of 8 octets, as numbers."""
    flat = np.frombuffer(bytes(octets), np.uint8) if isinstance(octets, bytes) else octets.reshape(-1)
    if flat.size < 8:
        return np.zeros(0, np.uint64)
    lanes = np.lib.stride_tricks.sliding_window_view(flat, 8)
    return np.ascontiguousarray(lanes).view(np.uint64).reshape(-1)


def leaks(sent: Iterable[bytes], secret: NDArray[np.uint8]) -> int:
    """How many runs of 8 octets of what was sent are runs of the secret, (rows, columns, bands)."""
    known = _known(secret.tobytes(), secret.shape)
    said = np.concatenate([np.zeros(0, np.uint64), *(windows(octets) for octets in sent)])
    places = np.searchsorted(known, said).clip(max=len(known) - 1)
    return int((known[places] == said).sum())


@lru_cache(maxsize=2)
def _known(octets: bytes, shape: tuple[int, ...]) -> NDArray[np.uint64]:
    """Its runs by pixel, by band and by line and band; but for runs of one value, which fill has too."""
    secret = np.frombuffer(octets, np.uint8).reshape(shape)
    forms = [secret, np.ascontiguousarray(secret.transpose(2, 0, 1)), np.ascontiguousarray(secret.transpose(0, 2, 1))]
    fill = np.array([int.from_bytes(bytes([octet]) * 8, "little") for octet in range(256)], np.uint64)
    return np.setdiff1d(np.concatenate([windows(form) for form in forms]), fill)


@dataclass
class Heard:
    """Everything that reached the transmitter, by what it was."""

    statuses: list[StatusReport] = field(default_factory=list)
    alerts: int = 0
    events: list[EventRecord] = field(default_factory=list)
    telemetry: list[TelemetryPacket] = field(default_factory=list)
    units: int = 0
    files: dict[str, bytearray] = field(default_factory=dict)  # octets that were sent, by name; 0 where none was


class Unexplained(AssertionError):
    """Something left that nothing declares."""


def explain(frames: list[bytes], keys: KeyStore) -> Heard:
    """Account for every octet of every frame. Raises Unexplained."""
    heard = Heard()
    channels: dict[int, bytearray] = {}
    for frame in frames:
        _need(len(frame) == FRAME_BYTES, "another length")
        _need(int.from_bytes(frame[-2:], "big") == crc16_ccitt(frame[:-2]), "no frame check")
        _need(int.from_bytes(frame[:2], "big") & 0xFFF1 == SPACECRAFT << 4, "another identity")
        channels.setdefault(frame[1] >> 1 & 7, bytearray()).extend(frame[6:-2])
    names: dict[int, str] = {}
    for octets in channels.values():
        at = 0
        while at < len(octets):
            size = packet_bytes(octets[at : at + 6])
            whole = bytes(octets[at : at + size])
            at += size
            if is_idle(whole):
                _need(not whole[6:].strip(b"\x55"), "an idle packet that says something")
                continue  # the last one may go on in a frame not yet sent
            _need(len(whole) == size, "half a packet")
            packet = SpacePacket.unpack(whole)
            _need(packet.pack() == whole and not packet.telecommand, "an odd packet")
            _explain_packet(packet, keys, heard, names)
    return heard


def _need(holds: bool, what: str) -> None:
    if not holds:
        raise Unexplained(what)


def _explain_packet(packet: SpacePacket, keys: KeyStore, heard: Heard, names: dict[int, str]) -> None:
    octets = packet.payload
    match packet.apid:
        case Apid.STATUS:
            report = StatusReport.unpack(octets)
            _need(report.pack() == octets, "a status with more in it")
            heard.statuses.append(report)
        case Apid.ALERT:
            _need(len(octets) <= 64, "a long alert")
            verify_alert(octets, keys.alert_key)
            heard.alerts += 1
        case Apid.EVENT:
            record = EventRecord.unpack(octets)
            _need(record.pack() == octets, "an event with more in it")
            _need(record.matches(dictionary.event(record.component, record.number)), "an event that is not declared")
            heard.events.append(record)
        case Apid.TELEMETRY:
            values = TelemetryPacket.unpack(octets, dictionary.component)
            _need(values.pack() == octets, "telemetry with more in it")
            heard.telemetry.append(values)
        case Apid.CFDP:
            _explain_unit(octets, heard, names)
        case other:
            raise Unexplained(f"a packet of APID {other}")


def _explain_unit(octets: bytes, heard: Heard, names: dict[int, str]) -> None:
    transaction, pdu = decode(octets)
    _need(encode(transaction, pdu) == octets, "a unit with more than its fields")
    _need((transaction.source, transaction.destination) == (entity_of(SPACECRAFT), GROUND_ENTITY), "odd entities")
    heard.units += 1
    match pdu:
        case Metadata(name, size):
            names[transaction.sequence] = name
            heard.files.setdefault(name, bytearray(size))
        case FileData(offset, data):
            file = heard.files[names[transaction.sequence]]
            _need(offset + len(data) <= len(file), "data behind the end")
            file[offset : offset + len(data)] = data
        case Eof() | Ack():
            pass
        case _:
            raise Unexplained(f"a {type(pdu).__name__} from a satellite")
