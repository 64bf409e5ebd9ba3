"""Envelopes against HPKE by another hand, and alerts against forgery."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from flight.product.alert import SIZE, Alert, AlertKind, alert_of, application_number, verify_alert
from flight.product.envelope import OVERHEAD, decrypt, encrypt_to, is_envelope
from flight.product.errors import AlertInvalid, EnvelopeInvalid, NotAProduct, ProductError, UnsupportedVersion
from tests.flight.product.cases import ALERT_KEY, READER, READER_PUBLIC, VECTORS, blobs, case, vectors

ENVELOPE = (VECTORS / "three_strips.swe").read_bytes()
CONTAINER = (VECTORS / "three_strips.swp").read_bytes()
INFO = b"swath product envelope v1\0"


def test_the_committed_envelope_opens_to_the_committed_container() -> None:
    assert decrypt(ENVELOPE, READER) == CONTAINER
    assert len(ENVELOPE) == len(CONTAINER) + OVERHEAD
    assert is_envelope(ENVELOPE)
    assert not is_envelope(CONTAINER)


def test_another_implementation_of_hpke_opens_ours_and_ours_opens_its() -> None:
    hpke = pytest.importorskip("cryptography.hazmat.primitives.hpke", reason="cryptography before 47 has no HPKE")
    suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    head = ENVELOPE[:20]
    assert suite.decrypt(ENVELOPE[20:], READER, INFO + head) == CONTAINER
    assert decrypt(head + suite.encrypt(b"an answer", READER.public_key(), INFO + head), READER) == b"an answer"


def test_nobody_else_opens_it_and_nothing_in_it_can_be_altered() -> None:
    with pytest.raises(EnvelopeInvalid, match="for the key"):
        decrypt(ENVELOPE, X25519PrivateKey.from_private_bytes(bytes(32)))
    short = encrypt_to(b"abc", READER_PUBLIC, lambda count: bytes(range(count)))
    for at in range(len(short)):
        with pytest.raises(ProductError):
            decrypt(short[:at] + bytes((short[at] ^ 0x40,)) + short[at + 1 :], READER)
    for length in range(len(short)):
        with pytest.raises(ProductError):
            decrypt(short[:length], READER)
    with pytest.raises(ProductError):
        decrypt(short + b"\0", READER)


def test_other_files_and_versions_are_named() -> None:
    with pytest.raises(NotAProduct):
        decrypt(CONTAINER, READER)
    with pytest.raises(UnsupportedVersion):
        decrypt(ENVELOPE[:8] + b"\x02" + ENVELOPE[9:], READER)


def test_a_key_that_makes_the_same_secret_with_everyone_is_refused() -> None:
    with pytest.raises(EnvelopeInvalid, match="small order"):
        encrypt_to(b"abc", bytes(32), lambda count: bytes(range(count)))
    with pytest.raises(EnvelopeInvalid, match="small order"):
        decrypt(ENVELOPE[:20] + bytes(32) + ENVELOPE[52:], READER)
    with pytest.raises(EnvelopeInvalid, match="32 bytes"):
        encrypt_to(b"abc", bytes(31), bytes)


@given(st.binary(max_size=300), st.binary(min_size=32, max_size=32))
def test_what_goes_in_comes_out(content: bytes, randomness: bytes) -> None:
    assert decrypt(encrypt_to(content, READER_PUBLIC, lambda _: randomness), READER) == content


ALERTS = st.builds(
    Alert,
    job=st.binary(min_size=8, max_size=8),
    kind=st.sampled_from(AlertKind),
    application=st.integers(0, 65535),
    time_s=st.integers(0, 2**32 - 1),
    count=st.integers(0, 2**32 - 1),
    area_m2=st.none() | st.integers(0, 2**60),
    lon=st.integers(-1_800_000_000, 1_800_000_000).map(lambda units: units / 10_000_000),
    lat=st.integers(-900_000_000, 900_000_000).map(lambda units: units / 10_000_000),
    confidence=st.integers(0, 255).map(lambda step: step / 255),
)


@given(ALERTS)
def test_an_alert_comes_back_and_fits_in_sixty_four_octets(alert: Alert) -> None:
    octets = alert.pack(ALERT_KEY)
    assert verify_alert(octets, ALERT_KEY) == alert
    assert len(octets) == SIZE <= 64


@settings(max_examples=30)
@given(ALERTS, st.binary(min_size=16, max_size=32))
def test_an_alert_by_another_key_or_altered_anywhere_is_refused(alert: Alert, other: bytes) -> None:
    octets = alert.pack(ALERT_KEY)
    with pytest.raises(AlertInvalid):
        verify_alert(octets, other)
    for at in range(SIZE):
        with pytest.raises(AlertInvalid):
            verify_alert(octets[:at] + bytes((octets[at] ^ 1,)) + octets[at + 1 :], ALERT_KEY)
    for length in (0, SIZE - 1, SIZE + 1):
        with pytest.raises(AlertInvalid):
            verify_alert((octets + b"\0")[:length], ALERT_KEY)


def test_the_alert_of_a_product_says_what_the_product_says() -> None:
    made = vectors()["three_strips"]
    product = made.product()
    alert = verify_alert((VECTORS / "three_strips.alert").read_bytes(), ALERT_KEY)
    assert (alert.kind, alert.count, alert.job) == (AlertKind.FINDINGS, product.regions_total, made.header.job_id[:8])
    assert alert.application == application_number("water")
    assert alert.area_m2 == pytest.approx(900 * product.counts[1], rel=2e-3)
    assert alert.lon == pytest.approx(-112.7, abs=0.1)
    assert alert.lat == pytest.approx(41.17, abs=0.1)


def test_an_alert_without_findings_or_without_a_place_says_so() -> None:
    nowhere = alert_of(case(blobs(9, 9, 1)).product())
    assert (nowhere.kind, nowhere.lon, nowhere.lat, nowhere.area_m2) == (AlertKind.FINDINGS, None, None, None)
    assert verify_alert(nowhere.pack(ALERT_KEY), ALERT_KEY) == nowhere
    nothing = alert_of(case(blobs(9, 9, 1) * 0, geo=vectors()["three_strips"].header.geo).product())
    assert (nothing.kind, nothing.count, nothing.area_m2, nothing.lon) == (AlertKind.NONE_FOUND, 0, 0, None)


def test_a_weak_key_or_a_number_out_of_range_makes_no_alert() -> None:
    alert = alert_of(vectors()["one_row"].product())
    with pytest.raises(AlertInvalid, match="at least 16"):
        alert.pack(b"short")
    from dataclasses import replace

    for change in ({"count": -1}, {"time_s": 1 << 32}, {"job": bytes(7)}, {"confidence": 2.0}):
        with pytest.raises(AlertInvalid):
            replace(alert, **change).pack(ALERT_KEY)
