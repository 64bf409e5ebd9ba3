"""From a file that came down to a product that anybody can open: decrypted, verified, checked, exported, receipted.

Nothing is believed before the seal holds under a satellite's key and the content is what its counts say. A file that
is told again, as after a restart, changes nothing; one whose taking was cut short is taken from its beginning.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from flight.agent import cose
from flight.agent.job import Job
from flight.agent.keys import SigningKey
from flight.agent.receipt import PRODUCT_ID_BYTES, Receipt
from flight.agent.release import MAX_PRODUCT_BYTES, product_name
from flight.product.container import Product, open_container
from flight.product.envelope import decrypt
from flight.product.export import Exported, export_all, possible_kinds
from flight.product.export.files import make_folder, whole_file
from ground_test.gateway.errors import ReceptionFailed
from ground_test.gateway.stac import write_item
from ground_test.gateway.store import GatewayStore, OrderRow


@dataclass(frozen=True, slots=True)
class GroundKeys:
    """What the ground holds and trusts to take products."""

    ground: SigningKey  # signs receipts
    reading: X25519PrivateKey  # delegated by the tenants whose grants name it
    satellites: Mapping[bytes, Ed25519PublicKey]


class Reception:
    """One folder of products and its catalogue."""

    def __init__(self, store: GatewayStore, keys: GroundKeys, products: Path, stac: Path) -> None:
        self._store, self._keys, self._products, self._stac = store, keys, products, stac

    def take(self, name: str, path: Path, time_s: float, host_s: float) -> str:
        """Take the file called `name` that lies at `path`, received at that mission and host time; it goes when taken.

        Returns the stem of the files written, or `name` when the product was here already.

        Raises ReceptionFailed, ProductError or OSError; then nothing was receipted.
        """
        product_id = _product_id(name)
        if self._store.has_product(product_id):
            path.unlink(missing_ok=True)
            return name
        octets = _read(name, path)
        container = decrypt(octets, self._keys.reading)
        if hashlib.sha256(container).digest()[:PRODUCT_ID_BYTES] != product_id:
            raise ReceptionFailed(name, "its name is not the hash of its content")
        product = open_container(container, self._keys.satellites)
        product.check_content()
        order = self._order(name, product, len(octets))
        stem = f"{order.application}-{order.id.hex()[:8]}"
        files = self._write(stem, container, product, time_s)
        content = {**_summary(product), "stem": stem, "sent_bytes": len(octets), "files": files}
        ground = self._keys.ground
        receipt = Receipt(product_id, hashlib.sha256(octets).digest()).encode()
        signed = cose.sign1(receipt, ground.private, ground.key_id, cose.aad(cose.Purpose.RECEIPT))
        self._store.take_product(product_id, order.id, time_s, host_s, content, signed)
        path.unlink(missing_ok=True)  # all that is needed of it is in the products and the store
        return stem

    def _order(self, name: str, product: Product, size: int) -> OrderRow:
        header = product.header
        order = self._store.order(header.job_id)
        if order is None:
            raise ReceptionFailed(name, f"nobody here ordered job {header.job_id.hex()[:16]}")
        job = Job.decode(cose.parse1(order.signed).payload)
        if header.application != job.application:
            raise ReceptionFailed(name, f"an answer of {header.application} to an order for {job.application}")
        if not set(job.parameters) <= set(header.parameters):
            raise ReceptionFailed(name, "made with other parameters than ordered")
        if not set(map(int, header.contents)) <= set(map(int, job.products)):
            raise ReceptionFailed(name, "it holds more than was ordered")
        if size > job.byte_budget:
            raise ReceptionFailed(name, f"{size} bytes where {job.byte_budget} were ordered")
        return order

    def _write(self, stem: str, container: bytes, product: Product, time_s: float) -> list[dict[str, Any]]:
        make_folder(self._products)
        sealed = self._products / f"{stem}.swp"
        with whole_file(sealed) as stream:
            stream.write(container)
        files = [
            Exported(sealed.resolve(), "product", len(container)),
            *export_all(product, possible_kinds(product), self._products, stem),
        ]
        item = write_item(self._stac, stem, product, files, time_s)
        files.append(Exported(item.resolve(), "stac", item.stat().st_size))
        return [{"path": str(file.path), "kind": file.kind, "bytes": file.bytes} for file in files]


def _read(name: str, path: Path) -> bytes:
    with path.open("rb") as stream:
        octets = stream.read(MAX_PRODUCT_BYTES + 1)
    if len(octets) > MAX_PRODUCT_BYTES:
        raise ReceptionFailed(name, f"larger than {MAX_PRODUCT_BYTES} bytes")
    return octets


def _product_id(name: str) -> bytes:
    try:
        product_id = bytes.fromhex(name.partition(".")[0])
    except ValueError:
        product_id = b""
    if len(product_id) != PRODUCT_ID_BYTES or product_name(product_id) != name:
        raise ReceptionFailed(name, "not the name of a product")
    return product_id


def _summary(product: Product) -> dict[str, Any]:
    """What reports and the API show of a product."""
    header, coverage = product.header, product.coverage
    return {
        "application": header.application,
        "application_version": header.application_version,
        "start_s": header.start_s,
        "line_rate_hz": header.line_rate_hz,
        "width": header.width,
        "height": header.height,
        "sensor": header.sensor,
        "lines": coverage.lines,
        "lines_lost": coverage.lines_lost,
        "tiles": {
            "total": coverage.tiles_total,
            "screened": coverage.tiles_screened,
            "inferred": coverage.tiles_inferred,
        },
        "finding": header.classes[header.finding_class],
        "finding_pixels": product.counts[header.finding_class],
        "answered_pixels": sum(product.counts),
        "regions": product.regions_total,
        "confidence": round(product.confidence, 3),
        "verified": product.verified,
        "sealed_s": product.time_s,
    }
