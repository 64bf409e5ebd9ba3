"""Jobs of the file process against a model of the tree, and cut at any write: a target is old or new, never neither."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bindings.crc import crc32c
from flight.services.file_protocol import FileReason, Operation, Reply, ReplyKind, Request
from flight.services.file_tree import NEW, FolderTree, Kind
from flight.services.file_work import MAX_ENTRIES, PAGE_ENTRIES, STEP_OCTETS, FileWork, name_number
from flight.services.rooted import PathReason
from tests.flight.cut_folder import PowerCut
from tests.flight.cut_tree import CutTree, folder_with
from tests.flight.descriptors import closed_after_each  # noqa: F401
from tests.flight.file_jobs import all_of, end_of, reason_of


def seen(root: Path) -> dict[str, bytes | None]:
    """Path -> octets, None for a directory."""
    return {
        place.relative_to(root).as_posix(): place.read_bytes() if place.is_file() else None for place in root.rglob("*")
    }


# --- what fails


def test_a_copy_that_would_use_the_reserve_is_refused_before_it_begins(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    work = FileWork(FolderTree(tmp_path), 1 << 62)
    assert reason_of(work, Operation.COPY, "a", "b") == FileReason.NO_SPACE
    assert seen(tmp_path) == {"a": b"a"}


@pytest.mark.parametrize("size", [STEP_OCTETS, 3 * STEP_OCTETS])
def test_a_source_that_changes_its_size_under_the_copy_gives_no_copy(tmp_path: Path, size: int) -> None:
    source = tmp_path / "a"
    source.write_bytes(bytes(2 * STEP_OCTETS))
    work = FileWork(FolderTree(tmp_path), 0)
    work.begin(Request(0, 1, Operation.COPY, "a", "b"))
    assert work.step() == []
    os.truncate(source, size)
    replies: list[Reply] = []
    while work.busy:
        replies += work.step()
    assert [(reply.kind, reply.reason) for reply in replies] == [(ReplyKind.FAILED, FileReason.CHANGED)]
    assert list(seen(tmp_path)) == ["a"]


def test_a_full_disk_leaves_no_half_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(bytes(10))

    def full(descriptor: int, octets: bytes) -> int:
        raise OSError(28, "No space left on device")

    work = FileWork(FolderTree(tmp_path), 0)
    monkeypatch.setattr(os, "write", full)
    reply = end_of(work, Operation.COPY, "a", "b")
    assert (reply.reason, reply.errno) == (FileReason.NO_SPACE, 28)
    assert list(seen(tmp_path)) == ["a"]


@pytest.mark.parametrize("operation", [Operation.COPY, Operation.CRC, Operation.LIST])
def test_a_job_ends_between_two_steps_when_it_is_cancelled(tmp_path: Path, operation: Operation) -> None:
    (tmp_path / "a").write_bytes(bytes(3 * STEP_OCTETS))
    work = FileWork(FolderTree(tmp_path), 0)
    before = len(os.listdir("/proc/self/fd"))
    path = "" if operation is Operation.LIST else "a"
    assert work.begin(Request(0, 7, operation, path, "b")) == [] and work.step() == []
    assert [reply.reason for reply in work.begin(Request(0, 8, Operation.SPACE))] == [FileReason.BUSY]
    assert work.cancel(6) == [] and work.busy
    (reply,) = work.cancel(7)
    assert (reply.kind, reply.job, reply.reason) == (ReplyKind.FAILED, 7, FileReason.CANCELLED)
    assert not work.busy and work.cancel(7) == [] and work.step() == []
    assert list(seen(tmp_path)) == ["a"] and len(os.listdir("/proc/self/fd")) == before


# --- listing


def test_a_list_is_told_page_by_page_in_one_order_with_names_of_any_octets(tmp_path: Path) -> None:
    names = [f"n{index:03}" for index in range(2 * PAGE_ENTRIES + 3)] + ["odd\udcff\n", "~other"]
    for name in names:
        (tmp_path / name).write_bytes(b"x" * len(name))
    (tmp_path / NEW).write_bytes(b"left over")
    work, told = FileWork(FolderTree(tmp_path), 0), []
    for first in range(0, len(names) + PAGE_ENTRIES, PAGE_ENTRIES):
        *entries, end = all_of(work, Operation.LIST, first=first)
        assert end.numbers == (len(entries), len(names), 0) and len(entries) <= PAGE_ENTRIES
        told += [reply.numbers for reply in entries]
    assert told == [
        (index, name_number(name), Kind.FILE << 56 | len(name))
        for index, name in enumerate(sorted(names, key=os.fsencode))
    ]


def test_a_directory_with_too_many_entries_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = FileWork(FolderTree(tmp_path), 0)
    monkeypatch.setattr(os, "scandir", lambda _: Many())
    assert reason_of(work, Operation.LIST) == FileReason.TOO_MANY


class Many:
    """A directory that never ends."""

    name = "same"

    def __enter__(self) -> Any:
        return iter(lambda: self, None)

    def __exit__(self, *_: object) -> None:
        self.left = True


# --- any order of jobs


COMPONENTS = st.sampled_from(("a", "b", "c"))
PATHS = st.lists(COMPONENTS, min_size=1, max_size=3).map("/".join)


class Jobs(RuleBasedStateMachine):
    """A dict of paths says what must be there, and with which reason a job fails."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.model: dict[str, bytes | None] = {}
        self.work = FileWork(FolderTree(self.root), 0)

    def teardown(self) -> None:
        shutil.rmtree(self.root)

    def parent_is_there(self, path: str) -> bool:
        parent = path.rpartition("/")[0]
        return not parent or (parent in self.model and self.model[parent] is None)

    def does(self, operation: Operation, path: str, other: str, good: bool) -> None:
        reason = reason_of(self.work, operation, path, other)
        assert (reason == 0) is good, (operation, path, other, reason, self.model)

    @rule(path=PATHS, octets=st.binary(max_size=20))
    def arrives(self, path: str, octets: bytes) -> None:
        if self.parent_is_there(path) and self.model.get(path, b"") is not None:
            (self.root / path).write_bytes(octets)
            self.model[path] = octets

    @rule(path=PATHS)
    def make(self, path: str) -> None:
        good = self.parent_is_there(path) and path not in self.model
        self.does(Operation.MAKE, path, "", good)
        if good:
            self.model[path] = None

    @rule(path=PATHS)
    def remove(self, path: str) -> None:
        empty = not any(other.startswith(path + "/") for other in self.model)
        good = path in self.model and self.model[path] is None and empty
        self.does(Operation.REMOVE, path, "", good)
        if good:
            del self.model[path]

    @rule(path=PATHS)
    def delete(self, path: str) -> None:
        good = self.model.get(path) is not None
        self.does(Operation.DELETE, path, "", good)
        if good:
            del self.model[path]

    @rule(path=PATHS, to=PATHS)
    def copy(self, path: str, to: str) -> None:
        good = self.model.get(path) is not None and to not in self.model and self.parent_is_there(to)
        self.does(Operation.COPY, path, to, good)
        if good:
            self.model[to] = self.model[path]

    @rule(path=PATHS, to=PATHS, over=st.booleans())
    def move(self, path: str, to: str, over: bool) -> None:
        free = to not in self.model
        both = self.model.get(path) is not None and self.model.get(to) is not None
        inside = to == path or to.startswith(path + "/")
        good = path in self.model and self.parent_is_there(to) and ((free and not inside) or (over and both))
        self.does(Operation.MOVE_OVER if over else Operation.MOVE, path, to, good)
        if good and path != to:
            for name in [name for name in self.model if name == path or name.startswith(path + "/")]:
                self.model[to + name[len(path) :]] = self.model.pop(name)

    @rule(path=PATHS)
    def ask(self, path: str) -> None:
        octets = self.model.get(path)
        stat, crc = end_of(self.work, Operation.STAT, path), end_of(self.work, Operation.CRC, path)
        if path in self.model:
            kind = Kind.FILE if octets is not None else Kind.DIRECTORY
            assert stat.numbers[0] == kind
        else:
            assert stat.reason in (PathReason.MISSING, PathReason.LINK_OR_NO_DIRECTORY)
        if octets is not None:
            assert crc.numbers == (crc32c(octets), len(octets), 0) and stat.numbers[1] == len(octets)
        else:
            assert crc.kind is ReplyKind.FAILED

    @rule()
    def restart(self) -> None:
        (self.root / NEW).write_bytes(b"half a copy")
        self.work = FileWork(FolderTree(self.root), 0)

    @invariant()
    def what_is_there_is_what_was_asked_for(self) -> None:
        assert seen(self.root) == self.model


