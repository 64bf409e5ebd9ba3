"""Containers: to the octet, in any life of the process, and against damage, forgery and hostile octets."""

from __future__ import annotations

import random
import struct
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from bindings.crc import crc32c
from flight.product.assembler import ProductAssembler
from flight.product.container import open_container, seal
from flight.product.errors import (
    ContentMismatch,
    HeaderInvalid,
    MaskAbsent,
    MaskIncomplete,
    NotAProduct,
    ProductDamaged,
    ProductError,
    ProductTooLarge,
    ProductTruncated,
    RowsRefused,
    SealInvalid,
    SealKeyUnknown,
    StripDamaged,
    UnsupportedVersion,
)
from flight.product.header import Content, GeoModel, ProductHeader
from flight.product.layout import Limits
from flight.product.outlines import outline_polygons
from flight.product.summary import Coverage
from flight.product.vectors import Detections, encode_vectors
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
    """The parts of a body (prefix, header, summary, preview, vectors, table, strips...) without their CRCs but for the
    strips; the seal."""
    size, *lengths, strips = struct.unpack(">IIIIII", octets[12:36])
    at, parts = 40, [octets[:36]]
    for length in (*lengths, 4 * strips):
        parts.append(octets[at : at + length])
        at += length + 4
    for (length,) in struct.iter_unpack(">I", parts[5]):
        parts.append(octets[at : at + length])
        at += length
    return parts, octets[size:]


def join(parts: list[bytes]) -> bytes:
    """A body of such parts, all lengths and CRCs made right, strips' included."""
    prefix, header, summary, preview, vectors, _, *strips = parts
    strips = [strip[:-4] + struct.pack(">I", crc32c(strip[:-4])) for strip in strips]
    table = b"".join(struct.pack(">I", len(strip)) for strip in strips)
    sections = (header, summary, preview, vectors, table)
    size = 40 + sum(len(section) + 4 for section in sections) + sum(map(len, strips))
    prefix = prefix[:12] + struct.pack(">IIIIII", size, *map(len, sections[:4]), len(strips))
    return b"".join((*(part + struct.pack(">I", crc32c(part)) for part in (prefix, *sections)), *strips))


@pytest.mark.parametrize("name", sorted(golden_files()))
def test_what_is_made_today_is_what_the_committed_vectors_hold(name: str) -> None:
    assert golden_files()[name] == (VECTORS / name).read_bytes()


@pytest.mark.parametrize("name", sorted(vectors()))
def test_a_decoder_written_from_the_specification_alone_reads_the_same(name: str) -> None:
    octets = (VECTORS / f"{name}.swp").read_bytes()
    ours, theirs = open_container(octets, TRUSTED), independent_decoder.decode(octets, PUBLIC)
    if ours.has_mask:
        assert theirs["mask"] == ours.mask().tolist() == vectors()[name].mask.tolist()
        assert theirs["preview"] == (ours.preview().tolist() if ours.preview_octets else None)
    else:
        assert theirs["mask"] is None
        assert theirs["preview"] is None
    assert theirs["vectors"] == ours.vectors
    assert theirs["header"]["contents"] == [int(content) for content in ours.header.contents]
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
    return float(np.floor(offset * 16 + 0.5 + 1e-9)) / 16


def test_only_the_largest_256_findings_are_listed_and_all_are_counted() -> None:
    product = vectors()["many_findings"].product()
    assert (product.regions_total, len(product.regions)) == (360, 256)
    assert [item.rank for item in product.regions] == sorted(item.rank for item in product.regions)
    assert product.regions[0].first_row == 1


@settings(max_examples=40, deadline=None)
@given(MASKS, st.integers(1, 9), st.lists(st.integers(0, 9), max_size=6))
def test_the_body_does_not_depend_on_the_portions_in_which_rows_come(
    mask: np.ndarray, strip_rows: int, portions: list[int]
) -> None:
    made = case(mask, classes=("a", "b", "c"), strip_rows=strip_rows)
    assembler = ProductAssembler(made.header)
    for count in (*portions, len(mask)):
        assembler.add(assembler.rows, mask[assembler.rows : assembler.rows + count])
    assert assembler.no_answer == int((mask == 255).sum())
    assert assembler.finish(made.coverage, made.confidence) == made.body()


