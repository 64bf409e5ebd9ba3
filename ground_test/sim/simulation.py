"""One scenario, one seed, one run in virtual time; the same bytes every time.

Keys, losses, failures, times of faults and the encryption's randomness all come from the kernel's streams, and nothing
takes time or chance by itself, so that equal seed and scenario give equal journals.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from flight import __version__
from flight.agent.area import Box, Ring, ring_of
from flight.agent.grant import Grant
from flight.agent.job import Job, ProductKind
from flight.agent.keys import KeyStore, SigningKey, generate_recipient_key, generate_signing_key
from flight.agent.orbit import Station, contacts
from flight.services import cbor
from ground_test.gateway.submission import Wish, make_job, sign_grant, sign_job
from ground_test.sim.ground import GroundEnd
from ground_test.sim.kernel import EventKernel
from ground_test.sim.link import LinkConfig, LossyLink
from ground_test.sim.models import RadioModel
from ground_test.sim.satellite import SimulatedSatellite
from ground_test.sim.scenario import FaultTable, JobTable, Scenario
from hal.clock import SimulatedClock
from payload_models.errors import ApplicationUnknown
from payload_models.loader import Application, applications, load_application

FIDELITY = "frames"  # agent, gate, transfers and frames are the flight code; see models.SIMULATED for what is not
CONTACT_BACK_S = 1800.0  # so that a contact under way at either end is found
MARGIN_E7 = 1_000_000
DAY_S = 86_400
ORDERED = "ordered"  # the state of a job that no satellite has answered

Windows = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class JobResult:
    """How one job ended."""

    id: str
    name: str
    tenant: str
    satellite: str
    state: str  # as on board, lower case; "ordered" before that
    reason: str
    seconds: float | None  # from the order to the verified product on the ground; None: it is not there


@dataclass(frozen=True, slots=True)
class SimulationResult:
    """What a run came to. Everything in it is the same for equal scenario, seed and software."""

    scenario: str
    seed: int
    software: str
    state_sha256: str
    jobs: tuple[JobResult, ...]
    events: int  # of the kernel
    contacts: int
    restarts: int
    frames_sent: int
    frames_lost: int
    raised: dict[str, int]  # errors that left an activity on board, by code
    refused: int  # products that the ground did not take
    seconds_virtual: float


@dataclass(slots=True)
class _Node:
    """A satellite, its ground end, and the link between them."""

    satellite: SimulatedSatellite
    ground: GroundEnd
    down: LossyLink
    up: LossyLink
    windows: Windows
    due_s: float = 0.0  # when the next pass is to run; an earlier one makes those asked for before it void

    def in_contact(self, now_s: float) -> bool:
        return any(start <= now_s < end for start, end in self.windows)


@dataclass(frozen=True, slots=True)
class _Order:
    """A job of the scenario, made and signed."""

    table: JobTable
    job: Job
    ordered_s: float
    node: _Node


class Simulation:
    """Make it, run() it once."""

    def __init__(self, scenario: Scenario, seed: int | None = None) -> None:
        """seed: instead of the scenario's. Raises ScenarioInvalid, ModelError, DriverOptions."""
        self.scenario = scenario
        self.kernel = EventKernel(scenario.seed if seed is None else seed, SimulatedClock(scenario.start_s))
        self._mission, self._ground = self._signing_key("mission"), self._signing_key("ground")
        self._reading = generate_recipient_key(self.kernel.stream("keys/reading").randbytes)
        loaded = self._load_applications()
        self.nodes = [
            self._node(table.name, number, loaded) for number, table in enumerate(scenario.satellite, start=1)
        ]
        self._orders = [order for tenant in scenario.tenant for order in self._plan_tenant(tenant.name)]
        for fault in scenario.fault:
            self._plan_fault(fault)

    def run(self) -> SimulationResult:
        """Run to the scenario's end."""
        for node in self.nodes:
            node.satellite.boot()
            self._step(node)
        self.kernel.run(self.scenario.end_s)
        return self._result()

    # --- building --------------------------------------------------------------------------------------------------

    def _signing_key(self, name: str) -> SigningKey:
        return generate_signing_key(self.kernel.stream(f"keys/{name}").randbytes)

    def _load_applications(self) -> dict[str, Application]:
        known = applications()
        wanted = sorted({job.application for job in self.scenario.job})
        for name in wanted:
            if name not in known:
                raise ApplicationUnknown(name, tuple(known))
        return {name: load_application(name, check_graphs=False) for name in wanted}  # no graph is run here

    def _node(self, name: str, number: int, loaded: dict[str, Application]) -> _Node:
        kernel, link = self.kernel, self.scenario.link
        keys = KeyStore(
            satellite=self._signing_key(f"satellite/{name}"),
            mission=self._mission.verifier,
            ground=self._ground.verifier,
            demonstration=True,
            alert_key=kernel.stream(f"keys/alert/{name}").randbytes(32),
        )
        radio = RadioModel()
        satellite = SimulatedSatellite(name, number, self.scenario, kernel, keys, radio, loaded)
        windows = self._windows(satellite)
        config = LinkConfig(delay_s=link.delay_s, rate_bps=link.rate_bps, loss=link.loss, windows=windows)
        up = LossyLink(kernel, f"up/{name}", config, radio.inbox.append)
        ground = GroundEnd(kernel, keys, number, self._ground, self._reading, up.send)
        down = LossyLink(kernel, f"down/{name}", config, ground.receive)
        radio.transmit = down.send
        return _Node(satellite, ground, down, up, windows)

    def _windows(self, satellite: SimulatedSatellite) -> Windows:
        """When any station sees the satellite, merged and in order."""
        start_s, end_s = self.scenario.start_s, self.scenario.end_s
        found: Windows = []
        for table in self.scenario.station:
            place = Station(table.latitude_deg, table.longitude_deg, table.altitude_m, table.min_elevation_deg)
            for each in contacts(place, satellite.navigation.at, start_s - CONTACT_BACK_S, end_s + CONTACT_BACK_S):
                if each.end_s > start_s and each.start_s < end_s:
                    found.append((each.start_s, each.end_s))
        merged: Windows = []
        for begin, end in sorted(found):
            if merged and begin <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(merged[-1][1], end))
            else:
                merged.append((begin, end))
        return merged

    def _plan_tenant(self, tenant: str) -> list[_Order]:
        """The tenant's key, one grant for all that its jobs ask, and the jobs, each handed in at its time."""
        scenario = self.scenario
        tables = [table for table in scenario.job if table.tenant == tenant]
        if not tables:
            return []
        key = self._signing_key(f"tenant/{tenant}")
        rings = [ring_of(table.area) for table in tables]
        grant = Grant(
            tenant=tenant,
            public_key=key.public,
            recipient=self._reading.public_key().public_bytes_raw(),
            applications=tuple(sorted({table.application for table in tables})),
            boxes=tuple(dict.fromkeys(map(_box, rings)))[:32],
            products=tuple(sorted(ProductKind)),
            max_bytes_per_job=max(table.byte_budget for table in tables),
            max_bytes_per_day=2 * sum(table.byte_budget for table in tables),
            valid_from_s=int(scenario.start_s) - 60,
            valid_to_s=int(scenario.end_s) + 7 * DAY_S,
            serial=1,
        )
        signed_grant = sign_grant(grant, self._mission)
        return [
            self._plan_job(table, ring, key, grant, signed_grant) for table, ring in zip(tables, rings, strict=True)
        ]

    def _plan_job(self, table: JobTable, ring: Ring, key: SigningKey, grant: Grant, signed_grant: bytes) -> _Order:
        scenario = self.scenario
        ordered_s, end_s = scenario.start_s + table.at_s, int(scenario.end_s)
        deadline_s = end_s if table.deadline_s is None else int(scenario.start_s + table.deadline_s)
        earliest_s = min(int(ordered_s), deadline_s)
        wish = Wish(
            earliest_s=earliest_s,
            latest_s=deadline_s,
            deadline_s=deadline_s,
            expires_s=end_s + DAY_S,
            byte_budget=table.byte_budget,
            priority=table.priority,
            parameters=table.parameters,
        )
        nonce = self.kernel.stream(f"nonce/{table.name}").randbytes
        job = make_job(table.application, ring, wish, grant, nonce)
        node = self._node_for(table.satellite, ordered_s)
        signed = sign_job(job, key, "")
        self.kernel.at(ordered_s, lambda: node.ground.order(job, signed, grant.id, signed_grant))
        return _Order(table, job, ordered_s, node)

    def _node_for(self, name: str, ordered_s: float) -> _Node:
        """The satellite of that name; without one, the satellite that meets a station first."""
        if name:
            return next(node for node in self.nodes if node.satellite.name == name)

        def first_s(node: _Node) -> float:
            return min((start for start, end in node.windows if end > ordered_s), default=float("inf"))

        return min(self.nodes, key=first_s)

    def _plan_fault(self, fault: FaultTable) -> None:
        node = next(node for node in self.nodes if node.satellite.name == fault.satellite)
        chance = self.kernel.stream(f"fault/{fault.satellite}")
        at_s = self.scenario.start_s + fault.at_s + chance.random() * fault.spread_s
        torn = chance.randbytes(fault.torn_bytes)

        def die() -> None:
            if node.satellite.up:  # one that is down already cannot fall
                node.satellite.die(torn)
                self.kernel.after(fault.down_s, rise)

        def rise() -> None:
            node.satellite.boot()
            self._step(node)

        self.kernel.at(at_s, die)

    # --- running ---------------------------------------------------------------------------------------------------

    def _step(self, node: _Node) -> None:
        """One pass on board and on the ground, and the time of the next one."""
        now_s = self.kernel.now_s
        if not node.satellite.up:
            return
        node.satellite.run_pass()
        node.ground.step(node.in_contact(now_s))
        due_s = now_s + node.satellite.next_s()
        if node.in_contact(now_s):
            due_s = min(due_s, now_s + self.scenario.pace.busy_s)
        begins_s = min((start for start, _ in node.windows if start > now_s), default=float("inf"))
        node.due_s = min(due_s, begins_s)
        self.kernel.at(node.due_s, lambda: self._step(node) if self.kernel.now_s == node.due_s else None)

    # --- result ----------------------------------------------------------------------------------------------------

    def _result(self) -> SimulationResult:
        jobs = tuple(self._job_result(order) for order in self._orders)
        satellites = [node.satellite for node in self.nodes]
        journals = [
            [each.name, hashlib.sha256(each.storage.read(0, each.storage.size())).digest()] for each in satellites
        ]
        ended = [
            [job.id, job.name, job.satellite, job.state, job.reason, round((job.seconds or 0.0) * 1000)] for job in jobs
        ]
        raised: dict[str, int] = {}
        for each in satellites:
            for code, count in each.raised.items():
                raised[code] = raised.get(code, 0) + count
        return SimulationResult(
            scenario=self.scenario.name,
            seed=self.kernel.seed,
            software=f"swath {__version__}",
            state_sha256=hashlib.sha256(cbor.encode([self.kernel.seed, journals, ended])).hexdigest(),
            jobs=jobs,
            events=self.kernel.events_run,
            contacts=sum(len(node.windows) for node in self.nodes),
            restarts=sum(each.restarts for each in satellites),
            frames_sent=sum(node.down.sent + node.up.sent for node in self.nodes),
            frames_lost=sum(node.down.lost + node.up.lost for node in self.nodes),
            raised=dict(sorted(raised.items())),
            refused=sum(node.ground.refused for node in self.nodes),
            seconds_virtual=self.scenario.duration_s,
        )

    def _job_result(self, order: _Order) -> JobResult:
        entry = order.node.satellite.agent.jobs.get(order.job.id)
        received_s = order.node.ground.received_s.get(order.job.id)
        return JobResult(
            id=order.job.id.hex(),
            name=order.table.name,
            tenant=order.table.tenant,
            satellite=order.node.satellite.name,
            state=ORDERED if entry is None else entry.state.name.lower(),
            reason="none" if entry is None else entry.reason.name.lower(),
            seconds=None if received_s is None else round(received_s - order.ordered_s, 3),
        )


def _box(ring: Ring) -> Box:
    """The area's box, a little wider, on the globe."""
    longitudes, latitudes = [x for x, _ in ring], [y for _, y in ring]
    return Box(
        max(min(longitudes) - MARGIN_E7, -1_800_000_000),
        max(min(latitudes) - MARGIN_E7, -900_000_000),
        min(max(longitudes) + MARGIN_E7, 1_800_000_000),
        min(max(latitudes) + MARGIN_E7, 900_000_000),
    )


def simulate(scenario: Scenario, seed: int | None = None) -> SimulationResult:
    """Run one scenario once. Raises ScenarioInvalid, ModelError, AgentError."""
    return Simulation(scenario, seed).run()
