"""Real applications on real scenes answer alike on every machine: recorded once, run on the emulated ARM core too."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from flight.product.container import Product
from tests.flight.everywhere import CASES, product_of

pytestmark = pytest.mark.arm

NO_ANSWER = 255
FLOAT_MAY_DIFFER = 1e-4  # share of the pixels
ELSEWHERE = os.environ.get("SWATH_ANSWERS")  # a folder: what another machine answers from the same checkout


@pytest.fixture(scope="module", params=sorted(CASES))
def answered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Product]:
    name = str(request.param)
    return name, product_of(CASES[name], tmp_path_factory.mktemp(name))


def test_the_class_map_is_the_recorded_one(answered: tuple[str, Product], capsys: pytest.CaptureFixture[str]) -> None:
    name, product = answered
    found, recorded = product.mask(), CASES[name].recorded()
    np.testing.assert_array_equal(found == NO_ANSWER, recorded == NO_ANSWER)
    assert min(np.count_nonzero(recorded == value) for value in (0, 1)) > 1000, "both classes are in the scene"
    differing, pixels = int(np.count_nonzero(found != recorded)), int(np.count_nonzero(recorded != NO_ANSWER))
    if ELSEWHERE is not None:
        with capsys.disabled():
            print(f"\n{name}: {differing} of {pixels} answered pixels differ from the recorded map", end=" ")
    assert differing <= (0 if CASES[name].exact else FLOAT_MAY_DIFFER * pixels)


@pytest.mark.skipif(ELSEWHERE is None, reason="compares two machines; make aarch64 gives the other one's answers")
def test_the_body_is_that_of_the_other_machine_of_an_index_graph(answered: tuple[str, Product]) -> None:
    name, product = answered
    told = (Path(str(ELSEWHERE)) / f"{name}.sha256").read_text()
    if CASES[name].exact and CASES[name].form == 0:
        assert product.body_sha256.hex() == told