def test_the_seal_alone_differs_when_only_time_and_key_do() -> None:
    made = case(blobs(20, 20, 3))
    body = made.body()
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    assert seal(body, SEAL_KEY, KEY_ID, 1.0)[: len(body)] == seal(body, other, b"other", 2.0)[: len(body)] == body


@pytest.mark.parametrize("strip_rows", [64, 256])
def test_a_capture_that_ended_early_gives_a_smaller_product(strip_rows: int) -> None:
    made = case(blobs(100, 20, 4), strip_rows=strip_rows)
    assembler = ProductAssembler(replace(made.header, height=1000))
    assembler.add(0, made.mask[:70])
    assembler.revise(made.header)
    assembler.add(70, made.mask[70:])
    assert assembler.finish(made.coverage, made.confidence) == made.body()
    for height in (99, 101):
        with pytest.raises(HeaderInvalid, match="height"):
            assembler.revise(replace(made.header, height=height))
    with pytest.raises(HeaderInvalid, match="width"):
        assembler.revise(replace(made.header, width=21))


def test_the_assembler_refuses_what_does_not_fit_and_stays_as_it_was() -> None:
    made = case(blobs(100, 20, 4))
    assembler = ProductAssembler(made.header)
    with pytest.raises(RowsRefused, match="row 0 is the next"):
        assembler.add(1, made.mask[1:])
    with pytest.raises(RowsRefused, match="uint8"):
        assembler.add(0, made.mask[:, :19])
    with pytest.raises(RowsRefused, match="uint8"):
        assembler.add(0, made.mask.astype(np.int16))
    wrong = made.mask[:64].copy()
    wrong[3, 4] = 7
    with pytest.raises(RowsRefused, match="class value 7 where there are 2"):
        assembler.add(0, wrong)
    assembler.add(0, made.mask[:64])
    with pytest.raises(MaskIncomplete):
        assembler.finish(made.coverage, 0.5)
    with pytest.raises(RowsRefused, match="36 are left"):
        assembler.add(64, made.mask)
    assembler.add(64, made.mask[64:])
    with pytest.raises(HeaderInvalid, match="confidence"):
        assembler.finish(made.coverage, 1.5)
    assert assembler.finish(made.coverage, made.confidence) == made.body()


def test_a_product_without_a_class_map_says_so_and_its_counts_are_its_sealers_word() -> None:
    whole, part = case(blobs(600, 60, 7)), case(blobs(600, 60, 7), contents=(Content.REGIONS,))
    product = part.product()
    assert (product.counts, product.regions) == (whole.product().counts, whole.product().regions)
    assert len(part.container()) < len(whole.container())
    assert product.check_content() is False
    assert whole.product().check_content() is True
    for ask in (product.mask, product.preview, lambda: product.strip(0)):
        with pytest.raises(MaskAbsent):
            ask()
    alone = case(blobs(600, 60, 7), contents=()).product()
    assert (alone.counts, alone.regions, alone.regions_total) == (product.counts, (), product.regions_total)


def test_parts_that_the_header_does_not_speak_of_are_refused() -> None:
    with pytest.raises(HeaderInvalid, match="vectors"):
        made = case(blobs(9, 9, 1), contents=(Content.MASK,))
        assembler = ProductAssembler(made.header)
        assembler.add(0, made.mask)
        assembler.finish(made.coverage, 0.5, b"vectors")
    parts, end = cut(case(blobs(9, 9, 1), contents=(Content.MASK,)).container())
    for at in (3, 4):
        with pytest.raises(ProductDamaged):
            open_container(join([*parts[:at], b"\0\1", *parts[at + 1 :]]) + end, None)
    wide, end = cut(vectors()["wide"].container())
    with pytest.raises(ProductDamaged, match="preview"):
        open_container(join([*wide[:3], b"", *wide[4:]]) + end, None)
    with_findings, end = cut(case(blobs(30, 30, 1)).container())
    fields = decode(with_findings[1])
    with pytest.raises(ProductDamaged, match="without regions"):
        open_container(join([with_findings[0], encode({**fields, 20: [1]}), *with_findings[2:]]) + end, None)


