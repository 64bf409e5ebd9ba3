"""Containers: to the octet, in any life of the process, and against damage, forgery and hostile octets."""

from __future__ import annotations

import random
import struct
from dataclasses import replace

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from bindings.crc import crc32c
from flight.product.container import Coverage, Limits, ProductAssembler, open_container, seal
from flight.product.errors import (
    ContentMismatch,
    HeaderInvalid,
    MaskIncomplete,
    NotAProduct,
    ProductDamaged,
    ProductError,
    ProductTooLarge,
    ProductTruncated,
    SealInvalid,
    SealKeyUnknown,
    StripDamaged,
    StripRefused,
    UnsupportedVersion,
)
from flight.product.header import GeoModel, ProductHeader
from flight.services.cbor import decode, encode
from tests.flight.product import independent_decoder
from tests.flight.product.cases import (
    HEADER,
    KEY_ID,
    SEAL_KEY,
    SEALED_S,
    TRUSTED,
    VECTORS,
    blobs,
    case,
    golden_files,
    vectors,
)

PUBLIC = SEAL_KEY.public_key().public_bytes_raw()
MASKS = npst.arrays(
    np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 30)), elements=st.sampled_from([0, 0, 0, 1, 1, 2, 255])
)


def cut(octets: bytes) -> tuple[list[bytes], bytes]:
    """The parts of a body (prefix, header, table, strips..., tail), without their CRCs but for the strips; the seal."""
    size, header, strips, tail = struct.unpack(">IIII", octets[12:28])
    at, parts = 32, [octets[:28]]
    for length in (header, 4 * strips):
        parts.append(octets[at : at + length])
        at += length + 4
    for (length,) in struct.iter_unpack(">I", parts[2]):
        parts.append(octets[at : at + length])
        at += length
    parts.append(octets[at : at + tail])
    return parts, octets[size:]


def join(parts: list[bytes]) -> bytes:
    """A body of such parts, all lengths and CRCs made right, strips' included."""
    prefix, header, _, *strips, tail = parts
    strips = [strip[:-4] + struct.pack(">I", crc32c(strip[:-4])) for strip in strips]
    table = b"".join(struct.pack(">I", len(strip)) for strip in strips)
    size = 32 + len(header) + 4 + len(table) + 4 + sum(map(len, strips)) + len(tail) + 4
    prefix = prefix[:12] + struct.pack(">IIII", size, len(header), len(strips), len(tail))
    checked = [part + struct.pack(">I", crc32c(part)) for part in (prefix, header, table, tail)]
    return b"".join((*checked[:3], *strips, checked[3]))


@pytest.mark.parametrize("name", sorted(golden_files()))
def test_what_is_made_today_is_what_the_committed_vectors_hold(name: str) -> None:
    assert golden_files()[name] == (VECTORS / name).read_bytes()


@pytest.mark.parametrize("name", sorted(vectors()))
def test_a_decoder_written_from_the_specification_alone_reads_the_same(name: str) -> None:
    octets = (VECTORS / f"{name}.swp").read_bytes()
    ours, theirs = open_container(octets, TRUSTED), independent_decoder.decode(octets, PUBLIC)
    assert theirs["mask"] == ours.mask().tolist() == vectors()[name].mask.tolist()
    assert theirs["counts"] == list(ours.counts)
    assert theirs["no_answer"] == ours.no_answer
    assert theirs["regions"] == ours.regions_total
    assert theirs["findings"] == [[getattr(item, field) for field in item.__slots__] for item in ours.regions]
    assert theirs["coverage"] == [getattr(ours.coverage, field) for field in Coverage.__slots__]
    assert theirs["confidence"] / 255 == ours.confidence
    assert (theirs["key_id"], theirs["time_us"] / 1e6) == (ours.sealed_by, ours.time_s)
    header = theirs["header"]
    for field in ("job_id", "capture_id", "application", "application_version", "model_sha256", "software", "sensor"):
        assert header[field] == getattr(ours.header, field)
    for field in ("radiometry", "calibrated", "start_s", "line_rate_hz", "width", "height", "strip_rows"):
        assert header[field] == getattr(ours.header, field)
    assert header["parameters"] == dict(ours.header.parameters)
    assert (header["classes"], header["finding_class"]) == (list(ours.header.classes), ours.header.finding_class)
    geo = ours.header.geo
    assert header["place"] == [list(geo.transform) if geo.transform else None, geo.epsg, geo.sigma_m]
    assert [(lon / 1e7, lat / 1e7) for lon, lat in header["footprint"]] == list(ours.header.footprint)


