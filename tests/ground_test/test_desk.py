"""What packets from the satellite do to orders, and what goes up when. No sockets, no real time."""

from __future__ import annotations

import pytest

from flight.agent.component import AGENT, JOB_STATE
from flight.agent.reasons import Reason
from flight.agent.states import JobState
from flight.agent.status import StatusReport
from flight.link.apids import Apid
from flight.link.cfdp.receiver import Receiver
from flight.link.cfdp.reception import ReceiverConfig
from flight.link.packet import SpacePacket
from flight.product.alert import Alert, AlertKind
from flight.services.events import EventRing
from flight.services.telemetry import TelemetryPacket
from ground_test.gateway.board import EVENTS, Board
from ground_test.gateway.desk import ASK_AGAIN_S, CODES, LEAST_REPEAT_HOST_S, Desk
from ground_test.gateway.store import GatewayStore
from hal.clock import SimulatedClock
from tests.flight.link.memory_store import MemoryStore
from tests.ground_test.ground import ALERT_KEY, NOW, a_job, taken

REPEAT_S = 5.0


class World:
    def __init__(self, folder):
        self.store, self.board = GatewayStore(folder / "gateway.sqlite"), Board()
        self.receiver = Receiver(ReceiverConfig(), 1, MemoryStore(), NOW, sources=[300])
        self.receiver.freeze(NOW)
        self.files = []
        self.desk = Desk(
            self.store,
            self.board,
            self.receiver,
            ALERT_KEY,
            lambda file, mission_s, host_s: self.files.append(file),
            repeat_s=REPEAT_S,
        )
        self.order = taken(self.store, a_job())
        self.now_s, self.host_s = NOW, 0.0
        self.desk.contact(True, NOW)

    def due(self, mission_s=0.0, host_s=0.0):
        self.now_s += mission_s
        self.host_s += host_s
        return [apid for apid, _ in self.desk.due(self.now_s, self.host_s)]

    def say(self, apid, payload):
        self.desk.take(SpacePacket(apid, 0, payload), self.now_s, self.host_s)

    def status(self, subject, state, reason=Reason.NONE):
        self.say(Apid.STATUS, StatusReport(subject[:8], state, reason, int(self.now_s)).pack())

    @property
    def codes(self):
        return [each.code for each in self.store.statuses(self.order.id)]


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.store.close()


def granted(world):
    world.due()
    world.status(world.order.grant.id, JobState.ACCEPTED)


def test_an_item_goes_up_again_until_it_is_answered_and_not_faster_than_the_answer_can_come(world):
    assert world.due() == [Apid.GRANT]
    assert world.due(mission_s=REPEAT_S) == []  # no host time has passed
    assert world.due(host_s=LEAST_REPEAT_HOST_S) == [Apid.GRANT]
    assert world.due(host_s=10.0) == []  # no mission time has passed
    world.status(world.order.grant.id, JobState.ACCEPTED)
    assert world.due(REPEAT_S, 1.0) == [Apid.JOB]
    world.status(world.order.id, JobState.RECEIVED)
    assert Apid.GRANT not in world.due(REPEAT_S, 1.0)


def test_nothing_goes_up_without_a_contact(world):
    world.desk.contact(False, NOW)
    assert world.due(100.0, 100.0) == []
    world.desk.contact(True, NOW + 100)
    assert world.due() == [Apid.GRANT]


def test_every_contact_begins_with_how_the_jobs_stand(world):
    granted(world)
    world.due(1.0, 1.0)
    world.status(world.order.id, JobState.ACCEPTED)
    world.due(1.0, 1.0)
    assert world.due(ASK_AGAIN_S / 2, 5.0) == []
    world.desk.contact(False, world.now_s)
    world.desk.contact(True, world.now_s)
    assert world.due() == [Apid.JOB]
    assert world.due(ASK_AGAIN_S, 5.0) == [Apid.JOB]
    world.status(world.order.id, JobState.FAILED, Reason.CAPTURE_FAILED)
    assert world.due(ASK_AGAIN_S, 5.0) == []


