"""The gate: the only holder of the transmitter. What is not declared, checked and budgeted here does not leave.

Six things pass, each of exactly one type, encoded here and by nobody else:

* a product: sealed under this satellite's own key, for a job that waits for it, within the bytes of job and grant. The
  gate encrypts it to the recipient of the grant, remembers the very octets, and signs that they may leave;
* an alert: made here, from a product that the gate released;
* telemetry and events: declared components, declared number types, a bounded rate;
* a status report: three numbers and the start of an id;
* a protocol unit of file delivery: decoded here, and let through only if every octet of it follows from a released
  product.

Legitimate things that come too fast or find the queue full are held back: the call returns the reason. Everything else
is refused with EgressRefused. Both are in the audit log, a flood of them as a count.

What Python cannot prevent: code inside the flight process could reach the radio through the interpreter. The process
boundary is what keeps pixels out: the flight process holds no line of the strip, the payload process no radio.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bindings.errors import SwathError
from flight.agent.audit import AuditLog, What
from flight.agent.declared import event_octets, status_octets, telemetry_octets
from flight.agent.effects import ReportStatus
from flight.agent.errors import EgressRefused
from flight.agent.job import ProductKind
from flight.agent.keys import KeyStore
from flight.agent.reasons import EgressReason
from flight.agent.receipt import PRODUCT_ID_BYTES
from flight.agent.release import MAX_PRODUCT_BYTES, Release, verify_release, write_release
from flight.agent.terms import ReleaseTerms
from flight.agent.token_bucket import TokenBucket
from flight.agent.unit_check import Transfers
from flight.link.apids import Apid
from flight.link.errors import ChannelFull, LinkError
from flight.link.packet import HEADER_BYTES, SequenceCounters
from flight.link.tm_frame import TmFramer
from flight.product.alert import alert_of
from flight.product.container import Product, open_container
from flight.product.envelope import OVERHEAD, encrypt_to
from flight.product.errors import ProductError
from flight.services.events import EventRecord
from flight.services.telemetry import TelemetryPacket
from hal.clock import Clock
from hal.radio.protocol import Radio

URGENT, HOUSEKEEPING, PRODUCTS = 0, 1, 2  # virtual channels, in order of priority
MAX_HELD_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Rates:
    """How much may leave: (per second of host time, at once)."""

    alerts: tuple[float, float] = (1.0, 16.0)
    events: tuple[float, float] = (50.0, 200.0)
    statuses: tuple[float, float] = (10.0, 64.0)
    audit_refusals: tuple[float, float] = (1.0, 16.0)
    telemetry_burst: float = 2.0  # packets of one component; their rate is the component's own


@dataclass(frozen=True, slots=True)
class ProductReader:
    """The octets of a released product, for a file transfer."""

    name: str
    size: int
    sha256: bytes
    read: Callable[[int, int], bytes]


@dataclass(slots=True)
class Counters:
    """What passed and what did not; the gate's telemetry."""

    frames: int = 0
    frames_deferred: int = 0
    alerts: int = 0
    events: int = 0
    telemetry: int = 0
    statuses: int = 0
    link_units: int = 0
    products: int = 0
    product_bytes: int = 0
    refused: int = 0
    rate_held: int = 0


