"""The flight process's side of inference: strips of class rows are taken, checked, encoded and journalled, one a slot.

Nothing that the payload process says is believed but the class rows themselves, after the checks of AnswerReader.
Counts, regions and the encoding are made here. A strip is acknowledged when its record is durable, so a restart of
either process goes on with the next one and the product's body is the same to the octet.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from flight.pipeline.answer import STRIP_ROWS, plan_input, product_header
from flight.pipeline.answer_slots import AnswerGeometry
from flight.pipeline.capture_meta import CaptureMeta
from flight.pipeline.control import InferOrder, PayloadReport, StripOffer
from flight.pipeline.errors import PipelineError
from flight.product.container import ProductAssembler
from flight.services import cbor
from flight.services.journal_format import MAX_PAYLOAD_BYTES
from flight.services.records import RecordKind
from payload_models.errors import ApplicationUnknown
from payload_models.loader import Application

_CAPTURE, _META, _JOB, _INDEX, _STRIP = 0, 1, 2, 3, 4


class AnswerUnknown(PipelineError, KeyError):
    """A job or capture that nothing is known of here."""

    code = "answer_unknown"

    def __init__(self, what: str, identity: bytes) -> None:
        super().__init__(f"no {what} {identity.hex()[:16]} is known here")
        self.what, self.identity = what, identity.hex()

    def __str__(self) -> str:
        return str(self.args[0])


class Journal(Protocol):
    """Where strips are made durable."""

    def append(self, kind: RecordKind, payload: bytes) -> int: ...


class Reader(Protocol):
    """What takes an offered strip out of shared memory: flight.pipeline.answer_slots.AnswerReader."""

    def take(self, offer: StripOffer, geometry: AnswerGeometry) -> NDArray[np.uint8]: ...


@dataclass(slots=True)
class _Answer:
    """One job's class map under construction."""

    order: InferOrder
    assembler: ProductAssembler
    geometry: AnswerGeometry
    durable: int = 0  # strips whose records are durable
    waiting: list[int] = field(default_factory=list)  # sequence numbers of strips not yet durable, in order
    refused: int = 0  # offers that failed a check
    unwritten: bytes | None = None  # record of a strip that the journal had no room for


class AnswerDesk:
    """Jobs whose inference is under way, by job id."""

    def __init__(self, journal: Journal, reader: Reader, applications: dict[str, Application]) -> None:
        self._journal, self._reader, self._applications = journal, reader, applications
        self._metas: dict[bytes, CaptureMeta] = {}
        self._strips: dict[bytes, dict[int, bytes]] = {}  # replayed, until the job begins again
        self._answers: dict[bytes, _Answer] = {}
        self.skipped = 0  # records that made no sense

    def replay(self, payload: bytes) -> None:
        """One STRIP record of an earlier process. Nonsense is counted and passed over: what it held is made again."""
        try:
            content: dict[int, Any] = cbor.decode(payload, max_bytes=MAX_PAYLOAD_BYTES)
            if _META in content:
                self._metas[content[_CAPTURE]] = msgspec.msgpack.decode(content[_META], type=CaptureMeta)
            else:
                self._strips.setdefault(content[_JOB], {})[content[_INDEX]] = content[_STRIP]
        except (cbor.CborError, msgspec.DecodeError, KeyError, TypeError):
            self.skipped += 1

    def describe(self, capture: bytes, meta: CaptureMeta) -> None:
        """Keep and journal what the camera says of a capture, for it forgets. Raises JournalFull: say it again."""
        if capture not in self._metas:
            record = cbor.encode({_CAPTURE: capture, _META: msgspec.msgpack.encode(meta)})
            self._journal.append(RecordKind.STRIP, record)
            self._metas[capture] = meta

    def begin(
        self,
        *,
        job: bytes,
        capture: bytes,
        application: str,
        parameters: dict[str, float],
        area: tuple[tuple[float, float], ...],
        start_s: float,
        lines: int,
    ) -> None:
        """Open the answer to a job, going on with strips that were replayed. Raises AnswerUnknown, ModelError."""
        if job in self._answers:
            return
        meta = self._metas.get(capture)
        if meta is None:
            raise AnswerUnknown("capture", capture)
        app = self._applications.get(application)
        if app is None:
            raise ApplicationUnknown(application, tuple(self._applications))
        chosen = app.manifest.parameters(parameters)
        plan = plan_input(app, meta)
        header = product_header(
            app,
            plan,
            meta,
            chosen,
            job_id=job,
            capture_id=capture,
            start_s=start_s,
            height=lines,
            sigma_m=meta.gsd_m or 0.0,
        )
        assembler = ProductAssembler(header)
        kept = self._strips.pop(job, {})
        while assembler.strips in kept:
            assembler.load_strip(assembler.strips, kept[assembler.strips])
        order = InferOrder(
            job=job,
            capture=capture,
            application=application,
            parameters=chosen,
            area=area,
            acked_strips=0,
            strip_rows=STRIP_ROWS,
            meta=meta,
        )
        geometry = AnswerGeometry(job, meta.columns, STRIP_ROWS, lines, len(app.manifest.classes))
        self._answers[job] = _Answer(order, assembler, geometry, durable=assembler.strips)

    def order(self, job: bytes) -> InferOrder:
        """What to tell the payload process now: the job, and how many strips are safe. Raises AnswerUnknown."""
        answer = self._open(job)
        return msgspec.structs.replace(answer.order, acked_strips=answer.durable)

    def take(self, report: PayloadReport) -> bool:
        """Take the next strip of the report if it is offered: one strip, bounded work. True when one was taken.

        Raises the errors of AnswerReader.take and of ProductAssembler; the strip is then not taken.
        """
        answer = self._answers.get(report.job or b"")
        if answer is None:
            return False
        if answer.unwritten is not None:
            self._write(answer, answer.unwritten)
        wanted = answer.assembler.strips
        offer = next((offer for offer in report.strips if offer.index == wanted), None)
        if offer is None or wanted >= answer.assembler.header.strips:
            return False
        try:
            rows = self._reader.take(offer, answer.geometry)
            encoded = answer.assembler.add_strip(wanted, rows)
        except Exception:
            answer.refused += 1
            raise
        self._write(answer, cbor.encode({_JOB: answer.order.job, _INDEX: wanted, _STRIP: encoded}))
        return True

    def _write(self, answer: _Answer, record: bytes) -> None:
        """Journal one strip. Raises JournalFull; the strip is then written before the next one is taken."""
        answer.unwritten = record
        answer.waiting.append(self._journal.append(RecordKind.STRIP, record))
        answer.unwritten = None

    def made_durable(self, sequence: int) -> None:
        """The journal is durable up to `sequence`: acknowledge what that covers."""
        for answer in self._answers.values():
            while answer.waiting and answer.waiting[0] <= sequence:
                answer.waiting.pop(0)
                answer.durable += 1

    def whole(self, job: bytes) -> bool:
        """Whether every strip of the job is here and durable."""
        answer = self._answers.get(job)
        return answer is not None and answer.durable == answer.assembler.header.strips

    def refused(self, job: bytes) -> int:
        """How many offers of the job failed a check."""
        return self._open(job).refused

    def assembler(self, job: bytes) -> ProductAssembler:
        """The job's assembler. Raises AnswerUnknown."""
        return self._open(job).assembler

    def forget(self, job: bytes) -> None:
        """The job is answered or given up."""
        self._answers.pop(job, None)
        self._strips.pop(job, None)

    def _open(self, job: bytes) -> _Answer:
        if job not in self._answers:
            raise AnswerUnknown("job", job)
        return self._answers[job]
