"""Session policy and commissioning on their way from a configuration to a run, a payload process and the doctor."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flight.agent.keys import development_key
from flight.doctor import Check, examine
from flight.pipeline.inference import InferenceSetup, RefusedRecord, flown_setup, setup_of
from flight.pipeline.payload_job import ModelShelf
from flight.pipeline.process_errors import ProcessArgument
from flight.pipeline.run import Order, RunReport, run_scene
from hal.clock import SystemClock
from payload_models.errors import GraphRefused
from payload_models.loader import application_number, load_application
from payload_models.runtime.codes import Fallback, ProviderCode, RecordRefusal
from payload_models.runtime.commissioning import (
    CommissioningRecord,
    Prepared,
    VariantRecord,
    prepared_path,
    record_path,
    whole_write,
    write_record,
)
from payload_models.runtime.errors import CommissioningInvalid, InferenceTimedOut, ProviderMissing
from payload_models.runtime.policy import DEFAULT_POLICY, InferenceTable, Machine
from payload_models.runtime.prepared import key_of, optimise

CLOUD = load_application("cloud", check_graphs=False)
PC = Machine("x86_64", "", 2)
KEY = bytes(range(32))


def commission(folder: Path, precision: str = "u8", key: bytes | None = None) -> str:
    """A record that decides for one form; the SHA-256 of that form."""
    entry, side = CLOUD.manifest.variant[0], CLOUD.manifest.input.tile
    number = entry.form(precision)
    form = entry.forms[number]
    octets = optimise(CLOUD.model_bytes(0, number), DEFAULT_POLICY, side)
    made = Prepared(sha256=hashlib.sha256(octets).hexdigest(), key=key_of(form.sha256, "cpu", side))
    whole_write(prepared_path(folder, made), octets)
    variant = VariantRecord(
        precision=precision,  # type: ignore[arg-type]
        model_sha256=form.sha256,
        float_sha256=entry.sha256,
        prepared=(made,),
    )
    write_record(folder, CommissioningRecord(application="cloud", version="1.0.0", variants=(variant,)), key)
    return form.sha256


def setup(base: Path, **table: object) -> InferenceSetup:
    return setup_of(InferenceTable(commissioned="made", **table), base, lambda: PC)  # type: ignore[arg-type]


def scene(folder: Path) -> Path:
    """Bright blobs over a dark ground, three bands of octets."""
    rng = np.random.default_rng(2)
    img = np.kron(rng.random((18, 22)) > 0.7, np.ones((16, 16)))[..., None] * np.array([190, 200, 210])
    img = (img + 20 + rng.random(img.shape) * 12).astype(np.uint8)
    np.savez(folder / "blobs.npz", img=img)
    (folder / "blobs.toml").write_text(
        'sensor = "generic"\nbands = ["red", "green", "blue"]\nradiometry = "dn8"\nscale = 0.00392156862745098\n'
    )
    return folder / "blobs.npz"


def run(folder: Path, inference: InferenceSetup, name: str) -> RunReport:
    key = development_key(folder / "keys", lambda size: bytes(range(size)))
    order = Order(scene(folder), "cloud", folder / name, inference=inference)
    return run_scene(order, key, SystemClock())


def test_a_run_takes_the_form_that_was_commissioned_and_names_it(tmp_path: Path) -> None:
    wanted = commission(tmp_path / "made")
    report = run(tmp_path, setup(tmp_path), "a")
    assert report.product.header.model_sha256.hex() == wanted
    assert not [note for note in report.notes if "commissioned" in note]
    flat = run(tmp_path, InferenceSetup(), "b")
    assert flat.product.header.model_sha256.hex() == CLOUD.manifest.variant[0].sha256
    assert flat.product.counts[1] > 0
    assert report.product.counts[1] == pytest.approx(flat.product.counts[1], rel=0.05)


def test_a_run_whose_prepared_graph_is_gone_gives_the_same_answer_and_a_note(tmp_path: Path) -> None:
    commission(tmp_path / "made")
    whole = run(tmp_path, setup(tmp_path), "a")
    for path in (tmp_path / "made").glob("*.graph"):
        path.unlink()
    report = run(tmp_path, setup(tmp_path), "b")
    assert report.product.header == whole.product.header
    assert report.product.counts == whole.product.counts
    np.testing.assert_array_equal(report.product.mask(), whole.product.mask())
    assert "not as commissioned: file missing; u8 was run on cpu" in report.notes


def test_float_may_be_insisted_on(tmp_path: Path) -> None:
    commission(tmp_path / "made")
    inference = setup(tmp_path, precision="float")
    assert inference.application("cloud").form(0).precision == "float"


def test_a_graph_must_fit_the_memory_that_is_allowed() -> None:
    with pytest.raises(GraphRefused) as refused:
        InferenceSetup(replace(DEFAULT_POLICY, memory_mb=16)).application("cloud")
    assert refused.value.reason == "peak_memory"


def test_the_payload_process_is_told_what_the_supervisor_read(tmp_path: Path) -> None:
    commission(tmp_path / "made", key=KEY)
    (tmp_path / "key").write_bytes(KEY)
    (tmp_path / "key").chmod(0o600)
    inference = setup(tmp_path, commissioning_key="key")
    text = inference.to_argument()
    assert KEY.hex() not in text and InferenceSetup.from_argument(text) == inference
    assert InferenceSetup.from_argument(InferenceSetup().to_argument()) == InferenceSetup()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"policy": 1}', "x" * 70_000, '{"policy": {}, "more": 1}'])
def test_a_start_argument_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(ProcessArgument):
        InferenceSetup.from_argument(text)


def test_what_was_commissioned_under_another_key_is_refused(tmp_path: Path) -> None:
    commission(tmp_path / "made", key=bytes(32))
    (tmp_path / "key").write_bytes(KEY)
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(CommissioningInvalid, match="does not hold"):
        setup(tmp_path, commissioning_key="key")
    with pytest.raises(CommissioningInvalid, match="no such folder"):
        setup(tmp_path / "nowhere")


def test_on_a_satellite_a_record_that_does_not_hold_disables_itself_alone(tmp_path: Path) -> None:
    commission(tmp_path / "made")
    (tmp_path / "made" / "water.json").write_bytes(b"{}")
    told: list[CommissioningInvalid] = []
    found = flown_setup(InferenceTable(commissioned="made"), tmp_path, told.append, lambda: PC)
    water = RefusedRecord(application=application_number("water"), refusal=RecordRefusal.NOT_A_RECORD)
    assert found.refused == (water,) and [error.refusal for error in told] == [RecordRefusal.NOT_A_RECORD]
    assert found.application("cloud").form(0).precision == "u8"
    assert InferenceSetup.from_argument(found.to_argument()) == found


@pytest.mark.parametrize(
    ("table", "refusal"),
    [
        (InferenceTable(commissioned="nowhere"), RecordRefusal.FILE_UNUSABLE),
        (InferenceTable(commissioned="made", commissioning_key="none"), RecordRefusal.FILE_UNUSABLE),
        (InferenceTable(commissioned="made", commissioning_key="short"), RecordRefusal.KEY_UNUSABLE),
    ],
    ids=["no folder", "no key", "a short key"],
)
def test_on_a_satellite_a_folder_or_key_that_cannot_be_used_is_a_reason_and_float_is_run(
    tmp_path: Path, table: InferenceTable, refusal: RecordRefusal
) -> None:
    commission(tmp_path / "made")
    (tmp_path / "short").write_bytes(b"short")
    (tmp_path / "short").chmod(0o600)
    found = flown_setup(table, tmp_path, lambda error: None, lambda: PC)
    assert found.commissioned is None and found.refused == (RefusedRecord(application=0, refusal=refusal),)


def test_a_record_under_another_key_is_refused_by_its_number(tmp_path: Path) -> None:
    commission(tmp_path / "made", key=bytes(32))
    (tmp_path / "key").write_bytes(KEY)
    (tmp_path / "key").chmod(0o600)
    for key, refusal in (("key", RecordRefusal.SEAL_BROKEN), ("", RecordRefusal.SEALED_OTHERWISE)):
        table = InferenceTable(commissioned="made", commissioning_key=key)
        found = flown_setup(table, tmp_path, lambda error: None, lambda: PC)
        assert [entry.refusal for entry in found.refused] == [refusal]
        assert found.application("cloud").form(0).precision == "float"


def test_the_shelf_opens_what_was_commissioned_and_tells_what_was_not(tmp_path: Path) -> None:
    commission(tmp_path / "made")
    shelf = ModelShelf(None, setup(tmp_path))
    assert shelf.opened("cloud", 0).session.input_dtype == np.uint8
    assert shelf.application("cloud").form(0).precision == "u8"
    assert shelf.opened("cloud", 0).fallbacks == ()
    for path in (tmp_path / "made").glob("*.graph"):
        path.write_bytes(b"altered")
    altered = ModelShelf(None, setup(tmp_path)).opened("cloud", 0)
    assert altered.session.input_dtype == np.uint8
    assert (altered.fallbacks, altered.provider) == ((Fallback.FILE_ALTERED,), ProviderCode.CPU)


def test_the_shelf_times_its_runs() -> None:
    moments = iter(range(0, 10_000, 100))
    shelf = ModelShelf(None, InferenceSetup(replace(DEFAULT_POLICY, tile_limit_s=0.001)), lambda: float(next(moments)))
    session = shelf.opened("cloud", 0).session
    with pytest.raises(InferenceTimedOut):
        for _ in range(20):  # the watchdog looks while a run lasts some milliseconds
            session.run(np.zeros((1, 3, 256, 256), np.float32))
    session.close()


def test_a_provider_that_is_configured_and_missing_ends_the_run() -> None:
    with pytest.raises(ProviderMissing) as missing:
        ModelShelf(None, InferenceSetup(replace(DEFAULT_POLICY, providers=("acl",)))).opened("cloud", 0)
    assert missing.value.exit_status == 2


# --- the doctor


def by_name(folder: Path, table: InferenceTable | None = None) -> dict[str, Check]:
    return {check.name: check for check in examine(SystemClock(), folder, table=table, base=folder)}


def test_the_doctor_shows_providers_policy_and_precision(tmp_path: Path) -> None:
    found = by_name(tmp_path)
    assert "CPUExecutionProvider" in found["providers"].found
    assert "thread(s)" in found["inference"].found and found["inference"].ok
    assert found["precision"].found == "float: nothing is commissioned"


def test_the_doctor_sees_what_was_commissioned_and_what_does_not_hold(tmp_path: Path) -> None:
    commission(tmp_path / "made")
    table = InferenceTable(commissioned="made", providers=("acl", "cpu"))
    found = by_name(tmp_path, table)
    assert (found["precision"].ok, found["precision"].found) == (True, "cloud u8")
    assert not found["inference"].ok and "`acl`" in found["inference"].advice
    record_path(tmp_path / "made", "cloud").write_bytes(b"{}")
    assert not by_name(tmp_path, table)["precision"].ok
