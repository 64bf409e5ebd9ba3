"""Products made from nothing but numbers, for tests and for the committed vectors.

`python -m tests.flight.product.cases` writes the vectors anew; do so only when the format changes on purpose.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from numpy.typing import NDArray

from flight.product.alert import alert_of
from flight.product.assembler import ProductAssembler
from flight.product.container import Product, open_container, seal
from flight.product.envelope import encrypt_to
from flight.product.header import Content, GeoModel, ProductHeader
from flight.product.summary import Coverage

VECTORS = Path(__file__).with_name("vectors")
SEAL_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY_ID = bytes.fromhex("56475aa75463474c")  # SHA-256 of the public key, the first 8 octets
TRUSTED = {KEY_ID: SEAL_KEY.public_key()}
READER = X25519PrivateKey.from_private_bytes(bytes(range(100, 132)))
READER_PUBLIC = READER.public_key().public_bytes_raw()
ALERT_KEY = bytes(range(200, 232))
SEALED_S = 1_700_000_123.25

PIXELS_ONLY = GeoModel(None, None, 0.0)
DEGREES = GeoModel((0.001, 0.0, 10.0, 0.0, -0.001, 50.0), 4326, 30.0)
UTM = GeoModel((30.0, 0.0, 351_000.0, 0.0, -30.0, 4_560_000.0), 32612, 45.0)
UTM_SOUTH_ROTATED = GeoModel((25.0, 10.0, 640_000.0, 10.0, -25.0, 6_070_000.0), 32755, 45.0)
MERCATOR = GeoModel((38.2, 0.0, -12_500_000.0, 0.0, -38.2, 4_500_000.0), 3857, 10.0)

NAMES = tuple(f"class {number}" for number in range(64))

HEADER = ProductHeader(
    job_id=bytes(range(32)),
    capture_id=bytes(range(16)),
    application="water",
    application_version="1.0.0",
    model_sha256=bytes(range(32, 64)),
    parameters=(("threshold", 0.5), ("sieve", 3.0)),
    software="swath 0.1.0",
    sensor="landsat7",
    radiometry="toa",
    calibrated=True,
    start_s=1_700_000_000.5,
    line_rate_hz=236.0,
    width=1,
    height=1,
    classes=("land", "water"),
    finding_class=1,
    geo=PIXELS_ONLY,
    footprint=((10.0, 50.0), (10.5, 50.0), (10.5, 49.5), (10.0, 49.5)),
)


@dataclass(frozen=True)
class Case:
    header: ProductHeader
    mask: NDArray[np.uint8]
    coverage: Coverage
    confidence: float

    def body(self, outlined: bool = False) -> bytes:
        assembler = ProductAssembler(self.header, outlined=outlined)
        assembler.add(0, self.mask)
        return assembler.finish(self.coverage, self.confidence)

    def container(self) -> bytes:
        return seal(self.body(), SEAL_KEY, KEY_ID, SEALED_S)

    def product(self) -> Product:
        return open_container(self.container(), TRUSTED)


def case(mask: NDArray[np.uint8], **changes: Any) -> Case:
    """A case for any class map; `changes` go into the header."""
    height, width = mask.shape
    header = replace(HEADER, width=width, height=height, **changes)
    coverage = Coverage(height, 0, 6, 1, 5, int((mask == 255).sum()))
    return Case(header, np.ascontiguousarray(mask), coverage, 0.75)


def blobs(height: int, width: int, seed: int, classes: int = 2, wedge: int = 0) -> NDArray[np.uint8]:
    """Smooth patches in whole-number arithmetic, so that every machine makes the same; `wedge` columns of 255."""
    rng = np.random.Generator(np.random.PCG64(seed))
    field = rng.integers(0, 1000, (height + 8, width + 8), dtype=np.int64)
    for axis in (0, 1):
        cumulated = np.cumsum(field, axis=axis)
        field = np.take(cumulated, np.arange(8, cumulated.shape[axis]), axis) - np.take(
            cumulated, np.arange(0, cumulated.shape[axis] - 8), axis
        )
    edges = [31_968 + 900 * step for step in range(classes - 1)]
    mask = np.digitize(field, edges).astype(np.uint8)
    for row in range(height):
        mask[row, : max(0, wedge - row // 4)] = 255
    return mask


def vectors() -> dict[str, Case]:
    """The committed ones, by name."""
    return {
        "one_pixel": case(np.array([[1]], np.uint8)),
        "one_row": case(np.array([[0, 0, 0, 1, 1, 0, 255]], np.uint8), geo=DEGREES),
        "three_strips": case(blobs(150, 90, 1, wedge=12), geo=UTM, strip_rows=64),
        "five_classes": case(
            blobs(40, 60, 2, classes=5, wedge=5),
            classes=("clear", "thin cloud", "cloud", "shadow", "Schnee \u2744"),
            finding_class=2,
            strip_rows=16,
            calibrated=False,
            radiometry="dn8",
            parameters=(),
            footprint=(),
            geo=MERCATOR,
        ),
        "tall": case(blobs(530, 70, 4, classes=3), classes=("land", "water", "ice")),
        "wide": case(blobs(20, 1100, 5, wedge=700)),
        "noise": case(np.random.Generator(np.random.PCG64(6)).integers(0, 64, (9, 16), dtype=np.uint8), classes=NAMES),
        "without_mask": case(blobs(50, 60, 7), contents=(Content.REGIONS,)),
        "counts_alone": case(blobs(50, 60, 7), contents=()),
        "many_findings": case((np.indices((36, 40)).sum(0) % 2 * (np.indices((36, 40))[0] % 2)).astype(np.uint8)),
    }


def golden_files() -> dict[str, bytes]:
    """Every vector file's content."""
    files = {f"{name}.swp": made.container() for name, made in vectors().items()}
    outlined = vectors()["three_strips"].body(outlined=True)
    files["three_strips_outlined.swp"] = seal(outlined, SEAL_KEY, KEY_ID, SEALED_S)
    files["three_strips.swe"] = encrypt_to(files["three_strips.swp"], READER_PUBLIC, lambda count: bytes(range(count)))
    files["three_strips.alert"] = alert_of(vectors()["three_strips"].product()).pack(ALERT_KEY)
    return files


if __name__ == "__main__":
    VECTORS.mkdir(exist_ok=True)
    for name, octets in golden_files().items():
        (VECTORS / name).write_bytes(octets)
        print(name, len(octets))
