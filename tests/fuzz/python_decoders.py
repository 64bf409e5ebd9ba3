"""The decoders in Python that read what comes from outside: mutated octets bring a typed error, or what packs again.

Each is given whole octets that the tests keep as golden ones, changed at some places by a seeded generator; where a
check sum stands in front of everything, half of the changed ones get a right one, so that what is behind it is reached.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bindings.crc import crc16_ccitt, crc32c
from bindings.errors import SwathError
from bindings.stitch import Stitcher, TileGrid
from flight.agent import cose
from flight.agent.errors import ClaimsInvalid
from flight.agent.grant import Grant
from flight.agent.job import Job
from flight.link.cfdp import pdu
from flight.link.cfdp.codes import ChecksumKind
from flight.link.packet import SpacePacket
from flight.link.tm_frame import TmDeframer, TmFramer
from flight.product import container, vectors
from flight.product.layout import Limits
from flight.services import cbor

GOLDEN = Path(__file__).parents[1] / "flight"
LIMITS = Limits(container_bytes=1 << 20, pixels=1 << 20, strip_pixels=1 << 20)
FRAME_BYTES, SPACECRAFT = 128, 42
TELLING = bytes((0, 1, 0x17, 0x18, 0x1B, 0x3B, 0x5B, 0x7F, 0x80, 0x9B, 0xBB, 0xDB, 0xF6, 0xFB, 0xFE, 0xFF))


@dataclass(frozen=True, slots=True)
class Decoder:
    """look: reads octets, asserts what must hold of what it accepts; raises SwathError for what it refuses."""

    name: str
    seeds: Callable[[], list[bytes]]
    look: Callable[[bytes], None]
    mend: Callable[[bytes], bytes] | None = None
    whole: int = 200_000


def signed() -> Mapping[str, Mapping[str, str]]:
    held: Mapping[str, Mapping[str, str]] = json.loads((GOLDEN / "agent" / "vectors" / "signed.json").read_text())
    return held


def payloads() -> list[bytes]:
    return [bytes.fromhex(signed()[name]["payload"]) for name in ("job", "grant")]


def messages() -> list[bytes]:
    return [bytes.fromhex(vector["signed"]) for vector in signed().values()]


def look_at_cbor(octets: bytes) -> None:
    assert cbor.encode(cbor.decode(octets, tags={18})) == octets


def look_at_cose(octets: bytes) -> None:
    cose.parse1(octets)


def look_at_claims(octets: bytes) -> None:
    try:
        assert Job.decode(octets).encode() == octets
    except ClaimsInvalid:
        assert Grant.decode(octets).encode() == octets


def packets() -> list[bytes]:
    return [
        SpacePacket(apid=apid, sequence=apid, payload=bytes(range(apid % 50 + 1))).pack() for apid in range(0, 900, 90)
    ]


def look_at_packet(octets: bytes) -> None:
    assert SpacePacket.unpack(octets).pack() == octets


def frames() -> list[bytes]:
    framer = TmFramer(SPACECRAFT, FRAME_BYTES)
    made = []
    for packet in packets() * 3:
        framer.push(1, packet)
        while (frame := framer.next_frame()) is not None:
            made.append(frame)
    while (frame := framer.next_frame(flush=True)) is not None:
        made.append(frame)
    return made


def look_at_frames(octets: bytes) -> None:
    """One link for all inputs: what one frame leaves behind meets the next."""
    for packet in _DEFRAMER.push(octets):
        assert SpacePacket.unpack(packet).pack() == packet


_DEFRAMER = TmDeframer(SPACECRAFT, FRAME_BYTES)


def mend_frame(octets: bytes) -> bytes:
    body = octets[: FRAME_BYTES - 2].ljust(FRAME_BYTES - 2, b"\0")
    return body + crc16_ccitt(body).to_bytes(2, "big")


def units() -> list[bytes]:
    way = pdu.Transaction(1, 2, 3)
    return [
        pdu.encode(way, each)
        for each in (
            pdu.Metadata("a.swp", 1000, ChecksumKind.CRC_32C),
            pdu.FileData(5, bytes(range(40))),
            pdu.Eof(0x12345678, 1000),
            pdu.Nak((0, 1000), ((0, 10), (50, 900))),
        )
    ]


def look_at_unit(octets: bytes) -> None:
    way, unit = pdu.decode(octets)
    assert pdu.decode(pdu.encode(way, unit)) == (way, unit)


def mend_unit(octets: bytes) -> bytes:
    return octets[:-2] + crc16_ccitt(octets[:-2]).to_bytes(2, "big") if len(octets) > 2 else octets


def containers() -> list[bytes]:
    return [path.read_bytes() for path in sorted((GOLDEN / "product" / "vectors").glob("*.swp"))]


def look_at_container(octets: bytes) -> None:
    product = container.open_container(octets, None, limits=LIMITS, tolerate_damage=len(octets) % 2 == 0)
    for index in range(product.header.strips):
        product.strip(index)


def sections() -> list[bytes]:
    return [
        bytes.fromhex(json.loads(path.read_text())["section"])
        for path in sorted((GOLDEN / "product" / "vector_sections").glob("*.json"))
    ]


def look_at_section(octets: bytes) -> None:
    assert vectors.encode_vectors(*vectors.decode_vectors(octets)) == octets


def stitcher() -> Stitcher:
    return Stitcher(TileGrid(20, 8, 2, 0), 2, 0.5)


def states() -> list[bytes]:
    working, made = stitcher(), []
    out = np.empty((20, 20), np.uint8)
    for column in range(working.grid.columns):
        made.append(working.state())
        scores = np.full((2, 8, 8), 0.25, np.float32)
        working.put(scores, 0, column, last_row=False, scene_rows=20, out=out, out_first_row=0)
    return made


def look_at_state(octets: bytes) -> None:
    working = stitcher()
    working.restore(octets)
    assert working.state() == octets


def mend_state(octets: bytes) -> bytes:
    return octets[:-4] + crc32c(octets[:-4]).to_bytes(4, "little") if len(octets) > 4 else octets


DECODERS = {
    decoder.name: decoder
    for decoder in (
        Decoder("cbor", lambda: payloads() + messages(), look_at_cbor),
        Decoder("cose", messages, look_at_cose),
        Decoder("claims", payloads, look_at_claims),
        Decoder("space_packet", packets, look_at_packet),
        Decoder("tm_frame", frames, look_at_frames, mend_frame),
        Decoder("cfdp_unit", units, look_at_unit, mend_unit),
        Decoder("container", containers, look_at_container, whole=100_000),
        Decoder("vector_section", sections, look_at_section, whole=100_000),
        Decoder("stitcher_state", states, look_at_state, mend_state),
    )
}


class NotTyped(AssertionError):
    """A decoder raised what it must not raise, or accepted what does not pack again."""

    code = "not_typed"

    def __init__(self, name: str, octets: bytes, error: BaseException) -> None:
        super().__init__(f"{name}: {octets.hex()}: {type(error).__name__}: {error}")
        self.octets = octets


def changed(octets: bytes, seeds: list[bytes], chance: random.Random) -> bytes:
    """Some changes at some places."""
    made = bytearray(octets)
    for _ in range(chance.randint(1, 5)):
        at = chance.randrange(len(made) + 1)
        match chance.randrange(8):
            case 0 | 1 if at < len(made):
                made[at] ^= 1 << chance.randrange(8)
            case 2 if at < len(made):
                made[at] = chance.choice(TELLING)
            case 3 if at < len(made):
                made[at] = chance.randrange(256)
            case 4:
                del made[at : at + chance.randint(1, 8)]
            case 5:
                made[at:at] = chance.randbytes(chance.randint(1, 6))
            case 6:
                other = chance.choice(seeds)
                start = chance.randrange(len(other) + 1)
                made[at:at] = other[start : start + chance.randint(1, 32)]
            case 7 if chance.random() < 0.2:
                del made[at:]
            case _:
                pass
    return bytes(made)


@dataclass(frozen=True, slots=True)
class PythonPiece:
    """What one run over a decoder did."""

    digest: str
    seed: int
    inputs: int
    accepted: int
    seconds: int  # of the processor


def fuzz(decoder: Decoder, count: int, seed: int) -> PythonPiece:
    """`count` inputs; what was accepted is counted. Raises NotTyped."""
    chance, seeds = random.Random(seed), decoder.seeds()
    accepted, began_s = 0, time.process_time()
    for seed_octets in seeds:
        decoder.look(seed_octets)  # they are sound
    for turn in range(count):
        octets = changed(chance.choice(seeds), seeds, chance)
        if decoder.mend is not None and turn % 2:
            octets = decoder.mend(octets)
        try:
            decoder.look(octets)
            accepted += 1
        except SwathError:
            continue
        except BaseException as error:
            raise NotTyped(decoder.name, octets, error) from error
    return PythonPiece(digest(), seed, count, accepted, round(time.process_time() - began_s))


def digest() -> str:
    """Of what makes the inputs: other ones are another campaign."""
    return hashlib.sha256(inspect.getsource(changed).encode()).hexdigest()[:16]


def pieces(decoder: Decoder, work: Path) -> list[PythonPiece]:
    """The finished pieces that are of the present inputs."""
    log = work / "python" / f"{decoder.name}.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return [piece for piece in (PythonPiece(**json.loads(line)) for line in lines) if piece.digest == digest()]


def run(decoder: Decoder, work: Path, *, piece: int, say: Callable[[str], None]) -> None:
    """Go on until the decoder has had all its inputs, each piece with a seed of its own. Raises NotTyped."""
    done = pieces(decoder, work)
    (work / "python").mkdir(parents=True, exist_ok=True)
    while (total := sum(each.inputs for each in done)) < decoder.whole:
        done.append(fuzz(decoder, min(piece, decoder.whole - total), seed=len(done) + 1))
        with (work / "python" / f"{decoder.name}.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(asdict(done[-1])) + "\n")
        say(f"{decoder.name}: {total + done[-1].inputs:,} of {decoder.whole:,} inputs, no finding")
