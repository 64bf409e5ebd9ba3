"""The payload process's decisions: orders in, one tile of work at a time, finished strips and a report out.

A job that fails is a state with a reason code; the process lives on and takes the next one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from bindings.errors import SwathError
from flight.pipeline.answer_slots import AnswerWriter
from flight.pipeline.control import (
    OUT_OF_MEMORY,
    ForgetOrder,
    IdleOrder,
    InferOrder,
    PayloadOrder,
    PayloadReport,
    StripOffer,
)
from flight.pipeline.engine import Step
from flight.pipeline.flow import ONE_CORE, Flow
from flight.pipeline.payload_job import ModelShelf, PayloadJob, bound_kept_jobs, forget_job
from flight.pipeline.peak_memory import peak_rss_mb
from flight.pipeline.process_errors import CaptureAbsent
from flight.pipeline.strip_buffer import StripReader
from payload_models.runtime.codes import ProviderCode
from payload_models.runtime.errors import ProviderMissing


class Payload:
    """At most one job at a time; the newest order says which."""

    def __init__(
        self,
        *,
        work: Path,
        store: Path,
        ring: StripReader,
        slots: AnswerWriter,
        shelf: ModelShelf,
        host_s: Callable[[], float],
        flow: Flow = ONE_CORE,
    ) -> None:
        self._work, self._store, self._ring, self._slots = work, store, ring, slots
        self._shelf, self._host_s, self._flow = shelf, host_s, flow
        work.mkdir(parents=True, exist_ok=True)
        self._order: InferOrder | None = None
        self._job: PayloadJob | None = None
        self._state: Literal["idle", "running", "done", "failed"] = "idle"
        self._reason = ""
        self._missing: ProviderCode | None = None
        self._strips: tuple[StripOffer, ...] = ()

    def obey(self, order: PayloadOrder) -> None:
        """Take one order. Repeats of the order in work change only what has been acknowledged."""
        match order:
            case InferOrder():
                if self._order is None or not order.same_job(self._order):
                    self._drop()
                    bound_kept_jobs(self._work, order.job)
                    self._state = "running"
                self._order = order
            case IdleOrder():
                self._drop()
            case ForgetOrder():
                if self._order is not None and self._order.job == order.job:
                    self._drop()
                forget_job(self._work, order.job)

    @property
    def is_starved(self) -> bool:
        """Whether there was no memory: what was done is kept, and a process that begins anew goes on from there."""
        return self._state == "failed" and self._reason == OUT_OF_MEMORY

    def step(self) -> bool:
        """Do one tile of work, and put finished strips into free slots. False when there is nothing to do now."""
        if self._order is None or self._state == "failed":
            return False
        try:
            worked = self._work_on(self._order)
            if self._job is not None:
                self._strips = self._job.offers(self._slots, self._order.acked_strips)
        except CaptureAbsent:
            return False  # the camera process has not begun it yet, or the capture ended before it began
        except Exception as error:
            # A model, a scene or a disk that is not as it should be ends this job and nothing else.
            self._fail(error)
            return False
        return worked

    def report(self, incarnation: int) -> PayloadReport:
        """The state, as it goes to the flight process."""
        peak_mb = float(round(peak_rss_mb()))
        job = self._order.job if self._order is not None else None
        if self._job is None:
            return PayloadReport(
                incarnation=incarnation,
                state=self._state,
                job=job,
                reason=self._reason,
                missing=self._missing,
                peak_rss_mb=peak_mb,
            )
        progress, opened = self._job.progress, self._job.opened
        return PayloadReport(
            incarnation=incarnation,
            state=self._state,
            job=job,
            reason=self._reason,
            fallbacks=opened.fallbacks,
            provider=opened.provider,
            unregistered=self._job.unregistered,
            tiles_total=progress.tiles_total or 0,
            tiles_done=progress.tiles_done,
            tiles_screened=progress.tiles_screened,
            tiles_inferred=progress.tiles_inferred,
            rows_final=progress.rows_final,
            nodata_pixels=progress.no_answer_pixels,
            confidence=min(1.0, max(0.0, progress.confidence)),
            inference_s=max(0.0, progress.inference_s),
            peak_rss_mb=peak_mb,
            strips=self._strips,
        )

    def close(self) -> None:
        """Stop where it is; another process goes on at the next tile."""
        self._drop()

    def _work_on(self, order: InferOrder) -> bool:
        if self._job is None:
            self._job = PayloadJob(
                order,
                work=self._work,
                store=self._store,
                ring=self._ring,
                shelf=self._shelf,
                host_s=self._host_s,
                flow=self._flow,
            )
        if self._state == "done":
            return False
        step = self._job.step()
        if step is Step.FINISHED:
            self._state = "done"
        return step is not Step.WAITING

    def _drop(self) -> None:
        if self._job is not None:
            self._job.close()
        self._job, self._order, self._state, self._reason, self._strips = None, None, "idle", "", ()
        self._missing = None

    def _fail(self, error: Exception) -> None:
        print(f"payload: {type(error).__name__}: {error}", file=sys.stderr)
        if self._job is not None:
            self._job.close()
        self._job, self._strips = None, ()
        self._state = "failed"
        if isinstance(error, ProviderMissing):
            self._missing = ProviderCode[error.provider.upper()]
        if isinstance(error, SwathError):
            self._reason = error.code[:48]
        else:
            self._reason = OUT_OF_MEMORY if isinstance(error, MemoryError) else "payload_error"
