"""The flight itself: order as a tenant would, keep the clock's pace, watch until everything is on the ground."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from flight.agent.area import degrees_of
from flight.agent.orbit import Station, contacts, passes
from flight.config import load_config
from ground_test.fly.mission import Mission, MissionOrder
from ground_test.fly.pace import WORK_HOST_S, Open, Outlook, speed
from ground_test.fly.processes import Processes
from ground_test.fly.report import DONE, OrderResult
from ground_test.fly.timeline import Timeline
from ground_test.fly.workspace import Tenant, Workspace
from ground_test.gateway.client import GatewayClient
from ground_test.gateway.errors import GatewayError, GatewayRefused, GatewayUnreachable
from ground_test.gateway.orders import order_body
from ground_test.gateway.store import ENDED
from ground_test.gateway.submission import Wish, make_job, sign_job
from hal.errors import HalError
from hal.navigation.orbit import driver as navigation_driver
from hal.sensor.scene import open_scene
from hal.shared_clock import SharedClockMaster

START_HOST_S = 60.0  # until the processes must answer
LOOK_HOST_S = 0.1  # between two questions to the gateway
PACE_HOST_S = 0.04  # between two looks at the clock
WALL_LIMIT_S = 240.0
SILENCE_S = 20.0  # host time for which a gateway may give no answer
DAY_S = 86_400


@dataclass(slots=True)
class Placed:
    """One order under way."""

    order: MissionOrder
    capture: Open  # as the ground predicts it
    raw_bytes: int
    id: str | None = None
    problem: str = ""
    shown: dict[str, Any] | None = None
    products: list[dict[str, Any]] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    taken_host_s: float | None = None  # when its strip was complete, host time

    @property
    def status(self) -> str:
        return self.shown["properties"]["status"]["status_code"] if self.shown else "not taken"

    @property
    def delivered(self) -> bool:
        return "delivered" in self.states

    @property
    def over(self) -> bool:
        """Nothing more will come of it."""
        return self.id is None or self.delivered or (self.status in ENDED and self.status != DONE)


class FirstFlight:
    """Processes run and the shared clock is ours; fly() returns when all is done, or nothing more is to be expected."""

    def __init__(
        self,
        mission: Mission,
        workspace: Workspace,
        processes: Processes,
        clock: SharedClockMaster,
        constant_speed: float | None,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._mission, self._workspace, self._processes, self._clock = mission, workspace, processes, clock
        self._constant, self._random = constant_speed, random_bytes
        self._navigation = navigation_driver(mission.orbit, clock)
        self._contacts = self._all_contacts()
        self.timeline = Timeline()
        self.timeline.changed(clock.mission_s(), clock.host_s(), clock.speed)
        strip_s = load_config(workspace.satellite_config).agent.strip_s
        self.placed = [Placed(order, self._capture(order, strip_s), _raw_bytes(order)) for order in mission.orders]
        self._client: GatewayClient | None = None
        self._answered_s = clock.host_s()
        self.heard = False
        self.contact: str | None = None
        self.counts: dict[str, int] = {}  # of the gateway: frames, packets by kind

    def wait_for_gateway(self, url_file: Callable[[], str | None]) -> None:
        """Until the gateway answers. url_file: its address, once it is known. Raises ProcessFailed."""
        until_s = self._clock.host_s() + START_HOST_S
        while self._clock.host_s() < until_s:
            self._processes.check()
            url = url_file()
            if url is not None:
                client = GatewayClient(url, self._workspace.token.read_text(encoding="ascii").strip())
                with contextlib.suppress(GatewayUnreachable):
                    client.get("/")
                    self._client = client
                    return
            self._nap(LOOK_HOST_S)
        raise self._processes.failure("gateway", f"did not answer within {START_HOST_S:.0f} s")

    def submit(self, tenant: Tenant) -> None:
        """Order everything. What the gateway refuses is remembered with its reason."""
        for placed in self.placed:
            order = placed.order
            start_s, end_s = int(self._mission.start_s), int(self._mission.end_s)
            wish = Wish(
                earliest_s=start_s,
                latest_s=end_s,
                deadline_s=end_s,
                expires_s=end_s + DAY_S,
                byte_budget=order.byte_budget,
                priority=order.priority,
                parameters=order.parameters,
            )
            job = make_job(order.application, order.area, wish, tenant.grant, self._random)
            body = order_body(job, sign_job(job, tenant.key, ""), tenant.signed_grant)
            try:
                placed.shown = self._gateway.order(order.application, body)
                placed.id = placed.shown["id"]
            except GatewayRefused as refused:
                placed.problem = refused.description

    def fly(self, show: Callable[[FirstFlight], None]) -> None:
        """Until every order is over or the mission's time is up. show(self): called at every look."""
        self._answered_s = self._clock.host_s()
        until_host_s = self._clock.host_s() + (WALL_LIMIT_S if self._constant is None else float("inf"))
        with ThreadPoolExecutor(1, "look") as looker:  # the pace does not wait for answers
            looking, looked_s = looker.submit(self._look), self._clock.host_s()
            while True:
                self._processes.check()
                if looking.done():
                    looking.result()
                    show(self)
                    if all(placed.over for placed in self.placed):
                        return
                    if self._clock.mission_s() > self._mission.end_s or self._clock.host_s() > until_host_s:
                        return
                    if self._clock.host_s() - looked_s >= LOOK_HOST_S:
                        looking, looked_s = looker.submit(self._look), self._clock.host_s()
                self._pace()
                self._nap(PACE_HOST_S)

    def results(self) -> list[OrderResult]:
        return [
            OrderResult(
                name=placed.order.name,
                application=placed.order.application,
                scene=placed.order.scene.name,
                raw_bytes=placed.raw_bytes,
                order=placed.shown,
                products=placed.products,
                delivered=placed.delivered,
                problem=placed.problem,
            )
            for placed in self.placed
        ]

    @property
    def elapsed_s(self) -> float:
        """Mission time since the mission's start."""
        return self._clock.mission_s() - self._mission.start_s

    @property
    def speed(self) -> float:
        return self._clock.speed

    @property
    def _gateway(self) -> GatewayClient:
        assert self._client is not None
        return self._client

    def _look(self) -> None:
        """Ask the gateway how things stand. Raises ProcessFailed when it has long been silent."""
        try:
            self._ask()
            self._answered_s = self._clock.host_s()
        except GatewayError as error:  # asked again at the next look
            if self._clock.host_s() - self._answered_s > SILENCE_S:
                raise self._processes.failure("gateway", f"has not answered for {SILENCE_S:.0f} s: {error}") from error

    def _ask(self) -> None:
        status = self._gateway.get("/status")
        self.counts = status["counts"]
        self.heard = bool(self.counts.get("frames"))
        self.contact = status["contact"]
        for placed in self.placed:
            if placed.id is None or placed.over:
                continue
            shown = self._gateway.get(f"/orders/{placed.id}")
            history = self._gateway.get(f"/orders/{placed.id}/statuses")["statuses"]
            if shown["properties"]["status"]["status_code"] == DONE:
                placed.products = self._gateway.get(f"/orders/{placed.id}/products")["products"]
            placed.shown, placed.states = shown, [entry["state"] for entry in history if entry["state"]]

    def _pace(self) -> None:
        now_s, host_s = self._clock.mission_s(), self._clock.host_s()
        live = [placed for placed in self.placed if not placed.over]
        for placed in live:
            if placed.taken_host_s is None and now_s > placed.capture.end_s:
                placed.taken_host_s = host_s
        taken = [placed for placed in live if placed.taken_host_s is not None]
        outlook = Outlook(
            now_s=now_s,
            heard=self.heard,
            to_send=any(not placed.states or placed.status == DONE for placed in live),
            to_come=bool(taken),
            working=any(host_s - (placed.taken_host_s or 0.0) < WORK_HOST_S for placed in taken if not placed.products),
            captures=[placed.capture for placed in live if placed.taken_host_s is None],
            contacts=self._contacts,
        )
        wanted = speed(outlook) if self._constant is None else self._constant
        if wanted != self._clock.speed:
            self._clock.set_speed(wanted)
            self.timeline.changed(self._clock.mission_s(), self._clock.host_s(), wanted)

    def _nap(self, seconds: float) -> None:
        """Host time; the mission's clock may run at any speed."""
        until_s = self._clock.host_s() + seconds
        while (left_s := until_s - self._clock.host_s()) > 0:
            self._clock.sleep_until(self._clock.mission_s() + left_s * self._clock.speed)

    def _all_contacts(self) -> list[Open]:
        found = []
        for table in self._mission.stations:
            place = Station(table.latitude_deg, table.longitude_deg, table.altitude_m, table.min_elevation_deg)
            spans = contacts(place, self._navigation.at, self._mission.start_s - 1800.0, self._mission.end_s)
            found += [Open(each.start_s, each.end_s) for each in spans]
        return sorted(found, key=lambda each: each.start_s)

    def _capture(self, order: MissionOrder, strip_s: float) -> Open:
        """When the satellite will look, as the ground predicts it: the first pass in view."""
        area = degrees_of(order.area)
        found = passes(area, self._navigation.at, self._mission.start_s, self._mission.end_s, 30.0)
        middle_s = found[0].closest_s if found else self._mission.end_s
        return Open(middle_s - strip_s / 2, middle_s + strip_s / 2)


def _raw_bytes(order: MissionOrder) -> int:
    """What the scene has as samples: what a satellite without a computer would have to send."""
    try:
        with open_scene(order.scene) as scene:
            info = scene.info
            return info.width * info.height * len(info.bands) * _SAMPLE_BYTES[info.dtype]
    except HalError:
        return 0


_SAMPLE_BYTES: Mapping[str, int] = {"uint8": 1, "uint16": 2, "int16": 2, "float32": 4}
