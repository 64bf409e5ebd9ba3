"""What the file manager tells the ground, and the commands that it takes (docs/files-and-scrubbing.md)."""

from __future__ import annotations

from flight.services.command_set import CommandDefinition
from flight.services.declare import Component, Event, Field, Severity
from flight.services.file_protocol import Operation

JOB_BEGAN = Event(1, Severity.INFO, "file job {job:u32} waits: operation {operation:u8}")
JOB_DONE = Event(2, Severity.INFO, "file job {job:u32} done: operation {operation:u8}")
JOB_FAILED = Event(
    3, Severity.WARNING, "file job {job:u32} failed: operation {operation:u8}, reason {reason:u8}, errno {errno:u16}"
)
STATED = Event(4, Severity.INFO, "file job {job:u32}: kind {kind:u8}, {octets:u64} octets, changed at {changed:u64} s")
ENTRY = Event(
    5,
    Severity.INFO,
    "file job {job:u32}: entry {index:u16} named {name:u64}, kind {kind:u8}, {octets:u64} octets",
    burst=32,
)
LISTED = Event(6, Severity.INFO, "file job {job:u32}: {told:u8} of {entries:u16} entries told")
SUMMED = Event(7, Severity.INFO, "file job {job:u32}: CRC {crc:u32} of {octets:u64} octets")
COPIED = Event(8, Severity.INFO, "file job {job:u32}: {octets:u64} octets copied, CRC {crc:u32}")
SPACE = Event(9, Severity.INFO, "file job {job:u32}: {free:u64} of {total:u64} octets free, {reserve:u64} in reserve")
REFUSED = Event(10, Severity.WARNING, "file operation {operation:u8} refused, slot {slot:u8}, reason {reason:u8}")
PATHS_LOADED = Event(11, Severity.INFO, "path table loaded: {paths:u8} paths")
PATHS_REFUSED = Event(12, Severity.WARNING, "path table refused, slot {slot:u8}, reason {reason:u8}")
WORKER_BEGAN = Event(13, Severity.WARNING, "a file process began, number {number:u16} seen; {lost:u8} jobs were lost")

FILES = Component(
    name="files",
    number=67,
    events=(
        JOB_BEGAN,
        JOB_DONE,
        JOB_FAILED,
        STATED,
        ENTRY,
        LISTED,
        SUMMED,
        COPIED,
        SPACE,
        REFUSED,
        PATHS_LOADED,
        PATHS_REFUSED,
        WORKER_BEGAN,
    ),
    telemetry=(
        Field("job", "u32"),  # at work; 0 for none
        Field("waiting", "u8"),
        Field("paths", "u8"),
        Field("done", "u32"),
        Field("failed", "u32"),
        Field("refused", "u32"),
        Field("processes", "u16"),
        Field("packets_refused", "u32"),
    ),
)

_SLOT = Field("slot", "u8")
_TO = Field("to", "u8")
_CRC = Field("paths_crc", "u32")  # path_crc() of what is meant: another table in between makes it another


def _of(operation: Operation) -> int:
    return FILES.number << 8 | operation


FILE_PATHS_LOAD = CommandDefinition(0x4301, "file_paths_load", storable=False)
FILE_STAT = CommandDefinition(_of(Operation.STAT), "file_stat", (_SLOT,), repeatable=True)
FILE_LIST = CommandDefinition(_of(Operation.LIST), "file_list", (_SLOT, Field("first", "u16")), repeatable=True)
FILE_CRC = CommandDefinition(_of(Operation.CRC), "file_crc", (_SLOT,), repeatable=True)
FILE_COPY = CommandDefinition(_of(Operation.COPY), "file_copy", (_SLOT, _TO))
FILE_MOVE = CommandDefinition(_of(Operation.MOVE), "file_move", (_SLOT, _TO))
FILE_MOVE_OVER = CommandDefinition(_of(Operation.MOVE_OVER), "file_move_over", (_SLOT, _TO, _CRC), dangerous=True)
FILE_DELETE = CommandDefinition(_of(Operation.DELETE), "file_delete", (_SLOT, _CRC), dangerous=True)
DIRECTORY_MAKE = CommandDefinition(_of(Operation.MAKE), "directory_make", (_SLOT,))
DIRECTORY_REMOVE = CommandDefinition(_of(Operation.REMOVE), "directory_remove", (_SLOT, _CRC), dangerous=True)
FILE_SPACE = CommandDefinition(_of(Operation.SPACE), "file_space", repeatable=True)
FILE_CANCEL = CommandDefinition(_of(Operation.CANCEL), "file_cancel", (Field("job", "u32"),), repeatable=True)
FILE_OPERATIONS = (
    FILE_STAT,
    FILE_LIST,
    FILE_CRC,
    FILE_COPY,
    FILE_MOVE,
    FILE_MOVE_OVER,
    FILE_DELETE,
    DIRECTORY_MAKE,
    DIRECTORY_REMOVE,
    FILE_SPACE,
    FILE_CANCEL,
)
FILE_COMMANDS = (FILE_PATHS_LOAD, *FILE_OPERATIONS)
