"""The flight process's side of the camera and the payload process: what they are told, and what they say.

Every order is repeated with each report that comes in, so that any message, and either process, may be lost. What
they say becomes inputs of the agent, each told once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from bindings.errors import SwathError
from flight.agent.core import AgentCore
from flight.agent.effects import (
    CaptureEnded,
    CaptureStarted,
    ForgetJob,
    InferenceEnded,
    InferenceProgress,
    InferenceSummary,
    Input,
    OrderCapture,
    ReleaseCapture,
    StartInference,
    Tell,
)
from flight.fallbacks import Fallbacks
from flight.pipeline.answers import AnswerDesk
from flight.pipeline.capture_meta import CaptureMeta
from flight.pipeline.control import (
    OUT_OF_MEMORY,
    CameraReport,
    CaptureOrder,
    ForgetOrder,
    IdleOrder,
    PayloadReport,
    ReleaseOrder,
)
from flight.pipeline.control_sockets import ControlServer
from flight.pipeline.geolocate import Geolocator
from flight.product.header import Content
from flight.services.journal_format import JournalFull
from hal.clock import Clock
from hal.platform.protocol import PlatformState
from hal.sensor.strip_geometry import AttitudeUnknown

NOTHING_LOOKED_AT = InferenceSummary(0, 0, 0, 0.0, 0.0)
REPEATS = 5  # of orders that get no answer
PROGRESS_S = 0.1  # compute time between two words to the agent: its budget bounds how many there are
MAX_TELLS = 32
ATTITUDE_PATIENCE_S = 3.0  # host time: the bus is asked every 100 ms
MAX_REFUSED_STRIPS = 32  # offers that fail a check before the job is given up
MAX_STARVED = 3  # payload processes that have no memory for a job before it is given up
TERMINAL_REASONS = frozenset(
    ("missing_bands", "radiometry_refused", "gsd_refused", "application_unknown", "graph_refused", "hash_mismatch")
)


class PayloadDesk:
    """Orders out, reports in; nothing here waits."""

    def __init__(
        self,
        camera: ControlServer[CameraReport],
        payload: ControlServer[PayloadReport],
        answers: AnswerDesk,
        agent: AgentCore,
        clock: Clock,
        tell: Callable[[Input], None],
        geolocator: Geolocator | None = None,
    ) -> None:
        """tell: gives the agent an input. geolocator: gives lines without a place that of the camera."""
        self._camera, self._payload, self._answers, self._agent = camera, payload, answers, agent
        self._clock, self._tell, self._geolocator = clock, tell, geolocator
        self._unplaced_s: float | None = None  # host time since which a capture waits for its attitude
        self._capture: CaptureOrder | None = None
        self._capture_started = False
        self._releases: deque[tuple[bytes, int]] = deque()
        self._forgets: deque[tuple[bytes, int]] = deque()
        self._job: bytes | None = None
        self._report: PayloadReport | None = None
        self._earlier_s = 0.0  # compute time of payload processes before the present one
        self._compute_s = 0.0
        self._incarnation = -1
        self._starved: set[int] = set()  # payload processes that had no memory for the job
        self.capturing = False
        self.strips_refused = 0
        self.camera_processes = self.payload_processes = 0  # how many of each have been heard
        self._camera_incarnation = -1
        self._fallbacks = Fallbacks()
        self.tells: deque[Tell] = deque(maxlen=MAX_TELLS)  # events about the job in work
        self.failures: deque[str] = deque(maxlen=16)  # reasons, for the log outside the frames

    def perform(self, effect: OrderCapture | ReleaseCapture | StartInference | ForgetJob) -> None:
        """Do one effect of the agent; all are idempotent."""
        match effect:
            case OrderCapture():
                if self._capture is None or self._capture.capture != effect.capture_id:
                    self._capture = CaptureOrder(capture=effect.capture_id, start_s=effect.start_s)
                    self._capture_started = False
            case ReleaseCapture():
                if self._capture is not None and self._capture.capture == effect.capture_id:
                    self._capture = None
                self._releases.append((effect.capture_id, REPEATS))
            case StartInference():
                self._start(effect)
            case ForgetJob():
                if self._job == effect.job_id:
                    self._job = None
                self._answers.forget(effect.job_id)
                self._forgets.append((effect.job_id, REPEATS))

    def hear_attitude(self, state: PlatformState) -> None:
        """What the bus tells: it is kept, and turned into the place of the next capture's lines."""
        if self._geolocator is not None:
            self._geolocator.tell(state)

    def open_answer(self, job_id: bytes) -> None:
        """Make sure that the job's answer is under construction here. Raises PipelineError, ModelError."""
        entry = self._agent.jobs.get(job_id)
        if entry is None or entry.order is None or entry.capture_id is None:
            return
        job = entry.order.job
        self._answers.begin(
            job=job_id,
            capture=entry.capture_id,
            application=job.application,
            parameters=dict(job.parameters),
            area=job.area_degrees,
            start_s=entry.start_s,
            lines=entry.lines,
            contents=tuple(content for content in Content if int(content) in map(int, job.products)),
        )

    def poll(self) -> None:
        """Take what the two processes say, and tell them what is wanted of them."""
        now_s = self._clock.host_s()
        for report in self._camera.poll(now_s)[-1:]:
            self._hear_camera(report)
        for payload_report in self._payload.poll(now_s)[-1:]:
            self._hear_payload(payload_report)

    def reports(self) -> dict[str, Callable[[], int]]:
        """How many reports of each process came."""
        return {"camera": lambda: self._camera.taken, "payload": lambda: self._payload.taken}

    @property
    def payload_silent_s(self) -> float:
        """Host seconds since the payload process was heard while it has a job; 0 otherwise."""
        if self._job is None or not self.payload_processes:
            return 0.0
        return self._payload.silent_s(self._clock.host_s())

    def take_strip(self) -> bool:
        """Encode some of the rows taken, or take one offered strip: bounded work. True when there was any."""
        if self._job is not None and self._answers.advance(self._job):
            return True
        report = self._report
        if report is None or report.job != self._job or self._job is None:
            return False
        try:
            taken = self._answers.take(report)
        except SwathError as error:
            self.strips_refused += 1
            self.failures.append(error.code)
            self._report = None
            if self._answers.refused(self._job) >= MAX_REFUSED_STRIPS:
                self._give_up(self._job, retryable=False)
            return False
        if taken:
            self._answers.advance(self._job)
            if self._answers.all_taken(self._job):
                self._report = None
        return taken

    def close(self) -> None:
        self._camera.close()
        self._payload.close()

    def _start(self, effect: StartInference) -> None:
        self._compute_s = self._earlier_s = 0.0
        self._starved.clear()
        try:
            self.open_answer(effect.job_id)
        except SwathError as error:
            self.failures.append(error.code)
            self._tell(InferenceEnded(effect.job_id, False, NOTHING_LOOKED_AT, retryable=False))
            return
        self._job = effect.job_id
        # what was begun before a retry has been forgotten by now, and this attempt must not be
        self._forgets = deque(item for item in self._forgets if item[0] != effect.job_id)

    def _hear_camera(self, report: CameraReport) -> None:
        self.capturing = report.state == "capturing"
        if report.incarnation != self._camera_incarnation:
            self._camera_incarnation = report.incarnation
            self.camera_processes += 1
        wanted = self._capture
        if wanted is not None:
            if report.capture == wanted.capture:
                self._follow_capture(report, wanted.capture)
            else:
                self._camera.send(wanted)
        elif self._releases:
            capture, left = self._releases.popleft()
            if self._camera.send(ReleaseOrder(capture=capture)) and left > 1:
                self._releases.append((capture, left - 1))

    def _follow_capture(self, report: CameraReport, capture: bytes) -> None:
        if report.state == "capturing" and not self._capture_started:
            self._capture_started = True
            self._tell(CaptureStarted(capture))
        if report.state in ("done", "failed"):
            # a capture that ended early is an answer with honest coverage, if it has any line
            ok = report.state == "done" or (report.lines > report.lost and report.meta is not None)
            if report.meta is not None:
                try:
                    meta = self._placed(report.meta, report.lines)
                    if meta is None:
                        return  # the camera says it again
                    self._answers.describe(capture, meta)
                except JournalFull:
                    return
            if report.reason:
                self.failures.append(report.reason)
            self._tell(CaptureEnded(capture, report.lines, report.lost, ok))
            self._capture = None

    def _placed(self, meta: CaptureMeta, lines: int) -> CaptureMeta | None:
        """The description with the lines' place; None while the bus may still tell the attitude of the last of them.

        Lines that cannot be placed are an answer in pixels, and the reason is told.
        """
        assert self._capture is not None  # only a capture that was ordered is followed
        if self._geolocator is None:
            return meta
        now_s = self._clock.host_s()
        try:
            placed = self._geolocator.place(meta, self._capture.start_s, lines)
        except AttitudeUnknown as error:
            self._unplaced_s = now_s if self._unplaced_s is None else self._unplaced_s
            if now_s - self._unplaced_s < ATTITUDE_PATIENCE_S:
                return None
            self.failures.append(error.code)
            placed = meta
        except SwathError as error:
            self.failures.append(error.code)
            placed = meta
        self._unplaced_s = None
        try:
            return self._geolocator.calibrate(placed)
        except SwathError as error:  # night: the numbers stay numbers, and applications refuse them
            self.failures.append(error.code)
            return placed

    def _hear_payload(self, report: PayloadReport) -> None:
        if report.incarnation != self._incarnation:
            self._incarnation = report.incarnation
            self.payload_processes += 1
            self._earlier_s += self._compute_s
            self._compute_s = 0.0
        if self._forgets:
            job, left = self._forgets.popleft()
            if self._payload.send(ForgetOrder(job=job)) and left > 1:
                self._forgets.append((job, left - 1))
        if self._job is None:
            if report.state != "idle":
                self._payload.send(IdleOrder())
            return
        order = self._answers.order(self._job)
        self._payload.send(order)
        if report.job != self._job:
            return
        self._report = report
        self.tells.extend(self._fallbacks.hear(order, report))
        if report.inference_s >= self._compute_s + PROGRESS_S:
            self._compute_s = report.inference_s
            self._tell(InferenceProgress(self._job, self._earlier_s + self._compute_s))
        if report.state == "failed":
            self.failures.append(report.reason)
            self._fail(self._job, report)
        elif report.state == "done" and self._answers.whole(self._job):
            screened = min(report.tiles_screened, report.tiles_done)
            summary = InferenceSummary(
                tiles_total=report.tiles_done,
                tiles_screened=screened,
                tiles_inferred=min(report.tiles_inferred, report.tiles_done - screened),
                confidence=report.confidence,
                compute_s=self._earlier_s + max(self._compute_s, report.inference_s),
            )
            job, self._job = self._job, None
            self._tell(InferenceEnded(job, True, summary))

    def _fail(self, job: bytes, report: PayloadReport) -> None:
        """Without memory the process ends, and the next one goes on where it was; every other reason ends the try."""
        if report.reason == OUT_OF_MEMORY:
            self._starved.add(report.incarnation)
            if len(self._starved) < MAX_STARVED:
                return
        self._give_up(job, retryable=report.reason not in TERMINAL_REASONS and report.reason != OUT_OF_MEMORY)

    def _give_up(self, job: bytes, *, retryable: bool) -> None:
        self._job = None
        self._answers.forget(job)
        self._forgets.append((job, REPEATS))
        summary = InferenceSummary(0, 0, 0, 0.0, self._earlier_s + self._compute_s)
        self._tell(InferenceEnded(job, False, summary, retryable))