TestJobs = Jobs.TestCase
TestJobs.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


# --- cut at any write

CALLS = ("open", "write", "fsync", "rename", "unlink", "mkdir", "rmdir")
OCTETS = bytes(range(256)) * 300


class Cutting:
    """Calls of the system: in the one numbered `cut_at` the process ends, before or after it took effect."""

    def __init__(self, cut_at: int, after: bool) -> None:
        self.cut_at, self.after, self.calls = cut_at, after, 0

    def around(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            self.calls += 1
            if self.calls == self.cut_at and self.after:
                real(*given, **named)
            if self.calls >= self.cut_at:
                raise PowerCut
            return real(*given, **named)

        return call


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("operation", [Operation.COPY, Operation.MOVE, Operation.MOVE_OVER])
def test_a_process_that_ends_at_any_call_leaves_old_or_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: Operation, after: bool
) -> None:
    for cut_at in range(1, 100):
        root = tmp_path / str(cut_at)
        (root / "d").mkdir(parents=True)
        (root / "a").write_bytes(OCTETS)
        if operation is Operation.MOVE_OVER:
            (root / "d" / "b").write_bytes(b"old")
        before = seen(root)
        work, cutting, ended = FileWork(FolderTree(root), 0), Cutting(cut_at, after), False
        with monkeypatch.context() as patched:
            for name in CALLS:
                patched.setattr(os, name, cutting.around(getattr(os, name)))
            try:
                assert reason_of(work, operation, "a", "d/b") == 0
                ended = True
            except PowerCut:
                pass
        FileWork(FolderTree(root), 0)
        done: dict[str, bytes | None] = {**before, "d/b": OCTETS}
        if operation is not Operation.COPY:
            del done["a"]
        assert seen(root) in ((done,) if ended else (before, done)), cut_at
        if ended:
            break
    assert 4 < cut_at < 99


