"""Names beneath a root lead nowhere else: not by dots, links or devices, nor by what is exchanged on the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flight.services.rooted import MAX_DEPTH, MAX_NAME_OCTETS, PathReason, PathRefused, Root, components


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", PathReason.EMPTY),
        ("/etc/passwd", PathReason.ABSOLUTE),
        ("..", PathReason.DOTS),
        ("a/../../b", PathReason.DOTS),
        ("a//b", PathReason.DOTS),
        ("a/.", PathReason.DOTS),
        ("a/", PathReason.DOTS),
        ("a\0b", PathReason.CHARACTER),
        ("a\nb", PathReason.CHARACTER),
        ("\udcff", PathReason.CHARACTER),
        ("é" * (MAX_NAME_OCTETS // 2) + "a", PathReason.NAME_TOO_LONG),
        ("/".join("a" * (MAX_DEPTH + 1)), PathReason.TOO_DEEP),
    ],
)
def test_a_name_that_could_lead_elsewhere_is_refused(name: str, reason: PathReason) -> None:
    with pytest.raises(PathRefused) as refused:
        components(name)
    assert refused.value.reason is reason


@given(st.text(max_size=80))
def test_whatever_passes_has_only_plain_components(name: str) -> None:
    try:
        parts = components(name)
    except PathRefused:
        return
    assert "/".join(parts) == name
    assert not {"", ".", ".."} & set(parts) and len(parts) <= MAX_DEPTH


def test_links_devices_and_directories_are_refused_and_no_descriptor_is_left(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_bytes(b"key")
    home = tmp_path / "home"
    (home / "inside").mkdir(parents=True)
    (home / "link").symlink_to(secret / "key")
    (home / "door").symlink_to(secret)
    (home / "inside" / "door").symlink_to("../../secret")
    os.mkfifo(home / "fifo")
    root = Root(home, [secret])
    before = len(os.listdir("/proc/self/fd"))
    for name, reason in (
        ("link", PathReason.LINK_OR_NO_DIRECTORY),
        ("door/key", PathReason.LINK_OR_NO_DIRECTORY),
        ("inside/door/key", PathReason.LINK_OR_NO_DIRECTORY),
        ("fifo", PathReason.NO_FILE),
        ("inside", PathReason.NO_FILE),
        ("nowhere/key", PathReason.MISSING),
        ("fifo/key", PathReason.LINK_OR_NO_DIRECTORY),
    ):
        with pytest.raises(PathRefused) as refused:
            root.open_file(name)
        assert refused.value.reason is reason, name
    assert len(os.listdir("/proc/self/fd")) == before
    root.close()


def test_a_directory_exchanged_for_a_link_between_two_components_leads_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, home = tmp_path / "secret", tmp_path / "home"
    for place in (secret, home / "a" / "b"):
        place.mkdir(parents=True)
        (place / "file").write_bytes(place.name.encode())
    root = Root(home, [secret])
    system_open = os.open

    def exchanging(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == "b":
            (home / "a" / "b").rename(home / "a" / "gone")
            (home / "a" / "b").symlink_to(secret)
        return system_open(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", exchanging)
    with pytest.raises(PathRefused) as refused:
        root.open_file("a/b/file")
    assert (refused.value.reason, refused.value.depth) == (PathReason.LINK_OR_NO_DIRECTORY, 1)
    root.close()


def test_a_root_that_has_anything_in_common_with_a_forbidden_place_is_refused(tmp_path: Path) -> None:
    strips = tmp_path / "data" / "strips"
    (strips / "below").mkdir(parents=True)
    (tmp_path / "alias").symlink_to(strips)
    for place in (strips, strips / "below", tmp_path / "data", tmp_path / "alias"):
        with pytest.raises(PathRefused) as refused:
            Root(place, [strips])
        assert refused.value.reason is PathReason.ROOT_FORBIDDEN
    (tmp_path / "tables").mkdir()
    Root(tmp_path / "tables", [strips]).close()