@settings(max_examples=60, deadline=None)
@given(MASKS, st.integers(1, 50))
def test_a_mask_comes_back_with_the_counts_that_numpy_finds(mask: np.ndarray, strip_rows: int) -> None:
    made = case(mask, classes=("a", "b", "c"), strip_rows=strip_rows)
    product = open_container(made.container(), TRUSTED)
    assert (product.mask() == mask).all()
    assert product.counts == tuple(int((mask == value).sum()) for value in range(3))
    assert product.no_answer == int((mask == 255).sum())
    assert product.header == made.header
    assert product.verified
    product.check_content()


@settings(max_examples=60, deadline=None)
@given(MASKS, st.integers(1, 9))
def test_the_findings_are_the_largest_regions_that_another_library_finds(mask: np.ndarray, strip_rows: int) -> None:
    import cv2

    product = case(mask, classes=("a", "b", "c"), strip_rows=strip_rows).product()
    count, _, stats, centres = cv2.connectedComponentsWithStats((mask == 1).astype(np.uint8), connectivity=8)
    expected = sorted(
        (-int(area), int(top), int(left), int(top + high - 1), int(left + wide - 1), round_(y - top), round_(x - left))
        for (left, top, wide, high, area), (x, y) in zip(stats[1:], centres[1:], strict=True)
    )
    assert product.regions_total == count - 1
    assert expected[:256] == [
        (-r.area, r.first_row, r.first_col, r.last_row, r.last_col, r.row - r.first_row, r.col - r.first_col)
        for r in product.regions
    ]


def round_(offset: float) -> float:
    return np.floor(offset * 16 + 0.5 + 1e-9) / 16


def test_only_the_largest_256_findings_are_listed_and_all_are_counted() -> None:
    product = vectors()["many_findings"].product()
    assert (product.regions_total, len(product.regions)) == (360, 256)
    assert [item.rank for item in product.regions] == sorted(item.rank for item in product.regions)
    assert product.regions[0].first_row == 1


@settings(max_examples=40, deadline=None)
@given(MASKS, st.integers(1, 9), st.data())
def test_a_restart_after_any_strip_gives_the_same_body(mask: np.ndarray, strip_rows: int, data: st.DataObject) -> None:
    made = case(mask, classes=("a", "b", "c"), strip_rows=strip_rows)
    done = data.draw(st.integers(0, made.header.strips))
    before, after = ProductAssembler(made.header), ProductAssembler(made.header)
    for index in range(done):
        after.load_strip(index, before.add_strip(index, made.strips[index]))
    for index in range(done, made.header.strips):
        after.add_strip(index, made.strips[index])
    assert after.finish(made.coverage, made.confidence) == made.body()


def test_the_seal_alone_differs_when_only_time_and_key_do() -> None:
    made = case(blobs(20, 20, 3))
    body = made.body()
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    assert seal(body, SEAL_KEY, KEY_ID, 1.0)[: len(body)] == seal(body, other, b"other", 2.0)[: len(body)] == body


