"""A machine that flies a schedule table frame by frame, microsecond by microsecond, written from the definition alone.

It shares nothing with the analysis but the table's record: no sums over a hyperperiod, no common divisors, no rules.
What it sees go wrong is a fault of the table; what is refused and flies on it is the pessimism of the analysis.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from flight.executive.schedule_table import Criticality, Entry, Overrun, ScheduleTable, Window

MODES = ("safe", "nominal", "imaging")


@dataclass(frozen=True)
class Fault:
    """What went wrong, and where."""

    kind: str  # slot, job, late, frame, order, core
    frame: int
    who: str


def faults(table: ScheduleTable, seed: int) -> Iterator[Fault]:
    """Fly every mode, with every group on or one of them off, at the worst case and at times below it."""
    periods = [*(entry.period for entry in table.entries), *(window.period for window in table.windows)]
    frames = 2 * math.lcm(*periods)
    groups = sorted({entry.group for entry in table.entries if entry.group})
    for mode in MODES:
        for off in ("", *groups):
            flown = [entry for entry in table.entries if mode in entry.modes and not (off and entry.group == off)]
            for draw in (None, random.Random(seed)):
                yield from _fly(table, flown, frames, draw)
    yield from _cores(table, frames)


def _fly(table: ScheduleTable, entries: list[Entry], frames: int, draw: random.Random | None) -> Iterator[Fault]:
    """One mode. draw: how long things take, up to what is declared; None: all of it."""

    def takes(declared_us: int) -> int:
        return declared_us if draw is None else draw.randint(0, declared_us)

    ran: dict[str, int] = {}  # activity -> starts so far
    taken_up: dict[
        tuple[str, str], int
    ] = {}  # (consumer, producer) -> the producer's starts at the consumer's last one
    windows = [window for window in table.windows if window.core == table.core]
    for frame in range(frames):
        now_us = takes(table.jitter_us) + takes(table.blocking_us)
        due = sorted((entry for entry in entries if _starts(entry, frame)), key=lambda entry: entry.slot)
        if len({entry.slot for entry in due}) != len(due):
            yield Fault("slot", frame, due[0].activity)
        for entry in due:
            for producer in entry.after:
                if ran.get(producer, 0) <= taken_up.get((entry.activity, producer), 0):
                    yield Fault("order", frame, entry.activity)
                taken_up[entry.activity, producer] = ran.get(producer, 0)
            now_us += takes(table.dispatch_us) + takes(entry.wcet_us)
            ran[entry.activity] = ran.get(entry.activity, 0) + 1
            if now_us > entry.deadline_us:
                yield Fault("late", frame, entry.activity)
        if due and now_us > table.minor_us:
            yield Fault("frame", frame, due[-1].activity)
        for window in windows:
            if due and _starts(window, frame) and window.start_us < now_us:
                yield Fault("core", frame, window.partition)
    for entry in entries:
        for period in range(frames // entry.period):
            jobs = [f for f in range(period * entry.period, (period + 1) * entry.period) if _starts(entry, f)]
            if len(jobs) != 1:
                yield Fault("job", period * entry.period, entry.activity)


def _cores(table: ScheduleTable, frames: int) -> Iterator[Fault]:
    """No two windows on one core at once, none over itself, and on the cycle's core none over a frame's end."""
    spans: dict[int, list[tuple[int, int, str]]] = {}
    for window in table.windows:
        for frame in range(frames):
            if _starts(window, frame):
                start_us = frame * table.minor_us + window.start_us
                spans.setdefault(window.core, []).append((start_us, start_us + window.length_us, window.partition))
    for core, opened in spans.items():
        ends_us = 0
        for start_us, end_us, partition in sorted(opened):
            if start_us < ends_us:
                yield Fault("core", start_us // table.minor_us, partition)
            ends_us = max(ends_us, end_us)
            if core == table.core and any(
                _starts(entry, frame % frames)
                for frame in range(start_us // table.minor_us + 1, -(-end_us // table.minor_us))
                for entry in table.entries
            ):
                yield Fault("core", start_us // table.minor_us, partition)


def _starts(part: Entry | Window, frame: int) -> bool:
    return frame >= part.phase and (frame - part.phase) % part.period == 0


def random_table(draw: random.Random) -> ScheduleTable:
    """A table of up to seven entries and two windows; about half of them are flyable."""
    minor_us = draw.choice([1_000, 2_000, 10_000])
    frames = draw.choice([4, 8, 10, 20])
    periods = [period for period in (1, 2, 4, 5, 8, 10, 20, 40) if not frames % period or not period % frames]
    if draw.random() < 0.05:
        periods.append(3)
    count = draw.randint(1, 7)
    share = draw.choice([0.3, 0.6, 0.9])
    names = [f"activity_{number}" for number in range(count)]
    entries = []
    for number, name in enumerate(names):
        period = draw.choice(periods)
        wcet_us = max(1, int(minor_us * share * draw.random() ** 2))
        deadline_us = minor_us
        if draw.random() < 0.3:
            deadline_us = draw.randint(wcet_us, minor_us * (period if draw.random() < 0.5 else 1))
        after = tuple(draw.sample(names, 1)) if draw.random() < 0.15 else ()
        entries.append(
            Entry(
                activity=name,
                period=period,
                phase=draw.randrange(period) if draw.random() < 0.97 else period,
                slot=number if draw.random() < 0.95 else draw.randrange(count),
                wcet_us=wcet_us,
                deadline_us=deadline_us,
                criticality=draw.choice([Criticality.LOW, Criticality.NORMAL, Criticality.HIGH]),
                modes=tuple(draw.sample(MODES, draw.randint(1, 3) if draw.random() < 0.5 else 3)),
                overrun=draw.choice(list(Overrun)),
                line=number + 1,
                after=after,
                group="extra" if draw.random() < 0.1 else "",
            )
        )
    windows = tuple(_random_window(draw, number, minor_us, periods) for number in range(draw.choice([0, 0, 0, 1, 2])))
    table = ScheduleTable(
        name="random",
        major_us=frames * minor_us,
        minor_us=minor_us,
        dispatch_us=draw.choice([0, 10, 40]),
        margin_us=draw.choice([0, 0, minor_us // 20]),
        entries=tuple(entries),
        hash="0",
        jitter_us=draw.choice([0, 0, minor_us // 50]),
        blocking_us=draw.choice([0, 0, minor_us // 50]),
        windows=windows,
    )
    return replace(table, core=0)


def _random_window(draw: random.Random, number: int, minor_us: int, periods: list[int]) -> Window:
    period = draw.choice(periods)
    return Window(
        partition=f"partition_{number}",
        core=draw.choice([0, 1, 1]),
        period=period,
        phase=draw.randrange(period),
        start_us=draw.randrange(minor_us),
        length_us=draw.randint(1, max(1, int(minor_us * period * draw.random()))),
        line=100 + number,
    )
