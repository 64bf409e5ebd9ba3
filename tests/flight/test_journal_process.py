"""The journal writer as a process: group commit, death of either end, and the client that never waits."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flight.services.journal import (
    APPEND_SEND_BYTES,
    MAX_PAYLOAD_BYTES,
    JournalFull,
    JournalLost,
    JournalNotReady,
    WriterClient,
    read_journal,
)
from flight.services.journal_format import HEAD, JournalRecord
from flight.services.journal_process import RecordStream, StreamInvalid, command
from flight.services.records import RecordKind

Start = Callable[..., "tuple[WriterClient, subprocess.Popen[bytes]]"]
PATIENCE_S = 30.0  # far above what is expected: a busy machine is slow, a defect never ends


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def run(*, fsync_delay_s: float = 0.0, extra: tuple[str, ...] = ()) -> tuple[WriterClient, subprocess.Popen[bytes]]:
        ours, theirs = socket.socketpair()
        with theirs:
            argv = [*command(theirs.fileno(), tmp_path / "journal", fsync_delay_s), *extra]
            process = subprocess.Popen(argv, pass_fds=[theirs.fileno()])
        started.append(process)
        return WriterClient(ours), process

    yield run
    for process in started:
        process.kill()
        process.wait()


def wait_durable(client: WriterClient, sequence: int) -> None:
    end = time.monotonic() + PATIENCE_S
    while client.poll() < sequence:
        assert time.monotonic() < end, f"{client.poll()} of {sequence} durable"
        time.sleep(0.002)


def test_what_is_reported_durable_is_in_the_file(start: Start, tmp_path: Path) -> None:
    client, process = start()
    assert client.ready(PATIENCE_S) == 0
    for index in range(200):
        assert client.append(RecordKind.JOB, b"%d" % index) == index + 1
    wait_durable(client, 200)
    assert [record.payload for record in read_journal(tmp_path / "journal")] == [b"%d" % index for index in range(200)]
    client.close()
    assert process.wait(PATIENCE_S) == 0


def test_a_slow_sync_commits_in_groups(start: Start) -> None:
    client, _ = start(fsync_delay_s=0.05)
    client.ready(PATIENCE_S)
    seen = set()
    for index in range(100):
        client.append(RecordKind.JOB, bytes(index))
        seen.add(client.poll())
    while client.poll() < 100:
        seen.add(client.poll())
        time.sleep(0.001)
    assert len(seen) < 50, "one sync per record would be reported one by one"
    client.close()


def test_records_of_megabytes_pass_without_a_wait_in_append(start: Start, tmp_path: Path) -> None:
    client, _ = start(fsync_delay_s=0.1)
    client.ready(PATIENCE_S)
    large = os.urandom(1 << 20) * (MAX_PAYLOAD_BYTES >> 20)
    queued_after = []
    for payload in (large, b"small", large[:700_000]):
        before = client.queued_bytes
        client.append(RecordKind.PRODUCT, payload)
        queued_after.append(before + HEAD.size + len(payload) - client.queued_bytes)
    assert max(queued_after) <= APPEND_SEND_BYTES, "append() handed over more than its share"
    wait_durable(client, 3)
    sizes = [len(record.payload) for record in read_journal(tmp_path / "journal")]
    assert sizes == [len(large), 5, 700_000]
    client.close()


def test_a_writer_that_stands_still_fills_a_bounded_queue_and_no_more(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(b"SWJH" + bytes(16))
        client = WriterClient(ours, capacity_bytes=100_000)
        client.ready(1.0)
        with pytest.raises(JournalFull) as full:
            for _ in range(10_000):
                client.append(RecordKind.JOB, bytes(5_000))
        assert full.value.capacity == 100_000
        assert client.queued_bytes <= 100_000
        assert client.poll() == 0
        refused = client.sequence
        received = bytearray()
        while len(received) < refused * (HEAD.size + 5_000):
            client.poll()
            received += theirs.recv(1 << 20)
        sequences = [record.sequence for record in RecordStream(0).feed(bytes(received))]
        assert sequences == list(range(1, refused + 1)), "a refused record must leave no hole"
        client._connection.close()


def test_the_next_life_goes_on_where_the_file_ends(start: Start, tmp_path: Path) -> None:
    client, _ = start()
    client.ready(PATIENCE_S)
    client.append(RecordKind.BOOT, b"first")
    client.close()
    with (tmp_path / "journal").open("ab") as stream:
        stream.write(JournalRecord(2, RecordKind.JOB, b"torn").pack()[:-1])
    client, _ = start()
    assert client.ready(PATIENCE_S) == 1
    assert client.torn_bytes == 24
    assert client.append(RecordKind.BOOT, b"second") == 2
    client.close()
    assert [record.payload for record in read_journal(tmp_path / "journal")] == [b"first", b"second"]


FLIGHT = """
import socket, sys, time
from flight.services.journal import WriterClient
client = WriterClient(socket.socket(fileno=int(sys.argv[1])))
client.ready(30)
for index in range(500):
    client.append(11, b"%d" % index)
while client.queued_bytes:
    client.poll()