def test_a_capture_that_ended_early_gives_a_smaller_product() -> None:
    made = case(blobs(100, 20, 4))
    assembler = ProductAssembler(replace(made.header, height=1000))
    assembler.add_strip(0, made.strips[0])
    with pytest.raises(StripRefused):
        assembler.add_strip(1, made.strips[1])
    assembler.revise(made.header)
    assembler.add_strip(1, made.strips[1])
    assert assembler.finish(made.coverage, made.confidence) == made.body()
    with pytest.raises(HeaderInvalid, match="height"):
        assembler.revise(replace(made.header, height=101))
    with pytest.raises(HeaderInvalid, match="width"):
        assembler.revise(replace(made.header, width=21))


def test_the_assembler_refuses_what_does_not_fit_and_stays_as_it_was() -> None:
    made = case(blobs(100, 20, 4))
    assembler = ProductAssembler(made.header)
    with pytest.raises(StripRefused, match="strip 0 of 2 is the next"):
        assembler.add_strip(1, made.strips[1])
    with pytest.raises(StripRefused, match="uint8"):
        assembler.add_strip(0, made.strips[0][:, :19])
    with pytest.raises(StripRefused, match="uint8"):
        assembler.add_strip(0, made.strips[0].astype(np.int16))  # type: ignore[arg-type]
    wrong = made.strips[0].copy()
    wrong[3, 4] = 7
    with pytest.raises(StripRefused, match="class value 7 where there are 2"):
        assembler.add_strip(0, wrong)
    encoded = assembler.add_strip(0, made.strips[0])
    with pytest.raises(MaskIncomplete):
        assembler.finish(made.coverage, 0.5)
    with pytest.raises(StripDamaged):
        assembler.load_strip(1, encoded)
    assembler.add_strip(1, made.strips[1])
    with pytest.raises(StripRefused):
        assembler.add_strip(2, made.strips[1])
    with pytest.raises(HeaderInvalid, match="confidence"):
        assembler.finish(made.coverage, 1.5)
    assert assembler.finish(made.coverage, made.confidence) == made.body()


@pytest.mark.parametrize(
    "change",
    [
        {"job_id": bytes(31)},
        {"application": "x" * 65},
        {"application": "a\nb"},
        {"application": "\ud800"},
        {"width": 0},
        {"width": 1 << 25},
        {"height": True},
        {"strip_rows": 1025},
        {"classes": ()},
        {"finding_class": 2},
        {"parameters": (("a", 1.0), ("a", 2.0))},
        {"parameters": (("a", float("nan")),)},
        {"start_s": float("inf")},
        {"footprint": ((181.0, 0.0),)},
        {"calibrated": 1},
    ],
)
def test_a_header_that_cannot_be_sent_cannot_be_made(change: dict) -> None:
    with pytest.raises(HeaderInvalid):
        replace(HEADER, **change)


def test_a_place_that_is_none_is_refused() -> None:
    with pytest.raises(HeaderInvalid):
        GeoModel((1.0, 1.0, 0.0, 1.0, 1.0, 0.0), 4326, 0.0)
    with pytest.raises(HeaderInvalid):
        GeoModel(None, 99, 0.0)


def test_equal_headers_are_equal_octets_whatever_the_order_of_parameters() -> None:
    turned = replace(HEADER, parameters=tuple(reversed(HEADER.parameters)))
    assert turned == HEADER
    assert turned.pack() == HEADER.pack()
    assert ProductHeader.unpack(HEADER.pack()) == HEADER


def test_a_product_cut_anywhere_is_refused_by_name() -> None:
    octets = vectors()["one_row"].container()
    for length in range(len(octets)):
        with pytest.raises((ProductTruncated, NotAProduct) if length < len(octets) - 82 else SealInvalid):
            open_container(octets[:length], TRUSTED)
    with pytest.raises(SealInvalid):
        open_container(octets + b"\0", TRUSTED)


def test_a_flip_of_any_bit_is_seen() -> None:
    octets = vectors()["one_row"].container()
    for at in range(len(octets)):
        for bit in (0, 7):
            flipped = octets[:at] + bytes((octets[at] ^ 1 << bit,)) + octets[at + 1 :]
            with pytest.raises(ProductError):
                open_container(flipped, TRUSTED)


