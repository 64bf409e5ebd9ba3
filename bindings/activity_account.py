"""What each activity takes of the wall clock and of the processor, kept in C: nothing is allocated per run.

For the one thread that runs the activities: processor time is that thread's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from bindings.faults import GeometryRefused, OrderMismatch
from bindings.ffi import check, ffi, lib

BINS: Final = int(lib.SW_ACCOUNT_BINS)
MOST_ACTIVITIES: Final = int(lib.SW_ACCOUNT_MOST)
MOST_RECENT_RUNS: Final = int(lib.SW_ACCOUNT_MOST_RECENT)


@dataclass(frozen=True, slots=True)
class Spent:
    """Time in nanoseconds: of the wall (CLOCK_MONOTONIC), of the processor (CLOCK_THREAD_CPUTIME_ID)."""

    wall_ns: int
    cpu_ns: int


@dataclass(frozen=True, slots=True)
class ActivityTimes:
    """One activity's account at one instant."""

    runs: int
    ignored: int  # the first runs, which `worst` leaves out: they fill caches and load code
    over: int  # of all runs: longer than declared, in whole microseconds of the wall
    last: Spent
    total: Spent
    worst: Spent  # ever; wall and processor each by itself
    recent: Spent  # worst of the last runs
    wall: tuple[int, ...]  # runs per bin; bin_from_ns says where each begins
    cpu: tuple[int, ...]


def _spent(spent: Any) -> Spent:
    return Spent(spent.wall_ns, spent.cpu_ns)


def bin_from_ns(index: int) -> int:
    """The shortest time that bin `index` counts: 0, 256 ns, then four bins to the octave; the last is open."""
    return int(lib.sw_account_bin_from(index))


class ActivityAccount:
    """Accounts of activities 0..count-1."""

    def __init__(self, count: int, *, recent_runs: int = 128, ignored_runs: int = 0) -> None:
        """recent_runs: how many runs back `recent` looks. Raises GeometryRefused."""
        bounds = (
            ("count", count, 1, MOST_ACTIVITIES),
            ("recent_runs", recent_runs, 1, MOST_RECENT_RUNS),
            ("ignored_runs", ignored_runs, 0, 1 << 40),
        )
        for name, number, low, high in bounds:
            if not low <= number <= high:
                raise GeometryRefused(f"{name} is {low} to {high}, got {number}")
        account = lib.sw_account_new(count, recent_runs, ignored_runs)
        if account == ffi.NULL:
            raise MemoryError("no memory for the account of activities")
        self._account = ffi.gc(account, lib.sw_account_free)
        self._reading: Any = ffi.new("sw_activity *")
        self.count = count

    def declare(self, activity: int, worst_us: int) -> None:
        """From now on a run of more than `worst_us` is over. Raises IndexError, ValueError below 0."""
        if worst_us < 0:
            raise ValueError(f"a worst case of {worst_us} us")
        self._known(lib.sw_account_declare(self._account, activity, worst_us), activity)

    def begin(self, activity: int) -> int:
        """The activity starts now: ns of CLOCK_MONOTONIC. Raises IndexError."""
        return self._known(lib.sw_account_begin(self._account, activity), activity)

    def end(self, activity: int) -> int:
        """It has ended, now. Raises IndexError; OrderMismatch for another than the one that began last."""
        now_ns = lib.sw_account_end(self._account, activity)
        return int(now_ns) if now_ns >= 0 else self._known(now_ns, activity)

    def leave(self, activity: int) -> None:
        """It has ended and is not accounted for here. Raises as end() does."""
        self._known(lib.sw_account_leave(self._account, activity), activity)

    def note(self, activity: int, wall_ns: int, cpu_ns: int) -> None:
        """A run whose times are known otherwise; negative ones count as 0. Raises IndexError."""
        self._known(lib.sw_account_note(self._account, activity, wall_ns, cpu_ns), activity)

    def last_cpu_us(self, activity: int) -> int:
        """The last run, in whole microseconds of the processor. Raises IndexError."""
        self._read(activity)
        return int(self._reading.last.cpu_ns) // 1000

    def worst_us(self, activity: int) -> int:
        """The longest run ever, in whole microseconds of the wall. Raises IndexError."""
        self._read(activity)
        return int(self._reading.worst.wall_ns) // 1000

    def times(self, activity: int) -> ActivityTimes:
        """The whole account of one activity. Raises IndexError."""
        self._read(activity)
        of = self._reading
        return ActivityTimes(
            of.runs,
            of.ignored,
            of.over,
            _spent(of.last),
            _spent(of.total),
            _spent(of.worst),
            _spent(of.recent),
            tuple(of.wall),
            tuple(of.cpu),
        )

    def _read(self, activity: int) -> None:
        self._known(lib.sw_account_read(self._account, activity, self._reading), activity)

    def _known(self, code: int, activity: int) -> int:
        if code == lib.SW_E_ARGUMENT:
            raise IndexError(f"no activity {activity}: there are {self.count}")
        if code == lib.SW_E_ORDER:
            raise OrderMismatch(f"activity {activity} is not the one that began")
        return check(code)
