"""The flown table against flips in memory: an entry is held against a copy and a checksum; two of three count.

What is compared is what the frame loop reads: declared numbers, their nanoseconds, modes, and which function is called.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import IntEnum

from bindings.crc import crc32c
from flight.executive.activity_task import Activity, Task
from flight.executive.modes import Mode
from flight.executive.schedule import Criticality, Overrun, modes_of

_NUMBERS = struct.Struct("<12q2?Q")  # see _pack
_DAMAGES = (struct.error, AttributeError, TypeError, ValueError, LookupError)  # what a flipped reference may lead to


class Finding(IntEnum):
    """What a check found; the mended ones go down with the event."""

    SOUND = 0
    ENTRY_MENDED = 1  # the flown entry was damaged, and is as its copy says again
    COPY_MENDED = 2  # the copy or the checksum was damaged, and is as the flown entry says again
    LOST = 3  # no two of the three agree


class TableGuard:
    """Copies and checksums of the tasks of one table, made when it is prepared."""

    def __init__(self, tasks: Sequence[Task], activities: Mapping[str, Activity]) -> None:
        self._tasks, self._activities = tasks, activities
        self._copies = [_pack(task, activities) for task in tasks]
        self._sums = [crc32c(copy) for copy in self._copies]

    def check(self, position: int) -> Finding:
        """Compare one task, and mend what was damaged."""
        task, copy, kept = self._tasks[position], self._copies[position], self._sums[position]
        try:
            live = _pack(task, self._activities)
        except _DAMAGES:
            live = b""
        copy_is_sound = crc32c(copy) == kept
        if live == copy:
            if copy_is_sound:
                return Finding.SOUND
            self._sums[position] = crc32c(copy)
            return Finding.COPY_MENDED
        if copy_is_sound:
            _restore(task, copy, self._activities)
            return Finding.ENTRY_MENDED
        if crc32c(live) == kept:
            self._copies[position] = live
            return Finding.COPY_MENDED
        return Finding.LOST


def _pack(task: Task, activities: Mapping[str, Activity]) -> bytes:
    entry = task.entry
    modes = 0
    for mode in task.modes:
        modes |= 1 << mode
    numbers = _NUMBERS.pack(
        task.number,
        entry.period,
        entry.phase,
        entry.slot,
        entry.wcet_us,
        entry.deadline_us,
        entry.criticality,
        entry.overrun,
        task.wcet_ns,
        task.cost_ns,
        task.deadline_ns,
        modes if task.modes == modes_of(entry) else -1,
        task.critical,
        task.sheds,
        task.bit,
    )
    calls = b"" if task.activity is activities[entry.activity] else b"\0"
    return numbers + "\0".join((entry.activity, *entry.modes)).encode() + calls


def _restore(task: Task, copy: bytes, activities: Mapping[str, Activity]) -> None:
    (
        task.number,
        period,
        phase,
        slot,
        wcet_us,
        deadline_us,
        criticality,
        overrun,
        task.wcet_ns,
        task.cost_ns,
        task.deadline_ns,
        modes,
        task.critical,
        task.sheds,
        task.bit,
    ) = _NUMBERS.unpack_from(copy)
    activity, *names = copy[_NUMBERS.size :].decode().split("\0")
    task.entry = replace(
        task.entry,
        activity=activity,
        period=period,
        phase=phase,
        slot=slot,
        wcet_us=wcet_us,
        deadline_us=deadline_us,
        criticality=Criticality(criticality),
        overrun=Overrun(overrun),
        modes=tuple(names),
    )
    task.modes = frozenset(mode for mode in Mode if modes >> mode & 1)
    task.activity = activities[activity]
