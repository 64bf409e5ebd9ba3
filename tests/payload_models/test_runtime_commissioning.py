"""Commissioning: what is recorded is what runs; what was changed since is not believed, and the reason is told."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from payload_models.loader import Application, load_application
from payload_models.runtime.codes import Fallback, FormRefusal, ProviderCode
from payload_models.runtime.commissioning import (
    Commissioned,
    CommissioningRecord,
    Measured,
    Prepared,
    PreparedKey,
    VariantRecord,
    choose,
    prepared_path,
    read_key,
    read_record,
    record_path,
    refused_forms,
    whole_write,
    write_record,
)
from payload_models.runtime.errors import CommissioningInvalid, GraphRejected, ProviderMissing
from payload_models.runtime.opening import Opened, open_session
from payload_models.runtime.policy import DEFAULT_POLICY, Provider
from payload_models.runtime.prepared import build_engine, device_identity, key_of, optimise, processor_digest
from payload_models.runtime.session import OnnxSession
from tests.payload_models.folders import copy_of

CLOUD = load_application("cloud", check_graphs=False)
SIDE = CLOUD.manifest.input.tile
KEY = bytes(range(32))
TILE = np.random.default_rng(8).integers(0, 250, (1, 3, SIDE, SIDE)).astype(np.uint8)


def commission(
    folder: Path, precision: str = "u8", key: bytes | None = None, *, provider: Provider = "cpu"
) -> CommissioningRecord:
    """What `swath models bench cloud --commission` leaves when that form is the fastest."""
    entry = CLOUD.manifest.variant[0]
    form = entry.form(precision)
    octets = optimise(CLOUD.model_bytes(0, form), DEFAULT_POLICY, SIDE)
    made = Prepared(sha256=hashlib.sha256(octets).hexdigest(), key=key_of(entry.forms[form].sha256, provider, SIDE))
    whole_write(prepared_path(folder, made), octets)
    variant = VariantRecord(
        precision=precision,  # type: ignore[arg-type]
        model_sha256=entry.forms[form].sha256,
        float_sha256=entry.sha256,
        prepared=(made,),
    )
    record = CommissioningRecord(application="cloud", version=CLOUD.manifest.version, variants=(variant,))
    write_record(folder, record, key)
    return record


def opened(folder: Path, record: CommissioningRecord, application: Application = CLOUD) -> Opened:
    return open_session(application, 0, DEFAULT_POLICY, Commissioned(folder, (record,)))


def plain(precision: str) -> np.ndarray:
    entry = CLOUD.manifest.variant[0]
    form = entry.form(precision)
    quantisation = entry.forms[form].quantisation
    session = OnnxSession(CLOUD.model_bytes(0, form), bands=3, classes=1, quantisation=quantisation)
    return session.run(TILE if precision == "u8" else TILE.astype(np.float32) / 250)


# --- the decision


def measured(**over: float) -> tuple[Measured, ...]:
    return tuple(
        Measured(precision=name, median_ms=10 * ratio, over_float=ratio)  # type: ignore[arg-type]
        for name, ratio in {"float": 1.0, **over}.items()
    )


@pytest.mark.parametrize(
    ("over", "chosen"),
    [
        ({}, "float"),
        ({"u8": 0.45, "s8": 0.9}, "u8"),
        ({"u8": 1.1, "s8": 0.5}, "s8"),
        ({"u8": 1.02, "s8": 4.0}, "float"),  # slower: refused
        ({"u8": 0.97}, "float"),  # within chance
    ],
)
def test_the_fastest_form_is_taken_and_one_that_is_slower_than_float_never(over: dict[str, float], chosen: str) -> None:
    assert choose(measured(**over)) == chosen


def test_every_form_that_is_not_taken_has_its_reason() -> None:
    slower, little, other = FormRefusal.SLOWER_THAN_FLOAT, FormRefusal.GAINS_TOO_LITTLE, FormRefusal.ANOTHER_IS_FASTER
    assert refused_forms(measured(u8=1.02, s8=0.97), "float") == {"u8": slower, "s8": little}
    assert refused_forms(measured(u8=0.45, s8=0.9), "u8") == {"s8": other}
    assert refused_forms(measured(), "float") == {}


# --- what was prepared is what runs


@pytest.mark.parametrize("precision", ["float", "u8"])
def test_the_prepared_graph_of_the_recorded_form_runs_with_equal_scores(tmp_path: Path, precision: str) -> None:
    found = opened(tmp_path, commission(tmp_path, precision))
    assert (found.optimised, found.fallbacks, found.form.precision) == (True, (), precision)
    assert found.form.sha256 == CLOUD.manifest.variant[0].forms[CLOUD.manifest.variant[0].form(precision)].sha256
    tile = TILE if precision == "u8" else TILE.astype(np.float32) / 250
    junk = [np.full(50_000, k, np.float32) for k in range(20)]  # were the octets freed, this would lie there
    np.testing.assert_array_equal(found.session.run(tile), plain(precision))
    assert len(junk) == 20


def test_without_a_record_the_float_graph_runs() -> None:
    found = open_session(CLOUD, 0, DEFAULT_POLICY)
    assert (found.form.precision, found.optimised, found.fallbacks) == ("float", False, ())


def test_a_policy_may_insist_on_float(tmp_path: Path) -> None:
    record = commission(tmp_path)
    found = open_session(CLOUD, 0, replace(DEFAULT_POLICY, precision="float"), Commissioned(tmp_path, (record,)))
    assert (found.form.precision, found.fallbacks) == ("float", (Fallback.NOT_PREPARED,))


# --- what does not fit: the recorded form still runs, unprepared, and the reason is told


def altered(record: CommissioningRecord, **changes: object) -> CommissioningRecord:
    """The record with another key of its prepared graph."""
    variant = record.variants[0]
    made = variant.prepared[0]
    key = msgspec.structs.replace(made.key, **changes)
    return msgspec.structs.replace(
        record,
        variants=(msgspec.structs.replace(variant, prepared=(msgspec.structs.replace(made, key=key),)),),
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"runtime": "onnxruntime 1.0.0"}, Fallback.RUNTIME_CHANGED),
        ({"processor": "0" * 32}, Fallback.PROCESSOR_CHANGED),
        ({"device": "another GPU"}, Fallback.DEVICE_CHANGED),
        ({"side": 128}, Fallback.TILE_CHANGED),
        ({"provider": "cuda"}, Fallback.NOT_PREPARED),
        ({"model_sha256": "0" * 64}, Fallback.NOT_PREPARED),
    ],
)
def test_a_prepared_graph_made_for_something_else_is_not_used(
    tmp_path: Path, changes: dict[str, object], reason: Fallback
) -> None:
    found = opened(tmp_path, altered(commission(tmp_path), **changes))
    assert (found.form.precision, found.optimised, found.fallbacks) == ("u8", False, (reason,))
    np.testing.assert_array_equal(found.session.run(TILE), plain("u8"))


def one_octet_changed(path: Path) -> None:
    octets = bytearray(path.read_bytes())
    octets[len(octets) // 2] ^= 1
    path.write_bytes(octets)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.unlink(), Fallback.FILE_MISSING),
        (one_octet_changed, Fallback.FILE_ALTERED),
        (lambda path: path.write_bytes(b""), Fallback.FILE_ALTERED),
        (lambda path: path.write_bytes(path.read_bytes() + b"\0"), Fallback.FILE_ALTERED),
    ],
    ids=["gone", "one octet", "empty", "longer"],
)
def test_a_prepared_graph_that_was_touched_is_not_used(
    tmp_path: Path, damage: Callable[[Path], None], reason: Fallback
) -> None:
    record = commission(tmp_path)
    damage(prepared_path(tmp_path, record.variants[0].prepared[0]))
    found = opened(tmp_path, record)
    assert (found.form.precision, found.optimised, found.fallbacks) == ("u8", False, (reason,))


def test_octets_that_the_runtime_refuses_are_not_used(tmp_path: Path) -> None:
    record = commission(tmp_path)
    octets = b"hashed, recorded, and no graph at all"
    made = msgspec.structs.replace(record.variants[0].prepared[0], sha256=hashlib.sha256(octets).hexdigest())
    whole_write(prepared_path(tmp_path, made), octets)
    variant = msgspec.structs.replace(record.variants[0], prepared=(made,))
    found = opened(tmp_path, msgspec.structs.replace(record, variants=(variant,)))
    assert (found.optimised, found.fallbacks) == (False, (Fallback.REJECTED,))


def test_a_record_of_other_graphs_decides_nothing(tmp_path: Path) -> None:
    record = commission(tmp_path)
    variant = msgspec.structs.replace(record.variants[0], float_sha256="0" * 64)
    found = opened(tmp_path, msgspec.structs.replace(record, variants=(variant,)))
    assert (found.form.precision, found.fallbacks) == ("float", (Fallback.MODEL_CHANGED,))
    found = opened(tmp_path, msgspec.structs.replace(record, version="9.9.9"))
    assert (found.form.precision, found.fallbacks) == ("float", (Fallback.MODEL_CHANGED,))


# --- octets that were checked cannot be exchanged


def test_a_file_that_is_exchanged_after_it_was_checked_changes_nothing(tmp_path: Path) -> None:
    """What runs are the octets that were hashed, in memory; the file is not read a second time."""
    record = commission(tmp_path)
    path = prepared_path(tmp_path, record.variants[0].prepared[0])
    found = opened(tmp_path, record)
    with path.open("r+b") as stream:
        stream.write(bytes(path.stat().st_size))
    np.testing.assert_array_equal(found.session.run(TILE), plain("u8"))


def test_the_graph_of_the_manifest_is_loaded_from_the_octets_that_were_hashed(tmp_path: Path) -> None:
    folder = copy_of("cloud", tmp_path)
    application = load_application(folder, check_graphs=False)
    path = folder / "cloud.onnx"
    octets = application.model_bytes(0)
    path.write_bytes(b"exchanged")
    assert OnnxSession(octets, bands=3, classes=1).run(TILE.astype(np.float32) / 250).shape == (1, 1, SIDE, SIDE)


# --- the record's seal


def test_a_sealed_record_is_read_back(tmp_path: Path) -> None:
    for key in (None, KEY):
        record = commission(tmp_path, key=key)
        assert read_record(tmp_path, "cloud", key) == record
    assert read_record(tmp_path, "water", KEY) is None


def test_a_record_is_believed_only_under_the_seal_that_is_expected(tmp_path: Path) -> None:
    commission(tmp_path, key=KEY)
    for key, says in ((None, "sealed by hmac-sha256"), (bytes(32), "its seal does not hold")):
        with pytest.raises(CommissioningInvalid, match=says):
            read_record(tmp_path, "cloud", key)
    commission(tmp_path)
    with pytest.raises(CommissioningInvalid, match="sealed by sha256"):
        read_record(tmp_path, "cloud", KEY)


@pytest.mark.parametrize("key", [None, KEY], ids=["hash", "mac"])
def test_no_octet_of_a_record_can_be_changed(tmp_path: Path, key: bytes | None) -> None:
    record = commission(tmp_path, key=key)
    path = record_path(tmp_path, "cloud")
    octets = path.read_bytes()
    for at in range(0, len(octets) - 1, 7):
        path.write_bytes(octets[:at] + bytes([octets[at] ^ 1]) + octets[at + 1 :])
        try:
            assert read_record(tmp_path, "cloud", key) == record
        except CommissioningInvalid as refused:
            assert refused.exit_status == 2


@pytest.mark.parametrize("octets", [b"", b"{}", b"[]", b"\xff", b'{"record": 1}', b" " * 70_000, b"[" * 5000])
def test_what_is_no_record_is_refused(tmp_path: Path, octets: bytes) -> None:
    record_path(tmp_path, "cloud").write_bytes(octets)
    with pytest.raises(CommissioningInvalid):
        read_record(tmp_path, "cloud", None)


def test_a_record_under_another_name_is_refused(tmp_path: Path) -> None:
    commission(tmp_path)
    record_path(tmp_path, "cloud").rename(record_path(tmp_path, "water"))
    with pytest.raises(CommissioningInvalid, match="about `cloud`"):
        read_record(tmp_path, "water", None)


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(KEY)
    path.chmod(0o640)
    with pytest.raises(CommissioningInvalid, match="others may read"):
        read_key(path)
    path.chmod(0o600)
    assert read_key(path) == KEY
    path.write_bytes(KEY[:-1])
    with pytest.raises(CommissioningInvalid, match="32 octets"):
        read_key(path)
    with pytest.raises(CommissioningInvalid):
        read_key(tmp_path / "none")


# --- engines: no GPU is at hand, the order of providers is what can be shown


BUILD = ["TensorrtExecutionProvider", "CPUExecutionProvider"]


def test_tensorrt_without_an_engine_falls_to_the_next_provider_and_says_so(tmp_path: Path) -> None:
    record = commission(tmp_path)
    policy = replace(DEFAULT_POLICY, providers=("tensorrt", "cpu"))
    for known in (None, Commissioned(tmp_path, (record,))):
        found = open_session(CLOUD, 0, policy, known, available=BUILD)
        assert (found.policy.providers, found.provider) == (("cpu",), ProviderCode.CPU)
        assert found.fallbacks == (Fallback.NOT_PREPARED,)
        assert found.optimised is (known is not None)


def test_an_engine_of_another_gpu_falls_to_the_next_provider_and_says_so(tmp_path: Path) -> None:
    record = altered(commission(tmp_path, provider="tensorrt"), device="NVIDIA Orin; driver 1; TensorRT 100300")
    policy = replace(DEFAULT_POLICY, providers=("tensorrt", "cpu"))
    found = open_session(CLOUD, 0, policy, Commissioned(tmp_path, (record,)), available=BUILD)
    assert found.fallbacks == (Fallback.DEVICE_CHANGED, Fallback.NOT_PREPARED)
    assert (found.policy.providers, found.form.precision) == (("cpu",), "u8")


def test_a_build_without_tensorrt_is_an_error_although_tensorrt_would_be_left_out(tmp_path: Path) -> None:
    policy = replace(DEFAULT_POLICY, providers=("tensorrt", "cpu"))
    for known in (None, Commissioned(tmp_path, (commission(tmp_path),))):
        with pytest.raises(ProviderMissing) as missing:
            open_session(CLOUD, 0, policy, known, available=["CPUExecutionProvider"])
        assert missing.value.provider == "tensorrt"


def test_tensorrt_alone_without_an_engine_is_an_error_and_builds_none(tmp_path: Path) -> None:
    with pytest.raises(ProviderMissing, match="no engine fits"):
        policy = replace(DEFAULT_POLICY, providers=("tensorrt",))
        open_session(CLOUD, 0, policy, Commissioned(tmp_path, ()), available=BUILD)


def test_an_engine_cannot_be_built_where_tensorrt_is_not() -> None:
    with pytest.raises(ProviderMissing):
        build_engine(CLOUD.model_bytes(0), DEFAULT_POLICY, SIDE, available=["CPUExecutionProvider"])


def test_the_next_provider_must_be_there(tmp_path: Path) -> None:
    policy = replace(DEFAULT_POLICY, providers=("tensorrt", "cuda", "cpu"))
    with pytest.raises(ProviderMissing) as missing:
        open_session(CLOUD, 0, policy, Commissioned(tmp_path, ()), available=BUILD)
    assert missing.value.provider == "cuda"


def test_a_gpu_is_named_by_model_driver_and_tensorrt(tmp_path: Path) -> None:
    gpu = tmp_path / "proc/driver/nvidia/gpus/0000:01:00.0"
    gpu.mkdir(parents=True)
    (gpu / "information").write_text("Model: \t\t NVIDIA RTX A2000\nIRQ: 1\n")
    (tmp_path / "proc/driver/nvidia/version").write_text("NVRM version: NVIDIA UNIX  570.1\nGCC\n")
    named = device_identity(tmp_path, lambda: "TensorRT 100300")
    assert named == "NVIDIA RTX A2000; NVRM version: NVIDIA UNIX 570.1; TensorRT 100300"
    assert device_identity(tmp_path / "none", lambda: "") == ""


def test_a_processor_is_named_by_its_kind_and_instructions(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    cpuinfo = tmp_path / "proc/cpuinfo"
    cpuinfo.write_text("processor: 0\nmodel name: A\ncpu MHz: 1000\nflags: avx2 fma\n\nprocessor: 1\n")
    first = processor_digest(tmp_path)
    cpuinfo.write_text("processor: 0\nmodel name: A\ncpu MHz: 2222\nflags: avx2 fma\n\n")
    assert processor_digest(tmp_path) == first
    cpuinfo.write_text("processor: 0\nmodel name: A\ncpu MHz: 1000\nflags: avx2 fma avx512f\n\n")
    assert processor_digest(tmp_path) != first


def test_a_graph_that_cannot_be_optimised_is_refused() -> None:
    with pytest.raises(GraphRejected):
        optimise(b"no graph", DEFAULT_POLICY, SIDE)


def test_keys_say_in_what_they_differ() -> None:
    key = PreparedKey(model_sha256="0" * 64, runtime="r", processor="0" * 32, device="", provider="cpu", side=256)
    assert key.differs_in(key) == ()
    assert key.differs_in(msgspec.structs.replace(key, side=128, runtime="s")) == ("runtime", "side")
