"""Services are put together once: nothing is given twice, and weights that changed withdraw their application."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from flight.agent.telecommand import TelecommandDesk
from flight.command_activity import CommandActivity
from flight.errors import FlightError
from flight.executive.frame_context import FrameContext
from flight.executive.run_paths import RunPaths
from flight.onboard import Onboard, application_terms
from flight.onboard_services import OnboardServices, Service, open_services
from flight.services import component as told
from flight.services import scrub_component
from flight.services.command_set import CommandDefinition
from flight.services.declare import DeclarationInvalid
from flight.services.events import EventRing
from flight.services.records import RecordKind
from flight.services.rooted import PathReason
from hal.clock import SimulatedClock
from payload_models.loader import ROOT, load_application
from tests.flight.agent.world import KEYS
from tests.flight.test_command_activity import MINOR_US, SPACECRAFT, HeldJournal

STORE = CommandDefinition(0x7001, "store", storable=False)


def nothing(values: Mapping[str, int | float]) -> bool:
    return True


def idle(context: FrameContext) -> None:
    return None


def test_what_two_services_give_is_refused() -> None:
    for part in (
        {"handlers": {1: nothing}},
        {"loads": {1: len}},
        {"activities": {"a": idle}},
        {"replay": {1: len}},
    ):
        with pytest.raises(DeclarationInvalid):
            OnboardServices([Service(**part), Service(**part)])


def test_a_record_goes_to_the_service_that_wrote_it_and_all_are_closed() -> None:
    took: list[Any] = []
    services = OnboardServices(
        [Service(replay={RecordKind.TABLE: took.append}), Service(close=lambda: took.append("closed"))]
    )
    services.replay(RecordKind.TABLE, b"mine")
    services.replay(RecordKind.BOOT, b"of nobody")
    services.close()
    assert took == [b"mine", "closed"] and services.telemetry(0.0) == ()


class Refusing(FlightError):
    code = "refusing"


def test_a_load_is_taken_refused_and_taken_again_after_a_restart() -> None:
    journal, clock = HeldJournal(), SimulatedClock(1e6)
    loaded: list[bytes] = []

    def load(octets: bytes) -> None:
        if octets == b"bad":
            raise Refusing("bad")
        loaded.append(octets)

    def boot() -> tuple[CommandActivity, EventRing]:
        events, desk = EventRing(100, clock), TelecommandDesk(KEYS.mission, SPACECRAFT)
        loads = {STORE.opcode: load}
        activity = CommandActivity((STORE,), {}, desk, journal, clock, events, MINOR_US, loads)
        for kind, payload in journal.records:
            activity.replay(kind, payload)
        activity.begin()
        return activity, events

    activity, events = boot()
    for octets in (b"good", b"bad"):
        activity.slot.submit(1, STORE.opcode.to_bytes(2, "big") + octets)
    activity.slot.decide(activity.frame)
    activity.slot.perform(activity.frame)
    said = [record for record in events.drain(100) if record.component == told.SEQUENCES.number]
    assert [record.number for record in said] == [told.COMMAND_DONE.number, told.COMMAND_FAILED.number]
    assert loaded == [b"good"]
    activity.slot.reload(STORE.opcode.to_bytes(2, "big") + b"better")
    assert loaded == [b"good", b"better"]
    with pytest.raises(Refusing):
        activity.slot.reload(STORE.opcode.to_bytes(2, "big") + b"bad")


def test_a_definition_has_a_handler_or_a_load_and_never_both() -> None:
    for handlers, loads in (({}, {}), ({STORE.opcode: nothing}, {STORE.opcode: len})):
        with pytest.raises(DeclarationInvalid):
            desk = TelecommandDesk(KEYS.mission, SPACECRAFT)
            clock = SimulatedClock(0.0)
            CommandActivity((STORE,), handlers, desk, HeldJournal(), clock, EventRing(1, clock), MINOR_US, loads)  # type: ignore[arg-type]


def parts_of(folder: Path) -> Onboard:
    shutil.copytree(ROOT / "water", folder / "water")
    applications = {"water": load_application(folder / "water", check_graphs=False)}
    return cast("Onboard", SimpleNamespace(applications=applications, keys_dir=folder / "keys"))


def test_weights_that_change_withdraw_their_application(tmp_path: Path) -> None:
    parts, events = parts_of(tmp_path), EventRing(100, SimulatedClock())
    terms = {name: application_terms(each) for name, each in parts.applications.items()}
    services = open_services(parts, RunPaths(tmp_path / "run"), events, terms)
    step, context = services.activities["scrub.step"], FrameContext(SimulatedClock())

    def pass_() -> tuple[int | float, ...]:
        for _ in range(100_000):
            step(context)
            done = [record for record in events.drain(100) if record.matches(scrub_component.PASS_DONE)]
            if done:
                return done[0].values
        raise AssertionError("no pass ends")

    sizes = [len(parts.applications["water"].model_bytes(variant)) for variant in range(5)]
    assert pass_() == (1, sum(sizes), 0, 0)
    assert terms["water"].enabled
    weights = tmp_path / "water" / parts.applications["water"].form(2).model
    octets = bytearray(weights.read_bytes())
    octets[len(octets) // 2] ^= 4
    weights.write_bytes(octets)
    while (found := pass_())[2] == 0:
        pass  # a pass that had begun before
    assert found[2:] == (1, 0) and not terms["water"].enabled
    assert services.telemetry(0.0)[0].named()["mismatches"] >= 1
    services.close()


def test_an_application_beside_keys_is_told_and_not_read_and_the_cycle_has_its_activity(tmp_path: Path) -> None:
    parts, events = parts_of(tmp_path), EventRing(10, SimulatedClock())
    keys = tmp_path / "water" / "keys"
    parts = cast("Onboard", SimpleNamespace(applications=parts.applications, keys_dir=keys))
    services = open_services(parts, RunPaths(tmp_path / "run"), events, {})
    assert [record.values for record in events.drain(10)] == [(1, PathReason.ROOT_FORBIDDEN)]
    services.activities["scrub.step"](FrameContext(SimulatedClock()))
    assert services.definitions == ()