class EgressGate:
    """See the module. One per flight process, made by the composition and given to nobody who does not send."""

    def __init__(
        self,
        radio: Radio,
        framer: TmFramer,
        keys: KeyStore,
        terms: Callable[[bytes, float], ReleaseTerms | None],
        audit: AuditLog,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        *,
        entity: int,
        ground_entity: int,
        rates: Rates = Rates(),
    ) -> None:
        """terms: AgentCore.terms; random_bytes: secret, for encryption; entity: this satellite's CFDP number.

        Raises EgressRefused when the radio cannot carry a frame.
        """
        if radio.max_frame_bytes < framer.frame_bytes:
            raise EgressRefused(EgressReason.CONTENT_INVALID, f"the radio takes {radio.max_frame_bytes} octets a frame")
        self.__radio, self.__framer, self.__keys = radio, framer, keys
        self.__products: dict[bytes, tuple[Release, bytes]] = {}
        self.__transfers = Transfers(entity, ground_entity)
        self.__packets = SequenceCounters()
        self.__frame: bytes | None = None  # made, and not yet taken by the radio
        self._terms, self._audit, self._clock, self._random = terms, audit, clock, random_bytes
        self._rates = rates
        now_s = clock.host_s()
        self._alerts, self._events = TokenBucket(*rates.alerts, now_s), TokenBucket(*rates.events, now_s)
        self._statuses = TokenBucket(*rates.statuses, now_s)
        self._refusals = TokenBucket(*rates.audit_refusals, now_s)
        self._components: dict[int, TokenBucket] = {}
        self.counters = Counters()
        self.max_unit_bytes = framer.data_bytes - HEADER_BYTES  # one unit is one packet is at most one frame

    # --- products --------------------------------------------------------------------------------------------------

    def admit_product(self, container: bytes) -> bytes:
        """Check a sealed container, encrypt it to its recipient and release it.

        Returns the payload of its PRODUCT record, to be told to the agent as ProductReady. Raises EgressRefused.
        """
        time_s = self._clock.mission_s()
        try:
            product, terms = self._checked(container, time_s)
            octets = encrypt_to(container, terms.recipient, self._random)
        except EgressRefused as refused:
            raise self._refuse(What.PRODUCT, refused.reason, refused.detail, size=_size(container)) from refused
        except ProductError as error:
            raise self._refuse(What.PRODUCT, EgressReason.NO_RECIPIENT, str(error), size=_size(container)) from error
        release = Release(
            product_id=hashlib.sha256(container).digest()[:PRODUCT_ID_BYTES],
            job_id=product.header.job_id,
            sha256=hashlib.sha256(octets).digest(),
            size=len(octets),
            findings=product.regions_total,
            confidence=product.confidence,
            time_s=int(time_s),
            alert=alert_of(product).pack(self.__keys.alert_key),
        )
        self._log(What.PRODUCT, release.product_id, release.size)
        self.__products[release.product_id] = (release, octets)
        self.counters.products += 1
        self.counters.product_bytes += release.size
        return write_release(release, octets, self.__keys.satellite)

    def restore_product(self, record: bytes) -> Release:
        """After a restart: a PRODUCT record that this gate wrote. Raises EgressRefused for any other."""
        if type(record) is not bytes:
            raise self._refuse(What.PRODUCT, EgressReason.NOT_A_DECLARED_TYPE, type(record).__name__)
        try:
            release, octets = verify_release(record, self.__keys.satellite)
        except EgressRefused as refused:
            raise self._refuse(What.PRODUCT, refused.reason, refused.detail, size=_size(record)) from refused
        self.__products[release.product_id] = (release, octets)
        return release

    def product_reader(self, product_id: bytes) -> ProductReader:
        """The octets of a released product, for the sender of a file transfer. Raises EgressRefused."""
        release, octets = self._released(product_id, What.PRODUCT)

        def read(offset: int, count: int) -> bytes:
            return octets[offset : offset + count]

        return ProductReader(release.name, release.size, release.sha256, read)

    def forget_product(self, product_id: bytes) -> None:
        """Its job has ended. No matter whether it is there."""
        found = self.__products.pop(product_id, None)
        if found is not None:
            self.__transfers.forget(found[0].name)

    def _checked(self, container: bytes, time_s: float) -> tuple[Product, ReleaseTerms]:
        """The product and the terms it leaves on. Raises EgressRefused with the first reason against it."""
        if type(container) is not bytes:
            raise EgressRefused(EgressReason.NOT_A_DECLARED_TYPE, type(container).__name__)
        if len(container) + OVERHEAD > MAX_PRODUCT_BYTES:
            raise EgressRefused(EgressReason.OVER_BYTE_BUDGET, f"{len(container)} octets")
        try:
            product = open_container(container, self.__keys.satellite.verifier)
        except ProductError as error:
            raise EgressRefused(EgressReason.SEAL_INVALID, str(error)) from error
        header = product.header
        terms = self._terms(header.job_id, time_s)
        if terms is None:
            raise EgressRefused(EgressReason.UNKNOWN_JOB, header.job_id.hex())
        if any(release.job_id == header.job_id for release, _ in self.__products.values()):
            raise EgressRefused(EgressReason.ALREADY_RELEASED, header.job_id.hex())
        if not terms.awaits_product:
            raise EgressRefused(EgressReason.WRONG_STATE, header.job_id.hex())
        if (header.application, header.capture_id) != (terms.application, terms.capture_id):
            raise EgressRefused(EgressReason.CONTENT_INVALID, "another application or capture than the job's")
        if not set(terms.parameters) <= set(header.parameters):
            raise EgressRefused(EgressReason.CONTENT_INVALID, "other parameters than the job's")
        held = {ProductKind(content) for content in header.contents} or {ProductKind.COUNTS}
        if not held <= terms.declared:
            raise EgressRefused(EgressReason.PRODUCT_NOT_DECLARED, header.application)
        if not held <= terms.products:
            raise EgressRefused(EgressReason.PRODUCT_NOT_GRANTED, header.application)
        size = len(container) + OVERHEAD
        if size > terms.byte_budget:
            raise EgressRefused(EgressReason.OVER_BYTE_BUDGET, f"{size} octets where {terms.byte_budget} are left")
        if size > terms.day_bytes_left:
            raise EgressRefused(EgressReason.OVER_DAILY_BYTES, f"{size} octets, {terms.day_bytes_left} left today")
        if size + sum(len(octets) for _, octets in self.__products.values()) > MAX_HELD_BYTES:
            raise EgressRefused(EgressReason.QUEUE_FULL, f"{size} octets more")
        return product, terms

    def _released(self, product_id: bytes, what: What) -> tuple[Release, bytes]:
        if type(product_id) is not bytes or len(product_id) != PRODUCT_ID_BYTES:
            raise self._refuse(what, EgressReason.NOT_A_DECLARED_TYPE, "no product id")
        found = self.__products.get(product_id)
        if found is None:
            raise self._refuse(what, EgressReason.UNKNOWN_PRODUCT, product_id.hex(), subject=product_id)
        return found

    # --- small things ----------------------------------------------------------------------------------------------

    def send_alert(self, product_id: bytes) -> EgressReason | None:
        """The alert of a released product; None when it is on its way. Raises EgressRefused."""
        release, _ = self._released(product_id, What.ALERT)
        if not self._alerts.take(self._clock.host_s()):
            return self._hold(What.ALERT)
        held = self._push(URGENT, Apid.ALERT, release.alert, What.ALERT)
        if held is None:
            self._log(What.ALERT, product_id, len(release.alert))
            self.counters.alerts += 1
        return held

    def send_telemetry(self, packet: TelemetryPacket) -> EgressReason | None:
        """A declared component's numbers; None when they are on their way. Raises EgressRefused."""
        octets = self._encoded(What.TELEMETRY, telemetry_octets, packet)
        component, now_s = packet.component, self._clock.host_s()
        bucket = self._components.get(component.number)
        if bucket is None:
            bucket = TokenBucket(1.0 / component.min_period_s, self._rates.telemetry_burst, now_s)
            self._components[component.number] = bucket
        if not bucket.take(now_s):
            return self._hold(What.TELEMETRY)
        held = self._push(HOUSEKEEPING, Apid.TELEMETRY, octets, What.TELEMETRY)
        self.counters.telemetry += held is None
        return held

    def send_event(self, record: EventRecord) -> EgressReason | None:
        """A declared event; None when it is on its way. Raises EgressRefused."""
        octets = self._encoded(What.EVENT, event_octets, record)
        if not self._events.take(self._clock.host_s()):
            return self._hold(What.EVENT)
        held = self._push(HOUSEKEEPING, Apid.EVENT, octets, What.EVENT)
        self.counters.events += held is None
        return held

    def send_status(self, report: ReportStatus) -> EgressReason | None:
        """How a job or a grant stands; None when it is on its way. Raises EgressRefused."""
        time_s = self._clock.mission_s()
        octets = self._encoded(What.STATUS, lambda thing: status_octets(thing, time_s), report)
        if not self._statuses.take(self._clock.host_s()):
            return self._hold(What.STATUS)
        held = self._push(URGENT, Apid.STATUS, octets, What.STATUS)
        self.counters.statuses += held is None
        return held

    def _encoded(self, what: What, encode: Callable[[Any], bytes], thing: object) -> bytes:
        try:
            return encode(thing)
        except EgressRefused as refused:
            raise self._refuse(what, refused.reason, refused.detail) from refused

    # --- link ------------------------------------------------------------------------------------------------------

    def ready_for_unit(self) -> bool:
        """Whether there is room for one more protocol unit; little is queued, so that what is urgent is never far."""
        return self.__framer.pending(PRODUCTS) < 2 * self.__framer.data_bytes

    def send_link_unit(self, unit: bytes) -> EgressReason | None:
        """One unit of file delivery; None when it is on its way. Raises EgressRefused.

        Held back with QUEUE_FULL when ready_for_unit() was not asked: file delivery repeats it.
        """
        if type(unit) is not bytes or len(unit) > self.max_unit_bytes:
            raise self._refuse(What.LINK_UNIT, EgressReason.NOT_A_LINK_UNIT, type(unit).__name__, size=_size(unit))
        by_name = {release.name: octets for release, octets in self.__products.values()}
        try:
            self.__transfers.check(unit, by_name)
        except EgressRefused as refused:
            raise self._refuse(What.LINK_UNIT, refused.reason, refused.detail, size=len(unit)) from refused
        if not self.ready_for_unit():
            return self._hold(What.LINK_UNIT, EgressReason.QUEUE_FULL)
        held = self._push(PRODUCTS, Apid.CFDP, unit, What.LINK_UNIT)
        self.counters.link_units += held is None
        return held

    def pump(self, now_s: float, max_frames: int = 16) -> int:
        """Hand frames to the radio, most urgent first, until it takes no more; how many went. Never blocks."""
        sent = 0
        while sent < max_frames:
            if self.__frame is None:
                self.__frame = self._next_frame()
            if self.__frame is None:
                break
            if not self.__radio.send(self.__frame):
                self.counters.frames_deferred += 1
                break
            self.__frame = None
            sent += 1
        self.counters.frames += sent
        return sent

    def telemetry(self) -> dict[str, int | float]:
        """The values of the gate's telemetry packet (flight/agent/component.py)."""
        values = {name: getattr(self.counters, name) for name in Counters.__slots__}
        head = int.from_bytes(self._audit.head[:8], "big")
        return {**values, "audit_records": self._audit.sequence, "audit_head": head}

    def _next_frame(self) -> bytes | None:
        """What is urgent goes at once, in a frame filled up if need be; the rest fills frames while it can."""
        framer = self.__framer
        return framer.next_frame(flush=framer.pending(URGENT) > 0) or framer.next_frame(flush=True)

    def _push(self, channel: int, apid: Apid, payload: bytes, what: What) -> EgressReason | None:
        try:
            self.__framer.push(channel, self.__packets.packet(apid, payload))
        except ChannelFull:
            return self._hold(what, EgressReason.QUEUE_FULL)
        except LinkError as error:
            raise self._refuse(what, EgressReason.CONTENT_INVALID, str(error), size=len(payload)) from error
        return None

    # --- audit -----------------------------------------------------------------------------------------------------

    def _log(self, what: What, subject: bytes, size: int) -> None:
        """Written before it leaves. Raises EgressRefused when the journal does not take it."""
        try:
            self._audit.write(self._clock.mission_s(), what, 0, subject, size)
        except SwathError as error:
            self.counters.refused += 1
            raise EgressRefused(EgressReason.AUDIT_UNAVAILABLE, str(error)) from error

    def _refuse(
        self, what: What, reason: EgressReason, detail: str, *, subject: bytes = b"", size: int = 0
    ) -> EgressRefused:
        self.counters.refused += 1
        self._log_refusal(what, reason, subject, size)
        return EgressRefused(reason, detail)

    def _hold(self, what: What, reason: EgressReason = EgressReason.RATE_EXCEEDED) -> EgressReason:
        self.counters.rate_held += 1
        self._log_refusal(what, reason, b"", 0)
        return reason

    def _log_refusal(self, what: What, reason: EgressReason, subject: bytes, size: int) -> None:
        """A flood of refusals, or a journal that takes no more, leaves a count in the next record."""
        if not self._refusals.take(self._clock.host_s()):
            self._audit.hold()
            return
        try:
            self._audit.write(self._clock.mission_s(), what, reason, subject, size)
        except SwathError:
            self._audit.hold()


def _size(value: object) -> int:
    return len(value) if isinstance(value, (bytes, bytearray)) else 0
