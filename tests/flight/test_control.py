"""Control messages: exactly what the contract says, or a ControlError; and the two ends over restarts."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgpack
import msgspec
import pytest
import zmq
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flight.pipeline.capture_meta import CaptureMeta
from flight.pipeline.control import (
    MAX_MESSAGE_BYTES,
    CameraReport,
    CaptureOrder,
    ForgetOrder,
    IdleOrder,
    InferOrder,
    Message,
    MessageT,
    PayloadReport,
    ReleaseOrder,
    StripOffer,
    decode,
    encode,
)
from flight.pipeline.control_sockets import ControlPeer, ControlServer, ReportT
from flight.pipeline.process_errors import ControlError, EndpointRefused

KINDS = (CaptureOrder, ReleaseOrder, CameraReport, InferOrder, IdleOrder, ForgetOrder, PayloadReport)
INFER = {
    "op": "infer",
    "job": b"j" * 32,
    "capture": b"c" * 16,
    "application": "water",
    "parameters": {"threshold": 0.5},
    "area": [[-112.5, 41.0], [-112.0, 41.0], [-112.0, 41.5]],
    "acked_strips": 3,
    "strip_rows": 64,
}
META = {
    "columns": 10,
    "bands": 1,
    "dtype": "uint8",
    "line_rate_hz": 100.0,
    "lines": None,
    "band_names": ["B04"],
    "band_common": ["red"],
    "band_centre_nm": [665.0],
    "sensor": "sentinel2",
    "radiometry": "dn8",
    "scale": [1 / 255],
    "offset": [0.0],
}
CAMERA = {"op": "camera", "incarnation": 5, "state": "capturing", "capture": b"c" * 16, "lines": 7, "meta": META}
OFFER = {"index": 0, "slot": 1, "generation": 2, "first_row": 0, "rows": 64, "crc32c": 0xFFFFFFFF}
PAYLOAD = {"op": "payload", "incarnation": 5, "state": "running", "job": b"j" * 32, "strips": [OFFER]}
PAYLOAD |= {"fallbacks": [5, 2], "provider": 1, "missing": 3, "unregistered": 1}

finite = st.floats(allow_nan=False, allow_infinity=False, width=32)
messages = st.one_of(
    st.builds(CaptureOrder, capture=st.binary(min_size=16, max_size=16), start_s=finite),
    st.builds(ReleaseOrder, capture=st.binary(min_size=16, max_size=16)),
    st.builds(IdleOrder),
    st.builds(ForgetOrder, job=st.binary(min_size=32, max_size=32)),
    st.builds(
        InferOrder,
        job=st.binary(min_size=32, max_size=32),
        capture=st.binary(min_size=16, max_size=16),
        application=st.sampled_from(["water", "cloud"]),
        parameters=st.dictionaries(st.sampled_from(["threshold", "size"]), finite),
        area=st.lists(st.tuples(st.floats(-180, 180), st.floats(-90, 90)), max_size=64).map(tuple),
        acked_strips=st.integers(0, 1 << 31),
        strip_rows=st.integers(1, 4096),
    ),
    st.builds(
        PayloadReport,
        incarnation=st.integers(0, 1 << 62),
        state=st.sampled_from(["idle", "running", "done", "failed"]),
        job=st.none() | st.binary(min_size=32, max_size=32),
        reason=st.from_regex(r"\A[a-z0-9_]{0,48}\Z"),
        confidence=st.floats(0, 1),
        strips=st.lists(st.just(StripOffer(**OFFER)), max_size=8).map(tuple),
    ),
)


@given(messages)
def test_a_message_arrives_as_it_was_sent(message: Message) -> None:
    assert decode(encode(message), (type(message),)) == message


@pytest.mark.parametrize("fields", [INFER, CAMERA, PAYLOAD], ids=lambda fields: str(fields["op"]))
def test_the_contract_s_maps_are_what_another_msgpack_library_writes(fields: dict[str, Any]) -> None:
    message = decode(msgpack.packb(fields), KINDS)
    assert set(msgpack.unpackb(encode(message))) >= set(fields)


@settings(max_examples=400)
@given(st.binary(max_size=200))
@example(b"\x91" * 60_000)
@example(b"\x81" * 60_000)
@example(b"\xdf\xff\xff\xff\xff")
@example(b"\xdd\xff\xff\xff\xff")
@example(b"\xc6\xff\xff\xff\xff")
def test_any_octets_are_a_message_or_a_control_error(octets: bytes) -> None:
    try:
        decode(octets, KINDS)
    except ControlError:
        return


simple = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.binary(max_size=40)
    | st.text(max_size=9)
)
anything = st.recursive(
    simple,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=400)
@given(base=st.sampled_from([INFER, CAMERA, PAYLOAD]), data=st.data())
def test_a_field_of_another_kind_is_refused_or_kept_within_its_bounds(
    base: dict[str, Any], data: st.DataObject
) -> None:
    """One field replaced by anything: what is still decoded can be encoded again, and says the same."""
    name = data.draw(st.sampled_from([*sorted(base), "unknown"]))
    fields = {**base, name: data.draw(anything)}
    try:
        message = decode(msgpack.packb(fields), KINDS)
    except ControlError:
        return
    assert decode(encode(message), KINDS) == message


@pytest.mark.parametrize(
    ("base", "change"),
    [
        (INFER, {"job": b"short"}),
        (INFER, {"capture": "c" * 16}),
        (INFER, {"application": "../etc"}),
        (INFER, {"application": "water\n"}),
        (INFER, {"parameters": {"threshold": "0.5"}}),
        (INFER, {"parameters": {"threshold": float("nan")}}),
        (INFER, {"parameters": {f"p{n}": 0.0 for n in range(17)}}),
        (INFER, {"area": [[0.0, 91.0]]}),
        (INFER, {"area": [[float("nan"), 0.0]]}),
        (INFER, {"area": [[0.0, 0.0, 0.0]]}),
        (INFER, {"area": [[0.0, 0.0]] * 65}),
        (INFER, {"acked_strips": -1}),
        (INFER, {"acked_strips": True}),
        (INFER, {"acked_strips": 1.5}),
        (INFER, {"strip_rows": 0}),
        (INFER, {"pixels": b"\0" * 100}),
        (CAMERA, {"state": "asleep"}),
        (CAMERA, {"reason": "Free text. Anything could be in it"}),
        (CAMERA, {"reason": "a" * 49}),
        (CAMERA, {"lines": 1 << 32}),
        (CAMERA, {"meta": {**META, "scale": [1.0, 2.0]}}),
        (CAMERA, {"meta": {**META, "scale": [float("inf")]}}),
        (CAMERA, {"meta": {**META, "columns": 0}}),
        (CAMERA, {"meta": {**META, "dtype": "object"}}),
        (CAMERA, {"meta": {**META, "transform": [1.0] * 5}}),
        (CAMERA, {"meta": {**META, "sensor": "x" * 33}}),
        (PAYLOAD, {"confidence": 1.01}),
        (PAYLOAD, {"confidence": float("nan")}),
        (PAYLOAD, {"inference_s": float("inf")}),
        (PAYLOAD, {"strips": [OFFER] * 65}),
        (PAYLOAD, {"strips": [{**OFFER, "crc32c": 1 << 32}]}),
        (PAYLOAD, {"strips": [{**OFFER, "rows": 5000}]}),
        (PAYLOAD, {"strips": [{**OFFER, "octets": b"x"}]}),
        (PAYLOAD, {"op": "unheard_of"}),
        (PAYLOAD, {"provider": None}),  # it fell back, and uses none?
        (PAYLOAD, {"fallbacks": [0], "provider": 1}),
        (PAYLOAD, {"fallbacks": [200], "provider": 1}),
        (PAYLOAD, {"fallbacks": ["RUNTIME_CHANGED"], "provider": 1}),
        (PAYLOAD, {"fallbacks": [5] * 9, "provider": 1}),
        (PAYLOAD, {"fallbacks": 5, "provider": 1}),
        (PAYLOAD, {"provider": 0}),
        (PAYLOAD, {"provider": "cpu"}),
        (PAYLOAD, {"missing": 6}),
        (PAYLOAD, {"unregistered": 2}),
        (PAYLOAD, {"unregistered": True}),
    ],
    ids=str,
)
def test_what_the_contract_does_not_allow_is_refused(base: dict[str, Any], change: dict[str, Any]) -> None:
    with pytest.raises(ControlError):
        decode(msgpack.packb({**base, **change}), KINDS)


def test_a_message_of_the_other_direction_is_refused() -> None:
    with pytest.raises(ControlError):
        decode(msgpack.packb(INFER), (CameraReport, PayloadReport))


def test_more_than_the_bound_is_neither_sent_nor_read() -> None:
    with pytest.raises(ControlError):
        decode(b"\0" * (MAX_MESSAGE_BYTES + 1), KINDS)
    with pytest.raises(ControlError):
        decode(msgpack.packb(INFER) + b"\0", KINDS)


def report(incarnation: int, lines: int = 0) -> CameraReport:
    return CameraReport(incarnation=incarnation, state="idle", lines=lines)


def exchange(
    server: ControlServer[ReportT], peer: ControlPeer[MessageT], message: Message, *, until_s: float = 2.0
) -> list[ReportT]:
    """Repeat a report, as a peer does, until the server has heard it."""
    end_s = time.monotonic() + until_s
    while time.monotonic() < end_s:
        peer.report(message, time.monotonic())
        if heard := server.poll(time.monotonic()):
            return heard
        time.sleep(0.005)
    return []


@pytest.fixture
def endpoint(tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/c"


def test_orders_and_reports_pass_and_a_restarted_flight_process_is_found_again(endpoint: str) -> None:
    now = int(time.monotonic() * 1e6)
    server = ControlServer(endpoint, CameraReport)
    peer = ControlPeer(endpoint, (CaptureOrder, ReleaseOrder), now)
    assert not server.send(IdleOrder())
    assert exchange(server, peer, report(now))[-1].incarnation == now
    assert server.send(CaptureOrder(capture=b"c" * 16, start_s=1.0))
    assert peer.orders(1.0) == [CaptureOrder(capture=b"c" * 16, start_s=1.0)]
    # A killed flight process closes nothing and leaves its path; here only the path is left behind.
    server.close()
    Path(endpoint[6:]).touch()
    again = ControlServer(endpoint, CameraReport)
    assert exchange(again, peer, report(now, 5))[-1].lines == 5
    assert again.send(ReleaseOrder(capture=b"c" * 16))
    assert peer.orders(1.0) == [ReleaseOrder(capture=b"c" * 16)]
    peer.close()
    again.close()
    assert not Path(endpoint[6:]).exists()


def test_the_server_listens_to_the_newest_incarnation_only(endpoint: str) -> None:
    now = int(time.monotonic() * 1e6)
    server = ControlServer(endpoint, CameraReport)
    old, new = (ControlPeer(endpoint, (CaptureOrder,), now + n) for n in (0, 1))
    assert exchange(server, old, report(now))
    assert exchange(server, new, report(now + 1))
    assert not exchange(server, old, report(now), until_s=0.2)
    assert server.outdated > 0
    assert server.incarnation == now + 1
    server.send(CaptureOrder(capture=b"c" * 16, start_s=1.0))
    assert new.orders(1.0) and not old.orders(0.05)
    for end in (old, new, server):
        end.close()


def test_an_incarnation_from_the_future_cannot_shut_out_the_next_process(endpoint: str) -> None:
    server = ControlServer(endpoint, CameraReport)
    liar = ControlPeer(endpoint, (CaptureOrder,), 0)
    assert not exchange(server, liar, report(1 << 62), until_s=0.2)
    assert server.refused > 0
    honest = int(time.monotonic() * 1e6)
    assert exchange(server, liar, report(honest))
    liar.close()
    server.close()


def test_what_is_no_report_is_counted_and_dropped(endpoint: str) -> None:
    server = ControlServer(endpoint, PayloadReport)
    context = zmq.Context(1)
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.connect(endpoint)
    for frames in (
        [b""],
        [b"x", b"y"],
        [msgpack.packb(CAMERA)],
        [msgpack.packb(PAYLOAD)[:-1]],
        [msgpack.packb(PAYLOAD)],
    ):
        socket.send_multipart(frames)
    end_s = time.monotonic() + 2
    heard: list[PayloadReport] = []
    while not heard and time.monotonic() < end_s:
        heard += server.poll(time.monotonic())
    assert [message.incarnation for message in heard] == [5]
    assert server.refused == 4
    socket.close(0)
    context.term()
    server.close()


def test_a_peer_without_a_flight_process_neither_blocks_nor_stores_reports(endpoint: str) -> None:
    peer = ControlPeer(endpoint, (CaptureOrder,), 1)
    began_s = time.monotonic()
    for lines in range(200):
        peer.report(report(1, lines), float(lines))
    assert time.monotonic() - began_s < 1
    server = ControlServer(endpoint, CameraReport)
    heard = exchange(server, peer, report(1, 999))
    assert [message.lines for message in heard] == [999]
    peer.close()
    server.close()


@pytest.mark.parametrize(
    "endpoint", ["tcp://127.0.0.1:5555", "ipc://relative", "inproc://x", "ipc:///" + "a" * 101, ""]
)
def test_only_a_short_absolute_ipc_path_is_an_endpoint(endpoint: str) -> None:
    with pytest.raises(EndpointRefused):
        ControlServer(endpoint, CameraReport)
    with pytest.raises(EndpointRefused):
        ControlPeer(endpoint, (CaptureOrder,), 1)


@given(st.sampled_from([0.0, -9999.0, 1e-300, 0.1, None]))
def test_a_description_comes_back_from_the_store_s_json_as_it_was(nodata: float | None) -> None:
    meta = msgspec.convert({**META, "dtype": "float32", "nodata": nodata, "scale": [0.1 + 0.2]}, CaptureMeta)
    assert msgspec.json.decode(msgspec.json.encode(meta), type=CaptureMeta) == meta
