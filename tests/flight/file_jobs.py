"""Jobs of the file process, done to their end."""

from __future__ import annotations

from flight.services.file_protocol import Operation, Reply, ReplyKind, Request
from flight.services.file_work import FileWork


def all_of(work: FileWork, operation: Operation, path: str = "", other: str = "", first: int = 0) -> list[Reply]:
    """Every reply of one job, its end last."""
    replies = work.begin(Request(0, 1, operation, path, other, first))
    for _ in range(100_000):
        if not work.busy:
            return replies
        replies += work.step()
    raise AssertionError("the job has no end")


def end_of(work: FileWork, operation: Operation, path: str = "", other: str = "", first: int = 0) -> Reply:
    """How a job ended."""
    return all_of(work, operation, path, other, first)[-1]


def reason_of(work: FileWork, operation: Operation, path: str = "", other: str = "") -> int:
    """Why a job failed; 0: it did not."""
    reply = end_of(work, operation, path, other)
    return reply.reason if reply.kind is ReplyKind.FAILED else 0
