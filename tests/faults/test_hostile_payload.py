"""A hostile payload process, and a hostile camera, against the real flight process: what they can make leave the radio.

Each attack is a function that is called in place of the payload process, with the real control endpoint and the real
answer memory in its hands. After each one: every octet that was transmitted is explained by a declaration, no run of 8
octets of the strip is among them, nothing on board raised or is disabled, and an honest process that takes over
answers the next honest job.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import msgspec
import numpy as np
import pytest
import zmq
from numpy.typing import NDArray

from bindings.crc import crc16_ccitt, crc32c
from bindings.errors import SwathError
from flight.agent.component import GATE
from flight.agent.effects import Tick
from flight.agent.reasons import Reason
from flight.agent.states import JobState
from flight.flight_process import GROUND_ENTITY, entity_of
from flight.link.apids import Apid
from flight.link.cfdp.pdu import FileData, Nak, Transaction
from flight.link.cfdp.pdu import encode as encode_unit
from flight.link.packet import SequenceCounters
from flight.link.tm_frame import TmFramer
from flight.pipeline.answer_slots import HEAD_BYTES, AnswerGeometry, AnswerReader, AnswerWriter, create_answer_memory
from flight.pipeline.answers import STEP_PIXELS, AnswerDesk
from flight.pipeline.component import FELL_BACK, INFERENCE, NOT_REGISTERED, PROVIDER_MISSING
from flight.pipeline.control import MAX_FALLBACKS, CameraReport, PayloadReport, StripOffer, Unregistered, encode
from flight.pipeline.process_errors import AnswerClassInvalid, AnswerCorrupt, AnswerOutOfRange, AnswerStale
from flight.product.assembler import ProductAssembler
from flight.product.header import Content
from flight.services.records import RecordKind
from flight.services.telemetry import TelemetryPacket
from payload_models.loader import application_number
from payload_models.runtime.codes import Fallback, ProviderCode
from tests.faults.hostile_bench import HostileBench, MemoryJournal, water
from tests.faults.hostile_ground import BYTE_BUDGET, T0
from tests.faults.hostile_peers import (
    BANDS,
    LINES,
    META,
    STRIP_ROWS,
    WIDTH,
    Camera,
    Payload,
    class_rows,
    honest,
    offers,
    raw_strip,
)
from tests.faults.hostile_tap import FRAME_BYTES, SPACECRAFT, Unexplained, explain, leaks

RAW = raw_strip()
ROWS = class_rows()
GIVEN_UP = (JobState.FAILED, Reason.INFERENCE_FAILED)
SHORT = {"latest_s": T0 + 300, "deadline_s": T0 + 400, "expires_s": T0 + 4000}
Act = Callable[[Payload], None]


def put_raw(payload: Payload, octets: NDArray[np.uint8], index: int = 0, **changes: int) -> StripOffer:
    """An offer whose head and CRC are as they should be, whatever the octets are."""
    assert payload.order is not None
    first = index * STRIP_ROWS
    rows = min(STRIP_ROWS, LINES - first) if first < LINES else STRIP_ROWS
    block = np.resize(octets.reshape(-1), (rows, WIDTH))
    offer = payload.slots.put(index % payload.slots.slots, payload.order.job, index, first, block)
    return msgspec.structs.replace(offer, **changes)


def always(make: Callable[[Payload], StripOffer | tuple[StripOffer, ...]]) -> Act:
    """Offer this whenever there is a job."""

    def act(payload: Payload) -> None:
        if payload.order is None:
            return payload.say()
        made = make(payload)
        return payload.say(strips=made if isinstance(made, tuple) else (made,), rows_final=payload.steps)

    return act


def pixels_in_order(payload: Payload) -> tuple[StripOffer, ...]:
    """All lines of all bands, as if they were class rows."""
    assert payload.order is not None
    acked = payload.order.acked_strips
    return tuple(put_raw(payload, RAW.reshape(-1)[acked * 100 :], index) for index in range(acked, acked + 3))


def crc_of_the_pixels_before_the_classes(payload: Payload) -> StripOffer:
    """Honest rows in the slot, offered with the CRC of the pixels that lay there."""
    return put_raw(payload, ROWS, crc32c=crc32c(np.ascontiguousarray(RAW[:STRIP_ROWS, :, 0]).data))


def wrong_octets_under_an_honest_head(payload: Payload) -> StripOffer:
    offer = put_raw(payload, ROWS)
    payload.slots._rows[offer.slot, :WIDTH] = RAW[0, :, 0]
    return offer


REFUSED: dict[str, Callable[[Payload], StripOffer | tuple[StripOffer, ...]]] = {
    "pixels as class rows": lambda payload: put_raw(payload, RAW),
    "pixels in order, strip by strip": pixels_in_order,
    "one pixel among the classes": lambda payload: put_raw(payload, np.where(np.arange(ROWS.size) == 77, 200, 0)),
    "the first class that is none": lambda payload: put_raw(payload, np.full(10, 2)),
    "the last class that is none": lambda payload: put_raw(payload, np.full(10, 254)),
    "a CRC of something else": crc_of_the_pixels_before_the_classes,
    "pixels under an honest head": wrong_octets_under_an_honest_head,
    "an old generation": lambda payload: put_raw(payload, ROWS, generation=0),
    "a generation to come": lambda payload: put_raw(payload, ROWS, generation=1 << 60),
    "another first row": lambda payload: put_raw(payload, ROWS, first_row=64),
    "fewer rows": lambda payload: put_raw(payload, ROWS, rows=1),
    "more rows": lambda payload: put_raw(payload, ROWS, rows=4096),
    "no rows": lambda payload: put_raw(payload, ROWS, rows=0),
    "no such slot": lambda payload: put_raw(payload, ROWS, slot=4096),
    "the slot behind the last": lambda payload: put_raw(payload, ROWS, slot=payload.slots.slots),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_strip_that_is_no_class_map_of_the_job_is_refused(tmp_path: Path, name: str) -> None:
    with HostileBench(tmp_path, always(REFUSED[name])) as bench:
        job_id = bench.order(bench.ground.job())
        bench.run_until(lambda: bench.ended(job_id))
        assert bench.answer(job_id) == GIVEN_UP
        assert bench.process.desk.strips_refused > 0
        assert not any(
            kind is RecordKind.STRIP and b"\x04" in payload[:64] and len(payload) > 1000
            for kind, payload in bench.journal.records
        )
        heard = bench.check(RAW)
        assert heard.units == 0 and heard.alerts == 0
        bench.serves()
        bench.check(RAW)


def beyond(payload: Payload) -> tuple[StripOffer, ...]:
    """All honest strips, and then ones that lie behind the scene's last line."""
    behind = [
        StripOffer(index=index, slot=0, generation=1, first_row=index * STRIP_ROWS, rows=STRIP_ROWS, crc32c=0)
        for index in (4, 5, 1_000_000)
    ]
    return (*offers(payload, ROWS), *behind)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tiles_total": 1 << 40, "tiles_done": 1 << 40, "tiles_screened": 1 << 40, "tiles_inferred": 1 << 40},
        {"tiles_total": 0, "tiles_done": 0, "tiles_screened": 9, "tiles_inferred": 9},
        {"rows_final": 1 << 31, "nodata_pixels": 1 << 40},
        {"confidence": 1.0, "inference_s": 0.0, "peak_rss_mb": 1e7},
        {"reason": "all_is_well"},
    ],
    ids=lambda changes: ",".join(changes) or "strips beyond the scene",
)
def test_lies_about_an_honest_map_change_nothing_but_the_numbers_of_the_lie(
    tmp_path: Path, changes: dict[str, int | float]
) -> None:
    def act(payload: Payload) -> None:
        if payload.order is None:
            return payload.say()
        done = payload.order.acked_strips * STRIP_ROWS >= LINES
        strips = beyond(payload) if not changes else offers(payload, ROWS)
        return payload.say(state="done" if done else "running", strips=strips, **changes)

    with HostileBench(tmp_path, act) as bench:
        job_id = bench.order(bench.ground.job())
        bench.run_until(lambda: bench.ended(job_id))
        assert bench.answer(job_id) == (JobState.DELIVERED, Reason.NONE), bench.situation()
        product, container = bench.opened(job_id)
        assert np.array_equal(product.mask(), ROWS)
        product.check_content()  # counts and regions are ours, from the rows
        coverage = product.coverage
        assert coverage.tiles_screened + coverage.tiles_inferred <= coverage.tiles_total
        assert (coverage.lines, coverage.nodata_pixels) == (LINES, int((ROWS == 255).sum()))
        assert len(container) < 2000
        bench.check(RAW)
        bench.serves()