@given(
    st.integers(1, 12),
    st.booleans(),
    st.integers(0, 6),
    st.sampled_from(("old", "new", "half", "none")),
    st.sampled_from((Operation.COPY, Operation.MOVE)),
)
def test_a_medium_that_loses_power_at_any_write_keeps_old_or_new(
    cut_at: int, after: bool, names_kept: int, torn: str, operation: Operation
) -> None:
    folder = folder_with({"a": OCTETS}, cut_at=cut_at, after=after)
    cut = False
    try:
        work = FileWork(CutTree(folder), 0)
        assert reason_of(work, operation, "a", "b") == 0
    except PowerCut:
        cut = True
    tears = {
        "old": lambda durable, now: durable,
        "new": lambda durable, now: now,
        "half": lambda durable, now: now[: len(now) // 2],
        "none": lambda durable, now: b"",
    }
    left = folder_with(folder.after_cut(names_kept, tears[torn]).contents())
    FileWork(CutTree(left), 0)
    old, new = {"a": OCTETS}, {"b": OCTETS} | ({"a": OCTETS} if operation is Operation.COPY else {})
    assert left.contents() in ((old, new) if cut else (new,))


def test_too_many_entries_is_a_number_that_a_page_can_reach() -> None:
    assert MAX_ENTRIES <= 0xFFFF