def test_other_versions_other_files_and_other_keys_are_named() -> None:
    octets = vectors()["one_row"].container()
    with pytest.raises(UnsupportedVersion) as version:
        open_container(octets[:8] + b"\x02" + octets[9:], TRUSTED)
    assert (version.value.version, version.value.known) == (2, (1,))
    for other in (b"", b"GIF89a", b"\x89PNG\r\n\x1a\n" + bytes(100), octets.replace(b"\r\n", b"\n", 1)):
        with pytest.raises(NotAProduct):
            open_container(other, TRUSTED)
    with pytest.raises(SealKeyUnknown):
        open_container(octets, {})
    assert not open_container(octets, None).verified


def test_a_seal_over_another_body_or_time_or_by_another_key_does_not_hold() -> None:
    one, other = case(blobs(9, 9, 1)), case(blobs(9, 9, 2))
    sealed = one.container()
    own_seal = sealed[len(one.body()) :]
    with pytest.raises(SealInvalid):
        open_container(other.body() + own_seal, TRUSTED)
    later = own_seal[:10] + struct.pack(">q", 1) + own_seal[18:]
    with pytest.raises(SealInvalid):
        open_container(one.body() + later, TRUSTED)
    forged = seal(one.body(), Ed25519PrivateKey.from_private_bytes(bytes(32)), KEY_ID, SEALED_S)
    with pytest.raises(SealInvalid):
        open_container(forged, TRUSTED)


def test_a_damaged_strip_costs_itself_when_damage_is_tolerated() -> None:
    made = vectors()["three_strips"]
    octets = bytearray(made.container())
    parts, _ = cut(bytes(octets))
    at = 32 + len(parts[1]) + 4 + len(parts[2]) + 4 + len(parts[3]) + 20
    octets[at] ^= 0x10
    with pytest.raises(StripDamaged) as damaged:
        open_container(bytes(octets), TRUSTED)
    assert damaged.value.index == 1
    product = open_container(bytes(octets), TRUSTED, tolerate_damage=True)
    assert product.damaged == (1,)
    assert not product.verified
    expected = made.mask.copy()
    expected[64:128] = 255
    assert (product.mask() == expected).all()


def test_tolerating_damage_does_not_tolerate_a_forged_seal() -> None:
    made = case(blobs(9, 9, 1))
    forged = seal(made.body(), Ed25519PrivateKey.from_private_bytes(bytes(32)), KEY_ID, SEALED_S)
    with pytest.raises(SealInvalid):
        open_container(forged, TRUSTED, tolerate_damage=True)


def test_sizes_are_bounded_before_anything_is_allocated_for_them() -> None:
    octets = case(np.zeros((100, 100), np.uint8)).container()
    for limits in (Limits(container_bytes=100), Limits(pixels=9_999), Limits(strip_pixels=6_399)):
        with pytest.raises(ProductTooLarge):
            open_container(octets, TRUSTED, limits=limits)
    open_container(octets, TRUSTED, limits=Limits(pixels=10_000, strip_pixels=6_400))
    # a header that claims 2**48 pixels, everything else right
    parts, end = cut(octets)
    fields = decode(parts[1])
    fields[13] = fields[14] = 1 << 24
    parts[1] = encode(fields)
    with pytest.raises(ProductTooLarge):
        open_container(join(parts) + end, None)


def test_counts_and_findings_that_do_not_follow_from_the_mask_are_found() -> None:
    octets = vectors()["three_strips"].container()
    parts, end = cut(octets)
    tail = decode(parts[-1])
    for change in (
        {3: [tail[3][0] - 1, tail[3][1] + 1]},
        {5: tail[5] + 1},
        {6: [[column[0], column[1] + (name == 5), *column[2:]] for name, column in enumerate(tail[6])]},
    ):
        product = open_container(join([*parts[:-1], encode({**tail, **change})]) + end, None)
        with pytest.raises(ContentMismatch):
            product.check_content()


