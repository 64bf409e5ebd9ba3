"""One job in the payload process: an application on a capture, tile by tile, kept where a restart finds it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flight.pipeline.answer import engine_setup, plan_input
from flight.pipeline.answer_slots import AnswerWriter
from flight.pipeline.checkpoint import Checkpoint
from flight.pipeline.control import InferOrder, StripOffer
from flight.pipeline.engine import Engine, Flow, Progress, Step
from flight.pipeline.inference import FLOAT_ON_CPU, InferenceSetup
from flight.pipeline.process_errors import AnswerOutOfRange, CaptureAbsent, LinesDiffer
from flight.pipeline.registered_lines import RegisteredLines, registered
from flight.pipeline.strip_buffer import StripReader
from flight.pipeline.strip_source import StripSource
from payload_models.errors import ApplicationUnknown
from payload_models.loader import MANIFEST_NAME, Application, applications
from payload_models.runtime.opening import Opened, open_session

MAX_KEPT_JOBS = 8  # folders of jobs that nobody has told to forget


@dataclass(slots=True)
class ModelShelf:
    """Applications that passed the graph guard, and the sessions made from them. Each is checked once per process."""

    folder: Path | None  # beside those that came with the installation
    inference: InferenceSetup = FLOAT_ON_CPU
    host_s: Callable[[], float] | None = None  # for the watchdog; None: runs are not timed
    _applications: dict[str, Application] = field(default_factory=dict)
    _opened: dict[tuple[str, int], Opened] = field(default_factory=dict)

    def application(self, name: str) -> Application:
        """Raises ApplicationUnknown and every error of load_application."""
        if name not in self._applications:
            self._applications[name] = self.inference.application(self._place(name))
        return self._applications[name]

    def opened(self, name: str, variant: int) -> Opened:
        """The graph of one variant, its hash verified, ready to run. Raises the errors of open_session."""
        if (name, variant) not in self._opened:
            self._opened[name, variant] = open_session(
                self.application(name),
                variant,
                self.inference.policy,
                self.inference.commissioned,
                host_s=self.host_s,
            )
        return self._opened[name, variant]

    def _place(self, name: str) -> Path:
        """A name is looked up, never taken for a path."""
        if self.folder is not None and (self.folder / name / MANIFEST_NAME).is_file():
            return self.folder / name
        known = applications()
        if name not in known:
            raise ApplicationUnknown(name, sorted(known))
        return known[name]


class PayloadJob:
    """A job being worked on. Raises, from its constructor and from step(), whatever makes it fail."""

    def __init__(
        self,
        order: InferOrder,
        *,
        work: Path,
        store: Path,
        ring: StripReader,
        shelf: ModelShelf,
        host_s: Callable[[], float],
        flow: Flow,
    ) -> None:
        """CaptureAbsent: the capture has not begun yet; the caller tries again later."""
        self.order = order
        application = shelf.application(order.application)  # checked while the capture is still awaited
        self._source = StripSource(store, order.capture, ring)
        try:
            meta = self._source.meta if order.meta is None else order.meta
            if meta.format != self._source.meta.format:
                raise LinesDiffer(order.capture)
            registration = registered(self._source, meta.register_to, meta.nodata)
            if registration is None:
                raise CaptureAbsent(order.capture)  # not enough of it to measure on
            lines, self.unregistered = registration.lines, registration.unregistered
            plan = plan_input(application, meta)
            area = (order.area,) if order.area else ()
            setup = engine_setup(application, plan, meta, dict(order.parameters), area)
            self.opened = shelf.opened(order.application, plan.variant)
            shifts = lines.digest() if isinstance(lines, RegisteredLines) else b""
            digest = hashlib.sha256(setup.digest() + order.capture + shifts).digest()
            self._checkpoint = Checkpoint(job_folder(work, order.job), digest, meta.columns)
        except BaseException:
            self._source.close()
            raise
        try:
            self._engine = Engine(setup, lines, self.opened.session, _keep_nothing, host_s, self._checkpoint, flow)
        except BaseException:
            self._source.close()
            self._checkpoint.close()
            raise
        self._width = meta.columns
        self._offered: dict[int, StripOffer] = {}
        self.finished = False
        # Nothing before the first unfinished tile row is read again; three tiles cover overlap and reflection.
        lines.release(max(0, self._engine.progress.rows_final - 3 * setup.grid.tile))

    @property
    def progress(self) -> Progress:
        return self._engine.progress

    def step(self) -> Step:
        """One tile of work; never waits."""
        step = self._engine.step()
        self.finished = step is Step.FINISHED
        return step

    def offers(self, slots: AnswerWriter, acked_strips: int) -> tuple[StripOffer, ...]:
        """The finished strips from `acked_strips` on, as many as there are slots, each lying in its slot."""
        strip_rows, rows_final = self.order.strip_rows, self._checkpoint.class_rows_kept
        if strip_rows * self._width > slots.slot_bytes:
            raise AnswerOutOfRange("bytes", strip_rows * self._width, slots.slot_bytes)
        offered = []
        for index in range(acked_strips, acked_strips + slots.slots):
            first = index * strip_rows
            count = min(strip_rows, rows_final - first)
            if count < 1 or (count < strip_rows and not self.finished):
                break
            slot = index % slots.slots
            found = self._offered.get(slot)
            if found is None or found.index != index:
                rows = self._checkpoint.class_rows(first, count)
                found = self._offered[slot] = slots.put(slot, self.order.job, index, first, rows)
            offered.append(found)
        return tuple(offered)

    def close(self) -> None:
        """Stop, and close the files. What was done stays in the job's folder."""
        self._engine.close()
        self._source.close()
        self._checkpoint.close()


def job_folder(work: Path, job: bytes) -> Path:
    """Where a job's work lies. Its id is 32 octets, so the name is 64 hexadecimal digits and nothing else."""
    return work / job.hex()


def forget_job(work: Path, job: bytes) -> None:
    """Delete what was kept of a job; nothing when there is nothing."""
    shutil.rmtree(job_folder(work, job), ignore_errors=True)


def bound_kept_jobs(work: Path, current: bytes) -> None:
    """Delete the work of the jobs untouched for longest, above MAX_KEPT_JOBS, never the current one's."""
    folders = sorted(
        (entry for entry in work.iterdir() if entry.is_dir() and len(entry.name) == 64 and entry.name != current.hex()),
        key=lambda entry: entry.stat().st_mtime_ns,
    )
    for folder in folders[: max(0, len(folders) - MAX_KEPT_JOBS + 1)]:
        shutil.rmtree(folder, ignore_errors=True)


def _keep_nothing(first_row: int, rows: NDArray[np.uint8]) -> None:
    """The checkpoint keeps the class rows; strips are read back from it."""
