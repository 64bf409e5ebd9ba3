"""Services beside the cycle's own: each states what it gives, and here they are put together.

A service is added by one `Service` in open_services(): its commands, what does them, its activities (with entries in
the schedule tables), its telemetry and its journal records. Nothing else of the flight process changes.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from flight.agent.admission import ApplicationTerms
from flight.executive.frame_context import FrameContext
from flight.executive.loop import Activity
from flight.executive.run_paths import RunPaths
from flight.onboard import Onboard
from flight.onboard_time import TIME_BLOCK
from flight.services.command_set import CommandDefinition
from flight.services.command_slot import Handler, Load
from flight.services.critical_desk import CriticalDesk
from flight.services.declare import DeclarationInvalid
from flight.services.events import EventRing
from flight.services.file_component import FILE_COMMANDS, FILES
from flight.services.file_desk import FileDesk, SocketLink
from flight.services.parameter_component import PARAMETER_COMMANDS, PARAMETER_LOAD
from flight.services.parameter_desk import Consumer, ParameterDesk
from flight.services.parameter_table import Values
from flight.services.parameters import ParameterTables
from flight.services.rooted import PathRefused, Root
from flight.services.scrub_component import NOT_SCRUBBED, SCRUBBER
from flight.services.scrub_region import FileSource, Outcome, Region
from flight.services.scrubber import SCRUB_COMMANDS, Scrubber, scrub_handlers
from flight.services.store_component import STORE_COMMANDS
from flight.services.telemetry import TelemetryPacket
from flight.tuned import Tuning
from flight.tuning import SCRUBBING_TABLE, WEIGHTS_OCTETS

MAX_REGIONS = 255
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Service:
    """What one service gives. Every part may be left out."""

    definitions: tuple[CommandDefinition, ...] = ()
    handlers: Mapping[int, Handler] = field(default_factory=dict)  # opcode -> what does it
    loads: Mapping[int, Load] = field(default_factory=dict)  # opcode -> what takes the octets behind it
    activities: Mapping[str, Activity] = field(default_factory=dict)
    telemetry: Callable[[float], TelemetryPacket] | None = None  # of the mission time in seconds
    replay: Mapping[int, Callable[[bytes], None]] = field(default_factory=dict)  # RecordKind -> what takes its payload
    boundary: Callable[[], None] | None = None  # called between any two frames
    consumers: Mapping[str, Consumer] = field(default_factory=dict)  # parameter table -> what reads it
    close: Callable[[], None] | None = None


class OnboardServices:
    """All of them, as the flight process takes them."""

    def __init__(self, services: Iterable[Service], store: CriticalDesk | None = None) -> None:
        """store: where others keep what survives a reset.

        Raises DeclarationInvalid when two services give the same activity, opcode or kind of record.
        """
        self._services, self.store = tuple(services), store
        self.definitions = tuple(each for service in self._services for each in service.definitions)
        self.handlers: Mapping[int, Handler] = _joined(service.handlers for service in self._services)
        self.loads: Mapping[int, Load] = _joined(service.loads for service in self._services)
        self.activities: Mapping[str, Activity] = _joined(service.activities for service in self._services)
        self._replay: Mapping[int, Callable[[bytes], None]] = _joined(service.replay for service in self._services)

        self._boundaries = tuple(each.boundary for each in self._services if each.boundary is not None)

    def boundary(self) -> None:
        """Between two frames: what was to take effect does."""
        for boundary in self._boundaries:
            boundary()

    def replay(self, kind: int, payload: bytes) -> None:
        """One record of the journal, to the service that wrote it; that of nobody here is left out."""
        take = self._replay.get(kind)
        if take is not None:
            take(payload)

    def telemetry(self, now_s: float) -> tuple[TelemetryPacket, ...]:
        """The packets of all."""
        return tuple(service.telemetry(now_s) for service in self._services if service.telemetry is not None)

    def close(self) -> None:
        """Let go of what they hold."""
        for service in self._services:
            if service.close is not None:
                service.close()


def open_services(
    parts: Onboard,
    paths: RunPaths,
    events: EventRing,
    terms: dict[str, ApplicationTerms],
    files: socket.socket | None = None,
    run: int = 0,
    tuning: Tuning | None = None,
    others: tuple[Service, ...] = (),
) -> OnboardServices:
    """The services of a satellite.

    terms: what admission goes by; a service may withdraw an application from it. files: packets to and from the file
    process. run: how often the flight process was begun before. tuning: parameter tables, and where they are kept.
    others: put together elsewhere.
    """
    scrubbing = _scrubbing(parts, paths, events, terms)
    file_manager = _file_manager(events, files, run)
    if tuning is None:
        return OnboardServices((scrubbing, file_manager, Service(activities={"store.step": _idle}), *others))
    store = CriticalDesk(tuning.client, (TIME_BLOCK, *ParameterTables(tuning.tables).blocks), events)
    kept = _critical_store(store, events, tuning, scrubbing.consumers)
    return OnboardServices((scrubbing, file_manager, *kept, *others), store)


def _scrubbing(parts: Onboard, paths: RunPaths, events: EventRing, terms: dict[str, ApplicationTerms]) -> Service:
    """The weights of every application against its manifest: regions in the order of names, then of variants."""
    forbidden = (paths.root, parts.keys_dir) if parts.keys_dir is not None else (paths.root,)
    regions: list[Region] = []
    roots: list[Root] = []
    for name, application in sorted(parts.applications.items()):
        try:
            root = Root(application.folder, forbidden)
        except PathRefused as refused:
            events.emit(NOT_SCRUBBED, region=len(regions) + 1, reason=refused.reason)
            continue
        roots.append(root)
        for variant in range(len(application.variants)):
            form = application.form(variant)
            source = FileSource(root, form.model)
            regions.append(Region(len(regions) + 1, source, _withdrawal(terms, name), bytes.fromhex(form.sha256)))
    if not regions:
        return Service(activities={"scrub.step": _idle})
    scrubber = Scrubber(regions[:MAX_REGIONS], WEIGHTS_OCTETS, events)
    scrubber.start()

    def step(context: FrameContext) -> None:
        scrubber.step()

    def close() -> None:
        scrubber.stop()
        for root in roots:
            root.close()

    return Service(
        SCRUB_COMMANDS,
        scrub_handlers(scrubber),
        activities={"scrub.step": step},
        telemetry=lambda now_s: TelemetryPacket.of(SCRUBBER, now_s, **scrubber.telemetry()),
        consumers={SCRUBBING_TABLE: lambda values: scrubber.retune(int(values["weights_octets"]))},
        close=close,
    )


def _critical_store(
    store: CriticalDesk, events: EventRing, tuning: Tuning, others: Mapping[str, Consumer]
) -> tuple[Service, ...]:
    """What survives resets, and the parameter tables that are kept there."""
    host_s = tuning.host_s
    readers: dict[str, list[Consumer]] = {table.name: [] for table in tuning.tables}
    for consumers in (tuning.consumers, others):
        for name, consumer in consumers.items():
            readers[name].append(consumer)

    def scrub_period(values: Values) -> None:
        store.scrub_period_s = float(values["store_period_s"])

    readers[SCRUBBING_TABLE].append(scrub_period)

    def all_of(name: str) -> Consumer:
        def consume(values: Values) -> None:
            for reader in readers[name]:
                reader(values)

        return consume

    desk = ParameterDesk(
        {table: all_of(table.name) for table in tuning.tables}, store, events, defaults=tuning.defaults
    )

    def step(context: FrameContext) -> None:
        store.step(host_s())

    return (
        Service(
            STORE_COMMANDS,
            store.handlers(),
            activities={"store.step": step},
            telemetry=store.telemetry,
            close=store.close,
        ),
        Service(
            PARAMETER_COMMANDS,
            desk.handlers(),
            {PARAMETER_LOAD.opcode: desk.load},
            telemetry=desk.telemetry,
            boundary=desk.boundary,
        ),
    )


def _file_manager(events: EventRing, files: socket.socket | None, run: int) -> Service:
    """Files beneath their root, by the file process."""
    if files is None:
        return Service(activities={"files.step": _idle})
    desk = FileDesk(SocketLink(files), events, run)

    def step(context: FrameContext) -> None:
        desk.step()

    return Service(
        FILE_COMMANDS,
        desk.handlers(),
        desk.loads(),
        {"files.step": step},
        lambda now_s: TelemetryPacket.of(FILES, now_s, **desk.telemetry()),
        close=desk.close,
    )


def _idle(context: FrameContext) -> None:
    """Nothing to do: the golden configuration flies without applications, a bench without a file process."""


def _withdrawal(terms: dict[str, ApplicationTerms], name: str) -> Callable[[], Outcome]:
    """Admit no more jobs for an application whose weights are not what was accepted; its running ones load by hash."""

    def withdraw() -> Outcome:
        terms[name] = replace(terms[name], enabled=False)
        return Outcome.WITHDRAWN

    return withdraw


def _joined(parts: Iterable[Mapping[_Key, _Value]]) -> dict[_Key, _Value]:
    joined: dict[_Key, _Value] = {}
    for part in parts:
        if joined.keys() & part.keys():
            raise DeclarationInvalid(f"two services give the same: {sorted(map(str, joined.keys() & part.keys()))}")
        joined.update(part)
    return joined