@pytest.mark.parametrize(
    "change",
    [
        {1: [1, 2, 3]},
        {1: [10, 11, 6, 1, 5, 0]},
        {1: [10, 0, 6, 4, 5, 0]},
        {2: 256},
        {2: True},
        {3: [1]},
        {4: 1},
        {4: -1},
        {5: 0},
        {6: []},
        {6: [[1]] * 6},
        {6: [[1], [0], [0], [0], [0], [0], [1]]},
        {6: [[1], [20], [0], [0], [0], [0], [0]]},
        {6: [[2], [0], [0], [0], [0], [0], [0]]},
        {6: [[1, 1], [0, 0], [0, 0], [0, 0], [0, 0], [0, 0], [0, 0]]},
        {6: [[1, 0], [1, 0], [0, 0], [0, 0], [0, 0], [0, 0], [0, 0]]},
        {7: 0},
    ],
)
def test_a_tail_against_the_format_is_refused(change: dict) -> None:
    parts, end = cut(case(blobs(20, 20, 3)).container())
    with pytest.raises(ProductDamaged):
        open_container(join([*parts[:-1], encode({**decode(parts[-1]), **change})]) + end, None)


def test_two_thousand_mutations_with_right_checksums_raise_nothing_but_product_errors() -> None:
    """Every CRC and length is made right again, so the mutations reach what lies behind them."""
    rng = random.Random(20240501)
    opened = refused = 0
    sources = [cut(vectors()[name].container())[0] for name in ("one_row", "five_classes", "one_pixel")]
    for _ in range(2000):
        parts = list(rng.choice(sources))
        which = rng.randrange(1, len(parts))
        part = bytearray(parts[which])
        for _ in range(rng.choice((1, 1, 2, 5))):
            at = rng.randrange(len(part) + 1)
            match rng.randrange(4):
                case 0:
                    part[at : at + 1] = bytes((rng.randrange(256),))
                case 1:
                    part[at:at] = rng.randbytes(rng.randrange(1, 4))
                case 2:
                    del part[at : at + rng.randrange(1, 4)]
                case 3:
                    part[at : at + 1] = bytes((rng.choice((0, 0x7F, 0x80, 0xFF, 0x9F, 0x5B, 0xFB)),))
        parts[which] = bytes(part)
        if any(len(strip) < 10 for strip in parts[3:-1]):
            continue
        octets = seal(join(parts), SEAL_KEY, KEY_ID, SEALED_S)
        try:
            product = open_container(octets, TRUSTED, limits=Limits(pixels=1 << 20, strip_pixels=1 << 20))
            mask = product.mask().tolist()
        except ProductError:
            refused += 1
            continue
        opened += 1
        assert independent_decoder.decode(octets, PUBLIC)["mask"] == mask
    assert opened > 100, "the mutations hardly ever pass the checks: the test has lost its reach"
    assert refused > 700


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_any_octets_raise_nothing_but_product_errors(octets: bytes, marked: bool) -> None:
    with pytest.raises(ProductError):
        open_container(b"\x89SWP\r\n\x1a\n\x01" + octets if marked else octets, TRUSTED, tolerate_damage=True)


def test_a_seal_is_not_put_on_something_else() -> None:
    with pytest.raises(NotAProduct):
        seal(b"raw pixels", SEAL_KEY, KEY_ID, SEALED_S)
    body = case(blobs(9, 9, 1)).body()
    with pytest.raises(ProductTruncated):
        seal(body[:20], SEAL_KEY, KEY_ID, SEALED_S)
    with pytest.raises(ProductTruncated):
        seal(body[:-1], SEAL_KEY, KEY_ID, SEALED_S)
    with pytest.raises(SealInvalid):
        seal(body + b"\0", SEAL_KEY, KEY_ID, SEALED_S)
    with pytest.raises(SealInvalid):
        seal(body, SEAL_KEY, b"", SEALED_S)
    with pytest.raises(SealInvalid):
        seal(body, SEAL_KEY, KEY_ID, float("nan"))