def test_a_map_over_the_byte_budget_is_refused_whole(tmp_path: Path) -> None:
    noise = np.random.default_rng(5).choice(np.array([0, 1, 255], np.uint8), (LINES, WIDTH))
    with HostileBench(tmp_path, honest(noise)) as bench:
        job_id = bench.order(bench.ground.job(byte_budget=BYTE_BUDGET // 3))
        bench.run_until(lambda: bench.ended(job_id))
        assert bench.answer(job_id) == (JobState.FAILED, Reason.PRODUCT_REFUSED)
        heard = bench.check(RAW)
        assert heard.units == 0 and heard.alerts == 0 and heard.files == {}
        assert not any(kind is RecordKind.PRODUCT for kind, _ in bench.journal.records)
        bench.serves()


def test_pixels_written_as_a_class_map_cost_their_bytes_and_end_at_the_budget(tmp_path: Path) -> None:
    """The limit of what checks can do: a class map may say anything in its classes, and its budget says how much."""
    bits = np.unpackbits(RAW.reshape(-1))[: LINES * WIDTH].reshape(LINES, WIDTH)
    with HostileBench(tmp_path, honest(bits)) as bench:
        wide = bench.order(bench.ground.job(1, byte_budget=BYTE_BUDGET // 3))
        bench.run_until(lambda: bench.ended(wide))
        assert bench.answer(wide) == (JobState.FAILED, Reason.PRODUCT_REFUSED)
        assert bench.check(RAW).units == 0


def test_done_before_any_strip_ends_at_the_deadline_with_nothing_sent(tmp_path: Path) -> None:
    def act(payload: Payload) -> None:
        payload.say(state="done" if payload.order else "idle", tiles_done=9, tiles_total=9, confidence=1.0)

    with HostileBench(tmp_path, act) as bench:
        job_id = bench.order(bench.ground.job(**SHORT))
        bench.run_until(lambda: bench.state(job_id) is JobState.PROCESSING)
        bench.run(300)
        assert bench.state(job_id) is JobState.PROCESSING
        bench.clock.advance_to(T0 + 401)
        bench.run_until(lambda: bench.ended(job_id))
        assert bench.answer(job_id) == (JobState.EXPIRED, Reason.DEADLINE_PASSED)
        assert bench.check(RAW).units == 0
        bench.serves()


def test_a_job_without_end_ends_at_its_compute_budget(tmp_path: Path) -> None:
    def act(payload: Payload) -> None:
        if payload.order is None:
            return payload.say()
        return payload.say(strips=offers(payload, ROWS)[:1], inference_s=payload.steps * 5.0)

    with HostileBench(tmp_path, act) as bench:
        job_id = bench.order(bench.ground.job())
        bench.run_until(lambda: bench.ended(job_id))
        assert bench.answer(job_id) == (JobState.FAILED, Reason.OVER_COMPUTE)
        assert bench.check(RAW).units == 0
        bench.serves()


def test_failing_over_and_over_ends_the_job(tmp_path: Path) -> None:
    with HostileBench(tmp_path, lambda payload: payload.say(state="failed", reason=f"r{payload.steps}")) as bench:
        job_id = bench.order(bench.ground.job())
        bench.run_until(lambda: bench.ended(job_id))
        assert bench.answer(job_id) == GIVEN_UP
        assert bench.check(RAW).units == 0
        bench.serves()


def test_fall_backs_that_are_said_again_and_again_are_told_once_a_job_and_never_of_another(tmp_path: Path) -> None:
    """Every reason there is, in turns, on every provider, of this job and of others: as many events as reasons."""
    reasons, providers = tuple(Fallback), tuple(ProviderCode)

    def act(payload: Payload) -> None:
        if payload.order is None:
            return payload.say(missing=ProviderCode.ACL, unregistered=Unregistered.NO_TEXTURE)
        turn, step = divmod(payload.steps, 3)  # not two: only every second frame hears
        own = step != 0
        return payload.say(
            job=payload.order.job if own else b"o" * 32,
            fallbacks=(reasons[turn % len(reasons)],) * MAX_FALLBACKS,
            provider=providers[turn % len(providers)],
            missing=providers[turn % 3] if own else ProviderCode.ACL,
            unregistered=Unregistered.NO_TEXTURE,
            rows_final=payload.steps,
        )

    with HostileBench(tmp_path, act) as bench:
        job = bench.ground.job(**SHORT)
        job_id = bench.order(job)
        bench.run_until(lambda: bench.state(job_id) is JobState.PROCESSING)
        for _ in range(600):
            bench.step()
            time.sleep(0.001)
        bench.clock.advance_to(T0 + 401)
        bench.run_until(lambda: bench.ended(job_id))
        bench.run(200)
        heard = [record for record in bench.check(RAW).events if record.component == INFERENCE.number]
        about = (int.from_bytes(job_id[:4], "big"), application_number(job.application))
        assert all(record.values[:2] == about for record in heard)
        told = [(record.number, record.values[2]) for record in heard]
        assert len(set(told)) == len(told)
        assert {value for number, value in told if number == FELL_BACK.number} == {int(reason) for reason in reasons}
        assert {value for number, value in told if number == PROVIDER_MISSING.number} == {1, 2, 3}
        assert (NOT_REGISTERED.number, Unregistered.NO_TEXTURE) in told
        assert bench.process.events.squelched == 0
        bench.serves()


def test_reports_of_other_jobs_are_not_heard(tmp_path: Path) -> None:
    def act(payload: Payload) -> None:
        job = payload.order.job if payload.order else bytes(32)
        other = bytes(octet ^ 1 for octet in job)
        strips = (put_raw(payload, ROWS),) if payload.order else ()
        payload.say(job=other, state=("failed", "done", "running")[payload.steps % 3], strips=strips, confidence=1.0)

    with HostileBench(tmp_path, act) as bench:
        job_id = bench.order(bench.ground.job(**SHORT))
        bench.run_until(lambda: bench.state(job_id) is JobState.PROCESSING)
        bench.run(200)
        assert bench.state(job_id) is JobState.PROCESSING and bench.process.desk.strips_refused == 0
        bench.clock.advance_to(T0 + 401)
        bench.run_until(lambda: bench.ended(job_id))
        assert bench.check(RAW).units == 0
        bench.serves()


# --- the control socket ----------------------------------------------------------------------------------------------


def report(**fields: object) -> bytes:
    honest_one = {"op": "payload", "incarnation": 1, "state": "running"}
    return bytes(msgpack.packb({**honest_one, **fields}))


MESSAGES: list[list[bytes]] = [
    [report(confidence=math.nan)],
    [report(confidence=math.inf)],
    [report(confidence=1.5)],
    [report(inference_s=math.nan)],
    [report(inference_s=-1.0)],
    [report(reason="the pixels are: " + RAW[0].tobytes().hex()[:400])],
    [report(reason="ab cd")],
    [report(reason=RAW[0, :8].tobytes())],
    [report(job=RAW[0].tobytes()[:40])],
    [report(job="text")],
    [report(tiles_done=-1)],
    [report(tiles_done=1 << 60)],
    [report(tiles_done=1.5)],
    [report(pixels=RAW[:10].tobytes())],
    [report(strips=[[0, 0, 0, 0, 0, 0]] * 65)],
    [report(strips=[{"index": -1}])],
    [report(state="commanding")],
    [report(incarnation=-5)],
    [report(op="camera")],
    [msgpack.packb({"op": "infer", "job": bytes(32)})],
    [report(reason="a" * 70_000)],
    [RAW.tobytes()[:60_000]],
    [RAW.tobytes()[:100_000]],
    [b""],
    [],
    [b"\xc1"],
    [b"\x91" * 60_000],
    [report(), report()],
    [b"x"] * 500,
]


def test_messages_that_are_no_report_are_counted_and_nothing_else(tmp_path: Path) -> None:
    def act(payload: Payload) -> None:
        for frames in MESSAGES[payload.steps % len(MESSAGES) :][:3]:
            if frames:
                with contextlib.suppress(zmq.Again):
                    payload.peer._socket.send_multipart(frames, zmq.NOBLOCK)
        if payload.steps % 50 == 0:
            payload.say()

    with HostileBench(tmp_path, act) as bench:
        job_id = bench.order(bench.ground.job(**SHORT))
        bench.run_until(lambda: bench.state(job_id) is JobState.PROCESSING)
        bench.run_until(lambda: bench.process.desk._payload.refused > 200)
        bench.clock.advance_to(T0 + 401)
        bench.run_until(lambda: bench.ended(job_id))
        assert bench.check(RAW).units == 0
        bench.serves()


def test_random_octets_on_the_control_socket_hurt_nobody(tmp_path: Path) -> None:
    """Below the message layer too: what speaks no ZMTP at the path is the socket library's to refuse."""
    draw = np.random.default_rng(11)
    with HostileBench(tmp_path, lambda payload: payload.say()) as bench:
        for _ in range(20):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
                stream.connect(str(bench.paths.root / "payload.ipc"))
                stream.setblocking(False)
                with contextlib.suppress(OSError):
                    stream.send(draw.integers(0, 256, int(draw.integers(1, 9000)), dtype=np.uint8).tobytes())
            bench.run(5)
        bench.serves()
        bench.check(RAW)


def test_a_flood_of_offers_costs_a_bounded_part_of_a_frame(tmp_path: Path) -> None:
    def act(payload: Payload) -> None:
        if payload.order is None:
            return payload.say()
        offer = StripOffer(index=9, slot=0, generation=1, first_row=576, rows=64, crc32c=0)
        for number in range(60):
            flood = PayloadReport(
                incarnation=payload.peer.incarnation,
                state="running",
                job=payload.order.job,
                rows_final=payload.steps * 60 + number,
                strips=(offer,) * 64,
            )
            try:
                payload.peer._socket.send(encode(flood), zmq.NOBLOCK)
            except zmq.Again:
                break
        return None

    with HostileBench(tmp_path, act) as bench:
        job_id = bench.order(bench.ground.job(**SHORT))
        bench.run_until(lambda: bench.state(job_id) is JobState.PROCESSING)
        server = bench.process.desk._payload
        taken: list[int] = []
        plain = server.poll
        server.poll = lambda now_s: _counted(plain(now_s), taken)  # type: ignore[method-assign]
        for _ in range(500):
            bench.step()
            time.sleep(0.001)
        assert sum(taken) > 500 and max(taken) <= 32
        bench.clock.advance_to(T0 + 401)
        bench.run_until(lambda: bench.ended(job_id))
        assert bench.check(RAW).units == 0
        bench.serves()


def _counted(reports: list[PayloadReport], taken: list[int]) -> list[PayloadReport]:
    taken.append(len(reports))
    return reports


def test_a_flood_of_progress_does_not_stop_the_agent_s_time(tmp_path: Path) -> None:
    """Each report claims a little more compute time, one for every poll: deadlines must pass all the same."""
    ticks: list[float] = []

    def act(payload: Payload) -> None:
        payload.say(inference_s=payload.steps * 1e-6 if payload.order else 0.0)

    with HostileBench(tmp_path, act) as bench:
        job_id = bench.order(bench.ground.job(**SHORT))
        bench.run_until(lambda: bench.state(job_id) is JobState.PROCESSING)
        agent = bench.process.agent
        handle = agent.handle
        agent.handle = lambda happened, now_s: _ticked(happened, now_s, handle, ticks)  # type: ignore[method-assign,no-untyped-call]
        begun = bench.clock.host_s()
        for _ in range(400):
            bench.step()
            time.sleep(0.001)
        assert len(ticks) > 10 * (bench.clock.host_s() - begun)
        bench.clock.advance_to(T0 + 401)
        bench.run_until(lambda: bench.ended(job_id))
        bench.check(RAW)
        bench.serves()


def _ticked(happened, now_s, handle, ticks):  # type: ignore[no-untyped-def]
    if isinstance(happened, Tick):
        ticks.append(now_s)
    return handle(happened, now_s)


def test_no_incarnation_shuts_out_the_next_process(tmp_path: Path) -> None:
    def act(payload: Payload) -> None:
        payload.peer.incarnation = int(payload.now_s * 1e6) + (0, 1, 1000, 999_999, 1 << 50)[payload.steps % 5]
        payload.say(reason=f"n{payload.steps}")

    with HostileBench(tmp_path, act) as bench:
        bench.run(10)
        for _ in range(50):
            bench.step()
            time.sleep(0.001)
        bench.serves()
        bench.check(RAW)


# --- shared memory under the reader's hands --------------------------------------------------------------------------

HAMMER = """
import mmap, os, sys
import numpy as np
descriptor, first, size, parent = (int(word) for word in sys.argv[1:])
slot = np.frombuffer(mmap.mmap(descriptor, os.fstat(descriptor).st_size), np.uint8)[first : first + size]
pixels = np.random.default_rng(7).integers(0, 256, size, dtype=np.uint8)
print("ready", flush=True)
while os.getppid() == parent:
    honest = slot.copy()
    for _ in range(6):
        slot[:] = pixels
    slot[:] = honest
    slot[:] = honest
"""


@contextlib.contextmanager
def hammered(bench: HostileBench) -> Iterator[None]:
    """Another process writes pixels over slot 0 and back what was there, without pause."""
    size = STRIP_ROWS * WIDTH
    words = (bench.answer_fd, HEAD_BYTES * (1 + bench.payloads[0].slots.slots), size, os.getpid())
    hammer = subprocess.Popen(
        [sys.executable, "-c", HAMMER, *map(str, words)], pass_fds=(bench.answer_fd,), stdout=subprocess.PIPE
    )
    assert hammer.stdout is not None
    try:
        assert hammer.stdout.readline() == b"ready\n"
        yield
    finally:
        hammer.kill()
        hammer.wait()
        hammer.stdout.close()


def test_memory_rewritten_during_the_copy_gives_the_offered_rows_or_none(tmp_path: Path) -> None:
    def act(payload: Payload) -> None:
        order = payload.order
        if order is None:
            return payload.say()
        first = order.acked_strips * STRIP_ROWS
        if first >= LINES:
            return payload.say(state="done")
        offer = payload.slots.put(0, order.job, order.acked_strips, first, ROWS[first : first + STRIP_ROWS])
        return payload.say(strips=(offer,), rows_final=payload.steps)

    with HostileBench(tmp_path, act) as bench:
        with hammered(bench):
            job_id = bench.order(bench.ground.job())
            bench.run_until(lambda: bench.ended(job_id))
        # whether the hammer hits a copy is a matter of luck here; the next test goes on until it has
        assert bench.answer(job_id) in (GIVEN_UP, (JobState.DELIVERED, Reason.NONE))
        if bench.products:
            assert np.array_equal(bench.opened(job_id)[0].mask(), ROWS)
        bench.check(RAW)
        bench.serves()


def test_no_copy_under_the_hammer_is_anything_but_the_offered_rows(tmp_path: Path) -> None:
    geometry = AnswerGeometry(b"j" * 32, WIDTH, STRIP_ROWS, LINES, 2)
    block, taken, refused = ROWS[:STRIP_ROWS], 0, 0
    with HostileBench(tmp_path, lambda payload: payload.say()) as bench, hammered(bench):
        reader = AnswerReader(bench.answer_fd)
        end_s = time.monotonic() + 15.0
        while (refused < 10 or not taken) and time.monotonic() < end_s:
            offer = bench.payloads[0].slots.put(0, geometry.job, 0, 0, block)
            try:
                assert np.array_equal(reader.take(offer, geometry), block)
                taken += 1
            except (AnswerCorrupt, AnswerClassInvalid, AnswerStale, AnswerOutOfRange):
                refused += 1
        reader.close()
    assert taken and refused, (taken, refused)


def test_a_strip_of_more_than_a_megabyte_comes_back_after_a_restart(tmp_path: Path) -> None:
    """The worst class map for the code, as wide as a slot takes: its record must be one that replay reads."""
    width = 16_384
    meta = msgspec.structs.replace(META, columns=width)
    fd = create_answer_memory(2, 1 << 20)
    writer, journal = AnswerWriter(fd), MemoryJournal()
    desk = AnswerDesk(journal, AnswerReader(fd), {"water": water()})
    about: dict[str, Any] = {
        "job": b"j" * 32,
        "capture": b"c" * 16,
        "application": "water",
        "parameters": {},
        "area": (),
        "contents": tuple(Content),
    }
    desk.describe(b"c" * 16, meta)
    desk.begin(**about, start_s=0.0, lines=128)
    rows = np.tile(np.array([0, 1], np.uint8), (64, width // 2))
    offer = writer.put(0, b"j" * 32, 0, 0, rows)
    running = PayloadReport(incarnation=1, state="running", job=b"j" * 32, strips=(offer,))
    assert desk.take(running)
    assert max(len(payload) for _, payload in journal.records) > 1 << 20
    restarted = AnswerDesk(journal, AnswerReader(fd), {"water": water()})
    for _, payload in journal.records:
        restarted.replay(payload)
    restarted.replay(b"nonsense")
    restarted.begin(**about, start_s=0.0, lines=128)
    assert restarted.skipped == 1
    assert restarted.order(b"j" * 32).acked_strips == 1
    steps = 0
    while restarted.advance(b"j" * 32):
        steps += 1
    assert steps == 64 * width // STEP_PIXELS  # never more in one slot
    assert restarted.assembler(b"j" * 32).rows == 64


# --- a peer that says it is the camera -------------------------------------------------------------------------------

LYING_METAS: dict[str, dict[str, object]] = {
    "no place": {"transform": None, "epsg": None},
    "a place that is no place": {"transform": (0.0,) * 6, "epsg": 32612},
    "far away": {"transform": (1e300, 1e300, 1e300, 1e300, -1e300, 1e300), "epsg": 3857},
    "at the pole": {"transform": (1e3, 0.0, 0.0, 0.0, -1e3, 9e6), "epsg": 32661},
    "another number": {"epsg": 999_999},
    "wide": {"columns": 60_000},
    "narrow": {"columns": 1},
    "text for a sensor": {"sensor": "pixels" * 5},
    "slow": {"line_rate_hz": 5e-324},
    "fast": {"line_rate_hz": 1e9},
    "tiny scale": {"scale": (1e-308,) * BANDS},
    "bands that do not fit": {"band_common": ("",) * BANDS, "band_centre_nm": (None,) * BANDS},
    "raw numbers": {"radiometry": "dn"},
}


@pytest.mark.parametrize("name", LYING_METAS)
@pytest.mark.parametrize("lines", [LINES, 1 << 31])
def test_a_camera_that_lies_gets_its_job_an_end_and_stops_nothing(tmp_path: Path, name: str, lines: int) -> None:
    meta = msgspec.structs.replace(META, **LYING_METAS[name])

    def act(payload: Payload) -> None:
        if payload.order is None:
            return payload.say()
        block = np.zeros((min(lines, STRIP_ROWS), min(meta.columns, 1000)), np.uint8)
        strips: tuple[StripOffer, ...] = ()
        if payload.order.acked_strips == 0:
            strips = (payload.slots.put(0, payload.order.job, 0, 0, block),)
        return payload.say(state="done" if not strips else "running", strips=strips, rows_final=payload.steps)

    with HostileBench(tmp_path, act) as bench:
        bench.replace_camera(lambda endpoint, incarnation: LyingCamera(endpoint, incarnation, lines, meta))
        job_id = bench.order(bench.ground.job(**SHORT))
        bench.run_until(lambda: bench.ended(job_id) or bench.state(job_id) is JobState.PROCESSING)
        bench.run(200)
        if not bench.ended(job_id):
            bench.clock.advance_to(T0 + 4001)
        bench.run_until(lambda: bench.ended(job_id))
        bench.check(RAW)
        bench.replace_camera()
        bench.serves()


class LyingCamera(Camera):
    """Says at once that any capture is done."""

    def __init__(self, endpoint: str, incarnation: int, lines: int, meta: object) -> None:
        super().__init__(endpoint, incarnation)
        self.lies = {"lines": lines, "lost": 0, "meta": meta}

    def step(self, clock) -> None:  # type: ignore[no-untyped-def]
        for order in self.peer.orders(0.0):
            self.order = order if hasattr(order, "start_s") else None  # type: ignore[assignment]
        capture = self.order.capture if self.order else None
        state = "done" if capture else "idle"
        said = CameraReport(incarnation=self.peer.incarnation, state=state, capture=capture, **self.lies)  # type: ignore[arg-type]
        self.peer.report(said, clock.host_s())


# --- the instruments themselves --------------------------------------------------------------------------------------


def test_the_search_for_pixels_finds_them() -> None:
    line = RAW[17]
    assert leaks([bytes(100) + line[:3].tobytes()[:8] + bytes(50)], RAW) == 1
    assert leaks([bytes(100) + np.ascontiguousarray(line[:, 1])[:8].tobytes() + bytes(50)], RAW) == 1
    assert leaks([bytes(2000), b"\x55" * 2000, np.random.default_rng(1).bytes(100_000)], RAW) == 0


def test_the_account_of_the_frames_finds_what_is_not_declared(tmp_path: Path) -> None:
    with HostileBench(tmp_path, honest(ROWS)) as bench:
        bench.serves()
        keys, packets = bench.ground.keys, SequenceCounters()
        assert explain(bench.radio.frames, keys).units > 0
        entity, pixels = entity_of(SPACECRAFT), RAW[0].tobytes()
        other = Transaction(entity, 999, GROUND_ENTITY)
        for apid, octets in {
            "an unknown kind": (Apid.JOB, pixels[:100]),
            "pixels as telemetry": (Apid.TELEMETRY, pixels[:100]),
            "pixels behind telemetry": (
                Apid.TELEMETRY,
                TelemetryPacket.of(GATE, 0.0, **bench.process.gate.telemetry()).pack() + pixels[:8],
            ),
            "pixels as an event": (Apid.EVENT, pixels[:40]),
            "pixels as a status": (Apid.STATUS, pixels[:16]),
            "pixels as an alert": (Apid.ALERT, pixels[:48]),
            "pixels as a unit": (Apid.CFDP, pixels[:400]),
            "a file of no name": (Apid.CFDP, encode_unit(other, FileData(0, pixels[:400]))),
            "a request of a receiver": (Apid.CFDP, encode_unit(other, Nak((0, 9), ()))),
        }.values():
            framer = TmFramer(SPACECRAFT, FRAME_BYTES)
            framer.push(0, packets.packet(apid, octets))
            frame = framer.next_frame(flush=True)
            assert frame is not None
            with pytest.raises((Unexplained, SwathError, KeyError)):
                explain([*bench.radio.frames, frame], keys)
        assert frame is not None
        padded = bytearray(frame)
        padded[-40:-2] = pixels[:38]  # in the fill behind the last packet
        padded[-2:] = crc16_ccitt(bytes(padded[:-2])).to_bytes(2, "big")
        with pytest.raises((Unexplained, SwathError, KeyError)):
            explain([bytes(padded)], keys)


def test_the_assembler_refuses_what_the_reader_would(tmp_path: Path) -> None:
    """Behind the reader stands a second check: should one fail, the other holds."""
    with HostileBench(tmp_path, honest(ROWS)) as bench:
        bench.order(bench.ground.job())
        bench.run_until(lambda: bool(bench.process.desk._answers._answers))
        (answer,) = bench.process.desk._answers._answers.values()
        assembler: ProductAssembler = answer.assembler
        taken = assembler.rows
        with pytest.raises(ValueError, match="class value"):
            assembler.add(taken, np.full((1, WIDTH), 77, np.uint8))
        assert assembler.rows == taken
