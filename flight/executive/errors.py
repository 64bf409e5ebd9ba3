"""Errors of the executive."""

from __future__ import annotations

from enum import IntEnum

from flight.errors import FlightError


class ExecutiveError(FlightError):
    """Base of every error of the executive."""

    code = "executive_error"


class ModeRefused(ExecutiveError, ValueError):
    """A transition that the machine of modes does not have, or not now."""

    code = "mode_refused"

    def __init__(self, current: str, wanted: str, allowed: tuple[str, ...], reason: IntEnum) -> None:
        what = "no transition" if wanted not in allowed else "no transition now"
        super().__init__(
            f"{what} from {current} to {wanted} ({reason.name.lower()}); from {current}: {', '.join(allowed) or 'none'}"
        )
        self.current, self.wanted, self.allowed, self.reason = current, wanted, allowed, reason


class ScheduleRefused(ExecutiveError, ValueError):
    """A table that the analysis does not find to fit. The executive flies no such table."""

    code = "schedule_refused"
    exit_status = 2

    def __init__(self, table: str, problems: tuple[tuple[int, str], ...]) -> None:
        line, reason = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(f"{table}:{line}: {reason}{more}")
        self.table, self.problems = table, problems


class TableNotVerified(ExecutiveError, ValueError):
    """A table without the hash that `swath schedule check --seal` writes, or with that of another."""

    code = "table_not_verified"
    exit_status = 2

    def __init__(self, table: str, line: int, carried: str, content: str) -> None:
        what = f"carries the hash {carried[:12]}, its content has {content[:12]}" if carried else "carries no hash"
        super().__init__(
            f"{table}:{line}: {what}: it was not verified as it is; `swath schedule check {table} --seal` does that"
        )
        self.table, self.line, self.carried, self.content = table, line, carried, content


class ActivityUnknown(ExecutiveError, KeyError):
    """The table names an activity that this software does not have."""

    code = "activity_unknown"
    exit_status = 2

    def __init__(self, activity: str, table: str, line: int, known: tuple[str, ...]) -> None:
        super().__init__(f"{table}:{line}: no activity `{activity}`; known: {', '.join(known)}")
        self.activity, self.table, self.line, self.known = activity, table, line, known

    def __str__(self) -> str:
        return str(self.args[0])
