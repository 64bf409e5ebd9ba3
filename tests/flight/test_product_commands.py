"""`swath product`: what it prints, writes and refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flight.cli import answer, build_parser
from flight.product.commands import read_product
from flight.product.errors import KeyFileUnusable
from flight.product.header import Content
from tests.flight.product.cases import KEY_ID, SEAL_KEY, UTM, VECTORS, blobs, case, vectors

PRODUCT = VECTORS / "three_strips.swp"
ENVELOPE = VECTORS / "three_strips.swe"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / "satellite.pub").write_text(SEAL_KEY.public_key().public_bytes_raw().hex() + "\n")
    (folder / "own.key").write_text(bytes(range(32)).hex())
    (folder / "other.pub").write_text((bytes(31) + b"\x01").hex())
    (folder / "reader.key").write_bytes(bytes(range(100, 132)))
    return folder


def run(*arguments: object) -> int:
    return answer(build_parser("swath", ("flight.product.commands",), ""), ["product", *map(str, arguments)])


def printed(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return dict(json.loads(capsys.readouterr().out))


def test_show_says_what_is_in_it_and_that_nobody_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", PRODUCT) == 0
    text = capsys.readouterr().out
    assert "water 1.0.0  90 x 150 pixels" in text
    assert "not verified" in text
    assert run("show", PRODUCT, "--json") == 0
    data = printed(capsys)
    assert data["verified"] is False
    assert data["counts"] == dict(zip(("land", "water"), vectors()["three_strips"].product().counts, strict=True))
    assert len(data["regions"]) == data["regions_total"]
    assert data["sealed_by"] == KEY_ID.hex()


def test_show_checks_the_seal_with_a_trusted_file_folder_or_own_key(
    keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for trusted in (keys, keys / "satellite.pub", keys / "own.key"):
        assert run("show", PRODUCT, "--trust", trusted, "--json") == 0
        assert printed(capsys)["verified"] is True
    assert run("show", PRODUCT, "--trust", keys / "other.pub", "--json") == 1
    assert printed(capsys)["error"]["code"] == "seal_key_unknown"


def test_decode_writes_the_mask_and_the_regions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("decode", PRODUCT, "--out", tmp_path / "out", "--json") == 0
    mask, preview, regions = map(Path, printed(capsys)["files"])
    assert (np.load(preview) == np.load(mask)).all()
    assert (np.load(mask) == vectors()["three_strips"].mask).all()
    found = json.loads(regions.read_text())["regions"]
    assert found[0]["area"] == vectors()["three_strips"].product().regions[0].area


def test_a_product_without_a_class_map_is_shown_and_decoded_and_its_findings_exported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = case(blobs(50, 60, 7), contents=(Content.REGIONS,), geo=UTM)
    path = tmp_path / "findings.swp"
    path.write_bytes(made.container())
    assert run("show", path) == 0
    assert "no class map" in capsys.readouterr().out
    assert run("decode", path, "--out", tmp_path / "out", "--json") == 0
    assert [Path(name).name for name in printed(capsys)["files"]] == ["regions.json"]
    assert run("export", path, "--to", "geojson", "--out", tmp_path / "out", "--json") == 0
    exported = json.loads(Path(printed(capsys)["products"][0]["path"]).read_text())
    assert len(exported["features"]) == len(made.product().regions)
    assert exported["features"][0]["properties"]["outline"] == "bounding box"
    for kind in ("png", "geotiff"):
        assert run("export", path, "--to", kind, "--out", tmp_path / "out", "--json") == 1
        assert printed(capsys)["error"]["code"] == "mask_absent"


def test_export_writes_the_kinds_that_are_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("export", PRODUCT, "--to", "geojson,geotiff,png", "--out", tmp_path / "out", "--json") == 0
    products = printed(capsys)["products"]
    assert [item["kind"] for item in products] == ["geojson", "geotiff", "png"]
    for item in products:
        assert Path(item["path"]).stat().st_size == item["bytes"]


def test_a_key_that_is_none_is_said_although_the_product_is_not_encrypted(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"")
    assert read_product(PRODUCT)
    for key in (tmp_path / "key", tmp_path):
        with pytest.raises(KeyFileUnusable):
            read_product(PRODUCT, key=key)


def test_an_encrypted_product_opens_with_the_readers_key_only(
    keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("show", ENVELOPE, "--key", keys / "reader.key", "--trust", keys, "--json") == 0
    assert printed(capsys)["verified"] is True
    assert run("show", ENVELOPE, "--json") == 2
    assert printed(capsys)["error"]["code"] == "recipient_key_needed"
    assert run("show", ENVELOPE, "--key", keys / "own.key", "--json") == 1
    assert printed(capsys)["error"]["code"] == "envelope_invalid"


def altered(octets: bytes, at: int) -> bytes:
    return octets[:at] + bytes((octets[at] ^ 1,)) + octets[at + 1 :]


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda octets: b"", "not_a_product"),
        (lambda octets: b"II*\0" + bytes(100), "not_a_product"),
        (lambda octets: octets[:-100], "product_truncated"),
        (lambda octets: octets[:8] + b"\x07" + octets[9:], "unsupported_version"),
        (lambda octets: altered(octets, 20), "product_damaged"),
        (lambda octets: altered(octets, len(octets) - 200), "strip_damaged"),
        (lambda octets: altered(octets, len(octets) - 1), "seal_invalid"),
        (lambda octets: octets + b"\0", "seal_invalid"),
    ],
)
def test_a_bad_product_is_one_error_with_a_code_and_exit_status_1(
    make: Callable[[bytes], bytes], code: str, keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.swp"
    bad.write_bytes(make(PRODUCT.read_bytes()))
    for arguments in (("show",), ("decode", "--out", tmp_path), ("export", "--to", "png", "--out", tmp_path)):
        assert run(arguments[0], bad, *arguments[1:], "--trust", keys, "--json") == 1
        assert printed(capsys)["error"]["code"] == code


def test_damage_can_be_tolerated_and_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.swp"
    bad.write_bytes(altered(PRODUCT.read_bytes(), len(PRODUCT.read_bytes()) - 200))
    assert run("show", bad, "--tolerate-damage") == 0
    assert "damaged strips: 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "status"),
    [
        (("show", "nowhere.swp"), "product_unreadable", 1),
        (("show", PRODUCT, "--trust", "nowhere.pub"), "key_file_unusable", 2),
        (("show", ENVELOPE, "--key", PRODUCT), "key_file_unusable", 2),
        (("export", PRODUCT, "--to", "shp", "--out", "x"), "export_kind_unknown", 2),
        (("export", VECTORS / "one_pixel.swp", "--to", "geojson", "--out", "x"), "not_georeferenced", 1),
    ],
)
def test_other_refusals_have_their_code_and_exit_status(
    arguments: tuple[object, ...],
    code: str,
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*arguments, "--json") == status
    assert printed(capsys)["error"]["code"] == code
