"""The agent's answers and the life of a job, one behaviour at a time."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from flight.agent.admission import Limits
from flight.agent.area import Box, ring_of
from flight.agent.command import CommandKind
from flight.agent.effects import (
    CaptureEnded,
    CaptureStarted,
    DropProduct,
    ForgetJob,
    InferenceEnded,
    InferenceProgress,
    InferenceSummary,
    OrderCapture,
    ProductReady,
    ProductRefused,
    ReleaseCapture,
    ReportStatus,
    SealProduct,
    SendAlert,
    StartInference,
    StartTransfer,
    Tick,
    TransferFinished,
    Uplinked,
)
from flight.agent.job import Job, ProductKind
from flight.agent.reasons import Reason
from flight.agent.release import Release
from flight.agent.states import JobState
from flight.link.apids import Apid
from flight.services.records import RecordKind
from tests.flight.agent.world import (
    LIMITS,
    MISSION,
    OTHER,
    T0,
    TENANT,
    World,
    grant,
    job,
    new_core,
    release_of,
    signed_command,
    signed_grant,
    signed_job,
    signed_receipt,
)

SUMMARY = InferenceSummary(9, 1, 8, 0.75, 12.5)
CLOSEST_S = T0 + 175.0  # the orbit of the world passes longitude 10 there, 6300 s later again
STATES = [JobState.RECEIVED, JobState.ACCEPTED, JobState.SCHEDULED, JobState.CAPTURING, JobState.PROCESSING]


def granted(limits: Limits = LIMITS, **changes: Any) -> World:
    world = World(limits)
    world.uplink(Apid.GRANT, signed_grant(grant(**changes)))
    return world


def only(effects: list[Any], kind: type[Any]) -> Any:
    found = [effect for effect in effects if type(effect) is kind]
    assert len(found) == 1, f"{kind.__name__} in {effects}"
    return found[0]


def answer(effects: list[Any]) -> tuple[JobState, Reason]:
    report = [effect for effect in effects if type(effect) is ReportStatus][-1]
    return report.state, report.reason


def advanced(state: JobState, order: Job | None = None, limits: Limits = LIMITS) -> tuple[World, Job]:
    """A world in which a job has come to `state` in the ordinary way."""
    order = order or job()
    world = granted(limits)
    world.uplink(Apid.JOB, signed_job(order))
    if state is JobState.RECEIVED:
        return world, order
    world.tell(Tick())
    if state is JobState.ACCEPTED:
        return world, order
    world.now_s = T0 + 100
    capture = only(world.performed, OrderCapture)
    if state is JobState.SCHEDULED:
        return world, order
    world.tell(CaptureStarted(capture.capture_id))
    if state is JobState.CAPTURING:
        return world, order
    world.now_s = T0 + 190
    world.tell(CaptureEnded(capture.capture_id, 640, 2, True))
    if state is JobState.PROCESSING:
        return world, order
    world.tell(InferenceEnded(order.id, True, SUMMARY))
    world.tell(ProductReady(release_of(order.id, world.now_s)[1]))
    if state is JobState.SEALED:
        return world, order
    world.tell(Tick(in_contact=True))
    assert world.core.jobs.get(order.id).state is JobState.DOWNLINKING  # type: ignore[union-attr]
    return world, order


def state_of(world: World, order: Job) -> tuple[JobState, Reason]:
    entry = world.core.jobs.get(order.id)
    assert entry is not None
    return entry.state, entry.reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tenant": "other"}, Reason.UNKNOWN_KEY),
        ({"latest_s": int(T0) - 1, "earliest_s": 0}, Reason.EXPIRED),
        ({"application": "ships"}, Reason.APPLICATION_NOT_GRANTED),
        ({"application": "unknown"}, Reason.UNKNOWN_APPLICATION),
        ({"application": "old", "parameters": ()}, Reason.APPLICATION_DISABLED),
        ({"application": "change", "parameters": ()}, Reason.NEEDS_REFERENCE),
        ({"version_min": (1, 3, 0)}, Reason.VERSION_NOT_FLYING),
        ({"version_below": (1, 2, 0)}, Reason.VERSION_NOT_FLYING),
        ({"area": ring_of([(19, 0), (21, 0), (20, 1)])}, Reason.AREA_NOT_GRANTED),
        ({"area": ring_of([(-19, -19), (19, -19), (0, 19)])}, Reason.AREA_TOO_LARGE),
        ({"products": (ProductKind.ALERT,)}, Reason.PRODUCT_NOT_DECLARED),
        ({"byte_budget": 100_001}, Reason.OVER_JOB_BYTES),
        ({"parameters": (("colour", 1.0),)}, Reason.PARAMETER_UNKNOWN),
        ({"parameters": (("threshold", 0.34),)}, Reason.PARAMETER_NOT_OFFERED),
        ({"energy_budget_j": 299}, Reason.OVER_ENERGY),
    ],
    ids=str,
)
def test_a_job_is_refused_for_its_reason_and_the_answer_is_repeated_after_a_restart(
    changes: dict[str, Any], reason: Reason
) -> None:
    world, order = granted(), job(**changes)
    assert answer(world.uplink(Apid.JOB, signed_job(order))) == (JobState.REFUSED, reason)
    written = len(world.durable)
    world.crash()
    assert answer(world.uplink(Apid.JOB, signed_job(order))) == (JobState.REFUSED, reason)
    assert len(world.durable) == written


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"nonsense", Reason.MALFORMED),
        (signed_job(job(), OTHER), Reason.UNKNOWN_KEY),
        (signed_job(job(), satellite_set="elsewhere"), Reason.BAD_SIGNATURE),
        (signed_job(job())[:-1] + b"\x00", Reason.BAD_SIGNATURE),
    ],
    ids=str,
)
def test_what_is_not_signed_leaves_no_trace(octets: bytes, reason: Reason) -> None:
    world = granted()
    assert answer(world.uplink(Apid.JOB, octets)) == (JobState.REFUSED, reason)
    assert len(world.durable) == 1 and len(world.core.jobs) == 0
    assert answer(world.uplink(Apid.JOB, signed_job(job()))) == (JobState.RECEIVED, Reason.NONE)


def test_a_signed_message_that_is_no_job_is_refused_and_not_remembered() -> None:
    from flight.agent import cose

    octets = cose.sign1(b"\xa0", TENANT.private, TENANT.key_id, cose.aad(cose.Purpose.JOB, "demo"))
    assert answer(granted().uplink(Apid.JOB, octets)) == (JobState.REFUSED, Reason.MALFORMED)


def test_products_that_the_grant_does_not_name_are_refused() -> None:
    world = granted(products=(ProductKind.MASK,))
    assert answer(world.uplink(Apid.JOB, signed_job(job())))[1] is Reason.PRODUCT_NOT_GRANTED


def test_a_nonce_serves_once_but_another_tenant_may_have_the_same() -> None:
    world = granted()
    world.uplink(Apid.GRANT, signed_grant(grant(OTHER, tenant="other")))
    world.uplink(Apid.JOB, signed_job(job(1)))
    assert answer(world.uplink(Apid.JOB, signed_job(job(1, priority=7))))[1] is Reason.REPLAYED
    assert answer(world.uplink(Apid.JOB, signed_job(job(1, tenant="other"), OTHER)))[0] is JobState.RECEIVED


def test_a_grant_that_is_not_valid_yet_refuses_for_now_only() -> None:
    world = granted(valid_from_s=int(T0) + 50)
    assert answer(world.uplink(Apid.JOB, signed_job(job())))[1] is Reason.NOT_YET_VALID
    world.now_s += 60
    assert answer(world.uplink(Apid.JOB, signed_job(job())))[0] is JobState.RECEIVED


def test_the_bytes_of_the_day_count_what_was_released_and_what_is_promised() -> None:
    world = granted(max_bytes_per_day=120_000)
    for number, expected in ((1, Reason.NONE), (2, Reason.NONE), (3, Reason.OVER_DAILY_BYTES)):
        assert answer(world.uplink(Apid.JOB, signed_job(job(number))))[1] is expected
    world.uplink(Apid.COMMAND, signed_command(CommandKind.CANCEL_JOB, job(1).id, TENANT))
    assert answer(world.uplink(Apid.JOB, signed_job(job(4))))[0] is JobState.RECEIVED


def test_the_queue_is_bounded_and_a_full_one_is_not_held_against_a_job() -> None:
    world = granted(dataclasses.replace(LIMITS, max_live_jobs=2))
    for number in (1, 2):
        world.uplink(Apid.JOB, signed_job(job(number)))
    assert answer(world.uplink(Apid.JOB, signed_job(job(3)))) == (JobState.REFUSED, Reason.QUEUE_FULL)
    world.uplink(Apid.COMMAND, signed_command(CommandKind.CANCEL_JOB, job(1).id, TENANT))
    assert answer(world.uplink(Apid.JOB, signed_job(job(3))))[0] is JobState.RECEIVED


def test_refusals_are_remembered_up_to_a_bound() -> None:
    world = granted(dataclasses.replace(LIMITS, max_known_refusals=5))
    for number in range(20):
        world.uplink(Apid.JOB, signed_job(job(number, byte_budget=200_000)))
    assert len(world.core.jobs) == 5
    assert list(world.replayed().jobs) == list(world.core.jobs)


def test_a_job_that_ended_is_forgotten_when_it_could_not_be_replayed_any_more() -> None:
    world = granted()
    world.uplink(Apid.JOB, signed_job(job(1)))
    world.uplink(Apid.COMMAND, signed_command(CommandKind.CANCEL_JOB, job(1).id, TENANT))
    assert answer(world.uplink(Apid.JOB, signed_job(job(1)))) == (JobState.CANCELLED, Reason.CANCELLED_BY_TENANT)
    world.now_s = job(1).expires_s + 1.0
    late = {name: int(world.now_s) + 9_000 for name in ("latest_s", "deadline_s", "expires_s")}
    world.uplink(Apid.JOB, signed_job(job(2, **late)))
    assert len(world.core.jobs) == 1
    assert answer(world.uplink(Apid.JOB, signed_job(job(1))))[1] is Reason.EXPIRED


# --- grants and commands


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (signed_grant(grant(), OTHER), Reason.UNKNOWN_KEY),
        (signed_grant(grant())[:-1] + b"\x00", Reason.BAD_SIGNATURE),
        (b"\x00", Reason.MALFORMED),
        (signed_grant(grant(valid_from_s=5, valid_to_s=6)), Reason.EXPIRED),
        (signed_grant(grant(serial=0)), Reason.REPLAYED),
        (signed_grant(grant(serial=9, tenant="thief")), Reason.REPLAYED),
    ],
    ids=range(6),
)
def test_a_grant_is_refused_for_its_reason(octets: bytes, reason: Reason) -> None:
    world = granted()
    assert answer(world.uplink(Apid.GRANT, octets)) == (JobState.REFUSED, reason)
    assert len(world.durable) == 1


def test_a_later_grant_replaces_an_earlier_one_and_survives_a_restart() -> None:
    world = granted()
    narrow = grant(serial=2, boxes=(Box(0, 0, 1, 1),))
    assert answer(world.uplink(Apid.GRANT, signed_grant(narrow)))[0] is JobState.ACCEPTED
    assert answer(world.uplink(Apid.GRANT, signed_grant(narrow)))[0] is JobState.ACCEPTED
    world.crash()
    assert len(world.durable) == 2 and world.core.skipped == 0
    assert answer(world.uplink(Apid.JOB, signed_job(job())))[1] is Reason.AREA_NOT_GRANTED


def test_a_revoked_grant_ends_its_jobs_and_never_comes_back() -> None:
    world, order = advanced(JobState.SEALED)
    octets = signed_command(CommandKind.REVOKE_GRANT, grant().id, MISSION)
    effects = world.uplink(Apid.COMMAND, octets)
    assert state_of(world, order) == (JobState.CANCELLED, Reason.GRANT_REVOKED)
    assert only(effects, DropProduct)
    world.crash()
    assert answer(world.uplink(Apid.GRANT, signed_grant(grant())))[1] is Reason.GRANT_REVOKED
    assert answer(world.uplink(Apid.JOB, signed_job(job(5))))[1] is Reason.UNKNOWN_KEY


def test_only_the_mission_revokes_and_only_the_owner_or_the_mission_calls_off() -> None:
    world, order = advanced(JobState.ACCEPTED)
    world.uplink(Apid.GRANT, signed_grant(grant(OTHER, tenant="other")))
    revoke = signed_command(CommandKind.REVOKE_GRANT, grant().id, TENANT)
    assert answer(world.uplink(Apid.COMMAND, revoke))[1] is Reason.UNKNOWN_KEY
    theft = signed_command(CommandKind.CANCEL_JOB, order.id, OTHER)
    assert answer(world.uplink(Apid.COMMAND, theft))[1] is Reason.UNKNOWN_JOB
    old = signed_command(CommandKind.CANCEL_JOB, order.id, TENANT, expires_s=int(T0) - 1)
    assert answer(world.uplink(Apid.COMMAND, old))[1] is Reason.EXPIRED
    assert state_of(world, order)[0] is JobState.SCHEDULED
    assert answer(world.uplink(Apid.COMMAND, signed_command(CommandKind.CANCEL_JOB, order.id, MISSION))) == (
        JobState.CANCELLED,
        Reason.CANCELLED_BY_TENANT,
    )


# --- planning


def test_the_strip_is_centred_on_the_closest_approach() -> None:
    world, _ = advanced(JobState.SCHEDULED)
    capture = only(world.performed, OrderCapture)
    assert capture.start_s == pytest.approx(CLOSEST_S - LIMITS.strip_s / 2, abs=0.1)
    assert capture.duration_s == LIMITS.strip_s


def test_the_plan_is_the_same_whenever_it_is_made() -> None:
    starts = set()
    for wait in (0.0, 13.7, 77.1):
        world = granted()
        world.now_s += wait
        world.uplink(Apid.JOB, signed_job(job()))
        world.tell(Tick())
        starts.add(only(world.performed, OrderCapture).start_s)
    assert len(starts) == 1


def test_a_search_is_cut_into_ticks() -> None:
    world = granted(dataclasses.replace(LIMITS, plan_evaluations=3))
    order = job(earliest_s=int(T0) + 5_000)
    world.uplink(Apid.JOB, signed_job(order))
    ticks = 0
    while state_of(world, order)[0] is JobState.RECEIVED:
        world.tell(Tick())
        ticks += 1
    assert 5 < ticks < 200
    entry = world.core.jobs.get(order.id)
    assert entry is not None and entry.plan is not None
    assert entry.plan.closest_s == pytest.approx(CLOSEST_S + 6300, abs=0.2)


def test_a_job_without_a_pass_is_refused() -> None:
    world = granted()
    order = job(area=ring_of([(9, 15), (10, 15), (10, 16)]))
    world.uplink(Apid.JOB, signed_job(order))
    world.tell(Tick())
    assert state_of(world, order) == (JobState.REFUSED, Reason.NO_PASS)


def test_the_camera_serves_one_job_at_a_time_the_most_urgent_first() -> None:
    world = granted()
    orders = [job(number, priority=number) for number in (1, 2)]
    for order in orders:
        world.uplink(Apid.JOB, signed_job(order))
    world.core = world.replayed()  # as they stand before any tick
    for _ in range(4):
        world.now_s += 1
        world.core.handle(Tick(0.0), world.now_s)  # planned, and held back by an empty battery
    effects = world.tell(Tick(1.0))
    assert only(effects, OrderCapture).job_id == orders[1].id
    assert not [effect for effect in world.tell(Tick(1.0)) if type(effect) is OrderCapture]


def test_an_order_waits_until_it_is_time() -> None:
    world = granted(dataclasses.replace(LIMITS, commit_s=30.0))
    world.uplink(Apid.JOB, signed_job(job()))
    world.tell(Tick())
    assert state_of(world, job())[0] is JobState.ACCEPTED
    world.now_s = T0 + 140
    only(world.tell(Tick()), OrderCapture)


def test_a_low_battery_holds_a_capture_back_and_in_the_end_fails_it() -> None:
    world = granted()
    order = job(latest_s=int(T0) + 300)
    world.uplink(Apid.JOB, signed_job(order))
    world.tell(Tick(0.3))
    assert state_of(world, order)[0] is JobState.ACCEPTED
    world.now_s = T0 + 170
    world.tell(Tick(0.3))
    assert state_of(world, order) == (JobState.FAILED, Reason.LOW_BATTERY)


def test_a_missed_pass_is_followed_by_the_next_one() -> None:
    world = granted()
    world.uplink(Apid.JOB, signed_job(job()))
    world.tell(Tick(0.3))
    world.now_s = T0 + 170
    world.tell(Tick(1.0))
    entry = world.core.jobs.get(job().id)
    assert entry is not None and entry.plan is not None and entry.plan.closest_s > T0 + 6_000


# --- capture, inference, product


def test_a_job_goes_through_its_life_with_every_effect_once() -> None:
    world, order = advanced(JobState.DOWNLINKING)
    release, _ = release_of(order.id, world.now_s)
    world.tell(TransferFinished(release.product_id, True))
    world.uplink(Apid.RECEIPT, signed_receipt(release))
    assert state_of(world, order) == (JobState.DELIVERED, Reason.NONE)
    kinds = [OrderCapture, StartInference, SealProduct, SendAlert, StartTransfer, DropProduct]
    found = [type(effect) for effect in world.performed if type(effect) in kinds]
    assert found == kinds
    states = [effect.state for effect in world.performed if type(effect) is ReportStatus][1:]
    told = [state for state, before in zip(states, [None, *states], strict=False) if state is not before]
    assert told == [JobState(number) for number in range(1, 9)]
    start = only(world.performed, StartInference)
    assert (start.application, start.parameters, start.area) == ("water", order.parameters, order.area)
    sealing = only(world.performed, SealProduct)
    assert (sealing.lines, sealing.lost, sealing.summary) == (640, 2, SUMMARY)


def test_a_failed_capture_is_tried_on_another_pass_and_not_for_ever() -> None:
    world, order = advanced(JobState.SCHEDULED)
    captures = []
    for _ in range(LIMITS.max_captures):
        capture = [effect for effect in world.performed if type(effect) is OrderCapture][-1]
        captures.append(capture)
        world.now_s = capture.start_s + 30
        world.tell(CaptureEnded(capture.capture_id, 0, 0, False))
        world.now_s += 1
        world.tell(Tick())
        world.now_s += 6_000
        world.tell(Tick())
    assert len({capture.capture_id for capture in captures}) == LIMITS.max_captures
    assert state_of(world, order) == (JobState.FAILED, Reason.CAPTURE_FAILED)


def test_a_camera_that_never_answers_has_failed() -> None:
    world, order = advanced(JobState.CAPTURING)
    world.now_s = CLOSEST_S + LIMITS.strip_s + LIMITS.capture_grace_s
    world.tell(Tick())
    entry = world.core.jobs.get(order.id)
    assert entry is not None and entry.attempts.captures == 1 and entry.state is JobState.ACCEPTED


def test_a_failed_inference_is_tried_again_and_not_for_ever() -> None:
    world, order = advanced(JobState.PROCESSING)
    for _ in range(LIMITS.max_inferences - 1):
        only(world.tell(InferenceEnded(order.id, False, SUMMARY)), StartInference)
    effects = world.tell(InferenceEnded(order.id, False, SUMMARY))
    assert state_of(world, order) == (JobState.FAILED, Reason.INFERENCE_FAILED)
    assert only(effects, ForgetJob) and only(effects, ReleaseCapture)


def test_a_failure_that_would_repeat_itself_is_not_tried_again() -> None:
    world, order = advanced(JobState.PROCESSING)
    world.tell(InferenceEnded(order.id, False, SUMMARY, retryable=False))
    assert state_of(world, order) == (JobState.FAILED, Reason.INFERENCE_FAILED)


@pytest.mark.parametrize(
    ("compute_s", "budget_j", "reason"), [(100.5, 5_000, Reason.OVER_COMPUTE), (80.0, 1_000, Reason.OVER_ENERGY)]
)
def test_a_job_that_takes_more_than_its_budget_is_stopped(compute_s: float, budget_j: int, reason: Reason) -> None:
    world, order = advanced(JobState.PROCESSING, job(energy_budget_j=budget_j))
    world.tell(InferenceProgress(order.id, 10.0))
    assert state_of(world, order)[0] is JobState.PROCESSING
    effects = world.tell(InferenceProgress(order.id, compute_s))
    assert state_of(world, order) == (JobState.FAILED, reason)
    assert only(effects, ForgetJob)


def test_one_job_is_under_inference_and_the_most_urgent_of_the_others_follows() -> None:
    world = granted()
    orders = [job(number, priority=number, latest_s=int(T0) + 40_000) for number in (1, 2, 3)]
    for order in orders:
        world.uplink(Apid.JOB, signed_job(order))
    for _ in range(60):
        world.now_s += 600
        for effect in world.tell(Tick()):
            if type(effect) is OrderCapture:
                world.now_s = effect.start_s + 25
                world.tell(CaptureEnded(effect.capture_id, 640, 0, True))
    begun = [effect.job_id for effect in world.performed if type(effect) is StartInference]
    assert begun == [orders[2].id]
    only(world.tell(InferenceEnded(orders[2].id, True, SUMMARY)), SealProduct)
    begun = [effect.job_id for effect in world.performed if type(effect) is StartInference]
    assert begun == [orders[2].id, orders[1].id]


def test_a_refused_product_ends_its_job() -> None:
    world, order = advanced(JobState.PROCESSING)
    world.tell(ProductRefused(order.id))
    assert state_of(world, order)[0] is JobState.PROCESSING  # nobody asked for a product yet
    world.tell(InferenceEnded(order.id, True, SUMMARY))
    world.tell(ProductRefused(order.id))
    assert state_of(world, order) == (JobState.FAILED, Reason.PRODUCT_REFUSED)


def test_a_second_product_is_dropped_and_the_first_one_told_twice_is_not() -> None:
    world, order = advanced(JobState.SEALED)
    first, second = release_of(order.id, T0 + 190), release_of(order.id, T0 + 190, salt=1)
    assert world.tell(ProductReady(first[1])) == []
    assert world.tell(ProductReady(second[1])) == [DropProduct(second[0].product_id)]
    assert world.records(RecordKind.PRODUCT) == [first[1]]
    assert world.tell(ProductReady(b"nonsense")) == []


def test_no_alert_without_a_finding_or_for_a_job_that_did_not_ask() -> None:
    for order, findings in ((job(), 0), (job(products=(ProductKind.MASK,)), 5)):
        world, _ = advanced(JobState.PROCESSING, order)
        world.tell(InferenceEnded(order.id, True, SUMMARY))
        effects = world.tell(ProductReady(release_of(order.id, world.now_s, findings=findings)[1]))
        assert SendAlert not in {type(effect) for effect in effects}


# --- downlink


def test_a_product_is_sent_only_in_a_contact_and_its_receipt_must_name_its_octets() -> None:
    world, order = advanced(JobState.SEALED)
    assert StartTransfer not in {type(effect) for effect in world.tell(Tick())}
    release, _ = release_of(order.id, T0 + 190)
    assert only(world.tell(Tick(in_contact=True)), StartTransfer).product_id == release.product_id
    for octets in (
        signed_receipt(release, OTHER),
        signed_receipt(release, sha256=bytes(32)),
        signed_receipt(Release(bytes(16), *dataclasses.astuple(release)[1:])),
        b"receipt",
    ):
        world.uplink(Apid.RECEIPT, octets)
        assert state_of(world, order)[0] is JobState.DOWNLINKING
    only(world.uplink(Apid.RECEIPT, signed_receipt(release)), DropProduct)
    assert answer(world.uplink(Apid.RECEIPT, signed_receipt(release))) == (JobState.DELIVERED, Reason.NONE)


def test_a_receipt_that_was_lost_is_asked_for_at_the_next_contact() -> None:
    world, order = advanced(JobState.DOWNLINKING)
    release, _ = release_of(order.id, T0 + 190)
    world.tell(TransferFinished(release.product_id, True))
    assert world.tell(Tick(in_contact=True)) == []
    world.tell(Tick(in_contact=False))
    assert answer(world.tell(Tick(in_contact=True))) == (JobState.DOWNLINKING, Reason.AWAITING_RECEIPT)


def test_a_failed_transfer_is_tried_again_and_not_for_ever() -> None:
    world, order = advanced(JobState.DOWNLINKING)
    release, _ = release_of(order.id, T0 + 190)
    for _ in range(LIMITS.max_transfers - 1):
        world.tell(TransferFinished(release.product_id, False))
        assert state_of(world, order)[0] is JobState.SEALED
        only(world.tell(Tick(in_contact=True)), StartTransfer)
    effects = world.tell(TransferFinished(release.product_id, False))
    assert state_of(world, order) == (JobState.FAILED, Reason.TRANSFER_FAILED)
    assert only(effects, DropProduct)


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
def test_a_job_without_a_product_expires_at_its_deadline_wherever_it_stands(state: JobState) -> None:
    world, order = advanced(state)
    world.now_s = order.deadline_s + 0.5
    world.tell(Tick())
    assert state_of(world, order) == (JobState.EXPIRED, Reason.DEADLINE_PASSED)


@pytest.mark.parametrize("state", [JobState.SEALED, JobState.DOWNLINKING], ids=lambda state: state.name)
def test_a_product_is_kept_for_delivery_until_the_job_expires(state: JobState) -> None:
    world, order = advanced(state)
    world.now_s = order.deadline_s + 0.5
    world.tell(Tick())
    assert state_of(world, order)[0] is state
    world.now_s = order.expires_s + 0.5
    assert only(world.tell(Tick()), DropProduct)
    assert state_of(world, order) == (JobState.EXPIRED, Reason.DEADLINE_PASSED)


# --- restart


@pytest.mark.parametrize(
    ("state", "effect"),
    [
        (JobState.SCHEDULED, OrderCapture),
        (JobState.CAPTURING, OrderCapture),
        (JobState.PROCESSING, StartInference),
        (JobState.SEALED, SendAlert),
        (JobState.DOWNLINKING, StartTransfer),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_restart_asks_again_for_what_was_under_way(state: JobState, effect: type[Any]) -> None:
    world, _ = advanced(state)
    before = [each for each in world.performed if type(each) is effect][-1]
    assert only(world.crash(), effect) == before


def test_a_job_between_inference_and_product_is_sealed_after_a_restart() -> None:
    world, order = advanced(JobState.PROCESSING)
    world.tell(InferenceEnded(order.id, True, SUMMARY))
    before = only(world.performed, SealProduct)
    assert only(world.crash(), SealProduct) == before


def test_records_that_make_no_sense_are_skipped_and_counted() -> None:
    core = new_core()
    for kind in (RecordKind.GRANT, RecordKind.JOB, RecordKind.PRODUCT, RecordKind.REVOCATION, RecordKind.STRIP):
        for payload in (b"", b"\x00", b"\xa0", bytes(100)):
            core.apply(kind, payload)
    assert core.skipped == 16
    assert [type(effect).__name__ for effect in core.resume(T0).effects] == ["Tell"]


def test_the_terms_of_a_job_follow_its_grant_and_its_state() -> None:
    world, order = advanced(JobState.PROCESSING)
    terms = world.core.terms(order.id, world.now_s)
    assert terms is not None and not terms.awaits_product
    world.tell(InferenceEnded(order.id, True, SUMMARY))
    terms = world.core.terms(order.id, world.now_s)
    assert terms is not None and terms.awaits_product
    assert (terms.byte_budget, terms.day_bytes_left) == (order.byte_budget, grant().max_bytes_per_day)
    assert world.core.terms(bytes(32), world.now_s) is None
    world.tell(ProductReady(release_of(order.id, world.now_s)[1]))
    terms = world.core.terms(order.id, world.now_s)
    assert terms is not None and terms.day_bytes_left == grant().max_bytes_per_day - 992


def test_other_packets_are_passed_over() -> None:
    assert granted().tell(Uplinked(Apid.CFDP_UP, b"x")) == []
