"""Key files: readable by their owner only, whole or not there, never overwritten, never shown."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from flight.agent.errors import KeyFileInvalid
from flight.agent.keys import (
    KeyStore,
    create_keystore,
    development_key,
    generate_recipient_key,
    generate_signing_key,
    key_id_of,
    read_signing_key,
    write_private_key,
)
from tests.flight.agent.world import GROUND, MISSION

SEEDED = random.Random(7).randbytes


def made(folder: Path) -> KeyStore:
    return create_keystore(
        folder, SEEDED, mission={"root": MISSION.public}, ground={"station": GROUND.public}, demonstration=True
    )


def test_a_keystore_comes_back_as_it_was_made(tmp_path: Path) -> None:
    first, second = made(tmp_path / "keys"), KeyStore.load(tmp_path / "keys")
    assert first.satellite.public == second.satellite.public and first.alert_key == second.alert_key
    assert set(second.mission) == {MISSION.key_id} and set(second.ground) == {GROUND.key_id}
    assert second.demonstration
    (tmp_path / "keys" / "DEMONSTRATION").unlink()
    assert not KeyStore.load(tmp_path / "keys").demonstration


def test_secret_files_are_the_owners_alone_even_with_an_open_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made(tmp_path)
    finally:
        os.umask(before)
    for name in ("satellite.key", "alert.key"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.rglob(".*")), "no part is left behind"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o666])
def test_a_secret_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    made(tmp_path)
    (tmp_path / "satellite.key").chmod(mode)
    with pytest.raises(KeyFileInvalid, match="0600"):
        KeyStore.load(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"00" * 31, b"00" * 33, b"zz" * 32, b"\xff" * 64, b" " * 64, b"0 " * 32], ids=range(7)
)
def test_a_malformed_key_is_refused_without_showing_it(tmp_path: Path, content: bytes) -> None:
    made(tmp_path)
    (tmp_path / "satellite.key").write_bytes(content)
    with pytest.raises(KeyFileInvalid) as caught:
        KeyStore.load(tmp_path)
    assert caught.value.exit_status == 2
    assert not content.strip() or content.decode("latin-1") not in str(caught.value)


@pytest.mark.parametrize("missing", ["satellite.key", "alert.key", "mission/root.pub", "ground/station.pub"])
def test_a_missing_key_is_named(tmp_path: Path, missing: str) -> None:
    made(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(KeyFileInvalid) as caught:
        KeyStore.load(tmp_path)
    assert str(Path(missing).parent if "/" in missing else missing) in caught.value.path


def test_something_else_than_a_file_is_refused(tmp_path: Path) -> None:
    made(tmp_path)
    (tmp_path / "satellite.key").unlink()
    (tmp_path / "satellite.key").mkdir()
    with pytest.raises(KeyFileInvalid):
        KeyStore.load(tmp_path)


def test_no_key_is_ever_overwritten(tmp_path: Path) -> None:
    first = made(tmp_path)
    with pytest.raises(FileExistsError):
        made(tmp_path)
    with pytest.raises(FileExistsError):
        write_private_key(tmp_path / "satellite.key", bytes(32))
    assert KeyStore.load(tmp_path).satellite.public == first.satellite.public


def test_private_keys_are_not_in_what_is_printed(tmp_path: Path) -> None:
    store = made(tmp_path)
    secret = (tmp_path / "satellite.key").read_text().strip()
    shown = repr(store) + repr(store.satellite)
    assert secret not in shown and store.alert_key.hex() not in shown and repr(store.alert_key) not in shown


def test_the_development_key_is_made_once(tmp_path: Path) -> None:
    folder = tmp_path / ".swath" / "keys"
    first = development_key(folder, SEEDED)
    assert development_key(folder, SEEDED).public == first.public
    assert read_signing_key(folder / "development.key").key_id == first.key_id == key_id_of(first.public)


def test_a_seed_makes_the_same_keys_again() -> None:
    one, two = (generate_signing_key(random.Random(3).randbytes).public for _ in range(2))
    assert one == two
    assert generate_recipient_key(SEEDED).public_key() is not None