def test_vectors_travel_in_the_product_and_come_back() -> None:
    made = case(blobs(50, 60, 7), contents=(Content.REGIONS,))
    polygons, _ = outline_polygons(made.mask, [1], tolerance=2)
    section = encode_vectors(Detections.of(np.empty((0, 4)), np.empty(0), np.empty(0)), polygons)
    assembler = ProductAssembler(made.header)
    assembler.add(0, made.mask)
    octets = seal(assembler.finish(made.coverage, 0.75, section), SEAL_KEY, KEY_ID, SEALED_S)
    product = open_container(octets, TRUSTED)
    detections, found = product.outlines()
    assert len(detections) == 0
    assert encode_vectors(detections, found) == section == independent_decoder.decode(octets, PUBLIC)["vectors"]
    assert len(made.product().outlines()[1].classes) == 0
    parts, end = cut(octets)
    with pytest.raises(ProductDamaged):
        open_container(join([*parts[:4], section[:-1] + b"\xff\xff", *parts[5:]]) + end, None).outlines()


def test_a_preview_that_is_not_the_maps_is_found() -> None:
    parts, end = cut(vectors()["wide"].container())
    other, _ = cut(case(blobs(20, 1100, 9)).container())
    product = open_container(join([*parts[:3], other[3], *parts[4:]]) + end, None)
    assert product.preview().shape == (7, 367)
    with pytest.raises(ContentMismatch, match="preview"):
        product.check_content()
    broken = open_container(join([*parts[:3], b"\x07" + parts[3][1:], *parts[4:]]) + end, None)
    with pytest.raises(ProductDamaged, match="preview"):
        broken.check_content()


def test_the_beginning_of_a_product_is_an_answer_already() -> None:
    made = case(blobs(700, 80, 2), strip_rows=100)
    octets = made.container()
    whole = made.product()
    parts, _ = cut(octets)
    summary_end = 40 + len(parts[1]) + 4 + len(parts[2]) + 4
    preview_end = summary_end + len(parts[3]) + 4
    seen = set()
    for length in range(0, len(octets), 7):
        if length < summary_end:
            with pytest.raises((ProductTruncated, NotAProduct)):
                open_container(octets[:length], TRUSTED, tolerate_damage=True)
            continue
        part = open_container(octets[:length], TRUSTED, tolerate_damage=True)
        assert not part.verified
        assert (part.counts, part.regions) == (whole.counts, whole.regions)
        assert bool(part.preview_octets) is (length >= preview_end)
        if part.preview_octets:
            assert (part.preview() == whole.preview()).all()
        seen.add(len(part.damaged))
        good = [index for index in range(7) if index not in part.damaged]
        assert all((part.strip(index) == whole.strip(index)).all() for index in good)
    assert seen == set(range(8))


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
def test_a_header_that_cannot_be_sent_cannot_be_made(change: dict[Any, Any]) -> None:
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
        open_container(octets[:8] + b"\x01" + octets[9:], TRUSTED)
    assert (version.value.version, version.value.known) == (1, (2,))
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
    at = 40 + sum(len(part) + 4 for part in parts[1:6]) + len(parts[6]) + 20
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
    for limits in (Limits(container_bytes=100), Limits(pixels=9_999), Limits(strip_pixels=9_999)):
        with pytest.raises(ProductTooLarge):
            open_container(octets, TRUSTED, limits=limits)
    open_container(octets, TRUSTED, limits=Limits(pixels=10_000, strip_pixels=10_000))
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
    tail = decode(parts[2])
    for change in (
        {3: [tail[3][0] - 1, tail[3][1] + 1]},
        {5: tail[5] + 1},
        {6: [[column[0], column[1] + (name == 5), *column[2:]] for name, column in enumerate(tail[6])]},
    ):
        product = open_container(join([*parts[:2], encode({**tail, **change}), *parts[3:]]) + end, None)
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
def test_a_summary_against_the_format_is_refused(change: dict[Any, Any]) -> None:
    parts, end = cut(case(blobs(20, 20, 3)).container())
    with pytest.raises(ProductDamaged):
        open_container(join([*parts[:2], encode({**decode(parts[2]), **change}), *parts[3:]]) + end, None)


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
        if any(len(strip) < 11 for strip in parts[6:]):
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
        open_container(b"\x89SWP\r\n\x1a\n\x02" + octets if marked else octets, TRUSTED, tolerate_damage=True)


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
