"""Whatever happens in whatever order, with power cuts anywhere, each job ends once and its product is made once."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flight.agent.command import CommandKind
from flight.agent.effects import (
    CaptureEnded,
    CaptureStarted,
    InferenceEnded,
    InferenceProgress,
    InferenceSummary,
    OrderCapture,
    ProductReady,
    ProductRefused,
    ReportStatus,
    SealProduct,
    SendAlert,
    StartInference,
    StartTransfer,
    Tick,
    TransferFinished,
    Uplinked,
)
from flight.agent.entry import JobEntry, Step
from flight.agent.reasons import Reason
from flight.agent.release import read_release
from flight.agent.states import JobState
from flight.link.apids import Apid
from flight.services.records import RecordKind
from tests.flight.agent.world import (
    T0,
    TENANT,
    World,
    grant,
    job,
    release_of,
    signed_command,
    signed_grant,
    signed_job,
    signed_receipt,
)

GRANT = signed_grant(grant())
JOBS = [job(number, priority=number % 8, latest_s=int(T0) + 8_000 * (number + 1)) for number in range(3)]
SIGNED = [signed_job(each) for each in JOBS]
IDS = [each.id for each in JOBS]
SUMMARY = InferenceSummary(9, 1, 8, 0.75, 12.5)

number = st.integers(0, 2)
actions = st.one_of(
    st.tuples(st.just("job"), number),
    st.tuples(st.just("grant"), number),
    st.tuples(st.just("cancel"), number),
    st.tuples(st.just("wait"), st.sampled_from([1.0, 30.0, 170.0, 900.0, 6000.0])),
    st.tuples(st.just("contact"), number),
    st.tuples(st.just("answer"), st.integers(0, 30)),
    st.tuples(st.just("fail"), st.integers(0, 30)),
    st.tuples(st.just("again"), st.integers(0, 30)),
    st.tuples(st.just("commit"), st.integers(0, 6)),
    st.tuples(st.just("crash"), number),
)


class Driver:
    """Plays camera, payload, gate, radio and ground, whose answers may come late, twice, or not at all."""

    def __init__(self) -> None:
        self.world = World()
        self.salt = 0
        self.ended: dict[bytes, JobState] = {}
        self.released: dict[bytes, bytes] = {}
        self.seen: set[tuple[bytes, JobState]] = set()
        self.records_checked = self.effects_checked = 0

    def act(self, action: str, value: float) -> None:
        world = self.world
        match action:
            case "job":
                world.tell(Uplinked(Apid.JOB, SIGNED[int(value)]), commit=False)
            case "grant":
                world.tell(Uplinked(Apid.GRANT, GRANT), commit=False)
            case "cancel":
                octets = signed_command(CommandKind.CANCEL_JOB, IDS[int(value)], TENANT)
                world.tell(Uplinked(Apid.COMMAND, octets), commit=False)
            case "wait":
                world.now_s += value
                world.tell(Tick(0.9), commit=False)
            case "contact":
                world.tell(Tick(0.9, in_contact=True), commit=False)
            case "answer" | "fail" | "again":
                self.answer(int(value), ok=action != "fail")
            case "commit":
                world.commit(int(value))
            case "crash":
                world.crash()
        self.check()

    def answer(self, index: int, *, ok: bool) -> None:
        """Answer one of the effects performed so far, an old one perhaps."""
        world = self.world
        if not world.performed:
            return
        match world.performed[-1 - index % len(world.performed)]:
            case OrderCapture(capture_id):
                world.tell(CaptureStarted(capture_id), commit=False)
                world.tell(CaptureEnded(capture_id, 640 if ok else 0, 3, ok), commit=False)
            case StartInference(job_id):
                world.tell(InferenceProgress(job_id, 5.0 if ok else 101.0 * (index % 2)), commit=False)
                world.tell(InferenceEnded(job_id, ok, SUMMARY), commit=False)
            case SealProduct(job_id):
                self.salt += 1  # sealed at another time, it would be other octets
                record = release_of(job_id, world.now_s, salt=self.salt % 256)[1]
                world.tell(ProductReady(record) if ok else ProductRefused(job_id), commit=False)
            case StartTransfer(product_id):
                world.tell(TransferFinished(product_id, ok), commit=False)
                if ok:
                    self.receipt(world.core.jobs.of_product(product_id))
            case ReportStatus(job_id, JobState.DOWNLINKING, Reason.AWAITING_RECEIPT):
                if ok:
                    self.receipt(world.core.jobs.get(job_id))

    def receipt(self, entry: JobEntry | None) -> None:
        if entry is not None and entry.release is not None:
            self.world.tell(Uplinked(Apid.RECEIPT, signed_receipt(entry.release)), commit=False)

    def check(self) -> None:
        """Look at what became durable, or was performed, since the last look: in that order."""
        world = self.world
        for record in world.durable[self.records_checked :]:
            if record.kind is RecordKind.PRODUCT:
                release = read_release(record.payload)
                assert release.job_id not in self.released, "a second product of one job"
                self.released[release.job_id] = release.product_id
            elif record.kind is RecordKind.JOB:
                step = Step.decode(record.payload)
                assert step.job_id not in self.ended, "a job went on after its end"
                self.seen.add((step.job_id, step.state))
                if step.state.terminal:
                    self.ended[step.job_id] = step.state
        self.records_checked = len(world.durable)
        for effect in world.performed[self.effects_checked :]:
            match effect:
                case StartTransfer(product_id) | SendAlert(_, product_id):
                    assert product_id in self.released.values(), "sent before it was on the journal"
                case OrderCapture(_, job_id):
                    assert (job_id, JobState.SCHEDULED) in self.seen
                case StartInference(job_id) | SealProduct(job_id):
                    assert (job_id, JobState.PROCESSING) in self.seen
        self.effects_checked = len(world.performed)

    def finish(self) -> None:
        world = self.world
        world.commit(len(world.pending))
        for _ in range(30):
            world.now_s += 6_000.0
            world.tell(Tick(0.9))
        assert all(not entry.live for entry in world.core.jobs)
        self.check()
        replayed = world.replayed()
        assert replayed.skipped == 0
        assert list(replayed.jobs) == list(world.core.jobs)
        assert replayed.jobs.catalogue.in_order() == world.core.jobs.catalogue.in_order() == []
        assert replayed.telemetry()["jobs_delivered"] == world.core.telemetry()["jobs_delivered"]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(actions, max_size=60))
def test_every_job_ends_once_whatever_happens_and_wherever_the_power_fails(script: list[tuple[str, float]]) -> None:
    driver = Driver()
    driver.act("grant", 0)
    driver.act("commit", 1)
    for action, value in script:
        driver.act(action, value)
    driver.finish()


@settings(max_examples=40, deadline=None)
@given(cut=st.integers(0, 40), lost=st.integers(0, 3))
def test_a_power_cut_at_any_record_still_delivers_every_job(cut: int, lost: int) -> None:
    driver = Driver()
    world = driver.world
    world.uplink(Apid.GRANT, GRANT)
    for octets in SIGNED:
        world.uplink(Apid.JOB, octets)
    answered, cuts = 0, 0
    for step in range(120):
        world.now_s += 60.0
        world.tell(Tick(0.9, in_contact=True), commit=False)
        if not cuts and len(world.durable) <= cut < len(world.durable) + len(world.pending):
            world.commit(max(0, len(world.pending) - lost))
            answered = len(world.performed)
            world.crash()
            cuts += 1
        world.commit(len(world.pending))
        todo, answered = world.performed[answered:], len(world.performed)
        for index in reversed(range(len(todo))):
            driver.answer(index, ok=True)
        driver.check()
        if step > 20 and not world.core.jobs.live():
            break
    world.commit(len(world.pending))
    assert {entry.state for entry in world.core.jobs} == {JobState.DELIVERED}, f"cut={cut} lost={lost}"
    assert len(world.core.jobs) == 3
