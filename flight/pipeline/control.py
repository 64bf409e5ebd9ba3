"""What the flight process and the camera and payload processes say to each other: one msgpack map per message.

Every message is idempotent and its sender repeats its state, so that any one may be lost. Nothing that arrives is
believed before it has been decoded into one of these records: exact fields and types, sizes and ranges bounded, numbers
finite, texts only reason codes and names. Sockets: flight/pipeline/control_sockets.py.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from flight.pipeline.capture_meta import CaptureMeta
from flight.pipeline.process_errors import ControlError
from flight.pipeline.strip_buffer import MAX_LINES
from payload_models.runtime.codes import Fallback, ProviderCode

OUT_OF_MEMORY = "out_of_memory"  # reason of a payload process that ends with it: another begins with memory of its own
MAX_MESSAGE_BYTES = 1 << 16
MAX_STRIP_ROWS = 4096
MAX_FALLBACKS = 8  # of one session

CaptureId = Annotated[bytes, Meta(min_length=16, max_length=16)]
JobId = Annotated[bytes, Meta(min_length=32, max_length=32)]
Count = Annotated[int, Meta(ge=0, le=1 << 40)]
Lines = Annotated[int, Meta(ge=0, le=MAX_LINES)]
Incarnation = Annotated[int, Meta(ge=0, le=(1 << 62))]
Reason = Annotated[str, Meta(max_length=48, pattern=r"^[a-z0-9_]*\Z")]  # a code, never free text
AppName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-z0-9_]+\Z")]
ParameterName = Annotated[str, Meta(min_length=1, max_length=32, pattern=r"^[a-z0-9_]+\Z")]
Parameters = Annotated[dict[ParameterName, float], Meta(max_length=16)]
Longitude = Annotated[float, Meta(ge=-180, le=180)]
Latitude = Annotated[float, Meta(ge=-90, le=90)]
Area = Annotated[tuple[tuple[Longitude, Latitude], ...], Meta(max_length=64)]


class CaptureOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="capture"):
    """Flight to camera: take this capture, line 0 at `start_s` (mission time). The same id is never taken twice."""

    capture: CaptureId
    start_s: float


class ReleaseOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="release"):
    """Flight to camera: nobody needs the lines of this capture any more; one that is being taken is ended."""

    capture: CaptureId


class CameraReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="camera"):
    """Camera to flight: where the capture stands."""

    incarnation: Incarnation
    state: Literal["idle", "armed", "capturing", "done", "failed"]
    capture: CaptureId | None = None
    lines: Lines = 0
    lost: Lines = 0
    reason: Reason = ""
    meta: CaptureMeta | None = None


class InferOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="infer"):
    """Flight to payload: run this job; strips below `acked_strips` have been taken."""

    job: JobId
    capture: CaptureId
    application: AppName
    parameters: Parameters
    area: Area  # (longitude, latitude) vertices of one ring; empty: the whole scene
    acked_strips: Annotated[int, Meta(ge=0, le=MAX_LINES)]
    strip_rows: Annotated[int, Meta(ge=1, le=MAX_STRIP_ROWS)]
    meta: CaptureMeta | None = None  # what the flight process knows of the lines: place, calibration, registration

    def same_job(self, other: InferOrder) -> bool:
        """Whether both orders differ at most in what has been acknowledged."""
        return msgspec.structs.replace(self, acked_strips=0) == msgspec.structs.replace(other, acked_strips=0)


class IdleOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="idle"):
    """Flight to payload: no job now. What was done is kept."""


class ForgetOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="forget"):
    """Flight to payload: the job is answered or given up; delete what was kept of it."""

    job: JobId


class StripOffer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A finished strip of class map rows that waits in an answer slot."""

    index: Annotated[int, Meta(ge=0, le=MAX_LINES)]  # first_row // strip_rows
    slot: Annotated[int, Meta(ge=0, le=4096)]
    generation: Annotated[int, Meta(ge=0, le=(1 << 62))]
    first_row: Annotated[int, Meta(ge=0, le=MAX_LINES)]
    rows: Annotated[int, Meta(ge=0, le=MAX_STRIP_ROWS)]
    crc32c: Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)]


class Unregistered(IntEnum):
    """Why bands are taken as they come although they were to be moved onto each other. The numbers travel in events."""

    NO_TEXTURE = 1  # too few windows in which the bands show the same ground


class PayloadReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="payload"):
    """Payload to flight: how far the job is, and which strips wait to be taken."""

    incarnation: Incarnation
    state: Literal["idle", "running", "done", "failed"]
    job: JobId | None = None
    reason: Reason = ""
    fallbacks: Annotated[tuple[Fallback, ...], Meta(max_length=MAX_FALLBACKS)] = ()  # of this job's session
    provider: ProviderCode | None = None  # that this job's session uses first
    missing: ProviderCode | None = None  # configured and not there: the job failed for it
    unregistered: Unregistered | None = None
    tiles_total: Count = 0  # 0 while the strip's length is not known
    tiles_done: Count = 0
    tiles_screened: Count = 0
    tiles_inferred: Count = 0
    rows_final: Lines = 0
    nodata_pixels: Count = 0
    confidence: Annotated[float, Meta(ge=0, le=1)] = 0.0
    inference_s: Annotated[float, Meta(ge=0, le=1e9)] = 0.0
    peak_rss_mb: Annotated[float, Meta(ge=0, le=1e7)] = 0.0
    strips: Annotated[tuple[StripOffer, ...], Meta(max_length=64)] = ()

    def __post_init__(self) -> None:
        if self.fallbacks and self.provider is None:
            raise ValueError("a session that fell back uses a provider")


CameraOrder = CaptureOrder | ReleaseOrder
PayloadOrder = InferOrder | IdleOrder | ForgetOrder
Message = CaptureOrder | ReleaseOrder | CameraReport | InferOrder | IdleOrder | ForgetOrder | PayloadReport

MessageT = TypeVar("MessageT", bound=Message)
_DECODER = msgspec.msgpack.Decoder(Message)
_ENCODER = msgspec.msgpack.Encoder()


def encode(message: Message) -> bytes:
    """One message as octets. Raises ControlError above MAX_MESSAGE_BYTES."""
    octets = _ENCODER.encode(message)
    if len(octets) > MAX_MESSAGE_BYTES:
        raise ControlError(f"{len(octets)} bytes, at most {MAX_MESSAGE_BYTES}")
    return octets


def decode(octets: bytes, kinds: tuple[type[MessageT], ...]) -> MessageT:
    """One message of the given kinds. Raises ControlError for anything else, and only that."""
    if len(octets) > MAX_MESSAGE_BYTES:
        raise ControlError(f"{len(octets)} bytes, at most {MAX_MESSAGE_BYTES}")
    try:
        message = _DECODER.decode(octets)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError, ValueError) as error:
        raise ControlError(str(error)) from error
    if not isinstance(message, kinds):
        raise ControlError(f"a {type(message).__name__} is not expected here")
    if not _finite(message):
        raise ControlError("numbers must be finite")
    return message


def _finite(message: Message) -> bool:
    match message:
        case CaptureOrder():
            return math.isfinite(message.start_s)
        case InferOrder():
            numbers = [*message.parameters.values(), *(value for vertex in message.area for value in vertex)]
            return all(math.isfinite(number) for number in numbers)
        case PayloadReport():
            return all(map(math.isfinite, (message.confidence, message.inference_s, message.peak_rss_mb)))
        case _:
            return True