print("handed over", flush=True)
time.sleep(60)
"""


def test_the_writer_outlives_a_killed_flight_process_and_commits_what_it_was_given(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    writer = subprocess.Popen(command(theirs.fileno(), tmp_path / "journal", 0.3), pass_fds=[theirs.fileno()])
    theirs.close()
    flight = subprocess.Popen(
        [sys.executable, "-c", FLIGHT, str(ours.fileno())], pass_fds=[ours.fileno()], stdout=subprocess.PIPE
    )
    ours.close()
    try:
        assert flight.stdout is not None
        assert flight.stdout.readline() == b"handed over\n"
        flight.kill()
        flight.wait()
        flight.stdout.close()
        assert writer.wait(PATIENCE_S) == 0
    finally:
        flight.kill()
        writer.kill()
    assert len(list(read_journal(tmp_path / "journal"))) == 500


def test_a_new_writer_waits_for_the_old_one_to_end(start: Start, tmp_path: Path) -> None:
    old, _ = start(fsync_delay_s=0.5)
    old.ready(PATIENCE_S)
    for index in range(3):
        old.append(RecordKind.JOB, b"%d" % index)
    while old.queued_bytes:
        old.poll()
    new, _ = start()
    with pytest.raises(JournalNotReady):
        new.ready(0.05)
    old._connection.close()  # as a kill does: no farewell
    assert new.ready(PATIENCE_S) == 3
    new.close()


def test_sigterm_does_not_stop_the_writer_before_the_flight_process_has_finished(start: Start, tmp_path: Path) -> None:
    client, process = start()
    client.ready(PATIENCE_S)
    client.append(RecordKind.JOB, b"before")
    process.send_signal(signal.SIGTERM)
    client.append(RecordKind.JOB, b"after")
    wait_durable(client, 2)
    client.close()
    assert process.wait(PATIENCE_S) == 0
    assert [record.payload for record in read_journal(tmp_path / "journal")] == [b"before", b"after"]


def test_after_sigterm_the_writer_ends_even_when_the_flight_process_hangs(start: Start, tmp_path: Path) -> None:
    client, process = start(extra=("--grace-s", "0"))
    client.ready(PATIENCE_S)
    client.append(RecordKind.JOB, b"one")
    wait_durable(client, 1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0
    with pytest.raises(JournalLost):
        client.poll()
    with pytest.raises(JournalLost):
        client.append(RecordKind.JOB, b"two")
    assert len(list(read_journal(tmp_path / "journal"))) == 1


def test_a_killed_writer_is_reported_as_lost(start: Start) -> None:
    client, process = start()
    client.ready(PATIENCE_S)
    process.kill()
    process.wait()
    with pytest.raises(JournalLost):
        client.poll()


def wait_for(client: WriterClient, done: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not done():
        client.poll()
        assert time.monotonic() < end
        time.sleep(0.002)


def test_a_full_disk_is_told_and_what_was_appended_is_written_when_there_is_space_again(
    start: Start, tmp_path: Path
) -> None:
    client, process = start()
    client.ready(PATIENCE_S)
    wait_durable(client, client.append(RecordKind.JOB, b"one"))
    size = (tmp_path / "journal").stat().st_size
    hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size + 10, hard))  # the next record fits in part
    payloads = [b"two", bytes(1000), b"four"]
    last = [client.append(RecordKind.JOB, payload) for payload in payloads][-1]
    wait_for(client, lambda: client.no_space)
    assert client.durable == 1
    assert (tmp_path / "journal").stat().st_size == size
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (hard, hard))
    wait_for(client, lambda: client.durable == last)
    assert not client.no_space
    client.close()
    assert process.wait(PATIENCE_S) == 0
    assert [record.payload for record in read_journal(tmp_path / "journal")] == [b"one", *payloads]


def test_a_writer_without_space_ends_with_its_flight_process_and_keeps_what_was_durable(
    start: Start, tmp_path: Path
) -> None:
    client, process = start()
    client.ready(PATIENCE_S)
    wait_durable(client, client.append(RecordKind.JOB, b"one"))
    hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, hard))
    client.append(RecordKind.JOB, b"two")
    wait_for(client, lambda: client.no_space)
    with pytest.raises(JournalLost):
        client.close(timeout_s=0.2)
    assert process.wait(PATIENCE_S) == 1
    assert [record.payload for record in read_journal(tmp_path / "journal")] == [b"one"]


def test_a_storage_that_cannot_be_opened_ends_with_status_1(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        argv = command(theirs.fileno(), tmp_path / "no" / "such" / "folder")
        ended = subprocess.run(
            argv, check=False, pass_fds=[theirs.fileno()], capture_output=True, text=True, timeout=PATIENCE_S
        )
    assert ended.returncode == 1
    assert ended.stderr.startswith("journal: ")
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "octets",
    [
        HEAD.pack(b"XXXX", 0, 1, 11),
        HEAD.pack(b"SWJ1", MAX_PAYLOAD_BYTES + 1, 1, 11),
        HEAD.pack(b"SWJ1", 0, 2, 11),
    ],
)
def test_the_writer_refuses_a_stream_out_of_order(octets: bytes) -> None:
    with pytest.raises(StreamInvalid):
        RecordStream(0).feed(octets)
