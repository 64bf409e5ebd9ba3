"""Every component on board, listed once. What is not listed here has no number and cannot be told to the ground."""

from __future__ import annotations

import importlib
from functools import lru_cache

from flight.services.declare import Component, DeclarationInvalid, Event, ServicesError
from flight.services.events import EventRecord

# each offers its Components as attributes
MODULES = (
    "flight.component",
    "flight.executive.component",
    "flight.executive.health_component",
    "flight.agent.component",
    "flight.pipeline.component",
    "flight.services.time_component",
    "flight.services.scrub_component",
    "flight.services.file_component",
    "flight.services.store_component",
    "flight.services.parameter_component",
    "flight.services.event_component",
    "flight.services.telemetry_component",
    "flight.services.component",
)


class NotDeclared(ServicesError, KeyError):
    """A component or event that the dictionary does not have."""

    code = "not_declared"

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not declared")
        self.what = what

    def __str__(self) -> str:
        return str(self.args[0])


@lru_cache(maxsize=1)
def components() -> tuple[Component, ...]:
    """All components, by number. Raises DeclarationInvalid when a number or name is used twice."""
    found: list[Component] = []
    for module in MODULES:
        here = [value for value in vars(importlib.import_module(module)).values() if isinstance(value, Component)]
        if not here:
            raise DeclarationInvalid(f"{module} declares no component")
        found += here
    for label, keys in (("number", [entry.number for entry in found]), ("name", [entry.name for entry in found])):
        if len(set(keys)) != len(keys):
            raise DeclarationInvalid(f"a component {label} is used twice: {sorted(map(str, keys))}")
    return tuple(sorted(found, key=lambda entry: entry.number))


def component(number: int) -> Component:
    """The component of that number. Raises NotDeclared."""
    for entry in components():
        if entry.number == number:
            return entry
    raise NotDeclared(f"component {number}")


def event(component_number: int, number: int) -> Event:
    """One declared event. Raises NotDeclared."""
    for entry in component(component_number).events:
        if entry.number == number:
            return entry
    raise NotDeclared(f"event {component_number}.{number}")


def describe(record: EventRecord) -> str:
    """A record as a person reads it. Raises NotDeclared also when its numbers are not of the declared types."""
    declared = event(record.component, record.number)
    if not record.matches(declared):
        raise NotDeclared(f"event {record.component}.{record.number} with these types")
    return f"{component(record.component).name}: {declared.say(record.values)}"
