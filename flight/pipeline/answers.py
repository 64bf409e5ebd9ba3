"""The flight process's side of inference: strips of class rows are taken, checked and journalled, then encoded.

Nothing that the payload process says is believed but the class rows themselves, after the checks of AnswerReader.
Counts, regions and the product's encoding are made here, a bounded number of pixels a slot. A strip is acknowledged
when its record (its run-length code, quick to make) is durable, so a restart of either process goes on with the next
one and the product's body is the same to the octet.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from bindings.mask import RunCodeInvalid, decode_runs, encode_runs
from flight.pipeline.answer import STRIP_ROWS, plan_input, product_header
from flight.pipeline.answer_slots import AnswerGeometry
from flight.pipeline.capture_meta import CaptureMeta
from flight.pipeline.control import InferOrder, PayloadReport, StripOffer
from flight.pipeline.errors import PipelineError
from flight.product.assembler import ProductAssembler
from flight.product.header import Content
from flight.product.mask import unknown_class
from flight.services import cbor
from flight.services.journal_format import MAX_PAYLOAD_BYTES
from flight.services.records import RecordKind
from payload_models.errors import ApplicationUnknown
from payload_models.loader import Application

_CAPTURE, _META, _JOB, _INDEX, _STRIP = 0, 1, 2, 3, 4
STEP_PIXELS = 1 << 15  # encoded in one slot: noise takes some 60 ns a pixel, a class map 2


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
    taken: int = 0  # strips whose rows are here
    rows: NDArray[np.uint8] | None = None  # taken and not yet encoded
    backlog: deque[bytes] = field(
        default_factory=deque
    )  # run-length codes of strips before them, of an earlier process
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
        contents: tuple[Content, ...] = tuple(Content),
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
            contents=contents,
        )
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
        answer = self._answers[job] = _Answer(order, ProductAssembler(header), geometry)
        kept = self._strips.pop(job, {})
        while answer.taken in kept and _unpacked(kept[answer.taken], answer.taken, geometry) is not None:
            answer.backlog.append(kept[answer.taken])
            answer.taken += 1
        answer.durable = answer.taken

    def order(self, job: bytes) -> InferOrder:
        """What to tell the payload process now: the job, and how many strips are safe. Raises AnswerUnknown."""
        answer = self._open(job)
        return msgspec.structs.replace(answer.order, acked_strips=answer.durable)

    def take(self, report: PayloadReport) -> bool:
        """Take the next strip of the report if it is offered: one strip, bounded work. True when one was taken.

        Nothing is taken while advance() has work. Raises the errors of AnswerReader.take; the strip is then not taken.
        """
        answer = self._answers.get(report.job or b"")
        if answer is None:
            return False
        if answer.unwritten is not None:
            self._write(answer, answer.unwritten)
        wanted = answer.taken
        offer = next((offer for offer in report.strips if offer.index == wanted), None)
        if offer is None or answer.rows is not None or answer.backlog or wanted >= _strips(answer):
            return False
        try:
            rows = self._reader.take(offer, answer.geometry)
        except Exception:
            answer.refused += 1
            raise
        encoded = encode_runs(rows, np.zeros(256, np.uint64))
        answer.taken, answer.rows = wanted + 1, rows
        self._write(answer, cbor.encode({_JOB: answer.order.job, _INDEX: wanted, _STRIP: encoded}))
        return True

    def advance(self, job: bytes) -> bool:
        """Encode some of the rows that were taken: at most STEP_PIXELS, or one row. False when all of them are."""
        answer = self._answers.get(job)
        if answer is None:
            return False
        if answer.rows is None:
            if not answer.backlog:
                return False
            index = answer.assembler.rows // answer.geometry.strip_rows
            answer.rows = _unpacked(answer.backlog.popleft(), index, answer.geometry)
            assert answer.rows is not None  # begin() has looked
        count = max(1, STEP_PIXELS // answer.geometry.width)
        answer.assembler.add(answer.assembler.rows, answer.rows[:count])
        answer.rows = answer.rows[count:] if count < len(answer.rows) else None
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
        """Whether every strip of the job is here, durable and encoded."""
        answer = self._answers.get(job)
        return (
            answer is not None
            and answer.durable == _strips(answer)
            and answer.assembler.rows == answer.assembler.header.height
        )

    def all_taken(self, job: bytes) -> bool:
        """Whether the payload process has no strip of the job left to hand over. Raises AnswerUnknown."""
        answer = self._open(job)
        return answer.taken == _strips(answer)

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


def _strips(answer: _Answer) -> int:
    """How many strips of rows the payload process hands over."""
    return -(-answer.assembler.header.height // answer.geometry.strip_rows)


def _unpacked(record: bytes, index: int, geometry: AnswerGeometry) -> NDArray[np.uint8] | None:
    """The rows of a journalled strip; None when it is not one of this answer."""
    rows = geometry.strip_rows
    if geometry.scene_rows is not None:
        rows = min(rows, geometry.scene_rows - index * rows)
    if rows < 1 or not isinstance(record, bytes):
        return None
    pixels, counts = np.empty((rows, geometry.width), np.uint8), np.zeros(256, np.uint64)
    try:
        decode_runs(record, pixels, counts)
    except RunCodeInvalid:
        return None
    return pixels if unknown_class(counts, geometry.classes) is None else None