@pytest.mark.parametrize("state", list(JobState))
def test_every_state_of_a_job_is_a_stapi_status(world, state):
    granted(world)
    world.status(world.order.id, state)
    assert world.codes[-1] == CODES[state]


def test_a_refusal_is_final_and_keeps_its_reason(world):
    granted(world)
    world.status(world.order.id, JobState.REFUSED, Reason.NO_PASS)
    newest = world.store.statuses(world.order.id)[-1]
    assert (newest.code, Reason(newest.reason)) == ("rejected", Reason.NO_PASS)
    assert world.due(100.0, 100.0) == []


@pytest.mark.parametrize("reason", [Reason.QUEUE_FULL, Reason.NOT_YET_VALID])
def test_a_refusal_for_now_is_tried_again(world, reason):
    granted(world)
    world.due(REPEAT_S, 1.0)
    world.status(world.order.id, JobState.REFUSED, reason)
    assert world.codes == ["received"]
    assert world.due(REPEAT_S, 1.0) == [Apid.JOB]


def test_a_satellite_that_lost_the_grant_is_told_it_again(world):
    granted(world)
    world.due(REPEAT_S, 1.0)
    world.status(world.order.id, JobState.REFUSED, Reason.UNKNOWN_KEY)
    assert world.codes == ["received"]
    assert world.due(REPEAT_S, 1.0) == [Apid.GRANT]


def test_a_refused_grant_ends_the_orders_under_it(world):
    world.due()
    world.status(world.order.grant.id, JobState.REFUSED, Reason.BAD_SIGNATURE)
    assert world.codes == ["received", "rejected"]
    assert world.due(100.0, 100.0) == []


def test_an_older_grant_does_not_end_the_orders_under_it(world):
    world.due()
    world.status(world.order.grant.id, JobState.REFUSED, Reason.REPLAYED)
    assert world.due(REPEAT_S, 1.0) == [Apid.JOB]


def test_an_alert_is_kept_once_with_the_time_it_was_heard(world):
    def alert(count, key=ALERT_KEY):
        return Alert(world.order.id[:8], AlertKind.FINDINGS, 7, int(NOW), count, 12_000, -112.6, 40.9, 1.0).pack(key)

    world.say(Apid.ALERT, alert(5, bytes(32)))
    assert world.store.alert(world.order.id) is None
    assert world.board.shown()["counts"]["alert_refused"] == 1
    world.now_s, world.host_s = NOW + 30, 2.5
    world.say(Apid.ALERT, alert(5))
    world.now_s += 10
    world.say(Apid.ALERT, alert(6))
    heard = world.store.alert(world.order.id)
    assert (heard["findings"], heard["received_s"], heard["received_host_s"]) == (5, NOW + 30, 2.5)
    assert heard["place"] == pytest.approx([-112.6, 40.9])


def test_telemetry_is_kept_newest_by_component_and_events_are_bounded(world):
    values = {field.name: 0 for field in AGENT.telemetry}
    for jobs in (1, 2):
        world.say(Apid.TELEMETRY, TelemetryPacket.of(AGENT, NOW, **{**values, "jobs_live": jobs}).pack())
    ring = EventRing(1000, SimulatedClock(NOW))
    for _ in range(5):
        ring.emit(JOB_STATE, job=1, state=2, reason=0)
    for record in ring.drain(10) * 100:
        world.say(Apid.EVENT, record.pack())
    shown = world.board.shown()
    assert [(entry["component"], entry["values"]["jobs_live"]) for entry in shown["telemetry"]] == [("agent", 2)]
    assert len(shown["events"]) == EVENTS
    assert shown["events"][0]["text"] == "agent: job 1 is in state 2, reason 0"


@pytest.mark.parametrize("apid", [*Apid, 99])
@pytest.mark.parametrize("payload", [b"\0", b"nonsense" * 9, bytes(16), b"\xff" * 48])
def test_nonsense_is_counted_and_changes_nothing(world, apid, payload):
    world.say(apid, payload)
    assert world.codes == ["received"]
    assert sum(world.board.shown()["counts"].values()) >= 1


def test_a_status_about_nobody_is_nobodys(world):
    world.status(bytes(32), JobState.DELIVERED)
    assert world.codes == ["received"]
