"""The dictionary lists every component there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from flight.executive.component import EXECUTIVE, FRAME_LATE, OVERRAN
from flight.services import dictionary
from flight.services.declare import Severity
from flight.services.dictionary import NotDeclared
from flight.services.events import EventRecord, EventRing
from hal.clock import SimulatedClock

FLIGHT = Path(dictionary.__file__).parents[1]


def test_every_component_module_is_listed() -> None:
    found = {".".join(path.relative_to(FLIGHT.parent).with_suffix("").parts) for path in FLIGHT.rglob("*component.py")}
    assert found == set(dictionary.MODULES)


def test_numbers_and_names_are_unique_on_board() -> None:
    listed = dictionary.components()
    assert len({entry.number for entry in listed}) == len(listed)
    assert len({entry.name for entry in listed}) == len(listed)
    assert EXECUTIVE in listed


def test_every_declared_event_is_listed_by_its_component() -> None:
    for entry in dictionary.components():
        for event in entry.events:
            assert dictionary.event(entry.number, event.number) is event


def test_a_record_is_read_as_a_person_reads_it() -> None:
    ring = EventRing(4, SimulatedClock())
    ring.emit(OVERRAN, activity=3, took_us=1500, over_us=500)
    assert dictionary.describe(ring.drain(1)[0]) == "executive: activity 3 took 1500 us, 500 us above its worst case"


def test_a_record_of_other_types_or_of_nobody_is_refused() -> None:
    forged = EventRecord(EXECUTIVE.number, FRAME_LATE.number, Severity.WARNING, 1, 0, 0, (), ())
    with pytest.raises(NotDeclared):
        dictionary.describe(forged)
    with pytest.raises(NotDeclared):
        dictionary.event(EXECUTIVE.number, 999)
    with pytest.raises(NotDeclared):
        dictionary.component(255)
