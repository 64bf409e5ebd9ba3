"""ARCHITECTURE.md names tests and files: each of them exists."""

from __future__ import annotations

import re

import pytest

from tests.shared_data import ROOT

TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
NAMED_TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", TEXT)))
NAMED_FILES = sorted(set(re.findall(r"`((?:bindings|hal|payload_models|flight|ground_test|docs)/[\w/.*-]+)`", TEXT)))


@pytest.mark.parametrize(("file", "test"), NAMED_TESTS)
def test_the_test_that_holds_an_invariant_exists(file: str, test: str) -> None:
    source = (ROOT / file).read_text(encoding="utf-8")
    assert not test or f"def {test}(" in source


@pytest.mark.parametrize("name", NAMED_FILES)
def test_the_place_that_is_named_exists(name: str) -> None:
    assert list(ROOT.glob(name)), name


def test_every_room_of_the_house_is_named() -> None:
    rooms = {path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("flight/*/__init__.py")}
    assert {f"`{room}/`" for room in rooms} <= set(re.findall(r"`[\w/]+`", TEXT))
