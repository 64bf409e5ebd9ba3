"""The file process as a process: it works, ends with its supervisor's word, and a kill leaves no half copy."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bindings.crc import crc32c
from flight.file_process import arguments_of
from flight.services.file_protocol import ANYONE, Operation, Reply, ReplyKind, Request
from flight.services.file_tree import NEW
from tests.shared_data import ROOT

LIMIT_S = 30.0


@contextmanager
def process(
    root: Path, connection: socket.socket, forbidden: tuple[str, ...] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    arguments = arguments_of(connection.fileno(), root, forbidden)
    started = subprocess.Popen(
        [sys.executable, "-m", "flight.file_process", *arguments, "--reserve-octets", "0"],
        cwd=ROOT,
        pass_fds=(connection.fileno(),),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def replies(ours: socket.socket) -> Iterator[Reply]:
    ours.settimeout(LIMIT_S)
    while True:
        yield Reply.unpack(ours.recv(2048))


def test_a_killed_process_leaves_no_half_copy_and_the_next_one_does_the_work(tmp_path: Path) -> None:
    octets = os.urandom(1 << 20) * 32
    (tmp_path / "a").write_bytes(octets)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    heard = replies(ours)
    with ours, theirs:
        with process(tmp_path, theirs) as first:
            hello = next(heard)
            assert (hello.kind, hello.numbers[0]) == (ReplyKind.HELLO, first.pid)
            ours.send(Request(first.pid, 1, Operation.COPY, "a", "b").pack())
            while not (tmp_path / NEW).exists() and not (tmp_path / "b").exists():
                os.sched_yield()
        copied = (tmp_path / "b").exists()
        assert not copied or (tmp_path / "b").read_bytes() == octets
        (tmp_path / "b").unlink(missing_ok=True)
        with process(tmp_path, theirs) as second:
            while next(heard).numbers[0] != second.pid:
                pass
            assert [each.name for each in tmp_path.iterdir()] == ["a"]
            ours.send(Request(first.pid, 2, Operation.DELETE, "a").pack())  # for the one that is gone
            ours.send(Request(second.pid, 3, Operation.COPY, "a", "b").pack())
            done = next(heard)
            assert (done.kind, done.job, done.numbers) == (ReplyKind.DONE, 3, (crc32c(octets), len(octets), 0))
            ours.send(Request(ANYONE, 0, Operation.PING).pack())
            assert next(heard).numbers[0] == second.pid
            second.send_signal(signal.SIGTERM)
            assert second.wait(LIMIT_S) == 0
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == octets


@pytest.mark.parametrize("root", ["missing", "link", "file"])
def test_a_root_that_is_no_directory_ends_it_with_a_word(tmp_path: Path, root: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to("missing")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, process(tmp_path / root, theirs) as started:
        _, said = started.communicate(timeout=LIMIT_S)
    assert started.returncode == 1
    assert json.loads(said)["event"] == "ended"


def test_it_loads_no_pixels_no_strips_no_keys_and_no_tenants() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "import flight.file_process, sys; print(*sorted(sys.modules))"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(ended.stdout.split())
    assert "flight.services.file_work" in loaded
    others = ("flight.pipeline.strip", "flight.product", "flight.agent", "flight.link", "payload_models", "hal.sensor")
    assert [name for name in loaded if name.startswith(others)] == []
    assert {"multiprocessing.shared_memory", "onnxruntime", "nacl", "cryptography", "zmq"} & loaded == set()
