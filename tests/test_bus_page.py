"""docs/bus.md: its example does what it says."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.shared_data import ROOT


def test_the_page_s_example_does_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "bus.md").read_text(encoding="utf-8")
    example = page.split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    exec(example, names)
    assert capsys.readouterr().out.strip() == example.split("print(reader.receive())  # ")[1].strip()
    names["writer"].close()
    names["reader"].close()
    os.close(names["descriptor"])
