"""Whole satellites that fly what the `swath` command commissioned: what fits is silent, what does not is an event."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from flight.agent.reasons import Reason
from flight.agent.states import JobState
from flight.pipeline.component import FELL_BACK, FORM_REFUSED, INFERENCE, PROVIDER_MISSING, RECORD_REFUSED
from flight.services import dictionary
from flight.services.declare import Event
from flight.services.events import EventRecord
from payload_models.loader import application_number
from payload_models.runtime.codes import Fallback, PrecisionCode, ProviderCode, RecordRefusal
from payload_models.runtime.commissioning import (
    CommissioningRecord,
    PreparedKey,
    read_record,
    record_path,
    refused_forms,
    write_record,
)
from tests.faults.flown import Flown
from tests.shared_data import ROOT

CLOUD = application_number("cloud")
pytestmark = pytest.mark.slow


class CommissionedFlown(Flown):
    """With a folder of records, and the providers that are configured."""

    def __init__(self, folder: Path, made: Path, providers: str = '["cpu"]') -> None:
        self.made, self.providers = made, providers
        super().__init__(folder, "cloud")

    def configured(self, text: str) -> str:
        return text + f'[inference]\ncommissioned = "{self.made}"\nproviders = {self.providers}\n'

    def told(self, event: Event) -> list[tuple[int | float, ...]]:
        """The numbers of every record of an event that came down."""
        records = [EventRecord.unpack(octets) for octets in self.events]
        return [
            record.values
            for record in records
            if (record.component, record.number) == (INFERENCE.number, event.number) and dictionary.describe(record)
        ]

    @property
    def number(self) -> int:
        """The job's, as events carry it."""
        return int.from_bytes(self.job_id[:4], "big")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command on board commissions on this computer."""
    folder = tmp_path_factory.mktemp("made")
    command = [sys.executable, "-m", "flight.cli", "models", "bench", "cloud", "--runs", "3"]
    subprocess.run([*command, "--commission", str(folder)], cwd=ROOT, check=True, capture_output=True, timeout=120)
    return folder


def commissioned(made: Path) -> CommissioningRecord:
    record = read_record(made, "cloud", None)
    assert record is not None
    return record


def with_key(made: Path, folder: Path, change: Callable[[PreparedKey], PreparedKey]) -> Path:
    """A copy of what was commissioned, whose prepared graphs have another key, sealed again."""
    shutil.copytree(made, folder)
    record = commissioned(made)
    variants = tuple(
        msgspec.structs.replace(
            variant,
            prepared=tuple(msgspec.structs.replace(entry, key=change(entry.key)) for entry in variant.prepared),
        )
        for variant in record.variants
    )
    write_record(folder, msgspec.structs.replace(record, variants=variants), None)
    return folder


@pytest.fixture(scope="module")
def fitting(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommissionedFlown]:
    """A satellite that has flown its job on what was commissioned for this computer."""
    flown = CommissionedFlown(tmp_path_factory.mktemp("fits"), made)
    try:
        flown.run_until(flown.delivered, 150.0)
    finally:
        flown.stop()
    yield flown


def test_what_was_commissioned_is_flown_and_nothing_fell_back(fitting: CommissionedFlown, made: Path) -> None:
    (variant,) = commissioned(made).variants
    product = fitting.product()
    assert product.verified and product.header.model_sha256.hex() == variant.model_sha256
    for event in (FELL_BACK, PROVIDER_MISSING, RECORD_REFUSED):
        assert fitting.told(event) == []
    refused = {
        (CLOUD, 0, PrecisionCode[precision.upper()], why)
        for precision, why in refused_forms(variant.measured, variant.precision).items()
    }
    assert set(fitting.told(FORM_REFUSED)) == refused and refused, "a slower form is told by its reason"


def test_a_record_for_another_runtime_flies_the_same_answer_in_the_declared_order_and_tells_it(
    fitting: CommissionedFlown, made: Path, tmp_path: Path
) -> None:
    older = with_key(made, tmp_path / "made", lambda key: msgspec.structs.replace(key, runtime="onnxruntime 1.0.0"))
    flown = CommissionedFlown(tmp_path / "flown", older)
    try:
        flown.run_until(lambda: flown.delivered() and bool(flown.told(FELL_BACK)), 150.0)
    finally:
        flown.stop()
    assert flown.told(FELL_BACK) == [(flown.number, CLOUD, Fallback.RUNTIME_CHANGED, ProviderCode.CPU)]
    assert flown.told(PROVIDER_MISSING) == flown.told(RECORD_REFUSED) == []
    product, fitted = flown.product(), fitting.product()
    assert product.header.model_sha256 == fitted.header.model_sha256
    np.testing.assert_array_equal(product.mask(), fitted.mask())


def test_a_provider_that_is_configured_and_missing_ends_the_job_and_is_told(made: Path, tmp_path: Path) -> None:
    flown = CommissionedFlown(tmp_path / "flown", made, '["tensorrt", "cpu"]')
    try:
        flown.run_until(lambda: flown.state() is JobState.FAILED and bool(flown.told(PROVIDER_MISSING)), 150.0)
    finally:
        flown.stop()
    assert flown.statuses[-1].reason is Reason.INFERENCE_FAILED and not flown.products
    assert flown.told(PROVIDER_MISSING) == [(flown.number, CLOUD, ProviderCode.TENSORRT)]
    assert flown.told(FELL_BACK) == []


def test_a_record_whose_seal_is_broken_is_told_and_float_is_flown(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "made")
    path = record_path(tmp_path / "made", "cloud")
    path.write_bytes(path.read_bytes().replace(b'"1.0.0"', b'"1.0.1"'))
    flown = CommissionedFlown(tmp_path / "flown", tmp_path / "made")
    try:
        flown.run_until(lambda: flown.delivered() and bool(flown.told(RECORD_REFUSED)), 150.0)
    finally:
        flown.stop()
    assert flown.told(RECORD_REFUSED) == [(CLOUD, RecordRefusal.SEAL_BROKEN)]
    assert flown.told(FELL_BACK) == flown.told(FORM_REFUSED) == []
    (variant,) = commissioned(made).variants
    assert flown.product().header.model_sha256.hex() == variant.float_sha256
