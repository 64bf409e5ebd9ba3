"""The journal writer: a process of its own, so that a slow medium never stalls a frame.

    python -m flight.services.journal_process --fd N --path FILE [--fsync-delay-s X]

It reads records (head and payload, see journal_format) from the stream socket N, writes all that have arrived with one
sync, and answers the highest durable sequence. When the socket ends it commits what has arrived and exits 0, so it
outlives a killed flight process just long enough. SIGTERM and SIGINT do not stop it, for the flight process may have
more to say on its way out; after them it ends when the socket does, or `--grace-s` later. Exit 1: the storage failed.
"""

from __future__ import annotations

import argparse
import contextlib
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from flight.services.journal import HELLO, HELLO_MAGIC, NO_SPACE, REPORT, FileJournal
from flight.services.journal_format import HEAD, MAGIC, MAX_PAYLOAD_BYTES, JournalError, JournalNoSpace, JournalRecord
from flight.services.journal_storage import FileStorage, SlowStorage, Storage

GROUP_BYTES = 4 << 20  # one sync takes no more than this and the record that crosses it
_RECEIVE_BYTES = 256 << 10
_TICK_S = 0.5


class StreamInvalid(JournalError, ValueError):
    """The flight process sent what is no record, or a sequence out of order."""

    code = "journal_stream_invalid"


class RecordStream:
    """Cuts the octet stream into records; holds at most one unfinished record and what came with it."""

    def __init__(self, last_sequence: int) -> None:
        self._inbox = bytearray()
        self._last = last_sequence

    def feed(self, octets: bytes) -> list[JournalRecord]:
        """The records that `octets` complete. Raises StreamInvalid."""
        self._inbox += octets
        records: list[JournalRecord] = []
        offset = 0
        while len(self._inbox) - offset >= HEAD.size:
            magic, length, sequence, kind = HEAD.unpack_from(self._inbox, offset)
            if magic != MAGIC or length > MAX_PAYLOAD_BYTES or sequence != self._last + 1:
                raise StreamInvalid(f"record {self._last + 1} expected, got sequence {sequence} of {length} bytes")
            end = offset + HEAD.size + length
            if len(self._inbox) < end:
                break
            records.append(JournalRecord(sequence, kind, bytes(self._inbox[offset + HEAD.size : end])))
            self._last = sequence
            offset = end
        del self._inbox[:offset]
        return records


class Writer:
    """Serves one connection until it ends."""

    def __init__(self, connection: socket.socket, journal: FileJournal, stop: Callable[[], bool]) -> None:
        self._connection = connection
        self._journal = journal
        self._stop = stop
        self._stream = RecordStream(journal.poll())
        self._sending = HELLO.pack(HELLO_MAGIC, journal.poll(), journal.torn_bytes)
        self._report: int | None = None
        self._held: tuple[bytes, int] | None = None  # a group for which there was no space, and its last sequence

    def serve(self) -> None:
        """Commit groups until the socket ends or `stop` says so. Raises JournalStorageFailed, StreamInvalid."""
        self._connection.setblocking(False)
        open_ = True
        while open_ and not self._stop():
            self._answer()
            # while a group is held nothing is read: the flight process's bounded queue fills, and it waits
            reading = [self._connection] if self._held is None else []
            select.select(reading, [self._connection] if self._sending else [], [], _TICK_S)
            if self._held is not None:
                self._commit(*self._held)
            if self._held is None:
                open_ = self._commit_what_came()
            elif self._has_ended():
                raise JournalNoSpace("the flight process has ended, and there is still no space for its last records")

    def _commit_what_came(self) -> bool:
        """One group: everything that has arrived, one write, one sync. False when the socket has ended."""
        packed: list[bytes] = []
        size = 0
        open_ = True
        while size < GROUP_BYTES:
            try:
                octets = self._connection.recv(_RECEIVE_BYTES)
            except BlockingIOError:
                break
            except ConnectionError:
                octets = b""
            if not octets:
                open_ = False
                break
            for record in self._stream.feed(octets):
                packed.append(record.pack())
                size += len(packed[-1])
                last = record.sequence
        if packed:
            self._commit(b"".join(packed), last)
        if not open_:
            self._answer()
            if self._held is not None:
                raise JournalNoSpace("no space for the last records")
        return open_

    def _commit(self, octets: bytes, last: int) -> None:
        try:
            self._journal.commit(octets, last)
        except JournalNoSpace as error:
            if self._held is None:
                _say(f"{error}: waiting for space")
                self._report = self._journal.durable | NO_SPACE
            self._held = (octets, last)
            return
        self._held = None
        self._report = last  # reports are cumulative: one not yet sent is replaced

    def _has_ended(self) -> bool:
        """Whether the other end is gone. What it has sent before stays in the socket."""
        poller = select.poll()
        poller.register(self._connection, select.POLLRDHUP)
        return bool(poller.poll(0))

    def _answer(self) -> None:
        while self._sending or self._report is not None:
            if not self._sending and self._report is not None:
                self._sending, self._report = REPORT.pack(self._report), None
            try:
                sent = self._connection.send(self._sending, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                return
            except OSError:  # nobody listens any more; what has arrived is still committed
                self._sending, self._report = b"", None
                return
            self._sending = self._sending[sent:]


def command(descriptor: int, path: Path, fsync_delay_s: float = 0.0) -> list[str]:
    """The argument list that starts a writer on the inherited `descriptor`."""
    argv = [sys.executable, "-m", "flight.services.journal_process", "--fd", str(descriptor), "--path", str(path)]
    return [*argv, "--fsync-delay-s", str(fsync_delay_s)] if fsync_delay_s else argv


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # the log may lie on the same full disk
        print(f"journal: {text}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one writer."""
    parser = argparse.ArgumentParser(prog="journal_process", description="The journal writer of the flight process.")
    parser.add_argument("--fd", type=int, required=True, help="stream socket to the flight process")
    parser.add_argument("--path", type=Path, required=True, help="journal file")
    parser.add_argument("--fsync-delay-s", type=float, default=0.0, help="stall each sync (tests, the bench)")
    parser.add_argument("--grace-s", type=float, default=10.0, help="how long to serve after SIGTERM")
    chosen = parser.parse_args(arguments)

    told_at: list[float] = []

    def told(_signal: int, _frame: object) -> None:
        told_at.append(time.monotonic())
        del told_at[1:]

    signal.signal(signal.SIGTERM, told)
    signal.signal(signal.SIGINT, told)
    with contextlib.closing(socket.socket(fileno=chosen.fd)) as connection:
        try:
            storage: Storage = FileStorage(chosen.path)
            if chosen.fsync_delay_s:
                storage = SlowStorage(storage, chosen.fsync_delay_s, time.sleep)
            journal = FileJournal(storage)
            if journal.torn_bytes:
                _say(f"{journal.torn_bytes} torn bytes cut off and set aside")
            Writer(
                connection, journal, lambda: bool(told_at) and time.monotonic() - told_at[0] > chosen.grace_s
            ).serve()
            journal.close()
        except (JournalError, OSError) as error:
            _say(str(error))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
