"""From a file that came down to a verified product: what is believed, what is not, and that repeats change nothing."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
import rasterio.features
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from rasterio.warp import transform_geom

from flight.agent.receipt import Receipt
from flight.link.apids import Apid
from flight.product.errors import ProductError
from ground_test.gateway.errors import ReceptionFailed
from ground_test.gateway.store import GatewayStore
from tests.ground_test.ground import (
    NOW,
    STRANGER,
    a_job,
    a_product,
    receive,
    reception,
    taken,
    verified_receipt,
)


@pytest.fixture
def store(tmp_path):
    opened = GatewayStore(tmp_path / "gateway.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def received(store, tmp_path):
    """One order and its product, taken."""
    order = taken(store, a_job())
    store.answer(order.grant.id, Apid.GRANT)
    store.answer(order.id, Apid.JOB)
    sent = a_product(a_job())
    stem = receive(reception(store, tmp_path), tmp_path, sent)
    return order, sent, stem


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_product_becomes_files_an_item_a_history_and_a_receipt(store, tmp_path, received):
    order, sent, stem = received
    (product,) = store.products(order.id)
    assert (tmp_path / "products" / f"{stem}.swp").read_bytes() == sent.container
    assert {file["kind"] for file in product["files"]} == {"product", "geojson", "geotiff", "png", "stac"}
    assert all(Path(file["path"]).stat().st_size == file["bytes"] for file in product["files"])
    assert store.statuses(order.id)[-1].code == "completed"
    assert not (tmp_path / sent.name).exists()
    (item,) = store.unanswered()
    receipt = Receipt.decode(verified_receipt(item.octets))
    assert (item.apid, receipt.sha256) == (Apid.RECEIPT, hashlib.sha256(sent.octets).digest())
    assert receipt.product_id == hashlib.sha256(sent.container).digest()[:16]


def test_the_exported_map_is_the_mask_that_was_sealed(tmp_path, received):
    _, sent, stem = received
    with rasterio.open(tmp_path / "products" / f"{stem}.tif") as raster:
        assert np.array_equal(raster.read(1), sent.mask)
        assert raster.crs.to_epsg() == 32612
        polygons = json.loads((tmp_path / "products" / f"{stem}.geojson").read_text())["features"]
        shapes = [transform_geom("EPSG:4326", raster.crs, feature["geometry"]) for feature in polygons]
        drawn = rasterio.features.rasterize(shapes, out_shape=raster.shape, transform=raster.transform)
    water = sent.mask == 1
    assert (water & (drawn == 1)).sum() / (water | (drawn == 1)).sum() >= 0.98


def test_taking_it_again_changes_no_file_and_queues_no_second_receipt(store, tmp_path, received):
    order, sent, _ = received
    before = files_of(tmp_path / "products"), files_of(tmp_path / "stac"), store.statuses(order.id)
    receive(reception(store, tmp_path), tmp_path, sent)
    assert (files_of(tmp_path / "products"), files_of(tmp_path / "stac"), store.statuses(order.id)) == before
    assert len(store.unanswered()) == 1
    assert len(store.products(order.id)) == 1


def test_a_taking_that_was_cut_short_is_taken_from_its_beginning(store, tmp_path, monkeypatch):
    order, sent = taken(store, a_job()), a_product(a_job())
    with monkeypatch.context() as power, pytest.raises(OSError, match="cut"):
        power.setattr(store, "take_product", lambda *_: (_ for _ in ()).throw(OSError("cut")))
        receive(reception(store, tmp_path), tmp_path, sent)
    assert store.products(order.id) == []
    half = files_of(tmp_path / "products")
    receive(reception(store, tmp_path), tmp_path, sent)
    assert files_of(tmp_path / "products") == half
    assert len(store.products(order.id)) == 1


def refused(store, tmp_path, sent, octets=None):
    with pytest.raises((ReceptionFailed, ProductError)) as caught:
        receive(reception(store, tmp_path), tmp_path, sent, octets)
    assert store.unanswered() == [] or all(item.apid != Apid.RECEIPT for item in store.unanswered())
    assert not (tmp_path / "products").exists()
    return caught.value


def test_a_product_sealed_by_a_stranger_is_not_believed(store, tmp_path):
    taken(store, a_job())
    assert refused(store, tmp_path, a_product(a_job(), key=STRANGER)).code == "seal_key_unknown"


def test_a_product_for_another_reader_cannot_be_opened(store, tmp_path):
    taken(store, a_job())
    other = X25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
    assert refused(store, tmp_path, a_product(a_job(), reader=other)).code == "envelope_invalid"


def test_a_product_that_nobody_ordered_is_refused(store, tmp_path):
    assert "nobody here ordered" in str(refused(store, tmp_path, a_product(a_job())))


def test_a_product_of_another_application_is_refused(store, tmp_path):
    taken(store, a_job())
    assert "an answer of change" in str(refused(store, tmp_path, a_product(a_job(), application="change")))


def test_a_product_made_with_other_parameters_is_refused(store, tmp_path):
    taken(store, a_job())
    error = refused(store, tmp_path, a_product(a_job(), parameters=(("threshold", 0.4),)))
    assert "other parameters" in str(error)


def test_a_product_larger_than_ordered_is_refused(store, tmp_path):
    job = a_job(byte_budget=100)
    taken(store, job)
    assert "bytes where 100 were ordered" in str(refused(store, tmp_path, a_product(job)))


def test_every_flipped_octet_is_noticed(store, tmp_path):
    taken(store, a_job())
    sent = a_product(a_job())
    for at in range(0, len(sent.octets), max(1, len(sent.octets) // 60)):
        octets = bytearray(sent.octets)
        octets[at] ^= 1
        refused(store, tmp_path, sent, bytes(octets))


@pytest.mark.parametrize("name", ["../../etc/passwd", "x.swx", "00" * 16 + ".swp", "00" * 15 + ".swx", ""])
def test_a_file_with_another_name_than_a_products_is_refused(store, tmp_path, name):
    path = tmp_path / "file"
    path.write_bytes(b"anything")
    with pytest.raises(ReceptionFailed, match="not the name of a product"):
        reception(store, tmp_path).take(name, path, NOW, 0.0)


def test_a_product_under_the_name_of_another_is_refused(store, tmp_path):
    taken(store, a_job())
    sent = a_product(a_job())
    path = tmp_path / "file"
    path.write_bytes(sent.octets)
    with pytest.raises(ReceptionFailed, match="not the hash"):
        reception(store, tmp_path).take("00" * 16 + ".swx", path, NOW, 0.0)


def test_the_catalogue_is_one_that_pystac_walks_without_a_network(tmp_path, received):
    _, sent, stem = received
    catalogue = pystac.Catalog.from_file(str(tmp_path / "stac" / "catalog.json"))
    (item,) = catalogue.get_items(recursive=True)
    assert item.id == stem
    assert item.get_root().id == "swath"
    assert item.properties["proj:code"] == "EPSG:32612"
    assert item.properties["swath:counts"]["water"] == int((sent.mask == 1).sum())
    assert item.properties["processing:software"] == {"swath": "0.1.0"}
    box = item.bbox
    assert box[0] < box[2] and box[1] < box[3]
    for asset in item.assets.values():
        path = Path(asset.get_absolute_href())
        assert path.is_file()
        assert asset.extra_fields["file:size"] == path.stat().st_size
        assert asset.extra_fields["file:checksum"] == "1220" + hashlib.sha256(path.read_bytes()).hexdigest()
    assert all(link["href"].startswith(".") for link in json.loads(Path(item.self_href).read_text())["links"])


def test_the_footprint_of_the_item_is_where_the_raster_is(tmp_path, received):
    _, _, stem = received
    item = json.loads((tmp_path / "stac" / "items" / f"{stem}.json").read_text())
    with rasterio.open(tmp_path / "products" / f"{stem}.tif") as raster:
        west, south, east, north = rasterio.warp.transform_bounds(raster.crs, "EPSG:4326", *raster.bounds)
    assert item["bbox"] == pytest.approx([west, south, east, north], abs=1e-4)
