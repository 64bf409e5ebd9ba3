"""A small ground: keys, a tenant with a grant, orders, and products as a satellite would seal them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from flight.agent import cose
from flight.agent.admission import ApplicationTerms
from flight.agent.area import Box, ring_of
from flight.agent.grant import Grant
from flight.agent.job import Job, ProductKind
from flight.agent.keys import SigningKey, generate_signing_key
from flight.agent.release import product_name
from flight.link.apids import Apid
from flight.product.assembler import ProductAssembler
from flight.product.container import seal
from flight.product.envelope import encrypt_to
from flight.product.header import GeoModel, ProductHeader
from flight.product.summary import Coverage
from ground_test.gateway.orders import CheckedOrder, Trust, check_order, order_body
from ground_test.gateway.reception import GroundKeys, Reception
from ground_test.gateway.store import GatewayStore, OrderRow
from ground_test.gateway.submission import sign_grant, sign_job

NOW = 1_790_879_400.0


def _repeated(seed: int, count: int) -> bytes:
    return bytes([seed]) * count


MISSION, GROUND, SATELLITE, TENANT, STRANGER = (
    generate_signing_key(partial(_repeated, seed)) for seed in (1, 2, 3, 4, 5)
)
READING = X25519PrivateKey.from_private_bytes(bytes(range(40, 72)))
ALERT_KEY = bytes(range(100, 132))
EVERY = tuple(sorted(ProductKind))
AREA = ring_of([(-112.8, 40.7), (-112.5, 40.7), (-112.5, 41.0), (-112.8, 41.0)])
TERMS = {
    "water": ApplicationTerms("water", (1, 0, 0), frozenset(EVERY), {"threshold": (0.4, 0.5)}),
    "change": ApplicationTerms("change", (1, 0, 0), frozenset(EVERY), needs_reference=True),
}
TRUST = Trust(MISSION.verifier, "", TERMS)
KEYS = GroundKeys(GROUND, READING, SATELLITE.verifier)


def a_grant(**changes: Any) -> Grant:
    base = Grant(
        tenant="acme",
        public_key=TENANT.public,
        recipient=READING.public_key().public_bytes_raw(),
        applications=("change", "water"),
        boxes=(Box(-1_140_000_000, 390_000_000, -1_110_000_000, 420_000_000),),
        products=EVERY,
        max_bytes_per_job=100_000,
        max_bytes_per_day=250_000,
        valid_from_s=int(NOW) - 100,
        valid_to_s=int(NOW) + 1_000_000,
        serial=1,
    )
    return replace(base, **changes)


def a_job(number: int = 0, **changes: Any) -> Job:
    base = Job(
        tenant="acme",
        application="water",
        version_min=(0, 0, 1),
        version_below=(9, 0, 0),
        area=AREA,
        earliest_s=int(NOW),
        latest_s=int(NOW) + 30_000,
        deadline_s=int(NOW) + 40_000,
        expires_s=int(NOW) + 80_000,
        parameters=(("threshold", 0.5),),
        products=EVERY,
        byte_budget=90_000,
        energy_budget_j=5_000,
        compute_budget_s=100,
        priority=3,
        nonce=number.to_bytes(16, "big"),
    )
    return replace(base, **changes)


def body_of(
    job: Job, grant: Grant | None = None, key: SigningKey = TENANT, mission: SigningKey = MISSION
) -> dict[str, Any]:
    """What a submitter posts."""
    return order_body(job, sign_job(job, key, ""), sign_grant(grant or a_grant(), mission))


def posted(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode()


def taken(store: GatewayStore, job: Job, grant: Grant | None = None) -> CheckedOrder:
    """The order in the store, as the API would have put it there."""
    order = check_order(job.application, posted(body_of(job, grant)), TRUST, NOW)
    row = OrderRow(order.id, job.application, NOW, job.tenant, order.grant.id, order.request, order.signed_job)
    store.add_order(
        row,
        [
            (order.grant.id, int(Apid.GRANT), order.signed_grant, None),
            (order.id, int(Apid.JOB), order.signed_job, order.grant.id),
        ],
    )
    return order


@dataclass(frozen=True)
class Sent:
    """A product as it comes down."""

    name: str
    octets: bytes
    container: bytes
    mask: np.ndarray


def a_mask() -> np.ndarray:
    """96 x 80: a lake with an island, a pond, a wedge without an answer."""
    rows, cols = np.indices((96, 80))
    mask = ((rows - 40) ** 2 + (cols - 40) ** 2 < 900).astype(np.uint8)
    mask[(rows - 40) ** 2 + (cols - 44) ** 2 < 60] = 0
    mask[85:90, 60:70] = 1
    mask[rows + cols < 12] = 255
    return mask


def a_product(job: Job, *, key: SigningKey = SATELLITE, reader: X25519PrivateKey = READING, **changes: Any) -> Sent:
    """Sealed and encrypted as on board."""
    mask = a_mask()
    header = ProductHeader(
        job_id=job.id,
        capture_id=bytes(range(16)),
        application=job.application,
        application_version="1.0.0",
        model_sha256=bytes(range(32)),
        parameters=job.parameters,
        software="swath 0.1.0",
        sensor="L7",
        radiometry="dn8",
        calibrated=False,
        start_s=NOW + 100,
        line_rate_hz=96.0,
        width=mask.shape[1],
        height=mask.shape[0],
        classes=("other", "water"),
        finding_class=1,
        geo=GeoModel((30.0, 0.0, 351_000.0, 0.0, -30.0, 4_540_000.0), 32612, 45.0),
        footprint=(),
    )
    assembler = ProductAssembler(replace(header, **changes))
    assembler.add(0, mask)
    body = assembler.finish(Coverage(len(mask), 0, 4, 1, 3, int((mask == 255).sum())), 0.9)
    container = seal(body, key.private, key.key_id, NOW + 110)
    octets = encrypt_to(container, reader.public_key().public_bytes_raw(), lambda count: bytes(range(count)))
    return Sent(product_name(hashlib.sha256(container).digest()[:16]), octets, container, mask)


def reception(store: GatewayStore, folder: Path) -> Reception:
    return Reception(store, KEYS, folder / "products", folder / "stac")


def receive(desk: Reception, folder: Path, sent: Sent, octets: bytes | None = None) -> str:
    """Hand a file to the reception as the receiver would."""
    path = folder / sent.name
    path.write_bytes(sent.octets if octets is None else octets)
    return desk.take(sent.name, path, NOW + 120, 5.0)


def verified_receipt(signed: bytes) -> bytes:
    return cose.verify1(signed, GROUND.verifier, cose.aad(cose.Purpose.RECEIPT)).payload
