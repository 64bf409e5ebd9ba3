"""The file process's tree: no name, link or exchange leads out of the root or into what is forbidden beneath it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flight.services.file_protocol import FileReason, Operation
from flight.services.file_tree import NEW, FolderTree
from flight.services.file_work import FileWork
from flight.services.rooted import PathReason, PathRefused, forbidden_beneath, plain_components
from tests.flight.file_jobs import end_of, reason_of

OPERATIONS = (
    Operation.STAT,
    Operation.LIST,
    Operation.CRC,
    Operation.COPY,
    Operation.MOVE,
    Operation.MOVE_OVER,
    Operation.DELETE,
    Operation.MAKE,
    Operation.REMOVE,
)


class Home:
    """A root with files, a forbidden place beneath it, and a secret beside it that links lead to."""

    def __init__(self, folder: Path) -> None:
        self.secret, self.root = folder / "secret", folder / "home"
        for place in (self.secret, self.root / "a" / "b", self.root / "keep" / "keys"):
            place.mkdir(parents=True)
        for file in (self.secret / "key", self.root / "a" / "file", self.root / "keep" / "keys" / "key"):
            file.write_bytes(b"octets")
        (self.root / "door").symlink_to(self.secret)
        (self.root / "link").symlink_to(self.secret / "key")
        (self.root / "near").symlink_to("a")
        os.mkfifo(self.root / "fifo")
        self.tree = FolderTree(self.root, ("keep/keys",))
        self.work = FileWork(self.tree, 0)
        self.before = self.seen()

    def seen(self) -> dict[str, bytes | None]:
        places = [*self.secret.rglob("*"), *self.root.rglob("*")]
        return {
            str(place): place.read_bytes() if place.is_file() and not place.is_symlink() else None for place in places
        }

    def refuses(self, operation: Operation, path: str, other: str = "free") -> int:
        """The reason; nothing anywhere may have changed."""
        descriptors = len(os.listdir("/proc/self/fd"))
        reason = reason_of(self.work, operation, path, other)
        assert reason and self.seen() == self.before, (operation, path, other)
        assert len(os.listdir("/proc/self/fd")) == descriptors
        return reason


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path)
    yield made
    made.work.close()
    made.tree.close()


HOSTILE = {
    "/etc/passwd": PathReason.ABSOLUTE,
    "..": PathReason.DOTS,
    "../secret/key": PathReason.DOTS,
    "a/../../secret/key": PathReason.DOTS,
    "a/./file": PathReason.DOTS,
    "a//file": PathReason.DOTS,
    "a/file/": PathReason.DOTS,
    "a\0": PathReason.CHARACTER,
    "a\nb": PathReason.CHARACTER,
    "~copy": PathReason.CHARACTER,
    "*": PathReason.CHARACTER,
    "é": PathReason.CHARACTER,
    "a\u202eb": PathReason.CHARACTER,
    "n" * 65: PathReason.NAME_TOO_LONG,
    "/".join("a" * 9): PathReason.TOO_DEEP,
    "door/key": PathReason.LINK_OR_NO_DIRECTORY,
    "near/file": PathReason.LINK_OR_NO_DIRECTORY,
    "fifo/x": PathReason.LINK_OR_NO_DIRECTORY,
    "a/file/x": PathReason.LINK_OR_NO_DIRECTORY,
    "keep/keys": PathReason.FORBIDDEN,
    "keep/keys/key": PathReason.FORBIDDEN,
    "keep/keys/new": PathReason.FORBIDDEN,
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_changes_nothing_and_is_told(home: Home, operation: Operation, name: str) -> None:
    assert home.refuses(operation, name) == HOSTILE[name]


@pytest.mark.parametrize("operation", [Operation.COPY, Operation.MOVE, Operation.MOVE_OVER])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_target_changes_nothing_and_is_told(home: Home, operation: Operation, name: str) -> None:
    assert home.refuses(operation, "a/file", name) == HOSTILE[name]


def test_what_is_no_file_is_neither_read_nor_waited_for(home: Home) -> None:
    for name, reason in (
        ("fifo", PathReason.NO_FILE),
        ("a", PathReason.NO_FILE),
        ("link", PathReason.LINK_OR_NO_DIRECTORY),
    ):
        assert home.refuses(Operation.CRC, name) == reason
        assert home.refuses(Operation.COPY, name) == reason
    for name in ("fifo", "a"):
        assert home.refuses(Operation.DELETE, name) == PathReason.NO_FILE
    assert home.refuses(Operation.MOVE, "link") == PathReason.NO_FILE
    assert home.refuses(Operation.MOVE_OVER, "a/file", "link") == PathReason.NO_FILE
    assert home.refuses(Operation.MOVE_OVER, "a/b", "a/file") == PathReason.NO_FILE
    assert home.refuses(Operation.LIST, "near") == PathReason.LINK_OR_NO_DIRECTORY
    assert home.refuses(Operation.MOVE, "a", "a/b/c") == FileReason.INTO_ITSELF


def test_what_stands_above_a_forbidden_place_stays_where_it_is(home: Home) -> None:
    assert home.refuses(Operation.MOVE, "keep") == PathReason.FORBIDDEN
    assert home.refuses(Operation.REMOVE, "keep") == PathReason.FORBIDDEN
    assert home.refuses(Operation.COPY, "a/file", "keep/keys") == PathReason.FORBIDDEN
    assert end_of(home.work, Operation.LIST, "keep").numbers[:2] == (0, 0), "not even its name is told"


def test_a_link_is_deleted_as_such_and_what_it_leads_to_stays(home: Home) -> None:
    assert reason_of(home.work, Operation.DELETE, "link") == 0
    assert not (home.root / "link").is_symlink() and (home.secret / "key").read_bytes() == b"octets"


@pytest.mark.parametrize("operation", [*OPERATIONS[2:8], Operation.LIST])
def test_a_directory_exchanged_for_a_link_on_the_way_leads_nowhere(
    home: Home, operation: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every opening of a step in turn."""
    system_open = os.open

    def exchanging(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == "b" and not (home.root / "a" / "b").is_symlink():
            (home.root / "a" / "b").rename(home.root / "a" / "gone")
            (home.root / "a" / "b").symlink_to(home.secret)
        return system_open(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", exchanging)
    name = "a/b" if operation is Operation.LIST else "a/b/key"
    reason = reason_of(home.work, operation, name, "free")
    assert reason == PathReason.LINK_OR_NO_DIRECTORY
    assert os.listdir(home.secret) == ["key"] and (home.secret / "key").read_bytes() == b"octets"
    assert not (home.root / "free").exists()


def test_a_target_directory_exchanged_while_a_copy_is_made_gets_nothing_elsewhere(home: Home) -> None:
    (home.root / "a" / "file").write_bytes(bytes(200_000))
    tree, made = home.tree, False
    system_sync = tree.sync

    def exchanging() -> None:
        nonlocal made
        system_sync()
        if not made:
            (home.root / "a" / "b").rename(home.root / "a" / "gone")
            (home.root / "a" / "b").symlink_to(home.secret)
            made = True

    tree.sync = exchanging  # type: ignore[method-assign]
    assert reason_of(home.work, Operation.COPY, "a/file", "a/b/copy") == PathReason.LINK_OR_NO_DIRECTORY
    assert made and os.listdir(home.secret) == ["key"] and not (home.root / NEW).exists()


@given(st.text(max_size=80))
def test_what_passes_as_plain_is_plain(name: str) -> None:
    try:
        parts = plain_components(name)
    except PathRefused:
        return
    assert all(part.isascii() and len(part) <= 64 and part not in ("", ".", "..") for part in parts)
    assert not set("".join(parts)) & set("/\\~\0 *?")


def test_a_root_in_a_forbidden_place_is_refused_and_one_beneath_it_is_named(tmp_path: Path) -> None:
    root, keys = tmp_path / "run" / "files", tmp_path / "run" / "files" / "deep" / "keys"
    keys.mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (root / "alias").symlink_to(elsewhere)
    assert forbidden_beneath(root, [keys, elsewhere, root / "alias"]) == ("alias", "deep/keys")
    for place in (root, tmp_path / "run", tmp_path):
        with pytest.raises(PathRefused) as refused:
            forbidden_beneath(root, [place])
        assert refused.value.reason is PathReason.ROOT_FORBIDDEN
