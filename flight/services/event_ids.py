"""Event ids are never reused: every id ever given is listed in event_ids.txt with its text, also after it is retired.

    python -m flight.services.event_ids check                      # exit 1 and a line for each fault
    python -m flight.services.event_ids add                        # list what is declared and not yet listed
    python -m flight.services.event_ids retire COMPONENT.EVENT     # it is not declared any more, and never will be
    python -m flight.services.event_ids reword COMPONENT.EVENT     # other words; the arguments stay as they are

The numbers of a component are listed from 1 without a hole, so a line that was taken out is missed; a number that was
left out when events were declared is listed as retired.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flight.services.declare import Argument, Component, DeclarationInvalid, Event, ServicesError, Severity
from flight.services.dictionary import components

LIST = Path(__file__).with_suffix(".txt")
_GIVEN, _RETIRED = "given", "retired"
_NEVER = "never given"
_HEAD = "# Every event id ever given: COMPONENT.EVENT, given or retired, its text (flight/services/event_ids.py).\n"

EventId = tuple[int, int]  # component number, event number


class EventIdsInvalid(ServicesError, ValueError):
    """A line of the list that cannot be read, or a change of it that would give an id another meaning."""

    code = "event_ids_invalid"
    exit_status = 2

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"line {line}: {why}" if line else why)
        self.line = line  # from 1; 0: it is about no line


@dataclass(frozen=True, slots=True)
class Listed:
    """One id ever given."""

    component: int
    number: int
    text: str
    retired: bool = False

    @property
    def id(self) -> EventId:
        """What must never mean anything else."""
        return self.component, self.number

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """What its text declares. Raises DeclarationInvalid."""
        return Event(self.number, Severity.DEBUG, self.text).arguments

    def __str__(self) -> str:
        return f"{self.component}.{self.number} {_RETIRED if self.retired else _GIVEN} {self.text}"


def parse(text: str) -> dict[EventId, Listed]:
    """The list. Raises EventIdsInvalid with the number of the line."""
    found: dict[EventId, Listed] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        parts = line.split(" ", 2)
        if len(parts) != 3 or parts[1] not in (_GIVEN, _RETIRED) or not parts[2].strip():
            raise EventIdsInvalid(number, "COMPONENT.EVENT, given or retired, and the text are needed")
        try:
            entry = Listed(*id_of(parts[0]), parts[2], parts[1] == _RETIRED)
            if not 1 <= entry.component <= 0xFF:
                raise EventIdsInvalid(number, f"component {entry.component} is not in 1..255")
            _ = entry.arguments
        except DeclarationInvalid as error:
            raise EventIdsInvalid(number, str(error)) from error
        except ValueError as error:
            raise EventIdsInvalid(number, f"`{parts[0]}`: {error}") from error
        if entry.id in found:
            raise EventIdsInvalid(number, f"{parts[0]} is listed twice")
        found[entry.id] = entry
    return found


def render(listed: Mapping[EventId, Listed]) -> str:
    """The list as it is kept: by component, then by event."""
    return _HEAD + "".join(f"{listed[key]}\n" for key in sorted(listed))


def faults(listed: Mapping[EventId, Listed], declared: Iterable[Component]) -> list[str]:
    """What is wrong between the list and the declarations, a line each; empty: nothing."""
    events = _declared(declared)
    found = []
    for key, event in events.items():
        name, entry = f"{key[0]}.{key[1]}", listed.get(key)
        if entry is None:
            found.append(f"{name} is declared and not listed: add it")
        elif entry.retired:
            found.append(f"{name} was retired and is declared again: take a new number")
        elif entry.text != event.text:
            found.append(f"{name} was given to `{entry.text}` and is declared as `{event.text}`: take a new number")
    for key, entry in listed.items():
        if not entry.retired and key not in events:
            found.append(f"{key[0]}.{key[1]} is not declared any more: retire it")
        if key[1] > 1 and (key[0], key[1] - 1) not in listed:
            found.append(f"{key[0]}.{key[1] - 1} is not listed, though {key[0]}.{key[1]} is: no line is taken out")
    return sorted(found)


def added(listed: Mapping[EventId, Listed], declared: Iterable[Component]) -> dict[EventId, Listed]:
    """The list with every declared id that it had not, and the holes below them; what it had is as it was."""
    new = {**{key: Listed(*key, event.text) for key, event in _declared(declared).items()}, **listed}
    for component, last in list(new):
        for number in range(1, last):
            new.setdefault((component, number), Listed(component, number, _NEVER, retired=True))
    return new


def retired(listed: Mapping[EventId, Listed], key: EventId, declared: Iterable[Component]) -> dict[EventId, Listed]:
    """The list with one id retired. Raises EventIdsInvalid when it is declared still, or was never given."""
    if key not in listed:
        raise EventIdsInvalid(0, f"{key[0]}.{key[1]} was never given")
    if key in _declared(declared):
        raise EventIdsInvalid(0, f"{key[0]}.{key[1]} is declared still")
    return {**listed, key: replace(listed[key], retired=True)}


def reworded(listed: Mapping[EventId, Listed], key: EventId, declared: Iterable[Component]) -> dict[EventId, Listed]:
    """The list with the declared words. Raises EventIdsInvalid unless the arguments are those that were given."""
    entry, event = listed.get(key), _declared(declared).get(key)
    if entry is None or event is None or entry.retired:
        raise EventIdsInvalid(0, f"{key[0]}.{key[1]} is not both given and declared")
    if entry.arguments != event.arguments:
        raise EventIdsInvalid(0, f"{key[0]}.{key[1]} has other arguments than it was given with: take a new number")
    return {**listed, key: replace(entry, text=event.text)}


def id_of(text: str) -> EventId:
    """COMPONENT.EVENT as numbers. Raises ValueError."""
    component, _, number = text.partition(".")
    return int(component), int(number)


def _declared(declared: Iterable[Component]) -> dict[EventId, Event]:
    return {(component.number, event.number): event for component in declared for event in component.events}


def main(arguments: Sequence[str] | None = None) -> int:
    """Check or change the list. 1: it has faults; 2: the change was refused or the list cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m flight.services.event_ids", description=__doc__.split("\n")[0])
    parser.add_argument("action", choices=("check", "add", "retire", "reword"))
    parser.add_argument("event", nargs="?", metavar="COMPONENT.EVENT")
    parser.add_argument("--list", type=Path, default=LIST, help="the list (default: the one beside this module)")
    chosen = parser.parse_args(arguments)
    try:
        listed = parse(chosen.list.read_text(encoding="utf-8"))
        if chosen.action == "add":
            listed = added(listed, components())
        elif chosen.action != "check":
            change = retired if chosen.action == "retire" else reworded
            listed = change(listed, id_of(chosen.event or ""), components())
        if chosen.action != "check":
            chosen.list.write_text(render(listed), encoding="utf-8")
    except (OSError, ValueError) as error:
        print(f"event ids: {error}", file=sys.stderr)
        return 2
    found = faults(listed, components())
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
